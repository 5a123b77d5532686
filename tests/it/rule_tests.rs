//! `jobrelay test`: rules held against what their tests expect, from the files to the exit code.

use std::fs;

use crate::common::{Home, command, text};

/// A config whose secrets are not set: tests of rules need none.
const CONFIG: &str = "\
sources:
  contoso: { kind: aos_scan_jobs, region: us, client_id: '${NOT_SET}', client_secret: '${NOT_SET}' }
channels:
  oncall: { kind: slack, url: '${NOT_SET}' }
  scans: { kind: teams, url: '${NOT_SET}' }
";
/// The same with all it needs.
const SET: &str = "\
sources:
  contoso: { kind: aos_scan_jobs, region: us, client_id: an-id, client_secret: '${file:secret}' }
channels:
  oncall: { kind: webhook, url: 'http://127.0.0.1:9/' }
  scans: { kind: webhook, url: 'http://127.0.0.1:9/' }
server: { listen: '127.0.0.1:0' }
";
const RULES: &str = "\
rules:
  - { name: scan-failed, when: { state: [failed, finished_with_exception] }, severity: critical, notify: [oncall, scans] }
  - { name: slow-scan, when: { state: finished, profile: 'scan sharepoint*', duration: '> 30m' }, notify: scans }
  - { name: stuck-scan, when: { state: running, duration: '> 6h' }, notify: oncall }
  - { name: nightly-missing, missing: { profile: 'nightly *', every: 24h, grace: 30m }, notify: oncall }
  - { name: resting, when: { state: stopped }, notify: oncall, enabled: false }
";
/// The test of the specification.
const PASSES: &str = "\
tests:
  - name: a failed scan pages, a finished one does not
    jobs:
      - { profile: scan sharepoint sites, state: failed, started: \"2024-09-26T05:58:40Z\", duration: 32s }
      - { profile: scan sharepoint sites, state: finished, duration: 12m }
    expect:
      - { rule: scan-failed, job: 1, notify: [oncall, scans] }
";

/// A folder with these rules and these files of tests.
fn home(config: &str, tests: &[(&str, &str)]) -> Home {
    let home = Home::new(config, RULES);
    fs::write(home.path("secret"), "a-secret").unwrap();
    fs::create_dir(home.path("rules/tests")).unwrap();
    for (name, text) in tests {
        fs::write(home.path("rules/tests").join(name), text).unwrap();
    }
    home
}

/// What a command prints, and how it ends.
fn ran(home: &Home, args: &[&str]) -> (String, i32) {
    let output = home.run(args);
    (text(&output.stdout) + &text(&output.stderr), output.status.code().unwrap())
}

#[test]
fn a_test_that_passes_is_one_line_and_wants_no_secret() {
    let home = home(CONFIG, &[("scans.yaml", PASSES)]);
    let (told, code) = ran(&home, &["test"]);
    assert_eq!(code, 0, "{told}");
    let mut lines = told.lines();
    assert!(lines.next().unwrap().starts_with("rules/tests/scans.yaml: 1 passed in "), "{told}");
    assert_eq!(lines.collect::<Vec<_>>(), ["not tested: slow-scan", "not tested: stuck-scan", "not tested: nightly-missing"], "{told}");
}

#[test]
fn a_test_that_fails_shows_what_was_expected_what_came_and_what_decided() {
    let failing = PASSES.replace("job: 1", "job: 2").replace("duration: 12m", "duration: 45m");
    let home = home(CONFIG, &[("scans.yaml", &failing)]);
    let (told, code) = ran(&home, &["test"]);
    assert_eq!(code, 1, "{told}");
    for expected in [
        "rules/tests/scans.yaml:2:11: FAILED: a failed scan pages, a finished one does not\n",
        "  expected  scan-failed on job 2, notify [oncall, scans]   <- did not come\n",
        "  actual    scan-failed on job 1 (scan sharepoint sites, failed, 32s) at 2024-09-26T05:59:12Z, notify [oncall, scans]   <- was not expected\n",
        "  actual    slow-scan on job 2 (scan sharepoint sites, finished, 45m) at 2024-09-26T06:44:12Z, notify [scans]   <- was not expected\n",
        "rules/tests/scans.yaml:7:9: error: the rule `scan-failed` did not alert on job 2\n",
        "7 |       - { rule: scan-failed, job: 2, notify: [oncall, scans] }\n",
        "= note: state: wanted failed or finished_with_exception, found finished\n",
        "rules/tests/scans.yaml:4:9: error: the rule `scan-failed` alerted on job 1 at 2024-09-26T05:59:12Z, which nothing expects\n",
        "rules/tests/scans.yaml:5:9: error: the rule `slow-scan` alerted on job 2 at 2024-09-26T06:44:12Z, which nothing expects\n",
        "= note: duration: wanted > 30m, found 45m\n",
        "rules/tests/scans.yaml: 0 passed, 1 failed in ",
    ] {
        assert!(told.contains(expected), "{expected} in:\n{told}");
    }
}

#[test]
fn an_expression_without_an_answer_is_told_where_it_matters_and_not_logged() {
    let tests = "tests: [{ name: t, jobs: [{}], expect: [{ rule: foo }] }]\n";
    let home = home(SET, &[("t.yaml", tests)]);
    fs::write(home.path("rules/rules.yaml"), "rules: [{ name: foo, when: { expr: job.extension.foo == 3 }, notify: [oncall, scans] }]\n")
        .unwrap();
    for command in ["test", "check"] {
        let (told, code) = ran(&home, &[command]);
        assert_eq!(code, 1, "{told}");
        assert!(told.contains("found no answer: `.` can't be applied to null and text") && !told.contains("WARN"), "{told}");
    }
}

#[test]
fn no_name_in_a_test_steers_the_terminal() {
    let hostile = PASSES.replace("a failed scan pages", "\"\\e[31m\\nx\\u202e\" #").replace("scan sharepoint sites", "\"\\e[2J\\n\"");
    let home = home(CONFIG, &[("scans.yaml", &hostile.replace("job: 1", "job: \"\\e[1m\\n\""))]);
    let (told, code) = ran(&home, &["test"]);
    assert!(code == 1 && told.contains("there is no job"), "{told}");
    let home = self::home(CONFIG, &[("scans.yaml", &hostile.replace("rule: scan-failed", "rule: slow-scan"))]);
    let (shown, _) = ran(&home, &["test"]);
    assert!(shown.contains("FAILED:  [31m x \n") && shown.contains("( [2J , failed, 32s)"), "{shown}");
    for told in [told, shown] {
        assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told}");
    }
}

#[test]
fn a_job_listed_as_ended_is_judged_by_its_end_alone_and_whoever_expects_more_is_told() {
    let tests = |jobs: &str| {
        format!(
            "tests:\n  - name: long\n    jobs:\n      - {{ id: a, {jobs}state: finished, duration: 7h }}\n    expect: [{{ rule: stuck-scan, job: 1 }}]\n"
        )
    };
    let (told, code) = ran(&home(CONFIG, &[("a.yaml", &tests(""))]), &["test"]);
    assert_eq!(code, 1, "{told}");
    for words in ["the rule `stuck-scan` did not alert on job 1", "is judged by its end alone", "list it with `state: running` first"] {
        assert!(told.contains(words), "{words} in:\n{told}");
    }
    // As the words say.
    let (told, code) = ran(&home(CONFIG, &[("a.yaml", &tests("state: running }\n      - { id: a, "))]), &["test"]);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn running_and_missing_rules_go_by_the_clock() {
    let tests = "\
tests:
  - name: a scan that runs for seven hours is stuck
    at: 2024-09-26T12:58:40Z
    jobs:
      - { profile: weekly, state: running, started: 2024-09-26T05:58:40Z }
      - { profile: weekly, state: running, duration: 6h }
    expect:
      - { rule: stuck-scan, job: 1, at: 2024-09-26T11:58:40Z }
  - name: a nightly scan that does not come is missed, and then it is back
    at: 2024-09-29T00:00:00Z
    jobs:
      - { profile: nightly sites, started: 2024-09-26T01:00:00Z, duration: 10m }
      - { profile: nightly sites, state: skipped, started: 2024-09-27T01:00:00Z, duration: 0s }
      - { profile: nightly sites, started: 2024-09-28T01:00:00Z, duration: 10m }
    expect:
      - { rule: nightly-missing, kind: missing, at: 2024-09-27T01:40:00Z, notify: oncall }
      - { rule: nightly-missing, kind: back }
  - name: it never came
    at: 2024-09-29T00:00:00Z
    expect: [{ rule: nightly-missing }]
";
    let home = home(CONFIG, &[("clock.yaml", tests)]);
    let (told, code) = ran(&home, &["test"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("3 passed"), "{told}");
}

#[test]
fn every_mistake_of_every_file_is_told_at_its_place_with_what_to_do() {
    let faulty = "\
tests:
  - name: mistakes
    jbos: []
    jobs:
      - { state: faild, source: contosso, type: googel }
      - { profle: x }
    expect:
      - { rule: scan-faild }
  - name: wrong names
    jobs: [{}, { repeat: 2 }]
    expect:
      - { rule: scan-faild }
      - { job: 1 }
      - { rule: scan-failed, job: 3 }
      - { rule: scan-failed, job: 2/3, notify: [oncal] }
      - { rule: scan-failed, kind: missing }
      - { rule: nightly-missing, job: 1 }
      - { rule: resting }
      - { rule: scan-failed, severity: critcal, source: fabrikam }
  - name: wrong names
    enable: [restin]
    jobs: []
    expect: []
  - name: no expectation
    jobs: [{}]
  - { jobs: [], expect: [] }
";
    let home =
        home(CONFIG, &[("a.yaml", faulty), ("b.yaml", "tests: [{ name: x, jobs: 1, expect: [] }]\ntest: 1\n"), ("c.yaml", "tests: [\n")]);
    let (told, code) = ran(&home, &["test"]);
    assert_eq!(code, 1, "{told}");
    for (place, message, hint) in [
        ("a.yaml:3:5", "unknown key `jbos`", "did you mean `jobs`?"),
        ("a.yaml:5:18", "unknown state `faild`", "did you mean `failed`?"),
        ("a.yaml:5:33", "unknown source `contosso`", "did you mean `contoso`?"),
        ("a.yaml:5:49", "unknown type `googel`", "did you mean `google`?"),
        ("a.yaml:6:11", "unknown key `profle`", "did you mean `profile`?"),
        ("a.yaml:8:17", "unknown rule `scan-faild`", "did you mean `scan-failed`?"),
        ("a.yaml:12:17", "unknown rule `scan-faild`", "did you mean `scan-failed`?"),
        ("a.yaml:13:9", "the key `rule` is missing", ""),
        ("a.yaml:14:35", "there is no job `3`", "the test has 2 jobs: write a number from 1 to 2, an `id`, or 1/2 for a second repetition"),
        ("a.yaml:15:35", "there is no job `2/3`", ""),
        ("a.yaml:15:49", "unknown channel `oncal`", "did you mean `oncall`?"),
        ("a.yaml:16:36", "the rule `scan-failed` judges jobs: it misses none", "its kind is `alert`"),
        ("a.yaml:17:39", "the rule `nightly-missing` waits for jobs that do not come: it has no job", "leave `job` out"),
        (
            "a.yaml:18:17",
            "the rule `resting` is at rest (`enabled: false`): it raises nothing",
            "write `enable: [resting]` into the test to try it out",
        ),
        ("a.yaml:19:40", "unknown severity `critcal`", "did you mean `critical`?"),
        ("a.yaml:19:57", "unknown source `fabrikam`", "there are: contoso"),
        ("a.yaml:20:11", "a test of this name stands in this file before", "it stands in line 9"),
        ("a.yaml:21:14", "unknown resting rule `restin`", "did you mean `resting`?"),
        ("a.yaml:24:5", "the key `expect` is missing", "write `expect: []` where nothing may alert"),
        ("a.yaml:26:5", "the key `name` is missing", ""),
        ("b.yaml:1:26", "expected a list of jobs, found a number", ""),
        ("b.yaml:2:1", "unknown key `test`", "did you mean `tests`?"),
        ("c.yaml:", "not valid YAML", ""),
    ] {
        let line = format!("rules/tests/{place}{}", if place.ends_with(':') { "" } else { ": error: " });
        let at = told.find(&line).unwrap_or_else(|| panic!("{line} in:\n{told}"));
        let part = told[at..].split("\n\n").next().unwrap();
        assert!(part.contains(message) && part.contains(hint), "{place}: {message} ({hint}) in:\n{part}");
    }
    // `check` tells the same ones.
    let (checked, code) = ran(&self::home(SET, &[("a.yaml", faulty)]), &["check"]);
    assert_eq!(code, 1, "{checked}");
    assert_eq!(checked.matches("rules/tests/a.yaml:").count(), told.matches("rules/tests/a.yaml:").count() - 1, "{checked}");
}

#[test]
fn check_runs_them_too() {
    let (told, code) = ran(&home(SET, &[("scans.yaml", PASSES)]), &["check"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("(1 more disabled), 1 rule test\n"), "{told}");
    let (told, code) = ran(&home(SET, &[("scans.yaml", &PASSES.replace("state: failed", "state: skipped"))]), &["check"]);
    assert_eq!(code, 1, "{told}");
    let expected = "rules/tests/scans.yaml:7:9: error: the rule test `a failed scan pages, a finished one does not` fails: the rule `scan-failed` did not alert on job 1\n";
    assert!(told.contains(expected) && told.contains("state: wanted failed or finished_with_exception, found skipped"), "{told}");
    assert!(!told.contains("ok: "), "{told}");
    // Of a config with errors, no rule is certain: of its tests only what is wrong in any case is told.
    let broken = SET.replace("region: us", "regoin: us");
    let (told, _) = ran(&home(&broken, &[("scans.yaml", &PASSES.replace("state: failed", "stat: skipped"))]), &["check"]);
    assert!(told.contains("unknown key `regoin`") && told.contains("unknown key `stat`") && told.contains("2 errors"), "{told}");
}

#[test]
fn which_tests_are_run_can_be_said() {
    let other = PASSES.replace("a failed scan pages", "Another");
    let home = home(CONFIG, &[("a.yaml", PASSES), ("b.yaml", &other), (".c.yaml", "no"), ("d.txt", "no")]);
    for (args, expected, code) in [
        (&["test"][..], "2 rule tests passed", 0),
        (&["test", "rules/tests/b.yaml"], "rules/tests/b.yaml: 1 passed", 0),
        (&["test", "rules/tests"], "2 rule tests passed", 0),
        (&["test", "--name", "ANOTHER"], "rules/tests/b.yaml: 1 passed", 0),
        (&["test", "--name", "none such"], "error: no test's name holds `none such`", 1),
        (&["test", "nowhere.yaml"], "nowhere.yaml: error: can't read this file: it does not exist", 1),
        (&["test", "--junit"], "--junit", 2),
        (&["--config", "nowhere.yaml", "test"], "there is no config file here", 1),
    ] {
        let (told, ended) = ran(&home, args);
        assert!(told.contains(expected), "{args:?}: {told}");
        assert_eq!(ended, code, "{args:?}: {told}");
    }
    let (told, code) = ran(&self::home(CONFIG, &[]), &["test"]);
    assert!(told.contains("no rule tests: rules/tests holds none") && code == 0, "{told}");
}

#[test]
fn programs_get_it_as_json() {
    let failing = PASSES.replace("job: 1", "job: 2");
    let home = home(CONFIG, &[("a.yaml", &failing), ("b.yaml", "tests: [{ name: x }]")]);
    let output = home.run(&["test", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["tests"][0]["passed"], false);
    assert_eq!((&json["tests"][0]["file"], &json["tests"][0]["line"]), (&"rules/tests/a.yaml".into(), &2.into()));
    let surprise = &json["tests"][0]["surprises"][0];
    assert_eq!((&surprise["line"], &surprise["message"]), (&7.into(), &"the rule `scan-failed` did not alert on job 2".into()));
    assert_eq!(surprise["reasons"][0], "state: wanted failed or finished_with_exception, found finished");
    assert_eq!(json["faults"].as_array().unwrap().len(), 2);
    assert_eq!(json["not_tested"][0], "slow-scan");
}

#[test]
fn what_init_writes_passes_its_own_tests_and_check_has_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let jobrelay = |args: &[&str]| {
        let mut command = command(folder.path());
        command.env("AOS_CLIENT_ID", "an-id").env("AOS_CLIENT_SECRET", "a-secret");
        command.env("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/x");
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    };
    jobrelay(&["init"]);
    let told = jobrelay(&["test"]);
    assert!(told.contains(" rule tests passed") && !told.contains("not tested"), "{told}");
    let told = jobrelay(&["check"]);
    assert!(told.starts_with("ok: ") && told.lines().count() == 1, "{told}");
    // Every rule is tested, those at rest too.
    let tests: String = ["failures", "slow", "not-run"]
        .iter()
        .map(|name| fs::read_to_string(folder.path().join(format!("rules/tests/{name}.yaml"))).unwrap())
        .collect();
    let rules: String = ["failures", "slow", "not-run"]
        .iter()
        .map(|name| fs::read_to_string(folder.path().join(format!("rules/{name}.yaml"))).unwrap())
        .collect();
    for name in rules.lines().filter_map(|line| line.strip_prefix("  - name: ")) {
        assert!(tests.contains(&format!("rule: {name}, ")) || tests.contains(&format!("rule: {name} ")), "{name} has no test");
    }
}
