//! The program killed, again and again, and what it told all the same. The stand-ins for the cloud and the channels keep their
//! journals outside of it.
//!
//! `JOBRELAY_KILLS=500 cargo nextest run --test it crash::at_random` kills it so many times; `JOBRELAY_SEED` repeats a run's
//! choices (not the machine's timing).

mod balance;
mod world;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jobrelay::failpoint::{Point, VARIABLE};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::common::process::{End, SIGABRT, SIGKILL};
use balance::{Scrapes, balance, watch};
use world::World;

/// How often it is killed where nothing else is asked for.
const KILLS: u32 = 25;
/// How long a process may take to read the list for the first time, on a busy machine.
const FIRST_PAGE_WITHIN: Duration = Duration::from_secs(20);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: `{text}` is no number")))
}

/// How one process is to die.
#[derive(Debug, Clone)]
enum Death {
    /// So long after its birth.
    AfterBirth(Duration),
    /// So long after it first asked for the list.
    AfterFirstPage(Duration),
    /// At a failpoint, on passing it so many times; if it does not come by it in time, as the last.
    AtPoint(Point, u64),
}

fn draw(rng: &mut StdRng) -> Death {
    match rng.random_range(0..10) {
        0..2 => Death::AfterBirth(Duration::from_micros(rng.random_range(0..200_000))),
        2..7 => Death::AfterFirstPage(Duration::from_micros(rng.random_range(0..500_000))),
        _ => Death::AtPoint(Point::ALL[rng.random_range(0..Point::ALL.len())], rng.random_range(1..8)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_random_instants_nothing_is_lost_and_only_the_message_in_flight_comes_again() {
    let kills = u32::try_from(number("JOBRELAY_KILLS", u64::from(KILLS))).unwrap();
    let seed = number("JOBRELAY_SEED", rand::random());
    println!("JOBRELAY_SEED={seed} JOBRELAY_KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new().await;
    let scrapes: Arc<Mutex<Scrapes>> = Arc::default();
    let (mut at_points, mut at_work) = (0, 0);
    let began = Instant::now();
    for _ in 0..kills {
        world.go_on(&mut rng, 20);
        let death = draw(&mut rng);
        let armed = if let Death::AtPoint(point, passes) = death { format!("{}:{passes}", point.name()) } else { String::new() };
        let variables: &[(&str, &str)] = if armed.is_empty() { &[] } else { &[(VARIABLE, armed.as_str())] };
        let polls = world.upstream.polls();
        let mut process = world.start(&[], variables);
        let born = Instant::now();
        let (mut first_page, mut begun, mut end) = (None, false, None);
        let end = loop {
            let now = Instant::now();
            if first_page.is_none() && world.upstream.polls() > polls {
                first_page = Some(now);
                // The list moves under the sweep that reads it.
                world.go_on(&mut rng, 10);
            }
            watch(&process, world.runs, &scrapes, &mut begun);
            let due = match (&death, first_page) {
                (Death::AfterBirth(wait), _) => now >= born + *wait,
                (Death::AfterFirstPage(wait), Some(at)) => now >= at + *wait,
                (Death::AtPoint(..), Some(at)) => now >= at + Duration::from_millis(700),
                (_, None) => now >= born + FIRST_PAGE_WITHIN,
            };
            if due {
                end = Some(process.kill().await);
            }
            if let Some(end) = end {
                break end;
            }
            end = process.ends_within(Duration::from_millis(2)).await;
        };
        assert!([SIGKILL, SIGABRT].contains(&end), "{death:?} ended in {end:?}:\n{}", process.log());
        at_points += u32::from(end == SIGABRT);
        at_work += u32::from(first_page.is_some());
    }
    world.end_all(&mut rng);
    let took = began.elapsed().as_secs();
    let books = balance(&mut world, &scrapes).await;
    println!(
        "{kills} kills in {took} s ({at_work} while it worked, {at_points} of them at failpoints), seed {seed}: {} jobs ended, {} messages; \
         lost 0, unexpected 0, {} repeats, each of the last message of a process that died; {} scrapes, all balanced",
        world.ended.len(),
        books.messages,
        books.repeats,
        scrapes.lock().unwrap().count
    );
    assert!(books.repeats <= 3 * kills as usize);
    assert!(scrapes.lock().unwrap().count > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_named_place_nothing_is_lost() {
    let mut rng = StdRng::seed_from_u64(7);
    let scrapes: Arc<Mutex<Scrapes>> = Arc::default();
    let mut world = World::new().await;
    // A new file, so that there is something to migrate.
    for point in Point::ALL.iter().filter(|point| point.name().starts_with("migration")) {
        die_at(&mut world, &mut rng, *point, 1).await;
    }
    for (turn, point) in Point::ALL
        .iter()
        .filter(|point| ["migration", "watch", "digest", "backlog"].iter().all(|other| !point.name().starts_with(other)))
        .enumerate()
    {
        die_at(&mut world, &mut rng, *point, 1 + turn as u64 % 3).await;
    }
    world.end_all(&mut rng);
    let books = balance(&mut world, &scrapes).await;
    println!(
        "{} places: {} messages, {} repeats, {} scrapes",
        Point::ALL.len(),
        books.messages,
        books.repeats,
        scrapes.lock().unwrap().count
    );
}

/// Starts a process that dies at a place, where it passes it the nth time. If it passes it less often, it is left to tell all
/// there is to tell, and another one dies there the first time.
async fn die_at(world: &mut World, rng: &mut StdRng, point: Point, nth: u64) {
    for (passes, within) in [(nth, 8), (1, 8), (1, 60)] {
        // Enough for the limit to hold some back, and for the other channels to have several to send.
        for _ in 0..4 {
            world.go_on(rng, 12);
        }
        let armed = format!("{}:{passes}", point.name());
        let mut process = world.start(&[], &[(VARIABLE, &armed)]);
        match process.ends_within(Duration::from_secs(within)).await {
            Some(end) => {
                assert_eq!(end, SIGABRT, "{armed}:\n{}", process.log());
                return;
            }
            None => assert_eq!(process.kill().await, SIGKILL),
        }
    }
    panic!("nothing passes {}", point.name());
}

/// One channel and one job, so that what must come is known to the message.
async fn alone(point: Point) -> (World, Vec<world::Entry>) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut world = World::new().await;
    std::fs::write(world.home.path("rules/rules.yaml"), "rules:\n  - { name: ended, when: { profile: 'scan *' }, notify: [bulk] }\n")
        .unwrap();
    world.go_on(&mut rng, 1);
    world.end_all(&mut rng);
    let mut process = world.start(&[], &[(VARIABLE, point.name())]);
    assert_eq!(process.ends().await, SIGABRT, "{}", process.log());
    let before = world.journals["bulk"].entries();
    let process = world.start(&[], &[]);
    process.listening().await;
    crate::common::until("the message is on record", || {
        world.home.json(&["deliveries", "--outcome", "delivered", "--format", "json"]).as_array().unwrap().len() == 1
    })
    .await;
    (world, before)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_answer_and_its_record_one_message_comes_twice_under_one_id() {
    let (world, before) = alone(Point::Sent).await;
    let entries = world.journals["bulk"].entries();
    assert_eq!((before.len(), entries.len()), (1, 2));
    assert_eq!(entries[0].key, entries[1].key);
    assert!(!entries[0].key.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_send_or_after_its_record_one_message_comes_once() {
    for (point, sent) in [(Point::Claimed, 0), (Point::Sending, 0), (Point::Settled, 1), (Point::SettleWritten, 1)] {
        let (world, before) = alone(point).await;
        assert_eq!((before.len(), world.journals["bulk"].entries().len()), (sent, 1), "{}", point.name());
    }
}

/// Each step of the migration is interrupted, before and after its commit; then an undisturbed start finds a file as new.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_is_interrupted_is_taken_up_again() {
    let mut world = World::new().await;
    let version = |world: &World| -> i64 {
        let file = rusqlite::Connection::open(world.home.path("jobrelay.db")).unwrap();
        file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    };
    let mut steps = 0;
    loop {
        let mut process = world.start(&[], &[(VARIABLE, Point::MigrationWritten.name())]);
        let began = Instant::now();
        let end = loop {
            if let Some(end) = process.ends_within(Duration::from_millis(10)).await {
                break Some(end);
            }
            if process.address().is_some() {
                break None;
            }
            assert!(began.elapsed() < crate::common::SOON, "{}", process.log());
        };
        if end.is_none() {
            assert_eq!(process.stop().await, End::Exit(0));
            break;
        }
        assert_eq!((end, version(&world)), (Some(SIGABRT), steps), "a step that is not committed leaves the version before it");
        let mut process = world.start(&[], &[(VARIABLE, Point::MigrationCommitted.name())]);
        assert_eq!(process.ends().await, SIGABRT);
        steps += 1;
        assert_eq!(version(&world), steps, "a step that is committed stays");
    }
    assert!(steps > 0);
    let mut rng = StdRng::seed_from_u64(3);
    world.go_on(&mut rng, 10);
    world.end_all(&mut rng);
    balance(&mut world, &Arc::default()).await;
}
