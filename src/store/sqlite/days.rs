//! Jobs by the day they ended on, as a picture of days shows them.
//!
//! A job belongs where it was counted, for that is what digests have summed up. What a first run's look back took in was counted all at
//! once, though, and in a picture stands on the days on which it ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    intake::{micros, time},
    worker::Tx,
};
use crate::domain::{Job, State};

/// A source's look back is under way: what it takes in is counted at `now`.
pub fn note_look_back(tx: &Tx<'_>, source: &str, now: i64) -> rusqlite::Result<()> {
    tx.db
        .prepare_cached(
            "UPDATE source SET looked_from = min(coalesce(looked_from, ?2), ?2), looked_until = max(coalesce(looked_until, ?2), ?2)
             WHERE name = ?1 AND baseline = 0",
        )?
        .execute(params![source, now])?;
    Ok(())
}

/// From when to when what the sources' first runs looked back on was counted, by source.
pub struct LookBacks(BTreeMap<String, (i64, i64)>);

impl LookBacks {
    /// As written down.
    pub fn read(db: &Connection) -> rusqlite::Result<Self> {
        db.prepare_cached("SELECT name, looked_from, looked_until FROM source WHERE looked_from IS NOT NULL")?
            .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
            .collect::<rusqlite::Result<_>>()
            .map(Self)
    }

    /// When a job that was counted at this instant is shown to have ended.
    pub fn shown(&self, job: &Job, counted: Timestamp) -> Timestamp {
        let looked_back = self.0.get(job.source.as_str()).is_some_and(|(from, until)| (*from..=*until).contains(&micros(counted)));
        job.finished.or(job.started).filter(|_| looked_back).map_or(counted, |ended| ended.min(counted))
    }
}

/// How many jobs are shown to have ended between each two neighbours of these instants, by state.
pub fn ended_between(db: &Connection, bounds: &[Timestamp]) -> rusqlite::Result<Vec<Vec<(State, u64)>>> {
    let mut days: Vec<BTreeMap<i64, i64>> = Vec::with_capacity(bounds.len());
    let mut statement = db.prepare_cached(
        "SELECT state, count(*) FROM job WHERE counted >= ?1 AND counted < ?2 GROUP BY state
         UNION ALL SELECT state, count(*) FROM earlier_run WHERE counted >= ?1 AND counted < ?2 GROUP BY state",
    )?;
    for pair in bounds.windows(2) {
        let [since, until] = pair else { continue };
        let mut day = BTreeMap::new();
        let mut rows = statement.query(params![micros(*since), micros(*until)])?;
        while let Some(row) = rows.next()? {
            *day.entry(row.get(0)?).or_default() += row.get::<_, i64>(1)?;
        }
        days.push(day);
    }
    let mut move_one = |state: i64, at: i64, by: i64| {
        let place = bounds.partition_point(|bound| *bound <= time(at)).checked_sub(1);
        if let Some(day) = place.and_then(|place| days.get_mut(place)) {
            *day.entry(state).or_default() += by;
        }
    };
    let (first, last) = (bounds.first().copied().map_or(i64::MAX, micros), bounds.last().copied().map_or(i64::MIN, micros));
    let mut statement = db.prepare_cached(
        "SELECT state, counted, coalesce(finished, started) FROM job
             WHERE counted BETWEEN ?2 AND ?3 AND source = ?1 AND coalesce(finished, started) < counted
         UNION ALL SELECT state, counted, coalesce(finished, started) FROM earlier_run
             WHERE counted BETWEEN ?2 AND ?3 AND source = ?1 AND coalesce(finished, started) < counted",
    )?;
    for (source, (from, until)) in LookBacks::read(db)?.0 {
        let mut rows = statement.query(params![source, from.max(first), until.min(last)])?;
        while let Some(row) = rows.next()? {
            let state = row.get(0)?;
            move_one(state, row.get(1)?, -1);
            move_one(state, row.get(2)?, 1);
        }
    }
    let counts = |day: BTreeMap<i64, i64>| {
        let counts = day.into_iter().filter_map(|(state, count)| Some((State::from_code(state), u64::try_from(count).ok()?)));
        counts.filter(|(_, count)| *count > 0).collect()
    };
    Ok(days.into_iter().map(counts).collect())
}
