//! Earlier runs: what a job's row is about to forget is kept for whatever looks at the past.

use jiff::Timestamp;
use rusqlite::params;

use super::{
    intake::{JOB_COLUMNS, micros},
    worker::Tx,
};
use crate::domain::{Job, Name};

/// Keeps the end that a job came to before the run it is in now.
pub fn keep(tx: &Tx<'_>, job: &Job, run: u32) -> rusqlite::Result<()> {
    tx.db
        .prepare_cached(&format!(
            "INSERT INTO earlier_run ({JOB_COLUMNS}, counted)
             SELECT {JOB_COLUMNS}, counted FROM job WHERE source = ?1 AND id = ?2 AND run < ?3 AND ended = 1 AND counted IS NOT NULL
             ON CONFLICT DO NOTHING",
        ))?
        .execute(params![job.source.as_str(), job.id, run])?;
    Ok(())
}

/// Lets a limited number of ends go that were counted before an instant, whether or not their jobs still run again and again.
pub fn prune(tx: &Tx<'_>, source: &Name, before: Timestamp, most: u32) -> rusqlite::Result<()> {
    tx.db
        .prepare_cached(
            "DELETE FROM earlier_run WHERE source = ?1 AND (id, run) IN
                 (SELECT id, run FROM earlier_run WHERE counted < ?2 AND source = ?1 LIMIT ?3)",
        )?
        .execute(params![source.as_str(), micros(before), most])?;
    Ok(())
}
