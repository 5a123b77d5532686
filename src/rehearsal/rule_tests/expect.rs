//! What a rule test expects: a rule, and any part of what it raises.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    Subject,
    jobs::Cast,
    words::{instant, unknown, word},
};
use crate::{
    document::{Fault, Faults, Fields, Node, Place, Value, text, text_list},
    domain::{Name, Severity},
    rehearsal::Event,
    rules::{Rule, RuleSet},
};

/// The most that one test may expect: each is held against every alert of its rule.
const EXPECTED: usize = 1_000;

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It matched a job.
    Alert,
    /// No job came that it waits for.
    Missing,
    /// One came after all.
    Back,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Alert, Self::Missing, Self::Back];

    /// As tests write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Missing => "missing",
            Self::Back => "back",
        }
    }

    pub const fn of(event: &Event) -> Self {
        match event {
            Event::Raised(_) => Self::Alert,
            Event::Missed(_) => Self::Missing,
            Event::Back(_) => Self::Back,
        }
    }
}

/// One entry of `expect`. What it leaves out is not compared.
#[derive(Debug)]
pub struct Expect {
    pub place: Place,
    pub rule: Arc<Rule>,
    pub job: Option<Aim>,
    pub kind: Option<Kind>,
    pub notify: Option<Vec<Name>>,
    pub at: Option<Timestamp>,
    pub severity: Option<Severity>,
    pub source: Option<Name>,
    pub labels: BTreeMap<String, String>,
}

/// Which job is meant.
#[derive(Debug)]
pub struct Aim {
    /// As it is written.
    pub written: String,
    /// Any of these runs, by their places in the cast; never empty.
    pub runs: Vec<usize>,
}

impl Expect {
    /// In words.
    pub fn words(&self) -> String {
        let kind = self.kind.filter(|kind| *kind != Kind::Alert || self.job.is_none()).map(|kind| format!(": {}", kind.name()));
        let job = self.job.as_ref().map(|job| format!(" on job {}", job.written));
        let at = self.at.map(|at| format!(" at {}", seconds(at)));
        let source = self.source.as_ref().map(|source| format!(" in {source}"));
        let notify = self.notify.as_ref().map(|notify| format!(", notify {}", listed(notify)));
        let severity = self.severity.map(|severity| format!(", severity {severity}"));
        let labels = self.labels.iter().map(|(label, value)| format!(", label {label}: {value}"));
        let parts = [kind, job, at, source, notify, severity].into_iter().flatten().chain(labels);
        format!("{}{}", self.rule.name, parts.collect::<String>())
    }

    /// In what an event of the same rule is not as expected: nothing, if it is. `run` is the run it is about, if about any.
    pub fn differences(&self, event: &Event, run: Option<usize>, cast: &Cast) -> Vec<String> {
        let mut differences = Vec::new();
        let mut differ = |what: &str, expected: &str, actual: &str| {
            differences.push(format!("{what}: expected {expected}, actual {actual}"));
        };
        let rule = event.rule();
        if let Some(kind) = self.kind.filter(|kind| *kind != Kind::of(event)) {
            differ("kind", kind.name(), Kind::of(event).name());
        }
        if let Some(job) = self.job.as_ref().filter(|job| run.is_none_or(|run| !job.runs.contains(&run))) {
            let name = run.and_then(|run| cast.names.get(run)).map_or("none", String::as_str);
            differ("job", &job.written, name.trim_start_matches("job "));
        }
        if let Some(notify) = &self.notify {
            let same = notify.len() == rule.notify.len() && notify.iter().all(|name| rule.notify.contains(name));
            if !same {
                differ("notify", &listed(notify), &listed(&rule.notify));
            }
        }
        // To the second: what begins to hold past an instant is raised a moment after it.
        let within = |at: Timestamp| Duration::try_from(event.at().duration_since(at)).is_ok_and(|late| late < Duration::from_secs(1));
        if let Some(at) = self.at.filter(|at| !within(*at)) {
            differ("at", &seconds(at), &seconds(event.at()));
        }
        if let Some(severity) = self.severity.filter(|severity| *severity != rule.facts.severity) {
            differ("severity", severity.name(), rule.facts.severity.name());
        }
        let source = source(event);
        if let Some(expected) = self.source.as_ref().filter(|expected| *expected != source) {
            differ("source", expected, source);
        }
        for (label, value) in &self.labels {
            match rule.facts.labels.get(label) {
                Some(actual) if actual == value => {}
                Some(actual) => differ(&format!("label {label}"), value, actual),
                None => differ(&format!("label {label}"), value, "none"),
            }
        }
        differences
    }
}

/// The source an event is about.
pub fn source(event: &Event) -> &Name {
    match event {
        Event::Raised(raised) => &raised.job.source,
        Event::Missed(gap) | Event::Back(gap) => &gap.source,
    }
}

/// `[oncall, scans]`
pub fn listed(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    format!("[{}]", names.join(", "))
}

/// An instant to the second.
pub fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What entries of `expect` may name.
pub struct Scope<'s> {
    /// The rules that the test runs.
    pub rules: &'s RuleSet,
    pub subject: &'s Subject,
    /// None where the jobs can't be played: then any `id` may be named.
    pub cast: Option<&'s Cast>,
    /// How many jobs are written, if that can be told.
    pub written: Option<usize>,
    pub zone: Option<&'s TimeZone>,
}

/// Reads `expect`. Without a scope, where nothing can be known, only its form is held against what is to be there.
pub fn read(node: &Node, scope: Option<&Scope<'_>>, faults: &mut Faults) -> Vec<Expect> {
    match &node.value {
        Value::List(items) if items.len() > EXPECTED => faults.error(node, format!("a test expects at most {EXPECTED} alerts")),
        Value::List(items) => return items.iter().filter_map(|item| one(item, scope, faults)).collect(),
        Value::Null if !node.filled => {}
        _ => faults.error(node, format!("expected a list of what must alert, found {}", node.kind())),
    }
    Vec::new()
}

fn one(node: &Node, scope: Option<&Scope<'_>>, faults: &mut Faults) -> Option<Expect> {
    let mut fields = Fields::open(node, "a mapping with `rule` and any of `job`, `notify`, `at` and so on", faults)?;
    let rule_at = fields.require("rule", faults);
    let rule = rule_at.and_then(|at| Some((text(at, faults)?, at))).map(|(name, at)| rule(at, &name, scope, faults));
    let job_at = fields.take("job");
    let job = job_at.map(|at| {
        let scope = scope?;
        match scope.cast {
            Some(cast) => aim(at, cast, faults),
            None => numbered(at, scope.written, faults),
        }
    });
    let kind_at = fields.take("kind");
    let names = Kind::ALL.map(Kind::name);
    let parse = |written: &str| Kind::ALL.into_iter().find(|kind| kind.name() == written);
    let kind = kind_at.and_then(|at| word(at, "kind", &names, parse, faults));
    let notify = fields.take("notify").map(|at| channels(at, scope, faults));
    let at = fields.take("at").and_then(|at| instant(at, scope.and_then(|scope| scope.zone), faults));
    let severities: Vec<&str> = Severity::ALL.iter().map(|severity| severity.name()).collect();
    let severity = fields.take("severity").and_then(|at| word(at, "severity", &severities, Severity::parse, faults));
    let source = fields.take("source").and_then(|at| source_name(at, scope, faults));
    let labels = fields.take("labels").map(|at| labels(at, faults)).unwrap_or_default();
    fields.finish(faults);
    let rule = rule??;
    match (rule.missing().is_some(), kind) {
        (true, Some(Kind::Alert)) | (false, Some(Kind::Missing | Kind::Back)) => {
            let (what, hint) = if rule.missing().is_some() {
                ("waits for jobs that do not come: it never alerts on one", "its kinds are `missing` and `back`")
            } else {
                ("judges jobs: it misses none", "its kind is `alert`")
            };
            faults.push(Fault::error(&kind_at?.place, format!("the rule `{}` {what}", rule.name)).hint(hint));
            return None;
        }
        (true, _) if job_at.is_some() => {
            let message = format!("the rule `{}` waits for jobs that do not come: it has no job", rule.name);
            faults.push(Fault::error(&job_at?.place, message).hint("leave `job` out; `source` and `at` say which gap is meant"));
            return None;
        }
        _ => {}
    }
    let job = match job {
        Some(aim) => Some(aim?),
        None => None,
    };
    Some(Expect { place: node.place.clone(), rule, job, kind, notify, at, severity, source, labels })
}

fn rule(node: &Node, name: &str, scope: Option<&Scope<'_>>, faults: &mut Faults) -> Option<Arc<Rule>> {
    let scope = scope?;
    let find = |rules: &[Arc<Rule>]| rules.iter().find(|rule| rule.name.as_str() == name).cloned();
    if let Some(rule) = find(scope.rules.rules()) {
        return Some(rule);
    }
    if find(scope.rules.resting()).is_some() {
        let fault = Fault::error(&node.place, format!("the rule `{name}` is at rest (`enabled: false`): it raises nothing"));
        faults.push(fault.hint(format!("write `enable: [{name}]` into the test to try it out")));
        return None;
    }
    let known: Vec<&str> = scope.rules.rules().iter().chain(scope.rules.resting()).map(|rule| rule.name.as_str()).collect();
    unknown(node, "rule", name, &known, faults);
    None
}

/// `1`, `2/3` or an id.
fn aim(node: &Node, cast: &Cast, faults: &mut Faults) -> Option<Aim> {
    let written = text(node, faults)?;
    let numbered = |entry: usize, repetition: Option<usize>| {
        let meant = cast.entries.iter().filter(|(e, r, _)| *e == entry && repetition.is_none_or(|repetition| *r == repetition));
        let mut runs: Vec<usize> = meant.map(|(.., run)| *run).collect();
        runs.dedup();
        runs
    };
    let by_id = || -> Vec<usize> {
        let same = |(_, course): &(usize, &crate::rehearsal::Course)| course.job.id == written;
        cast.courses.iter().enumerate().filter(same).map(|(at, _)| at).collect()
    };
    let is_number = matches!(node.value, Value::Int(_));
    let mut runs = if is_number { Vec::new() } else { by_id() };
    if runs.is_empty() {
        let (entry, repetition) = written.split_once('/').map_or((written.as_str(), None), |(entry, nth)| (entry, Some(nth)));
        let repetition = repetition.map(|nth| nth.trim().parse().unwrap_or_default());
        if is_number || written.contains('/') {
            runs = entry.trim().parse().map(|entry| numbered(entry, repetition)).unwrap_or_default();
        }
    }
    if runs.is_empty() {
        no_such_job(node, &written, cast.entries.iter().map(|(entry, ..)| *entry).max().unwrap_or_default(), faults);
        return None;
    }
    Some(Aim { written, runs })
}

/// Of jobs that can't be played, the number of one is held against how many there are; what it aims at can't be told.
fn numbered(node: &Node, jobs: Option<usize>, faults: &mut Faults) -> Option<Aim> {
    let written = text(node, faults)?;
    let beyond = |jobs: &usize| !written.parse().is_ok_and(|number| (1..=*jobs).contains(&number));
    if let Some(jobs) = jobs.filter(beyond).filter(|_| matches!(node.value, Value::Int(_))) {
        no_such_job(node, &written, jobs, faults);
    }
    None
}

fn no_such_job(node: &Node, written: &str, jobs: usize, faults: &mut Faults) {
    let hint = match jobs {
        0 => "the test has no job".to_owned(),
        1 => "the test has one job: write 1, its `id`, or 1/2 for its second repetition".to_owned(),
        jobs => format!("the test has {jobs} jobs: write a number from 1 to {jobs}, an `id`, or 1/2 for a second repetition"),
    };
    let message = if node.filled { "there is no such job".to_owned() } else { format!("there is no job `{written}`") };
    faults.push(Fault::error(&node.place, message).hint(hint));
}

fn channels(node: &Node, scope: Option<&Scope<'_>>, faults: &mut Faults) -> Vec<Name> {
    let mut found = Vec::new();
    // An empty list is told by its reader: no rule notifies no one.
    for (at, written) in text_list(node, faults) {
        let name = Name::from(written);
        if let Some(scope) = scope.filter(|scope| !scope.subject.channels.contains(&name)) {
            let known: Vec<&str> = scope.subject.channels.iter().map(Name::as_str).collect();
            unknown(at, "channel", &name, &known, faults);
        }
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn source_name(node: &Node, scope: Option<&Scope<'_>>, faults: &mut Faults) -> Option<Name> {
    let name = Name::from(text(node, faults)?);
    if let Some(scope) = scope.filter(|scope| !scope.subject.sources.contains(&name)) {
        let known: Vec<&str> = scope.subject.sources.iter().map(Name::as_str).collect();
        unknown(node, "source", &name, &known, faults);
    }
    Some(name)
}

fn labels(node: &Node, faults: &mut Faults) -> BTreeMap<String, String> {
    let Some(mut fields) = Fields::open(node, "a mapping of texts", faults) else { return BTreeMap::new() };
    fields.rest().into_iter().filter_map(|(_, key, value)| Some((key.to_owned(), text(value, faults)?))).collect()
}
