//! One row of the list, read by itself: whatever is wrong with it costs no other row.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::time;
use crate::{
    domain::{Category, Job, JobType, Name, State},
    source::BadRow,
};

/// The longest id that is taken for one; the vendor's have 24 bytes.
pub const ID_BYTES: usize = 512;
/// A longer profile name is cut to this, with `…` to say so.
pub const PROFILE_BYTES: usize = 4 * 1024;
/// The largest `extension` that is kept; in place of a larger one stands a text that says so.
pub const EXTENSION_BYTES: usize = 64 * 1024;

/// Reads a row.
///
/// # Errors
/// It has no id or no state, or a time that is none.
pub fn read(raw: &RawValue, source: &Name) -> Result<Job, BadRow> {
    job(raw.get(), source).map_err(|why| BadRow { why, raw: cut(raw.get(), BadRow::RAW_BYTES).to_owned() })
}

fn job(raw: &str, source: &Name) -> Result<Job, String> {
    let Ok(row) = serde_json::from_str::<Row<'_>>(raw) else {
        return Err("the row is no JSON object".into());
    };
    let id = id(&Scalar::of(row.id))?;
    let state = match Scalar::of(row.state).integer() {
        Some(code) => State::from_code(code),
        None => return Err("`state` is no whole number".into()),
    };
    let started = moment("startTime", row.start_time)?;
    // The state has the last word: an end told of a running job is a guess or a leftover.
    let finished = if state == State::Running { None } else { moment("finishTime", row.finish_time)? };
    Ok(Job {
        source: source.clone(),
        id,
        kind: Scalar::of(row.kind).integer().map(JobType::from_code),
        state,
        started,
        finished,
        profile: profile(Scalar::of(row.scan_profile_name)),
        category: Scalar::of(row.category).integer().map(Category::from_code),
        extension: extension(row.extension),
    })
}

fn id(said: &Scalar<'_>) -> Result<String, String> {
    let Scalar::Text(text) = said else {
        return Err("`id` is no text".into());
    };
    if text.trim().is_empty() {
        return Err("`id` is empty".into());
    }
    if text.len() > ID_BYTES {
        return Err(format!("`id` is longer than {ID_BYTES} bytes"));
    }
    // Two ids that differ only in what could not be decoded would be taken for one.
    if text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
        return Err("`id` has control characters, or bytes that are no text".into());
    }
    Ok(text.clone().into_owned())
}

fn moment(key: &str, said: Option<&RawValue>) -> Result<Option<jiff::Timestamp>, String> {
    match Scalar::of(said) {
        Scalar::Null => Ok(None),
        Scalar::Text(text) => time::read(&text).map_err(|_| format!("`{key}` is no ISO 8601 time")),
        Scalar::Other(_) => Err(format!("`{key}` is no text")),
    }
}

fn profile(said: Scalar<'_>) -> String {
    match said {
        Scalar::Text(text) if text.len() <= PROFILE_BYTES => text.into_owned(),
        Scalar::Text(text) => format!("{}…", cut(&text, PROFILE_BYTES)),
        _ => String::new(),
    }
}

fn extension(said: Option<&RawValue>) -> Value {
    let Some(raw) = said.map(RawValue::get) else {
        return Value::Null;
    };
    let size = raw.len();
    if size > EXTENSION_BYTES {
        return Value::String(format!("not kept: {size} bytes, more than {EXTENSION_BYTES}"));
    }
    serde_json::from_str(raw).unwrap_or_else(|_| Value::String(format!("not kept: {size} bytes, nested too deep or out of range")))
}

/// The longest beginning of `text` of at most `most` bytes that ends with a whole character.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// A value of a known key, as far as a row cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `null`, or nothing at all.
    Null,
    /// A text, unescaped; what is no Unicode in it is replaced.
    Text(Cow<'a, str>),
    /// Anything else, as it stands.
    Other(&'a str),
}

impl<'a> Scalar<'a> {
    /// Of a value as it stands in the page.
    pub fn of(raw: Option<&'a RawValue>) -> Self {
        let Some(raw) = raw.map(RawValue::get) else {
            return Self::Null;
        };
        match raw.as_bytes() {
            b"null" => Self::Null,
            // The pattern has found both marks, one byte each.
            [b'"', .., b'"'] if !raw.contains('\\') => Self::Text(Cow::Borrowed(&raw[1..raw.len() - 1])),
            [b'"', ..] => Self::Text(Cow::Owned(unescaped(raw))),
            _ => Self::Other(raw),
        }
    }

    /// The whole number it is, or says in digits.
    fn integer(&self) -> Option<i64> {
        match self {
            Self::Null => None,
            Self::Text(text) => text.trim().parse().ok(),
            Self::Other(raw) => raw.parse().ok(),
        }
    }
}

/// A JSON string's text. Half a surrogate pair (.NET lets one through) becomes U+FFFD thrice instead of costing the row.
fn unescaped(raw: &str) -> String {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }
        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
    let mut reader = serde_json::Deserializer::from_str(raw);
    match reader.deserialize_bytes(Bytes) {
        Ok(bytes) => String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        // Not reached with a string that was taken for valid JSON before; U+FFFD fails an id and spoils nothing else.
        Err(_) => char::REPLACEMENT_CHARACTER.into(),
    }
}

/// The known keys of a row, their values not looked at yet. Of a key that stands twice the last one counts.
#[derive(Default)]
struct Row<'a> {
    id: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    state: Option<&'a RawValue>,
    start_time: Option<&'a RawValue>,
    finish_time: Option<&'a RawValue>,
    scan_profile_name: Option<&'a RawValue>,
    category: Option<&'a RawValue>,
    extension: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Id,
    Type,
    State,
    StartTime,
    FinishTime,
    ScanProfileName,
    Category,
    Extension,
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
        let mut row = Row::default();
        while let Some(key) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            let slot = match key {
                Key::Id => &mut row.id,
                Key::Type => &mut row.kind,
                Key::State => &mut row.state,
                Key::StartTime => &mut row.start_time,
                Key::FinishTime => &mut row.finish_time,
                Key::ScanProfileName => &mut row.scan_profile_name,
                Key::Category => &mut row.category,
                Key::Extension => &mut row.extension,
                Key::Unknown => continue,
            };
            *slot = Some(value);
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(text: &str) -> Result<Job, BadRow> {
        read(serde_json::from_str(text).unwrap(), &Name::from("contoso"))
    }

    /// A good row with some keys in place of its own.
    fn with(changes: &str) -> Result<Job, BadRow> {
        row(&format!(
            r#"{{"id":"Scan1","type":0,"state":2,"startTime":"2024-09-26T05:58:40.4092427+00:00","finishTime":"2024-09-26T05:59:12.2300688+00:00","scanProfileName":"scan sharepoint sites","category":0,"extension":null,{changes}}}"#
        ))
    }

    #[test]
    fn reads_the_vendors_row() {
        let job = with(r#""new":[1e999,{"\ud800":1}]"#).unwrap();
        let expected = Job {
            source: Name::from("contoso"),
            id: "Scan1".into(),
            kind: Some(JobType::Microsoft365),
            state: State::Finished,
            started: Some("2024-09-26T05:58:40.409242Z".parse().unwrap()),
            finished: Some("2024-09-26T05:59:12.230068Z".parse().unwrap()),
            profile: "scan sharepoint sites".into(),
            category: Some(Category::Microsoft365),
            extension: Value::Null,
        };
        assert_eq!(job, expected);
        let least = row(r#"{"state":"10","id":"é"}"#).unwrap();
        assert_eq!((least.state, least.kind, least.category, least.profile.as_str()), (State::Stopped, None, None, ""));
        assert_eq!((least.started, least.finished, least.extension), (None, None, Value::Null));
    }

    #[test]
    fn says_what_is_wrong_with_a_row() {
        for (changes, why) in [
            (r#""id":null"#, "`id` is no text"),
            (r#""id":17"#, "`id` is no text"),
            (r#""id":"""#, "`id` is empty"),
            (r#""id":" ""#, "`id` is empty"),
            (r#""id":"a\u0000b""#, "`id` has control characters, or bytes that are no text"),
            (r#""id":"a\ud800b""#, "`id` has control characters, or bytes that are no text"),
            (r#""state":null"#, "`state` is no whole number"),
            (r#""state":"finished""#, "`state` is no whole number"),
            (r#""state":2.5"#, "`state` is no whole number"),
            (r#""state":true"#, "`state` is no whole number"),
            (r#""state":99999999999999999999"#, "`state` is no whole number"),
            (r#""startTime":"soon""#, "`startTime` is no ISO 8601 time"),
            (r#""startTime":1727330320"#, "`startTime` is no text"),
            (r#""finishTime":"later""#, "`finishTime` is no ISO 8601 time"),
            (r#""finishTime":{}"#, "`finishTime` is no text"),
        ] {
            let bad = with(changes).unwrap_err();
            assert_eq!(bad.why, why, "{changes}");
            assert!(bad.raw.starts_with(r#"{"id":"Scan1""#) && bad.raw.contains(changes), "{}", bad.raw);
        }
        for text in ["null", "1", "\"Scan1\"", "[]", r#"["Scan1",0,2]"#, "{}"] {
            assert!(row(text).is_err(), "{text}");
        }
        let long = format!(r#""id":"{}""#, "é".repeat(ID_BYTES));
        assert_eq!(with(&long).unwrap_err().why, "`id` is longer than 512 bytes");
    }

    #[test]
    fn keeps_a_job_whatever_else_is_odd_about_it() {
        let job = with(r#""type":"x","category":[],"scanProfileName":7"#).unwrap();
        assert_eq!((job.kind, job.category, job.profile.as_str()), (None, None, ""));
        let job = with(r#""state":6,"type":"11","category":99"#).unwrap();
        assert_eq!((job.state, job.kind, job.category), (State::Unknown(6), Some(JobType::BatchImport), Some(Category::Unknown(99))));
        assert_eq!(with(r#""scanProfileName":"a\"\n\ud800\u00e9""#).unwrap().profile, "a\"\n\u{fffd}\u{fffd}\u{fffd}é");
        for never in ["null", "\"\"", "\"0001-01-01T00:00:00\"", "\"9999-12-31T23:59:59.9999999Z\""] {
            let job = with(&format!(r#""startTime":{never},"finishTime":{never}"#)).unwrap();
            assert_eq!((job.started, job.finished), (None, None), "{never}");
        }
        assert!(with(r#""startTime":"2099-01-01T00:00:00Z""#).is_ok());
    }

    #[test]
    fn a_running_job_has_no_end_whatever_it_says() {
        for finish in ["\"2024-09-26T05:59:12Z\"", "\"rubbish\"", "5", "null"] {
            let job = with(&format!(r#""state":1,"finishTime":{finish}"#)).unwrap();
            assert_eq!((job.state, job.finished), (State::Running, None), "{finish}");
        }
    }

    #[test]
    fn what_is_too_large_says_so() {
        let job = with(&format!(r#""scanProfileName":"{}""#, "é".repeat(PROFILE_BYTES))).unwrap();
        assert_eq!(job.profile, format!("{}…", "é".repeat(PROFILE_BYTES / 2)));
        assert_eq!(with(r#""extension":{"b":1,"a":[true]}"#).unwrap().extension.to_string(), r#"{"b":1,"a":[true]}"#);
        let large = format!(r#""extension":"{}""#, "x".repeat(EXTENSION_BYTES));
        assert_eq!(with(&large).unwrap().extension, "not kept: 65538 bytes, more than 65536");
        let deep = format!(r#""extension":{}{}"#, "[".repeat(1000), "]".repeat(1000));
        assert_eq!(with(&deep).unwrap().extension, "not kept: 2000 bytes, nested too deep or out of range");
        let bad = row(&format!(r#"{{"é":"{}"}}"#, "é".repeat(BadRow::RAW_BYTES))).unwrap_err();
        assert_eq!(bad.raw.len(), BadRow::RAW_BYTES - 1);
    }

    proptest! {
        #[test]
        fn no_json_panics(text in r#"\{("(id|state|startTime|x)":("[^"\\]{0,9}"|[0-9]{1,22}|null|\[\]|"\\u[0-9a-f]{4}"),){0,5}"id":"a"\}"#) {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&text) {
                let _ = read(raw, &Name::from("contoso"));
            }
        }
    }
}
