//! A channel's pace: at most so many messages in any window, evenly spread.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

use crate::channel::Rate;

/// Governor's clock, on tokio's time: it waits with the loops, also when a test moves time by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct At(Instant);

impl Reference for At {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl std::ops::Add<Nanos> for At {
    type Output = Self;
    fn add(self, duration: Nanos) -> Self {
        Self(self.0 + Duration::from(duration))
    }
}

#[derive(Debug, Clone, Default)]
struct TokioClock;

impl Clock for TokioClock {
    type Instant = At;
    fn now(&self) -> At {
        At(Instant::now())
    }
}

/// Lets messages pass at a channel's rate.
pub struct Pace(Option<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<At>>>);

impl Pace {
    /// A pace of one message every `per / messages`, with no burst: so no window of `per`, wherever it begins, holds more
    /// than `messages`.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let Rate::Limited { messages, per } = rate else { return Self(None) };
        let quota = Quota::with_period(per / messages.max(1)).map(|quota| quota.allow_burst(NonZeroU32::MIN));
        Self(quota.map(|quota| RateLimiter::direct_with_clock(quota, TokioClock)))
    }

    /// Waits until the next message may go out, and counts it.
    pub async fn next(&self) {
        let Some(limiter) = &self.0 else { return };
        while let Err(not_yet) = limiter.check() {
            tokio::time::sleep(not_yet.wait_time_from(TokioClock.now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn times(rate: Rate, messages: usize) -> Vec<Instant> {
        let pace = Pace::new(rate);
        let mut times = Vec::new();
        for _ in 0..messages {
            pace.next().await;
            times.push(Instant::now());
        }
        times
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_window_holds_more_than_the_rate(messages in 1u32..8, seconds in 1u64..120) {
            let per = Duration::from_secs(seconds);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let times = runtime.block_on(times(Rate::Limited { messages, per }, 30));
            for window in times.windows(messages as usize + 1) {
                // tokio's timer rounds to milliseconds; governor itself is exact.
                prop_assert!(window[messages as usize] - window[0] + Duration::from_millis(1) >= per);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unlimited_never_waits() {
        let times = times(Rate::Unlimited, 1_000).await;
        assert_eq!(times[0], times[999]);
    }
}
