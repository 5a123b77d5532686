//! Digests, held against the same programs as alerts and notices are: small and large, of nothing, and of names that mean harm.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde_json::{Value, json};

use super::{HOOK_SECRET, HOSTILE, PLAIN_FOR_ALL, accepted, files};
use crate::common::{
    Home,
    sink::{Sink, Taken},
    smtp::{Manner, Smtp},
    until,
    upstream::{Upstream, job},
};

/// How many profiles fail at each of the sources of the large digest.
const MANY: usize = 80;
const HOUR: i64 = 3_600;

/// What the four channels took of a digest each, in the order of [`tenants`].
struct Told {
    slack: Vec<Taken>,
    teams: Vec<Taken>,
    hook: Vec<Taken>,
    mails: Vec<String>,
}

/// A tenant by its name, and its jobs; none for one that can't be read.
type Tenant = (&'static str, Option<Vec<Value>>);

/// What each digest is of: one scan that failed and one that did not, very many at several sources, nothing, and hostile names.
fn tenants() -> [Vec<Tenant>; 4] {
    let long = "a very long profile name ".repeat(40);
    let jobs_of = |source: &str| {
        let failed = |at: usize| job(&format!("Scan-{source}-{at}"), &format!("site collection {at} of {source}"), 3, 900, Some(60));
        let odd = |at: usize| job(&format!("Scan-odd-{at}"), &format!("mailboxes {at}"), 4, 900, Some(60));
        (0..MANY).map(failed).chain((0..MANY).map(odd)).chain([job("Scan-long", &long, 3, 900, Some(60))]).collect()
    };
    let large = ["contoso", "fabrikam", "northwind"].map(|name| (name, Some(jobs_of(name))));
    let small = vec![job("Scan-1", "nightly sites", 3, 600, Some(300)), job("Scan-2", "nightly mail", 2, 600, Some(200))];
    // Each name fails, and ends well, and fails and is well again, and takes longer than it did.
    let mut hostile = Vec::new();
    for (at, name) in HOSTILE.into_iter().chain([PLAIN_FOR_ALL]).enumerate() {
        let mut add = |what: &str, state, began, ended| {
            let profile = if what == "bad" { name.to_owned() } else { format!("{name}{what}") };
            hostile.push(job(&format!("Scan-{}-{at}-{began}", what.trim().replace(' ', "-")), &profile, state, began, Some(ended)));
        };
        add("bad", 3, 5 * HOUR, 4 * HOUR);
        add(" well again", 3, 5 * HOUR, 4 * HOUR);
        add(" well again", 2, 3 * HOUR, 2 * HOUR);
        for day in 1..6 {
            add(" slow", 2, (10 + day) * HOUR, (10 + day) * HOUR - 60);
        }
        add(" slow", 2, 4 * HOUR, HOUR);
    }
    [
        vec![("contoso", Some(small))],
        large.into_iter().chain([("quiet", Some(Vec::new())), ("dark", None)]).collect(),
        vec![("contoso", Some(Vec::new()))],
        vec![("contoso", Some(hostile)), ("fabrikam", Some(Vec::new()))],
    ]
}

async fn told() -> Told {
    let (slack, teams, hook) = (Sink::start("ok").await, Sink::start("").await, Sink::start("").await);
    let mail = Smtp::start(Manner::default()).await;
    for (at, tenants) in tenants().into_iter().enumerate() {
        let mut config = "sources:\n".to_owned();
        let (mut jobs, mut sources) = (0, 0);
        for (name, of_it) in tenants {
            let upstream = Upstream::start().await;
            writeln!(config, "{}    start: 24h", upstream.source(name)).unwrap();
            match of_it {
                Some(of_it) => {
                    sources += 1;
                    jobs += i64::try_from(of_it.len()).unwrap();
                    upstream.shelf.lock().unwrap().jobs = of_it;
                }
                None => upstream.shelf.lock().unwrap().down = true,
            }
        }
        write!(
            config,
            "channels:\n  slack: {{ kind: slack, url: '{}' }}\n  teams: {{ kind: teams, url: '{}' }}\n  hook: {{ kind: webhook, url: '{}', secret: {HOOK_SECRET} }}\n  \
             mail: {{ kind: email, smtp: 'smtp://{}', from: jobrelay@contoso.example, to: [ops@contoso.example] }}\n\
             digests: {{ daily: {{ schedule: '0 0 1 1 *', timezone: Europe/Zurich, notify: [slack, teams, hook, mail] }} }}\n\
             server: {{ listen: '127.0.0.1:0' }}\n",
            slack.url, teams.url, hook.url, mail.address
        )
        .unwrap();
        let home = Home::new(&config, "rules:\n  - { name: never, when: { profile: nothing }, notify: hook }\n");
        let service = home.start().await;
        let file = rusqlite::Connection::open(home.path("jobrelay.db")).unwrap();
        let count = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or_default();
        until(&format!("{jobs} jobs of {sources} sources are read for digest {at}"), || {
            count("SELECT count(*) FROM job WHERE counted IS NOT NULL") == jobs
                && count("SELECT count(DISTINCT source) FROM poll WHERE made > failed") == sources
        })
        .await;
        service.stop().await;
        let sent = home.stdout(&["digest", "daily", "--since", "24h", "--send"]);
        assert_eq!(sent.matches("delivered").count(), 4, "{sent}");
        assert_eq!(mail.taken().len(), at + 1);
    }
    let mails = mail.taken().into_iter().map(|mail| mail.data).collect();
    Told { slack: slack.taken(), teams: teams.taken(), hook: hook.taken(), mails }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the vendors' libraries and readers of mail: run ./test"]
async fn every_digest_is_what_its_readers_take_and_no_name_in_it_comes_alive() {
    let told = told().await;
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, contents: Vec<String>| -> Vec<PathBuf> {
        let folder = folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        files(&folder, contents)
    };
    let bodies = |taken: &[Taken]| taken.iter().map(|taken| taken.body.clone()).collect::<Vec<_>>();
    // Which of the four shows what.
    let shows = |at: usize, text: &str| {
        let expected: &[&str] = match at {
            0 => &["1 of 2 scans failed", "nightly sites"],
            1 => &["scans failed", "contoso", "fabrikam", "northwind", "site collection 0 of contoso", "quiet", "dark", "more"],
            2 => &["No scan ended", "Nothing failed"],
            _ => &["scans failed", "夜間スキャン 🧨👩‍👩‍👧‍👦", "well again"],
        };
        for one in expected {
            assert!(text.contains(one), "digest {at} does not show {one}:\n{text}");
        }
    };

    let slack = written("slack", bodies(&told.slack));
    accepted("slack.py", &[], &slack);
    for (at, drawn) in accepted("slack.cjs", &[], &slack).iter().enumerate() {
        shows(at, drawn["text"].as_str().unwrap());
        assert_eq!((&drawn["ringing"], &drawn["links"]), (&json!([]), &json!([])), "{drawn}");
        let ours = ["Failed", "Recovered", "Slower than usual", "Slowest", "Totals"];
        for mark in drawn["marked"].as_array().unwrap() {
            assert!(ours.contains(&mark.as_str().unwrap()), "a name is marked up: {mark}");
        }
    }

    let teams = written("teams", bodies(&told.teams));
    accepted("teams.py", &[], &teams);
    for (at, card) in accepted("teams.cjs", &[], &teams).iter().enumerate() {
        shows(at, card["text"].as_str().unwrap());
        assert!(at != 3 || card["text"].as_str().unwrap().contains(PLAIN_FOR_ALL), "{card}");
        for marked in ["links", "marked"] {
            assert!(!card[marked].to_string().contains("evil.example"), "a name came alive in {card}");
        }
    }

    let headers =
        |taken: &Taken| ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name.to_owned(), json!(taken.header(name))));
    let request = |taken: &Taken| json!({ "headers": serde_json::Map::from_iter(headers(taken)), "body": taken.body }).to_string();
    accepted("webhook.py", &[HOOK_SECRET], &written("hook", told.hook.iter().map(request).collect()));

    let mails = written("mail", told.mails);
    let (read, read_too) = (accepted("mail.py", &[], &mails), accepted("mail.cjs", &[], &mails));
    for (at, (one, other)) in read.iter().zip(&read_too).enumerate() {
        assert_eq!((&one["subject"], &one["id"]), (&other["subject"], &other["id"]));
        assert_eq!((&other["attachments"], &other["pictures"]), (&json!(0), &one["pictures"]), "{}", one["subject"]);
        shows(at, one["text"].as_str().unwrap());
        shows(at, one["html"].as_str().unwrap());
        for forged in ["bcc", "cc", "body"] {
            assert!(!one["names"].as_array().unwrap().contains(&json!(forged)), "a name made a header in {one}");
        }
        for alive in ["<script", "<img src=https://evil.example", "href=\"https://evil.example"] {
            assert!(!one["html"].as_str().unwrap().contains(alive), "a name came alive in {one}");
        }
    }
    assert_eq!(read[0]["pictures"], 1, "the days, as a picture");
    let pages = written("pages", read.iter().map(|mail| mail["html"].as_str().unwrap().to_owned()).collect());
    accepted("html.cjs", &[], &pages);
}
