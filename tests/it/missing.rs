//! Scans that never come: each gap is told once, and once more when it is over, whatever happens to the program and the cloud.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use jobrelay::failpoint::{Point, VARIABLE};
use serde_json::{Value, json};

use crate::common::{
    Home, Service, command,
    sink::{Answer, Sink},
    text, until,
    upstream::{Upstream, job},
};

/// Every 4 s, with 1 s of grace: the list is polled every 5 s.
const RULES: &str = "\
rules:
  - name: nightly
    description: The nightly scan.
    missing: { profile: 'nightly *', every: 4s, grace: 1s }
    severity: critical
    labels: { runbook: 'https://wiki.example/nightly' }
    notify: [hook]
";

struct World {
    upstream: Upstream,
    hook: Sink,
    home: Home,
}

impl World {
    async fn new(rules: &str) -> Self {
        let (upstream, hook) = (Upstream::start().await, Sink::start("").await);
        let config = format!(
            "{}channels:\n  hook: {{ kind: webhook, url: '{}' }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            hook.url
        );
        Self { upstream, hook, home: Home::new(&config, rules) }
    }

    fn notices(&self) -> Vec<Value> {
        self.hook.taken().into_iter().map(|taken| taken.json()).filter(|body| body["type"] == "notice").collect()
    }

    fn titles(&self) -> Vec<String> {
        self.notices().iter().map(|body| body["data"]["title"].as_str().unwrap().to_owned()).collect()
    }

    async fn told(&self, count: usize) {
        until(&format!("{count} notices are told"), || self.notices().len() >= count).await;
    }

    /// Waits until as many are on record: what is not may be sent again after a kill.
    async fn recorded(&self, count: usize) {
        until(&format!("{count} notices are on record"), || self.delivered() >= count).await;
    }

    fn delivered(&self) -> usize {
        let all = self.home.json(&["deliveries", "--format", "json"]);
        all.as_array().unwrap().iter().filter(|one| one["kind"] == "notice" && one["outcome"] == "delivered").count()
    }
}

fn hang_up(service: &Service) {
    assert!(Command::new("kill").args(["-HUP", &service.pid().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_does_not_come_is_told_once_and_so_is_the_one_that_comes_over_restarts_and_reloads() {
    let world = World::new(RULES).await;
    world.upstream.put(job("Scan-1", "Nightly sites", 2, 20, Some(0)));
    let service = world.home.start().await;
    world.told(1).await;
    let told = world.notices().remove(0);
    let data = &told["data"];
    assert_eq!(data["title"], "No scan of \"nightly *\" has finished in time at contoso");
    assert_eq!((&data["topic"], &data["severity"], &data["over"]), (&json!("missing nightly contoso"), &json!("critical"), &json!(false)));
    assert_eq!((&data["rule"]["name"], &data["rule"]["description"]), (&json!("nightly"), &json!("The nightly scan.")));
    assert_eq!(data["rule"]["labels"]["runbook"], "https://wiki.example/nightly");
    assert!(data["text"].as_str().unwrap().contains("The last one, \"Nightly sites\", ended 2"), "{told}");
    world.recorded(1).await;
    service.kill().await;

    // Neither a restart nor a reload tells it again, nor do jobs that are not awaited.
    let service = world.home.start().await;
    world.upstream.put(job("Scan-2", "weekly", 2, 10, Some(0)));
    world.upstream.put(job("Scan-3", "nightly skipped", 5, 10, Some(0)));
    world.upstream.polled(2).await;
    hang_up(&service);
    until("the config is reloaded", || service.log().contains("the config is reloaded")).await;
    world.upstream.polled(2).await;
    assert_eq!(world.titles().len(), 1);

    // One that ran badly came all the same.
    world.upstream.put(job("Scan-4", "nightly sites", 3, 10, Some(0)));
    world.told(2).await;
    let over = world.notices().remove(1);
    let title = over["data"]["title"].as_str().unwrap();
    assert!(title.starts_with("A scan of \"nightly sites\" has finished at contoso, ") && title.ends_with(" late"), "{title}");
    assert_eq!((&over["data"]["topic"], &over["data"]["over"]), (&data["topic"], &json!(true)));
    assert_eq!(over["data"]["since"], data["since"]);
    assert!(over["data"]["text"].as_str().unwrap().contains("Its job is Scan-4."), "{over}");
    // And then the next gap, while the next one runs too long to come in time.
    assert!(data["text"].as_str().unwrap().ends_with(" None runs now: see whether its schedule is on."), "{told}");
    world.upstream.put(job("Scan-6", "nightly sites", 1, 10, None));
    world.told(3).await;
    assert_eq!(world.titles()[2], world.titles()[0]);
    let text = world.notices()[2]["data"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains(" One runs still: \"nightly sites\" since 2") && text.ends_with(", Scan-6."), "{text}");
    // A notice is a delivery of its rule, and no alert.
    world.recorded(3).await;
    let deliveries = world.home.json(&["deliveries", "--format", "json"]);
    assert!(deliveries.as_array().unwrap().iter().all(|one| one["rule"] == "nightly" && one["alerts"] == 0), "{deliveries}");
    let table = world.home.stdout(&["deliveries"]);
    let (header, row) = table.split_once('\n').unwrap();
    assert_eq!(
        row.get(header.find("JOBS").unwrap()..).and_then(|rest| rest.split_whitespace().next()),
        Some("-"),
        "it is about no job:\n{table}"
    );
    let metrics = service.metrics().await;
    assert!(!metrics.contains("jobrelay_alerts_total{rule=\"nightly\"} 1"), "{metrics}");

    // A rule that is rested while a gap is open is forgotten without an end.
    fs::write(world.home.path("rules/rules.yaml"), RULES.replace("    severity", "    enabled: false\n    severity")).unwrap();
    hang_up(&service);
    until("the config is reloaded", || service.log().matches("the config is reloaded").count() >= 2).await;
    world.upstream.put(job("Scan-5", "nightly sites", 2, 10, Some(0)));
    world.upstream.polled(3).await;
    assert_eq!(world.titles().len(), 3);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_source_is_dark_it_is_said_that_it_can_not_be_told_and_then_that_it_came() {
    in_the_dark(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_source_is_dark_it_is_said_that_it_can_not_be_told_and_then_that_it_did_not_come() {
    in_the_dark(false).await;
}

async fn in_the_dark(comes: bool) {
    // The list is read once before the scan is due, however slow the start.
    let world = World::new(&RULES.replace("every: 4s", "every: 9s")).await;
    world.upstream.put(job("Scan-1", "nightly sites", 2, 20, Some(0)));
    let service = world.home.start().await;
    world.upstream.polled(1).await;
    world.upstream.shelf.lock().unwrap().down = true;
    world.upstream.shelf.lock().unwrap().trouble = Some(Box::new(|_| Some((503, Vec::new(), String::new()))));
    world.told(1).await;
    assert_eq!(world.titles(), ["It can't be told whether a scan of \"nightly *\" has finished at contoso"]);
    world.recorded(1).await;
    service.kill().await;
    let service = world.home.start().await;
    until("it is read in vain again", || world.upstream.shelf.lock().unwrap().refused > 2).await;
    assert_eq!(world.titles().len(), 1);
    if comes {
        world.upstream.put(job("Scan-2", "nightly sites", 2, 10, Some(0)));
    }
    {
        let mut shelf = world.upstream.shelf.lock().unwrap();
        (shelf.down, shelf.trouble) = (false, None);
    }
    world.told(2).await;
    let (title, begins) = (&world.titles()[1], if comes { "A scan of \"nightly sites\" has finished at contoso" } else { "No scan of" });
    assert!(title.starts_with(begins), "{title}");
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_either_place_of_its_way_to_the_disk_a_notice_is_told_once() {
    for point in [Point::WatchWritten, Point::WatchCommitted] {
        let world = World::new(RULES).await;
        let mut armed = command(world.home.folder.path());
        // The first time, it is the watch itself that is written down.
        let died = armed.args(["run"]).env(VARIABLE, format!("{}:2", point.name())).output().unwrap();
        assert!(!died.status.success() && text(&died.stderr).contains("listening"), "{}", text(&died.stderr));
        assert_eq!(world.titles(), [""; 0]);
        let service = world.home.start().await;
        world.told(1).await;
        world.recorded(1).await;
        world.upstream.polled(2).await;
        let keys: Vec<String> = world.hook.taken().iter().map(|taken| taken.header("webhook-id")).collect();
        assert!(keys.iter().all(|key| *key == keys[0]), "{}: {keys:?}", point.name());
        assert_eq!(world.titles()[0], "No scan of \"nightly *\" has finished in time");
        service.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tenants_that_miss_theirs_together_are_one_notice() {
    let (upstream, other, hook) = (Upstream::start().await, Upstream::start().await, Sink::start("").await);
    let config = format!(
        "{}{}channels:\n  hook: {{ kind: webhook, url: '{}' }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
        upstream.config(),
        other.source("fabrikam"),
        hook.url
    );
    let world = World { upstream, hook, home: Home::new(&config, &RULES.replace("every: 4s", "every: 12s")) };
    for tenant in [&world.upstream, &other] {
        tenant.put(job("Scan-1", "nightly sites", 2, 20, Some(0)));
    }
    let service = world.home.start().await;
    world.told(1).await;
    assert_eq!(world.titles(), ["No scan of \"nightly *\" has finished in time at 2 sources"]);
    let told = world.notices().remove(0);
    let said = told["data"]["text"].as_str().unwrap();
    assert!(said.contains("contoso (due ") && said.contains("fabrikam (due "), "{said}");
    other.put(job("Scan-2", "nightly sites", 2, 10, Some(0)));
    world.told(2).await;
    assert!(world.titles()[1].starts_with("A scan of \"nightly sites\" has finished at fabrikam, "), "{:?}", world.titles());
    service.kill().await;
}

#[test]
fn a_check_tries_the_notices_of_missing_rules_where_they_go() {
    let source = "sources:\n  contoso: { kind: aos_scan_jobs, region: us, client_id: a, client_secret: '${SECRET:-x}' }\n";
    let channel = "channels:\n  hook: { kind: webhook, url: 'https://hook.example/x', body: '{ \"run\": {{job.run}} }' }\n";
    let home = Home::new(&format!("{source}{channel}"), RULES);
    let output = home.run(&["check"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!output.status.success() && said.contains("can't put a notice that begins into words"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_down_gets_the_notice_late_and_once() {
    let world = World::new(RULES).await;
    world.hook.next([Answer::new(503, ""), Answer::new(503, "")]);
    let service = world.home.start().await;
    world.recorded(1).await;
    world.upstream.polled(2).await;
    let taken = world.hook.taken();
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|one| one.header("webhook-id") == taken[0].header("webhook-id")));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_too_long_is_told_right_after_a_restart_and_what_was_told_is_not_told_again() {
    let world = World::new("rules:\n  - { name: stuck, when: { state: running, duration: '> 40s' }, notify: [hook] }\n").await;
    world.upstream.put(job("Scan-told", "scan sites", 1, 3_600, None));
    let young = Instant::now();
    world.upstream.put(job("Scan-young", "scan sites", 1, 0, None));
    let service = world.home.start().await;
    world.hook.holds(1).await;
    until("the alert is on record", || {
        !world.home.json(&["deliveries", "--outcome", "delivered", "--format", "json"]).as_array().unwrap().is_empty()
    })
    .await;
    service.kill().await;
    assert!(young.elapsed() < Duration::from_secs(40), "the machine is too slow for this test to show anything");
    // While the program is down, it becomes too old.
    until("the scan has run for too long", || young.elapsed() > Duration::from_secs(42)).await;
    let service = world.home.start().await;
    world.hook.holds(2).await;
    world.upstream.polled(2).await;
    let told: Vec<Value> = world.hook.taken().iter().map(|taken| taken.json()["data"]["jobs"][0]["id"].clone()).collect();
    assert_eq!(told, ["Scan-told", "Scan-young"]);
    service.kill().await;
}
