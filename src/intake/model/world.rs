//! A tenant's job list that behaves as badly as the real one may: a script of what happens when, and a feed that shows it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use crate::{
    clock::Clock,
    domain::{Job, Name, State},
    source::{BadRow, Cursor, Feed, FeedError, Next, Page, Print},
};

/// When the world begins, in seconds since 1970.
pub const EPOCH: i64 = 1_800_000_000;

/// The scan profiles.
const PROFILES: [&str; 3] = ["scan sites", "scan mailboxes", "scan teams"];

/// What a world is like. Everything else follows from the seed.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    /// How long the world is watched, without the calm at the end.
    pub seconds: i64,
    /// Jobs that are history when the program first starts.
    pub history: usize,
    /// Jobs that start while it is watched.
    pub jobs: usize,
    /// How many in a hundred show up late, and by how much at most.
    pub late: (u32, i64),
    /// How many in a hundred run for hours.
    pub long: u32,
    /// Whether `skip` counts pages.
    pub counts_pages: bool,
    /// The most rows the service gives at a time.
    pub clamp: usize,
    /// How many in a hundred requests fail.
    pub faults: u32,
    /// How many ended jobs are deleted, in bursts.
    pub deleted: usize,
    /// Whether `search` finds anything.
    pub search: bool,
    /// How many in a hundred run a second time.
    pub again: u32,
    /// Whether those that are history may as well: their first ends may never have been seen.
    pub old_again: bool,
    /// How many in a hundred pages hold a row that makes no sense.
    pub unreadable: u32,
}

/// One stretch of a job's life: from `from` on, the list shows it so.
#[derive(Debug, Clone)]
struct Stretch {
    from: i64,
    state: State,
    finished: Option<i64>,
}

#[derive(Debug, Clone)]
struct Life {
    id: String,
    profile: &'static str,
    started: i64,
    shows: i64,
    stretches: Vec<Stretch>,
    deleted: i64,
}

impl Life {
    fn at(&self, now: i64) -> Option<&Stretch> {
        let shown = now >= self.shows && now < self.deleted;
        shown.then(|| self.stretches.iter().rev().find(|stretch| stretch.from <= now)).flatten()
    }
}

/// An end that a job came to: its number among the job's ends (from 1), when it could first be seen, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub id: String,
    pub finished: i64,
    pub seen_from: i64,
    pub seen_until: i64,
}

/// The script, and its clock.
pub struct World {
    nature: Nature,
    lives: Vec<Life>,
    began: Instant,
    rng: Mutex<StdRng>,
    pub requests: Mutex<u64>,
}

impl World {
    pub fn new(seed: u64, nature: Nature) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut lives: Vec<Life> = Vec::new();
        for n in 0..nature.history + nature.jobs {
            let old = n < nature.history;
            // Whole minutes make many equal starts.
            let started = if old { -rng.random_range(60..200_000) } else { rng.random_range(0..nature.seconds) } / 60 * 60;
            let long = rng.random_range(0..100) < nature.long;
            let length = if long { rng.random_range(7_200..20_000) } else { rng.random_range(1..900) };
            let late = rng.random_range(0..100) < nature.late.0;
            let shows = started + if late && nature.late.1 > 0 { rng.random_range(0..nature.late.1) } else { 0 };
            let state = *[State::Finished, State::Failed, State::FinishedWithException].get(rng.random_range(0..3)).unwrap();
            let mut stretches = vec![
                Stretch { from: i64::MIN, state: State::Running, finished: None },
                Stretch { from: started + length, state, finished: Some(started + length) },
            ];
            if rng.random_range(0..100) < nature.again && (nature.old_again || !old) {
                // A second run, some hours on.
                let again = started + length + rng.random_range(4_000..9_000);
                let end = again + rng.random_range(10..600);
                stretches.push(Stretch { from: again, state: State::Running, finished: None });
                stretches.push(Stretch { from: end, state: State::Failed, finished: Some(end) });
            }
            lives.push(Life {
                id: format!("Scan{n:05}"),
                profile: PROFILES[n % PROFILES.len()],
                started,
                shows,
                stretches,
                deleted: i64::MAX,
            });
        }
        // Deletions come in bursts at one instant, and take only jobs that were long done with.
        for _ in 0..nature.deleted / 20 {
            let at = rng.random_range(0..nature.seconds);
            for _ in 0..20 {
                let n = rng.random_range(0..lives.len());
                let life = &mut lives[n];
                let done = life.stretches.last().is_some_and(|last| last.from.max(life.shows) + 4 * 3600 < at);
                if done {
                    life.deleted = life.deleted.min(at);
                }
            }
        }
        lives.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.id.cmp(&b.id)));
        Self { nature, lives, began: Instant::now(), rng: Mutex::new(rng), requests: Mutex::new(0) }
    }

    /// How long the world has been going on, in seconds.
    pub fn began_ago(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_secs()).unwrap()
    }

    /// Every end in the script that came after an instant, in the script's own seconds.
    pub fn ends_after(&self, cut: i64) -> Vec<End> {
        let mut ends = Vec::new();
        for life in &self.lives {
            for (at, stretch) in life.stretches.iter().enumerate() {
                let Some(finished) = stretch.finished else { continue };
                let until = life.stretches.get(at + 1).map_or(life.deleted, |next| next.from.min(life.deleted));
                if finished > cut {
                    ends.push(End { id: life.id.clone(), finished, seen_from: stretch.from.max(life.shows), seen_until: until });
                }
            }
        }
        ends
    }

    /// Every job that ends, as it ended, and when it could first be seen so; in the order of the ends.
    pub fn ended(&self) -> Vec<(Arc<Job>, i64)> {
        let mut ended: Vec<_> = self
            .lives
            .iter()
            .flat_map(|life| life.stretches.iter().filter(|stretch| stretch.finished.is_some()).map(move |stretch| (life, stretch)))
            .map(|(life, stretch)| (Arc::new(Self::job(life, stretch)), stretch.from.max(life.shows)))
            .collect();
        ended.sort_by(|(a, _), (b, _)| (a.finished, &a.id).cmp(&(b.finished, &b.id)));
        ended
    }

    fn chance(&self, percent: u32) -> bool {
        self.rng.lock().unwrap().random_range(0..100) < percent
    }

    fn list(&self) -> Vec<(&Life, &Stretch)> {
        let now = self.began_ago();
        self.lives.iter().filter_map(|life| Some((life, life.at(now)?))).collect()
    }

    fn job(life: &Life, stretch: &Stretch) -> Job {
        let time = |at: i64| Timestamp::from_second(EPOCH + at).unwrap();
        Job {
            source: Name::from("contoso"),
            id: life.id.clone(),
            kind: None,
            state: stretch.state,
            started: Some(time(life.started)),
            finished: stretch.finished.map(time),
            profile: life.profile.into(),
            category: None,
            extension: serde_json::Value::Null,
        }
    }

    /// The time a request takes, and the trouble it may meet.
    async fn request(&self) -> Result<(), FeedError> {
        *self.requests.lock().unwrap() += 1;
        let millis = self.rng.lock().unwrap().random_range(50..1_500);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        if !self.chance(self.nature.faults) {
            return Ok(());
        }
        let which = self.rng.lock().unwrap().random_range(0..4);
        Err(match which {
            0 => FeedError::Unavailable("HTTP 503".into()),
            1 => FeedError::Malformed("the body is cut".into()),
            2 => FeedError::Throttled { after: Some(Duration::from_secs(20)), why: "HTTP 429".into() },
            _ => FeedError::Refused("HTTP 401".into()),
        })
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(EPOCH).unwrap() + self.began.elapsed()
    }
}

#[async_trait]
impl Feed for World {
    fn page_size(&self) -> u32 {
        100
    }

    async fn page(&self, at: &Cursor) -> Result<Page, FeedError> {
        self.request().await?;
        let Cursor::Skip { skip, top } = at else { panic!("this feed gives no links") };
        let top = (*top as usize).min(self.nature.clamp);
        let skip = if self.nature.counts_pages { *skip as usize * top } else { *skip as usize };
        let list = self.list();
        let mut rows: Vec<Result<Job, BadRow>> =
            list.into_iter().skip(skip).take(top).map(|(life, stretch)| Ok(Self::job(life, stretch))).collect();
        if self.chance(self.nature.unreadable) && !rows.is_empty() {
            // A row that makes no sense stands among the others.
            let raw = format!("{{\"id\": {skip}}}");
            rows.pop();
            rows.push(Err(BadRow { why: "the id is no text".into(), raw }));
        }
        let served_at = Timestamp::from_second(self.now().as_second()).ok();
        let print = Print::of(format!("{rows:?}").as_bytes());
        Ok(Page { rows, next: Next::Unusable("another origin".into()), served_at, print })
    }

    async fn find(&self, id: &str) -> Result<Option<Job>, FeedError> {
        self.request().await?;
        let list = self.list();
        Ok(list.into_iter().find(|(life, _)| self.nature.search && life.id == id).map(|(life, stretch)| Self::job(life, stretch)))
    }

    async fn probe(&self) -> Result<(), FeedError> {
        self.request().await
    }
}
