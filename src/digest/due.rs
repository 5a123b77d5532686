//! When a digest is due: a pure decision from its schedule, where it stands, and the present.
//!
//! A schedule is read in its zone. Where the clocks are set forward, a fixed time of day that does not come is due at the
//! instant of the change; where they are set back, one that comes twice is due once, and what is due every hour or minute is due in
//! both.

use croner::Cron;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::store::DigestState;

/// So long behind its due time, a message says that it is late.
const LATE: SignedDuration = SignedDuration::from_mins(5);
/// The most due times that are looked through for the last one missed: some two months of one a minute. Past that, the one
/// told of is a later missed one, no later than the present.
const LOOKED_THROUGH: usize = 100_000;

/// A schedule in its zone.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The schedule.
    pub schedule: Cron,
    /// The zone it is read in.
    pub zone: TimeZone,
}

/// What is to be done about a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is due: it covers what is between its last end and the present.
    Send {
        /// The due time it is sent for: the last one that has come.
        due: Timestamp,
        /// Whether the first one that has come was missed clearly.
        late: bool,
        /// Where the digest stands then.
        after: DigestState,
    },
    /// It is to stand here, and nothing is sent: it is new, or its schedule or the clock was changed.
    Place(DigestState),
    /// It is not due before this instant; never, where there is none.
    Wait(Option<Timestamp>),
}

impl Plan {
    /// The schedule and the zone in words, to tell another one by.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} {}", self.schedule.as_str(), self.zone.iana_name().unwrap_or("UTC"))
    }

    /// The first due time behind an instant.
    #[must_use]
    pub fn next(&self, behind: Timestamp) -> Option<Timestamp> {
        let at = behind.to_zoned(self.zone.clone());
        self.schedule.find_next_occurrence(&at, false).ok().map(|next| next.timestamp()).filter(|next| *next > behind)
    }

    /// The last due time up to an instant.
    #[must_use]
    pub fn last(&self, up_to: Timestamp) -> Option<Timestamp> {
        let at = up_to.to_zoned(self.zone.clone());
        self.schedule.find_previous_occurrence(&at, true).ok().map(|last| last.timestamp()).filter(|last| *last <= up_to)
    }

    /// The last due time behind `behind` and up to `now`, if one has come.
    fn missed(&self, behind: Timestamp, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let first = self.next(behind).filter(|first| *first <= now)?;
        if let Some(last) = self.last(now).filter(|last| *last >= first) {
            return Some((first, last));
        }
        let steps = std::iter::successors(Some(first), |due| self.next(*due).filter(|next| *next <= now));
        Some((first, steps.take(LOOKED_THROUGH).last().unwrap_or(first)))
    }
}

/// Decides. `state` is where the digest stands, none at its first sight.
#[must_use]
pub fn decide(plan: &Plan, state: Option<&DigestState>, now: Timestamp) -> Decision {
    let words = plan.words();
    let Some(state) = state else {
        // Its first period is a whole one, from the due time before it was first seen.
        let ended = plan.last(now).unwrap_or(now);
        return Decision::Place(DigestState { ended, counts_from: now, plan: words });
    };
    if is_far_ahead(plan, state.counts_from, now) {
        // With another digest, the store may have drawn its end back already.
        return Decision::Place(DigestState { ended: state.ended.min(now), counts_from: now, plan: words });
    }
    if state.plan != words {
        // What the former schedule had due is told with what this one has next.
        return Decision::Place(DigestState { counts_from: state.counts_from.max(now), plan: words, ..state.clone() });
    }
    match plan.missed(state.counts_from, now) {
        Some((first, due)) => {
            // One that covers several due times says so, however close those are.
            let late = due > first || now.duration_since(first) > LATE;
            Decision::Send { due, late, after: DigestState { ended: now, counts_from: now, plan: words } }
        }
        None => Decision::Wait(plan.next(state.counts_from)),
    }
}

/// Whether due times are dealt with so far into the future that the clock must have been wrong: two from now on are. One less, and
/// a clock that was set back would only tell again what it has told.
fn is_far_ahead(plan: &Plan, dealt_with: Timestamp, now: Timestamp) -> bool {
    dealt_with > now && plan.next(now).and_then(|next| plan.next(next)).is_some_and(|second| second <= dealt_with)
}
