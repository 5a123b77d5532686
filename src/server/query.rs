//! What a list is asked for by: filters and paging as query parameters, each checked, none passed over.

use axum::http::StatusCode;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    cursor::{self, Cursor},
    endpoints::Endpoint,
    problem::{Problem, plain, quoted},
};
use crate::{document::near, domain::since};

/// How many entries an answer has where nothing is said.
pub const LIMIT_DEFAULT: u32 = 100;
/// How many entries an answer has at most.
pub const LIMIT_MOST: u32 = 1_000;

/// Query parameters that are known, each given once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part of the address behind `?`.
    ///
    /// # Errors
    /// A parameter that the endpoint does not take, that is empty, or that is there twice.
    pub fn read(raw: Option<&str>, endpoint: &Endpoint) -> Result<Self, Problem> {
        let mut given: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            let Some(known) = endpoint.takes.iter().find(|known| **known == name) else {
                let hint = match (near(&name, endpoint.takes.iter().copied()), endpoint.takes) {
                    (Some(near), _) => format!("did you mean `{near}`?"),
                    (None, []) => "it takes none".into(),
                    (None, takes) => format!("it takes {}", takes.join(", ")),
                };
                return Err(Problem::bad(format!("{} has no parameter {}; {hint}", endpoint.path, quoted(&name))));
            };
            if value.is_empty() {
                return Err(Problem::bad(format!("`{known}` is empty: give it a value, or leave it out")));
            }
            if given.iter().any(|(other, _)| other == known) {
                return Err(Problem::bad(format!("`{known}` is given twice: it takes one value")));
            }
            given.push(((*known).to_owned(), value.into_owned()));
        }
        Ok(Self(given))
    }

    /// A parameter's value.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's value, owned.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A parameter's value, read.
    ///
    /// # Errors
    /// It is not what is expected, which the error says.
    pub fn parsed<T>(&self, name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match parse(value) {
            Some(read) => Ok(Some(read)),
            None => Err(Problem::bad(format!("`{name}` is {}: expected {expected}", quoted(value)))),
        }
    }

    /// A parameter's value, which is one of these words.
    ///
    /// # Errors
    /// It is none of them; the nearest is proposed.
    pub fn word(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, Problem> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match words.iter().find(|word| **word == value) {
            Some(word) => Ok(Some(word)),
            None => Err(not_a_word(name, value, words)),
        }
    }

    /// What a parameter's value, which is one of these words, stands for.
    ///
    /// # Errors
    /// As for [`Self::word`].
    pub fn meaning<T: Copy>(&self, name: &str, meanings: &[(&'static str, T)]) -> Result<Option<T>, Problem> {
        let words: Vec<&'static str> = meanings.iter().map(|(word, _)| *word).collect();
        let word = self.word(name, &words)?;
        Ok(meanings.iter().find(|(known, _)| Some(*known) == word).map(|(_, meaning)| *meaning))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }
}

/// A value that is none of the words known.
pub fn not_a_word(name: &str, value: &str, words: &[&str]) -> Problem {
    let hint = near(value, words.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Problem::bad(format!("`{name}` is {}: expected one of {}{hint}", quoted(value), words.join(", ")))
}

/// A list as it is asked for. `K` is a place in it.
#[derive(Debug)]
pub struct Ask<K> {
    /// Whose list.
    pub endpoint: &'static Endpoint,
    /// The filters.
    pub filters: Query,
    /// At most so many entries.
    pub limit: u32,
    /// `since`, as it was when the list was first asked for: a page later, `24h` ago is another instant.
    pub since: Option<Timestamp>,
    /// The place behind which the page begins; none for the first one.
    pub behind: Option<K>,
}

impl<K: DeserializeOwned + Serialize> Ask<K> {
    /// Reads the part of the address behind `?`. Beside a cursor, filters may be left out: they are in it.
    ///
    /// # Errors
    /// See [`Query::read`]; a limit out of bounds, a cursor of another list or of other filters.
    pub fn read(raw: Option<&str>, endpoint: &'static Endpoint, now: Timestamp) -> Result<Self, Problem> {
        let mut filters = Query::read(raw, endpoint)?;
        let expected = format!("a number from 1 to {LIMIT_MOST}");
        let in_bounds = |text: &str| text.parse().ok().filter(|limit| (1..=LIMIT_MOST).contains(limit));
        let limit: Option<u32> = filters.parsed("limit", &expected, in_bounds)?;
        filters.take("limit");
        let Some(text) = filters.take("cursor") else {
            let read = |text: &str| since(text).map_err(|why| Problem::bad(format!("`since`: {}", plain(&why))));
            // Its readers are anywhere: what names no offset is UTC, as all its times are.
            let since = filters.text("since").map(read).transpose()?.map(|since| since.before(now, &TimeZone::UTC));
            return Ok(Self { endpoint, filters, limit: limit.unwrap_or(LIMIT_DEFAULT), since, behind: None });
        };
        let Cursor { filters: of_cursor, limit: its_limit, since, key, .. } = cursor::open(&text, endpoint.path)?;
        let of_cursor = Query(of_cursor);
        let same = |one: &(String, String)| of_cursor.0.contains(one);
        if !(filters.0.iter().all(same) && (filters.0.is_empty() || filters.0.len() == of_cursor.0.len())) {
            return Err(Problem::bad("the cursor belongs to other filters: give the same ones as for its page, or leave them out"));
        }
        Ok(Self { endpoint, filters: of_cursor, limit: limit.unwrap_or(its_limit), since, behind: Some(key) })
    }

    /// The cursor of the page that begins behind a place.
    pub fn next(&self, key: K) -> String {
        cursor::seal(&Cursor {
            list: self.endpoint.path.to_owned(),
            filters: self.filters.0.clone(),
            limit: self.limit,
            since: self.since,
            key,
        })
    }

    /// How many rows to look for: one more than are shown, to know whether there are more.
    pub const fn rows(&self) -> u32 {
        self.limit + 1
    }
}

/// What a name asked for is not known by: told beside an empty list, for the store may hold what an earlier config named.
pub fn hint<'k>(what: &str, name: Option<&str>, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let name = name.filter(|name| !known.contains(name))?;
    Some(Problem::unknown(StatusCode::OK, what, name, known).error)
}
