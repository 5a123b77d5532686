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
    never("{ any: [{ state: failed }, { state: finished }], not: { state: failed } }", false);
    never("{ not: { state: [running, finished, failed, finished_with_exception, skipped, stopped] } }", false);
    never("{ not: { type: [microsoft_365, google, batch_import] } }", false);
    never("{ all: [{ profile: a }, { profile: b }] }", false);
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
