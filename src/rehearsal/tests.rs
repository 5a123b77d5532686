//! What rules raise over jobs held in memory.

use std::{path::PathBuf, time::Duration};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    document::{Faults, Source, parse},
    domain::State,
    rules::{Known, Past, RuleSet, Verdict, read},
};

/// Rules in YAML, each notifying `oncall`.
fn rules(text: &str) -> RuleSet {
    let mut faults = Faults::default();
    let source = Source { path: PathBuf::from("r.yaml"), text: text.to_owned() };
    let node = parse(&Arc::new(source), &mut faults).unwrap();
    let known = Known { channels: &[Name::from("oncall")], sources: &[Name::from("contoso")], template_sets: &[] };
    let rules = read(&[node], &known, &mut faults);
    assert!(!faults.any_error(), "{faults:?}");
    rules
}

/// Rules of a name and conditions in flow style.
fn of(list: &[(&str, &str)]) -> RuleSet {
    let rule = |(name, when): &(&str, &str)| format!("  - {{ name: {name}, notify: oncall, when: {when} }}\n");
    rules(&format!("rules:\n{}", list.iter().map(rule).collect::<String>()))
}

fn at(seconds: u64) -> Timestamp {
    "2024-09-26T00:00:00Z".parse::<Timestamp>().unwrap().checked_add(Duration::from_secs(seconds)).unwrap()
}

fn course(id: &str, state: State, started: u64, finished: u64) -> Course {
    let job = Job {
        source: Name::from("contoso"),
        id: id.to_owned(),
        kind: None,
        state,
        started: Some(at(started)),
        finished: (state != State::Running).then(|| at(finished)),
        profile: "sites".to_owned(),
        category: None,
        extension: Value::Null,
    };
    Course { job: Arc::new(job), run: 1, watched: true }
}

fn watch(from: u64, to: u64) -> Watch {
    Watch { from: at(from), to: at(to), sources: vec![Name::from("contoso")] }
}

/// Every event as `rule of job at seconds`.
fn told(events: &[Event]) -> Vec<String> {
    let told = |event: &Event| {
        let seconds = event.at().duration_since(at(0)).as_secs_f64();
        match event {
            Event::Raised(raised) => format!("{} of {} at {seconds}", raised.rule.name, raised.job.id),
            Event::Missed(gap) => format!("{} misses at {seconds}", gap.rule.name),
            Event::Back(gap) => format!("{} is back at {seconds}", gap.rule.name),
        }
    };
    events.iter().map(told).collect()
}

#[test]
fn ended_jobs_are_judged_in_the_order_of_their_ends() {
    let rules = of(&[("any", "{}"), ("failed", "{ state: failed }")]);
    let courses = [course("b", State::Failed, 0, 50), course("a", State::Finished, 10, 60), course("c", State::Finished, 20, 50)];
    let expected = ["any of b at 50", "failed of b at 50", "any of c at 50", "any of a at 60"];
    assert_eq!(told(&run(&rules, &courses, &watch(0, 100))), expected);
}

#[test]
fn what_lies_outside_the_span_raises_nothing() {
    let rules = of(&[("any", "{ state: [running, finished], duration: '>= 0s' }")]);
    let courses = [course("early", State::Finished, 0, 9), course("late", State::Finished, 30, 31), course("open", State::Running, 5, 0)];
    assert_eq!(told(&run(&rules, &courses, &watch(10, 20))), [] as [&str; 0]);
    assert_eq!(told(&run(&rules, &courses, &watch(5, 30))), ["any of open at 5", "any of late at 30"]);
}

#[test]
fn a_running_job_raises_as_soon_as_its_conditions_hold() {
    for (when, seconds) in [
        ("{ state: running }", "0"),
        ("{ state: running, duration: '>= 2h' }", "7200"),
        ("{ state: running, duration: '> 2h' }", "7200.000001"),
        ("{ state: running, duration: '1m..2m' }", "60"),
        ("{ state: running, not: { duration: '<= 90s' } }", "90.000001"),
        ("{ any: [{ state: running, duration: '> 9h' }, { state: running, duration: '> 1h' }] }", "3600.000001"),
    ] {
        let rules = of(&[("r", when)]);
        let open = [course("j", State::Running, 0, 0)];
        assert_eq!(told(&run(&rules, &open, &watch(0, 36_000))), [format!("r of j at {seconds}")], "{when}");
    }
    let rules = of(&[("r", "{ state: running, duration: '>= 2h' }"), ("final", "{ duration: '>= 1s' }")]);
    let open = [course("j", State::Running, 0, 0)];
    assert_eq!(told(&run(&rules, &open, &watch(0, 7_199))), [] as [&str; 0]);
    assert_eq!(told(&run(&rules, &open, &watch(0, 7_200))), ["r of j at 7200"]);
}

#[test]
fn a_rule_that_alerted_while_the_job_ran_does_not_at_its_end() {
    let rules = of(&[("slow", "{ state: [running, failed], duration: '>= 1h' }"), ("failed", "{ state: failed }")]);
    let mut course = course("j", State::Failed, 0, 7_200);
    assert_eq!(told(&run(&rules, &[course.clone()], &watch(0, 9_000))), ["slow of j at 3600", "failed of j at 7200"]);
    // Before the span it has alerted already.
    assert_eq!(told(&run(&rules, &[course.clone()], &watch(3_601, 9_000))), ["failed of j at 7200"]);
    course.watched = false;
    assert_eq!(told(&run(&rules, &[course], &watch(0, 9_000))), ["slow of j at 7200", "failed of j at 7200"]);
}

#[test]
fn what_has_no_times_is_placed_by_what_is_known() {
    let rules = of(&[("any", "{ state: [running, finished, skipped] }")]);
    let stripped = |id: &str, state: State, started: Option<Timestamp>| {
        let course = course(id, state, 0, 0);
        Course { job: Arc::new(Job { started, finished: None, ..Job::clone(&course.job) }), ..course }
    };
    let courses =
        [stripped("nothing", State::Skipped, None), stripped("begun", State::Skipped, Some(at(7))), stripped("open", State::Running, None)];
    let expected = ["any of begun at 7", "any of nothing at 20", "any of open at 20"];
    assert_eq!(told(&run(&rules, &courses, &watch(0, 20))), expected);
}

#[test]
fn what_looks_back_sees_the_past_as_it_was_at_each_end() {
    let rules = of(&[
        ("third", "{ state: failed, streak: '= 3' }"),
        ("recovered", "{ state: finished, previous: failed }"),
        ("often", "{ state: failed, count: { at_least: 2, within: 30s } }"),
    ]);
    let failed = |id: &str, end: u64| course(id, State::Failed, 0, end);
    // By the ends, not by the order in which they are given.
    let courses =
        [failed("d", 90), course("c", State::Finished, 0, 40), failed("b", 20), failed("a", 10), failed("f", 100), failed("e", 90)];
    let expected = ["often of b at 20", "recovered of c at 40", "often of e at 90", "third of f at 100", "often of f at 100"];
    assert_eq!(told(&run(&rules, &courses, &watch(0, 200))), expected);
    // What ended before the span is past, and counts.
    assert_eq!(told(&run(&rules, &courses, &watch(95, 200))), ["third of f at 100", "often of f at 100"]);
    let verdicts: Vec<_> =
        Explainer::new(&rules, &courses).explain(&courses[4].job, at(200)).iter().map(|explained| explained.verdict).collect();
    assert_eq!(verdicts, [Verdict::Matches, Verdict::DoesNotMatch, Verdict::Matches]);
}

#[test]
fn a_running_job_is_too_slow_from_the_instant_at_which_it_takes_longer_than_usual() {
    let rules = of(&[("slow", "{ state: running, slower_than_usual: { factor: 2, over: 3, at_least: 10s } }")]);
    let finished = |id: &str, end: u64, takes: u64| course(id, State::Finished, end - takes, end);
    let mut courses = vec![finished("a", 100, 20), finished("b", 200, 30), finished("c", 300, 40), course("open", State::Running, 300, 0)];
    assert_eq!(told(&run(&rules, &courses, &watch(0, 1_000))), ["slow of open at 360.000001"]);
    // Two more end meanwhile, and what is usual changes.
    courses.extend([finished("d", 350, 5), finished("e", 351, 5)]);
    assert_eq!(told(&run(&rules, &courses, &watch(0, 1_000))), ["slow of open at 351"]);
}

#[test]
fn a_gap_is_told_once_and_so_is_its_end() {
    let rules = rules("rules:\n  - { name: nightly, notify: oncall, missing: { profile: 'SITES', every: 100s, grace: 10s } }\n");
    let came = |id: &str, end: u64| course(id, State::Finished, end - 5, end);
    let skipped = course("s", State::Skipped, 290, 299);
    let open = course("o", State::Running, 290, 0);
    let courses = [came("b", 400), came("a", 90), came("c", 510), came("d", 611), skipped, open];
    let expected = ["nightly misses at 200", "nightly is back at 400", "nightly misses at 620"];
    assert_eq!(told(&run(&rules, &courses[..3], &watch(0, 700))), expected);
    assert_eq!(told(&run(&rules, &courses, &watch(0, 700))), ["nightly misses at 200", "nightly is back at 400"]);
    assert_eq!(told(&run(&rules, &courses, &watch(300, 721))), ["nightly is back at 400", "nightly misses at 721"]);
    assert_eq!(told(&run(&rules, &[], &watch(50, 160))), ["nightly misses at 160"]);
    assert_eq!(told(&run(&rules, &[], &watch(50, 159))), [] as [&str; 0]);
    let elsewhere = Watch { sources: vec![Name::from("fabrikam")], ..watch(0, 700) };
    assert_eq!(told(&run(&rules, &courses, &elsewhere)), ["nightly misses at 110"]);
}

/// What raises first, found by looking at every job at every second: rule, job and second.
fn stepped(rules: &RuleSet, courses: &[Course], until: u64) -> Vec<(u64, String, Name)> {
    let mut found: Vec<(u64, String, Name)> = Vec::new();
    for second in 0..=until {
        let now = at(second);
        for Course { job, .. } in courses {
            let ended = job.finished.filter(|end| *end <= now);
            if ended.is_some_and(|end| end < now) || job.started > Some(now) {
                continue;
            }
            let seen = Job { state: if ended.is_some() { job.state } else { State::Running }, finished: ended, ..Job::clone(job) };
            let earlier = |other: &&Course| match (other.job.finished, ended) {
                (Some(end), Some(ended)) => (end, &other.job.id) < (ended, &job.id),
                (Some(end), None) => end <= now,
                (None, _) => false,
            };
            let mut past: Vec<Arc<Job>> = courses.iter().filter(earlier).map(|course| Arc::clone(&course.job)).collect();
            past.sort_by(|a, b| (b.finished, &b.id).cmp(&(a.finished, &a.id)));
            let mut matched = rules.judge(&seen, now);
            matched.extend(rules.judge_by_past(&seen, Past::new(&past), now));
            for rule in matched {
                if !found.iter().any(|(_, id, name)| (id, name) == (&job.id, &rule.name)) {
                    found.push((second, job.id.clone(), rule.name.clone()));
                }
            }
        }
    }
    found.sort();
    found
}

proptest! {
    /// Looking at every second finds the same alerts, in the second in which they are raised.
    #[test]
    fn the_instants_are_those_that_stepping_finds(
        jobs in proptest::collection::vec((0..40_u64, 0..25_u64, 0..3_usize), 1..9),
        (least, more) in (0..60_u64, 0..60_u64),
    ) {
        // Times are multiples of eight seconds: what is usual then turns at full seconds, and never a second before an end.
        let spans = [
            ("over", format!("{{ state: running, duration: '>= {}s' }}", 8 * least)),
            ("band", format!("{{ state: [running, finished], duration: {least}s..{}s }}", least + more)),
            ("not", format!("{{ state: [running, failed], not: {{ duration: '< {more}s' }} }}")),
            ("slow", "{ state: running, slower_than_usual: { factor: 2, over: 4, at_least: 8s } }".to_owned()),
            ("slow-but", "{ state: running, slower_than_usual: { factor: 1.5, over: 2, at_least: 0s }, not: { previous: failed } }".to_owned()),
            ("again", "{ state: [running, failed], previous: failed }".to_owned()),
            ("streak", "{ state: failed, streak: '>= 2' }".to_owned()),
        ];
        let rules = of(&spans.each_ref().map(|(name, when)| (*name, when.as_str())));
        let states = [State::Finished, State::Failed, State::Running];
        let courses: Vec<Course> = (0..)
            .zip(&jobs)
            .map(|(n, (start, takes, state)): (usize, _)| course(&format!("j{n}"), states[*state], 8 * start, 8 * (start + takes)))
            .collect();
        let mut found: Vec<(u64, String, Name)> = run(&rules, &courses, &watch(0, 600))
            .iter()
            .filter_map(|event| match event {
                Event::Raised(raised) => {
                    let since = raised.at.duration_since(at(0)).unsigned_abs();
                    Some((since.as_secs() + u64::from(since.subsec_nanos() > 0), raised.job.id.clone(), raised.rule.name.clone()))
                }
                Event::Missed(_) | Event::Back(_) => None,
            })
            .collect();
        found.sort();
        prop_assert_eq!(found, stepped(&rules, &courses, 600));
    }
}
