//! What no second try on the open file can mend: a failed sync, damage, a file that is gone. Whoever meets it first tells it
//! here; from then on nothing is written, and the program is to end.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use tokio::sync::Notify;

use crate::store::StoreError;

/// What to do about a damaged file.
pub const RESTORE: &str = "stop jobrelay and put a copy of it back in its place, without the files ending in -wal and -shm beside it, or \
                           move all three away to begin anew; then start it: what the source still lists is taken in again";

/// Whether the open file has come to its end, and why; shared by all threads of one store.
#[derive(Debug, Clone, Default)]
pub struct Fate(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    sealed: OnceLock<StoreError>,
    told: Notify,
}

impl Fate {
    /// Seals it, if the error is one that no second try mends. The first such error stays.
    pub fn note(&self, error: &StoreError) {
        if matches!(error, StoreError::Broken(_)) && self.0.sealed.set(error.clone()).is_ok() {
            self.0.told.notify_waiters();
        }
    }

    /// The error, once it is sealed.
    pub fn sealed(&self) -> Option<StoreError> {
        self.0.sealed.get().cloned()
    }

    /// Waits until it is sealed.
    pub async fn wait(&self) -> StoreError {
        loop {
            let told = self.0.told.notified();
            if let Some(error) = self.sealed() {
                return error;
            }
            told.await;
        }
    }
}

/// The files that are open, by what the file system knows them by: to see when their names no longer lead to them, and what is
/// written would be gone with the process.
#[derive(Debug)]
pub struct Place {
    files: Vec<(PathBuf, (u64, u64))>,
}

impl Place {
    /// The database and its log, as they stand open.
    ///
    /// # Errors
    /// One of them can't be found.
    pub fn of(path: &Path) -> io::Result<Self> {
        let files = [path.to_owned(), log(path)].into_iter();
        Ok(Self { files: files.map(|file| identity(&file).map(|id| (file, id))).collect::<io::Result<_>>()? })
    }

    /// Whether each name still leads to its file.
    ///
    /// # Errors
    /// [`StoreError::Broken`], naming the first that does not.
    pub fn check(&self) -> Result<(), StoreError> {
        for (file, known) in &self.files {
            let gone = match identity(file) {
                Ok(found) => found != *known,
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            if gone {
                return Err(StoreError::Broken(format!(
                    "{} was removed or replaced while in use: nothing more is written; put it back, or start jobrelay to begin a new one",
                    file.display()
                )));
            }
        }
        Ok(())
    }
}

/// The log's name.
pub fn log(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|data| (data.dev(), data.ino()))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, PermissionDenied, ReadOnly, SystemIoFailure,
        };
        use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
        let extended = error.sqlite_error().map(|error| error.extended_code);
        match (error.sqlite_error_code(), extended) {
            // The system reports a failed sync once, and counts the pages as written: a second sync would tell a lie.
            (_, Some(SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC)) => Self::Broken(format!(
                "the disk failed to sync ({error}), and what was written last may not be on it: start jobrelay again, and see to the disk \
                 if this comes back"
            )),
            (Some(DatabaseCorrupt | NotADatabase), _) => Self::Broken(format!("it is damaged ({error}): {RESTORE}")),
            (Some(DiskFull | ReadOnly | SystemIoFailure | DatabaseBusy | DatabaseLocked | CannotOpen | PermissionDenied), _) => {
                Self::Unwritable(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}
