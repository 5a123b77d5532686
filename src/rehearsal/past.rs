//! The jobs of one profile in one source, in the order of their ends.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;

use super::Course;
use crate::domain::{Job, Name};

/// All runs of one profile's jobs.
#[derive(Debug)]
pub struct Profile<'c> {
    /// Its source and name.
    pub key: (&'c Name, &'c str),
    /// The runs, in the order in which they were given.
    pub courses: Vec<&'c Course>,
    /// Those that ended at a known time, newest first by (finished, id).
    ended: Vec<Arc<Job>>,
}

impl<'c> Profile<'c> {
    /// Every profile of every source, in the order in which they are first met.
    pub fn all(courses: &'c [Course]) -> Vec<Self> {
        let mut at: HashMap<(&Name, &str), usize> = HashMap::new();
        let mut all: Vec<Self> = Vec::new();
        for course in courses {
            let key = (&course.job.source, course.job.profile.as_str());
            let place = *at.entry(key).or_insert_with(|| {
                all.push(Self { key, courses: Vec::new(), ended: Vec::new() });
                all.len() - 1
            });
            if let Some(profile) = all.get_mut(place) {
                profile.courses.push(course);
            }
        }
        for profile in &mut all {
            let ends = |course: &&&Course| course.job.is_final() && course.job.finished.is_some();
            profile.ended = profile.courses.iter().filter(ends).map(|course| Arc::clone(&course.job)).collect();
            profile.ended.sort_by(|a, b| (b.finished, &b.id).cmp(&(a.finished, &a.id)));
        }
        all
    }

    /// Its source.
    pub fn source(&self) -> &Name {
        self.key.0
    }

    /// Its name.
    pub const fn name(&self) -> &str {
        self.key.1
    }

    /// What ended before a job that ended at a known time, newest first.
    pub fn before(&self, job: &Job) -> &[Arc<Job>] {
        let from = self.ended.partition_point(|other| (other.finished, &other.id) >= (job.finished, &job.id));
        self.ended.get(from..).unwrap_or_default()
    }

    /// What had ended by an instant, newest first.
    pub fn by(&self, now: Timestamp) -> &[Arc<Job>] {
        let from = self.ended.partition_point(|other| other.finished > Some(now));
        self.ended.get(from..).unwrap_or_default()
    }

    /// The ends between two instants, both left out, oldest first.
    pub fn ends_between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let first = self.ended.partition_point(|other| other.finished >= Some(to));
        let last = self.ended.partition_point(|other| other.finished > Some(from));
        self.ended.get(first..last).unwrap_or_default().iter().rev().filter_map(|job| job.finished)
    }
}
