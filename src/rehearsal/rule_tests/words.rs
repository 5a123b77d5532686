//! Small readers that the parts of a rule test share.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::document::{Fault, Faults, Node, Value, near, text};

/// A fault about a name that is not one of the known: names the nearest, or all.
pub fn unknown(at: &Node, what: &str, name: &str, known: &[&str], faults: &mut Faults) {
    let message = if at.filled { format!("unknown {what}") } else { format!("unknown {what} `{name}`") };
    let hint = match near(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("there is no {what} at all"),
        None => format!("there are: {}", known.join(", ")),
    };
    faults.push(Fault::error(&at.place, message).hint(hint));
}

/// One of a closed list of words.
pub fn word<T>(node: &Node, what: &str, names: &[&str], parse: impl Fn(&str) -> Option<T>, faults: &mut Faults) -> Option<T> {
    let written = text(node, faults)?;
    let found = parse(&written);
    if found.is_none() {
        unknown(node, what, &written, names, faults);
    }
    found
}

/// An instant, in whole microseconds as a job's: RFC 3339 or, in a test with a time zone, a date and time of day there.
pub fn instant(node: &Node, zone: Option<&TimeZone>, faults: &mut Faults) -> Option<Timestamp> {
    let written = text(node, faults)?;
    let written = written.trim();
    let local = || written.parse::<DateTime>().ok();
    let found = match (written.parse::<Timestamp>(), zone) {
        (Ok(instant), _) => Some(instant),
        (Err(_), Some(zone)) => local().and_then(|time| time.to_zoned(zone.clone()).ok()).map(|zoned| zoned.timestamp()),
        (Err(_), None) => None,
    };
    let found = found.and_then(|instant| Timestamp::from_microsecond(instant.as_microsecond()).ok());
    if found.is_none() {
        let message = if node.filled { "the value filled in is no time".to_owned() } else { format!("`{written}` is no time") };
        let hint = match zone {
            None if local().is_some() => "add Z for UTC, or give the test a `timezone`",
            None => "write it as in 2024-09-26T05:58:40Z",
            Some(_) => "write it as in 2024-09-26T05:58:40",
        };
        faults.push(Fault::error(&node.place, message).hint(hint));
    }
    found
}

/// The time zone of a test.
pub fn zone(node: &Node, faults: &mut Faults) -> Option<TimeZone> {
    let written = text(node, faults)?;
    let zone = TimeZone::get(&written).ok();
    if zone.is_none() {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        let message =
            if node.filled { "the value filled in is no known time zone".to_owned() } else { format!("unknown time zone `{written}`") };
        let hint = near(&written, names.iter().map(String::as_str))
            .map_or_else(|| "write a name such as Europe/Zurich or UTC".to_owned(), |name| format!("did you mean `{name}`?"));
        faults.push(Fault::error(&node.place, message).hint(hint));
    }
    zone
}

/// A value of any form, as JSON.
pub fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(value) => value.as_str().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let entry = |(key, value): &(Node, Node)| Some((key.as_text()?.to_owned(), json(value)));
            serde_json::Value::Object(entries.iter().filter_map(entry).collect())
        }
    }
}

/// A text as one line that can't steer a terminal.
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') { ' ' } else { c }).collect()
}
