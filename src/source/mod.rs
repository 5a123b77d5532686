//! The sources: one file or folder a kind, one line in the list.

mod answer;
mod aos_scan_jobs;
mod contract;

pub use aos_scan_jobs::{PageBody, read_page, read_row};
pub use contract::{BadRow, Cursor, Feed, FeedError, Found, Kind, Next, Page, Print, Settings};

/// Every kind of source. A new one is a file of its own and its line here.
pub const KINDS: &[Kind] = &[aos_scan_jobs::KIND];
