//! Faults as people and programs read them.

use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Group, Level as Style, Renderer, Snippet};
use serde::Serialize;

use super::quote::Quoter;
use crate::document::{Fault, Faults, Level};

/// Every fault as a person reads it: `file:line:column: error: what is wrong`, the line itself, and what to do; then how many
/// there are. Empty where there is none.
#[must_use]
pub fn report(faults: &Faults, colour: bool) -> String {
    let mut out = told(faults, colour);
    if !faults.is_empty() {
        let counted = |n: usize, word: &str| (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }));
        let counts = [counted(faults.count(Level::Error), "error"), counted(faults.count(Level::Warning), "warning")];
        out.push_str(&counts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    out
}

/// As [`report`], without the counts.
#[must_use]
pub fn told(faults: &Faults, colour: bool) -> String {
    let mut out = String::new();
    let mut quoter = Quoter::new(faults);
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    for fault in faults.sorted() {
        let (on, off) = match (colour, fault.level) {
            (false, _) => ("", ""),
            (true, Level::Error) => ("\x1b[1;31m", "\x1b[0m"),
            (true, Level::Warning) => ("\x1b[1;33m", "\x1b[0m"),
        };
        let _ = writeln!(out, "{}: {on}{}{off}: {}", place(fault), word(fault.level), plain(&fault.message));
        let hint = fault.hint.as_deref().map(plain);
        let notes = fault.notes.iter().map(|note| plain(note));
        match quoter.quote(fault).filter(|quote| !quote.text.trim().is_empty()) {
            Some(quote) => {
                let style = if fault.level == Level::Error { Style::ERROR } else { Style::WARNING };
                let snippet =
                    Snippet::source(quote.text).line_start(fault.place.line).annotation(AnnotationKind::Primary.span(quote.marked));
                let group = Group::with_level(style).element(snippet).elements(notes.map(|note| Style::NOTE.message(note)));
                let group = group.elements(hint.map(|hint| Style::HELP.message(hint)));
                let _ = writeln!(out, "{}", renderer.render(&[group]));
            }
            None => {
                notes.for_each(|note| {
                    let _ = writeln!(out, "  = note: {note}");
                });
                if let Some(hint) = hint {
                    let _ = writeln!(out, "  = help: {hint}");
                }
            }
        }
        out.push('\n');
    }
    out
}

/// One fault for a program.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// The path as the user would write it.
    pub file: String,
    /// From 1; none where the whole file is meant.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// `error` or `warning`.
    pub level: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// What led to it: of a rule test, the conditions that decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Listed {
    /// An error about a file as a whole.
    #[must_use]
    pub fn of_file(file: &std::path::Path, message: String) -> Self {
        Self {
            file: file.display().to_string(),
            line: None,
            column: None,
            level: word(Level::Error),
            message,
            hint: None,
            notes: Vec::new(),
        }
    }

    /// `file:line:column: what is wrong`, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}: {}", self.file, self.message),
            _ => format!("{}: {}", self.file, self.message),
        }
    }
}

/// Every fault for a program, by file and place.
#[must_use]
pub fn listing(faults: &Faults) -> Vec<Listed> {
    let listed = |fault: &Fault| Listed {
        file: fault.place.source.path.display().to_string(),
        line: (fault.place.line > 0).then_some(fault.place.line),
        column: (fault.place.line > 0).then_some(fault.place.column),
        level: word(fault.level),
        message: plain(&fault.message),
        hint: fault.hint.as_deref().map(plain),
        notes: fault.notes.iter().map(|note| plain(note)).collect(),
    };
    faults.sorted().into_iter().map(listed).collect()
}

fn place(fault: &Fault) -> String {
    let path = plain(&fault.place.source.path.display().to_string());
    if fault.place.line == 0 { path } else { format!("{path}:{}:{}", fault.place.line, fault.place.column) }
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
    }
}

/// The longest message, in characters: it may repeat a value of the file, and that may be a page long.
const LONGEST: usize = 400;

/// One line that can't steer a terminal: messages repeat words of the file.
fn plain(text: &str) -> String {
    let (kept, more) = text.char_indices().nth(LONGEST).map_or((text, ""), |(end, _)| (text.get(..end).unwrap_or(text), "…"));
    kept.chars()
        .chain(more.chars())
        .map(|c| if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') { ' ' } else { c })
        .collect()
}
