//! What the past of a scan profile is asked for by, and what is yet to be judged by it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::{Job, Name};

/// A place in the order in which a source's jobs ended: by time, and at one instant by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The finish time.
    pub at: Timestamp,
    /// The id.
    pub id: String,
}

/// What of a scan profile's past is asked for: of the jobs that ended before a place, newest first, all that ended at or after
/// `since`, and `jobs` more behind those; but never more than `most`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastQuery {
    /// The source.
    pub source: Name,
    /// The scan profile's name, exactly.
    pub profile: String,
    /// Only what ended before this place.
    pub before: Moment,
    /// How many jobs behind `since`.
    pub jobs: u32,
    /// How far back in time; none where no time is looked at.
    pub since: Option<Timestamp>,
    /// The bound of both.
    pub most: u32,
}

/// What of a scan profile's later ends is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterQuery {
    /// The source.
    pub source: Name,
    /// The scan profile's name, exactly.
    pub profile: String,
    /// Only what ended behind this place.
    pub than: Moment,
    /// Only what ended after this instant.
    pub since: Timestamp,
    /// At most so many.
    pub most: u32,
}

/// A job that ended, and is to be judged by rules that look at the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    /// The job.
    pub job: Arc<Job>,
    /// Which run it is in.
    pub run: u32,
    /// When it ended; where the feed tells no finish time, when it started or was first seen.
    pub at: Timestamp,
}
