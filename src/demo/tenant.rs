//! The simulated tenant: a token endpoint and `/aos/jobs` behind real HTTP, as the vendor's page describes them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, time::Instant};

use super::{
    clock::SimulatedClock,
    script::{Played, Script},
};
use crate::{clock::Clock, domain::State as JobState};

/// The permission that the vendor's page names.
const SCOPE: &str = "autodiscovery.readwrite.all";
/// How long a token lives, on the tenant's clock, as with the vendor.
const TOKEN_LIVES: Duration = Duration::from_secs(3600);
/// How long it lives at least on the machine's: at a high speed an hour is over before a page is read.
const TOKEN_LIVES_LEAST: Duration = Duration::from_secs(2);
/// How many tokens are honoured at once; the oldest makes room.
const TOKENS: usize = 16;
/// `top` where the query names none, and its greatest value: the vendor's page.
const TOP: (usize, usize) = (100, 1_000);

/// The tenant.
pub struct Tenant {
    /// What happens in it.
    pub script: Script,
    /// Its time.
    pub clock: Arc<SimulatedClock>,
    /// The client id it knows.
    pub client_id: String,
    /// The secret of that client.
    pub client_secret: String,
    /// `http://127.0.0.1:PORT`
    url: String,
    tokens: Mutex<VecDeque<(String, Instant)>>,
    read: Notify,
}

impl Tenant {
    /// A tenant, and what answers for it on this listener.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn open(script: Script, clock: Arc<SimulatedClock>, listener: &TcpListener) -> Result<Arc<Self>, String> {
        let address = listener.local_addr().map_err(|error| format!("can't tell the tenant's address: {error}"))?;
        Ok(Arc::new(Self {
            script,
            clock,
            client_id: "jobrelay-demo".into(),
            client_secret: format!("{:032x}", rand::random::<u128>()),
            url: format!("http://{address}"),
            tokens: Mutex::default(),
            read: Notify::new(),
        }))
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until its list has been read once.
    pub async fn read(&self) {
        self.read.notified().await;
    }

    /// Its two pages.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().route("/connect/token", post(token)).route("/aos/jobs", get(jobs)).with_state(self)
    }

    fn grant(&self) -> String {
        let token = format!("demo-{:032x}", rand::random::<u128>());
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS {
            tokens.pop_front();
        }
        tokens.push_back((token.clone(), Instant::now() + self.clock.passes_in(TOKEN_LIVES).max(TOKEN_LIVES_LEAST)));
        token
    }

    fn honours(&self, headers: &HeaderMap) -> bool {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().any(|(token, until)| Some(token.as_str()) == bearer && *until > Instant::now())
    }

    /// An answer with the tenant's own time and an id for support, as the service gives one.
    fn answer(&self, status: StatusCode, body: Value) -> Response {
        let mut response = (status, Json(body)).into_response();
        let date = self.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let id = format!("{:032x}", rand::random::<u128>());
        for (name, value) in [(header::DATE.as_str(), date), ("request-id", id)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name.parse().unwrap_or(header::VIA), value);
            }
        }
        response
    }
}

async fn token(State(tenant): State<Arc<Tenant>>, Form(form): Form<HashMap<String, String>>) -> Response {
    let is = |key: &str, expected: &str| form.get(key).is_some_and(|value| value == expected);
    let error = if !is("grant_type", "client_credentials") {
        "unsupported_grant_type"
    } else if !is("client_id", &tenant.client_id) || !is("client_secret", &tenant.client_secret) {
        "invalid_client"
    } else if !is("scope", SCOPE) {
        "invalid_scope"
    } else {
        let body = json!({ "access_token": tenant.grant(), "token_type": "Bearer", "expires_in": TOKEN_LIVES.as_secs(), "scope": SCOPE });
        return tenant.answer(StatusCode::OK, body);
    };
    tenant.answer(StatusCode::BAD_REQUEST, json!({ "error": error }))
}

async fn jobs(State(tenant): State<Arc<Tenant>>, Query(query): Query<HashMap<String, String>>, headers: HeaderMap) -> Response {
    if !tenant.honours(&headers) {
        return tenant.answer(StatusCode::UNAUTHORIZED, json!({ "error": "the token is missing, unknown or expired" }));
    }
    let now = tenant.clock.now();
    match page(&tenant.url, &query, tenant.script.listed(now), now) {
        Ok(body) => {
            tenant.read.notify_one();
            tenant.answer(StatusCode::OK, body)
        }
        Err(why) => tenant.answer(StatusCode::BAD_REQUEST, json!({ "error": why })),
    }
}

/// One page of the list, given it newest first.
fn page(url: &str, query: &HashMap<String, String>, mut list: Vec<Played>, now: Timestamp) -> Result<Value, String> {
    let number = |key: &str, default: usize, range: std::ops::RangeInclusive<usize>| match query.get(key) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| format!("`{key}` can't be `{text}`")),
    };
    let top = number("top", TOP.0, 1..=TOP.1)?;
    let skip = number("skip", 0, 0..=usize::MAX)?;
    let order = number("sortorder", 1, 0..=1)?;
    if let Some(by) = query.get("orderby").filter(|by| !by.eq_ignore_ascii_case("startTime")) {
        return Err(format!("can't order by `{by}`"));
    }
    if let Some(id) = query.get("search") {
        list.retain(|job| job.id.contains(id.as_str()));
    }
    if order == 0 {
        list.reverse();
    }
    let rows: Vec<Value> = list.iter().skip(skip).take(top).map(|job| row(job, now)).collect();
    let next = (skip.saturating_add(top) < list.len()).then(|| {
        // As in the vendor's sample, where the page after `top=2` has `skip=1`: a page begins with the last job of the one before.
        let skip = skip + (top - 1).max(1);
        let search =
            query.get("search").map(|id| format!("&search={}", url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>()));
        format!("{url}/aos/jobs?orderby=StartTime&sortorder={order}&top={top}&skip={skip}{}", search.unwrap_or_default())
    });
    Ok(json!({ "totalCount": rows.len(), "jobs": rows, "nextLink": next }))
}

fn row(job: &Played, now: Timestamp) -> Value {
    let ended = job.ends <= now;
    // .NET's seven digits of a second; the script keeps to microseconds.
    let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.%6f0+00:00").to_string();
    json!({
        "id": job.id,
        "type": job.kind.code(),
        "state": if ended { job.end.code() } else { JobState::Running.code() },
        "startTime": time(job.started),
        "finishTime": ended.then(|| time(job.ends)),
        "scanProfileName": job.profile,
        "category": job.category.code(),
        "extension": null,
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn at_noon(query: &[(&str, &str)]) -> Result<Value, String> {
        let script = Script::new(date(2026, 3, 1), None);
        let noon = script.begins() + Duration::from_secs(12 * 3600 + 1800);
        let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        page("http://127.0.0.1:1", &query, script.listed(noon), noon)
    }

    #[test]
    fn a_page_is_as_the_vendor_writes_it() {
        let body = at_noon(&[("top", "2"), ("orderby", "StartTime"), ("sortorder", "1")]).unwrap();
        assert_eq!(body["nextLink"], "http://127.0.0.1:1/aos/jobs?orderby=StartTime&sortorder=1&top=2&skip=1");
        assert_eq!(body["totalCount"], 2);
        let first = &body["jobs"][0];
        let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "type", "state", "startTime", "finishTime", "scanProfileName", "category", "extension"]);
        let pattern = regex::Regex::new(r"^2026-03-01T12:00:\d\d\.\d{7}\+00:00$").unwrap();
        assert!(pattern.is_match(first["startTime"].as_str().unwrap()), "{first}");
    }

    #[test]
    fn the_links_lead_through_the_whole_list_and_end() {
        let mut query = HashMap::from([("top".to_owned(), "7".to_owned())]);
        let script = Script::new(date(2026, 3, 1), None);
        let now = script.begins() + Duration::from_secs(20 * 3600);
        let mut ids = std::collections::BTreeSet::new();
        loop {
            let body = page("http://127.0.0.1:1", &query, script.listed(now), now).unwrap();
            ids.extend(body["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
            let Some(next) = body["nextLink"].as_str() else { break };
            query = url::Url::parse(next).unwrap().query_pairs().into_owned().collect();
        }
        assert_eq!(ids.len(), script.listed(now).len());
    }

    #[test]
    fn a_running_job_has_no_end_and_can_be_looked_up() {
        let all = at_noon(&[]).unwrap();
        let running = all["jobs"].as_array().unwrap().iter().find(|job| job["state"] == 1).unwrap();
        assert!(running["finishTime"].is_null());
        let found = at_noon(&[("search", running["id"].as_str().unwrap())]).unwrap();
        assert_eq!(found["jobs"].as_array().unwrap().len(), 1);
        assert_eq!(found["jobs"][0], *running);
    }

    #[test]
    fn a_bad_parameter_is_refused() {
        for query in [("top", "0"), ("top", "1001"), ("skip", "-1"), ("sortorder", "2"), ("orderby", "state")] {
            assert!(at_noon(&[query]).is_err(), "{query:?}");
        }
    }
}
