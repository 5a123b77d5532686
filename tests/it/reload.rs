//! A config that changes while the program runs: by SIGHUP, by an edit, by the API.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::common::{
    Home, Service,
    sink::{Answer, Sink},
    text, until,
    upstream::{Upstream, job},
};

struct World {
    upstream: Upstream,
    first: Sink,
    second: Sink,
    home: Home,
}

fn rules(notify: &str) -> String {
    format!("rules:\n  - {{ name: scan-failed, when: {{ state: failed }}, notify: [{notify}] }}\n")
}

impl World {
    async fn new() -> Self {
        let (upstream, first, second) = (Upstream::start().await, Sink::start("").await, Sink::start("").await);
        let home = Home::new(&Self::config(&upstream, &[("first", &first.url), ("second", &second.url)]), &rules("first"));
        Self { upstream, first, second, home }
    }

    fn config(upstream: &Upstream, channels: &[(&str, &str)]) -> String {
        let channels: Vec<String> = channels.iter().map(|(name, url)| format!("  {name}: {{ kind: webhook, url: '{url}' }}\n")).collect();
        let channels = channels.concat();
        format!("{}channels:\n{channels}server: {{ listen: '127.0.0.1:0' }}\n", upstream.config())
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.home.path(file), text).unwrap();
    }

    async fn start(&self) -> Service {
        let service = self.home.start().await;
        self.upstream.polled(1).await;
        service
    }

    fn fail(&self, id: &str) {
        self.upstream.put(job(id, "scan sites", 3, 100, Some(0)));
    }
}

fn hang_up(service: &Service) {
    assert!(Command::new("kill").args(["-HUP", &service.pid().to_string()]).status().unwrap().success());
}

async fn hears(service: &Service, words: &str, times: usize) {
    until(&format!("the log says `{words}` {times} times"), || service.log().matches(words).count() >= times).await;
}

const RELOADED: &str = "the config is reloaded";
const STAYS: &str = "the config is not reloaded; the one in use stays";
const METRIC: &str = "jobrelay_config_last_reload_successful";

#[tokio::test(flavor = "multi_thread")]
async fn new_rules_and_channels_take_effect_and_what_was_told_is_not_told_again() {
    let world = World::new().await;
    let service = world.start().await;
    world.fail("Scan-1");
    world.first.holds(1).await;
    world.write("rules/rules.yaml", &rules("first, second"));
    hang_up(&service);
    hears(&service, RELOADED, 1).await;
    world.fail("Scan-2");
    world.second.holds(1).await;
    world.first.holds(2).await;
    world.upstream.polled(2).await;
    assert_eq!((world.first.taken().len(), world.second.taken().len()), (2, 1));
    assert!(world.second.taken()[0].body.contains("Scan-2"));
    assert_eq!(service.metric(METRIC).await, Some(1.0));
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_with_a_fault_is_refused_whole_and_the_one_in_use_stays() {
    let world = World::new().await;
    let good = std::fs::read_to_string(world.home.path("jobrelay.yaml")).unwrap();
    let service = world.start().await;
    let faults = [
        ("jobrelay.yaml", "sources: [".to_owned(), good.clone()),
        ("rules/rules.yaml", rules("second, pager"), rules("first")),
        ("jobrelay.yaml", good.replace("kind: webhook", "kind: carrier_pigeon"), good.clone()),
    ];
    for (times, (file, bad, mended)) in (1..).zip(faults) {
        world.write(file, &bad);
        hang_up(&service);
        hears(&service, STAYS, times).await;
        assert_eq!(service.metric(METRIC).await, Some(0.0), "{bad}");
        world.write(file, &mended);
    }
    assert!(service.log().contains("unknown channel `pager`"), "the fault is told");
    world.fail("Scan-1");
    world.first.holds(1).await;
    assert!(world.second.taken().is_empty(), "not one of the refused rules took effect");
    hang_up(&service);
    hears(&service, RELOADED, 1).await;
    assert_eq!(service.metric(METRIC).await, Some(1.0));
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_channel_gets_what_is_held_for_it_once_its_address_is_mended() {
    let world = World::new().await;
    world.first.always(Answer::new(404, "gone"));
    let service = world.start().await;
    world.fail("Scan-1");
    world.fail("Scan-2");
    world.first.holds(1).await;
    world.write("jobrelay.yaml", &World::config(&world.upstream, &[("first", &world.second.url)]));
    hang_up(&service);
    let taken = world.second.holds(2).await;
    assert!(taken[0].body.contains("Scan-1") && taken[1].body.contains("Scan-2"));
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_channel_that_is_taken_out_stays_visible_and_is_told_of() {
    let world = World::new().await;
    world.first.always(Answer::new(503, "later"));
    let service = world.start().await;
    world.fail("Scan-1");
    world.first.holds(1).await;
    let told = |channels: &[(&str, &str)]| World::config(&world.upstream, channels) + "notices: { notify: [second] }\n";
    world.write("jobrelay.yaml", &told(&[("second", &world.second.url)]));
    world.write("rules/rules.yaml", &rules("second"));
    hang_up(&service);
    hears(&service, RELOADED, 1).await;
    let held = world.home.json(&["deliveries", "--channel", "first", "--format", "json"]);
    assert_eq!((&held[0]["outcome"], &held[0]["jobs"]), (&json!("pending"), &json!(["Scan-1"])));
    assert_eq!(service.metric("jobrelay_notifications_pending{channel=\"first\"}").await, Some(1.0));
    let title = |taken: &Sink, n: usize| taken.taken()[n].json()["data"]["title"].as_str().unwrap_or_default().to_owned();
    world.second.holds(1).await;
    assert_eq!(title(&world.second, 0), "Alerts wait for first, which the config no longer has");
    assert_eq!(service.metric("jobrelay_trouble{kind=\"channel_gone\",name=\"first\"}").await, Some(1.0));
    let down = "jobrelay_trouble{kind=\"channel_down\",name=\"first\"}";
    assert_ne!(service.metric(down).await, Some(1.0), "what the config no longer names is not down");
    let retried = world.home.run(&["deliveries", "retry", &held[0]["id"].to_string()]);
    assert!(text(&retried.stderr).contains("the config has no channel `first`"), "{}", text(&retried.stderr));
    // A channel of this name is back, and so is what waited, in its own time.
    world.write("jobrelay.yaml", &told(&[("first", &world.second.url), ("second", &world.second.url)]));
    hang_up(&service);
    let taken = world.second.holds(3).await;
    assert!(taken.iter().any(|taken| taken.body.contains("Scan-1")));
    assert!((1..3).any(|n| title(&world.second, n) == "The config has the channel first again"));
    assert_eq!(service.stop().await, 0);
}

/// Three rules of one version, one of them for the past: it judges at the end of a turn.
fn version(k: usize) -> String {
    format!(
        "rules:\n\
         - {{ name: a-{k}, when: {{ state: failed }}, notify: [first] }}\n\
         - {{ name: b-{k}, when: {{ profile: '*' }}, notify: [first] }}\n\
         - {{ name: c-{k}, when: {{ state: failed, streak: '>= 1' }}, notify: [first] }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_lose_nothing_repeat_nothing_and_judge_no_job_by_half_a_rule_set() {
    const RELOADS: usize = 100;
    let world = World::new().await;
    world.write("rules/rules.yaml", &version(0));
    let service = world.start().await;
    for n in 1..=RELOADS {
        world.fail(&format!("Scan-{n:03}"));
        // At once: a file half written when it is read would be another rule set.
        world.write("rules/new", &version(n));
        std::fs::rename(world.home.path("rules/new"), world.home.path("rules/rules.yaml")).unwrap();
        if n.is_multiple_of(20) {
            // This one by the edit alone, where no reload under way has read it.
            hears(&service, RELOADED, service.log().matches(RELOADED).count() + 1).await;
        } else {
            hang_up(&service);
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    hears(&service, RELOADED, 20).await;
    until("each job is judged", || {
        let alerts = world.home.json(&["alerts", "--limit", "10000", "--format", "json"]);
        let judged = alerts.as_array().unwrap().iter().filter(|alert| alert["rule"].as_str().unwrap().starts_with('c')).count();
        judged >= RELOADS
    })
    .await;
    let alerts = world.home.json(&["alerts", "--limit", "10000", "--format", "json"]);
    let mut by_job: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    let mut versions: BTreeMap<&str, &str> = BTreeMap::new();
    for alert in alerts.as_array().unwrap() {
        let (rule, k) = alert["rule"].as_str().unwrap().split_once('-').unwrap();
        by_job.entry(alert["job"]["id"].as_str().unwrap()).or_default().entry(k).or_default().push(rule);
        let by = alert["rules_version"].as_str().unwrap();
        assert_eq!(*versions.entry(k).or_insert(by), by, "the rules of one edit have one version, and an alert names its own");
    }
    let distinct: BTreeSet<&str> = versions.values().copied().collect();
    assert_eq!(distinct.len(), versions.len());
    assert!(versions.len() > 10, "{} rule sets came to judge: no load to speak of", versions.len());
    assert_eq!(by_job.len(), RELOADS);
    for (job, judged) in &by_job {
        // Where the rules changed between the page and the past, the new ones judge it as a whole beside the old ones.
        let whole = judged.values().filter(|rules| rules.iter().copied().collect::<BTreeSet<_>>() == BTreeSet::from(["a", "b", "c"]));
        assert!(whole.count() >= 1, "{job} was judged by {judged:?}");
        assert!(judged.values().all(|rules| rules.contains(&"a") && rules.contains(&"b") && rules.len() <= 3), "{job}: {judged:?}");
    }
    let count = alerts.as_array().unwrap().len();
    let taken = world.first.holds(count).await;
    let keys: HashSet<String> = taken.iter().map(|message| message.header("webhook-id")).collect();
    assert_eq!((taken.len(), keys.len()), (count, count));
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_enough_and_a_touch_is_none() {
    let world = World::new().await;
    let service = world.start().await;
    world.write("rules/rules.yaml", &rules("second"));
    hears(&service, RELOADED, 1).await;
    // Written again as it is, and others that no one reads.
    world.write("rules/rules.yaml", &rules("second"));
    world.write("rules/.rules.yaml.swp", "what an editor leaves");
    world.fail("Scan-1");
    world.second.holds(1).await;
    // Renamed over, as editors do.
    world.write("rules/new", &rules("first"));
    std::fs::rename(world.home.path("rules/new"), world.home.path("rules/rules.yaml")).unwrap();
    hears(&service, RELOADED, 2).await;
    world.fail("Scan-2");
    world.first.holds(1).await;
    assert_eq!(service.log().matches(RELOADED).count(), 2);
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_volume_and_a_new_secret_take_effect() {
    let world = World::new().await;
    let volume = |version: &str, notify: &str| {
        std::fs::create_dir(world.home.path(version)).unwrap();
        world.write(&format!("{version}/rules.yaml"), &rules(notify));
    };
    volume("..1", "first");
    volume("..2", "second");
    std::os::unix::fs::symlink("..1", world.home.path("..data")).unwrap();
    std::fs::remove_file(world.home.path("rules/rules.yaml")).unwrap();
    std::os::unix::fs::symlink("../..data/rules.yaml", world.home.path("rules/rules.yaml")).unwrap();
    world.write("url.txt", &world.first.url);
    world.write("jobrelay.yaml", &World::config(&world.upstream, &[("first", "${file:url.txt}"), ("second", "${file:url.txt}")]));
    let service = world.start().await;
    std::os::unix::fs::symlink("..2", world.home.path("..new")).unwrap();
    std::fs::rename(world.home.path("..new"), world.home.path("..data")).unwrap();
    std::fs::remove_dir_all(world.home.path("..1")).unwrap();
    hears(&service, RELOADED, 1).await;
    world.write("url.txt", &world.second.url);
    hears(&service, RELOADED, 2).await;
    world.fail("Scan-1");
    world.second.holds(1).await;
    assert!(world.first.taken().is_empty());
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_edit_is_told_with_its_place_and_so_is_its_end() {
    let world = World::new().await;
    let config = std::fs::read_to_string(world.home.path("jobrelay.yaml")).unwrap();
    world.write("jobrelay.yaml", &format!("{config}notices: {{ notify: [second] }}\n"));
    let service = world.start().await;
    world.write("rules/rules.yaml", &rules("pager"));
    let told = world.second.holds(1).await;
    assert!(told[0].body.contains("rules.yaml:2:") && told[0].body.contains("unknown channel `pager`"), "{}", told[0].body);
    assert_eq!(service.metric(METRIC).await, Some(0.0));
    world.fail("Scan-1");
    world.first.holds(1).await;
    world.write("rules/rules.yaml", &rules("first"));
    let told = world.second.holds(2).await;
    assert!(told[1].body.contains("in use again"), "{}", told[1].body);
    assert_eq!(service.metric(METRIC).await, Some(1.0));
    assert_eq!(service.stop().await, 0);
}

async fn ask(service: &Service, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(format!("http://{}/api/v1/reload", service.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_by_the_api_answers_once_it_is_in_use_or_refused() {
    let world = World::new().await;
    let service = world.start().await;
    let (status, before) = ask(&service, &[]).await;
    assert_eq!((status, &before["reloaded"]), (200, &json!(true)));
    world.write("rules/rules.yaml", &rules("second"));
    let (status, after) = ask(&service, &[]).await;
    assert_eq!(status, 200);
    assert_ne!(before["rules_version"], after["rules_version"]);
    world.fail("Scan-1");
    world.second.holds(1).await;
    let alerts = world.home.json(&["alerts", "--format", "json"]);
    assert_eq!(alerts[0]["rules_version"], after["rules_version"]);
    world.write("rules/rules.yaml", &rules("pager"));
    let (status, refused) = ask(&service, &[]).await;
    let fault = refused["faults"].as_array().unwrap().iter().find(|fault| fault["level"] == "error").unwrap();
    assert_eq!((status, &refused["reloaded"], &fault["line"]), (422, &json!(false), &json!(2)));
    assert!(fault["message"].as_str().unwrap().contains("pager"), "{refused}");
    // A page of any site can make a browser send this.
    assert_eq!(ask(&service, &[("origin", "https://evil.example")]).await.0, 403);
    assert_eq!(service.get("/api/v1/reload").await.0, 405);
    assert_eq!(service.stop().await, 0);

    let config = std::fs::read_to_string(world.home.path("jobrelay.yaml")).unwrap();
    world.write("jobrelay.yaml", &config.replace("listen: '127.0.0.1:0'", "listen: '127.0.0.1:0', token: canary-server-token"));
    world.write("rules/rules.yaml", &rules("first"));
    let service = world.start().await;
    assert_eq!(ask(&service, &[]).await.0, 401);
    let bearer = ("authorization", "Bearer canary-server-token");
    assert_eq!(ask(&service, &[bearer, ("origin", "https://ours.example")]).await.0, 200);
    assert_eq!(service.stop().await, 0);
}
