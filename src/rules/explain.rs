//! Why a rule matches a job or does not: the values compared, and the conditions that decided.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::Job;

use super::{
    Past, Rule, RuleSet,
    condition::Facts,
    rule::Trigger,
    when::{Answer, When, needed},
};

/// One rule's verdict on a job.
#[derive(Debug)]
pub struct Explained {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What came of it.
    pub verdict: Verdict,
    /// Every condition in the rule's order; empty for a `missing` rule.
    pub conditions: Vec<Finding>,
}

/// What a rule says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It alerts.
    Matches,
    /// A condition does not hold.
    DoesNotMatch,
    /// Its conditions hold, or may, but it judges jobs that ended, and this one has not.
    WaitsForTheEnd,
    /// It waits for jobs that never come, and judges none.
    JudgesNoJob,
}

/// One condition, held against a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands in the rule: `state`, `any[0].profile`, `not.duration`.
    pub path: String,
    /// What it wants, in words.
    pub wanted: String,
    /// What the job has, in words.
    pub found: String,
    /// Whether it holds.
    pub held: bool,
    /// Whether it is among those that decided the rule's verdict.
    pub decided: bool,
}

impl RuleSet {
    /// Every rule's verdict on a job as it stands, with its reasons; `past` holds what [`RuleSet::need`] asks for.
    #[must_use]
    pub fn explain(&self, job: &Job, past: Past<'_>, now: Timestamp) -> Vec<Explained> {
        let facts = Facts::new(job, past, now);
        self.rules().iter().map(|rule| explain(rule, &facts)).collect()
    }
}

fn explain(rule: &Arc<Rule>, facts: &Facts<'_>) -> Explained {
    let Trigger::When(when) = &rule.trigger else {
        return Explained { rule: Arc::clone(rule), verdict: Verdict::JudgesNoJob, conditions: Vec::new() };
    };
    let answer = when.answer(false, &|leaf| Some(leaf.test.holds(facts, when)));
    let verdict = if answer >= needed(facts) {
        Verdict::Matches
    } else if answer == Answer::Holds || !when.watches_running() && !facts.job.is_final() {
        Verdict::WaitsForTheEnd
    } else {
        Verdict::DoesNotMatch
    };
    let mut conditions = Vec::new();
    findings(when, when, facts, "", true, &mut conditions);
    Explained { rule: Arc::clone(rule), verdict, conditions }
}

fn holds(when: &When, rule: &When, facts: &Facts<'_>) -> bool {
    when.answer(false, &|leaf| Some(leaf.test.holds(facts, rule))) != Answer::No
}

/// Adds the conditions below `when`, a part of `rule`. `decides` says whether `when` is among what decided the whole.
fn findings(when: &When, rule: &When, facts: &Facts<'_>, path: &str, decides: bool, out: &mut Vec<Finding>) {
    let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    match when {
        When::Is(leaf) => out.push(Finding {
            path: below(leaf.condition.key),
            wanted: leaf.test.wanted(),
            found: leaf.test.found(facts, rule),
            held: leaf.test.holds(facts, rule),
            decided: decides,
        }),
        When::Not(inner) => findings(inner, rule, facts, &below("not"), decides, out),
        When::All(parts) | When::Any(parts) => {
            let listed = matches!(when, When::Any(_));
            // One part that fails decides an `all`, one that holds an `any`; where there is none, all of them do.
            let telling = parts.iter().position(|part| holds(part, rule, facts) == listed);
            for (at, part) in parts.iter().enumerate() {
                let path = if listed { below(&format!("any[{at}]")) } else { path.to_owned() };
                findings(part, rule, facts, &path, decides && telling.is_none_or(|telling| telling == at), out);
            }
        }
    }
}
