//! The rules' limits while the program runs: which alerts go out at once, which wait for a roll-up.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::{
    domain::Name,
    rules::{Limiter, RuleSet},
    store::{Store, StoreError},
};

/// Every limited rule's bucket. Whoever asks one holds them all until the answer is on disk, so that a roll-up can't pass an
/// alert that is just being held.
#[derive(Debug, Default)]
pub struct Limits {
    buckets: Mutex<Buckets>,
    held: Notify,
}

/// The buckets, taken for one decision and its commit.
#[derive(Debug, Default)]
pub struct Buckets {
    limiters: HashMap<Name, Limiter>,
    /// How long the groups of each rule that makes some wait.
    group_waits: HashMap<Name, Duration>,
    /// Rules with messages held in the store.
    holding: Vec<Name>,
}

impl Limits {
    /// The buckets as they stood when the program last ran: what was let through then still counts.
    ///
    /// # Errors
    /// The store could not be read.
    pub async fn recalled(rules: &RuleSet, store: &dyn Store) -> Result<Self, StoreError> {
        let mut limiters = HashMap::new();
        for rule in rules.rules() {
            if let Some(limit) = rule.limit {
                let limiter = Limiter::new(limit);
                limiter.recall(&store.let_through(&rule.name, limit.look_back()).await?);
                limiters.insert(rule.name.clone(), limiter);
            }
        }
        let group_waits = rules.rules().iter().filter_map(|rule| Some((rule.name.clone(), rule.group.as_ref()?.wait))).collect();
        let holding = store.held_rules().await?;
        Ok(Self { buckets: Mutex::new(Buckets { limiters, group_waits, holding }), held: Notify::new() })
    }

    /// Takes the buckets. Held over a commit, never over the network.
    pub async fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().await
    }

    /// Tells whoever makes groups and roll-ups that something is held or gathered.
    pub fn tell_held(&self) {
        self.held.notify_one();
    }

    /// Waits for [`Limits::tell_held`].
    pub async fn held(&self) {
        self.held.notified().await;
    }
}

impl Buckets {
    /// When a group that is due at `due` really goes out; none for now. No group waits longer than its rule says, though the clock
    /// were set back; one whose rule makes no groups any more goes out at once.
    #[must_use]
    pub fn group_due(&self, rule: &Name, due: Timestamp, now: Timestamp) -> Option<Duration> {
        let left = Duration::try_from(due.duration_since(now)).ok()?;
        let wait = self.group_waits.get(rule)?;
        (!left.is_zero() && left <= *wait).then_some(left)
    }

    /// Whether a message of a rule (an alert, a group) goes out at once. Behind held ones it does not: they come first.
    pub fn admit(&mut self, rule: &Name, now: Timestamp) -> bool {
        if self.holding.contains(rule) {
            return false;
        }
        match self.limiters.get(rule).map(|limiter| limiter.admit(now)) {
            None | Some(Ok(())) => true,
            Some(Err(_)) => {
                self.holding.push(rule.clone());
                false
            }
        }
    }

    /// The rules that hold messages, each with a message taken from its bucket for a roll-up now (`Ok`), or when one is to be had (`Err`).
    /// A rule whose limit is gone from the config is let out at once.
    pub fn take_ripe(&self, now: Timestamp) -> Vec<(Name, Result<(), Timestamp>)> {
        self.holding.iter().map(|rule| (rule.clone(), self.limiters.get(rule).map_or(Ok(()), |limiter| limiter.admit(now)))).collect()
    }

    /// A rule's held messages are in a roll-up.
    pub fn released(&mut self, rule: &Name) {
        self.holding.retain(|held| held != rule);
    }
}
