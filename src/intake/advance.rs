//! What a sighting of a job means, given what is known of it: a pure decision.

use std::time::Duration;

use crate::{
    domain::Job,
    store::{Known, SourceRecord},
};

/// An end this much later than the one known belongs to a new run; a smaller move is the vendor's correction.
pub const NEW_RUN_AFTER: Duration = Duration::from_secs(2);

/// What is to be done about a sighting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Write it down; nothing ended.
    Note {
        /// Which run it is in.
        run: u32,
    },
    /// It reached a final state: write it down and judge it.
    Judge {
        /// Which run it is in.
        run: u32,
    },
}

impl Step {
    /// Which run it is in.
    #[must_use]
    pub const fn run(self) -> u32 {
        match self {
            Self::Note { run } | Self::Judge { run } => run,
        }
    }
}

/// Decides. Ends up to the record's cut are history, and so is what was let go and shows up again; only once the list has been
/// met as a whole is a job without any time that was never seen a new one.
#[must_use]
pub fn advance(known: Option<Known>, seen: &Job, record: &SourceRecord) -> Step {
    let Some(known) = known else {
        let history = match seen.finished.or(seen.started) {
            Some(at) => at <= record.cut || record.pruned.is_some_and(|pruned| at < pruned),
            None => !record.baseline,
        };
        return if seen.is_final() && !history { Step::Judge { run: 1 } } else { Step::Note { run: 1 } };
    };
    match (known.ended, seen.is_final()) {
        (false, false) => Step::Note { run: known.run },
        // Its end was watched for: no cut applies.
        (false, true) => Step::Judge { run: known.run },
        (true, false) => Step::Note { run: known.run.saturating_add(1) },
        (true, true) => {
            let later = match (known.finished, seen.finished) {
                (Some(before), Some(after)) => Duration::try_from(after.duration_since(before)).is_ok_and(|by| by > NEW_RUN_AFTER),
                _ => false,
            };
            if later {
                Step::Judge { run: known.run.saturating_add(1) }
            } else if known.state == seen.state {
                Step::Note { run: known.run }
            } else {
                Step::Judge { run: known.run }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{Name, State};

    const CUT: i64 = 1_000;

    fn job(state: State, finished: Option<i64>) -> Job {
        let time = |s| Timestamp::from_second(s).unwrap();
        Job {
            source: Name::from("contoso"),
            id: "Scan1".into(),
            kind: None,
            state,
            started: Some(time(500)),
            finished: finished.map(time),
            profile: "sites".into(),
            category: None,
            extension: serde_json::Value::Null,
        }
    }

    fn known(run: u32, state: State, finished: Option<i64>) -> Known {
        let job = job(state, finished);
        Known { run, state, finished: job.finished, ended: job.is_final(), unjudged: false }
    }

    #[track_caller]
    fn check(known: impl Into<Option<Known>>, seen: &Job, baseline: bool, expected: Step) {
        let time = |s| Timestamp::from_second(s).unwrap();
        let record = SourceRecord { cut: time(CUT), baseline, watermark: None, pruned: None };
        assert_eq!(advance(known.into(), seen, &record), expected);
    }

    #[test]
    fn a_job_first_seen_ended_counts_if_it_ended_after_the_cut() {
        check(None, &job(State::Failed, Some(CUT)), false, Step::Note { run: 1 });
        check(None, &job(State::Failed, Some(CUT + 1)), false, Step::Judge { run: 1 });
        check(None, &job(State::Failed, Some(CUT - 400)), true, Step::Note { run: 1 });
    }

    #[test]
    fn an_end_without_a_time_is_dated_by_the_start_and_counts_as_new_only_after_the_baseline() {
        let mut seen = job(State::Skipped, None);
        check(None, &seen, true, Step::Note { run: 1 });
        seen.started = None;
        check(None, &seen, false, Step::Note { run: 1 });
        check(None, &seen, true, Step::Judge { run: 1 });
    }

    #[test]
    fn what_was_let_go_does_not_come_back_as_news() {
        let time = |s| Timestamp::from_second(s).unwrap();
        let record = SourceRecord { cut: time(CUT), baseline: true, watermark: None, pruned: Some(time(CUT + 100)) };
        assert_eq!(advance(None, &job(State::Failed, Some(CUT + 99)), &record), Step::Note { run: 1 });
        assert_eq!(advance(None, &job(State::Failed, Some(CUT + 100)), &record), Step::Judge { run: 1 });
    }

    #[test]
    fn a_watched_end_counts_whatever_the_clocks_say() {
        check(None, &job(State::Running, None), false, Step::Note { run: 1 });
        check(known(1, State::Running, None), &job(State::Failed, Some(CUT - 300)), true, Step::Judge { run: 1 });
    }

    #[test]
    fn a_final_state_that_changes_is_judged_anew_in_the_same_run() {
        check(known(1, State::Finished, Some(2_000)), &job(State::Failed, Some(2_000)), true, Step::Judge { run: 1 });
        check(known(1, State::Finished, Some(2_000)), &job(State::Finished, Some(2_000)), true, Step::Note { run: 1 });
    }

    #[test]
    fn running_again_or_a_clearly_later_end_is_a_new_run() {
        check(known(1, State::Finished, Some(2_000)), &job(State::Running, None), true, Step::Note { run: 2 });
        check(known(2, State::Running, None), &job(State::Finished, Some(3_000)), true, Step::Judge { run: 2 });
        check(known(1, State::Finished, Some(2_000)), &job(State::Finished, Some(2_002)), true, Step::Note { run: 1 });
        check(known(1, State::Finished, Some(2_000)), &job(State::Finished, Some(2_003)), true, Step::Judge { run: 2 });
    }
}
