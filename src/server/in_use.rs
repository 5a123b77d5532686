//! What the answers need of the config in use; another takes its place with each reload.

use std::{sync::Arc, time::Duration};

use url::Url;

use crate::{
    channel::{Channel, Rate},
    domain::{Name, format_exactly},
    rules::RuleSet,
    wake::Wake,
};

/// What is in use. The default is nothing at all: what the answers know before the loops run.
#[derive(Default)]
pub struct InUse {
    /// The sources.
    pub sources: Vec<SourceInUse>,
    /// The channels.
    pub channels: Vec<ChannelInUse>,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Where people reach the server (`server.public_url`).
    pub public_url: Option<Url>,
    /// Who rings a channel's loop.
    pub wake: Arc<Wake>,
}

/// One source.
pub struct SourceInUse {
    /// Its name.
    pub name: Name,
    /// The word after `kind:`.
    pub kind: &'static str,
    /// From the start of one poll to the start of the next.
    pub poll_every: Duration,
}

/// One channel.
pub struct ChannelInUse {
    /// Its name.
    pub name: Name,
    /// The word after `kind:`.
    pub kind: &'static str,
    /// Where it sends, as far as may be shown.
    pub leads_to: String,
    /// How fast it may be sent to.
    pub rate: Rate,
    /// The channel that gets what this one could not deliver.
    pub fallback: Option<Name>,
    /// Its live end.
    pub live: Arc<dyn Channel>,
}

impl InUse {
    /// The channel of this name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&ChannelInUse> {
        self.channels.iter().find(|channel| channel.name.as_str() == name)
    }

    /// Every source's name.
    pub fn source_names(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| source.name.as_str())
    }

    /// Every channel's name.
    pub fn channel_names(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().map(|channel| channel.name.as_str())
    }

    /// The name of every enabled rule.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.rules.rules().iter().map(|rule| rule.name.as_str())
    }
}

impl ChannelInUse {
    /// Its rate as the config writes it.
    #[must_use]
    pub fn rate_in_words(&self) -> String {
        match self.rate {
            Rate::Unlimited => "unlimited".into(),
            Rate::Limited { messages, per } => format!("{messages} per {}", format_exactly(per)),
        }
    }

    /// From one message to the next.
    #[must_use]
    pub fn interval(&self) -> Duration {
        match self.rate {
            Rate::Unlimited => Duration::ZERO,
            Rate::Limited { messages, per } => per / messages.max(1),
        }
    }
}
