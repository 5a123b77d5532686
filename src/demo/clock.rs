//! The simulated time that the tenant, the stand-ins and the program share.

use std::{sync::OnceLock, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;

/// A clock that stands until it is started, and then runs a fixed number of times as fast as the machine's. It moves in
/// steps of one tick: whoever asks within a tick gets one answer, so that two runs of the demo tell the same times.
#[derive(Debug)]
pub struct SimulatedClock {
    begins: Timestamp,
    factor: f64,
    tick: Duration,
    started: OnceLock<Instant>,
}

impl SimulatedClock {
    /// A clock that stands at `begins`. `factor` is more than zero; a `tick` is on the machine's time.
    #[must_use]
    pub const fn new(begins: Timestamp, factor: f64, tick: Duration) -> Self {
        Self { begins, factor, tick, started: OnceLock::new() }
    }

    /// Lets it run. A second call does nothing.
    pub fn start(&self) {
        let _ = self.started.set(Instant::now());
    }

    /// When the machine will see this clock at `at`; none while it stands.
    #[must_use]
    pub fn instant_of(&self, at: Timestamp) -> Option<Instant> {
        let since = Duration::try_from(at.duration_since(self.begins)).unwrap_or_default();
        Some(*self.started.get()? + self.passes_in(since))
    }

    /// How much time passes on this clock while `wait` passes on the machine's.
    #[must_use]
    pub fn simulated(&self, wait: Duration) -> Duration {
        Duration::try_from_secs_f64(wait.as_secs_f64() * self.factor).unwrap_or(Duration::MAX)
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let Some(started) = self.started.get() else { return self.begins };
        let ticks = started.elapsed().as_nanos() / self.tick.as_nanos().max(1);
        let passed = self.tick.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
        self.begins.checked_add(self.simulated(passed)).unwrap_or(Timestamp::MAX)
    }

    fn passes_in(&self, wait: Duration) -> Duration {
        Duration::try_from_secs_f64(wait.as_secs_f64() / self.factor).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_stands_then_runs_in_steps() {
        let begins = Timestamp::from_second(1_000_000).unwrap();
        let clock = SimulatedClock::new(begins, 1_440.0, Duration::from_millis(250));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((clock.now(), clock.instant_of(begins)), (begins, None));
        clock.start();
        tokio::time::advance(Duration::from_millis(249)).await;
        assert_eq!(clock.now(), begins);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now(), begins + Duration::from_secs(24 * 3600));
        clock.start();
        assert_eq!(clock.now(), begins + Duration::from_secs(24 * 3600), "a second start changes nothing");
        assert_eq!(clock.passes_in(Duration::from_secs(24 * 3600)), Duration::from_secs(60));
    }
}
