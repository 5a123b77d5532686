//! Digests: each sent once for each time it is due, and, where that was missed, once for all that was.

mod lists;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::STORE_RETRY;
use crate::{
    clock::Clock,
    digest::{Decision, Period, Plan, Scope, decide, gather},
    domain::Name,
    failpoint::{self, Point},
    health::Health,
    store::{DigestEnd, DigestState, Store, StoreError},
    wake::Wake,
};
use lists::Lists;

/// How often it is looked whether one is due, although none was to be: the wall clock may have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// So long behind its due time, one was not looked for in time: something stood still, or the clock was set.
const OVERDUE: SignedDuration = SignedDuration::from_secs(60);
/// How often it is looked whether the lists that one waits for have been read.
const LOOK_SOON: SignedDuration = SignedDuration::from_secs(1);
/// The most decisions about one digest in one look: it is placed, its schedule is seen to be another, it is sent.
const STEPS: usize = 4;

/// One digest: what it is about, when it is due, and who gets it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What it is about.
    pub scope: Scope,
    /// When it is due.
    pub plan: Plan,
    /// The channels.
    pub notify: Vec<Name>,
    /// Whether a period in which nothing happened is passed over.
    pub skip_empty: bool,
}

/// Sends digests when they are due.
pub struct Digests {
    /// All of them.
    pub planned: Vec<Planned>,
    /// Where the sources' loops say how far they have read.
    pub health: Arc<Health>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Whom to wake.
    pub wake: Arc<Wake>,
}

/// What the loop remembers between two looks; a restart does without.
#[derive(Debug, Default)]
struct Memory {
    /// Whether it has looked.
    begun: bool,
    /// Which of them wait for lists to be read.
    lists: Lists,
}

impl Digests {
    /// Sends until told to stop. One under way is dropped then: it is on disk, or it is due still.
    pub async fn run(self, stop: CancellationToken) {
        let mut memory = Memory::default();
        loop {
            let look = tokio::select! {
                () = stop.cancelled() => return,
                look = self.look(&mut memory) => look,
            };
            let wait = look.unwrap_or_else(|error| {
                tracing::debug!(%error, "digests wait for the store");
                STORE_RETRY
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.clock.passes_in(wait)) => {}
            }
        }
    }

    /// Looks at each; how long until there is something to do. The first time, those that are no longer asked for are forgotten.
    async fn look(&self, memory: &mut Memory) -> Result<Duration, StoreError> {
        if !memory.begun {
            self.store.keep_digests(self.planned.iter().map(|planned| planned.scope.name.clone()).collect()).await?;
            memory.begun = true;
        }
        let mut wait = LOOK_AGAIN;
        let mut failure = None;
        for planned in &self.planned {
            // One that fails keeps no other one waiting.
            match self.advance(planned, &mut memory.lists).await {
                Ok(Some(next)) => {
                    let left = Duration::try_from(next.duration_since(self.clock.now())).unwrap_or_default();
                    wait = wait.min(left);
                }
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(wait), Err)
    }

    /// Does what is to be done about one digest; when it is due next.
    async fn advance(&self, planned: &Planned, lists: &mut Lists) -> Result<Option<Timestamp>, StoreError> {
        let name = &planned.scope.name;
        for _ in 0..STEPS {
            let state = self.store.digest_state(name).await?;
            let now = self.clock.now();
            match (decide(&planned.plan, state.as_ref(), now), state) {
                (Decision::Wait(next), _) => return Ok(next),
                (Decision::Place(after), before) => {
                    match before {
                        None => tracing::info!(digest = %name, covers_from = %after.ended, "a new digest"),
                        Some(before) if before.counts_from > now => {
                            tracing::warn!(digest = %name, ended = %before.ended, "the last period ended in the future: the clock was set back, and the next one begins now");
                        }
                        Some(before) => tracing::info!(digest = %name, before = %before.plan, after = %after.plan, "another schedule"),
                    }
                    self.store.place_digest(name, after, now).await?;
                }
                (Decision::Send { due, late, after }, Some(before)) => {
                    let overdue = late || now.duration_since(due) > OVERDUE;
                    if lists.are_awaited(name, overdue, &planned.scope.sources, &self.health.readings()) {
                        return Ok(now.checked_add(LOOK_SOON).ok());
                    }
                    let period = Period { since: before.ended, until: after.ended, due: Some(due), late };
                    self.send(planned, period, before, after).await?;
                }
                // Nothing is due of what never began.
                (Decision::Send { .. }, None) => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn send(&self, planned: &Planned, period: Period, before: DigestState, after: DigestState) -> Result<(), StoreError> {
        failpoint::pass(Point::DigestDue);
        // Whatever is taken in from here on belongs to the next one.
        self.store.close_period(period.until).await?;
        failpoint::pass(Point::DigestClosed);
        let digest = gather(&*self.store, &planned.scope, &period).await?;
        failpoint::pass(Point::DigestReckoned);
        let name = &planned.scope.name;
        let passed_over = planned.skip_empty && digest.is_empty();
        let (jobs, failed) = (digest.totals.ended(), digest.totals.bad());
        let end = DigestEnd {
            name: name.clone(),
            before,
            after,
            due: period.due.unwrap_or(period.until),
            says: (!passed_over).then(|| Arc::new(digest)),
            channels: planned.notify.clone(),
            now: period.until,
        };
        if !self.store.end_digest(end).await? {
            return Ok(());
        }
        failpoint::pass(Point::DigestCommitted);
        if passed_over {
            tracing::info!(digest = %name, since = %period.since, until = %period.until, "nothing happened: no digest is sent");
            return Ok(());
        }
        tracing::info!(digest = %name, since = %period.since, until = %period.until, late = period.late, jobs, failed, "digest");
        for channel in &planned.notify {
            self.wake.channel(channel);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
