//! One sample alert to one channel: so that a person can see a message arrive before anything has failed.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{Channel, Envelope, Wording};
use crate::domain::{Category, Job, JobType, Name, Notification, NotificationKind, Outcome, RuleFacts, Severity, State, Target};

/// What a sample says of a rule, where none is named.
#[must_use]
pub fn rule() -> RuleFacts {
    RuleFacts {
        name: "sample".into(),
        description: "A test message: no scan has failed.".into(),
        severity: Severity::Info,
        labels: BTreeMap::new(),
        template: None,
    }
}

/// The job a sample is about, where none is named.
#[must_use]
pub fn job(source: Option<&Name>, now: Timestamp) -> Job {
    Job {
        source: source.cloned().unwrap_or_else(|| Name::from("sample")),
        id: "Scan00000000000000000000".into(),
        kind: Some(JobType::Microsoft365),
        state: State::Failed,
        started: now.checked_sub(Duration::from_secs(12 * 60 + 34)).ok(),
        finished: Some(now),
        profile: "sample scan profile".into(),
        category: Some(Category::Microsoft365),
        extension: serde_json::Value::Null,
    }
}

/// The message, under a key of its own.
#[must_use]
pub fn notification(channel: Name, rule: &RuleFacts, job: Job, now: Timestamp) -> Notification {
    // No two samples are the same message, or a receiver that drops repeats would show only the first.
    let key = format!("msg_sample_{:032x}", rand::random::<u128>());
    Notification { id: 0, key, channel, ..Notification::sample(NotificationKind::Alert, rule, vec![job], now) }
}

/// Sends a message that is in no store to each recipient, one after the other: it is not recorded, and not sent again.
///
/// # Errors
/// It could not be put into words.
pub async fn send(
    channel: &dyn Channel,
    notification: &Notification,
    now: impl Fn() -> Timestamp + Send,
) -> Result<Vec<(Target, Outcome)>, String> {
    let payload = channel.compose(notification, &Wording::Configured, now())?;
    let mut answers = Vec::new();
    for target in channel.targets() {
        let envelope = Envelope { key: &notification.key, target: &target, now: now() };
        let outcome = channel.send(&payload, envelope).await;
        answers.push((target, outcome));
    }
    Ok(answers)
}
