//! The store's files: how they are made, locked and opened.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::OpenError;

/// How long a statement waits for another program (a backup, `deliveries retry`) to let go of the file.
const BUSY: Duration = Duration::from_secs(10);
/// Who may read a file that is made: its owner alone. Names of scans and of people are no one else's business.
const MODE: u32 = 0o600;

/// A file that belongs to the store's.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Takes the lock that marks the file as served. It lies beside the file and goes with the process, however that ends.
pub fn lock(path: &Path) -> Result<File, OpenError> {
    let failed = |why: std::io::Error| OpenError::Failed { path: path.to_owned(), why: why.to_string() };
    let file = own().create(true).write(true).open(beside(path, ".lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// How a file of the store is opened: where it is made, for its owner alone.
pub fn own() -> OpenOptions {
    let mut options = File::options();
    options.mode(MODE);
    options
}

/// Makes the file where it is missing: the database would make it for everyone to read, and gives its log and its index the
/// mode of the file. The mode of one that is there is its owner's choice.
pub fn make(path: &Path) -> std::io::Result<()> {
    match own().create_new(true).write(true).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

pub fn connect(path: &Path, writes: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Else a statement with a bound LIMIT is planned anew each time it is run, which takes longer than to run it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 33554432;",
    )?;
    if !writes {
        connection.execute_batch("PRAGMA query_only = ON")?;
    }
    Ok(connection)
}
