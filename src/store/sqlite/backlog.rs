//! A channel's backlog, folded from its front: messages of one rule become one roll-up in the place of the oldest.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Sqlite,
    intake::{key, micros},
    outbox::{facts_of, loaded, ready},
    worker::{Survives, Tx},
};
use crate::{
    domain::{Name, Notification, NotificationKind},
    failpoint::{self, Point},
    store::{Backlogs, Depth, Foldable, Front, FrontQuery, StoreError},
};

/// How many messages of a line are looked through for those that go with its first one: some 20 ms. What lies farther back is
/// folded when the line has moved on.
const LOOKED_THROUGH: u32 = 20_000;

/// A message that can be folded: of a rule, never handed out (one that was may have been taken by its channel, and comes again
/// as it was), in no other's place, and no roll-up of a backlog itself.
const FREE: &str = "kind IN ('alert', 'group', 'roll_up') AND attempts = 0 AND answer IS NULL AND lease IS NULL AND instead_of IS NULL
    AND place IS NULL";

#[async_trait]
impl Backlogs for Sqlite {
    async fn depth(&self, channel: &Name, most: u64) -> Result<Depth, StoreError> {
        let channel = channel.clone();
        self.readers.read(move |db| depth(db, &channel, most)).await
    }

    async fn front(&self, query: FrontQuery) -> Result<Front, StoreError> {
        self.readers.read(move |db| front(db, &query)).await
    }

    async fn fold(&self, messages: Vec<i64>, now: Timestamp) -> Result<u64, StoreError> {
        let alerts = self.writer.write(Survives::PowerCut, move |tx| fold(tx, &messages, now)).await?;
        failpoint::pass(Point::BacklogFolded);
        Ok(alerts)
    }
}

fn depth(db: &Connection, channel: &Name, most: u64) -> rusqlite::Result<Depth> {
    let waiting: i64 = db
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM notification WHERE channel = ?1 AND state = 'pending' LIMIT ?2)")?
        .query_row(params![channel.as_str(), i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get(0))?;
    let last: Option<i64> = db
        .prepare_cached(
            "SELECT coalesce(place, id) FROM notification WHERE channel = ?1 AND state = 'pending' ORDER BY coalesce(place, id) DESC LIMIT 1",
        )?
        .query_row([channel.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Depth { waiting: waiting.unsigned_abs(), last: last.unwrap_or(i64::MIN) })
}

fn front(db: &Connection, query: &FrontQuery) -> rusqlite::Result<Front> {
    let (channel, now) = (query.channel.as_str(), micros(query.now));
    let first: Option<(i64, i64, bool)> = db
        .prepare_cached(&format!(
            "SELECT coalesce(place, id), facts, {FREE} FROM notification WHERE {} ORDER BY coalesce(place, id) LIMIT 1",
            ready()
        ))?
        .query_row(params![channel, now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((place, facts, free)) = first.filter(|(place, ..)| *place <= query.last) else { return Ok(Front::Past) };
    if !free {
        return Ok(Front::Alone);
    }
    let mut messages = Vec::new();
    let mut left = u64::from(query.most);
    // Read in the order of the index, and no farther than it takes.
    let mut statement = db.prepare_cached(&format!(
        "SELECT id, CASE WHEN NOT (facts = ?5 AND {FREE}) THEN NULL WHEN alert IS NULL
             THEN (SELECT count(alert) FROM notification m WHERE m.folded_into = n.id) ELSE 1 END
         FROM notification n WHERE {} AND coalesce(place, id) BETWEEN ?3 AND ?4 ORDER BY coalesce(place, id) LIMIT {LOOKED_THROUGH}",
        ready()
    ))?;
    let mut rows = statement.query(params![channel, now, place, query.last, facts])?;
    while left > 0
        && let Some(row) = rows.next()?
    {
        let Some(alerts) = row.get::<_, Option<i64>>(1)? else { continue };
        // In the order of the line: none is passed over for being large.
        let Some(rest) = left.checked_sub(alerts.unsigned_abs()) else { break };
        left = rest;
        messages.push(row.get(0)?);
    }
    if messages.len() < 2 {
        return Ok(Front::Alone);
    }
    let roll_up = as_one(db, query, facts, &messages)?;
    Ok(Front::Together(Box::new(Foldable { messages, roll_up })))
}

/// The roll-up that would carry these messages.
fn as_one(db: &Connection, query: &FrontQuery, facts: i64, messages: &[i64]) -> rusqlite::Result<Notification> {
    let facts: String = db.prepare_cached("SELECT facts FROM rule_facts WHERE id = ?1")?.query_row([facts], |row| row.get(0))?;
    let sample = Notification::sample(NotificationKind::RollUp, &facts_of(&facts), Vec::new(), query.now);
    let carried = "a.id IN (SELECT alert FROM notification WHERE id IN (SELECT value FROM json_each(?1))
        UNION ALL SELECT alert FROM notification WHERE folded_into IN (SELECT value FROM json_each(?1)))";
    let alerts = loaded(db, carried, &list(messages), query.most)?;
    Ok(Notification { channel: query.channel.clone(), total: alerts.len() as u64, alerts, backlog: true, ..sample })
}

fn list(numbers: &[i64]) -> String {
    serde_json::Value::from(numbers).to_string()
}

struct Part {
    id: i64,
    key: String,
    place: i64,
    carries: bool,
}

fn fold(tx: &Tx<'_>, messages: &[i64], now: Timestamp) -> rusqlite::Result<u64> {
    let parts: Vec<Part> = tx
        .db
        .prepare_cached(&format!(
            "SELECT id, key, coalesce(place, id), alert IS NULL FROM notification
             WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'pending' AND {FREE} ORDER BY coalesce(place, id)"
        ))?
        .query_map([list(messages)], |row| Ok(Part { id: row.get(0)?, key: row.get(1)?, place: row.get(2)?, carries: row.get(3)? }))?
        .collect::<rusqlite::Result<_>>()?;
    let Some(first) = parts.first().filter(|_| parts.len() > 1) else { return Ok(0) };
    let numbers: Vec<i64> = parts.iter().map(|part| part.id).collect();
    let keys: Vec<&str> = parts.iter().map(|part| part.key.as_str()).collect();
    // Its time is that of the one that has waited for the shortest: none is given up before its own is over. Who has not waited
    // for a channel in trouble has no stamp.
    tx.db
        .prepare_cached(
            "INSERT INTO notification (key, channel, kind, rule, facts, state, created, due, place, stamp)
             SELECT ?2, channel, ?3, rule, facts, 'pending', ?4, ?4, ?5,
                 (SELECT CASE WHEN count(*) = count(stamp) THEN max(stamp) END FROM notification WHERE id IN (SELECT value FROM json_each(?6)))
             FROM notification WHERE id = ?1",
        )?
        .execute(params![first.id, key("backlog", &keys), NotificationKind::RollUp.name(), micros(now), first.place, list(&numbers)])?;
    let made = tx.db.last_insert_rowid();
    // What groups and roll-ups carry is carried by the one message, and so are they, as empty shells: a rule's limit counts them.
    let mut alerts = parts.iter().filter(|part| !part.carries).count();
    for shell in parts.iter().filter(|part| part.carries) {
        alerts +=
            tx.db.prepare_cached("UPDATE notification SET folded_into = ?2 WHERE folded_into = ?1")?.execute(params![shell.id, made])?;
    }
    tx.db
        .prepare_cached("UPDATE notification SET state = 'folded', folded_into = ?2 WHERE id IN (SELECT value FROM json_each(?1))")?
        .execute(params![list(&numbers), made])?;
    failpoint::pass(Point::BacklogWritten);
    Ok(alerts as u64)
}
