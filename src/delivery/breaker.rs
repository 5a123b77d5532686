//! Whether a channel may be sent to: a pure machine of what it answered and of the time.
//!
//! Trouble is the channel's, not a message's. The first failure shuts it: everything for it waits, and one message is tried a
//! step. Instants of the machine decide when; those of the wall clock are only written down, so that a clock that jumps neither
//! stalls a channel nor floods it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::backoff;
use crate::store::Line;

/// The longest wait a channel may ask for.
const ASKED_MOST: Duration = Duration::from_secs(24 * 3600);
/// After an outage, the second message comes so long after the first.
const EASE: Duration = Duration::from_secs(1);
/// So many times the wait between two messages is halved until it is none.
const EASE_STEPS: u32 = 10;

/// The present, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Of the wall.
    pub now: Timestamp,
    /// Of the machine.
    pub at: Instant,
}

/// A failure that is the channel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whether the channel refuses everything: nothing held is given up, whoever mends the channel gets it.
    pub refused: bool,
    /// The least wait it asked for.
    pub asked: Option<Duration>,
    /// Its answer.
    pub answer: String,
}

/// What may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Send whatever is due.
    Open,
    /// Send nothing for so long: the channel asked for it.
    Closed(Duration),
    /// Send nothing for so long, unless someone has asked for it in the store.
    Waits(Duration),
    /// Try one; to the store, it is this instant.
    Probe(Timestamp),
}

#[derive(Debug, Clone, Copy)]
struct Shut {
    due: Timestamp,
    asked: Option<Timestamp>,
    until: Instant,
    floor: Instant,
}

/// One channel's breaker.
#[derive(Debug)]
pub struct Breaker {
    longest: Duration,
    failed: u32,
    refused: bool,
    since: Option<Timestamp>,
    shut: Option<Shut>,
    aged: Duration,
    counted: Instant,
    eased: Option<u32>,
    answer: String,
}

impl Breaker {
    /// As it stood when the program last ran. What a trouble's wait was is forgotten, for whoever starts the program may have
    /// mended it: a channel in trouble is tried at once, but never before it asked for. `machine` tells how long the machine
    /// has to wait for a time to pass.
    #[must_use]
    pub fn recalled(line: &Line, give_up_after: Duration, moment: Moment, machine: impl Fn(Duration) -> Duration) -> Self {
        let shut = (line.failed > 0).then(|| {
            let left = line.asked.map_or(Duration::ZERO, |asked| between(moment.now, asked).min(ASKED_MOST));
            let floor = moment.at + machine(left);
            Shut { due: line.due.unwrap_or(moment.now), asked: line.asked, until: floor, floor }
        });
        Self {
            // Within the time that a message is tried, at least one probe is made beside the first attempt.
            longest: (give_up_after / 2).max(Duration::from_secs(1)),
            failed: line.failed,
            refused: line.refused,
            since: line.since,
            shut,
            aged: line.aged,
            counted: moment.at,
            eased: None,
            answer: line.answer.clone(),
        }
    }

    /// Whether the channel is in trouble.
    #[must_use]
    pub const fn is_shut(&self) -> bool {
        self.shut.is_some()
    }

    /// Whether it refuses everything.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.shut.is_some() && self.refused
    }

    /// Since when its trouble lasts.
    #[must_use]
    pub const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// The last failure's answer.
    #[must_use]
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// What may be done now.
    #[must_use]
    pub fn gate(&self, moment: Moment) -> Gate {
        let Some(shut) = &self.shut else { return Gate::Open };
        if moment.at < shut.floor {
            Gate::Closed(shut.floor - moment.at)
        } else if moment.at < shut.until {
            Gate::Waits(shut.until - moment.at)
        } else {
            Gate::Probe(shut.due.max(moment.now))
        }
    }

    /// The channel failed. How long everything for it waits now.
    pub fn failed(&mut self, trouble: &Trouble, moment: Moment, chance: f64, machine: impl Fn(Duration) -> Duration) -> Duration {
        self.count(moment.at);
        self.counted = moment.at;
        self.failed = self.failed.saturating_add(1);
        let lasts = self.shut.is_some() && self.refused == trouble.refused;
        self.since = Some(self.since.filter(|since| lasts && *since < moment.now).unwrap_or(moment.now));
        self.refused = trouble.refused;
        self.eased = None;
        self.answer.clone_from(&trouble.answer);
        let asked = trouble.asked.map(|asked| asked.min(ASKED_MOST));
        let wait = if trouble.refused {
            backoff::until_probe(chance).max(asked.unwrap_or_default())
        } else {
            backoff::after_failure(self.failed, self.longest, asked, chance)
        };
        self.shut = Some(Shut {
            due: later(moment.now, wait),
            asked: asked.map(|asked| later(moment.now, asked)),
            until: moment.at + machine(wait),
            floor: moment.at + machine(asked.unwrap_or_default()),
        });
        wait
    }

    /// The channel took a message, or refused just that one. Whether it was in trouble until now.
    pub fn answered(&mut self, at: Instant) -> bool {
        self.count(at);
        self.failed = 0;
        self.refused = false;
        self.since = None;
        let was_shut = self.shut.take().is_some();
        if was_shut {
            self.eased = Some(0);
        }
        was_shut
    }

    /// How long, in all, messages have waited for this channel in troubles that may pass.
    pub fn count(&mut self, at: Instant) -> Duration {
        if self.shut.is_some() && !self.refused {
            self.aged += at.saturating_duration_since(self.counted);
        }
        self.counted = at;
        self.aged
    }

    /// The least time between two messages just after an outage: 1, 2, 4, … in the seconds that follow. Each call counts one
    /// message.
    pub fn ease(&mut self) -> Duration {
        let Some(sent) = self.eased else { return Duration::ZERO };
        let halvings = sent.max(1).ilog2();
        self.eased = (halvings < EASE_STEPS).then_some(sent + 1);
        EASE / 2_u32.saturating_pow(halvings)
    }

    /// What is written down.
    #[must_use]
    pub fn line(&self, sent: Option<Timestamp>) -> Line {
        Line {
            failed: self.failed,
            refused: self.refused,
            since: self.since,
            due: self.shut.map(|shut| shut.due),
            asked: self.shut.and_then(|shut| shut.asked),
            aged: self.aged,
            sent,
            answer: self.answer.clone(),
        }
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn between(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;

    struct Bench {
        began: Instant,
        breaker: Breaker,
        /// By how much the wall clock is off.
        off: i64,
    }

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    impl Bench {
        fn new(give_up_after: u64) -> Self {
            let began = Instant::now();
            let moment = Moment { now: wall(0), at: began };
            Self { began, breaker: Breaker::recalled(&Line::default(), secs(give_up_after), moment, |wait| wait), off: 0 }
        }

        fn moment(&self, second: u64) -> Moment {
            Moment { now: wall(i64::try_from(second).unwrap() + self.off), at: self.began + secs(second) }
        }

        fn gate(&self, second: u64) -> Gate {
            self.breaker.gate(self.moment(second))
        }

        fn fail(&mut self, second: u64, asked: Option<u64>) -> u64 {
            let trouble = Trouble { refused: false, asked: asked.map(secs), answer: "HTTP 503".into() };
            self.breaker.failed(&trouble, self.moment(second), 0.5, |wait| wait).as_secs()
        }

        fn refuse(&mut self, second: u64) -> u64 {
            let trouble = Trouble { refused: true, asked: None, answer: "HTTP 404".into() };
            self.breaker.failed(&trouble, self.moment(second), 0.5, |wait| wait).as_secs()
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_week_of_trouble_is_some_forty_probes() {
        let mut bench = Bench::new(14 * DAY);
        let (mut now, mut probes) = (0, 0);
        while now < 7 * DAY {
            now += bench.fail(now, None);
            probes += 1;
            assert_eq!(bench.gate(now - 1), Gate::Waits(secs(1)));
            assert_eq!(bench.gate(now), Gate::Probe(bench.moment(now).now));
        }
        assert!((30..60).contains(&probes), "{probes}");
    }

    #[test]
    fn an_answer_opens_it_and_the_next_trouble_begins_anew() {
        let mut bench = Bench::new(14 * DAY);
        assert_eq!((bench.fail(0, None), bench.fail(5, None), bench.fail(35, None)), (5, 30, 120));
        assert!(bench.breaker.answered(bench.moment(155).at));
        assert_eq!(bench.gate(155), Gate::Open);
        assert!(!bench.breaker.answered(bench.moment(156).at));
        assert_eq!(bench.fail(200, None), 5);
    }

    #[test]
    fn what_the_channel_asked_for_binds_everyone() {
        let mut bench = Bench::new(14 * DAY);
        bench.fail(0, Some(HOUR));
        assert_eq!(bench.gate(HOUR - 1), Gate::Closed(secs(1)));
        assert_eq!(bench.gate(HOUR), Gate::Probe(wall(3_600)));
        // More than a day is no serious wish.
        bench.fail(HOUR, Some(30 * DAY));
        assert_eq!(bench.gate(2 * DAY), Gate::Probe(bench.moment(2 * DAY).now));
    }

    #[test]
    fn a_wall_clock_that_jumps_changes_no_wait() {
        for off in [-10 * 365 * 86_400, 10 * 365 * 86_400] {
            let mut bench = Bench::new(14 * DAY);
            bench.fail(0, Some(10));
            let due = wall(10);
            bench.off = off;
            assert_eq!(bench.gate(9), Gate::Closed(secs(1)));
            assert_eq!(bench.gate(10), Gate::Probe(due.max(bench.moment(10).now)), "never before what the store holds");
            assert_eq!(bench.breaker.count(bench.moment(10).at), secs(10));
        }
    }

    #[test]
    fn only_a_trouble_that_may_pass_counts_towards_giving_up() {
        let mut bench = Bench::new(14 * DAY);
        assert_eq!(bench.breaker.count(bench.moment(1_000).at), secs(0));
        bench.fail(1_000, None);
        assert_eq!(bench.breaker.count(bench.moment(1_100).at), secs(100));
        assert!((2_700..=4_500).contains(&bench.refuse(1_200)));
        assert_eq!(bench.breaker.count(bench.moment(9_000).at), secs(200));
        bench.fail(9_000, None);
        bench.breaker.answered(bench.moment(9_050).at);
        assert_eq!(bench.breaker.count(bench.moment(20_000).at), secs(250));
    }

    #[test]
    fn steps_are_short_where_messages_are_soon_given_up() {
        let mut bench = Bench::new(20);
        assert_eq!((bench.fail(0, None), bench.fail(5, None), bench.fail(15, None)), (5, 10, 10));
    }

    #[test]
    fn a_start_probes_at_once_but_not_before_it_was_asked_for() {
        let mut bench = Bench::new(14 * DAY);
        for _ in 0..9 {
            bench.fail(0, None);
        }
        let line = bench.breaker.line(None);
        let moment = bench.moment(60);
        let started = Breaker::recalled(&line, secs(14 * DAY), moment, |wait| wait);
        assert!(matches!(started.gate(moment), Gate::Probe(as_of) if as_of >= line.due.unwrap()));
        bench.fail(0, Some(HOUR));
        let started = Breaker::recalled(&bench.breaker.line(None), secs(14 * DAY), moment, |wait| wait);
        assert_eq!(started.gate(moment), Gate::Closed(secs(HOUR - 60)));
        // It goes on where it stood.
        let mut started = started;
        let trouble = Trouble { refused: false, asked: None, answer: String::new() };
        assert_eq!(started.failed(&trouble, moment, 0.5, |wait| wait), secs(6 * HOUR));
    }

    #[test]
    fn a_channel_that_is_back_is_not_flooded() {
        let mut bench = Bench::new(14 * DAY);
        assert_eq!(bench.breaker.ease(), Duration::ZERO);
        bench.fail(0, None);
        bench.breaker.answered(bench.moment(5).at);
        let mut at = Duration::ZERO;
        let mut in_second = [0; 12];
        for _ in 0..3_000 {
            at += bench.breaker.ease();
            in_second[usize::try_from(at.as_millis() / 1_000).unwrap().min(11)] += 1;
        }
        assert_eq!(in_second[..5], [0, 1, 2, 4, 8], "{in_second:?}");
        assert_eq!(bench.breaker.ease(), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn never_before_the_channel_asked_whatever_happens(
            steps in proptest::collection::vec((any::<bool>(), proptest::option::of(0u64..200_000), 0.0f64..1.0, 0u64..500, any::<bool>()), 1..40)
        ) {
            let mut bench = Bench::new(14 * DAY);
            let (mut now, mut asked_until) = (0, 0);
            for (refused, asked, chance, early, restart) in steps {
                if restart {
                    let line = bench.breaker.line(None);
                    bench.breaker = Breaker::recalled(&line, secs(14 * DAY), bench.moment(now), |wait| wait);
                }
                match bench.gate(now) {
                    Gate::Closed(wait) => {
                        prop_assert!(now < asked_until);
                        now += wait.as_secs() + 1;
                    }
                    Gate::Waits(wait) => now += early.min(wait.as_secs() + 1),
                    Gate::Open | Gate::Probe(_) => {
                        prop_assert!(now >= asked_until, "sent at {now}, asked not to before {asked_until}");
                        let trouble = Trouble { refused, asked: asked.map(secs), answer: String::new() };
                        let wait = bench.breaker.failed(&trouble, bench.moment(now), chance, |wait| wait);
                        asked_until = now + asked.unwrap_or(0).min(DAY);
                        prop_assert!(wait >= secs(asked.unwrap_or(0).min(DAY)));
                    }
                }
            }
        }
    }
}
