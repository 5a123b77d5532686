//! How far each source's list is known, as its loop sees it: for whoever is to tell what did not come.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::domain::Name;

/// A source of which so many readings in a row failed counts as dark at once: one odd answer is no darkness.
const DARK_AFTER: u32 = 2;

/// How far a source's list is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Every job that ended before is known, by the clock of the source's service: mostly when the last complete reading began.
    pub complete: Option<Timestamp>,
    /// How far that clock is ahead of ours, or a little less: as much less as the reading took.
    pub ahead: SignedDuration,
    /// Since when, by our clock, the list can't be read, or only in part; none while it can.
    pub dark: Option<Timestamp>,
    /// How many readings in a row were no complete ones.
    pub failed: u32,
    /// How many readings there were.
    pub readings: u64,
}

impl Reading {
    /// Whether so much failed in a row that it is no odd answer any more.
    #[must_use]
    pub const fn is_dark(&self) -> bool {
        self.failed >= DARK_AFTER
    }
}

/// The part of the board that tells how far lists are known.
#[derive(Debug, Default)]
pub(super) struct Readings {
    known: Mutex<BTreeMap<Name, Reading>>,
    changed: Notify,
}

impl Readings {
    fn note(&self, source: &Name, change: impl FnOnce(&mut Reading)) {
        {
            let mut known = self.known();
            let reading = known.entry(source.clone()).or_default();
            reading.readings += 1;
            change(reading);
        }
        self.changed.notify_one();
    }

    pub fn complete(&self, source: &Name, began: Timestamp, known: Option<Timestamp>, now: Timestamp) {
        self.note(source, |reading| {
            *reading =
                Reading { complete: known.or(reading.complete), ahead: began.duration_since(now), dark: None, failed: 0, ..*reading };
        });
    }

    pub fn failed(&self, source: &Name, now: Timestamp) {
        self.note(source, |reading| {
            // A clock that was set back must not put it off.
            reading.dark = Some(reading.dark.map_or(now, |since| since.min(now)));
            reading.failed = reading.failed.saturating_add(1);
        });
    }

    pub fn all(&self) -> BTreeMap<Name, Reading> {
        self.known().clone()
    }

    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Name, Reading>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_answer_is_no_darkness_and_a_complete_reading_ends_it() {
        let (readings, source) = (Readings::default(), Name::from("contoso"));
        let at = |second| Timestamp::from_second(second).unwrap();
        readings.failed(&source, at(100));
        assert_eq!((readings.all()[&source].is_dark(), readings.all()[&source].dark), (false, Some(at(100))));
        readings.failed(&source, at(160));
        assert_eq!((readings.all()[&source].is_dark(), readings.all()[&source].dark), (true, Some(at(100))));
        readings.complete(&source, at(1_220), Some(at(1_200)), at(220));
        let now = readings.all()[&source];
        assert_eq!((now.is_dark(), now.dark, now.complete), (false, None, Some(at(1_200))));
        assert_eq!((now.ahead.as_secs(), now.readings), (1_000, 3));
    }
}
