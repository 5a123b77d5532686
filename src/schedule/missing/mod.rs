//! Jobs that never come: each gap is told once, and once more when it is over.

mod plan;
mod words;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::STORE_RETRY;
use crate::{
    clock::Clock,
    domain::Name,
    failpoint::{self, Point},
    health::{Health, Reading},
    rules::RuleSet,
    store::{LastEnd, RunningJob, StoreError, WatchRow, Watches},
    wake::Wake,
};
use plan::{Facts, Gathering, Newest, newest, plan};

/// How long to sleep at most: the wall clock may be set back.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Watches for the jobs that rules wait for.
pub struct MissingJobs {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Every configured source.
    pub sources: Vec<Name>,
    /// Where the sources' loops say how far they have read.
    pub health: Arc<Health>,
    /// The store.
    pub store: Arc<dyn Watches>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Whom to tell of new notifications.
    pub wake: Arc<Wake>,
}

/// What the loop remembers between two looks; a restart finds all of it again.
#[derive(Default)]
struct Memory {
    /// The watches as the store has them; none after a write of which that is not sure.
    rows: Option<Vec<WatchRow>>,
    ends: BTreeMap<Name, Vec<LastEnd>>,
    newest: BTreeMap<Name, Newest>,
    running: BTreeMap<Name, Vec<RunningJob>>,
    /// How many readings of a source's list `ends` knows of.
    readings: BTreeMap<Name, u64>,
    gathering: Gathering,
}

impl MissingJobs {
    /// Watches until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut memory = Memory::default();
        loop {
            let wait = match self.look(&mut memory).await {
                Ok(next) => self.wait(next),
                Err(error) => {
                    tracing::debug!(%error, "the watch for missing jobs waits for the store");
                    memory.rows = None;
                    STORE_RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.health.read_again(), if self.watches() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn watches(&self) -> bool {
        self.rules.rules().iter().any(|rule| rule.missing().is_some())
    }

    fn wait(&self, next: Option<Timestamp>) -> Duration {
        let until = next.map(|next| Duration::try_from(next.duration_since(self.clock.now())).unwrap_or_default());
        until.map_or(LOOK_AGAIN, |until| self.clock.passes_in(until)).min(LOOK_AGAIN)
    }

    /// Tells what is to be told; when to look again although no list was read.
    async fn look(&self, memory: &mut Memory) -> Result<Option<Timestamp>, StoreError> {
        let rows = match memory.rows.take() {
            Some(rows) => rows,
            None => self.store.watches().await?,
        };
        let readings = self.health.readings();
        if self.watches() {
            self.recall(&readings, memory).await?;
        }
        let facts = Facts {
            rules: self.rules.rules(),
            sources: &self.sources,
            rows: &rows,
            newest: &memory.newest,
            running: &memory.running,
            readings: &readings,
            now: self.clock.now(),
        };
        let plan = plan(&facts, &mut memory.gathering);
        if plan.change.is_empty() {
            memory.rows = Some(rows);
            return Ok(plan.next);
        }
        let notices = plan.change.notices.clone();
        self.store.keep_watch(plan.change, facts.now).await?;
        failpoint::pass(Point::WatchCommitted);
        for notice in notices {
            tracing::info!(rule = %notice.facts.name, topic = %notice.notice.topic, over = notice.notice.over, "{}", notice.notice.title);
            for channel in &notice.channels {
                self.wake.channel(channel);
            }
        }
        Ok(plan.next)
    }

    /// The newest ends, and what runs, of the sources whose lists were read since they were last asked for.
    async fn recall(&self, readings: &BTreeMap<Name, Reading>, memory: &mut Memory) -> Result<(), StoreError> {
        for source in &self.sources {
            let read = readings.get(source).map_or(0, |reading| reading.readings);
            if memory.readings.get(source) != Some(&read) {
                let ends = self.store.last_ends(source).await?;
                if memory.ends.get(source) != Some(&ends) {
                    memory.newest.insert(source.clone(), newest(self.rules.rules(), &ends));
                    memory.ends.insert(source.clone(), ends);
                }
                memory.running.insert(source.clone(), self.store.running(source).await?);
                memory.readings.insert(source.clone(), read);
            }
        }
        Ok(())
    }
}
