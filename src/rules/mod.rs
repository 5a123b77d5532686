//! Rules: conditions on a job, and what to do when they hold. Judging is pure: a job, its past and `now` in, the
//! matching rules out.
//!
//! `condition` holds the table of conditions; a new one is a file with its `condition::Test` and a row there.

mod codes;
mod condition;
mod count;
mod duration;
mod explain;
mod expr;
mod finished;
mod glob;
mod index;
mod keys;
mod limiter;
mod missing;
mod past;
mod possible;
mod previous;
mod profile;
mod read;
mod rule;
mod ruleset;
mod sense;
mod slower;
mod source;
mod streak;
mod turns;
mod unanswered;
mod version;
mod when;
pub mod words;

#[cfg(test)]
mod tests;

pub use condition::{CONDITIONS, Condition};
pub use explain::{Explained, Finding, Verdict};
pub use keys::{FILE as FILE_KEYS, when_keys};
pub use limiter::Limiter;
pub use missing::{Missing, Standing, Watch};
pub use past::{Need, PAST_MOST, Past};
pub use read::{read, read_digest};
pub use rule::{Group, GroupBy, Limit, Rule};
pub use ruleset::RuleSet;
pub use unanswered::Unanswered;

use crate::domain::Name;
pub use crate::domain::Told;

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
