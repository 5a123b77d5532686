//! A rule as it stands once read.

use std::{sync::Arc, time::Duration};

use crate::domain::{Job, Name, RuleFacts};

use super::{missing::Missing, when::When};

/// One rule, compiled.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: Name,
    /// What its messages say of it.
    pub facts: Arc<RuleFacts>,
    /// The channels it notifies, in the file's order, none twice.
    pub notify: Vec<Name>,
    /// `limit: N per D`.
    pub limit: Option<Limit>,
    /// `group: {by, wait}`.
    pub group: Option<Group>,
    /// What it waits for.
    pub(super) trigger: Trigger,
}

/// What makes a rule alert.
#[derive(Debug)]
pub(super) enum Trigger {
    /// `when`: a job that holds.
    When(When),
    /// `missing`: a job that never came.
    Missing(Missing),
}

impl Rule {
    /// Whether it is judged while a job runs.
    #[must_use]
    pub fn watches_running(&self) -> bool {
        matches!(&self.trigger, Trigger::When(when) if when.watches_running())
    }

    /// `missing: {profile, every, grace, source}`, of a rule that has it in place of `when`.
    #[must_use]
    pub const fn missing(&self) -> Option<&Missing> {
        match &self.trigger {
            Trigger::Missing(missing) => Some(missing),
            Trigger::When(_) => None,
        }
    }
}

/// `limit: N per D`: a bucket of N messages, refilled evenly over D.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// N, at least 1.
    pub messages: u32,
    /// D, more than zero.
    pub per: Duration,
}

/// `group: {by, wait}`: what is alike in `by` and comes within `wait` of the first goes out as one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What must be alike; never empty, none twice.
    pub by: Vec<GroupBy>,
    /// How long the first one waits for others.
    pub wait: Duration,
}

impl Group {
    /// What a job shares with the others of its group; different for jobs that differ in any of it.
    #[must_use]
    pub fn key(&self, job: &Job) -> String {
        let value = |by: &GroupBy| match by {
            GroupBy::Source => job.source.to_string(),
            GroupBy::Profile => job.profile.clone(),
            GroupBy::State => job.state.name().into_owned(),
            GroupBy::Type => job.kind.map(|kind| kind.name().into_owned()).unwrap_or_default(),
            GroupBy::Category => job.category.map(|category| category.name().into_owned()).unwrap_or_default(),
        };
        // As a list in JSON, which keeps ["a", "bc"] and ["ab", "c"] apart.
        self.by.iter().map(value).collect::<serde_json::Value>().to_string()
    }
}

/// A word of `group: by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// `source`
    Source,
    /// `profile`
    Profile,
    /// `state`
    State,
    /// `type`
    Type,
    /// `category`
    Category,
}

impl GroupBy {
    /// All, with the words that rules write.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("source", Self::Source), ("profile", Self::Profile), ("state", Self::State), ("type", Self::Type), ("category", Self::Category)];
}
