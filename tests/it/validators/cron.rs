//! Due times, held against systemd's own reading of the calendar.

use std::{collections::BTreeSet, process::Command};

use croner::parser::{CronParser, Seconds};
use jiff::{Timestamp, tz::TimeZone};
use jobrelay::digest::Plan;

use crate::common::text;

/// The same times of day, as a digest's schedule and as systemd writes them.
const ALIKE: [(&str, &str); 7] = [
    ("0 8 * * mon-fri", "Mon..Fri *-*-* 08:00:00"),
    ("30 2 * * *", "*-*-* 02:30:00"),
    ("45 1 * * *", "*-*-* 01:45:00"),
    ("15 2 * * *", "*-*-* 02:15:00"),
    ("0 0 1 * *", "*-*-01 00:00:00"),
    ("45 23 * * sun", "Sun *-*-* 23:45:00"),
    ("20 * * * *", "*-*-* *:20:00"),
];

fn by_systemd(calendar: &str, zone: &str, count: usize) -> BTreeSet<Timestamp> {
    let words = [format!("--iterations={count}"), "--base-time=2026-01-01 00:00:00 UTC".into(), format!("{calendar} {zone}")];
    let output = Command::new("systemd-analyze").env("TZ", "UTC").arg("calendar").args(words).output().expect("systemd-analyze is there");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let time = regex::Regex::new(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC").unwrap();
    time.captures_iter(&text(&output.stdout)).map(|found| format!("{}T{}Z", &found[1], &found[2]).parse().unwrap()).collect()
}

/// They agree over a year in each zone, but for what each of them says it does where clocks are set: a time of day that does not
/// come is due here at the change, and not at all there; and what is due every hour is due here in both of two like hours, and there in
/// the first.
#[test]
#[ignore = "needs systemd: run ./test"]
fn due_times_are_those_of_systemd_but_where_the_clocks_are_set() {
    let end: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    let (mut compared, mut at_changes) = (0, 0);
    for zone in ["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "UTC"] {
        let tz = TimeZone::get(zone).unwrap();
        let forward: BTreeSet<Timestamp> = tz
            .following("2026-01-01T00:00:00Z".parse().unwrap())
            .take_while(|change| change.timestamp() < end)
            .map(|change| change.timestamp())
            .collect();
        for (schedule, calendar) in ALIKE {
            let cron = CronParser::builder().seconds(Seconds::Disallowed).build().parse(schedule).unwrap();
            let plan = Plan { schedule: cron, zone: tz.clone() };
            let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            let ours: BTreeSet<Timestamp> =
                std::iter::successors(plan.next(begin), |due| plan.next(*due)).take_while(|due| *due < end).collect();
            let theirs: BTreeSet<Timestamp> =
                by_systemd(calendar, zone, ours.len() + 10).into_iter().filter(|due| *due > begin && *due < end).collect();
            let missing: Vec<&Timestamp> = theirs.difference(&ours).collect();
            assert!(missing.is_empty(), "{schedule} in {zone} lacks {missing:?}");
            for due in ours.difference(&theirs) {
                let local = due.to_zoned(tz.clone()).datetime();
                let twice = tz.to_ambiguous_timestamp(local).is_ambiguous();
                assert!(forward.contains(due) || twice, "{schedule} in {zone} is due at {due}, and systemd knows nothing of it");
                at_changes += 1;
            }
            compared += ours.len();
        }
    }
    assert!(compared > 35_000 && at_changes >= 5, "{compared} due times, {at_changes} of them at changes");
}
