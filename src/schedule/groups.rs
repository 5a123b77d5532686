//! Groups: what is alike and comes together goes out as one message.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    intake::Buckets,
    store::{Store, StoreError},
};

/// Sends every group that has waited for others; how long until the next one has. To its rule's limit, a group is one message:
/// one that finds none is held for the roll-up.
pub async fn release(buckets: &mut Buckets, store: &dyn Store, now: Timestamp) -> Result<Option<Duration>, StoreError> {
    let mut next: Option<Duration> = None;
    for group in store.gathering().await? {
        if let Some(left) = buckets.group_due(&group.rule, group.due, now) {
            next = Some(next.map_or(left, |before| before.min(left)));
        } else if buckets.admit(&group.rule, now) {
            let made = store.send_group(&group.rule, &group.key, now).await?;
            tracing::info!(rule = %group.rule, by = %group.key, alerts = made.folded, messages = made.messages, "group of what came together");
        } else {
            let held = store.hold_group(&group.rule, &group.key).await?;
            tracing::debug!(rule = %group.rule, by = %group.key, notifications = held, "the rule's limit holds a group");
        }
    }
    Ok(next)
}
