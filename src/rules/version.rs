//! The version of a set of rules: the same rules, however they are laid out, have the same.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::document::{Node, Value};

/// How many hex digits a version has: enough that two of one team's never meet.
const DIGITS: usize = 12;

/// A rule as it was read, without comments, layout and the order of its keys.
pub(super) fn plain(node: &Node) -> String {
    let mut out = String::new();
    put(node, &mut out);
    out
}

fn put(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push('~'),
        // Told apart from a text of the same letters by the quotes around that.
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&value.to_string()),
        Value::Text(text) => {
            // Writing to a text does not fail.
            let _ = write!(out, "{text:?}");
        }
        Value::List(items) => {
            out.push('[');
            for item in items {
                put(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Map(entries) => {
            let mut entries: Vec<String> = entries.iter().map(|(key, value)| format!("{}:{}", plain(key), plain(value))).collect();
            entries.sort_unstable();
            out.push('{');
            for entry in entries {
                out.push_str(&entry);
                out.push(',');
            }
            out.push('}');
        }
    }
}

/// The version of rules as [`plain`] tells them, in their order.
pub(super) fn of<'r>(rules: impl IntoIterator<Item = &'r String>) -> String {
    let mut hash = Sha256::new();
    for rule in rules {
        hash.update(rule.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(DIGITS)
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
