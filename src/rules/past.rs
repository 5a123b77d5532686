//! The past of a job: the jobs of the same source and profile that ended before it.

use std::{sync::Arc, time::Duration};

use crate::domain::Job;

/// The most jobs of the past that any condition looks at: what lies further back is as if it had never been. A year of a
/// job every nine hours.
pub const PAST_MOST: u32 = 1_000;

/// How much of a job's past is needed: all that ended within `reach` before it, and `jobs` more behind those; of all these,
/// the newest [`PAST_MOST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// How many jobs back.
    pub jobs: u32,
    /// How far back in time, from the job's end; from now, of a job that runs.
    pub reach: Duration,
}

impl Need {
    /// So many jobs back.
    pub(super) const fn jobs(jobs: u32) -> Self {
        Self { jobs, reach: Duration::ZERO }
    }

    /// What serves both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { jobs: self.jobs.max(other.jobs), reach: self.reach.max(other.reach) }
    }
}

/// The ended jobs of the same source and the very same profile name whose (finish time, id) sorts before a job's, the newest
/// first. More than is needed changes no verdict.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past<'p>(&'p [Arc<Job>]);

impl<'p> Past<'p> {
    /// These jobs, the newest first.
    #[must_use]
    pub fn new(newest_first: &'p [Arc<Job>]) -> Self {
        Self(newest_first.get(..PAST_MOST as usize).unwrap_or(newest_first))
    }

    /// Nothing before it.
    #[must_use]
    pub const fn none() -> Self {
        Self(&[])
    }

    /// The jobs, the newest first.
    pub(super) fn jobs(self) -> impl Iterator<Item = &'p Job> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The jobs, the newest first, each with its own past.
    pub(super) fn each(self) -> impl Iterator<Item = (&'p Job, Self)> {
        let behind = move |at: usize| Self(self.0.get(at + 1..).unwrap_or_default());
        self.jobs().enumerate().map(move |(at, job)| (job, behind(at)))
    }
}
