//! What is wrong in a rule file is told, all of it, with its place and what to do.

use super::*;

#[track_caller]
fn check(when: &str, at: &str, message: &str, hint: &str) {
    let (rules, faults) = rule(when);
    let column = "    when: ".len() + when.rfind(at).unwrap() + 1;
    let expected = format!("r.yaml:3:{column} error: {message}{}", if hint.is_empty() { String::new() } else { format!(" ({hint})") });
    assert_eq!(lines(&faults), [expected], "{when}");
    assert!(rules.rules().is_empty(), "a broken rule is in the set");
}

#[test]
fn a_wrong_value_is_told_at_its_own_place_with_the_nearest_known() {
    check("{ state: [failed, finishd] }", "finishd", "unknown state `finishd`", "did you mean `finished`?");
    check("{ state: Failed }", "Failed", "unknown state `Failed`", "did you mean `failed`?");
    check("{ state: true }", "true", "unknown state `true`", "known: running, finished, failed, finished_with_exception, skipped, stopped");
    check("{ type: googel }", "googel", "unknown type `googel`", "did you mean `google`?");
    check("{ category: 1.5 }", "1.5", "unknown category `1.5`", "known: microsoft_365, power_platform, active_directory, google");
    check("{ source: [contosso] }", "contosso", "unknown source `contosso`", "did you mean `contoso`?");
    check("{ state: [] }", "[]", "the list is empty", "");
    check("{ state: }", ": }", "expected text, found nothing", "");
    check("{ state: { is: failed } }", "{ is", "expected text, found a mapping", "");
    check("failed", "failed", "expected a mapping of conditions, found text", "");
}

#[test]
fn a_wrong_pattern_says_what_is_wrong_in_one_line() {
    check(r#"{ profile: "scan [a" }"#, r#""scan"#, "not a glob: a `[` is not closed; write `\\[` for the character itself", "");
    check(r#"{ profile: "/scan (a/" }"#, r#""/scan"#, "not a regular expression: unclosed group", "");
    check(r#"{ profile: "/scan/i" }"#, r#""/scan"#, "no flags stand behind a /regular expression/: write `/(?i)scan/`", "");
    check(
        r#"{ profile: ["a*", '/\w{1000}{1000}/'] }"#,
        r"'/\w",
        "this regular expression is too large: compiled, it takes more than 1048576 bytes",
        "",
    );
}

#[test]
fn a_wrong_time_says_how_to_write_it() {
    let spans = "write \"> 30m\", \">= 1h30m\", \"< 10s\", \"<= 2h\" or \"10m..1h\"";
    check(r#"{ duration: "30m" }"#, r#""30m"#, "`30m` says neither longer nor shorter", spans);
    check("{ duration: 30 }", "30", "`30` is no range of durations", spans);
    check(r#"{ duration: ["> 1h", "1h..10m"] }"#, r#""1h"#, "the range `1h..10m` ends before it begins", spans);
    check("{ finished: { days: [mon, tuu] } }", "tuu", "unknown day `tuu`", "did you mean `tue`?");
    check("{ finished: { between: 22-06 } }", "22", "`22-06` is no pair of times of day", "write the times of day as in \"22:00-06:00\"");
    check("{ finished: { days: mon, timezone: Zurich } }", "Zurich", "unknown time zone `Zurich`", "did you mean `Europe/Zurich`?");
    check("{ finished: { timezone: UTC } }", "{ timezone", "neither `days` nor `between` is there", "");
    check("{ finished: { day: mon } }", "day", "unknown key `day`", "did you mean `days`?");
}

#[test]
fn a_condition_for_later_versions_is_told_at_its_key() {}

#[test]
fn an_unknown_condition_is_told_at_its_key_also_deep_down() {
    check("{ any: [{ not: { sate: failed } }] }", "sate", "unknown key `sate`", "did you mean `state`?");
    check("{ any: { state: failed } }", "{ state", "expected a list of mappings, each behind a `-`, found a mapping", "");
    check("{ all: [] }", "[]", "the list is empty", "");
    check("{ state: failed, state: stopped }", "state: stopped", "the key `state` stands here a second time", "it first stands in line 3");
}

#[test]
fn endless_nesting_is_refused() {
    let (_, faults) = rule(&format!("{}{{}}{}", "{ not: ".repeat(40), "}".repeat(40)));
    assert!(lines(&faults)[0].contains("nest deeper than 32"), "{faults:?}");
}

#[test]
fn every_fault_of_every_file_is_told_and_only_broken_rules_are_left_out() {
    let one = "\
rules:
  - name: good
    when: { state: failed }
    notify: [oncall, scans]
  - name: bad
    when: { state: faild, profile: '[' }
    notify: [onkall]
    severity: fatal
    limit: 0 per 1h
    tempalte: short
    template: shrt
    enabled: maybe
    labels: { team: [a] }
";
    let two = "\
rules:
  - name: good
    notify: []
  - when: {}
    missing: { profile: a }
    notify: scans
  - just text
extra: 1
";
    let (rules, faults) = read_files(&[file("one.yaml", one), file("two.yaml", two), file("three.yaml", "- rules")]);
    assert_eq!(
        lines(&faults),
        [
            "one.yaml:6:20 error: unknown state `faild` (did you mean `failed`?)",
            "one.yaml:6:36 error: not a glob: a `[` is not closed; write `\\[` for the character itself",
            "one.yaml:7:14 error: unknown channel `onkall` (did you mean `oncall`?)",
            "one.yaml:8:15 error: unknown severity `fatal` (known: info, warning, critical)",
            "one.yaml:9:12 error: `0 per 1h` is no limit (write a number of messages from 1 and a duration, as in `5 per 1h`)",
            "one.yaml:10:5 error: unknown key `tempalte` (did you mean `template`?)",
            "one.yaml:11:15 error: unknown template set `shrt` (did you mean `short`?)",
            "one.yaml:12:14 error: expected true or false, found text",
            "one.yaml:13:21 error: expected text, found a list",
            "three.yaml:1:1 error: expected a mapping with the key `rules`, found a list (write `rules:` in a line of its own above the list)",
            "two.yaml:2:5 error: the key `when` is missing (write `when: {}` to match every job that ends)",
            "two.yaml:2:11 error: the rule name `good` is taken (it first stands at one.yaml:2:11)",
            "two.yaml:3:13 error: the list is empty",
            "two.yaml:4:5 error: the key `name` is missing",
            "two.yaml:5:5 error: `missing` stands in place of `when`: a rule has one of them",
            "two.yaml:5:14 error: the key `every` is missing",
            "two.yaml:7:5 error: expected a rule: a mapping with `name`, `when` and `notify`, found text",
            "two.yaml:8:1 error: unknown key `extra` (known here: rules)",
        ]
    );
    assert_eq!(rules.rules().iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn a_limit_is_a_number_of_messages_and_a_duration() {
    let limit = |text: &str| {
        let (rules, faults) = read_files(&[file("r.yaml", &format!("rules: [{{ name: r, when: {{}}, notify: oncall, limit: {text} }}]"))]);
        assert_eq!(rules.rules().is_empty(), faults.any_error());
        rules.rules().first().and_then(|rule| rule.limit).map(|limit| (limit.messages, limit.per.as_secs()))
    };
    assert_eq!(limit("5 per 1h"), Some((5, 3_600)));
    assert_eq!(limit("1 per 1h30m"), Some((1, 5_400)));
    assert_eq!(limit("20 per day"), Some((20, 86_400)));
    for wrong in
        ["5", "per 1h", "-1 per 1h", "1.5 per 1h", "5 per", "5 per 0s", "5 per 1", "5 per 1h per 2h", "[5, 1h]", "99999999999 per 1h"]
    {
        assert_eq!(limit(wrong), None, "{wrong}");
    }
}

struct Canary;
impl crate::document::Environment for Canary {
    fn variable(&self, _: &str) -> Option<String> {
        Some("[canary".into())
    }
    fn file(&self, _: &std::path::Path) -> Result<String, String> {
        Err("none".into())
    }
}

#[test]
fn what_was_filled_in_from_outside_is_not_repeated() {
    let text = "rules:\n  - name: r\n    when: { state: '${A}', profile: '${A}', duration: '${A}', finished: { days: '${A}', between: '${A}', timezone: '${A}' } }\n    notify: '${A}'\n    limit: '${A}'\n    severity: '${A}'\n    template: '${A}'\n";
    let mut node = file("r.yaml", text);
    crate::document::expand(&mut node, &Canary, std::path::Path::new("."), &mut Faults::default());
    let (_, faults) = read_files(&[node]);
    let told = lines(&faults);
    assert_eq!(told.len(), 10, "{told:#?}");
    assert!(!told.join("\n").contains("canary"), "{told:#?}");
}
