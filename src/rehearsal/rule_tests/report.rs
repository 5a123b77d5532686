//! How rule tests went, for people and for programs.

use std::{fmt::Write as _, path::Path, time::Duration};

use serde::Serialize;

use super::{Outcome, RuleTest};

/// The most lines of what was expected, and of what was raised, that are shown of one test.
const LINES: usize = 100;

/// One test that was run.
#[derive(Debug)]
pub struct Ran<'t> {
    /// The test.
    pub test: &'t RuleTest,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// One file whose tests were run.
#[derive(Debug)]
pub struct RanFile<'t> {
    /// Its path as the user would write it.
    pub path: &'t Path,
    /// Its tests, in order.
    pub ran: Vec<Ran<'t>>,
    /// What kept it, or some of its tests, from being run: `line:column: what is wrong`.
    pub faults: Vec<String>,
}

impl RanFile<'_> {
    /// How many of its tests failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.ran.iter().filter(|ran| !ran.outcome.passed()).count()
    }

    /// How long they took together.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.ran.iter().map(|ran| ran.took).sum()
    }
}

impl Ran<'_> {
    /// What was expected beside what was raised, a line each.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut put = |what: &str, words: &str, mark: &str| {
            let _ = writeln!(text, "  {what:<8}  {words}{mark}");
        };
        let Outcome { expected, actual, .. } = &self.outcome;
        if expected.is_empty() {
            put("expected", "nothing", "");
        }
        for line in expected.iter().take(LINES) {
            put("expected", &line.words, if line.matched { "" } else { "   <- did not come" });
        }
        if let more @ 1.. = expected.len().saturating_sub(LINES) {
            put("expected", &format!("and {more} more"), "");
        }
        if actual.is_empty() {
            put("actual", "nothing", "");
        }
        for line in actual.iter().take(LINES) {
            put("actual", &line.words, if line.matched { "" } else { "   <- was not expected" });
        }
        if let more @ 1.. = actual.len().saturating_sub(LINES) {
            put("actual", &format!("and {more} more"), "");
        }
        text
    }

    /// It for a program.
    #[must_use]
    pub fn listed(&self) -> Listed<'_> {
        let place = &self.test.place;
        Listed {
            file: place.source.path.display().to_string(),
            line: place.line,
            column: place.column,
            name: &self.test.name,
            passed: self.outcome.passed(),
            seconds: self.took.as_secs_f64(),
            surprises: self
                .outcome
                .surprises
                .iter()
                .map(|surprise| ListedSurprise {
                    line: surprise.place.line,
                    column: surprise.place.column,
                    message: &surprise.message,
                    reasons: &surprise.reasons,
                })
                .collect(),
        }
    }
}

/// A test for a program.
#[derive(Debug, Serialize)]
pub struct Listed<'t> {
    file: String,
    line: usize,
    column: usize,
    name: &'t str,
    passed: bool,
    seconds: f64,
    surprises: Vec<ListedSurprise<'t>>,
}

#[derive(Debug, Serialize)]
struct ListedSurprise<'t> {
    line: usize,
    column: usize,
    message: &'t str,
    reasons: &'t [String],
}

/// All of it as `JUnit` XML, in the form that Jenkins and `GitLab` read: a `testsuite` a file, a `testcase` a test. What keeps a
/// file from being run is an `error` of a test case of its own.
#[must_use]
pub fn junit(files: &[RanFile<'_>]) -> String {
    let mut cases = String::new();
    let (mut tests, mut failures, mut errors, mut took) = (0, 0, 0, Duration::ZERO);
    for file in files {
        let (own_tests, own_errors) = (file.ran.len() + file.faults.len(), file.faults.len());
        let path = escaped(&file.path.display().to_string());
        let _ = writeln!(
            cases,
            "  <testsuite name=\"{path}\" tests=\"{own_tests}\" failures=\"{}\" errors=\"{own_errors}\" skipped=\"0\" time=\"{:.6}\">",
            file.failed(),
            file.took().as_secs_f64(),
        );
        for fault in &file.faults {
            let message = escaped(fault);
            let _ = writeln!(
                cases,
                "    <testcase name=\"the file can be read\" classname=\"{path}\" file=\"{path}\" time=\"0\">\n      \
                 <error type=\"fault\" message=\"{message}\">{message}</error>\n    </testcase>"
            );
        }
        for ran in &file.ran {
            let name = escaped(&ran.test.name);
            let _ = write!(
                cases,
                "    <testcase name=\"{name}\" classname=\"{path}\" file=\"{path}\" line=\"{}\" time=\"{:.6}\"",
                ran.test.place.line,
                ran.took.as_secs_f64(),
            );
            if ran.outcome.passed() {
                cases.push_str("/>\n");
                continue;
            }
            let first = ran.outcome.surprises.first().map(|surprise| escaped(&surprise.message)).unwrap_or_default();
            let _ = writeln!(
                cases,
                ">\n      <failure type=\"rule test\" message=\"{first}\">{}</failure>\n    </testcase>",
                escaped_text(&in_full(ran))
            );
        }
        cases.push_str("  </testsuite>\n");
        tests += own_tests;
        failures += file.failed();
        errors += own_errors;
        took += file.took();
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"jobrelay rule tests\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" time=\"{:.6}\">\n{cases}</testsuites>\n",
        took.as_secs_f64(),
    )
}

fn in_full(ran: &Ran<'_>) -> String {
    let mut text = ran.table();
    for surprise in &ran.outcome.surprises {
        let place = &surprise.place;
        let _ = writeln!(text, "{}:{}:{}: {}", place.source.path.display(), place.line, place.column, surprise.message);
        for reason in &surprise.reasons {
            let _ = writeln!(text, "  {reason}");
        }
    }
    text
}

/// Text for an attribute: no line in it is broken.
fn escaped(text: &str) -> String {
    escaped_text(text).replace('\n', "&#10;")
}

/// Text for between two tags. What XML has no sign for is shown as one that is not known.
fn escaped_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push('\n'),
            '\t' => out.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
