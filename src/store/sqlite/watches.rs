//! The rules' watches for jobs that never come.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Sqlite,
    intake::{key, micros, time},
    worker::{Survives, Tx},
};
use crate::{
    domain::{Name, NotificationKind, State, Told},
    failpoint::{self, Point},
    store::{LastEnd, RuleNotice, StoreError, WatchChange, WatchRow, Watches},
};

#[async_trait]
impl Watches for Sqlite {
    async fn watches(&self) -> Result<Vec<WatchRow>, StoreError> {
        self.readers.read(watches).await
    }

    async fn keep_watch(&self, change: WatchChange, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(Survives::PowerCut, move |tx| keep_watch(tx, &change, now)).await
    }

    async fn last_ends(&self, source: &Name) -> Result<Vec<LastEnd>, StoreError> {
        let source = source.clone();
        self.readers.read(move |db| last_ends(db, &source)).await
    }
}

fn watches(db: &Connection) -> rusqlite::Result<Vec<WatchRow>> {
    db.prepare_cached("SELECT rule, source, awaits, began, last, told, due FROM watch ORDER BY rule, source")?
        .query_map([], watch_of)?
        .collect()
}

fn watch_of(row: &Row<'_>) -> rusqlite::Result<WatchRow> {
    let (source, told): (String, String) = (row.get(1)?, row.get(5)?);
    let due = row.get::<_, Option<i64>>(6)?.map(time);
    Ok(WatchRow {
        rule: Name::from(row.get::<_, String>(0)?),
        source: (!source.is_empty()).then(|| Name::from(source)),
        awaits: row.get(2)?,
        began: time(row.get(3)?),
        last: row.get::<_, Option<i64>>(4)?.map(time),
        told: match (told.as_str(), due) {
            ("cannot_tell", Some(due)) => Told::CannotTell(due),
            ("missing", Some(due)) => Told::Missing(due),
            _ => Told::Nothing,
        },
    })
}

fn keep_watch(tx: &mut Tx<'_>, change: &WatchChange, now: Timestamp) -> rusqlite::Result<()> {
    for (rule, source) in &change.drop {
        tx.db
            .prepare_cached("DELETE FROM watch WHERE rule = ?1 AND source = ?2")?
            .execute([rule.as_str(), source.as_deref().unwrap_or_default()])?;
    }
    for row in &change.put {
        let (told, due) = match row.told {
            Told::Nothing => ("nothing", None),
            Told::CannotTell(due) => ("cannot_tell", Some(due)),
            Told::Missing(due) => ("missing", Some(due)),
        };
        tx.db
            .prepare_cached(
                "INSERT OR REPLACE INTO watch (rule, source, awaits, began, last, told, due) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                row.rule.as_str(),
                row.source.as_deref().unwrap_or_default(),
                row.awaits,
                micros(row.began),
                row.last.map(micros),
                told,
                due.map(micros)
            ])?;
    }
    for notice in &change.notices {
        tell(tx, notice, now)?;
    }
    failpoint::pass(Point::WatchWritten);
    Ok(())
}

fn tell(tx: &mut Tx<'_>, RuleNotice { about, facts, notice, channels }: &RuleNotice, now: Timestamp) -> rusqlite::Result<()> {
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let facts_id = tx.facts_id(&serde_json::to_string(&**facts).map_err(json)?)?;
    let text = serde_json::to_string(notice).map_err(json)?;
    for channel in channels {
        let parts: Vec<&str> = about.iter().map(String::as_str).chain([channel.as_str()]).collect();
        tx.db
            .prepare_cached(
                "INSERT INTO notification (key, channel, kind, rule, facts, notice, state, created, due)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?7)",
            )?
            .execute(params![
                key("watch", &parts),
                channel.as_str(),
                NotificationKind::Notice.name(),
                facts.name,
                facts_id,
                text,
                micros(now)
            ])?;
    }
    Ok(())
}

/// Steps from profile to profile through the indices: what it costs depends on the profiles, not on the jobs.
fn last_ends(db: &Connection, source: &Name) -> rusqlite::Result<Vec<LastEnd>> {
    let mut newest: BTreeMap<String, LastEnd> = BTreeMap::new();
    // One index holds the ends with a time, the other those without.
    for (column, which) in [("finished", "finished IS NOT NULL"), ("started", "finished IS NULL")] {
        let of_profile = format!("FROM job WHERE source = ?1 AND ended = 1 AND {which} AND profile");
        let mut next = db.prepare_cached(&format!("SELECT profile {of_profile} > ?2 ORDER BY profile LIMIT 1"))?;
        let mut last = db.prepare_cached(&format!(
            "SELECT {column}, id {of_profile} = ?2 AND {column} IS NOT NULL AND state NOT IN ({}, {}) ORDER BY {column} DESC LIMIT 1",
            State::Running.code(),
            State::Skipped.code()
        ))?;
        // No name is less than the empty one, which is looked at first.
        let mut profile = Some(String::new());
        while let Some(name) = profile {
            let found: Option<(i64, String)> =
                last.query_row(params![source.as_str(), name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            profile = next.query_row(params![source.as_str(), name], |row| row.get(0)).optional()?;
            if let Some((at, id)) = found {
                let end = LastEnd { profile: name.clone(), at: time(at), id };
                let known = newest.entry(name).or_insert_with(|| end.clone());
                if end.at > known.at {
                    *known = end;
                }
            }
        }
    }
    Ok(newest.into_values().collect())
}
