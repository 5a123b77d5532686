//! The threads that own the connections. Work is handed to them as closures; none of it ever waits on anything but the disk.
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

use super::fate::{Fate, Place};
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
    queue: Option<Sender<(Survives, Write)>>,
    places: Arc<Semaphore>,
    trouble: Arc<Mutex<Option<StoreError>>>,
    fate: Fate,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on a connection that is open and migrated.
    pub fn start(connection: Connection, place: Place, fate: Fate) -> std::io::Result<Self> {
        let (queue, work) = channel();
        let trouble = Arc::new(Mutex::new(None));
        let desk = Desk { db: connection, place, fate: fate.clone(), trouble: Arc::clone(&trouble) };
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
        self.queue.as_ref().ok_or(StoreError::Closed)?.send((survives, work)).map_err(|_| StoreError::Closed)?;
        let result = answer.await.map_err(|_| StoreError::Closed)?;
        result.inspect_err(|error| self.fate.note(error))
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
}

impl Desk {
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

fn write_loop(desk: &Desk, work: &Receiver<(Survives, Write)>) {
    let mut unsynced: Option<Instant> = None;
    let mut full = true;
    let mut facts = HashMap::new();
    loop {
        let first = match unsynced {
            None => work.recv_timeout(if desk.in_trouble() { PROBE_TROUBLE_EVERY } else { PROBE_EVERY }),
            Some(since) => work.recv_timeout(SYNC_WITHIN.saturating_sub(since.elapsed())),
        };
        let mut group: Vec<(Survives, Write)> = Vec::new();
        match first {
            Ok(one) => {
                group.push(one);
                group.extend(work.try_iter().take(GROUP - 1));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                if unsynced.is_some() {
                    desk.report(commit(desk, Vec::new(), Survives::PowerCut, &mut full, &mut facts));
                }
                return;
            }
        }
        let overdue = unsynced.is_some_and(|since| since.elapsed() >= SYNC_WITHIN);
        let asked = group.iter().map(|(survives, _)| *survives).max().unwrap_or(Survives::PowerCut);
        let survives = if overdue { Survives::PowerCut } else { asked };
        let result = commit(desk, group, survives, &mut full, &mut facts);
        unsynced = match (survives, &result) {
            (Survives::ProcessDeath, Ok(())) => unsynced.or_else(|| Some(Instant::now())),
            (Survives::ProcessDeath, Err(_)) => unsynced,
            (Survives::PowerCut, Ok(())) => None,
            // The disk refused: the next try is due after another interval, not at once.
            (Survives::PowerCut, Err(_)) => unsynced.map(|_| Instant::now()),
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
        for (_, write) in group.drain(..) {
            finishes.push(write(Ok(&mut shared)));
        }
        if finishes.is_empty() {
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
    if let Err(error) = &result {
        facts.clear();
        finishes.extend(group.into_iter().map(|(_, write)| write(Err(error.clone()))));
    }
    for finish in finishes {
        finish(result.clone());
    }
    result
}

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The readers: each sees the last committed state, and none is in the writer's way.
pub struct Readers {
    queue: Option<Sender<Read>>,
    fate: Fate,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts one thread a connection.
    pub fn start(connections: Vec<Connection>, fate: Fate) -> std::io::Result<Self> {
        let (queue, work) = channel::<Read>();
        let work = Arc::new(Mutex::new(work));
        let mut threads = Vec::with_capacity(connections.len());
        for connection in connections {
            let work = Arc::clone(&work);
            threads.push(std::thread::Builder::new().name("store-reader".into()).spawn(move || {
                loop {
                    let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match next {
                        Ok(read) => read(&connection),
                        Err(_) => return,
                    }
                }
            })?);
        }
        Ok(Self { queue: Some(queue), fate, threads })
    }

    /// Runs `read` in a transaction of its own: all it sees is of one moment.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work: Read = Box::new(move |db| {
            let result = (|| {
                let moment = db.unchecked_transaction()?;
                let value = read(&moment)?;
                moment.finish()?;
                Ok::<T, rusqlite::Error>(value)
            })();
            // The caller may have gone away.
            let _ = reply.send(result.map_err(StoreError::from));
        });
        self.queue.as_ref().ok_or(StoreError::Closed)?.send(work).map_err(|_| StoreError::Closed)?;
        let result = answer.await.map_err(|_| StoreError::Closed)?;
        result.inspect_err(|error| self.fate.note(error))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
