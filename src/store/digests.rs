//! What digests ask of the store, beside what everything else does.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::{Digest, Job, Name, Newest, State};

/// Where a digest stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestState {
    /// Where its last period ended, and the next one begins.
    pub ended: Timestamp,
    /// Due times up to this instant are dealt with.
    pub counts_from: Timestamp,
    /// Its schedule and time zone when that was written.
    pub plan: String,
}

/// The end of a digest's period: what it says, and where it stands now.
#[derive(Debug, Clone)]
pub struct DigestEnd {
    /// The digest's name.
    pub name: Name,
    /// Where it stood. Nothing is written if it does not any more.
    pub before: DigestState,
    /// Where it is to stand.
    pub after: DigestState,
    /// When it was due.
    pub due: Timestamp,
    /// What it says; none where there is nothing to say, and that is to be passed over.
    pub says: Option<Arc<Digest>>,
    /// The channels it goes to.
    pub channels: Vec<Name>,
    /// The present.
    pub now: Timestamp,
}

/// Polls of one source, since they were last written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polls {
    /// When the first of them began.
    pub from: Timestamp,
    /// When the last of them ended.
    pub to: Timestamp,
    /// Those that read the list.
    pub made: u32,
    /// Those that failed.
    pub failed: u32,
    /// Whether there is a gap before the first one: it is the first after a start, or came late.
    pub after_gap: bool,
}

/// A stretch of polls without a gap, within one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollStretch {
    /// The source.
    pub source: Name,
    /// When it began.
    pub from: Timestamp,
    /// When its last poll ended; none where there was none in it yet.
    pub to: Option<Timestamp>,
    /// Polls that read the list.
    pub made: u64,
    /// Polls that failed.
    pub failed: u64,
}

/// Which ended jobs of a profile are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryAsk {
    /// The source.
    pub source: Name,
    /// The profile.
    pub profile: String,
    /// Only those that sort before this end and id; none for all.
    pub before: Option<(Timestamp, String)>,
    /// Only those counted before this instant.
    pub until: Timestamp,
    /// At most so many, the newest.
    pub most: u32,
}

/// An ended job, as far as a history needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub state: State,
    /// When.
    pub finished: Timestamp,
    /// How long it took, where that is known.
    pub took: Option<Duration>,
}

/// What the store holds at present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Jobs that run.
    pub running: u64,
    /// The job that started last.
    pub newest: Option<Newest>,
}

/// Is given each job, when it was counted, and when a picture of days shows it to have ended: where a source's first run looked back, that
/// is when it did.
pub type EachEnded = Box<dyn FnMut(&Job, Timestamp, Timestamp) + Send>;

/// What digests ask of the store. A job is *counted* when it is seen to have ended: such a job belongs to the one period in which
/// that happens, so that none falls between two. History (what ended before the watch began) is counted when it ended.
///
/// A store that keeps no digests (one that stands in for a part of another in a test) need not do any of it.
#[async_trait]
pub trait DigestStore: Send + Sync {
    /// Writes polls down. Lost to a power cut, they count as missed.
    async fn note_polls(&self, _source: &Name, _polls: Polls) -> Result<(), StoreError> {
        Ok(())
    }

    /// The stretches of polls that began in a period, by source and time, and of each source the last one before it.
    async fn polls(&self, _since: Timestamp, _until: Timestamp) -> Result<Vec<PollStretch>, StoreError> {
        Err(none_kept())
    }

    /// Where a digest stands; none before its first sight.
    async fn digest_state(&self, _name: &Name) -> Result<Option<DigestState>, StoreError> {
        Err(none_kept())
    }

    /// Forgets where every other digest stands: one that comes back begins anew.
    async fn keep_digests(&self, _names: Vec<Name>) -> Result<(), StoreError> {
        Err(none_kept())
    }

    /// Puts a digest where it is to stand without saying anything. What was counted later than `now`, by a clock that was wrong, is
    /// counted just before now, and what digests have not told of it is still theirs to tell.
    async fn place_digest(&self, _name: &Name, _state: DigestState, _now: Timestamp) -> Result<(), StoreError> {
        Err(none_kept())
    }

    /// Closes every period up to an instant: from here on, no job is counted and no poll begins a stretch before it.
    async fn close_period(&self, _until: Timestamp) -> Result<(), StoreError> {
        Err(none_kept())
    }

    /// Ends a digest's period, and makes its messages, all in one transaction. Whether it was written.
    async fn end_digest(&self, _end: DigestEnd) -> Result<bool, StoreError> {
        Err(none_kept())
    }

    /// Goes through the jobs counted in a period, in the order in which they were, one at a time.
    async fn each_ended(&self, _since: Timestamp, _until: Timestamp, _each: EachEnded) -> Result<(), StoreError> {
        Err(none_kept())
    }

    /// How many jobs a picture of days shows to have ended between each two neighbours of these instants, by state.
    async fn ended_between(&self, _bounds: Vec<Timestamp>) -> Result<Vec<Vec<(State, u64)>>, StoreError> {
        Err(none_kept())
    }

    /// The histories asked for, newest first, in their order.
    async fn histories(&self, _asks: Vec<HistoryAsk>) -> Result<Vec<Vec<Ended>>, StoreError> {
        Err(none_kept())
    }

    /// What the store holds at present, of these sources or of all.
    async fn standing(&self, _of: Option<Vec<Name>>) -> Result<Standing, StoreError> {
        Err(none_kept())
    }
}

fn none_kept() -> StoreError {
    StoreError::Failed("it keeps no digests".into())
}
