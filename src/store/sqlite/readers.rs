//! The threads that read: each sees the last committed state, and none is in the writer's way.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fate::Fate;
use crate::store::StoreError;

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
