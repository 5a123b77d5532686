//! Conditions on a job's past: judged by finish time, whatever order a poll met the jobs in, and explained.

use proptest::{prelude::*, sample::select};

use super::*;
use crate::rules::{Need, PAST_MOST, Past, Verdict};

/// Ended jobs of one profile, one an hour, the last one at `now`: each a letter for its state (`f`inished, `F`ailed,
/// `e`xception, `s`kipped, `x` stopped, `r`unning) and its minutes, 1 where none stand there: `f10 f F`.
fn jobs(story: &str) -> Vec<Arc<Job>> {
    let words: Vec<&str> = story.split_whitespace().collect();
    let one = |(at, word): (usize, &&str)| {
        let (state, minutes) = word.split_at(1);
        let state = match state {
            "f" => State::Finished,
            "F" => State::Failed,
            "e" => State::FinishedWithException,
            "s" => State::Skipped,
            "x" => State::Stopped,
            "r" => State::Running,
            other => panic!("{other}"),
        };
        let minutes: u64 = if minutes.is_empty() { 1 } else { minutes.parse().unwrap() };
        let mut job = job(state, "sites", minutes * 60);
        let ago = Duration::from_secs(3_600 * (words.len() - 1 - at) as u64);
        job.started = job.started.map(|start| start - ago);
        job.finished = job.finished.map(|end| end - ago);
        job.id = format!("Scan{at}");
        Arc::new(job)
    };
    words.iter().enumerate().map(one).collect()
}

/// The last job of a story, and those before it, the newest first.
fn last(story: &str) -> (Arc<Job>, Vec<Arc<Job>>) {
    let mut jobs = jobs(story);
    let job = jobs.pop().unwrap();
    jobs.reverse();
    (job, jobs)
}

/// Whether a rule matches the last job of a story; judged with all of its past and with no more than it asks for, and
/// explained.
#[track_caller]
fn check(when: &str, story: &str, expected: bool) {
    let (rules, faults) = rule(when);
    assert!(!faults.any_error(), "{when}: {faults:?}");
    assert!(rules.looks_back(), "{when}");
    let (job, past) = last(story);
    let judged = |past: &[Arc<Job>]| rules.judge_by_past(&job, Past::new(past), now()).len() == 1;
    assert_eq!(judged(&past), expected, "{when} of {story}");
    assert!(rules.judge(&job, now()).is_empty(), "{when} is judged without the past");
    let Some(need) = rules.need(&job) else {
        assert!(!expected, "{when} of {story} asks for nothing");
        return;
    };
    assert_eq!(judged(&needed(&job, &past, need)), expected, "{when} of {story} with {need:?}");
    let explained = &rules.explain(&job, Past::new(&past), now())[0];
    assert_eq!(explained.verdict == Verdict::Matches, expected, "{when} of {story}: {explained:?}");
}

/// What a store gives to who needs so much.
fn needed(job: &Job, past: &[Arc<Job>], need: Need) -> Vec<Arc<Job>> {
    let end = job.finished.unwrap_or_else(now);
    let within = past.iter().filter(|job| job.finished.unwrap() >= end.checked_sub(need.reach).unwrap_or(Timestamp::MIN)).count();
    past.iter().take((within + need.jobs as usize).min(PAST_MOST as usize)).cloned().collect()
}

#[test]
fn a_streak_is_of_the_rules_own_states() {
    let three = "{ state: [failed, finished_with_exception], streak: '>= 3' }";
    check(three, "F F F", true);
    check(three, "f F e F", true);
    check(three, "F F", false);
    check(three, "F F f F", false);
    check(three, "F F s F", false);
    check(three, "F F F f", false);
    check(three, "F F F r", false);
    // Only the state makes the run: the other conditions are the job's own.
    check("{ state: failed, streak: '>= 2', duration: '> 30m' }", "F F40", true);
    check("{ state: failed, streak: '>= 2', duration: '> 30m' }", "F40 F", false);
    check("{ not: { state: [finished, skipped] }, streak: 2 }", "F x", true);
    check("{ not: { state: [finished, skipped] }, streak: 2 }", "F s x", false);
    check("{ any: [{ state: failed }, { state: stopped, duration: '> 30m' }], streak: 2 }", "x F", true);
    check("{ streak: 2 }", "f F", true);
}

#[test]
fn a_streak_may_have_an_end() {
    for (length, yes, no) in [
        ("= 1", &["F", "F f F"][..], &["F F", "f"][..]),
        ("= 3", &["F F F", "f F F F"], &["F F F F", "F F"]),
        ("< 3", &["F", "F F"], &["F F F", "f"]),
        ("> 1", &["F F", "F F F"], &["F"]),
        ("2..3", &["F F", "F F F"], &["F", "F F F F"]),
    ] {
        let when = format!("{{ state: failed, streak: '{length}' }}");
        for (stories, expected) in [(yes, true), (no, false)] {
            for story in stories {
                check(&when, story, expected);
            }
        }
    }
}

#[test]
fn a_count_is_of_the_jobs_that_match_the_rest() {
    let three = "{ state: failed, count: { at_least: 3, within: 4h } }";
    check(three, "F f F F", true);
    check(three, "F f f F F", true);
    check(three, "F f f f F F", false);
    check(three, "F F F f", false);
    check(three, "F F F", true);
    check(three, "F F", false);
    let slow = "{ state: finished, duration: '> 30m', count: { at_least: 2, within: 1d } }";
    check(slow, "f40 f f f40", true);
    check(slow, "f f f f40", false);
    check(slow, "f40 f40 f f", false);
    check("{ not: { state: finished }, count: { at_least: 2, within: 1d } }", "s f x", true);
    check("{ state: failed, not: { count: { at_least: 2, within: 2h } } }", "F f f F", true);
    check("{ state: failed, not: { count: { at_least: 2, within: 2h } } }", "F f F", false);
}

#[test]
fn what_is_counted_has_a_past_of_its_own() {
    let recoveries = "{ state: finished, previous: failed, count: { at_least: 2, within: 1d } }";
    check(recoveries, "F f f F f", true);
    check(recoveries, "f f f F f", false);
    check(recoveries, "F f F f f", false);
    let slow = "{ slower_than_usual: { factor: 2, over: 5 }, count: { at_least: 2, within: 2h } }";
    check(slow, "f5 f5 f5 f5 f20 f5 f20", true);
    check(slow, "f5 f5 f5 f5 f5 f5 f20", false);
    // The oldest one counted looks back over the edge of the time.
    check("{ state: failed, streak: 2, count: { at_least: 2, within: 1h } }", "F F F", true);
    check("{ state: failed, streak: 2, count: { at_least: 2, within: 1h } }", "f F F", false);
}

#[test]
fn a_recovery_is_a_good_end_behind_a_bad_one() {
    let recovery = "{ state: finished, previous: [failed, finished_with_exception] }";
    check(recovery, "F f", true);
    check(recovery, "f e f", true);
    check(recovery, "F f f", false);
    check(recovery, "F s f", false);
    check(recovery, "f", false);
    check(recovery, "F F", false);
    check("{ not: { previous: failed } }", "f", true);
    check("{ previous: 5 }", "s f", true);
    check("{ previous: 5 }", "F f", false);
}

#[test]
fn slow_is_measured_by_what_is_usual() {
    let slow = "{ slower_than_usual: { factor: 2, over: 5 } }";
    check(slow, "f10 f10 f10 f21", true);
    check(slow, "f10 f10 f10 f20", false);
    check(slow, "f10 f10 f21", false);
    // Only what finished is usual; the job itself may have ended in any way.
    check(slow, "f10 F90 f10 x90 f10 F21", true);
    check(slow, "F10 F10 F10 F21", false);
    // The last five: 30 30 10 10 10.
    check(slow, "f90 f90 f90 f30 f30 f10 f10 f10 f21", true);
    // Of an even number, the mean of the two in the middle: 15.
    check(slow, "f10 f20 f10 f20 f30", false);
    check(slow, "f10 f20 f10 f20 f31", true);
    check("{ slower_than_usual: { factor: 1.5, over: 1 } }", "f2 f10 f16", true);
    // A long row of failures hides no good end, however few are asked for.
    check("{ slower_than_usual: { factor: 1.5, over: 1 } }", &format!("f10 {}f16", "F ".repeat(90)), true);
    check("{ slower_than_usual: { factor: 1.5, over: 2 } }", "f10 f16", false);
}

#[test]
fn no_job_is_slow_under_the_floor() {
    check("{ slower_than_usual: { factor: 2 } }", "f0 f0 f0 f1", true);
    check("{ slower_than_usual: { factor: 2, at_least: 2m } }", "f0 f0 f0 f1", false);
    check("{ slower_than_usual: { factor: 2, at_least: 2m } }", "f0 f0 f0 f2", true);
}

#[test]
fn a_running_job_has_a_past_and_no_streak() {
    check("{ state: running, slower_than_usual: { factor: 2 } }", "f10 f10 f10 r21", true);
    check("{ state: running, slower_than_usual: { factor: 2 } }", "f10 f10 f10 r20", false);
    check("{ slower_than_usual: { factor: 2 } }", "f10 f10 f10 r21", false);
    check("{ state: running, previous: failed }", "F r", true);
    check("{ state: [running, failed], streak: 2 }", "F F r", false);
    check("{ state: [running, failed], not: { streak: 2 } }", "F F r", true);
    // A job that runs has not ended: it is not counted, but may close the circle.
    check("{ state: [running, failed], count: { at_least: 2, within: 1d } }", "F F r", true);
    check("{ state: [running, failed], count: { at_least: 3, within: 1d } }", "F F r", false);
}

#[test]
fn only_what_may_match_asks_for_a_past() {
    let need = |when: &str, story: &str| rule(when).0.need(&last(story).0);
    assert_eq!(need("{ state: failed, streak: 4 }", "F"), Some(Need { jobs: 3, reach: Duration::ZERO }));
    assert_eq!(need("{ state: failed, streak: '= 4' }", "F"), Some(Need { jobs: 4, reach: Duration::ZERO }));
    assert_eq!(need("{ state: failed, streak: 4 }", "f"), None);
    assert_eq!(need("{ duration: '> 30m', previous: failed }", "f"), None);
    assert_eq!(need("{ duration: '> 30m', previous: failed }", "f31"), Some(Need { jobs: 1, reach: Duration::ZERO }));
    assert_eq!(need("{ state: running, duration: '> 30m', previous: failed }", "r"), Some(Need { jobs: 1, reach: Duration::ZERO }));
    assert_eq!(need("{ state: failed }", "F"), None);
    let both = "{ count: { at_least: 2, within: 1d }, any: [{ previous: failed }, { slower_than_usual: { factor: 2, over: 4 } }] }";
    assert_eq!(need(both, "F"), Some(Need { jobs: 100, reach: Duration::from_secs(86_400) }));
}

#[test]
fn a_set_knows_whether_it_looks_back_and_judges_each_rule_once() {
    let text =
        "rules: [{ name: a, when: { state: failed }, notify: oncall }, { name: b, when: { state: failed, streak: 2 }, notify: oncall }]";
    let (rules, _) = read_files(&[file("r.yaml", text)]);
    let (job, past) = last("F F");
    let names = |rules: Vec<Arc<crate::rules::Rule>>| rules.iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(rules.judge(&job, now())), ["a"]);
    assert_eq!(names(rules.judge_by_past(&job, Past::new(&past), now())), ["b"]);
    assert_eq!(names(rules.judge_by_past(&job, Past::none(), now())), [""; 0]);
    assert!(!rule("{ state: failed }").0.looks_back());
}

#[track_caller]
fn found(when: &str, story: &str, expected: &str) {
    let (rules, faults) = rule(when);
    assert!(!faults.any_error(), "{when}: {faults:?}");
    let (job, past) = last(story);
    let explained = &rules.explain(&job, Past::new(&past), now())[0];
    let finding = explained.conditions.last().unwrap();
    assert_eq!(format!("{} / {}", finding.wanted, finding.found), expected, "{when} of {story}");
}

#[test]
fn what_is_found_in_the_past_tells_the_values_compared() {
    let streak = "{ state: failed, streak: '>= 3' }";
    found(streak, "F F F F", ">= 3 / 3 or more in a row: failed 09-26 12:00, failed 09-26 11:00, failed 09-26 10:00");
    found(streak, "s F F", ">= 3 / 2 in a row: failed 09-26 12:00, failed 09-26 11:00; before them, skipped 09-26 10:00");
    found(streak, "F f", ">= 3 / none in a row");
    found(streak, "F", ">= 3 / 1 in a row: failed 09-26 12:00");
    found(
        "{ state: failed, streak: 7 }",
        "F F F F F F",
        "7 / 6 in a row: failed 09-26 12:00, failed 09-26 11:00, failed 09-26 10:00, failed 09-26 09:00, failed 09-26 08:00, 1 more",
    );
    found(streak, "F r", ">= 3 / it runs: a streak is of jobs that ended");
    let count = "{ state: failed, count: { at_least: 3, within: 1d } }";
    found(count, "F f F", "at least 3 within 1d / 2 that match the rest of the rule, the oldest ended 2024-09-26 10:00");
    found(count, "f", "at least 3 within 1d / 0 that match the rest of the rule");
    let previous = "{ previous: [failed, stopped] }";
    found(previous, "F f", "failed or stopped / failed 2024-09-26 11:00 (Scan0)");
    found(previous, "f", "failed or stopped / no job of this profile ended before it");
    let slow = "{ slower_than_usual: { factor: 2, over: 20 } }";
    let wanted = "longer than 2 × the median of the last 20 finished jobs, and at least 1m";
    found(slow, "f10 f10 f10 f42", &format!("{wanted} / took 42m, usual is 10m (median of 3), limit 20m"));
    found(slow, "f720 f720 f720 f1441", &format!("{wanted} / took 1d 1m, usual is 12h (median of 3), limit 1d"));
    found(slow, "f0 f0 f0 f0", &format!("{wanted} / took 0s, usual is 0s (median of 3), limit 1m"));
    found(slow, "f10 f10 f42", &format!("{wanted} / took 42m, only two jobs of this profile finished before it: 3 tell what is usual"));
    found(slow, "F10 f42", &format!("{wanted} / took 42m, no job of this profile finished before it"));
    found(
        "{ state: running, slower_than_usual: { factor: 2 } }",
        "f10 f10 f10 r42",
        &format!("{wanted} / runs for 42m, usual is 10m (median of 3), limit 20m"),
    );
}

#[test]
fn no_more_is_looked_at_than_the_bound() {
    let story = "F ".repeat(PAST_MOST as usize + 200);
    check("{ state: failed, count: { at_least: 1000, within: 365d } }", &story, true);
    check("{ state: failed, streak: 1000 }", &story, true);
}

#[test]
fn the_version_is_of_what_the_rules_say() {
    let version = |text: &str| read_files(&[file("r.yaml", text)]).0.version().to_owned();
    let one = version("rules:\n  - name: a\n    when: { state: failed, profile: 'x*' }\n    notify: oncall\n");
    assert!(one.len() == 12 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    assert_eq!(version("# A remark.\nrules: [{ notify: oncall, name: a, when: { profile: \"x*\", state: failed } }]"), one);
    assert_eq!(
        version(
            "rules: [{ notify: oncall, name: a, when: { profile: 'x*', state: failed } }, { name: b, when: {}, notify: oncall, enabled: false }]"
        ),
        one
    );
    for other in [
        "rules: [{ notify: oncall, name: b, when: { profile: 'x*', state: failed } }]",
        "rules: [{ notify: scans, name: a, when: { profile: 'x*', state: failed } }]",
        "rules: [{ notify: oncall, name: a, when: { profile: 'x', state: failed } }]",
        "rules: [{ notify: oncall, name: a, when: { profile: 'x*', state: failed }, severity: info }]",
        "rules: []",
    ] {
        assert_ne!(version(other), one, "{other}");
    }
}

fn any_story() -> impl Strategy<Value = Vec<Arc<Job>>> {
    let word = (select(&["f", "F", "e", "s", "x"][..]), select(&[0u64, 5, 10, 25, 60][..]), 0i64..4);
    proptest::collection::vec(word, 1..25).prop_map(|words| {
        let story: Vec<String> = words.iter().map(|(state, minutes, _)| format!("{state}{minutes}")).collect();
        let mut jobs = jobs(&story.join(" "));
        // Some end at the same moment: then the id tells which comes first.
        for (job, (_, _, shift)) in jobs.iter_mut().zip(&words) {
            let job = Arc::make_mut(job);
            job.finished = job.finished.map(|end| end + Duration::from_secs(3_600 * u64::try_from(*shift).unwrap()));
        }
        jobs
    })
}

const RULES: &[&str] = &[
    "{ state: [failed, finished_with_exception], streak: '>= 2' }",
    "{ state: failed, streak: '= 1' }",
    "{ state: [failed, stopped], count: { at_least: 3, within: 6h } }",
    "{ state: finished, previous: [failed, finished_with_exception] }",
    "{ slower_than_usual: { factor: 2, over: 4 } }",
    "{ slower_than_usual: { factor: 2, over: 4 }, count: { at_least: 2, within: 8h } }",
    "{ not: { previous: skipped }, duration: '> 5m' }",
    "{ any: [{ state: stopped, streak: 2 }, { state: failed, previous: failed }] }",
];

proptest! {
    #[test]
    fn verdicts_hang_on_finish_times_and_on_what_is_asked_for(story in any_story(), order in any::<prop::sample::Index>()) {
        let text: Vec<String> = RULES.iter().enumerate().map(|(n, when)| format!("  - {{ name: r{n}, when: {when}, notify: oncall }}\n")).collect();
        let (rules, faults) = read_files(&[file("r.yaml", &format!("rules:\n{}", text.concat()))]);
        prop_assert!(!faults.any_error());
        let key = |job: &Arc<Job>| (job.finished.unwrap(), job.id.clone());
        let judged = |met: &[Arc<Job>]| {
            // As a store does: whatever was met first, the past is in the order of (finish time, id).
            let mut sorted = met.to_vec();
            sorted.sort_by_key(key);
            let mut told: Vec<(String, Vec<String>)> = Vec::new();
            for job in met {
                let mut past: Vec<Arc<Job>> = sorted.iter().filter(|other| key(other) < key(job)).cloned().collect();
                past.reverse();
                let matched = rules.judge_by_past(job, Past::new(&past), now());
                let names: Vec<String> = matched.iter().map(|rule| rule.name.to_string()).collect();
                // The least that may be given says the same.
                let least = rules.need(job).map(|need| needed(job, &past, need)).unwrap_or_default();
                let by_least: Vec<String> = rules.judge_by_past(job, Past::new(&least), now()).iter().map(|rule| rule.name.to_string()).collect();
                assert_eq!(names, by_least, "{job:?}");
                let by_reasons: Vec<String> = rules
                    .explain(job, Past::new(&least), now())
                    .iter()
                    .filter(|explained| explained.verdict == Verdict::Matches)
                    .map(|explained| explained.rule.name.to_string())
                    .collect();
                assert_eq!(names, by_reasons, "{job:?}");
                told.push((job.id.clone(), names));
            }
            told.sort();
            told
        };
        let mut other = story.clone();
        other.rotate_left(order.index(story.len()));
        other.reverse();
        prop_assert_eq!(judged(&story), judged(&other));
    }
}
