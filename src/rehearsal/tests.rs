//! What rules raise over jobs held in memory.

use std::{path::PathBuf, time::Duration};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    document::{Faults, Source, parse},
    domain::State,
    rules::{Known, RuleSet, read},
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

proptest! {
    /// Stepping through every second finds no earlier instant, and no other alerts.
    #[test]
    fn the_instants_are_those_that_stepping_finds(
        jobs in proptest::collection::vec((0..100_u64, 0..100_u64, 0..3_usize), 1..6),
        (least, more) in (0..60_u64, 0..60_u64),
    ) {
        let spans = [
            ("over", format!("{{ state: running, duration: '>= {least}s' }}")),
            ("band", format!("{{ state: [running, finished], duration: {least}s..{}s }}", least + more)),
            ("not", format!("{{ state: [running, failed], not: {{ duration: '< {more}s' }} }}")),
        ];
        let rules = of(&spans.each_ref().map(|(name, when)| (*name, when.as_str())));
        let states = [State::Finished, State::Failed, State::Running];
        let courses: Vec<Course> = jobs
            .iter()
            .enumerate()
            .map(|(n, (start, takes, state))| course(&format!("j{n}"), states[*state], *start, start + takes))
            .collect();
        let mut stepped = Vec::new();
        for now in 0..=150 {
            for Course { job, .. } in &courses {
                let ended = job.finished.filter(|end| *end <= at(now));
                let seen = Job { state: if ended.is_some() { job.state } else { State::Running }, finished: ended, ..Job::clone(job) };
                if ended.is_some_and(|end| end < at(now)) || job.started > Some(at(now)) {
                    continue;
                }
                for rule in rules.judge(&seen, at(now)) {
                    if !stepped.iter().any(|(name, id, _)| (name, id) == (&rule.name, &job.id)) {
                        stepped.push((rule.name.clone(), job.id.clone(), at(now)));
                    }
                }
            }
        }
        let mut found: Vec<(Name, String, Timestamp)> = run(&rules, &courses, &watch(0, 150))
            .iter()
            .filter_map(|event| match event {
                Event::Raised(raised) => Some((raised.rule.name.clone(), raised.job.id.clone(), raised.at)),
                Event::Missed(_) | Event::Back(_) => None,
            })
            .collect();
        let by = |a: &(Name, String, Timestamp), b: &(Name, String, Timestamp)| (a.2, &a.1, &a.0).cmp(&(b.2, &b.1, &b.0));
        stepped.sort_by(by);
        found.sort_by(by);
        prop_assert_eq!(found, stepped);
    }
}
