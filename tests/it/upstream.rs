//! The real program against a cloud that answers badly: docs/faults.md lists what must hold under each fault.

use std::{
    collections::HashSet,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{
    Home, SOON, Service,
    sink::{Answer, Sink},
    until,
    upstream::{Fault, Trouble, Upstream, job, now},
    wire::{Mode, Wire},
};

/// The ends that a test may tell of: failed, and in a state that no page of the vendor's names.
const RULES: &str = "rules: [{ name: bad-end, when: { state: [failed, 6] }, notify: [hook] }]\n";
/// Every program polls so often, the shortest that can be set.
const PERIOD: Duration = Duration::from_secs(5);

/// One program with as many sources as a test has faults.
struct World {
    hook: Sink,
    home: Home,
}

impl World {
    /// Sources by their part of the config, as [`Upstream::source`] writes it.
    async fn new(sources: &[String]) -> Self {
        let hook = Sink::start("").await;
        let config = format!(
            "sources:\n{}channels:\n  hook: {{ kind: webhook, url: '{}', rate: unlimited }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            sources.concat(),
            hook.url
        );
        Self { hook, home: Home::new(&config, RULES) }
    }

    /// Waits until the hook was told of just these, and polls went on for a while without any more.
    async fn told(&self, expected: &[&str], upstreams: &[&Upstream]) {
        let began = Instant::now();
        while !expected.iter().all(|id| self.ids().iter().any(|told| told == id)) {
            assert!(began.elapsed() < SOON, "the hook is to be told of {expected:?}, but was told of {:?}", self.ids());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        polled_again(upstreams.iter().copied()).await;
        let (mut told, mut expected) = (self.ids(), expected.to_vec());
        told.sort();
        expected.sort_unstable();
        assert_eq!(told, expected);
    }

    fn ids(&self) -> Vec<String> {
        self.hook.taken().iter().map(|message| message.json()["data"]["jobs"][0]["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Waits until each of them has been polled twice more.
async fn polled_again(upstreams: impl Iterator<Item = &Upstream>) {
    let targets: Vec<_> = upstreams.map(|upstream| (upstream, upstream.polls() + 2)).collect();
    until("each upstream is polled again", || targets.iter().all(|(upstream, polls)| upstream.polls() >= *polls)).await;
}

/// How many polls of a source ended so.
async fn polls(service: &Service, source: &str, outcome: &str) -> u64 {
    let series = format!("jobrelay_polls_total{{source=\"{source}\",outcome=\"{outcome}\"}}");
    service.metrics().await.lines().find_map(|line| line.strip_prefix(&series)?.trim().parse().ok()).unwrap_or_default()
}

async fn until_polled(service: &Service, source: &str, outcome: &str, times: u64) {
    let began = Instant::now();
    while polls(service, source, outcome).await < times {
        assert!(began.elapsed() < SOON, "{source} has not ended {times} polls as {outcome}:\n{}", service.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An upstream with a list of `count` old jobs, none of which ended well, and one that runs.
async fn with_history(count: i64) -> Upstream {
    let upstream = Upstream::start().await;
    let old = (0..count).map(|n| job(&format!("Old-{n}"), "scan sites", 3, 90_000 + n * 60, Some(89_000 + n * 60)));
    upstream.shelf.lock().unwrap().jobs.extend(old);
    upstream.put(job("Scan-long", "scan sites", 1, 300, None));
    upstream
}

/// Takes the place of the first answer for which `when` holds.
fn once(mut fault: impl FnMut() -> Fault + Send + 'static, when: impl Fn(usize) -> bool + Send + 'static) -> Trouble {
    let mut done = false;
    Box::new(move |query| {
        let skip = query.get("skip").map_or(0, |skip| skip.parse().unwrap());
        (!done && when(skip)).then(|| {
            done = true;
            fault()
        })
    })
}

fn fault(status: u16, body: &str) -> Fault {
    (status, Vec::new(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_refused_in_the_middle_of_a_sweep_is_renewed_once_for_the_same_page() {
    let upstream = with_history(450).await;
    upstream.shelf.lock().unwrap().trouble = Some(once(|| fault(401, ""), |skip| skip >= 200));
    let world = World::new(&[upstream.source("contoso")]).await;
    let service = world.home.start().await;
    until_polled(&service, "contoso", "complete", 1).await;
    assert_eq!(polls(&service, "contoso", "failed").await, 0);
    {
        let shelf = upstream.shelf.lock().unwrap();
        assert_eq!(shelf.tokens, 2);
        let at = shelf.asked.iter().position(|query| query["skip"].parse::<usize>().unwrap() >= 200).unwrap();
        assert_eq!(shelf.asked[at], shelf.asked[at + 1], "the same page again");
        assert_eq!(shelf.asked.iter().filter(|query| query["skip"] == "0" && query["top"] == "100").count(), 1, "no second head page");
    }
    upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    world.told(&["Scan-long"], &[&upstream]).await;
    assert_eq!(upstream.shelf.lock().unwrap().tokens, 2);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_is_down_costs_time_and_nothing_else() {
    let upstream = with_history(120).await;
    let down = || -> Fault { (503, Vec::new(), "<html>canary-client-secret</html>".to_owned()) };
    upstream.shelf.lock().unwrap().no_token = Some(down());
    let world = World::new(&[upstream.source("contoso")]).await;
    let service = world.home.start().await;
    until_polled(&service, "contoso", "failed", 2).await;
    {
        let mut shelf = upstream.shelf.lock().unwrap();
        assert!(shelf.asked.is_empty(), "no page is asked for without a token");
        assert!(shelf.tokens_asked <= 4, "{} requests for a token in two or three polls", shelf.tokens_asked);
        shelf.no_token = None;
    }
    until_polled(&service, "contoso", "complete", 1).await;
    {
        // The token runs out while there is no other to be had, and a scan ends meanwhile.
        let mut shelf = upstream.shelf.lock().unwrap();
        shelf.tokens += 1;
        shelf.no_token = Some(down());
    }
    upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    until_polled(&service, "contoso", "failed", 4).await;
    upstream.shelf.lock().unwrap().no_token = None;
    world.told(&["Scan-long"], &[&upstream]).await;
    assert!(!service.log().contains("canary"), "{}", service.log());
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_comes_before_the_time_that_was_asked_for() {
    const WAIT: i64 = 12;
    let (seconds, date, rubbish) = (with_history(20).await, with_history(20).await, with_history(20).await);
    let all = [("seconds", &seconds), ("date", &date), ("rubbish", &rubbish)];
    let world = World::new(&all.map(|(name, upstream)| upstream.source(name))).await;
    let service = world.home.start().await;
    for (name, _) in all {
        until_polled(&service, name, "complete", 1).await;
    }
    let retry_after = |value: String| -> Fault { (429, vec![("retry-after", value)], "slow down".to_owned()) };
    seconds.shelf.lock().unwrap().trouble = Some(once(move || retry_after(WAIT.to_string()), |_| true));
    rubbish.shelf.lock().unwrap().trouble = Some(once(move || retry_after("when we are done".into()), |_| true));
    let in_a_while = || httpdate::fmt_http_date(std::time::SystemTime::from(now()) + Duration::from_secs(WAIT.unsigned_abs()));
    date.shelf.lock().unwrap().trouble = Some(once(move || retry_after(in_a_while()), |_| true));
    for (_, upstream) in all {
        upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    }
    for (name, upstream) in all {
        until_polled(&service, name, "failed", 1).await;
        until_polled(&service, name, "complete", polls(&service, name, "complete").await + 1).await;
        let shelf = upstream.shelf.lock().unwrap();
        let refused = shelf.troubled_at[0];
        let next = shelf.asked_at.iter().find(|at| **at > refused).unwrap();
        // A date tells whole seconds only.
        let least = match name {
            "seconds" => Duration::from_secs(WAIT.unsigned_abs()),
            "date" => Duration::from_secs(WAIT.unsigned_abs() - 1),
            _ => PERIOD * 9 / 10,
        };
        assert!(*next - refused >= least, "{name}: the next request came after {:?}", *next - refused);
    }
    until("each is told after all", || world.ids() == ["Scan-long"; 3]).await;
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_takes_the_place_of_a_page_is_no_page_and_the_list_is_read_after_all() {
    let html = "<!doctype html><html><body>We'll be back soon.</body></html>";
    let whole = json!({ "jobs": [job("Cut-1", "scan sites", 3, 60, Some(1))], "nextLink": null, "totalCount": 1 }).to_string();
    let answers = [
        ("broken", fault(500, html)),
        ("gateway", fault(502, html)),
        ("sign-in", fault(200, html)),
        ("empty-object", fault(200, "{}")),
        ("null-jobs", fault(200, r#"{"jobs":null,"nextLink":null,"totalCount":0}"#)),
        ("cut", fault(200, &whole[..whole.len() - 1])),
        ("empty", fault(200, "")),
        ("nothing", fault(204, "")),
        ("bare-list", fault(200, "[]")),
        ("away", (302, vec![("location", "/aos/other".to_owned())], String::new())),
    ];
    let mut upstreams = Vec::new();
    for (name, answer) in answers {
        let upstream = with_history(150).await;
        // Once in place of the head page, and once in the middle of the sweep after it.
        let (first, again) = (answer.clone(), answer);
        let (mut head, mut middle) = (once(move || first.clone(), |_| true), once(move || again.clone(), |skip| skip > 50));
        upstream.shelf.lock().unwrap().trouble = Some(Box::new(move |query| head(query).or_else(|| middle(query))));
        upstreams.push((name, upstream));
    }
    let world = World::new(&upstreams.iter().map(|(name, upstream)| upstream.source(name)).collect::<Vec<_>>()).await;
    let service = world.home.start().await;
    for (name, upstream) in &upstreams {
        until_polled(&service, name, "complete", 1).await;
        assert_eq!(polls(&service, name, "failed").await, 1, "{name}: the page in the middle is asked for again in the same sweep");
        assert_eq!(upstream.shelf.lock().unwrap().troubled_at.len(), 2, "{name}");
        upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    }
    until("each source's job is told", || world.ids().len() >= upstreams.len()).await;
    polled_again(upstreams.iter().map(|(_, upstream)| upstream)).await;
    assert_eq!(world.ids(), vec!["Scan-long"; upstreams.len()], "and no other");
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_a_byte_a_second_end_at_the_deadline_and_hold_up_no_other_source() {
    let (silent, slow, well) = (with_history(120).await, with_history(120).await, with_history(120).await);
    let hole = Wire::start(&silent.url, Mode::Hole).await;
    let drip = Wire::start(&slow.url, Mode::Drip).await;
    let sources = [
        silent.source("hole").replace(&format!("base_url: {}", silent.url), &format!("base_url: {}", hole.url)),
        slow.source("drip").replace(&format!("base_url: {}", slow.url), &format!("base_url: {}", drip.url)),
        well.source("well"),
    ];
    let world = World::new(&sources).await;
    let service = world.home.start().await;
    let began = Instant::now();
    until_polled(&service, "well", "complete", 1).await;
    well.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    world.hook.holds(1).await;
    assert!(began.elapsed() < Duration::from_secs(25), "the source that is well waits for the others");
    for name in ["hole", "drip"] {
        until_polled(&service, name, "failed", 1).await;
    }
    let took = began.elapsed();
    assert!((29..55).contains(&took.as_secs()), "the deadline of a page is 30 s, but it took {took:?}");
    assert!(service.log().contains("did not answer within 30s"), "{}", service.log());
    for (wire, upstream, name) in [(&hole, &silent, "hole"), (&drip, &slow, "drip")] {
        wire.set(Mode::Forward);
        until_polled(&service, name, "complete", 1).await;
        upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    }
    until("the other two are told of too", || world.ids() == ["Scan-long"; 3]).await;
    service.kill().await;
}

/// The most memory a process has had, in MiB.
fn most_memory(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_takes_more_memory_than_the_machine_has_to_spare() {
    // 400 MiB of a page, deflated to half a megabyte.
    let bomb =
        Command::new("sh").args(["-c", "{ printf '{\"jobs\":['; head -c 400M /dev/zero | tr '\\0' ' '; } | gzip -1"]).output().unwrap();
    assert!(bomb.status.success() && bomb.stdout.len() < 8 << 20);
    let mut gzip = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n".to_vec();
    gzip.extend(bomb.stdout);
    let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n{{}}", "x-a: b\r\n".repeat(1_000_000)).into_bytes();
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{\"jobs\":[".to_vec();
    let modes = [
        ("gzip", Mode::Bytes(gzip)),
        ("headers", Mode::Bytes(headers)),
        ("announced", Mode::Bytes(announced)),
        ("endless", Mode::Endless(b"HTTP/1.1 200 OK\r\n\r\n{\"jobs\":[".to_vec())),
    ];
    let (mut sources, mut wires) = (Vec::new(), Vec::new());
    for (name, mode) in modes {
        let upstream = with_history(3).await;
        let wire = Wire::start(&upstream.url, mode).await;
        sources.push(upstream.source(name).replace(&format!("base_url: {}", upstream.url), &format!("base_url: {}", wire.url)));
        wires.push((name, upstream, wire));
    }
    let world = World::new(&sources).await;
    let service = world.home.start().await;
    for (name, ..) in &wires {
        until_polled(&service, name, "failed", 2).await;
        assert_eq!(polls(&service, name, "complete").await, 0, "{name}");
    }
    let most = most_memory(&service);
    println!("{most} MiB at most");
    assert!(most < 200, "{most} MiB");
    for (name, upstream, wire) in &wires {
        wire.set(Mode::Forward);
        until_polled(&service, name, "complete", 1).await;
        upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    }
    until("each is told after all", || world.ids() == ["Scan-long"; 4]).await;
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_goes_to_where_a_redirect_or_a_link_leads() {
    let elsewhere = Sink::start("").await;
    let to_elsewhere = |status| -> Fault { (status, vec![("location", elsewhere.url.clone())], String::new()) };
    let links = [
        ("no-link", Value::Null),
        ("empty", json!("")),
        ("relative", json!("/jobs?skip=1")),
        ("query", json!("?skip=100&top=100")),
        ("opaque", json!("1231")),
        ("number", json!(7)),
        ("looping", json!("/aos/jobs?top=100&skip=0")),
        ("foreign", json!(elsewhere.url)),
        ("user", json!(elsewhere.url.replace("http://", "http://127.0.0.1@"))),
        ("scheme", json!("file:///etc/passwd")),
    ];
    let mut upstreams = Vec::new();
    for (at, (name, link)) in links.into_iter().enumerate() {
        let upstream = with_history(250).await;
        {
            let mut shelf = upstream.shelf.lock().unwrap();
            shelf.next_link = Some(link);
            shelf.total_count = Some(json!([0, -1, 2_000_000, 1][at % 4]));
        }
        upstreams.push((name, upstream));
    }
    let (jobs, tokens) = (with_history(3).await, with_history(3).await);
    jobs.shelf.lock().unwrap().faults = (0..9).map(|at| to_elsewhere([301, 302, 303, 307, 308][at % 5])).collect();
    tokens.shelf.lock().unwrap().no_token = Some(to_elsewhere(307));
    let mut sources: Vec<String> = upstreams.iter().map(|(name, upstream)| upstream.source(name)).collect();
    sources.extend([jobs.source("redirected"), tokens.source("redirected-token")]);
    let world = World::new(&sources).await;
    world.hook.next([Answer { headers: vec![("location", elsewhere.url.clone())], ..Answer::new(302, "") }]);
    let service = world.home.start().await;
    for (name, upstream) in &upstreams {
        until_polled(&service, name, "complete", 1).await;
        let met: HashSet<usize> =
            upstream.shelf.lock().unwrap().asked.iter().map(|query| query["skip"].parse::<usize>().unwrap() / 100).collect();
        assert!(met.contains(&2), "{name}: the list is read to its end");
    }
    upstreams[0].1.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    world.hook.holds(1).await;
    for name in ["redirected", "redirected-token"] {
        until_polled(&service, name, "failed", 2).await;
    }
    assert!(elsewhere.taken().is_empty(), "{:?}", elsewhere.taken());
    assert!(service.log().contains("redirects are not followed"));
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_takes_no_skip_is_said_to_be_read_in_part_and_what_is_seen_is_told() {
    let upstream = with_history(250).await;
    {
        let mut shelf = upstream.shelf.lock().unwrap();
        shelf.ignores_skip = true;
        shelf.next_link = Some(Value::Null);
    }
    let world = World::new(&[upstream.source("contoso")]).await;
    let service = world.home.start().await;
    until_polled(&service, "contoso", "incomplete", 1).await;
    assert!(upstream.polls() < 10, "{} pages for one sweep", upstream.polls());
    assert!(service.log().contains("takes no `skip`"), "{}", service.log());
    upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    world.told(&["Scan-long"], &[&upstream]).await;
    assert_eq!(polls(&service, "contoso", "complete").await, 0);
    // Mended, it is read whole, and nothing of the old is taken for new.
    upstream.shelf.lock().unwrap().ignores_skip = false;
    until_polled(&service, "contoso", "complete", 1).await;
    world.told(&["Scan-long"], &[&upstream]).await;
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_as_bad_as_they_come_cost_only_themselves() {
    let upstream = with_history(20).await;
    let world = World::new(&[upstream.source("contoso")]).await;
    let service = world.home.start().await;
    until_polled(&service, "contoso", "complete", 1).await;
    let with = |id: &str, changes: Value| {
        let mut row = job(id, "scan sites", 3, 60, Some(0));
        for (key, value) in changes.as_object().unwrap() {
            row[key] = value.clone();
        }
        row
    };
    let fields: serde_json::Map<String, Value> = (0..200).map(|n| (format!("new{n}"), json!({ "deep": [n, null, "é"] }))).collect();
    let mut deep = Value::Null;
    for _ in 0..100 {
        deep = json!([deep]);
    }
    upstream.shelf.lock().unwrap().jobs.extend([
        with("Good", json!({})),
        with("Six-ended", json!({ "state": 6 })),
        with("Six-open", json!({ "state": 6, "finishTime": null })),
        with("New-fields", Value::Object(fields)),
        with("Odd-values", json!({ "type": "x", "category": [], "scanProfileName": null, "extension": deep })),
        with("Long-name", json!({ "scanProfileName": "x".repeat(1 << 20) })),
        with("Ünï-😀", json!({ "scanProfileName": "a\u{0}b\u{202e}\r\n<!channel>" })),
        with(&"y".repeat(1 << 20), json!({})),
        with("Nul\u{0}", json!({})),
        with("No-state", json!({ "state": "failed" })),
        with("No-time", json!({ "startTime": "yesterday" })),
        json!({ "id": null, "startTime": null, "state": 3 }),
        json!(null),
        json!(17),
        json!([]),
    ]);
    // A rule that names an unheard-of state holds for it from the start; whether it is a final one, its end will tell.
    world.told(&["Good", "Six-ended", "Six-open", "New-fields", "Odd-values", "Long-name", "Ünï-😀"], &[&upstream]).await;
    let unreadable = service.metric("jobrelay_rows_unreadable_total{source=\"contoso\"}").await;
    assert_eq!(unreadable, Some(8.0), "each is counted once, however often it is met");
    assert_eq!(polls(&service, "contoso", "failed").await, 0);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_killed_again_and_again_tells_of_no_old_job_and_of_each_new_one() {
    let upstream = with_history(5_000).await;
    let world = World::new(&[upstream.source("contoso")]).await;
    let mut expected = vec!["Scan-long".to_owned()];
    let mut service = world.home.start().await;
    upstream.polled(1).await;
    for (at, pages) in [1, 4, 9, 17, 3, 26].into_iter().enumerate() {
        // What is new comes before, between and after the pages that make the baseline.
        let id = format!("New-{at}");
        upstream.put(job(&id, "scan sites", 3, 20, Some(0)));
        expected.push(id);
        upstream.polled(pages).await;
        service.kill().await;
        service = world.home.start().await;
    }
    upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    until_polled(&service, "contoso", "complete", 2).await;
    let mut told = Vec::new();
    until("all new ones are told", || {
        told = world.ids();
        told.sort();
        told.dedup();
        told.len() >= expected.len()
    })
    .await;
    expected.sort();
    assert_eq!(told, expected);
    service.kill().await;
}

fn signal(service: &Service, signal: &str) {
    assert!(Command::new("kill").args([signal, &service.pid().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_stood_still_for_a_while_goes_on_without_a_storm() {
    let upstream = with_history(20).await;
    let world = World::new(&[upstream.source("contoso")]).await;
    let service = world.home.start().await;
    until_polled(&service, "contoso", "complete", 1).await;
    signal(&service, "-STOP");
    upstream.put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    tokio::time::sleep(PERIOD * 3).await;
    let before = upstream.polls();
    signal(&service, "-CONT");
    world.hook.holds(1).await;
    tokio::time::sleep(PERIOD / 2).await;
    // Three polls were missed: one makes up for them. A sweep of such a list takes two pages, three with a probe.
    let pages = upstream.polls() - before;
    assert!((1..=6).contains(&pages), "{pages} pages at once");
    upstream.put(job("Scan-next", "scan sites", 3, 60, Some(0)));
    world.told(&["Scan-long", "Scan-next"], &[&upstream]).await;
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_open_files_are_enough_and_fewer_than_are_needed_are_borne() {
    let upstreams = [with_history(120).await, with_history(120).await];
    let world = World::new(&[upstreams[0].source("one"), upstreams[1].source("two")]).await;
    let limit = |service: &Service, files: u32| {
        let pid = service.pid().to_string();
        assert!(Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}:64")]).status().unwrap().success());
    };
    let service = world.home.start().await;
    limit(&service, 64);
    for name in ["one", "two"] {
        until_polled(&service, name, "complete", 1).await;
    }
    upstreams[0].put(job("Scan-long", "scan sites", 3, 300, Some(0)));
    world.hook.holds(1).await;
    // None left at all: whoever needs a new connection waits for better times.
    limit(&service, 3);
    upstreams[1].put(job("Scan-other", "scan sites", 3, 300, Some(0)));
    tokio::time::sleep(PERIOD * 2).await;
    limit(&service, 64);
    world.told(&["Scan-long", "Scan-other"], &[&upstreams[0], &upstreams[1]]).await;
    service.kill().await;
}
