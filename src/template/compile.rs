//! From text to a compiled template, with faults a person can read.

use std::sync::Arc;

use handlebars::{Template, TemplateErrorReason};

use super::whole;
use crate::document::{Fault, Faults, Place, Source};

/// The most blocks one file may open. The parser calls itself once for each block inside another: without a bound, a file
/// of nothing but openers would end the process.
const BLOCKS: usize = 256;
/// The most brackets one `{{…}}` may open, for the same reason.
const BRACKETS: usize = 32;

/// Compiles a file; what is wrong with it is told.
pub(super) fn compile(source: &Arc<Source>, faults: &mut Faults) -> Option<Template> {
    let tags = tags(&source.text);
    if tags.iter().filter(|tag| tag.opens()).count() > BLOCKS {
        faults.push(whole(source, format!("the template opens more than {BLOCKS} blocks")));
        return None;
    }
    if let Some(tag) = tags.iter().find(|tag| tag.inner.matches(['(', '[', '{']).count() > BRACKETS) {
        faults.push(Fault::error(&place_of(source, tag.start), format!("more than {BRACKETS} brackets in one pair of braces")));
        return None;
    }
    match Template::compile(&source.text) {
        Ok(template) => Some(template),
        Err(error) => {
            let (line, column) = error.pos().unwrap_or((1, 1));
            let fault = explained(source, &tags).unwrap_or_else(|| {
                let message = match error.reason() {
                    TemplateErrorReason::InvalidParam(text) => format!("`{text}` can't be an argument"),
                    _ => "this is not a Handlebars expression".to_owned(),
                };
                Fault::error(&place_at(source, line, column, ""), message).hint(
                    "braces hold a variable, {{job.profile}}; a helper with its arguments, {{upper job.profile}}; or open or close a block",
                )
            });
            faults.push(fault);
            None
        }
    }
}

/// One pair of braces.
struct Tag<'t> {
    start: usize,
    inner: &'t str,
    closed: bool,
}

impl<'t> Tag<'t> {
    fn body(&self) -> &'t str {
        self.inner.trim_start_matches('~').trim_end_matches('~').trim()
    }
    fn opens(&self) -> bool {
        self.body().starts_with(['#', '^', '{'])
    }
}

/// Every pair of braces outside comments, in order.
fn tags(text: &str) -> Vec<Tag<'_>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(start) = text[from..].find("{{").map(|at| from + at) {
        let rest = &text[start + 2..];
        if text[..start].ends_with('\\') {
            from = start + 2;
            continue;
        }
        let comment = rest.starts_with('!');
        let end = if rest.starts_with("!--") { rest.find("--}}").map(|at| at + 2) } else { rest.find("}}") };
        match end {
            Some(end) => {
                if !comment {
                    found.push(Tag { start, inner: &rest[..end], closed: true });
                }
                from = start + 2 + end + 2;
            }
            None => {
                found.push(Tag { start, inner: rest, closed: false });
                return found;
            }
        }
    }
    found
}

/// What is wrong with the blocks or the braces, if that is what is wrong.
fn explained(source: &Arc<Source>, tags: &[Tag<'_>]) -> Option<Fault> {
    let mut open: Vec<(&Tag<'_>, &str)> = Vec::new();
    for tag in tags {
        let at = || place_of(source, tag.start);
        if !tag.closed || tag.inner.contains("{{") || tag.inner.lines().count() > 12 {
            return Some(Fault::error(&at(), "the braces opened here are never closed").hint("write `}}` behind the expression"));
        }
        let body = tag.body();
        let word = |text: &'static str| body.strip_prefix(text).map(|rest| rest.split_whitespace().next().unwrap_or_default());
        if let Some(name) = word("#") {
            open.push((tag, name));
        } else if let Some(name) = word("/") {
            match open.pop() {
                None => return Some(Fault::error(&at(), format!("`{{{{/{name}}}}}` closes a block that is not open"))),
                Some((opener, opened)) if opened != name => {
                    let line = place_of(source, opener.start).line;
                    return Some(
                        Fault::error(&at(), format!("`{{{{/{name}}}}}` stands where `{{{{#{opened}}}}}` of line {line} should be closed"))
                            .hint(format!("write {{{{/{opened}}}}} first")),
                    );
                }
                Some(_) => {}
            }
        } else if body == "else" || body.starts_with("else ") {
            if open.is_empty() {
                return Some(Fault::error(&at(), "`{{else}}` stands outside of any block"));
            }
        } else if body.is_empty() {
            return Some(Fault::error(&at(), "there is nothing between the braces"));
        }
    }
    let (opener, name) = open.pop()?;
    Some(
        Fault::error(&place_of(source, opener.start), format!("the block `{{{{#{name}}}}}` is never closed"))
            .hint(format!("write {{{{/{name}}}}} at its end")),
    )
}

/// The place of a byte of a file.
fn place_of(source: &Arc<Source>, byte: usize) -> Place {
    let before = &source.text[..byte];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = &source.text[byte..];
    let length = rest.find('\n').unwrap_or(rest.len()).min(rest.find("}}").map_or(usize::MAX, |at| at + 2));
    Place {
        source: Arc::clone(source),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        bytes: byte..byte + length,
    }
}

/// The place of a line and column of a file; where `word` stands a little behind it, the place of the word.
pub(super) fn place_at(source: &Arc<Source>, line: usize, column: usize, word: &str) -> Place {
    let text = &source.text;
    let line_start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let rest = &text[line_start..];
    let start = line_start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    let tag_end = text[start..].find("}}").map_or(text.len(), |at| start + at);
    match text[start..tag_end].find(word).filter(|_| !word.is_empty()) {
        Some(at) => {
            let mut place = place_of(source, start + at);
            place.bytes = start + at..start + at + word.len();
            place
        }
        None => place_of(source, start),
    }
}
