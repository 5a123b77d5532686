//! The threads that read: each sees the last committed state, and none is in the writer's way.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::fate::Fate;
use crate::store::StoreError;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// After so many steps of the database's machine it is looked at the clock: some tens of microseconds.
const STEPS: i32 = 10_000;

/// The readers: each sees the last committed state, and none is in the writer's way.
pub struct Readers {
    queue: Option<Sender<Read>>,
    fate: Fate,
    within: Option<Duration>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts one thread a connection. What takes longer than `within` is broken off.
    pub fn start(connections: Vec<Connection>, fate: Fate, within: Option<Duration>) -> std::io::Result<Self> {
        let (queue, work) = channel::<Read>();
        let work = Arc::new(Mutex::new(work));
        let mut threads = Vec::with_capacity(connections.len());
        for mut connection in connections {
            let work = Arc::clone(&work);
            let began = Arc::new(Mutex::new(Instant::now()));
            if let Some(within) = within {
                let began = Arc::clone(&began);
                let late = move || began.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > within;
                connection.progress_handler(STEPS, Some(late)).map_err(std::io::Error::other)?;
            }
            threads.push(std::thread::Builder::new().name("store-reader".into()).spawn(move || {
                loop {
                    let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match next {
                        Ok(read) => {
                            *began.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                            read(&connection);
                        }
                        Err(_) => return,
                    }
                }
            })?);
        }
        Ok(Self { queue: Some(queue), fate, within, threads })
    }

    /// Runs `read` in a transaction of its own: all it sees is of one moment.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let within = self.within;
        let work: Read = Box::new(move |db| {
            if reply.is_closed() {
                // Whoever asked has gone away.
                return;
            }
            let result = (|| {
                let moment = db.unchecked_transaction()?;
                let value = read(&moment)?;
                moment.finish()?;
                Ok::<T, rusqlite::Error>(value)
            })();
            // He may have gone away meanwhile.
            let _ = reply.send(result.map_err(|error| {
                let broken_off = error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted);
                within.filter(|_| broken_off).map_or_else(|| StoreError::from(error), StoreError::TooSlow)
            }));
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
mod tests {
    use super::*;

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    fn count(db: &Connection, sql: &str) -> rusqlite::Result<i64> {
        db.query_row(sql, [], |row| row.get(0))
    }

    #[tokio::test]
    async fn what_takes_too_long_is_broken_off_and_holds_up_no_one_after_it() {
        let within = Duration::from_millis(50);
        let readers = Readers::start(vec![Connection::open_in_memory().unwrap()], Fate::default(), Some(within)).unwrap();
        assert_eq!(readers.read(|db| count(db, ENDLESS)).await, Err(StoreError::TooSlow(within)));
        assert_eq!(readers.read(|db| count(db, "SELECT 7")).await, Ok(7));
    }

    #[tokio::test]
    async fn what_no_one_waits_for_any_more_is_not_looked_for() {
        let readers = Readers::start(vec![Connection::open_in_memory().unwrap()], Fate::default(), None).unwrap();
        let (hold, held) = channel::<()>();
        let busy = readers.read(move |_| {
            held.recv().unwrap();
            Ok(())
        });
        let given_up = readers.read(|_| -> rusqlite::Result<()> { panic!("it is looked for") });
        let (busy, ()) = tokio::join!(busy, async {
            // Asked while the thread is busy, and given up before its turn.
            assert!(tokio::time::timeout(Duration::from_millis(10), given_up).await.is_err());
            hold.send(()).unwrap();
        });
        assert_eq!((busy, readers.read(|db| count(db, "SELECT 7")).await), (Ok(()), Ok(7)));
    }
}
