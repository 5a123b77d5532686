//! One job's story, out of the tables.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Sqlite,
    intake::{JOB_COLUMNS, job_of, micros, time},
    line,
    outbox::{facts_of, snapshot_of, targets_of},
};
use crate::{
    domain::Name,
    store::{Message, Raised, Sought, SourceRecord, Stage, StoreError, Stories, Story, Way},
};

/// Among so many jobs, shared by the sources and the newest of each by id, it is looked for ids that hold the one asked for: no index
/// leads there.
const LOOKED_THROUGH: u32 = 100_000;
/// How many ids that begin or end alike are compared with the one asked for.
const COMPARED: u32 = 2_000;
/// Ids that share fewer characters at their beginning are not alike: many begin with one word.
const ALIKE_FROM: usize = 6;

#[async_trait]
impl Stories for Sqlite {
    async fn starts(&self) -> Result<BTreeMap<Name, Timestamp>, StoreError> {
        self.readers
            .read(|db| {
                let start = |row: &Row<'_>| Ok((Name::from(row.get::<_, String>(0)?), time(row.get(1)?)));
                db.prepare_cached("SELECT name, cut FROM source")?.query_map([], start)?.collect()
            })
            .await
    }

    async fn seek(&self, job_id: &str) -> Result<Sought, StoreError> {
        let id = job_id.to_owned();
        self.readers.read(move |db| seek(db, &id)).await
    }

    async fn story(&self, source: &str, job_id: &str, now: Timestamp) -> Result<Option<Story>, StoreError> {
        let (source, id) = (source.to_owned(), job_id.to_owned());
        // What was accepted so far is entered first, as for every list.
        self.entered().await;
        self.readers.read(move |db| story(db, &source, &id, now)).await
    }
}

fn seek(db: &Connection, id: &str) -> rusqlite::Result<Sought> {
    let sources: Vec<String> = db
        .prepare_cached("SELECT name FROM source JOIN job ON job.source = name AND job.id = ?1 ORDER BY name")?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if sources.is_empty() { Ok(Sought::Like(like(db, id)?)) } else { Ok(Sought::In(sources)) }
}

/// Ids that hold the one asked for (in any case), else those that begin as it does for the longest stretch.
fn like(db: &Connection, id: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let wanted = id.trim().to_lowercase();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let sources: Vec<String> =
        db.prepare_cached("SELECT name FROM source")?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let each = LOOKED_THROUGH / u32::try_from(sources.len()).unwrap_or(u32::MAX).max(1);
    let mut found: Vec<(String, String)> = Vec::new();
    for source in &sources {
        let of_it = db
            .prepare_cached(
                "SELECT source, id FROM (SELECT source, id FROM job WHERE source = ?3 ORDER BY id DESC LIMIT ?4)
                 WHERE instr(lower(id), ?1) > 0 OR instr(?1, lower(id)) > 0 LIMIT ?2",
            )?
            .query_map(params![wanted, COMPARED, source, each], pair)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        found.extend(of_it);
    }
    let mut beginning: Vec<char> = id.trim().chars().collect();
    while found.is_empty() && beginning.len() > ALIKE_FROM {
        beginning.pop();
        // By the index of each source: to compare every id in lower case anew for each length would take seconds.
        found = db
            .prepare_cached(
                "SELECT job.source, job.id FROM source CROSS JOIN job ON job.source = name AND job.id >= ?1 AND job.id < ?1 || char(1114111)
                 LIMIT ?2",
            )?
            .query_map(params![beginning.iter().collect::<String>(), COMPARED], pair)?
            .collect::<rusqlite::Result<_>>()?;
    }
    found.sort();
    found.sort_by(|(_, a), (_, b)| nearness(b, &wanted).total_cmp(&nearness(a, &wanted)));
    found.truncate(Sought::LIKE_MOST);
    Ok(found)
}

fn nearness(id: &str, wanted: &str) -> f64 {
    strsim::jaro_winkler(&id.to_lowercase(), wanted)
}

fn story(db: &Connection, source: &str, id: &str, now: Timestamp) -> rusqlite::Result<Option<Story>> {
    let known = db
        .prepare_cached(&format!("SELECT {JOB_COLUMNS}, first_seen, ended, unjudged FROM job WHERE source = ?1 AND id = ?2"))?
        .query_row([source, id], |row| Ok((job_of(row)?, time(row.get(10)?), row.get(11)?, row.get(12)?)))
        .optional()?;
    let Some(((job, run), first_seen, ended, unjudged)) = known else { return Ok(None) };
    let record = db
        .prepare_cached("SELECT cut, baseline, watermark, pruned FROM source WHERE name = ?1")?
        .query_row([source], |row| {
            Ok(SourceRecord {
                cut: time(row.get(0)?),
                baseline: row.get(1)?,
                watermark: row.get::<_, Option<i64>>(2)?.map(time),
                pruned: row.get::<_, Option<i64>>(3)?.map(time),
            })
        })
        .optional()?;
    let alerts = alerts(db, source, id, now)?;
    let (mut lines, mut refused) = (BTreeMap::new(), BTreeMap::new());
    for message in alerts.iter().flat_map(|alert| &alert.ways).flat_map(|way| std::iter::once(&way.own).chain(&way.instead)) {
        let channel = message.channel.clone();
        let since: Option<i64> = db
            .prepare_cached("SELECT since FROM trouble WHERE topic = ?1")?
            .query_row([format!("channel {channel} refused")], |row| row.get(0))
            .optional()?;
        refused.extend(since.map(|since| (channel.clone(), time(since))));
        lines.insert(channel.clone(), line::read(db, &Name::from(channel))?);
    }
    Ok(Some(Story { job, run, first_seen, ended, unjudged, source: record, alerts, lines, refused }))
}

fn alerts(db: &Connection, source: &str, id: &str, now: Timestamp) -> rusqlite::Result<Vec<Raised>> {
    let mut ways = db.prepare_cached("SELECT id FROM notification WHERE alert = ?1 ORDER BY id")?;
    db.prepare_cached(
        "SELECT a.id, f.facts, a.run, a.job, a.created, a.held, a.rules_version FROM alert a JOIN rule_facts f ON f.id = a.facts
         WHERE a.source = ?1 AND a.job_id = ?2 ORDER BY a.id",
    )?
    .query_map([source, id], |row| {
        let alert: i64 = row.get(0)?;
        let numbers: Vec<i64> = ways.query_map([alert], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Raised {
            id: alert,
            rule: facts_of(&row.get::<_, String>(1)?),
            run: row.get(2)?,
            job: snapshot_of(&row.get::<_, String>(3)?),
            created: time(row.get(4)?),
            rules_version: row.get(6)?,
            at_once: !row.get::<_, bool>(5)?,
            ways: numbers.into_iter().map(|number| way(db, number, now)).collect::<rusqlite::Result<_>>()?,
        })
    })?
    .collect()
}

fn way(db: &Connection, number: i64, now: Timestamp) -> rusqlite::Result<Way> {
    let (own, folded_into) = message(db, number, now)?;
    let carrier = folded_into.map(|number| message(db, number, now)).transpose()?.map(|(message, _)| message);
    let instead = db
        .prepare_cached("SELECT id FROM notification WHERE instead_of = ?1 ORDER BY id")?
        .query_map([carrier.as_ref().map_or(own.id, |carrier| carrier.id)], |row| row.get::<_, i64>(0))?
        .map(|number| message(db, number?, now).map(|(message, _)| message))
        .collect::<rusqlite::Result<_>>()?;
    Ok(Way { own, carrier, instead })
}

/// A message, and the one it is folded into.
fn message(db: &Connection, number: i64, now: Timestamp) -> rusqlite::Result<(Message, Option<i64>)> {
    db.prepare_cached(
        "SELECT n.id, n.key, n.channel, n.kind, n.state, n.created, n.due, n.attempts, n.ended, n.answer, n.targets,
             n.holder IS NOT NULL AND n.lease > ?2, n.gather, n.folded_into,
             CASE WHEN c.alert IS NOT NULL THEN 1 ELSE (SELECT count(alert) FROM notification m WHERE m.folded_into = c.id) END,
             CASE WHEN n.state = 'pending'
                 THEN (SELECT count(*) FROM notification m
                 WHERE m.channel = n.channel AND m.state = 'pending' AND coalesce(m.place, m.id) < coalesce(n.place, n.id)) ELSE 0 END,
             n.place IS NOT NULL
         FROM notification n JOIN notification c ON c.id = coalesce(n.instead_of, n.id) WHERE n.id = ?1",
    )?
    .query_row(params![number, micros(now)], |row| {
        let state: String = row.get(4)?;
        let message = Message {
            id: row.get(0)?,
            key: row.get(1)?,
            channel: row.get(2)?,
            kind: row.get(3)?,
            // Every word of the tables is in the list.
            stage: Stage::ALL.iter().find(|(word, _)| *word == state).map_or(Stage::Pending, |(_, stage)| *stage),
            alerts: row.get::<_, i64>(14)?.unsigned_abs(),
            created: time(row.get(5)?),
            due: time(row.get(6)?),
            attempts: row.get(7)?,
            ended: row.get::<_, Option<i64>>(8)?.map(time),
            answer: row.get(9)?,
            recipients: row.get::<_, Option<String>>(10)?.as_deref().map(targets_of).unwrap_or_default(),
            ahead: row.get::<_, i64>(15)?.unsigned_abs(),
            under_way: row.get(11)?,
            gather: row.get(12)?,
            backlog: row.get(16)?,
        };
        Ok((message, row.get(13)?))
    })
}
