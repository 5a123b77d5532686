//! `count`: how many of the profile's jobs that match the rest of the rule ended within a time.

use std::time::Duration;

use crate::{
    document::{Fault, Faults, Fields, Node, duration, integer},
    domain::{Job, LONGEST, format_duration},
};

use super::{
    Known,
    condition::{Facts, Lane, Test},
    past::{Need, PAST_MOST, Past},
    when::{Answer, Leaf, When},
};

/// At least so many, within so long.
#[derive(Debug)]
struct Count {
    at_least: u32,
    within: Duration,
}

/// Whether a job that ended matches the rest of a rule: what it has besides `count`, each condition on the past judged by
/// that job's own.
fn matches_rest(rule: &When, facts: &Facts<'_>) -> bool {
    // Left open, a `count` stands in no one's way, under a `not` neither.
    let but_count = |leaf: &Leaf| (!matches!(leaf.test.lane(), Lane::Count)).then(|| leaf.test.holds(facts, rule));
    rule.answer(false, &but_count) != Answer::No
}

impl Count {
    /// The jobs counted, the newest first.
    fn counted<'f>(&self, facts: &Facts<'f>, rule: &'f When) -> impl Iterator<Item = &'f Job> {
        let now = facts.now;
        // A feed's job may lack a finish time; it stands last.
        let end = facts.job.finished.filter(|_| facts.job.is_final()).unwrap_or(now);
        let since = end.checked_sub(self.within).unwrap_or(jiff::Timestamp::MIN);
        // A job that runs has not ended, and is not counted.
        let this = Some((facts.job, facts.past)).filter(|(job, _)| job.is_final());
        let behind = facts.past.each().take_while(move |(job, _)| job.finished.is_some_and(|end| end >= since));
        this.into_iter()
            .chain(behind)
            .filter(move |(job, past)| matches_rest(rule, &Facts::new(job, *past, now)))
            .map(|(job, _): (&Job, Past<'_>)| job)
    }
}

impl Test for Count {
    fn holds(&self, facts: &Facts<'_>, rule: &When) -> bool {
        let enough = self.at_least as usize;
        self.counted(facts, rule).take(enough).count() == enough
    }

    fn wanted(&self) -> String {
        format!("at least {} within {}", self.at_least, format_duration(self.within))
    }

    fn found(&self, facts: &Facts<'_>, rule: &When) -> String {
        let counted: Vec<&Job> = self.counted(facts, rule).collect();
        let oldest = counted.last().and_then(|job| job.finished);
        let oldest = oldest.map(|end| format!(", the oldest ended {}", end.strftime("%Y-%m-%d %H:%M"))).unwrap_or_default();
        format!("{} that match the rest of the rule{oldest}", counted.len())
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Count
    }

    fn need(&self) -> Option<Need> {
        Some(Need { jobs: 0, reach: self.within })
    }
}

pub(super) fn read(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    let mut fields = Fields::open(node, "a mapping with `at_least` and `within`", faults)?;
    let at_least = fields.require("at_least", faults).and_then(|at| {
        let number = integer(at, 1..=i64::from(PAST_MOST), faults)?;
        if number == 1 {
            let fault = Fault::warning(&at.place, "this holds for every job that the rest of the rule lets through");
            faults.push(fault.hint("the job itself is counted; leave `count` out, or ask for 2 or more"));
        }
        u32::try_from(number).ok()
    });
    let within = fields.require("within", faults).and_then(|at| duration(at, Duration::from_secs(1)..=LONGEST, faults));
    fields.finish(faults);
    Some(Box::new(Count { at_least: at_least?, within: within? }))
}
