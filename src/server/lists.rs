//! `GET /api/v1/jobs`, `alerts` and `deliveries`: the filters and the objects of the commands of these names.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    Server,
    endpoints::{ALERTS, DELIVERIES, JOBS},
    problem::Problem,
    query::{Ask, hint, not_a_word},
};
use crate::{
    domain::{Delivery, Ending, State as JobState},
    store::{AlertFilter, AlertRow, DeliveryFilter, JobFilter, JobPlace, JobRow, StoreError},
};

/// How long an answer is looked for in all, the wait for other askers counted.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A page is ended early before it grows beyond this: a job may bring 64 KiB of its vendor's own.
const PAGE_BYTES: usize = 4 << 20;

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The entries.
    pub items: Vec<Box<RawValue>>,
    /// The cursor of the next page; none on the last one.
    pub next: Option<String>,
    /// Why there may be nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The version of the rules in use, of the list of rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules_version: Option<String>,
}

impl Page {
    /// The page made of the rows found, which may be one more than asked for.
    pub fn of<T: Serialize, K: Serialize + DeserializeOwned>(ask: &Ask<K>, rows: &[T], key: impl Fn(&T) -> K) -> Result<Self, Problem> {
        let (mut items, mut bytes, mut next) = (Vec::new(), 0, None);
        let mut last: Option<&T> = None;
        for row in rows {
            let item = to_raw_value(row)
                .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("an entry can't be written: {error}")))?;
            bytes += item.get().len();
            if let Some(last) = last
                && (items.len() >= ask.limit as usize || bytes > PAGE_BYTES)
            {
                next = Some(ask.next(key(last)));
                break;
            }
            items.push(item);
            last = Some(row);
        }
        Ok(Self { items, next, hint: None, rules_version: None })
    }

    /// Says why there may be nothing here, where there is nothing.
    pub fn hinting(mut self, hints: impl IntoIterator<Item = Option<String>>) -> Self {
        if self.items.is_empty() {
            self.hint = hints.into_iter().flatten().next();
        }
        self
    }
}

/// What the store answers, within the time that a request may take.
pub async fn within<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::TooSlow(ANSWER_WITHIN).into()),
    }
}

/// Lists jobs.
pub async fn jobs(State(server): State<Arc<Server>>, RawQuery(raw): RawQuery) -> Result<Json<Page>, Problem> {
    let ask: Ask<(Timestamp, String, String)> = Ask::read(raw.as_deref(), &JOBS, server.clock.now())?;
    let state = match ask.filters.text("state") {
        Some(text) => Some(JobState::parse(text).ok_or_else(|| {
            let names: Vec<_> = JobState::ALL.iter().map(|state| state.name()).collect();
            not_a_word("state", text, &names.iter().map(AsRef::as_ref).collect::<Vec<&str>>())
        })?),
        None => None,
    };
    let filter = JobFilter {
        source: ask.filters.owned("source"),
        state,
        id: ask.filters.owned("id"),
        profile: ask.filters.owned("profile"),
        since: ask.since,
        behind: ask.behind.clone().map(|(at, source, id)| JobPlace { at, source, id }),
        limit: ask.rows(),
    };
    let rows = within(server.store.jobs(filter)).await?;
    let page = Page::of(&ask, &rows, |row: &JobRow| (row.place, row.job.source.clone(), row.job.id.clone()))?;
    Ok(Json(page.hinting([hint("source", ask.filters.text("source"), server.in_use().source_names())])))
}

/// Lists alerts.
pub async fn alerts(State(server): State<Arc<Server>>, RawQuery(raw): RawQuery) -> Result<Json<Page>, Problem> {
    let ask: Ask<i64> = Ask::read(raw.as_deref(), &ALERTS, server.clock.now())?;
    let filter = AlertFilter {
        rule: ask.filters.owned("rule"),
        source: ask.filters.owned("source"),
        job: ask.filters.owned("job"),
        since: ask.since,
        behind: ask.behind,
        limit: ask.rows(),
    };
    let rows = within(server.store.alerts(filter)).await?;
    let in_use = server.in_use();
    let hints = [
        hint("enabled rule", ask.filters.text("rule"), in_use.rule_names()),
        hint("source", ask.filters.text("source"), in_use.source_names()),
    ];
    Ok(Json(Page::of(&ask, &rows, |row: &AlertRow| row.id)?.hinting(hints)))
}

/// Lists deliveries.
pub async fn deliveries(State(server): State<Arc<Server>>, RawQuery(raw): RawQuery) -> Result<Json<Page>, Problem> {
    let ask: Ask<i64> = Ask::read(raw.as_deref(), &DELIVERIES, server.clock.now())?;
    let outcomes: Vec<&'static str> = std::iter::once("pending").chain(Ending::ALL.iter().map(|ending| ending.name())).collect();
    let filter = DeliveryFilter {
        id: ask.filters.parsed("id", "a delivery's number", |text| text.parse().ok())?,
        channel: ask.filters.owned("channel"),
        outcome: ask.filters.word("outcome", &outcomes)?.map(str::to_owned),
        since: ask.since,
        behind: ask.behind,
        limit: ask.rows(),
    };
    let rows = within(server.store.deliveries(filter)).await?;
    let page = Page::of(&ask, &rows, |row: &Delivery| row.id)?;
    Ok(Json(page.hinting([hint("channel", ask.filters.text("channel"), server.in_use().channel_names())])))
}
