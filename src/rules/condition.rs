//! The table of conditions: one row each. What `when` reads, what its errors name and what `explain` says come from here.

use std::{cell::OnceCell, fmt::Debug, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    document::{Faults, Node},
    domain::{Job, Name},
};

use super::{
    Known, codes, count,
    duration::{self, Span},
    expr, finished,
    glob::Folded,
    past::{Need, Past},
    possible::Allowed,
    previous,
    profile::{self, Patterns},
    slower, source, streak,
    unanswered::Silence,
    when::When,
};

/// One condition that may stand under `when`.
#[derive(Debug)]
pub struct Condition {
    /// Its key.
    pub key: &'static str,
    /// When it holds, in one sentence.
    pub meaning: &'static str,
    /// Values as rules write them, in YAML.
    pub examples: &'static [&'static str],
    /// Reads its value.
    pub(super) read: Read,
}

/// Reads a condition's value; what is wrong with it is told.
pub(super) type Read = fn(&Node, &Known<'_>, &mut Faults) -> Option<Box<dyn Test>>;

/// Every condition, the cheapest first: that is the order in which they are tried.
pub const CONDITIONS: &[Condition] = &[
    Condition {
        key: "state",
        meaning: "the job's state is one of these: names or the API's numbers",
        examples: &["failed", "[failed, finished_with_exception]", "3", "[running, 42]"],
        read: codes::state,
    },
    Condition {
        key: "type",
        meaning: "the job's type is one of these: names or the API's numbers",
        examples: &["google", "[microsoft_365, 11]"],
        read: codes::kind,
    },
    Condition {
        key: "category",
        meaning: "the scan profile's category is one of these: names or the API's numbers",
        examples: &["power_platform", "[active_directory, 3]"],
        read: codes::category,
    },
    Condition { key: "source", meaning: "the job came from one of these sources", examples: &["contoso"], read: source::read },
    Condition {
        key: "duration",
        meaning: "finish less start lies in this range; of a running job, its age",
        examples: &["\"> 30m\"", "\">= 1h30m\"", "\"< 10s\"", "\"<= 2h\"", "10m..1h"],
        read: duration::read,
    },
    Condition {
        key: "profile",
        meaning: "the scan profile's name matches: a glob over the whole name, case ignored, or /a regular expression/",
        examples: &["\"scan sharepoint*\"", "[nightly, \"/^weekly [0-9]+$/\"]"],
        read: profile::read,
    },
    Condition {
        key: "finished",
        meaning: "the job ended on one of these days, between these times of day, in this time zone",
        examples: &["{ days: [mon, tue], between: \"22:00-06:00\", timezone: Europe/Zurich }", "{ days: sat-sun }"],
        read: finished::read,
    },
    Condition {
        key: "streak",
        meaning: "this many of the profile's jobs in a row, this one last, ended in one of the rule's states",
        examples: &["\">= 3\"", "3", "\"= 3\"", "2..5"],
        read: streak::read,
    },
    Condition {
        key: "count",
        meaning: "this many of the profile's jobs that match the rest of the rule ended within this time",
        examples: &["{ at_least: 3, within: 24h }"],
        read: count::read,
    },
    Condition {
        key: "previous",
        meaning: "the state of the same profile's job that finished before it is one of these: names or the API's numbers",
        examples: &["[failed, finished_with_exception]", "skipped"],
        read: previous::read,
    },
    Condition {
        key: "slower_than_usual",
        meaning: "it took longer than this factor of the median duration of the profile's last finished jobs (20 unless `over` says), \
                  and at least `at_least` (1m unless said); of a running job, its age counts",
        examples: &["{ factor: 2, over: 20 }", "{ factor: 1.5, over: 50, at_least: 10m }"],
        read: slower::read,
    },
    Condition {
        key: "expr",
        meaning: "a CEL expression over `job` is true; `job` has id, source, type, state, started, finished, duration, profile, category \
                  and extension",
        examples: &[
            "job.profile.size() > 20",
            r#"'job.duration > (job.source == "contoso" ? duration("30m") : duration("1h"))'"#,
            r#"'job.finished.getDayOfWeek("Europe/Zurich") in [0, 6]'"#,
            "has(job.extension.objects) && job.extension.objects > 1000",
        ],
        read: expr::read,
    },
];

/// All that a condition may look at.
pub(super) struct Facts<'j> {
    pub job: &'j Job,
    /// What the conditions that need it were promised by [`Need`]; nothing where none needs it.
    pub past: Past<'j>,
    pub now: Timestamp,
    folded: OnceCell<Folded>,
}

impl<'j> Facts<'j> {
    pub const fn new(job: &'j Job, past: Past<'j>, now: Timestamp) -> Self {
        Self { job, past, now, folded: OnceCell::new() }
    }

    /// The profile's name as globs match it, made once.
    pub fn folded(&self) -> &Folded {
        self.folded.get_or_init(|| Folded::new(&self.job.profile))
    }
}

/// A condition with its value: pure.
pub(super) trait Test: Debug + Send + Sync {
    /// Whether it holds. `rule` is the whole tree in which it stands.
    fn holds(&self, facts: &Facts<'_>, rule: &When) -> bool;

    /// What it wants, in words.
    fn wanted(&self) -> String;

    /// What it found instead, or as well, in words.
    fn found(&self, facts: &Facts<'_>, rule: &When) -> String;

    /// How much of the past it looks at, if at any.
    fn need(&self) -> Option<Need> {
        None
    }

    /// The ages of a running job at which, or just past which, what its past says of it turns.
    fn turning_ages(&self, _: &Facts<'_>) -> Vec<Duration> {
        Vec::new()
    }

    /// Whether it has given no answer, of one that may give none.
    fn silence(&self) -> Option<&Arc<Silence>> {
        None
    }

    /// What can be told of it without a job.
    fn lane(&self) -> Lane<'_> {
        Lane::Other
    }
}

/// A test's demand in a form that the index and the search for contradictions understand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane<'t> {
    /// One of these numbers.
    Code(codes::Field, &'t [i64]),
    /// One of these sources.
    Source(&'t [Name]),
    /// One of these patterns.
    Profile(&'t Patterns),
    /// One of these ranges.
    Duration(&'t [Span]),
    /// A duration of at least this.
    AtLeast(Duration),
    /// A job that ended.
    Ended,
    /// So many of the profile's jobs in a row in the rule's states, this one last: at least and at most.
    Streak(u32, Option<u32>),
    /// The job before in one of these states.
    Previous(&'t [i64]),
    /// For each code, the values that a job must have for it to hold; under a `not`, nothing.
    Says(&'t [Allowed<i64>; codes::Field::ALL.len()]),
    /// Of the jobs that match the rest of the rule, so many.
    Count,
    /// Nothing that they understand.
    Other,
}

impl Lane<'_> {
    /// Whether the answer is the same for every job alike in state, type, category, source and profile.
    pub const fn is_fixed(&self) -> bool {
        matches!(self, Self::Code(..) | Self::Source(_) | Self::Profile(_))
    }
}

/// `a`, `b` or `c`.
pub(super) fn either<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<T> = words.into_iter().collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.as_ref().to_owned(),
        Some((last, rest)) => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", rest.join(", "), last.as_ref())
        }
    }
}

/// A warning about a value that a list has already.
pub(super) fn twice(item: &Node, what: &str, written: &str, faults: &mut Faults) {
    let value = if item.filled { "the value filled in".to_owned() } else { format!("the {what} `{written}`") };
    faults.push(crate::document::Fault::warning(&item.place, format!("{value} stands here a second time")).hint("once is enough"));
}

/// A fault about a value that is not one of the known: names the nearest, or all. What was filled in from outside is not
/// repeated.
pub(super) fn unknown(node: &Node, what: &str, written: &str, known: &[&str], faults: &mut Faults) {
    let message = match (node.filled, written.is_empty()) {
        (true, true) => format!("the value filled in is empty: it is no {what}"),
        (true, false) => format!("the value filled in is no known {what}"),
        _ => format!("unknown {what} `{written}`"),
    };
    let hint = crate::document::near(written, known.iter().copied()).map_or_else(
        || {
            if !node.filled && written.contains(',') {
                "several stand in a list, as in [a, b]".to_owned()
            } else if known.is_empty() {
                format!("there is no {what} yet")
            } else {
                format!("known: {}", known.join(", "))
            }
        },
        |name| format!("did you mean `{name}`?"),
    );
    faults.push(crate::document::Fault::error(&node.place, message).hint(hint));
}
