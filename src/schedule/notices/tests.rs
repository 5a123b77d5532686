//! What is told, and when: tables, and the loop over the real store.

use std::sync::Mutex;

use super::*;
use crate::store::{
    Claim,
    sqlite::{Access, Sqlite},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

const PATIENCE: Patience = Patience { source_down: Duration::from_secs(900), channel_down: Duration::from_secs(600) };

/// What the board says of a topic.
enum Board {
    Nothing,
    Fine,
    Since(i64),
}
use Board::{Fine, Nothing, Since};

/// What the board says of one topic, which was told or not, and the titles of what is told at `now`.
#[track_caller]
fn check(topic: &Topic, board: &Board, told: bool, now: i64, expected: &[&str]) {
    let trouble = |since: i64| Trouble { since: at(since), why: "HTTP 503".into() };
    let known = match board {
        Nothing => BTreeMap::new(),
        Fine => BTreeMap::from([(topic.clone(), None)]),
        Since(second) => BTreeMap::from([(topic.clone(), Some(trouble(*second)))]),
    };
    let told = told.then(|| (topic.words(), at(0))).into_iter().collect();
    let topics = Topic::all(&["contoso".into()], &["oncall".into()]);
    let facts = Facts { known: &known, well: &BTreeMap::new(), told: &told, begun: &BTreeMap::new(), patience: PATIENCE, now: at(now) };
    let steps = decide(&topics, &facts);
    let titles = steps.iter().map(|step| {
        let Step::Tell(about, notice) = step else { panic!("{step:?}") };
        assert!(*about == [(topic, at(0))] && notice.since == Some(at(0)) && notice.topic == topic.words());
        notice.title.as_str()
    });
    assert_eq!(titles.collect::<Vec<_>>(), expected);
}

#[test]
fn a_source_that_is_down_is_told_of_after_a_while_once_and_once_when_it_is_back() {
    let down = Topic::SourceDown("contoso".into());
    check(&down, &Since(0), false, 899, &[]);
    check(&down, &Since(0), false, 900, &["contoso can't be read"]);
    check(&down, &Since(0), true, 5_000, &[]);
    check(&down, &Fine, true, 5_060, &["contoso can be read again"]);
    check(&down, &Fine, false, 6_000, &[]);
}

#[test]
fn what_was_told_before_a_restart_is_not_over_before_someone_has_looked() {
    for topic in Topic::all(&["contoso".into()], &["oncall".into()]) {
        check(&topic, &Nothing, true, 10_000, &[]);
        check(&topic, &Since(5_000), true, 10_000, &[]);
    }
}

#[test]
fn what_does_not_pass_by_itself_is_told_of_at_once() {
    check(&Topic::CredentialsRefused("contoso".into()), &Since(0), false, 0, &["contoso refuses the credentials"]);
    check(&Topic::ChannelRefused("oncall".into()), &Since(0), false, 0, &["The channel oncall refuses messages"]);
    check(&Topic::RowsUnreadable("contoso".into()), &Since(0), false, 0, &["Jobs of contoso can't be read"]);
    let incomplete = Topic::SweepIncomplete("contoso".into());
    check(&incomplete, &Since(0), false, 299, &[]);
    check(&incomplete, &Since(0), false, 300, &["The job list of contoso can be read only in part"]);
}

#[test]
fn a_channel_that_is_down_is_told_of_after_a_while_unless_it_refuses_everything() {
    let [down, refused] = [Topic::ChannelDown("oncall".into()), Topic::ChannelRefused("oncall".into())];
    check(&down, &Since(0), false, 599, &[]);
    check(&down, &Since(0), false, 600, &["The channel oncall takes no messages"]);
    check(&down, &Since(0), true, 5_000, &[]);
    check(&down, &Fine, true, 5_060, &["The channel oncall is back"]);
    let trouble = || Some(Trouble { since: at(0), why: "HTTP 404".into() });
    for on_board in [None, Some(trouble()), Some(None)] {
        let mut known = BTreeMap::from([(refused.clone(), trouble())]);
        known.extend(on_board.map(|state| (down.clone(), state)));
        let topics = std::slice::from_ref(&down);
        let (nothing, none) = (BTreeMap::new(), BTreeMap::new());
        let facts = |told| Facts { known: &known, well: &none, told, begun: &nothing, patience: PATIENCE, now: at(5_000) };
        let (untold, told) = (BTreeMap::new(), BTreeMap::from([(down.words(), at(0))]));
        assert_eq!(decide(topics, &facts(&untold)), []);
        assert_eq!(decide(topics, &facts(&told)), [Step::Forget(&down)]);
    }
}

#[test]
fn a_clock_set_back_tells_nothing_early() {
    check(&Topic::SourceDown("contoso".into()), &Since(0), false, -100_000, &[]);
}

#[test]
fn a_refused_channel_hears_of_it_only_where_no_one_else_does_and_of_the_end_always() {
    let both = [Name::from("a"), Name::from("b")];
    let refused = Topic::ChannelRefused("a".into());
    let none = BTreeMap::new();
    assert_eq!(audience(&both, &none, &refused, false), both[1..]);
    assert_eq!(audience(&both, &none, &refused, true), both);
    assert_eq!(audience(&both[..1], &none, &refused, false), both[..1]);
    assert_eq!(audience(&both, &none, &Topic::ChannelDown("a".into()), false), both[1..]);
    assert_eq!(audience(&both, &none, &Topic::ChannelRefused("c".into()), false), both);
    assert_eq!(audience(&both, &none, &Topic::SourceDown("a".into()), false), both);
}

#[test]
fn a_fallback_hears_of_the_refusal_of_the_channel_it_stands_in_for() {
    let [a, b, c] = ["a", "b", "c"].map(|name| vec![Name::from(name)]);
    let fallbacks = BTreeMap::from([("a".into(), "b".into())]);
    let refused = Topic::ChannelRefused("a".into());
    assert_eq!(audience(&[], &fallbacks, &refused, false), b);
    assert_eq!(audience(&a, &fallbacks, &refused, false), b, "there is someone else to tell");
    assert_eq!(audience(&[], &fallbacks, &Topic::ChannelDown("a".into()), false), b);
    assert_eq!(audience(&c, &fallbacks, &refused, false), [c, b].concat());
    assert_eq!(audience(&[], &fallbacks, &Topic::ChannelRefused("c".into()), false), []);
}

struct Hand(Mutex<Timestamp>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn a_source_that_stays_down_is_told_over_the_stores_own_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand(Mutex::new(at(0))));
    let down = || Topic::SourceDown("contoso".into());
    let start = || {
        let store = Arc::new(Sqlite::open(&folder.path().join("jobrelay.db"), Access::Service).unwrap());
        Notices {
            health: Arc::default(),
            tellings: Arc::<Sqlite>::clone(&store),
            store,
            clock: Arc::<Hand>::clone(&clock),
            topics: Topic::all(&["contoso".into()], &["oncall".into()]),
            notify: vec!["oncall".into()],
            fallbacks: BTreeMap::new(),
            patience: PATIENCE,
            wake: Arc::new(Wake::for_channels(["oncall".into()])),
        }
    };
    let look = async |notices: &Notices, second: i64| {
        *clock.0.lock().unwrap() = at(second);
        notices.look(&mut Memory::default()).await.unwrap();
        match notices.store.claim(&"oncall".into(), at(second), 10).await.unwrap() {
            Claim::Ready(batch) => batch.into_iter().map(|one| one.notice.unwrap().title).collect(),
            Claim::NotBefore(_) | Claim::Empty => Vec::new(),
        }
    };
    let none: [&str; 0] = [];
    let told = ["contoso can't be read"];
    let notices = start();
    notices.health.trouble(down(), "HTTP 503", at(0));
    assert_eq!(look(&notices, 899).await, none);
    assert_eq!(look(&notices, 900).await, told);
    assert_eq!(look(&notices, 2_000).await, told);
    drop(notices);
    let notices = start();
    assert_eq!(look(&notices, 2_100).await, told, "nothing is heard yet");
    notices.health.trouble(down(), "HTTP 503", at(2_110));
    assert_eq!(look(&notices, 9_000).await, told);
    notices.health.fine(&down());
    let over = ["contoso can't be read", "contoso can be read again"];
    assert_eq!(look(&notices, 9_001).await, over);
    assert_eq!(look(&notices, 9_002).await, over);
    // A source that is taken out of the config while it is down is forgotten, and not told of when it comes back well.
    notices.health.trouble(down(), "HTTP 503", at(10_000));
    assert_eq!(look(&notices, 11_000).await.len(), 3);
    drop(notices);
    let without = Notices { topics: Topic::all(&[], &["oncall".into()]), ..start() };
    assert_eq!(look(&without, 12_000).await.len(), 3);
    drop(without);
    let notices = start();
    notices.health.fine(&down());
    assert_eq!(look(&notices, 13_000).await.len(), 3);
}

/// Fifty tenants and the loop, in virtual time and over the real store; what is told is known by its titles.
struct World {
    folder: tempfile::TempDir,
    clock: Arc<Hand>,
    live: Option<(Notices, Memory)>,
}

fn tenants() -> Vec<Name> {
    (0..50).map(|n| Name::from(format!("s{n}"))).collect()
}

fn down(n: usize) -> Topic {
    Topic::SourceDown(format!("s{n}").into())
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(Hand(Mutex::new(at(0))));
        let mut world = Self { folder: tempfile::tempdir().unwrap(), clock, live: None };
        world.start();
        world
    }

    fn start(&mut self) {
        let health = self.live.take().map(|(live, _)| live.health).unwrap_or_default();
        let store = Arc::new(Sqlite::open(&self.folder.path().join("jobrelay.db"), Access::Service).unwrap());
        let notices = Notices {
            health,
            tellings: Arc::<Sqlite>::clone(&store),
            store,
            clock: Arc::<Hand>::clone(&self.clock),
            topics: Topic::all(&tenants(), &["oncall".into()]),
            notify: vec!["oncall".into()],
            fallbacks: BTreeMap::new(),
            patience: PATIENCE,
            wake: Arc::new(Wake::for_channels(["oncall".into()])),
        };
        self.live = Some((notices, Memory::default()));
    }

    fn health(&self) -> &Health {
        &self.live.as_ref().unwrap().0.health
    }

    async fn look(&mut self, second: i64) {
        *self.clock.0.lock().unwrap() = at(second);
        let (notices, memory) = self.live.as_mut().unwrap();
        memory.times = None;
        notices.look(memory).await.unwrap();
    }

    async fn told(&mut self) -> Vec<Notice> {
        match self.live.as_ref().unwrap().0.store.claim(&"oncall".into(), at(1_000_000), 1_000).await.unwrap() {
            Claim::Ready(batch) => batch.into_iter().map(|one| one.notice.unwrap()).collect(),
            Claim::NotBefore(_) | Claim::Empty => Vec::new(),
        }
    }

    async fn titles(&mut self) -> Vec<String> {
        self.told().await.into_iter().map(|notice| notice.title).collect()
    }
}

#[tokio::test]
async fn fifty_sources_that_go_dark_together_are_one_notice_and_one_when_they_are_back() {
    let mut world = World::new();
    // Their loops find out within a minute of polling, and so they are back.
    let found = |n: usize| i64::try_from(n).unwrap() * 60 / 50;
    for second in (0..=1_100).step_by(10) {
        for n in (0..50).filter(|n| found(*n) / 10 == second / 10) {
            world.health().trouble(down(n), "no route to host", at(found(n)));
        }
        world.look(second).await;
    }
    assert_eq!(world.titles().await, ["50 sources can't be read"]);
    let notice = world.told().await.remove(0);
    assert_eq!((&*notice.topic, notice.since, notice.over), ("sources down", Some(at(0)), false));
    assert!(
        notice.text.contains("s0, s1, ") && notice.text.contains("and 30 more") && notice.text.contains("no route to host"),
        "{}",
        notice.text
    );
    world.start();
    for second in (2_000..=2_200).step_by(10) {
        for n in (0..50).filter(|n| found(*n) / 10 == (second - 2_000) / 10) {
            world.health().fine(&down(n));
        }
        world.look(second).await;
    }
    assert_eq!(world.titles().await[1..], ["50 sources can be read again"]);
    assert!(world.live.as_ref().unwrap().0.store.told().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_comes_back_in_groups_is_told_in_groups_and_no_end_is_lost() {
    let mut world = World::new();
    for n in 0..6 {
        world.health().trouble(down(n), &format!("HTTP 50{n}"), at(0));
    }
    world.look(900).await;
    assert_eq!(world.titles().await, ["6 sources can't be read"]);
    assert!(world.told().await[0].text.contains("s0 (HTTP 500), s1 (HTTP 501)"));
    for (second, n) in [(1_000, 0), (1_010, 1), (2_000, 2), (3_000, 3), (3_010, 4), (3_020, 5)] {
        world.look(second - 1).await;
        world.health().fine(&down(n));
        world.look(second).await;
    }
    world.look(3_200).await;
    let expected = ["2 sources can be read again", "s2 can be read again", "3 sources can be read again"];
    assert_eq!(world.titles().await[1..], expected);
}

#[tokio::test]
async fn credentials_that_many_refuse_are_told_at_once_and_the_rest_together() {
    let mut world = World::new();
    for second in (0..200).step_by(10) {
        if let Ok(n) = usize::try_from(second / 10)
            && n < 6
        {
            world.health().trouble(Topic::CredentialsRefused(format!("s{n}").into()), "invalid_client", at(second));
        }
        world.look(second).await;
    }
    assert_eq!(world.titles().await, ["s0 refuses the credentials", "5 sources refuse the credentials"]);
}

#[tokio::test]
async fn a_source_that_goes_up_and_down_all_day_is_told_a_few_times_and_then_when_it_is_steady() {
    let mut world = World::new();
    let day = 24 * 3_600;
    for second in (0..=day + 2 * 3_600).step_by(60) {
        if second < day && second % 2_400 < 1_200 {
            world.health().trouble(down(7), "HTTP 503", at(second));
        } else {
            world.health().fine(&down(7));
        }
        if second % 7_200 == 0 {
            world.start();
        }
        world.look(second).await;
    }
    let (down, up) = ("s7 can't be read", "s7 can be read again");
    let expected = [down, up, down, up, "s7 can't be read, again and again", "s7 can be read again, and has been well for 1h"];
    assert_eq!(world.titles().await, expected);
    let notice = world.told().await.remove(4);
    assert!(
        notice.text.starts_with("It was told of 3 times within 6h: nothing more is said of it until it has been well for 1h."),
        "{}",
        notice.text
    );
}

#[tokio::test]
async fn a_store_that_is_full_again_and_again_is_no_storm() {
    let mut world = World::new();
    for n in 0..20 {
        world.live.as_mut().unwrap().1.unwritable = Some(Trouble { since: at(n * 600), why: "disk full".into() });
        world.look(n * 600 + 60).await;
    }
    let both = ["The store could not be written", "The store can be written again"];
    assert_eq!(world.titles().await, [both, both, both].concat());
}

#[tokio::test]
async fn a_clock_that_was_set_is_told_once_and_again_only_after_a_while() {
    let mut world = World::new();
    let mut look = async |second: i64| {
        *world.clock.0.lock().unwrap() = at(second);
        let (notices, memory) = world.live.as_mut().unwrap();
        notices.look(memory).await.unwrap();
    };
    look(0).await;
    look(30).await;
    look(7_230).await;
    look(7_240).await;
    look(-50_000).await;
    look(-49_990).await;
    let told = world.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&*told[0].topic, &*told[0].title), ("clock set", "The clock was set forward by 2h"));
    assert!(told[0].text.contains(" from 2027-01-15 08:00:30 UTC to 2027-01-15 10:00:30 UTC."), "{}", told[0].text);
    // An hour later by the machine's own clock, it may be told again.
    let (notices, memory) = world.live.as_mut().unwrap();
    memory.leapt = memory.leapt.and_then(|at| at.checked_sub(LEAPS_APART));
    *world.clock.0.lock().unwrap() = at(0);
    notices.look(memory).await.unwrap();
    assert_eq!(world.titles().await.len(), 2);
}
