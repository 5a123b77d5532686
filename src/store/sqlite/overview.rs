//! How all stands, out of the tables.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

use super::{Sqlite, intake::time, keeping, line, lists};
use crate::{
    domain::Name,
    store::{Line, Overview, Overviews, StoreError},
};

#[async_trait]
impl Overviews for Sqlite {
    async fn overview(&self, rules: Vec<Name>) -> Result<Overview, StoreError> {
        // What was accepted so far is entered first, as for every list.
        self.entered().await;
        self.lookers.read(move |db| overview(db, &rules)).await
    }
}

fn overview(db: &Connection, rules: &[Name]) -> rusqlite::Result<Overview> {
    let open_jobs = db
        .prepare_cached("SELECT source, count(*) FROM job WHERE ended = 0 GROUP BY source")?
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
        .collect::<rusqlite::Result<_>>()?;
    let mut last_alerts = BTreeMap::new();
    let mut last = db.prepare_cached("SELECT created FROM alert WHERE rule = ?1 ORDER BY id DESC LIMIT 1")?;
    for rule in rules {
        let created: Option<i64> = last.query_row([rule.as_str()], |row| row.get(0)).optional()?;
        last_alerts.extend(created.map(|created| (rule.to_string(), time(created))));
    }
    Ok(Overview { tally: lists::tally(db)?, open_jobs, last_alerts, lines: lines(db)?, told: keeping::told(db)? })
}

fn lines(db: &Connection) -> rusqlite::Result<BTreeMap<String, Line>> {
    let mut channels = db.prepare_cached("SELECT channel FROM line")?;
    let channels: Vec<String> = channels.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    channels.into_iter().map(|channel| line::read(db, &Name::from(&channel)).map(|line| (channel, line))).collect()
}
