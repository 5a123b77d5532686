//! From sightings, as an input has them, to jobs in their runs.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{domain::Job, intake::NEW_RUN_AFTER};

/// The most jobs of one replay, at half a kilobyte each a gigabyte of memory; also some ten years of a large tenant.
pub const JOBS_MOST: usize = 2_000_000;

/// A job as it was seen once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The job.
    pub job: Job,
    /// Which run it is in, where that is known.
    pub run: Option<u32>,
}

/// Every run of every job once, as last seen. A job may be met several times: pages overlap, and responses of several days hold it
/// again. The order of the pages means nothing, for people save them in any: ends more than 2 s apart are different runs, a job that
/// runs was seen before its end unless it started after it, and of two sightings of one end the later in the input counts.
pub fn runs(mut sightings: Vec<Sighting>) -> Vec<(Arc<Job>, u32)> {
    // Stable: what is alike keeps the input's order.
    sightings.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut runs: Vec<(Arc<Job>, u32)> = Vec::with_capacity(sightings.len());
    for Sighting { job, run } in sightings {
        let before = runs.last_mut().filter(|(before, _)| before.source == job.source && before.id == job.id);
        let Some((before, number)) = before else {
            runs.push((Arc::new(job), run.unwrap_or(1).max(1)));
            continue;
        };
        if is_new_run(before, &job) {
            let number = run.unwrap_or(0).max(number.saturating_add(1));
            runs.push((Arc::new(job), number));
        } else if job.is_final() || !before.is_final() {
            *number = (*number).max(run.unwrap_or(0));
            *before = Arc::new(job);
        }
    }
    runs
}

/// By job, those that ended first, by their ends.
fn key(sighting: &Sighting) -> (&str, &str, bool, Option<Timestamp>) {
    let job = &sighting.job;
    (&job.source, &job.id, !job.is_final(), end(job).filter(|_| job.is_final()))
}

/// When it ended; of an end without a time, its start.
fn end(job: &Job) -> Option<Timestamp> {
    job.finished.or(job.started)
}

fn is_new_run(before: &Job, next: &Job) -> bool {
    match (before.is_final(), next.is_final()) {
        (true, true) => match (before.finished, next.finished) {
            (Some(before), Some(next)) => Duration::try_from(next.duration_since(before)).is_ok_and(|by| by > NEW_RUN_AFTER),
            _ => false,
        },
        (true, false) => match (end(before), next.started) {
            (Some(end), Some(started)) => started > end,
            _ => false,
        },
        (false, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Name, State};

    fn seen(id: &str, state: State, started: i64, finished: Option<i64>, run: Option<u32>) -> Sighting {
        let time = |second| Timestamp::from_second(second).unwrap();
        let job = Job {
            source: Name::from("contoso"),
            id: id.into(),
            kind: None,
            state,
            started: Some(time(started)),
            finished: finished.map(time),
            profile: "sites".into(),
            category: None,
            extension: serde_json::Value::Null,
        };
        Sighting { job, run }
    }

    #[track_caller]
    fn check(sightings: &[Sighting], expected: &[(&str, State, u32)]) {
        let orders = [sightings.to_vec(), sightings.iter().rev().cloned().collect()];
        for order in orders {
            let runs = runs(order);
            let found: Vec<(&str, State, u32)> = runs.iter().map(|(job, run)| (job.id.as_str(), job.state, *run)).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_job_met_often_is_one_run_however_the_pages_lie() {
        let (running, failed) = (seen("a", State::Running, 0, None, None), seen("a", State::Failed, 0, Some(100), None));
        check(&[running.clone(), failed.clone(), failed.clone()], &[("a", State::Failed, 1)]);
        check(&[running.clone(), running], &[("a", State::Running, 1)]);
        check(&[failed, seen("b", State::Finished, 0, Some(100), None)], &[("a", State::Failed, 1), ("b", State::Finished, 1)]);
    }

    #[test]
    fn a_clearly_later_end_and_a_start_after_the_end_are_new_runs() {
        let first = seen("a", State::Failed, 0, Some(100), None);
        check(&[first.clone(), seen("a", State::Finished, 0, Some(103), None)], &[("a", State::Failed, 1), ("a", State::Finished, 2)]);
        check(&[first.clone(), seen("a", State::Running, 101, None, None)], &[("a", State::Failed, 1), ("a", State::Running, 2)]);
        check(&[first, seen("a", State::Running, 50, None, None)], &[("a", State::Failed, 1)]);
    }

    #[test]
    fn of_two_sightings_of_one_end_the_later_in_the_input_counts() {
        let sightings = vec![seen("a", State::Finished, 0, Some(100), None), seen("a", State::Failed, 0, Some(100), None)];
        assert_eq!(runs(sightings)[0].0.state, State::Failed);
    }

    #[test]
    fn a_run_that_is_known_is_kept() {
        check(&[seen("a", State::Failed, 0, Some(100), Some(4))], &[("a", State::Failed, 4)]);
        let again = [seen("a", State::Failed, 0, Some(100), Some(4)), seen("a", State::Failed, 0, Some(200), Some(7))];
        check(&again, &[("a", State::Failed, 4), ("a", State::Failed, 7)]);
    }
}
