//! Files of rule tests, from text to tests: every fault of every test is told.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    RuleTest, Subject, TestFile,
    expect::{self, Scope},
    jobs::{self, Cast},
    layout::lay_out,
    words::{instant, unknown, zone},
};
use crate::{
    document::{Environment, Fault, Faults, Fields, Folder, Node, Value, expand, open, parse, text, text_list},
    domain::Name,
    rehearsal::Watch,
    rules::RuleSet,
};

/// The most tests of one file.
const TESTS: usize = 10_000;

/// The files of rule tests in a folder, by name; none where the folder is not there. What seems to be one and is passed over is warned of.
#[must_use]
pub fn files(folder: &Path, faults: &mut Faults) -> Vec<PathBuf> {
    Folder { path: folder, holds: "rule tests", called: "rules/tests/", but: None }.files(faults)
}

/// Reads one file of rule tests; `${...}` is filled in, and relative paths in it start at `folder`. Tests with a fault are left
/// out, and without a subject all of them: then only what is wrong whatever the rules are is told.
pub fn read(path: &Path, environment: &dyn Environment, folder: &Path, subject: Option<&Subject>, faults: &mut Faults) -> Option<TestFile> {
    let source = open(path, faults)?;
    let mut node = parse(&source, faults)?;
    let mut tests = Vec::new();
    // A file whose every line is commented out is no mistake.
    if !matches!(node.value, Value::Null) {
        expand(&mut node, environment, folder, faults);
        let mut fields = Fields::open(&node, "a mapping with the key `tests`", faults)?;
        if let Some(list) = fields.require("tests", faults) {
            match &list.value {
                Value::List(items) if items.len() > TESTS => faults.error(list, format!("a file has at most {TESTS} tests")),
                Value::List(items) => {
                    let mut names = BTreeMap::new();
                    tests.extend(items.iter().filter_map(|item| test(item, subject, &mut names, faults)));
                }
                Value::Null if !list.filled => {}
                _ => faults.error(list, format!("expected a list of tests, found {}", list.kind())),
            }
        }
        let elsewhere = |key: &str| (key == "rules").then(|| "rules stand in files of their own: rules/*.yaml".to_owned());
        fields.finish_with(&elsewhere, faults);
    }
    Some(TestFile { source, tests })
}

fn test(node: &Node, subject: Option<&Subject>, names: &mut BTreeMap<String, usize>, faults: &mut Faults) -> Option<RuleTest> {
    // A test's faults are counted apart: one that is broken leaves the others to be run.
    let mut own = Faults::default();
    let test = read_test(node, subject, names, &mut own);
    let broken = own.any_error();
    own.sorted().into_iter().cloned().for_each(|fault| faults.push(fault));
    test.filter(|_| !broken)
}

fn read_test(node: &Node, subject: Option<&Subject>, names: &mut BTreeMap<String, usize>, faults: &mut Faults) -> Option<RuleTest> {
    let mut fields = Fields::open(node, "a test: a mapping with `name`, `jobs` and `expect`", faults)?;
    let name_at = fields.require("name", faults);
    let name = name_at.and_then(|at| name(at, names, faults));
    let (jobs_at, at_at) = (fields.take("jobs"), fields.take("at"));
    let (expect_at, zone_at) = (fields.take("expect"), fields.take("timezone"));
    let zone = zone_at.and_then(|at| zone(at, faults));
    let since = fields.take("since").and_then(|at| instant(at, zone.as_ref(), faults));
    let enable = fields.take("enable").map(|at| (at, text_list(at, faults)));
    fields.finish(faults);
    if jobs_at.is_none() && at_at.is_none() {
        let fault = Fault::error(&node.place, "the key `jobs` is missing");
        faults.push(fault.hint("a test without jobs is about a `missing` rule, and says with `at` where the clock stands"));
    }
    if expect_at.is_none() {
        faults.push(Fault::error(&node.place, "the key `expect` is missing").hint("write `expect: []` where nothing may alert"));
    }
    let zone = zone.as_ref();
    let at = at_at.and_then(|node| instant(node, zone, faults));
    let written = jobs_at.map_or_else(|| Some(Vec::new()), |node| jobs::read(node, subject, zone, faults));
    let Some(subject) = subject else {
        expect_at.map(|node| expect::read(node, None, faults));
        return None;
    };
    let rules = enable.map_or_else(|| Arc::clone(&subject.rules), |(_, names)| waking(&names, &subject.rules, faults));
    let played = written.and_then(|written| match lay_out(&written, at) {
        Ok(layout) => Some((Cast::of(written, &layout.placed, faults), layout)),
        Err((place, why)) => {
            faults.push(Fault::error(&place, why));
            None
        }
    });
    let listed = jobs_at.and_then(|at| if let Value::List(items) = &at.value { Some(items.len()) } else { None });
    let scope = Scope { rules: &rules, subject, cast: played.as_ref().map(|(cast, _)| cast), written: listed, zone };
    let expect = expect_at.map(|node| expect::read(node, Some(&scope), faults)).unwrap_or_default();
    let (cast, layout) = played?;
    let earliest = layout.placed.iter().map(|placed| placed.started).min();
    let from = since.or(earliest).unwrap_or_else(|| long_before(layout.to, &expect));
    if from > layout.to {
        faults.push(Fault::error(&node.place, "this test's `since` lies after all that happens in it"));
    }
    let watch = Watch { from, to: layout.to, sources: sources(subject, &cast, &expect) };
    let place = name_at?.place.clone();
    Some(RuleTest { name: name?, place, rules, cast, watch, clock_is_set: at.is_some(), expect })
}

fn name(node: &Node, names: &mut BTreeMap<String, usize>, faults: &mut Faults) -> Option<String> {
    let name = text(node, faults)?;
    if name.trim().is_empty() {
        faults.error(node, "a test's name is empty");
        return None;
    }
    if let Some(line) = names.insert(name.clone(), node.place.line) {
        let fault = Fault::error(&node.place, "a test of this name stands in this file before");
        faults.push(fault.hint(format!("it stands in line {line}")));
    }
    Some(name)
}

/// The rules with those enabled that a test names.
fn waking(names: &[(&Node, String)], rules: &Arc<RuleSet>, faults: &mut Faults) -> Arc<RuleSet> {
    let mut woken = Vec::new();
    for (at, name) in names {
        let find = |rules: &[Arc<crate::rules::Rule>]| rules.iter().any(|rule| rule.name.as_str() == name);
        if find(rules.resting()) {
            woken.push(Name::from(name));
        } else if find(rules.rules()) {
            faults.push(Fault::warning(&at.place, "this rule is enabled as it stands").hint("leave it out of `enable`"));
        } else {
            let known: Vec<&str> = rules.resting().iter().map(|rule| rule.name.as_str()).collect();
            unknown(at, "resting rule", name, &known, faults);
        }
    }
    if woken.is_empty() { Arc::clone(rules) } else { Arc::new(rules.waking(&woken)) }
}

/// Where a test has no job, the watch began so long ago that every rule it expects something of has waited long enough.
fn long_before(to: Timestamp, expect: &[super::expect::Expect]) -> Timestamp {
    let waits = expect.iter().filter_map(|expect| expect.rule.missing());
    let longest = waits.map(|missing| missing.every.saturating_add(missing.grace)).max().unwrap_or_default();
    to.checked_sub(longest).unwrap_or(Timestamp::MIN)
}

/// The sources that are watched: those of the test's jobs and expectations, or the first configured one.
fn sources(subject: &Subject, cast: &Cast, expect: &[super::expect::Expect]) -> Vec<Name> {
    let mut sources: Vec<Name> = Vec::new();
    let of_rules = expect.iter().filter_map(|expect| expect.rule.missing()).filter_map(|missing| missing.sources.first());
    let named = cast.courses.iter().map(|course| &course.job.source).chain(expect.iter().filter_map(|expect| expect.source.as_ref()));
    for source in named.chain(of_rules) {
        if !sources.contains(source) {
            sources.push(source.clone());
        }
    }
    if sources.is_empty() {
        sources.push(subject.sources.first().cloned().unwrap_or_else(|| Name::from(jobs::SOURCE)));
    }
    sources
}
