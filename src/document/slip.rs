//! What most likely went wrong in a document that is no YAML: words that repeat nothing of it.

use std::sync::Arc;

use super::{Fault, Place, Source};

/// How many lines around the place that the reader names a tab is looked for in.
const AROUND: usize = 2;

/// The parts of the reader's messages, each with what to do.
const HINTS: &[(&[&str], &str)] = &[
    (
        &["mapping values are not allowed"],
        "see the line above too: a key ends in a colon and a blank, the keys of a mapping are indented alike, and text with `: ` in it \
         stands in quotes",
    ),
    (
        &["did not find expected '-' indicator", "parsing a block mapping", "parsing a block collection", "inconsistent indent"],
        "what belongs together is indented alike: this line is not indented as those above it",
    ),
    (&["unknown anchor", "anchor or alias"], "text that begins with `*` or `&` stands in quotes, as in \"*sharepoint*\""),
    (&["block scalar"], "text that begins with `>` or `|` stands in quotes, as in \"> 30m\""),
    (&["unexpected character", "cannot start any token"], "text that begins with such a sign stands in quotes"),
    (&["unclosed quote", "trailing content after", "quoted scalar"], "a quotation mark may be left open here, or in a line above"),
    (
        &["illegal placement of ':'", "flow sequence", "flow mapping"],
        "a bracket, a brace or a quotation mark may be left open in a line above",
    ),
    (
        &["simple key"],
        "a key ends in a colon and a blank; where this is the rest of the line above, the whole value stands in quotes or in one line",
    ),
];

/// What to do about a message of the reader's.
pub(super) fn hint(message: &str) -> Option<&'static str> {
    HINTS.iter().find(|(parts, _)| parts.iter().any(|part| message.contains(part))).map(|(_, hint)| *hint)
}

/// A tab in the indentation of the line of a fault or, where the message is about one, near it: the reader tells it at the end of what
/// came before.
pub(super) fn tab(source: &Arc<Source>, message: &str, near: &Place) -> Option<Fault> {
    let around = if message.contains("tab") { AROUND } else { 0 };
    let mut start = 0;
    for (number, line) in (1..).zip(source.text.split_inclusive('\n')) {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        let tab = line.get(..indent).and_then(|indent| indent.find('\t'));
        if let Some(tab) = tab.filter(|_| usize::abs_diff(number, near.line) <= around && !line.trim().is_empty()) {
            let at = start + tab;
            let place = Place { source: Arc::clone(source), line: number, column: tab + 1, bytes: at..start + indent };
            let fault = Fault::error(&place, "not valid YAML: a tab stands in the indentation of this line");
            return Some(fault.hint("indent with blanks alone; an editor can turn every tab of a file into blanks"));
        }
        start += line.len();
    }
    None
}
