//! The config: files read raw, then made valid, every fault told at once.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    channel,
    document::{Environment, Faults},
    domain::{Name, Secret},
    rules::RuleSet,
    source,
    template::Templates,
};

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
    /// The built-in sets with the user's files in their place.
    pub templates: Arc<Templates>,
    /// The `server` part.
    pub server: ServerConfig,
    /// The `storage` part.
    pub storage: StorageConfig,
}

/// One source.
#[derive(Debug)]
pub struct SourceConfig {
    /// Its name.
    pub name: Name,
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

/// The `server` part.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Required on any address that is not loopback.
    pub token: Option<Secret>,
    /// Where people reach the console, for links in messages.
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

/// Reads `jobrelay.yaml` at `path` with the rules and templates beside it. There is a config exactly when no fault is an
/// error; warnings come with one.
#[must_use]
pub fn load(_path: &Path, _environment: &dyn Environment) -> (Option<Config>, Faults) {
    (None, Faults::default())
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

/// Every fault as a person reads it: `file:line:column`, the line itself, what is wrong, and what to do.
#[must_use]
pub fn report(_faults: &Faults, _colour: bool) -> String {
    String::new()
}
