//! The tables, and how an older file becomes a newer one.

use rusqlite::{Connection, TransactionBehavior};

use crate::failpoint::{self, Point};

/// Each step brings a file from version N to N + 1 in one transaction; `user_version` tells how far it has come.
/// A step that has been released is never edited.
const STEPS: &[&str] = &[
    include_str!("001_first.sql"),
    include_str!("002_past.sql"),
    include_str!("003_digests.sql"),
    include_str!("004_watch.sql"),
    include_str!("005_begun.sql"),
    include_str!("006_since.sql"),
    include_str!("007_place.sql"),
    include_str!("008_runs.sql"),
    include_str!("009_pruning.sql"),
    include_str!("010_lists.sql"),
];

/// What can be wrong with a file's version.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Written by a newer program.
    #[error("the file is of schema version {found}, written by a newer jobrelay; this one knows versions up to {known}")]
    Newer {
        /// The file's.
        found: usize,
        /// The newest this program knows.
        known: usize,
    },
    /// Written by an older program, and not to be touched.
    #[error(
        "the file is of schema version {found}, written by an older jobrelay, and is left as it is: a start of `jobrelay run` of this \
         version brings it up to version {known}"
    )]
    Older {
        /// The file's.
        found: usize,
        /// The newest this program knows.
        known: usize,
    },
    /// The database's own words.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// The file's version, if it is none that only a newer program knows.
fn version(connection: &Connection) -> Result<usize, MigrateError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > STEPS.len() { Err(MigrateError::Newer { found, known: STEPS.len() }) } else { Ok(found) }
}

/// Sees to it that the file is of the newest version. Only a service brings it there; a command looks beside one that may be an older
/// program, and what that one knows is not for the command to change. An interrupted step leaves the version before it.
pub fn open(connection: &mut Connection, migrates: bool) -> Result<(), MigrateError> {
    let found = version(connection)?;
    if found < STEPS.len() && !migrates {
        return Err(MigrateError::Older { found, known: STEPS.len() });
    }
    for (at, step) in STEPS.iter().enumerate().skip(found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {}", at + 1))?;
        failpoint::pass(Point::MigrationWritten);
        transaction.commit()?;
        failpoint::pass(Point::MigrationCommitted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{digests, keeping},
        *,
    };

    /// In a store of ten million jobs, what reads a table from end to end, or sorts what it read, holds up everyone.
    #[test]
    fn what_grows_with_the_store_is_entered_by_an_index() {
        let mut db = Connection::open_in_memory().unwrap();
        open(&mut db, true).unwrap();
        for (sql, by) in [
            (keeping::OLD_JOBS, "SEARCH job USING INDEX job_newest (<expr>>? AND <expr><?)"),
            (keeping::PRUNE_CARRIERS, "SEARCH n USING INDEX notification_carrier (ended<?)"),
            (digests::POLLS, "SEARCH p USING PRIMARY KEY (source=? AND began>? AND began<?)"),
        ] {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            for parameter in 1..=plan.parameter_count() {
                plan.raw_bind_parameter(parameter, 1).unwrap();
            }
            let steps: Vec<String> = plan.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap();
            assert!(steps.iter().any(|step| step == by), "{sql}\n{steps:#?}");
            let grows = |step: &&String| step.starts_with("SCAN") && !step.ends_with("polled");
            assert_eq!(steps.iter().find(grows), None, "{sql}\n{steps:#?}");
        }
    }
}
