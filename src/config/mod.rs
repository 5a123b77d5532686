//! The config: files read raw, then made valid, every fault told at once.

mod contents;
mod cron;
mod digests;
mod entries;
mod environment;
mod keys;
mod load;
mod names;
mod quote;
mod report;
mod rule_files;
mod rules_only;
mod secrets;
mod service;
mod trial;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use croner::Cron;
use jiff::tz::TimeZone;

use crate::{
    channel,
    domain::{Name, Secret},
    rules::RuleSet,
    source,
    template::Templates,
};

pub use contents::{Files, Glance};
pub use digests::CHANNEL_DOWN_AFTER;
pub use environment::ProcessEnvironment;
pub use keys::{CHANNEL as CHANNEL_KEYS, FILE as FILE_KEYS, SOURCE as SOURCE_KEYS};
pub use load::{PLACEHOLDER, load};
pub use report::{Listed, listing, report, told};
pub use rules_only::{RulesOnly, load_beside, load_listed, load_rules};

/// The whole valid config.
#[derive(Debug)]
pub struct Config {
    /// The folder of `jobrelay.yaml`; relative paths start here.
    pub folder: PathBuf,
    /// The sources, in the file's order.
    pub sources: Vec<SourceConfig>,
    /// The channels, in the file's order.
    pub channels: Vec<ChannelConfig>,
    /// Every enabled rule.
    pub rules: Arc<RuleSet>,
    /// How many rules are resting (`enabled: false`).
    pub resting: usize,
    /// The built-in sets with the user's files in their place.
    pub templates: Arc<Templates>,
    /// The digests, in the file's order.
    pub digests: Vec<DigestConfig>,
    /// The `notices` part; none where the file has none.
    pub notices: Option<NoticesConfig>,
    /// The `server` part.
    pub server: ServerConfig,
    /// The `storage` part.
    pub storage: StorageConfig,
    /// Where one of `init`'s placeholders still stands, as `file:line:column`: such a config is valid, but can't work.
    pub placeholders: Vec<String>,
}

/// One source.
#[derive(Debug)]
pub struct SourceConfig {
    /// Its name.
    pub name: Name,
    /// The word after `kind:`.
    pub kind: &'static str,
    /// Its kind's own settings.
    pub settings: Box<dyn source::Settings>,
    /// How long from the start of one poll to the start of the next: 5 s to 1 h, 60 s where nothing is said.
    pub poll_every: Duration,
    /// How far the first run looks back: zero for `now`.
    pub start: Duration,
}

/// One channel.
#[derive(Debug)]
pub struct ChannelConfig {
    /// Its name.
    pub name: Name,
    /// The word after `kind:`.
    pub kind: &'static str,
    /// Its kind's own settings.
    pub settings: Box<dyn channel::Settings>,
    /// Template and timeout.
    pub common: channel::Common,
    /// The configured rate, or the kind's default.
    pub rate: channel::Rate,
    /// How long a message is tried before it is dead.
    pub give_up_after: Duration,
    /// The channel that gets what this one could not deliver.
    pub fallback: Option<Name>,
}

/// One digest: a summary sent at set times.
#[derive(Debug)]
pub struct DigestConfig {
    /// Its name.
    pub name: Name,
    /// When it is due, read in `timezone`.
    pub schedule: Cron,
    /// UTC where nothing is said.
    pub timezone: TimeZone,
    /// The channels it goes to.
    pub notify: Vec<Name>,
    /// What it is about, as a rule set of one rule; none for everything.
    pub when: Option<Arc<RuleSet>>,
    /// Whether a period in which nothing happened is passed over.
    pub skip_empty: bool,
}

/// The `notices` part: who is told about the watch itself.
#[derive(Debug)]
pub struct NoticesConfig {
    /// The channels they go to.
    pub notify: Vec<Name>,
    /// How long a source may be unreadable before someone is told.
    pub source_down_after: Duration,
    /// How long a channel may take nothing before someone is told.
    pub channel_down_after: Duration,
}

/// The `server` part.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Required on any address that is not loopback.
    pub token: Option<Secret>,
    /// Where people reach the console, for links in messages; without a slash at its end.
    pub public_url: Option<String>,
}

/// The `storage` part.
#[derive(Debug)]
pub struct StorageConfig {
    /// The `SQLite` file.
    pub path: PathBuf,
    /// How long ended jobs are kept.
    pub keep: Duration,
}
