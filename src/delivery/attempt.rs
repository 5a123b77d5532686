//! One attempt at a notification, from its words to the record of what came of it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Courier, Rest, STORE_RETRY, Standing, backoff,
    breaker::Trouble,
    decide::{Decision, Facts, decide},
    pace::Pace,
};
use crate::{
    channel::{Envelope, Payload, Wording},
    domain::{Notification, Outcome, Refusal, Target, TargetEnd},
    failpoint::{self, Point},
    health::Topic,
    store::{Line, Settlement, StoreError, Verdict},
};

/// Two recipients in a row that say "later" are a server in trouble: the others are not asked this time.
const LATER_MOST: usize = 2;

/// What one attempt came to, before it is decided on.
#[derive(Default)]
struct Attempt {
    ended: Vec<TargetEnd>,
    open: Vec<Outcome>,
    resting: Option<String>,
    /// Whether anyone was asked.
    asked: bool,
    /// Whether anyone who was asked answered for good.
    answered: bool,
}

impl Courier {
    /// One attempt at a notification, recorded. Whether the next one may follow.
    pub(super) async fn deliver(
        &self,
        notification: Notification,
        standing: &mut Standing,
        stop: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let mut payload = match self.compose(&notification) {
            Ok(payload) => payload,
            Err(why) => return self.bury(&notification, why).await.map(|()| true),
        };
        let Some(attempt) = self.ask_all(&notification, &mut payload, standing, stop).await? else { return Ok(false) };
        let facts = Facts {
            ended: &attempt.ended,
            open: &attempt.open,
            resting: attempt.resting.as_deref(),
            waited: notification.waited,
            give_up_after: self.give_up_after,
        };
        let decision = decide(&facts);
        let sent = (attempt.asked && standing.pace.is_slow()).then(|| self.clock.now());
        let mut line = sent.map(|sent| standing.breaker.line(Some(sent)));
        let moment = self.moment();
        let (verdict, answer) = match decision {
            Decision::Shut(trouble) => {
                self.shut(&notification, &trouble, standing);
                line = Some(standing.breaker.line(sent));
                (Verdict::Waits, trouble.answer)
            }
            Decision::End { accepted, answer } => {
                if attempt.answered && self.opened(standing) {
                    line = Some(standing.breaker.line(sent));
                }
                (if accepted { Verdict::Delivered } else { Verdict::Dead }, answer)
            }
            Decision::Aside(answer) => {
                if attempt.answered && self.opened(standing) {
                    line = Some(standing.breaker.line(sent));
                }
                let until = self.channel.targets().iter().filter_map(|target| Some(standing.resting.get(&target.0)?.until)).min();
                let left = until.unwrap_or(moment.at).saturating_duration_since(moment.at).max(STORE_RETRY);
                (Verdict::Aside(moment.now.checked_add(left).unwrap_or(Timestamp::MAX)), answer)
            }
        };
        self.settle(&notification, verdict, answer, &attempt.ended, attempt.asked, line).await?;
        Ok(verdict != Verdict::Waits)
    }

    /// Asks every recipient that still needs it and does not rest, those without trouble first. None if it was told to stop
    /// before the end.
    async fn ask_all(
        &self,
        notification: &Notification,
        payload: &mut Payload,
        standing: &mut Standing,
        stop: &CancellationToken,
    ) -> Result<Option<Attempt>, StoreError> {
        let mut attempt = Attempt { ended: notification.ended.clone(), ..Attempt::default() };
        let now = Instant::now();
        let mut targets = self.channel.targets();
        targets.retain(|target| !attempt.ended.iter().any(|end| end.target == target.0));
        targets.retain(|target| match standing.resting.get(&target.0) {
            Some(rest) if rest.until > now => {
                attempt.resting = Some(rest.why.clone());
                false
            }
            _ => true,
        });
        targets.sort_by_key(|target| standing.resting.get(&target.0).map_or(0, |rest| rest.failed));
        let last = targets.len().saturating_sub(1);
        for (at, target) in targets.iter().enumerate() {
            let gap = standing.breaker.ease();
            tokio::select! {
                // Told to stop, it begins nothing more, however due that is.
                biased;
                () = stop.cancelled() => return Ok(None),
                () = standing.pace.next(gap) => {}
            }
            if standing.pace.is_slow() {
                // Before it goes out: what a process sent as it died counts in the next one's pace as well.
                let line = standing.breaker.line(Some(self.clock.now()));
                self.settle(notification, Verdict::Underway, String::new(), &attempt.ended, false, Some(line)).await?;
            }
            attempt.asked = true;
            let Some(outcome) = self.send(notification, payload, target, &mut standing.pace, stop).await else { return Ok(None) };
            standing.pace.answered();
            match outcome {
                Outcome::Delivered { answer } => {
                    standing.resting.remove(&target.0);
                    attempt.answered = true;
                    attempt.ended.push(TargetEnd { target: target.0.clone(), accepted: true, answer });
                    tracing::info!(channel = %self.name, notification = notification.id, rule = %notification.rule.name, "delivered");
                }
                Outcome::Refused { what: Refusal::Message, why } => {
                    standing.resting.remove(&target.0);
                    attempt.answered = true;
                    tracing::warn!(channel = %self.name, notification = notification.id, rule = %notification.rule.name, answer = %why, "the message was refused");
                    attempt.ended.push(TargetEnd { target: target.0.clone(), accepted: false, answer: why });
                }
                Outcome::Retry { ref why, after } => {
                    self.rest(standing, target, after, why);
                    attempt.open.push(outcome);
                }
                Outcome::Refused { what: Refusal::Channel, .. } => {
                    attempt.open.push(outcome);
                    break;
                }
            }
            if attempt.open.len() >= LATER_MOST {
                break;
            }
            if at < last && attempt.open.is_empty() {
                self.settle(notification, Verdict::Underway, String::new(), &attempt.ended, false, None).await?;
            }
        }
        Ok(Some(attempt))
    }

    /// Leaves a recipient alone for a while. Where the trouble turns out to be the whole channel's, that one's wait counts.
    fn rest(&self, standing: &mut Standing, target: &Target, after: Option<Duration>, why: &str) {
        let rest =
            standing.resting.entry(target.0.clone()).or_insert_with(|| Rest { failed: 0, until: Instant::now(), why: String::new() });
        rest.failed = rest.failed.saturating_add(1);
        rest.until = Instant::now()
            + self.clock.passes_in(backoff::after_failure(rest.failed, (self.give_up_after / 2).max(STORE_RETRY), after, rand::random()));
        why.clone_into(&mut rest.why);
    }

    /// The channel is in trouble. Says what a person should know: how it begins, and when it turns out to refuse everything.
    fn shut(&self, notification: &Notification, trouble: &Trouble, standing: &mut Standing) {
        let (channel, id, answer) = (&self.name, notification.id, &trouble.answer);
        let moment = self.moment();
        if trouble.refused {
            if standing.breaker.is_refused() {
                tracing::debug!(%channel, notification = id, %answer, "still refused");
            } else {
                tracing::error!(%channel, notification = id, %answer, "the channel refuses messages: they are held, and it is tried every hour");
            }
        } else {
            if standing.breaker.is_shut() {
                tracing::debug!(%channel, notification = id, %answer, "still not delivered");
            } else {
                tracing::warn!(%channel, notification = id, %answer, "not delivered; it will be tried again, and what comes after it waits");
            }
        }
        standing.breaker.failed(trouble, moment, rand::random(), |wait| self.clock.passes_in(wait));
        // However often the program was restarted meanwhile.
        let since = standing.breaker.since().unwrap_or(moment.now);
        if trouble.refused {
            self.health.trouble(Topic::ChannelRefused(channel.clone()), answer, since);
            self.health.fine(&Topic::ChannelDown(channel.clone()));
        } else {
            self.health.trouble(Topic::ChannelDown(channel.clone()), answer, since);
        }
        standing.count_at = moment.at;
        // The channel is tried as a whole again, in one probe.
        for rest in standing.resting.values_mut() {
            rest.until = moment.at;
        }
    }

    /// The channel answers. Whether it was in trouble until now.
    fn opened(&self, standing: &mut Standing) -> bool {
        // In this order: whoever looks between the two must not take a refused channel for one that is only down.
        self.health.fine(&Topic::ChannelDown(self.name.clone()));
        self.health.fine(&Topic::ChannelRefused(self.name.clone()));
        let was_shut = standing.breaker.answered(Instant::now());
        if was_shut {
            tracing::info!(channel = %self.name, "the channel takes messages again");
        }
        was_shut
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
    /// None if it was told to stop before the second.
    async fn send(
        &self,
        notification: &Notification,
        payload: &mut Payload,
        target: &Target,
        pace: &mut Pace,
        stop: &CancellationToken,
    ) -> Option<Outcome> {
        let outcome = self.attempt(notification, payload, target).await;
        let Outcome::Refused { what: Refusal::Message, why } = &outcome else { return Some(outcome) };
        if !self.channel.is_customised(notification) {
            return Some(outcome);
        }
        tracing::warn!(channel = %self.name, rule = %notification.rule.name, %why, "the template's message was refused; the built-in one is sent");
        let Ok(plain) = self.channel.compose(notification, &Wording::BuiltIn { why: why.clone() }, self.clock.now()) else {
            return Some(outcome);
        };
        *payload = plain;
        pace.answered();
        tokio::select! {
            // Told to stop, it begins nothing more, however due that is.
            biased;
            () = stop.cancelled() => return None,
            () = pace.next(Duration::ZERO) => {}
        }
        Some(self.attempt(notification, payload, target).await)
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
    async fn bury(&self, notification: &Notification, why: String) -> Result<(), StoreError> {
        tracing::error!(channel = %self.name, notification = notification.id, %why, "the message can't be put into words");
        self.settle(notification, Verdict::Dead, why, &notification.ended, false, None).await
    }

    /// Writes down what came of it, waiting for a store in trouble: what was sent must not be forgotten.
    async fn settle(
        &self,
        notification: &Notification,
        verdict: Verdict,
        answer: String,
        targets: &[TargetEnd],
        attempted: bool,
        line: Option<Line>,
    ) -> Result<(), StoreError> {
        let nameless = targets.iter().all(|end| end.target.is_empty());
        let settlement = Settlement {
            id: notification.id,
            verdict,
            now: self.clock.now(),
            attempted,
            answer,
            targets: if nameless { Vec::new() } else { targets.to_vec() },
            line,
            fallback: self.fallback.clone(),
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
                    if verdict == Verdict::Dead && result.is_ok() {
                        self.wake_fallback();
                    }
                    return result;
                }
            }
        }
    }
}
