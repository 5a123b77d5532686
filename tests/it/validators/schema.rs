//! The JSON Schemas, held against the programs that people use them with: the language server of their editors, and a checker
//! for pipelines.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use super::{parts, run};
use crate::common::{Home, command, text};

/// What `init` writes.
fn written() -> Home {
    let home = Home { folder: tempfile::tempdir().unwrap() };
    assert!(command(home.folder.path()).arg("init").status().unwrap().success());
    home
}

/// Puts a file beside those of `init`, with the line that names its schema unless it has one.
fn put(home: &Home, name: &str, schema: &str, content: &str) -> PathBuf {
    let line =
        if content.starts_with("# yaml-language-server") { String::new() } else { format!("# yaml-language-server: $schema={schema}\n") };
    let path = home.path(name);
    fs::write(&path, line + content).unwrap();
    path
}

/// The lines that the language server marks in each file.
fn marked(files: &[PathBuf]) -> Vec<Vec<u64>> {
    let output = run("editor.cjs", &[], files);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let found: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), files.len());
    found.iter().map(|file| file.as_array().unwrap().iter().map(|one| one["line"].as_u64().unwrap()).collect()).collect()
}

fn checked(schema: &Path, files: &[&PathBuf]) -> Output {
    Command::new(parts().join("venv/bin/check-jsonschema")).arg("--schemafile").arg(schema).args(files).output().unwrap()
}

/// The YAML of a page of the documentation that begins with this key.
fn examples(page: &str, key: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.lines().any(|line| line == key)).map(str::to_owned).collect()
}

const BAD_CONFIG: &str = "\
sources:
  contoso:
    kind: aos_scan_jobs
    regoin: us
    client_id: app
    client_secret: x
channels:
  oncall:
    kind: slak
  scans: { kind: teams, url: 'https://x.example', rate: often }
storage:
  keep: 90
";
const BAD_RULES: &str = "\
rules:
  - name: a
    when:
      state: faild
      duration: 30m
      prfile: x
    notify: [oncall]
    limit: often
  - name: b
    notify: oncall
";
const BAD_TESTS: &str = "\
tests:
  - name: a
    jobs:
      - { state: faild }
    expect:
      - { rule: a, jb: 1 }
";

#[test]
#[ignore = "needs the yaml language server: run ./test"]
fn an_editor_marks_mistakes_where_they_stand_and_nothing_else() {
    let home = written();
    let rules = ["failures", "not-run", "slow"];
    let mut good = vec![home.path("jobrelay.yaml")];
    good.extend(rules.iter().map(|name| home.path(&format!("rules/{name}.yaml"))));
    good.extend(rules.iter().map(|name| home.path(&format!("rules/tests/{name}.yaml"))));
    for (at, example) in examples("README.md", "sources:").iter().enumerate() {
        good.push(put(&home, &format!("readme-{at}.yaml"), "schemas/jobrelay.schema.json", example));
    }
    for (at, example) in examples("README.md", "rules:").iter().enumerate() {
        good.push(put(&home, &format!("rules/readme-{at}.yaml"), "../schemas/rules.schema.json", example));
    }
    assert!(good.len() > 8, "{good:?}");
    for (file, lines) in good.iter().zip(marked(&good)) {
        assert!(lines.is_empty(), "{}: lines {lines:?}", file.display());
    }
    let bad = [
        put(&home, "bad.yaml", "schemas/jobrelay.schema.json", BAD_CONFIG),
        put(&home, "rules/bad.yaml", "../schemas/rules.schema.json", BAD_RULES),
        put(&home, "rules/tests/bad.yaml", "../../schemas/tests.schema.json", BAD_TESTS),
    ];
    let found = marked(&bad);
    // One line further down each: the first one names the schema.
    for (file, expected, lines) in
        [("config", vec![5, 10, 11, 13], &found[0]), ("rules", vec![5, 6, 7, 9, 10], &found[1]), ("tests", vec![5, 7], &found[2])]
    {
        let mut lines = lines.clone();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines, expected, "{file}");
    }
}

#[test]
#[ignore = "needs check-jsonschema: run ./test"]
fn a_checker_takes_the_schemas_and_what_is_good_and_refuses_what_is_not() {
    let home = written();
    let schema = |name: &str| home.path("schemas").join(name);
    let output = Command::new(parts().join("venv/bin/check-jsonschema"))
        .arg("--check-metaschema")
        .args(["jobrelay", "rules", "tests"].map(|name| schema(&format!("{name}.schema.json"))))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    let (good, bad) = (home.path("jobrelay.yaml"), put(&home, "bad.yaml", "schemas/jobrelay.schema.json", BAD_CONFIG));
    let (rules, bad_rules) = (home.path("rules/failures.yaml"), put(&home, "rules/bad.yaml", "../schemas/rules.schema.json", BAD_RULES));
    let (tests, bad_tests) =
        (home.path("rules/tests/failures.yaml"), put(&home, "rules/tests/bad.yaml", "../../schemas/tests.schema.json", BAD_TESTS));
    for (name, good, bad, because) in [
        ("jobrelay.schema.json", good, bad, "regoin"),
        ("rules.schema.json", rules, bad_rules, "faild"),
        ("tests.schema.json", tests, bad_tests, "faild"),
    ] {
        let taken = checked(&schema(name), &[&good]);
        assert!(taken.status.success(), "{name}: {}", text(&taken.stdout));
        let refused = checked(&schema(name), &[&bad]);
        assert_eq!(refused.status.code(), Some(1), "{name}");
        assert!(text(&refused.stdout).contains(because), "{name}: {}", text(&refused.stdout));
    }
}
