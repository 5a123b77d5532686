//! More waits for a channel than it takes in good time: it is told in roll-ups, and each job is named once.

use std::collections::BTreeSet;

use jobrelay::failpoint::{Point, VARIABLE};
use regex::Regex;

use crate::common::{
    Home,
    process::{End, Process, SIGABRT, SIGKILL},
    sink::{Answer, Sink},
    until,
    upstream::{Upstream, job},
};

const MANY: usize = 400;

/// How often it takes a message. At this rate what waits would take six minutes and more, and its roll-ups take seconds.
const RATE: &str = "10 per 10s";

struct World {
    upstream: Upstream,
    slack: Sink,
    hook: Sink,
    home: Home,
}

fn name(n: usize) -> String {
    format!("Scan-{n:04}")
}

impl World {
    async fn new() -> Self {
        let rules = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    notify: [oncall, hook]\n";
        let (upstream, slack, hook) = (Upstream::start().await, Sink::start("ok").await, Sink::start("").await);
        let config = format!(
            "{}channels:\n  oncall: {{ kind: slack, url: '{}', rate: {RATE} }}\n  hook: {{ kind: webhook, url: '{}', rate: unlimited }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            slack.url,
            hook.url
        );
        Self { upstream, slack, hook, home: Home::new(&config, rules) }
    }

    fn start(&self, armed: &str) -> Process {
        let mut command = self.home.under(&[]);
        if !armed.is_empty() {
            command.env(VARIABLE, armed);
        }
        Process::spawn(command)
    }

    /// The jobs that each message to Slack names, of those that were taken.
    fn told(&self) -> Vec<Vec<String>> {
        let ids = Regex::new(r"Scan-\d{4}").unwrap();
        let named = |body: &str| ids.find_iter(body).map(|id| id.as_str().to_owned()).collect();
        self.slack.taken().iter().map(|taken| named(&taken.body)).collect()
    }
}

/// The channel is down while hundreds of scans fail; then it is back, and the program dies on its way through the backlog.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_every_job_is_named_once_whenever_the_program_is_killed() {
    let world = World::new().await;
    world.slack.always(Answer::new(503, "down"));
    let mut process = world.start("");
    process.listening().await;
    world.upstream.polled(1).await;
    world.upstream.shelf.lock().unwrap().jobs.extend((0..MANY).map(|n| job(&name(n), &format!("scan sites {}", n % 9), 3, 100, Some(0))));
    world.hook.holds(MANY).await;
    world.slack.holds(1).await;
    assert_eq!(process.kill().await, SIGKILL);
    let refused = world.slack.taken().len();
    world.slack.always(Answer::new(200, "ok"));

    // While a roll-up is made, and before it is sent.
    for armed in [Point::BacklogWritten.name(), Point::BacklogFolded.name()] {
        let mut process = world.start(armed);
        assert_eq!(process.ends().await, SIGABRT, "{armed}:\n{}", process.log());
    }
    let mut process = world.start("");
    process.listening().await;
    until("all is told", || world.told()[refused..].iter().flatten().collect::<BTreeSet<_>>().len() == MANY).await;
    let told = &world.told()[refused..];
    let mut named: Vec<&String> = told.iter().flatten().collect();
    assert_eq!(named.len(), MANY, "none twice: a kill came where nothing was under way");
    named.sort();
    assert!(named.iter().enumerate().all(|(n, named)| **named == name(n)));
    let (alone, together): (Vec<_>, Vec<_>) = told.iter().partition(|jobs| jobs.len() == 1);
    assert!(together.len() < 20 && alone.len() < 40, "{} roll-ups, {} alone", together.len(), alone.len());
    for (taken, _) in world.slack.taken()[refused..].iter().zip(told).filter(|(_, jobs)| jobs.len() > 1) {
        assert!(taken.body.contains("Held while the channel could not be reached or was behind"), "{}", taken.body);
        assert!(!taken.body.contains("…and "), "each job is named: {}", taken.body);
    }

    let settled = || world.home.json(&["deliveries", "--outcome", "pending", "--format", "json"]) == serde_json::json!([]);
    until("all is on record", settled).await;
    let (_, page) = process.get("/metrics").await.unwrap();
    for (outcome, count) in [("delivered", alone.len()), ("rolled_up", MANY - alone.len())] {
        let line = format!("jobrelay_notifications_total{{channel=\"oncall\",outcome=\"{outcome}\"}} {count}");
        assert!(page.contains(&line), "{line} is not in:\n{page}");
    }
    assert!(page.contains("jobrelay_notifications_pending{channel=\"oncall\"} 0"), "{page}");
    assert_eq!(world.hook.taken().len(), MANY, "a machine is told one by one");
    let rolled = together[0].last().unwrap();
    let story = world.home.stdout(&["explain", rolled]);
    assert!(story.contains(" that waited for the channel"), "{story}");
    assert_eq!(process.stop().await, End::Exit(0), "{}", process.log());
}

/// The channel takes messages, but not as many as fail at once.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_words_of_the_users_own_go_out_one_by_one_and_the_programs_in_roll_ups() {
    let world = World::new().await;
    let rules = "rules:\n  - { name: ours, when: { state: failed }, notify: [oncall] }\n  - { name: theirs, when: { state: stopped }, notify: [oncall], template: mine }\n";
    std::fs::write(world.home.path("rules/rules.yaml"), rules).unwrap();
    std::fs::create_dir_all(world.home.path("templates/mine")).unwrap();
    std::fs::write(world.home.path("templates/mine/slack.json.hbs"), "{ \"text\": \"mine: {{job.id}}\" }").unwrap();
    let mut process = world.start("");
    process.listening().await;
    world.upstream.polled(1).await;
    // Four that stopped among the failed ones.
    let state = |n: usize| if n.is_multiple_of(50) { 10 } else { 3 };
    world.upstream.shelf.lock().unwrap().jobs.extend((0..200).map(|n| job(&name(n), "scan sites", state(n), 100, Some(0))));
    until("all is told", || world.told().iter().flatten().collect::<BTreeSet<_>>().len() == 200).await;
    let told = world.told();
    assert_eq!(told.iter().flatten().count(), 200, "none twice");
    for (taken, jobs) in world.slack.taken().iter().zip(&told) {
        assert!(jobs.len() == 1 || !taken.body.contains("mine: "), "{}", taken.body);
    }
    assert_eq!(world.slack.taken().iter().filter(|taken| taken.body.contains("mine: ")).count(), 4);
    for window in world.slack.taken().windows(11) {
        assert!(window[10].at - window[0].at >= std::time::Duration::from_millis(9_900));
    }
    process.stop().await;
}
