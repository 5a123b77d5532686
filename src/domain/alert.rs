//! One rule's match on one job.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Job, Name, Severity};

/// What an alert is unique by, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AlertKey {
    /// The rule's name.
    pub rule: Name,
    /// The source's name.
    pub source: Name,
    /// The job's id.
    pub job_id: String,
    /// Which run of the job, from 1.
    pub run: u32,
}

/// What a message says of the rule, as it stood when it matched: a later edit of the rule changes no alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFacts {
    /// The rule's name.
    pub name: String,
    /// What it is for, in the user's words; may be empty.
    pub description: String,
    /// How urgent.
    pub severity: Severity,
    /// Free labels; `runbook` is shown as a link.
    pub labels: BTreeMap<String, String>,
    /// The template set the rule asks for; none leaves the choice to the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// One rule's match on one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The store's number.
    pub id: i64,
    /// Which run of the job, from 1.
    pub run: u32,
    /// The rule as it stood.
    pub rule: RuleFacts,
    /// The job as it stood.
    pub job: Job,
    /// When the rule matched.
    pub created: Timestamp,
}
