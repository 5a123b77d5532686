//! How each source's polls went of late, as its loop sees it: for whoever looks after many.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::domain::Name;

/// How the polls of one source went since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Polling {
    /// When the last one ended.
    pub last: Option<Timestamp>,
    /// When the last one ended that read the list, whole or in part.
    pub last_success: Option<Timestamp>,
    /// When the last one ended that read it not at all or only in part, and why that was; in one line without secrets.
    pub last_error: Option<(Timestamp, String)>,
    /// When the next one is due.
    pub next: Option<Timestamp>,
}

/// The part of the board that tells how polls went.
#[derive(Debug, Default)]
pub(super) struct Pollings(Mutex<BTreeMap<Name, Polling>>);

impl Pollings {
    pub fn ended(&self, source: &Name, read: bool, why: Option<&str>, now: Timestamp) {
        let mut known = self.known();
        let polling = known.entry(source.clone()).or_default();
        polling.last = Some(now);
        if read {
            polling.last_success = Some(now);
        }
        if let Some(why) = why {
            polling.last_error = Some((now, why.to_owned()));
        }
    }

    pub fn next(&self, source: &Name, due: Timestamp) {
        self.known().entry(source.clone()).or_default().next = Some(due);
    }

    pub fn all(&self) -> BTreeMap<Name, Polling> {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Name, Polling>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
