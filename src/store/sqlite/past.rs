//! The past of a scan profile, and the jobs that are yet to be judged by rules that look at it.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{
    intake::{JOB_COLUMNS, job_of, micros, time},
    worker::Tx,
};
use crate::{
    domain::{Job, Name},
    store::{LaterQuery, PastQuery, Unjudged},
};

/// Walks back through the indices of ended jobs and of earlier runs, and stops where nothing further is asked for.
pub fn past(db: &Connection, query: &PastQuery) -> rusqlite::Result<Vec<Arc<Job>>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {JOB_COLUMNS} FROM job WHERE source = ?1 AND profile = ?2 AND ended = 1 AND finished IS NOT NULL
             AND (finished, id) < (?3, ?4)
         UNION ALL SELECT {JOB_COLUMNS} FROM earlier_run WHERE source = ?1 AND profile = ?2 AND finished IS NOT NULL
             AND (finished, id) < (?3, ?4)
         ORDER BY finished DESC, id DESC LIMIT ?5",
    ))?;
    let mut rows = statement.query(params![query.source.as_str(), query.profile, micros(query.before.at), query.before.id, query.most])?;
    let (mut found, mut behind) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (job, _) = job_of(row)?;
        if query.since.is_none_or(|since| job.finished < Some(since)) {
            behind += 1;
        }
        if behind > query.jobs {
            break;
        }
        found.push(Arc::new(job));
    }
    Ok(found)
}

pub fn unjudged(db: &Connection, source: &Name, until: Timestamp, most: u32) -> rusqlite::Result<Vec<Unjudged>> {
    db.prepare_cached(&format!(
        "SELECT {JOB_COLUMNS}, coalesce(finished, started, first_seen) FROM job
         WHERE source = ?1 AND unjudged = 1 AND coalesce(finished, started, first_seen) <= ?2
         ORDER BY coalesce(finished, started, first_seen), id LIMIT ?3",
    ))?
    .query_map(params![source.as_str(), micros(until), most], |row| placed(row).map(|(job, run, at)| Unjudged { job, run, at }))?
    .collect()
}

pub fn judged_later(db: &Connection, query: &LaterQuery) -> rusqlite::Result<Vec<Unjudged>> {
    db.prepare_cached(&format!(
        "SELECT {JOB_COLUMNS}, finished FROM job WHERE source = ?1 AND profile = ?2 AND ended = 1 AND finished IS NOT NULL
             AND (finished, id) > (?3, ?4) AND finished > ?5 AND unjudged = 0
         UNION ALL SELECT {JOB_COLUMNS}, finished FROM earlier_run WHERE source = ?1 AND profile = ?2 AND finished IS NOT NULL
             AND (finished, id) > (?3, ?4) AND finished > ?5
         ORDER BY finished, id LIMIT ?6",
    ))?
    .query_map(
        params![query.source.as_str(), query.profile, micros(query.than.at), query.than.id, micros(query.since), query.most],
        |row| placed(row).map(|(job, run, at)| Unjudged { job, run, at }),
    )?
    .collect()
}

/// A job, its run and its place in time, which stands behind [`JOB_COLUMNS`].
fn placed(row: &Row<'_>) -> rusqlite::Result<(Arc<Job>, u32, Timestamp)> {
    let (job, run) = job_of(row)?;
    Ok((Arc::new(job), run, time(row.get(10)?)))
}

pub fn note_judged(tx: &Tx<'_>, source: &str, ids: &[String]) -> rusqlite::Result<()> {
    let mut statement = tx.db.prepare_cached("UPDATE job SET unjudged = 0 WHERE source = ?1 AND id = ?2 AND unjudged = 1")?;
    for id in ids {
        statement.execute(params![source, id])?;
    }
    Ok(())
}
