//! What templates see. Every key is there in every view, with null for what there is not, so that a template that is right
//! once is right for all data.

use std::borrow::Cow;

use handlebars::Context;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    escape::meaning,
    headline::{headline, origin},
    helpers::{safe_url, truncate},
    part::{Landing, Part},
    summary,
};
use crate::domain::{Alert, Category, Digest, Job, JobType, JobView, Notification, NotificationKind, RuleFacts, Severity, State};

/// How many jobs one of the `batches` holds: of ordinary length, their lines fill about half of a text of Slack's.
pub const BATCH: usize = 10;
/// The longest line about where a message could not be delivered that is put behind words of the user's.
const UNDELIVERED_CHARS: usize = 400;

/// What a template sees, in the form in which it is rendered: any number of times, and never copied for it.
pub struct View(Context);

impl View {
    /// The data.
    #[must_use]
    pub fn data(&self) -> &Value {
        self.0.data()
    }

    pub(super) const fn context(&self) -> &Context {
        &self.0
    }
}

/// An object of values that exist already. `json!` would copy each of them, with all that is in it.
fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// What templates see of a notification whose first `shown` alerts are named:
///
/// - `rule`: `name description severity labels runbook` (the label, where it is a web address)
/// - `severity`: `name label emoji colour card_colour`
/// - `jobs` (those shown) and `job` (the first, also where none is shown), each `id source type state started finished
///   duration profile category extension run`, with `type_label state_label category_label` and `state_phrase` ("failed", "is
///   still running") for people; times are RFC 3339 in UTC, `duration` is seconds (of a running job, its age)
/// - `batches`: the jobs shown in lists of [`BATCH`], for channels that take text in pieces
/// - `headline`: what became of which scan, in one line ("Scan failed: nightly sites", "3 scans: 2 failed, 1 stopped"), and `origin`: the
///   tenant, or how many; null where there is no job, and the latter where not all jobs are at hand
/// - `count` (all), `left_out` (all less those shown), `rolled_up`, and `backlog`: whether that is because they waited for a channel
///   that could not be reached or was behind, and not because of the rule's limit
/// - `period`, `totals`, `digest`: null, but in a digest: see [`summary`]. Its lists name at most `shown` entries each, and `count`
///   is how many jobs ended
/// - `notice`: null, but in a notice: `topic title text severity over since lasted rule`, where `rule` is the name of the rule that a
///   job is missing for, and null in a notice about the watch itself (then the `rule` above is no rule's), `since` may be null and `lasted` is
///   how many seconds it has lasted or, once it is over, did; the `severity` above is then that of the notice, or, in green,
///   that it is over, and there is no job
/// - `link` (to the console), `now`, `created` (when the message was made), `trouble` (why the configured words were not used)
/// - `undelivered`: on a fallback, a line that says which channel could not be told and what it answered
#[must_use]
pub fn view(notification: &Notification, shown: usize, now: Timestamp, public_url: Option<&str>, trouble: Option<&str>) -> View {
    let (entries, shown) = (shown, shown.min(notification.alerts.len()));
    let jobs: Vec<Value> = notification.alerts[..shown].iter().map(|alert| job(alert, now)).collect();
    let notice = (notification.kind == NotificationKind::Notice).then(|| notice(notification, now));
    let unreadable = || Digest::unreadable(&notification.rule.name, notification.created);
    let digest = (notification.kind == NotificationKind::Digest).then(|| match &notification.digest {
        Some(digest) => Cow::Borrowed(&**digest),
        None => Cow::Owned(unreadable()),
    });
    let digest = digest.as_deref();
    let carried = if notice.is_some() || digest.is_some() { 0 } else { notification.total.max(notification.alerts.len() as u64) };
    let first = jobs.first().cloned().or_else(|| notification.alerts.first().map(|alert| job(alert, now)));
    let batches: Vec<Value> = jobs.chunks(BATCH).map(|batch| batch.to_vec().into()).collect();
    let data = object([
        ("rule", rule(&notification.rule)),
        ("severity", severity(notification)),
        ("job", first.into()),
        ("headline", headline(&notification.alerts, carried, &notification.rule.name).into()),
        ("origin", origin(&notification.alerts, carried).into()),
        ("batches", batches.into()),
        ("jobs", jobs.into()),
        ("count", digest.map_or(carried, |digest| digest.totals.ended()).into()),
        ("left_out", carried.saturating_sub(shown as u64).into()),
        ("rolled_up", (notification.kind == NotificationKind::RollUp).into()),
        ("backlog", notification.backlog.into()),
        ("period", digest.map(summary::period).into()),
        ("totals", digest.map(summary::totals).into()),
        ("digest", digest.map(|digest| summary::digest(digest, entries)).into()),
        ("notice", notice.into()),
        ("link", public_url.and_then(safe_url).into()),
        ("now", json!(now)),
        ("created", json!(notification.created)),
        ("undelivered", undelivered(notification).into()),
        ("trouble", trouble.into()),
    ]);
    View(Context::from(data))
}

fn undelivered(notification: &Notification) -> Option<String> {
    notification.undelivered.as_ref().map(|u| format!("Could not be delivered to {}: {}", u.channel, u.answer))
}

/// The same line for a message whose template does not say it, as its reader's mark-up wants it where no more than text is read
/// (a `plain_text` of Slack's, a `TextRun` of a card); null where all is well.
#[must_use]
pub fn undelivered_line(notification: &Notification, part: Part) -> Option<String> {
    let line = truncate(Landing::Text, &undelivered(notification)?, UNDELIVERED_CHARS);
    Some(if part == Part::Teams { line } else { meaning(part.landing(), &line) })
}

fn rule(rule: &RuleFacts) -> Value {
    json!({
        "name": rule.name,
        "description": rule.description,
        "severity": rule.severity.name(),
        "labels": rule.labels,
        "runbook": rule.labels.get("runbook").and_then(|label| safe_url(label)),
    })
}

fn severity(notification: &Notification) -> Value {
    let severity = notification.notice.as_ref().map_or(notification.rule.severity, |notice| notice.severity);
    // The colours are those of the bar beside the message; the card's are words of Adaptive Cards.
    let (label, emoji, colour, card_colour) = match severity {
        _ if notification.notice.as_ref().is_some_and(|notice| notice.over) => ("Over", "✅", "#1a7f37", "Good"),
        Severity::Info if notification.kind == NotificationKind::Digest => ("All well", "✅", "#1a7f37", "Good"),
        Severity::Info => ("Info", "ℹ️", "#2f6fde", "Accent"),
        Severity::Warning => ("Warning", "⚠️", "#e0a100", "Warning"),
        Severity::Critical => ("Critical", "🔴", "#d1242f", "Attention"),
    };
    json!({ "name": severity.name(), "label": label, "emoji": emoji, "colour": colour, "card_colour": card_colour })
}

fn notice(notification: &Notification, now: Timestamp) -> Value {
    // A damaged store may have lost what it says; the facts that were written with it say the same, if less well.
    let rule = &notification.rule;
    let Some(notice) = &notification.notice else {
        return json!({
            "topic": rule.name, "title": rule.name, "text": rule.description, "severity": rule.severity.name(), "over": false,
            "since": null, "lasted": null, "rule": null,
        });
    };
    let end = if notice.over { notification.created } else { now };
    json!({
        "topic": notice.topic,
        "title": notice.title,
        "text": notice.text,
        "severity": notice.severity.name(),
        "over": notice.over,
        "since": notice.since,
        "lasted": notice.since.map(|since| end.duration_since(since).as_secs().max(0)),
        // About the watch itself, the topic stands in the place of a rule.
        "rule": (rule.name != notice.topic).then_some(&rule.name),
    })
}

fn job(alert: &Alert, now: Timestamp) -> Value {
    let job = &alert.job;
    // A job's view is plain data and always becomes an object.
    let mut entries = match serde_json::to_value(JobView::from(job)) {
        Ok(Value::Object(entries)) => entries,
        _ => Map::new(),
    };
    entries.insert("duration".into(), job.duration(now).map(|d| d.as_millis() as f64 / 1000.0).into());
    entries.insert("run".into(), alert.run.into());
    entries.insert("state_label".into(), job.state.label().into());
    entries.insert("state_phrase".into(), phrase(job).into());
    entries.insert("type_label".into(), job.kind.map(JobType::label).into());
    entries.insert("category_label".into(), job.category.map(Category::label).into());
    Value::Object(entries)
}

/// How a job came out, as the end of a sentence that begins with its name.
fn phrase(job: &Job) -> Cow<'static, str> {
    match job.state {
        State::Running => "is still running".into(),
        State::Finished => "finished".into(),
        State::Failed => "failed".into(),
        State::FinishedWithException => "finished with exceptions".into(),
        State::Skipped => "was skipped".into(),
        State::Stopped => "was stopped".into(),
        State::Unknown(code) => format!("is in the unknown state {code}").into(),
    }
}
