//! What lists of the store's contents are asked for by, and made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{JobView, State};

/// Which jobs to list, newest start first.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only this source's.
    pub source: Option<String>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only this id.
    pub id: Option<String>,
    /// Only those whose profile contains this text, case ignored.
    pub profile: Option<String>,
    /// Only those that started (or, without a start, were first seen) at or after this instant.
    pub since: Option<Timestamp>,
    /// Only those that come behind this place in the list.
    pub behind: Option<JobPlace>,
    /// At most this many.
    pub limit: u32,
}

/// A job's place in the list of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPlace {
    /// [`JobRow::place`].
    pub at: Timestamp,
    /// The job's source.
    pub source: String,
    /// Its id.
    pub id: String,
}

/// One line of the list of jobs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRow {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// Which run it is in.
    pub run: u32,
    /// What the list is ordered by: the start or, without one, when it was first seen.
    #[serde(skip)]
    pub place: Timestamp,
}

/// Which alerts to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// Only this rule's.
    pub rule: Option<String>,
    /// Only this source's.
    pub source: Option<String>,
    /// Only this job's.
    pub job: Option<String>,
    /// Only those made at or after this instant.
    pub since: Option<Timestamp>,
    /// Only those with a smaller number.
    pub behind: Option<i64>,
    /// At most this many.
    pub limit: u32,
}

/// Which deliveries to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only this one.
    pub id: Option<i64>,
    /// Only this channel's.
    pub channel: Option<String>,
    /// `pending` or an ending's name.
    pub outcome: Option<String>,
    /// Only those made at or after this instant.
    pub since: Option<Timestamp>,
    /// Only those with a smaller number.
    pub behind: Option<i64>,
    /// At most this many.
    pub limit: u32,
}

/// One line of the list of alerts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertRow {
    /// The store's number.
    pub id: i64,
    /// The rule.
    pub rule: String,
    /// Its severity when it matched.
    pub severity: String,
    /// When it matched.
    pub created: Timestamp,
    /// Which run of the job.
    pub run: u32,
    /// Which rules judged, as their version; none for alerts of a program that did not write it down.
    pub rules_version: Option<String>,
    /// The job as it stood.
    pub job: JobView,
    /// How it stands on each channel: `pending` or an ending.
    pub channels: BTreeMap<String, String>,
}
