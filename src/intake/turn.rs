//! One turn at a source: a sweep, page by page, then the open jobs it did not meet, then those that run too long.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Intake, State, Turn, TurnError,
    hindsight::Hindsight,
    sweep::{Plan, Step, Sweep},
    whole::patiently,
};
use crate::{
    domain::Job,
    failpoint::{self, Point},
    health::Topic,
    source::{BadRow, Cursor, FeedError},
    store::{OpenJob, SourceRecord, StoreError},
};

/// The most jobs looked up one by one in one turn; the rest have their turn in the next ones.
const LOOKUPS: usize = 25;
/// A job that ran and is found neither by so many look-ups nor by a sweep of the whole list is gone.
const MISSES: u32 = 3;

impl Intake {
    pub(super) async fn turn(&self, state: &mut State) -> Result<Turn, TurnError> {
        let mut page = self.feed.page(&Cursor::Skip { skip: 0, top: self.feed.page_size() }).await?;
        let began = page.served_at.unwrap_or_else(|| self.clock.now());
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
        let (open, hindsight) = (state.open.get_or_insert_default(), &mut state.hindsight);
        hindsight.begins(began, page.rows.iter().flatten().filter_map(|job| job.finished).max());
        let whole = self.habits.whole(&state.past, began);
        let bound = record.watermark.filter(|_| record.baseline && !whole).map(|watermark| {
            let starts = open.values().filter_map(|open| open.job.started);
            self.habits.bound(watermark, starts, state.search_works != Some(false))
        });
        let plan = Plan { bound, page_size: self.feed.page_size(), paging: state.paging, overlap: self.habits.overlap };
        let mut sweep = Sweep::new(plan);
        let mut newest: Option<Timestamp> = None;
        let mut unreadable = false;
        let sample = page.rows.iter().flatten().next().map(|job| job.id.clone());
        let end = loop {
            newest = newest.max(page.rows.iter().flatten().filter_map(|job| job.started).max());
            let step = sweep.after(sweep.facts(&page));
            let (jobs, bad) = split(page.rows);
            unreadable |= !bad.is_empty();
            self.take_in(jobs, bad, &record, open, hindsight).await?;
            match step {
                Step::Read(cursor) => page = patiently(&*self.feed, &self.name, &cursor).await?,
                end => break end,
            }
        };
        self.metrics.gaps(&self.name, sweep.gaps());
        if self.habits.track_open {
            state.lookup_from = state.lookup_from.wrapping_add(LOOKUPS);
            let looked = self
                .look_up(&sweep, sample.as_deref(), &record, (&mut *open, &mut *hindsight), state.lookup_from, &mut state.search_works)
                .await?;
            for (id, found) in looked {
                if found {
                    state.misses.remove(&id);
                } else {
                    *state.misses.entry(id).or_default() += 1;
                }
            }
        }
        // A scan's age is told by the clock that dated its start: the machine's own may be years off.
        self.judge_running(open, hindsight, began).await?;
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
                if whole {
                    if !unreadable {
                        self.health.fine(&Topic::RowsUnreadable(self.name.clone()));
                    }
                    state.past.swept_whole = Some(began);
                    state.misses.retain(|id, _| !sweep.has_met(id));
                    if state.search_works == Some(false) {
                        // No look-up tells whether a job is there, but this sweep does.
                        for id in open.keys().filter(|id| !sweep.has_met(id)) {
                            *state.misses.entry(id.clone()).or_default() += 1;
                        }
                    }
                    state.search_works = None;
                    let gone = state.misses.iter().filter(|(_, misses)| **misses >= MISSES);
                    let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
                    self.give_up_on(gone, open, &mut state.misses).await?;
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

    /// Asks for the open jobs that the sweep did not meet: a long scan ends deep in the list. Tells which of those asked for
    /// were found.
    async fn look_up(
        &self,
        sweep: &Sweep,
        sample: Option<&str>,
        record: &SourceRecord,
        (open, hindsight): (&mut HashMap<String, OpenJob>, &mut Hindsight),
        from: usize,
        search_works: &mut Option<bool>,
    ) -> Result<Vec<(String, bool)>, TurnError> {
        let mut unmet: Vec<String> = open.keys().filter(|id| !sweep.has_met(id)).cloned().collect();
        if unmet.is_empty() || *search_works == Some(false) {
            return Ok(Vec::new());
        }
        unmet.sort_unstable();
        let from = from % unmet.len();
        unmet.rotate_left(from);
        unmet.truncate(LOOKUPS);
        let mut looked = Vec::with_capacity(unmet.len());
        for id in unmet {
            let found = match self.feed.find(&id).await {
                Ok(found) => found,
                Err(FeedError::Unavailable(why) | FeedError::Malformed(why)) => {
                    tracing::debug!(source = %self.name, %why, "jobs can't be looked up; sweeps reach back to the oldest open one instead");
                    *search_works = Some(false);
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(job) = found {
                looked.push((id, true));
                self.take_in(vec![job], Vec::new(), record, open, hindsight).await?;
                continue;
            }
            // Nothing found means something only where what is in the list is found.
            if search_works.is_none() {
                let works = match sample {
                    Some(sample) => self.feed.find(sample).await?.is_some(),
                    None => true,
                };
                *search_works = Some(works);
                if !works {
                    tracing::warn!(source = %self.name, "the feed's `search` finds no job; sweeps reach back to the oldest open one instead");
                    break;
                }
            }
            looked.push((id, false));
        }
        Ok(looked)
    }

    /// Stops looking for jobs that are no longer anywhere. Should one come back after all, it is taken in as in a new run.
    async fn give_up_on(
        &self,
        gone: Vec<String>,
        open: &mut HashMap<String, OpenJob>,
        misses: &mut HashMap<String, u32>,
    ) -> Result<(), StoreError> {
        let gone: Vec<String> = gone.into_iter().filter(|id| open.contains_key(id)).collect();
        misses.retain(|id, _| open.contains_key(id));
        if gone.is_empty() {
            return Ok(());
        }
        self.store.give_up_on(&self.name, gone.clone()).await?;
        for id in gone {
            open.remove(&id);
            misses.remove(&id);
            tracing::warn!(source = %self.name, job = %id, "a job that was running is no longer in the list; its end will not be known");
        }
        Ok(())
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
