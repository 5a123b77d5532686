//! The body of an answer: a complete JSON object with a `jobs` array, or no page at all.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::row::{self, Scalar};
use crate::{
    domain::{Job, Name},
    source::BadRow,
};

/// The most rows of one page: a hundred times the most that can be asked for, and as many as memory takes lightly.
pub const ROWS: usize = 100_000;

/// What a body holds.
#[derive(Debug, Clone)]
pub struct PageBody {
    /// The rows in the feed's order.
    pub rows: Vec<Result<Job, BadRow>>,
    /// `nextLink` if it is a text; none where it is absent or `null`; otherwise what stands there.
    pub next_link: Result<Option<String>, String>,
}

/// Reads the body of an answer of `/aos/jobs`.
///
/// # Errors
/// Why it is no page of jobs, in words that repeat nothing of it.
pub fn read_page(body: &[u8], source: &Name) -> Result<PageBody, String> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    // A byte that is no UTF-8 spoils the text it stands in, not the page.
    let text: Cow<'_, str> = String::from_utf8_lossy(body);
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err("the body is empty".into());
    }
    // A list would pass for an object with its keys left out.
    if !text.starts_with('{') {
        return Err("the body is no JSON object".into());
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| why(&error, text.len()))?;
    if envelope.jobs.too_many {
        return Err(format!("the page has more than {ROWS} rows"));
    }
    let rows = envelope.jobs.rows.into_iter().map(|raw| row::read(raw, source)).collect();
    let next_link = match Scalar::of(envelope.next_link) {
        Scalar::Null => Ok(None),
        Scalar::Text(text) => Ok(Some(text.into_owned())),
        Scalar::Other(_) => Err("nextLink is no text".into()),
    };
    Ok(PageBody { rows, next_link })
}

/// The reader's own words may repeat the body, and a body may repeat a token.
fn why(error: &serde_json::Error, size: usize) -> String {
    match error.classify() {
        Category::Eof => format!("the body breaks off after {size} bytes"),
        Category::Data => "the body has no `jobs` array".into(),
        Category::Syntax | Category::Io => {
            format!("the body is not valid JSON (line {}, column {})", error.line(), error.column())
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jobs: Rows<'a>,
    #[serde(borrow, rename = "nextLink")]
    next_link: Option<&'a RawValue>,
}

struct Rows<'a> {
    rows: Vec<&'a RawValue>,
    too_many: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Rows<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rows<'de>, A::Error> {
        let mut rows = Vec::new();
        while rows.len() < ROWS {
            match seq.next_element()? {
                Some(row) => rows.push(row),
                None => return Ok(Rows { rows, too_many: false }),
            }
        }
        let mut too_many = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            too_many = true;
        }
        Ok(Rows { rows, too_many })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(body: impl AsRef<[u8]>) -> Result<PageBody, String> {
        read_page(body.as_ref(), &Name::from("contoso"))
    }

    fn ids(page: &PageBody) -> Vec<&str> {
        page.rows.iter().map(|row| row.as_ref().map_or("bad", |job| job.id.as_str())).collect()
    }

    const GOOD: &str = r#"{"jobs":[{"id":"Scan1","state":2,"startTime":"2024-09-26T05:58:40.4092427+00:00"},{"id":"Scan2","state":1}],"nextLink":"https://a.example/aos/jobs?skip=1","totalCount":-7}"#;

    #[test]
    fn reads_a_page() {
        let read = page(GOOD).unwrap();
        assert_eq!(ids(&read), ["Scan1", "Scan2"]);
        assert_eq!(read.next_link, Ok(Some("https://a.example/aos/jobs?skip=1".into())));
        let read = page("\u{feff} {\"totalCount\":{},\"jobs\":[]}\r\n").unwrap();
        assert!(read.rows.is_empty());
        assert_eq!(read.next_link, Ok(None));
        assert_eq!(page(r#"{"jobs":[],"nextLink":null}"#).unwrap().next_link, Ok(None));
        assert!(page(r#"{"jobs":[],"nextLink":12}"#).unwrap().next_link.is_err());
    }

    #[test]
    fn takes_nothing_else_for_a_page() {
        for (body, expected) in [
            ("", "the body is empty"),
            (" \n", "the body is empty"),
            ("<html><body>Sign in</body></html>", "the body is no JSON object"),
            ("[]", "the body is no JSON object"),
            ("[[],null]", "the body is no JSON object"),
            ("null", "the body is no JSON object"),
            ("{}", "the body has no `jobs` array"),
            (r#"{"jobs":null}"#, "the body has no `jobs` array"),
            (r#"{"jobs":{}}"#, "the body has no `jobs` array"),
            (r#"{"jobs":"canary"}"#, "the body has no `jobs` array"),
            (r#"{"Jobs":[]}"#, "the body has no `jobs` array"),
            (r#"{"jobs":[]"#, "the body breaks off after 10 bytes"),
            (r#"{"jobs":[],}"#, "the body is not valid JSON (line 1, column 12)"),
            (r#"{"jobs":[]} canary"#, "the body is not valid JSON (line 1, column 13)"),
            (r#"{"jobs":[] // none"#, "the body is not valid JSON (line 1, column 12)"),
        ] {
            assert_eq!(page(body).unwrap_err(), expected, "{body}");
        }
    }

    #[test]
    fn cut_at_any_byte_it_is_no_page() {
        for cut in 0..GOOD.len() {
            assert!(page(&GOOD[..cut]).is_err(), "cut after {cut} bytes");
        }
    }

    #[test]
    fn bytes_that_are_no_text_cost_the_text_they_stand_in() {
        let body = b"{\"jobs\":[{\"id\":\"Scan1\",\"state\":3,\"scanProfileName\":\"a\xffb\"},{\"id\":\"Sc\xffan\",\"state\":3}]}";
        let read = page(body).unwrap();
        assert_eq!(ids(&read), ["Scan1", "bad"]);
        assert_eq!(read.rows[0].as_ref().unwrap().profile, "a\u{fffd}b");
    }

    #[test]
    fn a_page_of_too_many_rows_says_so() {
        let body = format!(r#"{{"jobs":[{}0]}}"#, "0,".repeat(ROWS));
        assert_eq!(page(body).unwrap_err(), "the page has more than 100000 rows");
        assert_eq!(page(format!(r#"{{"jobs":[{}0]}}"#, "0,".repeat(ROWS - 1))).unwrap().rows.len(), ROWS);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = page(body);
        }

        #[test]
        fn one_bad_row_costs_no_other(
            bad in prop_oneof![
                Just(r#"{"id":"x"}"#), Just("7"), Just("null"), Just("[[[{}]]]"), Just(r#"{"id":"x","state":"\ud800"}"#),
                Just(r#"{"id":"\u0000","state":2}"#), Just(r#"{"id":"x","state":1e999}"#), Just(r#"{"\ud800":1,"id":"x"}"#),
            ],
            good in 1_usize..20,
            at in any::<prop::sample::Index>(),
        ) {
            let mut rows: Vec<String> = (0..good).map(|n| format!(r#"{{"id":"Scan{n}","state":3}}"#)).collect();
            let at = at.index(good);
            rows.insert(at, bad.to_owned());
            let read = page(format!(r#"{{"jobs":[{}]}}"#, rows.join(","))).unwrap();
            let mut expected: Vec<String> = (0..good).map(|n| format!("Scan{n}")).collect();
            expected.insert(at, "bad".into());
            prop_assert_eq!(ids(&read), expected);
            prop_assert_eq!(&read.rows[at].as_ref().unwrap_err().raw, bad);
        }
    }
}
