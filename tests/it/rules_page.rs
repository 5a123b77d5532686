//! docs/rules.md is run: every example passes its own tests, and every condition has its section and its example.

use std::{fs, path::Path};

use jobrelay::rules::CONDITIONS;

use crate::common::{Home, text};

const CONFIG: &str = "
sources:
  contoso: { kind: aos_scan_jobs, region: us, client_id: an-id, client_secret: a-secret }
  fabrikam: { kind: aos_scan_jobs, region: us, client_id: an-id, client_secret: a-secret }
channels:
  oncall: { kind: slack, url: \"http://127.0.0.1:9/oncall\" }
  scans: { kind: slack, url: \"http://127.0.0.1:9/scans\" }
";

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md")).unwrap()
}

/// The page's sections, each with its heading: what stands between two of them.
fn sections(page: &str) -> Vec<(&str, &str)> {
    let headed = page.split("\n## ").skip(1).flat_map(|part| part.split("\n### "));
    headed.filter_map(|section| section.split_once('\n')).collect()
}

/// The fenced blocks of YAML in a section.
fn blocks(section: &str) -> Vec<&str> {
    section.split("```yaml\n").skip(1).map(|rest| rest.split("```\n").next().unwrap()).collect()
}

#[test]
fn every_example_passes_its_own_tests() {
    let page = page();
    let mut seen = 0;
    for (heading, section) in sections(&page) {
        let [rules, tests] = blocks(section)[..] else {
            assert!(blocks(section).is_empty(), "`{heading}` has {} examples, not rules and their tests", blocks(section).len());
            continue;
        };
        let home = Home::new(CONFIG, rules);
        fs::create_dir_all(home.path("rules/tests")).unwrap();
        fs::write(home.path("rules/tests/example.yaml"), tests).unwrap();
        let output = home.run(&["test"]);
        let told = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "`{heading}`: {told}");
        let names = rules.matches("- name:").count();
        let reached: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- name: ")).collect();
        assert!(
            names > 0 && reached.iter().all(|name| tests.contains(&format!("rule: {name}"))),
            "`{heading}`: a rule that no test expects"
        );
        seen += 1;
    }
    assert!(seen >= CONDITIONS.len(), "{seen} examples");
}

#[test]
fn every_condition_has_a_section_and_an_example() {
    let page = page();
    let sections = sections(&page);
    for condition in CONDITIONS {
        let section = sections.iter().find(|(heading, _)| *heading == condition.key);
        let (_, section) = section.unwrap_or_else(|| panic!("docs/rules.md has no section `### {}`", condition.key));
        let [rules, _] = blocks(section)[..] else { panic!("`{}` has no example", condition.key) };
        assert!(rules.contains(&format!("{}:", condition.key)), "the example of `{}` does not use it", condition.key);
        assert!(page.contains(&format!("[{0}](#{0})", condition.key)), "`{}` is not in the list at the top", condition.key);
    }
}
