//! The way of notifications: claimed, and loaded with what they carry.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::{
    intake::{micros, time},
    worker::Tx,
};
use crate::{
    domain::{Alert, Job, JobView, Name, Notification, NotificationKind, RuleFacts, State, TargetEnd, Undelivered},
    failpoint::{self, Point},
    store::Claim,
};

/// How long a claim holds. In this backend one process owns the file, and a start voids older leases.
const LEASE_MICROS: i64 = 60_000_000;
/// How many of a roll-up's alerts are loaded to be named in it; the rest are counted.
pub const ROLL_UP_NAMED: u32 = 1_000;
/// Nothing is put aside for longer, for a recipient's server may ask for a day at most: what seems to be, was put aside before
/// the wall clock was set back, and is due.
const ASIDE_MOST_MICROS: i64 = 25 * 3_600 * 1_000_000;

/// Whether anything may be sent to a channel. `Ready` is empty here: it only says that a claim is worthwhile.
pub fn first_due(db: &Connection, channel: &Name, holder: &str, now: Timestamp) -> rusqlite::Result<Claim> {
    let shut: Option<i64> = db
        .prepare_cached("SELECT due FROM line WHERE channel = ?1 AND due > ?2")?
        .query_row(params![channel.as_str(), micros(now)], |row| row.get(0))
        .optional()?;
    let first: Option<(Option<String>, Option<i64>)> = db
        .prepare_cached(&format!("SELECT holder, lease FROM notification WHERE {} ORDER BY coalesce(place, id) LIMIT 1", ready()))?
        .query_row(params![channel.as_str(), micros(now)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let (Some(_), Some(due)) = (&first, shut) {
        return Ok(Claim::NotBefore(time(due)));
    }
    Ok(match first {
        Some((Some(other), Some(lease))) if other != holder && lease > micros(now) => Claim::NotBefore(time(lease)),
        Some(_) => Claim::Ready(Vec::new()),
        None => {
            let aside: Option<i64> = db
                .prepare_cached("SELECT min(due) FROM notification WHERE channel = ?1 AND state = 'pending'")?
                .query_row([channel.as_str()], |row| row.get(0))?;
            aside.map_or(Claim::Empty, |due| Claim::NotBefore(time(due.max(shut.unwrap_or(i64::MIN)))))
        }
    })
}

/// What waits for the channel `?1` and is not aside at `?2`. What was never put aside is due from its making, whatever the
/// wall clock says since.
pub fn ready() -> String {
    format!("channel = ?1 AND state = 'pending' AND (due <= ?2 OR due <= created OR due > ?2 + {ASIDE_MOST_MICROS})")
}

pub fn claim(tx: &Tx<'_>, channel: &Name, holder: &str, now: Timestamp, most: u32) -> rusqlite::Result<Claim> {
    match first_due(tx.db, channel, holder, now)? {
        Claim::Ready(_) => {}
        nothing => return Ok(nothing),
    }
    let rows: Vec<(Notification, Option<i64>, Option<i64>)> = tx
        .db
        .prepare_cached(&format!(
            "SELECT n.id, n.key, n.kind, n.created, n.attempts, n.targets, f.facts, n.alert, n.instead_of, n.notice, n.waited, n.digest,
                 CASE WHEN n.instead_of IS NULL THEN n.place ELSE (SELECT place FROM notification o WHERE o.id = n.instead_of) END IS NOT NULL
             FROM (SELECT * FROM notification WHERE {} ORDER BY coalesce(place, id) LIMIT ?3) n JOIN rule_facts f ON f.id = n.facts
             ORDER BY coalesce(n.place, n.id)",
            ready()
        ))?
        .query_map(params![channel.as_str(), micros(now), most], |row| notification_of(row, channel))?
        .collect::<rusqlite::Result<_>>()?;
    let mut ready = Vec::with_capacity(rows.len());
    for (mut notification, alert, instead_of) in rows {
        match alert {
            Some(id) => notification.alerts = alerts(tx.db, "a.id = ?1", id, 1)?,
            None if matches!(notification.kind, NotificationKind::Notice | NotificationKind::Digest) => {}
            None => load_carried(tx.db, &mut notification, instead_of)?,
        }
        if let Some(id) = instead_of {
            notification.undelivered = undelivered(tx.db, id)?;
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

/// The alerts of a message that has none of its own: those folded into it, or into the one in whose place it goes out.
fn load_carried(db: &Connection, notification: &mut Notification, instead_of: Option<i64>) -> rusqlite::Result<()> {
    let carrier = instead_of.unwrap_or(notification.id);
    let one: Option<i64> =
        db.prepare_cached("SELECT alert FROM notification WHERE id = ?1")?.query_row([carrier], |row| row.get(0)).optional()?.flatten();
    if let Some(alert) = one {
        notification.alerts = alerts(db, "a.id = ?1", alert, 1)?;
        return Ok(());
    }
    notification.alerts = alerts(db, "a.id IN (SELECT alert FROM notification WHERE folded_into = ?1)", carrier, ROLL_UP_NAMED)?;
    notification.total = db
        .prepare_cached("SELECT count(alert) FROM notification WHERE folded_into = ?1")?
        .query_row([carrier], |row| row.get::<_, i64>(0))?
        .unsigned_abs();
    Ok(())
}

/// Where the message was meant to go, and what was answered there.
fn undelivered(db: &Connection, id: i64) -> rusqlite::Result<Option<Undelivered>> {
    db.prepare_cached("SELECT channel, coalesce(answer, '') FROM notification WHERE id = ?1")?
        .query_row([id], |row| Ok(Undelivered { channel: Name::from(row.get::<_, String>(0)?), answer: row.get(1)? }))
        .optional()
}

fn notification_of(row: &Row<'_>, channel: &Name) -> rusqlite::Result<(Notification, Option<i64>, Option<i64>)> {
    let kind: String = row.get(2)?;
    let notification = Notification {
        id: row.get(0)?,
        key: row.get(1)?,
        channel: channel.clone(),
        kind: NotificationKind::of_name(&kind),
        rule: facts_of(&row.get::<_, String>(6)?),
        alerts: Vec::new(),
        notice: row.get::<_, Option<String>>(9)?.and_then(|text| serde_json::from_str(&text).ok()),
        digest: row.get::<_, Option<String>>(11)?.and_then(|text| serde_json::from_str(&text).ok()).map(Arc::new),
        undelivered: None,
        total: 1,
        backlog: row.get(12)?,
        created: time(row.get(3)?),
        attempts: row.get(4)?,
        waited: Duration::from_micros(row.get::<_, i64>(10)?.unsigned_abs()),
        ended: row.get::<_, Option<String>>(5)?.as_deref().map(targets_of).unwrap_or_default(),
    };
    Ok((notification, row.get(7)?, row.get(8)?))
}

/// Recipients as they were written.
pub fn targets_of(text: &str) -> Vec<TargetEnd> {
    serde_json::from_str(text).unwrap_or_default()
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
    loaded(db, condition, &id, most)
}

/// The alerts that a condition on `?1` names, oldest first, at most `most`.
pub fn loaded(db: &Connection, condition: &str, value: &dyn ToSql, most: u32) -> rusqlite::Result<Vec<Alert>> {
    db.prepare_cached(&format!(
        "SELECT a.id, a.run, f.facts, a.job, a.created FROM alert a JOIN rule_facts f ON f.id = a.facts
         WHERE {condition} ORDER BY a.id LIMIT ?2"
    ))?
    .query_map(params![value, most], |row| {
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
