//! Warnings: a rule that is read, but surely not as meant. Never one without reason.

use super::*;

#[track_caller]
fn never(when: &str, expected: bool) {
    let (rules, faults) = rule(when);
    let told = lines(&faults);
    let warned = told.iter().any(|line| line == "r.yaml:3:5 warning: this rule can never match: its conditions exclude each other");
    assert_eq!(warned, expected, "{when}: {told:?}");
    assert_eq!(told.len(), usize::from(expected), "{when}: {told:?}");
    assert_eq!(rules.rules().len(), 1, "a warning costs no rule");
}

#[test]
fn a_rule_that_can_never_match_is_told() {
    never("{ state: failed, not: { state: failed } }", true);
    never("{ state: failed, all: [{ state: finished }] }", true);
    never("{ all: [{ type: google }, { type: [microsoft_365, batch_import] }] }", true);
    never("{ source: contoso, not: { any: [{ source: contoso }, { state: failed }] } }", true);
    never("{ all: [{ duration: '> 1h' }, { duration: '< 30m' }] }", true);
    never("{ all: [{ duration: '> 1h' }, { duration: '<= 1h' }] }", true);
    never("{ duration: '< 0s' }", true);
    never("{ state: running, finished: { days: mon } }", true);
    never("{ category: google, any: [{ category: 1 }, { all: [{ category: 2 }, { state: failed }] }] }", true);
    never("{ not: {} }", true);
    never("{ all: [{ profile: a }, { profile: b }] }", true);
    never("{ all: [{ profile: [nightly, weekly] }, { profile: 'scan *' }] }", true);
    never("{ profile: Nightly, not: { profile: '*night*' } }", true);
    never("{ profile: '/^a/', not: { profile: '/^a/' } }", true);
    never("{ duration: '< 30s', slower_than_usual: { factor: 2 } }", true);
    never("{ state: failed, expr: 'job.state == \"finished\"' }", true);
    never("{ state: finished, expr: '!(job.profile == \"x\" || job.state in [\"finished\", \"failed\"])' }", true);
}

#[test]
fn a_rule_on_running_jobs_that_asks_for_ended_ones_can_never_match() {
    never("{ state: running, streak: 2 }", true);
    never("{ state: running, count: { at_least: 2, within: 1d } }", true);
    never("{ any: [{ state: running, streak: 2 }, { state: failed, not: { state: failed } }] }", true);
    never("{ state: [running, failed], streak: 2 }", false);
    never("{ state: [running, failed], count: { at_least: 2, within: 1d } }", false);
    never("{ any: [{ state: running, count: { at_least: 2, within: 1d } }, { state: failed }] }", false);
    never("{ state: running, not: { streak: 2 } }", false);
    never("{ state: running, previous: failed, slower_than_usual: { factor: 2 } }", false);
}

#[track_caller]
fn told(when: &str, at: &str, warning: &str) {
    let (rules, faults) = rule(when);
    let column = "    when: ".len() + when.rfind(at).unwrap() + 1;
    assert_eq!(lines(&faults), [format!("r.yaml:3:{column} warning: {warning}")], "{when}");
    assert_eq!(rules.rules().len(), 1, "a warning costs no rule");
}

#[test]
fn a_condition_that_says_nothing_is_told() {
    let all = "this holds for every job that the rest of the rule lets through";
    let one = "a job is a streak of one; leave `streak` out, or ask for 2 or more";
    for streak in ["'>= 1'", "1", "'> 0'", "'>= 0'"] {
        told(&format!("{{ state: failed, streak: {streak} }}"), streak, &format!("{all} ({one})"));
    }
    let counted = "the job itself is counted; leave `count` out, or ask for 2 or more";
    told("{ state: failed, count: { at_least: 1, within: 1d } }", "1, ", &format!("{all} ({counted})"));
    let half =
        "about half of all jobs take longer than the median: this calls usual ones slow (write a factor of more than 1, as in 2 or 1.5)";
    told("{ slower_than_usual: { factor: 1 } }", "1 }", half);
    told("{ slower_than_usual: { factor: 0.5 } }", "0.5", half);
    told(
        "{ state: finished, previous: running }",
        "running }",
        "the job before it has ended: it is never `running`, so this never holds (name how it ended, as in `previous: failed`)",
    );
    told("{ previous: [failed, running] }", "[failed", "the job before it has ended: it is never `running` (leave `running` out)");
    let any = "this streak is of jobs that ended in any state, for the rule names none (name the states, as in `state: failed`)";
    told("{ profile: a, streak: 3 }", "streak", any);
    for sound in [
        "{ state: failed, streak: '= 1' }",
        "{ state: failed, streak: 2 }",
        "{ not: { state: finished }, streak: '< 3' }",
        "{ any: [{ state: failed }, { state: stopped }], streak: 2 }",
        "{ state: failed, count: { at_least: 2, within: 1d } }",
        "{ slower_than_usual: { factor: 1.1 } }",
    ] {
        let (_, faults) = rule(sound);
        assert!(faults.is_empty(), "{sound}: {:?}", lines(&faults));
    }
}

#[test]
fn what_stands_in_a_list_twice_is_told() {
    let twice = |what: &str| format!("the {what} stands here a second time (once is enough)");
    told("{ state: [failed, stopped, failed] }", "failed", &twice("state `failed`"));
    told("{ state: [failed, 3] }", "3", &twice("state `3`"));
    told("{ previous: [failed, failed] }", "failed", &twice("state `failed`"));
    told("{ type: [google, google] }", "google", &twice("type `google`"));
    told("{ source: [contoso, fabrikam, contoso] }", "contoso", &twice("source `contoso`"));
    told("{ profile: ['a*', b, 'a*'] }", "'a*'", &twice("pattern `a*`"));
    told("{ duration: ['> 1h', '> 1h'] }", "'> 1h'", &twice("range `> 1h`"));
}

#[test]
fn a_rule_that_says_what_one_before_it_says_is_told() {
    let text = "\
rules:
  - { name: a, when: { state: failed, profile: 'x*' }, notify: [oncall, scans] }
  - { name: b, when: { profile: \"x*\", state: failed }, notify: [scans, oncall], severity: critical }
  - { name: c, when: { state: failed, profile: 'x*' }, notify: oncall }
  - { name: d, when: { state: failed, profile: 'x*' }, notify: [oncall, scans], enabled: false }
  - { name: e, when: { state: failed, profile: 'y*' }, notify: [oncall, scans] }
  - { name: f, missing: { profile: 'x*', every: 1d }, notify: oncall }
  - { name: g, missing: { profile: 'x*', every: 1d }, notify: oncall }
";
    let (rules, faults) = read_files(&[file("r.yaml", text)]);
    let told = |at: &str, first: &str| {
        format!(
            "r.yaml:{at} warning: this rule asks for the same, and notifies the same, as `{first}`: all is told twice (remove one of the two)"
        )
    };
    assert_eq!(lines(&faults), [told("3:13", "a"), told("8:13", "f")]);
    assert_eq!(rules.rules().len(), 6);
}

#[test]
fn a_rule_that_can_match_is_not() {
    never("{}", false);
    never("{ state: failed, not: { state: finished } }", false);
    never("{ all: [{ duration: '>= 1h' }, { duration: '<= 1h' }] }", false);
    never("{ all: [{ duration: '> 1h' }, { duration: ['< 30m', '> 2h'] }] }", false);
    never("{ duration: '<= 0s' }", false);
    never("{ state: [running, finished], finished: { days: mon } }", false);
    never("{ state: [running, 42], finished: { days: mon } }", false);
    never("{ any: [{ state: failed }, { state: finished }], not: { profile: a } }", false);
    never("{ not: { state: [running, finished, failed, finished_with_exception, skipped, stopped] } }", false);
    never("{ not: { type: [microsoft_365, google, batch_import] } }", false);
    never("{ all: [{ profile: [a, B] }, { profile: [b, c] }] }", false);
    never("{ all: [{ profile: a }, { profile: '/A/' }], not: { profile: '/a/' } }", false);
    never("{ profile: a, not: { profile: [b, 'c*'] } }", false);
    never("{ any: [{ profile: a }, { profile: b }], not: { profile: c } }", false);
    never("{ not: { duration: '> 1h' }, duration: '> 1h' }", false);
}

#[test]
fn a_pattern_that_matches_everything_is_told_and_no_other() {
    for (pattern, all) in [
        ("*", true),
        ("**", true),
        ("{*,a}", true),
        ("//", true),
        ("/.*/", true),
        ("/a*/", true),
        ("/(?i)(scan)?/", true),
        ("/^/", true),
        ("?*", false),
        ("*a*", false),
        ("/^a*$/", false),
        (r"/\b/", false),
        ("/.+/", false),
        ("/^$/", false),
    ] {
        let (_, faults) = rule(&format!("{{ profile: [x, '{pattern}'] }}"));
        let warning = "r.yaml:3:26 warning: this pattern matches every scan profile (leave `profile` out to mean every one)";
        let expected: &[&str] = if all { &[warning] } else { &[] };
        assert_eq!(lines(&faults), expected, "{pattern}");
    }
}

#[test]
fn what_a_missing_rule_has_no_use_for_is_told_at_its_key() {
    let text = "\
rules:
  - name: grouped
    when: { state: failed }
    notify: [oncall, scans, oncall]
    group: { by: [source, profile], wait: 1m }
  - name: missing
    missing: { profile: \"nightly *\", every: 24h, grace: 30m }
    notify: oncall
    limit: 5 per 1h
    group: { by: source }
    template: short
";
    let (rules, faults) = read_files(&[file("r.yaml", text)]);
    assert_eq!(
        lines(&faults),
        [
            "r.yaml:4:29 warning: the channel `oncall` stands here twice: it gets each message once",
            "r.yaml:9:5 warning: `limit` does nothing on a rule with `missing`: each gap is told once, and at once (remove it)",
            "r.yaml:10:5 warning: `group` does nothing on a rule with `missing`: what is missed together is one notice (remove it)",
            "r.yaml:11:5 warning: `template` does nothing on a rule with `missing`: a notice is in the set `notice` (remove it)",
        ]
    );
    let [grouped, missing] = rules.rules() else { panic!("{rules:?}") };
    assert_eq!(grouped.notify, ["oncall", "scans"].map(Name::from));
    let group = grouped.group.as_ref().unwrap();
    assert_eq!((group.by.len(), group.wait), (2, Duration::from_secs(60)));
    let missing = missing.missing().unwrap();
    assert_eq!((missing.every, missing.grace), (Duration::from_secs(86_400), Duration::from_secs(1_800)));
    assert!(missing.awaits("Nightly sites") && !missing.awaits("weekly sites"));
    assert!(rules.judge(&job(State::Failed, "nightly x", 1), now()).iter().all(|rule| rule.missing().is_none()));
}

#[test]
fn groups_and_missing_jobs_are_checked_like_the_rest() {
    let text = "\
rules:
  - { name: a, when: {}, notify: oncall, group: { by: [sorce], wait: 0s } }
  - { name: b, notify: oncall, missing: { profile: '[', every: soon } }
  - { name: c, notify: oncall, missing: { grace: 1h } }
";
    let (rules, faults) = read_files(&[file("r.yaml", text)]);
    let told: Vec<String> = lines(&faults).into_iter().filter(|line| line.contains("error")).collect();
    assert_eq!(
        told,
        [
            "r.yaml:2:56 error: unknown word to group by `sorce` (did you mean `source`?)",
            "r.yaml:2:70 error: must be from 1s to 1d",
            "r.yaml:3:52 error: not a glob: a `[` is not closed; write `\\[` for the character itself",
            "r.yaml:3:64 error: `soon` is no duration: write a number and a unit, as in 90s, 30m, 1h30m or 2d",
            "r.yaml:4:41 error: the key `profile` is missing",
            "r.yaml:4:41 error: the key `every` is missing",
        ]
    );
    assert!(rules.rules().is_empty());
}

#[test]
fn half_a_regular_expression_is_told_and_a_name_with_a_slash_is_not() {
    for (pattern, told) in
        [("/^scan", true), ("/(a|b", true), ("/scan.*", true), ("/sites/a", false), ("/*", false), ("/^scan/", false), ("/", false)]
    {
        let (rules, faults) = rule(&format!("{{ profile: '{pattern}' }}"));
        assert_eq!(lines(&faults).iter().any(|line| line.contains("so it is read as a glob")), told, "{pattern}: {:?}", lines(&faults));
        assert_eq!(rules.rules().len(), 1, "a warning costs no rule");
    }
}

/// Conditions, and the whole warning that is told at `at`, if any is.
#[track_caller]
fn warned(when: &str, expected: Option<(&str, &str)>) {
    let (rules, faults) = rule(when);
    let expected = expected.map(|(at, warning)| {
        let column = if at == "when" { 5 } else { "    when: ".len() + when.find(at).unwrap() + 1 };
        format!("r.yaml:3:{column} warning: {warning}")
    });
    assert_eq!(lines(&faults), Vec::from_iter(expected), "{when}");
    assert_eq!(rules.rules().len(), 1, "a warning costs no rule");
}

#[test]
fn a_rule_that_asks_for_running_jobs_and_does_not_name_the_state_is_told() {
    let told = "this rule can never match: it names no state, so it judges jobs that have ended, and asks for one that runs \
                (add `state: running`)";
    for when in [
        r#"{ expr: 'job.state == "running"' }"#,
        r#"{ expr: 'job.state == "running" && job.duration > duration("2h")' }"#,
        r#"{ profile: 'a*', expr: 'job.duration > duration("2h") && job.state in ["running"]' }"#,
        r#"{ expr: '!(job.state != "running" || job.profile == "x")' }"#,
        "{ not: { state: [finished, failed, finished_with_exception, skipped, stopped] } }",
    ] {
        warned(when, Some(("when", told)));
    }
    for sound in [
        r#"{ state: running, expr: 'job.state == "running"' }"#,
        r#"{ expr: 'job.state == "running" || job.profile == "x"' }"#,
        r#"{ expr: 'job.state == "42"' }"#,
        r#"{ not: { expr: 'job.state == "running"' } }"#,
        r#"{ any: [{ state: running }, { state: failed }], expr: 'job.state == "running"' }"#,
    ] {
        let (_, faults) = rule(sound);
        assert!(!lines(&faults).iter().any(|line| line.contains("names no state")), "{sound}: {:?}", lines(&faults));
    }
}

#[test]
fn a_branch_that_can_never_match_is_told_where_it_stands() {
    let excluded = "this branch can never match: its conditions exclude each other";
    warned("{ state: failed, any: [{ duration: '> 1h' }, { state: finished }] }", Some(("{ state: finished", excluded)));
    warned(
        "{ any: [{ all: [{ type: google }, { any: [{ type: batch_import }, { profile: a }] }] }, {state: failed}] }",
        Some(("{ type: batch", excluded)),
    );
    let running = "this branch can never match: it names no state, so it judges jobs that have ended, and asks for one that runs \
                   (add `state: running`)";
    warned(r#"{ any: [{ state: failed }, { expr: 'job.state == "running"' }] }"#, Some(("{ expr", running)));
    warned(r#"{ any: [{ state: failed }, { state: running, expr: 'job.state == "running"' }] }"#, None);
    warned(r#"{ state: [running, failed], any: [{ expr: 'job.state == "running"' }, { profile: a }] }"#, None);
}

#[test]
fn what_leaves_nothing_out_is_told() {
    let all =
        "these conditions leave no job out: whatever a job is, they hold (mend them, or write `when: {}` to mean every job that ends)";
    warned("{ any: [{ state: failed }, { not: { state: failed } }] }", Some(("when", all)));
    warned("{ any: [{}, { state: failed }] }", Some(("when", all)));
    warned("{ not: { state: failed, all: [{ state: finished }] } }", Some(("when", all)));
    let branch = "this branch leaves no job out, and so neither does the `any` that it stands in (mend it, or remove the whole `any`)";
    warned("{ state: failed, any: [{ profile: a }, { not: { state: finished } }] }", Some(("{ not", branch)));
    let nothing = "this expression looks at nothing of the job: it says the same of every one \
                   (write what is true of the jobs that are meant, as in job.profile.size() > 20)";
    warned("{ expr: 1 < 2 }", Some(("1 <", nothing)));
    let whole_week = "this window is always open (leave `finished` out, or name days or times of day)";
    for window in ["{ days: mon-sun }", "{ between: '00:00-24:00' }", "{ days: [sat-sun, mon-fri], between: '0:00-24:00' }"] {
        warned(&format!("{{ finished: {window} }}"), Some((window, whole_week)));
    }
    warned("{ finished: { days: mon-sat } }", None);
    let every = "these ranges leave no duration out (leave `duration` out, or mend one of them)";
    for ranges in ["['< 30m', '>= 30m']", "'>= 0s'", "['> 1h', '<= 10m', 5m..1h]"] {
        warned(&format!("{{ duration: {ranges} }}"), Some((ranges, every)));
    }
    warned("{ duration: ['< 30m', '> 30m'] }", None);
}

#[test]
fn a_streak_that_the_previous_job_belies_is_told() {
    let other = "this rule can never match: by its `streak` the job before ended in one of the rule's states, and by `previous` in another \
                 (leave one of the two out)";
    warned("{ state: failed, streak: 2, previous: finished }", Some(("when", other)));
    let same = "this rule can never match: by its `streak` the job before ended in none of the rule's states, and by `previous` in one of \
                them (leave one of the two out)";
    warned("{ state: [failed, stopped], streak: '= 1', previous: [failed, stopped] }", Some(("when", same)));
    warned("{ state: failed, streak: '= 1', previous: [failed, finished] }", None);
    warned("{ state: [failed, stopped], streak: 2, previous: stopped }", None);
}

#[test]
fn a_number_that_has_a_name_is_told_in_an_expression() {
    warned(r#"{ expr: 'job.state == "3"' }"#, Some((r#""3""#, r#"unknown state "3" (did you mean "failed"?)"#)));
    warned(r#"{ expr: 'job.state == "42"' }"#, None);
}

#[test]
fn a_rule_that_alerts_on_the_running_job_and_so_never_on_its_end_is_told() {
    let soon = "this alerts as soon as a job is seen running, and is silent when that job ends: a rule alerts once on a job \
                (leave `running` out, add a `duration`, or make two rules of it)";
    warned("{ state: [running, failed] }", Some(("when", soon)));
    warned("{ profile: 'a*', any: [{ state: running }, { state: failed, source: contoso }] }", Some(("when", soon)));
    for sound in [
        "{ state: running }",
        "{ state: [running, failed], duration: '> 2h' }",
        "{ any: [{ state: running, duration: '> 2h' }, { state: failed }] }",
        "{ state: [running, 42] }",
        "{ not: { state: running } }",
        "{ state: [running, failed], slower_than_usual: { factor: 3 } }",
    ] {
        warned(sound, None);
    }
}
