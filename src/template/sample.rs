//! Sample notifications: what `check` renders every template with, and what `send` may send.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::domain::{Category, Job, JobType, Name, Notice, Notification, NotificationKind, RuleFacts, Severity, State};

/// The time at which samples are rendered.
pub(super) fn now() -> Timestamp {
    at(1_727_330_320)
}

/// A time within the range that timestamps cover; the epoch for any other.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Notifications of every kind that carries alerts, each with what it is in words: one job, one job without times or labels,
/// and a roll-up.
#[must_use]
pub fn samples() -> Vec<(&'static str, Notification)> {
    let labels = [("runbook", "https://wiki.contoso.example/failed-scans"), ("team", "collaboration")];
    let rule = RuleFacts {
        name: "scan-failed".into(),
        description: "A scan failed, or finished with exceptions.".into(),
        severity: Severity::Critical,
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        template: None,
    };
    let bare = RuleFacts { description: String::new(), severity: Severity::Info, labels: BTreeMap::new(), ..rule.clone() };
    let timeless = Job { started: None, finished: None, kind: None, category: None, state: State::Running, ..job(0, State::Failed) };
    let states = [State::Failed, State::FinishedWithException, State::Unknown(6)];
    let three = (0..3).zip(states).map(|(n, state)| job(n, state)).collect();
    vec![
        ("one job", notification(NotificationKind::Alert, &rule, vec![job(0, State::Failed)], 1)),
        ("a job without times, a rule without labels", notification(NotificationKind::Alert, &bare, vec![timeless], 1)),
        ("a roll-up of three jobs of five", notification(NotificationKind::RollUp, &rule, three, 5)),
    ]
}

/// Notices, each with what it is in words: one that begins, one that is over, and one that knows not since when.
#[must_use]
pub fn notices() -> Vec<(&'static str, Notification)> {
    let begins = Notice {
        topic: "source contoso down".into(),
        title: "contoso can't be read".into(),
        text: "The job list of contoso can't be read. The last answer: HTTP 503 Service Unavailable".into(),
        since: Some(now() - SignedDuration::from_mins(15)),
        severity: Severity::Critical,
        over: false,
    };
    let over = Notice {
        title: "contoso can be read again".into(),
        text: "Nothing that ended meanwhile is lost: it is relayed now, late but once.".into(),
        severity: Severity::Info,
        over: true,
        ..begins.clone()
    };
    let timeless = Notice { since: None, severity: Severity::Warning, ..begins.clone() };
    let told = |notice: Notice| {
        let rule = RuleFacts {
            name: notice.topic.clone(),
            description: notice.text.clone(),
            severity: notice.severity,
            labels: BTreeMap::new(),
            template: None,
        };
        Notification { notice: Some(notice), ..notification(NotificationKind::Notice, &rule, Vec::new(), 1) }
    };
    let missing = Notice {
        topic: "missing nightly-scan contoso".into(),
        title: "No scan of \"nightly *\" has finished in time at contoso".into(),
        text:
            "One was expected by 2024-09-26 05:43 UTC (every 1d, 30m grace). The last one, \"nightly sites\", ended 2024-09-25 05:13 UTC."
                .into(),
        ..begins.clone()
    };
    let of_rule = |notice: Notice| {
        let labels = BTreeMap::from([("runbook".to_owned(), "https://wiki.contoso.example/nightly-scan".to_owned())]);
        let rule = RuleFacts {
            name: "nightly-scan".into(),
            description: "The nightly scan runs every night.".into(),
            severity: Severity::Critical,
            labels,
            template: None,
        };
        Notification { notice: Some(notice), ..notification(NotificationKind::Notice, &rule, Vec::new(), 1) }
    };
    vec![
        ("a notice that begins", told(begins)),
        ("a notice that is over", told(over)),
        ("a notice without a time", told(timeless)),
        ("a notice of a missing scan", of_rule(missing)),
    ]
}

fn job(number: i64, state: State) -> Job {
    let started = now() - SignedDuration::from_secs(300 + 60 * number);
    Job {
        source: Name::from("contoso"),
        id: format!("4f9c7b1e-0000-4000-8000-00000000000{number}"),
        kind: Some(JobType::Microsoft365),
        state,
        started: Some(started),
        finished: Some(started + SignedDuration::from_millis(32_500)),
        profile: "scan sharepoint sites".into(),
        category: Some(Category::Microsoft365),
        extension: Value::Null,
    }
}

fn notification(kind: NotificationKind, rule: &RuleFacts, jobs: Vec<Job>, total: u64) -> Notification {
    Notification { total, ..Notification::sample(kind, rule, jobs, now()) }
}
