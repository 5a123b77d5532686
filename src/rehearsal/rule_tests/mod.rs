//! Rule tests: files in which their writers say which jobs must alert, and which must not.
//!
//! A test gives jobs, plays them through the rules in virtual time, and holds what was raised against what it expects. What is
//! expected names a rule and any part of the alert; what is not named is not compared, but what is not listed must not alert.
//! Limits, groups and `notify` being full or broken are no matter here: a test is about which rule matches which job.
//!
//! **Jobs** leave out what does not matter: the source is the first configured one, the state `finished`, the type and the
//! category `microsoft_365`, the profile [`PROFILE`]. A job without times begins where the one before it in the list ended and
//! takes [`TAKES`]; those before the first job with a time end at that, and if no job has any, the last ends at `at` or, where
//! that is not given either, at [`NOON`]. A job that is listed as ended is judged by its end alone; the same `id` a second time
//! is a later sighting of the same job, so that one may be seen running and then ended.

mod compare;
mod expect;
mod jobs;
mod keys;
mod layout;
mod read;
mod report;
mod words;

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

pub use compare::{Line, Outcome, Surprise};
pub use jobs::{PROFILE, TAKES};
pub use keys::FILE as FILE_KEYS;
pub use layout::NOON;
pub use read::{files, read};
pub use report::{Listed, Ran, RanFile, junit};

use expect::Expect;
use jobs::Cast;

use super::Watch;
use crate::{
    document::{Fault, Place, Source},
    domain::Name,
    rules::RuleSet,
};

/// What rule tests are about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// The configured channels.
    pub channels: Vec<Name>,
    /// The configured sources.
    pub sources: Vec<Name>,
}

/// One file of rule tests, without a fault.
#[derive(Debug)]
pub struct TestFile {
    /// The file.
    pub source: Arc<Source>,
    /// Its tests, in order.
    pub tests: Vec<RuleTest>,
}

impl TestFile {
    /// Its path as the user would write it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.source.path
    }
}

/// One test, ready to be run.
#[derive(Debug)]
pub struct RuleTest {
    /// What it is about, in its writer's words.
    pub name: String,
    /// Where its name stands.
    pub place: Place,
    /// The rules it runs: the enabled ones, and those at rest that it enables.
    rules: Arc<RuleSet>,
    cast: Cast,
    watch: Watch,
    /// Whether the test says where the clock stands in the end.
    clock_is_set: bool,
    expect: Vec<Expect>,
}

impl RuleTest {
    /// The rules that it expects something of.
    pub fn touches(&self) -> impl Iterator<Item = &Name> {
        self.expect.iter().map(|expect| &expect.rule.name)
    }

    /// Its name as one line that can't steer a terminal.
    #[must_use]
    pub fn title(&self) -> String {
        words::shown(&self.name)
    }

    /// Plays the jobs through the rules, and compares.
    #[must_use]
    pub fn run(&self) -> Outcome {
        compare::compare(self)
    }
}

impl Surprise {
    /// It as a fault of its file.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.reasons.iter().fold(Fault::error(&self.place, &self.message), Fault::note)
    }
}
