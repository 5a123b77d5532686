//! The way of notifications: claimed, settled, rolled up, sent again.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    intake::{key, micros, time},
    ledger::Accepted,
    worker::Tx,
};
use crate::{
    domain::{Alert, Ending, Job, JobView, Name, Notification, NotificationKind, RuleFacts, State},
    failpoint::{self, Point},
    store::{Claim, Retry, RollUp, Settlement, Verdict},
};

/// How long a claim holds. In this backend one process owns the file, and a start voids older leases.
const LEASE_MICROS: i64 = 60_000_000;
/// No attempt puts the next one off for longer: a channel may ask for a day, and a little is left for what is under way.
const LONGEST_WAIT_MICROS: i64 = 25 * 3_600 * 1_000_000;
/// How many of a roll-up's alerts are loaded to be named in it; the rest are counted.
pub const ROLL_UP_NAMED: u32 = 1_000;

/// Whether its time is yet to come. One never tried is due at once, and a time further off than any wait means that the clock
/// was set back.
fn waits(due: i64, attempts: u32, now: Timestamp) -> bool {
    attempts > 0 && (1..=LONGEST_WAIT_MICROS).contains(&due.saturating_sub(micros(now)))
}

/// Whether the first in a channel's line may be sent. `Ready` is empty here: it only says that a claim is worthwhile.
pub fn first_due(db: &Connection, channel: &Name, holder: &str, now: Timestamp) -> rusqlite::Result<Claim> {
    let first: Option<(i64, u32, Option<String>, Option<i64>)> = db
        .prepare_cached(
            "SELECT due, attempts, holder, lease FROM notification WHERE channel = ?1 AND state = 'pending' ORDER BY id LIMIT 1",
        )?
        .query_row([channel.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    Ok(match first {
        None => Claim::Empty,
        Some((due, attempts, ..)) if waits(due, attempts, now) => Claim::NotBefore(time(due)),
        Some((_, _, Some(other), Some(lease))) if other != holder && lease > micros(now) => Claim::NotBefore(time(lease)),
        Some(_) => Claim::Ready(Vec::new()),
    })
}

pub fn claim(tx: &Tx<'_>, channel: &Name, holder: &str, now: Timestamp, most: u32) -> rusqlite::Result<Claim> {
    match first_due(tx.db, channel, holder, now)? {
        Claim::Ready(_) => {}
        nothing => return Ok(nothing),
    }
    let rows: Vec<(Notification, Option<i64>, i64)> = tx
        .db
        .prepare_cached(
            "SELECT n.id, n.key, n.kind, n.created, n.attempts, n.targets, f.facts, n.alert, n.due, n.notice, n.waited
             FROM notification n JOIN rule_facts f ON f.id = n.facts
             WHERE n.channel = ?1 AND n.state = 'pending' ORDER BY n.id LIMIT ?2",
        )?
        .query_map(params![channel.as_str(), most], |row| notification_of(row, channel))?
        .collect::<rusqlite::Result<_>>()?;
    let mut ready = Vec::with_capacity(rows.len());
    for (mut notification, alert, due) in rows {
        // What waits for its time keeps those behind it waiting, too: a channel is told things in order.
        if waits(due, notification.attempts, now) {
            break;
        }
        match alert {
            Some(id) => notification.alerts = alerts(tx.db, "a.id = ?1", id, 1)?,
            None if notification.notice.is_some() => {}
            None => {
                notification.alerts =
                    alerts(tx.db, "a.id IN (SELECT alert FROM notification WHERE folded_into = ?1)", notification.id, ROLL_UP_NAMED)?;
                notification.total = tx
                    .db
                    .prepare_cached("SELECT count(*) FROM notification WHERE folded_into = ?1")?
                    .query_row([notification.id], |row| row.get::<_, i64>(0))?
                    .unsigned_abs();
            }
        }
        tx.db.prepare_cached("UPDATE notification SET holder = ?2, lease = ?3 WHERE id = ?1")?.execute(params![
            notification.id,
            holder,
            micros(now) + LEASE_MICROS
        ])?;
        ready.push(notification);
    }
    failpoint::pass(Point::ClaimWritten);
    Ok(Claim::Ready(ready))
}

fn notification_of(row: &Row<'_>, channel: &Name) -> rusqlite::Result<(Notification, Option<i64>, i64)> {
    let kind: String = row.get(2)?;
    let notification = Notification {
        id: row.get(0)?,
        key: row.get(1)?,
        channel: channel.clone(),
        kind: NotificationKind::of_name(&kind),
        rule: facts_of(&row.get::<_, String>(6)?),
        alerts: Vec::new(),
        notice: row.get::<_, Option<String>>(9)?.and_then(|text| serde_json::from_str(&text).ok()),
        total: 1,
        created: time(row.get(3)?),
        attempts: row.get(4)?,
        waited: Duration::from_micros(row.get::<_, i64>(10)?.unsigned_abs()),
        ended: row.get::<_, Option<String>>(5)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
    };
    Ok((notification, row.get(7)?, row.get(8)?))
}

/// Facts as they were written; should a damaged file hold something else, the message still goes out, naming the trouble.
pub fn facts_of(text: &str) -> RuleFacts {
    serde_json::from_str(text).unwrap_or_else(|_| RuleFacts {
        name: "(unreadable in the store)".into(),
        description: String::new(),
        severity: crate::domain::Severity::default(),
        labels: std::collections::BTreeMap::new(),
        template: None,
    })
}

/// A job's snapshot as it was written.
pub fn snapshot_of(text: &str) -> Job {
    serde_json::from_str::<JobView>(text).map_or_else(
        |_| Job {
            source: Name::from(""),
            id: "(unreadable in the store)".into(),
            kind: None,
            state: State::Unknown(-1),
            started: None,
            finished: None,
            profile: String::new(),
            category: None,
            extension: serde_json::Value::Null,
        },
        Job::from,
    )
}

fn alerts(db: &Connection, condition: &str, id: i64, most: u32) -> rusqlite::Result<Vec<Alert>> {
    db.prepare_cached(&format!(
        "SELECT a.id, a.run, f.facts, a.job, a.created FROM alert a JOIN rule_facts f ON f.id = a.facts
         WHERE {condition} ORDER BY a.id LIMIT ?2"
    ))?
    .query_map(params![id, most], |row| {
        Ok(Alert {
            id: row.get(0)?,
            run: row.get(1)?,
            rule: facts_of(&row.get::<_, String>(2)?),
            job: snapshot_of(&row.get::<_, String>(3)?),
            created: time(row.get(4)?),
        })
    })?
    .collect()
}

pub fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> rusqlite::Result<()> {
    let (state, due, ended) = match settlement.verdict {
        Verdict::Delivered => ("delivered", None, Some(micros(settlement.now))),
        Verdict::Dead => ("dead", None, Some(micros(settlement.now))),
        Verdict::Again(due) | Verdict::Held(due) => ("pending", Some(micros(due)), None),
        Verdict::Underway => ("pending", None, None),
    };
    let waits = match settlement.verdict {
        Verdict::Again(due) => micros(due).saturating_sub(micros(settlement.now)).max(0),
        _ => 0,
    };
    let targets = if settlement.targets.is_empty() { None } else { serde_json::to_string(&settlement.targets).ok() };
    // Only a pending row is settled: one that was settled before (by a worker whose lease had run out) keeps its ending.
    let row: Option<(String, Option<i64>)> = tx
        .db
        .prepare_cached(
            "UPDATE notification SET state = ?2, due = coalesce(?3, due), ended = ?4, attempts = attempts + ?5, answer = ?6,
                 waited = waited + ?8, targets = coalesce(?7, targets), holder = NULL, lease = NULL
             WHERE id = ?1 AND state = 'pending' RETURNING channel, alert",
        )?
        .query_row(params![settlement.id, state, due, ended, settlement.attempted, settlement.answer, targets, waits], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((channel, alert)) = row else { return Ok(()) };
    let (ending, ended_at) = match settlement.verdict {
        Verdict::Delivered => (if alert.is_some() { Ending::Delivered } else { Ending::RolledUp }, settlement.now),
        Verdict::Dead => (Ending::Dead, settlement.now),
        Verdict::Again(_) | Verdict::Held(_) | Verdict::Underway => return Ok(()),
    };
    let alerts = if alert.is_some() {
        1
    } else {
        tx.db
            .prepare_cached("UPDATE notification SET state = ?2, ended = ?3 WHERE folded_into = ?1 AND state = 'folded'")?
            .execute(params![settlement.id, ending.name(), micros(ended_at)])?
    };
    let alerts = i64::try_from(alerts).unwrap_or(i64::MAX);
    tx.count("ended", &channel, ending.name(), alerts);
    tx.count("pending", &channel, "", -alerts);
    failpoint::pass(Point::SettleWritten);
    Ok(())
}

/// Puts an acceptance from the ledger into the tables, unless it is there already, or the number has come to mean another
/// message (in a database restored from an older copy).
pub fn enter(tx: &mut Tx<'_>, accepted: &Accepted) -> rusqlite::Result<()> {
    let same = tx
        .db
        .prepare_cached("SELECT 1 FROM notification WHERE id = ?1 AND key = ?2 AND state = 'pending'")?
        .exists(params![accepted.id, accepted.key])?;
    if !same {
        return Ok(());
    }
    let settlement = Settlement {
        id: accepted.id,
        verdict: Verdict::Delivered,
        now: accepted.now,
        attempted: true,
        answer: accepted.answer.clone(),
        targets: accepted.targets.clone(),
    };
    settle(tx, &settlement)
}

pub fn let_through(db: &Connection, rule: &Name, most: u32) -> rusqlite::Result<Vec<Timestamp>> {
    let mut times: Vec<i64> = db
        .prepare_cached(
            "SELECT created FROM (SELECT created FROM alert WHERE rule = ?1 AND held = 0 ORDER BY created DESC LIMIT ?2)
             UNION ALL
             SELECT created FROM (SELECT DISTINCT created FROM notification WHERE rule = ?1 AND kind = 'roll_up' ORDER BY created DESC LIMIT ?2)",
        )?
        .query_map(params![rule.as_str(), most], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    times.sort_unstable();
    let surplus = times.len().saturating_sub(most as usize);
    Ok(times.into_iter().skip(surplus).map(time).collect())
}

pub fn held_rules(db: &Connection) -> rusqlite::Result<Vec<Name>> {
    db.prepare_cached("SELECT DISTINCT rule FROM notification WHERE state = 'held'")?
        .query_map([], |row| row.get::<_, String>(0).map(Name::from))?
        .collect()
}

pub fn roll_up(tx: &Tx<'_>, rule: &Name, now: Timestamp) -> rusqlite::Result<RollUp> {
    let lines: Vec<(String, String, String, i64, i64)> = tx
        .db
        .prepare_cached(
            "SELECT held.channel, first.key, last.key, held.n, last.facts
             FROM (SELECT channel, min(id) AS first, max(id) AS last, count(*) AS n FROM notification
                   WHERE rule = ?1 AND state = 'held' GROUP BY channel) held
             JOIN notification first ON first.id = held.first JOIN notification last ON last.id = held.last",
        )?
        .query_map([rule.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut made = RollUp { messages: lines.len(), folded: 0 };
    for (channel, first, last, count, facts) in lines {
        tx.db
            .prepare_cached(
                "INSERT INTO notification (key, channel, kind, rule, facts, state, created, due) VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6)",
            )?
            .execute(params![
                key("roll_up", &[&first, &last, &count.to_string()]),
                channel,
                NotificationKind::RollUp.name(),
                rule.as_str(),
                facts,
                micros(now)
            ])?;
        let id = tx.db.last_insert_rowid();
        made.folded += tx
            .db
            .prepare_cached(
                "UPDATE notification SET state = 'folded', folded_into = ?3 WHERE rule = ?1 AND channel = ?2 AND state = 'held'",
            )?
            .execute(params![rule.as_str(), channel, id])?;
    }
    failpoint::pass(Point::RollUpWritten);
    Ok(made)
}

pub fn retry(tx: &mut Tx<'_>, which: Retry, now: Timestamp) -> rusqlite::Result<usize> {
    let (condition, id) = match which {
        // An alert that went down with its roll-up is sent again with it.
        Retry::One(id) => ("id = coalesce((SELECT folded_into FROM notification WHERE id = ?1), ?1) AND state IN ('dead', 'pending')", id),
        Retry::Dead => ("state = 'dead' AND folded_into IS NULL AND ?1 IS NOT NULL", 0),
    };
    let rows: Vec<(i64, String, String, Option<i64>)> = tx
        .db
        .prepare(&format!("SELECT id, channel, state, alert FROM notification WHERE {condition}"))?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, channel, state, alert) in &rows {
        // Recipients that accepted it stay accepted; those that refused are asked again.
        tx.db
            .prepare_cached(
                "UPDATE notification SET state = 'pending', due = ?2, attempts = 0, waited = 0, ended = NULL, holder = NULL, lease = NULL,
                     targets = (SELECT json_group_array(json(value)) FROM json_each(targets) WHERE value ->> 'accepted')
                 WHERE id = ?1",
            )?
            .execute(params![id, micros(now)])?;
        if state != "dead" {
            continue;
        }
        let alerts = if alert.is_some() {
            1
        } else {
            tx.db
                .prepare_cached("UPDATE notification SET state = 'folded', ended = NULL WHERE folded_into = ?1 AND state = 'dead'")?
                .execute([id])?
        };
        let alerts = i64::try_from(alerts).unwrap_or(i64::MAX);
        tx.count("ended", channel, Ending::Dead.name(), -alerts);
        tx.count("pending", channel, "", alerts);
    }
    Ok(rows.len())
}
