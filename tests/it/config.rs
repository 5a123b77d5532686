//! The config file: every mistake found at once, at its place, without a word of a secret; `init` and `check` as they are used.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use jobrelay::{
    config,
    document::{Environment, Faults, Level},
};
use proptest::prelude::*;

use crate::common::{Home, command, text};

const GOOD: &str = "\
sources:
  contoso:
    kind: aos_scan_jobs
    region: us
    client_id: ${ID}
    client_secret: ${SECRET}
channels:
  oncall:
    kind: slack
    url: ${HOOK}
  hook:
    kind: webhook
    url: ${HOOK}
digests:
  morning: { schedule: '0 8 * * mon-fri', timezone: Europe/Zurich, notify: [oncall] }
notices: { notify: [oncall] }
server: { listen: '127.0.0.1:0' }
storage: { url: 'sqlite:jobs.db', keep: 90d }
";
const RULES: &str = "rules:\n  - name: failed\n    when: { state: failed }\n    notify: [oncall, hook]\n";

struct Variables(HashMap<&'static str, &'static str>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|&value| value.to_owned())
    }
    fn file(&self, path: &Path) -> Result<String, String> {
        fs::read_to_string(path).map_err(|_| "it does not exist".into())
    }
}

fn variables() -> Variables {
    Variables(
        [("ID", "app"), ("SECRET", "s3cret"), ("HOOK", "https://hooks.slack.com/services/T/B/x"), ("SHORT", "canary"), ("EMPTY", "")]
            .into(),
    )
}

fn load(config: &str, rules: &str) -> (tempfile::TempDir, Option<config::Config>, Faults) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/a.yaml"), rules).unwrap();
    fs::write(folder.path().join("jobrelay.yaml"), config).unwrap();
    let (config, faults) = config::load(&folder.path().join("jobrelay.yaml"), &variables());
    (folder, config, faults)
}

/// The errors as `line:column message`, those of other files than the config's with the file in front.
fn errors(folder: &Path, faults: &Faults) -> Vec<String> {
    let all = faults.sorted().into_iter().filter(|fault| fault.level == Level::Error);
    all.map(|fault| {
        let file = fault.place.source.path.strip_prefix(folder).unwrap().display().to_string();
        let file = if file == "jobrelay.yaml" { String::new() } else { format!("{file}:") };
        format!("{file}{}:{} {}", fault.place.line, fault.place.column, fault.message)
    })
    .collect()
}

/// The good config with one piece exchanged has exactly these errors.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert_eq!(GOOD.matches(from).count(), 1, "{from} stands once in the good config");
    let (folder, config, faults) = load(&GOOD.replace(from, to), RULES);
    assert_eq!(errors(folder.path(), &faults), expected, "{to}");
    assert_eq!(config.is_some(), expected.is_empty(), "{to}");
}

#[test]
fn the_good_one_is_read_as_it_stands() {
    let (folder, config, faults) = load(GOOD, RULES);
    assert_eq!(errors(folder.path(), &faults), Vec::<String>::new());
    let config = config.unwrap();
    assert_eq!(config.sources[0].poll_every, Duration::from_secs(60));
    assert_eq!(config.channels[0].give_up_after, Duration::from_secs(14 * 24 * 3600));
    assert_eq!(config.channels[0].common.timeout, Duration::from_secs(15));
    assert_eq!(config.storage.path, folder.path().join("jobs.db"));
    assert_eq!(config.digests[0].notify[0].as_str(), "oncall");
    let notices = config.notices.unwrap();
    assert_eq!((notices.source_down_after, notices.channel_down_after), (Duration::from_secs(900), Duration::from_secs(900)));
    assert_eq!(config.rules.rules().len(), 1);
}

#[test]
fn each_mistake_is_told_where_it_stands() {
    for (from, to, expected) in [
        // Keys.
        ("    region: us", "    regoin: us", vec!["4:5 unknown key `regoin`"]),
        ("server:", "sever:", vec!["17:1 unknown key `sever`"]),
        ("    region: us", "    region: us\n    kind: aos_scan_jobs", vec!["5:5 the key `kind` stands here a second time"]),
        ("  hook:", "  oncall:", vec!["11:3 the key `oncall` stands here a second time", "rules/a.yaml:4:22 unknown channel `hook`"]),
        ("  hook:", "  ho/ok:", vec!["11:3 not a name: use letters, digits, `-`, `_` and `.`", "rules/a.yaml:4:22 unknown channel `hook`"]),
        ("    kind: slack\n", "", vec!["9:5 the key `kind` is missing"]),
        ("kind: slack", "kind: slak", vec!["9:11 unknown kind of channel `slak`"]),
        ("kind: aos_scan_jobs", "kind: aos_scan_job", vec!["3:11 unknown kind of source `aos_scan_job`"]),
        // Values.
        ("    region: us", "    poll_every: 1s", vec!["4:17 must be from 5s to 1h"]),
        (
            "    region: us",
            "    poll_every: soon",
            vec!["4:17 `soon` is no duration: write a number and a unit, as in 90s, 30m, 1h30m or 2d"],
        ),
        ("    region: us", "    start: [now]", vec!["4:12 expected text, found a list"]),
        ("    kind: slack", "    kind: slack\n    rate: often", vec!["10:11 `often` is no rate"]),
        ("    kind: slack", "    kind: slack\n    rate: 0 per second", vec!["10:11 `0 per second` is no rate"]),
        ("    kind: slack", "    kind: slack\n    template: loud", vec!["10:15 unknown template set `loud`"]),
        ("    kind: slack", "    kind: slack\n    timeout: 1d", vec!["10:14 must be from 0.1s to 10m"]),
        ("    kind: slack", "    kind: slack\n    give_up_after: 0s", vec!["10:20 must be from 1s to 366d"]),
        ("    kind: slack", "    kind: slack\n    fallback: hok", vec!["10:15 unknown channel `hok`"]),
        ("    kind: slack", "    kind: slack\n    fallback: oncall", vec!["10:15 a channel can't fall back on itself"]),
        ("keep: 90d", "keep: 90", vec!["18:41 `90` is no duration: write a number and a unit, as in 90s, 30m, 1h30m or 2d"]),
        ("sqlite:jobs.db", "mysql://h/db", vec!["18:17 not the URL of a database"]),
        ("sqlite:jobs.db", "postgres://u:canary@h/db", vec!["18:17 this version does not have PostgreSQL yet"]),
        ("'127.0.0.1:0'", "'localhost'", vec!["17:19 `localhost` is no address to listen on"]),
        ("'127.0.0.1:0'", "'0.0.0.0:80'", vec!["17:19 an address that others can reach needs a `token`"]),
        ("'127.0.0.1:0'", "'[::]:80', token: short", vec!["17:37 the token is shorter than 16 characters"]),
        ("'127.0.0.1:0'", "'127.0.0.1:0', public_url: jobrelay", vec!["17:46 not an address of a web page"]),
        // What is filled in is never repeated.
        ("'127.0.0.1:0'", "'${SHORT}'", vec!["17:19 not an address to listen on"]),
        ("keep: 90d", "keep: '${SHORT}'", vec!["18:41 not a duration: write a number and a unit, as in 90s, 30m, 1h30m or 2d"]),
        ("    kind: slack", "    kind: slack\n    rate: ${SHORT}", vec!["10:11 not a rate"]),
        ("${SECRET}", "${NOT_SET}", vec!["6:20 the environment variable NOT_SET is not set: set it, or write ${NOT_SET:-default}"]),
        // What a channel refers to is told though something else in it is wrong; so is a region beside a wrong environment.
        (
            "kind: slack\n",
            "kind: slack\n    timeout: 1d\n    template: loud\n    fallback: hok\n    colour: red\n",
            vec![
                "10:14 must be from 0.1s to 10m",
                "11:15 unknown template set `loud`",
                "12:15 unknown channel `hok`",
                "13:5 unknown key `colour`",
            ],
        ),
        (
            "kind: slack\n",
            "kind: slak\n    template: loud\n    fallback: hok\n",
            vec!["9:11 unknown kind of channel `slak`", "10:15 unknown template set `loud`", "11:15 unknown channel `hok`"],
        ),
        ("    region: us", "    region: xx\n    environment: moon", vec!["4:13 unknown region `xx`", "5:18 unknown environment `moon`"]),
        ("    region: us", "    page_size: 1.5", vec!["4:16 expected a whole number, found one with a point"]),
        // Digests and notices.
        ("0 8 * * mon-fri", "0 8 * *", vec!["15:24 `0 8 * *` is no schedule: it has 4 fields"]),
        ("0 8 * * mon-fri", "0 0 30 2 *", vec!["15:24 `0 0 30 2 *` is no schedule: no such time ever comes"]),
        ("Europe/Zurich", "Europe/Zürich", vec!["15:53 unknown time zone `Europe/Zürich`"]),
        ("notify: [oncall] }\nnotices", "notify: [oncal] }\nnotices", vec!["15:77 unknown channel `oncal`"]),
        ("notify: [oncall] }\nnotices", "notify: [] }\nnotices", vec!["15:76 the list is empty"]),
        ("notify: [oncall] }\nnotices", "notify: oncall, skip_empty: 1 }\nnotices", vec!["15:96 expected true or false, found a number"]),
        ("notices: { notify: [oncall] }", "notices: { notify: [oncall], source_down_after: 1s }", vec!["16:49 must be from 1m to 7d"]),
        ("notices: { notify: [oncall] }", "notices: { notify: [oncall], channel_down_after: 8d }", vec!["16:50 must be from 1s to 7d"]),
        ("notices: { notify: [oncall] }", "notices: [oncall]", vec!["16:10 expected the notices' settings, found a list"]),
    ] {
        check(from, to, &expected);
    }
}

#[test]
fn what_the_config_can_say_it_may_say() {
    for (from, to) in [
        ("    region: us", "    poll_every: 1h\n    start: 24h"),
        ("    kind: slack", "    kind: slack\n    rate: 30 per minute\n    fallback: hook\n    timeout: 500ms"),
        ("    kind: slack", "    kind: slack\n    rate: unlimited\n    give_up_after: 1w"),
        ("    kind: slack", "    kind: slack\n    rate: 5 per 10s\n    template: alert"),
        ("sqlite:jobs.db", "sqlite:///var/lib/jobs.db"),
        ("'127.0.0.1:0'", "'[::1]:8080'"),
        ("'127.0.0.1:0'", "'0.0.0.0:80', token: 0123456789abcdef"),
        ("server: { listen: '127.0.0.1:0' }\n", ""),
        ("storage: { url: 'sqlite:jobs.db', keep: 90d }\n", "storage: {}\n"),
        ("timezone: Europe/Zurich, notify: [oncall]", "notify: oncall, when: { state: failed }, skip_empty: true"),
    ] {
        check(from, to, &[]);
    }
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once_with_the_nearest_name() {
    let wrong =
        GOOD.replace("region: us", "regoin: us").replace("kind: slack", "kind: slak").replace("90d", "90").replace("sqlite:", "sqlit:");
    let rules = format!("{}{}", RULES.replace("hook", "hok"), "  - nmae: x\n");
    let (folder, config, faults) = load(&wrong, &rules);
    assert!(config.is_none());
    let told = errors(folder.path(), &faults);
    for start in ["4:5 ", "9:11 ", "18:17 ", "18:40 ", "rules/a.yaml:4:22 ", "rules/a.yaml:5:5 "] {
        assert!(told.iter().any(|told| told.starts_with(start)), "{start} in {told:?}");
    }
    let report = config::report(&faults, false);
    for hint in ["did you mean `region`?", "did you mean `slack`?", "did you mean `hook`?", "did you mean `name`?"] {
        assert!(report.contains(hint), "{hint} in {report}");
    }
    assert!(
        report.contains("jobrelay.yaml:9:11: error: unknown kind of channel `slak`\n  |\n9 |     kind: slak\n  |           ^^^^\n"),
        "{report}"
    );
}

/// A mistake that people make, the fault that it is, and what is said to do about it.
#[test]
fn what_people_write_by_mistake_is_answered_with_what_to_do() {
    let config = |from: &'static str, to: &'static str| (GOOD.replacen(from, to, 1), RULES.to_owned());
    let rules = |from: &'static str, to: &'static str| (GOOD.to_owned(), RULES.replacen(from, to, 1));
    let cases = [
        (config("    region", "\tregion"), "4:1 a tab stands in the indentation of this line", "indent with blanks"),
        (rules("    when:", "\twhen:"), "3:1 a tab stands in the indentation of this line", "indent with blanks"),
        (config("    kind: slack", "   kind: slack"), "10:8 mapping values are not allowed", "see the line above too"),
        (config("    kind: slack", "    kind:slack"), "10:8 mapping values are not allowed", "ends in a colon and a blank"),
        (rules("    notify", "   notify"), "4:4 while parsing a block collection", "is not indented as those above it"),
        (rules("{ state: failed }", "{ profile: *share* }"), "3:22 alias references unknown anchor", "stands in quotes"),
        (rules("{ state: failed }", "\n      duration: > 30m"), "4:17 while scanning a block scalar", "stands in quotes, as in \"> 30m\""),
        (config("'0 8 * * mon-fri'", "* 8 * * *"), "15:24 while scanning an anchor or alias", "stands in quotes"),
        (config("'sqlite:jobs.db'", "'sqlite:jobs.db"), "18:17 unclosed quote", "may be left open"),
        (
            rules("{ state: failed }", "\n    state: failed"),
            "3:9 expected a mapping of conditions, found nothing",
            "stand below it, indented deeper",
        ),
        (rules("when: { state: failed }", "state: failed"), "3:5 unknown key `state`", "`state` is a condition: it stands below `when`"),
        (rules("{ state: failed }", "[{ state: failed }]"), "3:11 expected a mapping of conditions, found a list", "leave the `-` out"),
        (rules("[oncall, hook]", "#oncall"), "4:11 expected text, found nothing", "`#` begins a comment"),
        (rules("failed }", "Partially Succeeded }"), "3:20 unknown state `Partially Succeeded`", "did you mean `finished_with_exception`?"),
        (rules("{ state: failed }", "\n      state: failed, stopped"), "4:14 unknown state `failed, stopped`", "a list, as in [a, b]"),
        (rules("[oncall, hook]", "oncall, hook"), "4:13 unknown channel `oncall, hook`", "a list, as in [a, b]"),
        (rules("state: failed", "finished: { days: Mon-Fri }"), "3:31 unknown day `Mon-Fri`", "write it in small letters, as `mon-fri`"),
        (rules("state: failed", "finished: { between: ['8:00', '9:00'] }"), "3:34 expected text, found a list", "as in \"22:00-06:00\""),
        ((GOOD.to_owned(), "- name: a\n".to_owned()), "1:1 expected a mapping with the key `rules`, found a list", "write `rules:`"),
        (rules("  - name: failed\n", "  failed:\n"), "2:3 expected a list of rules, found a mapping", "each rule begins with a `-`"),
        (config("digests:", "rules: []\ndigests:"), "14:1 unknown key `rules`", "rules/*.yaml beside this one"),
        ((GOOD.to_owned(), "rules: []\ntests: []\n".to_owned()), "2:1 unknown key `tests`", "rules/tests/*.yaml"),
        (
            config("  contoso:\n    kind", "  - name: contoso\n    kind"),
            "2:3 expected a mapping from each source's name",
            "leave the `-` out",
        ),
        (config("region: us", "region: us\n    page_size: \"100\""), "5:16 expected a whole number, found text", "without quotes"),
        (config("region: us", "region: ${EMPTY}"), "4:13 the value filled in is empty: it is no region", "one of au"),
        (
            config("${HOOK}", "\"https://hooks.slack.com/services/\n      T/B/x\""),
            "10:10 `url` has a blank or a line break in it",
            "as one line",
        ),
    ];
    for ((config, rules), fault, hint) in cases {
        let (folder, _, faults) = load(&config, &rules);
        drop(folder);
        let told = |fault: &jobrelay::document::Fault| {
            let message = fault.message.strip_prefix("not valid YAML: ").unwrap_or(&fault.message).to_owned();
            (format!("{}:{} {message}", fault.place.line, fault.place.column), fault.hint.clone().unwrap_or_default())
        };
        let all: Vec<_> = faults.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(told).collect();
        assert!(all.iter().any(|(told, do_this)| told.starts_with(fault) && do_this.contains(hint)), "{fault} ({hint}) in {all:#?}");
    }
}

#[test]
fn a_variable_in_the_form_of_another_tool_is_warned_of_and_not_repeated() {
    for form in ["$AOS_SECRET", "$env:AOS_SECRET", "$(AOS_SECRET)", "'%AOS_SECRET%'"] {
        let (_folder, config, faults) = load(&GOOD.replace("${SECRET}", form), RULES);
        assert!(config.is_some(), "{form}: it may be a password");
        let told: Vec<_> = faults.sorted().into_iter().filter(|fault| fault.message.contains("looks like a variable")).collect();
        assert_eq!(told.iter().map(|fault| (fault.level, fault.place.line)).collect::<Vec<_>>(), [(Level::Warning, 6)], "{form}");
        assert!(!config::report(&faults, false).contains("AOS_SECRET"), "{form}");
    }
    let (_folder, _, faults) = load(&GOOD.replace("${SECRET}", "$ecret"), RULES);
    assert!(!faults.sorted().iter().any(|fault| fault.message.contains("looks like a variable")));
}

#[test]
fn of_a_wrong_schedule_each_wrong_field_is_told() {
    for (schedule, expected) in [
        ("60 8 * * *", vec!["15:25 the minute of this schedule can't be `60`"]),
        ("0 24 * * *", vec!["15:27 the hour of this schedule can't be `24`"]),
        ("0  8 0 * *", vec!["15:30 the day of the month of this schedule can't be `0`"]),
        ("0 8 * 13 *", vec!["15:31 the month of this schedule can't be `13`"]),
        ("0 8 * * mo-fri", vec!["15:33 the day of the week of this schedule can't be `mo-fri`"]),
        ("0 8 * * 1-8", vec!["15:33 the day of the week of this schedule can't be `1-8`"]),
        (
            "0 8:30 * * x",
            vec!["15:27 the hour of this schedule can't be `8:30`", "15:36 the day of the week of this schedule can't be `x`"],
        ),
        ("0 0 8 * * *", vec!["15:24 `0 0 8 * * *` is no schedule: it has 6 fields"]),
    ] {
        check("0 8 * * mon-fri", schedule, &expected);
    }
    let (_, _, faults) = load(&GOOD.replace("0 8 * * mon-fri", "0 24 * * *"), RULES);
    let report = config::report(&faults, false);
    assert!(report.contains(" ^^\n"), "{report}");
    assert!(report.contains("0 to 23; also `*`"), "{report}");
}

#[test]
fn a_digest_of_running_jobs_is_told_for_it_is_of_jobs_that_ended() {
    let warned = |when: &str, at: &str| {
        let config = GOOD.replace("notify: [oncall] }\nnotices", &format!("notify: [oncall], when: {when} }}\nnotices"));
        let (folder, config, faults) = load(&config, RULES);
        assert!(config.is_some(), "{faults:?}");
        let column = 92 + when.find(at).unwrap();
        let told = faults.sorted();
        assert_eq!(told.len(), 1, "{when}: {}", config::report(&faults, false));
        assert_eq!((told[0].level, told[0].place.line, told[0].place.column), (Level::Warning, 15, column), "{when}");
        drop(folder);
        format!("{} ({})", told[0].message, told[0].hint.as_deref().unwrap_or_default())
    };
    let never = "no job can ever be in this digest: a digest is of jobs that ended, and this asks for those that run \
                 (name how they ended, as in `state: failed`; a rule with `state: running` tells of jobs that run)";
    for when in ["{ state: running }", "{ all: [{ state: [running] }], profile: 'a*' }", "{ expr: 'job.state == \"running\"' }"] {
        let when = when.replace('\'', if when.contains("expr") { "'" } else { "\"" });
        assert_eq!(warned(&when, "{"), never);
    }
    let among = "a digest is of jobs that ended: none in it is ever `running` (leave `running` out)";
    assert_eq!(warned("{ state: [failed, running] }", "running"), among);
    let branch = "this branch can never match: a digest is of jobs that ended, and this asks for those that run \
                  (name how they ended, as in `state: failed`; a rule with `state: running` tells of jobs that run)";
    assert_eq!(warned("{ any: [{ state: failed }, { state: running, profile: a }] }", "{ state: running"), branch);
    assert!(warned("{ state: failed, not: { state: failed } }", "{").starts_with("no job can ever be in this digest: its conditions"));
}

#[test]
fn a_digests_conditions_are_read_as_a_rules() {
    check("notify: [oncall] }\nnotices", "notify: [oncall], when: { state: faild } }\nnotices", &["15:101 unknown state `faild`"]);
    check("notify: [oncall] }\nnotices", "notify: [oncall], when: { sate: failed } }\nnotices", &["15:94 unknown key `sate`"]);
    check(
        "notify: [oncall] }\nnotices",
        "notify: [oncall], when: { streak: 3, state: failed } }\nnotices",
        &["15:92 a digest's `when` can't look at the jobs before: no `streak`, `count`, `previous` or `slower_than_usual`"],
    );
}

#[test]
fn a_template_that_its_channel_would_refuse_is_told_at_its_file() {
    let home = Home::new(GOOD, RULES);
    fs::create_dir_all(home.path("templates/alert")).unwrap();
    fs::write(home.path("templates/alert/slack.json.hbs"), "{ \"blocks\": 5 }").unwrap();
    let (config, faults) = config::load(&home.path("jobrelay.yaml"), &variables());
    assert!(config.is_none());
    let report = config::report(&faults, false);
    assert!(report.contains("templates/alert/slack.json.hbs:1:1: error: "), "{report}");
    // A fault elsewhere does not put it off to the next time.
    fs::write(home.path("jobrelay.yaml"), GOOD.replace("keep: 90d", "keep: 90")).unwrap();
    let (_, faults) = config::load(&home.path("jobrelay.yaml"), &variables());
    let told = errors(home.path("").as_path(), &faults);
    assert!(told.len() == 2 && told.iter().any(|told| told.starts_with("18:41 ")), "{told:?}");
    assert!(config::report(&faults, false).contains("templates/alert/slack.json.hbs:1:1: error: "), "{told:?}");
    // Where no channel has a use for it, it does no harm.
    fs::write(home.path("jobrelay.yaml"), GOOD.replace("kind: slack", "kind: webhook")).unwrap();
    let (config, faults) = config::load(&home.path("jobrelay.yaml"), &variables());
    assert!(config.is_some(), "{}", config::report(&faults, false));
}

#[test]
fn fallbacks_in_a_circle_are_told_once() {
    let circle =
        GOOD.replace("kind: slack", "kind: slack\n    fallback: hook").replace("kind: webhook", "kind: webhook\n    fallback: oncall");
    let (folder, _, faults) = load(&circle, RULES);
    assert_eq!(errors(folder.path(), &faults), ["10:15 fallbacks lead in a circle: oncall, then hook, then oncall"]);
}

#[test]
fn without_sources_or_channels_it_says_what_to_do() {
    let (folder, _, faults) = load("", "");
    assert_eq!(errors(folder.path(), &faults), ["1:1 expected a mapping with `sources` and `channels`, found nothing"]);
    let (folder, _, faults) = load("sources:\nchannels: {}\n", "");
    assert_eq!(errors(folder.path(), &faults), ["1:8 there is no source", "2:11 there is no channel"]);
    assert!(config::report(&faults, false).contains("jobrelay init"));
}

#[test]
fn what_works_but_surely_not_as_meant_is_warned_of() {
    let warnings = |config: &str, rules: &str| {
        let (_folder, config, faults) = load(config, rules);
        assert!(config.is_some(), "{}", config::report(&faults, false));
        faults.sorted().iter().map(|fault| fault.message.clone()).collect::<Vec<_>>()
    };
    let unused = warnings(GOOD, &RULES.replace("[oncall, hook]", "oncall"));
    assert!(unused.iter().any(|message| message.contains("`hook`")), "{unused:?}");
    let none = warnings(GOOD, "");
    assert!(none.iter().any(|message| message.contains("no rule")), "{none:?}");
    let placeholder = warnings(&GOOD.replace("${SECRET}", "${NOT_SET:-replace-me}"), RULES);
    assert!(placeholder.iter().any(|message| message.contains("placeholder")), "{placeholder:?}");
    let open = warnings(&GOOD.replace("${SECRET}", "literal"), RULES);
    assert!(open.iter().any(|message| message.contains("other users")), "{open:?}");
    assert!(!warnings(GOOD, RULES).iter().any(|message| message.contains("other users")));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let (folder, config, faults) = load(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n")), RULES);
    assert_eq!(errors(folder.path(), &faults), Vec::<String>::new());
    assert!(config.is_some());
}

const CANARY: &str = "CANARY-9d1f";

/// Every secret field holds the canary; the ways in which such a file can be broken.
fn canaries() -> Vec<String> {
    let good = format!(
        "sources:\n  contoso:\n    kind: aos_scan_jobs\n    base_url: http://127.0.0.1:9\n    token_url: http://127.0.0.1:9/token\n    client_id: app\n    client_secret: '{CANARY}'\nchannels:\n  oncall: {{ kind: slack, url: 'http://127.0.0.1:9/{CANARY}' }} # {CANARY}\n  scans:\n    kind: teams\n    url: \"http://127.0.0.1:9/{CANARY}\"\n  admins:\n    kind: email\n    smtp: smtp://user:{CANARY}@127.0.0.1:9\n    from: a@contoso.example\n    to: [b@contoso.example]\n  hook:\n    kind: webhook\n    url: http://127.0.0.1:9/{CANARY}\n    secret: {CANARY}-0123456789-0123456789\n    headers: {{ Authorization: 'Bearer {CANARY}' }}\nserver: {{ listen: '127.0.0.1:0', token: {CANARY}-0123456789 }}\nstorage: {{ url: 'sqlite:jobs.db' }}\n"
    );
    let mut broken: Vec<String> = vec![good.clone()];
    // Each line: its key mistyped, its value of another shape, its quotes and brackets left open, a tab, a sign too many.
    let lines: Vec<&str> = good.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let with = |changed: String| {
            let mut lines = lines.clone();
            lines[at] = &changed;
            lines.join("\n") + "\n"
        };
        let Some((key, value)) = line.split_once(':') else { continue };
        broken.push(with(format!("{key}x:{value}")));
        broken.push(with(format!("{key}:{}", value.trim_start())));
        broken.push(with(format!("{line}\n{line}")));
        broken.push(with(format!("{key}: [{value}]")));
        broken.push(with(format!("{key}: {{ a:{value} }}")));
        broken.push(with(format!("{key}: [{value}")));
        broken.push(with(format!("{key}: \"{value}")));
        broken.push(with(format!("{key}: *{}", value.trim_start())));
        broken.push(with(format!("{key}: !{}", value.trim_start())));
        broken.push(with(format!("{key}: !!int {}", value.trim_start())));
        broken.push(with(format!("{key}: @{}", value.trim_start())));
        broken.push(with(format!("{key}: x: {}", value.trim_start())));
        broken.push(with(format!("{key} {value}")));
        broken.push(with(format!("\t{line}")));
        broken.push(with(format!("{line} }} ]")));
        broken.push(with(format!("{key}: |\n{value}\n    {CANARY}")));
        broken.push(with(format!("{key}: '{value}\n{CANARY}")));
    }
    broken
}

#[test]
fn no_secret_is_ever_shown_however_broken_the_file() {
    let rules = "rules:\n  - name: failed\n    when: { state: failed }\n    notify: [oncall, scans, admins, hook]\n";
    let mut leaks = Vec::new();
    for broken in canaries() {
        let (_folder, config, faults) = load(&broken, rules);
        let listing = serde_json::to_string(&config::listing(&faults)).unwrap();
        for shown in [config::report(&faults, false), config::report(&faults, true), listing, format!("{config:?}")] {
            leaks.extend(shown.lines().filter(|line| line.contains(CANARY)).map(str::to_owned));
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn no_command_shows_a_secret() {
    let canaries = canaries();
    let rules = "rules:\n  - name: failed\n    when: { state: failed }\n    notify: [oncall, scans, admins, hook]\n";
    for config in [&canaries[0], &canaries[1], &canaries[9], &canaries[50]] {
        let home = Home::new(config, rules);
        for args in [
            vec!["check"],
            vec!["check", "--connect"],
            vec!["check", "--format", "json"],
            vec!["send", "oncall"],
            vec!["send", "hook"],
            vec!["send", "admins"],
            vec!["--log-level", "trace", "send", "scans"],
            vec!["jobs"],
        ] {
            let output = home.run(&args);
            let shown = text(&output.stdout) + &text(&output.stderr);
            assert!(!shown.contains(CANARY), "{args:?}\n{shown}");
        }
    }
}

#[test]
fn hostile_files_are_refused_in_good_time() {
    let bomb = ('b'..='m').fold("a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, name| {
        let before = char::from_u32(name as u32 - 1).unwrap();
        format!("{text}{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","))
    });
    for hostile in [bomb, "[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        for (config, rules) in [(hostile.as_str(), RULES), (GOOD, hostile.as_str())] {
            let began = Instant::now();
            let (_folder, config, faults) = load(config, rules);
            assert!(config.is_none() && faults.any_error());
            let _ = config::report(&faults, false);
            // Milliseconds where the machine is idle; without their bounds, minutes and more.
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        }
    }
}

#[test]
fn a_pipe_among_the_rules_is_refused_and_not_waited_for() {
    let home = Home::new(GOOD, RULES);
    assert!(std::process::Command::new("mkfifo").arg(home.path("rules/pipe.yaml")).status().unwrap().success());
    let (_, faults) = config::load(&home.path("jobrelay.yaml"), &variables());
    assert!(config::report(&faults, false).contains("pipe.yaml: error: can't read this file: it is no regular file"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_makes_it_panic(at in 0..GOOD.len(), cut in 0..40_usize, put in "[ -~\n]{0,12}|\u{feff}|\t|ä|&a |\\*a|<<: |!!int |\\$\\{|\\}") {
        let end = (at + cut).min(GOOD.len());
        let (_folder, config, faults) = load(&format!("{}{put}{}", &GOOD[..at], &GOOD[end..]), RULES);
        prop_assert_eq!(config.is_some(), !faults.any_error());
        let _ = config::report(&faults, true);
    }
}

#[test]
fn what_init_writes_passes_check_with_nothing_set_and_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let jobrelay = |args: &[&str]| command(folder.path()).args(args).output().unwrap();
    let init = jobrelay(&["init", "new/home"]);
    assert!(init.status.success(), "{}", text(&init.stderr));
    for file in ["jobrelay.yaml", ".env.example", "rules/failures.yaml", "rules/tests/failures.yaml", "templates/README.md"] {
        assert!(folder.path().join("new/home").join(file).is_file(), "{file}");
    }
    let check = jobrelay(&["--config", "new/home/jobrelay.yaml", "check"]);
    assert!(check.status.success(), "{}{}", text(&check.stdout), text(&check.stderr));
    assert!(text(&check.stdout).contains("placeholder") && text(&check.stdout).contains("ok: 1 source"), "{}", text(&check.stdout));
    let run = jobrelay(&["--config", "new/home/jobrelay.yaml", "run"]);
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run.stderr).contains(".env.example"), "{}", text(&run.stderr));
    // What it says comes next can be typed as it stands.
    let told = text(&init.stdout);
    let steps: Vec<&str> = told.split_once("\nNext:\n").unwrap().1.lines().map(|line| line.trim().split("   ").next().unwrap()).collect();
    assert_eq!(steps.len(), 5, "{told}");
    let typed = format!("{}\n{}\necho \"$AOS_CLIENT_ID of $SLACK_WEBHOOK_URL\"", steps[0], steps[1]);
    let shell = std::process::Command::new("sh").args(["-e", "-c", &typed]).current_dir(folder.path()).output().unwrap();
    assert_eq!(text(&shell.stdout), "replace-me of https://hooks.slack.com/services/replace-me\n", "{typed}: {}", text(&shell.stderr));
    for step in &steps[2..] {
        let args: Vec<&str> = step.split_whitespace().skip(1).chain(["--help"]).collect();
        assert!(jobrelay(&args).status.success() && step.starts_with("jobrelay --config new/home/jobrelay.yaml "), "{step}");
    }

    let again = jobrelay(&["init", "new/home"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("new/home/jobrelay.yaml"), "{}", text(&again.stderr));
    fs::remove_dir_all(folder.path().join("new/home/rules")).unwrap();
    assert_eq!(jobrelay(&["init", "new/home"]).status.code(), Some(1));
    assert!(!folder.path().join("new/home/rules").exists(), "nothing is written where anything is in the way");
}

#[test]
fn every_variable_of_inits_config_is_in_its_list() {
    let folder = tempfile::tempdir().unwrap();
    assert!(command(folder.path()).args(["init"]).status().unwrap().success());
    let config = fs::read_to_string(folder.path().join("jobrelay.yaml")).unwrap();
    let list = fs::read_to_string(folder.path().join(".env.example")).unwrap();
    let body = config.split_once("\nsources:").unwrap().1;
    for (_, name) in regex::Regex::new(r"\$\{([A-Z_]+)").unwrap().captures_iter(body).map(|found| found.extract::<1>()) {
        assert!(list.contains(&format!("{}=", name[0])), "{} in {list}", name[0]);
    }
    #[cfg(unix)]
    for file in ["jobrelay.yaml", ".env.example"] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_tells_what_came_of_each_and_fails_if_one_does() {
    let upstream = crate::common::upstream::Upstream::start().await;
    let channels = "channels:\n  hook: { kind: webhook, url: 'http://127.0.0.1:1/' }\n";
    let home = Home::new(&format!("{}{channels}", upstream.config()), "");
    let good = home.run(&["check", "--connect"]);
    assert!(good.status.success(), "{}", text(&good.stderr));
    assert!(text(&good.stderr).contains("source contoso: ok") && text(&good.stderr).contains("channel hook: ok"), "{}", text(&good.stderr));
    let mail = "  admins: { kind: email, smtp: 'smtp://127.0.0.1:1', from: a@contoso.example, to: b@contoso.example }\n";
    fs::write(home.path("jobrelay.yaml"), format!("{}{channels}{mail}", upstream.config())).unwrap();
    let bad = home.run(&["check", "--connect"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        text(&bad.stderr).contains("source contoso: ok") && text(&bad.stderr).contains("channel admins: error: "),
        "{}",
        text(&bad.stderr)
    );
}

#[test]
fn a_value_a_page_long_makes_no_message_a_page_long() {
    let wrong = GOOD.replace("'127.0.0.1:0'", &format!("'{}'", "ä".repeat(5_000)));
    let (_folder, _, faults) = load(&wrong, RULES);
    for line in config::report(&faults, false).lines() {
        assert!(line.chars().count() < 600, "{line}");
    }
}

#[test]
fn a_log_in_json_stays_json_when_the_config_is_wrong() {
    let home = Home::new("sources: {}\nchanels: {}\n", "");
    let output = home.run(&["--log-format", "json", "run"]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<serde_json::Value> = text(&output.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let unknown = lines.iter().find(|line| line["message"] == "unknown key `chanels`").unwrap();
    assert_eq!((&unknown["line"], &unknown["column"]), (&2.into(), &1.into()));
    assert_eq!(unknown["hint"], "did you mean `channels`?");
    // What looks into the store alone is stopped by what is wrong with the store's own part alone.
    let home = Home::new("sources: {}\nstorage: { ur: 'sqlite:x.db' }\nchanels: {}\n", "");
    for command in [vec!["jobs"], vec!["explain", "x"], vec!["send", "oncall"], vec!["deliveries", "retry", "--dead"]] {
        let output = home.run(&[&["--log-format", "json"], command.as_slice()].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let lines: Vec<serde_json::Value> = text(&output.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().any(|line| line["message"] == "unknown key `ur`" && line["line"] == 2), "{command:?}: {lines:?}");
        let whole = lines.iter().any(|line| line["message"] == "unknown key `chanels`" && line["line"] == 3);
        assert_eq!(whole, command[0] == "send", "{command:?}: {lines:?}");
    }
    // What is wrong with the command, and not with the config, too.
    let home = Home::new(GOOD, RULES);
    let output = home
        .command(&["--log-format", "json", "jobs"])
        .env("ID", "a")
        .env("SECRET", "b")
        .env("HOOK", "https://hooks.slack.com/services/T/B/x")
        .output()
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(text(&output.stderr).lines().last().unwrap()).unwrap();
    assert!(line["message"].as_str().unwrap().contains("has `jobrelay run` ever run"), "{line}");
}

#[test]
fn every_file_among_the_rules_is_read_or_told_of() {
    let home = Home::new(GOOD, RULES);
    for folder in ["sub", "tests", "folder.yaml", "notes", "..data", "empty"] {
        fs::create_dir(home.path("rules").join(folder)).unwrap();
    }
    for file in ["loud.YAML", "sub/x.yml", "tests/t.yaml", "notes/a.txt", "..data/x.yaml", ".x.yaml", "x.yaml~", "readme.md"] {
        fs::write(home.path("rules").join(file), "").unwrap();
    }
    let (config, faults) = config::load(&home.path("jobrelay.yaml"), &variables());
    assert!(config.is_some());
    let rules = home.path("rules");
    let told: Vec<String> = faults
        .sorted()
        .iter()
        .filter_map(|fault| Some(format!("{} {}", fault.place.source.path.strip_prefix(&rules).ok()?.display(), fault.message)))
        .collect();
    assert_eq!(
        told,
        [
            "folder.yaml this is a folder, and no rule files are read from folders in rules/",
            "loud.YAML this file is not read: rule files end in .yaml or .yml, in small letters",
            "sub this is a folder, and no rule files are read from folders in rules/",
        ]
    );
}

#[test]
fn every_file_among_the_rule_tests_and_the_templates_is_read_or_told_of() {
    let home = Home::new(&GOOD.replace("${HOOK}", "http://127.0.0.1:9/").replace("kind: slack", "kind: webhook"), RULES);
    for folder in ["rules/tests/sub", "templates/Alert", "templates/alert", "templates/loud"] {
        fs::create_dir_all(home.path(folder)).unwrap();
    }
    let own = "{ \"text\": \"{{job.id}}\" }";
    for (file, content) in [
        ("rules/tests/a.yml", "tests: [{ name: none, jobs: [{ state: finished }], expect: [] }]"),
        ("rules/tests/b.YML", ""),
        ("rules/tests/c.json", "{}"),
        ("rules/tests/d.yaml.bak", ""),
        ("rules/tests/notes.txt", ""),
        ("rules/tests/e.yaml.txt", ""),
        ("rules/tests/sub/f.yaml", ""),
        ("templates/Alert/webhook.json.hbs", own),
        ("templates/alert/webhook.json", own),
        ("templates/loud/webhook.json.hbs", own),
        ("templates/email.html", ""),
        ("templates/README.md", ""),
    ] {
        fs::write(home.path(file), content).unwrap();
    }
    let output = home.command(&["check", "--format", "json"]).env("ID", "app").env("SECRET", "s").output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text_of(&output)));
    let told: Vec<String> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} ({})", one["file"].as_str().unwrap(), one["message"].as_str().unwrap(), one["hint"].as_str().unwrap()))
        .filter(|line| line.starts_with("rules/tests/") || line.starts_with("templates/"))
        .collect();
    let tests = "this file is not read: rule tests end in .yaml or .yml, in small letters (rename it)";
    assert_eq!(
        told,
        [
            format!("rules/tests/b.YML {tests}"),
            format!("rules/tests/c.json {tests}"),
            format!("rules/tests/e.yaml.txt {tests}"),
            "rules/tests/sub this is a folder, and no rule tests are read from folders in rules/tests/ (put rule tests into rules/tests/ itself, and rename or move this folder)".into(),
            "templates/Alert no channel and no rule uses the template set `Alert` (did you mean `alert`? a folder of that name takes the place of what is built in)".into(),
            "templates/alert/webhook.json no channel uses a file named `webhook.json` (did you mean `webhook.json.hbs`?)".into(),
            "templates/email.html the file stands outside of any set and is not used (a set is a folder: move it to a path such as templates/alert/email.html.hbs)".into(),
            "templates/loud no channel and no rule uses the template set `loud` (write `template: loud` at a channel or a rule, or remove the folder)".into(),
        ]
    );
    // The same of the tests alone.
    let (said, tested) = (home.run(&["test"]), "rules/tests/b.YML: warning: ");
    assert!(text(&said.stdout).contains(tested) && said.status.success(), "{}", text_of(&said));
}

fn text_of(output: &std::process::Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_rule_with_both_when_and_missing_has_the_faults_of_each_told() {
    let rules = "rules:\n  - name: a\n    when: { state: faild }\n    missing: { profile: x, evry: 1h }\n    notify: [oncall, hook]\n";
    let (folder, _, faults) = load(GOOD, rules);
    assert_eq!(
        errors(folder.path(), &faults),
        [
            "rules/a.yaml:3:20 unknown state `faild`",
            "rules/a.yaml:4:5 `missing` stands in place of `when`: a rule has one of them",
            "rules/a.yaml:4:14 the key `every` is missing",
            "rules/a.yaml:4:28 unknown key `evry`"
        ]
    );
}

#[test]
fn a_config_that_is_no_yaml_hides_nothing_of_the_rules() {
    let (folder, config, faults) = load("a: [", &RULES.replace("state: failed", "state: faild, source: [contoso, 7]"));
    assert!(config.is_none());
    assert_eq!(errors(folder.path(), &faults), ["1:4 not valid YAML: unclosed bracket '['", "rules/a.yaml:3:20 unknown state `faild`"]);
}

#[test]
fn exit_codes_tell_a_wrong_config_from_a_wrong_command_line() {
    let home = Home::new("sources: {}\n", "");
    for (args, code) in [
        (vec!["check"], 1),
        (vec!["run"], 1),
        (vec!["--config", "nowhere.yaml", "check"], 1),
        (vec!["chekc"], 2),
        (vec![], 2),
        (vec!["check", "--format", "xml"], 2),
        (vec!["completions", "tcsh"], 2),
        (vec!["--log-level", "silly", "completions", "bash"], 2),
        (vec!["--log-level", "a=b=c", "completions", "bash"], 2),
        (vec!["--log-level", "warn,jobrelay=debug", "completions", "bash"], 0),
        (vec!["--log-level", "OFF", "completions", "bash"], 0),
        (vec!["--log-level", "", "completions", "bash"], 0),
        (vec!["completions", "bash"], 0),
        (vec!["completions", "fish"], 0),
        (vec!["--version"], 0),
        (vec!["--help"], 0),
    ] {
        assert_eq!(home.run(&args).status.code(), Some(code), "{args:?}");
    }
    for unset in ["JOBRELAY_CONFIG", "RUST_LOG"] {
        let output = home.command(&["check"]).env(unset, "").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{unset} set to nothing is not set: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("jobrelay.yaml:1:1"), "{}", text(&output.stdout));
    }
    let json = home.run(&["check", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(listed[0]["message"], "there is no channel");
    assert_eq!((&listed[0]["file"], &listed[0]["line"], &listed[0]["column"]), (&"jobrelay.yaml".into(), &1.into(), &1.into()));
}
