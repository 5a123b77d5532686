//! A backlog in virtual time: the real store, the real words of Slack, and a channel that answers as told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicI64},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use regex::Regex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Courier, DAY, WallClock, stubs::store_of_a_courier};
use crate::{
    channel::{Channel, Common, Envelope, KINDS, Payload, Rate, Tools, Wording},
    clock::Clock,
    document::{Faults, Fields, Source, parse},
    domain::{Ending, Job, Name, Notification, Outcome, RuleFacts, Severity, State, Target},
    health::Health,
    http::Http,
    metrics::Metrics,
    store::{
        Backlogs, Claim, Depth, DigestStore, Front, FrontQuery, GaveUp, Intake, Line, NewAlert, Overdue, Settlement, Store as _,
        StoreError,
        sqlite::{Access, Sqlite},
    },
    template::Templates,
    wake::Wake,
};

const NAME: &str = "oncall";

/// The real store. While one of its threads works, time stands still.
struct Real(Sqlite);

async fn at_a_standstill<T>(work: impl Future<Output = T>) -> T {
    let (let_go, wait) = std::sync::mpsc::channel::<()>();
    let stop = tokio::task::spawn_blocking(move || _ = wait.recv());
    let result = work.await;
    drop(let_go);
    stop.await.unwrap();
    result
}

impl DigestStore for Real {}

#[async_trait]
impl Backlogs for Real {
    async fn depth(&self, channel: &Name, most: u64) -> Result<Depth, StoreError> {
        at_a_standstill(self.0.depth(channel, most)).await
    }

    async fn front(&self, query: FrontQuery) -> Result<Front, StoreError> {
        at_a_standstill(self.0.front(query)).await
    }

    async fn fold(&self, messages: Vec<i64>, now: Timestamp) -> Result<u64, StoreError> {
        at_a_standstill(self.0.fold(messages, now)).await
    }
}

store_of_a_courier! { Real {
    async fn line(&self, channel: &Name) -> Result<Line, StoreError> {
        at_a_standstill(self.0.line(channel)).await
    }

    async fn claim(&self, channel: &Name, now: Timestamp, most: u32) -> Result<Claim, StoreError> {
        at_a_standstill(self.0.claim(channel, now, most)).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        at_a_standstill(self.0.settle(settlement)).await
    }

    async fn give_up(&self, overdue: Overdue) -> Result<GaveUp, StoreError> {
        at_a_standstill(self.0.give_up(overdue)).await
    }
}}

/// One message that was taken: when, and the jobs that it names, in its order.
struct Told {
    at: f64,
    jobs: Vec<String>,
}

/// Slack's words, and an end of ours.
struct Slack {
    words: Arc<dyn Channel>,
    began: Instant,
    /// Until when it takes nothing, in seconds.
    down_until: f64,
    told: Mutex<Vec<Told>>,
    refused: Mutex<Vec<f64>>,
}

#[async_trait]
impl Channel for Slack {
    fn targets(&self) -> Vec<Target> {
        self.words.targets()
    }

    fn compose(&self, notification: &Notification, wording: &Wording, now: Timestamp) -> Result<Payload, String> {
        self.words.compose(notification, wording, now)
    }

    fn names(&self, notification: &Notification, now: Timestamp) -> Option<usize> {
        self.words.names(notification, now)
    }

    fn is_customised(&self, notification: &Notification) -> bool {
        self.words.is_customised(notification)
    }

    async fn send(&self, payload: &Payload, _: Envelope<'_>) -> Outcome {
        let Payload::Json(text) = payload else { panic!("this is no message for Slack") };
        let at = self.began.elapsed().as_secs_f64();
        if at < self.down_until {
            self.refused.lock().unwrap().push(at);
            return Outcome::Retry { after: None, why: "HTTP 503".into() };
        }
        let jobs: Vec<String> = Regex::new(r"Scan\d{20}").unwrap().find_iter(text).map(|id| id.as_str().to_owned()).collect();
        assert!(!text.contains(" more"), "not every job is named: {text}");
        assert_eq!(jobs.len() > 1, text.contains("Held while the channel could not be reached or was behind"), "{text}");
        self.told.lock().unwrap().push(Told { at, jobs });
        Outcome::Delivered { answer: "ok".into() }
    }
}

struct World {
    began: Instant,
    clock: Arc<WallClock>,
    store: Arc<Real>,
    channel: Arc<Slack>,
    made: usize,
    _folder: tempfile::TempDir,
}

pub fn id(n: usize) -> String {
    format!("Scan20240926{n:012}")
}

/// The live end of a kind, in the words that are built in.
pub fn live(kind: &str, yaml: &str) -> Arc<dyn Channel> {
    let kind = KINDS.iter().find(|known| known.name == kind).unwrap();
    let mut faults = Faults::default();
    let source = Source { path: "test.yaml".into(), text: yaml.into() };
    let tree = parse(&Arc::new(source), &mut faults).unwrap();
    let settings = (kind.read)(&mut Fields::open(&tree, "channel", &mut faults).unwrap(), &mut faults).unwrap();
    let common = Common { template: "alert".into(), timeout: Duration::from_secs(15) };
    let tools = Tools { http: Http::new().unwrap(), templates: Arc::new(Templates::built_in()), public_url: None };
    settings.connect(&Name::from(NAME), &common, &tools).unwrap()
}

impl World {
    fn new(down_until: f64) -> Self {
        let began = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("jobrelay.db"), Access::Service).unwrap();
        let words = live("slack", "url: https://hooks.slack.com/services/T0123456/B0123456/x");
        Self {
            began,
            clock: Arc::new(WallClock { began, off: AtomicI64::default() }),
            store: Arc::new(Real(store)),
            channel: Arc::new(Slack { words, began, down_until, told: Mutex::default(), refused: Mutex::default() }),
            made: 0,
            _folder: folder,
        }
    }

    /// So many jobs of several profiles fail, and rules in turn alert on them.
    async fn fail(&mut self, count: usize) {
        let now = self.clock.now();
        let rules: Vec<Arc<RuleFacts>> = ["scan-failed", "nightly-failed", "sharepoint-failed"].map(|name| Arc::new(facts(name))).into();
        let alerts = (self.made..self.made + count).map(|n| {
            let facts = Arc::clone(&rules[n % 7 % 3]);
            let job = Arc::new(job(n));
            NewAlert { rule: facts.name.as_str().into(), facts, job, run: 1, notify: vec![NAME.into()], held: false, gather: None }
        });
        let intake = Intake {
            source: "contoso".into(),
            now,
            jobs: Vec::new(),
            alerts: alerts.collect(),
            judged: Vec::new(),
            rules_version: "".into(),
            unreadable: Vec::new(),
        };
        at_a_standstill(self.store.0.take_in(intake)).await.unwrap();
        self.made += count;
    }

    /// Runs the program while something is done.
    async fn run<T>(&mut self, what: impl AsyncFnOnce(&mut Self) -> T) -> T {
        let line = self.store.line(&NAME.into()).await.unwrap();
        let courier = Courier {
            name: NAME.into(),
            channel: Arc::<Slack>::clone(&self.channel),
            rate: Rate::Limited { messages: 1, per: Duration::from_secs(1) },
            give_up_after: Duration::from_secs(14 * DAY),
            fallback: None,
            line,
            store: Arc::<Real>::clone(&self.store),
            clock: Arc::<WallClock>::clone(&self.clock),
            metrics: Arc::new(Metrics::new()),
            health: Arc::new(Health::default()),
            wake: Arc::new(Wake::for_channels([NAME.into()])),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(courier.recalled().run(stop.clone()));
        let result = what(self).await;
        stop.cancel();
        running.await.unwrap();
        result
    }

    async fn until(&self, holds: impl Fn(&[Told]) -> bool) {
        while !holds(&self.channel.told.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// How long one more alert waits until it is told.
    async fn fresh(&mut self) -> f64 {
        let (made_at, id) = (self.began.elapsed().as_secs_f64(), id(self.made));
        self.fail(1).await;
        self.until(|told| told.iter().any(|told| told.jobs.contains(&id))).await;
        self.channel.told.lock().unwrap().iter().find(|told| told.jobs.contains(&id)).unwrap().at - made_at
    }

    /// What must hold in the end: each job is named once, the oldest of each message in order and at the rate, and the books balance.
    async fn settled(&self) {
        let alone = {
            let told = self.channel.told.lock().unwrap();
            let mut named: Vec<&String> = told.iter().flat_map(|told| &told.jobs).collect();
            named.sort();
            assert_eq!(named.len(), self.made);
            assert!(named.iter().enumerate().all(|(n, named)| **named == id(n)), "each job once");
            assert!(told.windows(2).all(|two| two[0].jobs[0] < two[1].jobs[0]), "in order");
            assert!(told.windows(2).all(|two| two[1].at - two[0].at >= 0.999), "at the rate");
            told.iter().filter(|told| told.jobs.len() == 1).count() as u64
        };
        let tally = at_a_standstill(self.store.0.tally()).await.unwrap();
        let ended = |ending| tally.ended.get(&(NAME.to_owned(), ending)).copied().unwrap_or_default();
        assert_eq!((ended(Ending::Delivered), ended(Ending::RolledUp)), (alone, self.made as u64 - alone));
        assert_eq!((ended(Ending::Dead), tally.pending.get(NAME)), (0, Some(&0)));
    }
}

pub fn facts(name: &str) -> RuleFacts {
    RuleFacts {
        name: name.into(),
        description: "A scan failed, or finished with exceptions.".into(),
        severity: Severity::Critical,
        labels: BTreeMap::new(),
        template: None,
    }
}

/// A time at which jobs have ended.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub fn job(n: usize) -> Job {
    let now = now();
    Job {
        source: "contoso".into(),
        id: id(n),
        kind: None,
        state: State::Failed,
        started: Some(now - jiff::SignedDuration::from_secs(700)),
        finished: Some(now - jiff::SignedDuration::from_secs(60)),
        profile: format!("scan sharepoint sites of region {}", n % 40),
        category: None,
        extension: serde_json::Value::Null,
    }
}

/// The channel is down for so many seconds, so many alerts come for it, and one more when it is back.
async fn an_outage(seconds: u64, alerts: usize, probes: std::ops::Range<usize>) {
    let mut world = World::new(seconds as f64);
    let waited = world
        .run(async |world| {
            for part in 1..=7 {
                world.fail(if part < 7 { 100 } else { alerts - 600 }).await;
                tokio::time::sleep_until(world.began + Duration::from_secs(seconds / 7 * part)).await;
            }
            world.until(|told| !told.is_empty()).await;
            world.fresh().await
        })
        .await;
    let (told, tried) = (world.channel.told.lock().unwrap().len(), world.channel.refused.lock().unwrap().len());
    println!("{tried} probes, {told} messages; a fresh alert waited {waited:.0}s");
    assert!(probes.contains(&tried), "{tried} probes");
    assert!(waited < 300.0, "{waited}");
    world.settled().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_a_fresh_alert_waits_for_less_than_five_minutes() {
    an_outage(DAY / 4, 3_000, 5..15).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "the same with ten thousand alerts of a week, which takes half a minute: run ./test"]
async fn after_a_week_without_the_channel_a_fresh_alert_waits_for_less_than_five_minutes() {
    an_outage(7 * DAY, 10_000, 30..60).await;
}

#[tokio::test(start_paused = true)]
async fn in_a_storm_of_five_thousand_a_fresh_alert_waits_for_less_than_five_minutes() {
    let mut world = World::new(0.0);
    let waited = world
        .run(async |world| {
            world.fail(100).await;
            world.fail(4_900).await;
            world.until(|told| told.len() > 20).await;
            world.fresh().await
        })
        .await;
    assert!(waited < 150.0, "{waited}");
    world.settled().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_told_in_good_time_is_told_one_by_one() {
    let mut world = World::new(0.0);
    world
        .run(async |world| {
            world.fail(120).await;
            world.until(|told| told.len() == 120).await;
        })
        .await;
    world.settled().await;
}
