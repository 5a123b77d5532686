//! A stand-in for the vendor's cloud: the token endpoint and `/aos/jobs` as documented, with a journal of what was asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

/// An answer in place of a page: status, headers, body.
pub type Fault = (u16, Vec<(&'static str, String)>, String);

/// Takes the place of an answer to `/aos/jobs`, given the query.
pub type Trouble = Box<dyn FnMut(&HashMap<String, String>) -> Option<Fault> + Send>;

/// What the upstream serves and has been asked; shared with the test.
#[derive(Default)]
pub struct Shelf {
    /// The whole list, in any order.
    pub jobs: Vec<Value>,
    /// What takes the place of the next answers to `/aos/jobs`, first one first: status, headers, body.
    pub faults: Vec<Fault>,
    /// Asked before `faults`, for each query with a good token.
    pub trouble: Option<Trouble>,
    /// What every page's `nextLink` is, where a test wants another one than its own.
    pub next_link: Option<Value>,
    /// Whether the credentials are refused, and with them every token handed out before.
    pub refuses: bool,
    /// Whether the token endpoint is out of order.
    pub down: bool,
    /// How often no token was handed out for either reason.
    pub refused: usize,
    /// What every page's `totalCount` is, likewise.
    pub total_count: Option<Value>,
    /// Every page is the first one, whatever is skipped.
    pub ignores_skip: bool,
    /// What takes the place of every token.
    pub no_token: Option<Fault>,
    /// How often a token was asked for.
    pub tokens_asked: u32,
    /// Tokens handed out.
    pub tokens: u32,
    /// The queries `/aos/jobs` was asked with, in order.
    pub asked: Vec<HashMap<String, String>>,
    /// When each of them came, and those that met with `trouble`.
    pub asked_at: Vec<Instant>,
    pub troubled_at: Vec<Instant>,
}

/// A running upstream.
#[derive(Clone)]
pub struct Upstream {
    /// What it serves.
    pub shelf: Arc<Mutex<Shelf>>,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

pub const CLIENT_ID: &str = "a1b2c3";
pub const CLIENT_SECRET: &str = "canary-client-secret";

impl Upstream {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = Self { shelf: Arc::default(), url };
        let app = Router::new().route("/connect/token", post(token)).route("/aos/jobs", get(jobs)).with_state(upstream.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        upstream
    }

    /// Puts a job on the list, in place of one with its id.
    pub fn put(&self, job: Value) {
        let mut shelf = self.shelf.lock().unwrap();
        shelf.jobs.retain(|other| other["id"] != job["id"]);
        shelf.jobs.push(job);
    }

    /// How many pages have been read so far.
    pub fn polls(&self) -> usize {
        self.shelf.lock().unwrap().asked.iter().filter(|query| !query.contains_key("search")).count()
    }

    /// Waits until `more` further pages have been read.
    pub async fn polled(&self, more: usize) {
        let target = self.polls() + more;
        super::until("the upstream is polled", || self.polls() >= target).await;
    }

    /// A config's sources: this one alone, as `contoso`.
    pub fn config(&self) -> String {
        format!("sources:\n{}", self.source("contoso"))
    }

    /// This source's entry below `sources:`.
    pub fn source(&self, name: &str) -> String {
        format!(
            "  {name}:\n    kind: aos_scan_jobs\n    base_url: {0}\n    token_url: {0}/connect/token\n    client_id: {CLIENT_ID}\n    client_secret: {CLIENT_SECRET}\n    poll_every: 5s\n",
            self.url
        )
    }
}

/// The time, by the clock of the stand-ins for the cloud.
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the stand-in for the cloud has a clock of its own")]
    Timestamp::now()
}

/// A job as the vendor writes it; `state` by number, times `ago` seconds before now.
pub fn job(id: &str, profile: &str, state: i64, started_ago: i64, finished_ago: Option<i64>) -> Value {
    let now = now();
    let time = |ago: i64| now.checked_sub(ago.seconds()).unwrap().strftime("%Y-%m-%dT%H:%M:%S.%6f0+00:00").to_string();
    json!({
        "id": id, "type": 0, "state": state, "startTime": time(started_ago), "finishTime": finished_ago.map(time),
        "scanProfileName": profile, "category": 0, "extension": null,
    })
}

async fn token(State(upstream): State<Upstream>, Form(form): Form<HashMap<String, String>>) -> Response {
    let right = form.get("client_id").is_some_and(|id| id == CLIENT_ID) && form.get("client_secret").is_some_and(|s| s == CLIENT_SECRET);
    if !right || form.get("grant_type").is_none_or(|grant| grant != "client_credentials") {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_client" }))).into_response();
    }
    let mut shelf = upstream.shelf.lock().unwrap();
    if shelf.down {
        shelf.refused += 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if shelf.refuses {
        shelf.refused += 1;
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_client" }))).into_response();
    }
    shelf.tokens_asked += 1;
    if let Some(fault) = &shelf.no_token {
        return response(fault.clone());
    }
    shelf.tokens += 1;
    let token = format!("canary-token-{}", shelf.tokens);
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 })).into_response()
}

async fn jobs(State(upstream): State<Upstream>, Query(query): Query<HashMap<String, String>>, headers: HeaderMap) -> Response {
    let mut shelf = upstream.shelf.lock().unwrap();
    shelf.asked.push(query.clone());
    shelf.asked_at.push(Instant::now());
    let expected = format!("Bearer canary-token-{}", shelf.tokens);
    if shelf.refuses || headers.get("authorization").is_none_or(|value| value.to_str().unwrap() != expected) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Some(fault) = shelf.trouble.as_mut().and_then(|trouble| trouble(&query)) {
        shelf.troubled_at.push(Instant::now());
        return response(fault);
    }
    if !shelf.faults.is_empty() {
        return response(shelf.faults.remove(0));
    }
    let mut list = shelf.jobs.clone();
    if let Some(id) = query.get("search") {
        list.retain(|job| job["id"].as_str().is_some_and(|other| other.contains(id.as_str())));
    }
    list.sort_by_key(|job| std::cmp::Reverse(job["startTime"].as_str().unwrap_or_default().to_owned()));
    let number = |key: &str, default: usize| query.get(key).map_or(default, |text| text.parse().unwrap());
    let (top, skip) = (number("top", 100), if shelf.ignores_skip { 0 } else { number("skip", 0) });
    let page: Vec<Value> = list.iter().skip(skip).take(top).cloned().collect();
    let more = skip + page.len() < list.len();
    let own = if more {
        json!(format!("{}/aos/jobs?orderby=StartTime&sortorder=1&top={top}&skip={}", upstream.url, skip + top))
    } else {
        Value::Null
    };
    let next = shelf.next_link.clone().unwrap_or(own);
    let total = shelf.total_count.clone().unwrap_or_else(|| json!(page.len()));
    Json(json!({ "jobs": page, "nextLink": next, "totalCount": total })).into_response()
}

fn response((status, headers, body): Fault) -> Response {
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
