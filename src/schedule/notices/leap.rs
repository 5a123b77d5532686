//! Whether the wall clock was set, or the machine slept, between two looks: pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A smaller step of the clock is the work of whatever keeps it right, and no news.
pub const LEAST: Duration = Duration::from_secs(60);

/// What the machine's clocks say at one instant.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The wall clock.
    pub wall: Timestamp,
    /// The one that no one can set, and that stands still while the machine sleeps.
    pub machine: Instant,
    /// How long the machine has been up, its sleep counted; none where that can't be told.
    pub up: Option<Duration>,
}

/// What happened between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leap {
    /// The wall clock was set, forward or (less than zero) back.
    Set(SignedDuration),
    /// The machine slept.
    Slept(Duration),
}

/// What happened since. `passes_in` is how long the machine has to wait until so much has passed on the wall clock.
pub fn leap(before: &Times, now: &Times, passes_in: impl Fn(Duration) -> Duration) -> Option<Leap> {
    let passed = now.machine.saturating_duration_since(before.machine);
    let slept = match (before.up, now.up) {
        (Some(before), Some(now)) => now.saturating_sub(before).saturating_sub(passed),
        _ => Duration::ZERO,
    };
    let wall = now.wall.duration_since(before.wall);
    let scaled = SignedDuration::try_from(passes_in(wall.unsigned_abs())).unwrap_or(SignedDuration::MAX);
    let on_the_wall = if wall.is_negative() { -scaled } else { scaled };
    let expected = SignedDuration::try_from(passed.saturating_add(slept)).unwrap_or(SignedDuration::MAX);
    let set = on_the_wall.saturating_sub(expected);
    if set.unsigned_abs() >= LEAST { Some(Leap::Set(set)) } else { (slept >= LEAST).then_some(Leap::Slept(slept)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen when so many seconds passed on the wall, for the machine, and since it is up.
    #[track_caller]
    fn check(wall: i64, machine: u64, up: Option<u64>, expected: Option<Leap>) {
        let start = Instant::now();
        let at = |wall: i64, machine: u64, up: Option<u64>| Times {
            wall: Timestamp::from_second(1_800_000_000 + wall).unwrap(),
            machine: start + Duration::from_secs(machine),
            up: up.map(|up| Duration::from_secs(1_000 + up)),
        };
        assert_eq!(leap(&at(0, 0, up.map(|_| 0)), &at(wall, machine, up), |wait| wait), expected);
    }

    #[test]
    fn a_clock_that_was_set_is_told_from_a_machine_that_slept_and_from_one_that_stood_still() {
        let set = |seconds| Some(Leap::Set(SignedDuration::from_secs(seconds)));
        check(10, 10, Some(10), None);
        check(69, 10, Some(10), None);
        check(-49, 10, Some(10), None);
        check(70, 10, Some(10), set(60));
        check(-50, 10, None, set(-60));
        check(10 + 315_360_000, 10, Some(10), set(315_360_000));
        check(10 - 315_360_000, 10, Some(10), set(-315_360_000));
        // Asleep for eight hours: only the machine's own clock stood still.
        check(28_810, 10, Some(28_810), Some(Leap::Slept(Duration::from_secs(28_800))));
        check(28_810, 10, None, set(28_800));
        // Asleep, and set while it was.
        check(3_600, 10, Some(28_810), set(3_600 - 28_810));
        // A process that was stopped for a while: every clock went on.
        check(28_800, 28_800, Some(28_800), None);
    }

    #[test]
    fn a_clock_that_runs_faster_is_no_leap() {
        let start = Instant::now();
        let at = |wall: i64, machine| Times {
            wall: Timestamp::from_second(1_800_000_000 + wall).unwrap(),
            machine: start + Duration::from_secs(machine),
            up: None,
        };
        assert_eq!(leap(&at(0, 0), &at(6_000, 10), |wait| wait / 600), None);
        assert!(leap(&at(0, 0), &at(6_000, 10), |wait| wait).is_some());
    }
}
