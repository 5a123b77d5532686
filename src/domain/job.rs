//! One entry of a source's feed.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Category, JobType, Name, State};

/// A scan job as a source last showed it. Unique by (source, id).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The source that listed it.
    pub source: Name,
    /// The vendor's id: opaque, unique within one tenant only.
    pub id: String,
    /// What it scans; none where the feed does not say.
    pub kind: Option<JobType>,
    /// How far it has come.
    pub state: State,
    /// When it began, in whole microseconds.
    pub started: Option<Timestamp>,
    /// When it ended, in whole microseconds; none while it runs.
    pub finished: Option<Timestamp>,
    /// The scan profile's name.
    pub profile: String,
    /// The scan profile's category; none where the feed does not say.
    pub category: Option<Category>,
    /// Whatever the vendor puts there; `null` today.
    pub extension: Value,
}

impl Job {
    /// Whether it has ended. A state the vendor's page does not list counts as ended once the job has a finish time.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self.state {
            State::Running => false,
            State::Finished | State::Failed | State::FinishedWithException | State::Skipped | State::Stopped => true,
            State::Unknown(_) => self.finished.is_some(),
        }
    }

    /// Finish less start; of a job that has not ended, its age at `now`. None where a needed time is missing, or the end
    /// lies before the start.
    #[must_use]
    pub fn duration(&self, now: Timestamp) -> Option<Duration> {
        let end = match self.finished {
            Some(finished) => finished,
            None if self.is_final() => return None,
            None => now,
        };
        Duration::try_from(end.duration_since(self.started?)).ok()
    }
}

/// A job as users meet it in JSON: `jobs --format json`, templates, the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// The source's name.
    pub source: String,
    /// The vendor's id.
    pub id: String,
    /// The type's name, or its number where it is unknown.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The state's name, or its number where it is unknown.
    pub state: String,
    /// RFC 3339, UTC.
    pub started: Option<Timestamp>,
    /// RFC 3339, UTC.
    pub finished: Option<Timestamp>,
    /// Seconds, with milliseconds; none while it runs.
    pub duration: Option<f64>,
    /// The scan profile's name.
    pub profile: String,
    /// The category's name, or its number where it is unknown.
    pub category: Option<String>,
    /// As the vendor sent it.
    pub extension: Value,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        // A final job's duration does not depend on the time of asking; a running one's is left to whoever knows the time.
        let duration = job.finished.and_then(|end| job.duration(end));
        Self {
            source: job.source.to_string(),
            id: job.id.clone(),
            kind: job.kind.map(|k| k.name().into_owned()),
            state: job.state.name().into_owned(),
            started: job.started,
            finished: job.finished,
            duration: duration.map(|d| d.as_millis() as f64 / 1000.0),
            profile: job.profile.clone(),
            category: job.category.map(|c| c.name().into_owned()),
            extension: job.extension.clone(),
        }
    }
}

impl From<JobView> for Job {
    fn from(view: JobView) -> Self {
        Self {
            source: Name::from(view.source),
            id: view.id,
            kind: view.kind.as_deref().and_then(JobType::parse),
            // Every name written by this program reads back; -1 marks a text from elsewhere that does not.
            state: State::parse(&view.state).unwrap_or(State::Unknown(-1)),
            started: view.started,
            finished: view.finished,
            profile: view.profile,
            category: view.category.as_deref().and_then(Category::parse),
            extension: view.extension,
        }
    }
}
