//! One message to one channel, and its way there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Alert, Digest, Job, Name, RuleFacts, Severity};

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// One alert.
    Alert,
    /// Alerts of a rule that came together and are alike.
    Group,
    /// The alerts a rule's limit held back, or that waited for a channel that was behind.
    RollUp,
    /// A message about the watch itself.
    Notice,
    /// A summary of a period.
    Digest,
}

impl NotificationKind {
    /// The word for the store and for JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Group => "group",
            Self::RollUp => "roll_up",
            Self::Notice => "notice",
            Self::Digest => "digest",
        }
    }

    /// The kind of a word, as the store holds it; a word from elsewhere is an alert's.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        match name {
            "group" => Self::Group,
            "roll_up" => Self::RollUp,
            "notice" => Self::Notice,
            "digest" => Self::Digest,
            _ => Self::Alert,
        }
    }
}

/// A message about the watch itself, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about, stable over its beginning and its end: `source contoso down`.
    pub topic: String,
    /// One line: what is the matter, or that it is over.
    pub title: String,
    /// A few sentences: why, what to do.
    pub text: String,
    /// Since when it lasts or, of one that is over, lasted; none where that is not known.
    pub since: Option<Timestamp>,
    /// How urgent.
    pub severity: Severity,
    /// Whether it tells of the end.
    pub over: bool,
}

impl Notice {
    /// What its message says of a rule, where none stands behind it: the notice itself.
    #[must_use]
    pub fn facts(&self) -> RuleFacts {
        RuleFacts {
            name: self.topic.clone(),
            description: self.text.clone(),
            severity: self.severity,
            labels: BTreeMap::new(),
            template: None,
        }
    }
}

/// Why a message comes to a channel it was not meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The channel that could not deliver it.
    pub channel: Name,
    /// What that channel answered.
    pub answer: String,
}

/// One message to one channel, ready to be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The store's number; also its place in the channel's order.
    pub id: i64,
    /// The same for every attempt, and the same again should the store be restored from an older copy: sent as `webhook-id`,
    /// and as the left part of a mail's `Message-ID`. Letters, digits and `_` only.
    pub key: String,
    /// Where it goes.
    pub channel: Name,
    /// What it is.
    pub kind: NotificationKind,
    /// The rule of all its alerts.
    pub rule: RuleFacts,
    /// What it carries, oldest first; empty only in a notice and a digest. Of a very large roll-up, only the first ones.
    pub alerts: Vec<Alert>,
    /// What a notice says; none in every other kind.
    pub notice: Option<Notice>,
    /// What a digest says; none in every other kind.
    pub digest: Option<Arc<Digest>>,
    /// On a fallback: whose message this is, and why it comes here.
    pub undelivered: Option<Undelivered>,
    /// How many it carries in all.
    pub total: u64,
    /// Whether it is a roll-up because what waited for the channel was too much to be told one by one.
    pub backlog: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Attempts already made.
    pub attempts: u32,
    /// How long it has waited aside, for recipients in trouble, while others passed it.
    pub waited: Duration,
    /// The recipients that need no further attempt (only mail has more than one recipient).
    pub ended: Vec<TargetEnd>,
}

impl Notification {
    /// One that is not from the store and was never tried: a sample about these jobs, of one rule.
    #[must_use]
    pub fn sample(kind: NotificationKind, rule: &RuleFacts, jobs: Vec<Job>, created: Timestamp) -> Self {
        let total = jobs.len() as u64;
        let alerts = (1..).zip(jobs).map(|(id, job)| Alert { id, run: 1, rule: rule.clone(), job, created }).collect();
        Self {
            id: 1,
            key: "sample_1".into(),
            channel: Name::from("sample"),
            kind,
            rule: rule.clone(),
            alerts,
            notice: None,
            digest: None,
            undelivered: None,
            total,
            backlog: false,
            created,
            attempts: 0,
            waited: Duration::ZERO,
            ended: Vec::new(),
        }
    }

    /// One that is not from the store: a digest, before it is written down or because someone asked for it.
    #[must_use]
    pub fn of_digest(digest: Arc<Digest>, created: Timestamp) -> Self {
        let rule = digest.facts();
        Self { total: 0, digest: Some(digest), ..Self::sample(NotificationKind::Digest, &rule, Vec::new(), created) }
    }

    /// How many entries it may name: its alerts, or those of a digest's longest list.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.digest.as_ref().map_or(self.alerts.len(), |digest| digest.entries())
    }
}

/// One recipient of a channel: an address for mail; the one destination, with an empty name, for every other kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target(pub String);

/// How one recipient's part of a notification ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetEnd {
    /// The recipient.
    pub target: String,
    /// Whether it was accepted; otherwise it was refused for good.
    pub accepted: bool,
    /// What was answered.
    pub answer: String,
}

impl TargetEnd {
    /// The recipients' answers in one line: a refusal is named with its recipient, an acceptance told once.
    #[must_use]
    pub fn told(ends: &[Self]) -> String {
        let refused = ends
            .iter()
            .filter(|end| !end.accepted)
            .map(|end| if end.target.is_empty() { end.answer.clone() } else { format!("{} refused: {}", end.target, end.answer) });
        let accepted = ends.iter().find(|end| end.accepted).map(|end| end.answer.clone());
        accepted.into_iter().chain(refused).collect::<Vec<_>>().join("; ")
    }

    /// The answer of a message that was given up for the recipients that are not among these. One that anyone has is delivered,
    /// and its answer says that others have it not.
    #[must_use]
    pub fn told_of_some(ends: &[Self], given_up: String) -> String {
        if ends.iter().any(|end| end.accepted) { format!("{}; the others {given_up}", Self::told(ends)) } else { given_up }
    }
}

/// How an alert ends on a channel; the four words of the accounting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its own message was accepted.
    Delivered,
    /// The roll-up that carries it was accepted.
    RolledUp,
    /// It was kept back by choice.
    Silenced,
    /// It was refused for good, or given up.
    Dead,
}

impl Ending {
    /// All four.
    pub const ALL: &'static [Self] = &[Self::Delivered, Self::RolledUp, Self::Silenced, Self::Dead];

    /// The word for metrics, lists and the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::RolledUp => "rolled_up",
            Self::Silenced => "silenced",
            Self::Dead => "dead",
        }
    }
}

/// One line of the list of deliveries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    /// The notification's number, for `deliveries retry`.
    pub id: i64,
    /// The idempotency key its receiver sees.
    pub key: String,
    /// The channel.
    pub channel: String,
    /// `alert`, `group`, `roll_up`, `notice` or `digest`.
    pub kind: String,
    /// `pending`, or one of the four endings.
    pub outcome: String,
    /// The rule.
    pub rule: String,
    /// The jobs it carries, at most the first [`Delivery::JOBS_SHOWN`].
    pub jobs: Vec<String>,
    /// How many alerts it carries.
    pub alerts: u64,
    /// Attempts made.
    pub attempts: u32,
    /// When it was made.
    pub created: Timestamp,
    /// When the next attempt is due, while it is pending.
    pub due: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The channel's last answer.
    pub answer: Option<String>,
    /// The roll-up or group that carries it.
    pub rolled_into: Option<i64>,
    /// On a fallback: the delivery that failed elsewhere, in whose place this one is. It counts for nothing in the sums.
    pub instead_of: Option<i64>,
}

impl Delivery {
    /// How many job ids a line lists; `alerts` tells how many there are.
    pub const JOBS_SHOWN: usize = 20;
}
