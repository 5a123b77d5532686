//! The watch over the real store, looked at second by second on a clock of the test's own.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;

use super::*;
use crate::{
    document::{Faults, Source, parse},
    domain::{Job, Notification, State},
    rules::{Known, read},
    store::{
        Claim, Intake, JobChange, Store,
        sqlite::{Access, Sqlite},
    },
};

const BEGAN: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGAN + second).unwrap()
}

struct Hand(Mutex<Timestamp>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn rules(text: &str) -> Arc<RuleSet> {
    let mut faults = Faults::default();
    let source = Source { path: PathBuf::from("r.yaml"), text: format!("rules:\n{text}") };
    let node = parse(&Arc::new(source), &mut faults).unwrap();
    let sources: Vec<Name> = (0..60).map(|n| Name::from(format!("s{n}"))).chain(["contoso", "fabrikam"].map(Name::from)).collect();
    let known = Known { channels: &["oncall".into()], sources: &sources, template_sets: &[] };
    let rules = read(&[node], &known, &mut faults);
    assert!(!faults.any_error(), "{faults:?}");
    Arc::new(rules)
}

/// Every 100 s, with 10 s of grace.
const NIGHTLY: &str =
    "  - { name: nightly, missing: { profile: 'nightly *', every: 100s, grace: 10s }, notify: oncall, severity: critical }\n";

struct World {
    folder: tempfile::TempDir,
    clock: Arc<Hand>,
    store: Option<Arc<Sqlite>>,
    watch: Option<(MissingJobs, Memory)>,
    rules: Arc<RuleSet>,
    sources: Vec<Name>,
    /// How far the service's clock is ahead.
    ahead: i64,
    jobs: u32,
}

impl World {
    fn new(text: &str, sources: &[&str]) -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(Hand(Mutex::new(at(0)))),
            store: None,
            watch: None,
            rules: rules(text),
            sources: sources.iter().map(Name::from).collect(),
            ahead: 0,
            jobs: 0,
        };
        world.start();
        world
    }

    /// Starts the program anew; nothing has been read then.
    fn start(&mut self) {
        self.watch = None;
        self.store = None;
        let store = Arc::new(Sqlite::open(&self.folder.path().join("jobrelay.db"), Access::Service).unwrap());
        let watch = MissingJobs {
            rules: Arc::clone(&self.rules),
            sources: self.sources.clone(),
            health: Arc::default(),
            store: Arc::<Sqlite>::clone(&store),
            clock: Arc::<Hand>::clone(&self.clock),
            wake: Arc::new(Wake::for_channels(["oncall".into()])),
        };
        self.store = Some(store);
        self.watch = Some((watch, Memory::default()));
    }

    /// A job ends at a second, by the service's clock, and is taken in.
    async fn ends(&mut self, source: &str, profile: &str, state: State, second: i64) {
        self.jobs += 1;
        let job = Job {
            source: source.into(),
            id: format!("Scan-{}", self.jobs),
            kind: None,
            state,
            started: Some(at(second - 5)),
            finished: Some(at(second)),
            profile: profile.into(),
            category: None,
            extension: serde_json::Value::Null,
        };
        let change = JobChange { job: Arc::new(job), run: 1, newly_final: true, unjudged: false };
        let intake = Intake {
            source: source.into(),
            now: at(second),
            jobs: vec![change],
            alerts: Vec::new(),
            judged: Vec::new(),
            rules_version: "".into(),
            unreadable: Vec::new(),
        };
        self.store.as_ref().unwrap().take_in(intake).await.unwrap();
    }

    fn read(&self, source: &str, second: i64) {
        let health = &self.watch.as_ref().unwrap().0.health;
        health.read_completely(&source.into(), at(second + self.ahead), Some(at(second + self.ahead)), at(second));
    }

    fn fails(&self, source: &str, second: i64) {
        self.watch.as_ref().unwrap().0.health.not_read_completely(&source.into(), at(second));
    }

    /// Looks at a second of our clock; every notice so far, each with its title.
    async fn look(&mut self, second: i64) -> Vec<Notification> {
        *self.clock.0.lock().unwrap() = at(second);
        let (watch, memory) = self.watch.as_mut().unwrap();
        watch.look(memory).await.unwrap();
        match self.store.as_ref().unwrap().claim(&"oncall".into(), at(second), 100).await.unwrap() {
            Claim::Ready(batch) => batch,
            Claim::NotBefore(_) | Claim::Empty => Vec::new(),
        }
    }

    async fn titles(&mut self, second: i64) -> Vec<String> {
        self.look(second).await.into_iter().map(|one| one.notice.unwrap().title).collect()
    }

    #[track_caller]
    fn is(titles: &[String], expected: &[&str]) {
        assert_eq!(titles, expected);
    }
}

const GONE: &str = "No scan of \"nightly *\" has finished in time at contoso";
const UNCLEAR: &str = "It can't be told whether a scan of \"nightly *\" has finished at contoso";

#[tokio::test]
async fn a_gap_is_told_once_and_once_when_it_is_over_whatever_restarts_lie_between() {
    let mut world = World::new(NIGHTLY, &["contoso", "fabrikam"]);
    world.ends("contoso", "Nightly sites", State::Finished, 5).await;
    for source in ["contoso", "fabrikam"] {
        world.read(source, 10);
    }
    World::is(&world.titles(10).await, &[]);
    world.read("contoso", 114);
    World::is(&world.titles(114).await, &[]);
    // Due, and not read since.
    World::is(&world.titles(115).await, &[]);
    world.start();
    World::is(&world.titles(200).await, &[]);
    world.read("contoso", 201);
    World::is(&world.titles(201).await, &[GONE]);
    world.start();
    World::is(&world.titles(202).await, &[GONE]);
    world.read("contoso", 300);
    World::is(&world.titles(300).await, &[GONE]);
    // Neither another profile nor one that was skipped is what is awaited.
    world.ends("contoso", "weekly", State::Finished, 301).await;
    world.ends("contoso", "nightly b", State::Skipped, 301).await;
    world.read("contoso", 302);
    World::is(&world.titles(302).await, &[GONE]);
    world.ends("contoso", "nightly b", State::Failed, 310).await;
    world.read("contoso", 312);
    let over = "A scan of \"nightly b\" has finished at contoso, 3m 15s late";
    World::is(&world.titles(312).await, &[GONE, over]);
    world.start();
    world.read("contoso", 320);
    World::is(&world.titles(320).await, &[GONE, over]);

    let told = world.look(320).await;
    let (begins, over) = (told[0].notice.as_ref().unwrap(), told[1].notice.as_ref().unwrap());
    assert_eq!(
        (&*begins.topic, begins.severity.name(), begins.over, begins.since),
        ("missing nightly contoso", "critical", false, Some(at(115)))
    );
    assert_eq!((&*over.topic, over.severity.name(), over.over, over.since), ("missing nightly contoso", "info", true, Some(at(115))));
    assert_eq!(
        begins.text,
        "One was expected by 2027-01-15 08:01:55 UTC (every 1m 40s, 10s grace). The last one, \"Nightly sites\", ended 2027-01-15 08:00:05 UTC. None runs now: see whether its schedule is on."
    );
    assert!(over.text.ends_with("Its job is Scan-4."), "{}", over.text);
    assert_eq!(told[0].rule.name, "nightly");
}

#[tokio::test]
async fn while_the_source_is_dark_it_is_said_that_it_can_not_be_told_and_then_which_it_was() {
    for came in [None, Some(100), Some(130)] {
        let mut world = World::new(NIGHTLY, &["contoso"]);
        world.ends("contoso", "nightly a", State::Finished, 5).await;
        world.read("contoso", 10);
        World::is(&world.titles(10).await, &[]);
        world.fails("contoso", 70);
        World::is(&world.titles(116).await, &[]);
        world.fails("contoso", 130);
        World::is(&world.titles(130).await, &[UNCLEAR]);
        world.start();
        for second in [140, 150, 160] {
            world.fails("contoso", second);
            World::is(&world.titles(second).await, &[UNCLEAR]);
        }
        if let Some(second) = came {
            world.ends("contoso", "nightly a", State::Finished, second).await;
        }
        world.read("contoso", 170);
        let what = match came {
            None => GONE,
            Some(100) => "A scan of \"nightly a\" has finished at contoso in time after all",
            Some(_) => "A scan of \"nightly a\" has finished at contoso, 15s late",
        };
        World::is(&world.titles(170).await, &[UNCLEAR, what]);
        world.read("contoso", 180);
        World::is(&world.titles(180).await, &[UNCLEAR, what]);
    }
}

#[tokio::test]
async fn a_rule_that_never_had_a_job_has_one_watch_from_its_beginning_which_no_restart_begins_anew() {
    let mut world = World::new(NIGHTLY, &["contoso", "fabrikam"]);
    for second in [0, 50, 100] {
        world.read("contoso", second);
        world.read("fabrikam", second);
        World::is(&world.titles(second).await, &[]);
        world.start();
    }
    world.read("contoso", 110);
    World::is(&world.titles(110).await, &[]);
    world.read("fabrikam", 111);
    let gone = "No scan of \"nightly *\" has finished in time";
    World::is(&world.titles(111).await, &[gone]);
    // It comes at last, and from then on that source is watched.
    world.ends("fabrikam", "nightly f", State::Finished, 150).await;
    world.read("fabrikam", 151);
    let over = "A scan of \"nightly f\" has finished at fabrikam, 40s late";
    World::is(&world.titles(151).await, &[gone, over]);
    world.start();
    world.read("contoso", 262);
    world.read("fabrikam", 262);
    World::is(&world.titles(262).await, &[gone, over, "No scan of \"nightly *\" has finished in time at fabrikam"]);
    assert_eq!(world.look(262).await[1].notice.as_ref().unwrap().topic, "missing nightly");
}

#[tokio::test]
async fn a_rule_begins_anew_when_it_is_changed_and_is_forgotten_without_an_end_when_it_is_taken_away() {
    let mut world = World::new(NIGHTLY, &["contoso"]);
    world.ends("contoso", "nightly a", State::Finished, 5).await;
    world.read("contoso", 120);
    World::is(&world.titles(120).await, &[GONE]);
    // What it says of itself changes nothing of what it waits for.
    world.rules = rules(&NIGHTLY.replace("critical", "warning"));
    world.start();
    world.read("contoso", 130);
    World::is(&world.titles(130).await, &[GONE]);
    world.rules = rules(&NIGHTLY.replace("nightly *", "hourly"));
    world.start();
    world.read("contoso", 140);
    World::is(&world.titles(140).await, &[GONE]);
    world.read("contoso", 249);
    World::is(&world.titles(249).await, &[GONE]);
    world.read("contoso", 250);
    World::is(&world.titles(250).await, &[GONE, "No scan of \"hourly\" has finished in time"]);
    world.rules = rules(&format!("{}, enabled: false }}\n", NIGHTLY.trim_end().trim_end_matches('}')));
    world.start();
    world.ends("contoso", "hourly", State::Finished, 251).await;
    world.read("contoso", 252);
    assert_eq!(world.look(252).await.len(), 2);
    assert_eq!(world.store.as_ref().unwrap().watches().await.unwrap(), []);
}

#[tokio::test]
async fn what_is_missed_together_is_one_notice_and_each_has_its_end() {
    let names: Vec<String> = (0..30).map(|n| format!("s{n}")).collect();
    let sources: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(NIGHTLY, &sources);
    for source in &sources {
        world.ends(source, "nightly", State::Finished, 0).await;
        world.ends(source, "nightly a", State::Finished, 0).await;
        world.read(source, 10);
    }
    World::is(&world.titles(10).await, &[]);
    // They are polled one after another.
    for (n, source) in (0..).zip(&sources) {
        world.read(source, 111 + n);
        World::is(
            &world.titles(111 + n).await,
            if n == 29 { &["No scan of \"nightly *\" has finished in time at 30 sources"] } else { &[] },
        );
    }
    let text = world.look(150).await[0].notice.as_ref().unwrap().text.clone();
    assert!(text.contains("s0 (due ") && text.contains("and 10 more"), "{text}");
    for source in ["s3", "s7"] {
        world.ends(source, "nightly a", State::Finished, 160).await;
        world.read(source, 161);
    }
    World::is(&world.titles(161).await[1..], &["Scans of \"nightly *\" have finished at 2 sources that were waited for"]);
    world.ends("s9", "nightly a", State::Finished, 165).await;
    world.read("s9", 166);
    World::is(&world.titles(166).await[2..], &["A scan of \"nightly a\" has finished at s9, 55s late"]);
}

#[tokio::test]
async fn sources_dark_one_after_another_share_a_notice_and_one_more_when_they_are_back() {
    let mut world = World::new(NIGHTLY, &["contoso", "fabrikam"]);
    for source in ["contoso", "fabrikam"] {
        world.ends(source, "nightly a", State::Finished, 0).await;
        world.read(source, 10);
        world.fails(source, 70);
    }
    let told = [UNCLEAR, GONE].map(|title| title.replace("contoso", "2 sources"));
    for (source, second, notices) in [("contoso", 130, 0), ("fabrikam", 132, 1), ("contoso", 200, 1), ("fabrikam", 202, 2)] {
        (if second < 200 { World::fails } else { World::read })(&world, source, second);
        assert_eq!(world.titles(second).await, told[..notices]);
    }
}

#[tokio::test]
async fn one_source_that_is_not_read_keeps_the_others_news_back_for_a_minute_and_no_longer() {
    let mut world = World::new(NIGHTLY, &["contoso", "fabrikam"]);
    for source in ["contoso", "fabrikam"] {
        world.ends(source, "nightly a", State::Finished, 0).await;
        world.read(source, 10);
    }
    World::is(&world.titles(10).await, &[]);
    world.read("contoso", 111);
    World::is(&world.titles(111).await, &[]);
    world.read("contoso", 170);
    World::is(&world.titles(170).await, &[]);
    World::is(&world.titles(171).await, &[GONE]);
}

#[tokio::test]
async fn the_services_clock_decides_and_not_ours() {
    // Ours is an hour behind, and then a day ahead.
    for ahead in [3_600, -86_400] {
        let mut world = World::new(NIGHTLY, &["contoso"]);
        world.ahead = ahead;
        world.ends("contoso", "nightly a", State::Finished, ahead + 5).await;
        for second in [10, 60, 114] {
            world.read("contoso", second);
            World::is(&world.titles(second).await, &[]);
        }
        world.read("contoso", 116);
        World::is(&world.titles(116).await, &[GONE]);
    }
}

#[tokio::test]
async fn the_same_notice_has_the_same_key_again_in_a_store_restored_from_a_copy() {
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut world = World::new(NIGHTLY, &["contoso"]);
        world.ends("contoso", "nightly a", State::Finished, 5).await;
        world.read("contoso", 120 + i64::try_from(keys.len()).unwrap());
        keys.push(world.look(130).await[0].key.clone());
        world.ends("contoso", "nightly a", State::Finished, 135).await;
        world.read("contoso", 140);
        let told = world.look(140).await;
        assert_ne!(told[1].key, told[0].key);
    }
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn the_loop_wakes_by_itself_when_a_list_was_read() {
    let mut world = World::new(NIGHTLY, &["contoso"]);
    world.ends("contoso", "nightly a", State::Finished, 5).await;
    *world.clock.0.lock().unwrap() = at(120);
    let (watch, _) = world.watch.take().unwrap();
    let (health, stop) = (Arc::clone(&watch.health), CancellationToken::new());
    let loop_ = tokio::spawn(watch.run(stop.clone()));
    health.read_completely(&"contoso".into(), at(120), Some(at(120)), at(120));
    let store = Arc::clone(world.store.as_ref().unwrap());
    let told = async {
        while matches!(store.claim(&"oncall".into(), at(121), 1).await.unwrap(), Claim::Empty) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Far less than the loop sleeps where nothing is heard.
    tokio::time::timeout(LOOK_AGAIN / 2, told).await.unwrap();
    stop.cancel();
    loop_.await.unwrap();
}
