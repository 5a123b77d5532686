//! Digests: where each stands, what they are reckoned from, and their messages.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Sqlite,
    days::{LookBacks, ended_between},
    intake::{JOB_COLUMNS, job_of, key, micros, time},
    worker::{Survives, Tx},
};
use crate::{
    domain::{Name, Newest, NotificationKind, State},
    failpoint::{self, Point},
    store::{DigestEnd, DigestState, DigestStore, EachEnded, Ended, HistoryAsk, PollStretch, Polls, Standing, StoreError},
};

const HOUR_MICROS: i64 = 3_600_000_000;
/// How long it is known how a source was polled: a digest of a year can be asked for.
const POLLS_KEPT_MICROS: i64 = 400 * 24 * HOUR_MICROS;

#[async_trait]
impl DigestStore for Sqlite {
    async fn note_polls(&self, source: &Name, polls: Polls) -> Result<(), StoreError> {
        let source = source.clone();
        self.writer.write(Survives::ProcessDeath, move |tx| note_polls(tx, &source, &polls)).await
    }

    async fn polls(&self, since: Timestamp, until: Timestamp) -> Result<Vec<PollStretch>, StoreError> {
        self.readers.read(move |db| polls(db, since, until)).await
    }

    async fn digest_state(&self, name: &Name) -> Result<Option<DigestState>, StoreError> {
        let name = name.clone();
        self.readers.read(move |db| state(db, &name)).await
    }

    async fn keep_digests(&self, names: Vec<Name>) -> Result<(), StoreError> {
        self.writer.write(Survives::ProcessDeath, move |tx| keep(tx, &names)).await
    }

    async fn place_digest(&self, name: &Name, state: DigestState, now: Timestamp) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer.write(Survives::PowerCut, move |tx| place(tx, &name, &state, now)).await
    }

    async fn close_period(&self, until: Timestamp) -> Result<(), StoreError> {
        // A power cut that undoes this also undoes what was counted after it.
        self.writer.write(Survives::ProcessDeath, move |tx| close(tx, until)).await
    }

    async fn end_digest(&self, end: DigestEnd) -> Result<bool, StoreError> {
        self.writer.write(Survives::PowerCut, move |tx| end_digest(tx, &end)).await
    }

    async fn each_ended(&self, since: Timestamp, until: Timestamp, mut each: EachEnded) -> Result<(), StoreError> {
        self.readers
            .read(move |db| {
                let look_backs = LookBacks::read(db)?;
                let mut statement = db.prepare_cached(&format!(
                    "SELECT {JOB_COLUMNS}, counted FROM job WHERE counted >= ?1 AND counted < ?2
                     UNION ALL SELECT {JOB_COLUMNS}, counted FROM earlier_run WHERE counted >= ?1 AND counted < ?2 ORDER BY counted"
                ))?;
                let mut rows = statement.query(params![micros(since), micros(until)])?;
                while let Some(row) = rows.next()? {
                    let ((job, _), counted) = (job_of(row)?, time(row.get(10)?));
                    each(&job, counted, look_backs.shown(&job, counted));
                }
                Ok(())
            })
            .await
    }

    async fn ended_between(&self, bounds: Vec<Timestamp>) -> Result<Vec<Vec<(State, u64)>>, StoreError> {
        self.readers.read(move |db| ended_between(db, &bounds)).await
    }

    async fn histories(&self, asks: Vec<HistoryAsk>) -> Result<Vec<Vec<Ended>>, StoreError> {
        self.readers.read(move |db| asks.iter().map(|ask| history(db, ask)).collect()).await
    }

    async fn standing(&self, of: Option<Vec<Name>>) -> Result<Standing, StoreError> {
        self.readers.read(move |db| standing(db, of.as_deref())).await
    }
}

/// When a job that is seen to have ended is counted: now, but never in a period that has been summed up.
pub fn counts_at(db: &Connection, now: Timestamp) -> rusqlite::Result<i64> {
    let closed: Option<i64> = db.prepare_cached("SELECT until FROM closed")?.query_row([], |row| row.get(0)).optional()?;
    Ok(micros(now).max(closed.unwrap_or(i64::MIN)))
}

fn note_polls(tx: &Tx<'_>, source: &Name, polls: &Polls) -> rusqlite::Result<()> {
    let (source, from, to) = (source.as_str(), micros(polls.from), micros(polls.to));
    let last: Option<i64> =
        tx.db.prepare_cached("SELECT max(began) FROM poll WHERE source = ?1")?.query_row([source], |row| row.get(0)).optional()?.flatten();
    let goes_on = |began: &i64| !polls.after_gap && began.div_euclid(HOUR_MICROS) == to.div_euclid(HOUR_MICROS) && *began <= to;
    if let Some(began) = last.filter(goes_on) {
        // What opened this stretch was a period's end, and some of its polls may have been made before that: they leave no gap.
        tx.db
            .prepare_cached(
                "UPDATE poll SET reached = max(reached, ?2) WHERE source = ?1 AND began = (
                     SELECT max(began) FROM poll WHERE source = ?1 AND began < ?2 AND reached IS NOT NULL)
                 AND EXISTS (SELECT 1 FROM poll WHERE source = ?1 AND began = ?2 AND reached IS NULL)",
            )?
            .execute(params![source, began])?;
        tx.db
            .prepare_cached("UPDATE poll SET reached = ?3, made = made + ?4, failed = failed + ?5 WHERE source = ?1 AND began = ?2")?
            .execute(params![source, began, to, polls.made, polls.failed])?;
        return Ok(());
    }
    tx.db.prepare_cached("DELETE FROM poll WHERE source = ?1 AND began < ?2")?.execute(params![source, from - POLLS_KEPT_MICROS])?;
    tx.db
        .prepare_cached(
            "INSERT INTO poll (source, began, reached, made, failed) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET reached = excluded.reached, made = made + excluded.made, failed = failed + excluded.failed",
        )?
        // A poll that was under way while a period was summed up counts in the next one.
        .execute(params![source, counts_at(tx.db, polls.from)?.min(to.max(from)), to, polls.made, polls.failed])?;
    Ok(())
}

/// The stretches of a period, each source's with the last one before it. Steps from source to source, for each may have a year of them.
pub const POLLS: &str = "WITH RECURSIVE polled (source) AS (
        SELECT min(source) FROM poll
        UNION ALL SELECT (SELECT min(source) FROM poll WHERE source > polled.source) FROM polled WHERE polled.source IS NOT NULL)
    SELECT p.source, began, reached, made, failed FROM polled CROSS JOIN poll p ON p.source = polled.source
        AND began < ?2 AND began >= coalesce(
            (SELECT max(q.began) FROM poll q WHERE q.source = polled.source AND q.began < ?1 AND q.reached IS NOT NULL), ?1)
    ORDER BY p.source, began";

fn polls(db: &Connection, since: Timestamp, until: Timestamp) -> rusqlite::Result<Vec<PollStretch>> {
    db.prepare_cached(POLLS)?
        .query_map(params![micros(since), micros(until)], |row| {
            Ok(PollStretch {
                source: Name::from(row.get::<_, String>(0)?),
                from: time(row.get(1)?),
                to: row.get::<_, Option<i64>>(2)?.map(time),
                made: row.get::<_, i64>(3)?.unsigned_abs(),
                failed: row.get::<_, i64>(4)?.unsigned_abs(),
            })
        })?
        .collect()
}

fn state(db: &Connection, name: &Name) -> rusqlite::Result<Option<DigestState>> {
    db.prepare_cached("SELECT ended, counts_from, plan FROM digest WHERE name = ?1")?
        .query_row([name.as_str()], |row| Ok(DigestState { ended: time(row.get(0)?), counts_from: time(row.get(1)?), plan: row.get(2)? }))
        .optional()
}

fn write_state(tx: &Tx<'_>, name: &Name, state: &DigestState) -> rusqlite::Result<()> {
    tx.db
        .prepare_cached(
            "INSERT INTO digest (name, ended, counts_from, plan) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET ended = excluded.ended, counts_from = excluded.counts_from, plan = excluded.plan",
        )?
        .execute(params![name.as_str(), micros(state.ended), micros(state.counts_from), state.plan])?;
    Ok(())
}

fn keep(tx: &Tx<'_>, names: &[Name]) -> rusqlite::Result<()> {
    let known: Vec<String> =
        tx.db.prepare_cached("SELECT name FROM digest")?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for name in known.iter().filter(|name| !names.iter().any(|kept| **kept == ***name)) {
        tx.db.prepare_cached("DELETE FROM digest WHERE name = ?1")?.execute([name])?;
    }
    Ok(())
}

fn place(tx: &Tx<'_>, name: &Name, placed: &DigestState, now: Timestamp) -> rusqlite::Result<()> {
    let mut placed = placed.clone();
    if draw_back(tx, micros(now))? {
        // It ended in the future: what it has not told yet begins a little before now.
        placed.ended = state(tx.db, name)?.map_or(placed.ended, |drawn| placed.ended.min(drawn.ended));
    }
    write_state(tx, name, &placed)
}

/// What a clock that was ahead counted and closed, drawn back to just before `now`, in the order in which it was: each digest tells
/// what it had not told, and nothing again. Whether there was any.
fn draw_back(tx: &Tx<'_>, now: i64) -> rusqlite::Result<bool> {
    if tx.db.prepare_cached("UPDATE closed SET until = ?1 WHERE until > ?1")?.execute([now])? == 0 {
        return Ok(false);
    }
    // A microsecond for each end of a period keeps what lies before it apart from what lies behind it.
    let ends: Vec<i64> = tx
        .db
        .prepare_cached("SELECT DISTINCT ended FROM digest WHERE ended > ?1 ORDER BY ended DESC")?
        .query_map([now], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for (table, column) in [("job", "counted"), ("earlier_run", "counted"), ("source", "looked_from"), ("source", "looked_until")] {
        tx.db
            .prepare_cached(&format!(
                "UPDATE {table} SET {column} = ?1 - (SELECT count(DISTINCT ended) FROM digest d WHERE d.ended > {table}.{column})
                 WHERE {column} > ?1"
            ))?
            .execute([now])?;
    }
    // The latest first: what has been drawn back is not ahead any more.
    for (end, before) in ends.iter().zip(0_i64..) {
        tx.db.prepare_cached("UPDATE digest SET ended = ?1 WHERE ended = ?2")?.execute([now - before, *end])?;
    }
    tx.db.prepare_cached("DELETE FROM poll WHERE began > ?1")?.execute([now])?;
    Ok(true)
}

fn close(tx: &Tx<'_>, until: Timestamp) -> rusqlite::Result<()> {
    let until = micros(until);
    tx.db
        .prepare_cached("INSERT INTO closed (one, until) VALUES (1, ?1) ON CONFLICT DO UPDATE SET until = max(until, excluded.until)")?
        .execute([until])?;
    // What is polled from here on stands apart from what was polled before.
    tx.db
        .prepare_cached(
            "INSERT INTO poll (source, began, reached, made, failed)
             SELECT name, ?1, NULL, 0, 0 FROM source s WHERE EXISTS (SELECT 1 FROM poll p WHERE p.source = s.name)
             ON CONFLICT DO NOTHING",
        )?
        .execute([until])?;
    Ok(())
}

fn end_digest(tx: &mut Tx<'_>, end: &DigestEnd) -> rusqlite::Result<bool> {
    if state(tx.db, &end.name)?.as_ref() != Some(&end.before) {
        return Ok(false);
    }
    write_state(tx, &end.name, &end.after)?;
    if let Some(digest) = &end.says {
        let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
        let facts = tx.facts_id(&serde_json::to_string(&digest.facts()).map_err(json)?)?;
        let text = serde_json::to_string(&**digest).map_err(json)?;
        // A clock that was set back brings the same due time again, with another period.
        let (due, since) = (micros(end.due).to_string(), micros(end.before.ended).to_string());
        for channel in &end.channels {
            tx.db
                .prepare_cached(
                    "INSERT INTO notification (key, channel, kind, rule, facts, digest, state, created, due)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?7)",
                )?
                .execute(params![
                    key("digest", &[&end.name, &due, &since, channel]),
                    channel.as_str(),
                    NotificationKind::Digest.name(),
                    end.name.as_str(),
                    facts,
                    text,
                    micros(end.now)
                ])?;
        }
    }
    failpoint::pass(Point::DigestWritten);
    Ok(true)
}

fn history(db: &Connection, ask: &HistoryAsk) -> rusqlite::Result<Vec<Ended>> {
    let (before, id) = ask.before.as_ref().map_or((i64::MAX, ""), |(finished, id)| (micros(*finished), id.as_str()));
    db.prepare_cached(
        "SELECT state, finished, finished - started, id FROM job
         WHERE source = ?1 AND profile = ?2 AND (finished, id) < (?3, ?4) AND ended = 1 AND finished IS NOT NULL AND counted < ?5
         UNION ALL SELECT state, finished, finished - started, id FROM earlier_run
         WHERE source = ?1 AND profile = ?2 AND (finished, id) < (?3, ?4) AND finished IS NOT NULL AND counted < ?5
         ORDER BY finished DESC, id DESC LIMIT ?6",
    )?
    .query_map(params![ask.source.as_str(), ask.profile, before, id, micros(ask.until), ask.most], |row| {
        let took: Option<i64> = row.get(2)?;
        Ok(Ended {
            state: State::from_code(row.get(0)?),
            finished: time(row.get(1)?),
            took: took.and_then(|took| u64::try_from(took).ok()).map(Duration::from_micros),
        })
    })?
    .collect()
}

/// Those of the sources that have a job at all.
fn with_jobs<'n>(db: &Connection, names: &'n [Name]) -> rusqlite::Result<Vec<&'n str>> {
    let mut any = db.prepare_cached("SELECT 1 FROM job WHERE source = ?1 LIMIT 1")?;
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        if any.exists([name.as_str()])? {
            found.push(name.as_str());
        }
    }
    Ok(found)
}

fn standing(db: &Connection, of: Option<&[Name]>) -> rusqlite::Result<Standing> {
    let of = match of {
        Some(names) => Some(with_jobs(db, names)?),
        None => None,
    };
    // For the newest job of none, all jobs would be looked through.
    if of.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Standing { running: 0, newest: None });
    }
    let of = of.map(|names| serde_json::Value::from(names).to_string());
    let running: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM job INDEXED BY job_open
             WHERE ended = 0 AND (?1 IS NULL OR source IN (SELECT value FROM json_each(?1)))",
        )?
        .query_row([&of], |row| row.get(0))?;
    let newest = db
        .prepare_cached(
            "SELECT source, id, profile, state, coalesce(started, first_seen) FROM job
             WHERE ?1 IS NULL OR source IN (SELECT value FROM json_each(?1))
             ORDER BY coalesce(started, first_seen) DESC LIMIT 1",
        )?
        .query_row([&of], |row| {
            Ok(Newest {
                source: row.get(0)?,
                id: row.get(1)?,
                profile: row.get(2)?,
                state: State::from_code(row.get(3)?).name().into_owned(),
                at: time(row.get(4)?),
            })
        })
        .optional()?;
    Ok(Standing { running: running.unsigned_abs(), newest })
}
