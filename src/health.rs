//! What is the matter with the watch itself, as the loops see it: a board they write on, read by whoever tells people.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::domain::Name;

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
    /// The store can't be written.
    StoreUnwritable,
}

impl Topic {
    /// The words that name it in the store, the metrics and answers: stable, and unique.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::SourceDown(name) => format!("source {name} down"),
            Self::CredentialsRefused(name) => format!("source {name} credentials refused"),
            Self::SweepIncomplete(name) => format!("source {name} incomplete"),
            Self::RowsUnreadable(name) => format!("source {name} rows unreadable"),
            Self::ChannelRefused(name) => format!("channel {name} refused"),
            Self::StoreUnwritable => "store unwritable".into(),
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
            | Self::ChannelRefused(name) => Some(name),
            Self::StoreUnwritable => None,
        }
    }
}

/// One thing that is the matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when, as far as this run of the program knows.
    pub since: Timestamp,
    /// Why, in one line without secrets; the latest reason.
    pub why: String,
}

/// The board.
#[derive(Debug, Default)]
pub struct Health {
    troubles: Mutex<BTreeMap<Topic, Trouble>>,
    changed: Notify,
}

impl Health {
    /// Something is the matter; it keeps its first instant and takes the latest reason.
    pub fn trouble(&self, topic: Topic, why: &str, now: Timestamp) {
        let new = {
            let mut troubles = self.board();
            let new = !troubles.contains_key(&topic);
            let trouble = troubles.entry(topic).or_insert_with(|| Trouble { since: now, why: String::new() });
            why.clone_into(&mut trouble.why);
            new
        };
        if new {
            self.changed.notify_one();
        }
    }

    /// It is over, or never was.
    pub fn fine(&self, topic: &Topic) {
        if self.board().remove(topic).is_some() {
            self.changed.notify_one();
        }
    }

    /// All that is the matter now.
    pub fn troubles(&self) -> BTreeMap<Topic, Trouble> {
        self.board().clone()
    }

    /// Waits until something has become, or ceased to be, the matter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<Topic, Trouble>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
