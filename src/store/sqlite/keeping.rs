//! What keeps the store in order: notices told once, and old jobs let go.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    Sqlite,
    intake::{key, micros, time},
    runs,
    worker::{Survives, Tx},
};
use crate::{
    domain::{Name, Notice, NotificationKind},
    store::{OldJob, Pruned, StoreError, Tellings},
};

/// How many jobs one pruning removes: so many hold the writer for a few milliseconds, and no commit waits longer.
const PRUNED_AT_ONCE: u32 = 200;

#[async_trait]
impl Tellings for Sqlite {
    async fn tell_together(
        &self,
        notice: Notice,
        topics: Vec<(String, Timestamp)>,
        channels: Vec<Name>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.writer.write(Survives::PowerCut, move |tx| tell_together(tx, &notice, &topics, &channels, now)).await
    }

    async fn begun(&self) -> Result<BTreeMap<String, Vec<Timestamp>>, StoreError> {
        self.readers.read(begun).await
    }
}

/// For how long it is known when it was told of a topic's beginnings.
const BEGUN_KEPT_MICROS: i64 = 7 * 24 * 3_600 * 1_000_000;

pub fn tell(tx: &mut Tx<'_>, notice: &Notice, channels: &[Name], now: Timestamp) -> rusqlite::Result<bool> {
    let topic = (notice.topic.clone(), notice.since.unwrap_or(now));
    tell_together(tx, notice, &[topic], channels, now)
}

fn tell_together(
    tx: &mut Tx<'_>,
    notice: &Notice,
    topics: &[(String, Timestamp)],
    channels: &[Name],
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let mut new = false;
    for (topic, since) in topics {
        new |= if notice.over {
            tx.db.prepare_cached("DELETE FROM trouble WHERE topic = ?1")?.execute([topic])? > 0
        } else {
            let begins = tx
                .db
                .prepare_cached("INSERT INTO trouble (topic, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute(params![topic, micros(*since)])?
                > 0;
            if begins {
                // Also what a clock that was set back has left in the future.
                tx.db
                    .prepare_cached("DELETE FROM begun WHERE at < ?1 OR at > ?2")?
                    .execute([micros(now).saturating_sub(BEGUN_KEPT_MICROS), micros(now)])?;
                tx.db
                    .prepare_cached("INSERT INTO begun (topic, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                    .execute(params![topic, micros(now)])?;
            }
            begins
        };
    }
    if !new {
        return Ok(false);
    }
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let rule = notice.facts();
    let facts = tx.facts_id(&serde_json::to_string(&rule).map_err(json)?)?;
    let text = serde_json::to_string(notice).map_err(json)?;
    let edge = if notice.over { "over" } else { "begins" };
    for channel in channels {
        tx.db
            .prepare_cached(
                "INSERT INTO notification (key, channel, kind, rule, facts, notice, state, created, due)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?7)",
            )?
            .execute(params![
                key("notice", &[&notice.topic, &micros(now).to_string(), edge, channel]),
                channel.as_str(),
                NotificationKind::Notice.name(),
                notice.topic,
                facts,
                text,
                micros(now)
            ])?;
    }
    Ok(true)
}

pub fn told(db: &Connection) -> rusqlite::Result<BTreeMap<String, Timestamp>> {
    db.prepare_cached("SELECT topic, since FROM trouble")?.query_map([], |row| Ok((row.get(0)?, time(row.get(1)?))))?.collect()
}

fn begun(db: &Connection) -> rusqlite::Result<BTreeMap<String, Vec<Timestamp>>> {
    let mut begun: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    let mut statement = db.prepare_cached("SELECT topic, at FROM begun ORDER BY topic, at")?;
    for row in statement.query_map([], |row| Ok((row.get(0)?, time(row.get(1)?))))? {
        let (topic, at) = row?;
        begun.entry(topic).or_default().push(at);
    }
    Ok(begun)
}

/// Only as much is read as is old: left to itself, the planner goes through all jobs of the source, and sorts them, for each call. The
/// place is said twice, for only by the first is the index entered there.
pub const OLD_JOBS: &str = "SELECT coalesce(started, first_seen), id FROM job INDEXED BY job_newest
    WHERE coalesce(started, first_seen) >= ?2 AND (coalesce(started, first_seen), id) > (?2, ?3)
        AND coalesce(started, first_seen) < ?4 AND source = ?1 AND ended = 1
    ORDER BY coalesce(started, first_seen), id LIMIT ?5";

pub fn old_jobs(db: &Connection, source: &Name, before: Timestamp, after: &OldJob, most: u32) -> rusqlite::Result<(Vec<String>, OldJob)> {
    let started = after.started.unwrap_or(i64::MIN);
    let rows: Vec<(i64, String)> = db
        .prepare_cached(OLD_JOBS)?
        .query_map(params![source.as_str(), started, after.id, micros(before), most], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let end = rows.last().map_or_else(|| after.clone(), |(started, id)| OldJob { started: Some(*started), id: id.clone() });
    Ok((rows.into_iter().map(|(_, id)| id).collect(), end))
}

pub fn note_listed(tx: &Tx<'_>, source: &Name, jobs: &[(String, bool)]) -> rusqlite::Result<()> {
    let mut statement = tx.db.prepare_cached(
        "UPDATE job SET absences = CASE WHEN ?3 THEN 0 ELSE absences + 1 END WHERE source = ?1 AND id = ?2 AND (absences > 0 OR NOT ?3)",
    )?;
    for (id, listed) in jobs {
        statement.execute(params![source.as_str(), id, listed])?;
    }
    Ok(())
}

/// Messages that carry no alert any more, and notices, go by their own age.
pub const PRUNE_CARRIERS: &str = "DELETE FROM notification WHERE id IN (
    SELECT id FROM notification n WHERE alert IS NULL AND ended < ?1 AND state <> 'dead'
        AND NOT EXISTS (SELECT 1 FROM notification m WHERE m.folded_into = n.id) LIMIT ?2)";

pub fn prune(tx: &Tx<'_>, source: &Name, before: Timestamp) -> rusqlite::Result<Pruned> {
    // Two absences, for a single sweep may have met the list at an odd moment. A dead letter stays until someone has dealt with it, and so does what it is about.
    let ids: Vec<String> = tx
        .db
        .prepare_cached(
            "SELECT id FROM job j WHERE source = ?1 AND absences > 1 AND ended = 1 AND coalesce(finished, started, first_seen) < ?2
                 AND NOT EXISTS (SELECT 1 FROM alert a JOIN notification n ON n.alert = a.id
                     WHERE a.source = j.source AND a.job_id = j.id AND n.state IN ('pending', 'gathering', 'held', 'folded', 'dead'))
             LIMIT ?3",
        )?
        .query_map(params![source.as_str(), micros(before), PRUNED_AT_ONCE], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in &ids {
        tx.db
            .prepare_cached("DELETE FROM notification WHERE alert IN (SELECT id FROM alert WHERE source = ?1 AND job_id = ?2)")?
            .execute(params![source.as_str(), id])?;
        tx.db.prepare_cached("DELETE FROM alert WHERE source = ?1 AND job_id = ?2")?.execute(params![source.as_str(), id])?;
        tx.db.prepare_cached("DELETE FROM earlier_run WHERE source = ?1 AND id = ?2")?.execute(params![source.as_str(), id])?;
        tx.db.prepare_cached("DELETE FROM job WHERE source = ?1 AND id = ?2")?.execute(params![source.as_str(), id])?;
    }
    if !ids.is_empty() {
        // Whatever shows up again from before this instant is history, not news.
        tx.db
            .prepare_cached("UPDATE source SET pruned = max(coalesce(pruned, ?2), ?2) WHERE name = ?1")?
            .execute(params![source.as_str(), micros(before)])?;
    }
    if ids.len() < PRUNED_AT_ONCE as usize {
        runs::prune(tx, source, before, PRUNED_AT_ONCE)?;
        tx.db.prepare_cached(PRUNE_CARRIERS)?.execute(params![micros(before), PRUNED_AT_ONCE])?;
    }
    Ok(Pruned { jobs: ids.len(), more: ids.len() == PRUNED_AT_ONCE as usize })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::Severity,
        store::{Claim, Store, sqlite::Access},
    };

    #[tokio::test]
    async fn what_several_topics_share_is_one_message_and_each_is_known_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("jobrelay.db"), Access::Service).unwrap();
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let notice = |over| Notice {
            topic: "sources down".into(),
            title: String::new(),
            text: String::new(),
            since: None,
            severity: Severity::Info,
            over,
        };
        let tell = async |over: bool, topics: &[&str], second: i64| {
            let topics = topics.iter().map(|topic| ((*topic).to_owned(), at(second - 5))).collect();
            store.tell_together(notice(over), topics, vec!["a".into()], at(second)).await.unwrap()
        };
        let known = async || store.told().await.unwrap().into_keys().collect::<Vec<_>>();
        assert!(tell(false, &["x", "y"], 10).await && !tell(false, &["y", "x"], 11).await);
        assert!(tell(false, &["y", "z"], 12).await);
        assert_eq!(known().await, ["x", "y", "z"]);
        assert!(tell(true, &["x", "z"], 20).await && !tell(true, &["x"], 21).await);
        assert_eq!(known().await, ["y"]);
        let Claim::Ready(batch) = store.claim(&"a".into(), at(30), 10).await.unwrap() else { panic!("nothing was told") };
        assert_eq!(batch.len(), 3);
        // When each was told is known for a week, and a clock that was set back leaves nothing in the future.
        let begun = store.begun().await.unwrap();
        assert_eq!((&begun["x"], &begun["z"]), (&vec![at(10)], &vec![at(12)]));
        assert!(tell(false, &["x"], -100).await);
        assert_eq!(store.begun().await.unwrap(), BTreeMap::from([("x".to_owned(), vec![at(-100)])]));
        assert!(tell(false, &["z"], 8 * 24 * 3_600).await);
        assert_eq!(store.begun().await.unwrap().len(), 1);
    }
}
