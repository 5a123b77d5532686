//! Readers: from a node to a value, adding a fault with its place for everything that does not fit.
//!
//! Each returns `None` when it has told a fault (or when a `${...}` that could not be filled in has told one before).

use std::time::Duration;

use crate::domain::parse_duration;

use super::{Fault, Faults, Node, Value};

/// The keys of one mapping. Whatever has not been taken by [`Fields::finish`] is an unknown key.
pub struct Fields<'a> {
    node: &'a Node,
    entries: Vec<(&'a Node, &'a str, &'a Node)>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Opens a mapping. Keys that are no text or stand twice are told.
    pub fn open(node: &'a Node, what: &str, faults: &mut Faults) -> Option<Self> {
        let Value::Map(pairs) = &node.value else {
            // `oncall: https://…` is an easy slip, and the text a secret.
            faults.cover(node);
            expected(node, what, faults);
            return None;
        };
        let mut entries: Vec<(&Node, &str, &Node)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Some(name) = key.as_text() else {
                faults.error(key, format!("a key must be text, found {}", key.kind()));
                continue;
            };
            if let Some((first, ..)) = entries.iter().find(|(_, known, _)| *known == name) {
                faults.push(
                    Fault::error(&key.place, format!("the key `{name}` stands here a second time"))
                        .hint(format!("it first stands in line {}", first.place.line)),
                );
                faults.cover(value);
                continue;
            }
            entries.push((key, name, value));
        }
        Some(Self { node, entries, asked: Vec::new() })
    }

    /// The mapping itself, for faults about the whole.
    #[must_use]
    pub const fn node(&self) -> &'a Node {
        self.node
    }

    /// The value of `key`, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let at = self.entries.iter().position(|(_, name, _)| *name == key)?;
        Some(self.entries.remove(at).2)
    }

    /// The value of `key`; its absence is a fault.
    pub fn require(&mut self, key: &'static str, faults: &mut Faults) -> Option<&'a Node> {
        let value = self.take(key);
        if value.is_none() {
            faults.error(self.node, format!("the key `{key}` is missing"));
        }
        value
    }

    /// Every entry not yet taken, for mappings whose keys are the user's names.
    pub fn rest(&mut self) -> Vec<(&'a Node, &'a str, &'a Node)> {
        std::mem::take(&mut self.entries)
    }

    /// Tells every key that no one asked for, with the nearest one that was.
    pub fn finish(self, faults: &mut Faults) {
        self.finish_with(&|_| None, faults);
    }

    /// The same, where some keys stand elsewhere: `elsewhere` says where.
    pub fn finish_with(self, elsewhere: &dyn Fn(&str) -> Option<String>, faults: &mut Faults) {
        for (key, name, value) in &self.entries {
            // It may be a secret under a mistyped name.
            faults.cover(value);
            if let Some((word, _)) = name.split_once(':') {
                // `{ secret:hunter2 }` is one long key to YAML.
                faults.cover(key);
                faults.push(Fault::error(&key.place, format!("unknown key `{word}:…`")).hint("a blank belongs behind the colon"));
                continue;
            }
            let mut fault = Fault::error(&key.place, format!("unknown key `{name}`"));
            let meant = || near(name, self.asked.iter().copied()).map(|known| format!("did you mean `{known}`?"));
            fault.hint = elsewhere(name).or_else(meant).or_else(|| {
                let mut known = self.asked.clone();
                known.sort_unstable();
                Some(format!("known here: {}", known.join(", ")))
            });
            faults.push(fault);
        }
    }
}

/// The known name nearest to `name`, if it is near enough to be a slip of the hand.
#[must_use]
pub fn near<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&name.to_lowercase(), &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= k.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// Tells that `node` is not what was expected, unless it is a `${...}` that failed already.
fn expected(node: &Node, what: &str, faults: &mut Faults) {
    if node.filled && matches!(node.value, Value::Null) {
        return;
    }
    let mut fault = Fault::error(&node.place, format!("expected {what}, found {}", node.kind()));
    let is_text = |parses: fn(&str) -> bool| node.as_text().is_some_and(|text| parses(text.trim()));
    fault.hint = match what {
        _ if is_cut_off_by_a_comment(node) => Some("`#` begins a comment: put the text in quotes, or leave the `#` out"),
        "a whole number" if is_text(|text| text.parse::<i64>().is_ok()) => Some("write it without quotes"),
        "true or false" if is_text(|text| ["true", "yes", "on"].contains(&text.to_lowercase().as_str())) => {
            Some("write `true`, without quotes")
        }
        "true or false" if is_text(|text| ["false", "no", "off"].contains(&text.to_lowercase().as_str())) => {
            Some("write `false`, without quotes")
        }
        _ => None,
    }
    .map(str::to_owned);
    faults.push(fault);
}

/// Whether nothing stands here because it was taken for a comment, as in `notify: #oncall`.
fn is_cut_off_by_a_comment(node: &Node) -> bool {
    let line = node.place.source.text.lines().nth(node.place.line.saturating_sub(1)).unwrap_or_default();
    let behind = line.char_indices().nth(node.place.column.saturating_sub(1)).and_then(|(at, _)| line.get(at..)).unwrap_or_default();
    let mut rest = behind.trim_start_matches([':', '-', ' ']).chars();
    matches!(node.value, Value::Null) && rest.next() == Some('#') && rest.next().is_some_and(char::is_alphanumeric)
}

/// A text; a bare number or boolean is taken as it is written.
pub fn text(node: &Node, faults: &mut Faults) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        // A profile named 2024 or a label `true` need no quotes: what stands in the file is what is meant.
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => node.place.source.text.get(node.place.bytes.clone()).map(str::to_owned),
        _ => {
            expected(node, "text", faults);
            None
        }
    }
}

/// `true` or `false`; a filled-in text may say so too.
pub fn boolean(node: &Node, faults: &mut Faults) -> Option<bool> {
    match &node.value {
        Value::Bool(value) => Some(*value),
        Value::Text(text) if node.filled && text == "true" => Some(true),
        Value::Text(text) if node.filled && text == "false" => Some(false),
        _ => {
            expected(node, "true or false", faults);
            None
        }
    }
}

/// A whole number within a range; a filled-in text may hold one.
pub fn integer(node: &Node, range: std::ops::RangeInclusive<i64>, faults: &mut Faults) -> Option<i64> {
    let value = match &node.value {
        Value::Int(value) => Some(*value),
        Value::Text(text) if node.filled => text.trim().parse().ok(),
        _ => None,
    };
    match value {
        Some(value) if range.contains(&value) => Some(value),
        Some(_) => {
            faults.error(node, format!("must be from {} to {}", range.start(), range.end()));
            None
        }
        None if matches!(node.value, Value::Float(_)) => {
            faults.error(node, "expected a whole number, found one with a point");
            None
        }
        None => {
            expected(node, "a whole number", faults);
            None
        }
    }
}

/// A duration such as `30m` within a range.
pub fn duration(node: &Node, range: std::ops::RangeInclusive<Duration>, faults: &mut Faults) -> Option<Duration> {
    let written = text(node, faults)?;
    match parse_duration(&written) {
        Ok(value) if range.contains(&value) => Some(value),
        Ok(_) => {
            let show = crate::domain::format_duration;
            faults.error(node, format!("must be from {} to {}", show(*range.start()), show(*range.end())));
            None
        }
        Err(error) => {
            let message = if node.filled {
                "not a duration: write a number and a unit, as in 90s, 30m, 1h30m or 2d".to_owned()
            } else {
                error.to_string()
            };
            faults.error(node, message);
            None
        }
    }
}

/// The items of a list; a single value counts as a list of one.
#[must_use]
pub fn one_or_many(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    }
}

/// A list of texts, or one text, each with its node; an empty list is a fault.
pub fn text_list<'a>(node: &'a Node, faults: &mut Faults) -> Vec<(&'a Node, String)> {
    let items = one_or_many(node);
    if items.is_empty() {
        faults.error(node, "the list is empty");
    }
    items.into_iter().filter_map(|item| Some((item, text(item, faults)?))).collect()
}
