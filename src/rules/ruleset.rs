//! The set of all enabled rules, and its verdict on a job.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::Job;

use super::{Rule, condition::Facts, rule::Trigger};

/// Every enabled rule, compiled once.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    watches_running: bool,
}

impl RuleSet {
    pub(super) fn new(rules: Vec<Arc<Rule>>) -> Self {
        let watches_running = rules.iter().any(|rule| matches!(&rule.trigger, Trigger::When(when) if when.watches_running()));
        Self { rules, watches_running }
    }

    /// The enabled rules, in the order of the files.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rules that a job matches as it stands: a final job is judged by every rule, one that runs by those that name its
    /// state.
    #[must_use]
    pub fn judge(&self, job: &Job, now: Timestamp) -> Vec<Arc<Rule>> {
        let facts = Facts::new(job, now);
        let matches = |rule: &&Arc<Rule>| matches!(&rule.trigger, Trigger::When(when) if when.matches(&facts));
        self.rules.iter().filter(matches).cloned().collect()
    }

    /// Whether any rule is to be judged while a job runs.
    #[must_use]
    pub const fn watches_running(&self) -> bool {
        self.watches_running
    }
}
