//! The day that is played: which scans run, when, and how each ends. The list of jobs is a pure function of the time.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use crate::domain::{Category, JobType, State};

/// How many days before the played ones are in the list, as history that nobody is to be told of.
const HISTORY_DAYS: i64 = 2;

/// One scan of the day.
#[derive(Debug, Clone, Copy)]
struct Scan {
    /// Hour and minute of its start, UTC.
    at: (i64, i64),
    /// How many minutes it takes.
    takes: i64,
    profile: &'static str,
    category: Category,
    end: State,
    /// How many minutes it takes on a day when nothing is wrong.
    usually: i64,
}

const fn scan(at: (i64, i64), takes: i64, profile: &'static str, category: Category) -> Scan {
    Scan { at, takes, profile, category, end: State::Finished, usually: takes }
}

impl Scan {
    /// A scan that does not end as it should.
    const fn ends(self, end: State) -> Self {
        Self { end, ..self }
    }

    /// A scan that takes longer than it should.
    const fn usually(self, usually: i64) -> Self {
        Self { usually, ..self }
    }
}

use Category::{ActiveDirectory as Directory, Google, Microsoft365 as M365, PowerPlatform as Power};
use State::{Failed, FinishedWithException, Skipped, Stopped};

/// The day: every scan ends before midnight.
const DAY: &[Scan] = &[
    scan((0, 10), 4, "scan active directory users", Directory),
    scan((0, 30), 38, "scan sharepoint sites", M365),
    scan((1, 0), 52, "scan onedrive", M365),
    scan((1, 20), 7, "scan exchange mailboxes", M365).ends(Failed).usually(44),
    scan((2, 0), 33, "scan microsoft teams", M365),
    scan((2, 40), 46, "scan exchange mailboxes", M365),
    scan((3, 10), 41, "scan google drive", Google),
    scan((4, 0), 4, "scan active directory users", Directory),
    scan((4, 15), 17, "scan power platform", Power),
    scan((4, 30), 65, "scan sharepoint archive", M365).ends(FinishedWithException).usually(61),
    scan((5, 30), 165, "scan onedrive archive", M365).usually(40),
    scan((6, 40), 610, "scan exchange archive", M365).ends(Stopped).usually(95),
    scan((8, 0), 4, "scan active directory users", Directory),
    scan((9, 5), 3, "import new joiners", M365),
    scan((10, 0), 21, "scan microsoft teams", M365),
    scan((11, 0), 1, "scan google gmail", Google).ends(Skipped).usually(26),
    scan((12, 0), 4, "scan active directory users", Directory),
    scan((14, 0), 9, "scan power apps: finance", Power).ends(Failed).usually(6),
    scan((14, 1), 9, "scan power apps: human resources", Power).ends(Failed).usually(5),
    scan((14, 2), 12, "scan power apps: legal", Power).ends(Failed).usually(4),
    scan((14, 3), 14, "scan power apps: logistics", Power).ends(Failed).usually(7),
    scan((14, 4), 15, "scan power apps: marketing", Power).ends(Failed).usually(6),
    scan((14, 5), 17, "scan power apps: research", Power).ends(Failed).usually(8),
    scan((14, 6), 19, "scan power apps: sales", Power).ends(Failed).usually(6),
    scan((14, 7), 21, "scan power apps: support", Power).ends(Failed).usually(5),
    scan((16, 0), 4, "scan active directory users", Directory),
    scan((16, 20), 18, "scan power platform", Power),
    scan((19, 0), 36, "scan sharepoint sites", M365),
    scan((20, 0), 4, "scan active directory users", Directory),
    scan((20, 30), 31, "scan microsoft teams", M365),
    scan((21, 30), 48, "scan onedrive", M365),
    scan((22, 15), 39, "scan google drive", Google),
];

/// One job of the tenant as the script has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Its id, in the vendor's form.
    pub id: String,
    /// The scan profile.
    pub profile: &'static str,
    /// What it scans.
    pub kind: JobType,
    /// The profile's category.
    pub category: Category,
    /// When it starts.
    pub started: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// How it ends.
    pub end: State,
}

/// The script, from one day on, for some days or without end.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    first: Date,
    days: Option<i64>,
}

impl Script {
    /// A script that begins with the midnight (UTC) of `first`, and has so many days or no last one.
    #[must_use]
    pub const fn new(first: Date, days: Option<i64>) -> Self {
        Self { first, days }
    }

    /// The first midnight.
    #[must_use]
    pub fn begins(&self) -> Timestamp {
        midnight(self.first, 0)
    }

    /// The midnight after the day of this number, counted from 0.
    #[must_use]
    pub fn day_ends(&self, day: i64) -> Timestamp {
        midnight(self.first, day + 1)
    }

    /// Every job of a day, counted from 0, by start; below 0 lie days when nothing went wrong.
    #[must_use]
    pub fn day(&self, day: i64) -> Vec<Played> {
        if self.days.is_some_and(|days| day >= days) {
            return Vec::new();
        }
        let begins = midnight(self.first, day);
        DAY.iter().map(|scan| played(scan, begins, day < 0)).collect()
    }

    /// What stands in the list at `now`, newest start first.
    #[must_use]
    pub fn listed(&self, now: Timestamp) -> Vec<Played> {
        let today = now.duration_since(self.begins()).as_secs().div_euclid(24 * 3600);
        let mut jobs: Vec<Played> = (today - HISTORY_DAYS..=today).flat_map(|day| self.day(day)).filter(|job| job.started <= now).collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.started));
        jobs
    }
}

/// Midnight of the day so many days after `first`. Past the end of the calendar, its last instant.
fn midnight(first: Date, after: i64) -> Timestamp {
    let date = first.checked_add(after.days()).unwrap_or(Date::MAX);
    date.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

fn played(scan: &Scan, begins: Timestamp, well: bool) -> Played {
    // A tenant's scans begin within the minute that they are planned for, not on its dot.
    let mut hasher = DefaultHasher::new();
    (scan.at, scan.profile).hash(&mut hasher);
    let chance = hasher.finish();
    let late = Duration::from_micros(chance % 20_000_000);
    let minutes = |minutes: i64| Duration::from_secs(minutes.unsigned_abs() * 60);
    let odd = Duration::from_micros(chance / 7 % 30_000_000);
    let started = begins + minutes(scan.at.0 * 60 + scan.at.1) + late;
    let takes = if well { scan.usually } else { scan.takes };
    Played {
        id: format!("Scan{}{:06}", started.strftime("%Y%m%d%H%M%S"), chance / 11 % 1_000_000),
        profile: scan.profile,
        kind: match scan.category {
            Category::Google => JobType::Google,
            _ if scan.profile.starts_with("import") => JobType::BatchImport,
            _ => JobType::Microsoft365,
        },
        category: scan.category,
        started,
        ends: started + minutes(takes) + odd,
        end: if well { State::Finished } else { scan.end },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_day_has_all_there_is_to_see_and_ends_before_midnight() {
        let script = Script::new(date(2026, 3, 1), Some(1));
        let day = script.day(0);
        assert!(day.iter().all(|job| job.started < job.ends && job.ends < script.day_ends(0)));
        let ends: HashSet<State> = day.iter().map(|job| job.end).collect();
        assert_eq!(ends, HashSet::from([State::Finished, Failed, FinishedWithException, Skipped, Stopped]));
        assert_eq!(day.iter().map(|job| &job.id).collect::<HashSet<_>>().len(), day.len());
        // A newcomer must not wait for the first failure: at the default speed 100 minutes are 4 s.
        assert!(day.iter().any(|job| job.end == Failed && job.ends < script.begins() + Duration::from_secs(100 * 60)));
        assert!(script.day(1).is_empty());
    }

    #[test]
    fn history_went_well_and_the_list_is_newest_first_without_what_is_to_come() {
        let script = Script::new(date(2026, 3, 1), None);
        let noon = script.begins() + Duration::from_secs(12 * 3600);
        let listed = script.listed(noon);
        assert!(listed.is_sorted_by_key(|job| std::cmp::Reverse(job.started)));
        assert!(listed.iter().all(|job| job.started <= noon));
        assert!(listed.iter().filter(|job| job.started < script.begins()).all(|job| job.end == State::Finished));
        assert!(listed.len() > 2 * DAY.len());
        assert_eq!(script.day(3).len(), DAY.len(), "it goes on day after day");
    }
}
