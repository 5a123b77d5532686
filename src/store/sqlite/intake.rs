//! Taking a page in, and what has to be known before it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{days, digests::counts_at, past, runs, worker::Tx};
use crate::{
    domain::{Category, Job, JobType, JobView, Name, NotificationKind, State},
    failpoint::{self, Point},
    store::{Gather, Intake, Known, NewAlert, OpenJob, SourceRecord},
};

/// A time as the tables hold it.
pub fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A time as it was written by [`micros`].
pub fn time(micros: i64) -> Timestamp {
    // Every number in the tables came out of a timestamp; one from a damaged file reads as the earliest time.
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MIN)
}

pub fn open_source(tx: &Tx<'_>, name: &Name, cut: Timestamp) -> rusqlite::Result<SourceRecord> {
    tx.db
        .prepare_cached("INSERT INTO source (name, cut, baseline) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING")?
        .execute(params![name.as_str(), micros(cut)])?;
    tx.db.prepare_cached("SELECT cut, baseline, watermark, pruned FROM source WHERE name = ?1")?.query_row([name.as_str()], |row| {
        Ok(SourceRecord {
            cut: time(row.get(0)?),
            baseline: row.get(1)?,
            watermark: row.get::<_, Option<i64>>(2)?.map(time),
            pruned: row.get::<_, Option<i64>>(3)?.map(time),
        })
    })
}

pub fn end_sweep(tx: &Tx<'_>, name: &Name, watermark: Option<Timestamp>) -> rusqlite::Result<()> {
    tx.db
        .prepare_cached("UPDATE source SET baseline = 1, watermark = max(coalesce(watermark, ?2), ?2) WHERE name = ?1 AND ?2 IS NOT NULL")?
        .execute(params![name.as_str(), watermark.map(micros)])?;
    tx.db.prepare_cached("UPDATE source SET baseline = 1 WHERE name = ?1 AND baseline = 0")?.execute([name.as_str()])?;
    Ok(())
}

pub fn known(db: &Connection, source: &Name, ids: &[String]) -> rusqlite::Result<Vec<Option<Known>>> {
    let mut statement = db.prepare_cached("SELECT run, state, finished, ended, unjudged FROM job WHERE source = ?1 AND id = ?2")?;
    ids.iter()
        .map(|id| {
            statement
                .query_row(params![source.as_str(), id], |row| {
                    Ok(Known {
                        run: row.get(0)?,
                        state: State::from_code(row.get(1)?),
                        finished: row.get::<_, Option<i64>>(2)?.map(time),
                        ended: row.get(3)?,
                        unjudged: row.get(4)?,
                    })
                })
                .optional()
        })
        .collect()
}

pub fn alerted(db: &Connection, source: &Name, job_id: &str, run: u32) -> rusqlite::Result<Vec<Name>> {
    db.prepare_cached("SELECT rule FROM alert WHERE source = ?1 AND job_id = ?2 AND run = ?3")?
        .query_map(params![source.as_str(), job_id, run], |row| row.get::<_, String>(0).map(Name::from))?
        .collect()
}

/// The columns of [`job_of`], in its order.
pub const JOB_COLUMNS: &str = "source, id, run, type, state, started, finished, profile, category, extension";

/// A job and its run, from [`JOB_COLUMNS`].
pub fn job_of(row: &Row<'_>) -> rusqlite::Result<(Job, u32)> {
    let extension: Option<String> = row.get(9)?;
    let job = Job {
        source: Name::from(row.get::<_, String>(0)?),
        id: row.get(1)?,
        kind: row.get::<_, Option<i64>>(3)?.map(JobType::from_code),
        state: State::from_code(row.get(4)?),
        started: row.get::<_, Option<i64>>(5)?.map(time),
        finished: row.get::<_, Option<i64>>(6)?.map(time),
        profile: row.get(7)?,
        category: row.get::<_, Option<i64>>(8)?.map(Category::from_code),
        extension: extension.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null),
    };
    Ok((job, row.get(2)?))
}

pub fn open_jobs(db: &Connection, source: &Name) -> rusqlite::Result<Vec<OpenJob>> {
    let mut open: Vec<OpenJob> = db
        .prepare_cached(&format!("SELECT {JOB_COLUMNS} FROM job WHERE source = ?1 AND ended = 0"))?
        .query_map([source.as_str()], job_of)?
        .map(|row| row.map(|(job, run)| OpenJob { job, run, alerted: Vec::new() }))
        .collect::<rusqlite::Result<_>>()?;
    for job in &mut open {
        job.alerted = alerted(db, source, &job.job.id, job.run)?;
    }
    Ok(open)
}

pub fn give_up_on(tx: &Tx<'_>, source: &Name, ids: &[String]) -> rusqlite::Result<()> {
    let mut statement = tx.db.prepare_cached("UPDATE job SET ended = 1 WHERE source = ?1 AND id = ?2 AND ended = 0")?;
    for id in ids {
        statement.execute(params![source.as_str(), id])?;
    }
    Ok(())
}

pub fn take_in(tx: &mut Tx<'_>, intake: &Intake) -> rusqlite::Result<()> {
    let source = intake.source.as_str();
    let now = micros(intake.now);
    let counts_at = if intake.jobs.iter().any(|change| change.newly_final) { counts_at(tx.db, intake.now)? } else { now };
    for change in &intake.jobs {
        let job = &change.job;
        // A page taken in a second time (its first commit's answer was lost) tells of no new ending.
        let newly_final = change.newly_final && !is_ended_so(tx.db, source, job, change.run)?;
        let counted = match () {
            () if !job.is_final() => None,
            () if newly_final => Some(counts_at),
            () => Some(job.finished.or(job.started).map_or(now, micros)),
        };
        if change.run > 1 {
            runs::keep(tx, job, change.run)?;
        }
        let extension = (!job.extension.is_null()).then(|| job.extension.to_string());
        tx.db
            .prepare_cached(
                "INSERT INTO job (source, id, run, type, state, started, finished, profile, category, extension, ended, first_seen, unjudged,
                     counted)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
                 ON CONFLICT DO UPDATE SET run = excluded.run, type = excluded.type, state = excluded.state, started = excluded.started,
                 finished = excluded.finished, profile = excluded.profile, category = excluded.category,
                 extension = excluded.extension, ended = excluded.ended, unjudged = max(unjudged AND excluded.ended, excluded.unjudged),
                 counted = CASE WHEN ?15 OR excluded.ended = 0 THEN excluded.counted ELSE coalesce(counted, excluded.counted) END",
            )?
            .execute(params![
                source,
                job.id,
                change.run,
                job.kind.map(JobType::code),
                job.state.code(),
                job.started.map(micros),
                job.finished.map(micros),
                job.profile,
                job.category.map(Category::code),
                extension,
                job.is_final(),
                now,
                change.unjudged,
                counted,
                newly_final,
            ])?;
        if newly_final {
            tx.count("jobs", source, &job.state.name(), 1);
        }
    }
    if intake.jobs.iter().any(|change| change.newly_final) {
        days::note_look_back(tx, source, counts_at)?;
    }
    for alert in &intake.alerts {
        raise(tx, alert, &intake.rules_version, intake.now)?;
    }
    past::note_judged(tx, source, &intake.judged)?;
    for (why, raw) in &intake.unreadable {
        tx.db
            .prepare_cached("INSERT INTO quarantine (source, hash, why, raw, seen) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")?
            .execute(params![source, key("row", &[raw]), why, raw, now])?;
    }
    failpoint::pass(Point::PageWritten);
    Ok(())
}

/// Whether a run is already written down as ended in the job's state.
fn is_ended_so(db: &Connection, source: &str, job: &Job, run: u32) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM job WHERE source = ?1 AND id = ?2 AND run = ?3 AND state = ?4 AND ended = 1")?.exists(params![
        source,
        job.id,
        run,
        job.state.code()
    ])
}

/// Writes an alert with its notifications, unless it exists.
fn raise(tx: &mut Tx<'_>, alert: &NewAlert, rules_version: &str, now: Timestamp) -> rusqlite::Result<()> {
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let facts_text = serde_json::to_string(&*alert.facts).map_err(json)?;
    let facts = tx.facts_id(&facts_text)?;
    let (rule, job, run) = (alert.rule.as_str(), &alert.job, alert.run.to_string());
    let source = job.source.as_str();
    let snapshot = serde_json::to_string(&JobView::from(&**job)).map_err(json)?;
    let written = tx
        .db
        .prepare_cached(
            "INSERT INTO alert (rule, source, job_id, run, facts, job, created, held, rules_version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            rule,
            source,
            job.id,
            alert.run,
            facts,
            snapshot,
            micros(now),
            alert.held || alert.gather.is_some(),
            rules_version
        ])?;
    if written == 0 {
        return Ok(());
    }
    let id = tx.db.last_insert_rowid();
    tx.count("alerts", rule, "", 1);
    let (state, gather, due) = match &alert.gather {
        Some(gather) => ("gathering", Some(gather.key.as_str()), ends_at(tx.db, rule, gather, now)?),
        None => (if alert.held { "held" } else { "pending" }, None, micros(now)),
    };
    for channel in &alert.notify {
        tx.db
            .prepare_cached(
                "INSERT INTO notification (key, channel, kind, rule, facts, alert, state, created, due, gather)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                key("alert", &[rule, source, &job.id, &run, channel]),
                channel.as_str(),
                NotificationKind::Alert.name(),
                rule,
                facts,
                id,
                state,
                micros(now),
                due,
                gather
            ])?;
        tx.count("pending", channel, "", 1);
    }
    Ok(())
}

/// When an alert's group goes out: its first one says.
fn ends_at(db: &Connection, rule: &str, gather: &Gather, now: Timestamp) -> rusqlite::Result<i64> {
    let waiting: Option<i64> = db
        .prepare_cached("SELECT min(due) FROM notification WHERE rule = ?1 AND gather = ?2 AND state = 'gathering'")?
        .query_row([rule, &gather.key], |row| row.get(0))?;
    Ok(waiting.unwrap_or_else(|| micros(now.checked_add(gather.wait).unwrap_or(Timestamp::MAX))))
}

/// A key that the same facts always give again, also in a store restored from an older copy.
pub fn key(kind: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in [kind].iter().chain(parts) {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut text = String::from("msg_");
    for byte in &digest[..16] {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
    }
    text
}
