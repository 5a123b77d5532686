//! A store in memory that dies well: each write stands whole or not at all, and a test may drop its caller between the two.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    domain::{Delivery, Job, Name, Notice},
    store::{
        AlertFilter, AlertRow, Backlogs, Claim, DeliveryFilter, DigestStore, Gathering, GaveUp, Intake, JobFilter, JobRow, Known,
        LaterQuery, Line, OldJob, OpenJob, Overdue, PastQuery, Pruned, Retry, RollUp, Settlement, SourceRecord, Store, StoreError, Tally,
        Unjudged,
    },
};

/// How long a write takes before and after it stands: the instants at which a test may kill its caller.
const WRITE: Duration = Duration::from_millis(4);

/// A job, its run, whether it has ended, and whether it waits to be judged.
type Row = (Job, u32, bool, bool);

#[derive(Default)]
struct Tables {
    record: Option<SourceRecord>,
    jobs: BTreeMap<String, Row>,
    /// The ends of earlier runs.
    earlier: Vec<Row>,
    alerts: BTreeMap<(String, u32, Name), Job>,
    raised: u64,
    quarantine: usize,
    pasts_asked: usize,
}

impl Tables {
    /// Every job as it stands, and the ends of earlier runs.
    fn runs(&self) -> impl Iterator<Item = &Row> {
        self.jobs.values().chain(&self.earlier)
    }
}

/// What `Intake` needs of a store, in memory; the rest it never asks for.
#[derive(Default)]
pub struct MemoryStore(Mutex<Tables>);

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap()
    }

    /// Every alert: the job as it stood, by id and run.
    pub fn alerts_raised(&self) -> Vec<(String, u32, Job)> {
        self.tables().alerts.iter().map(|((id, run, _), job)| (id.clone(), *run, job.clone())).collect()
    }

    /// Every alert: rule, job and run, in that order.
    pub fn told(&self) -> Vec<(String, String, u32)> {
        let tables = self.tables();
        let mut told: Vec<_> = tables.alerts.keys().map(|(id, run, rule)| (rule.to_string(), id.clone(), *run)).collect();
        told.sort();
        told
    }

    /// Every alert: rule, job and the finish time of the end that it is about.
    pub fn told_of(&self) -> Vec<(String, String, Option<Timestamp>)> {
        self.tables().alerts.iter().map(|((id, _, rule), job)| (rule.to_string(), id.clone(), job.finished)).collect()
    }

    pub fn watermark(&self) -> Option<Timestamp> {
        self.tables().record.and_then(|record| record.watermark)
    }

    pub fn open(&self) -> usize {
        self.tables().jobs.values().filter(|(.., ended, _)| !ended).count()
    }

    /// How many jobs wait to be judged.
    pub fn waiting(&self) -> usize {
        self.tables().jobs.values().filter(|(.., unjudged)| *unjudged).count()
    }

    /// How often a past was read.
    pub fn pasts_asked(&self) -> usize {
        self.tables().pasts_asked
    }

    pub fn quarantined(&self) -> usize {
        self.tables().quarantine
    }

    pub fn cut(&self) -> Option<Timestamp> {
        self.tables().record.map(|record| record.cut)
    }

    pub fn has_baseline(&self) -> bool {
        self.tables().record.is_some_and(|record| record.baseline)
    }

    async fn write<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> T {
        tokio::time::sleep(WRITE).await;
        let result = change(&mut self.tables());
        tokio::time::sleep(WRITE).await;
        result
    }
}

fn ended((job, run, ..): &Row) -> Unjudged {
    let at = job.finished.or(job.started).unwrap_or(Timestamp::MIN);
    Unjudged { job: Arc::new(job.clone()), run: *run, at }
}

impl DigestStore for MemoryStore {}

impl Backlogs for MemoryStore {}

#[async_trait]
impl Store for MemoryStore {
    async fn open_source(&self, _: &Name, cut: Timestamp) -> Result<SourceRecord, StoreError> {
        let new = SourceRecord { cut, baseline: false, watermark: None, pruned: None };
        Ok(self.write(|tables| *tables.record.get_or_insert(new)).await)
    }

    async fn end_sweep(&self, _: &Name, watermark: Option<Timestamp>) -> Result<(), StoreError> {
        self.write(|tables| {
            if let Some(record) = &mut tables.record {
                record.baseline = true;
                record.watermark = record.watermark.max(watermark);
            }
        })
        .await;
        Ok(())
    }

    async fn known(&self, _: &Name, ids: Vec<String>) -> Result<Vec<Option<Known>>, StoreError> {
        let tables = self.tables();
        let known = |id: &String| {
            tables.jobs.get(id).map(|(job, run, ended, unjudged)| Known {
                run: *run,
                state: job.state,
                finished: job.finished,
                ended: *ended,
                unjudged: *unjudged,
            })
        };
        Ok(ids.iter().map(known).collect())
    }

    async fn alerted(&self, _: &Name, job_id: &str, run: u32) -> Result<Vec<Name>, StoreError> {
        let tables = self.tables();
        Ok(tables.alerts.keys().filter(|(id, of, _)| id == job_id && *of == run).map(|(.., rule)| rule.clone()).collect())
    }

    async fn unjudged(&self, _: &Name, until: Timestamp, most: u32) -> Result<Vec<Unjudged>, StoreError> {
        let tables = self.tables();
        let waiting = tables.jobs.values().filter(|(.., unjudged)| *unjudged);
        let mut found: Vec<Unjudged> = waiting.map(ended).filter(|one| one.at <= until).collect();
        found.sort_by(|a, b| (a.at, &a.job.id).cmp(&(b.at, &b.job.id)));
        found.truncate(most as usize);
        Ok(found)
    }

    async fn judged_later(&self, query: LaterQuery) -> Result<Vec<Unjudged>, StoreError> {
        let tables = self.tables();
        let mut found: Vec<Unjudged> = tables
            .runs()
            .filter(|(job, _, ended, unjudged)| *ended && !unjudged && job.finished.is_some() && job.profile == query.profile)
            .map(ended)
            .filter(|one| (one.at, &one.job.id) > (query.than.at, &query.than.id) && one.at > query.since)
            .collect();
        found.sort_by(|a, b| (a.at, &a.job.id).cmp(&(b.at, &b.job.id)));
        found.truncate(query.most as usize);
        Ok(found)
    }

    async fn past(&self, query: PastQuery) -> Result<Vec<Arc<Job>>, StoreError> {
        let mut tables = self.tables();
        tables.pasts_asked += 1;
        let ended = tables.runs().filter(|(job, _, ended, _)| *ended && job.profile == query.profile).map(|(job, ..)| job);
        let before = (query.before.at, &query.before.id);
        let mut found: Vec<Arc<Job>> =
            ended.filter(|job| job.finished.is_some_and(|at| (at, &job.id) < before)).cloned().map(Arc::new).collect();
        found.sort_by(|a, b| (b.finished, &b.id).cmp(&(a.finished, &a.id)));
        let within = found.partition_point(|job| query.since.is_some_and(|since| job.finished >= Some(since)));
        found.truncate((within + query.jobs as usize).min(query.most as usize));
        Ok(found)
    }

    async fn open_jobs(&self, _: &Name) -> Result<Vec<OpenJob>, StoreError> {
        let tables = self.tables();
        let alerted = |job: &Job, run: u32| {
            let of_it = tables.alerts.keys().filter(|(id, of, _)| *id == job.id && *of == run);
            of_it.map(|(.., rule)| rule.clone()).collect()
        };
        let open = tables.jobs.values().filter(|(.., ended, _)| !ended);
        Ok(open.map(|(job, run, ..)| OpenJob { job: job.clone(), run: *run, alerted: alerted(job, *run) }).collect())
    }

    async fn give_up_on(&self, _: &Name, ids: Vec<String>) -> Result<(), StoreError> {
        self.write(|tables| {
            for id in ids {
                if let Some((.., ended, _)) = tables.jobs.get_mut(&id) {
                    *ended = true;
                }
            }
        })
        .await;
        Ok(())
    }

    async fn take_in(&self, intake: Intake) -> Result<(), StoreError> {
        self.write(|tables| {
            for change in intake.jobs {
                let job = (*change.job).clone();
                let ended = job.is_final();
                if let Some(before) = tables.jobs.get(&job.id).filter(|(before, run, ..)| *run < change.run && before.is_final()) {
                    tables.earlier.push(before.clone());
                }
                let waits = tables.jobs.get(&job.id).is_some_and(|(.., unjudged)| *unjudged) && ended;
                tables.jobs.insert(job.id.clone(), (job, change.run, ended, change.unjudged || waits));
            }
            for alert in intake.alerts {
                tables.raised += 1;
                tables.alerts.entry((alert.job.id.clone(), alert.run, alert.rule)).or_insert_with(|| (*alert.job).clone());
            }
            for id in intake.judged {
                if let Some((.., unjudged)) = tables.jobs.get_mut(&id) {
                    *unjudged = false;
                }
            }
            tables.quarantine += intake.unreadable.len();
        })
        .await;
        Ok(())
    }

    async fn let_through(&self, _: &Name, _: u32) -> Result<Vec<Timestamp>, StoreError> {
        Ok(Vec::new())
    }

    async fn held_rules(&self) -> Result<Vec<Name>, StoreError> {
        Ok(Vec::new())
    }

    async fn roll_up(&self, _: &Name, _: Timestamp) -> Result<RollUp, StoreError> {
        unreachable!("intake makes no roll-ups")
    }

    async fn gathering(&self) -> Result<Vec<Gathering>, StoreError> {
        unreachable!("intake sends no groups")
    }

    async fn send_group(&self, _: &Name, _: &str, _: Timestamp) -> Result<RollUp, StoreError> {
        unreachable!("intake sends no groups")
    }

    async fn hold_group(&self, _: &Name, _: &str) -> Result<usize, StoreError> {
        unreachable!("intake sends no groups")
    }

    async fn line(&self, _: &Name) -> Result<Line, StoreError> {
        unreachable!("intake sends nothing")
    }

    async fn give_up(&self, _: Overdue) -> Result<GaveUp, StoreError> {
        unreachable!("intake sends nothing")
    }

    async fn claim(&self, _: &Name, _: Timestamp, _: u32) -> Result<Claim, StoreError> {
        unreachable!("intake claims nothing")
    }

    async fn settle(&self, _: Settlement) -> Result<(), StoreError> {
        unreachable!("intake settles nothing")
    }

    async fn tell(&self, _: Notice, _: Vec<Name>, _: Timestamp) -> Result<bool, StoreError> {
        unreachable!("intake tells nothing")
    }

    async fn told(&self) -> Result<std::collections::BTreeMap<String, Timestamp>, StoreError> {
        unreachable!("intake tells nothing")
    }

    async fn old_jobs(&self, _: &Name, _: Timestamp, after: OldJob, _: u32) -> Result<(Vec<String>, OldJob), StoreError> {
        Ok((Vec::new(), after))
    }

    async fn note_listed(&self, _: &Name, _: Vec<(String, bool)>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn prune(&self, _: &Name, _: Timestamp) -> Result<Pruned, StoreError> {
        Ok(Pruned::default())
    }

    async fn retry(&self, _: Retry, _: Timestamp) -> Result<usize, StoreError> {
        unreachable!("intake retries nothing")
    }

    async fn history(&self, _: Timestamp, _: Option<(Name, String, u32)>, _: u32) -> Result<Vec<(Job, u32)>, StoreError> {
        unreachable!("intake lists nothing")
    }

    async fn jobs(&self, _: JobFilter) -> Result<Vec<JobRow>, StoreError> {
        unreachable!("intake lists nothing")
    }

    async fn alerts(&self, _: AlertFilter) -> Result<Vec<AlertRow>, StoreError> {
        unreachable!("intake lists nothing")
    }

    async fn deliveries(&self, _: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        unreachable!("intake lists nothing")
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        unreachable!("intake sums up nothing")
    }

    fn trouble(&self) -> Option<StoreError> {
        None
    }
}
