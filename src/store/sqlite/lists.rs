//! What the commands and the metrics read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, ToSql, params, params_from_iter};

use super::{
    intake::{JOB_COLUMNS, job_of, micros, time},
    outbox::{facts_of, snapshot_of},
};
use crate::{
    domain::{Delivery, Ending, Job, JobView, Name},
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

    fn sql(&self) -> String {
        if self.text.is_empty() { String::new() } else { format!("WHERE {}", self.text.join(" AND ")) }
    }
}

pub fn jobs(db: &Connection, filter: &JobFilter) -> rusqlite::Result<Vec<JobRow>> {
    let mut conditions = Conditions::default();
    conditions.add("source = ?", filter.source.clone());
    conditions.add("state = ?", filter.state.map(crate::domain::State::code));
    conditions.add("id = ?", filter.id.clone());
    conditions.add("instr(lower(profile), lower(?)) > 0", filter.profile.clone());
    conditions.add("coalesce(started, first_seen) >= ?", filter.since.map(micros));
    let sql =
        format!("SELECT {JOB_COLUMNS} FROM job {} ORDER BY coalesce(started, first_seen) DESC LIMIT {}", conditions.sql(), filter.limit);
    db.prepare(&sql)?
        .query_map(params_from_iter(&conditions.values), job_of)?
        .map(|row| row.map(|(job, run)| JobRow { job: JobView::from(&job), run }))
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
    conditions.add("a.source = ?", filter.source.clone());
    conditions.add("a.job_id = ?", filter.job.clone());
    conditions.add("a.created >= ?", filter.since.map(micros));
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

pub fn deliveries(db: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<Vec<Delivery>> {
    let mut conditions = Conditions::default();
    conditions.add("n.channel = ?", filter.channel.clone());
    match filter.outcome.as_deref() {
        Some("pending") => conditions.add("n.state IN ('pending', 'gathering', 'held', 'folded') AND ?", Some(true)),
        other => conditions.add("n.state = ?", other.map(str::to_owned)),
    }
    conditions.add("n.created >= ?", filter.since.map(micros));
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
