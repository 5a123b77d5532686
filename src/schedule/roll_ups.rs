//! Groups, as soon as they have waited for others, and roll-ups, as soon as a rule's limit lets one out.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{STORE_RETRY, groups};
use crate::{
    clock::Clock,
    domain::Name,
    failpoint::{self, Point},
    intake::Limits,
    store::{Store, StoreError},
    wake::Wake,
};

/// How long to sleep at most: the wall clock may be set back.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Makes the groups and the roll-ups.
pub struct RollUps {
    /// The rules' limits.
    pub limits: Arc<Limits>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Every channel, to be told of new notifications.
    pub channels: Vec<Name>,
    /// Whom to tell.
    pub wake: Arc<Wake>,
}

impl RollUps {
    /// Makes them until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let wait = match self.release().await {
                Ok(wait) => wait.map_or(LOOK_AGAIN, |wait| self.clock.passes_in(wait)).min(LOOK_AGAIN),
                Err(error) => {
                    tracing::debug!(%error, "roll-ups wait for the store");
                    STORE_RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.limits.held() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends whatever may go out now; how long until the next may.
    ///
    /// # Errors
    /// The store could not be read or written; what was sent before stands.
    pub async fn release(&self) -> Result<Option<Duration>, StoreError> {
        let mut buckets = self.limits.lock().await;
        let now = self.clock.now();
        // Groups first: one that its rule's limit does not let out goes into the roll-up.
        let mut next = groups::release(&mut buckets, &*self.store, now).await?;
        for (rule, ripe) in buckets.take_ripe(now) {
            match ripe {
                Ok(()) => {
                    failpoint::pass(Point::RollingUp);
                    let made = self.store.roll_up(&rule, now).await?;
                    failpoint::pass(Point::RollUpCommitted);
                    buckets.released(&rule);
                    tracing::info!(%rule, alerts = made.folded, messages = made.messages, "roll-up of what the limit held back");
                }
                Err(at) => {
                    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                    next = Some(next.map_or(wait, |before| before.min(wait)));
                }
            }
        }
        drop(buckets);
        for channel in &self.channels {
            self.wake.channel(channel);
        }
        Ok(next)
    }
}
