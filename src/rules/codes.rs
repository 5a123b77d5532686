//! `state`, `type`, `category`: the API's numbered codes.

use std::borrow::Cow;

use crate::{
    document::{Fault, Faults, Node, text_list},
    domain::{Category, Job, JobType, State},
};

use super::{
    Known,
    condition::{Facts, Lane, Test, either, twice, unknown},
    when::When,
};

/// Which code of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Field {
    State,
    Type,
    Category,
}

impl Field {
    pub const ALL: [Self; 3] = [Self::State, Self::Type, Self::Category];

    pub const fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Type => "type",
            Self::Category => "category",
        }
    }

    pub fn names(self) -> Vec<Cow<'static, str>> {
        match self {
            Self::State => State::ALL.iter().map(|s| s.name()).collect(),
            Self::Type => JobType::ALL.iter().map(|t| t.name()).collect(),
            Self::Category => Category::ALL.iter().map(|c| c.name()).collect(),
        }
    }

    pub fn parse(self, text: &str) -> Option<i64> {
        match self {
            Self::State => State::parse(text).map(State::code),
            Self::Type => JobType::parse(text).map(JobType::code),
            Self::Category => Category::parse(text).map(Category::code),
        }
    }

    pub fn name(self, code: i64) -> Cow<'static, str> {
        match self {
            Self::State => State::from_code(code).name(),
            Self::Type => JobType::from_code(code).name(),
            Self::Category => Category::from_code(code).name(),
        }
    }

    /// The job's; none where the feed does not say.
    pub fn of(self, job: &Job) -> Option<i64> {
        match self {
            Self::State => Some(job.state.code()),
            Self::Type => job.kind.map(JobType::code),
            Self::Category => job.category.map(Category::code),
        }
    }
}

/// One of these codes. A job that has none matches none.
#[derive(Debug)]
struct OneOf {
    field: Field,
    codes: Vec<i64>,
}

impl Test for OneOf {
    fn holds(&self, facts: &Facts<'_>, _: &When) -> bool {
        self.field.of(facts.job).is_some_and(|code| self.codes.contains(&code))
    }

    fn wanted(&self) -> String {
        names(self.field, &self.codes)
    }

    fn found(&self, facts: &Facts<'_>, _: &When) -> String {
        self.field.of(facts.job).map_or_else(|| "none".to_owned(), |code| self.field.name(code).into_owned())
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Code(self.field, &self.codes)
    }
}

pub(super) fn state(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    read(Field::State, node, faults)
}

pub(super) fn kind(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    read(Field::Type, node, faults)
}

pub(super) fn category(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    read(Field::Category, node, faults)
}

fn read(field: Field, node: &Node, faults: &mut Faults) -> Option<Box<dyn Test>> {
    list(field, node, faults).map(|codes| Box::new(OneOf { field, codes }) as Box<dyn Test>)
}

/// The codes' names: `a`, `b` or `c`.
pub(super) fn names(field: Field, codes: &[i64]) -> String {
    either(codes.iter().map(|code| field.name(*code)))
}

/// What people call it elsewhere, in the console and in other tools.
fn meant(field: Field, written: &str) -> Option<&'static str> {
    const STATES: [(&str, &[&str]); 5] = [
        ("running", &["in progress", "inprogress", "started", "executing", "active"]),
        ("finished", &["success", "successful", "succeeded", "complete", "completed", "done", "ok"]),
        ("failed", &["error", "errors", "failure", "fail"]),
        (
            "finished_with_exception",
            &["exception", "exceptions", "partial", "partially succeeded", "partially finished", "warning", "warnings"],
        ),
        ("stopped", &["cancelled", "canceled", "aborted", "stopping"]),
    ];
    let word = written.trim().to_lowercase().replace(['_', '-'], " ");
    let find = || STATES.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(name, _)| *name);
    if field == Field::State { find() } else { None }
}

/// Reads one code or a list of them; none if none was right.
pub(super) fn list(field: Field, node: &Node, faults: &mut Faults) -> Option<Vec<i64>> {
    let mut codes = Vec::new();
    for (item, written) in text_list(node, faults) {
        match field.parse(&written) {
            Some(code) if codes.contains(&code) => twice(item, field.word(), &written, faults),
            Some(code) => codes.push(code),
            None => {
                let names = field.names();
                let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
                match meant(field, &written).filter(|_| !item.filled) {
                    Some(name) => {
                        let fault = Fault::error(&item.place, format!("unknown {} `{written}`", field.word()));
                        faults.push(fault.hint(format!("did you mean `{name}`?")));
                    }
                    None => unknown(item, field.word(), &written, &names, faults),
                }
            }
        }
    }
    (!codes.is_empty()).then_some(codes)
}
