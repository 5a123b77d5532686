//! What every kind of source is: settings that can be read and checked, and a live feed that is read in pages.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    clock::Clock,
    document::{Faults, Fields, Keys},
    domain::{Job, Name},
    http::Http,
    oauth::TokenError,
};

/// One kind of source: a line in [`super::KINDS`].
pub struct Kind {
    /// The word after `kind:`.
    pub name: &'static str,
    /// A commented example of its settings, as `init` writes it below `sources:` (without the source's name).
    pub example: &'static str,
    /// The keys that are this kind's own, for the schema; what `read` takes, and nothing else.
    pub keys: Keys,
    /// Reads the settings that are this kind's own; the keys every source takes are read before, unknown ones told after.
    pub read: fn(&mut Fields<'_>, &mut Faults) -> Option<Box<dyn Settings>>,
}

/// The valid settings of one source, not yet connected to anything.
pub trait Settings: fmt::Debug + Send + Sync {
    /// Makes the live feed. Opens no connection yet. The clock dates what the feed signs, and `Retry-After` dates.
    ///
    /// # Errors
    /// What of the settings can't work on this machine, in one line without secrets.
    fn connect(&self, name: &Name, http: &Http, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Feed>, String>;
}

/// Where in the list to read, newest jobs first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// By the feed's own parameters. What `skip` counts (rows or pages) is for the reader of the answer to find out.
    Skip {
        /// `skip`.
        skip: u32,
        /// `top`: how many rows to ask for; the service may give fewer.
        top: u32,
    },
    /// What a page named as the next; already proved to lie within the source's own origin.
    Link(String),
}

/// What a page names as its successor. A hint: an absent one does not prove the end, a present one proves nothing either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing (absent, `null` or empty).
    None,
    /// A page within the source's own origin, for [`Cursor::Link`].
    Link(String),
    /// A link that is never followed (another origin, or no URL at all), with the reason. The token is not sent there.
    Unusable(String),
}

/// One page of the list.
#[derive(Debug, Clone)]
pub struct Page {
    /// The rows in the feed's order; a row that can't be read costs only itself.
    pub rows: Vec<Result<Job, BadRow>>,
    /// What it names as the next page.
    pub next: Next,
    /// The server's own time of answering (its `Date` header), where it told one.
    pub served_at: Option<Timestamp>,
    /// Of its body.
    pub print: Print,
}

/// Tells one body from another: those of one print are the same, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print([u8; 32]);

impl Print {
    /// The print of a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

/// What was found where a page was asked for.
#[derive(Debug, Clone)]
pub enum Found {
    /// A page.
    Page(Page),
    /// The page that was known to stand there, byte for byte.
    Known {
        /// See [`Page::served_at`].
        served_at: Option<Timestamp>,
    },
}

/// A row that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// What is wrong with it.
    pub why: String,
    /// The row as it came, cut to [`BadRow::RAW_BYTES`].
    pub raw: String,
}

impl BadRow {
    /// How much of a bad row is kept.
    pub const RAW_BYTES: usize = 16 * 1024;
}

/// Why a page could not be had. Every message names the URL without its secrets, and the `request-id` where one came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The credentials were refused, by the token endpoint or (with a fresh token) by the feed.
    #[error("credentials refused: {0}")]
    Refused(String),
    /// The service asks for patience.
    #[error("asked to wait: {why}")]
    Throttled {
        /// The least wait it asked for.
        after: Option<Duration>,
        /// What it answered.
        why: String,
    },
    /// No answer, or one that tells of trouble over there.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// An answer that is no page: not whole, not JSON, no `jobs` array.
    #[error("not a page of jobs: {0}")]
    Malformed(String),
}

impl From<TokenError> for FeedError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(why) => Self::Refused(why),
            TokenError::Throttled { after, why } => Self::Throttled { after, why },
            TokenError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

/// A live feed.
#[async_trait]
pub trait Feed: Send + Sync {
    /// How many rows to ask for at a time (`page_size`).
    fn page_size(&self) -> u32;

    /// Reads one page, newest jobs first.
    ///
    /// # Errors
    /// See [`FeedError`]; an expired token is renewed once within the call.
    async fn page(&self, at: &Cursor) -> Result<Page, FeedError>;

    /// Reads one page, but for its rows where it still is the one of the print `known`.
    ///
    /// # Errors
    /// As for [`Feed::page`].
    async fn page_unless(&self, at: &Cursor, known: Option<Print>) -> Result<Found, FeedError> {
        let page = self.page(at).await?;
        Ok(if known == Some(page.print) { Found::Known { served_at: page.served_at } } else { Found::Page(page) })
    }

    /// Looks one job up by its id; only an exact match counts.
    ///
    /// # Errors
    /// As for [`Feed::page`].
    async fn find(&self, id: &str) -> Result<Option<Job>, FeedError>;

    /// Gets a token and reads one job (`check --connect`).
    ///
    /// # Errors
    /// As for [`Feed::page`].
    async fn probe(&self) -> Result<(), FeedError>;
}
