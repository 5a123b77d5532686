//! How a channel stands, and what is given up when it stays in trouble for too long.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    intake::{micros, time},
    outbox::targets_of,
    settling::{Ended, end},
    worker::Tx,
};
use crate::{
    domain::{Ending, Name, TargetEnd},
    store::{GaveUp, Line, Overdue},
};

pub fn read(db: &Connection, channel: &Name) -> rusqlite::Result<Line> {
    let line = db
        .prepare_cached("SELECT failed, refused, due, asked, aged, sent, answer, since FROM line WHERE channel = ?1")?
        .query_row([channel.as_str()], |row| {
            Ok(Line {
                failed: row.get(0)?,
                refused: row.get(1)?,
                due: row.get::<_, Option<i64>>(2)?.map(time),
                asked: row.get::<_, Option<i64>>(3)?.map(time),
                aged: Duration::from_micros(row.get::<_, i64>(4)?.unsigned_abs()),
                sent: row.get::<_, Option<i64>>(5)?.map(time),
                answer: row.get(6)?,
                since: row.get::<_, Option<i64>>(7)?.map(time),
            })
        })
        .optional()?;
    Ok(line.unwrap_or_default())
}

/// Writes down how a channel stands now; whoever waits for it while it is in trouble is stamped.
pub fn write(tx: &Tx<'_>, channel: &str, line: &Line) -> rusqlite::Result<()> {
    tx.db
        .prepare_cached(
            "INSERT INTO line (channel, failed, refused, due, asked, aged, sent, answer, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET failed = excluded.failed, refused = excluded.refused, due = excluded.due, asked = excluded.asked,
                 aged = excluded.aged, sent = coalesce(excluded.sent, sent), answer = excluded.answer, since = excluded.since",
        )?
        .execute(params![
            channel,
            line.failed,
            line.refused,
            line.due.map(micros),
            line.asked.map(micros),
            whole_micros(line.aged),
            line.sent.map(micros),
            line.answer,
            line.since.map(micros)
        ])?;
    if line.failed > 0 { stamp(tx, channel, line.aged) } else { Ok(()) }
}

/// Notes for each message that begins to wait how far the channel's count stands. Here and not when it is made: nothing of
/// it costs anything while all is well.
fn stamp(tx: &Tx<'_>, channel: &str, aged: Duration) -> rusqlite::Result<()> {
    tx.db
        .prepare_cached("UPDATE notification SET stamp = ?2 WHERE channel = ?1 AND state = 'pending' AND stamp IS NULL")?
        .execute(params![channel, whole_micros(aged)])?;
    Ok(())
}

pub fn give_up(tx: &mut Tx<'_>, overdue: &Overdue) -> rusqlite::Result<GaveUp> {
    let channel = overdue.channel.as_str();
    tx.db
        .prepare_cached("UPDATE line SET aged = max(aged, ?2) WHERE channel = ?1")?
        .execute(params![channel, whole_micros(overdue.aged)])?;
    stamp(tx, channel, overdue.aged)?;
    let newest = whole_micros(overdue.aged).saturating_sub(whole_micros(overdue.give_up_after));
    let late: Vec<(i64, Option<String>)> = tx
        .db
        .prepare_cached(
            "SELECT id, targets FROM notification WHERE channel = ?1 AND state = 'pending' AND stamp <= ?2
             ORDER BY coalesce(place, id)",
        )?
        .query_map(params![channel, newest], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, targets) in &late {
        // A mail that some of its recipients have is delivered, as far as it can be.
        let ends = targets.as_deref().map(targets_of).unwrap_or_default();
        let accepted = ends.iter().any(|end| end.accepted);
        let ended = Ended {
            id: *id,
            ending: if accepted { Ending::Delivered } else { Ending::Dead },
            answer: &TargetEnd::told_of_some(&ends, overdue.answer.clone()),
            now: overdue.now,
            fallback: overdue.fallback.as_ref(),
        };
        end(tx, &ended)?;
    }
    let first: Option<i64> = tx
        .db
        .prepare_cached("SELECT min(stamp) FROM notification WHERE channel = ?1 AND state = 'pending'")?
        .query_row([channel], |row| row.get(0))?;
    let next = first.map(|stamp| Duration::from_micros(u64::try_from(stamp.saturating_sub(newest)).unwrap_or_default()));
    Ok(GaveUp { messages: late.len(), next })
}

fn whole_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
