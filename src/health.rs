//! What is the matter with the watch itself, as the loops see it: a board they write on, read by whoever tells people.

mod polling;
mod reading;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::domain::Name;
pub use polling::Polling;
use polling::Pollings;
pub use reading::Reading;
use reading::Readings;

/// What can be the matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A source can't be read.
    SourceDown(Name),
    /// A source refuses the credentials.
    CredentialsRefused(Name),
    /// A source's list can be read only in part.
    SweepIncomplete(Name),
    /// Rows of a source's list can't be read.
    RowsUnreadable(Name),
    /// A channel refuses every message.
    ChannelRefused(Name),
    /// A channel takes nothing: it answers 5xx, not in time, or not at all.
    ChannelDown(Name),
    /// Alerts wait for a channel that the config no longer has.
    ChannelGone(Name),
    /// The store can't be written.
    StoreUnwritable,
    /// A reload was refused, and the config from before it is in use. Why: `file:line:column: what`.
    ReloadRefused,
}

impl Topic {
    /// All there is to tell of these sources and channels.
    #[must_use]
    pub fn all(sources: &[Name], channels: &[Name]) -> Vec<Self> {
        let of_source = |name: &Name| {
            let name = || name.clone();
            [Self::SourceDown(name()), Self::CredentialsRefused(name()), Self::SweepIncomplete(name()), Self::RowsUnreadable(name())]
        };
        let of_channel =
            |name: &Name| [Self::ChannelRefused(name.clone()), Self::ChannelDown(name.clone()), Self::ChannelGone(name.clone())];
        sources
            .iter()
            .flat_map(of_source)
            .chain(channels.iter().flat_map(of_channel))
            .chain([Self::StoreUnwritable, Self::ReloadRefused])
            .collect()
    }

    /// Its kind, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SourceDown(_) => "source_down",
            Self::CredentialsRefused(_) => "credentials_refused",
            Self::SweepIncomplete(_) => "sweep_incomplete",
            Self::RowsUnreadable(_) => "rows_unreadable",
            Self::ChannelRefused(_) => "channel_refused",
            Self::ChannelDown(_) => "channel_down",
            Self::ChannelGone(_) => "channel_gone",
            Self::StoreUnwritable => "store_unwritable",
            Self::ReloadRefused => "reload_refused",
        }
    }

    /// The words that name it in the store, the metrics and answers: stable, and unique.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::SourceDown(name) => format!("source {name} down"),
            Self::CredentialsRefused(name) => format!("source {name} credentials refused"),
            Self::SweepIncomplete(name) => format!("source {name} incomplete"),
            Self::RowsUnreadable(name) => format!("source {name} rows unreadable"),
            Self::ChannelRefused(name) => format!("channel {name} refused"),
            Self::ChannelDown(name) => format!("channel {name} down"),
            Self::ChannelGone(name) => format!("channel {name} gone"),
            Self::StoreUnwritable => "store unwritable".into(),
            Self::ReloadRefused => "reload refused".into(),
        }
    }

    /// The source or channel it is about.
    #[must_use]
    pub const fn about(&self) -> Option<&Name> {
        match self {
            Self::SourceDown(name)
            | Self::CredentialsRefused(name)
            | Self::SweepIncomplete(name)
            | Self::RowsUnreadable(name)
            | Self::ChannelRefused(name)
            | Self::ChannelDown(name)
            | Self::ChannelGone(name) => Some(name),
            Self::StoreUnwritable | Self::ReloadRefused => None,
        }
    }
}

/// One thing that is the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when, as far as is known.
    pub since: Timestamp,
    /// Why, in one line without secrets; the latest reason.
    pub why: String,
}

/// The board.
#[derive(Debug, Default)]
pub struct Health {
    /// What is known of each topic; nothing is, until a loop has looked.
    known: Mutex<BTreeMap<Topic, Option<Trouble>>>,
    changed: Notify,
    readings: Readings,
    pollings: Pollings,
}

impl Health {
    /// Something is the matter, since `since` or before; it keeps its first instant and takes the latest reason.
    pub fn trouble(&self, topic: Topic, why: &str, since: Timestamp) {
        let new = {
            let mut known = self.board();
            let entry = known.entry(topic).or_default();
            let new = entry.is_none();
            let trouble = entry.get_or_insert_with(|| Trouble { since, why: String::new() });
            // A clock that was set back must not put off for years that it is told.
            trouble.since = trouble.since.min(since);
            why.clone_into(&mut trouble.why);
            new
        };
        if new {
            self.changed.notify_one();
        }
    }

    /// It is over, or never was.
    pub fn fine(&self, topic: &Topic) {
        let known_before = self.board().insert(topic.clone(), None);
        if known_before != Some(None) {
            self.changed.notify_one();
        }
    }

    /// Forgets all but these: what the config no longer names is nobody's trouble.
    pub fn keep(&self, topics: &[Topic]) {
        self.board().retain(|topic, _| topics.contains(topic));
    }

    /// All that is the matter now.
    pub fn troubles(&self) -> BTreeMap<Topic, Trouble> {
        self.board().iter().filter_map(|(topic, trouble)| Some((topic.clone(), trouble.clone()?))).collect()
    }

    /// What is known of each topic: its trouble, or that there is none. What no loop has looked at yet is not among them: right
    /// after a start, that nothing is heard of a trouble does not mean that it is over.
    pub fn known(&self) -> BTreeMap<Topic, Option<Trouble>> {
        self.board().clone()
    }

    /// Waits until something has become the matter, or is known not to be.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A source's list was read completely. `began` is when the reading began, by the clock of the source's service, and `known` up to
    /// when the ends of all jobs are: earlier, where jobs deep in the list were not all looked up; none where that is not known yet.
    pub fn read_completely(&self, source: &Name, began: Timestamp, known: Option<Timestamp>, now: Timestamp) {
        self.readings.complete(source, began, known, now);
    }

    /// A source's list could not be read, or only in part.
    pub fn not_read_completely(&self, source: &Name, now: Timestamp) {
        self.readings.failed(source, now);
    }

    /// How far the list of each source is known that was read, or failed to be, since the start.
    pub fn readings(&self) -> BTreeMap<Name, Reading> {
        self.readings.all()
    }

    /// Waits until a list was read again, or failed to be. One waits at a time.
    pub async fn read_again(&self) {
        self.readings.changed().await;
    }

    /// A poll of a source ended: whether it read the list, and why not, or not wholly.
    pub fn polled(&self, source: &Name, read: bool, why: Option<&str>, now: Timestamp) {
        self.pollings.ended(source, read, why, now);
    }

    /// When a source is polled next.
    pub fn polls_next(&self, source: &Name, due: Timestamp) {
        self.pollings.next(source, due);
    }

    /// How the polls of each source went since the start.
    pub fn pollings(&self) -> BTreeMap<Name, Polling> {
        self.pollings.all()
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<Topic, Option<Trouble>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_keeps_its_first_instant_unless_the_clock_is_set_back() {
        let (health, topic) = (Health::default(), Topic::StoreUnwritable);
        for (now, since) in [(1_000, 1_000), (1_500, 1_000), (-9_000, -9_000), (-8_000, -9_000)] {
            health.trouble(topic.clone(), "full", Timestamp::from_second(now).unwrap());
            assert_eq!(health.troubles()[&topic].since.as_second(), since);
        }
    }
}
