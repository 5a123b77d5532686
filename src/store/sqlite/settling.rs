//! The ends of notifications: settled after an attempt, dead, replaced on a fallback, sent again.

use jiff::Timestamp;
use rusqlite::{CachedStatement, OptionalExtension, Params, params};

use super::{
    intake::{key, micros},
    ledger::Accepted,
    line,
    worker::Tx,
};
use crate::{
    domain::{Ending, Name, NotificationKind},
    failpoint::{self, Point},
    store::{Retry, Settlement, Verdict},
};

pub fn settle(tx: &mut Tx<'_>, settlement: &Settlement) -> rusqlite::Result<()> {
    let aside = match settlement.verdict {
        Verdict::Aside(due) => Some(micros(due)),
        Verdict::Delivered | Verdict::Dead | Verdict::Waits | Verdict::Underway => None,
    };
    let waits = aside.map_or(0, |due| due.saturating_sub(micros(settlement.now)).max(0));
    let targets = if settlement.targets.is_empty() { None } else { serde_json::to_string(&settlement.targets).ok() };
    // One that is still under way stays with whoever holds it, and its last answer is still the last one.
    let underway = settlement.verdict == Verdict::Underway;
    let answer = (!underway).then_some(&settlement.answer);
    // Only a pending row is settled: one that was settled before (by a worker whose lease had run out) keeps its ending.
    let channel: Option<String> = tx
        .db
        .prepare_cached(
            "UPDATE notification SET due = coalesce(?2, due), attempts = attempts + ?3, answer = coalesce(?4, answer), waited = waited + ?5,
                 targets = coalesce(?6, targets), holder = iif(?7, holder, NULL), lease = iif(?7, lease, NULL)
             WHERE id = ?1 AND state = 'pending' RETURNING channel",
        )?
        .query_row(params![settlement.id, aside, settlement.attempted, answer, waits, targets, underway], |row| row.get(0))
        .optional()?;
    let Some(channel) = channel else { return Ok(()) };
    if let Some(line) = &settlement.line {
        line::write(tx, &channel, line)?;
    }
    let ending = match settlement.verdict {
        Verdict::Delivered => Ending::Delivered,
        Verdict::Dead => Ending::Dead,
        Verdict::Waits | Verdict::Aside(_) | Verdict::Underway => return Ok(()),
    };
    let ended =
        Ended { id: settlement.id, ending, answer: &settlement.answer, now: settlement.now, fallback: settlement.fallback.as_ref() };
    end(tx, &ended)?;
    failpoint::pass(Point::SettleWritten);
    Ok(())
}

/// How a pending notification ends.
pub struct Ended<'e> {
    /// The notification.
    pub id: i64,
    /// [`Ending::Delivered`] or [`Ending::Dead`]; what a roll-up carried is counted as rolled up.
    pub ending: Ending,
    /// The channel's answer.
    pub answer: &'e str,
    /// The time.
    pub now: Timestamp,
    /// The channel that gets it if it is dead.
    pub fallback: Option<&'e Name>,
}

/// Ends a pending notification, with the alerts it carries.
pub fn end(tx: &mut Tx<'_>, ended: &Ended<'_>) -> rusqlite::Result<()> {
    let now = micros(ended.now);
    let row: Option<(String, Option<i64>, String)> = tx
        .db
        .prepare_cached(
            "UPDATE notification SET state = ?2, ended = ?3, answer = ?4, holder = NULL, lease = NULL
             WHERE id = ?1 AND state = 'pending' RETURNING channel, alert, kind",
        )?
        .query_row(params![ended.id, ended.ending.name(), now, ended.answer], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((channel, alert, kind)) = row else { return Ok(()) };
    let ending = match ended.ending {
        Ending::Delivered if alert.is_none() && kind == NotificationKind::RollUp.name() => Ending::RolledUp,
        ending => ending,
    };
    let alerts = if alert.is_some() {
        1
    } else {
        let sql = "UPDATE notification SET state = ?2, ended = ?3 WHERE folded_into = ?1 AND state = 'folded' RETURNING alert";
        alerts_of(&mut tx.db.prepare_cached(sql)?, params![ended.id, ending.name(), now])?
    };
    tx.count("ended", &channel, ending.name(), alerts);
    tx.count("pending", &channel, "", -alerts);
    match ended.fallback {
        Some(fallback) if ending == Ending::Dead => send_instead(tx, ended.id, fallback, now),
        _ => Ok(()),
    }
}

/// How many of the rows that a statement returns are an alert's own; the others are shells of messages folded with them.
fn alerts_of(statement: &mut CachedStatement<'_>, parameters: impl Params) -> rusqlite::Result<i64> {
    statement.query_map(parameters, |row| row.get::<_, Option<i64>>(0))?.try_fold(0, |sum, alert| Ok(sum + i64::from(alert?.is_some())))
}

/// Makes a fallback's message in place of one that is dead: once, however often that one is sent again and dies again. It
/// counts for nothing: each alert has its one ending on the channel that it was meant for.
fn send_instead(tx: &Tx<'_>, dead: i64, fallback: &Name, now: i64) -> rusqlite::Result<()> {
    // Down a chain of fallbacks, what is carried is that of the first one, and what is told is the first one's answer.
    let (origin, first): (i64, String) = tx
        .db
        .prepare_cached(
            "SELECT o.id, o.key FROM notification n JOIN notification o ON o.id = coalesce(n.instead_of, n.id) WHERE n.id = ?1",
        )?
        .query_row([dead], |row| Ok((row.get(0)?, row.get(1)?)))?;
    tx.db
        .prepare_cached(
            "INSERT INTO notification (key, channel, kind, rule, facts, notice, digest, instead_of, state, created, due)
             SELECT ?3, ?2, kind, rule, facts, notice, digest, ?1, 'pending', ?4, ?4 FROM notification
             WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM notification WHERE instead_of = ?1 AND channel = ?2)",
        )?
        .execute(params![origin, fallback.as_str(), key("instead", &[&first, fallback]), now])?;
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
        line: None,
        fallback: None,
    };
    settle(tx, &settlement)
}

pub fn retry(tx: &mut Tx<'_>, which: Retry) -> rusqlite::Result<usize> {
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
                "UPDATE notification SET state = 'pending', due = created, attempts = 0, waited = 0, stamp = NULL, ended = NULL,
                     holder = NULL, lease = NULL, targets = (SELECT json_group_array(json(value)) FROM json_each(targets) WHERE value ->> 'accepted')
                 WHERE id = ?1",
            )?
            .execute([id])?;
        // Whoever sends again has mended the channel, or hopes so: it need not wait for its next probe.
        tx.db.prepare_cached("UPDATE line SET due = NULL WHERE channel = ?1")?.execute([channel])?;
        if state != "dead" {
            continue;
        }
        let alerts = if alert.is_some() {
            1
        } else {
            let sql = "UPDATE notification SET state = 'folded', ended = NULL WHERE folded_into = ?1 AND state = 'dead' RETURNING alert";
            alerts_of(&mut tx.db.prepare_cached(sql)?, params![id])?
        };
        tx.count("ended", channel, Ending::Dead.name(), -alerts);
        tx.count("pending", channel, "", alerts);
    }
    Ok(rows.len())
}
