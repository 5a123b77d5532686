//! Writing to the terminal: a reader that has gone away (`jobrelay jobs | head`) is no error of ours.

use std::{
    fmt::Arguments,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use jiff::Timestamp;

use crate::rules::Unanswered;

/// Whether stderr is for machines: said once, at the start, by the option that says how the log is written.
static MACHINES: AtomicBool = AtomicBool::new(false);

/// Has whatever goes to stderr be a line of the log, in JSON.
pub fn speak_to_machines() {
    MACHINES.store(true, Ordering::Relaxed);
}

/// Whether stderr is read by machines.
#[must_use]
pub fn to_machines() -> bool {
    MACHINES.load(Ordering::Relaxed)
}

/// Writes a line to stderr; `error: ` at its beginning is its level.
pub fn say(line: Arguments<'_>) {
    if to_machines() {
        let line = line.to_string();
        match line.strip_prefix("error: ") {
            Some(why) => tracing::error!("{why}"),
            None => tracing::info!("{line}"),
        }
    } else {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Writes a line to stdout.
pub fn print(line: Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Whether to colour what goes to a stream, given whether that is a terminal: <https://no-color.org>.
#[must_use]
pub fn colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// One line that can't steer a terminal: names and answers come from outside.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') { ' ' } else { c }).collect()
}

/// Rows in columns, as lines, each cell [`plain`].
#[must_use]
pub fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table.add_rows(rows.into_iter().map(|row| row.iter().map(|cell| plain(cell)).collect::<Vec<_>>()));
    table.trim_fmt()
}

/// An `expr` that gave no answer, in one line.
#[must_use]
pub fn unanswered(Unanswered { rule, place, why }: &Unanswered<'_>) -> String {
    format!("the rule `{rule}` has an `expr` at {place} that gave no answer for some jobs, and did not hold for them: {}", plain(why))
}

/// An instant in a table.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
