//! One source's loop: sweep the feed, and take each page in, judged, in one transaction.

mod advance;
mod limits;
mod sweep;
mod take_in;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use limits::Limits;
pub use take_in::Memory;

use crate::{
    clock::Clock,
    domain::{Job, Name, format_duration},
    metrics::Metrics,
    rules::RuleSet,
    source::{BadRow, Cursor, Feed, FeedError, Page},
    store::{OpenJob, SourceRecord, Store, StoreError},
    wake::Wake,
};
use sweep::{PageFacts, Step, Sweep};

/// The most jobs looked up one by one in one turn; the rest have their turn in the next ones.
const LOOKUPS: usize = 25;

/// One source, read again and again.
pub struct Intake {
    /// The source's name.
    pub name: Name,
    /// Its feed.
    pub feed: Arc<dyn Feed>,
    /// From the start of one turn to the start of the next.
    pub poll_every: Duration,
    /// How far the first run looks back.
    pub look_back: Duration,
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
#[derive(Default)]
struct State {
    record: Option<SourceRecord>,
    open: Option<HashMap<String, OpenJob>>,
    /// Ids to look up next, so that every open job has its turn.
    lookup_from: usize,
    /// What the last turn's trouble was, so that it is told once.
    trouble: Option<String>,
}

impl Intake {
    /// Polls until told to stop. A turn under way is dropped then: its committed pages stand, the rest is read again.
    pub async fn run(self, stop: CancellationToken) {
        let mut state = State::default();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
            let began = Instant::now();
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.turn(&mut state) => result,
            };
            let asked = match &result {
                Err(TurnError::Feed(FeedError::Throttled { after, .. })) => *after,
                _ => None,
            };
            self.report(&mut state, result);
            due = next_turn(began, Instant::now(), self.poll_every, asked);
        }
    }

    fn report(&self, state: &mut State, result: Result<Turn, TurnError>) {
        let (outcome, trouble) = match result {
            Ok(Turn::Complete) => ("complete", None),
            Ok(Turn::Incomplete(why)) => ("incomplete", Some(why)),
            Err(error) => ("failed", Some(error.to_string())),
        };
        self.metrics.polled(&self.name, outcome);
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

    /// One turn: a sweep, the open jobs it did not meet, and those that run too long.
    async fn turn(&self, state: &mut State) -> Result<Turn, TurnError> {
        let mut page = self.feed.page(&Cursor::Skip { skip: 0, top: self.feed.page_size() }).await?;
        let began = page.served_at.unwrap_or_else(|| self.clock.now());
        let record = match state.record {
            Some(record) => record,
            None => self.open(began).await?,
        };
        state.record = Some(record);
        if state.open.is_none() {
            let open = self.store.open_jobs(&self.name).await?;
            state.open = Some(open.into_iter().map(|open| (open.job.id.clone(), open)).collect());
        }
        let open = state.open.get_or_insert_default();
        let mut sweep = Sweep::new(record.watermark.filter(|_| record.baseline));
        let mut newest: Option<Timestamp> = None;
        let step = loop {
            newest = newest.max(page.rows.iter().flatten().filter_map(|job| job.started).max());
            let step = sweep.after(&facts(&page));
            let (jobs, bad) = split(page.rows);
            self.take_in(jobs, bad, &record, open).await?;
            match step {
                Step::Read(cursor) => page = self.feed.page(&cursor).await?,
                end => break end,
            }
        };
        let looked_up = self.look_up(&sweep, &record, open, state.lookup_from).await?;
        state.lookup_from = state.lookup_from.wrapping_add(looked_up);
        self.judge_running(open).await?;
        let (turn, watermark) = match step {
            // A start in the future must not push the mark past jobs still to come.
            Step::Complete | Step::Read(_) => (Turn::Complete, newest.map(|newest| newest.min(began))),
            Step::Incomplete(why) => (Turn::Incomplete(why), None),
        };
        let moves = watermark.is_some_and(|mark| record.watermark.is_none_or(|before| mark > before));
        if moves || !record.baseline {
            self.store.end_sweep(&self.name, watermark).await?;
            let watermark = record.watermark.max(watermark);
            state.record = Some(SourceRecord { baseline: true, watermark, ..record });
        }
        Ok(turn)
    }

    async fn open(&self, began: Timestamp) -> Result<SourceRecord, StoreError> {
        let cut = began.checked_sub(self.look_back).unwrap_or(Timestamp::MIN);
        let record = self.store.open_source(&self.name, cut).await?;
        if record.baseline {
            tracing::info!(source = %self.name, "goes on where it stopped");
        } else {
            tracing::info!(source = %self.name, alerts_after = %record.cut, "first run: reads the whole list once");
        }
        Ok(record)
    }

    /// Asks for the open jobs that the sweep did not meet: a long scan ends deep in the list.
    async fn look_up(
        &self,
        sweep: &Sweep,
        record: &SourceRecord,
        open: &mut HashMap<String, OpenJob>,
        from: usize,
    ) -> Result<usize, TurnError> {
        let mut unmet: Vec<String> = open.keys().filter(|id| !sweep.has_met(id)).cloned().collect();
        if unmet.is_empty() {
            return Ok(0);
        }
        unmet.sort_unstable();
        let from = from % unmet.len();
        unmet.rotate_left(from);
        unmet.truncate(LOOKUPS);
        let count = unmet.len();
        for id in unmet {
            match self.feed.find(&id).await? {
                Some(job) => self.take_in(vec![job], Vec::new(), record, open).await?,
                None => tracing::debug!(source = %self.name, job = %id, "a job that was running is not in the list"),
            }
        }
        Ok(count)
    }
}

fn facts(page: &Page) -> PageFacts<'_> {
    PageFacts {
        ids: page.rows.iter().flatten().map(|job| job.id.as_str()).collect(),
        oldest_start: page.rows.iter().flatten().filter_map(|job| job.started).min(),
        next: &page.next,
    }
}

fn split(rows: Vec<Result<Job, BadRow>>) -> (Vec<Job>, Vec<BadRow>) {
    let (mut jobs, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match row {
            Ok(job) => jobs.push(job),
            Err(row) => bad.push(row),
        }
    }
    (jobs, bad)
}

/// When the next turn begins: one period after this one began, but at once if it took longer than that, and never before
/// the service asked.
fn next_turn(began: Instant, ended: Instant, every: Duration, asked: Option<Duration>) -> Instant {
    let regular = (began + every).max(ended);
    asked.map_or(regular, |wait| regular.max(ended + wait))
}
