//! What is left of the jobs that have passed by.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{Period, add_to_day};
use crate::{
    domain::{Category, Day, Job, Name, State, Totals, is_bad},
    rules::RuleSet,
};

/// So many profiles are told apart, over all sources. The jobs of others are in the totals, and the digest says so.
pub const PROFILES_MOST: usize = 20_000;
/// So many categories are told apart; the vendor knows four. Others count as not told.
const CATEGORIES_MOST: usize = 50;

/// The sums over a period and the one before it.
#[derive(Debug, Default)]
pub struct Sums {
    when: Option<Arc<RuleSet>>,
    /// The sources that a part is about; none for all.
    of: Option<BTreeSet<Name>>,
    since: Timestamp,
    before: Timestamp,
    until: Timestamp,
    bounds: Vec<Timestamp>,
    /// By day, as far as jobs of those days passed by.
    pub days: Vec<Day>,
    /// The period's.
    pub totals: Totals,
    /// The one before's.
    pub before_totals: Totals,
    /// By the category's number, of the period and the one before.
    pub categories: BTreeMap<Option<i64>, (Totals, Totals)>,
    /// By source.
    pub sources: BTreeMap<Name, SourceSums>,
    /// Jobs of the period whose profile is not told apart.
    pub nameless: u64,
    /// Jobs of the period at the sources that the digest is about, whatever else it is about.
    pub seen: u64,
    profiles: usize,
}

/// One source's.
#[derive(Debug, Default)]
pub struct SourceSums {
    /// All its jobs.
    pub totals: Totals,
    /// By profile.
    pub profiles: HashMap<Box<str>, ProfileSums>,
}

/// One profile's.
#[derive(Debug, Default)]
pub struct ProfileSums {
    /// How its jobs ended.
    pub totals: Totals,
    /// The first that ended.
    pub earliest: Option<(Timestamp, Box<str>)>,
    /// The last that ended, and how.
    pub newest: Option<(Timestamp, Box<str>, State)>,
    /// The last that failed.
    pub last_failed: Option<Timestamp>,
    /// The slowest: how long it took, its end, its id.
    pub slowest: Option<(Duration, Timestamp, Box<str>)>,
}

impl ProfileSums {
    /// Whether its last job failed.
    pub fn is_failing(&self) -> bool {
        self.newest.as_ref().is_some_and(|(.., state)| is_bad(*state))
    }

    /// Whether its last job finished.
    pub fn is_well(&self) -> bool {
        self.newest.as_ref().is_some_and(|(.., state)| *state == State::Finished)
    }

    fn add(&mut self, job: &Job, counted: Timestamp) {
        self.totals.add(job.state, 1);
        let at = job.finished.unwrap_or(counted);
        if self.earliest.as_ref().is_none_or(|(first, id)| (at, &*job.id) < (*first, &**id)) {
            self.earliest = Some((at, job.id.as_str().into()));
        }
        if self.newest.as_ref().is_none_or(|(last, id, _)| (at, &*job.id) > (*last, &**id)) {
            self.newest = Some((at, job.id.as_str().into(), job.state));
        }
        if is_bad(job.state) {
            self.last_failed = self.last_failed.max(Some(at));
        }
        // How long a job took that someone stopped, or that did not run, says nothing.
        let ran = matches!(job.state, State::Finished | State::Failed | State::FinishedWithException);
        if let (Some(finished), true) = (job.finished, ran)
            && let Some(took) = job.duration(finished)
            && self.slowest.as_ref().is_none_or(|(longest, ..)| took > *longest)
        {
            self.slowest = Some((took, finished, job.id.as_str().into()));
        }
    }
}

impl Sums {
    /// For a period, by days that begin at these instants.
    pub fn new(when: Option<Arc<RuleSet>>, of: Option<BTreeSet<Name>>, period: &Period, bounds: Vec<Timestamp>) -> Self {
        let day = |at: &Timestamp| Day { at: *at, finished: 0, failed: 0, other: 0 };
        // The last bound is the end of the last day.
        let days = bounds.iter().take(bounds.len().saturating_sub(1)).map(day).collect();
        Self { when, of, since: period.since, before: period.before(), until: period.until, bounds, days, ..Self::default() }
    }

    /// Takes in a job that was counted at `counted`, and that the picture of the days shows at `shown`.
    pub fn add(&mut self, job: &Job, counted: Timestamp, shown: Timestamp) {
        let within = counted >= self.since && counted < self.until;
        self.seen += u64::from(within && self.of.as_ref().is_none_or(|of| of.contains(&job.source)));
        if self.when.as_ref().is_some_and(|when| when.judge(job, counted).is_empty()) {
            return;
        }
        let day = self.bounds.partition_point(|bound| *bound <= shown).checked_sub(1);
        if let Some(day) = day.and_then(|day| self.days.get_mut(day)) {
            add_to_day(day, job.state, 1);
        }
        let category = job.category.map(Category::code);
        let full = self.categories.len() >= CATEGORIES_MOST && !self.categories.contains_key(&category);
        if within {
            self.totals.add(job.state, 1);
            self.categories.entry(category.filter(|_| !full)).or_default().0.add(job.state, 1);
            self.add_to_profile(job, counted);
        } else if counted >= self.before && counted < self.since {
            self.before_totals.add(job.state, 1);
            self.categories.entry(category.filter(|_| !full)).or_default().1.add(job.state, 1);
        }
    }

    fn add_to_profile(&mut self, job: &Job, counted: Timestamp) {
        let source = self.sources.entry(job.source.clone()).or_default();
        source.totals.add(job.state, 1);
        match source.profiles.get_mut(job.profile.as_str()) {
            Some(profile) => profile.add(job, counted),
            None if self.profiles >= PROFILES_MOST => self.nameless += 1,
            None => {
                self.profiles += 1;
                source.profiles.entry(job.profile.as_str().into()).or_default().add(job, counted);
            }
        }
    }
}
