//! When the answer of a rule on running jobs may turn as they grow older.

use std::{ops::Bound, time::Duration};

use jiff::Timestamp;

use super::{
    Past, RuleSet,
    condition::{Facts, Lane},
    rule::Trigger,
    when::{Leaf, When},
};
use crate::domain::Job;

impl RuleSet {
    /// The ages of a running job at which, or just past which, a rule's answer may turn; youngest first, none twice. Between
    /// two of them, an answer depends on what else ends meanwhile alone.
    #[must_use]
    pub fn turning_ages(&self) -> Vec<Duration> {
        let mut ages = Vec::new();
        for rule in self.rules() {
            if let Trigger::When(when) = &rule.trigger
                && when.watches_running()
            {
                each(when, &mut |leaf| {
                    if let Lane::Duration(spans) = leaf.test.lane() {
                        ages.extend(spans.iter().flat_map(|span| [span.least, span.most]).filter_map(|bound| match bound {
                            Bound::Included(age) | Bound::Excluded(age) => Some(age),
                            Bound::Unbounded => None,
                        }));
                    }
                });
            }
        }
        ages.sort_unstable();
        ages.dedup();
        ages
    }

    /// The ages, in no order, at which the answer of a rule that needs the past of a running job may turn besides, as long as
    /// no other job of its profile ends; `past` holds what [`RuleSet::need`] asks for.
    #[must_use]
    pub fn turning_ages_by_past(&self, job: &Job, past: Past<'_>, now: Timestamp) -> Vec<Duration> {
        let facts = Facts::new(job, past, now);
        let mut ages = Vec::new();
        for when in self.looking_back(&facts) {
            each(when, &mut |leaf| ages.extend(leaf.test.turning_ages(&facts)));
        }
        ages
    }
}

fn each(when: &When, see: &mut impl FnMut(&Leaf)) {
    match when {
        When::Is(leaf) => see(leaf),
        When::All(parts) | When::Any(parts) => parts.iter().for_each(|part| each(part, see)),
        When::Not(inner) => each(inner, see),
    }
}
