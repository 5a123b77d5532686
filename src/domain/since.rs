//! From when on, and up to when, as people write it: one reader for commands and API.

use std::time::Duration;

use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};

use super::parse_duration;

/// A beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// So long before the end.
    Ago(Duration),
    /// From then on.
    At(Time),
}

/// A point in time as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Time {
    /// With its offset from UTC, or its zone.
    Instant(Timestamp),
    /// By whatever clock it is read with.
    Local(DateTime),
}

impl Since {
    /// The instant, for a period that ends at `to`, by the clock of `zone`.
    #[must_use]
    pub fn before(&self, to: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Ago(ago) => to.checked_sub(*ago).unwrap_or(Timestamp::MIN),
            Self::At(time) => time.by(zone),
        }
    }
}

impl Time {
    /// The instant by the clock of `zone`: of a time that this clock leaves out or shows twice, the first that it can mean.
    #[must_use]
    pub fn by(&self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Instant(at) => *at,
            Self::Local(time) => {
                let edge = if time.year() < 1970 { Timestamp::MIN } else { Timestamp::MAX };
                time.to_zoned(zone.clone()).map_or(edge, |at| at.timestamp())
            }
        }
    }
}

/// Reads a beginning: `30d`, `2026-01-31`, `2026-01-31T08:00`, `2026-01-31T08:00:00Z`.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn since(text: &str) -> Result<Since, String> {
    let text = text.trim();
    if let Some(time) = read(text) {
        return Ok(Since::At(time));
    }
    if let Ok(ago) = parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` of what? write {text}h, {text}d, or a date such as 2026-01-31"));
    }
    Err(format!("{}; or so long ago, as in 24h or 7d", wrong(text)))
}

/// Reads a date or a time.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn time(text: &str) -> Result<Time, String> {
    read(text.trim()).ok_or_else(|| wrong(text.trim()))
}

fn read(text: &str) -> Option<Time> {
    // A date in numbers alone would be read as well, and is more likely a slip.
    if !text.contains('-') {
        return None;
    }
    let zoned = || text.parse::<Zoned>().map(|zoned| zoned.timestamp());
    match text.parse::<Timestamp>().or_else(|_| zoned()) {
        Ok(at) => Some(Time::Instant(at)),
        // What names an offset that can't be read is not the time without it.
        Err(_) if text.ends_with(['Z', 'z', ']']) => None,
        Err(_) => text.parse().ok().map(Time::Local),
    }
}

fn wrong(text: &str) -> String {
    let seems_one = text.len() >= 8 && text.get(..4).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()));
    let what = if seems_one { "is no date or time of the calendar" } else { "is no date or time" };
    format!("`{text}` {what}: write one as 2026-01-31, 2026-01-31T08:00 or 2026-01-31T08:00:00Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zurich() -> TimeZone {
        TimeZone::get("Europe/Zurich").unwrap()
    }

    #[test]
    fn a_beginning_is_a_length_a_date_or_a_time() {
        let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("30d", "2026-02-08T12:00:00Z"),
            ("1h30m", "2026-03-10T10:30:00Z"),
            ("2026-01-31", "2026-01-30T23:00:00Z"),
            ("2026-07-31", "2026-07-30T22:00:00Z"),
            ("2026-01-31T08:00", "2026-01-31T07:00:00Z"),
            ("2026-01-31 08:00:30", "2026-01-31T07:00:30Z"),
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
            ("2026-01-31T08:00:00+05:00", "2026-01-31T03:00:00Z"),
            ("2026-01-31T08:00[America/New_York]", "2026-01-31T13:00:00Z"),
            // Left out in the night on which the clock is put forward, and there twice when it is put back.
            ("2026-03-29T02:30", "2026-03-29T01:30:00Z"),
            ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(since(text).map(|since| since.before(now, &zurich()).to_string()), Ok(expected.to_owned()), "{text}");
        }
        assert_eq!(since("2026-01-31").unwrap().before(now, &TimeZone::UTC).to_string(), "2026-01-31T00:00:00Z");
    }

    #[test]
    fn what_is_neither_says_how_to_write_it() {
        let forms = "write one as 2026-01-31, 2026-01-31T08:00 or 2026-01-31T08:00:00Z";
        for (text, expected) in [
            ("30", "`30` of what? write 30h, 30d, or a date such as 2026-01-31".to_owned()),
            ("soon", format!("`soon` is no date or time: {forms}; or so long ago, as in 24h or 7d")),
            ("-5d", format!("`-5d` is no date or time: {forms}; or so long ago, as in 24h or 7d")),
            ("2026-02-30", format!("`2026-02-30` is no date or time of the calendar: {forms}; or so long ago, as in 24h or 7d")),
            ("2026-1-31", format!("`2026-1-31` is no date or time of the calendar: {forms}; or so long ago, as in 24h or 7d")),
            (
                "2026-01-31T25:00Z",
                format!("`2026-01-31T25:00Z` is no date or time of the calendar: {forms}; or so long ago, as in 24h or 7d"),
            ),
            ("", format!("`` is no date or time: {forms}; or so long ago, as in 24h or 7d")),
        ] {
            assert_eq!(since(text), Err(expected), "{text}");
        }
        assert_eq!(time("30d"), Err(format!("`30d` is no date or time: {forms}")));
    }
}
