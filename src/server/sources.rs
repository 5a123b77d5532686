//! `GET /api/v1/sources`: how each source is read.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{RawQuery, State},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    InUse, Server,
    endpoints::SOURCES,
    in_use::SourceInUse,
    lists::{Page, within},
    problem::Problem,
    query::Ask,
};
use crate::{
    domain::Name,
    health::{Polling, Reading, Topic, Trouble},
    source,
    store::Overview,
};

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// The whole list is read.
    Ok,
    /// No poll has ended since the start.
    NotReadYet,
    /// The list is read, but for rows that can't be.
    RowsUnreadable,
    /// The list is read only in part.
    Incomplete,
    /// The credentials are refused.
    CredentialsRefused,
    /// It can't be read.
    Down,
}

const STANDINGS: &[(&str, Standing)] = &[
    ("ok", Standing::Ok),
    ("not_read_yet", Standing::NotReadYet),
    ("rows_unreadable", Standing::RowsUnreadable),
    ("incomplete", Standing::Incomplete),
    ("credentials_refused", Standing::CredentialsRefused),
    ("down", Standing::Down),
];

/// One source, as the API tells of it.
#[derive(Debug, Serialize)]
struct SourceRow {
    name: String,
    kind: &'static str,
    poll_every: f64,
    standing: Standing,
    since: Option<Timestamp>,
    why: Option<String>,
    last_poll: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_error: Option<LastError>,
    next_poll: Option<Timestamp>,
    complete: Option<bool>,
    complete_until: Option<Timestamp>,
    open_jobs: u64,
    jobs: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct LastError {
    at: Timestamp,
    why: String,
}

/// What the board and the store know.
struct Facts {
    troubles: BTreeMap<Topic, Option<Trouble>>,
    readings: BTreeMap<Name, Reading>,
    pollings: BTreeMap<Name, Polling>,
    overview: Overview,
}

/// Lists sources by name.
pub async fn sources(State(server): State<Arc<Server>>, RawQuery(raw): RawQuery) -> Result<Json<Page>, Problem> {
    let ask: Ask<String> = Ask::read(raw.as_deref(), &SOURCES, server.clock.now())?;
    let standing = ask.filters.meaning("standing", STANDINGS)?;
    let kinds: Vec<&'static str> = source::KINDS.iter().map(|kind| kind.name).collect();
    let kind = ask.filters.word("kind", &kinds)?;
    let facts = Facts {
        overview: within(server.overviews.overview(Vec::new())).await?,
        troubles: server.health.known(),
        readings: server.health.readings(),
        pollings: server.health.pollings(),
    };
    let in_use = server.in_use();
    let rows: Vec<SourceRow> = by_name(&in_use, &ask)
        .filter(|source| kind.is_none_or(|kind| source.kind == kind))
        .map(|source| row(source, &facts))
        .filter(|row| standing.is_none_or(|standing| row.standing == standing))
        .take(ask.rows() as usize)
        .collect();
    Ok(Json(Page::of(&ask, &rows, |row| row.name.clone())?))
}

/// The sources behind the cursor whose names hold what is asked for, by name.
fn by_name<'u>(in_use: &'u InUse, ask: &Ask<String>) -> impl Iterator<Item = &'u SourceInUse> {
    let mut sources: Vec<&SourceInUse> = in_use.sources.iter().filter(|source| is_wanted(&source.name, ask)).collect();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources.into_iter()
}

/// Whether a name comes behind the cursor and holds what is asked for, case ignored.
pub fn is_wanted(name: &str, ask: &Ask<String>) -> bool {
    let holds = ask.filters.text("name").is_none_or(|part| name.to_lowercase().contains(&part.to_lowercase()));
    holds && ask.behind.as_deref().is_none_or(|behind| name > behind)
}

fn row(source: &SourceInUse, facts: &Facts) -> SourceRow {
    let name = &source.name;
    let (standing, topic, trouble) = stands(name, &facts.troubles);
    // What is told outlives a restart; the board does not.
    let told = topic.and_then(|topic| facts.overview.told.get(&topic.words()).copied());
    let polling = facts.pollings.get(name).cloned().unwrap_or_default();
    let reading = facts.readings.get(name).copied().unwrap_or_default();
    let jobs = facts.overview.tally.jobs.range((name.to_string(), String::new())..).take_while(|((of, _), _)| *of == **name);
    SourceRow {
        name: name.to_string(),
        kind: source.kind,
        poll_every: source.poll_every.as_secs_f64(),
        standing,
        since: trouble.map(|trouble| told.map_or(trouble.since, |told| told.min(trouble.since))),
        why: trouble.map(|trouble| trouble.why.clone()),
        last_poll: polling.last,
        last_success: polling.last_success,
        last_error: polling.last_error.map(|(at, why)| LastError { at, why }),
        next_poll: polling.next,
        complete: (reading.readings > 0).then_some(reading.dark.is_none()),
        complete_until: reading.complete,
        open_jobs: facts.overview.open_jobs.get(name.as_str()).copied().unwrap_or_default(),
        jobs: jobs.map(|((_, state), n)| (state.clone(), *n)).collect(),
    }
}

/// How a source stands by the board, and the trouble it is in; the gravest where there are several.
fn stands<'t>(name: &Name, troubles: &'t BTreeMap<Topic, Option<Trouble>>) -> (Standing, Option<Topic>, Option<&'t Trouble>) {
    let graver_first = [
        (Standing::Down, Topic::SourceDown(name.clone())),
        (Standing::CredentialsRefused, Topic::CredentialsRefused(name.clone())),
        (Standing::Incomplete, Topic::SweepIncomplete(name.clone())),
        (Standing::RowsUnreadable, Topic::RowsUnreadable(name.clone())),
    ];
    let mut looked = false;
    for (standing, topic) in graver_first {
        match troubles.get(&topic) {
            Some(Some(trouble)) => return (standing, Some(topic), Some(trouble)),
            Some(None) => looked = true,
            None => {}
        }
    }
    (if looked { Standing::Ok } else { Standing::NotReadYet }, None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standing_has_its_word() {
        for (word, standing) in STANDINGS {
            assert_eq!(serde_json::to_value(standing).unwrap(), *word);
        }
    }

    #[test]
    fn the_gravest_trouble_is_told_and_silence_is_not_taken_for_health() {
        let name = Name::from("contoso");
        let trouble = |why: &str| Some(Trouble { since: Timestamp::UNIX_EPOCH, why: why.into() });
        let mut board = BTreeMap::new();
        assert_eq!(stands(&name, &board).0, Standing::NotReadYet);
        board.insert(Topic::SourceDown(Name::from("other")), None);
        assert_eq!(stands(&name, &board).0, Standing::NotReadYet);
        board.insert(Topic::SourceDown(name.clone()), None);
        assert_eq!(stands(&name, &board).0, Standing::Ok);
        board.insert(Topic::RowsUnreadable(name.clone()), trouble("a row"));
        board.insert(Topic::SweepIncomplete(name.clone()), trouble("a gap"));
        let (standing, topic, told) = stands(&name, &board);
        assert_eq!(
            (standing, topic, told.unwrap().why.as_str()),
            (Standing::Incomplete, Some(Topic::SweepIncomplete(name.clone())), "a gap")
        );
        board.insert(Topic::SourceDown(name.clone()), trouble("HTTP 503"));
        assert_eq!(stands(&name, &board).0, Standing::Down);
    }
}
