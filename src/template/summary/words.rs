//! The sentences that stand above a digest.

use crate::domain::{Coverage, Totals};

/// What a digest comes to, in one line; `bad` is at how many of several sources scans failed.
pub(super) fn title(totals: &Totals, coverage: &Coverage, bad: u64) -> String {
    let said = of_jobs(totals);
    let (said, sources) = match coverage.sources {
        several if bad > 0 && several > 1 => (format!("{said}, at {bad} of {several} sources"), several.to_string()),
        several => (said, format!("{several} sources")),
    };
    match coverage.unread().count() {
        0 => said,
        _ if coverage.polls == 0 && totals.ended() == 0 => "No scan could be seen".into(),
        1 if coverage.sources == 1 => said,
        1 => format!("{said}; 1 of {sources} was not read"),
        unread => format!("{said}; {unread} of {sources} were not read"),
    }
}

fn of_jobs(totals: &Totals) -> String {
    let (ended, scans) = (totals.ended(), plural(totals.ended()));
    match () {
        () if ended == 0 => "No scan ended".into(),
        () if totals.failed > 0 && totals.finished_with_exception > 0 => {
            format!("{} of {ended} {scans} failed, {} finished with exceptions", totals.failed, totals.finished_with_exception)
        }
        () if totals.failed > 0 => format!("{} of {ended} {scans} failed", totals.failed),
        () if totals.finished_with_exception > 0 => {
            format!("{} of {ended} {scans} finished with exceptions", totals.finished_with_exception)
        }
        () if totals.finished == ended && ended > 1 => format!("All {ended} scans finished"),
        () if totals.finished == ended => "The one scan finished".into(),
        () => format!("No scan failed; {} of {ended} finished", totals.finished),
    }
}

/// What stands in the place of what failed: of a list that was not read, nobody knows.
pub(super) fn nothing_failed(coverage: &Coverage) -> &'static str {
    match coverage.unread().count() {
        0 => "Nothing failed.",
        _ if coverage.polls == 0 => "Whether any scan failed can't be told.",
        _ => "Nothing failed, as far as could be seen.",
    }
}

/// What is said of a digest that is late: when it was due, and when it was made.
pub(super) fn late_note(due: &str, made: &str) -> String {
    if due == made {
        return "It stands for those missed before it as well.".to_owned();
    }
    format!("Sent late: it was due on {due}.")
}

pub(super) const fn plural(count: u64) -> &'static str {
    if count == 1 { "scan" } else { "scans" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Listed, SourceCoverage};

    fn coverage(polls: u64, sources: u64, unread: usize) -> Coverage {
        let one = SourceCoverage { source: "contoso".into(), polls: 0, missed: 9, last: None };
        Coverage { polls, sources, troubled: Listed::of(vec![one; unread], 50), ..Coverage::default() }
    }

    #[test]
    fn the_title_says_at_how_many_sources_scans_failed_and_which_were_not_read() {
        for (finished, failed, bad, coverage, expected) in [
            (5, 0, 0, coverage(60, 3, 0), "All 5 scans finished"),
            (5, 0, 0, coverage(60, 3, 1), "All 5 scans finished; 1 of 3 sources was not read"),
            (0, 0, 0, coverage(30, 3, 2), "No scan ended; 2 of 3 sources were not read"),
            (0, 0, 0, coverage(0, 3, 3), "No scan could be seen"),
            (0, 0, 0, coverage(0, 1, 1), "No scan could be seen"),
            (3, 2, 0, coverage(60, 1, 0), "2 of 5 scans failed"),
            (3, 2, 1, coverage(60, 3, 0), "2 of 5 scans failed, at 1 of 3 sources"),
            (3, 2, 1, coverage(60, 3, 1), "2 of 5 scans failed, at 1 of 3 sources; 1 of 3 was not read"),
        ] {
            let totals = Totals { finished, failed, ..Totals::default() };
            assert_eq!(title(&totals, &coverage, bad), expected);
        }
    }

    #[test]
    fn nothing_is_called_well_that_was_not_read() {
        assert_eq!(nothing_failed(&coverage(60, 3, 0)), "Nothing failed.");
        assert_eq!(nothing_failed(&coverage(60, 3, 1)), "Nothing failed, as far as could be seen.");
        assert_eq!(nothing_failed(&coverage(0, 3, 3)), "Whether any scan failed can't be told.");
    }
}
