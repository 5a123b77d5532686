//! Sample notifications: what `check` renders every template with, and what `send` may send.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::part::BuiltIn;
use crate::domain::{
    Category, CategoryTotals, Coverage, Day, Digest, Failing, Job, JobType, Listed, Name, Newest, Notice, Notification, NotificationKind,
    Recovered, RuleFacts, Severity, Slow, SourceCoverage, State, Tenant, Totals,
};

/// The present of the samples: always the same, so that the same templates make the same messages.
#[must_use]
pub fn now() -> Timestamp {
    at(1_727_330_320)
}

/// A time within the range that timestamps cover; the epoch for any other.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Notifications of every kind that carries alerts, each with what it is in words: one job, one job without times or labels,
/// a roll-up, and one of a backlog.
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
    let three: Vec<Job> = (0..3).zip(states).map(|(n, state)| job(n, state)).collect();
    vec![
        ("one job", notification(NotificationKind::Alert, &rule, vec![job(0, State::Failed)], 1)),
        ("a job without times, a rule without labels", notification(NotificationKind::Alert, &bare, vec![timeless], 1)),
        ("a roll-up of three jobs of five", notification(NotificationKind::RollUp, &rule, three.clone(), 5)),
        ("a roll-up of what waited", Notification { backlog: true, ..notification(NotificationKind::RollUp, &rule, three, 3) }),
    ]
}

/// What a set is tried with: messages of its own kind.
#[must_use]
pub fn samples_of(set: &str) -> Vec<(&'static str, Notification)> {
    match BuiltIn::of_its_own(set) {
        Some(BuiltIn::Digest) => digests(),
        Some(BuiltIn::Notice) => notices(),
        Some(BuiltIn::Alert) | None => samples(),
    }
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
        let rule = notice.facts();
        Notification { notice: Some(notice), ..notification(NotificationKind::Notice, &rule, Vec::new(), 1) }
    };
    let missing = Notice {
        topic: "missing nightly-scan contoso".into(),
        title: "No scan of \"nightly *\" has finished in time at contoso".into(),
        text:
            "One was expected by 2024-09-26 05:43 UTC (every 1d, 30m grace). The last one, \"nightly sites\", ended 2024-09-25 05:13 UTC. None runs now: see whether its schedule is on."
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

/// Digests, each with what it is in words: one of several tenants in which all there is to tell happened, one of a single
/// source, and one of a period in which nothing did.
#[must_use]
pub fn digests() -> Vec<(&'static str, Notification)> {
    let several = full_digest();
    let coverage = Coverage { polls: 1_440, missed: 0, sources: 1, troubled: Listed::default(), ..several.coverage.clone() };
    let one = Digest {
        several: false,
        tenants: Listed::default(),
        quiet: Listed::default(),
        late: false,
        notes: Vec::new(),
        coverage,
        ..several.clone()
    };
    let nothing = Digest::unreadable("weekday-morning", now());
    let told = |digest: Digest| Notification::of_digest(Arc::new(digest), now());
    vec![
        ("a digest of several tenants", told(several)),
        ("a digest of one source", told(one)),
        ("a digest of a period without a job", told(Digest { notes: Vec::new(), ..nothing })),
    ]
}

fn full_digest() -> Digest {
    let (profile, source) = ("scan sharepoint sites".to_owned(), "contoso".to_owned());
    let totals = Totals { finished: 205, failed: 3, finished_with_exception: 2, skipped: 1, stopped: 1, unknown: 0 };
    let before = Totals { finished: 198, failed: 1, ..Totals::default() };
    let hours = SignedDuration::from_hours;
    let failing = Failing {
        source: source.clone(),
        profile: profile.clone(),
        totals: Totals { finished: 1, failed: 3, finished_with_exception: 2, ..Totals::default() },
        still: true,
        streak: Some(5),
        streak_more: false,
        last_good: Some(now() - hours(53)),
        last_failed: Some(now() - hours(2)),
    };
    let once = Failing {
        profile: "scan power platform".into(),
        totals: Totals { finished: 1, failed: 1, ..Totals::default() },
        still: false,
        streak: Some(0),
        ..failing.clone()
    };
    let slow = Slow {
        source: source.clone(),
        profile: "scan exchange mailboxes".into(),
        id: "4f9c7b1e-0000-4000-8000-000000000009".into(),
        millis: 2_700_000,
        usual: Some(720_000),
    };
    let day = |back: i64| {
        let count = u64::try_from((back * 37) % 60 + 150).unwrap_or_default();
        Day { at: now() - hours(24 * back + 6), finished: count, failed: u64::from(back % 4 == 0) * 3, other: u64::from(back % 9 == 0) }
    };
    let category = |code, totals, before| CategoryTotals { code, totals, before };
    let recovered = Recovered { source: source.clone(), profile: "scan teams".into(), after: Some(4), at: Some(now() - hours(5)) };
    let newest = Newest { source: source.clone(), id: slow.id.clone(), profile: profile.clone(), state: "running".into(), at: now() };
    Digest {
        name: "weekday-morning".into(),
        since: now() - hours(24),
        until: now(),
        due: Some(now() - hours(1)),
        late: true,
        zone: "Europe/Zurich".into(),
        part: false,
        totals,
        before,
        categories: vec![category(Some(0), totals, before), category(None, Totals::default(), Totals { failed: 1, ..Totals::default() })],
        failing: Listed { first: vec![failing.clone(), once.clone()], more: 1 },
        recovered: Listed { first: vec![recovered], more: 0 },
        slower: Listed { first: vec![slow.clone()], more: 2 },
        slowest: Listed {
            first: vec![slow.clone(), Slow { profile: "scan onedrive accounts".into(), millis: 1_980_000, usual: None, ..slow }],
            more: 3,
        },
        tenants: Listed {
            first: vec![Tenant { source: source.clone(), totals, failing: Listed { first: vec![failing, once], more: 1 } }],
            more: 1,
        },
        quiet: Listed { first: vec!["fabrikam".into(), "tailspin".into()], more: 3 },
        several: true,
        days: (0..30).rev().map(day).collect(),
        coverage: Coverage {
            polls: 1_437,
            missed: 3,
            sources: 3,
            troubled: Listed { first: vec![SourceCoverage { source, polls: 476, missed: 3, last: Some(now()) }], more: 1 },
            jobs: totals.ended(),
            running: 2,
            newest: Some(newest),
        },
        notes: vec!["More than 20000 scan profiles: 12 jobs of the others are in the totals only.".into()],
    }
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
