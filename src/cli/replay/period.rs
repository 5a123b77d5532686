//! Which time is replayed.

use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::domain::{format_duration, parse_duration};

/// How far back the store is replayed where nothing is said.
pub const SINCE_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A beginning: so long before the end, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long before the end of the period.
    Ago(Duration),
    /// From this instant on.
    At(Timestamp),
}

impl Since {
    /// The instant, for a period that ends at `to`.
    #[must_use]
    pub fn before(self, to: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => to.checked_sub(ago).unwrap_or(Timestamp::MIN),
            Self::At(at) => at,
        }
    }
}

/// Reads `30d`, `2026-01-31` or `2026-01-31T08:00:00Z`.
pub fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = instant(text) {
        return Ok(Since::At(at));
    }
    parse_duration(text).map(Since::Ago).map_err(|error| format!("{error}; or a time such as 2026-01-31 or 2026-01-31T08:00:00Z"))
}

/// Reads `2026-01-31T08:00:00Z`, or `2026-01-31` for its first instant, UTC.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("`{text}` is no time: write one as 2026-01-31 or 2026-01-31T08:00:00Z");
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    // A date that goes on as something else is no date.
    let date: Date = if text.len() == "2026-01-31".len() { text.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    date.to_zoned(TimeZone::UTC).map(|midnight| midnight.timestamp()).map_err(|_| wrong())
}

/// A length as the last line says it: whole days where there are some, `30 days`.
#[must_use]
pub fn length(from: Timestamp, to: Timestamp) -> String {
    const DAY: u64 = 24 * 3600;
    let length = Duration::try_from(to.duration_since(from)).unwrap_or_default();
    let days = (length.as_secs() + DAY / 2) / DAY;
    match days {
        0 => format_duration(length),
        1 => {
            if length.as_secs() == DAY {
                "1 day".to_owned()
            } else {
                format_duration(length)
            }
        }
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_length_a_date_or_an_instant() {
        let at = |text: &str| Since::At(text.parse().unwrap());
        assert_eq!(since("30d"), Ok(Since::Ago(SINCE_DEFAULT)));
        assert_eq!(since("2026-01-31"), Ok(at("2026-01-31T00:00:00Z")));
        assert_eq!(since("2026-01-31T08:00:00+02:00"), Ok(at("2026-01-31T06:00:00Z")));
        for wrong in ["", "30", "soon", "2026-02-30", "2026-01-31T08:00", "2026-1-31", "-5d"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
        assert!(instant("30d").is_err());
    }

    #[test]
    fn a_length_is_told_in_whole_days_where_there_are_some() {
        let from: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (secs, expected) in [
            (0, "0s"),
            (90, "1m 30s"),
            (43_200, "12h"),
            (86_400, "1 day"),
            (90_000, "1d 1h"),
            (2_592_000, "30 days"),
            (2_600_000, "30 days"),
        ] {
            assert_eq!(length(from, from.checked_add(Duration::from_secs(secs)).unwrap()), expected);
        }
    }
}
