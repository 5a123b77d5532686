//! One channel's loop: claim, pace, render, send, settle. Each channel has its own, so that a slow one delays no other.
//!
//! A channel is told things one after the other, in the order in which they were made. A message is settled before the next
//! one is sent: whenever the process dies, at most one message a channel has been taken and not been recorded.
//!
//! The order is also what a fresh alert waits by when a channel comes back: no lane leads past a backlog. What keeps it short is
//! that a backlog is told in roll-ups (`backlog.rs`), each in the place of the oldest it carries.

mod attempt;
mod backlog;
mod backoff;
mod breaker;
mod decide;
mod pace;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::{Channel, Rate},
    clock::Clock,
    domain::Name,
    failpoint::{self, Point},
    health::{Health, Topic},
    metrics::Metrics,
    store::{Claim, Line, Overdue, Store, StoreError},
    wake::Wake,
};
use backlog::Behind;
use breaker::{Breaker, Gate, Moment};
use pace::Pace;

/// How many notifications are claimed at once, at most.
const CLAIM: u32 = 64;
/// How long a loop sleeps at most before it looks again: other programs (`deliveries retry`) can't ring its bell.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long to wait when the store could not be read or written.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// How often it is looked whether messages have waited too long for a channel in trouble, at most and at least.
const COUNT_EVERY: std::ops::RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(60);

/// One channel and what its loop needs.
pub struct Courier {
    /// The channel's name.
    pub name: Name,
    /// Its live end.
    pub channel: Arc<dyn Channel>,
    /// How fast it may be sent to.
    pub rate: Rate,
    /// How long a message is tried.
    pub give_up_after: Duration,
    /// The channel that gets what this one could not deliver.
    pub fallback: Option<Name>,
    /// How it stood when the program last ran.
    pub line: Line,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where attempts are counted.
    pub metrics: Arc<Metrics>,
    /// Where trouble is told.
    pub health: Arc<Health>,
    /// Who rings when there is work.
    pub wake: Arc<Wake>,
}

/// What a loop knows of its channel.
struct Standing {
    breaker: Breaker,
    pace: Pace,
    /// Recipients with trouble of their own.
    resting: HashMap<String, Rest>,
    /// Whether the last claim got all it asked for: there may be more.
    deep: bool,
    /// The backlog that is being told, if one is.
    behind: Option<Behind>,
    /// When it is next to be looked whether messages have waited too long.
    count_at: Instant,
}

/// A recipient that takes nothing for now, while the channel's others do.
struct Rest {
    failed: u32,
    until: Instant,
    why: String,
}

impl Courier {
    /// Puts on the board how the channel stood when the program last ran: a trouble is not over because the program starts, and
    /// what ended as the program died is over all the same.
    #[must_use]
    pub fn recalled(self) -> Self {
        let topics = [Topic::ChannelDown(self.name.clone()), Topic::ChannelRefused(self.name.clone())];
        for topic in topics {
            let lasts = self.line.failed > 0 && self.line.refused == matches!(topic, Topic::ChannelRefused(_));
            if lasts {
                // From now on: how old it is counts once it is seen to last, by the first attempt.
                self.health.trouble(topic, &self.line.answer, self.clock.now());
            } else if self.line.failed == 0 {
                self.health.fine(&topic);
            }
        }
        self
    }

    /// Delivers until told to stop; a send under way is finished and recorded first.
    pub async fn run(self, stop: CancellationToken) {
        let moment = self.moment();
        let ago = self.line.sent.map(|sent| Duration::try_from(moment.now.duration_since(sent)).unwrap_or_default());
        let mut standing = Standing {
            breaker: Breaker::recalled(&self.line, self.give_up_after, moment, |wait| self.clock.passes_in(wait)),
            pace: Pace::new(self.rate, ago),
            resting: HashMap::new(),
            deep: false,
            behind: None,
            count_at: moment.at,
        };
        let bell = self.wake.bell(&self.name);
        while !stop.is_cancelled() {
            let wait = match self.round(&mut standing, &stop).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::debug!(channel = %self.name, %error, "waits for the store");
                    Some(STORE_RETRY)
                }
            };
            let Some(wait) = wait else { continue };
            tokio::select! {
                () = stop.cancelled() => return,
                () = bell.notified() => {}
                () = tokio::time::sleep(wait.clamp(Duration::from_millis(1), LOOK_AGAIN)) => {}
            }
        }
    }

    /// Claims and sends what is due; how long to wait before the next look, if at all.
    async fn round(&self, standing: &mut Standing, stop: &CancellationToken) -> Result<Option<Duration>, StoreError> {
        let moment = self.moment();
        let mut wait = LOOK_AGAIN;
        if standing.breaker.is_shut() && !standing.breaker.is_refused() {
            if moment.at >= standing.count_at {
                self.give_up(standing, moment).await?;
            }
            wait = standing.count_at.saturating_duration_since(moment.at);
        }
        let as_of = match standing.breaker.gate(moment) {
            Gate::Closed(left) => return Ok(Some(wait.min(left))),
            Gate::Waits(left) => {
                wait = wait.min(left);
                moment.now
            }
            Gate::Open => moment.now,
            Gate::Probe(as_of) => as_of,
        };
        let most = self.fold(standing, moment).await?;
        failpoint::pass(Point::Claiming);
        let claim = self.store.claim(&self.name, as_of, most).await?;
        standing.deep = matches!(&claim, Claim::Ready(batch) if batch.len() >= most as usize);
        let batch = match claim {
            Claim::Ready(batch) => batch,
            Claim::NotBefore(due) => {
                let left = Duration::try_from(due.duration_since(moment.now)).unwrap_or_default();
                return Ok(Some(if standing.breaker.is_shut() { wait } else { self.clock.passes_in(left) }));
            }
            Claim::Empty => return Ok(Some(wait)),
        };
        failpoint::pass(Point::Claimed);
        for notification in batch {
            if !self.deliver(notification, standing, stop).await? {
                // Those behind it wait with it: they are still this process's, and are claimed again in order.
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Gives up what has waited too long for a channel in trouble, and sees when to look again.
    async fn give_up(&self, standing: &mut Standing, moment: Moment) -> Result<(), StoreError> {
        let overdue = Overdue {
            channel: self.name.clone(),
            aged: standing.breaker.count(moment.at),
            give_up_after: self.give_up_after,
            answer: decide::given_up(self.give_up_after, standing.breaker.answer()),
            fallback: self.fallback.clone(),
            now: moment.now,
        };
        let gave_up = self.store.give_up(overdue).await?;
        if gave_up.messages > 0 {
            tracing::error!(channel = %self.name, messages = gave_up.messages, answer = %standing.breaker.answer(), "given up: see `jobrelay deliveries --outcome dead`");
            self.wake_fallback();
        }
        // Messages still to come may be overdue before those that wait: hence the share of the whole.
        let next = gave_up.next.unwrap_or(*COUNT_EVERY.end()).min(self.give_up_after / 8);
        standing.count_at = moment.at + next.clamp(*COUNT_EVERY.start(), *COUNT_EVERY.end());
        Ok(())
    }

    fn wake_fallback(&self) {
        if let Some(fallback) = &self.fallback {
            self.wake.channel(fallback);
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), at: Instant::now() }
    }
}

#[cfg(test)]
mod tests;
