//! Rules run over jobs held in memory, in virtual time: what would have been raised, and when. Nothing is read and nothing
//! is sent; the same jobs give the same answer, whenever it is asked.
//!
//! [`run`] is the whole of it: jobs and a span of time in, events out in the order in which they would have happened. A job
//! is judged when it ended, with the past it had then; where it was watched while it ran, also at each instant of its run at
//! which a rule's answer may turn. No limit, group or rest is applied here.

mod gaps;
mod messages;
mod past;
pub mod rule_tests;
mod run;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;

pub use messages::{Message, messages};
pub use run::{Explainer, run, run_telling};

use crate::{
    domain::{Job, Name},
    rules::Rule,
};

/// One run of one job, as it is known in the end.
#[derive(Debug, Clone)]
pub struct Course {
    /// The job: ended, or still running at the end of the span.
    pub job: Arc<Job>,
    /// Which run of the job, from 1.
    pub run: u32,
    /// Whether it was seen from its start on. Where it was not, a job that has ended is judged by its end alone.
    pub watched: bool,
}

/// The time that is rehearsed.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What happened before is past: it is looked back on, and raises nothing. Where no job ever came that a `missing` rule
    /// waits for, its time runs from here.
    pub from: Timestamp,
    /// The clock at the end: nothing later happens.
    pub to: Timestamp,
    /// The sources that are watched, for rules on what is missing.
    pub sources: Vec<Name>,
}

/// Something that would have happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A rule matched a job.
    Raised(Raised),
    /// No job that a `missing` rule waits for has come in time.
    Missed(Gap),
    /// One has come after all.
    Back(Gap),
}

impl Event {
    /// When.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Raised(raised) => raised.at,
            Self::Missed(gap) | Self::Back(gap) => gap.at,
        }
    }

    /// The rule.
    #[must_use]
    pub const fn rule(&self) -> &Arc<Rule> {
        match self {
            Self::Raised(raised) => &raised.rule,
            Self::Missed(gap) | Self::Back(gap) => &gap.rule,
        }
    }
}

/// One rule's match on one run of one job.
#[derive(Debug, Clone)]
pub struct Raised {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The job as it stood when the rule matched: running, or ended.
    pub job: Arc<Job>,
    /// Which run of the job, from 1.
    pub run: u32,
    /// The instant at which its conditions first held.
    pub at: Timestamp,
}

/// A time in which no job came that a `missing` rule waits for.
#[derive(Debug, Clone)]
pub struct Gap {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The source.
    pub source: Name,
    /// When it was told, or told to be over.
    pub at: Timestamp,
    /// When the last such job before it ended; none where none was seen.
    pub last: Option<Timestamp>,
}
