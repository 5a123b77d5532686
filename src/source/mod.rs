//! The sources: one file a kind, one line in the list.

mod contract;

pub use contract::{BadRow, Cursor, Feed, FeedError, Kind, Next, Page, Settings};

/// Every kind of source. A new one is a file of its own and its line here.
pub const KINDS: &[Kind] = &[];
