//! Years of digests in virtual time: each due time told once, whatever restarts, kills and outages lie between.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::{SignedDuration, tz::TimeZone};
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{Digest, Notification},
    store::{
        Claim, DigestStore as _, Settlement, Verdict,
        sqlite::{Access, Sqlite},
    },
};

/// A clock that a test sets, in seconds.
#[derive(Debug, Default)]
struct Set(AtomicI64);

impl Set {
    fn to(&self, at: Timestamp) {
        self.0.store(at.as_second(), Ordering::Relaxed);
    }
}

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan(schedule: &str, zone: &str) -> Plan {
    let parser = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Disallowed).build();
    Plan { schedule: parser.parse(schedule).unwrap(), zone: TimeZone::get(zone).unwrap() }
}

struct World {
    clock: Arc<Set>,
    store: Arc<Sqlite>,
    folder: tempfile::TempDir,
    digests: Digests,
    told: Mutex<Vec<Arc<Digest>>>,
    keys: Mutex<Vec<String>>,
}

impl World {
    fn new(plan: Plan, skip_empty: bool, at: Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&folder.path().join("jobrelay.db"), Access::Service).unwrap());
        let clock = Arc::new(Set::default());
        clock.to(at);
        let scope = Scope { name: "daily".into(), sources: Vec::new(), when: None, zone: plan.zone.clone() };
        let digests = Digests {
            planned: vec![Planned { scope, plan, notify: vec!["hook".into()], skip_empty }],
            health: Arc::default(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            wake: Arc::new(Wake::for_channels(["hook".into()])),
        };
        Self { clock, store, folder, digests, told: Mutex::default(), keys: Mutex::default() }
    }

    /// Another process on the same file.
    fn restart(self) -> Self {
        let Self { clock, store, folder, digests, told, keys } = self;
        let planned = digests.planned;
        drop((digests.store, store));
        let store = Arc::new(Sqlite::open(&folder.path().join("jobrelay.db"), Access::Service).unwrap());
        let digests = Digests {
            planned,
            health: Arc::default(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            wake: digests.wake,
        };
        Self { clock, store, folder, digests, told, keys }
    }

    async fn look(&self, at: Timestamp) -> Duration {
        self.clock.to(at);
        let wait = self.digests.look(&mut Memory::default()).await.unwrap();
        self.collect(at).await;
        wait
    }

    /// Delivers what was made.
    async fn collect(&self, at: Timestamp) {
        while let Claim::Ready(ready) = self.store.claim(&"hook".into(), at, 10).await.unwrap() {
            for Notification { id, key, digest, .. } in ready {
                self.keys.lock().unwrap().push(key);
                self.told.lock().unwrap().push(digest.unwrap());
                let settlement = Settlement {
                    id,
                    verdict: Verdict::Delivered,
                    now: at,
                    attempted: true,
                    answer: String::new(),
                    targets: Vec::new(),
                    line: None,
                    fallback: None,
                };
                self.store.settle(settlement).await.unwrap();
            }
        }
    }

    fn dues(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(|digest| digest.due.unwrap().to_string()).collect()
    }

    /// Each period begins where the one before it ended.
    fn assert_without_gap(&self) {
        let told = self.told.lock().unwrap();
        assert!(told.windows(2).all(|pair| pair[0].until == pair[1].since), "{told:?}");
    }
}

/// A year of the real loop's looks, at the instants it asks for, with restarts; the due times it told of.
async fn year(plan: Plan) -> Vec<String> {
    let (begin, end) = (t("2026-01-01T00:00:00Z"), t("2027-01-01T00:00:00Z"));
    let mut world = World::new(plan, false, begin);
    let mut at = begin;
    let mut looks = 0_u32;
    while at < end {
        let wait = world.look(at).await;
        // What the loop waits at most is shortened here: nothing happens in between.
        let next = match world.digests.advance(&world.digests.planned[0], &mut Lists::default()).await.unwrap() {
            Some(next) if wait >= LOOK_AGAIN => next.max(at),
            _ => at + SignedDuration::try_from(wait).unwrap(),
        };
        at = next.max(at + SignedDuration::from_secs(1));
        looks += 1;
        if looks.is_multiple_of(37) {
            world = world.restart();
        }
    }
    world.assert_without_gap();
    world.dues()
}

/// Days of a year on which the clocks of a zone are set forward and back, and how many due times a schedule has in it.
#[tokio::test]
async fn a_year_with_daylight_saving_has_one_digest_for_each_due_time_in_three_zones() {
    // At eight in the morning there is nothing odd about any day.
    for (zone, winter, summer) in [("Europe/Zurich", "07:00", "06:00"), ("America/New_York", "13:00", "12:00")] {
        let dues = year(plan("0 8 * * *", zone)).await;
        assert_eq!(dues.len(), 365, "{zone}");
        assert!(dues.iter().all(|due| due.contains(&format!("T{winter}:00Z")) || due.contains(&format!("T{summer}:00Z"))), "{dues:?}");
    }
    // Lord Howe sets its clocks by half an hour: from +11:00 to +10:30 and back.
    let dues = year(plan("0 8 * * *", "Australia/Lord_Howe")).await;
    let by_time = dues.iter().fold(BTreeMap::new(), |mut sums: BTreeMap<&str, u32>, due| {
        *sums.entry(&due[11..]).or_default() += 1;
        sums
    });
    assert_eq!((dues.len(), by_time.keys().copied().collect::<Vec<_>>()), (365, vec!["21:00:00Z", "21:30:00Z"]));
}

/// A time of day that does not come, and one that comes twice.
#[tokio::test]
async fn a_time_that_does_not_come_is_told_at_the_change_and_one_that_comes_twice_is_told_once() {
    for (schedule, zone, gap, fold) in [
        ("30 2 * * *", "Europe/Zurich", ("2026-03-29", "2026-03-29T01:00:00Z"), ("2026-10-25", "2026-10-25T00:30:00Z")),
        ("30 2 * * *", "America/New_York", ("2026-03-08", "2026-03-08T07:00:00Z"), ("2026-11-01", "2026-11-01T07:30:00Z")),
        ("30 1 * * *", "America/New_York", ("2026-03-08", "2026-03-08T06:30:00Z"), ("2026-11-01", "2026-11-01T05:30:00Z")),
        // There the clocks go from two to half past two and back.
        ("15 2 * * *", "Australia/Lord_Howe", ("2026-10-03", "2026-10-03T15:30:00Z"), ("2026-04-04", "2026-04-04T15:45:00Z")),
        ("45 1 * * *", "Australia/Lord_Howe", ("2026-10-03", "2026-10-03T15:15:00Z"), ("2026-04-04", "2026-04-04T14:45:00Z")),
    ] {
        let dues = year(plan(schedule, zone)).await;
        assert_eq!(dues.len(), 365, "{schedule} in {zone}");
        for (day, expected) in [gap, fold] {
            let of_day: Vec<&String> = dues.iter().filter(|due| due.starts_with(day)).collect();
            assert_eq!(of_day, [expected], "{schedule} in {zone}");
        }
    }
}

#[tokio::test]
async fn what_was_missed_is_told_once_late_with_the_whole_period() {
    let world = World::new(plan("0 8 * * *", "UTC"), false, t("2026-03-01T12:00:00Z"));
    world.look(t("2026-03-01T12:00:00Z")).await;
    world.look(t("2026-03-02T08:00:00Z")).await;
    // Down for three days.
    let world = world.restart();
    world.look(t("2026-03-05T10:30:00Z")).await;
    world.look(t("2026-03-05T10:30:30Z")).await;
    world.look(t("2026-03-06T08:00:01Z")).await;
    assert_eq!(world.dues(), ["2026-03-02T08:00:00Z", "2026-03-05T08:00:00Z", "2026-03-06T08:00:00Z"]);
    let told = world.told.lock().unwrap();
    assert_eq!(told.iter().map(|digest| digest.late).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!((told[0].since, told[1].since, told[1].until), (t("2026-03-01T08:00:00Z"), told[0].until, t("2026-03-05T10:30:00Z")));
}

#[tokio::test]
async fn an_empty_period_may_be_passed_over_and_the_next_one_begins_behind_it() {
    let world = World::new(plan("0 8 * * *", "UTC"), true, t("2026-03-01T12:00:00Z"));
    world.look(t("2026-03-01T12:00:00Z")).await;
    world.look(t("2026-03-02T08:00:00Z")).await;
    assert_eq!(world.dues(), Vec::<String>::new());
    let state = world.store_state().await;
    assert_eq!(state.ended, t("2026-03-02T08:00:00Z"));
}

#[tokio::test]
async fn another_schedule_takes_effect_from_its_next_due_time_and_leaves_no_gap() {
    let mut world = World::new(plan("0 8 * * *", "Europe/Zurich"), false, t("2026-03-01T12:00:00Z"));
    world.look(t("2026-03-01T12:00:00Z")).await;
    world.look(t("2026-03-02T07:00:00Z")).await;
    world.digests.planned[0].plan = plan("0 * * * *", "Europe/Zurich");
    world.look(t("2026-03-02T14:30:00Z")).await;
    world.look(t("2026-03-02T15:00:00Z")).await;
    world.digests.planned[0].plan = plan("0 8 * * *", "America/New_York");
    world.look(t("2026-03-02T15:10:00Z")).await;
    world.look(t("2026-03-03T13:00:00Z")).await;
    assert_eq!(world.dues(), ["2026-03-02T07:00:00Z", "2026-03-02T15:00:00Z", "2026-03-03T13:00:00Z"]);
    world.assert_without_gap();
}

#[tokio::test]
async fn a_digest_that_was_not_asked_for_for_a_while_begins_anew() {
    let mut world = World::new(plan("0 8 * * *", "UTC"), false, t("2026-03-01T12:00:00Z"));
    world.look(t("2026-03-01T12:00:00Z")).await;
    let planned = std::mem::take(&mut world.digests.planned);
    world.look(t("2026-03-02T12:00:00Z")).await;
    world.digests.planned = planned;
    world.look(t("2026-06-01T12:00:00Z")).await;
    world.look(t("2026-06-02T08:00:00Z")).await;
    assert_eq!((world.dues(), world.told.lock().unwrap()[0].since), (vec!["2026-06-02T08:00:00Z".to_owned()], t("2026-06-01T08:00:00Z")));
}

#[tokio::test]
async fn a_clock_that_is_set_makes_neither_a_repeat_nor_a_storm_nor_a_silence() {
    let world = World::new(plan("0 8 * * *", "UTC"), false, t("2026-03-01T12:00:00Z"));
    for at in [
        "2026-03-01T12:00:00Z",
        "2026-03-02T08:00:00Z",
        // An hour back, and over eight o'clock a second time.
        "2026-03-02T07:00:30Z",
        "2026-03-02T08:00:30Z",
        "2026-03-03T08:00:00Z",
        // Ten years ahead: one digest of them all; and back again: the next days have theirs.
        "2036-03-03T09:00:00Z",
        "2036-03-03T09:01:00Z",
        "2026-03-03T09:05:00Z",
        "2026-03-04T08:00:00Z",
        "2026-03-05T08:00:00Z",
    ] {
        world.look(t(at)).await;
    }
    let expected = ["2026-03-02T08:00:00Z", "2026-03-03T08:00:00Z", "2036-03-03T08:00:00Z", "2026-03-04T08:00:00Z", "2026-03-05T08:00:00Z"];
    assert_eq!(world.dues(), expected);
}

/// A reader who keeps one message of each id must not lose the right one to the one that a wrong clock had made.
#[tokio::test]
async fn the_same_due_time_by_a_clock_that_was_set_is_another_message() {
    let world = World::new(plan("0 * * * *", "UTC"), false, t("2026-03-01T12:10:00Z"));
    for at in ["12:10", "15:30", "12:31", "13:00", "14:00", "15:00"] {
        world.look(t(&format!("2026-03-01T{at}:00Z"))).await;
    }
    let dues = ["15", "13", "14", "15"].map(|hour| format!("2026-03-01T{hour}:00:00Z"));
    assert_eq!(world.dues(), dues);
    let mut keys = world.keys.lock().unwrap().clone();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

impl World {
    async fn store_state(&self) -> DigestState {
        self.store.digest_state(&"daily".into()).await.unwrap().unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whenever_it_looks_each_due_time_is_in_one_digest_and_none_is_in_two(
        schedule in prop::sample::select(vec!["0 8 * * mon-fri", "*/20 * * * *", "30 2 * * *", "0 0 1 * *"]),
        zone in prop::sample::select(vec!["Europe/Zurich", "America/New_York", "Australia/Lord_Howe"]),
        from in 1_767_225_600_i64..1_790_000_000, steps in prop::collection::vec((1_i64..90_000, any::<bool>()), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let plan = plan(schedule, zone);
            let begin = Timestamp::from_second(from).unwrap();
            let mut world = World::new(plan.clone(), false, begin);
            let mut at = begin;
            world.look(at).await;
            for (step, restarts) in steps {
                if restarts {
                    world = world.restart();
                }
                at += SignedDuration::from_secs(step);
                world.look(at).await;
            }
            world.assert_without_gap();
            let told = world.told.lock().unwrap();
            // Every due time since the first sight lies in exactly one period, and each digest has one at least.
            let dues: Vec<Timestamp> = std::iter::successors(plan.next(begin), |due| plan.next(*due)).take_while(|due| *due <= at).collect();
            for due in &dues {
                assert_eq!(told.iter().filter(|digest| digest.since.max(begin) < *due && *due <= digest.until).count(), 1, "{due}");
            }
            for digest in told.iter() {
                assert!(dues.contains(&digest.due.unwrap()));
            }
        });
    }
}

/// What ended while nobody looked is in the digest that was missed meanwhile, not in the one after it.
#[tokio::test(start_paused = true)]
async fn one_that_is_due_waits_for_the_lists_where_nobody_looked() {
    let mut world = World::new(plan("0 8 * * *", "UTC"), false, t("2026-03-01T12:00:00Z"));
    world.look(t("2026-03-01T12:00:00Z")).await;
    world.digests.planned[0].scope.sources =
        vec![("contoso".into(), Duration::from_secs(60)), ("fabrikam".into(), Duration::from_secs(60))];
    let mut memory = Memory::default();
    let read = |world: &World, source: &str, at: &str| world.digests.health.read_completely(&source.into(), t(at), Some(t(at)), t(at));
    let fails = |world: &World, at: &str| world.digests.health.not_read_completely(&"fabrikam".into(), t(at));
    let mut looks = async |world: &World, at: &str| {
        world.clock.to(t(at));
        let wait = world.digests.look(&mut memory).await.unwrap();
        world.collect(t(at)).await;
        (world.dues().len(), wait)
    };
    // The program was down when it was due: it waits until both were read, and for a source that can't be until that is sure.
    assert_eq!(looks(&world, "2026-03-02T09:00:00Z").await, (0, Duration::from_secs(1)));
    read(&world, "contoso", "2026-03-02T09:00:01Z");
    fails(&world, "2026-03-02T09:00:02Z");
    assert_eq!(looks(&world, "2026-03-02T09:00:02Z").await, (0, Duration::from_secs(1)));
    fails(&world, "2026-03-02T09:00:03Z");
    assert_eq!(looks(&world, "2026-03-02T09:00:03Z").await.0, 1);
    // Where all goes on, it waits for nothing.
    assert_eq!(looks(&world, "2026-03-03T08:00:00Z").await.0, 2);
    // The program, or its machine, stood still: what it had read before that is old.
    assert_eq!(looks(&world, "2026-03-04T08:30:00Z").await.0, 2);
    read(&world, "contoso", "2026-03-04T08:30:05Z");
    assert_eq!(looks(&world, "2026-03-04T08:30:05Z").await.0, 2);
    // One that takes too long is not waited for.
    tokio::time::advance(Duration::from_secs(121)).await;
    assert_eq!(looks(&world, "2026-03-04T08:32:06Z").await.0, 3);
}
