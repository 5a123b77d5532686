//! How one loop tells another that there is work, without knowing it.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Notify;

use crate::domain::Name;

/// One bell for each channel.
#[derive(Debug, Default)]
pub struct Wake {
    bells: HashMap<Name, Arc<Notify>>,
}

impl Wake {
    /// A bell for each of these channels.
    pub fn for_channels(names: impl IntoIterator<Item = Name>) -> Self {
        Self { bells: names.into_iter().map(|name| (name, Arc::default())).collect() }
    }

    /// Tells a channel's worker that something waits. A ring while it is busy is not lost.
    pub fn channel(&self, name: &Name) {
        if let Some(bell) = self.bells.get(name) {
            bell.notify_one();
        }
    }

    /// The bell of a channel; one that nobody rings if there is no such channel.
    #[must_use]
    pub fn bell(&self, name: &Name) -> Arc<Notify> {
        self.bells.get(name).cloned().unwrap_or_default()
    }
}
