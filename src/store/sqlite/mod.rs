//! The embedded store: one `SQLite` file in WAL mode, one writer, a few readers. All that is `SQLite`'s own is in this folder.

mod backlog;
mod days;
mod digests;
mod fate;
mod file;
mod folding;
mod inspection;
mod intake;
mod keeping;
mod ledger;
mod line;
mod lists;
mod outbox;
mod overview;
mod past;
mod readers;
mod runs;
mod schema;
mod settling;
mod story;
mod watches;
mod worker;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::ErrorCode;

use super::{
    AlertFilter, AlertRow, Claim, DeliveryFilter, Gathering, GaveUp, Intake, JobFilter, JobRow, Known, LaterQuery, Line, OldJob, OpenJob,
    Overdue, PastQuery, Pruned, Retry, RollUp, Settlement, SourceRecord, Store, StoreError, Tally, Unjudged, Verdict,
};
use crate::domain::{Delivery, Job, Name, Notice};
use fate::{Fate, Place, RESTORE};
use file::{beside, connect, lock, make};
use inspection::Inspection;
use ledger::{Ledger, Recorded};
use readers::Readers;
use schema::MigrateError;
use worker::{Survives, Writer};

/// Threads that read: one may be busy with a long list while another serves the loops.
const READERS: usize = 2;
/// How long a service looks for one list or sum: whoever asks over the network must not hold up whoever asks after him. A
/// command, whose reader waits at a terminal, takes its time.
pub const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A running service holds it.
    #[error("another jobrelay is running on {}: stop it first, or give this one a `storage.url` of its own", .0.display())]
    InUse(PathBuf),
    /// It does not exist, and the command does not make one.
    #[error("there is no store at {}: has `jobrelay run` ever run with this config?", .0.display())]
    Missing(PathBuf),
    /// It is no database, or no longer a sound one.
    #[error("the store {} is damaged ({why}): {RESTORE}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The database's words.
        why: String,
    },
    /// Anything else.
    #[error("can't open the store {}: {why}", .path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// How to open the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The service: makes the file if it is missing, and is its only service.
    Service,
    /// A command beside a service that may be running: lists, and makes deliveries pending again. It never changes the schema.
    Beside,
}

/// The store in one `SQLite` file.
pub struct Sqlite {
    // Dropped in this order: the writer's last commit comes before the lock is let go.
    writer: Writer,
    readers: Readers,
    /// For lists and sums, so that no long one is in the loops' way.
    lookers: Readers,
    _inspection: Option<Inspection>,
    fate: Fate,
    /// What was accepted and is not yet in the tables; only a service sends.
    ledger: Option<Arc<Ledger>>,
    _lock: Option<File>,
    /// Names this process in leases.
    holder: String,
}

impl Sqlite {
    /// Opens the file.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, access: Access) -> Result<Self, OpenError> {
        let failed = |why: String| OpenError::Failed { path: path.to_owned(), why };
        let lock = match access {
            Access::Service => Some(lock(path)?),
            Access::Beside if path.exists() => None,
            Access::Beside => return Err(OpenError::Missing(path.to_owned())),
        };
        let database = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                OpenError::Damaged { path: path.to_owned(), why: error.to_string() }
            }
            _ => failed(error.to_string()),
        };
        if access == Access::Service {
            make(path).map_err(|error| failed(error.to_string()))?;
        }
        let quick = inspection::is_quick(path);
        let mut connection = connect(path, true).map_err(database)?;
        if access == Access::Service && quick {
            // Before the schema is touched: a step may rewrite what damage has left.
            if let Some(why) = inspection::damage(&connection).map_err(database)? {
                return Err(OpenError::Damaged { path: path.to_owned(), why });
            }
        }
        schema::open(&mut connection, access == Access::Service).map_err(|error| match error {
            MigrateError::Database(error) => database(error),
            // A service has only just made it.
            MigrateError::Older { found: 0, .. } => OpenError::Missing(path.to_owned()),
            MigrateError::Newer { .. } | MigrateError::Older { .. } => failed(error.to_string()),
        })?;
        if access == Access::Service {
            // With the lock held, whoever leased these is dead. That they were handed out is still to be told: see `backlog`.
            connection
                .execute("UPDATE notification SET holder = NULL WHERE state = 'pending' AND holder IS NOT NULL", [])
                .map_err(database)?;
        }
        let started = |error: std::io::Error| failed(error.to_string());
        let fate = Fate::default();
        let inspection = match access {
            Access::Service if !quick => Some(Inspection::start(connect(path, false).map_err(database)?, fate.clone()).map_err(started)?),
            Access::Service | Access::Beside => None,
        };
        let readers = (0..READERS).map(|_| connect(path, false)).collect::<Result<Vec<_>, _>>().map_err(database)?;
        let readers = Readers::start(readers, fate.clone(), None).map_err(started)?;
        let within = (access == Access::Service).then_some(LOOK_WITHIN);
        let lookers = Readers::start(vec![connect(path, false).map_err(database)?], fate.clone(), within).map_err(started)?;
        let place = Place::of(path).map_err(started)?;
        let ledger = match access {
            Access::Service => Some(Arc::new(Ledger::open(&beside(path, "-sent")).map_err(started)?)),
            Access::Beside => None,
        };
        let writer = Writer::start(connection, place, fate.clone(), ledger.clone()).map_err(started)?;
        writer.enter(Recorded::First);
        Ok(Self {
            writer,
            readers,
            lookers,
            _inspection: inspection,
            fate,
            ledger,
            _lock: lock,
            holder: format!("{:016x}", rand::random::<u64>()),
        })
    }

    /// Waits until what was accepted so far is in the tables, so that whoever reads them finds what he has been told. A store
    /// that can't be written can be read all the same: its sums hold, they are only a little old.
    async fn entered(&self) {
        if self.ledger.as_ref().is_some_and(|ledger| ledger.has_waiting()) {
            let _ = self.writer.write(Survives::ProcessDeath, |_| Ok(())).await;
        }
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn open_source(&self, name: &Name, cut: Timestamp) -> Result<SourceRecord, StoreError> {
        let name = name.clone();
        self.writer.write(Survives::PowerCut, move |tx| intake::open_source(tx, &name, cut)).await
    }

    async fn end_sweep(&self, name: &Name, watermark: Option<Timestamp>) -> Result<(), StoreError> {
        let name = name.clone();
        // Losing this to a power cut moves the watermark back: the next sweep reads a little more.
        self.writer.write(Survives::ProcessDeath, move |tx| intake::end_sweep(tx, &name, watermark)).await
    }

    async fn known(&self, source: &Name, ids: Vec<String>) -> Result<Vec<Option<Known>>, StoreError> {
        let source = source.clone();
        self.readers.read(move |db| intake::known(db, &source, &ids)).await
    }

    async fn alerted(&self, source: &Name, job_id: &str, run: u32) -> Result<Vec<Name>, StoreError> {
        let (source, job_id) = (source.clone(), job_id.to_owned());
        self.readers.read(move |db| intake::alerted(db, &source, &job_id, run)).await
    }

    async fn unjudged(&self, source: &Name, until: Timestamp, most: u32) -> Result<Vec<Unjudged>, StoreError> {
        let source = source.clone();
        self.readers.read(move |db| past::unjudged(db, &source, until, most)).await
    }

    async fn judged_later(&self, query: LaterQuery) -> Result<Vec<Unjudged>, StoreError> {
        self.readers.read(move |db| past::judged_later(db, &query)).await
    }

    async fn past(&self, query: PastQuery) -> Result<Vec<Arc<Job>>, StoreError> {
        self.readers.read(move |db| past::past(db, &query)).await
    }

    async fn open_jobs(&self, source: &Name) -> Result<Vec<OpenJob>, StoreError> {
        let source = source.clone();
        self.readers.read(move |db| intake::open_jobs(db, &source)).await
    }

    async fn give_up_on(&self, source: &Name, ids: Vec<String>) -> Result<(), StoreError> {
        let source = source.clone();
        self.writer.write(Survives::PowerCut, move |tx| intake::give_up_on(tx, &source, &ids)).await
    }

    async fn take_in(&self, intake: Intake) -> Result<(), StoreError> {
        self.writer.write(Survives::PowerCut, move |tx| intake::take_in(tx, &intake)).await
    }

    async fn let_through(&self, rule: &Name, most: u32) -> Result<Vec<Timestamp>, StoreError> {
        let rule = rule.clone();
        self.readers.read(move |db| folding::let_through(db, &rule, most)).await
    }

    async fn held_rules(&self) -> Result<Vec<Name>, StoreError> {
        self.readers.read(folding::held_rules).await
    }

    async fn roll_up(&self, rule: &Name, now: Timestamp) -> Result<RollUp, StoreError> {
        let rule = rule.clone();
        self.writer.write(Survives::PowerCut, move |tx| folding::roll_up(tx, &rule, now)).await
    }

    async fn gathering(&self) -> Result<Vec<Gathering>, StoreError> {
        self.readers.read(folding::gathering).await
    }

    async fn send_group(&self, rule: &Name, key: &str, now: Timestamp) -> Result<RollUp, StoreError> {
        let (rule, key) = (rule.clone(), key.to_owned());
        self.writer.write(Survives::PowerCut, move |tx| folding::send_group(tx, &rule, &key, now)).await
    }

    async fn hold_group(&self, rule: &Name, key: &str) -> Result<usize, StoreError> {
        let (rule, key) = (rule.clone(), key.to_owned());
        self.writer.write(Survives::PowerCut, move |tx| folding::hold_group(tx, &rule, &key)).await
    }

    async fn line(&self, channel: &Name) -> Result<Line, StoreError> {
        let channel = channel.clone();
        self.readers.read(move |db| line::read(db, &channel)).await
    }

    async fn give_up(&self, overdue: Overdue) -> Result<GaveUp, StoreError> {
        self.writer.write(Survives::ProcessDeath, move |tx| line::give_up(tx, &overdue)).await
    }

    async fn claim(&self, channel: &Name, now: Timestamp, most: u32) -> Result<Claim, StoreError> {
        // A look before the write: a channel with nothing to do writes nothing.
        let (name, holder) = (channel.clone(), self.holder.clone());
        match self.readers.read(move |db| outbox::first_due(db, &name, &holder, now)).await? {
            Claim::Ready(_) => {}
            nothing => return Ok(nothing),
        }
        let (name, holder) = (channel.clone(), self.holder.clone());
        let claim = self.writer.write(Survives::ProcessDeath, move |tx| outbox::claim(tx, &name, &holder, now, most)).await?;
        if let (Claim::Ready(batch), Some(ledger)) = (&claim, &self.ledger) {
            ledger.claimed(batch.iter().map(|notification| (notification.id, notification.key.clone())));
        }
        Ok(claim)
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        if let Some(ledger) = &self.ledger {
            if let Some(recorded) = ledger.record(&settlement) {
                self.writer.enter(recorded);
                return Ok(());
            }
            if settlement.verdict != Verdict::Underway {
                ledger.settled_otherwise(settlement.id);
            }
        }
        self.writer.write(Survives::ProcessDeath, move |tx| settling::settle(tx, &settlement)).await
    }

    async fn tell(&self, notice: Notice, channels: Vec<Name>, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.write(Survives::PowerCut, move |tx| keeping::tell(tx, &notice, &channels, now)).await
    }

    async fn told(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.readers.read(keeping::told).await
    }

    async fn old_jobs(&self, source: &Name, before: Timestamp, after: OldJob, most: u32) -> Result<(Vec<String>, OldJob), StoreError> {
        let source = source.clone();
        self.readers.read(move |db| keeping::old_jobs(db, &source, before, &after, most)).await
    }

    async fn note_listed(&self, source: &Name, jobs: Vec<(String, bool)>) -> Result<(), StoreError> {
        let source = source.clone();
        // Losing this to a power cut keeps jobs a little longer.
        self.writer.write(Survives::ProcessDeath, move |tx| keeping::note_listed(tx, &source, &jobs)).await
    }

    async fn prune(&self, source: &Name, before: Timestamp) -> Result<Pruned, StoreError> {
        let source = source.clone();
        self.writer.write(Survives::ProcessDeath, move |tx| keeping::prune(tx, &source, before)).await
    }

    async fn retry(&self, which: Retry, _: Timestamp) -> Result<usize, StoreError> {
        self.writer.write(Survives::PowerCut, move |tx| settling::retry(tx, which)).await
    }

    async fn history(&self, since: Timestamp, after: Option<(Name, String, u32)>, most: u32) -> Result<Vec<(Job, u32)>, StoreError> {
        self.readers.read(move |db| lists::history(db, since, after.as_ref(), most)).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRow>, StoreError> {
        self.lookers.read(move |db| lists::jobs(db, &filter)).await
    }

    async fn alerts(&self, filter: AlertFilter) -> Result<Vec<AlertRow>, StoreError> {
        self.entered().await;
        self.lookers.read(move |db| lists::alerts(db, &filter)).await
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        self.entered().await;
        self.lookers.read(move |db| lists::deliveries(db, &filter)).await
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        self.entered().await;
        self.readers.read(lists::tally).await
    }

    fn trouble(&self) -> Option<StoreError> {
        self.writer.trouble()
    }

    async fn broken(&self) -> StoreError {
        self.fate.wait().await
    }
}
