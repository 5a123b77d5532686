//! The line of a file that a fault is about, without what must not be shown.

use std::{collections::HashMap, ops::Range, sync::Arc};

use super::{PLACEHOLDER, secrets};
use crate::document::{Fault, Faults, Place, Source};

/// What stands in the place of a secret.
const BLANK: &str = "[hidden]";
/// How much of a long line is shown around the place, in characters.
const SHOWN: usize = 160;

/// One line as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Quote {
    /// The text.
    pub text: String,
    /// The bytes of it that the fault is about; never empty unless the text is.
    pub marked: Range<usize>,
}

/// Quotes lines of any number of files, reading each file's lines once.
pub struct Quoter<'f> {
    faults: &'f Faults,
    files: HashMap<*const Source, File>,
}

struct File {
    /// Where each line begins.
    lines: Vec<usize>,
    /// What must not be shown: in order, none empty, none overlapping.
    hidden: Vec<Range<usize>>,
}

impl<'f> Quoter<'f> {
    /// Quotes what these faults are about.
    pub fn new(faults: &'f Faults) -> Self {
        Self { faults, files: HashMap::new() }
    }

    /// The line of a fault; none where it is about a whole file, or the file's text is not to be had.
    pub fn quote(&mut self, fault: &Fault) -> Option<Quote> {
        let Place { source, line, column, bytes } = &fault.place;
        let file = self.files.entry(Arc::as_ptr(source)).or_insert_with(|| read(source, self.faults));
        let start = *file.lines.get(line.checked_sub(1)?)?;
        let rest = source.text.get(start..)?;
        let whole = rest.split('\n').next()?.trim_end_matches('\r');
        let end = start + whole.len();
        let at = whole.char_indices().nth(column.saturating_sub(1)).map_or(whole.len(), |(at, _)| at) + start;
        let marked = if bytes.contains(&at) { at..bytes.end.min(end) } else { at..word_end(&source.text[at..end]) + at };
        Some(cut(&blanked(&source.text, start..end, marked, &file.hidden)))
    }
}

fn read(source: &Arc<Source>, faults: &Faults) -> File {
    let lines = std::iter::once(0).chain(source.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let telling = |range: &Range<usize>| !source.text.get(range.clone()).is_some_and(is_reference);
    let whole = |range| with_what_stands_before(&source.text, range);
    let mut hidden: Vec<Range<usize>> = faults.hidden_in(source).filter(telling).map(whole).collect();
    if faults.is_broken(source) {
        hidden.extend(secrets::in_broken_text(&source.text));
    }
    hidden.retain(|range| !range.is_empty());
    hidden.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(hidden.len());
    for range in hidden {
        match apart.last_mut().filter(|last| range.start < last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => apart.push(range),
        }
    }
    File { lines, hidden: apart }
}

/// Whether a value is nothing but `${NAME}` or `${file:PATH}`, which tells where a secret is and not what it is. A default may
/// be one, unless it is a placeholder.
fn is_reference(written: &str) -> bool {
    let bare = written.trim_matches(['"', '\'']);
    let inner = bare.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).filter(|inner| !inner.contains(['$', '{', '}']));
    inner.is_some_and(|inner| inner.split_once(":-").is_none_or(|(_, default)| default.to_lowercase().contains(PLACEHOLDER)))
}

/// A value with the tag and the anchor before it: `!hunter2` is a tag and an empty value. Of an empty one, the rest of the
/// line.
fn with_what_stands_before(text: &str, range: Range<usize>) -> Range<usize> {
    let line = text.get(..range.start).map_or(0, |before| before.rfind('\n').map_or(0, |at| at + 1));
    let before = text.get(line..range.start).unwrap_or_default().trim_end();
    let word = before.rfind(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '[')).map_or(0, |at| at + 1);
    let start = if before[word..].starts_with(['!', '&']) { line + word } else { range.start };
    let rest = || text.get(range.start..).and_then(|rest| rest.split('\n').next()).map_or(0, |rest| rest.trim_end().len());
    let end = if range.is_empty() { range.start + rest() } else { range.end };
    start..end
}

/// The length of the word that a text begins with: up to a blank or a sign of YAML's.
fn word_end(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '{' | '}' | '[' | ']')).unwrap_or(text.len())
}

/// The bytes `line` of a text with [`BLANK`] for whatever is hidden; a comment
/// behind something hidden goes with it: old values are kept in comments.
fn blanked(text: &str, line: Range<usize>, marked: Range<usize>, hidden: &[Range<usize>]) -> Quote {
    let mut quote = Quote { text: String::new(), marked: 0..0 };
    let mut at = line.start;
    let mut moved: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    let copy = |quote: &mut Quote, moved: &mut Vec<(Range<usize>, Range<usize>)>, from: Range<usize>| {
        let to = quote.text.len();
        quote.text.push_str(text.get(from.clone()).unwrap_or_default());
        moved.push((from, to..quote.text.len()));
    };
    let first = hidden.partition_point(|range| range.end <= line.start);
    for range in hidden.iter().skip(first).take_while(|range| range.start < line.end) {
        let (start, end) = (range.start.max(line.start), range.end.min(line.end));
        copy(&mut quote, &mut moved, at..start.max(at));
        let to = quote.text.len();
        let gap = if quote.text.ends_with([':', '=']) { " " } else { "" };
        quote.text.push_str(gap);
        quote.text.push_str(BLANK);
        moved.push((start.max(at)..end, to + gap.len()..quote.text.len()));
        at = end;
    }
    let rest = text.get(at..line.end).unwrap_or_default();
    let comment = if at > line.start { rest.find(" #").or_else(|| rest.find("\t#")) } else { None };
    copy(&mut quote, &mut moved, at..comment.map_or(line.end, |comment| at + comment));
    // What is marked moves with its piece; where that is blanked, the blank is marked whole.
    let piece = |byte: usize| moved.iter().find(|(from, _)| from.contains(&byte) || (from.end == byte && byte == line.end));
    let begin =
        piece(marked.start).map(|(from, to)| if from.len() == to.len() { to.start + (marked.start - from.start) } else { to.start });
    let last = marked.end.saturating_sub(1).max(marked.start);
    let end =
        piece(last).map(|(from, to)| if from.len() == to.len() { to.start + (marked.end.max(marked.start) - from.start) } else { to.end });
    let begin = begin.unwrap_or(0).min(quote.text.len());
    quote.marked = begin..end.unwrap_or(begin).clamp(begin, quote.text.len());
    quote
}

/// A long line is cut to a window around what is marked.
fn cut(quote: &Quote) -> Quote {
    let before = quote.text[..quote.marked.start].chars().count();
    let skip = if before > SHOWN / 2 && quote.text.chars().count() > SHOWN { before - SHOWN / 2 } else { 0 };
    let text: String = quote.text.chars().skip(skip).take(SHOWN).collect();
    let start: usize = quote.text.chars().take(skip).map(char::len_utf8).sum();
    let marked = (quote.marked.start - start).min(text.len())..(quote.marked.end - start).min(text.len());
    Quote { text, marked }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one")]
mod tests {
    use super::*;

    fn quote(text: &str, line: usize, column: usize, bytes: Range<usize>, hidden: &[Range<usize>]) -> (String, String) {
        let start = text.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>();
        let source = Arc::new(Source { path: "x.yaml".into(), text: text.to_owned() });
        let place = Place { source, line, column, bytes };
        let file = File { lines: vec![0; line - 1].into_iter().chain([start]).collect(), hidden: hidden.to_vec() };
        let faults = Faults::default();
        let mut quoter = Quoter::new(&faults);
        quoter.files.insert(Arc::as_ptr(&place.source), file);
        let quote = quoter.quote(&Fault::error(&place, "x")).unwrap();
        (quote.text[quote.marked.clone()].to_owned(), quote.text)
    }

    #[test]
    fn the_word_is_marked_and_what_is_hidden_is_blanked() {
        let check = |text: &str, column, bytes: Range<usize>, hidden: &[Range<usize>], marked: &str, shown: &str| {
            assert_eq!(quote(text, 1, column, bytes, hidden), (marked.to_owned(), shown.to_owned()), "{text}");
        };
        check("a: b", 4, 3..4, &[], "b", "a: b");
        check("ä: bcd, e", 4, 0..0, &[], "bcd", "ä: bcd, e");
        check("a: {b: s3, c: d}", 12, 11..12, &[7..9], "c", "a: {b: [hidden], c: d}");
        check("a: {b: s3, c: d}", 8, 7..9, &[7..9], "[hidden]", "a: {b: [hidden], c: d}");
        check("a: s3 # old: s2", 1, 0..1, &[3..5], "a", "a: [hidden]");
        check("{a: s3, b: s4} # old", 9, 8..9, &[4..6, 11..13], "b", "{a: [hidden], b: [hidden]}");
        check("a: s3", 1, 0..1, &[2..5], "a", "a: [hidden]");
        check("a: s3\nb: s4", 1, 0..1, &[3..11], "a", "a: [hidden]");
        check("", 1, 0..0, &[], "", "");
        check("ab", 9, 0..0, &[], "", "ab");
    }

    #[test]
    fn a_line_in_the_middle_of_something_hidden_shows_nothing() {
        assert_eq!(quote("a: |\n  s3\n  s4\n", 2, 3, 7..9, &[7..15]).1, "  [hidden]");
    }

    #[test]
    fn a_reference_is_no_secret_unless_it_has_a_default() {
        for text in ["${NAME}", "'${NAME}'", "${file:/run/secrets/x}", "${NAME:-replace-me}", "${NAME:-https://x.example/REPLACE-ME}"] {
            assert!(is_reference(text), "{text}");
        }
        for text in ["", "s3", "${NAME:-s3}", "s3${NAME}", "${NAME}s3", "${A}s3${B}", "${NAME", "'${NAME}s3'"] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn of_a_long_line_the_surroundings_are_shown() {
        let text = format!("{}: here", "ä".repeat(10_000));
        let (marked, shown) = quote(&text, 1, 10_003, text.len() - 4..text.len(), &[]);
        assert_eq!(marked, "here");
        assert!(shown.chars().count() <= SHOWN);
    }
}
