//! What the program says of its own troubles: each told once, and once more when it is over, whatever lies between.

use std::fs;

use serde_json::{Value, json};

use crate::common::{
    Home, SOON, Service,
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

impl World {
    /// Alerts go to the second channel, notices to both.
    async fn new() -> Self {
        Self::with("").await
    }

    /// The same, with more said of the notices.
    async fn with(notices: &str) -> Self {
        let (upstream, first, second) = (Upstream::start().await, Sink::start("").await, Sink::start("").await);
        let config = format!(
            "{}channels:\n  first: {{ kind: webhook, url: '{}' }}\n  second: {{ kind: webhook, url: '{}' }}\n\
             notices: {{ notify: [first, second], {notices} }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            first.url,
            second.url
        );
        let rules = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    notify: [second]\n";
        Self { upstream, first, second, home: Home::new(&config, rules) }
    }

    fn deliveries(&self) -> Vec<Value> {
        self.home.json(&["deliveries", "--format", "json"]).as_array().unwrap().clone()
    }

    /// Waits until as many notices are on record as delivered: what is not may be sent again after a kill.
    async fn recorded(&self, count: usize) {
        let recorded = |one: &Value| one["kind"] == "notice" && one["outcome"] == "delivered";
        until(&format!("{count} notices are delivered"), || self.deliveries().iter().filter(|one| recorded(one)).count() >= count).await;
    }

    async fn refused(&self, more: usize) {
        let refused = || self.upstream.shelf.lock().unwrap().refused;
        let target = refused() + more;
        until("no token is handed out", || refused() >= target).await;
    }
}

/// The titles of the notices that a sink took, in order.
fn titles(sink: &Sink) -> Vec<String> {
    let bodies = sink.taken().into_iter().map(|taken| taken.json());
    bodies.filter(|body| body["type"] == "notice").map(|body| body["data"]["title"].as_str().unwrap().to_owned()).collect()
}

async fn troubles(service: &Service) -> Vec<String> {
    let (status, body) = service.get("/readyz").await;
    assert_eq!(status, 200, "trouble with a source or a channel leaves the program ready: {body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["troubles"].as_array().unwrap().iter().map(|trouble| trouble["topic"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_told_once_and_once_more_when_they_are_accepted() {
    const GAUGE: &str = "jobrelay_trouble{kind=\"credentials_refused\",name=\"contoso\"}";
    let world = World::new().await;
    world.upstream.shelf.lock().unwrap().refuses = true;
    let service = world.home.start().await;
    let told = world.first.holds(1).await[0].json();
    assert_eq!((&told["type"], &told["data"]["topic"]), (&json!("notice"), &json!("source contoso credentials refused")));
    assert_eq!((&told["data"]["over"], &told["data"]["severity"]), (&json!(false), &json!("critical")));
    assert!(told["data"]["text"].as_str().unwrap().contains("App registrations") && told["data"]["since"].is_string(), "{told}");
    assert!(!told.to_string().contains("canary"), "{told}");
    world.recorded(2).await;
    assert_eq!(troubles(&service).await, ["source contoso credentials refused"]);
    assert_eq!(service.metric(GAUGE).await, Some(1.0));
    service.kill().await;

    let service = world.home.start().await;
    world.refused(2).await;
    assert_eq!((titles(&world.first).len(), titles(&world.second).len()), (1, 1), "a restart tells nothing twice");

    // Where no one answers, no one accepts either.
    world.upstream.shelf.lock().unwrap().down = true;
    world.refused(2).await;
    assert_eq!(titles(&world.first).len(), 1);
    {
        let mut shelf = world.upstream.shelf.lock().unwrap();
        (shelf.down, shelf.refuses) = (false, false);
    }
    let over = world.first.holds(2).await[1].json();
    assert_eq!((&over["data"]["topic"], &over["data"]["over"]), (&told["data"]["topic"], &json!(true)));
    assert_eq!(over["data"]["since"], told["data"]["since"], "it lasted since before the restart");
    world.recorded(4).await;
    world.upstream.polled(1).await;
    for sink in [&world.first, &world.second] {
        assert_eq!(titles(sink), ["contoso refuses the credentials", "contoso accepts the credentials again"]);
    }
    assert_eq!(troubles(&service).await, [""; 0]);
    assert_eq!(service.metric(GAUGE).await, Some(0.0));

    // A notice is a delivery, but no alert.
    let one = &world.deliveries()[0];
    let facts = (&one["kind"], &one["rule"], &one["alerts"], &one["jobs"]);
    assert_eq!(facts, (&json!("notice"), &json!("source contoso credentials refused"), &json!(0), &json!([])));
    let metrics = service.metrics().await;
    for line in metrics.lines().filter(|line| line.starts_with("jobrelay_notifications") || line.starts_with("jobrelay_alerts_total")) {
        assert!(line.ends_with(" 0"), "{line}");
    }
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_refuses_is_told_of_elsewhere_and_so_is_its_end() {
    let world = World::new().await;
    world.second.always(Answer::new(404, "gone"));
    let service = world.home.start().await;
    world.upstream.polled(1).await;
    world.upstream.put(job("Scan-1", "scan sites", 3, 100, Some(0)));
    let told = world.first.holds(1).await[0].json();
    assert_eq!(told["data"]["title"], "The channel second refuses messages");
    assert!(told["data"]["text"].as_str().unwrap().contains("404"), "{told}");
    world.recorded(1).await;
    assert_eq!(troubles(&service).await, ["channel second refused"]);
    service.kill().await;

    let service = world.home.start().await;
    world.upstream.polled(2).await;
    assert_eq!(titles(&world.first).len(), 1, "a restart tells nothing twice, and that nothing is heard is no end");
    world.second.always(Answer::new(200, ""));
    let held = world.deliveries().into_iter().find(|one| one["channel"] == "second").unwrap();
    world.home.stdout(&["deliveries", "retry", &held["id"].to_string()]);
    world.first.holds(2).await;
    until("the end is told on both", || titles(&world.second).len() == 1).await;
    assert_eq!(titles(&world.first), ["The channel second refuses messages", "The channel second takes messages again"]);
    assert_eq!(titles(&world.second), ["The channel second takes messages again"], "it was not told of its own refusal");
    let alert = &world.second.taken()[1];
    assert_eq!(alert.json()["data"]["jobs"][0]["id"], "Scan-1", "what was held goes first");
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_was_down_before_the_start_is_told_of_once_it_fails_again() {
    let world = World::with("channel_down_after: 10m").await;
    world.second.always(Answer::new(503, "busy"));
    let service = world.home.start().await;
    world.upstream.polled(1).await;
    world.upstream.put(job("Scan-1", "scan sites", 3, 100, Some(0)));
    let file = rusqlite::Connection::open(world.home.path("jobrelay.db")).unwrap();
    let since = || file.query_row("SELECT since FROM line WHERE channel = 'second'", [], |row| row.get::<_, Option<i64>>(0)).ok().flatten();
    until("it is written down that it is down", || since().is_some()).await;
    service.kill().await;
    // As if it had gone on like this for a quarter of an hour.
    file.execute("UPDATE line SET since = since - 900000000 WHERE channel = 'second'", []).unwrap();
    let before = since();

    let service = world.home.start().await;
    assert_eq!(world.first.holds(1).await[0].json()["data"]["title"], "The channel second takes no messages");
    assert_eq!(since(), before);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_stays_down_is_told_of_elsewhere_and_gives_way_to_its_refusal() {
    const DOWN: &str = "The channel second takes no messages";
    const BACK: &str = "The channel second is back";
    let world = World::with("channel_down_after: 1s").await;
    world.second.always(Answer::new(503, "busy"));
    let service = world.home.start().await;
    world.upstream.polled(1).await;
    world.upstream.put(job("Scan-1", "scan sites", 3, 100, Some(0)));
    let told = world.first.holds(1).await[0].json();
    assert_eq!((&told["data"]["title"], &told["data"]["over"]), (&json!(DOWN), &json!(false)));
    assert!(told["data"]["text"].as_str().unwrap().contains("HTTP 503"), "{told}");
    assert_eq!(troubles(&service).await, ["channel second down"]);
    assert_eq!(service.metric("jobrelay_trouble{kind=\"channel_down\",name=\"second\"}").await, Some(1.0));
    world.recorded(1).await;
    service.kill().await;

    let asked = world.second.taken().len();
    let service = world.home.start().await;
    until("it is tried again", || world.second.taken().len() > asked).await;
    world.upstream.polled(2).await;
    assert_eq!(titles(&world.first), [DOWN], "a restart tells nothing twice");
    let retry = || {
        let held = world.deliveries().into_iter().find(|one| one["channel"] == "second" && one["outcome"] == "pending").unwrap();
        world.home.stdout(&["deliveries", "retry", &held["id"].to_string()]);
    };
    world.second.always(Answer::new(200, ""));
    retry();
    world.first.holds(2).await;
    until("the end is told on both", || titles(&world.second) == [BACK]).await;
    assert_eq!(titles(&world.first), [DOWN, BACK]);

    // Down, and then refusing: one trouble takes the other's place, and the end is that of the last.
    world.second.always(Answer::new(503, "busy"));
    world.upstream.put(job("Scan-2", "scan sites", 3, 200, Some(0)));
    world.first.holds(3).await;
    world.second.always(Answer::new(404, "gone"));
    retry();
    world.first.holds(4).await;
    assert_eq!(troubles(&service).await, ["channel second refused"]);
    world.second.always(Answer::new(200, ""));
    retry();
    world.first.holds(5).await;
    world.recorded(7).await;
    let refused = ["The channel second refuses messages", "The channel second takes messages again"];
    assert_eq!(titles(&world.first), [&[DOWN, BACK, DOWN][..], &refused[..]].concat());
    assert_eq!(titles(&world.second), [BACK, refused[1]]);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_can_not_be_read_are_told_once_and_when_there_are_none_any_more() {
    let world = World::new().await;
    let mut odd = job("Scan-odd", "scan sites", 3, 100, Some(0));
    odd["state"] = json!("what");
    world.upstream.put(odd.clone());
    let service = world.home.start().await;
    let told = world.first.holds(1).await[0].json();
    assert_eq!(told["data"]["title"], "Jobs of contoso can't be read");
    assert_eq!(told["data"]["severity"], "warning");
    odd["id"] = json!("Scan-odd-2");
    world.upstream.put(odd.clone());
    let both = async {
        while service.metric("jobrelay_rows_unreadable_total{source=\"contoso\"}").await != Some(2.0) {
            world.upstream.polled(1).await;
        }
    };
    tokio::time::timeout(SOON, both).await.expect("the other row is read too");
    world.recorded(2).await;
    assert_eq!(titles(&world.first).len(), 1);
    service.kill().await;

    // A start reads the whole list.
    world.upstream.shelf.lock().unwrap().jobs.clear();
    let service = world.home.start().await;
    world.first.holds(2).await;
    assert_eq!(titles(&world.first)[1], "All jobs of contoso can be read again");
    service.kill().await;
}

/// What `check` says of a folder, and whether it is content.
fn checked(home: &Home) -> (bool, String) {
    let output = home.run(&["check"]);
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_check_tries_notices_where_they_go() {
    let source = "sources:\n  contoso: { kind: aos_scan_jobs, region: us, client_id: a, client_secret: '${SECRET:-x}' }\n";
    let rules = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    notify: [hook]\n";
    let home = Home::new("", rules);
    let with = |body: &str, rest: &str| {
        let channel = format!("channels:\n  hook: {{ kind: webhook, url: 'https://hook.example/x', {body} }}\n");
        fs::write(home.path("jobrelay.yaml"), format!("{source}{channel}{rest}")).unwrap();
        checked(&home)
    };
    let notices = "notices: { notify: [hook] }\n";
    let (good, said) = with("timeout: 10s", notices);
    assert!(good && !said.contains("does not send them yet"), "{said}");
    // A body that knows of jobs alone is good for alerts, and not for notices.
    let of_jobs = "body: '{ \"run\": {{job.run}} }'";
    assert!(with(of_jobs, "").0, "{}", with(of_jobs, "").1);
    let (good, said) = with(of_jobs, notices);
    assert!(
        !good && said.contains("the channel `hook` can't put a notice that begins into words") && said.contains("{{#unless notice}}"),
        "{said}"
    );
    let of_both = "body: '{ \"run\": {{#if notice}}0{{else}}{{job.run}}{{/if}} }'";
    assert!(with(of_both, notices).0, "{}", with(of_both, notices).1);
    // The set is nobody's to ask for, and a user's file of it is checked like any other.
    let (good, said) = with("template: notice", notices);
    assert!(!good && said.contains("unknown template set `notice`"), "{said}");
    fs::create_dir_all(home.path("templates/notice")).unwrap();
    fs::write(home.path("templates/notice/webhook.json.hbs"), "{ \"text\": \"{{notice.titel}}\" }").unwrap();
    let (good, said) = with("timeout: 10s", notices);
    assert!(!good && said.contains("webhook.json.hbs:1:") && said.contains("did you mean `title`?"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_is_refused_is_told_once_and_once_more_when_the_config_is_in_use_again() {
    let world = World::new().await;
    let rules = world.home.path("rules/rules.yaml");
    let good = fs::read_to_string(&rules).unwrap();
    let reload = |service: &Service| {
        assert!(std::process::Command::new("kill").args(["-HUP", &service.pid().to_string()]).status().unwrap().success());
    };
    let service = world.home.start().await;
    world.upstream.polled(1).await;
    fs::write(&rules, good.replace("failed }", "faild }")).unwrap();
    reload(&service);
    let told = world.first.holds(1).await[0].json();
    assert_eq!((&told["data"]["topic"], &told["data"]["title"]), (&json!("reload refused"), &json!("The changed config is not in use")));
    let said = told["data"]["text"].as_str().unwrap();
    assert!(said.contains("rules.yaml:3:20: ") && said.contains("faild"), "{said}");
    assert_eq!(troubles(&service).await, ["reload refused"]);
    // Refused again, for another reason: it is told already.
    fs::write(&rules, good.replace("notify: [second]", "notify: [secnd]")).unwrap();
    reload(&service);
    until("it is refused again", || service.log().contains("secnd")).await;
    world.upstream.polled(2).await;
    assert_eq!((titles(&world.first).len(), titles(&world.second).len()), (1, 1));
    fs::write(&rules, &good).unwrap();
    reload(&service);
    world.first.holds(2).await;
    world.recorded(4).await;
    assert_eq!(titles(&world.first), ["The changed config is not in use", "The config is in use again"]);
    assert_eq!(troubles(&service).await, [""; 0]);
    // One that was mended before a restart is over with it.
    fs::write(&rules, "rules: [").unwrap();
    reload(&service);
    until("it is told on both", || titles(&world.first).len() == 3 && titles(&world.second).len() == 3).await;
    fs::write(&rules, &good).unwrap();
    world.recorded(6).await;
    service.kill().await;
    let service = world.home.start().await;
    world.first.holds(4).await;
    assert_eq!(titles(&world.first)[3], "The config is in use again");
    service.kill().await;
}
