//! What surrounds the program that is killed, and outlives it: a tenant whose jobs keep ending, three channels with journals,
//! and the book of what ought to have been told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use rand::{RngExt, rngs::StdRng};

use crate::common::{
    Home,
    process::Process,
    upstream::{Upstream, job},
};

/// Jobs that every channel was told of and that stay on the list all the same, to be met again by each start.
const TOLD_KEPT: usize = 150;

/// Jobs that ended and are not told of yet, at most: a message names no more than a hundred, and each is to be seen named.
const UNTOLD_MOST: usize = 70;

pub const RULES: &str = "\
rules:
  - name: failed
    when: { state: [failed, finished_with_exception] }
    notify: [hook, slack]
  - name: ended
    when: { profile: 'scan *' }
    notify: [bulk]
    limit: 8 per 1s
";

const BULK_BODY: &str =
    ", body: '{ \"data\": { \"count\": {{count}} }, \"jobs\": [{{#each jobs}}{{#unless @first}},{{/unless}}\"{{id}}\"{{/each}}] }'";

/// The channels, and the rule that notifies each.
pub const CHANNELS: [(&str, &str); 3] = [("hook", "failed"), ("slack", "failed"), ("bulk", "ended")];

/// One message as a channel took it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which process sent it: its number stands in the address that this process was given.
    pub run: u32,
    /// What a repeat is known by; empty for Slack, whose messages have no id.
    pub key: String,
    /// The jobs it tells of.
    pub jobs: BTreeSet<String>,
    /// How many it says they are.
    pub count: usize,
}

/// A channel that takes everything, and writes it down before it answers.
#[derive(Clone, Default)]
pub struct Journal {
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Journal {
    /// The entries, those of an older process first, else in the order of their coming.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = self.entries.lock().unwrap().clone();
        entries.sort_by_key(|entry| entry.run);
        entries
    }

    /// Every job told of.
    pub fn told(&self) -> BTreeSet<String> {
        self.entries.lock().unwrap().iter().flat_map(|entry| entry.jobs.iter().cloned()).collect()
    }
}

async fn take(State(journal): State<Journal>, Path(run): Path<u32>, headers: HeaderMap, body: String) -> (StatusCode, &'static str) {
    let ids = regex::Regex::new(r"Scan-\d{6}").unwrap();
    let jobs: BTreeSet<String> = ids.find_iter(&body).map(|id| id.as_str().to_owned()).collect();
    let message: serde_json::Value = serde_json::from_str(&body).unwrap();
    let count = message["data"]["count"].as_u64().map_or(jobs.len(), |count| usize::try_from(count).unwrap());
    let key = headers.get("webhook-id").map(|key| key.to_str().unwrap().to_owned()).unwrap_or_default();
    let delay = {
        let mut entries = journal.entries.lock().unwrap();
        entries.push(Entry { run, key, jobs, count });
        // An answer that takes its time leaves room to die in.
        [0, 0, 1, 4][entries.len() % 4]
    };
    tokio::time::sleep(Duration::from_millis(delay)).await;
    (StatusCode::OK, "ok")
}

/// All that is outside the process.
pub struct World {
    pub upstream: Upstream,
    pub journals: BTreeMap<&'static str, Journal>,
    pub home: Home,
    /// How many processes there have been.
    pub runs: u32,
    made: usize,
    running: Vec<String>,
    /// Jobs that ended badly, and all that ended.
    pub failed: BTreeSet<String>,
    pub ended: BTreeSet<String>,
}

impl World {
    pub async fn new() -> Self {
        let upstream = Upstream::start().await;
        let mut config = upstream.config();
        config.push_str("    start: 24h\n    page_size: 25\nchannels:\n");
        let mut journals = BTreeMap::new();
        for (name, _) in CHANNELS {
            let journal = Journal::default();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let kind = if name == "slack" { "slack" } else { "webhook" };
            let address = listener.local_addr().unwrap();
            // In few words, so that a roll-up of many jobs still names each.
            let body = if name == "bulk" { BULK_BODY } else { "" };
            writeln!(config, "  {name}: {{ kind: {kind}, url: 'http://{address}/run/${{RUN:-0}}', rate: unlimited{body} }}").unwrap();
            let app = Router::new().route("/run/{run}", post(take)).with_state(journal.clone());
            tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
            journals.insert(name, journal);
        }
        config.push_str("server: { listen: '127.0.0.1:0' }\n");
        Self {
            upstream,
            journals,
            home: Home::new(&config, RULES),
            runs: 0,
            made: 0,
            running: Vec::new(),
            failed: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Starts the next process, under a tool and with variables.
    pub fn start(&mut self, tool: &[&str], variables: &[(&str, &str)]) -> Process {
        self.runs += 1;
        let mut command = self.home.under(tool);
        command.env("RUN", self.runs.to_string()).envs(variables.iter().copied());
        Process::spawn(command)
    }

    /// Some jobs begin and some end, a few at a time, as a busy tenant's do.
    pub fn go_on(&mut self, rng: &mut StdRng, most: usize) {
        for id in std::mem::take(&mut self.running) {
            if rng.random_bool(0.5) {
                self.end(rng, &id);
            } else {
                self.running.push(id);
            }
        }
        let untold = self.ended.len() - self.journals["bulk"].told().len();
        for _ in 0..rng.random_range(1..=most).min(UNTOLD_MOST.saturating_sub(untold)) {
            self.made += 1;
            let id = format!("Scan-{:06}", self.made);
            if rng.random_bool(0.2) && self.running.len() < 10 {
                self.upstream.put(job(&id, "scan sites", 1, rng.random_range(60..3_000), None));
                self.running.push(id);
            } else {
                self.end(rng, &id);
            }
        }
        self.trim();
    }

    fn end(&mut self, rng: &mut StdRng, id: &str) {
        let state = [2, 2, 3, 3, 4, 10][rng.random_range(0..6)];
        self.upstream.put(job(id, "scan sites", state, rng.random_range(60..3_000), Some(0)));
        self.ended.insert(id.to_owned());
        if [3, 4].contains(&state) {
            self.failed.insert(id.to_owned());
        }
    }

    /// Everything that runs ends.
    pub fn end_all(&mut self, rng: &mut StdRng) {
        for id in std::mem::take(&mut self.running) {
            self.end(rng, &id);
        }
    }

    /// The jobs a channel must tell of.
    pub fn expected(&self, channel: &str) -> &BTreeSet<String> {
        if channel == "bulk" { &self.ended } else { &self.failed }
    }

    /// Whether every channel has told of all it must.
    pub fn all_told(&self) -> bool {
        self.journals.iter().all(|(channel, journal)| self.expected(channel).is_subset(&journal.told()))
    }

    /// Takes off the list what all have told of, but for the newest.
    fn trim(&self) {
        let told: Vec<BTreeSet<String>> = CHANNELS.iter().map(|(channel, _)| self.journals[channel].told()).collect();
        let done = |id: &str| {
            self.ended.contains(id) && told[2].contains(id) && (!self.failed.contains(id) || (told[0].contains(id) && told[1].contains(id)))
        };
        let mut shelf = self.upstream.shelf.lock().unwrap();
        let mut gone: Vec<String> =
            shelf.jobs.iter().filter_map(|job| job["id"].as_str()).filter(|id| done(id)).map(str::to_owned).collect();
        gone.sort_unstable();
        gone.truncate(gone.len().saturating_sub(TOLD_KEPT));
        let gone: BTreeSet<String> = gone.into_iter().collect();
        shelf.jobs.retain(|job| !gone.contains(job["id"].as_str().unwrap()));
    }
}
