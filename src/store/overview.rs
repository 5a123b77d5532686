//! What is known of every source, rule and channel at once: for whoever looks after many.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Line, StoreError, Tally};
use crate::domain::Name;

/// What a store tells of all that it keeps, without naming single jobs and messages.
#[async_trait]
pub trait Overviews: Send + Sync {
    /// How all stands at one moment. `rules` are those whose last alert is wanted.
    async fn overview(&self, rules: Vec<Name>) -> Result<Overview, StoreError>;
}

/// How all stands at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// The running sums.
    pub tally: Tally,
    /// Jobs that have not ended, by source; a source without any is not among them.
    pub open_jobs: BTreeMap<String, u64>,
    /// When the rules asked for last alerted; one that never did is not among them.
    pub last_alerts: BTreeMap<String, Timestamp>,
    /// How each channel stands that was ever in trouble or has sent at a slow rate.
    pub lines: BTreeMap<String, Line>,
    /// The topics told to be the matter, and since when they are.
    pub told: BTreeMap<String, Timestamp>,
}
