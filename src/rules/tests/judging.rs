//! Which rules a job matches, while it runs and when it has ended, and why.

use super::*;
use crate::rules::{CONDITIONS, Past, Rule, Verdict};

#[track_caller]
fn check(when: &str, job: &Job, expected: bool) {
    let (rules, faults) = rule(when);
    assert!(!faults.any_error(), "{when}: {faults:?}");
    assert_eq!(rules.judge(job, now()).len() == 1, expected, "{when} of {job:?}");
    let explained = &rules.explain(job, Past::none(), now())[0];
    assert_eq!(explained.verdict == Verdict::Matches, expected, "{when} explained of {job:?}: {explained:?}");
}

#[test]
fn every_example_of_the_table_is_read() {
    for condition in CONDITIONS {
        for example in condition.examples {
            // A streak is of the states that the rule names.
            let state = if condition.key == "streak" { "state: failed, " } else { "" };
            let (rules, faults) = rule(&format!("{{ {state}{}: {example} }}", condition.key));
            let told = lines(&faults);
            // The examples use one source that is known.
            assert!(told.is_empty() && rules.rules().len() == 1, "{}: {example}: {told:?}", condition.key);
        }
    }
}

#[test]
fn no_key_stands_twice_in_the_table() {
    let mut keys: Vec<&str> = CONDITIONS.iter().map(|condition| condition.key).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
}

#[test]
fn names_and_numbers_mean_the_same() {
    let failed = job(State::Failed, "sites", 60);
    for yes in ["{ state: failed }", "{ state: 3 }", "{ state: '3' }", "{ state: [finished, 3] }", "{ type: 0 }", "{ category: [0] }"] {
        check(yes, &failed, true);
    }
    for no in ["{ state: 4 }", "{ type: 10 }", "{ category: [1, 2, 3] }", "{ source: fabrikam }"] {
        check(no, &failed, false);
    }
    let mut strange = job(State::Unknown(42), "sites", 60);
    (strange.kind, strange.category) = (Some(JobType::from_code(7)), None);
    check("{ state: 42, type: 7 }", &strange, true);
    check("{ category: microsoft_365 }", &strange, false);
    check("{ not: { category: microsoft_365 } }", &strange, true);
}

#[test]
fn all_conditions_must_hold_and_lists_mean_any() {
    let slow = job(State::Finished, "Scan SharePoint sites", 1_801);
    check("{ state: finished, profile: 'scan sharepoint*', duration: '> 30m' }", &slow, true);
    check("{ state: finished, profile: [x, '/Share.oint/'], duration: ['< 1s', '> 30m'] }", &slow, true);
    check("{ state: finished, profile: '/sharepoint/' }", &slow, false);
    check("{ state: failed, profile: 'scan sharepoint*' }", &slow, false);
    check("{ any: [{ state: failed }, { duration: '> 30m' }] }", &slow, true);
    check("{ all: [{ state: finished }, { not: { source: contoso } }] }", &slow, false);
    check("{ source: contoso, not: { any: [{ state: failed }, { profile: 'x*' }] } }", &slow, true);
    check("{ finished: { days: thu, between: '12:00-12:01' } }", &slow, true);
    check("{ finished: [{ days: mon-wed }, { between: '14:00-15:00', timezone: Europe/Zurich }] }", &slow, true);
    check("{ finished: { days: fri-wed } }", &slow, false);
}

#[test]
fn what_is_not_known_does_not_hold() {
    let mut skipped = job(State::Skipped, "sites", 60);
    (skipped.started, skipped.finished) = (None, None);
    check("{ state: skipped }", &skipped, true);
    check("{ duration: '< 100d' }", &skipped, false);
    check("{ finished: { between: '00:00-24:00' } }", &skipped, false);
    check("{ not: { duration: '> 1s' } }", &skipped, true);
}

#[test]
fn an_empty_when_is_every_job_that_ended() {
    for state in State::ALL {
        check("{}", &job(*state, "sites", 60), *state != State::Running);
    }
    let mut strange = job(State::Unknown(42), "sites", 60);
    check("{}", &strange, true);
    strange.finished = None;
    check("{}", &strange, false);
}

#[test]
fn a_running_job_matches_only_by_what_names_its_state() {
    let running = |seconds| job(State::Running, "sites", seconds);
    let stuck = "{ state: running, duration: '> 2h' }";
    check(stuck, &running(7_200), false);
    check(stuck, &running(7_201), true);
    check(stuck, &job(State::Finished, "sites", 9_000), false);
    check("{ state: [running, failed], duration: '> 2h' }", &running(7_201), true);
    check("{ state: [running, failed], duration: '> 2h' }", &job(State::Failed, "sites", 7_201), true);
    check("{ duration: '> 2h' }", &running(9_000), false);
    check("{ profile: sites }", &running(1), false);
    check("{ not: { state: finished } }", &running(1), false);
    check("{ not: { not: { state: running } } }", &running(1), true);
    let two = "{ any: [{ state: running, duration: '> 2h' }, { profile: sites }] }";
    check(two, &running(60), false);
    check(two, &running(7_201), true);
    check(two, &job(State::Failed, "sites", 60), true);
    check("{ duration: '> 2h', any: [{ state: 1 }, { profile: nightly }] }", &running(7_201), true);
}

#[test]
fn a_state_that_is_not_listed_and_has_no_end_matches_by_its_number() {
    let mut strange = job(State::Unknown(42), "sites", 60);
    strange.finished = None;
    check("{ state: 42 }", &strange, true);
    check("{ state: [42, failed], duration: '> 2m' }", &strange, false);
    check("{ state: running }", &strange, false);
    check("{ not: { state: failed } }", &strange, false);
}

#[test]
fn it_is_known_whether_any_rule_watches_running_jobs() {
    for (when, watches) in [
        ("{}", false),
        ("{ state: failed }", false),
        ("{ state: running }", true),
        ("{ state: 42 }", true),
        ("{ any: [{ state: failed }, { all: [{ state: [running] }] }] }", true),
        ("{ not: { state: running } }", false),
        ("{ not: { any: [{ not: { state: running } }] } }", true),
    ] {
        assert_eq!(rule(when).0.watches_running(), watches, "{when}");
    }
}

#[test]
fn a_rule_at_rest_is_checked_and_never_judged() {
    let text =
        "rules:\n  - { name: r, when: {}, notify: oncall, enabled: false }\n  - { name: s, when: {}, notify: onkall, enabled: false }\n";
    let (rules, faults) = read_files(&[file("r.yaml", text)]);
    assert_eq!(lines(&faults), ["r.yaml:3:34 error: unknown channel `onkall` (did you mean `oncall`?)"]);
    assert!(rules.rules().is_empty());
}

#[test]
fn a_rule_keeps_what_its_messages_say_of_it() {
    let text = "\
rules:
  - name: slow
    description: Slow.
    when: { duration: '> 30m' }
    severity: critical
    notify: scans
    labels: { team: collaboration, year: 2024, on: true }
    template: short
";
    let (rules, faults) = read_files(&[file("r.yaml", text), file("empty.yaml", "rules:\n")]);
    assert!(faults.is_empty(), "{faults:?}");
    let facts = &rules.rules()[0].facts;
    let labels: Vec<(&str, &str)> = facts.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("on", "true"), ("team", "collaboration"), ("year", "2024")]);
    assert_eq!((facts.severity.name(), facts.template.as_deref()), ("critical", Some("short")));
}

#[track_caller]
fn explained(when: &str, job: &Job, verdict: Verdict, expected: &[&str]) {
    let (rules, _) = rule(when);
    let explained = &rules.explain(job, Past::none(), now())[0];
    let line = |f: &crate::rules::Finding| {
        let marks = format!("{}{}", if f.held { "+" } else { "-" }, if f.decided { "!" } else { "" });
        format!("{marks} {}: {} / {}", f.path, f.wanted, f.found)
    };
    assert_eq!(explained.conditions.iter().map(line).collect::<Vec<_>>(), expected, "{when}");
    assert_eq!(explained.verdict, verdict, "{when}");
}

#[test]
fn a_verdict_has_its_reasons() {
    let finished = job(State::Finished, "scan sites", 90);
    explained(
        "{ state: [failed, 42], profile: 'scan *', duration: '> 30m' }",
        &finished,
        Verdict::DoesNotMatch,
        &["-! state: failed or 42 / finished", "- duration: > 30m / 1m 30s", "+ profile: scan * / scan sites"],
    );
    explained(
        "{ any: [{ state: failed }, { source: contoso, not: { type: google } }] }",
        &finished,
        Verdict::Matches,
        &["- any[0].state: failed / finished", "+! any[1].source: contoso / contoso", "-! any[1].not.type: google / microsoft_365"],
    );
    explained(
        "{ finished: { days: [mon, tue], between: '22:00-06:00', timezone: Europe/Zurich } }",
        &finished,
        Verdict::DoesNotMatch,
        &["-! finished: on mon or tue between 22:00 and 06:00 (Europe/Zurich) / Thu 2024-09-26 14:00 (Europe/Zurich)"],
    );
    let running = job(State::Running, "scan sites", 90);
    explained("{ profile: 'scan *' }", &running, Verdict::WaitsForTheEnd, &["+! profile: scan * / scan sites"]);
    explained(
        "{ state: running, duration: '> 1h' }",
        &running,
        Verdict::DoesNotMatch,
        &["+ state: running / running", "-! duration: > 1h / 1m 30s"],
    );
    explained("{}", &finished, Verdict::Matches, &[]);
}

#[test]
fn rules_are_judged_each_on_its_own_in_the_files_order() {
    let text = |name: &str| {
        format!(
            "rules:\n  - {{ name: {name}1, when: {{}}, notify: oncall }}\n  - {{ name: {name}2, when: {{ state: failed }}, notify: oncall }}\n"
        )
    };
    let (rules, _) = read_files(&[file("b.yaml", &text("b")), file("a.yaml", &text("a"))]);
    let names = |rules: &[Arc<Rule>]| rules.iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&rules.judge(&job(State::Failed, "x", 1), now())), ["b1", "b2", "a1", "a2"]);
    assert_eq!(names(&rules.judge(&job(State::Finished, "x", 1), now())), ["b1", "a1"]);
}

#[test]
fn the_starter_rules_are_read_without_a_word_and_do_what_they_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let files: Vec<Node> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| file(path.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap()))
        .collect();
    let mut faults = Faults::default();
    // The channels of the config that `init` writes.
    let channels = ["oncall", "scans", "admins", "ticketing"].map(Name::from);
    let rules = read(&files, &Known { channels: &channels, sources: &[], template_sets: &[] }, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    let names = |job: &Job| rules.judge(job, now()).iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&job(State::Failed, "sites", 60)), ["scan-failed"]);
    assert_eq!(names(&job(State::FinishedWithException, "sites", 60)), ["scan-failed"]);
    assert_eq!(names(&job(State::Running, "sites", 7 * 3_600)), ["stuck-scan"]);
    assert!(names(&job(State::Finished, "sites", 60)).is_empty());
    assert!(names(&job(State::Running, "sites", 60)).is_empty());
    assert!(names(&job(State::Stopped, "sites", 60)).is_empty());
    let by_past = |job: &Job, past: &[(State, u64)]| {
        let past: Vec<Arc<Job>> = past.iter().map(|(state, seconds)| Arc::new(self::job(*state, "sites", *seconds))).collect();
        rules.judge_by_past(job, Past::new(&past), now()).iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>()
    };
    let failed = job(State::Failed, "sites", 60);
    assert_eq!(by_past(&failed, &[(State::Failed, 60); 2]), ["scan-keeps-failing"]);
    assert!(by_past(&failed, &[(State::Failed, 60); 3]).is_empty());
    assert_eq!(by_past(&job(State::Finished, "sites", 60), &[(State::Failed, 60)]), ["scan-recovered"]);
    assert_eq!(by_past(&job(State::Running, "sites", 1_201), &[(State::Finished, 600); 3]), ["slower-than-usual"]);
}

#[test]
fn no_pattern_takes_for_ever_with_a_name_of_a_megabyte() {
    // What goes back and tries again would need more steps than there are atoms.
    let name = format!("{}!", "a".repeat(1 << 20));
    for (pattern, holds) in
        [("/^(a*)*$/", false), ("/^(a|aa)+$/", false), ("/(a*)*b/", false), ("*a*a*a*a*a*b", false), ("a*a*a*a*!", true)]
    {
        let (rules, faults) = rule(&format!("{{ profile: '{pattern}' }}"));
        assert!(faults.is_empty(), "{faults:?}");
        let began = std::time::Instant::now();
        assert_eq!(rules.judge(&job(State::Failed, &name, 60), now()).len(), usize::from(holds), "{pattern}");
        assert!(began.elapsed() < Duration::from_secs(20), "{pattern}: {:?}", began.elapsed());
    }
}
