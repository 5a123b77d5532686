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
        let rules = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    notify: [first, second]\n";
        Self::with_rules(extra, rules).await
    }

    async fn with_rules(extra: &str, rules: &str) -> Self {
        let (upstream, first, second) = (Upstream::start().await, Sink::start("").await, Sink::start("").await);
        let config = format!(
            "{}channels:\n  first: {{ kind: webhook, url: '{}' }}\n  second: {{ kind: webhook, url: '{}' {extra} }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            first.url,
            second.url
        );
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

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_a_thousand_ends_keeps_to_rate_and_limit_and_leaves_no_job_out() {
    const MANY: usize = 1_000;
    let rules = "rules:\n  - name: each\n    when: { state: failed }\n    notify: [second]\n  \
                 - name: some\n    when: { state: failed }\n    notify: [first]\n    limit: 2 per 1s\n";
    let world = World::with_rules(", rate: 100 per 1s", rules).await;
    let service = world.start().await;
    world.upstream.shelf.lock().unwrap().jobs.extend((0..MANY).map(|n| job(&format!("Scan-{n:04}"), "scan sites", 3, 100, Some(0))));
    let taken = world.second.holds(MANY).await;
    for window in taken.windows(101) {
        assert!(window[100].at - window[0].at >= Duration::from_millis(980), "{:?}", window[100].at - window[0].at);
    }
    let ids: std::collections::BTreeSet<String> =
        taken.iter().map(|message| message.json()["data"]["jobs"][0]["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), taken.len()), (MANY, MANY));
    // Those that the limit held back are named in roll-ups, or counted in them.
    let told = || -> usize {
        let bodies = world.first.taken().into_iter().map(|message| message.json());
        bodies.map(|body| usize::try_from(body["data"]["count"].as_u64().unwrap()).unwrap()).sum()
    };
    crate::common::until("all are told of", || told() == MANY).await;
    assert!(world.first.taken().len() < 50, "{} messages", world.first.taken().len());
    for body in world.first.taken().into_iter().map(|message| message.json()) {
        let named = body["data"]["jobs"].as_array().unwrap().len() as u64;
        assert_eq!(named + body["data"]["left_out"].as_u64().unwrap(), body["data"]["count"].as_u64().unwrap());
    }
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_goes_to_the_fallback_once_and_says_so() {
    let world = World::new(", give_up_after: 6s, fallback: first").await;
    world.second.always(Answer::new(503, "closed for today"));
    let service = world.start().await;
    for n in 0..3 {
        world.fail(&format!("Scan-{n}"));
    }
    // Three of its own, and three that the other one could not deliver.
    let taken = world.first.holds(6).await;
    let instead: Vec<_> =
        taken.iter().map(crate::common::sink::Taken::json).filter(|body| !body["data"]["undelivered"].is_null()).collect();
    assert_eq!(instead.len(), 3, "{taken:?}");
    for (n, body) in instead.iter().enumerate() {
        assert_eq!(body["data"]["undelivered"], "Could not be delivered to second: given up after 6s: HTTP 503: closed for today");
        assert_eq!(body["data"]["jobs"][0]["id"], format!("Scan-{n}"), "in their order");
    }
    // Each had its time, but not each its attempts: there were no more than the first one's.
    assert!(world.second.taken().len() <= 5, "{}", world.second.taken().len());
    for (series, expected) in [
        ("jobrelay_notifications_total{channel=\"second\",outcome=\"dead\"}", Some(3.0)),
        ("jobrelay_notifications_total{channel=\"first\",outcome=\"delivered\"}", Some(3.0)),
        ("jobrelay_notifications_pending{channel=\"first\"}", Some(0.0)),
        ("jobrelay_notifications_pending{channel=\"second\"}", Some(0.0)),
    ] {
        assert_eq!(service.metric(series).await, expected, "{series}");
    }
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fallback_is_told_of_a_refused_channel_and_a_restart_tries_it_at_once() {
    let world = World::new(", fallback: first").await;
    world.second.always(Answer::new(404, "no_service"));
    let service = world.start().await;
    world.fail("Scan-1");
    world.fail("Scan-2");
    let notices = |sink: &Sink| {
        let told = sink.taken().into_iter().map(|one| one.json());
        told.filter(|body| body["type"] == "notice").map(|body| body["data"]["title"].clone()).collect::<Vec<_>>()
    };
    crate::common::until("the fallback is told", || notices(&world.first) == ["The channel second refuses messages"]).await;
    service.kill().await;
    let probes = world.second.taken().len();
    world.second.always(Answer::new(200, ""));
    let service = world.home.start().await;
    world.second.holds(probes + 2).await;
    crate::common::until("the fallback is told of the end", || notices(&world.first).len() == 2).await;
    assert_eq!(notices(&world.first)[1], "The channel second takes messages again");
    crate::common::until("nothing is left", || world.deliveries("second").iter().all(|d| d["outcome"] == "delivered")).await;
    assert_eq!(world.second.taken().len(), probes + 2);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_makes_no_burst() {
    let world = World::new(", rate: 5 per 1m").await;
    let service = world.start().await;
    world.fail("Scan-1");
    world.fail("Scan-2");
    world.second.holds(1).await;
    crate::common::until("it is on record", || world.deliveries("second").iter().any(|d| d["outcome"] == "delivered")).await;
    service.kill().await;
    let service = world.home.start().await;
    let taken = world.second.holds(2).await;
    assert!(taken[1].at - taken[0].at >= Duration::from_millis(11_900), "{:?}", taken[1].at - taken[0].at);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_together_and_is_alike_goes_out_as_one_message_over_a_restart() {
    let rules = "\
rules:
  - name: scan-failed
    when: { state: failed }
    notify: [first, second]
    group: { by: [source, profile], wait: 15s }
";
    let world = World::with_rules("", rules).await;
    let service = world.start().await;
    for (id, profile) in [("Scan-1", "sites"), ("Scan-2", "mail"), ("Scan-3", "sites")] {
        world.upstream.put(job(id, profile, 3, 100, Some(0)));
    }
    crate::common::until("all wait", || world.deliveries("first").len() == 3).await;
    assert_eq!(service.metric("jobrelay_notifications_pending{channel=\"first\"}").await, Some(3.0));
    service.kill().await;
    assert_eq!(world.first.taken().len(), 0);
    let service = world.home.start().await;
    for sink in [&world.first, &world.second] {
        let mut bodies: Vec<_> = sink.holds(2).await.iter().map(crate::common::sink::Taken::json).collect();
        bodies.sort_by_key(|body| body["data"]["count"].as_i64());
        let ids =
            |body: &serde_json::Value| body["data"]["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect::<Vec<_>>();
        assert_eq!((ids(&bodies[0]), ids(&bodies[1])), (vec!["Scan-2".into()], vec!["Scan-1".into(), "Scan-3".into()]));
        assert!(bodies.iter().all(|body| body["type"] == "job.alert"), "{bodies:?}");
    }
    crate::common::until("all is recorded", || world.deliveries("second").iter().all(|d| d["outcome"] == "delivered")).await;
    assert_eq!(service.metric("jobrelay_notifications_total{channel=\"second\",outcome=\"delivered\"}").await, Some(3.0));
    assert_eq!(service.metric("jobrelay_notifications_pending{channel=\"second\"}").await, Some(0.0));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_a_rules_limit_a_group_is_one_message() {
    let rules = "\
rules:
  - name: scan-failed
    when: { state: failed }
    notify: [first]
    limit: 1 per 20s
    group: { by: [profile], wait: 1s }
";
    let world = World::with_rules("", rules).await;
    let service = world.start().await;
    for n in 0..6 {
        world.upstream.put(job(&format!("Scan-{n}"), &format!("profile {}", n % 3), 3, 100, Some(0)));
    }
    let taken = world.first.holds(2).await;
    let (group, roll_up) = (taken[0].json(), taken[1].json());
    assert_eq!((&group["type"], &group["data"]["count"]), (&"job.alert".into(), &2.into()));
    assert_eq!((&roll_up["type"], &roll_up["data"]["count"]), (&"job.roll_up".into(), &4.into()));
    assert!(taken[1].at - taken[0].at >= Duration::from_millis(18_500));
    crate::common::until("all is recorded", || world.deliveries("first").iter().all(|d| d["outcome"] != "pending")).await;
    for (ending, count) in [("delivered", 2.0), ("rolled_up", 4.0)] {
        let series = format!("jobrelay_notifications_total{{channel=\"first\",outcome=\"{ending}\"}}");
        assert_eq!(service.metric(&series).await, Some(count), "{ending}");
    }
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_the_users_own_that_are_refused_cost_no_alert() {
    let world = World::new("").await;
    std::fs::create_dir_all(world.home.path("templates/alert")).unwrap();
    std::fs::write(world.home.path("templates/alert/webhook.json.hbs"), "{ \"mine\": \"{{job.id}}\" }").unwrap();
    world.second.next([Answer::new(400, "no such field: mine")]);
    let service = world.start().await;
    world.fail("Scan-1");
    let taken = world.second.holds(2).await;
    assert_eq!(taken[0].json(), serde_json::json!({ "mine": "Scan-1" }));
    let built_in = taken[1].json();
    assert_eq!(built_in["data"]["jobs"][0]["id"], "Scan-1");
    assert!(built_in["data"]["trouble"].as_str().unwrap().contains("no such field: mine"), "{built_in}");
    assert_eq!(taken[0].header("webhook-id"), taken[1].header("webhook-id"));
    crate::common::until("it is delivered", || world.deliveries("second")[0]["outcome"] == "delivered").await;
    assert_eq!(world.first.holds(1).await[0].json()["mine"], "Scan-1");
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_the_users_own_that_would_take_days_or_fill_the_memory_cost_no_alert() {
    let thrice = "{{#each job.extension}}{{#each @root.job.extension}}{{#each @root.job.extension}}";
    let idle = format!("{{ \"mine\": \"{thrice}{{{{#if (eq @key 'none')}}}}x{{{{/if}}}}{{{{/each}}}}{{{{/each}}}}{{{{/each}}}}\" }}");
    let wordy = "{ \"mine\": \"{{#each job.extension}}{{#each @root.job.extension}}{{@key}}{{/each}}{{/each}}\" }";
    for (template, expected) in [(idle.as_str(), "the template takes "), (wordy, "more than 1048576 bytes")] {
        let world = World::new("").await;
        std::fs::create_dir_all(world.home.path("templates/alert")).unwrap();
        std::fs::write(world.home.path("templates/alert/webhook.json.hbs"), template).unwrap();
        let service = world.start().await;
        let mut scan = job("Scan-1", "scan sites", 3, 100, Some(0));
        scan["extension"] = (0..3_000).map(|n| (format!("k{n}"), serde_json::json!(n))).collect();
        world.upstream.put(scan);
        let built_in = world.second.holds(1).await[0].json();
        assert_eq!(built_in["data"]["jobs"][0]["id"], "Scan-1");
        assert!(built_in["data"]["trouble"].as_str().unwrap().contains(expected), "{}", built_in["data"]["trouble"]);
        service.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_words_in_place_of_refused_ones_keep_to_the_rate() {
    let world = World::new(", rate: 1 per 2s").await;
    std::fs::create_dir_all(world.home.path("templates/alert")).unwrap();
    std::fs::write(world.home.path("templates/alert/webhook.json.hbs"), "{\"mine\": \"{{job.id}}\"}").unwrap();
    world.second.next([Answer::new(400, "not these words")]);
    let service = world.start().await;
    world.fail("Scan-1");
    let taken = world.second.holds(2).await;
    assert_eq!(taken[1].json()["data"]["jobs"][0]["id"], "Scan-1");
    assert!(taken[1].at - taken[0].at >= Duration::from_secs(2), "{:?}", taken[1].at - taken[0].at);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_reload_is_a_stop() {
    let world = World::new("").await;
    let mut slow = Answer::new(200, "");
    slow.delay = Duration::from_secs(6);
    world.second.always(slow);
    let service = world.start().await;
    world.fail("Scan-1");
    world.fail("Scan-2");
    world.second.holds(1).await;
    let pid = service.pid().to_string();
    let signal = |name: &str| assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    signal("-HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal("-TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(service.get("/readyz").await.0, 503);
    assert_eq!(service.stop().await, 0);
    assert_eq!(world.second.taken().len(), 1, "no other send was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_as_the_program_died_counts_in_the_pace_of_the_next() {
    let world = World::new(", rate: 12 per 1m").await;
    let mut slow = Answer::new(200, "");
    slow.delay = Duration::from_secs(60);
    world.second.next([slow]);
    let service = world.start().await;
    world.fail("Scan-1");
    world.second.holds(1).await;
    service.kill().await;
    let service = world.home.start().await;
    let taken = world.second.holds(2).await;
    assert!(taken[1].at - taken[0].at >= Duration::from_millis(4_900), "{:?}", taken[1].at - taken[0].at);
    service.kill().await;
}
