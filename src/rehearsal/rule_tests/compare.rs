//! What was raised, held against what was expected.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    RuleTest,
    expect::{Expect, Kind, listed, seconds, source},
    words::shown,
};
use crate::{
    document::Place,
    domain::{Job, Name, format_duration, format_exactly},
    rehearsal::{Event, Explainer, Raised, run},
    rules::{Explained, Finding, Rule, Verdict},
};

/// For how many jobs a silent rule is explained, where the test does not say which of them is meant.
const EXPLAINED: usize = 3;
/// The most differences of one test that are told one by one.
const SURPRISES: usize = 50;

/// How a test went.
#[derive(Debug)]
pub struct Outcome {
    /// What was expected.
    pub expected: Vec<Line>,
    /// What was raised, in order of time.
    pub actual: Vec<Line>,
    /// Where they differ; none of a test that passed.
    pub surprises: Vec<Surprise>,
}

impl Outcome {
    /// Whether all went as expected.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.surprises.is_empty()
    }
}

/// One thing expected or raised.
#[derive(Debug)]
pub struct Line {
    /// In words.
    pub words: String,
    /// Whether it has its counterpart.
    pub matched: bool,
}

/// One difference.
#[derive(Debug)]
pub struct Surprise {
    /// What was expected or, of an alert that no one expects, its job.
    pub place: Place,
    /// What is different, in one line.
    pub message: String,
    /// What decided it, with the values compared.
    pub reasons: Vec<String>,
}

/// Runs a test.
pub fn compare(test: &RuleTest) -> Outcome {
    let mut events = run(&test.rules, &test.cast.courses, &test.watch);
    events.retain(|event| concerns(test, event.rule()));
    let stage = Stage::new(test, events);
    let (of_expected, of_events) = stage.pairs();
    let expected = test.expect.iter().zip(&of_expected).map(|(expect, met)| Line { words: shown(&expect.words()), matched: met.is_some() });
    let actual =
        (0..stage.events.len()).map(|at| Line { words: shown(&stage.words(at)), matched: of_events.get(at).copied().flatten().is_some() });
    Outcome { expected: expected.collect(), actual: actual.collect(), surprises: stage.surprises(&of_expected, &of_events) }
}

/// Whether a rule has a part in a test. One on missing jobs has, if the test expects something of it, or sets the clock and has
/// a job that it waits for: no other test need care how long it runs.
fn concerns(test: &RuleTest, rule: &Rule) -> bool {
    let Some(missing) = rule.missing() else { return true };
    let awaited = || test.cast.courses.iter().any(|course| missing.awaits(&course.job.profile));
    test.touches().any(|name| *name == rule.name) || test.clock_is_set && awaited()
}

/// A test and what was raised in it.
struct Stage<'t> {
    test: &'t RuleTest,
    events: Vec<Event>,
    /// The run that each event is about.
    runs: Vec<Option<usize>>,
    explainer: Explainer<'t>,
}

impl<'t> Stage<'t> {
    fn new(test: &'t RuleTest, events: Vec<Event>) -> Self {
        let at: HashMap<(&Name, &str, u32), usize> =
            (0..).zip(&test.cast.courses).map(|(at, course)| ((&course.job.source, course.job.id.as_str(), course.run), at)).collect();
        let of = |event: &Event| match event {
            Event::Raised(raised) => at.get(&(&raised.job.source, raised.job.id.as_str(), raised.run)).copied(),
            Event::Missed(_) | Event::Back(_) => None,
        };
        let runs = events.iter().map(of).collect();
        Self { test, events, runs, explainer: Explainer::new(&test.rules, &test.cast.courses) }
    }

    fn run_of(&self, event: usize) -> Option<usize> {
        self.runs.get(event).copied().flatten()
    }

    fn differences(&self, expect: &Expect, event: usize) -> Option<Vec<String>> {
        let raised = self.events.get(event).filter(|event| event.rule().name == expect.rule.name)?;
        Some(expect.differences(raised, self.run_of(event), &self.test.cast))
    }

    /// Each expected one with an event of its own that fits it, as many as can be: the event of each expected one, and the
    /// other way round.
    fn pairs(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        let fits = |expect: &Expect| -> Vec<usize> {
            (0..self.events.len()).filter(|event| self.differences(expect, *event).is_some_and(|list| list.is_empty())).collect()
        };
        let fitting: Vec<Vec<usize>> = self.test.expect.iter().map(fits).collect();
        let mut of_events = vec![None; self.events.len()];
        // The most particular first; the rest makes room where it can.
        let mut order: Vec<usize> = (0..fitting.len()).collect();
        order.sort_by_key(|at| fitting.get(*at).map_or(0, Vec::len));
        for at in order {
            augment(at, &fitting, &mut vec![false; self.events.len()], &mut of_events);
        }
        let mut of_expected = vec![None; fitting.len()];
        for (event, expected) in of_events.iter().enumerate() {
            if let Some(slot) = expected.and_then(|at: usize| of_expected.get_mut(at)) {
                *slot = Some(event);
            }
        }
        (of_expected, of_events)
    }

    fn surprises(&self, of_expected: &[Option<usize>], of_events: &[Option<usize>]) -> Vec<Surprise> {
        let mut surprises = Vec::new();
        let mut free: Vec<usize> = (0..self.events.len()).filter(|event| of_events.get(*event).copied().flatten().is_none()).collect();
        for (expect, met) in self.test.expect.iter().zip(of_expected) {
            if met.is_some() {
                continue;
            }
            // What was raised by the same rule on the same job is what was meant.
            let near = |event: &usize| {
                let about = expect.job.as_ref().is_none_or(|aim| self.run_of(*event).is_some_and(|run| aim.runs.contains(&run)));
                let differences = self.differences(expect, *event).filter(|_| about)?;
                Some((differences.len(), *event, differences))
            };
            match free.iter().filter_map(near).min() {
                Some((_, event, differences)) => {
                    free.retain(|other| *other != event);
                    let what = self.subject(event);
                    let message = format!("the rule `{}` {what}, but not as expected", expect.rule.name);
                    surprises.push(Surprise { place: expect.place.clone(), message, reasons: differences });
                }
                None => surprises.push(self.silent(expect)),
            }
        }
        surprises.extend(free.into_iter().filter_map(|event| self.unexpected(event)));
        let more = surprises.len().saturating_sub(SURPRISES);
        if more > 0 {
            surprises.truncate(SURPRISES);
            let message = format!("{more} more differences are left out");
            surprises.push(Surprise { place: self.test.place.clone(), message, reasons: Vec::new() });
        }
        surprises
    }

    /// `alerted on job 2`
    fn subject(&self, event: usize) -> String {
        match self.events.get(event).map(Kind::of) {
            Some(Kind::Missing) => "missed a job".to_owned(),
            Some(Kind::Back) => "told that a job is back".to_owned(),
            _ => format!("alerted on {}", self.run_of(event).and_then(|run| self.test.cast.names.get(run)).map_or("a job", String::as_str)),
        }
    }

    /// What was raised, in words.
    fn words(&self, event: usize) -> String {
        let Some(raised) = self.events.get(event) else { return String::new() };
        let rule = raised.rule();
        let what = match raised {
            Event::Raised(alert) => {
                let name = self.run_of(event).and_then(|run| self.test.cast.names.get(run)).map_or("a job", String::as_str);
                format!(" on {name} ({})", described(&alert.job, alert.at))
            }
            Event::Missed(_) | Event::Back(_) => format!(": {} in {}", Kind::of(raised).name(), source(raised)),
        };
        format!("{}{what} at {}, notify {}", rule.name, seconds(raised.at()), listed(&rule.notify))
    }

    /// An expected one that did not come.
    fn silent(&self, expect: &Expect) -> Surprise {
        let rule = &expect.rule.name;
        let again = (0..self.events.len()).find(|event| self.differences(expect, *event).is_some_and(|list| list.is_empty()));
        let place = expect.place.clone();
        if let Some(event) = again {
            let message = format!("the rule `{rule}` {} once, and another line expects that already", self.subject(event));
            return Surprise { place, message, reasons: vec!["a rule alerts once on each run of a job".to_owned()] };
        }
        if let Some((what, mut reasons)) = self.nearer_to_another(expect) {
            reasons.push("a rule alerts once on each run of a job".to_owned());
            let message = format!("the rule `{rule}` {what} once, and another line is nearer to that");
            return Surprise { place, message, reasons };
        }
        if expect.rule.missing().is_some() {
            let what = if expect.kind == Some(Kind::Back) { "did not tell that a job is back" } else { "missed no job" };
            return Surprise { place, message: format!("the rule `{rule}` {what}"), reasons: self.gaps(&expect.rule) };
        }
        let runs: Vec<usize> = match &expect.job {
            Some(aim) => aim.runs.clone(),
            None => (0..self.test.cast.courses.len()).collect(),
        };
        let mut reasons = Vec::new();
        for run in runs.iter().take(EXPLAINED) {
            let Some((course, name)) = self.test.cast.courses.get(*run).zip(self.test.cast.names.get(*run)) else { continue };
            let front = if runs.len() > 1 { format!("{name}: ") } else { String::new() };
            let now = self.test.watch.to;
            reasons.extend(self.why(&expect.rule, &course.job, now).into_iter().map(|why| format!("{front}{why}")));
        }
        let by_its_end = |run: &usize| self.test.cast.courses.get(*run).is_some_and(|course| course.job.is_final() && !course.watched);
        if expect.rule.watches_running() && runs.iter().any(by_its_end) {
            let what = "a job that is listed as ended is judged by its end alone: to have it watched while it runs, list it with \
                        `state: running` first, and as ended under the same `id` behind that";
            reasons.push(what.to_owned());
        }
        if runs.len() > EXPLAINED {
            reasons.push(format!("and {} more jobs", runs.len() - EXPLAINED));
        }
        let on = match &expect.job {
            Some(aim) => format!("job {}", aim.written),
            None => "any job".to_owned(),
        };
        Surprise { place, message: format!("the rule `{rule}` did not alert on {on}"), reasons }
    }

    /// What the rule raised on the very job that is meant, where another line has it for its own: in words, and in what it is not
    /// as expected.
    fn nearer_to_another(&self, expect: &Expect) -> Option<(String, Vec<String>)> {
        let [run] = expect.job.as_ref()?.runs[..] else { return None };
        let event = (0..self.events.len()).find(|event| self.run_of(*event) == Some(run) && self.differences(expect, *event).is_some())?;
        Some((self.subject(event), self.differences(expect, event)?))
    }

    /// One that no one expects.
    fn unexpected(&self, event: usize) -> Option<Surprise> {
        let raised = self.events.get(event)?;
        let rule = raised.rule();
        let message = format!("the rule `{}` {} at {}, which nothing expects", rule.name, self.subject(event), seconds(raised.at()));
        let place = self.run_of(event).and_then(|run| self.test.cast.places.get(run)).unwrap_or(&self.test.place).clone();
        let reasons = match raised {
            // A moment after its limit, an age reads as the limit itself: where the job ran on, a later age says more.
            Event::Raised(Raised { job, at, .. }) if !job.is_final() => {
                let end = self.run_of(event).and_then(|run| self.test.cast.courses.get(run)).and_then(|course| course.job.finished);
                let later = end.unwrap_or(self.test.watch.to);
                let (matches, why) = self.why_and_whether(rule, job, later);
                if matches { why } else { self.why(rule, job, *at) }
            }
            Event::Raised(Raised { job, at, .. }) => self.why(rule, job, *at),
            Event::Missed(_) | Event::Back(_) => self.gaps(rule),
        };
        Some(Surprise { place, message, reasons })
    }

    /// What decided a rule's verdict on a job, with the values compared.
    fn why(&self, rule: &Rule, job: &Job, at: Timestamp) -> Vec<String> {
        self.why_and_whether(rule, job, at).1
    }

    /// The same, and whether it matches.
    fn why_and_whether(&self, rule: &Rule, job: &Job, at: Timestamp) -> (bool, Vec<String>) {
        let verdicts = self.explainer.explain(job, at);
        let Some(explained) = verdicts.into_iter().find(|explained| explained.rule.name == rule.name) else {
            return (false, Vec::new());
        };
        let Explained { verdict, conditions, .. } = explained;
        let decided = |finding: Finding| {
            let found = format!("{}: wanted {}, found {}", finding.path, finding.wanted, finding.found);
            // Where it stands below a `not`, what holds is what is in the way.
            let turned = finding.path.split('.').any(|part| part == "not");
            finding
                .decided
                .then(|| if turned { format!("{found} ({})", if finding.held { "holds" } else { "does not hold" }) } else { found })
        };
        let mut why: Vec<String> = conditions.into_iter().filter_map(decided).collect();
        match verdict {
            Verdict::WaitsForTheEnd => why.push(format!("the job runs, and the rule judges jobs that have ended: {}", described(job, at))),
            Verdict::Matches if why.is_empty() => why.push("it has no condition: it matches every job that ends".to_owned()),
            Verdict::Matches if job.finished.is_some_and(|end| end < self.test.watch.from) => {
                why.push(format!("the job ended before the test's `since`, {}", seconds(self.test.watch.from)));
            }
            _ => {}
        }
        (verdict == Verdict::Matches, why)
    }

    /// What a rule on missing jobs goes by.
    fn gaps(&self, rule: &Rule) -> Vec<String> {
        let Some(missing) = rule.missing() else { return Vec::new() };
        let mut facts = Vec::new();
        for source in self.test.watch.sources.iter().filter(|source| missing.sources.is_empty() || missing.sources.contains(source)) {
            let here = self.test.cast.courses.iter().filter(|course| course.job.source == *source);
            let last = here.filter_map(|course| missing.counts(&course.job)).filter(|end| *end <= self.test.watch.to).max();
            let (what, from) = match last {
                Some(last) => ("the last job that it waits for came", last),
                None => ("no job that it waits for came, and the watch began", self.test.watch.from),
            };
            facts.push(format!("in {source}, {what} at {}", seconds(from)));
            let wait = missing.every.saturating_add(missing.grace);
            if let Ok(due) = from.checked_add(wait) {
                let wait = format_exactly(wait);
                facts.push(format!(
                    "the next was due {wait} later, at {}; the clock stands at {}",
                    seconds(due),
                    seconds(self.test.watch.to)
                ));
            }
        }
        facts
    }
}

/// Gives the expected one at `at` an event that fits it, moving others to further events where that helps.
fn augment(at: usize, fitting: &[Vec<usize>], seen: &mut [bool], of_events: &mut [Option<usize>]) -> bool {
    for event in fitting.get(at).into_iter().flatten() {
        if seen.get_mut(*event).is_none_or(|seen| std::mem::replace(seen, true)) {
            continue;
        }
        let holder = of_events.get(*event).copied().flatten();
        if holder.is_none_or(|holder| augment(holder, fitting, seen, of_events)) {
            if let Some(slot) = of_events.get_mut(*event) {
                *slot = Some(at);
            }
            return true;
        }
    }
    false
}

/// `scan sharepoint sites, failed, 32s`
fn described(job: &Job, now: Timestamp) -> String {
    let took = job.duration(now).map(|took| format!(", {}", format_duration(took))).unwrap_or_default();
    format!("{}, {}{took}", job.profile, job.state.name())
}
