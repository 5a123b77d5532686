//! Rules: conditions on a job, and what to do when they hold. Judging is pure: a job and `now` in, the matching rules out.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    document::{Faults, Node},
    domain::{Job, Name, RuleFacts},
};

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
}

/// `limit: N per D`: a bucket of N messages, refilled evenly over D.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// N, at least 1.
    pub messages: u32,
    /// D, more than zero.
    pub per: Duration,
}

/// Every enabled rule, compiled once.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
}

impl RuleSet {
    /// The enabled rules, in the order of the files.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rules that a job matches as it stands: a final job is judged by every rule, one that runs by those whose states
    /// include `running`.
    #[must_use]
    pub fn judge(&self, _job: &Job, _now: Timestamp) -> Vec<Arc<Rule>> {
        Vec::new()
    }

    /// Whether any rule is to be judged while a job runs.
    #[must_use]
    pub fn watches_running(&self) -> bool {
        false
    }
}

/// The names that a rule may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Known<'k> {
    /// The configured channels.
    pub channels: &'k [Name],
    /// The configured sources.
    pub sources: &'k [Name],
    /// The template sets, built in or the user's.
    pub template_sets: &'k [String],
}

/// Reads rule files, each already parsed, and compiles every rule in them. Every fault of every file is told; a rule with a
/// fault is left out of the set.
#[must_use]
pub fn read(_files: &[Node], _known: &Known<'_>, _faults: &mut Faults) -> RuleSet {
    RuleSet::default()
}

/// A bucket.
#[derive(Debug)]
pub struct Limiter(Limit);

impl Limiter {
    /// A full bucket.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        Self(limit)
    }

    /// Takes a message.
    ///
    /// # Errors
    /// When one is to be had.
    pub fn admit(&self, now: Timestamp) -> Result<(), Timestamp> {
        if self.0.messages > 0 { Ok(()) } else { Err(now) }
    }

    /// Takes what was used before.
    pub fn recall(&self, _past: &[Timestamp]) {}
}
