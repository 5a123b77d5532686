//! The sources: one file a kind, one line in the list.

mod contract;

pub use contract::{BadRow, Cursor, Feed, FeedError, Kind, Next, Page, Settings};
