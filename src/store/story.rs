//! All that is held of one job, read at one moment: for whoever asks why it alerted, or why it did not.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::{Line, SourceRecord, StoreError};
use crate::domain::{Job, Name, RuleFacts, TargetEnd};

/// What a store tells of single jobs.
#[async_trait]
pub trait Stories: Send + Sync {
    /// Of each source, up to when nothing that ended was alerted on: its first run's `start`. Server time.
    async fn starts(&self) -> Result<BTreeMap<Name, Timestamp>, StoreError>;

    /// Where a job of this id is known; of one that is nowhere, what its id may be meant for.
    async fn seek(&self, job_id: &str) -> Result<Sought, StoreError>;

    /// All that is held of a job; none where it is not known. `now` says which leases still run.
    async fn story(&self, source: &str, job_id: &str, now: Timestamp) -> Result<Option<Story>, StoreError>;
}

/// What came of looking for an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// These sources have a job of this id; never empty.
    In(Vec<String>),
    /// None has. These jobs' ids, each with its source, are like it, the likest first: at most [`Sought::LIKE_MOST`].
    Like(Vec<(String, String)>),
}

impl Sought {
    /// How many ids are proposed.
    pub const LIKE_MOST: usize = 5;
}

/// All that is held of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// As last seen.
    pub job: Job,
    /// Which run it is in. Of earlier runs, their alerts are here.
    pub run: u32,
    /// When it was first taken in.
    pub first_seen: Timestamp,
    /// Whether it is done with. A job that is, and whose state is not final, vanished from its source's list.
    pub ended: bool,
    /// Whether rules that look at the past have yet to judge its end.
    pub unjudged: bool,
    /// What is known of its source.
    pub source: Option<SourceRecord>,
    /// Its alerts, of every run, oldest first.
    pub alerts: Vec<Raised>,
    /// How the channels of its alerts stand, where they have been in trouble or have sent.
    pub lines: BTreeMap<String, Line>,
    /// Since when a channel is told to refuse everything, by channel.
    pub refused: BTreeMap<String, Timestamp>,
}

/// One alert, and its ways.
#[derive(Debug, Clone, PartialEq)]
pub struct Raised {
    /// The store's number.
    pub id: i64,
    /// The rule as it stood.
    pub rule: RuleFacts,
    /// Which run of the job.
    pub run: u32,
    /// The job as it stood.
    pub job: Job,
    /// When the rule matched.
    pub created: Timestamp,
    /// Which rules judged; none of alerts from before this was written down.
    pub rules_version: Option<String>,
    /// Whether it went out at once, neither held back nor gathered.
    pub at_once: bool,
    /// Its way to each of its channels.
    pub ways: Vec<Way>,
}

/// An alert's way to one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Its own message.
    pub own: Message,
    /// The roll-up or group that carries it.
    pub carrier: Option<Message>,
    /// What fallbacks were sent in its place.
    pub instead: Vec<Message>,
}

impl Way {
    /// The message that decides: the one that carries it, or its own.
    #[must_use]
    pub fn telling(&self) -> &Message {
        self.carrier.as_ref().unwrap_or(&self.own)
    }
}

/// One message, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The delivery's number.
    pub id: i64,
    /// The idempotency key its receiver sees.
    pub key: String,
    /// The channel.
    pub channel: String,
    /// `alert`, `group`, `roll_up` or `notice`.
    pub kind: String,
    /// How far it is.
    pub stage: Stage,
    /// How many alerts it carries.
    pub alerts: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When its group goes out, or until when it waits aside, should that be later than its making.
    pub due: Timestamp,
    /// Attempts made.
    pub attempts: u32,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The channel's last answer. Earlier ones are not kept.
    pub answer: Option<String>,
    /// The recipients that need no further attempt, of a channel that has several.
    pub recipients: Vec<TargetEnd>,
    /// How many of its channel's messages go before it.
    pub ahead: u64,
    /// Whether it is being sent at this moment.
    pub under_way: bool,
    /// What its alerts share, of a rule that makes groups.
    pub gather: Option<String>,
    /// Whether it is a roll-up of a backlog.
    pub backlog: bool,
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// In its channel's line.
    Pending,
    /// Its group waits for more.
    Gathering,
    /// The rule's limit holds it back.
    Held,
    /// In a message that is under way.
    Folded,
    /// Accepted.
    Delivered,
    /// The roll-up that carries it was accepted.
    RolledUp,
    /// Kept back by choice.
    Silenced,
    /// Refused for good, or given up.
    Dead,
}

impl Stage {
    /// Every stage, with the store's word.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("pending", Self::Pending),
        ("gathering", Self::Gathering),
        ("held", Self::Held),
        ("folded", Self::Folded),
        ("delivered", Self::Delivered),
        ("rolled_up", Self::RolledUp),
        ("silenced", Self::Silenced),
        ("dead", Self::Dead),
    ];

    /// Whether it has ended.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Delivered | Self::RolledUp | Self::Silenced | Self::Dead)
    }
}
