//! `jobrelay explain`: the story of one job as the person on call reads it.

use serde_json::Value;

use crate::common::{
    Home, Service,
    sink::{Answer, Sink},
    text,
    upstream::{Upstream, job},
};

const RULES: &str = "\
rules:
  - name: scan-failed
    when: { state: [failed, finished_with_exception] }
    severity: critical
    notify: [oncall, broken]
  - name: slow
    when: { all: [{ state: finished }, { any: [{ duration: '> 1h' }, { profile: 'weekly *' }] }, { not: { category: google } }] }
    notify: [oncall]
  - name: stuck
    when: { state: running, duration: '> 1h' }
    notify: [oncall]
  - name: few
    when: { state: stopped }
    notify: [oncall]
    limit: 1 per 1d
  - name: grouped
    when: { state: skipped }
    notify: [oncall]
    group: { by: [profile], wait: 10m }
  - name: twice
    when: { state: failed, streak: '>= 2' }
    notify: [oncall]
  - name: resting
    when: { state: stopped }
    notify: [oncall]
    enabled: false
";

struct World {
    upstream: Upstream,
    oncall: Sink,
    broken: Sink,
    home: Home,
}

impl World {
    async fn new(rules: &str) -> Self {
        let (upstream, oncall, broken) = (Upstream::start().await, Sink::start("ok").await, Sink::start("ok").await);
        let config = format!(
            "{}channels:\n  oncall: {{ kind: webhook, url: '{}', rate: unlimited }}\n  broken: {{ kind: slack, url: '{}', rate: unlimited, fallback: spare }}\n  spare: {{ kind: webhook, url: '{}', rate: unlimited }}\nnotices: {{ notify: [oncall] }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
            upstream.config(),
            oncall.url,
            broken.url,
            oncall.url,
        );
        Self { upstream, oncall, broken, home: Home::new(&config, rules) }
    }

    async fn start(&self) -> Service {
        let service = self.home.start().await;
        self.upstream.polled(1).await;
        service
    }

    /// Puts jobs on the list, and waits until they are taken in.
    async fn put(&self, jobs: Vec<Value>) {
        // At once, so that one poll meets them all.
        self.upstream.shelf.lock().unwrap().jobs.extend(jobs);
        self.upstream.polled(2).await;
    }

    fn told(&self, args: &[&str]) -> String {
        self.home.stdout(&[&["explain"], args].concat())
    }

    fn json(&self, id: &str) -> Value {
        self.home.json(&["explain", id, "--format", "json"])
    }
}

#[track_caller]
fn holds(told: &str, expected: &[&str]) {
    for words in expected {
        assert!(told.contains(words), "`{words}` is not in:\n{told}");
    }
}

/// The verdict of one rule, in JSON.
fn rule<'a>(story: &'a Value, name: &str) -> &'a Value {
    story["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_and_each_channel_has_its_say() {
    let world = World::new(RULES).await;
    world.upstream.put(job("Scan-old", "nightly", 3, 9_000, Some(8_000)));
    world.upstream.put(job("Scan-run", "nightly", 1, 600, None));
    world.upstream.put(job("Scan-older", "looked back on", 3, 9_000, Some(8_900)));
    world.upstream.put(job("Scan-newer", "looked back on", 3, 9_000, Some(8_000)));
    let service = world.start().await;
    world.broken.always(Answer::new(404, "no_service"));
    world
        .put(vec![
            job("Scan-bad", "nightly \u{1b}[31m", 3, 600, Some(0)),
            job("Scan-good", "nightly", 2, 600, Some(0)),
            job("Scan-stop-1", "nightly", 10, 600, Some(0)),
            job("Scan-stop-2", "nightly", 10, 600, Some(-1)),
            job("Scan-skip", "nightly", 5, 600, Some(0)),
        ])
        .await;
    let refusal = || world.oncall.taken().iter().any(|message| message.body.contains("channel broken refused"));
    crate::common::until("the channel's refusal is told", refusal).await;

    let judged = || !world.told(&["Scan-good"]).contains("have yet to judge");
    crate::common::until("rules that look at the past have judged", judged).await;

    let bad = world.told(&["Scan-bad"]);
    let first = bad.lines().next().unwrap();
    assert!(first.starts_with("alerted: scan-failed; delivered to oncall "), "{first}");
    holds(first, &["; broken waits: the channel refuses every message since ", "HTTP 404: no_service; next "]);
    holds(&bad, &[" of scan-failed (critical), ", "the job was failed; sent at once", ", 1 attempt; its last answer: HTTP 200: ok"]);
    holds(&bad, &["yes state: found failed; wanted failed or finished_with_exception  <- decided", "; 1 more disabled)"]);
    holds(&bad, &["judged by rules of version ", "twice: silent: streak is 1"]);
    assert!(!bad.contains('\u{1b}'), "{bad:?}");
    let story = world.json("Scan-bad");
    let broken = &story["alerts"][0]["deliveries"][1];
    assert_eq!((&broken["outcome"], &broken["message"]["stage"]), (&"pending".into(), &"pending".into()));
    assert!(broken["waits"]["next"].is_string(), "{broken:#}");
    assert_eq!(rule(&story, "scan-failed")["verdict"], "alerted");

    let good = world.told(&["Scan-good"]);
    assert!(good.starts_with("no alert: none of 6 rules matches\n"), "{good}");
    holds(&good, &["slow: silent: any[0].duration is 10m; wanted > 1h; any[1].profile is nightly; wanted weekly *"]);
    let slow = world.told(&["Scan-good", "--rule", "slow"]);
    holds(&slow, &["yes state: found finished; wanted finished\n", "yes not.category: found microsoft_365; wanted anything but google\n"]);
    assert!(!slow.contains("scan-failed"), "{slow}");
    assert_eq!(rule(&world.json("Scan-good"), "slow")["conditions"].as_array().unwrap().len(), 4);

    let old = world.told(&["Scan-old"]);
    holds(&old, &["no alert: the job ended before ", "where the watch over this source begins", "scan-failed: matches, no alert: "]);
    holds(&world.told(&["Scan-newer"]), &["twice: matches, no alert: it would match, but the job is history", "streak: found 2"]);
    let run = world.told(&["Scan-run"]);
    holds(
        &run,
        &["no alert yet: the job has been running for 10m", "; 5 rules are judged when it ends\n", "stuck: silent: duration is 10m"],
    );

    holds(&world.told(&["Scan-stop-1"]), &["alerted: few; delivered to oncall "]);
    holds(
        &world.told(&["Scan-stop-2"]),
        &["alerted: few; oncall waits: held back by the rule's limit, 1 per 1d; it goes out in a roll-up; next 20"],
    );
    holds(&world.told(&["Scan-skip"]), &["alerted: grouped; oncall waits: gathered with alerts alike in [\"nightly\"]; next "]);

    // The same without a service; and what the rules have become since is told beside what they were.
    assert_eq!(service.stop().await, 0);
    assert_eq!(world.told(&["Scan-good"]), good);
    let edited = RULES
        .replace("failed, finished_with_exception", "finished")
        .replace("severity: critical", "severity: info")
        .replace("name: few", "name: some");
    std::fs::write(world.home.path("rules/rules.yaml"), edited).unwrap();
    let bad = world.told(&["Scan-bad"]);
    holds(&bad, &["would not alert on what it then saw, by its state", "its severity is info by now, and was critical"]);
    holds(&world.told(&["Scan-good"]), &["no alert: scan-failed would match as it stands now, yet made no alert"]);
    holds(&world.told(&["Scan-stop-1"]), &["the config has no enabled rule of this name any more", "some: matches, no alert"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_elsewhere_or_in_company_is_followed_there() {
    let rules = RULES.replace("wait: 10m", "wait: 1s");
    let world = World::new(&rules).await;
    let service = world.start().await;
    world.broken.always(Answer::new(400, "invalid_payload"));
    world
        .put(vec![
            job("Scan-a", "nightly", 3, 60, Some(0)),
            job("Scan-b", "weekly", 5, 60, Some(0)),
            job("Scan-c", "weekly", 5, 60, Some(0)),
        ])
        .await;
    let taken = || world.oncall.taken().iter().filter(|message| message.body.contains("Scan-")).count() >= 3;
    crate::common::until("the alert, the group and the fallback's message are sent", taken).await;
    assert_eq!(service.stop().await, 0);
    let dead = world.told(&["Scan-a"]);
    holds(&dead, &["NOT delivered to broken, given up ", ": HTTP 400: invalid_payload", "in its place: delivered to spare "]);
    let answer = dead.lines().next().unwrap_or_default();
    assert!(
        answer.contains("HTTP 400: invalid_payload; in its place: delivered to spare "),
        "the first line is the whole answer: {answer}"
    );
    assert_eq!(world.json("Scan-a")["alerts"][0]["deliveries"][1]["instead"][0]["message"]["channel"], "spare");
    let group = world.told(&["Scan-c"]);
    holds(&group, &["alerted: grouped; delivered to oncall in a group of 2 alerts ", "gathered with others of its group"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_that_is_meant_is_found_or_helped_to() {
    let world = World::new(RULES).await;
    let config = std::fs::read_to_string(world.home.path("jobrelay.yaml")).unwrap();
    let config = config.replace("channels:", &format!("{}channels:", world.upstream.source("fabrikam")));
    std::fs::write(world.home.path("jobrelay.yaml"), config).unwrap();
    world.upstream.put(job("Scan20240926055840723067", "nightly", 2, 600, Some(500)));
    let service = world.start().await;
    world.upstream.polled(3).await;
    let refused = |args: &[&str], expected: &[&str]| {
        let output = world.home.run(&[&["explain"], args].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        holds(&text(&output.stderr), expected);
    };
    refused(&["Scan20240926055840723067"], &["`contoso` and `fabrikam` each have a job", "--source"]);
    holds(&world.told(&["Scan20240926055840723067", "--source", "fabrikam"]), &["of the source fabrikam, run 1"]);
    refused(&["Scan20240926055840723067", "--source", "fabrikan"], &["did you mean `fabrikam`?"]);
    refused(&["scan20240926055840723067"], &["like it are Scan20240926055840723067 (of contoso)"]);
    refused(&["Scan2024092605584072306"], &["like it are Scan20240926055840723067"]);
    refused(&["Scan20240926055840723999"], &["like it are Scan20240926055840723067"]);
    refused(&["another"], &["there is no job `another` in the store; see `jobrelay jobs`"]);
    refused(&["Scan20240926055840723067", "--source", "contoso", "--rule", "scan-faild"], &["did you mean `scan-failed`?"]);
    // Whoever looks into the store beside the service has none of its environment.
    let path = world.home.path("jobrelay.yaml");
    let config = std::fs::read_to_string(&path).unwrap().replace("client_secret: ", "client_secret: ${NOT_SET_HERE} # ");
    assert!(config.contains("${NOT_SET_HERE}"));
    std::fs::write(path, config).unwrap();
    assert!(!world.home.run(&["check"]).status.success());
    holds(&world.told(&["Scan20240926055840723067", "--source", "fabrikam"]), &["of the source fabrikam, run 1"]);
    for list in [&["jobs"] as &[&str], &["alerts"], &["deliveries"], &["replay"]] {
        world.home.stdout(list);
    }
    // Nor have lists any use for the rules, which may be in the middle of an edit.
    std::fs::write(world.home.path("rules/rules.yaml"), "rules: [").unwrap();
    refused(&["Scan20240926055840723067"], &["rules/rules.yaml:1:8: error"]);
    for list in [&["jobs"] as &[&str], &["alerts"], &["deliveries"]] {
        world.home.stdout(list);
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_without_an_answer_is_told_in_the_verdict_and_by_the_service_in_its_log() {
    let rules = "rules:\n  - { name: large, when: { expr: 'job.extension.objects > 1000' }, notify: oncall }\n";
    let world = World::new(rules).await;
    let service = world.start().await;
    world.put(vec![job("Scan-1", "nightly", 3, 600, Some(0)), job("Scan-2", "nightly", 3, 600, Some(0))]).await;
    let output = world.home.run(&["explain", "Scan-1", "--rule", "large"]);
    assert_eq!(text(&output.stderr), "", "nothing is logged between the lines");
    holds(&text(&output.stdout), &["no answer: "]);
    let logged = "gives no answer for a job, and does not hold";
    crate::common::until("the service logs it", || service.log().contains(logged)).await;
    world.upstream.polled(2).await;
    assert_eq!(service.log().matches(logged).count(), 1, "once, and not for each job");
    assert_eq!(service.stop().await, 0);
}
