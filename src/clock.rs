//! The wall clock, passed in: only `app` makes the real one, so everything below it can be driven through any time.

use jiff::Timestamp;

/// Tells the time of day. Waiting is tokio's business; this only names instants.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}
