//! The API, over HTTP, of the real program: what it lists, what it does, and whom it refuses.

mod gate;
mod page;

use std::collections::BTreeSet;

use jobrelay::server::{ENDPOINTS, LIMIT_MOST};
use serde_json::{Value, json};

use crate::common::{
    Home, Service,
    sink::{Answer, Sink},
    until,
    upstream::{Upstream, job},
};

const RULES: &str = "\
rules:
  - name: scan-failed
    description: A scan failed, or finished with exceptions.
    when: { state: [failed, finished_with_exception] }
    severity: critical
    notify: [oncall, ticketing]
    labels: { runbook: 'https://wiki.contoso.example/scan-failed' }
  - { name: slow-scan, when: { state: finished, duration: '> 1h' }, notify: [ticketing] }
  - { name: at-rest, when: { state: stopped }, severity: info, notify: [oncall], enabled: false }
  - { name: nightly-missing, missing: { profile: 'nightly *', every: 24h }, notify: [ticketing] }
";

/// Everything around one program.
struct World {
    upstream: Upstream,
    oncall: Sink,
    ticketing: Sink,
    home: Home,
}

impl World {
    async fn new() -> Self {
        let (upstream, oncall, ticketing) = (Upstream::start().await, Sink::start("ok").await, Sink::start("").await);
        let config = format!(
            "{}channels:\n  oncall: {{ kind: slack, url: '{}', rate: unlimited }}\n  ticketing: {{ kind: webhook, url: '{}', rate: unlimited }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            oncall.url,
            ticketing.url
        );
        Self { upstream, oncall, ticketing, home: Home::new(&config, RULES) }
    }

    /// Starts the program, and has it meet these failed jobs.
    async fn start(&self, failed: usize) -> Service {
        let service = self.home.start().await;
        self.upstream.polled(1).await;
        for n in 0..failed {
            self.fail(n);
        }
        self.oncall.holds(failed).await;
        self.ticketing.holds(failed).await;
        service
    }

    fn fail(&self, n: usize) {
        let ago = i64::try_from(1_000 - n).unwrap();
        self.upstream.put(job(&format!("Scan-{n:03}"), &format!("scan sites {}", n % 3), 3, ago, Some(0)));
    }
}

impl Service {
    /// An answer of the API: its status, and its body, which is JSON whatever it says.
    async fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let request = reqwest::Client::new().request(method.parse().unwrap(), format!("http://{}{path}", self.address));
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(response.headers()["content-type"], "application/json", "{path}");
        (status, response.json().await.unwrap())
    }

    /// A list, which must be had.
    async fn list(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn items(&self, path: &str) -> Vec<Value> {
        self.list(path).await["items"].as_array().unwrap().clone()
    }
}

/// What an entry of a list is known by.
fn key(path: &str, item: &Value) -> String {
    if path.ends_with("jobs") { item["id"].as_str().unwrap().to_owned() } else { item["id"].to_string() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_read_page_by_page_holds_each_entry_once_whatever_comes_and_goes() {
    const LISTS: [&str; 3] = ["/api/v1/jobs", "/api/v1/alerts", "/api/v1/deliveries"];
    let world = World::new().await;
    let service = world.start(24).await;
    let mut there = Vec::new();
    let mut pages = Vec::new();
    for path in LISTS {
        let whole = service.items(path).await;
        assert!(whole.len() >= 24, "{path}: {}", whole.len());
        there.push(whole.iter().map(|item| key(path, item)).collect::<BTreeSet<String>>());
        pages.push(vec![service.list(&format!("{path}?limit=5&since=1d")).await]);
    }
    // From here on, new ones come at both ends of the list, and some of those known change.
    for n in 24..30 {
        world.fail(n);
    }
    world.upstream.put(job("Scan-old", "scan sites 0", 3, 50_000, Some(0)));
    world.ticketing.always(Answer::new(500, "later"));
    world.oncall.holds(31).await;
    let (mut rounds, mut open) = (0, true);
    while open {
        open = false;
        for (path, pages) in LISTS.iter().zip(&mut pages) {
            if let Some(next) = pages.last().unwrap()["next"].as_str() {
                // The filters are in the cursor, and may be said again; so is the limit, which may be another.
                let more = ["", "&since=1d", "&limit=9"][rounds % 3];
                pages.push(service.list(&format!("{path}?cursor={next}{more}")).await);
                open = true;
            }
        }
        world.fail(30 + rounds);
        rounds += 1;
    }
    assert!(rounds >= 4, "{rounds} rounds");
    for ((path, pages), there) in LISTS.iter().zip(&pages).zip(&there) {
        let seen: Vec<String> = pages.iter().flat_map(|page| page["items"].as_array().unwrap()).map(|item| key(path, item)).collect();
        let once: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(seen.len(), once.len(), "{path} holds an entry twice: {seen:?}");
        let missed: Vec<_> = there.difference(&once).collect();
        assert!(missed.is_empty(), "{path} misses {missed:?}");
        assert!(pages[0]["items"].as_array().unwrap().len() == 5 && pages.last().unwrap()["next"].is_null());
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_gives_what_the_command_gives() {
    let world = World::new().await;
    world.ticketing.next([Answer::new(400, "no such field")]);
    let service = world.start(6).await;
    world.upstream.put(job("Scan-long", "nightly Sites", 2, 9_000, Some(0)));
    world.upstream.put(job("Scan-runs", "nightly mail", 1, 50, None));
    world.ticketing.holds(7).await;
    until("all is settled", || world.home.json(&["deliveries", "--outcome", "pending", "--format", "json"]) == json!([])).await;
    let all = world.home.json(&["deliveries", "--limit", "1000", "--format", "json"]);
    let id = all[3]["id"].to_string();
    let tables: [(&str, usize, &[&str]); 16] = [
        ("jobs", 8, &[]),
        ("jobs", 6, &["state=failed"]),
        ("jobs", 1, &["state=1"]),
        ("jobs", 2, &["profile=NIGHTLY"]),
        ("jobs", 1, &["id=Scan-003"]),
        ("jobs", 8, &["source=contoso", "since=1d"]),
        ("jobs", 0, &["source=fabrikam"]),
        ("jobs", 0, &["since=2099-01-01T00:00:00Z"]),
        ("alerts", 7, &[]),
        ("alerts", 1, &["rule=slow-scan"]),
        ("alerts", 6, &["rule=scan-failed", "source=contoso", "since=1h"]),
        ("alerts", 1, &["job=Scan-002", "source=contoso"]),
        ("deliveries", 13, &[]),
        ("deliveries", 1, &["outcome=dead", "channel=ticketing"]),
        ("deliveries", 12, &["outcome=delivered", "since=1d"]),
        ("deliveries", 1, &["ID"]),
    ];
    for (list, count, filters) in tables {
        let filters: Vec<String> = filters.iter().map(|filter| filter.replace("ID", &format!("id={id}"))).collect();
        let options: Vec<String> = filters.iter().map(|filter| format!("--{filter}")).collect();
        let args = [vec![list, "--limit", "1000", "--format", "json"], options.iter().map(String::as_str).collect()].concat();
        let items = service.items(&format!("/api/v1/{list}?{}", filters.join("&"))).await;
        assert_eq!(items.len(), count, "{list} {filters:?}");
        assert_eq!(json!(items), world.home.json(&args), "{list} {filters:?}");
    }
    for (path, names) in [
        ("rules", vec!["at-rest", "nightly-missing", "scan-failed", "slow-scan"]),
        ("rules?enabled=false", vec!["at-rest"]),
        ("rules?kind=missing", vec!["nightly-missing"]),
        ("rules?severity=critical&channel=oncall", vec!["scan-failed"]),
        ("rules?name=SCAN", vec!["scan-failed", "slow-scan"]),
        ("channels?kind=slack", vec!["oncall"]),
        ("channels?standing=working", vec!["oncall", "ticketing"]),
        ("channels?standing=refused", vec![]),
        ("sources?kind=aos_scan_jobs&standing=ok", vec!["contoso"]),
        ("sources?name=fabri", vec![]),
    ] {
        let items = service.items(&format!("/api/v1/{path}")).await;
        let found: Vec<&str> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{path}");
    }
    // The short lists have pages, too.
    let first = service.list("/api/v1/rules?limit=3").await;
    let second = service.list(&format!("/api/v1/rules?cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!((&second["items"][0]["name"], &second["next"]), (&json!("slow-scan"), &Value::Null));
    assert_eq!(first["rules_version"], service.items("/api/v1/alerts?limit=1").await[0]["rules_version"]);
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_refused_in_words_that_help() {
    let world = World::new().await;
    let service = world.start(3).await;
    let of_alerts = service.list("/api/v1/alerts?limit=1&rule=scan-failed").await["next"].as_str().unwrap().to_owned();
    let most = format!("`limit` is `{}`: expected a number from 1 to {LIMIT_MOST}", LIMIT_MOST + 1);
    let table: Vec<(&str, String, u16, &str)> = vec![
        ("GET", "/api/v1/jobs?sorce=contoso".into(), 400, "/api/v1/jobs has no parameter `sorce`; did you mean `source`?"),
        ("GET", "/api/v1/jobs?offset=100".into(), 400, "it takes source, state, profile, id, since, limit, cursor"),
        ("GET", "/api/v1/jobs?state=finnished".into(), 400, "did you mean `finished`?"),
        ("GET", "/api/v1/jobs?state=failed&state=stopped".into(), 400, "`state` is given twice"),
        ("GET", "/api/v1/jobs?source=".into(), 400, "`source` is empty"),
        ("GET", "/api/v1/jobs?limit=0".into(), 400, "expected a number from 1 to"),
        ("GET", "/api/v1/jobs?limit=ten".into(), 400, "`limit` is `ten`"),
        ("GET", format!("/api/v1/jobs?limit={}", LIMIT_MOST + 1), 400, &most),
        (
            "GET",
            "/api/v1/alerts?since=yesterday".into(),
            400,
            "write one as 2026-01-31, 2026-01-31T08:00 or 2026-01-31T08:00:00Z; or so long ago, as in 24h or 7d",
        ),
        ("GET", "/api/v1/deliveries?outcome=daed".into(), 400, "did you mean `dead`?"),
        ("GET", "/api/v1/deliveries?id=x".into(), 400, "expected a delivery's number"),
        ("GET", "/api/v1/sources?standing=donw".into(), 400, "did you mean `down`?"),
        ("GET", "/api/v1/rules?enabled=yes".into(), 400, "expected true or false"),
        ("GET", "/api/v1/channels?kind=mail".into(), 400, "expected one of slack, teams, email, webhook"),
        ("GET", "/api/v1/jobs?cursor=AAAA".into(), 400, "give what an answer has as `next`, unchanged"),
        ("GET", format!("/api/v1/jobs?cursor={of_alerts}"), 400, "`cursor` is one of /api/v1/alerts, not of /api/v1/jobs"),
        ("GET", format!("/api/v1/alerts?rule=slow-scan&cursor={of_alerts}"), 400, "the cursor belongs to other filters"),
        ("GET", format!("/api/v1/alerts?source=contoso&cursor={of_alerts}"), 400, "the cursor belongs to other filters"),
        ("GET", format!("/api/v1/alerts?cursor={of_alerts}x"), 400, "`cursor` is not one of /api/v1/alerts"),
        ("GET", "/api/v1/job".into(), 404, "did you mean /api/v1/jobs?"),
        ("GET", "/nowhere".into(), 404, "there is no `/nowhere`; there are /healthz, /readyz, /metrics, /api/v1/sources"),
        ("POST", "/api/v1/jobs".into(), 405, "`/api/v1/jobs` takes GET, HEAD, not `POST`"),
        ("GET", "/api/v1/channels/oncall/test".into(), 405, "takes POST, not `GET`"),
        ("POST", "/metrics".into(), 405, "takes GET"),
        ("POST", "/api/v1/channels/oncal/test".into(), 404, "there is no channel `oncal`; did you mean `oncall`?"),
        (
            "POST",
            "/api/v1/channels/oncall/test?rule=scan-faild".into(),
            400,
            "there is no enabled rule `scan-faild`; did you mean `scan-failed`?",
        ),
        ("POST", "/api/v1/channels/oncall/test?job=Scan-x".into(), 400, "there is no job `Scan-x`"),
        ("POST", "/api/v1/channels/oncall/test?to=me".into(), 400, "it takes rule, job"),
        ("POST", "/api/v1/channels/%ff/test".into(), 400, "must be UTF-8"),
        ("POST", "/api/v1/deliveries/12345/retry".into(), 404, "there is no delivery `12345`"),
        ("POST", "/api/v1/deliveries/first/retry".into(), 404, "there is no delivery `first`"),
        ("POST", "/api/v1/deliveries/1/retry?dead=true".into(), 400, "it takes none"),
        ("POST", "/api/v1/reload?now=1".into(), 400, "it takes none"),
    ];
    for (method, path, status, words) in table {
        let (found, body) = service.ask(method, &path).await;
        assert_eq!(found, status, "{method} {path}: {body}");
        assert!(body["error"].as_str().unwrap().contains(words), "{method} {path}: {body}");
    }
    let response = reqwest::Client::new().delete(format!("http://{}/api/v1/reload", service.address)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"POST".parse().unwrap()));
    // A name that the config does not have may be one that the store has.
    let nothing = service.list("/api/v1/deliveries?channel=oncal").await;
    assert_eq!((&nothing["items"], nothing["hint"].as_str().unwrap()), (&json!([]), "there is no channel `oncal`; did you mean `oncall`?"));
    assert!(world.oncall.taken().len() == 3, "no sample went out");
    for endpoint in ENDPOINTS {
        let (status, body) = service.ask(endpoint.method, endpoint.path).await;
        assert!(status != 405 && !body.to_string().contains("there is no `/api/"), "{endpoint:?}: {status} {body}");
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_sent_again_and_nothing_else_is() {
    let world = World::new().await;
    world.ticketing.next([Answer::new(400, "no such field")]);
    let service = world.start(1).await;
    until("it is dead", || world.home.json(&["deliveries", "--outcome", "dead", "--format", "json"]) != json!([])).await;
    let dead = &service.items("/api/v1/deliveries?outcome=dead").await[0];
    assert!(dead["channel"] == "ticketing" && dead["answer"].as_str().unwrap().contains("no such field"), "{dead}");
    let retry = format!("/api/v1/deliveries/{}/retry", dead["id"]);
    let (status, accepted) = service.ask("POST", &retry).await;
    assert_eq!((status, &accepted["id"], &accepted["key"]), (202, &dead["id"], &dead["key"]), "{accepted}");
    let taken = world.ticketing.holds(2).await;
    assert_eq!(taken[0].header("webhook-id"), taken[1].header("webhook-id"));
    until("it is delivered", || {
        world.home.json(&["deliveries", "--outcome", "delivered", "--format", "json"]).as_array().unwrap().len() == 2
    })
    .await;
    let (status, body) = service.ask("POST", &retry).await;
    assert!(status == 409 && body["error"].as_str().unwrap().contains("it is delivered; only a dead letter"), "{status} {body}");
    let ticketing = &service.items("/api/v1/channels?name=ticketing").await[0];
    assert_eq!(
        (&ticketing["outcomes"]["dead"], &ticketing["outcomes"]["delivered"], &ticketing["pending"]),
        (&json!(0), &json!(1), &json!(0))
    );
    // A channel that the config no longer has sends nothing.
    world.ticketing.always(Answer::new(400, "again"));
    world.fail(1);
    world.oncall.holds(2).await;
    until("it is dead", || world.home.json(&["deliveries", "--outcome", "dead", "--format", "json"]) != json!([])).await;
    let id = service.items("/api/v1/deliveries?outcome=dead").await[0]["id"].clone();
    let config = std::fs::read_to_string(world.home.path("jobrelay.yaml")).unwrap();
    std::fs::write(world.home.path("rules/rules.yaml"), "rules: [{ name: any, when: { state: failed }, notify: [helpdesk] }]\n").unwrap();
    std::fs::write(world.home.path("jobrelay.yaml"), config.replace("ticketing:", "helpdesk:")).unwrap();
    assert_eq!(service.ask("POST", "/api/v1/reload").await.0, 200);
    let (status, body) = service.ask("POST", &format!("/api/v1/deliveries/{id}/retry")).await;
    assert!(status == 409 && body["error"].as_str().unwrap().contains("`ticketing` is not in the config any more"), "{status} {body}");
    assert_eq!(service.items("/api/v1/rules").await.len(), 1);
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_goes_out_says_what_the_channel_said_and_counts_for_nothing() {
    let world = World::new().await;
    let service = world.start(1).await;
    until("all is settled", || world.home.json(&["deliveries", "--outcome", "pending", "--format", "json"]) == json!([])).await;
    let sums = async |service: &Service| {
        let text = service.metrics().await;
        text.lines()
            .filter(|line| line.contains("notifications") || line.contains("delivery_attempts"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = sums(&service).await;
    let (status, said) = service.ask("POST", "/api/v1/channels/oncall/test").await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(
        said,
        json!({ "channel": "oncall", "delivered": true, "answers": [{ "to": null, "outcome": "delivered", "answer": "ok" }] })
    );
    let taken = world.oncall.holds(2).await;
    assert!(taken[1].body.contains("A test message: no scan has failed."), "{}", taken[1].body);
    world.ticketing.next([Answer::new(404, "gone")]);
    let (status, said) = service.ask("POST", "/api/v1/channels/ticketing/test?rule=slow-scan&job=Scan-000").await;
    let answer = &said["answers"][0];
    assert!(status == 200 && said["delivered"] == false && answer["outcome"] == "channel_refused", "{said}");
    assert!(answer["answer"].as_str().unwrap().contains("gone"), "{said}");
    let sample = world.ticketing.holds(2).await[1].json();
    assert!(sample.to_string().contains("slow-scan") && sample.to_string().contains("Scan-000"), "{sample}");
    let again = reqwest::Client::new().post(format!("http://{}/api/v1/channels/oncall/test", service.address)).send().await.unwrap();
    let wait: u64 = again.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(again.status() == 429 && (1..=10).contains(&wait), "{wait}");
    assert_eq!(sums(&service).await, before);
    assert_eq!(world.home.json(&["deliveries", "--format", "json"]).as_array().unwrap().len(), 2);
    assert_eq!((world.oncall.taken().len(), world.ticketing.taken().len()), (2, 2));
    // A refusal that met a sample alone holds nothing.
    assert_eq!(service.items("/api/v1/channels?standing=working").await.len(), 2);
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_and_channels_say_how_they_stand_and_why() {
    let (upstream, down, hook) = (Upstream::start().await, Upstream::start().await, Sink::start("").await);
    let (busy, other) = (Sink::start("").await, Sink::start("").await);
    let mut wait = Answer::new(429, "slow down");
    wait.headers.push(("retry-after", "600".into()));
    busy.always(wait);
    hook.always(Answer::new(410, "gone for good"));
    let config = |other: &str, url: &str| {
        format!(
            "{}{}channels:\n  refusing: {{ kind: webhook, url: '{}' }}\n  busy: {{ kind: slack, url: '{}' }}\n  {other}: {{ kind: webhook, url: '{url}', fallback: busy }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            down.source("fabrikam"),
            hook.url,
            busy.url,
        )
    };
    let rules = |other: &str| format!("rules: [{{ name: any, when: {{ state: failed }}, notify: [refusing, busy, {other}] }}]\n");
    let home = Home::new(&config("leaving", &other.url), &rules("leaving"));
    down.shelf.lock().unwrap().refuses = true;
    other.always(Answer::new(503, "no"));
    let service = home.start().await;
    upstream.polled(1).await;
    upstream.put(job("Scan-1", "scan sites", 3, 100, Some(0)));
    upstream.put(job("Scan-2", "scan sites", 1, 100, None));
    for sink in [&hook, &busy, &other] {
        sink.holds(1).await;
    }
    let stand = async |standing: &str| service.items(&format!("/api/v1/channels?standing={standing}")).await;
    while stand("refused").await.len() + stand("down").await.len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let refused = &stand("refused").await[0];
    assert_eq!((&refused["name"], &refused["pending"], &refused["kind"]), (&json!("refusing"), &json!(1), &json!("webhook")));
    assert!(refused["why"].as_str().unwrap().contains("gone for good"), "{refused}");
    assert!(refused["since"].is_string() && refused["next_try"].is_string(), "{refused}");
    let origin = hook.url.strip_suffix("/hook").unwrap();
    assert_eq!(refused["leads_to"], format!("{origin}/[secret]"));
    let busy_now = &service.items("/api/v1/channels?name=busy").await[0];
    assert_eq!((&busy_now["standing"], &busy_now["rate"]), (&json!("down"), &json!("1 per 1s")));
    // What the channel asked for binds whoever wants to try it.
    let (status, body) = service.ask("POST", "/api/v1/channels/busy/test").await;
    assert!(status == 429 && body["error"].as_str().unwrap().contains("asked to be left alone"), "{status} {body}");
    assert_eq!(busy.taken().len(), 1);

    let sources = service.items("/api/v1/sources").await;
    let [contoso, fabrikam] = &sources[..] else { panic!("{sources:?}") };
    assert_eq!((&contoso["standing"], &contoso["complete"], &contoso["poll_every"]), (&json!("ok"), &json!(true), &json!(5.0)));
    assert_eq!((&contoso["open_jobs"], &contoso["jobs"]), (&json!(1), &json!({ "failed": 1 })));
    assert!(contoso["last_success"].is_string() && contoso["next_poll"].is_string() && contoso["last_error"].is_null(), "{contoso}");
    assert_eq!(
        (&fabrikam["standing"], &fabrikam["last_success"], &fabrikam["complete"]),
        (&json!("credentials_refused"), &Value::Null, &json!(false))
    );
    let why = fabrikam["why"].as_str().unwrap();
    assert!(why.contains("credentials refused") && fabrikam["last_error"]["why"] == why && fabrikam["since"].is_string(), "{fabrikam}");

    std::fs::write(home.path("jobrelay.yaml"), config("staying", &other.url)).unwrap();
    std::fs::write(home.path("rules/rules.yaml"), rules("staying")).unwrap();
    assert_eq!(service.ask("POST", "/api/v1/reload").await.0, 200);
    let gone = &stand("gone").await[0];
    assert_eq!((&gone["name"], &gone["pending"], &gone["kind"]), (&json!("leaving"), &json!(1), &Value::Null));
    assert!(gone["since"].is_string() && gone["why"] == "1 alert waits" && gone["next_try"].is_null(), "{gone}");
    assert_eq!(service.items("/api/v1/channels?name=staying").await[0]["fallback"], "busy");
    assert_eq!(service.stop().await, 0);
}
