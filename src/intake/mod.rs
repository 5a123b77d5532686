//! One source's loop: sweep the feed, and take each page in, judged, in one transaction.

mod advance;
mod habits;
mod hindsight;
mod limits;
mod look_up;
mod pages;
mod polls;
mod pruning;
mod sweep;
mod take_in;
mod turn;
mod whole;

#[cfg(test)]
mod model;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use advance::NEW_RUN_AFTER;
pub use habits::Habits;
pub use limits::{Buckets, Limits};
pub use take_in::Memory;
pub use whole::{Whole, read_whole};

use crate::{
    clock::Clock,
    domain::{Name, format_duration},
    health::{Health, Topic},
    metrics::Metrics,
    rules::{RuleSet, Unanswered},
    source::{Feed, FeedError},
    store::{OpenJob, SourceRecord, Store, StoreError},
    wake::Wake,
};
use habits::Past;
use hindsight::Hindsight;
use look_up::LookUps;
use pages::Pages;
use polls::PollCount;
use sweep::Paging;

/// One source, read again and again.
pub struct Intake {
    /// The source's name.
    pub name: Name,
    /// Its feed.
    pub feed: Arc<dyn Feed>,
    /// From the start of one turn to the start of the next.
    pub poll_every: Duration,
    /// How far the first run looks back.
    pub start: Duration,
    /// How long ended jobs are kept.
    pub keep: Duration,
    /// How completely it is read.
    pub habits: Habits,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Their limits.
    pub limits: Arc<Limits>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The jobs known without asking the store.
    pub memory: Memory,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where polls are counted.
    pub metrics: Arc<Metrics>,
    /// Where trouble is told.
    pub health: Arc<Health>,
    /// Whom to tell of new notifications.
    pub wake: Arc<Wake>,
}

/// Why a turn ended early.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a turn ended, if nothing failed.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Complete,
    Incomplete(String),
}

/// What the loop knows between turns.
struct State {
    /// When the loop began. A first run's `start` counts from here, however late the source answers.
    since: Instant,
    record: Option<SourceRecord>,
    open: Option<HashMap<String, OpenJob>>,
    past: Past,
    hindsight: Hindsight,
    paging: Option<Paging>,
    pages: Pages,
    look_ups: LookUps,
    /// What the last turn's trouble was, so that it is told once.
    trouble: Option<String>,
    /// Polls not yet written down.
    polls: PollCount,
}

/// How long to wait before looking again whether the store is well.
const STORE_RETRY: Duration = Duration::from_secs(1);

impl State {
    fn new(since: Instant) -> Self {
        Self {
            since,
            record: None,
            open: None,
            past: Past::default(),
            hindsight: Hindsight::default(),
            paging: None,
            pages: Pages::default(),
            look_ups: LookUps::default(),
            trouble: None,
            polls: PollCount::default(),
        }
    }

    fn note_waiting(&mut self, source: &Name, trouble: &StoreError) {
        let why = trouble.to_string();
        if self.trouble.as_ref() != Some(&why) {
            tracing::warn!(%source, %why, "not polled until the store can be written");
            self.trouble = Some(why);
        }
    }
}

impl Intake {
    /// Polls until told to stop. A turn under way is dropped then: its committed pages stand, the rest is read again.
    pub async fn run(self, stop: CancellationToken) {
        let mut state = State::new(Instant::now());
        self.poll(&mut state, stop).await;
        self.write_polls(&mut state.polls).await;
    }

    async fn poll(&self, state: &mut State, stop: CancellationToken) {
        let mut due = state.since;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(state.hindsight.due().map_or(due, |judge| judge.min(due))) => {}
            }
            if let Some(trouble) = self.store.trouble() {
                // What could not be kept is not asked for: the list is still there when the store is well again.
                state.note_waiting(&self.name, &trouble);
                due = Instant::now() + STORE_RETRY;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep_until(due) => continue,
                }
            }
            let (began, began_at) = (Instant::now(), self.clock.now());
            if began < due {
                tokio::select! {
                    () = stop.cancelled() => return,
                    result = self.judge_what_waits(state, false) => if let Err(error) = result {
                        tracing::debug!(source = %self.name, %error, "what waits to be judged waits for the store");
                    },
                }
                continue;
            }
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.turn_and_judge(state) => result,
            };
            self.count_poll(&mut state.polls, began_at, result.is_ok()).await;
            let asked = match &result {
                Err(TurnError::Feed(FeedError::Throttled { after, .. })) => *after,
                _ => state.look_ups.asked(),
            };
            self.report(state, result);
            let ended = Instant::now();
            due = next_turn(began, ended, self.poll_every, asked);
            self.health.polls_next(&self.name, self.clock.now().checked_add(due - ended).unwrap_or(Timestamp::MAX));
        }
    }

    async fn turn_and_judge(&self, state: &mut State) -> Result<Turn, TurnError> {
        let turn = self.turn(state).await;
        let complete = matches!(turn, Ok(Turn::Complete));
        let judged = self.judge_what_waits(state, complete).await;
        for Unanswered { rule, place, why } in self.rules.newly_unanswered() {
            tracing::warn!(%rule, place, why, "an `expr` gives no answer for a job, and does not hold: `jobrelay explain JOB` shows it for each");
        }
        match (turn, judged) {
            (Ok(_), Err(error)) => Err(error.into()),
            (turn, _) => turn,
        }
    }

    async fn judge_what_waits(&self, state: &mut State, complete: bool) -> Result<(), StoreError> {
        match state.record {
            Some(record) => self.look_back(&mut state.hindsight, &record, complete).await,
            None => Ok(()),
        }
    }

    /// Puts on the board what this turn says of the source. Trouble with the store is not the source's.
    fn tell_health(&self, result: &Result<Turn, TurnError>, state: &State) {
        let now = self.clock.now();
        match (result, state.past.swept) {
            (Ok(Turn::Complete), Some(began)) => {
                let known = state.open.as_ref().and_then(|open| state.look_ups.known_until(open, began));
                self.health.read_completely(&self.name, began, known, now);
            }
            (Err(TurnError::Store(_)), _) => {}
            _ => self.health.not_read_completely(&self.name, now),
        }
        let refused = Topic::CredentialsRefused(self.name.clone());
        let down = Topic::SourceDown(self.name.clone());
        let incomplete = Topic::SweepIncomplete(self.name.clone());
        match result {
            Ok(turn) => {
                self.health.fine(&refused);
                self.health.fine(&down);
                match turn {
                    Turn::Complete => self.health.fine(&incomplete),
                    Turn::Incomplete(why) => self.health.trouble(incomplete, why, now),
                }
            }
            Err(TurnError::Feed(error @ FeedError::Refused(_))) => self.health.trouble(refused, &error.to_string(), now),
            // A source that can't be reached says nothing of the credentials.
            Err(TurnError::Feed(error)) => self.health.trouble(down, &error.to_string(), now),
            Err(TurnError::Store(_)) => {}
        }
    }

    fn report(&self, state: &mut State, result: Result<Turn, TurnError>) {
        self.tell_health(&result, state);
        let (outcome, trouble) = match result {
            Ok(Turn::Complete) => ("complete", None),
            Ok(Turn::Incomplete(why)) => ("incomplete", Some(why)),
            Err(error) => ("failed", Some(error.to_string())),
        };
        self.metrics.polled(&self.name, outcome);
        self.health.polled(&self.name, outcome != "failed", trouble.as_deref(), self.clock.now());
        if outcome != "failed" {
            self.metrics.succeeded(&self.name, self.clock.now());
            self.metrics.open_jobs(&self.name, state.open.as_ref().map_or(0, HashMap::len));
        }
        match (&trouble, &state.trouble) {
            (Some(why), Some(before)) if why == before => tracing::debug!(source = %self.name, outcome, %why, "polled"),
            (Some(why), _) if outcome == "failed" => {
                tracing::warn!(source = %self.name, %why, next_try = format_duration(self.poll_every), "the source can't be read");
            }
            (Some(why), _) => tracing::warn!(source = %self.name, %why, "the list was read only in part"),
            (None, Some(_)) => tracing::info!(source = %self.name, "the source is read again"),
            (None, None) => tracing::debug!(source = %self.name, outcome, "polled"),
        }
        state.trouble = trouble;
    }
}

/// When the next turn begins: one period after this one began, but at once if it took longer than that, and never before
/// the service asked.
fn next_turn(began: Instant, ended: Instant, every: Duration, asked: Option<Duration>) -> Instant {
    let regular = (began + every).max(ended);
    asked.map_or(regular, |wait| regular.max(ended + wait))
}
