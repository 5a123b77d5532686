//! Many alerts in one message: what a limit held back, and what was gathered into groups.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    intake::{key, micros, time},
    worker::Tx,
};
use crate::{
    domain::{Name, NotificationKind},
    failpoint::{self, Point},
    store::{Gathering, RollUp},
};

pub fn let_through(db: &Connection, rule: &Name, most: u32) -> rusqlite::Result<Vec<Timestamp>> {
    // One message a channel is one message to the limit; two groups may well go out at one instant. A roll-up of a backlog carries
    // what was let through before.
    let mut times: Vec<i64> = db
        .prepare_cached(
            "SELECT created FROM (SELECT created FROM alert WHERE rule = ?1 AND held = 0 ORDER BY created DESC LIMIT ?2)
             UNION ALL
             SELECT created FROM (SELECT DISTINCT created, kind, gather FROM notification
                 WHERE rule = ?1 AND kind IN ('roll_up', 'group') AND instead_of IS NULL AND place IS NULL ORDER BY created DESC LIMIT ?2)",
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

pub fn gathering(db: &Connection) -> rusqlite::Result<Vec<Gathering>> {
    db.prepare_cached("SELECT rule, gather, min(due) FROM notification WHERE state = 'gathering' GROUP BY rule, gather ORDER BY min(due)")?
        .query_map([], |row| Ok(Gathering { rule: Name::from(row.get::<_, String>(0)?), key: row.get(1)?, due: time(row.get(2)?) }))?
        .collect()
}

pub fn roll_up(tx: &Tx<'_>, rule: &Name, now: Timestamp) -> rusqlite::Result<RollUp> {
    fold(tx, rule, NotificationKind::RollUp, None, now)
}

pub fn send_group(tx: &Tx<'_>, rule: &Name, group: &str, now: Timestamp) -> rusqlite::Result<RollUp> {
    fold(tx, rule, NotificationKind::Group, Some(group), now)
}

pub fn hold_group(tx: &Tx<'_>, rule: &Name, group: &str) -> rusqlite::Result<usize> {
    tx.db
        .prepare_cached("UPDATE notification SET state = 'held' WHERE rule = ?1 AND gather = ?2 AND state = 'gathering'")?
        .execute([rule.as_str(), group])
}

/// Makes one message a channel of what a rule's limit holds, or of one group.
fn fold(tx: &Tx<'_>, rule: &Name, kind: NotificationKind, group: Option<&str>, now: Timestamp) -> rusqlite::Result<RollUp> {
    // Each spelt out, so that each has its index.
    let which = match group {
        None => "rule = ?1 AND state = 'held' AND ?2 IS NULL",
        Some(_) => "rule = ?1 AND gather = ?2 AND state = 'gathering'",
    };
    let lines: Vec<(String, String, String, i64, i64)> = tx
        .db
        .prepare_cached(&format!(
            "SELECT of.channel, first.key, last.key, of.n, last.facts
             FROM (SELECT channel, min(id) AS first, max(id) AS last, count(*) AS n FROM notification WHERE {which} GROUP BY channel) of
             JOIN notification first ON first.id = of.first JOIN notification last ON last.id = of.last",
        ))?
        .query_map(params![rule.as_str(), group], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut made = RollUp { messages: lines.len(), folded: 0 };
    for (channel, first, last, count, facts) in lines {
        tx.db
            .prepare_cached(
                "INSERT INTO notification (key, channel, kind, rule, facts, state, created, due, gather)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6, ?7)",
            )?
            .execute(params![
                key(kind.name(), &[&first, &last, &count.to_string()]),
                channel,
                kind.name(),
                rule.as_str(),
                facts,
                micros(now),
                group
            ])?;
        let id = tx.db.last_insert_rowid();
        made.folded += tx
            .db
            .prepare_cached(&format!("UPDATE notification SET state = 'folded', folded_into = ?4 WHERE {which} AND channel = ?3"))?
            .execute(params![rule.as_str(), group, channel, id])?;
    }
    failpoint::pass(Point::RollUpWritten);
    Ok(made)
}
