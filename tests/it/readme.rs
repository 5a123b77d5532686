//! The README is run: its config and rules pass `check`, its commands are known, its metrics are served, its pictures are there.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use regex::Regex;

use crate::{
    common::{Home, text, upstream::Upstream},
    validators::parts,
};

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The fenced blocks of one language.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    let texts = readme.split(&open).skip(1).map(|rest| rest.split("```\n").next().unwrap().to_owned()).collect::<Vec<_>>();
    assert!(!texts.is_empty(), "the README has no block of {language}");
    texts
}

/// The block whose first key is this one.
#[track_caller]
fn yaml(readme: &str, key: &str) -> String {
    let found: Vec<String> = blocks(readme, "yaml").into_iter().filter(|text| text.starts_with(&format!("{key}:\n"))).collect();
    assert_eq!(found.len(), 1, "blocks that begin with `{key}:`");
    found.into_iter().next().unwrap()
}

#[test]
fn its_config_and_rules_pass_check_without_a_warning() {
    let readme = readme();
    let home = Home::new(&yaml(&readme, "sources"), &yaml(&readme, "rules"));
    let output = home
        .command(&["check"])
        .envs([
            ("AOS_CLIENT_ID", "an id"),
            ("AOS_CLIENT_SECRET", "a secret"),
            ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/x"),
            (
                "TEAMS_WORKFLOW_URL",
                "https://default0.environment.api.powerplatform.com:443/powerautomate/workflows/0/triggers/manual/paths/invoke?sig=x",
            ),
            ("SMTP_URL", "smtps://user:password@mail.contoso.example:465"),
            ("TICKET_HOOK_URL", "https://tickets.contoso.example/hook"),
            ("TICKET_HOOK_SECRET", "a-secret-of-thirty-two-characters"),
        ])
        .output()
        .unwrap();
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("warning"), "{told}");
    assert!(told.contains("ok: 1 source, 4 channels, 3 rules (1 more disabled)"), "{told}");
}

#[test]
fn its_rule_tests_pass() {
    let readme = readme();
    let home = Home::new(&yaml(&readme, "sources"), &yaml(&readme, "rules"));
    fs::create_dir(home.path("rules/tests")).unwrap();
    fs::write(home.path("rules/tests/readme.yaml"), yaml(&readme, "tests")).unwrap();
    let told = home.stdout(&["test"]);
    assert!(told.starts_with("rules/tests/readme.yaml: 3 passed in "), "{told}");
}

#[test]
fn its_commands_and_their_options_are_known() {
    let readme = readme();
    let command =
        Regex::new(r"jobrelay ((?:--[a-z]|check|send|replay|jobs|alerts|deliveries|run|init|demo|completions)[^`&:#\n]*)").unwrap();
    let shown: BTreeSet<String> = command
        .captures_iter(&readme)
        .map(|found| found[1].replace("retry ID", "retry 1").split(" run jobrelay").next().unwrap().trim().to_owned())
        .filter(|line| !line.starts_with("COMMAND"))
        .collect();
    assert!(shown.len() > 10, "{shown:?}");
    let home = Home::new("", "");
    for line in shown {
        // The rest of the line is read before its help is shown.
        let args: Vec<&str> = line.split_whitespace().chain(["--help"]).collect();
        let output = home.run(&args);
        assert!(output.status.success(), "jobrelay {line}: {}", text(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_it_names_are_served() {
    let upstream = Upstream::start().await;
    let config = format!(
        "{}channels:\n  hook: {{ kind: webhook, url: 'http://127.0.0.1:9/' }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
        upstream.config()
    );
    let home = Home::new(&config, "rules: [{ name: any, when: { state: failed }, notify: hook }]\n");
    let service = home.start().await;
    let served = service.metrics().await;
    let names: BTreeSet<String> =
        Regex::new(r"jobrelay_[a-z_]+").unwrap().find_iter(&readme()).map(|found| found.as_str().to_owned()).collect();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        // A counter's suffix stands at its samples, of which there may be none yet.
        assert!(served.contains(&format!("# TYPE {}", name.trim_end_matches("_total"))), "{name} in\n{served}");
    }
    assert_eq!(service.stop().await, 0);
}

/// A source that is read and one that is not, a dead letter that is dealt with later, a queue that does not empty.
const WATCHED: &str = r#"
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - { series: 'jobrelay_polls_total{source="good",outcome="complete"}', values: '0+1x60' }
      - { series: 'jobrelay_polls_total{source="good",outcome="incomplete"}', values: '0x60' }
      - { series: 'jobrelay_polls_total{source="good",outcome="failed"}', values: '0x60' }
      - { series: 'jobrelay_polls_total{source="bad",outcome="complete"}', values: '0x60' }
      - { series: 'jobrelay_polls_total{source="bad",outcome="incomplete"}', values: '0x60' }
      - { series: 'jobrelay_polls_total{source="bad",outcome="failed"}', values: '0+1x60' }
      - { series: 'jobrelay_trouble{kind="source_down",name="bad"}', values: '1x60' }
      - { series: 'jobrelay_notifications_total{channel="a",outcome="dead"}', values: '0x30 3x9 2x20' }
      - { series: 'jobrelay_notifications_pending{channel="a"}', values: '1x60' }
      - { series: 'jobrelay_notifications_pending{channel="b"}', values: '0x60' }
    alert_rule_test:
      - { eval_time: 30m, alertname: JobrelaySourceUnread, exp_alerts: [ { exp_labels: { source: bad } } ] }
      - { eval_time: 35m, alertname: JobrelayDeadLetters, exp_alerts: [ { exp_labels: { channel: a, outcome: dead } } ] }
      - { eval_time: 59m, alertname: JobrelayDeadLetters, exp_alerts: [] }
      - { eval_time: 20m, alertname: JobrelayTrouble, exp_alerts: [ { exp_labels: { kind: source_down, name: bad } } ] }
      - { eval_time: 60m, alertname: JobrelayBacklog, exp_alerts: [ { exp_labels: { channel: a } } ] }
"#;

#[test]
#[ignore = "needs promtool: run ./test"]
fn promtool_validators_take_its_alerts_and_see_them_fire_where_they_should() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yaml"), yaml(&readme(), "groups")).unwrap();
    fs::write(folder.path().join("test.yaml"), WATCHED).unwrap();
    let output = Command::new(parts().join("promtool")).args(["test", "rules", "test.yaml"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn its_pictures_and_pages_are_there_and_light() {
    const LIGHT: u64 = 150 * 1024;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = Regex::new(r##"(?:\]\(|src=")([^)"#]+)[)"#]"##).unwrap();
    for page in ["README.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for found in links.captures_iter(&text).filter(|found| !found[1].starts_with("http")) {
            let file = fs::metadata(root.join(&found[1])).unwrap_or_else(|error| panic!("{page} names {}: {error}", &found[1]));
            assert!(file.len() < LIGHT, "{} has {} bytes", &found[1], file.len());
        }
    }
    let lines = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap().lines().count();
    assert!(lines <= 120, "ARCHITECTURE.md has {lines} lines");
}

/// The house as the page draws it is the one that stands: each room of `src/` is in the table, and no other.
#[test]
fn the_architecture_names_every_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').nth(1)).filter(|cell| cell.contains('`'));
    let cell = Regex::new(r"`([a-z]+)/?`").unwrap();
    let drawn: BTreeSet<String> = rows.flat_map(|row| cell.captures_iter(row).map(|c| c[1].to_owned()).collect::<Vec<_>>()).collect();
    let stand: BTreeSet<String> = fs::read_dir(root.join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().trim_end_matches(".rs").to_owned())
        .filter(|room| room != "lib")
        .collect();
    assert_eq!(drawn, stand);
}
