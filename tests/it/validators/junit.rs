//! What `jobrelay test --junit` writes, read as CI servers read it.

use std::fs;

use super::{HOSTILE, accepted, refused};
use crate::common::Home;

const CONFIG: &str = "\
sources:
  contoso: { kind: aos_scan_jobs, region: us, client_id: x, client_secret: '${NOT_SET}' }
channels:
  oncall: { kind: webhook, url: 'http://127.0.0.1:9/' }
";

#[test]
#[ignore = "needs a reader of JUnit reports: run ./test"]
fn a_junit_report_is_read_with_every_name_as_it_is() {
    let home = Home::new(CONFIG, "rules: [{ name: scan-failed, when: { state: failed }, notify: oncall }]\n");
    fs::create_dir(home.path("rules/tests")).unwrap();
    // Names as JSON are YAML, but for two signs; each stands in a test that passes and in one that fails.
    let test = |name: &str, expect: &str| {
        let name = serde_json::Value::from(name).to_string().replace('\u{7f}', "\\u007f").replace("${", "$${");
        format!("  - {{ name: {name}, jobs: [{{ state: failed, profile: {name} }}], expect: [{expect}] }}\n")
    };
    let named = HOSTILE.map(|name| format!("x{name}"));
    let all = |expect: &str| format!("tests:\n{}", named.iter().map(|name| test(name, expect)).collect::<String>());
    fs::write(home.path("rules/tests/a.yaml"), all("{ rule: scan-failed }")).unwrap();
    fs::write(home.path("rules/tests/b&<\"'.yaml"), all("")).unwrap();
    fs::write(home.path("rules/tests/c.yaml"), "tests: [{ name: '<&>', jobs: [], expect: [], no: 1 }]\n").unwrap();
    let report = home.path("report.xml");
    let output = home.run(&["test", "--junit", report.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));

    let read = &accepted("junit.py", &[], std::slice::from_ref(&report))[0];
    let many = named.len();
    assert_eq!(read["sums"], serde_json::json!({ "tests": 2 * many + 1, "failures": many, "errors": 1 }));
    let cases = read["cases"].as_array().unwrap();
    // What XML has no sign for is replaced, and a line's end is as XML reads it.
    let as_shown =
        |name: &str| -> String { name.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect() };
    for (case, name) in cases.iter().zip(named.iter().chain(&named)) {
        assert_eq!(case["name"], as_shown(name), "{case}");
        let failed = case["suite"] == "rules/tests/b&<\"'.yaml";
        assert_eq!(case["result"], if failed { "Failure".into() } else { serde_json::Value::Null }, "{case}");
        if failed {
            assert_eq!(case["message"], "the rule `scan-failed` alerted on job 1 at 2024-09-26T12:00:00Z, which nothing expects");
            assert!(case["text"].as_str().unwrap().contains("state: wanted failed, found failed"), "{case}");
        }
    }
    let fault = &cases[2 * many];
    assert_eq!(
        (&fault["result"], &fault["message"]),
        (&"Error".into(), &"1:46: unknown key `no` (known here: at, enable, expect, jobs, name, since, timezone)".into())
    );
    refused("junit.py", &[], &"no report".into(), "syntax error");
}
