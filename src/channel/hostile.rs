//! Notifications that mean harm, and what the channels' tests need to try them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::{Channel, Common, Kind, Payload, Tools, Wording};
use crate::{
    document::{Faults, Fields, Source, parse},
    domain::{
        Category, Failing, Job, JobType, Listed, Name, Notice, Notification, NotificationKind, Recovered, RuleFacts, Severity, Slow,
        SourceCoverage, State, Tenant, Totals, Undelivered,
    },
    http::Http,
    template::{Templates, digests as digests_sampled},
};

/// Names that have broken relays before.
pub const NAMES: &[&str] = &[
    "",
    " ",
    "<!channel> <!here> <!everyone> <@U012AB3CD> <!subteam^S123>",
    "<http://evil.example|click here> & <https://evil.example>",
    "*bold* _it_ ~no~ `code` ```block``` > quote",
    "[click](http://evil.example) ![x](http://evil.example/x.png) # head - item 1. item __init__.py",
    "<script>alert('x')</script><at>Everyone</at>&lt;b&gt;",
    "line one\r\nBcc: victim@example.com\r\n\r\nbody",
    "=?utf-8?q?all_is_well?=",
    "{{job.id}} {{{rule}}} {{#each jobs}} \\{{x}}",
    "\u{202e}gpj.exe\u{2066}\u{0}\u{1b}[31m\u{7f}\u{85}\u{2028}",
    "👩‍💻🏳️‍🌈 naïve 日本語 שלום",
    "quote \" backslash \\ slash / null \\u0000 }}]]",
];

/// Any name: one of the known ones, a very long one, or any text at all.
pub fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(NAMES).prop_map(str::to_owned),
        prop::sample::select(vec!["a", "&", "<", "\"", "*", "\n", "👩‍💻", "\\", "日", "\u{1}"]).prop_map(|piece| piece.repeat(5_000)),
        any::<String>(),
        ".{0,60}",
    ]
}

/// Any notification: alerts, roll-ups, notices and digests.
pub fn notifications() -> impl Strategy<Value = Notification> {
    prop_oneof![3 => of_alerts(), 1 => notices(), 1 => digests()]
}

/// Any digest: of one tenant or many, with any names, any numbers, and lists of any length.
pub fn digests() -> impl Strategy<Value = Notification> {
    let counts = (0_u64..3, 0_u64..100_000_000, 0_u64..u64::MAX / 64, 0_usize..60, 0_usize..60);
    (prop::collection::vec(names(), 3), counts, any::<bool>(), any::<bool>()).prop_map(|(names, counts, several, late)| {
        let (few, many, very_many, entries, others) = counts;
        let (_, sample) = digests_sampled().swap_remove(0);
        let mut digest = (*sample.digest.unwrap()).clone();
        // As they are when they are kept.
        let brief = |at: usize| names[at % names.len()].chars().take(300).collect::<String>();
        let name = |at: usize| format!("{}{at}", brief(at)).chars().take(300).collect::<String>();
        digest.name = brief(0);
        (digest.several, digest.late) = (several, late);
        digest.totals = Totals { finished: very_many, failed: many, finished_with_exception: few, ..Totals::default() };
        let failing = digest.failing.first[0].clone();
        let failing = |at: usize| Failing { source: brief(1), profile: name(at), totals: digest.totals, ..failing.clone() };
        digest.failing = Listed { first: (0..entries).map(failing).collect(), more: many };
        let tenant = |at: usize| Tenant {
            source: name(at),
            totals: digest.totals,
            failing: Listed { first: (0..at % 6).map(failing).collect(), more: few },
        };
        digest.tenants = Listed { first: (0..others).map(tenant).collect(), more: few };
        digest.quiet = Listed { first: (0..others).map(name).collect(), more: many };
        let recovered = digest.recovered.first[0].clone();
        digest.recovered.first = (0..others).map(|at| Recovered { source: brief(2), profile: name(at), ..recovered.clone() }).collect();
        let slow = digest.slower.first[0].clone();
        digest.slower.first =
            (0..entries).map(|at| Slow { source: brief(1), profile: name(at), millis: very_many, ..slow.clone() }).collect();
        digest.slowest.first = digest.slower.first.iter().take(5).cloned().collect();
        digest.coverage.troubled.first =
            (0..others).map(|at| SourceCoverage { source: name(at), polls: few, missed: very_many, last: None }).collect();
        if let Some(newest) = &mut digest.coverage.newest {
            (newest.profile, newest.source, newest.id) = (brief(0), brief(1), brief(2));
        }
        Notification::of_digest(Arc::new(digest), now())
    })
}

/// Any notice.
fn notices() -> impl Strategy<Value = Notification> {
    (names(), names(), names(), 0_usize..3, any::<bool>(), prop::option::of(any::<i32>()), prop::option::of((names(), names()))).prop_map(
        |(topic, title, text, severity, over, since, rule)| {
            let since = since.and_then(|second| Timestamp::from_second(second.into()).ok());
            let mut notification = notice(Notice { topic, title, text, since, severity: Severity::ALL[severity], over });
            if let Some((name, label)) = rule {
                notification.rule.labels = [("runbook".to_owned(), label.clone()), (label, name.clone())].into();
                notification.rule.name = name;
            }
            notification
        },
    )
}

/// The message that a notice is.
pub fn notice(notice: Notice) -> Notification {
    let rule = notice.facts();
    Notification { notice: Some(notice), ..notification(NotificationKind::Notice, &rule, Vec::new(), 1) }
}

/// Alerts, from one to many, with any names and any times.
fn of_alerts() -> impl Strategy<Value = Notification> {
    let jobs = prop_oneof![Just(1_usize), 2_usize..12, 12_usize..260];
    let one = (names(), names(), -1_i64..12, prop::option::of(any::<i32>()), prop::option::of(any::<i32>()));
    let alike = (jobs, prop::collection::vec(one, 1..4));
    let rule = (names(), names(), names(), 0_usize..3);
    (alike, rule, any::<bool>(), 0_u64..100_000).prop_map(|((count, pool), (name, description, label, severity), rolled_up, more)| {
        let rule = RuleFacts {
            name,
            description,
            severity: Severity::ALL[severity],
            labels: BTreeMap::from([("runbook".to_owned(), format!("https://wiki.example/?{label}")), ("team".to_owned(), label)]),
            template: None,
        };
        let job = |n: usize| {
            let (profile, id, state, started, finished) = pool[n % pool.len()].clone();
            let time = |second: Option<i32>| second.and_then(|second| Timestamp::from_second(second.into()).ok());
            Job {
                source: Name::from(&profile),
                id: format!("{id}{n}"),
                kind: (state % 2 == 0).then(|| JobType::from_code(state)),
                state: State::from_code(state),
                started: time(started),
                finished: time(finished),
                profile,
                category: (state % 3 == 0).then(|| Category::from_code(state)),
                extension: json!({ "note": id }),
            }
        };
        let kind = if rolled_up { NotificationKind::RollUp } else { NotificationKind::Alert };
        notification(kind, &rule, (0..count).map(job).collect(), more)
    })
}

pub fn notification(kind: NotificationKind, rule: &RuleFacts, jobs: Vec<Job>, more: u64) -> Notification {
    let total = jobs.len() as u64 + more;
    let (key, channel) = ("ntf_0123456789abcdef".into(), Name::from("oncall"));
    Notification { key, channel, total, ..Notification::sample(kind, rule, jobs, now()) }
}

/// A source that could not be read for a quarter of an hour, or can be again.
pub fn down(over: bool) -> Notification {
    notice(Notice {
        topic: "source contoso down".into(),
        title: if over { "contoso can be read again" } else { "contoso can't be read" }.into(),
        text: "The last answer: HTTP 503".into(),
        since: Some(now() - SignedDuration::from_mins(15)),
        severity: if over { Severity::Info } else { Severity::Critical },
        over,
    })
}

/// A job's alert that could not be delivered where it was meant to go, in the words of a set `alert` that holds these files and
/// says nothing of it; composed by a channel of this kind.
pub fn quiet_on_a_fallback(kind: &Kind, yaml: &str, files: &[(&str, &str)]) -> Payload {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("alert")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join("alert").join(name), text).unwrap();
    }
    let mut faults = Faults::default();
    let templates = Templates::load(folder.path(), &mut faults);
    assert!(!faults.any_error());
    let undelivered = Undelivered { channel: "oncall".into(), answer: "HTTP 404: <gone> & *away*\r\nnow".into() };
    let alert = Notification { undelivered: Some(undelivered), ..notification(NotificationKind::Alert, &rule(), vec![job()], 0) };
    channel(kind, yaml, templates).unwrap().compose(&alert, &Wording::Configured, now()).unwrap()
}

/// The present of these tests.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_727_330_500).unwrap()
}

/// An ordinary rule.
pub fn rule() -> RuleFacts {
    RuleFacts {
        name: "scan-failed".into(),
        description: "A scan failed, or finished with exceptions.".into(),
        severity: Severity::Critical,
        labels: BTreeMap::from([("runbook".to_owned(), "https://wiki.contoso.example/scans?a=1&b=2|3".to_owned())]),
        template: None,
    }
}

/// The vendor's sample job, failed.
pub fn job() -> Job {
    let finished: Timestamp = "2024-09-26T05:59:12Z".parse().unwrap();
    Job {
        source: Name::from("contoso"),
        id: "Scan20240926055840723067".into(),
        kind: Some(JobType::Microsoft365),
        state: State::Failed,
        started: Some(finished - SignedDuration::from_secs(32)),
        finished: Some(finished),
        profile: "scan sharepoint sites".into(),
        category: Some(Category::Microsoft365),
        extension: json!(null),
    }
}

/// A live channel of `kind` with these settings, or the faults in them.
pub fn channel(kind: &Kind, yaml: &str, templates: Templates) -> Result<Arc<dyn Channel>, Vec<String>> {
    channel_through(kind, yaml, templates, Http::new().unwrap())
}

/// The same, with a client of one's own.
pub fn channel_through(kind: &Kind, yaml: &str, templates: Templates, http: Http) -> Result<Arc<dyn Channel>, Vec<String>> {
    let source = Arc::new(Source { path: "jobrelay.yaml".into(), text: yaml.to_owned() });
    let mut faults = Faults::default();
    let node = parse(&source, &mut faults).expect("valid YAML");
    let mut fields = Fields::open(&node, "a channel", &mut faults).unwrap();
    let settings = (kind.read)(&mut fields, &mut faults);
    fields.finish(&mut faults);
    if !faults.is_empty() {
        let place = |fault: &crate::document::Fault| format!("{}:{}", fault.place.line, fault.place.column);
        return Err(faults
            .sorted()
            .iter()
            .map(|fault| format!("{} {} | {}", place(fault), fault.message, fault.hint.as_deref().unwrap_or("")))
            .collect());
    }
    let tools = Tools { http, templates: Arc::new(templates), public_url: Some("https://relay.contoso.example".into()) };
    let common = Common { template: "alert".into(), timeout: Duration::from_secs(2) };
    Ok(settings.unwrap().connect(&Name::from("oncall"), &common, &tools).unwrap())
}

/// The JSON that a channel makes of a notification.
pub fn composed(channel: &dyn Channel, notification: &Notification, wording: &Wording) -> serde_json::Value {
    match channel.compose(notification, wording, now()) {
        Ok(Payload::Json(text)) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Answers every request on a loopback port with `answer`; gives the port, and the requests as they come.
pub async fn answering(answer: &'static str) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut request, mut piece) = (Vec::new(), [0; 4_096]);
            loop {
                let read = stream.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length =
                    head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
                if read == 0 || body.len() >= length.unwrap_or(0) {
                    told.send(text).unwrap();
                    break;
                }
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, heard)
}
