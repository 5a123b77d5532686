//! `missing` rules: the gaps between the jobs that they wait for.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Event, Gap, Watch, past::Profile};
use crate::{
    domain::Name,
    rules::{self, Missing, Rule, RuleSet, Standing, Told},
};

/// What would have been told of jobs that did not come, rule by rule. All that ended is known at once.
pub fn gaps(rules: &RuleSet, profiles: &[Profile<'_>], watch: &Watch) -> Vec<Event> {
    let mut events = Vec::new();
    for rule in rules.rules() {
        let Some(missing) = rule.missing() else { continue };
        let awaited: Vec<&Profile<'_>> = profiles.iter().filter(|profile| missing.awaits(profile.name())).collect();
        for source in watch.sources.iter().filter(|source| missing.sources.is_empty() || missing.sources.contains(source)) {
            let came = awaited.iter().filter(|profile| profile.source() == source);
            let mut came: Vec<Timestamp> =
                came.flat_map(|profile| &profile.courses).filter_map(|course| missing.counts(&course.job)).collect();
            came.sort_unstable();
            let waiting = Waiting { rule, missing, source, watch };
            waiting.play(&came, &mut events);
        }
    }
    events
}

/// One rule, waiting for the jobs of one source.
struct Waiting<'w> {
    rule: &'w Arc<Rule>,
    missing: &'w Missing,
    source: &'w Name,
    watch: &'w Watch,
}

impl Waiting<'_> {
    /// Adds what is told, given when those jobs came, in order.
    fn play(&self, came: &[Timestamp], events: &mut Vec<Event>) {
        let mut told = Told::Nothing;
        let mut last = None;
        let mut add = |event: fn(Gap) -> Event, at: Timestamp, last: Option<Timestamp>| {
            if at >= self.watch.from && at <= self.watch.to {
                events.push(event(Gap { rule: Arc::clone(self.rule), source: self.source.clone(), at, last }));
            }
        };
        for end in came.iter().copied().map(Some).chain([None]) {
            let due = self.missing.due(&self.known(last, told, self.watch.to));
            if end.is_none_or(|end| due < end)
                && let Standing::Missing { due } = self.missing.judge(&self.known(last, told, due), due)
            {
                told = Told::Missing(due);
                add(Event::Missed, due, last);
            }
            let Some(end) = end else { break };
            let before = last.replace(end);
            if let Standing::Back { came, .. } = self.missing.judge(&self.known(last, told, end), end) {
                told = Told::Nothing;
                add(Event::Back, came, before);
            }
        }
    }

    /// What is known at an instant, by which all that had ended is known.
    const fn known(&self, last: Option<Timestamp>, told: Told, now: Timestamp) -> rules::Watch {
        rules::Watch { last, began: self.watch.from, complete: Some(now), dark: None, told }
    }
}
