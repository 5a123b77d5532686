//! The whole path, from a job on the list to messages on the channels.

use serde_json::{Value, json};

use crate::common::{
    Home, Service,
    sink::Sink,
    upstream::{Upstream, job},
};

const RULES: &str = "\
rules:
  - name: scan-failed
    description: A scan failed, or finished with exceptions.
    when: { state: [failed, finished_with_exception] }
    severity: critical
    notify: [slack, teams, hook]
";

/// Everything around one program.
struct World {
    upstream: Upstream,
    slack: Sink,
    teams: Sink,
    hook: Sink,
    home: Home,
}

impl World {
    async fn new(rules: &str) -> Self {
        let (upstream, slack, teams, hook) =
            (Upstream::start().await, Sink::start("ok").await, Sink::start("").await, Sink::start("").await);
        let config = format!(
            "{}channels:\n  slack: {{ kind: slack, url: '{}', rate: unlimited }}\n  teams: {{ kind: teams, url: '{}', rate: unlimited }}\n  hook: {{ kind: webhook, url: '{}', secret: canary-hook-secret-0123456789 }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            slack.url,
            teams.url,
            hook.url
        );
        Self { upstream, slack, teams, hook, home: Home::new(&config, rules) }
    }

    /// Starts the program and waits until it has read the list as it stands.
    async fn start(&self) -> Service {
        let service = self.home.start().await;
        self.upstream.polled(1).await;
        service
    }

    fn sinks(&self) -> [(&'static str, &Sink); 3] {
        [("slack", &self.slack), ("teams", &self.teams), ("hook", &self.hook)]
    }
}

/// The vendor's sample, as its page prints it: with comments and trailing commas, which are stripped here.
fn vendors_sample() -> Vec<Value> {
    let printed = r#"[
        {
            "id": "Scan20240926055840723067", // A scan job ID
            "type": 0, // the type
            "state": 2, // Finished
            "startTime": "2024-09-26T05:58:40.4092427+00:00", // UTC
            "finishTime": "2024-09-26T05:59:12.2300688+00:00", // UTC
            "scanProfileName": "scan sharepoint sites", // the profile
            "category": 0, // Microsoft 365
            "extension": null, // none
        },
        {
            "id": "Scan20240926051311702920",
            "type": 0,
            "state": 2,
            "startTime": "2024-09-26T05:13:11.0634642+00:00",
            "finishTime": "2024-09-26T05:13:42.3793844+00:00",
            "scanProfileName": "scan power platform",
            "category": 0,
            "extension": null,
        }
    ]"#;
    let bare: Vec<&str> = printed.lines().map(|line| line.split(" // ").next().unwrap()).collect();
    let strict = regex::Regex::new(r",(\s*[}\]])").unwrap().replace_all(&bare.join("\n"), "$1").into_owned();
    serde_json::from_str(&strict).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_gets_the_two_bad_ends_once_whatever_happens_after() {
    let world = World::new(RULES).await;
    for job in vendors_sample() {
        world.upstream.put(job);
    }
    // The sample's own link leads to the vendor, with `skip=1` behind two rows; it must not be followed.
    let foreign = "https://graph-us.avepointonlineservices.com/aos/jobs?orderby=StartTime&sortorder=1&top=2&skip=1";
    world.upstream.shelf.lock().unwrap().next_link = Some(json!(foreign));
    world.upstream.put(job("Scan-a", "scan exchange mailboxes", 1, 120, None));
    let service = world.start().await;
    world.upstream.put(job("Scan-a", "scan exchange mailboxes", 3, 120, Some(0)));
    world.upstream.put(job("Scan-b", "scan teams", 4, 60, Some(0)));
    world.upstream.put(job("Scan-c", "scan teams", 2, 50, Some(0)));
    for (name, sink) in world.sinks() {
        let taken = sink.holds(2).await;
        let all: String = taken.iter().map(|message| message.body.as_str()).collect();
        assert!(all.contains("Scan-a") && all.contains("Scan-b"), "{name}: {all}");
    }
    world.upstream.polled(5).await;
    assert_eq!(service.metric("jobrelay_notifications_total{channel=\"slack\",outcome=\"delivered\"}").await, Some(2.0));
    assert_eq!(service.stop().await, 0);

    let service = world.start().await;
    world.upstream.polled(1).await;
    for (name, sink) in world.sinks() {
        assert_eq!(sink.taken().len(), 2, "{name}");
    }
    let alerts = world.home.json(&["alerts", "--format", "json"]);
    assert_eq!(alerts.as_array().unwrap().len(), 2);
    assert_eq!(alerts[0]["channels"], json!({ "slack": "delivered", "teams": "delivered", "hook": "delivered" }));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_program_loses_nothing_and_repeats_at_most_the_message_in_flight() {
    const JOBS: usize = 60;
    let world = World::new(RULES).await;
    world.upstream.put(job("Scan-old", "scan sites", 2, 5_000, Some(4_000)));
    let service = world.start().await;
    for n in 0..JOBS {
        world.upstream.put(job(&format!("Scan-{n:03}"), "scan sites", 3, 100, Some(0)));
    }
    let mut service = Some(service);
    for kill_at in [1, JOBS / 3, JOBS / 2] {
        world.hook.holds(kill_at).await;
        service.take().unwrap().kill().await;
        service = Some(world.home.start().await);
    }
    let pattern = regex::Regex::new(r"Scan-\d{3}").unwrap();
    for (name, sink) in world.sinks() {
        let ids =
            |sink: &Sink| sink.taken().iter().map(|message| pattern.find(&message.body).unwrap().as_str().to_owned()).collect::<Vec<_>>();
        crate::common::until(&format!("{name} has them all"), || {
            ids(sink).into_iter().collect::<std::collections::HashSet<_>>().len() == JOBS
        })
        .await;
        assert!(ids(sink).len() <= JOBS + 3, "{name}: three kills, at most one repeat each, but {} messages", ids(sink).len());
    }
    let repeated = world.hook.taken();
    let keys: std::collections::HashSet<String> = repeated.iter().map(|message| message.header("webhook-id")).collect();
    assert_eq!(keys.len(), JOBS, "a repeat keeps its id");
    let service = service.unwrap();
    crate::common::until("all is settled", || {
        world.home.json(&["deliveries", "--outcome", "pending", "--format", "json"]).as_array().unwrap().is_empty()
    })
    .await;
    let delivered = service.metric("jobrelay_notifications_total{channel=\"hook\",outcome=\"delivered\"}").await;
    assert_eq!(delivered, Some(60.0));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_read_on_whatever_page_it_stands_and_looked_up_when_it_sinks_out_of_sight() {
    let world = World::new(RULES).await;
    world.upstream.put(job("Scan-long", "scan archive", 1, 9 * 24 * 3600, None));
    for n in 0..250 {
        world.upstream.put(job(&format!("Scan-old-{n}"), "scan sites", 2, 30 * 3600 + n * 60, Some(29 * 3600)));
    }
    // So that a sweep ends with the first page, far above the long one.
    world.upstream.put(job("Scan-new", "scan sites", 2, 300, Some(200)));
    let service = world.start().await;
    let looked_up = || {
        let shelf = world.upstream.shelf.lock().unwrap();
        shelf.asked.iter().filter(|query| query.get("search").is_some_and(|id| id == "Scan-long")).count()
    };
    crate::common::until("it is looked up", || looked_up() > 0).await;
    world.upstream.put(job("Scan-long", "scan archive", 3, 9 * 24 * 3600, Some(0)));
    let taken = world.hook.holds(1).await;
    assert!(taken[0].body.contains("Scan-long"));
    assert!(looked_up() > 1, "it was met otherwise");
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_that_looks_back_alerts_on_what_ended_since() {
    let world = World::new(RULES).await;
    let config =
        std::fs::read_to_string(world.home.path("jobrelay.yaml")).unwrap().replace("poll_every: 5s", "poll_every: 5s\n    start: 24h");
    std::fs::write(world.home.path("jobrelay.yaml"), config).unwrap();
    world.upstream.put(job("Scan-yesterday", "scan sites", 3, 20 * 3600, Some(19 * 3600)));
    world.upstream.put(job("Scan-before", "scan sites", 3, 30 * 3600, Some(29 * 3600)));
    let service = world.start().await;
    world.hook.holds(1).await;
    world.upstream.polled(2).await;
    let taken = world.hook.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].body.contains("Scan-yesterday"));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exceeds_a_limit_goes_out_as_one_roll_up() {
    let rules = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    notify: [hook]\n    limit: 2 per 20s\n";
    let world = World::new(rules).await;
    let service = world.start().await;
    for n in 0..5 {
        world.upstream.put(job(&format!("Scan-{n}"), "scan sites", 3, 100, Some(0)));
    }
    let taken = world.hook.holds(3).await;
    let last = taken[2].json().to_string();
    assert_eq!((0..5).filter(|n| last.contains(&format!("Scan-{n}"))).count(), 3, "{last}");
    crate::common::until("the sums hold", || {
        let deliveries = world.home.json(&["deliveries", "--format", "json"]);
        deliveries.as_array().unwrap().iter().all(|delivery| delivery["outcome"] != "pending")
    })
    .await;
    assert_eq!(service.metric("jobrelay_notifications_total{channel=\"hook\",outcome=\"delivered\"}").await, Some(2.0));
    assert_eq!(service.metric("jobrelay_notifications_total{channel=\"hook\",outcome=\"rolled_up\"}").await, Some(3.0));
    assert_eq!(service.metric("jobrelay_notifications_pending{channel=\"hook\"}").await, Some(0.0));
    assert_eq!(service.metric("jobrelay_alerts_total{rule=\"scan-failed\"}").await, Some(5.0));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_runs_too_long_is_told_of_while_it_runs() {
    let rules = "rules:\n  - name: stuck\n    when: { state: running, duration: '> 2h' }\n    notify: [hook]\n";
    let world = World::new(rules).await;
    world.upstream.put(job("Scan-stuck", "scan sites", 1, 3 * 3600, None));
    world.upstream.put(job("Scan-fresh", "scan sites", 1, 60, None));
    let service = world.start().await;
    world.hook.holds(1).await;
    world.upstream.polled(2).await;
    let taken = world.hook.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].body.contains("Scan-stuck"));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_never_finished_does_not_hold_up_the_stop() {
    let world = World::new(RULES).await;
    let service = world.start().await;
    let mut half = tokio::net::TcpStream::connect(&service.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut half, b"GET /met").await.unwrap();
    assert_eq!(service.get("/healthz").await.0, 200);
    let began = std::time::Instant::now();
    assert_eq!(service.stop().await, 0);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    drop(half);
}
