//! Why a request is not answered as it was asked: a status, and one line that says what to do.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{document::near, store::StoreError};

/// How much of what was sent is repeated.
const SHOWN: usize = 80;

/// A refusal, as JSON: `{"error": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What is wrong and what to do, in one line without secrets.
    pub error: String,
    /// How long to wait before the same may be asked again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A refusal with this status.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), retry_after: None }
    }

    /// What was sent is wrong.
    pub fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// There is no such thing; the nearest of those there are is proposed.
    pub fn unknown<'k>(status: StatusCode, what: &str, name: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        Self::new(status, no_such(what, name, known))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::TooSlow(_)) {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}: ask for less, as with `since`, or for other filters"));
        }
        tracing::warn!(%error, "a request could not be answered");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.error }))).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            // Rounded up: whoever comes at that second must not come too early.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// `there is no channel `oncal`; did you mean `oncall`?`
pub fn no_such<'k>(what: &str, name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let hint = match near(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("there is none at all; a {what} comes with the config"),
        None if known.len() > NAMED => {
            format!("there are: {} and {} more", known.get(..NAMED).unwrap_or_default().join(", "), known.len() - NAMED)
        }
        None => format!("there are: {}", known.join(", ")),
    };
    format!("there is no {what} {}; {hint}", quoted(name))
}

/// How many known names are listed where none is near.
const NAMED: usize = 20;

/// A word that was sent, as far as it is repeated.
pub fn quoted(word: &str) -> String {
    let mut shown: String = plain(word).chars().take(SHOWN).collect();
    if word.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// One line, whatever was sent.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
