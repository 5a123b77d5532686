//! A job's story, judged by the rules of today and put into words: facts and `now` in, an account out.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    delivery::Delivery,
    judged::{Judged, Said, ask_again, judge},
};
use crate::{
    domain::{Job, JobView, Name, format_duration},
    rules::{RuleSet, Verdict},
    store::{Raised, Story},
};

/// All that an account is made of.
pub struct Facts<'f> {
    /// What is stored.
    pub story: &'f Story,
    /// The enabled rules of today.
    pub rules: &'f RuleSet,
    /// What came before.
    pub pasts: &'f Pasts,
    /// The channels of today.
    pub channels: &'f [Name],
    /// How many rules are disabled.
    pub resting: usize,
    /// When a rule that holds alerts of this job has a message to give again, by rule.
    pub openings: &'f BTreeMap<String, Timestamp>,
    /// The present.
    pub now: Timestamp,
}

/// The pasts of the job as it is and of what its alerts saw, each the newest first, as far as the store still holds them.
#[derive(Debug, Default)]
pub struct Pasts {
    /// Of the job.
    pub job: Vec<Arc<Job>>,
    /// Of the job as an alert saw it, by the alert's number.
    pub alerts: BTreeMap<i64, Vec<Arc<Job>>>,
}

/// The whole story.
#[derive(Debug, Serialize)]
pub struct Account {
    /// The answer, in one line.
    pub summary: String,
    /// The job as last seen; its duration, while it runs, is its age.
    #[serde(flatten)]
    pub job: JobView,
    /// Which run it is in.
    pub run: u32,
    /// When it was first taken in.
    pub first_seen: Timestamp,
    /// What there is to say of the job itself: that it is history, that it vanished.
    pub notes: Vec<String>,
    /// Which rules these are: the same rules have the same.
    pub rules_version: String,
    /// How many rules are disabled, and so judge nothing.
    pub disabled_rules: usize,
    /// Every alert, of every run.
    pub alerts: Vec<AlertAccount>,
    /// Every enabled rule, as it is now.
    pub rules: Vec<Judged>,
    /// The present.
    pub now: Timestamp,
}

/// One alert.
#[derive(Debug, Serialize)]
pub struct AlertAccount {
    /// The store's number.
    pub id: i64,
    /// The rule.
    pub rule: String,
    /// Its severity when it matched.
    pub severity: &'static str,
    /// Which run of the job.
    pub run: u32,
    /// When it matched.
    pub created: Timestamp,
    /// The job's state when it matched.
    pub state: String,
    /// Which rules judged, as far as it is written down.
    pub rules_version: Option<String>,
    /// Whether it was sent at once, was held by the rule's limit, or gathered with others.
    pub how: &'static str,
    /// In what the rule of today differs from the one that alerted.
    pub since_changed: Vec<String>,
    /// Its way to each channel.
    pub deliveries: Vec<Delivery>,
}

impl Facts<'_> {
    /// Why the job was not judged at all, where it was not.
    pub fn history(&self) -> Option<String> {
        let Story { job, run, first_seen, source, alerts, .. } = self.story;
        let (end, source) = (job.finished.or(job.started)?, source.as_ref()?);
        if !job.is_final() || *run > 1 || *first_seen <= end || alerts.iter().any(|alert| alert.run == *run) {
            return None;
        }
        if end <= source.cut {
            return Some(format!(
                "the job ended before {}, where the watch over this source begins (`start`): what ended before is history, and alerts on nothing",
                stamp(source.cut)
            ));
        }
        let pruned = source.pruned.filter(|pruned| end < *pruned)?;
        Some(format!("the job ended before {}, up to where old jobs have been let go: what shows up from then is history", stamp(pruned)))
    }
}

impl Account {
    /// The account of a job, or of what concerns one rule.
    pub fn new(facts: &Facts<'_>, only: Option<&str>) -> Self {
        let story = facts.story;
        let mut job = JobView::from(&story.job);
        if !story.ended && !story.job.is_final() {
            job.duration = story.job.duration(facts.now).map(|age| age.as_millis() as f64 / 1000.0);
        }
        let wanted = |alert: &&Raised| only.is_none_or(|name| alert.rule.name == name);
        let alerts: Vec<AlertAccount> = story.alerts.iter().filter(wanted).map(|alert| account(facts, alert)).collect();
        let rules = judge(facts, only);
        let mut notes = Vec::new();
        notes.extend(facts.history());
        if story.ended && !story.job.is_final() {
            notes.push(
                "it was running when it vanished from the source's list: it counts as ended, without an end, and no rule judges it"
                    .to_owned(),
            );
        }
        if story.unjudged {
            notes.push("rules that look at the past have yet to judge its end: they do once the source's list has been read".to_owned());
        }
        let pruned = story.source.as_ref().and_then(|source| source.pruned);
        if let (Some(pruned), true) = (pruned, facts.rules.need(&story.job).is_some()) {
            notes.push(format!(
                "jobs that ended before {} have been let go: what rules say of the past is said of what is left",
                stamp(pruned)
            ));
        }
        if story.run > 1 {
            notes.push(format!("this is run {}; of earlier runs only their alerts are kept", story.run));
        }
        let mut account = Self {
            summary: String::new(),
            job,
            run: story.run,
            first_seen: story.first_seen,
            notes,
            rules_version: facts.rules.version().to_owned(),
            disabled_rules: facts.resting,
            alerts,
            rules,
            now: facts.now,
        };
        account.summary = summary(facts, &account);
        account
    }

    /// The alerts of the job's present run.
    pub fn present(&self) -> impl Iterator<Item = &AlertAccount> {
        self.alerts.iter().filter(|alert| alert.run == self.run)
    }
}

fn account(facts: &Facts<'_>, alert: &Raised) -> AlertAccount {
    let how = match alert.ways.first().map(|way| (&way.own.gather, &way.carrier)) {
        _ if alert.at_once && alert.ways.iter().any(|way| way.carrier.is_some()) => "sent at once, but where its channel was behind",
        _ if alert.at_once => "sent at once",
        Some((Some(_), _)) => "gathered with others of its group",
        _ => "held back by the rule's limit",
    };
    AlertAccount {
        id: alert.id,
        rule: alert.rule.name.clone(),
        severity: alert.rule.severity.name(),
        run: alert.run,
        created: alert.created,
        state: alert.job.state.name().into_owned(),
        rules_version: alert.rules_version.clone(),
        how,
        since_changed: changes(facts, alert),
        deliveries: alert.ways.iter().map(|way| Delivery::new(facts, &alert.rule.name, way)).collect(),
    }
}

/// In what the rule of today differs from the one that alerted.
fn changes(facts: &Facts<'_>, alert: &Raised) -> Vec<String> {
    let Some(now) = ask_again(facts, alert) else {
        return vec!["the config has no enabled rule of this name any more".to_owned()];
    };
    let mut changes = Vec::new();
    if now.verdict != Verdict::Matches {
        let decided: Vec<&str> = now.conditions.iter().filter(|one| one.decided).map(|one| one.path.as_str()).collect();
        let by = if decided.is_empty() { String::new() } else { format!(", by its {}", decided.join(", ")) };
        changes.push(format!("the rule as it stands now would not alert on what it then saw{by}"));
    }
    let facts = &now.rule.facts;
    if facts.severity != alert.rule.severity {
        changes.push(format!("its severity is {} by now, and was {}", facts.severity.name(), alert.rule.severity.name()));
    }
    if facts.description != alert.rule.description || facts.labels != alert.rule.labels || facts.template != alert.rule.template {
        changes.push("its description, labels or template have changed since".to_owned());
    }
    let notified = |channel: &Name| alert.ways.iter().any(|way| way.own.channel == channel.as_str());
    let added: Vec<&str> = now.rule.notify.iter().filter(|channel| !notified(channel)).map(Name::as_str).collect();
    if !added.is_empty() {
        changes.push(format!("it notifies {} by now, and did not then", added.join(", ")));
    }
    changes
}

/// The answer in one line.
fn summary(facts: &Facts<'_>, account: &Account) -> String {
    let ways = |alert: &AlertAccount| alert.deliveries.iter().flat_map(Delivery::in_short).collect::<Vec<_>>();
    let present: Vec<&AlertAccount> = account.present().collect();
    match present.as_slice() {
        [] => {}
        [only] => return std::iter::once(format!("alerted: {}", only.rule)).chain(ways(only)).collect::<Vec<_>>().join("; "),
        several => {
            let each: Vec<String> = several.iter().map(|alert| format!("{} ({})", alert.rule, ways(alert).join("; "))).collect();
            return format!("alerted by {} rules: {}", several.len(), each.join(", "));
        }
    }
    let earlier = match account.alerts.len() {
        0 => String::new(),
        n => format!(" on run {}, but {n} on earlier runs", account.run),
    };
    if let Some(why) = facts.history() {
        return format!("no alert{earlier}: {why}");
    }
    let of = |said: Said| account.rules.iter().filter(move |one| one.verdict == said).collect::<Vec<_>>();
    let (matching, waiting) = (of(Said::Matches), of(Said::WaitsForTheEnd));
    match (account.rules.as_slice(), matching.as_slice()) {
        ([], _) => format!("no alert{earlier}: no rule is enabled"),
        (_, [one, ..]) => format!("no alert{earlier}: {} {}", one.rule, one.reason.trim_start_matches("it ")),
        _ if !facts.story.job.is_final() && facts.story.ended => {
            format!("no alert{earlier}: it vanished from the source's list while it ran")
        }
        _ if !facts.story.job.is_final() => {
            let age = facts.story.job.duration(facts.now).map(|age| format!(" for {}", format_duration(age))).unwrap_or_default();
            let later = match waiting.len() {
                0 => "none of the rules judges its end".to_owned(),
                n => format!("{} judged when it ends", if n == 1 { "1 rule is".to_owned() } else { format!("{n} rules are") }),
            };
            format!("no alert yet{earlier}: the job has been running{age}; {later}")
        }
        ([one], _) => format!("no alert{earlier}: {}: {}", one.rule, one.reason),
        (several, _) => format!("no alert{earlier}: none of {} rules matches", several.len()),
    }
}

/// A moment as lists write it.
pub fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A moment in a sentence: of today, only the time of day.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    if day(at) == day(now) { at.strftime("%H:%M:%SZ").to_string() } else { stamp(at) }
}
