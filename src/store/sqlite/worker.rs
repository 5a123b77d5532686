//! The thread that writes. Work is handed to it as closures; none of it ever waits on anything but the disk.
//!
//! The writer commits in groups: whatever has queued up while the last commit was on its way to the disk goes into the next
//! one, so that many small writes share one `fsync`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::{
    fate::{Fate, Place},
    ledger::{Ledger, Recorded},
    settling,
};
use crate::{
    failpoint::{self, Point},
    store::StoreError,
};

/// The most writes that wait for the writer; past that, callers wait for a place.
const QUEUE: usize = 1024;
/// The most writes in one commit.
const GROUP: usize = 256;
/// How soon writes that already survive the death of the process are made to survive a power cut as well.
const SYNC_WITHIN: Duration = Duration::from_millis(100);
/// How many pages (of 4 KiB) the log may hold that are not in the file yet; then they are folded into it.
const CHECKPOINT_PAGES: i64 = 2_000;
/// How often a writer without work makes sure that it could still write.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How often one in trouble does.
const PROBE_TROUBLE_EVERY: Duration = Duration::from_secs(1);

/// What a write must survive when its caller is told that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Survives {
    /// The death of the process; a power cut only [`SYNC_WITHIN`] later. For what a power cut may undo without loss: a
    /// lease, or the record of a send, whose message would then go out a second time.
    ProcessDeath,
    /// A power cut.
    PowerCut,
}

/// A write under way: the connection inside its transaction, and the sums it changes.
pub struct Tx<'c> {
    /// The connection.
    pub db: &'c Connection,
    tally: HashMap<(&'static str, String, String), i64>,
    facts: &'c mut HashMap<String, i64>,
}

impl Tx<'_> {
    /// Changes a running sum when this write succeeds.
    pub fn count(&mut self, what: &'static str, first: &str, second: &str, by: i64) {
        *self.tally.entry((what, first.to_owned(), second.to_owned())).or_default() += by;
    }

    /// The number of a rule's facts, written down on first sight.
    pub fn facts_id(&mut self, facts: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.facts.get(facts) {
            return Ok(*id);
        }
        self.db.prepare_cached("INSERT INTO rule_facts (facts) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([facts])?;
        let id = self.db.prepare_cached("SELECT id FROM rule_facts WHERE facts = ?1")?.query_row([facts], |row| row.get(0))?;
        if self.facts.len() >= FACTS_REMEMBERED {
            self.facts.clear();
        }
        self.facts.insert(facts.to_owned(), id);
        Ok(id)
    }
}

/// How many rules' facts the writer remembers the numbers of.
const FACTS_REMEMBERED: usize = 20_000;

/// How long accepted messages wait for a commit of their own, if no other comes: so that many share one.
const LINGER: Duration = Duration::from_millis(5);

/// What the writer is asked for.
enum Order {
    Write(Survives, Write),
    /// To put into the database, soon, what the ledger holds.
    Enter,
}

type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Gets the error instead of a group where no transaction could be begun.
type Write = Box<dyn FnOnce(Result<&mut Group<'_>, StoreError>) -> Finish + Send>;

/// The transaction that several writes share.
struct Group<'c> {
    db: &'c Connection,
    tally: HashMap<(&'static str, String, String), i64>,
    facts: &'c mut HashMap<String, i64>,
    /// Why it is no longer there, if so.
    undone: Option<StoreError>,
}

impl Group<'_> {
    /// Runs one write inside a savepoint, so that its failure costs the others nothing.
    fn attempt<T>(&mut self, write: impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.stands()?;
        self.db.prepare_cached("SAVEPOINT one")?.execute([])?;
        let mut tx = Tx { db: self.db, tally: HashMap::new(), facts: self.facts };
        let result = write(&mut tx).map_err(StoreError::from);
        let tally = tx.tally;
        match &result {
            Ok(_) => {
                for (key, by) in tally {
                    *self.tally.entry(key).or_default() += by;
                }
            }
            Err(error) => {
                // Numbers given within what was just undone are void.
                self.facts.clear();
                if self.db.is_autocommit() {
                    self.undone = Some(error.clone());
                    return result;
                }
                self.db.prepare_cached("ROLLBACK TO one")?.execute([])?;
            }
        }
        self.db.prepare_cached("RELEASE one")?.execute([])?;
        result
    }

    /// Whether the transaction is still there. The database undoes all of it when a write meets a full or broken disk: what
    /// came after would be committed by itself, and what came before be taken for done.
    fn stands(&self) -> Result<(), StoreError> {
        self.undone.clone().map_or(Ok(()), Err)
    }

    fn flush_tally(&mut self) -> Result<(), StoreError> {
        self.stands()?;
        let mut statement = self.db.prepare_cached(
            "INSERT INTO tally (what, first, second, n) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET n = n + excluded.n",
        )?;
        for ((what, first, second), by) in self.tally.drain().filter(|(_, by)| *by != 0) {
            statement.execute(rusqlite::params![what, first, second, by])?;
        }
        Ok(())
    }
}

/// The one writer.
pub struct Writer {
    queue: Option<Sender<Order>>,
    places: Arc<Semaphore>,
    trouble: Arc<Mutex<Option<StoreError>>>,
    fate: Fate,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on a connection that is open and migrated.
    pub fn start(connection: Connection, place: Place, fate: Fate, ledger: Option<Arc<Ledger>>) -> std::io::Result<Self> {
        let (queue, work) = channel();
        let trouble = Arc::new(Mutex::new(None));
        let desk = Desk { db: connection, place, fate: fate.clone(), trouble: Arc::clone(&trouble), ledger };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || write_loop(&desk, &work))?;
        Ok(Self { queue: Some(queue), places: Arc::new(Semaphore::new(QUEUE)), trouble, fate, thread: Some(thread) })
    }

    /// Runs `write` in a transaction, and returns once that is on disk as asked.
    pub async fn write<T: Send + 'static>(
        &self,
        survives: Survives,
        write: impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let work: Write = Box::new(move |group| {
            let result = group.and_then(|group| group.attempt(write));
            Box::new(move |committed| {
                // The caller may have gone away; the write stands all the same.
                let _ = reply.send(committed.and(result));
                drop(place);
            })
        });
        self.queue.as_ref().ok_or(StoreError::Closed)?.send(Order::Write(survives, work)).map_err(|_| StoreError::Closed)?;
        let result = answer.await.map_err(|_| StoreError::Closed)?;
        result.inspect_err(|error| self.fate.note(error))
    }

    /// Has what the ledger holds put into the database soon, and does not wait for it. A bell for each message would wake the
    /// thread for each: it is rung for the first that waits.
    pub fn enter(&self, recorded: Recorded) {
        if recorded == Recorded::First {
            // A writer that is gone entered everything before it went.
            let _ = self.queue.as_ref().map(|queue| queue.send(Order::Enter));
        }
    }

    /// Why the last commit failed, if it did.
    pub fn trouble(&self) -> Option<StoreError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// What the writing thread works with.
struct Desk {
    db: Connection,
    place: Place,
    fate: Fate,
    trouble: Arc<Mutex<Option<StoreError>>>,
    ledger: Option<Arc<Ledger>>,
}

impl Desk {
    fn has_waiting(&self) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| ledger.has_waiting())
    }

    fn in_trouble(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn report(&self, result: Result<(), StoreError>) {
        let mut told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&result, &*told) {
            (Err(error @ StoreError::Broken(_)), _) => self.fate.note(error),
            (Err(error), None) => tracing::error!(%error, "the store can't be written; nothing is lost, polling and sending wait for it"),
            (Ok(()), Some(_)) => tracing::info!("the store can be written again"),
            _ => {}
        }
        *told = result.err();
    }

    /// Folds the log into the file once it is long. Not left to the database, which would keep a failure of it to itself.
    fn checkpoint(&self) -> Result<(), StoreError> {
        let pages = |pragma: &str| {
            self.db.prepare_cached(pragma)?.query_row([], |row| Ok(row.get::<_, i64>(1)?.saturating_sub(row.get::<_, i64>(2)?)))
        };
        if pages("PRAGMA wal_checkpoint(NOOP)")? > CHECKPOINT_PAGES {
            pages("PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        Ok(())
    }
}

fn write_loop(desk: &Desk, work: &Receiver<Order>) {
    let mut unsynced: Option<Instant> = None;
    let mut enter_by: Option<Instant> = None;
    let mut full = true;
    let mut facts = HashMap::new();
    loop {
        let sync_by = unsynced.map(|since| since + SYNC_WITHIN);
        let first = match [sync_by, enter_by].into_iter().flatten().min() {
            None => work.recv_timeout(if desk.in_trouble() { PROBE_TROUBLE_EVERY } else { PROBE_EVERY }),
            Some(due) => work.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        let mut group: Vec<(Survives, Write)> = Vec::new();
        let mut take = |order| match order {
            Order::Write(survives, write) => group.push((survives, write)),
            Order::Enter => enter_by = enter_by.or_else(|| Some(Instant::now() + LINGER)),
        };
        let idle = matches!(first, Err(RecvTimeoutError::Timeout));
        let ended = match first {
            Ok(order) => {
                take(order);
                work.try_iter().take(GROUP - 1).for_each(take);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if ended {
            if unsynced.is_some() || desk.has_waiting() {
                desk.report(commit(desk, Vec::new(), Survives::PowerCut, &mut full, &mut facts));
            }
            if let Some(ledger) = &desk.ledger {
                ledger.close();
            }
            return;
        }
        let now = Instant::now();
        let overdue = sync_by.is_some_and(|due| due <= now);
        let probes = idle && sync_by.is_none() && enter_by.is_none();
        if group.is_empty() && !overdue && !probes && enter_by.is_none_or(|due| due > now) {
            continue;
        }
        let least = if probes { Survives::PowerCut } else { Survives::ProcessDeath };
        let asked = group.iter().map(|(survives, _)| *survives).max().unwrap_or(least);
        let survives = if overdue { Survives::PowerCut } else { asked };
        let result = commit(desk, group, survives, &mut full, &mut facts);
        // What was accepted meanwhile has rung no bell of its own.
        enter_by = desk.has_waiting().then(|| if result.is_ok() { Instant::now() + LINGER } else { now + SYNC_WITHIN });
        unsynced = match (survives, &result) {
            (Survives::ProcessDeath, Ok(())) => unsynced.or(Some(now)),
            (Survives::ProcessDeath, Err(_)) => unsynced,
            (Survives::PowerCut, Ok(())) => None,
            // The disk refused: the next try is due after another interval, not at once.
            (Survives::PowerCut, Err(_)) => unsynced.map(|_| now),
        };
        desk.report(result.and_then(|()| desk.checkpoint()));
    }
}

/// Commits a group; every member learns whether it is on disk. With `PowerCut`, even an empty group puts what was written
/// before it safely on disk.
fn commit(
    desk: &Desk,
    mut group: Vec<(Survives, Write)>,
    survives: Survives,
    full: &mut bool,
    facts: &mut HashMap<String, i64>,
) -> Result<(), StoreError> {
    let db = &desk.db;
    let mut finishes = Vec::with_capacity(group.len());
    let accepted = desk.ledger.as_ref().map(|ledger| ledger.waiting()).unwrap_or_default();
    let result = (|| {
        if let Some(error) = desk.fate.sealed() {
            return Err(error);
        }
        desk.place.check()?;
        if *full != (survives == Survives::PowerCut) {
            // In WAL mode, FULL syncs the log at each commit, NORMAL only at a checkpoint.
            db.execute_batch(if *full { "PRAGMA synchronous = NORMAL" } else { "PRAGMA synchronous = FULL" })?;
            *full = !*full;
        }
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut shared = Group { db, tally: HashMap::new(), facts, undone: None };
        // Before all else, so that a claim in this very group passes over what has been sent.
        for one in &accepted {
            shared.attempt(|tx| settling::enter(tx, one))?;
        }
        for (_, write) in group.drain(..) {
            finishes.push(write(Ok(&mut shared)));
        }
        if finishes.is_empty() && accepted.is_empty() {
            // Nothing but a real write makes the log be synced.
            shared.tally.insert(("synced", String::new(), String::new()), 1);
        }
        shared.flush_tally()?;
        db.prepare_cached("COMMIT")?.execute([])?;
        failpoint::pass(Point::GroupCommitted);
        Ok::<(), StoreError>(())
    })();
    if let Err(error) = &result {
        // Before anyone hears of it, so that no further group is tried.
        desk.fate.note(error);
    }
    if result.is_err() && !db.is_autocommit() {
        // Where even this fails, the next BEGIN does, and is told.
        let _ = db.execute_batch("ROLLBACK");
    }
    if let (Ok(()), Some(ledger)) = (&result, &desk.ledger) {
        ledger.entered(accepted.len());
    }
    if let Err(error) = &result {
        facts.clear();
        finishes.extend(group.into_iter().map(|(_, write)| write(Err(error.clone()))));
    }
    for finish in finishes {
        finish(result.clone());
    }
    result
}

#[cfg(test)]
mod tests;
