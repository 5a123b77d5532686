//! `schedule`: a digest's cron expression, and which of its fields is wrong.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{civil, tz::TimeZone};

use crate::document::{Fault, Faults, Node, text};

/// The fields of a schedule: what each is called, and what it may hold.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for its last"),
    ("month", "1 to 12, or jan to dec"),
    ("day of the week", "0 to 7, where 0 and 7 are Sunday, or sun to sat"),
];
/// How a schedule is written.
const HINT: &str = "five fields: minute, hour, day of month, month, day of week, as in `0 8 * * mon-fri`";

/// Reads five fields, and sees that there is a moment at which it is due: the 30th of February parses, but never comes.
pub fn read(node: &Node, zone: &TimeZone, faults: &mut Faults) -> Option<Cron> {
    let written = text(node, faults)?;
    let whole = |why: &str| {
        let message = if node.filled { "not a schedule".to_owned() } else { format!("`{written}` is no schedule: {why}") };
        Fault::error(&node.place, message).hint(HINT)
    };
    let Some(cron) = parsed(&written) else {
        let fields: Vec<&str> = written.split_whitespace().collect();
        let wrong = if node.filled { Vec::new() } else { wrong_fields(&fields) };
        if fields.len() != FIELDS.len() {
            let s = if fields.len() == 1 { "" } else { "s" };
            faults.push(whole(&format!("it has {} field{s}", fields.len())));
        } else if wrong.is_empty() {
            faults.push(whole("its fields don't go together"));
        }
        for (field, (name, allowed)) in wrong {
            let start = field.as_ptr() as usize - written.as_ptr() as usize;
            let message = format!("the {name} of this schedule can't be `{field}`");
            let steps = "also `*`, a range as in 1-5, a list as in 1,3, and steps as in */2";
            faults.push(Fault::error(&node.part(&written, start..start + field.len()), message).hint(format!("{allowed}; {steps}")));
        }
        return None;
    };
    // Any moment will do: what is due at all is due within the search's span from here.
    let from = civil::date(2026, 1, 1).to_zoned(zone.clone()).ok()?;
    if cron.find_next_occurrence(&from, true).is_err() {
        faults.push(whole("no such time ever comes"));
        return None;
    }
    Some(cron)
}

fn parsed(written: &str) -> Option<Cron> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(written).ok()
}

/// The fields that are wrong by themselves, whatever stands in the others; none unless there are as many as there must be.
fn wrong_fields<'f>(fields: &[&'f str]) -> Vec<(&'f str, (&'static str, &'static str))> {
    let alone = |(at, field): (usize, &&'f str)| {
        let others: Vec<&str> = (0..FIELDS.len()).map(|other| if other == at { field } else { "*" }).collect();
        let wrong = parsed(&others.join(" ")).is_none();
        FIELDS.get(at).filter(|_| wrong).map(|named| (*field, *named))
    };
    if fields.len() == FIELDS.len() { fields.iter().enumerate().filter_map(alone).collect() } else { Vec::new() }
}
