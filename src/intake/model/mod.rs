//! The whole poller against a list as bad as it may come, in virtual time, judged by an oracle that knows the script.
//!
//! Each seed is a world of its own. `JOBRELAY_SEEDS=N` runs N of them for each nature; a seed that breaks is named, and
//! `JOBRELAY_SEED=S` runs it alone.

mod deep;
mod desk;
mod looking_back;
mod store;
mod told;
mod world;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use super::{Habits, Intake, Limits, Memory};
use crate::{
    clock::Clock,
    document::{Faults, Source, parse},
    domain::Name,
    metrics::Metrics,
    rules::{self, Known, RuleSet},
    source::Feed,
    store::Store,
    wake::Wake,
};
use store::MemoryStore;
use world::{EPOCH, Nature, World};

/// The habits of the program, made shorter so that hours show what would take days.
const HABITS: Habits = Habits {
    overlap: super::sweep::OVERLAP,
    look_back: Duration::from_secs(1_800),
    track_open: true,
    open_within: Duration::from_secs(3_600),
    reconcile_every: Some(Duration::from_secs(3 * 3600)),
    wait_for_past: true,
    judge_again: true,
};
const POLL_EVERY: Duration = Duration::from_secs(60);
/// How long the world is calm in the end, so that everything has had its chance: a reconciliation, and more.
const CALM: i64 = 4 * 3600;
/// An end that was to be seen for less than this may have been missed between two polls, a crash and its restart.
const SEEN_LONG_ENOUGH: i64 = 4 * 3600;

const HARD: Nature = Nature {
    seconds: 8 * 3600,
    history: 400,
    jobs: 250,
    late: (10, 1_500),
    long: 6,
    counts_pages: false,
    clamp: 1_000,
    faults: 3,
    deleted: 160,
    search: true,
    again: 5,
    old_again: true,
    unreadable: 2,
};

fn every_end() -> Arc<RuleSet> {
    rules_of("rules:\n  - name: every-end\n    when: {}\n    notify: [hook]\n")
}

fn rules_of(text: &str) -> Arc<RuleSet> {
    let text = text.to_owned();
    let source = Arc::new(Source { path: PathBuf::from("rules.yaml"), text });
    let mut faults = Faults::default();
    let file = parse(&source, &mut faults).unwrap();
    let known = Known { channels: &["hook".into()], sources: &["contoso".into()], template_sets: &[] };
    let rules = rules::read(&[file], &known, &mut faults);
    assert!(!faults.any_error());
    Arc::new(rules)
}

/// What one world came to.
#[derive(Debug, Default)]
struct Balance {
    due: usize,
    lost: Vec<String>,
    unexpected: Vec<String>,
    quarantined: usize,
    requests: u64,
}

/// Runs the poller through a world, killing it now and then, and balances what it alerted on against the script.
async fn live(seed: u64, nature: Nature, habits: Habits) -> Balance {
    let (world, store) = lived_through(seed, nature, habits, &every_end()).await;
    balance(&world, &store)
}

/// A world at its end, and what the store holds.
async fn lived_through(seed: u64, nature: Nature, habits: Habits, rules: &Arc<RuleSet>) -> (Arc<World>, Arc<MemoryStore>) {
    let world = Arc::new(World::new(seed, nature));
    let store = Arc::new(MemoryStore::default());
    let mut rng = StdRng::seed_from_u64(seed ^ 0xdead);
    let mut left = nature.seconds;
    let mut first_end = None;
    while left > 0 || first_end.is_none() {
        let until_death = rng.random_range(60..9_000).min(left.max(1));
        let death = Duration::from_secs(until_death.unsigned_abs()) + Duration::from_millis(rng.random_range(0..1_000));
        run(&world, &store, rules, habits, death).await;
        first_end = first_end.or_else(|| store.has_baseline().then_some(()));
        left -= until_death;
        let pause = rng.random_range(0..600);
        tokio::time::sleep(Duration::from_secs(pause)).await;
        left -= i64::try_from(pause).unwrap();
    }
    run(&world, &store, rules, habits, Duration::from_secs(CALM.unsigned_abs())).await;
    (world, store)
}

/// The poller of a feed that is its own clock.
async fn poller<F: Feed + Clock>(feed: &Arc<F>, store: &Arc<MemoryStore>, rules: &Arc<RuleSet>, habits: Habits) -> Intake {
    let kept: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    Intake {
        name: Name::from("contoso"),
        feed: Arc::<F>::clone(feed),
        poll_every: POLL_EVERY,
        start: Duration::ZERO,
        keep: Duration::from_secs(90 * 86_400),
        habits,
        rules: Arc::clone(rules),
        limits: Arc::new(Limits::recalled(rules, &*kept).await.unwrap()),
        store: kept,
        memory: Memory::default(),
        clock: Arc::<F>::clone(feed),
        metrics: Arc::new(Metrics::new()),
        health: Arc::default(),
        wake: Arc::new(Wake::default()),
    }
}

async fn run(world: &Arc<World>, store: &Arc<MemoryStore>, rules: &Arc<RuleSet>, habits: Habits, death: Duration) {
    let intake = poller(world, store, rules, habits).await;
    // Dropped wherever it stands, as by `kill -9`.
    let _ = tokio::time::timeout(death, intake.run(CancellationToken::new())).await;
}

fn balance(world: &World, store: &MemoryStore) -> Balance {
    let now = world.began_ago();
    let raised: HashMap<(String, i64), usize> = store.alerts_raised().into_iter().fold(HashMap::new(), |mut all, (id, _, job)| {
        let finished = job.finished.map_or(i64::MIN, |at| at.as_second() - EPOCH);
        *all.entry((id, finished)).or_default() += 1;
        all
    });
    let cut = store.cut().map_or(0, |cut| cut.as_second() - EPOCH);
    let ends = world.ends_after(cut);
    let known: HashSet<(String, i64)> = ends.iter().map(|end| (end.id.clone(), end.finished)).collect();
    // A job watched while it ran counts although its end is dated before the cut: only what is in no script is unexpected.
    let all: HashSet<(String, i64)> = world.ends_after(i64::MIN).into_iter().map(|end| (end.id, end.finished)).collect();
    let long_enough = |from: i64, until: i64| until.min(now) - from >= SEEN_LONG_ENOUGH;
    let due: Vec<_> = ends.iter().filter(|end| long_enough(end.seen_from, end.seen_until)).collect();
    let lost = due.iter().filter(|end| !raised.contains_key(&(end.id.clone(), end.finished))).map(|end| format!("{end:?}")).collect();
    let unexpected = raised
        .iter()
        .filter(|(end, count)| **count != 1 || !all.contains(*end) || (!known.contains(*end) && end.1 < cut - 1))
        .map(|(end, count)| format!("{end:?} x {count}"))
        .collect();
    Balance { due: due.len(), lost, unexpected, quarantined: store.quarantined(), requests: *world.requests.lock().unwrap() }
}

fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

fn seeds(usual: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("JOBRELAY_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("JOBRELAY_SEEDS").unwrap_or(usual)).collect(),
    }
}

/// Every seed must balance.
#[track_caller]
fn check(nature: Nature, usual: u64) {
    let (mut due, mut requests, seeds) = (0, 0, seeds(usual));
    for seed in &seeds {
        let balance = in_virtual_time(live(*seed, nature, HABITS));
        assert!(balance.lost.is_empty(), "seed {seed}: of {} due, lost {:#?}", balance.due, balance.lost);
        assert!(balance.unexpected.is_empty(), "seed {seed}: unexpected {:#?}", balance.unexpected);
        assert!(balance.due > 50, "seed {seed}: only {} ends were due", balance.due);
        assert!(balance.quarantined > 0, "seed {seed}: the rows that make no sense were not kept");
        due += balance.due;
        requests += balance.requests;
    }
    println!("{} seeds, {due} ends due, lost 0, unexpected 0, {requests} requests", seeds.len());
}

/// Some seed must break.
#[track_caller]
fn check_needed(nature: Nature, habits: Habits, what: &str) {
    let lost: usize = (0..12).map(|seed| in_virtual_time(live(seed, nature, habits)).lost.len()).sum();
    assert!(lost > 0, "without {what} nothing is lost: either it is not needed, or this model does not show what for");
    println!("without {what}: {lost} lost");
}

#[test]
fn nothing_is_lost_and_nothing_unexpected_under_hard_conditions() {
    check(HARD, 24);
}

#[test]
fn nothing_is_lost_where_skip_counts_pages() {
    check(Nature { counts_pages: true, ..HARD }, 8);
}

#[test]
fn nothing_is_lost_where_the_service_gives_fewer_rows_than_asked_for() {
    check(Nature { clamp: 37, ..HARD }, 6);
    check(Nature { clamp: 37, counts_pages: true, ..HARD }, 3);
}

#[test]
fn nothing_is_lost_where_search_finds_nothing() {
    check(Nature { search: false, ..HARD }, 8);
}

/// A nature drawn by lot: whatever may be odd about a list, together with whatever else may be.
fn any_nature(seed: u64) -> Nature {
    let mut rng = StdRng::seed_from_u64(seed ^ 0xface);
    Nature {
        seconds: rng.random_range(5..9) * 3600,
        history: rng.random_range(20..1_500),
        jobs: rng.random_range(150..400),
        late: (rng.random_range(0..30), rng.random_range(1..9_000)),
        long: rng.random_range(0..50),
        counts_pages: rng.random_range(0..3) == 0,
        clamp: *[20, 37, 99, 100, 1_000].get(rng.random_range(0..5)).unwrap(),
        faults: rng.random_range(0..8),
        deleted: rng.random_range(0..1_000),
        search: rng.random_range(0..3) > 0,
        again: rng.random_range(0..30),
        old_again: true,
        unreadable: rng.random_range(1..5),
    }
}

#[test]
fn nothing_is_lost_whatever_is_odd_about_a_list_together() {
    for seed in seeds(4) {
        let nature = any_nature(seed);
        let balance = in_virtual_time(live(seed, nature, HABITS));
        assert!(balance.lost.is_empty(), "seed {seed}, {nature:?}: of {} due, lost {:#?}", balance.due, balance.lost);
        assert!(balance.unexpected.is_empty(), "seed {seed}, {nature:?}: unexpected {:#?}", balance.unexpected);
        assert!(balance.due > 50, "seed {seed}: only {} ends were due", balance.due);
    }
}

#[test]
fn what_shows_up_later_than_the_look_back_is_found_by_reconciliation() {
    let late = Nature { late: (10, 3 * 3600), ..HARD };
    check(late, 8);
    check_needed(late, Habits { reconcile_every: None, ..HABITS }, "reconciliation");
}

#[test]
fn the_look_back_is_needed() {
    let habits = Habits { look_back: Duration::ZERO, reconcile_every: None, ..HABITS };
    check_needed(HARD, habits, "the look-back");
}

#[test]
fn tracking_open_jobs_is_needed() {
    let habits = Habits { track_open: false, reconcile_every: None, ..HABITS };
    check_needed(HARD, habits, "tracking open jobs");
}

#[test]
fn the_overlap_is_needed() {
    // Long catch-up sweeps through a list that shrinks meanwhile, and nothing else to make up for what they miss.
    let shrinking = Nature { deleted: 4_000, history: 3_000, jobs: 400, faults: 0, clamp: 20, ..HARD };
    let habits = Habits { overlap: 0, look_back: Duration::ZERO, track_open: false, reconcile_every: None, ..HABITS };
    check_needed(shrinking, habits, "the overlap");
}
