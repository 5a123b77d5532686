//! `jobrelay replay`: what would have been sent, and that nothing is.

use std::{
    fs,
    io::Write,
    process::{Output, Stdio},
};

use serde_json::{Value, json};

use crate::common::{
    Home,
    sink::Sink,
    text,
    upstream::{Upstream, job},
};

const CONFIG: &str = "\
sources:
  contoso: { kind: aos_scan_jobs, base_url: 'http://127.0.0.1:9', token_url: 'http://127.0.0.1:9/t', client_id: a, client_secret: b }
channels:
  oncall: { kind: webhook, url: 'http://127.0.0.1:9/oncall' }
  scans: { kind: webhook, url: 'http://127.0.0.1:9/scans' }
";

const RULES: &str = "\
rules:
  - { name: failed, when: { state: [failed, finished_with_exception] }, severity: critical, notify: [oncall, scans], limit: 2 per 1h }
  - { name: slow, when: { state: finished, duration: '> 30m' }, notify: scans, group: { by: [profile], wait: 10m } }
  - { name: stuck, when: { state: running, duration: '> 2h' }, notify: oncall }
  - { name: never, when: { state: stopped }, notify: scans }
";

/// A row as the vendor writes it; hours and minutes of 2024-09-26.
fn row(id: &str, profile: &str, state: i64, started: &str, finished: Option<&str>) -> Value {
    let time = |at: &str| format!("2024-09-26T{at}:00.0000000+00:00");
    json!({
        "id": id, "type": 0, "state": state, "startTime": time(started), "finishTime": finished.map(time),
        "scanProfileName": profile, "category": 0, "extension": null,
    })
}

fn day() -> Vec<Value> {
    vec![
        row("open", "sites", 1, "09:30", None),
        row("long", "mail", 3, "05:00", Some("08:00")),
        row("slow-2", "sites", 2, "05:00", Some("06:08")),
        row("slow-1", "sites", 2, "05:00", Some("06:00")),
        row("f-4", "mail", 4, "05:03", Some("05:04")),
        row("f-3", "mail", 3, "05:02", Some("05:03")),
        row("f-2", "sites", 3, "05:01", Some("05:02")),
        row("f-1", "sites", 3, "05:00", Some("05:01")),
        row("fine", "sites", 2, "05:00", Some("05:10")),
    ]
}

fn home() -> Home {
    Home::new(CONFIG, RULES)
}

fn save(home: &Home, name: &str, content: impl AsRef<str>) {
    fs::write(home.path(name), content.as_ref()).unwrap();
}

/// Each notification as `HH:MM kind rule channel jobs`.
fn told(replay: &Value) -> Vec<String> {
    let line = |n: &Value| {
        let jobs: Vec<&str> = n["jobs"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let word = |key: &str| n[key].as_str().unwrap().to_owned();
        format!("{} {} {} {} {}", &word("created")[11..16], word("kind"), word("rule"), word("channel"), jobs.join("+"))
    };
    replay["notifications"].as_array().unwrap().iter().map(line).collect()
}

/// What the day comes to: two alerts at once, then one bucket's worth each half hour; the two slow ones in one group.
const DAY: [&str; 11] = [
    "05:01 alert failed oncall f-1",
    "05:01 alert failed scans f-1",
    "05:02 alert failed oncall f-2",
    "05:02 alert failed scans f-2",
    "05:31 roll_up failed oncall f-3+f-4",
    "05:31 roll_up failed scans f-3+f-4",
    "06:10 group slow scans slow-1+slow-2",
    "07:00 alert stuck oncall long",
    "08:00 alert failed oncall long",
    "08:00 alert failed scans long",
    "11:30 alert stuck oncall open",
];

#[test]
fn a_saved_response_is_replayed_with_its_limits_and_groups() {
    let home = home();
    save(&home, "jobs.json", json!({ "jobs": day(), "nextLink": null, "totalCount": 9 }).to_string());
    let replay = home.json(&["replay", "--input", "jobs.json", "--format", "json"]);
    // The newest time in it is 09:30, when the open job had not run for two hours.
    assert_eq!(told(&replay), DAY[..10]);
    let summary = &replay["summary"];
    assert_eq!(summary["since"], "2024-09-26T05:00:00Z");
    assert_eq!(summary["until"], "2024-09-26T09:30:00Z");
    assert_eq!((&summary["jobs"], &summary["alerts"], &summary["notifications"]), (&json!(9), &json!(8), &json!(10)));
    assert_eq!(
        summary["rules"],
        json!([
            { "rule": "failed", "alerts": 5, "notifications": 8, "notices": 0 },
            { "rule": "slow", "alerts": 2, "notifications": 1, "notices": 0 },
            { "rule": "stuck", "alerts": 1, "notifications": 1, "notices": 0 },
            { "rule": "never", "alerts": 0, "notifications": 0, "notices": 0 },
        ])
    );
    assert_eq!(
        summary["channels"],
        json!([
            { "channel": "oncall", "alerts": 6, "notifications": 5, "notices": 0 },
            { "channel": "scans", "alerts": 7, "notifications": 5, "notices": 0 },
        ])
    );
    assert_eq!(summary["days"], json!([{ "day": "2024-09-26", "alerts": 8, "notifications": 10, "notices": 0 }]));

    let replay = home.json(&["replay", "--input", "jobs.json", "--until", "2024-09-26T12:00:00Z", "--format", "json"]);
    assert_eq!(told(&replay), DAY);
    let replay = home.json(&["replay", "--input", "jobs.json", "--since", "2h", "--format", "json"]);
    assert_eq!(told(&replay), ["08:00 alert failed oncall long", "08:00 alert failed scans long"]);
    assert!(!home.path("jobrelay.db").exists(), "a replay of a file makes no store");
}

#[test]
fn a_roll_up_names_every_job_to_programs_however_many_they_are() {
    let home = Home::new(CONFIG, "rules: [{ name: failed, when: { state: failed }, notify: [oncall], limit: 1 per 1h }]\n");
    let rows: Vec<Value> = (0..31).map(|n| row(&format!("f-{n:02}"), "sites", 3, "05:00", Some("05:01"))).collect();
    save(&home, "jobs.json", json!({ "jobs": rows }).to_string());
    let replay = home.json(&["replay", "--input", "jobs.json", "--format", "json"]);
    let names = |from: usize, to: usize| (from..to).map(|n| format!("f-{n:02}")).collect::<Vec<_>>().join("+");
    assert_eq!(
        told(&replay),
        [format!("05:01 alert failed oncall {}", names(0, 1)), format!("06:01 roll_up failed oncall {}", names(1, 31))]
    );
}

#[test]
fn a_job_that_is_told_to_have_ended_before_it_began_is_judged_by_its_end() {
    let home = Home::new(CONFIG, "rules: [{ name: failed, when: { state: failed }, notify: [oncall] }]\n");
    save(&home, "jobs.json", json!({ "jobs": [row("back", "sites", 3, "05:02", Some("05:00"))] }).to_string());
    for since in [&[] as &[&str], &["--since", "2024-09-01"]] {
        let replay = home.json(&[&["replay", "--input", "jobs.json", "--format", "json"], since].concat());
        assert_eq!(told(&replay), ["05:00 alert failed oncall back"], "{since:?}");
    }
    // Nor is an end left out because this machine's clock is behind.
    save(&home, "jobs.json", json!({ "jobs": [job("ahead", "sites", 3, -86_400, Some(-90_000))] }).to_string());
    let replay = home.json(&["replay", "--input", "jobs.json", "--format", "json"]);
    assert_eq!(replay["notifications"][0]["jobs"], json!(["ahead"]));
}

#[test]
fn the_columns_end_with_what_it_came_to() {
    let home = home();
    save(&home, "jobs.json", json!({ "jobs": day() }).to_string());
    let shown = home.stdout(&["replay", "--input", "jobs.json", "--show", "3"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.last(), Some(&"8 alerts in 10 messages over 4h 30m: nothing was sent"), "{shown}");
    for part in [
        "2024-09-26 05:01:00Z  alert  failed  oncall   f-1   failed  sites",
        "and 7 more: --show 10 lists them all",
        "nothing from: never",
        "9 jobs from 2024-09-26 05:00:00Z to 2024-09-26 09:30:00Z",
    ] {
        let found = shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(&part.split_whitespace().collect::<Vec<_>>().join(" "));
        assert!(found, "{part}:\n{shown}");
    }
    assert!(!shown.contains("05:31:00Z"), "{shown}");
    assert!(home.stdout(&["replay", "--input", "jobs.json"]).contains("f-3 and 1 more"));
}

#[test]
fn every_way_of_saving_jobs_gives_the_same() {
    let home = home();
    let rows = day();
    let expected = {
        save(&home, "jobs.json", json!({ "jobs": rows }).to_string());
        home.json(&["replay", "--input", "jobs.json", "--format", "json"])
    };
    let pages: Vec<Value> = rows.chunks(4).map(|rows| json!({ "jobs": rows, "nextLink": null })).collect();
    // Pages overlap, and the newest is not always saved first.
    let mut overlapping: Vec<Value> = rows.windows(3).map(|rows| json!({ "jobs": rows })).collect();
    overlapping.reverse();
    let lined = |rows: &[Value]| rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let noted: Vec<String> = rows.iter().map(|row| format!("    {row}, // {}", row["id"])).collect();
    let printed = format!("// saved by hand\n{{\n  \"jobs\": [\n{}\n  ],\n}}\n", noted.join("\n"));
    for (what, content) in [
        ("a list of responses", json!(pages).to_string()),
        ("rows", json!(rows).to_string()),
        ("a response a line", lined(&pages)),
        ("a row a line", lined(&rows)),
        ("pages that overlap", json!(overlapping).to_string()),
        ("comments and trailing commas", printed),
    ] {
        save(&home, "other.json", &content);
        assert_eq!(home.json(&["replay", "--input", "other.json", "--format", "json"]), expected, "{what}");
        assert_eq!(from_stdin(&home, &content), expected, "{what}, from standard input");
    }
    save(&home, "head.json", pages[0].to_string());
    save(&home, "tail.json", json!(pages[1..]).to_string());
    assert_eq!(home.json(&["replay", "--input", "tail.json", "head.json", "--format", "json"]), expected, "two files");
}

fn from_stdin(home: &Home, content: &str) -> Value {
    let mut child = home
        .command(&["replay", "--input", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Exit code and stderr.
fn refused(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), text(&output.stderr))
}

#[test]
fn what_can_t_be_read_is_told_with_its_place_and_the_rest_goes_on() {
    let home = home();
    save(&home, "jobs.json", format!("{{ \"jobs\": [\n  {},\n  {{ \"id\": \"x\", \"state\": \"soon\" }},\n  7\n] }}", day()[7]));
    let output = home.run(&["replay", "--input", "jobs.json", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let told_of = text(&output.stderr);
    assert!(told_of.contains("jobs.json:3:3: `state` is no whole number"), "{told_of}");
    assert!(told_of.contains("jobs.json:4:3: neither a response of /aos/jobs nor a job"), "{told_of}");
    let replay: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((told(&replay).len(), &replay["summary"]["unreadable"]), (2, &json!(2)));

    save(&home, "cut.json", "{ \"jobs\": [\n  { \"id\": \"x\",");
    for (args, part) in
        [(["replay", "--input", "cut.json"], "error: cut.json:2:"), (["replay", "--input", "none.json"], "error: can't read none.json: ")]
    {
        let (code, why) = refused(&home.run(&args));
        assert!(code == Some(1) && why.contains(part), "{args:?}: {code:?} {why}");
    }
    save(&home, "bad.json", "[7, {}]");
    let (code, why) = refused(&home.run(&["replay", "--input", "bad.json"]));
    assert!(code == Some(1) && why.contains("no row of the input can be read"), "{why}");
    let (code, why) = refused(&home.run(&["replay"]));
    assert!(code == Some(1) && why.contains("there is no store at"), "{why}");
    assert_eq!(home.run(&["replay", "--since", "soon"]).status.code(), Some(2));
    let (code, why) = refused(&home.run(&["replay", "--source", "contosso"]));
    assert!(code == Some(1) && why.contains("did you mean `contoso`?"), "{why}");
}

#[test]
fn a_date_is_read_by_the_clock_of_this_machine_and_a_time_with_an_offset_by_its_own() {
    let home = home();
    save(&home, "jobs.json", json!(day()).to_string());
    for (since, until, expected) in [
        ("2024-09-26", "2024-09-26T10:00", ["2024-09-25T22:00:00Z", "2024-09-26T08:00:00Z"]),
        ("2024-09-26T06:30", "2024-09-26T10:00:00Z", ["2024-09-26T04:30:00Z", "2024-09-26T10:00:00Z"]),
        ("2h", "2024-09-26T10:00+05:00", ["2024-09-26T03:00:00Z", "2024-09-26T05:00:00Z"]),
    ] {
        let mut command = home.command(&["replay", "--input", "jobs.json", "--since", since, "--until", until, "--format", "json"]);
        let output = command.env("TZ", "Europe/Zurich").output().unwrap();
        let replay: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        assert_eq!([&replay["summary"]["since"], &replay["summary"]["until"]], expected, "{since} {until}");
    }
}

#[test]
fn every_command_reads_a_beginning_alike() {
    let home = home();
    for command in [&["jobs"][..], &["alerts"], &["deliveries"], &["replay"], &["digest", "daily"]] {
        for (since, words) in [
            ("30", "`30` of what? write 30h, 30d, or a date such as 2026-01-31"),
            ("2026-02-30", "`2026-02-30` is no date or time of the calendar"),
            ("soon", "or so long ago, as in 24h or 7d"),
        ] {
            let (code, why) = refused(&home.run(&[command, &["--since", since]].concat()));
            assert!(code == Some(2) && why.contains(words), "{command:?} {since}: {code:?} {why}");
        }
        for since in ["24h", "2026-01-31", "2026-01-31T08:00", "2026-01-31T08:00:00Z"] {
            let (code, why) = refused(&home.run(&[command, &["--since", since]].concat()));
            assert_eq!(code, Some(1), "there is no store, and the command line is right: {command:?} {since}: {why}");
        }
        let help = home.stdout(&[command, &["--help"]].concat());
        let help: Vec<&str> = help.split_whitespace().collect();
        assert!(help.join(" ").contains("From when on: so long ago (24h, 7d), a date (2026-01-31), or a time"), "{command:?}");
    }
}

#[test]
fn an_expression_without_an_answer_is_said_once_a_rule_in_the_replays_own_words() {
    let rules = "rules:\n  - { name: large, when: { expr: 'job.extension.objects > 1000' }, notify: oncall }\n";
    let home = Home::new(CONFIG, rules);
    save(&home, "jobs.json", json!(day()).to_string());
    let output = home.run(&["replay", "--input", "jobs.json"]);
    let (told, log) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(log, "", "nothing is logged between the lines");
    assert_eq!(told.matches("\nnote: the rule `large` has an `expr` at rules/rules.yaml:2:").count(), 1, "{told}");
    let replay = home.json(&["replay", "--input", "jobs.json", "--format", "json"]);
    assert_eq!(replay["summary"]["notes"].as_array().unwrap().len(), 1, "{replay}");
    let sound = Home::new(CONFIG, &rules.replace("job.extension.objects > 1000", "job.profile == \"x\""));
    save(&sound, "jobs.json", json!(day()).to_string());
    assert!(!sound.stdout(&["replay", "--input", "jobs.json"]).contains("note:"));
}

#[test]
fn an_input_may_belong_to_a_source_that_is_named() {
    let rules = "rules:\n  - { name: a, when: { source: fabrikam }, notify: oncall }\n";
    let second = "  fabrikam: { kind: aos_scan_jobs, base_url: 'http://127.0.0.1:9', token_url: 'http://127.0.0.1:9/t', client_id: a, client_secret: b }\nchannels:\n";
    let home = Home::new(&CONFIG.replace("channels:\n", second), rules);
    save(&home, "jobs.json", json!([day()[8]]).to_string());
    let alerts =
        |source: &str| home.json(&["replay", "--input", "jobs.json", "--source", source, "--format", "json"])["summary"]["alerts"].clone();
    assert_eq!((alerts("fabrikam"), alerts("contoso")), (json!(1), json!(0)));
    let summary = home.json(&["replay", "--input", "jobs.json", "--format", "json"])["summary"].clone();
    let note = "the input does not say whose jobs these are: they are taken for those of `contoso`; --source names another";
    assert_eq!((&summary["alerts"], &summary["notes"]), (&json!(0), &json!([note])));
}

#[test]
fn over_a_saved_list_no_secret_need_be_set_nor_for_the_config_it_is_held_against() {
    let home = Home::new(&CONFIG.replace("client_secret: b", "client_secret: '${THE_SECRET}'"), RULES);
    save(&home, "jobs.json", json!({ "jobs": day() }).to_string());
    fs::create_dir_all(home.path("other/rules")).unwrap();
    fs::copy(home.path("jobrelay.yaml"), home.path("other/jobrelay.yaml")).unwrap();
    save(&home, "other/rules/rules.yaml", RULES);
    assert_eq!(home.json(&["replay", "--input", "jobs.json", "--format", "json"])["summary"]["alerts"], json!(8));
    assert_eq!(home.json(&["replay", "--input", "jobs.json", "--against", "other", "--format", "json"])["unchanged"], json!(8));
    let (code, why) = refused(&home.run(&["replay", "--source", "contoso"]));
    assert!(code == Some(1) && why.contains("THE_SECRET"), "a live source needs it: {why}");
}

#[test]
fn history_conditions_and_missing_scans_are_replayed_too() {
    let rules = "\
rules:
  - { name: twice, when: { state: failed, streak: '>= 2' }, notify: oncall }
  - { name: back, when: { state: finished, previous: failed }, notify: oncall }
  - { name: nightly, missing: { profile: sites, every: 1h }, notify: scans }
";
    let home = Home::new(CONFIG, rules);
    save(&home, "jobs.json", json!({ "jobs": day() }).to_string());
    let replay = home.json(&["replay", "--input", "jobs.json", "--format", "json"]);
    let alerts: Vec<String> = told(&replay).into_iter().filter(|line| !line.contains("notice")).collect();
    assert_eq!(alerts, ["05:02 alert twice oncall f-2", "05:10 alert back oncall fine"]);
    // The last one ended at 06:08, and none until 09:30.
    let notice = replay["notifications"].as_array().unwrap().last().unwrap();
    assert_eq!((&notice["kind"], &notice["created"], &notice["alerts"]), (&json!("notice"), &json!("2024-09-26T07:08:00Z"), &json!(0)));
    assert_eq!(notice["notice"]["since"], "2024-09-26T06:08:00Z");
    assert_eq!((&replay["summary"]["notices"], &replay["summary"]["notifications"]), (&json!(1), &json!(3)));
    let shown = home.stdout(&["replay", "--input", "jobs.json"]);
    assert!(shown.contains("contoso: no job has come in time; the last one before ended 2024-09-26 06:08:00Z"), "{shown}");
    assert!(shown.ends_with("2 alerts in 2 messages and 1 notice over 4h 30m: nothing was sent\n"), "{shown}");
    // What counts before the period is looked back on, and alerts no more.
    let replay = home.json(&["replay", "--input", "jobs.json", "--since", "2024-09-26T05:02:00Z", "--format", "json"]);
    assert!(told(&replay).contains(&"05:02 alert twice oncall f-2".to_owned()), "{replay}");
}

#[test]
fn two_sets_of_rules_are_held_against_each_other() {
    let home = home();
    save(&home, "jobs.json", json!({ "jobs": day() }).to_string());
    fs::create_dir_all(home.path("other/rules")).unwrap();
    save(&home, "other/jobrelay.yaml", CONFIG);
    // `failed` to fewer, `slow` under another name, `stuck` on another channel, `never` as it is.
    let others = RULES
        .replace("[failed, finished_with_exception]", "failed")
        .replace("name: slow", "name: sluggish")
        .replace("duration: '> 2h' }, notify: oncall", "duration: '> 2h' }, notify: scans");
    save(&home, "other/rules/rules.yaml", others);
    for other in ["other", "other/jobrelay.yaml"] {
        let difference = home.json(&["replay", "--input", "jobs.json", "--against", other, "--format", "json"]);
        let odd = |key: &str| -> Vec<String> {
            let all = difference[key].as_array().unwrap().iter();
            all.map(|odd| format!("{} {} {}", odd["rule"].as_str().unwrap(), odd["job"].as_str().unwrap(), odd["channels"])).collect()
        };
        assert_eq!(
            odd("more"),
            ["failed f-4 [\"oncall\",\"scans\"]", "slow slow-1 [\"scans\"]", "slow slow-2 [\"scans\"]", "stuck long [\"oncall\"]"]
        );
        assert_eq!(odd("fewer"), ["sluggish slow-1 [\"scans\"]", "sluggish slow-2 [\"scans\"]", "stuck long [\"scans\"]"]);
        assert_eq!(difference["unchanged"], 4);
        assert_eq!(difference["rules"][0], json!({ "rule": "failed", "more": 1, "fewer": 0, "unchanged": 4 }));
        assert_eq!((&difference["summary"]["alerts"], &difference["against"]["alerts"]), (&json!(8), &json!(7)));
    }
    let shown = home.stdout(&["replay", "--input", "jobs.json", "--against", "other"]);
    let last =
        "4 alerts more and 3 fewer than with other/jobrelay.yaml, 4 unchanged; 10 messages in place of 10, over 4h 30m: nothing was sent";
    assert_eq!(shown.lines().last(), Some(last), "{shown}");
    assert!(shown.lines().any(|line| line.trim_start().starts_with("- ") && line.contains("sluggish")), "{shown}");

    save(&home, "other/rules/rules.yaml", "rules:\n  - { name: broken }\n");
    let (code, why) = refused(&home.run(&["replay", "--input", "jobs.json", "--against", "other"]));
    assert!(code == Some(1) && why.contains("other/rules/rules.yaml:2:"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_a_real_run_replays_to_what_was_really_sent_and_a_live_source_to_the_same() {
    let (upstream, hook) = (Upstream::start().await, Sink::start("").await);
    let rules = "\
rules:
  - { name: failed, when: { state: [failed, finished_with_exception] }, notify: hook }
  - { name: twice, when: { state: failed, streak: '>= 2' }, notify: hook }
  - { name: slow, when: { state: finished, duration: '> 1m' }, notify: hook }
";
    let config = format!(
        "{}channels:\n  hook: {{ kind: webhook, url: '{}', rate: unlimited }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
        upstream.config().replace("poll_every", "start: 24h\n    poll_every"),
        hook.url
    );
    let home = Home::new(&config, rules);
    // One from before the start: it is judged by no one, and is the past of the others.
    upstream.put(job("old", "sites", 3, 200_000, Some(190_000)));
    upstream.put(job("a", "sites", 3, 5_000, Some(4_000)));
    upstream.put(job("b", "sites", 2, 3_000, Some(2_000)));
    upstream.put(job("c", "mail", 4, 3_000, Some(1_000)));
    upstream.put(job("d", "mail", 2, 900, Some(890)));
    upstream.put(job("open", "mail", 1, 100, None));
    let service = home.start().await;
    hook.holds(4).await;
    upstream.polled(2).await;
    upstream.put(job("open", "mail", 3, 100, Some(0)));
    hook.holds(5).await;

    let alerts = |json: &Value| -> Vec<String> {
        let mut all: Vec<String> =
            json.as_array().unwrap().iter().map(|alert| format!("{} {}", alert["rule"].as_str().unwrap(), alert["job"]["id"])).collect();
        all.sort();
        all
    };
    let sent = alerts(&home.json(&["alerts", "--format", "json"]));
    assert_eq!(sent, ["failed \"a\"", "failed \"c\"", "failed \"open\"", "slow \"b\"", "twice \"a\""]);
    // Beside the service, which goes on.
    let replayed = |args: &[&str]| -> Vec<String> {
        let replay = home.json(&[&["replay", "--format", "json"], args].concat());
        let notifications = replay["notifications"].as_array().unwrap().iter();
        let mut all: Vec<String> = notifications.map(|n| format!("{} {}", n["rule"].as_str().unwrap(), n["jobs"][0])).collect();
        all.sort();
        all
    };
    assert_eq!(replayed(&["--since", "24h"]), sent);
    let with_old = ["failed \"a\"", "failed \"c\"", "failed \"old\"", "failed \"open\"", "slow \"b\"", "twice \"a\""];
    assert_eq!(replayed(&[]), with_old, "by itself, the last 30 days");
    let before_start = |args: &[&str]| home.json(&[&["replay", "--format", "json"], args].concat())["summary"]["before_start"].clone();
    assert_eq!(before_start(&[]), json!({ "jobs": 1, "alerts": 1 }));
    assert_eq!(before_start(&["--since", "24h"]), json!({ "jobs": 0, "alerts": 0 }));
    let columns = home.stdout(&["replay"]);
    let note = "note: 1 job ended before the service first watched their source, and it did not alert on them: 1 alert is from then";
    assert!(columns.contains(note), "{columns}");
    let (messages, polls) = (hook.taken().len(), upstream.polls());
    assert_eq!(replayed(&["--source", "contoso"]), with_old);
    assert!(upstream.polls() > polls, "the list is read now");
    assert_eq!(service.stop().await, 0);
    assert_eq!(hook.taken().len(), messages, "nothing was sent");
    let rows = home.stdout(&["jobs", "--format", "json"]);
    assert_eq!(from_stdin(&home, &rows)["summary"]["alerts"], 6);
    assert_eq!(replayed(&["--since", "24h"]), sent, "and without the service");
}
