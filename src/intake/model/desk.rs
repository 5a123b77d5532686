//! A list that a test changes by hand while the poller reads it, in virtual time, with a server and a local clock apart.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{poller, store::MemoryStore, world::EPOCH};
use crate::{
    clock::Clock,
    domain::{Job, Name, State},
    health::Health,
    intake::Habits,
    rules::RuleSet,
    source::{BadRow, Cursor, Feed, FeedError, Next, Page, Print},
};

/// What a look-up by id comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    Works,
    /// It answers with no rows.
    FindsNothing,
    /// It answers with the list.
    IsIgnored,
    /// It knows the newest jobs only.
    FindsTheNewest,
}

/// Takes the place of an answer, given the second it is asked for in.
type Trouble = Box<dyn FnMut(i64) -> Option<FeedError> + Send>;

/// The list, and what was asked of it.
pub struct Desk {
    began: Instant,
    /// By start, newest first; what has none stands at the end.
    list: Mutex<Vec<Job>>,
    /// The most rows it gives at a time.
    clamp: usize,
    search: Search,
    trouble: Mutex<Option<Trouble>>,
    /// The same, of look-ups alone.
    trouble_looking_up: Mutex<Option<Trouble>>,
    /// Seconds by which the server's clock and the local one are ahead of the time that passes.
    server_ahead: AtomicI64,
    local_ahead: AtomicI64,
    /// The seconds in which it was asked.
    asked: Mutex<Vec<i64>>,
}

/// The instant `second` of the server's time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(EPOCH + second).unwrap()
}

/// A job of the list; times in seconds of the server's.
pub fn job(id: impl Into<String>, state: State, started: i64, finished: Option<i64>) -> Job {
    Job {
        source: Name::from("contoso"),
        id: id.into(),
        kind: None,
        state,
        started: Some(at(started)),
        finished: finished.map(at),
        profile: "scan sites".into(),
        category: None,
        extension: serde_json::Value::Null,
    }
}

impl Desk {
    pub fn new(jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut list: Vec<Job> = jobs.into_iter().collect();
        list.sort_by_key(|job| std::cmp::Reverse(job.started));
        Self {
            began: Instant::now(),
            list: Mutex::new(list),
            clamp: 100,
            search: Search::Works,
            trouble: Mutex::default(),
            trouble_looking_up: Mutex::default(),
            server_ahead: AtomicI64::default(),
            local_ahead: AtomicI64::default(),
            asked: Mutex::default(),
        }
    }

    /// Where looking a job up comes to this.
    pub fn with(self, search: Search) -> Self {
        Self { search, ..self }
    }

    /// Puts a job on the list, in place of one with its id.
    pub fn put(&self, job: Job) {
        let mut list = self.list.lock().unwrap();
        list.retain(|other| other.id != job.id);
        let place = list.partition_point(|other| other.started >= job.started);
        list.insert(place, job);
    }

    pub fn remove(&self, id: &str) {
        self.list.lock().unwrap().retain(|job| job.id != id);
    }

    pub fn fails(&self, trouble: impl FnMut(i64) -> Option<FeedError> + Send + 'static) {
        *self.trouble.lock().unwrap() = Some(Box::new(trouble));
    }

    pub fn fails_look_ups(&self, trouble: impl FnMut(i64) -> Option<FeedError> + Send + 'static) {
        *self.trouble_looking_up.lock().unwrap() = Some(Box::new(trouble));
    }

    /// The seconds in which it was asked, from the start on.
    pub fn asked(&self) -> Vec<i64> {
        self.asked.lock().unwrap().clone()
    }

    pub fn set_local_clock_ahead(&self, seconds: i64) {
        self.local_ahead.store(seconds, Ordering::Relaxed);
    }

    /// As it looks to a machine that slept: only the others' time went on.
    pub fn sleep_through(&self, seconds: i64) {
        self.server_ahead.fetch_add(seconds, Ordering::Relaxed);
        self.local_ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The server's second.
    pub fn second(&self) -> i64 {
        self.passed() + self.server_ahead.load(Ordering::Relaxed)
    }

    fn passed(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_secs()).unwrap()
    }

    async fn request(&self) -> Result<(), FeedError> {
        self.asked.lock().unwrap().push(self.passed());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let passed = self.passed();
        match self.trouble.lock().unwrap().as_mut().and_then(|trouble| trouble(passed)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Clock for Desk {
    fn now(&self) -> Timestamp {
        at(self.passed() + self.local_ahead.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Feed for Desk {
    fn page_size(&self) -> u32 {
        100
    }

    async fn page(&self, cursor: &Cursor) -> Result<Page, FeedError> {
        self.request().await?;
        let Cursor::Skip { skip, top } = cursor else { panic!("this feed gives no links") };
        let list = self.list.lock().unwrap();
        let rows: Vec<Result<Job, BadRow>> =
            list.iter().skip(*skip as usize).take((*top as usize).min(self.clamp)).cloned().map(Ok).collect();
        let print = Print::of(format!("{rows:?}").as_bytes());
        Ok(Page { rows, next: Next::None, served_at: Some(at(self.second())), print })
    }

    async fn find(&self, id: &str) -> Result<Option<Job>, FeedError> {
        self.request().await?;
        let passed = self.passed();
        if let Some(error) = self.trouble_looking_up.lock().unwrap().as_mut().and_then(|trouble| trouble(passed)) {
            return Err(error);
        }
        match self.search {
            // What is looked up stands deep.
            Search::Works => Ok(self.list.lock().unwrap().iter().rev().find(|job| job.id == id).cloned()),
            Search::FindsTheNewest => Ok(self.list.lock().unwrap().iter().take(100).find(|job| job.id == id).cloned()),
            Search::FindsNothing => Ok(None),
            Search::IsIgnored => Err(FeedError::Malformed("the answer to `search` holds other jobs".into())),
        }
    }

    async fn probe(&self) -> Result<(), FeedError> {
        self.request().await
    }
}

/// A poller at work on a desk.
pub struct Scene {
    pub desk: Arc<Desk>,
    pub store: Arc<MemoryStore>,
    pub rules: Arc<RuleSet>,
    pub health: Arc<Health>,
    habits: Habits,
    pub poll_every: Duration,
    work: Option<JoinHandle<()>>,
}

impl Scene {
    pub fn new(desk: Desk, rules: Arc<RuleSet>) -> Self {
        let poll_every = super::POLL_EVERY;
        Self {
            desk: Arc::new(desk),
            store: Arc::default(),
            rules,
            health: Arc::default(),
            habits: Habits::default(),
            poll_every,
            work: None,
        }
    }

    /// Starts the poller, in place of one at work.
    pub async fn start(&mut self) {
        self.kill();
        let mut intake = poller(&self.desk, &self.store, &self.rules, self.habits).await;
        intake.poll_every = self.poll_every;
        intake.health = Arc::clone(&self.health);
        self.work = Some(tokio::spawn(intake.run(CancellationToken::new())));
    }

    pub fn kill(&mut self) {
        if let Some(work) = self.work.take() {
            work.abort();
        }
    }

    /// Lets time pass.
    pub async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Every alert: rule, job and run, in that order.
    #[track_caller]
    pub fn told(&self, expected: &[(&str, &str, u32)]) {
        let told = self.store.told();
        let told: Vec<(&str, &str, u32)> = told.iter().map(|(rule, id, run)| (rule.as_str(), id.as_str(), *run)).collect();
        assert_eq!(told, expected);
    }
}
