//! Notices about the watch itself: each told once when it begins, and once when it is over.

mod decide;
mod leap;
mod words;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    decide::{FLAPS, Facts, Step, decide, flaps_within},
    leap::{Times, leap},
    words::{after_unwritable, forgotten},
};
use super::STORE_RETRY;
use crate::{
    clock::Clock,
    domain::{Name, Notice},
    health::{Health, Topic, Trouble},
    store::{Store, StoreError, Tellings},
    wake::Wake,
};
pub use decide::Patience;

/// How often the board is looked at although nothing changed: a source counts as down only after a while.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// After a leap of the clock was told of, others are for so long matters of the log alone.
const LEAPS_APART: Duration = Duration::from_secs(3_600);

/// Tells whom it concerns of the watch's own troubles.
pub struct Notices {
    /// Where the loops say what is the matter.
    pub health: Arc<Health>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The same, for what was told.
    pub tellings: Arc<dyn Tellings>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// All there is to tell of, by the sources and channels of the config.
    pub topics: Vec<Topic>,
    /// Whom to tell; empty where the config has no `notices`.
    pub notify: Vec<Name>,
    /// The channels that stand in for others: each is told, beside those, of the trouble of the one it stands in for.
    pub fallbacks: BTreeMap<Name, Name>,
    /// How long a trouble may last before someone is told.
    pub patience: Patience,
    /// Whom to wake.
    pub wake: Arc<Wake>,
}

/// What the loop remembers between two looks.
#[derive(Debug, Default)]
struct Memory {
    /// When the store could not be written, as far as it is not yet told: while it lasts, nothing can be.
    unwritable: Option<Trouble>,
    /// Since when each topic has been well without a break.
    well: BTreeMap<Topic, Timestamp>,
    /// What the clocks said at the last look.
    times: Option<Times>,
    /// A leap of the clock that is not yet told.
    leap: Option<Notice>,
    /// When a leap was last told.
    leapt: Option<Instant>,
}

impl Notices {
    /// Tells until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut memory = Memory::default();
        loop {
            let wait = match self.look(&mut memory).await {
                Ok(()) => LOOK_AGAIN,
                Err(error) => {
                    tracing::debug!(%error, "notices wait for the store");
                    STORE_RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.health.changed() => {}
                () = tokio::time::sleep(self.clock.passes_in(wait)) => {}
            }
        }
    }

    async fn look(&self, memory: &mut Memory) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.watch_store(now);
        self.watch_clock(memory, now);
        let known = self.health.known();
        memory.well.retain(|topic, _| known.get(topic) == Some(&None));
        for topic in known.iter().filter(|(_, trouble)| trouble.is_none()).map(|(topic, _)| topic) {
            let since = memory.well.entry(topic.clone()).or_insert(now);
            // A clock that was set back must not put it off.
            *since = now.min(*since);
        }
        if self.notify.is_empty() && self.fallbacks.is_empty() {
            // The board and the log tell all the same.
            return Ok(());
        }
        if let Some(Some(trouble)) = known.get(&Topic::StoreUnwritable) {
            memory.unwritable = Some(trouble.clone());
            return Ok(());
        }
        let begun = self.tellings.begun().await?;
        if let Some(trouble) = memory.unwritable.clone() {
            let before = begun.get(&Topic::StoreUnwritable.words()).map_or(&[][..], Vec::as_slice);
            if flaps_within(before, now) < FLAPS {
                for notice in after_unwritable(&trouble) {
                    self.tell(&[(&Topic::StoreUnwritable, trouble.since)], notice, now).await?;
                }
            }
            memory.unwritable = None;
        }
        if let Some(notice) = memory.leap.clone() {
            self.store.tell(forgotten(&notice.topic), Vec::new(), now).await?;
            if self.store.tell(notice, self.notify.clone(), now).await? {
                self.notify.iter().for_each(|channel| self.wake.channel(channel));
            }
            memory.leap = None;
        }
        let told = self.store.told().await?;
        for topic in told.keys().filter(|words| !self.topics.iter().any(|topic| topic.words() == **words)) {
            // What is no longer watched is in nobody's way: there is no end to be told. Nor is there of a clock that was set.
            self.store.tell(forgotten(topic), Vec::new(), now).await?;
        }
        let facts = Facts { known: &known, well: &memory.well, told: &told, begun: &begun, patience: self.patience, now };
        for step in decide(&self.topics, &facts) {
            match step {
                Step::Tell(topics, notice) => self.tell(&topics, notice, now).await?,
                Step::Forget(topic) => {
                    self.store.tell(forgotten(&topic.words()), Vec::new(), now).await?;
                }
            }
        }
        Ok(())
    }

    /// Notes a leap of the wall clock, and a sleep of the machine.
    fn watch_clock(&self, memory: &mut Memory, now: Timestamp) {
        let times = Times { wall: now, machine: Instant::now(), up: self.clock.up() };
        let Some(before) = memory.times.replace(times) else { return };
        let Some(leap) = leap(&before, &times, |wait| self.clock.passes_in(wait)) else { return };
        let notice = words::leapt(leap, before.wall, now);
        tracing::warn!(topic = %notice.topic, "{}", notice.title);
        if !self.notify.is_empty() && memory.leapt.is_none_or(|last| last.elapsed() >= LEAPS_APART) {
            memory.leapt = Some(times.machine);
            memory.leap = Some(notice);
        }
    }

    fn watch_store(&self, now: Timestamp) {
        match self.store.trouble() {
            Some(trouble) => self.health.trouble(Topic::StoreUnwritable, &trouble.to_string(), now),
            None => self.health.fine(&Topic::StoreUnwritable),
        }
    }

    /// Tells of topics that have the same audience.
    async fn tell(&self, topics: &[(&Topic, Timestamp)], notice: Notice, now: Timestamp) -> Result<(), StoreError> {
        let channels = topics.first().map(|(topic, _)| audience(&self.notify, &self.fallbacks, topic, notice.over)).unwrap_or_default();
        if channels.is_empty() {
            return Ok(());
        }
        let about = topics.iter().map(|(topic, since)| (topic.words(), *since)).collect();
        if self.tellings.tell_together(notice.clone(), about, channels.clone(), now).await? {
            tracing::warn!(topic = %notice.topic, over = notice.over, "{}", notice.title);
            for channel in &channels {
                self.wake.channel(channel);
            }
        }
        Ok(())
    }
}

/// Who is told: a channel is not told of its own trouble while it lasts, unless there is no one else to tell.
/// Its fallback is told in any case.
fn audience(notify: &[Name], fallbacks: &BTreeMap<Name, Name>, about: &Topic, over: bool) -> Vec<Name> {
    let deaf = match about {
        Topic::ChannelRefused(channel) | Topic::ChannelDown(channel) => Some(channel),
        _ => None,
    };
    let fallback = deaf.and_then(|channel| fallbacks.get(channel)).filter(|fallback| !notify.contains(fallback));
    let hears = |name: &&Name| over || deaf != Some(*name);
    let hearing: Vec<Name> = notify.iter().filter(hears).chain(fallback).cloned().collect();
    if hearing.is_empty() { notify.to_vec() } else { hearing }
}
