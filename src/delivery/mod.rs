//! One channel's loop: claim, pace, render, send, settle. Each channel has its own, so that a slow one delays no other.
//!
//! A channel is told things one after the other, in the order in which they were made. A message is settled before the next
//! one is sent: whenever the process dies, at most one message a channel has been taken and not been recorded.

mod backoff;
mod decide;
mod pace;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::{Channel, Envelope, Payload, Rate, Wording},
    clock::Clock,
    domain::{Name, Notification, Outcome, Refusal, Target, TargetEnd},
    failpoint::{self, Point},
    health::{Health, Topic},
    metrics::Metrics,
    store::{Claim, Settlement, Store, StoreError, Verdict},
    wake::Wake,
};
use decide::{Facts, decide};
use pace::Pace;

/// How many notifications are claimed at once.
const CLAIM: u32 = 64;
/// How long a loop sleeps at most before it looks again: other programs (`deliveries retry`) can't ring its bell.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long to wait when the store could not be read or written.
const STORE_RETRY: Duration = Duration::from_secs(1);

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

impl Courier {
    /// Delivers until told to stop; a send under way is finished and recorded first.
    pub async fn run(self, stop: CancellationToken) {
        let pace = Pace::new(self.rate);
        let bell = self.wake.bell(&self.name);
        let mut told = false;
        while !stop.is_cancelled() {
            let wait = match self.round(&pace, &stop, &mut told).await {
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
                () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
            }
        }
    }

    /// Claims and sends what is due; how long to wait before the next look, if at all.
    async fn round(&self, pace: &Pace, stop: &CancellationToken, told: &mut bool) -> Result<Option<Duration>, StoreError> {
        failpoint::pass(Point::Claiming);
        let batch = match self.store.claim(&self.name, self.clock.now(), CLAIM).await? {
            Claim::Ready(batch) => batch,
            Claim::NotBefore(due) => {
                let wait = Duration::try_from(due.duration_since(self.clock.now())).unwrap_or_default();
                return Ok(Some(self.clock.passes_in(wait).max(Duration::from_millis(1))));
            }
            Claim::Empty => return Ok(Some(LOOK_AGAIN)),
        };
        failpoint::pass(Point::Claimed);
        for notification in batch {
            let Some(verdict) = self.deliver(notification, pace, stop, told).await? else { return Ok(None) };
            if matches!(verdict, Verdict::Again(_) | Verdict::Held(_)) {
                // Those behind it wait with it: they are still this process's, and are claimed again in order.
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// One attempt at a notification, recorded. None if it was told to stop before the end.
    async fn deliver(
        &self,
        notification: Notification,
        pace: &Pace,
        stop: &CancellationToken,
        told: &mut bool,
    ) -> Result<Option<Verdict>, StoreError> {
        let mut payload = match self.compose(&notification) {
            Ok(payload) => payload,
            Err(why) => return self.bury(&notification, why).await.map(Some),
        };
        let mut ended = notification.ended.clone();
        let mut open = Vec::new();
        let targets: Vec<Target> = self.channel.targets().into_iter().filter(|t| !ended.iter().any(|end| end.target == t.0)).collect();
        let last = targets.len().saturating_sub(1);
        for (at, target) in targets.iter().enumerate() {
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = pace.next() => {}
            }
            let outcome = self.send(&notification, &mut payload, target).await;
            tell(&self.name, &notification, &outcome, told);
            self.tell_health(&outcome);
            match outcome {
                Outcome::Delivered { answer } => ended.push(TargetEnd { target: target.0.clone(), accepted: true, answer }),
                Outcome::Refused { what: Refusal::Message, why } => {
                    ended.push(TargetEnd { target: target.0.clone(), accepted: false, answer: why });
                }
                Outcome::Retry { .. } => open.push(outcome),
                Outcome::Refused { what: Refusal::Channel, .. } => {
                    open.push(outcome);
                    break;
                }
            }
            // A recipient that says "later" is not the others' fault; two in a row are a server in trouble.
            if open.len() >= 2 {
                break;
            }
            if at < last && open.is_empty() {
                self.settle(&notification, Verdict::Underway, String::new(), &ended, false).await?;
            }
        }
        let facts = Facts {
            ended: &ended,
            open: &open,
            attempts: notification.attempts.saturating_add(1),
            waited: notification.waited,
            give_up_after: self.give_up_after,
            now: self.clock.now(),
            chance: rand::random(),
        };
        let (verdict, answer) = decide(&facts);
        self.settle(&notification, verdict, answer, &ended, true).await?;
        Ok(Some(verdict))
    }

    /// Puts on the board what an answer says of the whole channel. A passing trouble says nothing new of it.
    fn tell_health(&self, outcome: &Outcome) {
        let topic = Topic::ChannelRefused(self.name.clone());
        match outcome {
            Outcome::Refused { what: Refusal::Channel, why } => self.health.trouble(topic, why, self.clock.now()),
            Outcome::Delivered { .. } | Outcome::Refused { what: Refusal::Message, .. } => self.health.fine(&topic),
            Outcome::Retry { .. } => {}
        }
    }

    /// The message in the words asked for; where those fail, in the built-in ones, saying so.
    fn compose(&self, notification: &Notification) -> Result<Payload, String> {
        let now = self.clock.now();
        self.channel.compose(notification, &Wording::Configured, now).or_else(|why| {
            tracing::warn!(channel = %self.name, rule = %notification.rule.name, %why, "the template failed; the built-in one is sent");
            self.channel.compose(notification, &Wording::BuiltIn { why }, now)
        })
    }

    /// Sends to one recipient. A message of the user's own wording that is refused goes out once more in the built-in words.
    async fn send(&self, notification: &Notification, payload: &mut Payload, target: &Target) -> Outcome {
        let outcome = self.attempt(notification, payload, target).await;
        let Outcome::Refused { what: Refusal::Message, why } = &outcome else { return outcome };
        if !self.channel.is_customised(notification) {
            return outcome;
        }
        tracing::warn!(channel = %self.name, rule = %notification.rule.name, %why, "the template's message was refused; the built-in one is sent");
        let Ok(plain) = self.channel.compose(notification, &Wording::BuiltIn { why: why.clone() }, self.clock.now()) else {
            return outcome;
        };
        *payload = plain;
        self.attempt(notification, payload, target).await
    }

    async fn attempt(&self, notification: &Notification, payload: &Payload, target: &Target) -> Outcome {
        let began = Instant::now();
        let envelope = Envelope { key: &notification.key, target, now: self.clock.now() };
        failpoint::pass(Point::Sending);
        let outcome = self.channel.send(payload, envelope).await;
        failpoint::pass(Point::Sent);
        self.metrics.attempted(&self.name, outcome.word(), began.elapsed());
        outcome
    }

    /// Not even the built-in words could be made: nothing that a later attempt would change.
    async fn bury(&self, notification: &Notification, why: String) -> Result<Verdict, StoreError> {
        tracing::error!(channel = %self.name, notification = notification.id, %why, "the message can't be put into words");
        self.settle(notification, Verdict::Dead, why, &notification.ended, false).await?;
        Ok(Verdict::Dead)
    }

    /// Writes down what came of it, waiting for a store in trouble: what was sent must not be forgotten.
    async fn settle(
        &self,
        notification: &Notification,
        verdict: Verdict,
        answer: String,
        targets: &[TargetEnd],
        attempted: bool,
    ) -> Result<(), StoreError> {
        let nameless = targets.iter().all(|end| end.target.is_empty());
        let settlement = Settlement {
            id: notification.id,
            verdict,
            now: self.clock.now(),
            attempted,
            answer,
            targets: if nameless { Vec::new() } else { targets.to_vec() },
        };
        loop {
            match self.store.settle(settlement.clone()).await {
                // To give up here would be to send it again.
                Err(error @ (StoreError::Unwritable(_) | StoreError::Failed(_))) => {
                    tracing::debug!(channel = %self.name, notification = notification.id, %error, "waits to record a send");
                    tokio::time::sleep(STORE_RETRY).await;
                }
                result => {
                    failpoint::pass(Point::Settled);
                    return result;
                }
            }
        }
    }
}

/// Says what a person should know: the first failure of a streak, and its end.
fn tell(channel: &Name, notification: &Notification, outcome: &Outcome, told: &mut bool) {
    let (id, rule, answer) = (notification.id, &notification.rule.name, outcome.answer());
    match outcome {
        Outcome::Delivered { .. } => {
            if std::mem::take(told) {
                tracing::info!(%channel, "the channel takes messages again");
            }
            tracing::info!(%channel, notification = id, %rule, "delivered");
        }
        Outcome::Refused { what: Refusal::Message, .. } => {
            tracing::warn!(%channel, notification = id, %rule, %answer, "the message was refused");
        }
        Outcome::Refused { what: Refusal::Channel, .. } if !*told => {
            *told = true;
            tracing::error!(%channel, notification = id, %answer, "the channel refuses messages: they are held, and it is tried every hour");
        }
        Outcome::Retry { .. } if !*told => {
            *told = true;
            tracing::warn!(%channel, notification = id, %answer, "not delivered; it will be tried again");
        }
        Outcome::Refused { .. } | Outcome::Retry { .. } => tracing::debug!(%channel, notification = id, %answer, "still not delivered"),
    }
}
