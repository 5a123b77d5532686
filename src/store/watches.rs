//! What the watch for jobs that never come asks of the store, beside what everything else does.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::{Name, Notice, RuleFacts, Told};

/// A rule's watch over the jobs of one source, as the next start must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRow {
    /// The rule.
    pub rule: Name,
    /// The source; none for a watch over all of them.
    pub source: Option<Name>,
    /// What it waits for, in words: a rule that waits for something else begins anew.
    pub awaits: String,
    /// Since when. Server time.
    pub began: Timestamp,
    /// When the newest job that counts ended. Server time.
    pub last: Option<Timestamp>,
    /// What was told.
    pub told: Told,
}

/// The newest job of a scan profile that came to an end and was not skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEnd {
    /// The profile's name.
    pub profile: String,
    /// When it ended or, where the feed tells no end, started.
    pub at: Timestamp,
    /// The job's id.
    pub id: String,
}

/// A job that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningJob {
    /// Its profile's name.
    pub profile: String,
    /// When it started.
    pub started: Option<Timestamp>,
    /// Its id.
    pub id: String,
}

/// A notice of a rule's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleNotice {
    /// What it is about, and nothing else is: its idempotency key is made of it.
    pub about: Vec<String>,
    /// The rule as it stands.
    pub facts: Arc<RuleFacts>,
    /// What it says.
    pub notice: Notice,
    /// Whom it is told.
    pub channels: Vec<Name>,
}

/// What became of watches: written whole, in one transaction, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchChange {
    /// Watches that are new or stand otherwise.
    pub put: Vec<WatchRow>,
    /// Watches that are no longer kept: their rules, and sources.
    pub drop: Vec<(Name, Option<Name>)>,
    /// What is to be told.
    pub notices: Vec<RuleNotice>,
}

impl WatchChange {
    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.put.is_empty() && self.drop.is_empty() && self.notices.is_empty()
    }
}

/// The watches. Every method is one transaction.
#[async_trait]
pub trait Watches: Send + Sync {
    /// Every watch.
    async fn watches(&self) -> Result<Vec<WatchRow>, StoreError>;

    /// Writes down what became of watches, with the notices of it. Durable against a power cut.
    async fn keep_watch(&self, change: WatchChange, now: Timestamp) -> Result<(), StoreError>;

    /// The newest end of each scan profile of a source, in the order of their names.
    async fn last_ends(&self, source: &Name) -> Result<Vec<LastEnd>, StoreError>;

    /// A source's jobs that run, the last to start first; of very many, those.
    async fn running(&self, source: &Name) -> Result<Vec<RunningJob>, StoreError>;
}
