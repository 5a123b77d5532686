//! Digests from outside: through the real program to every kind of channel, killed at every step, and by hand.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use jobrelay::failpoint::VARIABLE;
use serde_json::Value;

use crate::common::{
    Home,
    process::{End, Process, SIGABRT},
    sink::Sink,
    smtp::{Manner, Smtp},
    until,
    upstream::{Upstream, job, now},
};

struct World {
    upstream: Upstream,
    hook: Sink,
    home: Home,
}

impl World {
    /// A tenant of two scans, one of which failed; a digest to the webhook and to `more` channels.
    async fn new(schedule: &str, more: &[(&str, String)]) -> Self {
        let (upstream, hook) = (Upstream::start().await, Sink::start("").await);
        upstream.put(job("Scan-1", "nightly sites", 3, 600, Some(300)));
        upstream.put(job("Scan-2", "nightly mail", 2, 600, Some(200)));
        let mut config = format!("{}    start: 24h\nchannels:\n  hook: {{ kind: webhook, url: '{}' }}\n", upstream.config(), hook.url);
        let mut notify = "hook".to_owned();
        for (name, settings) in more {
            writeln!(config, "  {name}: {{ {settings} }}").unwrap();
            write!(notify, ", {name}").unwrap();
        }
        write!(config, "digests:\n  daily: {{ schedule: '{schedule}', timezone: Europe/Zurich, notify: [{notify}] }}\n").unwrap();
        config.push_str("server: { listen: '127.0.0.1:0' }\n");
        let rules = "rules:\n  - { name: never, when: { profile: nothing }, notify: hook }\n";
        Self { upstream, hook, home: Home::new(&config, rules) }
    }

    fn file(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.home.path("jobrelay.db")).unwrap()
    }

    /// Lets the program see both scans and the digest, and then has it sleep for so long.
    async fn seen(self, ago: SignedDuration) -> Self {
        let service = self.home.start().await;
        let file = self.file();
        let count = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or_default();
        until("the scans and the digest are known", || {
            count("SELECT count(*) FROM job WHERE counted IS NOT NULL") == 2
                && count("SELECT count(*) FROM digest") == 1
                && count("SELECT count(*) FROM poll") > 0
        })
        .await;
        service.stop().await;
        let then: Timestamp = now() - ago;
        file.execute("UPDATE digest SET ended = ?1, counts_from = ?1", [then.as_microsecond()]).unwrap();
        self
    }

    fn process(&self, variables: &[(&str, &str)]) -> Process {
        let mut command = self.home.under(&[]);
        command.envs(variables.iter().copied());
        Process::spawn(command)
    }

    fn deliveries(&self) -> Vec<Value> {
        self.home.json(&["deliveries", "--format", "json"]).as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_was_missed_reaches_every_kind_of_channel_and_says_so() {
    let (slack, teams, mail) = (Sink::start("ok").await, Sink::start("").await, Smtp::start(Manner::default()).await);
    let more = [
        ("slack", format!("kind: slack, url: '{}'", slack.url)),
        ("teams", format!("kind: teams, url: '{}'", teams.url)),
        ("mail", format!("kind: email, smtp: 'smtp://{}', from: jobrelay@contoso.example, to: [ops@contoso.example]", mail.address)),
    ];
    let world = World::new("* * * * *", &more).await.seen(SignedDuration::from_hours(1)).await;
    let service = world.home.start().await;
    let hook = world.hook.holds(1).await[0].json();
    assert_eq!((hook["type"].as_str(), hook["data"]["title"].as_str()), (Some("digest"), Some("1 of 2 scans failed")), "{hook:#}");
    assert_eq!(hook["data"]["failing"][0]["profile"], "nightly sites");
    let late = hook["data"]["late"].as_str().unwrap();
    assert!(late.starts_with("Sent late") || late.contains("missed before it"), "{hook:#}");
    assert!(hook["data"]["coverage"]["polls"].as_u64().unwrap() > 0, "{hook:#}");
    for (sink, what) in [(&slack, "*Failed*"), (&teams, "nightly sites")] {
        let body = sink.holds(1).await[0].body.clone();
        assert!(body.contains(what) && body.contains("1 of 2 scans failed") && body.contains("Newest"), "{body}");
    }
    let letter = &mail.holds(1).await[0].data;
    let parsed = mail_parser::MessageParser::default().parse(letter.as_bytes()).unwrap();
    assert_eq!(parsed.subject(), Some("[jobrelay] daily: 1 of 2 scans failed"));
    assert!(parsed.body_html(0).unwrap().contains("cid:picture@jobrelay") && parsed.body_text(0).unwrap().contains("COVERAGE"));
    let png = parsed.parts.last().unwrap();
    assert!(png.contents().starts_with(b"\x89PNG"));
    until("all are on record", || {
        world.deliveries().iter().filter(|one| one["kind"] == "digest" && one["outcome"] == "delivered").count() >= 4
    })
    .await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_a_digest_comes_once() {
    for point in ["digest-due", "digest-closed", "digest-reckoned", "digest-written", "digest-committed"] {
        // Due once, at the last New Year, and not again before the next.
        let world = World::new("0 0 1 1 *", &[]).await.seen(SignedDuration::from_hours(366 * 24)).await;
        let mut process = world.process(&[(VARIABLE, point)]);
        assert_eq!(process.ends().await, SIGABRT, "{point}:\n{}", process.log());
        assert_eq!(world.hook.taken().len(), 0, "{point}");
        // An ended scan that was taken in by then is told of all the same.
        world.upstream.put(job("Scan-3", "nightly teams", 3, 100, Some(1)));
        let mut process = world.process(&[]);
        process.listening().await;
        let taken = world.hook.holds(1).await;
        assert_eq!(taken[0].json()["data"]["failing"][0]["profile"], "nightly sites", "{point}");
        until("it is on record", || world.deliveries().iter().any(|one| one["outcome"] == "delivered")).await;
        assert_eq!(process.stop().await, End::Exit(0));
        // Nor does another start tell it again.
        let mut process = world.process(&[]);
        process.listening().await;
        world.upstream.polled(2).await;
        assert_eq!(process.stop().await, End::Exit(0));
        assert_eq!((world.hook.taken().len(), world.deliveries().len()), (1, 1), "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_shown_and_sent_by_hand_and_the_period_is_none_the_wiser() {
    let world = World::new("0 0 1 1 *", &[]).await.seen(SignedDuration::from_hours(2)).await;
    let shown = world.home.stdout(&["digest", "daily", "--since", "24h"]);
    assert!(
        shown.starts_with("1 of 2 scans failed\n") && shown.contains("- nightly sites: failed") && shown.contains("COVERAGE"),
        "{shown}"
    );
    let json = world.home.json(&["digest", "daily", "--since", "24h", "--format", "json"]);
    assert_eq!((json["totals"]["ended"].as_u64(), json["digest"]["failing"][0]["profile"].as_str()), (Some(2), Some("nightly sites")));
    let html = world.home.stdout(&["digest", "daily", "--format", "html"]);
    assert!(html.contains("data:image/png;base64,") && !html.contains("cid:"), "{html}");
    let state = || world.file().query_row("SELECT ended FROM digest", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = state();
    let sent = world.home.stdout(&["digest", "daily", "--send"]);
    assert!(sent.starts_with("hook: delivered"), "{sent}");
    assert_eq!(world.hook.holds(1).await[0].json()["data"]["title"], "1 of 2 scans failed");
    assert_eq!((state(), world.deliveries().len()), (before, 0));
    let unknown = world.home.run(&["digest", "dayly"]);
    assert!(crate::common::text(&unknown.stderr).contains("has no digest `dayly`; did you mean `daily`?"));
}
