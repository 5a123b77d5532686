//! Digests: what a period comes to, reckoned from what the store holds, and when the next one is due.
//!
//! ```text
//!  store ──each ended job──▶ sums ──▶ which profiles matter? ──▶ their histories ──▶ digest
//!                                                     polls ──▶ coverage ──┘
//! ```
//!
//! The jobs of a period pass by one at a time and leave sums behind: a digest of 100,000 jobs takes no more memory than one of
//! as many profiles.

mod coverage;
mod due;
mod reckon;
mod sums;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};

use crate::{
    domain::{Day, Digest, Name, State, is_bad},
    rules::{RuleSet, Unanswered},
    store::{DigestStore, StoreError},
};
pub use due::{Decision, Plan, decide};
use sums::Sums;

/// How many days the picture shows.
pub const DAYS: usize = 30;

/// What a digest is about.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Its name.
    pub name: Name,
    /// The sources that are polled, and how often.
    pub sources: Vec<(Name, Duration)>,
    /// The jobs it is about, as a rule set of one rule; none for all.
    pub when: Option<Arc<RuleSet>>,
    /// The zone of its days.
    pub zone: TimeZone,
}

impl Scope {
    /// With only those sources of which it may tell a job.
    fn narrowed(&self) -> Self {
        let mut scope = self.clone();
        if let Some(when) = &self.when {
            scope.sources.retain(|(source, _)| when.may_match_source(source));
        }
        scope
    }
}

/// The period that it sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Where it begins; within it.
    pub since: Timestamp,
    /// Where it ends; behind it.
    pub until: Timestamp,
    /// When it was due, if it is one that was.
    pub due: Option<Timestamp>,
    /// Whether that is clearly past.
    pub late: bool,
}

impl Period {
    /// Where the period before it begins.
    fn before(&self) -> Timestamp {
        let length = self.until.duration_since(self.since).max(SignedDuration::ZERO);
        self.since.checked_sub(length).unwrap_or(Timestamp::MIN)
    }
}

/// Sums up a period.
///
/// # Errors
/// The store can't be read.
pub async fn gather(store: &dyn DigestStore, scope: &Scope, period: &Period) -> Result<Digest, StoreError> {
    // One for a tenant's own people is to say nothing of the others.
    let scope = &scope.narrowed();
    let of: Option<Vec<Name>> = scope.when.is_some().then(|| scope.sources.iter().map(|(name, _)| name.clone()).collect());
    let bounds = days(&scope.zone, period.until);
    let from = match (&scope.when, bounds.first()) {
        // Which of the jobs of the picture's days the digest is about, the store can't tell.
        (Some(_), Some(first)) => period.before().min(*first),
        _ => period.before(),
    };
    let sums = Arc::new(Mutex::new(Sums::new(scope.when.clone(), of.clone().map(BTreeSet::from_iter), period, bounds.clone())));
    let filling = Arc::clone(&sums);
    let each = Box::new(move |job: &_, counted, shown| filling.lock().unwrap_or_else(PoisonError::into_inner).add(job, counted, shown));
    store.each_ended(from, period.until, each).await?;
    for Unanswered { place, why, .. } in scope.when.iter().flat_map(|when| when.newly_unanswered()) {
        tracing::warn!(digest = %scope.name, place, why, "an `expr` gives no answer for a job, which is not in the digest then");
    }
    // The store has let its own hold of it go.
    let sums = std::mem::take(&mut *sums.lock().unwrap_or_else(PoisonError::into_inner));
    let days = match &scope.when {
        Some(_) => sums.days.clone(),
        None => counted(&bounds, &store.ended_between(bounds.clone()).await?),
    };
    let stretches = store.polls(period.since, period.until).await?;
    let standing = store.standing(of).await?;
    let coverage = coverage::reckon(&scope.sources, &stretches, period, sums.seen, standing);
    reckon::reckon(store, scope, period, sums, days, coverage).await
}

/// The beginnings of the last days in a zone, oldest first, and the end of the last one, which is the period's.
fn days(zone: &TimeZone, until: Timestamp) -> Vec<Timestamp> {
    // A period that ends at midnight does not touch the day that begins then.
    let inside = until.checked_sub(SignedDuration::from_micros(1)).unwrap_or(until);
    let today = inside.to_zoned(zone.clone()).date();
    let back = |days: usize| {
        let date = today.checked_sub(i64::try_from(days).unwrap_or_default().days()).ok()?;
        Some(date.to_zoned(zone.clone()).ok()?.timestamp())
    };
    (0..DAYS).rev().filter_map(back).chain([until]).collect()
}

fn counted(bounds: &[Timestamp], states: &[Vec<(State, u64)>]) -> Vec<Day> {
    let day = |(at, states): (&Timestamp, &Vec<(State, u64)>)| {
        let mut day = Day { at: *at, finished: 0, failed: 0, other: 0 };
        for (state, count) in states {
            add_to_day(&mut day, *state, *count);
        }
        day
    };
    bounds.iter().zip(states).map(day).collect()
}

fn add_to_day(day: &mut Day, state: State, count: u64) {
    *match state {
        State::Finished => &mut day.finished,
        state if is_bad(state) => &mut day.failed,
        _ => &mut day.other,
    } += count;
}

#[cfg(test)]
mod tests;
