//! What a digest rests on: the polls that were made, and those that were not.

use std::time::Duration;

use jiff::Timestamp;

use super::Period;
use crate::{
    domain::{Coverage, Listed, Name, SourceCoverage},
    store::{PollStretch, Standing},
};

/// How many sources with missed polls are kept by name.
const TROUBLED_MOST: usize = 50;
/// Polls are written down once a minute, so what happened in the last two is not known to be missed.
const NOT_YET_KNOWN: Duration = Duration::from_secs(120);

/// Reckons the coverage of a period from the stretches of polls in it.
pub fn reckon(sources: &[(Name, Duration)], stretches: &[PollStretch], period: &Period, jobs: u64, standing: Standing) -> Coverage {
    let each: Vec<SourceCoverage> = sources
        .iter()
        .map(|(name, every)| {
            let its: Vec<&PollStretch> = stretches.iter().filter(|stretch| stretch.source == *name).collect();
            source(name, *every, &its, period)
        })
        .collect();
    let (polls, missed) = each.iter().fold((0, 0), |(polls, missed), one| (polls + one.polls, missed + one.missed));
    let mut troubled: Vec<SourceCoverage> = each.into_iter().filter(|one| one.missed > 0).collect();
    // One that was never read stands first.
    troubled.sort_by(|a, b| (a.polls > 0, b.missed, &a.source).cmp(&(b.polls > 0, a.missed, &b.source)));
    Coverage {
        polls,
        missed,
        sources: sources.len() as u64,
        troubled: Listed::of(troubled, TROUBLED_MOST),
        jobs,
        running: standing.running,
        newest: standing.newest,
    }
}

fn source(name: &Name, every: Duration, stretches: &[&PollStretch], period: &Period) -> SourceCoverage {
    let mut coverage = SourceCoverage { source: name.to_string(), polls: 0, missed: 0, last: None };
    // Until when it is known to have been polled without a gap; none before the watch began.
    let mut reached: Option<Timestamp> = None;
    for stretch in stretches {
        let Some(to) = stretch.to else { continue };
        if stretch.from >= period.since {
            coverage.polls += stretch.made;
            coverage.missed += stretch.failed;
            coverage.missed += reached.map_or(0, |reached| missed(reached.max(period.since), stretch.from, every));
        }
        reached = reached.max(Some(to));
    }
    coverage.last = reached;
    if let Some(reached) = reached {
        let from = reached.max(period.since);
        let gap = Duration::try_from(period.until.duration_since(from)).unwrap_or_default();
        if gap > every * 2 + NOT_YET_KNOWN {
            coverage.missed += missed(from, period.until, every);
        }
    }
    coverage
}

/// How many polls were due between two instants, apart from the one at the end.
fn missed(from: Timestamp, to: Timestamp, every: Duration) -> u64 {
    let gap = Duration::try_from(to.duration_since(from)).unwrap_or_default().as_millis();
    let due = gap.div_ceil(every.as_millis().max(1)).saturating_sub(1);
    u64::try_from(due).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    /// Stretches as (from, to, made, failed), in minutes, of one source polled each minute; polls and missed of [0, 60).
    #[track_caller]
    fn check(stretches: &[(i64, i64, u64, u64)], expected: (u64, u64)) {
        let source = Name::from("contoso");
        let stretch = |(from, to, made, failed): &(i64, i64, u64, u64)| PollStretch {
            source: source.clone(),
            from: at(*from),
            to: (*to >= *from).then(|| at(*to)),
            made: *made,
            failed: *failed,
        };
        let stretches: Vec<PollStretch> = stretches.iter().map(stretch).collect();
        let period = Period { since: at(0), until: at(60), due: None, late: false };
        let sources = [(source.clone(), Duration::from_secs(60))];
        let coverage = reckon(&sources, &stretches, &period, 0, Standing::default());
        assert_eq!((coverage.polls, coverage.missed), expected);
        assert_eq!(coverage.troubled.first.len(), usize::from(expected.1 > 0));
        assert_eq!(coverage.is_blind(), expected.0 == 0 && expected.1 > 0);
    }

    #[test]
    fn polls_that_failed_and_polls_that_were_not_made_are_missed() {
        check(&[(0, 59, 60, 0)], (60, 0));
        check(&[(0, 59, 57, 3)], (57, 3));
        // Two stretches with nothing between them, as at the turn of an hour.
        check(&[(-60, -1, 60, 0), (0, 30, 31, 0), (31, 59, 29, 0)], (60, 0));
        // Nobody polled for ten minutes.
        check(&[(-60, -1, 60, 0), (0, 20, 21, 0), (31, 59, 29, 0)], (50, 10));
        // Nor at the beginning, nor at the end.
        check(&[(-60, -30, 31, 0), (20, 40, 21, 0)], (21, 19 + 19));
        check(&[(-60, -30, 31, 0)], (0, 59));
        // What was opened by another digest's end and not yet polled in says nothing.
        check(&[(0, 59, 60, 0), (60, 59, 0, 0)], (60, 0));
    }

    #[test]
    fn before_the_watch_began_nothing_was_missed() {
        check(&[(40, 59, 20, 0)], (20, 0));
        check(&[], (0, 0));
    }
}
