//! `--since` and `--until`: from when on, and up to when.

use jiff::tz::TimeZone;

pub use crate::domain::{Since, Time, since, time};

/// The words of `--help` for `--since`, for every command that takes it; `$last` says what is particular to one.
macro_rules! since_help {
    ($last:literal) => {
        concat!("From when on: so long ago (24h, 7d), a date (2026-01-31), or a time (2026-01-31T08:00, 2026-01-31T08:00:00Z)", $last)
    };
}
pub(super) use since_help;

/// The clock that people at this machine read: that of `TZ` or of the system, else UTC.
#[must_use]
pub fn here() -> TimeZone {
    TimeZone::system()
}
