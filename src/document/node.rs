//! The tree: YAML read by `serde-saphyr`, every node with its place.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Error, Location, Spanned, options::DuplicateKeyPolicy};

use super::{Fault, Faults};

/// The largest file read; a larger one is a fault. Ten thousand rules are about 1.5 MiB.
pub const FILE_BYTES: usize = 8 * 1024 * 1024;
/// How deep values may nest; reading recurses, and no config of ours needs ten.
const DEPTH: usize = 64;
/// How many nodes one file may hold: what fits into [`FILE_BYTES`] in honest YAML.
const NODES: usize = 1_000_000;
/// How many nodes aliases may repeat in all: enough for shared settings, too few for a file that unfolds without end.
const REPEATED: usize = 50_000;

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
            Value::List(items) => items.iter().fold(self.place.bytes.clone(), below),
            Value::Map(entries) => entries.iter().fold(self.place.bytes.clone(), |range, (key, value)| below(below(range, key), value)),
            _ => self.place.bytes.clone(),
        }
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

/// Reads one document. A syntax error is added to `faults`, and there is no tree then.
pub fn parse(source: &Arc<Source>, faults: &mut Faults) -> Option<Node> {
    if source.text.len() > FILE_BYTES {
        faults.push(Fault::error(&start_of(source), format!("the file is larger than {FILE_BYTES} bytes")));
        return None;
    }
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: DEPTH, flow_nesting_limit: DEPTH, max_nodes: NODES, max_events: 2 * NODES },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: REPEATED },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_yaml::from_str_with_options::<Spanned<Raw>>(&source.text, options) {
        Ok(raw) => Some(placed(raw, source)),
        Err(error) => {
            faults.break_off(source);
            let error = error.without_snippet();
            let place = error.location().map_or_else(|| start_of(source), |at| place_of(&at, source));
            faults.push(Fault::error(&place, format!("not valid YAML: {}", words(error))));
            None
        }
    }
}

/// What is wrong, in words that repeat nothing of the file: the text of a broken document may be a secret's.
fn words(error: &Error) -> String {
    let fixed = match error {
        Error::MultipleDocuments { .. } => "a second document begins here (`---`): a file holds one",
        Error::NonFiniteFloat { .. } => "`.nan` and `.inf` are no numbers here",
        Error::SerdeInvalidType { .. }
        | Error::SerdeInvalidValue { .. }
        | Error::QuotingRequired { .. }
        | Error::ExternalMessage { .. } => "a value that can't be read",
        Error::Budget { .. } => "too many values, or nested too deep",
        Error::AliasReplayLimitExceeded { .. } | Error::AliasExpansionLimitExceeded { .. } => "aliases (`*name`) repeat too much",
        Error::AliasReplayStackDepthExceeded { .. } => "aliases (`*name`) lie within aliases too deep",
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias (`*name`) lies within what it stands for",
        other => {
            let message = other.to_string();
            // The place is shown by itself; the reader's own words for it are cut off.
            return message.split(" at line ").next().unwrap_or(&message).to_owned();
        }
    };
    fixed.to_owned()
}

fn start_of(source: &Arc<Source>) -> Place {
    Place { source: Arc::clone(source), line: 1, column: 1, bytes: 0..0 }
}

fn place_of(at: &Location, source: &Arc<Source>) -> Place {
    let line = usize::try_from(at.line()).unwrap_or(1).max(1);
    let column = usize::try_from(at.column()).unwrap_or(1).max(1);
    let bytes = match (at.span().byte_offset(), at.span().byte_len()) {
        (Some(start), Some(len)) => {
            let start = usize::try_from(start).unwrap_or(0);
            start..start + usize::try_from(len).unwrap_or(0)
        }
        _ => 0..0,
    };
    let bytes = if source.text.get(bytes.clone()).is_some() { bytes } else { 0..0 };
    Place { source: Arc::clone(source), line, column, bytes }
}

fn placed(raw: Spanned<Raw>, source: &Arc<Source>) -> Node {
    let place = place_of(&raw.referenced, source);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(b) => Value::Bool(b),
        Raw::Int(i) => Value::Int(i),
        Raw::Float(f) => Value::Float(f),
        Raw::Text(t) => Value::Text(t),
        Raw::List(items) => Value::List(items.into_iter().map(|item| placed(item, source)).collect()),
        Raw::Map(entries) => Value::Map(entries.into_iter().map(|(k, v)| (placed(k, source), placed(v, source))).collect()),
    };
    Node { value, place, filled: false }
}

enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        // A number past i64 is no count, port or code of ours; as a float it fails the reader that wanted a whole one.
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Int))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}
