//! The search for damage at the start: the whole of a small file before anything is done with it, a large one's beside the work.

use std::{fs, path::Path, thread::JoinHandle};

use rusqlite::{Connection, InterruptHandle};

use super::fate::{Fate, RESTORE, log};
use crate::store::StoreError;

/// A file up to this size, its log counted in, is read through before the start: that takes some 10 ms.
const AT_ONCE_BYTES: u64 = 4 << 20;

/// The database's own words for the first fault of the file, its indexes held against its tables.
///
/// # Errors
/// It could not be searched.
pub fn damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    search(connection, "PRAGMA integrity_check(1)")
}

fn search(connection: &Connection, pragma: &str) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row(pragma, [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

/// Whether the file is small enough to be searched before the start.
pub fn is_quick(path: &Path) -> bool {
    let size = |file: &Path| fs::metadata(file).map_or(0, |data| data.len());
    size(path) + size(&log(path)) <= AT_ONCE_BYTES
}

/// For large files: reads every page once, and leaves out what costs many times that.
const QUICK: &str = "PRAGMA quick_check(1)";

/// A search beside the work, on a connection of its own. Dropped, it ends.
pub struct Inspection {
    interrupt: InterruptHandle,
    thread: Option<JoinHandle<()>>,
}

impl Inspection {
    /// Begins it; damage found seals the fate.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(connection: Connection, fate: Fate) -> std::io::Result<Self> {
        let interrupt = connection.get_interrupt_handle();
        let thread = std::thread::Builder::new().name("store-inspection".into()).spawn(move || match search(&connection, QUICK) {
            Ok(None) => tracing::debug!("the store was read through: no damage"),
            Ok(Some(what)) => fate.note(&StoreError::Broken(format!("it is damaged ({what}): {RESTORE}"))),
            Err(error) => match StoreError::from(error) {
                // Its own words for damage, or for a stop in the middle.
                error @ StoreError::Broken(_) => fate.note(&error),
                error => tracing::debug!(%error, "the store was not read through"),
            },
        })?;
        Ok(Self { interrupt, thread: Some(thread) })
    }
}

impl Drop for Inspection {
    fn drop(&mut self) {
        self.interrupt.interrupt();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}
