//! A config that changes while the program runs: SIGHUP.

use std::{process::Command, time::Duration};

use serde_json::json;

use crate::common::{
    Home, Service,
    sink::{Answer, Sink},
    until,
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
async fn what_waits_for_a_channel_that_is_taken_out_stays_visible() {
    let world = World::new().await;
    world.first.always(Answer::new(503, "later"));
    let service = world.start().await;
    world.fail("Scan-1");
    world.first.holds(1).await;
    world.write("jobrelay.yaml", &World::config(&world.upstream, &[("second", &world.second.url)]));
    world.write("rules/rules.yaml", &rules("second"));
    hang_up(&service);
    hears(&service, RELOADED, 1).await;
    let held = world.home.json(&["deliveries", "--channel", "first", "--format", "json"]);
    assert_eq!((&held[0]["outcome"], &held[0]["jobs"]), (&json!("pending"), &json!(["Scan-1"])));
    assert_eq!(service.metric("jobrelay_notifications_pending{channel=\"first\"}").await, Some(1.0));
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_reloads_under_load_loses_nothing_and_repeats_nothing() {
    const JOBS: usize = 60;
    let world = World::new().await;
    let service = world.start().await;
    for n in 0..JOBS {
        world.fail(&format!("Scan-{n:02}"));
        hang_up(&service);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let taken = world.first.holds(JOBS).await;
    let keys: std::collections::HashSet<String> = taken.iter().map(|message| message.header("webhook-id")).collect();
    assert_eq!((taken.len(), keys.len()), (JOBS, JOBS));
    assert_eq!(service.stop().await, 0);
}
