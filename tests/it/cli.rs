//! The command line: its help tells the truth, and a mistake is answered with what to do.

use regex::Regex;

use crate::common::{Home, text, upstream::Upstream};

#[test]
fn every_example_of_the_help_is_a_command_line_that_is_taken() {
    let example = Regex::new(r"(?m)^ +jobrelay (.*?)(?: {2,}.*)?$").unwrap();
    let home = Home::new("", "");
    let overview = home.stdout(&["--help"]);
    let commands = Regex::new(r"(?m)^  ([a-z]+)  ").unwrap();
    let mut tried = 0;
    for command in commands.captures_iter(&overview).map(|found| found[1].to_owned()).filter(|name| name != "help") {
        let help = home.stdout(&[&command, "--help"]);
        let (_, examples) = help.split_once("Examples:").unwrap_or_else(|| panic!("{command} has no example"));
        for found in example.captures_iter(examples) {
            let line = found[1].split(['>', ';', '|']).next().unwrap().trim_end_matches(" 2").replace(" ID", " 1");
            // All that stands before it is read before the help is shown.
            let args: Vec<&str> = line.split_whitespace().chain(["--help"]).collect();
            let output = home.run(&args);
            assert!(output.status.success(), "{command}: jobrelay {line}: {}", text(&output.stderr));
            tried += 1;
        }
    }
    assert!(tried > 20, "only {tried} examples were found");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered_with_what_to_do() {
    let upstream = Upstream::start().await;
    let config = format!(
        "{}channels:\n  oncall: {{ kind: webhook, url: 'http://127.0.0.1:9/' }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
        upstream.config()
    );
    let home = Home::new(&config, "rules: [{ name: scan-failed, when: { state: failed }, notify: oncall }]\n");
    let told = |args: &[&str], code: i32, expected: &str| {
        let output = home.run(args);
        let stderr = text(&output.stderr);
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    };
    told(&["jobs"], 1, "has `jobrelay run` ever run with this config?");
    assert_eq!(home.start().await.stop().await, 0);
    told(&["jobs", "--source", "contosso"], 0, "no jobs; the config has no source `contosso`; did you mean `contoso`?");
    told(&["alerts", "--rule", "other"], 0, "no alerts; the config has no enabled rule `other`; there are: scan-failed");
    told(&["deliveries", "--channel", "oncal"], 0, "no deliveries; the config has no channel `oncal`; did you mean `oncall`?");
    told(&["jobs", "--state", "faild"], 2, "the states are running, finished, failed");
    told(&["deliveries", "--outcome", "lost"], 2, "the outcomes are pending, delivered");
    told(&["deliveries", "retry"], 2, "<ID|--dead>");
    told(&["deliveries", "retry", "7"], 1, "delivery 7 is neither dead nor waiting: see `jobrelay deliveries`");
    // The store of an older version, which may be in service: no command changes it.
    let store = || rusqlite::Connection::open(home.path("jobrelay.db")).unwrap();
    store().execute_batch("ALTER TABLE source DROP COLUMN looked_from; PRAGMA user_version = 7").unwrap();
    for args in [&["jobs"][..], &["alerts"], &["deliveries"], &["deliveries", "retry", "7"], &["explain", "Scan-1"], &["replay"]] {
        told(args, 1, "written by an older jobrelay, and is left as it is: a start of `jobrelay run` of this version");
    }
    assert_eq!(store().query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
    told(&["send", "oncal"], 1, "the config has no channel `oncal`; did you mean `oncall`?");
    told(&["--config", "nowhere.yaml", "run"], 1, "`jobrelay init` writes one to start from");
}

#[test]
fn a_sample_that_goes_nowhere_points_at_the_placeholders() {
    let config = "sources:\n  contoso: { kind: aos_scan_jobs, region: us, client_id: replace-me, client_secret: replace-me }\n\
                  channels:\n  oncall: { kind: webhook, url: 'http://127.0.0.1:9/' }\n";
    let home = Home::new(config, "rules: [{ name: any, when: { state: failed }, notify: oncall }]\n");
    let output = home.run(&["send", "oncall"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("note: placeholders of `jobrelay init` still stand at "), "{stderr}");
}
