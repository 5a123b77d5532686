//! When the jobs of a rule test run: what its writer leaves out.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::jobs::{TAKES, Written};
use crate::{document::Place, domain::Name};

/// When the last job ends where a test names no time at all: noon of a Thursday.
pub const NOON: &str = "2024-09-26T12:00:00Z";

/// When a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub started: Timestamp,
    /// None while it runs.
    pub finished: Option<Timestamp>,
}

/// When all of them run, and where the clock stands in the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    pub placed: Vec<Placed>,
    pub to: Timestamp,
}

/// Gives every job its times; `at` is where the clock stands in the end, if that is said.
///
/// # Errors
/// The place of a job that has none, and why.
pub fn lay_out(jobs: &[Written], at: Option<Timestamp>) -> Result<Layout, (Place, String)> {
    let noon = at.or_else(|| NOON.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let first_fixed = jobs.iter().position(|job| fixed(job, at).is_some());
    let leading = jobs.get(..first_fixed.unwrap_or(jobs.len())).unwrap_or_default();
    let end = first_fixed.and_then(|first| fixed(jobs.get(first)?, at)).unwrap_or(noon);
    // How long those before the first fixed time take is measured by laying them out from any instant.
    let measured = pass(leading, noon, None)?;
    let reach = measured.latest.unwrap_or(noon).duration_since(noon);
    let base = end.checked_sub(reach).map_err(|_| out_of_calendar(jobs))?;
    let laid = pass(jobs, base, at)?;
    let to = at.or(laid.latest).unwrap_or(noon);
    for (job, placed) in jobs.iter().zip(&laid.placed) {
        let late = if placed.started > to { Some("begins") } else { placed.finished.filter(|end| *end > to).map(|_| "ends") };
        if let Some(late) = late {
            return Err((
                job.place.clone(),
                format!("this job {late} at {}, after the test's `at`", placed.finished.unwrap_or(placed.started)),
            ));
        }
    }
    Ok(Layout { placed: laid.placed, to })
}

/// When a job begins that says so by itself.
fn fixed(job: &Written, at: Option<Timestamp>) -> Option<Timestamp> {
    let open = job.is_open();
    job.started.or_else(|| job.finished?.checked_sub(job.duration.unwrap_or(TAKES)).ok()).or_else(|| {
        // A running job's duration is its age when the clock stops.
        at.filter(|_| open).and_then(|at| at.checked_sub(job.duration?).ok())
    })
}

fn out_of_calendar(jobs: &[Written]) -> (Place, String) {
    let place = jobs.first().map_or_else(|| Place::file(std::path::Path::new("")), |job| job.place.clone());
    (place, "these jobs leave the calendar".to_owned())
}

struct Laid {
    placed: Vec<Placed>,
    /// The latest instant that a job reaches.
    latest: Option<Timestamp>,
}

/// Lays jobs out one behind the other from `cursor` on, but for those that say when they run.
fn pass(jobs: &[Written], mut cursor: Timestamp, at: Option<Timestamp>) -> Result<Laid, (Place, String)> {
    let mut placed: Vec<Placed> = Vec::with_capacity(jobs.len());
    let mut open: HashMap<(&Name, &str), Timestamp> = HashMap::new();
    let mut latest: Option<Timestamp> = None;
    for job in jobs {
        let add = |from: Timestamp, time: Duration| {
            from.checked_add(time).map_err(|_| (job.place.clone(), "this job leaves the calendar".to_owned()))
        };
        let key = (&job.source, job.id.as_str());
        let follows = match job.follows.and_then(|(first, later)| Some((placed.get(first)?.started, later))) {
            Some((first, later)) => Some(add(first, later)?),
            None => None,
        };
        let seen = open.get(&key).copied();
        let started = job.started.or(seen.filter(|_| job.started.is_none())).or(fixed(job, at)).or(follows).unwrap_or(cursor);
        let reaches = if job.is_open() {
            open.insert(key, started);
            placed.push(Placed { started, finished: None });
            if let (Some(at), Some(age)) = (at, job.duration)
                && add(started, age)? != at
            {
                return Err((
                    job.place.clone(),
                    "the `duration` of a running job is its age at the test's `at`: it does not agree with `started`".to_owned(),
                ));
            }
            cursor = started;
            add(started, job.duration.unwrap_or_default())?
        } else {
            open.remove(&key);
            let finished = match job.finished {
                Some(finished) if finished < started => {
                    return Err((job.place.clone(), "this job ends before it was seen running".to_owned()));
                }
                Some(finished) => finished,
                None => add(started, job.duration.unwrap_or(TAKES))?,
            };
            placed.push(Placed { started, finished: Some(finished) });
            cursor = finished;
            finished
        };
        latest = latest.max(Some(reaches));
    }
    Ok(Laid { placed, latest })
}
