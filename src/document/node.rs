//! The tree: values, every one with its place.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The largest file read; a larger one is a fault. Ten thousand rules are about 1.5 MiB.
pub const FILE_BYTES: usize = 8 * 1024 * 1024;
/// One file as it was read.
#[derive(Debug)]
pub struct Source {
    /// The path as the user would write it.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// Where something stands in a file.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The bytes of the text it covers; empty for what has no extent of its own.
    pub bytes: Range<usize>,
}

/// One node of a document.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it holds.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
    /// Whether `${...}` was filled in: its text may be a secret, and no message may repeat it.
    pub filled: bool,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Any other scalar, and every quoted one.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the file's order; duplicate keys are still in it.
    Map(Vec<(Node, Node)>),
}

impl Place {
    /// A whole file, for what is wrong with it rather than in it: line 0 says that no line is meant.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self { source: Arc::new(Source { path: path.to_owned(), text: String::new() }), line: 0, column: 0, bytes: 0..0 }
    }
}

impl Node {
    /// The bytes that it and everything below it cover.
    #[must_use]
    pub fn extent(&self) -> Range<usize> {
        let below = |range: Range<usize>, node: &Self| {
            let inner = node.extent();
            range.start.min(inner.start)..range.end.max(inner.end)
        };
        match &self.value {
            Value::List(items) => self.closed(items.iter().fold(self.place.bytes.clone(), below)),
            Value::Map(entries) => {
                self.closed(entries.iter().fold(self.place.bytes.clone(), |range, (key, value)| below(below(range, key), value)))
            }
            _ => self.place.bytes.clone(),
        }
    }

    /// With the bracket that closes it, where one opens it: the reader gives the place of the first alone.
    fn closed(&self, range: Range<usize>) -> Range<usize> {
        let text = self.place.source.text.as_str();
        let close = match text.get(range.start..).and_then(|from| from.chars().next()) {
            Some('[') => ']',
            Some('{') => '}',
            _ => return range,
        };
        let rest = text.get(range.end..).unwrap_or_default();
        let behind = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        if behind.starts_with(close) { range.start..range.end + (rest.len() - behind.len()) + 1 } else { range }
    }

    /// The place of some bytes of its text, which reads `written`. Where the file writes it otherwise than it reads (over several lines,
    /// with escapes, or filled in), the place of the whole.
    #[must_use]
    pub fn part(&self, written: &str, range: Range<usize>) -> Place {
        let whole = || self.place.clone();
        let Place { source, bytes, .. } = &self.place;
        let begin = source.text.get(bytes.clone()).and_then(|text| text.find(written)).map(|at| bytes.start + at);
        let Some(begin) = begin.filter(|_| !self.filled) else { return whole() };
        let (from, to) = (begin + range.start.min(written.len()), begin + range.end.min(written.len()));
        let Some(before) = source.text.get(..from) else { return whole() };
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let line = before.matches('\n').count() + 1;
        Place { source: Arc::clone(source), line, column, bytes: from..to.max(from) }
    }

    /// The kind of value in words, for "expected X, found Y".
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The text of a text node.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value under `key` of a mapping, for a look before the reading proper.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.as_text() == Some(key)).map(|(_, v)| v),
            _ => None,
        }
    }
}
