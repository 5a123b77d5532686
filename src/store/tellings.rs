//! What the notices about the watch itself ask of the store, beside what everything else does.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::{Name, Notice};

/// What was told of the watch's own troubles. Every method is one transaction.
#[async_trait]
pub trait Tellings: Send + Sync {
    /// As [`super::Store::tell`], of several topics with one notice: those that began at these instants, or are over. Topics that
    /// stand so already are passed over; where all do, nothing is told. Whether it was.
    async fn tell_together(
        &self,
        notice: Notice,
        topics: Vec<(String, Timestamp)>,
        channels: Vec<Name>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// When the beginning of each topic was told, oldest first, for about a week.
    async fn begun(&self) -> Result<BTreeMap<String, Vec<Timestamp>>, StoreError>;
}
