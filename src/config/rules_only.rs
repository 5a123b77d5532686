//! The rules without the rest: what they refer to is known by name, and no secret need be set. So a pipeline can test them, and whoever
//! looks into the store beside the service needs nothing of its environment.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{StorageConfig, entries, rule_files, secrets, service};
use crate::{
    document::{Environment, Fault, Faults, Node, Place, Value, expand, open, parse},
    domain::Name,
    rules::{self, Known, RuleSet},
    template::Templates,
};

/// The rules of a config, and the names that they may refer to.
#[derive(Debug)]
pub struct RulesOnly {
    /// The folder of `jobrelay.yaml`; relative paths start here.
    pub folder: PathBuf,
    /// Every rule, enabled or resting.
    pub rules: Arc<RuleSet>,
    /// The channels' names.
    pub channels: Vec<Name>,
    /// The sources' names.
    pub sources: Vec<Name>,
}

/// Reads the rules beside `path`. Of the config itself the names of sources and channels are read alone: nothing of it is filled in,
/// and what else is wrong with it is for [`super::load`] to tell. There are rules exactly when no fault is an error.
#[must_use]
pub fn load_rules(path: &Path, environment: &dyn Environment) -> (Option<RulesOnly>, Faults) {
    let (mut faults, mut in_rules) = (Faults::default(), Faults::default());
    let read = read(path, environment, &mut faults, &mut in_rules).map(|(rules, _)| rules);
    faults.append(in_rules);
    (read.filter(|_| !faults.any_error()), faults)
}

/// As [`load_rules`], and where the store is: of the config, `storage` is filled in and read too.
#[must_use]
pub fn load_beside(path: &Path, environment: &dyn Environment) -> (Option<(RulesOnly, StorageConfig)>, Faults) {
    let (read, mut faults, in_rules) = beside(path, environment);
    faults.append(in_rules);
    (read.filter(|_| !faults.any_error()), faults)
}

/// As [`load_beside`], for who lists what the store holds: rules that can't be read, as in the middle of an edit, are left out,
/// and their faults are for [`super::load`] to tell.
#[must_use]
pub fn load_listed(path: &Path, environment: &dyn Environment) -> (Option<(RulesOnly, StorageConfig)>, Faults) {
    let (read, faults, _) = beside(path, environment);
    (read.filter(|_| !faults.any_error()), faults)
}

/// The faults of the config, and those of the rules.
fn beside(path: &Path, environment: &dyn Environment) -> (Option<(RulesOnly, StorageConfig)>, Faults, Faults) {
    let (mut faults, mut in_rules) = (Faults::default(), Faults::default());
    let read = read(path, environment, &mut faults, &mut in_rules).and_then(|(rules, tree)| {
        let mut part = tree.peek("storage").cloned();
        if let Some(part) = &mut part {
            expand(part, environment, &rules.folder, &mut faults);
        }
        let storage = service::storage(part.as_ref(), &rules.folder, &mut faults)?;
        Some((rules, storage))
    });
    (read, faults, in_rules)
}

fn read(path: &Path, environment: &dyn Environment, faults: &mut Faults, in_rules: &mut Faults) -> Option<(RulesOnly, Node)> {
    let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    if !path.exists() {
        let fault = Fault::error(&Place::file(path), "there is no config file here");
        faults.push(fault.hint("`jobrelay init` writes one to start from; `--config FILE` names another"));
        return None;
    }
    let tree = open(path, faults).and_then(|source| parse(&source, faults));
    let files = rule_files::read(&folder.join("rules"), environment, &folder, in_rules);
    let tree = tree?;
    secrets::cover(&tree, faults);
    let (sources, channels) = (names(&tree, "sources", "source", faults), names(&tree, "channels", "channel", faults));
    // A template that can't be used is no matter here, only what there is.
    let sets = Templates::load(&folder.join("templates"), &mut Faults::default()).sets();
    let known = Known { channels: &channels, sources: &sources, template_sets: &sets };
    let rules = Arc::new(rules::read(&files, &known, in_rules));
    Some((RulesOnly { folder, rules, channels, sources }, tree))
}

fn names(tree: &Node, key: &str, what: &str, faults: &mut Faults) -> Vec<Name> {
    let part = tree.peek(key).filter(|part| !matches!(part.value, Value::Null));
    part.map(|part| entries::named(part, what, faults)).unwrap_or_default().into_iter().map(|(_, name, _)| name).collect()
}
