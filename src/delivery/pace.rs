//! A channel's pace: at most so many messages in any window, evenly spread.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

use crate::channel::Rate;

/// A start takes longer than anything shorter: whoever sends at this interval or faster makes no burst by being restarted.
const SLOW: Duration = Duration::from_millis(250);

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
pub struct Pace {
    limiter: Option<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<At>>>,
    /// From one message to the next.
    interval: Duration,
    not_before: Option<Instant>,
    last: Option<Instant>,
    /// How many messages a window of how much time may hold.
    messages: usize,
    per: Duration,
    /// When the messages of the last window were answered, oldest first. A message arrives somewhere between its sending and its
    /// answer, so only an answer tells from when on it counts at the channel.
    answered: VecDeque<Instant>,
}

impl Pace {
    /// A pace of one message every `per / messages`, with no burst: so no window of `per`, wherever it begins, holds more
    /// than `messages`. `ago` is how long ago the last message went out before the program started.
    #[must_use]
    pub fn new(rate: Rate, ago: Option<Duration>) -> Self {
        let Rate::Limited { messages, per } = rate else {
            return Self {
                limiter: None,
                interval: Duration::ZERO,
                not_before: None,
                last: None,
                messages: 0,
                per: Duration::ZERO,
                answered: VecDeque::new(),
            };
        };
        let interval = per / messages.max(1);
        let quota = Quota::with_period(interval).map(|quota| quota.allow_burst(NonZeroU32::MIN));
        let limiter = quota.map(|quota| RateLimiter::direct_with_clock(quota, TokioClock));
        let not_before = ago.map(|ago| Instant::now() + interval.saturating_sub(ago));
        let messages = messages.max(1) as usize;
        Self { limiter, interval, not_before, last: None, messages, per, answered: VecDeque::new() }
    }

    /// Whether its interval is so long that a restart must know of the last message.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.interval >= SLOW
    }

    /// Waits until the next message may go out, at least `gap` after the last one, and counts it.
    pub async fn next(&mut self, gap: Duration) {
        let eased = self.last.map(|last| last + gap);
        let full = self.answered.front().filter(|_| self.answered.len() >= self.messages).map(|oldest| *oldest + self.per);
        // A timer is whole milliseconds: even one for a moment that is past would hold each message up by one.
        if let Some(until) = self.not_before.take().max(eased).max(full).filter(|until| *until > Instant::now()) {
            // Put back, should whoever waits here go away.
            self.not_before = Some(until);
            tokio::time::sleep_until(until).await;
            self.not_before = None;
        }
        if let Some(limiter) = &self.limiter {
            while let Err(not_yet) = limiter.check() {
                tokio::time::sleep(not_yet.wait_time_from(TokioClock.now())).await;
            }
        }
        self.last = Some(Instant::now());
    }

    /// The message that was let pass has been answered, or was given up.
    pub fn answered(&mut self) {
        if self.limiter.is_some() {
            if self.answered.len() >= self.messages {
                self.answered.pop_front();
            }
            self.answered.push_back(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn times(rate: Rate, messages: usize) -> Vec<Instant> {
        let mut pace = Pace::new(rate, None);
        let mut times = Vec::new();
        for _ in 0..messages {
            pace.next(Duration::ZERO).await;
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
    async fn no_window_holds_more_than_the_rate_where_the_messages_arrive() {
        for (messages, per) in [(1, 1_000), (2, 1_000), (5, 3_000)] {
            let per = Duration::from_millis(per);
            let mut pace = Pace::new(Rate::Limited { messages, per }, None);
            let mut arrivals = Vec::new();
            for n in 0..30_u64 {
                pace.next(Duration::ZERO).await;
                // The way there is now long, now short.
                let way = Duration::from_millis(if n % 3 == 0 { 300 } else { 1 });
                tokio::time::sleep(way).await;
                arrivals.push(Instant::now());
                pace.answered();
            }
            for window in arrivals.windows(messages as usize + 1) {
                assert!(window[messages as usize] - window[0] >= per, "{messages} per {per:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unlimited_never_waits() {
        let times = times(Rate::Unlimited, 1_000).await;
        assert_eq!(times[0], times[999]);
        let mut pace = Pace::new(Rate::Unlimited, None);
        for _ in 0..1_000 {
            pace.next(Duration::ZERO).await;
            tokio::time::advance(Duration::from_micros(100)).await;
            let began = Instant::now();
            pace.next(Duration::ZERO).await;
            assert_eq!(Instant::now(), began, "the last message went out just before");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_waits_for_what_is_left_of_the_last_message() {
        let rate = Rate::Limited { messages: 5, per: Duration::from_secs(3_600) };
        for (ago, waits) in [(None, 0), (Some(0), 720), (Some(700), 20), (Some(10_000), 0)] {
            let began = Instant::now();
            let mut pace = Pace::new(rate, ago.map(Duration::from_secs));
            pace.next(Duration::ZERO).await;
            assert_eq!(began.elapsed().as_secs(), waits, "{ago:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_kept_beside_the_rate() {
        let mut pace = Pace::new(Rate::Unlimited, None);
        let began = Instant::now();
        for gap in [1_000, 1_000, 500, 0] {
            pace.next(Duration::from_millis(gap)).await;
        }
        assert_eq!(began.elapsed().as_millis(), 1_500, "the first one waits for nothing");
    }
}
