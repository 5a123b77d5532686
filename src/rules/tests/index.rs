//! The index and the verdicts remembered against every rule asked one by one, on rules and jobs made at random.

use proptest::{prelude::*, sample::select};

use super::*;
use crate::rules::{Past, Rule, Verdict};

fn names(rules: &[Arc<Rule>]) -> Vec<String> {
    rules.iter().map(|rule| rule.name.to_string()).collect()
}

/// One condition in flow style.
fn condition() -> impl Strategy<Value = String> {
    let one_of = |key: &'static str, values: &'static [&'static str]| {
        proptest::collection::vec(select(values), 1..3).prop_map(move |values| format!("{key}: [{}]", values.join(", ")))
    };
    prop_oneof![
        one_of("state", &["running", "finished", "failed", "stopped", "42", "43"]),
        one_of("type", &["google", "microsoft_365", "7"]),
        one_of("category", &["google", "power_platform"]),
        one_of("source", &["contoso", "fabrikam"]),
        one_of(
            "profile",
            &[
                "scan sites",
                "'scan *'",
                "'* sites'",
                "'scan*'",
                "'*mail sites'",
                "'*an*'",
                "'s?an [a-s]*'",
                "'{scan,nightly} {mail,sites}'",
                "/^scan/",
                "/sites$/",
                "/(?i)MAIL/",
                "Prüfung"
            ],
        ),
        one_of("duration", &["'> 10m'", "'< 5m'", "5m..20m"]),
        Just("finished: { days: [thu], between: '12:00-13:00' }".to_owned()),
        Just("finished: { days: [mon] }".to_owned()),
        select(
            &[
                "streak: '>= 2'",
                "streak: '= 1'",
                "count: { at_least: 2, within: 1h }",
                "previous: [failed, stopped]",
                "previous: 42",
                "slower_than_usual: { factor: 1.5, over: 3, at_least: 1s }",
                "expr: 'job.profile.size() > 4'",
                "expr: 'job.duration > duration(\"10m\")'",
                "expr: 'job.state == \"running\" || has(job.type)'",
                "expr: 'job.state in [\"running\", \"failed\"]'",
                "expr: '!(job.state != \"running\" && job.type != \"google\")'",
                "expr: 'job.type == \"google\" ? job.state == \"42\" : !(job.state in [\"running\", \"failed\"])'",
            ][..],
        )
        .prop_map(str::to_owned),
    ]
}

/// What may stand under `when`; a key at most once in each mapping.
fn when() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![9 => condition().prop_map(|condition| format!("{{ {condition} }}")), 1 => Just("{}".to_owned())];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| format!("{{ not: {inner} }}")),
            (select(&["any", "all"][..]), proptest::collection::vec(inner.clone(), 1..4))
                .prop_map(|(word, parts)| format!("{{ {word}: [{}] }}", parts.join(", "))),
            (condition(), inner).prop_map(|(condition, inner)| format!("{{ {condition}, all: [{inner}] }}")),
        ]
    })
}

fn any_job() -> impl Strategy<Value = Job> {
    let states = [1, 2, 3, 4, 10, 42, 43, 44].map(State::from_code);
    let profiles: &[&str] = &["scan sites", "Scan Sites", "nightly mail", "scan", "mail sites", "PRÜFUNG", "", "an"];
    (select(states.to_vec()), select(profiles), select(&[0u64, 300, 601, 9_000][..]), any::<[bool; 4]>(), select(&[0i64, 1, 3, 7, 10][..]))
        .prop_map(|(state, profile, seconds, [elsewhere, typed, dated, begun], code)| {
            let mut job = job(state, profile, seconds);
            if elsewhere {
                job.source = Name::from("fabrikam");
            }
            job.kind = typed.then(|| JobType::from_code(code));
            job.category = dated.then(|| Category::from_code(code));
            job.finished = job.finished.filter(|_| dated);
            job.started = job.started.filter(|_| begun || typed);
            job
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_index_agrees_with_every_rule_asked_one_by_one(
        whens in proptest::collection::vec(when(), 1..40),
        jobs in proptest::collection::vec(any_job(), 1..16),
    ) {
        let rules: Vec<String> =
            whens.iter().enumerate().map(|(n, when)| format!("  - {{ name: r{n}, when: {when}, notify: oncall }}\n")).collect();
        let (rules, faults) = read_files(&[file("r.yaml", &format!("rules:\n{}", rules.concat()))]);
        prop_assert!(!faults.any_error(), "{:?}", lines(&faults));
        let ended: Vec<Arc<Job>> = jobs.iter().filter(|job| job.is_final() && job.finished.is_some()).cloned().map(Arc::new).collect();
        for (at, job) in jobs.iter().enumerate() {
            let past = Past::new(ended.get(at % (ended.len() + 1)..).unwrap_or_default());
            let mut expected = names(&rules.judge_one_by_one(job, past, now()));
            expected.sort();
            let judged = || {
                let mut judged = names(&rules.judge(job, now()));
                let by_past = names(&rules.judge_by_past(job, past, now()));
                assert!(by_past.is_empty() || rules.need(job).is_some(), "matched without a need: {job:?}");
                judged.extend(by_past);
                judged.sort();
                judged
            };
            // Once by the index, once by what was remembered.
            prop_assert_eq!(judged(), expected.clone(), "{:?}", job);
            prop_assert_eq!(judged(), expected.clone(), "{:?}", job);
            let explained = rules.explain(job, past, now());
            let mut reasoned: Vec<String> =
                explained.iter().filter(|told| told.verdict == Verdict::Matches).map(|told| told.rule.name.to_string()).collect();
            reasoned.sort();
            prop_assert_eq!(reasoned, expected, "{:?}", job);
        }
        // What is said to leave no job out matched every one that ended.
        let always: Vec<usize> = faults.sorted().iter().filter(|f| f.message.contains("leave no job out")).map(|f| f.place.line - 2).collect();
        for job in jobs.iter().filter(|job| job.is_final()) {
            let matched = names(&rules.judge_one_by_one(job, Past::new(&ended), now()));
            prop_assert!(always.iter().all(|n| matched.contains(&format!("r{n}"))), "{always:?} {job:?}");
        }
        // What is said never to match matched nothing.
        let never: Vec<usize> = faults.sorted().iter().filter(|f| f.message.contains("rule can never match")).map(|f| f.place.line - 2).collect();
        for job in &jobs {
            for rule in rules.judge_one_by_one(job, Past::new(&ended), now()) {
                prop_assert!(!never.iter().any(|n| format!("r{n}") == rule.name.as_str()), "{rule:?} {job:?}");
            }
        }
    }
}

#[test]
fn what_is_remembered_of_one_job_is_not_told_of_another() {
    let text = "rules: [{ name: r, when: { state: failed, profile: 'a*', duration: '> 1m', source: contoso }, notify: oncall }]";
    let (rules, _) = read_files(&[file("r.yaml", text)]);
    let matched = |job: &Job| rules.judge(job, now()).len();
    let slow = job(State::Failed, "a", 61);
    assert_eq!([matched(&slow), matched(&slow)], [1, 1]);
    assert_eq!(matched(&job(State::Failed, "a", 60)), 0);
    assert_eq!(matched(&job(State::Finished, "a", 61)), 0);
    assert_eq!(matched(&job(State::Failed, "b", 61)), 0);
    assert_eq!(matched(&Job { source: Name::from("fabrikam"), ..slow.clone() }), 0);
    assert_eq!(matched(&slow), 1);
}

#[test]
fn more_regular_expressions_than_one_set_holds_are_tried_one_by_one() {
    let text = "rules: [{ name: a, when: { profile: '/^a/' }, notify: oncall }, { name: b, when: { profile: [/b/, c] }, notify: oncall }]";
    let (rules, _) = read_files(&[file("r.yaml", text)]);
    let bounded = RuleSet::bounded(rules.rules().to_vec(), String::new(), 0);
    for (profile, expected) in [("ab", &["a", "b"][..]), ("a", &["a"]), ("C", &["b"]), ("d", &[])] {
        let job = job(State::Failed, profile, 1);
        assert_eq!(names(&rules.judge(&job, now())), expected, "{profile}");
        assert_eq!(names(&bounded.judge(&job, now())), expected, "{profile}");
    }
}

#[test]
fn many_alternatives_beside_one_another_take_no_time() {
    let any = format!("{{ any: [{}] }}", ["{ state: failed }"; 12].join(", "));
    let (rules, faults) = rule(&format!("{{ profile: [a, b], all: [{}] }}", vec![any; 60].join(", ")));
    assert!(faults.is_empty(), "{:?}", lines(&faults));
    assert_eq!(rules.judge(&job(State::Failed, "b", 1), now()).len(), 1);
}
