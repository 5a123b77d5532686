//! How messages fare when channels do not simply take them.

use std::time::Duration;

use crate::common::{
    Home, Service,
    sink::{Answer, Sink},
    upstream::{Upstream, job},
};

struct World {
    upstream: Upstream,
    first: Sink,
    second: Sink,
    home: Home,
}

impl World {
    async fn new(extra: &str) -> Self {
        let (upstream, first, second) = (Upstream::start().await, Sink::start("").await, Sink::start("").await);
        let config = format!(
            "{}channels:\n  first: {{ kind: webhook, url: '{}' }}\n  second: {{ kind: webhook, url: '{}' {extra} }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            first.url,
            second.url
        );
        let rules = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    notify: [first, second]\n";
        Self { upstream, first, second, home: Home::new(&config, rules) }
    }

    async fn start(&self) -> Service {
        let service = self.home.start().await;
        self.upstream.polled(1).await;
        service
    }

    fn fail(&self, id: &str) {
        self.upstream.put(job(id, "scan sites", 3, 100, Some(0)));
    }

    fn deliveries(&self, channel: &str) -> Vec<serde_json::Value> {
        self.home.json(&["deliveries", "--channel", channel, "--format", "json"]).as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_tried_again_not_before_it_was_asked_for_and_under_the_same_id() {
    let world = World::new("").await;
    let mut wait = Answer::new(429, "slow down");
    wait.headers.push(("retry-after", "8".into()));
    world.second.next([wait]);
    let service = world.start().await;
    world.fail("Scan-1");
    world.first.holds(1).await;
    let taken = world.second.holds(2).await;
    assert!(taken[1].at - taken[0].at >= Duration::from_secs(8), "{:?}", taken[1].at - taken[0].at);
    assert_eq!(taken[0].header("webhook-id"), taken[1].header("webhook-id"));
    assert!(!taken[0].header("webhook-id").is_empty());
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_a_dead_letter_with_its_answer_and_can_be_sent_again() {
    let world = World::new("").await;
    world.second.next([Answer::new(400, "no such field")]);
    let service = world.start().await;
    world.fail("Scan-1");
    crate::common::until("it is dead", || world.deliveries("second").iter().any(|d| d["outcome"] == "dead")).await;
    let dead = &world.deliveries("second")[0];
    assert!(dead["answer"].as_str().unwrap().contains("no such field"), "{dead}");
    assert_eq!(world.deliveries("first")[0]["outcome"], "delivered");
    assert_eq!(service.metric("jobrelay_notifications_total{channel=\"second\",outcome=\"dead\"}").await, Some(1.0));
    // The one behind it is not held up.
    world.fail("Scan-2");
    crate::common::until("the next is delivered", || world.deliveries("second")[0]["outcome"] == "delivered").await;
    world.home.stdout(&["deliveries", "retry", &dead["id"].to_string()]);
    crate::common::until("it is delivered after all", || world.deliveries("second").iter().all(|d| d["outcome"] == "delivered")).await;
    assert_eq!(service.metric("jobrelay_notifications_total{channel=\"second\",outcome=\"dead\"}").await, Some(0.0));
    assert_eq!(service.metric("jobrelay_notifications_total{channel=\"second\",outcome=\"delivered\"}").await, Some(2.0));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_channel_delays_no_other_and_a_stop_finishes_the_send_under_way() {
    let world = World::new("").await;
    let mut slow = Answer::new(200, "");
    slow.delay = Duration::from_secs(4);
    world.second.always(slow);
    let service = world.start().await;
    for n in 0..5 {
        world.fail(&format!("Scan-{n}"));
    }
    let quick = world.first.holds(5).await;
    let began = world.second.holds(1).await[0].at;
    assert!(quick[4].at < began + Duration::from_secs(3), "the quick channel waited for the slow one");
    assert_eq!(service.stop().await, 0);
    // The send that was under way when the stop came is on record, and is not sent again.
    let delivered = world.deliveries("second").iter().filter(|d| d["outcome"] == "delivered").count();
    assert_eq!(delivered, world.second.taken().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_channel_holds_what_is_for_it() {
    let world = World::new("").await;
    world.second.always(Answer::new(404, "gone"));
    let service = world.start().await;
    world.fail("Scan-1");
    world.fail("Scan-2");
    world.second.holds(1).await;
    world.first.holds(2).await;
    world.upstream.polled(2).await;
    assert_eq!(world.second.taken().len(), 1, "one probe, and nothing more for an hour");
    assert_eq!(service.metric("jobrelay_notifications_pending{channel=\"second\"}").await, Some(2.0));
    let held = world.deliveries("second");
    assert!(held.iter().all(|d| d["outcome"] == "pending"));
    // Someone mends it and does not want to wait for the next probe.
    world.second.always(Answer::new(200, ""));
    let id = held.iter().map(|d| d["id"].as_i64().unwrap()).min().unwrap();
    world.home.stdout(&["deliveries", "retry", &id.to_string()]);
    world.second.holds(3).await;
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_told_things_in_order_and_never_faster_than_its_rate() {
    let world = World::new(", rate: 5 per 1s").await;
    let service = world.start().await;
    for n in 0..20 {
        world.fail(&format!("Scan-{n:02}"));
    }
    let taken = world.second.holds(20).await;
    for window in taken.windows(6) {
        assert!(window[5].at - window[0].at >= Duration::from_millis(980), "{:?}", window[5].at - window[0].at);
    }
    let made: Vec<String> = world.deliveries("second").iter().rev().map(|d| d["key"].as_str().unwrap().to_owned()).collect();
    let came: Vec<String> = taken.iter().map(|message| message.header("webhook-id")).collect();
    assert_eq!(came, made);
    service.kill().await;
}
