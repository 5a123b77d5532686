//! How completely a source is read: pure decisions of how far back, when whole, and how patiently.

use std::time::Duration;

use jiff::Timestamp;

use super::sweep::OVERLAP;
use crate::source::FeedError;

/// The habits that make reading complete. Each can be put out of action by a test, to show what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// How many rows two pages share at first; see `OVERLAP` of the sweep.
    pub overlap: usize,
    /// How far behind the watermark a sweep reads on: jobs may show up in the list long after they started.
    pub look_back: Duration,
    /// Whether jobs that run are looked up until they end, wherever they stand.
    pub track_open: bool,
    /// Open jobs younger than this are met by the sweep itself, where there are more than a few; older ones are looked up one by one.
    pub open_within: Duration,
    /// How often the whole list is read again; none means never.
    pub reconcile_every: Option<Duration>,
    /// Whether rules that look at the past wait until the list has been read.
    pub wait_for_past: bool,
    /// Whether an end that shows up late has later ones judged again.
    pub judge_again: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            overlap: OVERLAP,
            look_back: Duration::from_secs(6 * 3600),
            track_open: true,
            open_within: Duration::from_secs(48 * 3600),
            reconcile_every: Some(Duration::from_secs(6 * 3600)),
            wait_for_past: true,
            judge_again: true,
        }
    }
}

/// What a source's past tells a new sweep. All times are the server's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// When the last complete sweep began.
    pub swept: Option<Timestamp>,
    /// When the last complete sweep of the whole list began; none since the start of the program.
    pub swept_whole: Option<Timestamp>,
    /// Whether the last sweep was incomplete.
    pub incomplete: bool,
}

/// So few open jobs older than the look-back are looked up one by one, also where a sweep might reach back to them: how many pages lie
/// between is not known, and may be hundreds.
const FEW: usize = 10;

impl Habits {
    /// Whether the sweep that begins at `began` is to read the whole list: the first of the program, after an incomplete one,
    /// after a gap longer than the look-back, and every so often.
    #[must_use]
    pub fn whole(&self, past: &Past, began: Timestamp) -> bool {
        let Some(every) = self.reconcile_every else { return false };
        let (Some(swept), Some(swept_whole)) = (past.swept, past.swept_whole) else { return true };
        // A server clock that was set back must not put the next one off for ever.
        past.incomplete || swept > began || past_by(swept, began) > self.look_back || past_by(swept_whole, began) >= every
    }

    /// How many of these open jobs are too old for the sweep itself to meet them.
    #[must_use]
    pub fn too_old(&self, watermark: Timestamp, open: impl Iterator<Item = Timestamp>) -> usize {
        let oldest = watermark.checked_sub(self.open_within).unwrap_or(Timestamp::MIN);
        open.filter(|start| *start < oldest).count()
    }

    /// How far back a sweep reads that is not of the whole list: behind the watermark by the look-back, and to the oldest of
    /// the open jobs that are not left to be looked up: `looks_up` says whether the older ones are.
    #[must_use]
    pub fn bound(&self, watermark: Timestamp, open: impl Iterator<Item = Timestamp>, looks_up: bool) -> Timestamp {
        let behind = watermark.checked_sub(self.look_back).unwrap_or(Timestamp::MIN);
        if !self.track_open {
            return behind;
        }
        let oldest = if looks_up { watermark.checked_sub(self.open_within).unwrap_or(Timestamp::MIN) } else { Timestamp::MIN };
        let deep: Vec<Timestamp> = open.filter(|start| (oldest..behind).contains(start)).collect();
        if looks_up && deep.len() <= FEW { behind } else { deep.into_iter().min().unwrap_or(behind) }
    }
}

fn past_by(before: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(before)).unwrap_or_default()
}

/// The waits before a page is asked for again in the same sweep.
const PAGE_WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];
/// The longest wait a sweep sits out; asked to wait longer, it ends, and the next one begins when the service said.
const SITS_OUT: Duration = Duration::from_secs(120);

/// How long to wait before a page that failed for the `failed`th time (from 1) is asked for again; none ends the sweep.
#[must_use]
pub fn again_after(error: &FeedError, failed: usize, chance: f64) -> Option<Duration> {
    let step = PAGE_WAITS.get(failed.saturating_sub(1))?.mul_f64(0.75 + 0.5 * chance.clamp(0.0, 1.0));
    match error {
        FeedError::Refused(_) => None,
        FeedError::Throttled { after, .. } => Some(after.unwrap_or_default().max(step)).filter(|wait| *wait <= SITS_OUT),
        FeedError::Unavailable(_) | FeedError::Malformed(_) => Some(step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[track_caller]
    fn check_whole(swept: Option<i64>, swept_whole: Option<i64>, incomplete: bool, began: i64, expected: bool) {
        let past = Past { swept: swept.map(at), swept_whole: swept_whole.map(at), incomplete };
        assert_eq!(Habits::default().whole(&past, at(began)), expected);
    }

    #[test]
    fn the_whole_list_is_read_at_the_start_after_trouble_and_every_six_hours() {
        check_whole(None, None, false, 100 * HOUR, true);
        check_whole(Some(100 * HOUR), Some(100 * HOUR), false, 100 * HOUR + 60, false);
        check_whole(Some(100 * HOUR), Some(100 * HOUR), true, 100 * HOUR + 60, true);
        check_whole(Some(105 * HOUR), Some(100 * HOUR), false, 106 * HOUR - 1, false);
        check_whole(Some(105 * HOUR), Some(100 * HOUR), false, 106 * HOUR, true);
        check_whole(Some(100 * HOUR), Some(100 * HOUR), false, 106 * HOUR + 1, true);
        check_whole(Some(200 * HOUR), Some(200 * HOUR), false, 100 * HOUR, true);
    }

    #[test]
    fn the_bound_lies_behind_the_watermark_and_the_younger_open_jobs() {
        let bound = |open: &[i64], works| Habits::default().bound(at(100 * HOUR), open.iter().map(|s| at(*s)), works).as_second() / HOUR;
        assert_eq!(bound(&[], true), 94);
        assert_eq!(bound(&[99 * HOUR], true), 94);
        assert_eq!(bound(&[60 * HOUR, 90 * HOUR], true), 94, "so few are looked up");
        assert_eq!(bound(&[60 * HOUR, 90 * HOUR], false), 60);
        let many: Vec<i64> = (60..71).map(|hour| hour * HOUR).collect();
        assert_eq!(bound(&many[1..], true), 94);
        assert_eq!(bound(&many, true), 60);
        assert_eq!(bound(&[20 * HOUR], true), 94);
        assert_eq!(bound(&[20 * HOUR], false), 20);
    }

    #[test]
    fn a_page_is_asked_for_again_but_not_for_ever_and_not_before_the_service_said() {
        let down = FeedError::Unavailable("HTTP 503".into());
        let secs = |error: &FeedError, failed| again_after(error, failed, 0.5).map(|wait| wait.as_secs());
        assert_eq!([1, 2, 3, 4].map(|failed| secs(&down, failed)), [Some(1), Some(4), Some(15), None]);
        let asked = |after| FeedError::Throttled { after: Some(Duration::from_secs(after)), why: String::new() };
        assert_eq!(secs(&asked(60), 1), Some(60));
        assert_eq!(secs(&asked(121), 1), None);
        assert_eq!(secs(&FeedError::Refused(String::new()), 1), None);
    }
}
