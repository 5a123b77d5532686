//! Which time is replayed.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::format_duration;

/// How far back the store is replayed where nothing is said.
pub const SINCE_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);

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
