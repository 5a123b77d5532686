//! The two ends: a tenant's job list, and a sink for messages.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::wire::{Peer, Request, ok, serve};

/// The machine's time of day: the tenant's jobs end now.
#[expect(clippy::disallowed_methods, reason = "the stand-in for the cloud has a clock of its own")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A job's row as the vendor writes it.
pub fn row(id: &str, state: u8, ended: Timestamp) -> String {
    let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.%6f0+00:00").to_string();
    let started = ended - SignedDuration::from_secs(30);
    format!(
        r#"{{"id":"{id}","type":0,"state":{state},"startTime":"{}","finishTime":"{}","scanProfileName":"scan sharepoint sites","category":0,"extension":null}}"#,
        time(started),
        time(ended)
    )
}

/// A tenant. Each client id sees the same list, and beside it what is handed to it alone.
#[derive(Default)]
pub struct Tenant {
    inside: Mutex<Inside>,
    /// Pages answered so far.
    pub pages: AtomicUsize,
}

#[derive(Default)]
struct Inside {
    /// Newest first.
    rows: Vec<String>,
    /// When the first page that held any row was on its way.
    served: Option<Instant>,
    single: Option<Single>,
    /// How far apart the sources are to be polled, and which have been held back for that.
    apart: Option<Duration>,
    held: std::collections::HashSet<String>,
}

/// One job after the other, each given to whichever source asks next.
struct Single {
    left: usize,
    /// When the one that is on its way to the sink was handed out.
    handed: Option<Instant>,
    /// What each client id has been given.
    given: HashMap<String, Vec<String>>,
}

impl Tenant {
    /// Serves it; its address.
    pub async fn start() -> (Arc<Self>, String) {
        let tenant = Arc::new(Self::default());
        let url = serve(Arc::clone(&tenant)).await;
        (tenant, url)
    }

    /// Replaces the list, newest first.
    pub fn put(&self, rows: Vec<String>) {
        let mut inside = self.inside.lock().unwrap();
        inside.rows = rows;
        inside.served = None;
    }

    /// When the first row of the present list was on its way.
    pub fn served(&self) -> Option<Instant> {
        self.inside.lock().unwrap().served
    }

    /// Holds the first answer to `client-N` back by N steps and one period of 5 s: a turn that outlasts the period is followed
    /// by the next one at once, so that from then on the sources are polled by turns and not all at one moment.
    pub fn apart(&self, step: Duration) {
        self.inside.lock().unwrap().apart = Some(step);
    }

    /// From now on, `count` jobs one by one.
    pub fn one_by_one(&self, count: usize) {
        self.inside.lock().unwrap().single = Some(Single { left: count, handed: None, given: HashMap::new() });
    }

    /// How long before `at` the job that has just arrived was handed out.
    pub fn handed_before(&self, at: Instant) -> Option<Duration> {
        Some(at - self.inside.lock().unwrap().single.as_ref()?.handed?)
    }

    /// The next job may be handed out.
    pub fn next(&self) {
        if let Some(single) = &mut self.inside.lock().unwrap().single {
            single.handed = None;
        }
    }
}

impl Peer for Tenant {
    fn hold(&self, request: &Request<'_>) -> Duration {
        let mut inside = self.inside.lock().unwrap();
        let Some(step) = inside.apart else { return Duration::ZERO };
        let client = request.authorization.trim_start_matches("Bearer ").to_owned();
        let number = client.rsplit('-').next().and_then(|number| number.parse::<u32>().ok());
        match number {
            Some(number) if inside.held.insert(client) => Duration::from_secs(5) + step * number,
            _ => Duration::ZERO,
        }
    }

    fn answer(&self, request: &Request<'_>) -> Vec<u8> {
        if request.target.starts_with("/connect/token") {
            let form = String::from_utf8_lossy(request.body).into_owned();
            let client = form.split('&').find_map(|pair| pair.strip_prefix("client_id=")).unwrap_or_default();
            let token = format!(r#"{{"access_token":"{client}","token_type":"Bearer","expires_in":3600}}"#);
            return ok("application/json", token.as_bytes());
        }
        self.pages.fetch_add(1, Ordering::Relaxed);
        let mut inside = self.inside.lock().unwrap();
        let number = |key: &str, default: usize| {
            let query = request.target.split_once('?').map_or("", |(_, query)| query);
            query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')?.parse().ok()).unwrap_or(default)
        };
        let (top, skip) = (number("top", 100), number("skip", 0));
        let mut rows: Vec<String> = Vec::new();
        if let Some(single) = &mut inside.single {
            let client = request.authorization.trim_start_matches("Bearer ").to_owned();
            let given = single.given.entry(client).or_default();
            if single.handed.is_none() && single.left > 0 {
                let id = format!("Scan-single-{}", single.left);
                single.left -= 1;
                given.insert(0, row(&id, 3, now()));
                single.handed = Some(Instant::now());
            }
            rows.clone_from(given);
        }
        let list: &[String] = if rows.is_empty() { &inside.rows } else { &rows };
        let page = list.get(skip..list.len().min(skip + top)).unwrap_or_default();
        let first_row = (!page.is_empty()).then(Instant::now);
        let more = skip + page.len() < list.len();
        let next = if more { format!(r#""/aos/jobs?orderby=StartTime&sortorder=1&top={top}&skip={}""#, skip + top) } else { "null".into() };
        let body = format!(r#"{{"jobs":[{}],"nextLink":{next},"totalCount":{}}}"#, page.join(","), page.len());
        inside.served = inside.served.or(first_row);
        ok("application/json", body.as_bytes())
    }
}

/// Takes every message and says `ok`.
#[derive(Default)]
pub struct Sink {
    bodies: Mutex<Vec<Vec<u8>>>,
    last: Mutex<Option<Instant>>,
    count: AtomicUsize,
    /// Told of every message.
    pub came: tokio::sync::Notify,
}

impl Sink {
    /// Serves it; where to send.
    pub async fn start() -> (Arc<Self>, String) {
        let sink = Arc::new(Self::default());
        let url = serve(Arc::clone(&sink)).await;
        (sink, format!("{url}/hook"))
    }

    /// How many messages came.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// When the last message came.
    pub fn last(&self) -> Option<Instant> {
        *self.last.lock().unwrap()
    }

    /// How many different jobs the messages speak of.
    pub fn jobs(&self) -> usize {
        let pattern = regex::bytes::Regex::new(r"Scan-[a-z]+-\d+").unwrap();
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().filter_map(|body| pattern.find(body)).map(|found| found.as_bytes()).collect::<std::collections::HashSet<_>>().len()
    }

    /// The middle length of a message, in bytes.
    pub fn length(&self) -> usize {
        let bodies = self.bodies.lock().unwrap();
        bodies.get(bodies.len() / 2).map_or(0, Vec::len)
    }
}

impl Peer for Sink {
    fn answer(&self, request: &Request<'_>) -> Vec<u8> {
        *self.last.lock().unwrap() = Some(Instant::now());
        self.bodies.lock().unwrap().push(request.body.to_vec());
        self.count.fetch_add(1, Ordering::Relaxed);
        self.came.notify_one();
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
    }
}
