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
    store::{LastEnd, RuleNotice, RunningJob, StoreError, WatchChange, WatchRow, Watches},
};

/// So many of a source's running jobs are looked at.
const RUNNING_MOST: u32 = 1_000;

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

    async fn running(&self, source: &Name) -> Result<Vec<RunningJob>, StoreError> {
        let source = source.clone();
        self.readers.read(move |db| running(db, &source)).await
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

fn running(db: &Connection, source: &Name) -> rusqlite::Result<Vec<RunningJob>> {
    db.prepare_cached("SELECT profile, started, id FROM job WHERE source = ?1 AND ended = 0 AND state = ?2 ORDER BY started DESC LIMIT ?3")?
        .query_map(params![source.as_str(), State::Running.code(), RUNNING_MOST], |row| {
            Ok(RunningJob { profile: row.get(0)?, started: row.get::<_, Option<i64>>(1)?.map(time), id: row.get(2)? })
        })?
        .collect()
}

/// Steps from profile to profile through the indices: what it costs depends on the profiles, not on the jobs.
fn last_ends(db: &Connection, source: &Name) -> rusqlite::Result<Vec<LastEnd>> {
    let mut newest: BTreeMap<String, LastEnd> = BTreeMap::new();
    // One index holds the ends with a time, one those without, and one those of earlier runs.
    for (column, which) in [
        ("finished", "job WHERE ended = 1 AND finished IS NOT NULL"),
        ("started", "job WHERE ended = 1 AND finished IS NULL"),
        ("finished", "earlier_run WHERE finished IS NOT NULL"),
    ] {
        let of_profile = format!("FROM {which} AND source = ?1 AND profile");
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        domain::Job,
        store::{Intake, JobChange, Store, sqlite::Access},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn open(folder: &tempfile::TempDir) -> Sqlite {
        Sqlite::open(&folder.path().join("jobrelay.db"), Access::Service).unwrap()
    }

    #[tokio::test]
    async fn a_profiles_newest_end_is_found_among_jobs_that_run_were_skipped_or_tell_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let mut jobs = Vec::new();
        for (profile, state, started, finished) in [
            ("a", State::Finished, Some(0), Some(10)),
            ("a", State::Failed, Some(5), Some(20)),
            ("a", State::Skipped, Some(30), Some(40)),
            ("a", State::Running, Some(50), None),
            ("b", State::Skipped, Some(0), Some(10)),
            ("c", State::Stopped, Some(70), None),
            ("c", State::Finished, Some(0), Some(60)),
            ("d", State::Skipped, Some(70), None),
            ("", State::Unknown(9), Some(0), Some(5)),
            ("é 'x'", State::FinishedWithException, None, Some(7)),
        ] {
            let job = Job {
                source: "contoso".into(),
                id: format!("Scan-{}", jobs.len()),
                kind: None,
                state,
                started: started.map(at),
                finished: finished.map(at),
                profile: profile.into(),
                category: None,
                extension: serde_json::Value::Null,
            };
            jobs.push(JobChange { job: Arc::new(job), run: 1, newly_final: false, unjudged: false });
        }
        let intake = Intake {
            source: "contoso".into(),
            now: at(100),
            jobs,
            alerts: Vec::new(),
            judged: Vec::new(),
            rules_version: "".into(),
            unreadable: Vec::new(),
        };
        store.take_in(intake).await.unwrap();
        let running = RunningJob { profile: "a".into(), started: Some(at(50)), id: "Scan-3".into() };
        assert_eq!(store.running(&"contoso".into()).await.unwrap(), [running]);
        // What is given up on has no end, and runs no more.
        store.give_up_on(&"contoso".into(), vec!["Scan-3".into()]).await.unwrap();
        assert_eq!(store.running(&"contoso".into()).await.unwrap(), []);
        let ends = store.last_ends(&"contoso".into()).await.unwrap();
        let ends: Vec<(&str, i64, &str)> =
            ends.iter().map(|end| (end.profile.as_str(), end.at.as_second() - at(0).as_second(), end.id.as_str())).collect();
        assert_eq!(ends, [("", 5, "Scan-8"), ("a", 20, "Scan-1"), ("c", 70, "Scan-5"), ("é 'x'", 7, "Scan-9")]);
        assert_eq!(store.last_ends(&"fabrikam".into()).await.unwrap(), []);
    }

    #[tokio::test]
    async fn watches_are_kept_and_dropped_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let row = |rule: &str, source: Option<&str>, told| WatchRow {
            rule: rule.into(),
            source: source.map(Name::from),
            awaits: "[]".into(),
            began: at(0),
            last: source.map(|_| at(5)),
            told,
        };
        let all = [row("a", None, Told::Nothing), row("a", Some("x"), Told::Missing(at(7))), row("b", Some("x"), Told::CannotTell(at(8)))];
        let store = open(&folder);
        store.keep_watch(WatchChange { put: all.to_vec(), ..WatchChange::default() }, at(9)).await.unwrap();
        drop(store);
        let store = open(&folder);
        assert_eq!(store.watches().await.unwrap(), all);
        let changed = row("b", Some("x"), Told::Nothing);
        let drop = vec![("a".into(), None), ("a".into(), Some("x".into()))];
        store.keep_watch(WatchChange { put: vec![changed.clone()], drop, notices: Vec::new() }, at(9)).await.unwrap();
        assert_eq!(store.watches().await.unwrap(), [changed]);
    }
}
