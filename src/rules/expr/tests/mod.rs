//! Expressions as rules have them: what is refused when they are read, what they say of a job, what they may cost.

mod answers;
mod cost;
mod reading;

use super::job::{EXTENSION_VALUES, TEXT_BYTES};
use crate::{
    domain::{Job, State},
    rules::{
        Past, Verdict,
        tests::{job, lines, now, rule},
    },
};

/// The faults of a rule with this expression, each without its file and line.
fn faults(expression: &str) -> Vec<String> {
    let (rules, faults) = rule(&format!("{{ expr: '{}' }}", expression.replace('\'', "''")));
    assert_eq!(rules.rules().is_empty(), faults.any_error());
    lines(&faults).into_iter().map(|line| line.replacen("r.yaml:3:", "", 1)).collect()
}

/// Told with the column of the expression's first `at`.
#[track_caller]
fn wrong(expression: &str, at: &str, message: &str) {
    let column = "    when: { expr: '".len() + expression[..expression.find(at).unwrap()].chars().count() + 1;
    assert_eq!(faults(expression), [format!("{column} error: {message}")], "{expression}");
}

#[track_caller]
fn check(expression: &str, job: &Job, expected: bool) {
    let (rules, faults) = rule(&format!("{{ expr: '{}' }}", expression.replace('\'', "''")));
    assert!(faults.is_empty(), "{expression}: {:?}", lines(&faults));
    assert_eq!(rules.judge(job, now()).len() == 1, expected, "{expression} of {job:?}");
    let explained = &rules.explain(job, Past::none(), now())[0];
    assert_eq!(explained.verdict == Verdict::Matches, expected, "{expression}: {explained:?}");
}

#[track_caller]
fn found(expression: &str, job: &Job, expected: &str) {
    let (rules, faults) = rule(&format!("{{ expr: '{}' }}", expression.replace('\'', "''")));
    assert!(!faults.any_error(), "{expression}: {:?}", lines(&faults));
    assert_eq!(rules.explain(job, Past::none(), now())[0].conditions[0].found, expected, "{expression}");
}

fn with_extension(extension: serde_json::Value) -> Job {
    Job { extension, ..job(State::Finished, "scan sites", 2_520) }
}
