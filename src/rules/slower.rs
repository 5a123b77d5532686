//! `slower_than_usual`: against the median duration of the profile's last finished jobs.

use std::time::Duration;

use crate::{
    document::{Fault, Faults, Fields, Node, Value, duration, integer},
    domain::{LONGEST, State, format_duration, format_exactly},
};

use super::{
    Known,
    condition::{Facts, Lane, Test},
    past::{Need, PAST_MOST},
    when::When,
};

/// How many finished jobs are asked for where nothing is said.
const OVER: u32 = 20;
/// The most that can be asked for.
pub const OVER_MOST: u32 = PAST_MOST / LOOKED_AT;
/// How many ended jobs are looked at for each finished one that is asked for: of a profile that fails more often than four
/// times in five, fewer are found.
const LOOKED_AT: u32 = 5;
/// So many ended jobs are looked at in any case: a row of failures hides no few good ends.
const LOOKED_AT_LEAST: u32 = OVER * LOOKED_AT;
/// Fewer finished jobs than this tell nothing of what is usual.
const FEWEST: u32 = 3;
/// Under this no job is slow where nothing is said: 20 s in place of 8 s is no one's concern.
const FLOOR: Duration = Duration::from_secs(60);
/// The largest factor: what is a thousand times slower than usual is so by any measure.
pub const FACTOR_MOST: f64 = 1_000.0;

#[derive(Debug)]
struct Slower {
    factor: f64,
    over: u32,
    at_least: Duration,
}

/// What is usual of a profile.
struct Usual {
    median: Duration,
    jobs: usize,
}

impl Slower {
    /// The durations of the last finished jobs, if there are enough of them to tell; otherwise how many there are.
    fn usual(&self, facts: &Facts<'_>) -> Result<Usual, usize> {
        let looked_at = facts.past.jobs().take(self.looked_at() as usize);
        let durations = looked_at.filter(|job| job.state == State::Finished).filter_map(|job| job.duration(facts.now));
        let mut durations: Vec<Duration> = durations.take(self.over as usize).collect();
        let jobs = durations.len();
        if jobs < self.fewest() as usize {
            return Err(jobs);
        }
        durations.sort_unstable();
        let middle = |at: usize| durations.get(at).copied().unwrap_or_default();
        Ok(Usual { median: (middle((jobs - 1) / 2) + middle(jobs / 2)) / 2, jobs })
    }

    fn looked_at(&self) -> u32 {
        (self.over * LOOKED_AT).max(LOOKED_AT_LEAST)
    }

    fn fewest(&self) -> u32 {
        self.over.min(FEWEST)
    }

    /// Up to here nothing is slow, if the median is this.
    fn limit(&self, median: Duration) -> Duration {
        Duration::try_from_secs_f64(median.as_secs_f64() * self.factor).unwrap_or(Duration::MAX)
    }
}

impl Test for Slower {
    fn holds(&self, facts: &Facts<'_>, _: &When) -> bool {
        let Some(took) = facts.job.duration(facts.now).filter(|took| *took >= self.at_least) else { return false };
        self.usual(facts).is_ok_and(|usual| took > self.limit(usual.median))
    }

    fn wanted(&self) -> String {
        format!(
            "longer than {} × the median of the last {} finished jobs, and at least {}",
            self.factor,
            self.over,
            format_duration(self.at_least)
        )
    }

    fn found(&self, facts: &Facts<'_>, _: &When) -> String {
        let verb = if facts.job.is_final() { "took" } else { "runs for" };
        let duration = facts.job.duration(facts.now);
        let took = duration.map_or_else(|| "an unknown time".to_owned(), format_duration);
        match self.usual(facts) {
            Ok(Usual { median, jobs }) => {
                let limit = self.limit(median).max(self.at_least);
                // Two that look alike in short are told exactly: which of them is longer has decided.
                let alike = format_duration(limit) == took;
                let told = if alike { format_exactly } else { format_duration };
                let took = duration.map_or(took, told);
                format!("{verb} {took}, usual is {} (median of {jobs}), limit {}", format_duration(median), told(limit))
            }
            Err(0) => format!("{verb} {took}, no job of this profile finished before it"),
            Err(jobs) => {
                let so_few = if jobs == 1 { "one job" } else { "two jobs" };
                format!("{verb} {took}, only {so_few} of this profile finished before it: {} tell what is usual", self.fewest())
            }
        }
    }

    fn lane(&self) -> Lane<'_> {
        Lane::AtLeast(self.at_least)
    }

    fn turning_ages(&self, facts: &Facts<'_>) -> Vec<Duration> {
        self.usual(facts).map(|usual| vec![self.limit(usual.median).max(self.at_least)]).unwrap_or_default()
    }

    fn need(&self) -> Option<Need> {
        Some(Need::jobs(self.looked_at()))
    }
}

pub(super) fn read(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    let mut fields = Fields::open(node, "a mapping with `factor`, `over` and `at_least`", faults)?;
    let factor = fields.require("factor", faults).and_then(|at| factor(at, faults));
    let over = fields.take("over").map_or(Some(i64::from(OVER)), |at| integer(at, 1..=i64::from(OVER_MOST), faults));
    let at_least = fields.take("at_least").map_or(Some(FLOOR), |at| duration(at, Duration::ZERO..=LONGEST, faults));
    fields.finish(faults);
    Some(Box::new(Slower { factor: factor?, over: u32::try_from(over?).ok()?, at_least: at_least? }))
}

fn factor(node: &Node, faults: &mut Faults) -> Option<f64> {
    let factor = match &node.value {
        Value::Int(number) => i32::try_from(*number).map(f64::from).ok(),
        Value::Float(number) => Some(*number),
        Value::Text(text) if node.filled => text.trim().parse().ok(),
        _ => None,
    };
    match factor {
        Some(factor) if factor > 0.0 && factor <= FACTOR_MOST => {
            if factor <= 1.0 {
                let fault = Fault::warning(&node.place, "about half of all jobs take longer than the median: this calls usual ones slow");
                faults.push(fault.hint("write a factor of more than 1, as in 2 or 1.5"));
            }
            Some(factor)
        }
        _ => {
            let fault = Fault::error(&node.place, format!("a factor is a number of more than 0 and at most {FACTOR_MOST}"));
            faults.push(fault.hint("write it as in 2 or 1.5"));
            None
        }
    }
}
