//! The vendor's times: ISO 8601 with seven fractional digits and an offset, and .NET's ways of saying "never".

use jiff::{Timestamp, civil, tz::TimeZone};

/// .NET's least and greatest dates, which stand for "none". The least one comes with or without an offset; the greatest one
/// lies past the last instant that can be computed with.
const NEVER: [&str; 2] = ["0001-01-01", "9999-12-31"];
/// Fractional digits that are kept.
const MICROS: usize = 6;

/// A text that is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTime;

/// Reads a time, cut to whole microseconds; one without an offset is UTC. None where the text stands for "never".
///
/// # Errors
/// The text is no ISO 8601 time.
pub fn read(text: &str) -> Result<Option<Timestamp>, NoTime> {
    let text = text.trim();
    if text.is_empty() || NEVER.iter().any(|never| text.starts_with(never)) {
        return Ok(None);
    }
    let cut = cut_fraction(text);
    let text = cut.as_deref().unwrap_or(text);
    if let Ok(time) = text.parse() {
        return Ok(Some(time));
    }
    // What names an offset has had its chance: the civil reader would pass over an offset that makes no sense.
    let time_of_day = text.get(10..).unwrap_or_default();
    if time_of_day.contains(['Z', 'z', '+', '-']) {
        return Err(NoTime);
    }
    let civil: civil::DateTime = text.parse().map_err(|_| NoTime)?;
    TimeZone::UTC.to_timestamp(civil).map(Some).map_err(|_| NoTime)
}

/// The text with its fraction cut to [`MICROS`] digits, if it has more: more than nine can't be read, and cutting the text
/// is cutting towards the past, before 1970 too.
fn cut_fraction(text: &str) -> Option<String> {
    // Every cut lies beside a mark or a digit, which are one byte each.
    let start = text.find(['.', ','])? + 1;
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    (digits > MICROS).then(|| [&text[..start + MICROS], &text[start + digits..]].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(read(text), Ok(Some(expected.parse().unwrap())), "{text}");
    }

    #[test]
    fn reads_what_the_vendor_writes() {
        check("2024-09-26T05:58:40.4092427+00:00", "2024-09-26T05:58:40.409242Z");
        check("2024-09-26T05:58:40Z", "2024-09-26T05:58:40Z");
        check("2024-09-26T05:58:40.4092427", "2024-09-26T05:58:40.409242Z");
        check("2024-09-26T05:58:40", "2024-09-26T05:58:40Z");
        check("2024-09-26T07:58:40.5+02:00", "2024-09-26T05:58:40.5Z");
        check("2024-09-26T05:58:40.999999999999+00:00", "2024-09-26T05:58:40.999999Z");
        check("2024-09-25T23:28:40,1234567-06:30", "2024-09-26T05:58:40.123456Z");
        check("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z");
        check("2099-01-01T00:00:00Z", "2099-01-01T00:00:00Z");
        check(" 2024-09-26 05:58:40z ", "2024-09-26T05:58:40Z");
    }

    #[test]
    fn reads_never_as_none() {
        for text in [
            "",
            "  ",
            "0001-01-01T00:00:00",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00.0000000+00:00",
            "0001-01-01T00:00:00-05:00",
            "9999-12-31T23:59:59.9999999",
            "9999-12-31T23:59:59.9999999Z",
            "9999-12-31T23:59:59.9999999+14:00",
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "yesterday",
            "2024-13-01T00:00:00Z",
            "2024-02-30T00:00:00",
            "2024-09-26T25:00:00Z",
            "2024-09-26T05:58:40+99:00",
            "2024-09-26T05:58:40.Z",
            "1727330320",
            "2024-09-26T05:58:40.4092427+00:00x",
            "٢٠٢٤-09-26T05:58:40Z",
        ] {
            assert_eq!(read(text), Err(NoTime), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = read(&text);
        }

        #[test]
        fn no_text_that_looks_like_a_time_panics(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T é]?[0-9:.,]{0,20}[-+Z0-9:é]{0,8}") {
            let _ = read(&text);
        }

        #[test]
        fn every_instant_reads_back(micros in -62_000_000_000_000_000_i64..253_000_000_000_000_000, extra in "[0-9]{0,9}") {
            let time = Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(read(&time.strftime(&format!("%Y-%m-%dT%H:%M:%S.%6f{extra}+00:00")).to_string()), Ok(Some(time)));
            prop_assert_eq!(read(&time.strftime(&format!("%Y-%m-%dT%H:%M:%S.%6f{extra}")).to_string()), Ok(Some(time)));
        }
    }
}
