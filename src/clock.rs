//! The wall clock, passed in: only `app` makes the real one, so everything below it can be driven through any time.

use std::time::Duration;

use jiff::Timestamp;

/// Tells the time of day. Waiting is tokio's business; this only names instants, and says how long to wait for one.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// How long the machine has been up, its sleep counted; none where that can't be told.
    fn up(&self) -> Option<Duration> {
        None
    }

    /// How long the machine has to wait until `wait` has passed on this clock. The same, but on a clock that runs faster or
    /// slower than the machine's (the demo's).
    fn passes_in(&self, wait: Duration) -> Duration {
        wait
    }
}
