//! One page taken in: what is new about it, which rules match, and the one transaction that writes it all.

use std::{
    collections::{HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::time::Instant;

use super::{
    Intake,
    advance::{Step, advance},
    hindsight::Hindsight,
    look_up::LookUps,
};
use crate::{
    domain::{Job, Name},
    failpoint::{self, Point},
    health::Topic,
    rules::Rule,
    source::BadRow,
    store::{self, Gather, JobChange, Known, NewAlert, OpenJob, SourceRecord, StoreError},
};

/// How many jobs are known without asking the store, over all sources: a hundred pages of a thousand. Past that, the least
/// used cost a query again, and nothing else.
const REMEMBERED: u64 = 100_000;

/// Jobs as they were last taken in, in front of the store: a page of known jobs costs no query. Holds hashes only.
#[derive(Clone)]
pub struct Memory(Cache<u64, u64>);

impl Default for Memory {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Memory {
    /// Whether this very sighting has been taken in. Two jobs are mistaken for one another only if two independent 64-bit
    /// hashes agree.
    fn holds(&self, job: &Job) -> bool {
        self.0.get(&hash(job, false)) == Some(hash(job, true))
    }

    /// Has the next sighting of a job be taken in, whatever it shows.
    pub(super) fn forget(&self, job: &Job) {
        self.0.invalidate(&hash(job, false));
    }

    fn put(&self, job: &Job) {
        self.0.insert(hash(job, false), hash(job, true));
    }
}

fn hash(job: &Job, whole: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    whole.hash(&mut hasher);
    (job.source.as_str(), &job.id).hash(&mut hasher);
    if whole {
        (job.state, job.kind, job.category, job.started, job.finished, &job.profile).hash(&mut hasher);
        if !job.extension.is_null() {
            job.extension.to_string().hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// What one page comes to, before it is written.
#[derive(Default)]
pub(super) struct Judged {
    pub changes: Vec<JobChange>,
    pub alerts: Vec<NewAlert>,
    /// The jobs that no longer wait to be judged.
    pub done: Vec<String>,
}

impl Intake {
    /// Takes a page in. Whatever of it is known already costs nothing.
    pub(super) async fn take_in(
        &self,
        jobs: Vec<Job>,
        bad: Vec<BadRow>,
        record: &SourceRecord,
        open: &mut HashMap<String, OpenJob>,
        hindsight: &mut Hindsight,
    ) -> Result<(), StoreError> {
        let mut met = HashSet::new();
        let mut fresh: Vec<Arc<Job>> =
            jobs.into_iter().filter(|job| !self.memory.holds(job) && met.insert(job.id.clone())).map(Arc::new).collect();
        // The list has the newest first; people are told things in the order in which they happened.
        fresh.sort_by_key(|job| job.finished.or(job.started));
        let unreadable: Vec<BadRow> = bad.into_iter().filter(|row| !self.has_told(row)).collect();
        if fresh.is_empty() && unreadable.is_empty() {
            return Ok(());
        }
        let known = self.store.known(&self.name, fresh.iter().map(|job| job.id.clone()).collect()).await?;
        if fresh.iter().zip(&known).any(|(job, known)| known.is_some_and(|known| overwrites(known, job, record))) {
            // The end that waits is judged as it stood, while it is still there.
            self.judge_waiting(hindsight, record, Timestamp::MAX).await?;
        }
        let mut judged = Judged::default();
        for (job, known) in fresh.iter().zip(known) {
            if let Some(known) = known.filter(|known| known.ended && advance(Some(*known), job, record) == Step::Judge { run: known.run }) {
                hindsight.corrected(job, &known);
            }
            self.judge(job, known, record, &mut judged).await?;
        }
        let changes = judged.changes.clone();
        self.write(judged, &unreadable).await?;
        for change in changes {
            self.memory.put(&change.job);
            hindsight.changed(&change.job.profile);
            if change.unjudged {
                hindsight.marked(Instant::now());
            } else {
                hindsight.noted(&change.job, Instant::now());
            }
            if change.job.is_final() {
                open.remove(&change.job.id);
            } else {
                let alerted = match open.remove(&change.job.id) {
                    Some(before) if before.run == change.run => before.alerted,
                    _ => Vec::new(),
                };
                open.insert(change.job.id.clone(), OpenJob { job: (*change.job).clone(), run: change.run, alerted });
            }
        }
        if !self.habits.wait_for_past {
            self.judge_waiting(hindsight, record, Timestamp::MAX).await?;
        }
        for row in unreadable {
            tracing::warn!(source = %self.name, why = %row.why, "a row of the list can't be read; it is kept as it came, the others go on");
            self.metrics.unreadable(&self.name);
            self.health.trouble(Topic::RowsUnreadable(self.name.clone()), &row.why, self.clock.now());
            self.remember_told(&row);
        }
        Ok(())
    }

    async fn judge(&self, job: &Arc<Job>, known: Option<Known>, record: &SourceRecord, judged: &mut Judged) -> Result<(), StoreError> {
        let (run, newly_final) = match advance(known, job, record) {
            Step::Note { run } => (run, false),
            Step::Judge { run } => (run, true),
        };
        let mark = record.watermark.filter(|_| record.baseline).and_then(|mark| mark.checked_sub(self.habits.look_back).ok());
        if known.is_none() && mark.is_some_and(|mark| job.started.is_some_and(|started| started < mark)) {
            self.metrics.found_late(&self.name);
            tracing::info!(source = %self.name, job = %job.id, "a job showed up in the list later than the look-back reaches");
        }
        judged.changes.push(JobChange { job: Arc::clone(job), run, newly_final, unjudged: newly_final && self.rules.looks_back() });
        if !newly_final {
            return Ok(());
        }
        let matched = self.rules.judge(job, self.clock.now());
        // Only a run met before can have been alerted on.
        let alerted = match known {
            Some(known) if known.run == run && !matched.is_empty() => self.store.alerted(&self.name, &job.id, run).await?,
            _ => Vec::new(),
        };
        judged.alerts.extend(matched.iter().filter(|rule| !alerted.contains(&rule.name)).map(|rule| alert(rule, job, run)));
        Ok(())
    }

    /// Judges the jobs that still run by the rules that watch them, by their age when they were last seen to: one that was not asked
    /// for in this turn may have ended. That time is of the clock that dated its start: the machine's own may be years off.
    pub(super) async fn judge_running(
        &self,
        open: &mut HashMap<String, OpenJob>,
        hindsight: &mut Hindsight,
        look_ups: &LookUps,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.rules.watches_running() {
            return Ok(());
        }
        if self.rules.looks_back() {
            self.recall(hindsight, open.values().map(|open| &open.job), now).await?;
        }
        let mut judged = Judged::default();
        for (id, job) in &*open {
            let Some(ran) = look_ups.ran(id) else { continue };
            let mut matched = self.rules.judge(&job.job, ran);
            matched.extend(self.judge_running_by_past(hindsight, &job.job, ran));
            let new: Vec<&Arc<Rule>> = matched.iter().filter(|rule| !job.alerted.contains(&rule.name)).collect();
            if !new.is_empty() {
                let shared = Arc::new(job.job.clone());
                judged.alerts.extend(new.into_iter().map(|rule| alert(rule, &shared, job.run)));
            }
        }
        let raised: Vec<(String, Name)> = judged.alerts.iter().map(|alert| (alert.job.id.clone(), alert.rule.clone())).collect();
        if raised.is_empty() {
            return Ok(());
        }
        self.write(judged, &[]).await?;
        for (id, rule) in raised {
            if let Some(job) = open.get_mut(&id) {
                job.alerted.push(rule);
            }
        }
        Ok(())
    }

    /// The one transaction. The limits are held until it is on disk.
    pub(super) async fn write(&self, mut judged: Judged, unreadable: &[BadRow]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut buckets = if judged.alerts.is_empty() { None } else { Some(self.limits.lock().await) };
        if let Some(buckets) = &mut buckets {
            // A group asks for its one message when it is complete.
            for alert in judged.alerts.iter_mut().filter(|alert| alert.gather.is_none()) {
                alert.held = !buckets.admit(&alert.rule, now);
            }
        }
        let told: Vec<(Name, Arc<Job>, bool)> =
            judged.alerts.iter().map(|a| (a.rule.clone(), Arc::clone(&a.job), a.held || a.gather.is_some())).collect();
        let channels: HashSet<Name> =
            judged.alerts.iter().filter(|a| !a.held && a.gather.is_none()).flat_map(|a| a.notify.iter().cloned()).collect();
        let intake = store::Intake {
            source: self.name.clone(),
            now,
            jobs: judged.changes,
            alerts: judged.alerts,
            judged: judged.done,
            rules_version: self.rules.version().into(),
            unreadable: unreadable.iter().map(|row| (row.why.clone(), row.raw.clone())).collect(),
        };
        failpoint::pass(Point::PageJudged);
        self.store.take_in(intake).await?;
        failpoint::pass(Point::PageCommitted);
        drop(buckets);
        for channel in channels {
            self.wake.channel(&channel);
        }
        if told.iter().any(|(.., held)| *held) {
            self.limits.tell_held();
        }
        for (rule, job, held) in told {
            tracing::info!(source = %self.name, %rule, job = %job.id, profile = %job.profile, state = %job.state.name(), held, "alert");
        }
        Ok(())
    }

    fn has_told(&self, row: &BadRow) -> bool {
        let (key, whole) = self.row_hashes(row);
        self.memory.0.get(&key) == Some(whole)
    }

    fn remember_told(&self, row: &BadRow) {
        let (key, whole) = self.row_hashes(row);
        self.memory.0.insert(key, whole);
    }

    fn row_hashes(&self, row: &BadRow) -> (u64, u64) {
        let hash = |salt: &str| {
            let mut hasher = DefaultHasher::new();
            (salt, self.name.as_str(), &row.raw).hash(&mut hasher);
            hasher.finish()
        };
        (hash("row"), hash("whole row"))
    }
}

/// Whether taking this sighting in leaves nothing of an end that waits to be judged.
fn overwrites(known: Known, seen: &Job, record: &SourceRecord) -> bool {
    known.unjudged && (advance(Some(known), seen, record).run() != known.run || known.state != seen.state)
}

pub(super) fn alert(rule: &Rule, job: &Arc<Job>, run: u32) -> NewAlert {
    NewAlert {
        rule: rule.name.clone(),
        facts: Arc::clone(&rule.facts),
        job: Arc::clone(job),
        run,
        notify: rule.notify.clone(),
        held: false,
        gather: rule.group.as_ref().map(|group| Gather { key: group.key(job), wait: group.wait }),
    }
}
