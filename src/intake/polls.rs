//! How a source was polled, for digests to tell: counted here, and written down now and then.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Intake;
use crate::store::Polls;

/// How often polls are written down at most: what a kill loses of them counts as missed.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// A poll so many periods after the one before it comes after a gap.
const GAP_PERIODS: u32 = 2;

/// Polls not yet written down.
#[derive(Debug, Default)]
pub struct PollCount {
    waiting: Vec<Polls>,
    /// When the last poll ended.
    last: Option<Timestamp>,
    /// When they were last written down.
    written: Option<Instant>,
}

impl PollCount {
    /// Counts a poll, and whether it read the list.
    fn add(&mut self, began: Timestamp, ended: Timestamp, read: bool, every: Duration) {
        let gap = |last: Timestamp| Duration::try_from(began.duration_since(last)).is_ok_and(|gap| gap > every * GAP_PERIODS);
        let after_gap = self.last.is_none_or(gap);
        let (made, failed) = (u32::from(read), u32::from(!read));
        match self.waiting.last_mut().filter(|_| !after_gap) {
            Some(polls) => {
                polls.to = ended;
                polls.made += made;
                polls.failed += failed;
            }
            None => self.waiting.push(Polls { from: began, to: ended, made, failed, after_gap }),
        }
        self.last = Some(ended);
    }
}

impl Intake {
    /// Counts a poll that began at `began` and has just ended.
    pub(super) async fn count_poll(&self, polls: &mut PollCount, began: Timestamp, read: bool) {
        polls.add(began, self.clock.now(), read, self.poll_every);
        // A period of a minute finds each poll just about a minute old.
        let due = |written: Instant| written.elapsed() * 2 > WRITE_EVERY;
        if polls.written.is_none_or(due) {
            self.write_polls(polls).await;
        }
    }

    /// Writes down what is counted and is not yet.
    pub(super) async fn write_polls(&self, polls: &mut PollCount) {
        while let Some(first) = polls.waiting.first() {
            if let Err(error) = self.store.note_polls(&self.name, first.clone()).await {
                tracing::debug!(source = %self.name, %error, "polls are written down later");
                return;
            }
            polls.waiting.remove(0);
        }
        polls.written = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn polls_in_a_row_are_one_stretch_and_a_gap_begins_another() {
        let mut count = PollCount::default();
        let every = Duration::from_secs(60);
        for (began, ended, read) in [(0, 1, true), (60, 75, false), (120, 121, true), (242, 243, true), (100, 101, true)] {
            count.add(at(began), at(ended), read, every);
        }
        let stretch = |from, to, made, failed| Polls { from: at(from), to: at(to), made, failed, after_gap: true };
        // A clock set back is no gap.
        assert_eq!(count.waiting, [stretch(0, 121, 2, 1), stretch(242, 101, 2, 0)]);
    }
}
