//! One turn at a source: a sweep, page by page, then the open jobs it did not meet, then those that run too long.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Intake, State, Turn, TurnError,
    sweep::{Plan, Step, Sweep},
    whole::patiently,
};
use crate::{
    domain::Job,
    failpoint::{self, Point},
    health::Topic,
    source::{BadRow, Cursor},
    store::{SourceRecord, StoreError},
};

impl Intake {
    pub(super) async fn turn(&self, state: &mut State) -> Result<Turn, TurnError> {
        let mut at = Cursor::Skip { skip: 0, top: self.feed.page_size() };
        let mut sight = self.look(&state.pages, &at, state.hindsight.changes()).await?;
        let began = sight.served_at.unwrap_or_else(|| self.clock.now());
        let record = match state.record {
            Some(record) => record,
            None => self.open(began, state.since.elapsed()).await?,
        };
        state.record = Some(record);
        if state.open.is_none() {
            let open = self.store.open_jobs(&self.name).await?;
            if !self.store.unjudged(&self.name, Timestamp::MAX, 1).await?.is_empty() {
                state.hindsight.inherits(Instant::now());
            }
            state.open = Some(open.into_iter().map(|open| (open.job.id.clone(), open)).collect());
        }
        let (open, hindsight, look_ups) = (state.open.get_or_insert_default(), &mut state.hindsight, &mut state.look_ups);
        let pages = &mut state.pages;
        hindsight.begins(began, sight.glance.newest_end);
        look_ups.begins();
        let whole = self.habits.whole(&state.past, began) || self.habits.reconcile_every.is_some() && look_ups.doubts();
        let bound = record.watermark.filter(|_| record.baseline && !whole).map(|watermark| {
            let starts = || open.values().filter_map(|open| open.job.started);
            let old = self.habits.too_old(watermark, starts());
            self.habits.bound(watermark, starts(), look_ups.takes(old))
        });
        let plan = Plan { bound, page_size: self.feed.page_size(), paging: state.paging, overlap: self.habits.overlap };
        let mut sweep = Sweep::new(plan, pages.hasher.clone());
        let mut newest: Option<Timestamp> = None;
        let mut unreadable = false;
        let sample = sight.glance.sample.clone();
        let end = loop {
            newest = newest.max(sight.glance.newest_start);
            unreadable |= sight.glance.unreadable;
            let step = sweep.after(sight.glance.facts.clone());
            if let Some((print, rows)) = sight.rows {
                let before = hindsight.changes();
                let (jobs, bad) = split(rows);
                self.take_in(jobs, bad, &record, open, hindsight).await?;
                if hindsight.changes() == before {
                    pages.keep(&at, print, sight.glance, before);
                }
            }
            match step {
                Step::Read(next) => at = next,
                end => break end,
            }
            let changes = hindsight.changes();
            sight = patiently(&self.name, || self.look(pages, &at, changes)).await?;
        };
        self.metrics.gaps(&self.name, sweep.gaps());
        look_ups.met(&sweep, open, began);
        if self.habits.track_open {
            self.look_up(&sweep, sample.as_deref(), (&record, began), (&mut *open, &mut *hindsight), look_ups).await?;
        }
        self.judge_running(open, hindsight, look_ups, began).await?;
        match end {
            Step::Incomplete(why) => {
                state.past.incomplete = true;
                // What was found out about the paging may be what is wrong.
                state.paging = None;
                Ok(Turn::Incomplete(why))
            }
            Step::Complete | Step::Read(_) => {
                state.paging = sweep.paging();
                state.past.incomplete = false;
                state.past.swept = Some(began);
                look_ups.swept(bound, open, began);
                if whole {
                    if !unreadable {
                        self.health.fine(&Topic::RowsUnreadable(self.name.clone()));
                    }
                    state.past.swept_whole = Some(began);
                    self.give_up_on(look_ups.swept_whole(&sweep, open), open).await?;
                }
                // A start in the future must not push the mark past jobs still to come.
                let mut record = self.advance_mark(record, newest.map(|newest| newest.min(began))).await?;
                if whole {
                    record = self.let_go(&sweep, record, began).await?;
                }
                state.record = Some(record);
                Ok(Turn::Complete)
            }
        }
    }

    /// What is known of the source. `late` is how long it took to get a first answer: what ended meanwhile ended after the start.
    async fn open(&self, began: Timestamp, late: Duration) -> Result<SourceRecord, StoreError> {
        let cut = began.checked_sub(self.start.saturating_add(late)).unwrap_or(Timestamp::MIN);
        let record = self.store.open_source(&self.name, cut).await?;
        if record.baseline {
            tracing::info!(source = %self.name, "goes on where it stopped");
        } else {
            tracing::info!(source = %self.name, alerts_after = %record.cut, "first run: reads the whole list once");
        }
        Ok(record)
    }

    async fn advance_mark(&self, record: SourceRecord, to: Option<Timestamp>) -> Result<SourceRecord, StoreError> {
        let moves = to.is_some_and(|mark| record.watermark.is_none_or(|before| mark > before));
        if moves || !record.baseline {
            failpoint::pass(Point::SweepEnding);
            self.store.end_sweep(&self.name, to).await?;
        }
        Ok(SourceRecord { baseline: true, watermark: record.watermark.max(to), ..record })
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
