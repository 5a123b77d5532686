//! What the commands and the metrics read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, ToSql, params, params_from_iter};

use super::{
    intake::{JOB_COLUMNS, job_of, micros, time},
    outbox::{facts_of, snapshot_of},
};
use crate::{
    domain::{Delivery, Ending, Job, JobView, Name, State},
    store::{AlertFilter, AlertRow, DeliveryFilter, JobFilter, JobRow, Tally},
};

/// The conditions of a list, joined by `AND`; every value is bound, none is put into the text.
#[derive(Default)]
struct Conditions {
    text: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
}

impl Conditions {
    /// Adds `column OP value` if there is a value.
    fn add<T: ToSql + 'static>(&mut self, test: &str, value: Option<T>) {
        if let Some(value) = value {
            self.values.push(Box::new(value));
            self.text.push(test.replace('?', &format!("?{}", self.values.len())));
        }
    }

    /// Adds a condition on several values.
    fn add_all(&mut self, test: &str, values: Vec<Box<dyn ToSql>>) {
        let mut numbered = String::new();
        for (part, value) in test.split_inclusive('?').zip(values.into_iter().map(Some).chain(std::iter::repeat_with(|| None))) {
            numbered.push_str(part);
            if let Some(value) = value {
                self.values.push(value);
                numbered.push_str(&self.values.len().to_string());
            }
        }
        self.text.push(numbered);
    }

    fn sql(&self) -> String {
        if self.text.is_empty() { String::new() } else { format!("WHERE {}", self.text.join(" AND ")) }
    }
}

/// The place of a job in the list, which the indexes on it have in order.
const PLACE: &str = "coalesce(started, first_seen)";

/// Every source that has jobs, found by stepping from one to the next: so that a job is found by its key, and not by reading all there are.
const SOURCES: &str = "WITH RECURSIVE s(name) AS (SELECT min(source) FROM job
    UNION ALL SELECT (SELECT min(source) FROM job WHERE source > s.name) FROM s WHERE s.name IS NOT NULL) SELECT name FROM s";

pub fn jobs(db: &Connection, filter: &JobFilter) -> rusqlite::Result<Vec<JobRow>> {
    let mut conditions = Conditions::default();
    let odd = filter.state.is_some_and(|state| state != State::Finished);
    // Of two indexes that have the list's order, the one with fewer jobs: the plus keeps the planner from the other.
    conditions.add(if odd { "+source = ?" } else { "source = ?" }, filter.source.clone());
    conditions.add("state = ?", filter.state.map(State::code));
    if odd {
        // What `job_odd` holds, in its own words.
        conditions.text.push("state <> 2".to_owned());
    }
    conditions.add("id = ?", filter.id.clone());
    if filter.id.is_some() && filter.source.is_none() {
        conditions.text.push(format!("source IN ({SOURCES})"));
    }
    conditions.add("instr(lower(profile), lower(?)) > 0", filter.profile.clone());
    conditions.add(&format!("{PLACE} >= ?"), filter.since.map(micros));
    if let Some(behind) = &filter.behind {
        // Said twice: by the first, the index is entered at the right place.
        conditions.add(&format!("{PLACE} <= ?"), Some(micros(behind.at)));
        let place: Vec<Box<dyn ToSql>> = vec![Box::new(micros(behind.at)), Box::new(behind.source.clone()), Box::new(behind.id.clone())];
        conditions.add_all(&format!("({PLACE}, source, id) < (?, ?, ?)"), place);
    }
    let sql = format!(
        "SELECT {JOB_COLUMNS}, {PLACE} FROM job {} ORDER BY {PLACE} DESC, source DESC, id DESC LIMIT {}",
        conditions.sql(),
        filter.limit
    );
    db.prepare(&sql)?
        .query_map(params_from_iter(&conditions.values), |row| {
            let (job, run) = job_of(row)?;
            Ok(JobRow { job: JobView::from(&job), run, place: time(row.get(10)?) })
        })?
        .collect()
}

pub fn history(db: &Connection, since: Timestamp, after: Option<&(Name, String, u32)>, most: u32) -> rusqlite::Result<Vec<(Job, u32)>> {
    let (source, id, run) = after.map_or(("", "", 0), |(source, id, run)| (source.as_str(), id.as_str(), *run));
    // The tables are kept in the order of their keys: each call goes on where the one before ended.
    db.prepare_cached(&format!(
        "SELECT {JOB_COLUMNS} FROM job WHERE (source, id, run) > (?1, ?2, ?3) AND (finished IS NULL OR finished >= ?4)
         UNION ALL SELECT {JOB_COLUMNS} FROM earlier_run WHERE (source, id, run) > (?1, ?2, ?3) AND (finished IS NULL OR finished >= ?4)
         ORDER BY source, id, run LIMIT ?5"
    ))?
    .query_map(params![source, id, run, micros(since), most], job_of)?
    .collect()
}

pub fn alerts(db: &Connection, filter: &AlertFilter) -> rusqlite::Result<Vec<AlertRow>> {
    let mut conditions = Conditions::default();
    conditions.add("a.rule = ?", filter.rule.clone());
    // Of a job there are few, and an index finds them; of a source there may be all of them, which are better read in order.
    conditions.add(if filter.job.is_some() { "a.source = ?" } else { "+a.source = ?" }, filter.source.clone());
    conditions.add("a.job_id = ?", filter.job.clone());
    conditions.add("a.created >= ?", filter.since.map(micros));
    conditions.add("a.id < ?", filter.behind);
    let sql = format!(
        "SELECT a.id, a.rule, f.facts, a.created, a.run, a.job, a.rules_version FROM alert a JOIN rule_facts f ON f.id = a.facts {}
         ORDER BY a.id DESC LIMIT {}",
        conditions.sql(),
        filter.limit
    );
    let mut channels = db.prepare_cached("SELECT channel, state FROM notification WHERE alert = ?1")?;
    db.prepare(&sql)?
        .query_map(params_from_iter(&conditions.values), |row| {
            let id: i64 = row.get(0)?;
            let standing = channels
                .query_map([id], |row| Ok((row.get(0)?, outcome_of(&row.get::<_, String>(1)?).to_owned())))?
                .collect::<rusqlite::Result<BTreeMap<String, String>>>()?;
            Ok(AlertRow {
                id,
                rule: row.get(1)?,
                severity: facts_of(&row.get::<_, String>(2)?).severity.name().to_owned(),
                created: time(row.get(3)?),
                run: row.get(4)?,
                rules_version: row.get(6)?,
                job: JobView::from(&snapshot_of(&row.get::<_, String>(5)?)),
                channels: standing,
            })
        })?
        .collect()
}

/// The word of the accounting for a row's state.
fn outcome_of(state: &str) -> &str {
    match state {
        "gathering" | "held" | "folded" => "pending",
        other => other,
    }
}

/// What has not ended, found by the indexes on it: few rows among many, as a rule.
const PENDING: &str = "n.id IN (SELECT id FROM notification WHERE state = 'pending'
    UNION ALL SELECT id FROM notification WHERE state = 'held' UNION ALL SELECT id FROM notification WHERE state = 'gathering'
    UNION ALL SELECT m.id FROM notification p JOIN notification m ON m.folded_into = p.id
        WHERE p.state = 'pending' AND m.folded_into IS NOT NULL AND m.state = 'folded')";

pub fn deliveries(db: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<Vec<Delivery>> {
    let mut conditions = Conditions::default();
    conditions.add("n.channel = ?", filter.channel.clone());
    match filter.outcome.as_deref() {
        Some("pending") => conditions.text.push(PENDING.to_owned()),
        // As a text of the statement, so that the index on dead letters serves.
        Some("dead") => conditions.text.push("n.state = 'dead'".to_owned()),
        other => conditions.add("n.state = ?", other.map(str::to_owned)),
    }
    conditions.add("n.created >= ?", filter.since.map(micros));
    conditions.add("n.id = ?", filter.id);
    conditions.add("n.id < ?", filter.behind);
    let sql = format!(
        "SELECT n.id, n.key, n.channel, n.kind, n.state, n.rule, n.attempts, n.created, max(n.due, coalesce(l.due, n.due)), n.ended,
             n.answer, n.folded_into, a.job_id,
             CASE WHEN c.alert IS NULL THEN (SELECT count(alert) FROM notification m WHERE m.folded_into = c.id) ELSE 1 END, n.instead_of, c.id
         FROM notification n JOIN notification c ON c.id = coalesce(n.instead_of, n.id)
             LEFT JOIN alert a ON a.id = c.alert LEFT JOIN line l ON l.channel = n.channel {} ORDER BY n.id DESC LIMIT {}",
        conditions.sql(),
        filter.limit
    );
    let mut folded = db.prepare_cached(
        "SELECT a.job_id FROM notification m JOIN alert a ON a.id = m.alert WHERE m.folded_into = ?1 ORDER BY m.id LIMIT ?2",
    )?;
    db.prepare(&sql)?
        .query_map(params_from_iter(&conditions.values), |row| {
            let (id, carrier): (i64, i64) = (row.get(0)?, row.get(15)?);
            let state: String = row.get(4)?;
            let job: Option<String> = row.get(12)?;
            let jobs = match job {
                Some(job) => vec![job],
                None => folded
                    .query_map(params![carrier, i64::try_from(Delivery::JOBS_SHOWN).unwrap_or(i64::MAX)], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?,
            };
            Ok(Delivery {
                id,
                key: row.get(1)?,
                channel: row.get(2)?,
                kind: row.get(3)?,
                outcome: outcome_of(&state).to_owned(),
                rule: row.get(5)?,
                jobs,
                alerts: row.get::<_, i64>(13)?.unsigned_abs(),
                attempts: row.get(6)?,
                created: time(row.get(7)?),
                due: if state == "pending" { Some(time(row.get(8)?)) } else { None },
                ended: row.get::<_, Option<i64>>(9)?.map(time),
                answer: row.get(10)?,
                rolled_into: row.get(11)?,
                instead_of: row.get(14)?,
            })
        })?
        .collect()
}

pub fn tally(db: &Connection) -> rusqlite::Result<Tally> {
    let mut tally = Tally::default();
    let mut statement = db.prepare_cached("SELECT what, first, second, n FROM tally")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (what, first, second): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // A sum below zero would be a fault of ours; a scrape is no place to fail for it.
        let n = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        match what.as_str() {
            "jobs" => _ = tally.jobs.insert((first, second), n),
            "alerts" => _ = tally.alerts.insert(first, n),
            "pending" => _ = tally.pending.insert(first, n),
            "ended" => {
                if let Some(ending) = Ending::ALL.iter().find(|e| e.name() == second) {
                    tally.ended.insert((first, *ending), n);
                }
            }
            _ => {}
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::store::{
        JobPlace,
        sqlite::{Access, Sqlite, file},
    };

    const JOBS: i64 = 20_000;
    /// So many steps of the database's machine count as one.
    const STEPS: i32 = 1_000;

    /// A store with many jobs of two sources, an alert of every tenth, and a notification of each alert.
    fn filled(folder: &tempfile::TempDir) -> Connection {
        let path = folder.path().join("jobrelay.db");
        drop(Sqlite::open(&path, Access::Service).unwrap());
        let db = file::connect(&path, true).unwrap();
        db.execute_batch(&format!(
            "BEGIN;
             INSERT INTO source (name, cut, baseline) VALUES ('big', 0, 1), ('small', 0, 1);
             INSERT INTO rule_facts VALUES (1, '{{}}');
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {JOBS})
             INSERT INTO job (source, id, run, state, started, profile, ended, first_seen)
                 SELECT iif(i % 100, 'big', 'small'), 'Scan' || i, 1, iif(i % 5000, 2, 10), i * 1000000, 'p', 1, 0 FROM n;
             INSERT INTO alert (id, rule, source, job_id, run, facts, job, created, held)
                 SELECT row_number() OVER (ORDER BY started), iif(started % 7000000, 'often', 'seldom'), source, id, 1, 1, '{{}}', started, 0
                 FROM job WHERE started % 10000000 = 0;
             INSERT INTO notification (key, channel, kind, rule, facts, alert, state, created, due)
                 SELECT 'k' || id, 'c', 'alert', rule, 1, id, CASE WHEN id < 3 THEN 'pending' WHEN id < 5 THEN 'dead' ELSE 'delivered' END, created, 0
                 FROM alert;
             COMMIT;"
        ))
        .unwrap();
        db
    }

    /// Whatever is filtered and however far behind the beginning: a list that reads all there is would pass the bound many times over.
    #[test]
    fn a_page_costs_what_it_shows_and_not_what_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut db = filled(&folder);
        let steps = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&steps);
        db.progress_handler(STEPS, Some(move || count.fetch_add(1, Ordering::Relaxed) == u32::MAX)).unwrap();
        let behind = || JobPlace { at: time(JOBS / 2 * 1_000_000), source: "big".into(), id: "Scan10000".into() };
        let all = || JobFilter { limit: 20, ..JobFilter::default() };
        let source = |name: &str| Some(name.to_owned());
        for (what, rows, filter) in [
            ("all", 20, all()),
            ("behind the half", 20, JobFilter { behind: Some(behind()), ..all() }),
            ("a source's", 20, JobFilter { source: source("small"), behind: Some(behind()), ..all() }),
            ("an unknown source's", 0, JobFilter { source: source("none"), ..all() }),
            ("a rare state's", 4, JobFilter { state: Some(State::Stopped), ..all() }),
            ("a state's that there is not", 0, JobFilter { state: Some(State::Running), source: source("big"), ..all() }),
            ("one", 1, JobFilter { id: source("Scan7"), ..all() }),
        ] {
            steps.store(0, Ordering::Relaxed);
            assert_eq!(jobs(&db, &filter).unwrap().len(), rows, "{what}");
            assert!(steps.load(Ordering::Relaxed) < 10, "jobs, {what}: {} thousand steps", steps.load(Ordering::Relaxed));
        }
        let few = || AlertFilter { limit: 20, ..AlertFilter::default() };
        for filter in [few(), AlertFilter { behind: Some(900), ..few() }, AlertFilter { rule: source("seldom"), ..few() }] {
            steps.store(0, Ordering::Relaxed);
            assert_eq!(alerts(&db, &filter).unwrap().len(), 20);
            assert!(steps.load(Ordering::Relaxed) < 10, "{filter:?}: {} thousand steps", steps.load(Ordering::Relaxed));
        }
        for (outcome, rows) in [("pending", 2), ("dead", 2), ("delivered", 20)] {
            steps.store(0, Ordering::Relaxed);
            let filter = DeliveryFilter { outcome: source(outcome), limit: 20, ..DeliveryFilter::default() };
            assert_eq!(deliveries(&db, &filter).unwrap().len(), rows, "{outcome}");
            assert!(steps.load(Ordering::Relaxed) < 10, "{outcome}: {} thousand steps", steps.load(Ordering::Relaxed));
        }
    }
}
