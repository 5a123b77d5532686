//! How long to wait after an attempt: pure functions of what happened and of chance.

use std::time::Duration;

/// The waits after the first, second, … failed attempt; the last one repeats.
const STEPS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(4 * 3600),
    Duration::from_secs(6 * 3600),
];
/// How often a channel that refuses everything is tried again, with one message.
const PROBE: Duration = Duration::from_secs(3600);

/// The wait after the `failed`th failed attempt in a row (from 1): a step of at most `longest`, but never less than the channel
/// asked for. `chance` is uniform in 0..1 and spreads the wait over 75 % to 125 %, so that many senders do not come back at one
/// instant.
#[must_use]
pub fn after_failure(failed: u32, longest: Duration, asked: Option<Duration>, chance: f64) -> Duration {
    let at = usize::try_from(failed.saturating_sub(1)).unwrap_or(usize::MAX).min(STEPS.len() - 1);
    jittered(STEPS[at].min(longest), chance).max(asked.unwrap_or_default())
}

/// The wait until a refused channel is probed again.
#[must_use]
pub fn until_probe(chance: f64) -> Duration {
    jittered(PROBE, chance)
}

fn jittered(wait: Duration, chance: f64) -> Duration {
    wait.mul_f64(0.75 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_grow_to_six_hours() {
        let waits: Vec<u64> =
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1_000].iter().map(|n| after_failure(*n, Duration::MAX, None, 0.5).as_secs()).collect();
        assert_eq!(waits, [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 21_600, 21_600]);
    }

    proptest! {
        #[test]
        fn never_before_the_channel_asked_and_never_far_off_the_step(failed in 0u32..100, asked in 0u64..100_000, chance in 0.0f64..1.0) {
            let asked = Duration::from_secs(asked);
            let wait = after_failure(failed, Duration::MAX, Some(asked), chance);
            prop_assert!(wait >= asked);
            let step = after_failure(failed, Duration::MAX, None, 0.5);
            prop_assert!(wait >= step.mul_f64(0.75));
            prop_assert!(wait <= step.mul_f64(1.25).max(asked));
        }
    }
}
