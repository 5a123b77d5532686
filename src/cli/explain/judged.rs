//! What each rule says of the job, in words.

use serde::Serialize;

use super::account::Facts;
use crate::{
    rules::{Explained, Finding, Past, Rule, Verdict},
    store::Raised,
};

/// One rule's verdict, as users meet it.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The rule.
    pub rule: String,
    /// What came of it on the job's present run.
    pub verdict: Said,
    /// Why, in one line.
    pub reason: String,
    /// Every condition, in the rule's order.
    pub conditions: Vec<Compared>,
}

/// What a rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It alerted on this run.
    Alerted,
    /// It matches, yet no alert is recorded.
    Matches,
    /// A condition does not hold.
    Silent,
    /// It judges jobs that ended.
    WaitsForTheEnd,
    /// It waits for jobs that never come.
    JudgesNoJob,
}

/// One condition, held against the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Where it stands in the rule.
    pub condition: String,
    /// What it wants.
    pub wanted: String,
    /// What the job has.
    pub found: String,
    /// Whether it holds, for itself: under a `not`, the rule wants the opposite.
    pub held: bool,
    /// Whether it is among those that decided.
    pub decided: bool,
}

impl Compared {
    fn new(finding: Finding) -> Self {
        Self { condition: finding.path, wanted: finding.wanted, found: finding.found, held: finding.held, decided: finding.decided }
    }

    /// Whether it stands under an odd number of `not`s, so that the rule wants the opposite.
    pub fn is_negated(&self) -> bool {
        self.condition.split('.').filter(|part| *part == "not").count() % 2 == 1
    }

    /// `wanted failed`, or `wanted anything but failed`.
    pub fn wish(&self) -> String {
        format!("wanted {}{}", if self.is_negated() { "anything but " } else { "" }, self.wanted)
    }

    /// `state is finished; wanted failed`.
    fn why_not(&self) -> String {
        format!("{} is {}; {}", self.condition, self.found, self.wish())
    }
}

/// Every rule's verdict on the job as it is, by the rules as they are.
fn ask(facts: &Facts<'_>) -> Vec<Explained> {
    facts.rules.explain(&facts.story.job, Past::new(&facts.pasts.job), facts.now)
}

/// What the rule of today that has the name of an alert's says of what was seen when that one was made.
pub fn ask_again(facts: &Facts<'_>, alert: &Raised) -> Option<Explained> {
    let past = facts.pasts.alerts.get(&alert.id).map_or(Past::none(), |past| Past::new(past));
    facts.rules.explain(&alert.job, past, alert.created).into_iter().find(|one| *one.rule.name == *alert.rule.name)
}

/// What every rule of today, or the one asked for, says of the job's present run.
pub fn judge(facts: &Facts<'_>, only: Option<&str>) -> Vec<Judged> {
    let wanted = |rule: &Rule| only.is_none_or(|name| *rule.name == *name);
    ask(facts).into_iter().filter(|one| wanted(&one.rule)).map(|one| judged(facts, one)).collect()
}

fn judged(facts: &Facts<'_>, explained: Explained) -> Judged {
    let name = explained.rule.name.to_string();
    let of_this_run = |alert: &&Raised| alert.run == facts.story.run && alert.rule.name == name;
    if let Some(alert) = facts.story.alerts.iter().find(of_this_run) {
        // What it compared when it alerted, not what it would compare by now.
        let conditions: Vec<Compared> = ask_again(facts, alert).into_iter().flat_map(|one| one.conditions).map(Compared::new).collect();
        return Judged { rule: name, verdict: Said::Alerted, reason: format!("alert {}", alert.id), conditions };
    }
    let conditions: Vec<Compared> = explained.conditions.into_iter().map(Compared::new).collect();
    let telling = || conditions.iter().filter(|one| one.decided).map(Compared::why_not).collect::<Vec<_>>().join("; ");
    let (verdict, reason) = match explained.verdict {
        Verdict::Matches => (Said::Matches, unrecorded(facts)),
        Verdict::DoesNotMatch => (Said::Silent, telling()),
        Verdict::WaitsForTheEnd => (Said::WaitsForTheEnd, "it is judged when the job ends".to_owned()),
        Verdict::JudgesNoJob => {
            let counts = explained.rule.missing().is_some_and(|missing| missing.awaits(&facts.story.job.profile));
            let counts = if counts { "; this job is one that it waits for" } else { "" };
            (Said::JudgesNoJob, format!("it watches for jobs that never come, and judges none{counts}"))
        }
    };
    Judged { rule: name, verdict, reason, conditions }
}

/// Why a rule that matches may have made no alert.
fn unrecorded(facts: &Facts<'_>) -> String {
    match facts.history() {
        Some(_) => "it would match, but the job is history".to_owned(),
        None if facts.story.unjudged => "it matches so far; rules that look at the past judge an end once the source's list has been read".to_owned(),
        None if !facts.story.job.is_final() => "it matches at this moment; running jobs are judged with every poll".to_owned(),
        None => "it would match as it stands now, yet made no alert: when the job was judged, the rule was not there, rested, or said something else".to_owned(),
    }
}
