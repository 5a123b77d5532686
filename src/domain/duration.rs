//! Durations as the config writes them and as people read them.

use std::time::Duration;

/// The longest duration that can be written: a hundred years, far from every overflow in date arithmetic.
pub const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration: write a number and a unit, as in 90s, 30m, 1h30m or 2d")]
pub struct DurationError(pub String);

const UNITS: [(&str, u64); 6] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Reads `90s`, `30m`, `1h30m`, `2d`; also `500ms` and `1w`. A day is 24 hours.
///
/// # Errors
/// The text is empty, has a part without a known unit, names a unit twice or in rising order, or exceeds [`LONGEST`].
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError(text.trim().to_owned());
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut smallest = u64::MAX;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let amount: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, millis) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters]).ok_or_else(wrong)?;
        if *millis >= smallest {
            return Err(wrong());
        }
        smallest = *millis;
        total = amount.checked_mul(*millis).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = rest[letters..].trim_start();
    }
    let duration = Duration::from_millis(total);
    if duration > LONGEST { Err(wrong()) } else { Ok(duration) }
}

/// The two largest units of a duration, as a person says it: `32s`, `12m 5s`, `1h 30m`, `3d 4h`; below a second, `0.4s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    if secs == 0 {
        let tenths = duration.subsec_millis() / 100;
        return if tenths == 0 { "0s".into() } else { format!("0.{tenths}s") };
    }
    let parts = [(secs / 86_400, "d"), (secs / 3_600 % 24, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    let mut text = String::new();
    for (n, unit) in parts.iter().skip(first).take(2) {
        if *n > 0 {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&n.to_string());
            text.push_str(unit);
        }
    }
    text
}

/// Every unit of a duration, to the millisecond, where two would hide what decides: `6h 20s`, `1d 30m`, `30m 0.4s`.
#[must_use]
pub fn format_exactly(duration: Duration) -> String {
    let secs = duration.as_secs();
    let mut parts = vec![(secs / 86_400, "d"), (secs / 3_600 % 24, "h"), (secs / 60 % 60, "m")];
    parts.retain(|(n, _)| *n > 0);
    let mut texts: Vec<String> = parts.into_iter().map(|(n, unit)| format!("{n}{unit}")).collect();
    let (rest, millis) = (secs % 60, duration.subsec_millis());
    if millis > 0 {
        texts.push(format!("{}s", format!("{rest}.{millis:03}").trim_end_matches('0')));
    } else if rest > 0 || texts.is_empty() {
        texts.push(format!("{rest}s"));
    }
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_spec_writes() {
        for (text, secs) in [("90s", 90), ("30m", 1_800), ("1h30m", 5_400), ("2d", 172_800), ("1h 30m", 5_400), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn refuses_what_is_unclear() {
        for text in ["", " ", "5", "m", "5x", "-5m", "1.5h", "30m1h", "5m5m", "99999999999999999999s", "9999999w"] {
            assert_eq!(parse_duration(text), Err(DurationError(text.trim().to_owned())), "{text}");
        }
    }

    #[test]
    fn reads_aloud() {
        for (secs, text) in [(0, "0s"), (32, "32s"), (725, "12m 5s"), (3_600, "1h"), (5_400, "1h 30m"), (273_600, "3d 4h"), (86_460, "1d")]
        {
            assert_eq!(format_duration(Duration::from_secs(secs)), text);
        }
        assert_eq!(format_duration(Duration::from_millis(430)), "0.4s");
    }

    #[test]
    fn leaves_nothing_out_where_it_must_be_exact() {
        for (millis, text) in [
            (0, "0s"),
            (7_200_000, "2h"),
            (7_203_000, "2h 3s"),
            (88_200_000, "1d 30m"),
            (1_800_400, "30m 0.4s"),
            (90_061_010, "1d 1h 1m 1.01s"),
        ] {
            assert_eq!(format_exactly(Duration::from_millis(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = parse_duration(&text);
        }
    }
}
