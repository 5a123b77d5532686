//! What an expression says of a job, and why it may give no answer.

use super::*;

#[test]
fn every_field_has_the_value_that_templates_show() {
    let finished = job(State::Finished, "scan sites", 2_520);
    for yes in [
        r#"job.id == "Scan1""#,
        r#"job.source == "contoso" && job.type == "microsoft_365" && job.category == "microsoft_365""#,
        r#"job.state in ["finished", "stopped"]"#,
        r#"job.started == timestamp("2024-09-26T11:18:00Z")"#,
        r#"job.finished > job.started && job.finished - job.started == duration("42m")"#,
        r#"job.duration == duration("42m") && job.duration.getMinutes() == 42"#,
        r#"job.finished.getHours("Europe/Zurich") == 14 && job.finished.getHours() == 12"#,
        "job.finished.getDayOfWeek() == 4",
        r#"job.profile.startsWith("scan") && job.profile.upperAscii() == "SCAN SITES" && job.profile.size() == 10"#,
        r#"job.profile.matches("^scan [a-z]+$") && !matches(job.profile, "x")"#,
        "job.extension == null",
        r#"job.profile.size() > 20 ? job.state == "failed" : true"#,
        r#"["a", "scan sites"].exists(x, x == job.profile) && [1, 2].map(x, x * 2) == [2, 4]"#,
        r#"string(job.duration) == "2520s" && int("3") + 1 == 4"#,
        "type(job.profile) == string",
        "has(job.finished) && has(job.profile) && !has(job.extension)",
        r#"{"contoso": 30, "fabrikam": 60}[job.source] == 30"#,
        r#"job.duration > (job.source == "contoso" ? duration("30m") : duration("1h"))"#,
    ] {
        check(yes, &finished, true);
    }
    check("job.duration > duration(\"1h\")", &finished, false);
    let mut bare = job(State::Skipped, "Prüfung", 60);
    (bare.started, bare.finished, bare.kind, bare.category) = (None, None, None, None);
    check("job.started == null && job.finished == null && job.type == null && job.category == null && job.duration == null", &bare, true);
    check("!has(job.started) && !has(job.type)", &bare, true);
    check("job.profile.size() == 7", &bare, true);
    check("job.type in [\"google\"]", &bare, false);
    check("job.state == \"43\"", &Job { state: State::from_code(43), ..job(State::Finished, "x", 1) }, true);
}

#[test]
fn the_age_of_a_running_job_counts_where_the_rule_names_its_state() {
    let (rules, faults) = rule(r#"{ state: running, expr: 'job.duration > duration("30m") && !has(job.finished)' }"#);
    assert!(faults.is_empty(), "{faults:?}");
    let matched = |seconds| rules.judge(&job(State::Running, "x", seconds), now()).len();
    assert_eq!((matched(1_801), matched(1_800)), (1, 0));
    check("job.duration > duration(\"1s\")", &job(State::Running, "x", 60), false);
}

#[test]
fn what_the_vendor_puts_there_is_in_reach() {
    let job =
        with_extension(serde_json::json!({ "objects": 12, "size": 2.5, "tags": ["a", "b"], "deep": { "er": true }, "big": u64::MAX }));
    for yes in [
        "job.extension.objects > 10",
        "job.extension.size > 2.0 && job.extension.deep.er",
        r#""b" in job.extension.tags && job.extension.tags.size() == 2"#,
        r#"job.extension.tags.exists(tag, tag.startsWith("b"))"#,
        r#"job.extension["objects"] == 12 && "deep" in job.extension"#,
        "has(job.extension.deep) && !has(job.extension.none)",
        "job.extension.big > 18446744073709551614u",
        "has(job.extension)",
    ] {
        check(yes, &job, true);
    }
}

#[test]
fn what_gives_no_answer_does_not_hold_and_says_why() {
    let plain = job(State::Finished, "scan sites", 2_520);
    let extended = with_extension(serde_json::json!({ "objects": "many", "list": [1] }));
    let mut bare = plain.clone();
    bare.started = None;
    for (expression, job, why) in [
        ("job.extension.objects > 3", &plain, "no answer: `.` can't be applied to null and text; job.extension null"),
        (
            "job.extension.nothing == 3",
            &extended,
            "no answer: there is no key `nothing`; job.extension {\"objects\":\"many\",\"list\":[1]}",
        ),
        (
            "job.extension.objects > 3",
            &extended,
            "no answer: `>` can't be applied to text and a number; job.extension {\"objects\":\"many\",\"list\":[1]}",
        ),
        (
            "job.extension.objects",
            &extended,
            "no answer: the answer is text, not true or false; job.extension {\"objects\":\"many\",\"list\":[1]}",
        ),
        (
            "job.extension.list[3] == 1",
            &extended,
            "no answer: a list is shorter than that; job.extension {\"objects\":\"many\",\"list\":[1]}",
        ),
        (
            "job.started < job.finished",
            &bare,
            "no answer: `<` can't be applied to null and a time; job.started null, job.finished 2024-09-26 12:00:00",
        ),
        ("1 / (job.profile.size() - 10) == 1", &plain, "no answer: it divides by zero; job.profile scan sites"),
        ("int(job.profile) == 1", &plain, "no answer: `int` can't make anything of its value; job.profile scan sites"),
        ("9223372036854775807 + job.profile.size() > 0", &plain, "no answer: a value is out of range; job.profile scan sites"),
    ] {
        found(expression, job, why);
        check(expression, job, false);
        // Nor does its opposite: there is no answer to turn round.
        check(&format!("!({expression})"), job, false);
    }
    found("job.duration > duration(\"1h\")", &plain, "false; job.duration 42m");
    found("job.duration > duration(\"30m\") && job.profile != \"\"", &plain, "true; job.duration 42m, job.profile scan sites");
}

#[test]
fn no_expression_looks_into_what_is_too_large() {
    let mut long = job(State::Finished, &"x".repeat(TEXT_BYTES + 1), 60);
    found(
        "job.profile.size() > 1 && false",
        &long,
        &format!("no answer: job.profile is longer than 1024 bytes: no expression looks into it; job.profile {}", long.profile),
    );
    check("job.state == \"finished\"", &long, true);
    long.profile = "x".repeat(TEXT_BYTES);
    check("job.profile.size() == 1024", &long, true);
    check("job.extension.size() > 1", &with_extension(serde_json::json!(vec![0; EXTENSION_VALUES])), false);
    check("job.extension.size() > 1", &with_extension(serde_json::json!(vec![0; EXTENSION_VALUES - 1])), true);
    check("job.extension != null", &with_extension(serde_json::json!("x".repeat(9_000))), false);
}

#[test]
fn that_there_was_no_answer_is_kept_once_for_a_rule_and_without_the_jobs_text() {
    let (rules, _) = rule("{ any: [{ expr: 'job.extension.objects > 3' }, { expr: 'job.profile == \"x\"' }] }");
    assert_eq!(rules.unanswered().count(), 0);
    for n in 0..5 {
        assert!(rules.judge(&with_extension(serde_json::json!({ "objects": format!("canary{n}") })), now()).is_empty());
    }
    let kept: Vec<_> = rules.unanswered().collect();
    let [one] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!((one.rule.as_str(), one.place.as_str(), one.why), ("r", "r.yaml:3:27", "`>` can't be applied to text and a number"));
    // Told once to whoever tells it as it comes, and still there for who sums up.
    assert_eq!((rules.newly_unanswered().count(), rules.newly_unanswered().count(), rules.unanswered().count()), (1, 0, 1));
}
