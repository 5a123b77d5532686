//! What is refused when an expression is read, and what is warned of.

use super::*;

#[test]
fn an_unknown_name_is_told_where_it_stands_with_the_nearest_known() {
    wrong("job.profil == \"a\"", "profil", "unknown field `job.profil` (did you mean `job.profile`?)");
    wrong("job.id != \"x\" || job . statee == \"a\"", "statee", "unknown field `job.statee` (did you mean `job.state`?)");
    wrong(
        "job.nothing",
        "nothing",
        "unknown field `job.nothing` (a job has id, source, type, state, started, finished, duration, profile, category, extension)",
    );
    wrong("jb.profile == \"a\"", "jb", "unknown name `jb` (did you mean `job`?)");
    wrong("profile == \"a\"", "profile", "unknown name `profile` (did you mean `job.profile`?)");
    wrong("job.state == failed", "failed", "unknown name `failed` (text stands in quotes; known here: job)");
    wrong("job.profile.startswith(\"a\")", "startswith", "unknown function `startswith` (did you mean `startsWith`?)");
    wrong("job.profile.exists(x)", "exists", "unknown function `exists` (`exists` is called as in job.extension.exists(x, x > 1))");
    wrong("size(lenght(job.profile)) > 1", "lenght", "unknown function `lenght`");
    wrong("contains(job.profile, \"a\")", "contains", "`contains` is not called in this way (write x.contains(…))");
    wrong("\"é\" == job.profil", "profil", "unknown field `job.profil` (did you mean `job.profile`?)");
    wrong("job == null", "job", "`job` stands here alone (write one of its fields, as in job.profile)");
    wrong("optional.of(1).hasValue()", "hasValue", "unknown function `hasValue`");
    wrong("job.profile.reverse() == \"a\"", "reverse", "unknown function `reverse`");
    wrong("[1].all(xy, xz > 1)", "xz", "unknown name `xz` (did you mean `xy`?)");
}

#[test]
fn kinds_are_checked() {
    wrong("job.profile", ".", "the expression gives text, not true or false (compare it, as in job.profile.size() > 20)");
    wrong("job.profile.size()", "(", "the expression gives a number, not true or false (compare it, as in job.profile.size() > 20)");
    wrong("job.state == 3", "==", "`==` can't be applied to text and a number (names, not numbers: job.state is \"failed\")");
    wrong("job.duration > \"30m\"", ">", "`>` can't be applied to a duration and text (write a duration as in duration(\"30m\"))");
    wrong("job.duration > 30", ">", "`>` can't be applied to a duration and a number (write a duration as in duration(\"30m\"))");
    wrong(
        "job.started > \"2024\"",
        ">",
        "`>` can't be applied to a time and text (write a time as in timestamp(\"2026-01-31T08:00:00Z\"))",
    );
    wrong("job.profile == null", "==", "`==` can't be applied to text and null (this is never null)");
    wrong("job.profile && true", ".", "text stands where true or false is wanted");
    wrong("1 + 2.0 > 2.0", "+", "`+` can't be applied to a number and a number (both must be of one sort: write 2.0, or double(x))");
    wrong("job.state in [1, 2]", "in", "`in` can't be applied to text and a list of numbers");
    wrong("job.profile.exists(x, x == \"a\")", ".", "text can't be gone through: only a list or a mapping can");
    wrong("job.profile.size(1) > 2", "size", "`size` can't be applied to text and a number");
    wrong("job.profile.name == \"a\"", "name", "text has no field `name`");
    wrong(
        "job.duration > duration(\"2d\")",
        "\"2d\"",
        "`duration` can't make anything of \"2d\" (its units are h, m, s and ms, as in duration(\"1h30m\"); a day is 24h)",
    );
    wrong(
        "job.started > timestamp(\"yesterday\")",
        "\"yes",
        "`timestamp` can't make anything of \"yesterday\" (write it as in timestamp(\"2026-01-31T08:00:00Z\"))",
    );
    wrong("job.finished.getHours(\"Zurich\") > 2", "\"Zur", "unknown time zone \"Zurich\" (write a name such as Europe/Zurich or UTC)");
    wrong("job.profile.matches(\"(a\")", "\"(a", "not a regular expression: unclosed group");
    wrong("job.profile.matches(job.id)", ".id", "the pattern of `matches` must stand in the expression (write it in quotes)");
    wrong(
        "job.profile.matches(\"\\\\w{1000}\")",
        "\"\\",
        "this regular expression is too large: compiled, it takes more than 262144 bytes",
    );
    wrong("Foo{a: 1}.a == 1", "{", "there are no types to make values of");
}

#[test]
fn what_is_no_expression_is_told_where_it_breaks() {
    let hint = "(write what is true of the jobs that are meant, as in job.profile.size() > 20)";
    assert_eq!(faults("job.profile =="), [format!("34 error: not an expression: mismatched input '<EOF>' {hint}")]);
    assert_eq!(faults("job.profile = \"a\""), [format!("32 error: not an expression: token recognition error at: '= ' {hint}")]);
    assert_eq!(faults(" "), [format!("19 error: the expression is empty {hint}")]);
    assert_eq!(faults(&format!("job.id == \"{}\"", "x".repeat(1_000))), ["19 error: the expression is longer than 1000 characters"]);
    let deep = faults(&format!("{}true{}", "(".repeat(200), ")".repeat(200)));
    assert!(deep[0].contains("nests deeper than 24"), "{deep:?}");
    let chain = faults(&format!("job.profile == {}", ["job.id"; 40].join(" + ")));
    assert!(chain[0].contains("lie deeper than 24"), "{chain:?}");
    assert!(faults("a.?b").len() == 1 && faults("`a`").len() == 1 && faults("true)").len() == 1 && faults("\"a").len() == 1);
}

#[test]
fn a_name_that_is_none_is_warned_of() {
    let told = |expression: &str| faults(expression).join("; ");
    assert_eq!(told("job.state == \"Failed\""), "33 warning: unknown state \"Failed\" (did you mean \"failed\"?)");
    assert_eq!(told("job.state in [\"failed\", \"stoped\"]"), "44 warning: unknown state \"stoped\" (did you mean \"stopped\"?)");
    assert_eq!(told("\"gogle\" == job.type"), "20 warning: unknown type \"gogle\" (did you mean \"google\"?)");
    assert_eq!(
        told("job.category != \"x\""),
        "36 warning: unknown category \"x\" (known: microsoft_365, power_platform, active_directory, google)"
    );
    assert_eq!(told("job.state == \"42\" && job.profile == \"Failed\""), "");
}

#[test]
fn an_expression_of_several_lines_is_told_as_a_whole() {
    let text = "rules:\n  - name: r\n    when:\n      expr: >-\n        job.profil == \"a\"\n        && true\n    notify: oncall\n";
    let (_, faults) = crate::rules::tests::read_files(&[crate::rules::tests::file("r.yaml", text)]);
    assert_eq!(lines(&faults), ["r.yaml:5:9 error: unknown field `job.profil` (did you mean `job.profile`?)"]);
    let block = "rules:\n  - name: r\n    when:\n      expr: |\n        job.profil == \"a\"\n    notify: oncall\n";
    let (_, faults) = crate::rules::tests::read_files(&[crate::rules::tests::file("r.yaml", block)]);
    assert_eq!(lines(&faults), ["r.yaml:5:13 error: unknown field `job.profil` (did you mean `job.profile`?)"]);
}
