//! A channel's loop through weeks of virtual time, with a store in memory and a channel that answers as told.

pub mod real;
mod shelf;
mod stubs;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Courier;
use crate::{
    channel::{Channel, Envelope, Payload, Rate, Wording},
    clock::Clock,
    domain::{Notification, Outcome, Refusal, Target},
    health::{Health, Topic},
    metrics::Metrics,
    store::{Line, Store},
    wake::Wake,
};
use shelf::Shelf;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

struct WallClock {
    began: Instant,
    off: AtomicI64,
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let base = Timestamp::from_second(1_800_000_000 + self.off.load(Ordering::Relaxed)).unwrap();
        base + SignedDuration::try_from(self.began.elapsed()).unwrap()
    }
}

/// One send: the second, the message's number, the recipient.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    at: f64,
    id: i64,
    to: String,
    taken: bool,
}

type Answers = Box<dyn Fn(f64, i64, &str) -> Outcome + Send + Sync>;

struct FakeChannel {
    began: Instant,
    recipients: Vec<&'static str>,
    answers: Answers,
    sent: Mutex<Vec<Sent>>,
}

#[async_trait]
impl Channel for FakeChannel {
    fn targets(&self) -> Vec<Target> {
        self.recipients.iter().map(|name| Target((*name).to_owned())).collect()
    }

    fn compose(&self, notification: &Notification, _: &Wording, _: Timestamp) -> Result<Payload, String> {
        Ok(Payload::Json(notification.id.to_string()))
    }

    fn is_customised(&self, _: &Notification) -> bool {
        false
    }

    async fn send(&self, payload: &Payload, envelope: Envelope<'_>) -> Outcome {
        let Payload::Json(id) = payload else { unreachable!() };
        let (at, id, to) = (self.began.elapsed().as_secs_f64(), id.parse().unwrap(), envelope.target.0.clone());
        let outcome = (self.answers)(at, id, &to);
        let taken = matches!(outcome, Outcome::Delivered { .. });
        self.sent.lock().unwrap().push(Sent { at, id, to, taken });
        outcome
    }
}

struct World {
    began: Instant,
    clock: Arc<WallClock>,
    shelf: Arc<Shelf>,
    channel: Arc<FakeChannel>,
    health: Arc<Health>,
    rate: Rate,
    give_up_after: Duration,
}

fn taken() -> Outcome {
    Outcome::Delivered { answer: "ok".into() }
}

fn down(after: Option<u64>) -> Outcome {
    Outcome::Retry { after: after.map(Duration::from_secs), why: "HTTP 503".into() }
}

fn gone() -> Outcome {
    Outcome::Refused { what: Refusal::Channel, why: "HTTP 404".into() }
}

impl World {
    fn new(recipients: &[&'static str], answers: impl Fn(f64, i64, &str) -> Outcome + Send + Sync + 'static) -> Self {
        let began = Instant::now();
        let recipients = if recipients.is_empty() { vec![""] } else { recipients.to_vec() };
        Self {
            began,
            clock: Arc::new(WallClock { began, off: AtomicI64::new(0) }),
            shelf: Arc::default(),
            channel: Arc::new(FakeChannel { began, recipients, answers: Box::new(answers), sent: Mutex::default() }),
            health: Arc::default(),
            rate: Rate::Unlimited,
            give_up_after: Duration::from_secs(14 * DAY),
        }
    }

    /// Runs the program until so many seconds have passed since the beginning.
    async fn run_until(&self, second: u64) {
        let store: Arc<dyn Store> = Arc::<Shelf>::clone(&self.shelf);
        let line: Line = store.line(&"a".into()).await.unwrap();
        let courier = Courier {
            name: "a".into(),
            channel: Arc::<FakeChannel>::clone(&self.channel),
            rate: self.rate,
            give_up_after: self.give_up_after,
            fallback: None,
            line,
            store,
            clock: Arc::<WallClock>::clone(&self.clock),
            metrics: Arc::new(Metrics::new()),
            health: Arc::clone(&self.health),
            wake: Arc::new(Wake::for_channels(["a".into()])),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(courier.recalled().run(stop.clone()));
        tokio::time::sleep_until(self.began + Duration::from_secs(second)).await;
        stop.cancel();
        running.await.unwrap();
    }

    fn sent(&self) -> Vec<Sent> {
        self.channel.sent.lock().unwrap().clone()
    }

    /// What was taken, in order.
    fn taken(&self) -> Vec<i64> {
        self.sent().iter().filter(|sent| sent.taken).map(|sent| sent.id).collect()
    }

    fn add(&self, count: i64) {
        self.shelf.add(count, self.clock.now());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_two_days_loses_nothing_and_floods_no_one() {
    let mut world = World::new(&[], |at, _, _| if at < (2 * DAY) as f64 { down(None) } else { taken() });
    world.rate = Rate::Limited { messages: 50, per: Duration::from_secs(1) };
    world.add(1_000);
    world.run_until(DAY).await;
    world.add(1_000);
    world.run_until(2 * DAY + 10 * HOUR).await;
    let sent = world.sent();
    let probes = sent.iter().filter(|sent| !sent.taken).count();
    assert!((10..30).contains(&probes), "{probes} probes");
    assert_eq!(world.taken(), (1..=2_000).collect::<Vec<_>>(), "all of it, once, in order");
    let first = &sent[probes..];
    let within = |seconds: f64| first.iter().take_while(|sent| sent.at < first[0].at + seconds).count();
    assert_eq!((within(0.99), within(1.99), within(2.99), within(3.99)), (1, 2, 4, 8), "a slow start");
    for window in first.windows(51) {
        assert!(window[50].at - window[0].at >= 0.999, "{window:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_messages_of_a_week_without_the_channel_are_told_once_in_order_and_at_its_rate() {
    let mut world = World::new(&[], |at, _, _| if at < (7 * DAY) as f64 { down(None) } else { taken() });
    world.rate = Rate::Limited { messages: 5, per: Duration::from_secs(1) };
    for day in 0..7 {
        world.add(10_000 / 7 + i64::from(day < 4));
        world.run_until((day + 1) * DAY - 1).await;
        assert!(world.health.known().get(&Topic::ChannelDown("a".into())).is_some_and(Option::is_some));
    }
    world.run_until(7 * DAY + 12 * HOUR).await;
    let sent = world.sent();
    let probes = sent.iter().filter(|sent| !sent.taken).count();
    assert!((30..60).contains(&probes), "{probes} probes");
    assert_eq!(world.taken(), (1..=10_000).collect::<Vec<_>>());
    let drained = &sent[probes..];
    for window in drained.windows(6) {
        assert!(window[5].at - window[0].at >= 0.999, "{window:?}");
    }
    // What comes once the backlog is gone waits for nothing.
    assert!(drained[9_999].at - drained[0].at < 2_100.0, "{}", drained[9_999].at - drained[0].at);
    world.add(1);
    world.run_until(7 * DAY + 12 * HOUR + 10).await;
    assert_eq!(world.taken().len(), 10_001);
    assert_eq!(world.health.known().get(&Topic::ChannelDown("a".into())), Some(&None));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_channel_asked_not_even_by_a_restart_or_by_hand() {
    let world = World::new(&[], |at, _, _| if at < 1.0 { down(Some(HOUR)) } else { taken() });
    world.add(3);
    world.run_until(600).await;
    world.shelf.retry();
    world.run_until(1_200).await;
    assert_eq!(world.sent().len(), 1);
    world.run_until(2 * HOUR).await;
    assert_eq!(world.taken(), [1, 2, 3]);
    assert!(world.sent()[1].at >= HOUR as f64, "{:?}", world.sent());
}

#[tokio::test(start_paused = true)]
async fn a_restart_and_a_hand_try_a_channel_in_trouble_at_once() {
    let world = World::new(&[], |_, _, _| down(None));
    world.add(2);
    world.run_until(HOUR).await;
    let before = world.sent().len();
    world.run_until(HOUR + 4).await;
    assert_eq!(world.sent().len(), before + 1, "the restart's probe");
    let asked = tokio::spawn({
        let shelf = Arc::clone(&world.shelf);
        async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            shelf.retry();
        }
    });
    world.run_until(HOUR + 30).await;
    asked.await.unwrap();
    assert_eq!(world.sent().len(), before + 3, "another restart's, and the hand's");
}

#[tokio::test(start_paused = true)]
async fn a_trouble_is_as_old_as_it_is_however_often_the_program_starts() {
    let back = 2 * HOUR;
    let mut world = World::new(&[], move |at, _, _| if (back as f64..(back + HOUR) as f64).contains(&at) { taken() } else { down(None) });
    let down = Topic::ChannelDown("a".into());
    let (first, mut seen) = (world.clock.now(), Vec::new());
    for run in 1..=24 {
        if run == 1 || run == 20 {
            world.add(1);
        }
        // Each start knows nothing but what is written down.
        world.health = Arc::default();
        world.run_until(run * 600).await;
        let passed = |since: Timestamp| since.duration_since(first).as_secs();
        seen.push(world.health.known().get(&down).and_then(|trouble| Some(passed(trouble.as_ref()?.since))));
    }
    assert_eq!(seen[..12], [Some(0); 12], "every one of two hours");
    assert_eq!(seen[12..19], [None; 7], "it is over");
    let again = seen[19].unwrap();
    assert!((11_400..11_410).contains(&again) && seen[19..].iter().all(|seen| *seen == Some(again)), "a trouble of its own: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_channel_holds_everything_for_as_long_as_it_takes() {
    let mut world = World::new(&[], |at, _, _| if at < (4 * DAY) as f64 { gone() } else { taken() });
    world.give_up_after = Duration::from_secs(DAY);
    world.add(3);
    world.run_until(3 * DAY).await;
    assert!(world.health.known().get(&Topic::ChannelRefused("a".into())).is_some_and(Option::is_some));
    let probes = world.sent().len();
    assert!((55..100).contains(&probes), "{probes} probes in three days, about one an hour");
    world.run_until(4 * DAY + 2 * HOUR).await;
    assert_eq!(world.taken(), [1, 2, 3], "nothing held is given up");
    assert_eq!(world.health.known().get(&Topic::ChannelRefused("a".into())), Some(&None));
}

#[tokio::test(start_paused = true)]
async fn those_behind_the_first_one_age_with_it() {
    let mut world = World::new(&[], |_, _, _| down(None));
    world.give_up_after = Duration::from_secs(DAY);
    world.add(200);
    world.run_until(16 * HOUR).await;
    world.add(200);
    world.run_until(DAY - 60).await;
    assert_eq!(world.shelf.dead(), 0);
    let probes = world.sent().len();
    world.run_until(DAY + 120).await;
    assert_eq!(world.shelf.dead(), 200, "not one after the other: each after a day of its own");
    assert!(world.sent().len() <= probes + 1, "given up without being tried one by one");
    assert!(world.shelf.answers().iter().all(|answer| answer.as_deref() == Some("given up after 1d: HTTP 503")));
    world.run_until(40 * HOUR - 60).await;
    assert_eq!(world.shelf.dead(), 200);
    world.run_until(40 * HOUR + 240).await;
    assert_eq!(world.shelf.dead(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_stalls_nothing_and_gives_nothing_up() {
    let years = 10 * 365 * 86_400;
    for off in [years, -years] {
        let world = World::new(&[], |at, _, _| if at < 3_000.0 { down(None) } else { taken() });
        world.add(20);
        world.run_until(100).await;
        let jump = tokio::spawn({
            let clock = Arc::clone(&world.clock);
            async move {
                tokio::time::sleep(Duration::from_secs(100)).await;
                clock.off.store(off, Ordering::Relaxed);
            }
        });
        world.run_until(2 * HOUR).await;
        jump.await.unwrap();
        world.add(5);
        world.run_until(2 * HOUR + 60).await;
        assert_eq!(world.taken(), (1..=25).collect::<Vec<_>>(), "{off}");
        assert!(world.sent().iter().filter(|sent| !sent.taken).count() < 15, "{off}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_recipient_in_trouble_costs_the_others_nothing() {
    let world = World::new(&["x", "y", "z"], |at, _, to| if to == "y" && at < 1_000.0 { down(None) } else { taken() });
    world.add(1);
    world.run_until(2).await;
    world.add(4);
    world.run_until(100).await;
    let to = |name: &str| world.sent().iter().filter(|sent| sent.taken && sent.to == name).map(|sent| sent.id).collect::<Vec<_>>();
    assert_eq!((to("x"), to("y"), to("z")), (vec![1, 2, 3, 4, 5], vec![], vec![1, 2, 3, 4, 5]));
    world.run_until(2 * HOUR).await;
    assert_eq!(to("y"), [1, 2, 3, 4, 5], "each once, in order");
    assert_eq!((to("x").len(), to("z").len()), (5, 5));
    assert_eq!(world.shelf.delivered(), 5);
    let tried = world.sent().iter().filter(|sent| sent.to == "y" && !sent.taken).count();
    assert!(tried < 12, "{tried}: one of what waits for it is tried a step");
}

#[tokio::test(start_paused = true)]
async fn recipients_that_stay_in_trouble_are_given_up_and_the_mail_counts_as_delivered_to_the_others() {
    let mut world = World::new(&["x", "y", "z"], |_, _, to| if to == "x" { taken() } else { down(None) });
    world.give_up_after = Duration::from_secs(DAY);
    world.add(2);
    world.run_until(2 * DAY).await;
    assert_eq!((world.shelf.delivered(), world.shelf.dead()), (2, 0));
    assert_eq!(world.taken(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_of_the_recipients_is_one_of_the_whole_channel() {
    let world = World::new(&["x", "y", "z"], |at, _, to| if at < 2.0 && to == "x" || at >= DAY as f64 { taken() } else { down(None) });
    world.add(3);
    world.run_until(DAY - 1).await;
    let probes = world.sent().len();
    assert!(probes < 60, "{probes} attempts in a day");
    world.run_until(2 * DAY).await;
    assert_eq!(world.shelf.delivered(), 3);
    let to = |name: &str| world.sent().iter().filter(|sent| sent.taken && sent.to == name).map(|sent| sent.id).collect::<Vec<_>>();
    assert_eq!((to("x"), to("y"), to("z")), (vec![1, 2, 3], vec![1, 2, 3], vec![1, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_rate_survives_restarts() {
    let mut world = World::new(&[], |_, _, _| taken());
    world.rate = Rate::Limited { messages: 5, per: Duration::from_secs(HOUR) };
    world.add(12);
    for second in (100..3 * HOUR).step_by(97) {
        world.run_until(second).await;
    }
    let sent = world.sent();
    assert_eq!(world.taken(), (1..=12).collect::<Vec<_>>());
    for window in sent.windows(6) {
        assert!(window[5].at - window[0].at >= HOUR as f64 - 1.0, "{window:?}");
    }
}
