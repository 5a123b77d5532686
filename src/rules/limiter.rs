//! A rule's limit: a bucket of N messages, refilled evenly over D.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::Limit;

/// How many times N past messages are asked for after a restart. Of a full history the bucket is known exactly; the further
/// back a cut one reaches, the less must be assumed the worst.
const LOOK_BACK: u32 = 4;

impl Limit {
    /// How many of the newest messages let through [`Limiter::recall`] wants to see.
    #[must_use]
    pub const fn look_back(self) -> u32 {
        self.messages.saturating_mul(LOOK_BACK)
    }
}

/// A bucket.
///
/// It keeps one number, the instant at which it would be full again if nothing more were taken (the "theoretical arrival
/// time" of the generic cell rate algorithm), as the governor crate does. Governor keeps that number to itself, so it could
/// neither be recalled from a cut history after a restart nor be brought back when the wall clock is set back: hence these
/// few lines. Instants are counted in 1/N of a nanosecond, so that D / N is exact.
#[derive(Debug)]
pub struct Limiter {
    messages: i128,
    /// D in nanoseconds, which is what one message costs, D / N, in 1/N of a nanosecond.
    cost: i128,
    /// When it is full again; none while it has never been asked.
    full_at: Mutex<Option<i128>>,
}

impl Limiter {
    /// A full bucket.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        let nanos = i128::try_from(limit.per.as_nanos()).unwrap_or(i128::MAX / i128::from(u32::MAX));
        Self { messages: i128::from(limit.messages.max(1)), cost: nanos.max(1), full_at: Mutex::new(None) }
    }

    /// Takes a message. If the clock was set back, the bucket counts as empty, not as in debt: the next message is never
    /// further off than D / N.
    ///
    /// # Errors
    /// When the next one is to be had, if none is now.
    pub fn admit(&self, now: Timestamp) -> Result<(), Timestamp> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.ticks(now);
        let before = full_at.map_or(now, |at| at.clamp(now, now + self.whole()));
        let after = before + self.cost;
        if after <= now + self.whole() {
            *full_at = Some(after);
            Ok(())
        } else {
            *full_at = Some(before);
            Err(self.instant(after - self.whole()))
        }
    }

    /// Takes what was let through before: the newest [`Limit::look_back`] messages of this rule, in any order. If there are
    /// fewer than N, they are taken for all there ever were. Otherwise older ones may have been left out, and before the
    /// oldest given the bucket is taken to have been as empty as it can have been, so that a restart never grants a message
    /// more than a program that went on would have.
    pub fn recall(&self, past: &[Timestamp]) {
        let mut past: Vec<i128> = past.iter().map(|at| self.ticks(*at)).collect();
        past.sort_unstable();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if i128::try_from(past.len()).is_ok_and(|given| given >= self.messages) {
            // Each was let through, so whatever had been taken before it left room for one message more.
            let taken = std::iter::successors(Some(self.cost), |taken| Some(taken + self.cost));
            let latest = past.iter().zip(taken).map(|(at, taken)| at + self.whole() - taken).min();
            *full_at = (*full_at).max(latest);
        }
        for at in past {
            // A history under another limit may hold more than this bucket ever did: it is empty then, not in debt.
            *full_at = Some((full_at.map_or(at, |full| full.max(at)) + self.cost).min(at + self.whole()));
        }
    }

    /// From empty to full: D.
    const fn whole(&self) -> i128 {
        self.cost * self.messages
    }

    fn ticks(&self, at: Timestamp) -> i128 {
        at.as_nanosecond() * self.messages
    }

    /// Rounded up, so that whoever comes back then is let through.
    fn instant(&self, ticks: i128) -> Timestamp {
        let nanos = ticks.div_euclid(self.messages) + i128::from(ticks.rem_euclid(self.messages) > 0);
        Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    fn limiter(messages: u32, seconds: u64) -> Limiter {
        Limiter::new(Limit { messages, per: Duration::from_secs(seconds) })
    }

    #[test]
    fn a_full_bucket_gives_n_at_once_then_one_every_d_over_n() {
        let bucket = limiter(5, 3_600);
        for _ in 0..5 {
            assert_eq!(bucket.admit(at(0)), Ok(()));
        }
        assert_eq!(bucket.admit(at(0)), Err(at(720_000)));
        assert_eq!(bucket.admit(at(719_999)), Err(at(720_000)));
        assert_eq!(bucket.admit(at(720_000)), Ok(()));
        assert_eq!(bucket.admit(at(720_000)), Err(at(1_440_000)));
    }

    #[test]
    fn a_clock_set_back_blocks_no_longer_than_one_message_takes() {
        let bucket = limiter(2, 60);
        for _ in 0..2 {
            assert_eq!(bucket.admit(at(0)), Ok(()));
        }
        assert_eq!(bucket.admit(at(-86_400_000)), Err(at(-86_400_000 + 30_000)));
        assert_eq!(bucket.admit(at(-86_400_000 + 30_000)), Ok(()));
    }

    #[test]
    fn a_restart_grants_no_burst() {
        // Five at once, then one as soon as there was one: the last five alone would look like a slow stream.
        let mut past = vec![at(0); 5];
        past.extend((1..=20).map(|n| at(n * 720_000)));
        let bucket = limiter(5, 3_600);
        bucket.recall(&past[past.len() - 5..]);
        assert_eq!(bucket.admit(at(20 * 720_000)), Err(at(21 * 720_000)));
    }

    #[test]
    fn a_history_of_more_than_the_bucket_holds_leaves_it_empty_and_no_more() {
        let bucket = limiter(2, 60);
        bucket.recall(&vec![at(0); 100]);
        assert_eq!(bucket.admit(at(0)), Err(at(30_000)));
    }

    /// Asks at each of the gaps' ends; the instants at which it was let through.
    fn through(bucket: &Limiter, from: i64, gaps: &[i64]) -> (Vec<i64>, i64) {
        let mut now = from;
        let mut admitted = Vec::new();
        for gap in gaps {
            now += gap;
            if bucket.admit(at(now)).is_ok() {
                admitted.push(now);
            }
        }
        (admitted, now)
    }

    fn gaps() -> impl Strategy<Value = Vec<i64>> {
        proptest::collection::vec(prop_oneof![Just(0i64), 0i64..100, 0i64..10_000, 0i64..200_000], 1..200)
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_n_and_what_it_refills(messages in 1u32..12, seconds in 1u64..100, gaps in gaps()) {
            let (admitted, _) = through(&limiter(messages, seconds), 0, &gaps);
            let per = i64::try_from(seconds).unwrap() * 1_000;
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    let count = i64::try_from(last - first + 1).unwrap();
                    // count <= N + W * N / D, multiplied by D
                    prop_assert!(count * per <= i64::from(messages) * (per + end - start));
                }
            }
        }

        #[test]
        fn whoever_comes_back_when_told_is_let_through(messages in 1u32..12, seconds in 1u64..100, gaps in gaps()) {
            let bucket = limiter(messages, seconds);
            let (_, mut now) = through(&bucket, 0, &gaps);
            while bucket.admit(at(now)).is_ok() {}
            for _ in 0..5 {
                let next = bucket.admit(at(now)).unwrap_err();
                prop_assert!(next > at(now) && next <= at(now) + Duration::from_secs(seconds));
                prop_assert_eq!(bucket.admit(next), Ok(()));
                now = next.as_millisecond() - at(0).as_millisecond() + 1;
                while bucket.admit(at(now)).is_ok() {}
            }
        }

        #[test]
        fn to_recall_a_whole_short_history_is_to_have_been_there(messages in 2u32..12, seconds in 1u64..100, gaps in gaps(), more in gaps()) {
            let (mut admitted, _) = through(&limiter(messages, seconds), 0, &gaps);
            // Less than N: all there ever were.
            admitted.truncate(messages as usize - 1);
            let now = admitted.last().copied().unwrap_or_default();
            let there = limiter(messages, seconds);
            for moment in &admitted {
                there.admit(at(*moment)).unwrap();
            }
            let recalled = limiter(messages, seconds);
            recalled.recall(&admitted.iter().rev().map(|t| at(*t)).collect::<Vec<_>>());
            prop_assert_eq!(through(&there, now, &more), through(&recalled, now, &more));
        }

        #[test]
        fn to_recall_a_part_never_lets_more_through(messages in 1u32..12, seconds in 1u64..100, gaps in gaps(), more in gaps(), part in 0usize..60) {
            let there = limiter(messages, seconds);
            let (admitted, now) = through(&there, 0, &gaps);
            let recalled = limiter(messages, seconds);
            let part = part.max(messages as usize).min(admitted.len());
            recalled.recall(&admitted[admitted.len() - part..].iter().map(|t| at(*t)).collect::<Vec<_>>());
            let (mut went_on, mut restarted) = (0, 0);
            let mut now = now;
            for gap in more {
                now += gap;
                went_on += i64::from(there.admit(at(now)).is_ok());
                restarted += i64::from(recalled.admit(at(now)).is_ok());
                prop_assert!(restarted <= went_on);
            }
        }
    }
}
