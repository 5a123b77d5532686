//! `finished`: on which days and between which times of day a job ended.

use jiff::{civil::Weekday, tz::TimeZone};

use crate::document::{Fault, Faults, Fields, Node, Value, one_or_many, text, text_list};

use super::{
    Known,
    condition::{Facts, Lane, Test, either, unknown},
    when::When,
};

/// Minutes in a day.
const DAY: u16 = 24 * 60;

/// A window that comes again every week, on the wall clock of its zone: in a night in which the clock is changed it is as
/// much longer or shorter as the clock says.
#[derive(Debug)]
struct Window {
    /// From Monday; none for all.
    days: Option<[bool; 7]>,
    /// Minutes of the day, the second one not in it; up to the next day if it is not the larger.
    between: Option<(u16, u16)>,
    zone: TimeZone,
    zone_name: String,
}

#[derive(Debug)]
struct OneOf(Vec<Window>);

impl Window {
    fn holds(&self, end: jiff::Timestamp) -> bool {
        let local = end.to_zoned(self.zone.clone()).datetime();
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let (within, from_yesterday) = match self.between {
            None => (true, false),
            Some((from, to)) if from < to => ((from..to).contains(&minute), false),
            // The small hours belong to the day on whose evening the window opened.
            Some((from, to)) => (minute >= from || minute < to, minute < to),
        };
        let day = if from_yesterday { local.weekday().previous() } else { local.weekday() };
        within && self.days.is_none_or(|days| days.get(index(day)).copied().unwrap_or_default())
    }

    fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(days) = self.days {
            let named = DAYS.iter().zip(days).filter(|(_, on)| *on).map(|((short, ..), _)| *short);
            words.push(format!("on {}", either(named)));
        }
        if let Some((from, to)) = self.between {
            words.push(format!("between {:02}:{:02} and {:02}:{:02}", from / 60, from % 60, to / 60, to % 60));
        }
        format!("{} ({})", words.join(" "), self.zone_name)
    }
}

impl Test for OneOf {
    fn holds(&self, facts: &Facts<'_>, _: &When) -> bool {
        let end = facts.job.finished.filter(|_| facts.job.is_final());
        end.is_some_and(|end| self.0.iter().any(|window| window.holds(end)))
    }

    fn wanted(&self) -> String {
        either(self.0.iter().map(Window::words))
    }

    fn found(&self, facts: &Facts<'_>, _: &When) -> String {
        match (facts.job.finished.filter(|_| facts.job.is_final()), self.0.first()) {
            (Some(end), Some(window)) => {
                format!("{} ({})", end.to_zoned(window.zone.clone()).strftime("%a %Y-%m-%d %H:%M"), window.zone_name)
            }
            _ => "no finish time".into(),
        }
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Ended
    }
}

pub(super) fn read(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    let items = one_or_many(node);
    if items.is_empty() {
        faults.error(node, "the list is empty");
    }
    let windows: Vec<Window> = items.into_iter().filter_map(|item| window(item, faults)).collect();
    (!windows.is_empty()).then(|| Box::new(OneOf(windows)) as Box<dyn Test>)
}

fn window(node: &Node, faults: &mut Faults) -> Option<Window> {
    let mut fields = Fields::open(node, "a mapping with `days`, `between` and `timezone`", faults)?;
    let (days, between, zone) = (fields.take("days"), fields.take("between"), fields.take("timezone"));
    // Where there is an unknown key, that is what is told.
    if matches!(&node.value, Value::Map(entries) if entries.len() == usize::from(zone.is_some())) {
        faults.error(node, "neither `days` nor `between` is there");
    }
    fields.finish(faults);
    let days = days.map(|node| read_days(node, faults));
    let between = between.and_then(|node| {
        if matches!(node.value, Value::List(_)) {
            let fault = Fault::error(&node.place, "expected text, found a list");
            faults.push(fault.hint("write the times of day as in \"22:00-06:00\""));
            return None;
        }
        let written = text(node, faults)?;
        let read = minutes(&written);
        if let Err(why) = &read {
            let why = if node.filled { "the value filled in is no pair of times of day" } else { why };
            faults.push(Fault::error(&node.place, why).hint("write the times of day as in \"22:00-06:00\""));
        }
        read.ok()
    });
    let zone_name = match zone {
        Some(node) => text(node, faults)?,
        None => "UTC".to_owned(),
    };
    let zone = match (TimeZone::get(&zone_name), zone) {
        (Ok(zone), _) => Some(zone),
        (Err(_), Some(node)) => {
            told_zone(node, &zone_name, faults);
            None
        }
        (Err(_), None) => Some(TimeZone::UTC),
    };
    let whole_day = between.is_none_or(|(from, to)| (from, to) == (0, DAY));
    if !faults.any_error() && whole_day && days.is_none_or(|days| days == [true; 7]) && (days.is_some() || between.is_some()) {
        let fault = Fault::warning(&node.place, "this window is always open");
        faults.push(fault.hint("leave `finished` out, or name days or times of day"));
    }
    Some(Window { days, between, zone: zone?, zone_name })
}

fn told_zone(node: &Node, written: &str, faults: &mut Faults) {
    let message =
        if node.filled { "the value filled in is no known time zone".to_owned() } else { format!("unknown time zone `{written}`") };
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    // A person knows the city: `Zurich` is `Europe/Zurich`.
    let city = |name: &&String| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&written.replace(' ', "_")));
    let nearest = names.iter().find(city).map(String::as_str).or_else(|| crate::document::near(written, names.iter().map(String::as_str)));
    let hint = nearest.map_or_else(|| "write a name such as Europe/Zurich or UTC".to_owned(), |name| format!("did you mean `{name}`?"));
    faults.push(Fault::error(&node.place, message).hint(hint));
}

const DAYS: [(&str, &str, Weekday); 7] = [
    ("mon", "monday", Weekday::Monday),
    ("tue", "tuesday", Weekday::Tuesday),
    ("wed", "wednesday", Weekday::Wednesday),
    ("thu", "thursday", Weekday::Thursday),
    ("fri", "friday", Weekday::Friday),
    ("sat", "saturday", Weekday::Saturday),
    ("sun", "sunday", Weekday::Sunday),
];

fn index(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

fn read_days(node: &Node, faults: &mut Faults) -> [bool; 7] {
    let mut days = [false; 7];
    let day = |word: &str| DAYS.iter().find(|(short, long, _)| [*short, *long].contains(&word)).map(|(.., day)| *day);
    for (item, written) in text_list(node, faults) {
        let (from, to) = written.split_once('-').map_or((written.trim(), written.trim()), |(from, to)| (from.trim(), to.trim()));
        match (day(from), day(to)) {
            (Some(from), Some(to)) => {
                // `sat-mon` runs over the week's end.
                for day in from.cycle_forward().take(from.until(to).unsigned_abs() as usize + 1) {
                    if let Some(on) = days.get_mut(index(day)) {
                        *on = true;
                    }
                }
            }
            (from_known, _) => {
                let wrong = if from_known.is_some() { to } else { from };
                let small = written.to_lowercase();
                if !item.filled && small.split('-').all(|part| day(part.trim()).is_some()) {
                    let fault = Fault::error(&item.place, format!("unknown day `{written}`"));
                    faults.push(fault.hint(format!("write it in small letters, as `{small}`")));
                    continue;
                }
                unknown(item, "day", wrong, &DAYS.map(|(short, ..)| short), faults);
            }
        }
    }
    days
}

/// `22:00-06:00`; the second may be `24:00`.
fn minutes(written: &str) -> Result<(u16, u16), String> {
    let time = |text: &str, last: u16| -> Option<u16> {
        let (hours, minutes) = text.trim().split_once(':')?;
        let plain = |part: &str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        if !plain(hours) || minutes.len() != 2 || !plain(minutes) {
            return None;
        }
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        let minute = hours * 60 + minutes;
        (minutes < 60 && minute <= last).then_some(minute)
    };
    let (from, to) = written
        .split_once('-')
        .and_then(|(from, to)| Some((time(from, DAY - 1)?, time(to, DAY)?)))
        .ok_or_else(|| format!("`{written}` is no pair of times of day"))?;
    if from == to {
        return Err(format!("`{}` begins and ends at the same minute; the whole day is 00:00-24:00", written.trim()));
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[usize], between: &str, zone: &str) -> Window {
        let mut on = [false; 7];
        for day in days {
            on[*day] = true;
        }
        Window {
            days: (!days.is_empty()).then_some(on),
            between: (!between.is_empty()).then(|| minutes(between).unwrap()),
            zone: TimeZone::get(zone).unwrap(),
            zone_name: zone.into(),
        }
    }

    #[track_caller]
    fn check(window: &Window, end: &str, expected: bool) {
        assert_eq!(window.holds(end.parse().unwrap()), expected, "{end} in {}", window.words());
    }

    #[test]
    fn a_window_has_its_first_minute_and_not_its_last() {
        let office = window(&[], "08:00-17:30", "UTC");
        check(&office, "2024-09-26T08:00:00Z", true);
        check(&office, "2024-09-26T07:59:59.999Z", false);
        check(&office, "2024-09-26T17:29:59Z", true);
        check(&office, "2024-09-26T17:30:00Z", false);
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_opens() {
        let night = window(&[0], "22:00-06:00", "UTC");
        check(&night, "2024-09-23T23:00:00Z", true); // Monday
        check(&night, "2024-09-24T05:59:00Z", true); // Tuesday, still Monday's night
        check(&night, "2024-09-24T22:00:00Z", false);
        check(&night, "2024-09-23T05:00:00Z", false); // Sunday's night
        check(&night, "2024-09-24T06:00:00Z", false);
        let sunday = window(&[6], "22:00-06:00", "UTC");
        check(&sunday, "2024-09-23T05:00:00Z", true);
    }

    #[test]
    fn the_wall_clock_of_the_zone_counts_on_both_sides_of_a_change() {
        let hour = window(&[], "08:00-09:00", "Europe/Zurich");
        check(&hour, "2024-10-26T06:30:00Z", true); // summer time
        check(&hour, "2024-10-27T07:30:00Z", true); // winter time
        check(&hour, "2024-10-27T06:30:00Z", false);
        let twice = window(&[6], "02:00-03:00", "Europe/Zurich");
        check(&twice, "2024-10-27T00:30:00Z", true); // 02:30 the first time
        check(&twice, "2024-10-27T01:30:00Z", true); // and again
        check(&twice, "2024-03-31T01:00:00Z", false); // 03:00: there is no 02:30 that day
    }

    #[test]
    fn days_alone_are_whole_days_of_the_zone() {
        let saturday = window(&[5], "", "America/New_York");
        check(&saturday, "2024-09-28T03:59:00Z", false);
        check(&saturday, "2024-09-28T04:00:00Z", true);
        check(&saturday, "2024-09-29T03:59:00Z", true);
    }

    #[test]
    fn times_of_day_are_read_strictly() {
        assert_eq!(minutes("22:00-06:00"), Ok((1_320, 360)));
        assert_eq!(minutes("0:00 - 24:00"), Ok((0, 1_440)));
        for wrong in ["", "22-06", "22:00", "25:00-06:00", "22:60-06:00", "22:0-06:00", "06:00-06:00", "24:00-06:00", "+1:00-02:00"] {
            assert!(minutes(wrong).is_err(), "{wrong}");
        }
    }
}
