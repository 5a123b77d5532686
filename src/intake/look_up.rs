//! Open jobs that a sweep does not meet: a long scan ends deep in the list, and is asked for by its id.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Intake, TurnError, hindsight::Hindsight, sweep::Sweep};
use crate::{
    source::FeedError,
    store::{OpenJob, SourceRecord, StoreError},
};

/// The most jobs looked up one by one in one turn, and never for longer than a period: the head of the list is not to wait. Those
/// that were not looked at for the longest have their turn first, so of `n` each is looked at within `n / LOOKUPS` turns, rounded up.
pub const LOOKUPS: usize = 100;
/// After look-ups have failed in so many turns in a row, the list is read instead: one answer out of order says little.
const FAILURES: u32 = 2;
/// A job that ran and is found neither by so many look-ups nor by a sweep of the whole list is gone.
const MISSES: u32 = 3;

/// What is known of how lately each open job was looked at, and of the feed's `search`.
#[derive(Debug, Default)]
pub struct LookUps {
    /// Counts turns: the order in which jobs were looked at does not hang on anyone's clock.
    turn: u64,
    /// Whether the feed's `search` finds what is in the list; none before it has been tried.
    works: Option<bool>,
    /// In how many turns in a row a look-up failed.
    failures: u32,
    /// Whether a look-up found nothing of a job that the whole list had: whether it is gone only the whole list can tell.
    doubt: bool,
    /// How often a job that runs was looked up and not found.
    misses: HashMap<String, u32>,
    sights: HashMap<String, Sight>,
    /// How many pages the last sweep of the whole list took.
    whole: Option<u32>,
    /// How long the service asked to wait when it would not look up any more.
    asked: Option<Duration>,
    /// Whether more jobs run than one turn looks up, so that it is told once.
    many: bool,
}

/// When an open job was looked at last. Times are the server's, of the beginning of the turn.
#[derive(Debug, Clone, Copy, Default)]
struct Sight {
    /// The turn in which it was looked up last.
    turn: u64,
    /// When it was looked for, whether or not it was there.
    looked: Option<Timestamp>,
    /// When it was seen to run.
    ran: Option<Timestamp>,
    /// Whether the last reading of the whole list did not meet it.
    absent: bool,
}

impl LookUps {
    /// A turn begins.
    pub fn begins(&mut self) {
        self.turn += 1;
    }

    /// Whether so many open jobs, too old for the sweep to meet them, are left to be looked up. They are not where nothing is found
    /// so, nor where they are so many that the whole list is read with fewer requests.
    pub fn takes(&self, old: usize) -> bool {
        let cheaper_to_read = old > LOOKUPS && self.whole.is_some_and(|pages| pages as usize <= old);
        self.works != Some(false) && !cheaper_to_read
    }

    /// Whether the whole list is to be read for what the look-ups found.
    pub const fn doubts(&self) -> bool {
        self.doubt
    }

    /// The wait that the service asked for in the last turn, if it did.
    pub fn asked(&mut self) -> Option<Duration> {
        self.asked.take()
    }

    /// The jobs that the sweep met were seen.
    pub fn met(&mut self, sweep: &Sweep, open: &HashMap<String, OpenJob>, began: Timestamp) {
        self.sights.retain(|id, _| open.contains_key(id));
        for id in open.keys().filter(|id| sweep.has_met(id)) {
            let sight = self.sight(id);
            *sight = Sight { looked: Some(began), ran: Some(began), absent: false, ..*sight };
        }
    }

    fn sight(&mut self, id: &str) -> &mut Sight {
        self.sights.entry(id.to_owned()).or_default()
    }

    fn looked_up(&mut self, id: &str, began: Timestamp, found: bool) {
        let turn = self.turn;
        let sight = self.sight(id);
        sight.turn = turn;
        if found {
            *sight = Sight { looked: Some(began), ran: Some(began), absent: false, ..*sight };
            self.misses.remove(id);
            return;
        }
        if sight.absent {
            sight.looked = Some(began);
        } else {
            self.doubt = true;
        }
        *self.misses.entry(id.to_owned()).or_default() += 1;
    }

    /// When a job was last seen to run, since the start of the program.
    pub fn ran(&self, id: &str) -> Option<Timestamp> {
        self.sights.get(id)?.ran
    }

    /// The sweep was complete down to its bound: an open job above it that was not met is not in the list.
    pub fn swept(&mut self, bound: Option<Timestamp>, open: &HashMap<String, OpenJob>, began: Timestamp) {
        for (id, open) in open {
            if bound.is_none_or(|bound| open.job.started.is_some_and(|started| started >= bound)) {
                self.sight(id).looked = Some(began);
            }
        }
    }

    /// The whole list was read: a job that it does not hold is missed once more where no look-up tells. Gives those that are gone.
    pub fn swept_whole(&mut self, sweep: &Sweep, open: &HashMap<String, OpenJob>) -> Vec<String> {
        self.whole = Some(sweep.pages());
        self.doubt = false;
        for id in open.keys() {
            self.sight(id).absent = !sweep.has_met(id);
        }
        // What was not found and is there all the same: nothing that is not found says anything.
        let passed_over = self.misses.keys().any(|id| open.contains_key(id) && sweep.has_met(id));
        self.misses.retain(|id, _| open.contains_key(id) && !sweep.has_met(id));
        if self.works == Some(false) {
            for id in open.keys().filter(|id| !sweep.has_met(id)) {
                *self.misses.entry(id.clone()).or_default() += 1;
            }
        }
        self.works = passed_over.then_some(false);
        let gone: Vec<String> = self.misses.iter().filter(|(_, misses)| **misses >= MISSES).map(|(id, _)| id.clone()).collect();
        self.misses.retain(|_, misses| *misses < MISSES);
        gone
    }

    /// Every end of these jobs before this instant is known; none where one of them was not looked at since the start of the program.
    pub fn known_until(&self, open: &HashMap<String, OpenJob>, began: Timestamp) -> Option<Timestamp> {
        open.keys().try_fold(began, |until, id| Some(self.sights.get(id)?.looked?.min(until)))
    }

    /// The jobs to ask for, those first that were not looked at for the longest.
    fn due(&self, sweep: &Sweep, open: &HashMap<String, OpenJob>) -> Vec<String> {
        let mut unmet: Vec<&String> = open.keys().filter(|id| !sweep.has_met(id)).collect();
        unmet.sort_unstable_by_key(|id| (self.sights.get(*id).map_or(0, |sight| sight.turn), *id));
        unmet.into_iter().cloned().collect()
    }
}

impl Intake {
    /// Asks for the open jobs that the sweep did not meet. `sample` is the id of a job that is in the list.
    pub(super) async fn look_up(
        &self,
        sweep: &Sweep,
        sample: Option<&str>,
        (record, began): (&SourceRecord, Timestamp),
        (open, hindsight): (&mut HashMap<String, OpenJob>, &mut Hindsight),
        look_ups: &mut LookUps,
    ) -> Result<(), TurnError> {
        if look_ups.works == Some(false) {
            return Ok(());
        }
        let due = look_ups.due(sweep, open);
        let many = due.len() > LOOKUPS;
        if many && !std::mem::replace(&mut look_ups.many, many) {
            tracing::info!(source = %self.name, jobs = due.len(), looked_up = LOOKUPS, "more jobs run deep in the list than are looked up in one turn: they take turns");
        }
        look_ups.many = many;
        let until = Instant::now() + self.poll_every;
        for (at, id) in due.into_iter().take(LOOKUPS).enumerate() {
            if at > 0 && Instant::now() >= until {
                break;
            }
            let found = match self.feed.find(&id).await {
                Ok(found) => {
                    look_ups.failures = 0;
                    found
                }
                Err(FeedError::Malformed(why)) => {
                    tracing::debug!(source = %self.name, %why, "jobs can't be looked up; sweeps reach back to the oldest open one instead");
                    look_ups.works = Some(false);
                    break;
                }
                Err(FeedError::Unavailable(why)) => {
                    tracing::debug!(source = %self.name, %why, "a job could not be looked up");
                    look_ups.failures += 1;
                    if look_ups.failures >= FAILURES {
                        (look_ups.works, look_ups.failures) = (Some(false), 0);
                    }
                    break;
                }
                // What was read stands, and the others have their turn first when the service takes questions again.
                Err(FeedError::Throttled { after, why }) if at > 0 => {
                    tracing::debug!(source = %self.name, %why, looked_up = at, "the service would look up no more jobs in this turn");
                    look_ups.asked = after;
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(job) = found {
                look_ups.looked_up(&id, began, true);
                self.take_in(vec![job], Vec::new(), record, open, hindsight).await?;
                continue;
            }
            // Nothing found means something only where what is in the list is found.
            if look_ups.works.is_none() {
                let works = match sample {
                    Some(sample) => self.feed.find(sample).await?.is_some(),
                    None => true,
                };
                look_ups.works = Some(works);
                if !works {
                    tracing::warn!(source = %self.name, "the feed's `search` finds no job; sweeps reach back to the oldest open one instead");
                    break;
                }
            }
            look_ups.looked_up(&id, began, false);
        }
        Ok(())
    }

    /// Stops looking for jobs that are no longer anywhere. Should one come back after all, it is taken in as in a new run.
    pub(super) async fn give_up_on(&self, gone: Vec<String>, open: &mut HashMap<String, OpenJob>) -> Result<(), StoreError> {
        let gone: HashSet<String> = gone.into_iter().filter(|id| open.contains_key(id)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.store.give_up_on(&self.name, gone.iter().cloned().collect()).await?;
        for id in gone {
            if let Some(open) = open.remove(&id) {
                // Should it come back as it was, it is to be taken in.
                self.memory.forget(&open.job);
            }
            tracing::warn!(source = %self.name, job = %id, "a job that was running is no longer in the list; its end will not be known");
        }
        Ok(())
    }
}
