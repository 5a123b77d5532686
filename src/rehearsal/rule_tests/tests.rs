//! When the jobs of a test run, and which alerts answer to what is expected.

use std::{path::PathBuf, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    document::{Environment, Faults, parse},
    rules::{Known, read as read_rules},
};

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn file(&self, _: &Path) -> Result<String, String> {
        Err("it does not exist".to_owned())
    }
}

/// Every state alerts, so that each job tells when it ran.
const RULES: &str = "rules:
  - { name: any, notify: oncall, when: { state: [running, finished, failed, finished_with_exception, skipped, stopped] } }
  - { name: failed, notify: [oncall, scans], when: { state: failed }, severity: critical, labels: { team: a, site: b } }
  - { name: nightly, notify: oncall, missing: { profile: 'nightly*', every: 24h } }
";

fn subject() -> Subject {
    let (channels, sources) = (vec![Name::from("oncall"), Name::from("scans")], vec![Name::from("contoso"), Name::from("fabrikam")]);
    let mut faults = Faults::default();
    let source = Source { path: PathBuf::from("r.yaml"), text: RULES.to_owned() };
    let file = parse(&Arc::new(source), &mut faults).unwrap();
    let rules = read_rules(&[file], &Known { channels: &channels, sources: &sources, template_sets: &[] }, &mut faults);
    assert!(!faults.any_error(), "{faults:?}");
    Subject { rules: Arc::new(rules), channels, sources }
}

/// The one test of a file, and every fault.
fn read_test(text: &str) -> (Option<RuleTest>, Vec<String>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    let mut faults = Faults::default();
    let read = read(file.path(), &Nothing, Path::new(""), Some(&subject()), &mut faults);
    let told = |fault: &&Fault| format!("{}:{} {}", fault.place.line, fault.place.column, fault.message);
    let told = faults.sorted().iter().map(told).collect();
    (read.and_then(|mut file| file.tests.pop()), told)
}

/// When each job of a test runs, as `start+seconds` or `start…` while it does.
#[track_caller]
fn times(test: &str, expected: &[&str]) {
    let (test, faults) = read_test(&format!("tests:\n  - name: t\n    expect: []\n{test}"));
    let test = test.unwrap_or_else(|| panic!("{faults:?}"));
    let shown = |course: &crate::rehearsal::Course| {
        let started = course.job.started.unwrap();
        let took = course.job.finished.map(|end| end.duration_since(started).as_secs());
        format!("{} {}", started.strftime("%d %H:%M:%S"), took.map_or_else(|| "…".to_owned(), |took| took.to_string()))
    };
    let shown: Vec<String> = test.cast.courses.iter().map(shown).collect();
    assert_eq!(shown, expected);
}

#[test]
fn jobs_without_times_follow_one_another() {
    times("    jobs: [{}, {}]", &["26 11:40:00 600", "26 11:50:00 600"]);
    times("    at: 2024-09-26T06:00:00Z\n    jobs: [{ duration: 1h }, {}]", &["26 04:50:00 3600", "26 05:50:00 600"]);
    times(
        "    jobs: [{ duration: 30s }, { started: '2024-09-01T10:00:00Z', duration: 1m }, {}, { finished: '2024-09-01T12:00:00Z' }]",
        &["01 09:59:30 30", "01 10:00:00 60", "01 10:01:00 600", "01 11:50:00 600"],
    );
}

#[test]
fn repetitions_unfold() {
    times("    jobs: [{ repeat: 2 }, {}]", &["26 11:30:00 600", "26 11:40:00 600", "26 11:50:00 600"]);
    times("    jobs: [{ duration: 1h, repeat: { times: 3, every: 24h } }]", &["24 11:00:00 3600", "25 11:00:00 3600", "26 11:00:00 3600"]);
    times(
        "    jobs: [{ started: '2024-09-01T10:00:00Z', duration: 30m, repeat: { times: 2, every: 1h } }, {}]",
        &["01 10:00:00 1800", "01 11:00:00 1800", "01 11:30:00 600"],
    );
    times("    jobs: [{ started: '2024-09-01T10:00:00Z', repeat: 2 }]", &["01 10:00:00 600", "01 10:10:00 600"]);
}

#[test]
fn a_running_jobs_duration_is_its_age_when_the_clock_stops() {
    times("    at: 2024-09-26T06:00:00Z\n    jobs: [{ state: running, duration: 2h }, {}]", &["26 04:00:00 …", "26 04:00:00 600"]);
    times("    jobs: [{ state: running, duration: 2h }]", &["26 10:00:00 …"]);
    times("    jobs: [{ state: running, started: '2024-09-26T01:00:00Z', duration: 2h }, {}]", &["26 01:00:00 …", "26 01:00:00 600"]);
    times("    jobs: [{ state: 42 }, { state: 42, duration: 1m }]", &["26 11:59:00 …", "26 11:59:00 60"]);
    // The same job twice: first it runs, then it has ended.
    times(
        "    jobs: [{ id: a, state: running, started: '2024-09-26T01:00:00Z' }, { id: a, state: failed, duration: 3h }]",
        &["26 01:00:00 10800"],
    );
}

#[test]
fn local_times_are_read_in_the_tests_time_zone() {
    times(
        "    timezone: Europe/Zurich\n    jobs: [{ started: '2024-10-26T22:00:00' }, { started: '2024-10-27T22:00:00Z' }]",
        &["26 20:00:00 600", "27 22:00:00 600"],
    );
    times("    timezone: Europe/Zurich\n    jobs: [{ started: '2024-10-27T22:00:00' }]", &["27 21:00:00 600"]);
}

#[test]
fn times_that_can_not_be_are_told() {
    for (test, expected) in [
        ("jobs: [{ started: '2024-09-26T05:00:00' }]", "5 `2024-09-26T05:00:00` is no time"),
        ("jobs: [{ started: '2024-09-26T05:00:00Z', finished: '2024-09-26T04:00:00Z' }]", "5 this job ends before it starts"),
        (
            "jobs: [{ started: '2024-09-26T05:00:00Z', finished: '2024-09-26T05:01:00Z', duration: 2m }]",
            "5 from `started` to `finished` it is 1m",
        ),
        ("jobs: [{ state: running, finished: '2024-09-26T05:01:00Z' }]", "5 a running job has not finished"),
        ("jobs: [{ finished: '2024-09-26T05:01:00Z', repeat: 2 }]", "5 this job ends at the same time each time it comes"),
        ("jobs: [{ repeat: 10001 }]", "5 must be from 1 to 10000"),
        ("jobs: [{ repeat: 9999 }, {}, {}]", "5 a test has at most 10000 jobs, repetitions counted"),
        ("jobs: [{ duration: 30w, repeat: { times: 9999, every: 5000w } }]", "5 this job leaves the calendar"),
        (
            "jobs: [{ started: '2024-09-26T05:00:00Z', repeat: { times: 9999, every: 5000w } }]",
            "5 repeated so often, this job leaves the calendar",
        ),
        ("jobs: [{ id: a }, { id: a, duration: 0s }]", "5 the job `a` has ended before"),
        ("jobs: [{ id: a }, { id: a, duration: 1s }]", "5 the job `a` has ended before"),
        (
            "at: 2024-09-26T05:00:00Z\n    jobs: [{ started: '2024-09-26T04:55:00Z' }]",
            "6 this job ends at 2024-09-26T05:05:00Z, after the test's `at`",
        ),
        (
            "at: 2024-09-26T05:00:00Z\n    jobs: [{ state: running, started: '2024-09-26T04:00:00Z', duration: 2h }]",
            "6 the `duration` of a running job is its age at the test's `at`: it does not agree with `started`",
        ),
        ("since: 2025-01-01T00:00:00Z\n    jobs: [{}]", "2 this test's `since` lies after all that happens in it"),
    ] {
        let (read, faults) = read_test(&format!("tests:\n  - name: t\n    expect: []\n    # {}\n    {test}", "-".repeat(9)));
        assert!(read.is_none(), "{test}");
        let by_line =
            |fault: &String| fault.split_once(' ').map(|(place, why)| format!("{} {why}", place.split(':').next().unwrap())).unwrap();
        assert_eq!(faults.iter().map(by_line).collect::<Vec<_>>(), [expected], "{test}");
    }
}

#[test]
fn the_number_of_a_job_is_minded_though_the_jobs_can_not_be_played() {
    let expect = "[{ rule: any, job: 1 }, { rule: any, job: 3 }, { rule: any, job: 0 }, { rule: any, job: some-id }]";
    let (read, faults) = read_test(&format!("tests:\n  - name: t\n    jobs: [{{ state: faild }}, {{}}]\n    expect: {expect}\n"));
    assert!(read.is_none());
    assert_eq!(faults, ["3:21 unknown state `faild`", "4:55 there is no job `3`", "4:78 there is no job `0`"]);
}

/// Every surprise of a test.
fn surprises(expect: &str, jobs: &str) -> Vec<String> {
    let (test, faults) = read_test(&format!("tests:\n  - name: t\n    jobs: {jobs}\n    expect: {expect}\n"));
    let test = test.unwrap_or_else(|| panic!("{faults:?}"));
    let told = |surprise: Surprise| std::iter::once(surprise.message).chain(surprise.reasons).collect::<Vec<_>>().join(" | ");
    test.run().surprises.into_iter().map(told).collect()
}

#[test]
fn what_an_expectation_leaves_out_is_not_compared() {
    let jobs = "[{ id: x, state: failed, started: '2024-09-26T05:58:40Z', duration: 32s, source: fabrikam }]";
    for expected in [
        "{ rule: failed }",
        "{ rule: failed, job: 1 }",
        "{ rule: failed, job: x }",
        "{ rule: failed, kind: alert, severity: critical }",
        "{ rule: failed, notify: [scans, oncall] }",
        "{ rule: failed, at: '2024-09-26T05:59:12Z' }",
        "{ rule: failed, labels: { team: a } }",
        "{ rule: failed, source: fabrikam, labels: { team: a, site: b }, job: 1 }",
    ] {
        assert_eq!(surprises(&format!("[{{ rule: any }}, {expected}]"), jobs), [] as [&str; 0], "{expected}");
    }
    for (expected, told) in [
        ("notify: scans", "notify: expected [scans], actual [oncall, scans]"),
        ("severity: info", "severity: expected info, actual critical"),
        ("at: '2024-09-26T05:59:13Z'", "at: expected 2024-09-26T05:59:13Z, actual 2024-09-26T05:59:12Z"),
        ("at: '2024-09-26T05:59:11Z'", "at: expected 2024-09-26T05:59:11Z, actual 2024-09-26T05:59:12Z"),
        ("labels: { team: b }", "label team: expected b, actual a"),
        ("labels: { other: b }", "label other: expected b, actual none"),
        ("source: contoso", "source: expected contoso, actual fabrikam"),
    ] {
        let surprises = surprises(&format!("[{{ rule: any }}, {{ rule: failed, {expected} }}]"), jobs);
        assert_eq!(surprises, [format!("the rule `failed` alerted on job 1, but not as expected | {told}")], "{expected}");
    }
}

#[test]
fn each_surprise_says_what_decided_it() {
    for (expect, jobs, expected) in [
        (
            "[{ rule: any }, { rule: failed, job: 1 }]",
            "[{}]",
            "the rule `failed` did not alert on job 1 | state: wanted failed, found finished",
        ),
        (
            "[{ rule: any, job: 1 }, { rule: any, job: 2 }, { rule: failed }]",
            "[{}, { state: stopped }]",
            "the rule `failed` did not alert on any job | job 1: state: wanted failed, found finished | job 2: state: wanted failed, found stopped",
        ),
        (
            "[{ rule: any }]",
            "[{ state: failed }]",
            "the rule `failed` alerted on job 1 at 2024-09-26T12:00:00Z, which nothing expects | state: wanted failed, found failed",
        ),
        (
            "[{ rule: any }, { rule: any }]",
            "[{}]",
            "the rule `any` alerted on job 1 once, and another line expects that already | a rule alerts once on each run of a job",
        ),
        (
            "[{ rule: any }, { rule: failed, job: 1 }, { rule: failed, job: 1, severity: info }]",
            "[{ state: failed }]",
            "the rule `failed` alerted on job 1 once, and another line is nearer to that | severity: expected info, actual critical | a rule alerts once on each run of a job",
        ),
        (
            "[{ rule: any }, { rule: nightly, kind: missing }]",
            "[{ profile: nightly, started: '2024-09-26T01:00:00Z' }]",
            "the rule `nightly` missed no job | in contoso, the last job that it waits for came at 2024-09-26T01:10:00Z | the next was due 1d later, at 2024-09-27T01:10:00Z; the clock stands at 2024-09-26T01:10:00Z",
        ),
    ] {
        assert_eq!(surprises(expect, jobs), [expected], "{expect} of {jobs}");
    }
}

#[test]
fn missing_rules_are_judged_where_a_test_is_about_them() {
    let passes = |test: &str| {
        let (test, faults) = read_test(&format!("tests:\n  - name: t\n{test}"));
        test.unwrap_or_else(|| panic!("{faults:?}")).run().surprises.into_iter().map(|surprise| surprise.message).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    // Days go by, but the test is about something else.
    let days = "    jobs: [{ profile: nightly, started: '2024-09-20T01:00:00Z', repeat: { times: 2, every: 72h } }]\n";
    assert_eq!(passes(&format!("{days}    expect: [{{ rule: any }}, {{ rule: any }}]\n")), none);
    let clock = format!("{days}    at: 2024-09-23T03:00:00Z\n");
    let told = passes(&format!("{clock}    expect: [{{ rule: any }}, {{ rule: any }}]\n"));
    assert_eq!(
        told,
        [
            "the rule `nightly` missed a job at 2024-09-21T01:10:00Z, which nothing expects",
            "the rule `nightly` told that a job is back at 2024-09-23T01:10:00Z, which nothing expects",
        ]
    );
    let all = "[{ rule: any }, { rule: any }, { rule: nightly, kind: missing }, { rule: nightly, kind: back }]";
    assert_eq!(passes(&format!("{days}    expect: {all}\n")), none);
    // Without a job it has never come, however long ago the watch began.
    assert_eq!(passes("    at: 2024-09-23T03:00:00Z\n    expect: [{ rule: nightly, at: '2024-09-23T03:00:00Z' }]\n"), none);
    assert_eq!(
        passes("    at: 2024-09-23T03:00:00Z\n    since: 2024-09-22T03:00:01Z\n    expect: [{ rule: nightly }]\n"),
        ["the rule `nightly` missed no job"]
    );
    // What ended before `since` is past, and raises nothing.
    let since = format!("{days}    since: 2024-09-22T00:00:00Z\n");
    assert_eq!(passes(&format!("{since}    expect: [{{ rule: any, job: 1/2 }}]\n")), none);
}

#[test]
fn a_job_seen_running_and_then_ended_is_one_job() {
    let jobs = "[{ id: a, state: running, started: '2024-09-26T01:00:00Z' }, { id: a, state: failed, duration: 3h }, { id: a, started: '2024-09-26T05:00:00Z' }]";
    let expect = "[{ rule: any, job: 1, at: '2024-09-26T01:00:00Z' }, { rule: failed, job: 2 }, { rule: any, job: 3 }]";
    assert_eq!(surprises(expect, jobs), [] as [&str; 0]);
}

proptest! {
    /// Whatever is left out of them and in whichever order they stand: as many expectations as alerts, each fitting one of
    /// its own, pass; one less does not.
    #[test]
    fn expectations_find_their_alerts(
        jobs in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..6),
        order in any::<prop::sample::Index>(),
        left_out in any::<prop::sample::Index>(),
    ) {
        let mut expect = Vec::new();
        for (n, (failed, named)) in (1..).zip(&jobs) {
            let job = if *named { format!(", job: {n}") } else { String::new() };
            expect.push(format!("{{ rule: any{job} }}"));
            if *failed {
                expect.push(format!("{{ rule: failed{job} }}"));
            }
        }
        let middle = order.index(expect.len());
        expect.rotate_left(middle);
        let listed: Vec<&str> = jobs.iter().map(|(failed, _)| if *failed { "{ state: failed }" } else { "{}" }).collect();
        let listed = format!("[{}]", listed.join(", "));
        prop_assert_eq!(surprises(&format!("[{}]", expect.join(", ")), &listed), Vec::<String>::new());
        expect.remove(left_out.index(expect.len()));
        prop_assert_eq!(surprises(&format!("[{}]", expect.join(", ")), &listed).len(), 1);
    }

    /// No text of a test makes the reader panic, and what it reads can be run.
    #[test]
    fn no_test_makes_it_panic(
        jobs in "(\\{ (state: (running|failed|42|x)|duration: (1h|9999999h|x)|started: '2024-09-2[0-9]T0[0-9]:00:00Z?'|repeat: [0-9]{1,2}|id: a|every: 1h)(, (finished: 2024-09-2[0-9]T05:00:00Z|duration: 3w|repeat: \\{ times: 9, every: 9w \\}))? \\},? ?){0,3}",
        expect in "(\\{ rule: (any|nightly|x)(, (job: ([0-9]|1/2|a)|kind: (back|alert)|at: 2024-09-21T05:00:00Z))? \\},? ?){0,3}",
        at in "(at: 20[0-9]4-09-2[0-9]T05:00:00Z)?",
    ) {
        let (test, faults) = read_test(&format!("tests:\n  - name: t\n    jobs: [{jobs}]\n    expect: [{expect}]\n    {at}\n"));
        prop_assert!(test.is_some() || !faults.is_empty());
        if let Some(test) = test {
            let _ = test.run();
        }
    }
}
