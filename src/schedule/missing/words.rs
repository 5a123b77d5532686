//! What is said of jobs that did not come, that may not have come, and that came after all.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::plan::Event;
use crate::{
    domain::{Name, Notice, Severity, Told, format_duration},
    rules::{Missing, Rule, Standing},
    store::RuleNotice,
};

/// How many sources one notice lists; of more, it says how many.
const LISTED: usize = 20;
/// Below this, people want to know the second.
const COARSE: Duration = Duration::from_secs(3_600);

/// The notices of one rule: one for all that is missing, one for all of which it can't be told, one for all that came.
#[must_use]
pub fn notices(rule: &Rule, missing: &Missing, events: &[Event]) -> Vec<RuleNotice> {
    let tell = Teller { rule, missing };
    let of = |wanted: fn(&Standing) -> bool| events.iter().filter(|event| wanted(&event.standing)).collect::<Vec<_>>();
    let back = of(|standing| matches!(standing, Standing::Back { .. }));
    let unclear = of(|standing| matches!(standing, Standing::CannotTell { .. }));
    let gone = of(|standing| matches!(standing, Standing::Missing { .. }));
    // First what is over, then what begins, as it happened.
    let kinds = [("back", back), ("cannot tell", unclear), ("missing", gone)];
    kinds.into_iter().filter(|(_, events)| !events.is_empty()).map(|(kind, events)| tell.notice(kind, &events)).collect()
}

struct Teller<'t> {
    rule: &'t Rule,
    missing: &'t Missing,
}

impl Teller<'_> {
    fn notice(&self, kind: &str, events: &[&Event]) -> RuleNotice {
        let (title, text) = match events {
            [one] => (self.title(one), self.text(one)),
            several => (self.shared_title(several), self.shared_text(several)),
        };
        let since = events.iter().filter_map(|event| due(event)).min();
        let over = events.iter().all(|event| matches!(event.standing, Standing::Back { .. }));
        let topic = match events {
            [Event { source: Some(source), .. }] => format!("missing {} {source}", self.rule.name),
            _ => format!("missing {}", self.rule.name),
        };
        let whole_second = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
        let severity = if over { Severity::Info } else { self.rule.facts.severity };
        let each = |event: &&Event| {
            let source = event.source.as_ref().map(ToString::to_string).unwrap_or_default();
            [source, due(event).map(|due| due.as_microsecond().to_string()).unwrap_or_default()]
        };
        RuleNotice {
            about: [self.rule.name.to_string(), kind.to_owned()].into_iter().chain(events.iter().flat_map(each)).collect(),
            facts: Arc::clone(&self.rule.facts),
            notice: Notice { topic, title, text, since: since.map(whole_second), severity, over },
            channels: self.rule.notify.clone(),
        }
    }

    fn title(&self, event: &Event) -> String {
        let (wanted, here) = (self.missing.wanted(), at(event.source.as_ref()));
        match event.standing {
            Standing::CannotTell { .. } => format!("It can't be told whether a scan of {wanted} has finished{here}"),
            Standing::Back { due, came } => {
                let (scan, here) = (scan(event), at(event.place.as_ref()));
                match late(due, came) {
                    Some(late) => format!("{scan} has finished{here}, {} late", format_duration(late)),
                    None => format!("{scan} has finished{here} in time after all"),
                }
            }
            _ => format!("No scan of {wanted} has finished in time{here}"),
        }
    }

    fn text(&self, event: &Event) -> String {
        let expected = |due: Timestamp| format!("One was expected by {} ({}).", self.time(due), self.terms());
        match event.standing {
            Standing::CannotTell { due } => format!(
                "{} Since {} {} can't be read, so it may have run or not; another message says which of the two it is as soon as that is known. {}",
                expected(due),
                event.dark.map_or_else(|| "then".to_owned(), |since| self.time(since)),
                event.source.as_ref().map_or("a source", |source| source.as_str()),
                self.last(event),
            ),
            Standing::Back { due, came } => {
                let why = match event.before {
                    _ if late(due, came).is_some() => "",
                    Told::CannotTell(_) => " The source could not be read meanwhile.",
                    _ => " The source's list showed it late.",
                };
                let id = event.job.as_ref().map(|job| format!(" Its job is {}.", job.id)).unwrap_or_default();
                format!("It ended {}; one was expected by {} ({}).{why}{id}", self.time(came), self.time(due), self.terms())
            }
            Standing::Missing { due } if matches!(event.before, Told::CannotTell(_)) => {
                format!(
                    "{} The source can be read again, and no such scan is in its list. {} {}",
                    expected(due),
                    self.last(event),
                    self.running(event)
                )
            }
            _ => format!("{} {} {}", due(event).map(expected).unwrap_or_default(), self.last(event), self.running(event)),
        }
    }

    /// What is known of the one before.
    fn last(&self, event: &Event) -> String {
        match (event.last, &event.job) {
            (Some(last), Some(job)) => format!("The last one, \"{}\", ended {}.", job.profile, self.time(last)),
            (Some(last), None) => format!("The last one ended {}.", self.time(last)),
            (None, _) => format!("None has come since it is watched for, {}.", self.time(event.began)),
        }
    }

    /// What is known of one that runs: where none does, someone may have to see to its schedule.
    fn running(&self, event: &Event) -> String {
        let Some(job) = &event.running else { return "None runs now: see whether its schedule is on.".to_owned() };
        let since = job.started.map(|started| format!(" since {}", self.time(started))).unwrap_or_default();
        format!("One runs still: \"{}\"{since}, {}.", job.profile, job.id)
    }

    fn shared_title(&self, events: &[&Event]) -> String {
        let (wanted, many) = (self.missing.wanted(), events.len());
        match events.first().map(|event| event.standing) {
            Some(Standing::CannotTell { .. }) => format!("It can't be told whether a scan of {wanted} has finished at {many} sources"),
            Some(Standing::Back { .. }) => format!("Scans of {wanted} have finished at {many} sources that were waited for"),
            _ => format!("No scan of {wanted} has finished in time at {many} sources"),
        }
    }

    fn shared_text(&self, events: &[&Event]) -> String {
        let line = |event: &&Event| {
            let source = event.source.as_ref().map_or("all", |source| source.as_str());
            match event.standing {
                Standing::Back { due, came } => {
                    let late = late(due, came).map_or_else(|| "in time".to_owned(), |late| format!("{} late", format_duration(late)));
                    format!("{source} ({late}, {})", self.time(came))
                }
                _ => {
                    let last = event.last.map_or_else(|| "none yet".to_owned(), |last| self.time(last));
                    let running = match (&event.running, event.standing) {
                        (Some(_), Standing::Missing { .. }) => ", one runs still",
                        _ => "",
                    };
                    format!("{source} (due {}, last {last}{running})", due(event).map(|due| self.time(due)).unwrap_or_default())
                }
            }
        };
        // A source may stand in it twice: once for each of two gaps.
        let sources: BTreeSet<Option<&Name>> = events.iter().map(|event| event.source.as_ref()).collect();
        let mut listed: Vec<String> = events.iter().take(LISTED).map(line).collect();
        if events.len() > LISTED {
            listed.push(format!("and {} more", events.len() - LISTED));
        }
        let dark = match events.first().map(|event| event.standing) {
            Some(Standing::CannotTell { .. }) => " They can't be read; another message says for each which of the two it is.",
            _ => "",
        };
        format!("Of {} sources, each by its own time ({}): {}.{dark}", sources.len(), self.terms(), listed.join("; "))
    }

    /// How often, in words.
    fn terms(&self) -> String {
        let Missing { every, grace, .. } = self.missing;
        let grace = if grace.is_zero() { String::new() } else { format!(", {} grace", format_duration(*grace)) };
        format!("every {}{grace}", format_duration(*every))
    }

    fn time(&self, at: Timestamp) -> String {
        let fine = self.missing.every < COARSE;
        at.strftime(if fine { "%Y-%m-%d %H:%M:%S UTC" } else { "%Y-%m-%d %H:%M UTC" }).to_string()
    }
}

fn at(source: Option<&Name>) -> String {
    source.map(|source| format!(" at {source}")).unwrap_or_default()
}

fn scan(event: &Event) -> String {
    event.job.as_ref().map_or_else(|| "An awaited scan".to_owned(), |job| format!("A scan of \"{}\"", job.profile))
}

/// How much later it came than it was due.
fn late(due: Timestamp, came: Timestamp) -> Option<Duration> {
    Duration::try_from(came.duration_since(due)).ok().filter(|late| !late.is_zero())
}

const fn due(event: &Event) -> Option<Timestamp> {
    match event.standing {
        Standing::CannotTell { due } | Standing::Missing { due } | Standing::Back { due, .. } => Some(due),
        Standing::Fine { .. } | Standing::Unread { .. } | Standing::Told => None,
    }
}
