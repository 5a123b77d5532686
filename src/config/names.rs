//! Names and what refers to them.

use crate::{
    document::{Fault, Faults, Node, near, text_list},
    domain::Name,
};

/// The longest name of a source, channel or digest, in characters: it is a metric's label and a column of every list.
const LONGEST: usize = 64;

/// Tells a name that would not fit into a metric, a list or a path of the API.
pub fn check_name(at: &Node, name: &str, faults: &mut Faults) {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    let framed = name.starts_with(' ') || name.ends_with(' ');
    if name.is_empty() || framed || name.chars().count() > LONGEST || !name.chars().all(fits) {
        faults.push(
            Fault::error(&at.place, "not a name: use letters, digits, `-`, `_` and `.`").hint(format!("at most {LONGEST} characters")),
        );
    }
}

/// A fault about something unknown, with the nearest known name or the list of all.
pub fn unknown(at: &Node, what: &str, name: &str, known: &[&str]) -> Fault {
    let message = if at.filled && name.is_empty() {
        format!("the value filled in is empty: it is no {what}")
    } else if at.filled {
        format!("unknown {what}")
    } else {
        format!("unknown {what} `{name}`")
    };
    let hint = match near(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if !at.filled && name.contains(',') => "several stand in a list, as in [a, b]".to_owned(),
        None if known.is_empty() => format!("there is no {what} at all"),
        None => format!("there are: {}", known.join(", ")),
    };
    Fault::error(&at.place, message).hint(hint)
}

/// The channels that a list (or one text) names.
pub fn channels(node: &Node, known: &[Name], faults: &mut Faults) -> Vec<Name> {
    let all: Vec<&str> = known.iter().map(Name::as_str).collect();
    let mut found: Vec<Name> = Vec::new();
    for (at, name) in text_list(node, faults) {
        match known.iter().find(|known| known.as_str() == name) {
            None => faults.push(unknown(at, "channel", &name, &all)),
            Some(known) if found.contains(known) => {
                faults.push(Fault::warning(&at.place, format!("the channel `{known}` is named a second time")));
            }
            Some(known) => found.push(known.clone()),
        }
    }
    found
}
