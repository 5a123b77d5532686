//! What the program asks of its store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{AlertFilter, AlertRow, Backlogs, DeliveryFilter, DigestStore, JobFilter, JobRow, LaterQuery, PastQuery, Unjudged};
use crate::domain::{Delivery, Ending, Job, Name, Notice, Notification, RuleFacts, State, TargetEnd, format_duration};

/// Why the store did not do as asked. Nothing of the request is on disk then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, read-only or broken, or the file is held by another program.
    #[error("the store can't be written: {0}")]
    Unwritable(String),
    /// What no second try on the open file mends: a sync that failed, damage, a file that is gone. The program is to end; its
    /// next start reads what is really there.
    #[error("the store can't be used any more: {0}")]
    Broken(String),
    /// Anything else the database says.
    #[error("the store failed: {0}")]
    Failed(String),
    /// What was asked for was not found within this time, and is not looked for any longer.
    #[error("the store did not find it within {}", format_duration(*.0))]
    TooSlow(Duration),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

/// What is known of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRecord {
    /// Jobs that ended at or before this instant are never alerted on, unless their end was watched. Server time.
    pub cut: Timestamp,
    /// Whether a sweep has met the whole list since the cut was made.
    pub baseline: bool,
    /// Every job that started before this instant has been met by a complete sweep. Server time.
    pub watermark: Option<Timestamp>,
    /// Jobs that ended before this instant may have been let go. Server time.
    pub pruned: Option<Timestamp>,
}

/// What is known of a job, as far as taking it in again needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Which run it is in, from 1.
    pub run: u32,
    /// Its state.
    pub state: State,
    /// Its end.
    pub finished: Option<Timestamp>,
    /// Whether it has ended.
    pub ended: bool,
    /// Whether its end is yet to be judged by rules that look at the past.
    pub unjudged: bool,
}

/// A job that has not ended, and the rules that alerted on its present run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenJob {
    /// As last seen.
    pub job: Job,
    /// Which run it is in.
    pub run: u32,
    /// The rules that have alerted on this run.
    pub alerted: Vec<Name>,
}

/// A job as it is to be written.
#[derive(Debug, Clone)]
pub struct JobChange {
    /// The job.
    pub job: Arc<Job>,
    /// Which run it is in.
    pub run: u32,
    /// Whether it reached a final state just now (and is counted in `jobs_total`).
    pub newly_final: bool,
    /// Whether rules that look at the past are yet to judge its end: the mark stays until [`Intake::judged`] names it.
    pub unjudged: bool,
}

/// An alert as it is to be written.
#[derive(Debug, Clone)]
pub struct NewAlert {
    /// The rule.
    pub rule: Name,
    /// The rule as its messages will show it.
    pub facts: Arc<RuleFacts>,
    /// The job that matched.
    pub job: Arc<Job>,
    /// Which run of it.
    pub run: u32,
    /// The channels to notify.
    pub notify: Vec<Name>,
    /// Whether the rule's limit holds its messages back.
    pub held: bool,
    /// The group it waits in, where its rule makes groups.
    pub gather: Option<Gather>,
}

/// A group of a rule that an alert joins: the first one in it says how long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gather {
    /// What its alerts share.
    pub key: String,
    /// How long the first one waits for others.
    pub wait: Duration,
}

/// A group that waits for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathering {
    /// The rule.
    pub rule: Name,
    /// What its alerts share.
    pub key: String,
    /// When it is to go out.
    pub due: Timestamp,
}

/// How a channel stands, as far as the next start must know it. The default is a channel that never was in trouble.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Failed attempts in a row; 0 where it takes messages.
    pub failed: u32,
    /// Whether it refuses everything, as opposed to a trouble that may pass.
    pub refused: bool,
    /// Since when its trouble lasts: the first failure of the same kind; none where it takes messages.
    pub since: Option<Timestamp>,
    /// Nothing is sent before this instant, unless someone asks for it.
    pub due: Option<Timestamp>,
    /// Nothing is sent before this instant: the channel asked for it.
    pub asked: Option<Timestamp>,
    /// For how long, in all, messages have waited for this channel in troubles that may pass. It only grows.
    pub aged: Duration,
    /// When it was last sent a message, as far as that is written down.
    pub sent: Option<Timestamp>,
    /// The last failure's answer.
    pub answer: String,
}

/// The messages of one channel that have waited too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The channel.
    pub channel: Name,
    /// Its [`Line::aged`] by now.
    pub aged: Duration,
    /// How long a message is tried.
    pub give_up_after: Duration,
    /// The answer they end with.
    pub answer: String,
    /// The channel that gets them instead.
    pub fallback: Option<Name>,
    /// The present.
    pub now: Timestamp,
}

/// What [`Store::give_up`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaveUp {
    /// Messages given up.
    pub messages: usize,
    /// How much longer the channel may be in trouble until the next one is due to be given up; none where nothing waits.
    pub next: Option<Duration>,
}

/// One page, judged: written whole, in one transaction, or not at all.
#[derive(Debug, Clone)]
pub struct Intake {
    /// The source.
    pub source: Name,
    /// The time of taking in.
    pub now: Timestamp,
    /// The jobs that are new or changed.
    pub jobs: Vec<JobChange>,
    /// What the rules made of them. An alert that exists already is passed over, with its notifications.
    pub alerts: Vec<NewAlert>,
    /// The ids of jobs that no longer wait to be judged: rules that look at the past have.
    pub judged: Vec<String>,
    /// Which rules judged, for the alerts to remember.
    pub rules_version: Arc<str>,
    /// Rows that could not be read: why, and the row as it came.
    pub unreadable: Vec<(String, String)>,
}

/// What a channel's worker gets when it asks for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// These, in order, are the worker's until the lease runs out.
    Ready(Vec<Notification>),
    /// The channel, or all that waits for it, is not due before this instant.
    NotBefore(Timestamp),
    /// Nothing waits.
    Empty,
}

/// How one attempt at a notification is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The notification.
    pub id: i64,
    /// What is to become of it.
    pub verdict: Verdict,
    /// The time of the attempt.
    pub now: Timestamp,
    /// Whether a message was really sent (a template that failed made no attempt).
    pub attempted: bool,
    /// The channel's answer.
    pub answer: String,
    /// The recipients that need no further attempt.
    pub targets: Vec<TargetEnd>,
    /// How the channel stands now, where that changed.
    pub line: Option<Line>,
    /// The channel that gets it if it is dead.
    pub fallback: Option<Name>,
}

/// What is to become of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted.
    Delivered,
    /// Refused for good, or given up: a dead letter.
    Dead,
    /// Still first in line: the channel is in trouble, and all that is for it waits.
    Waits,
    /// Waits aside until this instant for recipients in trouble, while those behind it pass. The wait counts towards giving up.
    Aside(Timestamp),
    /// The attempt goes on: some recipients are done, or it is about to be sent. The last answer stays.
    Underway,
}

/// Alerts that were held back or gathered, put into one message a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollUp {
    /// Messages made.
    pub messages: usize,
    /// Notifications folded into them.
    pub folded: usize,
}

/// A place in the list of old jobs; the default is its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldJob {
    /// The start, in microseconds since 1970; `i64::MIN` stands before all.
    pub started: Option<i64>,
    /// The id.
    pub id: String,
}

/// What became of an attempt to prune.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Jobs removed, with their alerts and notifications.
    pub jobs: usize,
    /// Whether there may be more.
    pub more: bool,
}

/// Which deliveries to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// This one, if it is dead or waits for its next attempt.
    One(i64),
    /// Every dead letter.
    Dead,
}

/// The running sums, read in one transaction: they hold together at every moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Jobs newly final, by source and state.
    pub jobs: BTreeMap<(String, String), u64>,
    /// Alerts, by rule.
    pub alerts: BTreeMap<String, u64>,
    /// Ended, counted in alerts, by channel and ending.
    pub ended: BTreeMap<(String, Ending), u64>,
    /// Not yet ended, counted in alerts, by channel.
    pub pending: BTreeMap<String, u64>,
}

/// The store. Every method that writes is one transaction; when it returns without an error, what it wrote survives the
/// death of the process, and what [`Store::take_in`] wrote also a power cut.
#[async_trait]
pub trait Store: DigestStore + Backlogs {
    /// What is known of a source; on the first call with its name, it is written down with the cut proposed.
    async fn open_source(&self, name: &Name, cut: Timestamp) -> Result<SourceRecord, StoreError>;

    /// Writes down that a sweep has met everything it set out to meet.
    async fn end_sweep(&self, name: &Name, watermark: Option<Timestamp>) -> Result<(), StoreError>;

    /// What is known of these jobs, in their order.
    async fn known(&self, source: &Name, ids: Vec<String>) -> Result<Vec<Option<Known>>, StoreError>;

    /// The rules that have alerted on one run of a job.
    async fn alerted(&self, source: &Name, job_id: &str, run: u32) -> Result<Vec<Name>, StoreError>;

    /// The jobs that are yet to be judged by rules that look at the past, in the order in which they ended: those that ended at or
    /// before `until`, at most `most`.
    async fn unjudged(&self, source: &Name, until: Timestamp, most: u32) -> Result<Vec<Unjudged>, StoreError>;

    /// The jobs of a scan profile that ended later than another and do not wait to be judged, in the order in which they ended.
    async fn judged_later(&self, query: LaterQuery) -> Result<Vec<Unjudged>, StoreError>;

    /// The past of a scan profile, newest first. A job that has ended without a finish time is in no past.
    async fn past(&self, query: PastQuery) -> Result<Vec<Arc<Job>>, StoreError>;

    /// Every job of a source that has not ended.
    async fn open_jobs(&self, source: &Name) -> Result<Vec<OpenJob>, StoreError>;

    /// Counts jobs that were running and are nowhere to be found any more as ended, without an end.
    async fn give_up_on(&self, source: &Name, ids: Vec<String>) -> Result<(), StoreError>;

    /// Takes in one judged page. Durable against a power cut.
    async fn take_in(&self, intake: Intake) -> Result<(), StoreError>;

    /// When a rule's last messages were let through, oldest first, at most `most`: alerts sent at once, groups and roll-ups.
    async fn let_through(&self, rule: &Name, most: u32) -> Result<Vec<Timestamp>, StoreError>;

    /// The rules with messages held back.
    async fn held_rules(&self) -> Result<Vec<Name>, StoreError>;

    /// Puts everything a rule's limit held back into one message a channel.
    async fn roll_up(&self, rule: &Name, now: Timestamp) -> Result<RollUp, StoreError>;

    /// Every group that waits for more.
    async fn gathering(&self) -> Result<Vec<Gathering>, StoreError>;

    /// Puts a group into one message a channel.
    async fn send_group(&self, rule: &Name, key: &str, now: Timestamp) -> Result<RollUp, StoreError>;

    /// Has a rule's limit hold a group back: its alerts wait for the next roll-up. How many notifications.
    async fn hold_group(&self, rule: &Name, key: &str) -> Result<usize, StoreError>;

    /// How a channel stood when it was last written down.
    async fn line(&self, channel: &Name) -> Result<Line, StoreError>;

    /// Gives up what has waited too long for a channel in trouble: dead letters. Also writes down how long it has been in trouble.
    async fn give_up(&self, overdue: Overdue) -> Result<GaveUp, StoreError>;

    /// Leases the first `most` notifications of a channel, in order. Those that wait aside are passed over until they are due.
    async fn claim(&self, channel: &Name, now: Timestamp, most: u32) -> Result<Claim, StoreError>;

    /// Writes down what came of an attempt.
    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError>;

    /// Writes down a notice for each of these channels. One that begins does nothing where its topic is told already, one that
    /// ends does nothing where it is not: each is told once, whatever restarts lie between. Whether it was written.
    async fn tell(&self, notice: Notice, channels: Vec<Name>, now: Timestamp) -> Result<bool, StoreError>;

    /// The topics told to be the matter and not yet to be over, and since when they were.
    async fn told(&self) -> Result<BTreeMap<String, Timestamp>, StoreError>;

    /// The ids of jobs that ended and started before an instant, oldest first from behind the cursor, at most `most`; and the
    /// cursor behind them.
    async fn old_jobs(&self, source: &Name, before: Timestamp, after: OldJob, most: u32) -> Result<(Vec<String>, OldJob), StoreError>;

    /// Counts for each of these jobs whether a complete sweep of the whole list met it.
    async fn note_listed(&self, source: &Name, jobs: Vec<(String, bool)>) -> Result<(), StoreError>;

    /// Removes a limited number of jobs that ended before an instant, with all that hangs on them: only those
    /// that two sweeps of the whole list no longer met, and of whose notifications each has ended and none is a dead letter.
    async fn prune(&self, source: &Name, before: Timestamp) -> Result<Pruned, StoreError>;

    /// Makes deliveries pending again, due at once, whatever trouble their channels are in; their number.
    async fn retry(&self, which: Retry, now: Timestamp) -> Result<usize, StoreError>;

    /// Runs of jobs in the order of source, id and run from behind one on, at most `most`: those that ended at or after an instant, and
    /// those without an end.
    async fn history(&self, since: Timestamp, after: Option<(Name, String, u32)>, most: u32) -> Result<Vec<(Job, u32)>, StoreError>;

    /// Lists jobs.
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobRow>, StoreError>;

    /// Lists alerts.
    async fn alerts(&self, filter: AlertFilter) -> Result<Vec<AlertRow>, StoreError>;

    /// Lists deliveries.
    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError>;

    /// The running sums.
    async fn tally(&self) -> Result<Tally, StoreError>;

    /// Whether the last attempt to write failed, and why.
    fn trouble(&self) -> Option<StoreError>;

    /// Waits until the store is [`StoreError::Broken`], if it ever is.
    async fn broken(&self) -> StoreError {
        std::future::pending().await
    }
}
