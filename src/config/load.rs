//! From files to a valid config, or to every fault in them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    ChannelConfig, Config, DigestConfig, NoticesConfig, SourceConfig, digests,
    entries::{self, Channel},
    rule_files::{self, Assumed},
    secrets, service, trial,
};
use crate::{
    document::{Environment, Fault, Faults, Fields, Level, Node, Place, Value, expand, near, open, parse},
    domain::Name,
    rules::{self, Known, RuleSet},
    template::{BuiltIn, Templates},
};

/// The mark of the placeholders that `init` writes, in any case: a value that holds it was never set.
pub const PLACEHOLDER: &str = "replace-me";

/// Reads `jobrelay.yaml` at `path` with the rules and templates beside it. There is a config exactly when no fault is an
/// error; warnings come with one.
#[must_use]
pub fn load(path: &Path, environment: &dyn Environment) -> (Option<Config>, Faults) {
    let mut faults = Faults::default();
    let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let config = if path.exists() {
        read(path, folder, environment, &mut faults)
    } else {
        let fault = Fault::error(&Place::file(path), "there is no config file here");
        faults.push(fault.hint("`jobrelay init` writes one to start from; `--config FILE` names another; `jobrelay demo` needs none"));
        None
    };
    (config.filter(|_| !faults.any_error()), faults)
}

fn read(path: &Path, folder: PathBuf, environment: &dyn Environment, faults: &mut Faults) -> Option<Config> {
    let tree = open(path, faults).and_then(|source| parse(&source, faults));
    let before = faults.count(Level::Error);
    let templates = Arc::new(Templates::load(&folder.join("templates"), faults));
    let templates_are_sound = faults.count(Level::Error) == before;
    let files = rule_files::read(&folder.join("rules"), environment, &folder, faults);
    let Some(mut tree) = tree else {
        // No name is known then, and every reference of a rule would seem wrong.
        let names = Assumed::of(&files);
        let _ =
            rules::read(&files, &Known { channels: &names.channels, sources: &names.sources, template_sets: &templates.sets() }, faults);
        return None;
    };
    secrets::cover(&tree, faults);
    expand(&mut tree, environment, &folder, faults);
    let places = placeholders(&tree, faults);
    unfilled(&tree, faults);
    let mut fields = Fields::open(&tree, "a mapping with `sources` and `channels`", faults)?;
    let (source_part, channel_part) = (fields.take("sources"), fields.take("channels"));
    let (digest_part, notice_part) = (fields.take("digests"), fields.take("notices"));
    let (server_part, storage_part) = (fields.take("server"), fields.take("storage"));
    let elsewhere = |key: &str| match key {
        "rules" => Some("rules stand in files of their own: rules/*.yaml beside this one".to_owned()),
        "templates" => Some("templates stand in folders of their own: templates/ beside this file".to_owned()),
        _ => None,
    };
    fields.finish_with(&elsewhere, faults);

    let source_entries = part(&tree, source_part, "source", faults);
    let channel_entries = part(&tree, channel_part, "channel", faults);
    let source_names: Vec<Name> = source_entries.iter().map(|(_, name, _)| name.clone()).collect();
    let channel_names: Vec<Name> = channel_entries.iter().map(|(_, name, _)| name.clone()).collect();
    let sets = templates.sets();
    let known = Known { channels: &channel_names, sources: &source_names, template_sets: &sets };

    let sources: Vec<SourceConfig> = source_entries.iter().filter_map(|(_, name, node)| entries::source(name, node, faults)).collect();
    let channels: Vec<Channel<'_>> =
        channel_entries.iter().filter_map(|(at, name, node)| entries::channel(at, name, node, &known, faults)).collect();
    circles(&channels, faults);
    let rules = rules::read(&files, &known, faults);
    let digests = read_digests(digest_part, &known, faults);
    let notices = notice_part.map(|node| digests::notices(node, &channel_names, faults));
    let server = service::server(server_part, faults);
    let storage = service::storage(storage_part, &folder, faults);
    secrets::warn_if_open(&tree.place.source, faults);
    let notices = notices.flatten();
    // A template that its own reader has refused would be told a second time.
    if templates_are_sound {
        let mut of_notices: Vec<Name> = notices.iter().flat_map(|notices| notices.notify.clone()).collect();
        of_notices.extend(rules.rules().iter().filter(|rule| rule.missing().is_some()).flat_map(|rule| rule.notify.clone()));
        let of_digests: Vec<Name> = digests.iter().flat_map(|digest| digest.notify.clone()).collect();
        let told = trial::Told { notices: &of_notices, digests: &of_digests };
        let public_url = server.as_ref().and_then(|server| server.public_url.as_deref());
        trial::run(&channels, &rules, told, &templates, &folder, public_url, faults);
    }
    if faults.any_error() {
        return None;
    }
    unused_sets(&sets, &channels, &rules, &folder, faults);
    let (server, storage) = (server?, storage?);
    if rules.rules().is_empty() {
        let fault = Fault::warning(&Place::file(&folder.join("rules")), "there is no rule: nothing will be relayed");
        faults.push(fault.hint("rules stand in *.yaml files in this folder, beside the config; `jobrelay init` writes some to start from"));
    } else {
        idle(&channels, &rules, &digests, notices.as_ref(), faults);
    }
    Some(Config {
        folder,
        sources,
        channels: channels.into_iter().map(|channel| channel.config).collect(),
        resting: resting(&files),
        rules: Arc::new(rules),
        templates,
        digests,
        notices,
        server,
        storage,
        placeholders: places,
    })
}

/// The entries of `sources` or `channels`; there must be one at least.
fn part<'a>(tree: &'a Node, part: Option<&'a Node>, what: &'static str, faults: &mut Faults) -> Vec<(&'a Node, Name, &'a Node)> {
    let entries = match part {
        Some(node) if !matches!(node.value, Value::Null) => entries::named(node, what, faults),
        _ => Vec::new(),
    };
    let empty = part.is_none_or(|node| matches!(&node.value, Value::Null) || matches!(&node.value, Value::Map(list) if list.is_empty()));
    if empty {
        let hint = match what {
            "source" => {
                "add one below `sources:`, as in `contoso: { kind: aos_scan_jobs, region: us, … }`; `jobrelay init` writes an example"
            }
            _ => "add one below `channels:`, as in `oncall: { kind: slack, url: … }`; `jobrelay init` writes an example of each kind",
        };
        faults.push(Fault::error(&part.unwrap_or(tree).place, format!("there is no {what}")).hint(hint));
    }
    entries
}

/// How many rules are resting.
fn resting(files: &[Node]) -> usize {
    let rests = |rule: &&Node| rule.peek("enabled").is_some_and(|node| matches!(node.value, Value::Bool(false)));
    let rules = |file: &Node| match file.peek("rules").map(|node| &node.value) {
        Some(Value::List(rules)) => rules.iter().filter(rests).count(),
        _ => 0,
    };
    files.iter().map(rules).sum()
}

/// Warns of every placeholder that still stands, and returns their places.
fn placeholders(tree: &Node, faults: &mut Faults) -> Vec<String> {
    fn walk<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| walk(value, found)),
            Value::Text(text) if text.to_lowercase().contains(PLACEHOLDER) => found.push(node),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(tree, &mut found);
    for node in &found {
        faults.push(
            Fault::warning(&node.place, "a placeholder stands here: `run` will refuse to start")
                .hint("set the variable, or write the value here"),
        );
    }
    let place = |node: &&Node| format!("{}:{}:{}", node.place.source.path.display(), node.place.line, node.place.column);
    found.iter().map(place).collect()
}

/// Warns of every value that looks like a variable in the form of another tool, and is taken as it stands.
fn unfilled(node: &Node, faults: &mut Faults) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| unfilled(item, faults)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| unfilled(value, faults)),
        Value::Text(text) if !node.filled && is_foreign_variable(text) => {
            let fault = Fault::warning(&node.place, "this looks like a variable, and is taken as it stands");
            // Not repeated: it may be a password after all.
            faults.push(fault.hint("one that is to be filled in stands in braces, as ${NAME}"));
        }
        _ => {}
    }
}

/// `$NAME`, `$(NAME)`, `$env:NAME`, `%NAME%`.
fn is_foreign_variable(text: &str) -> bool {
    let is_name = |name: &str| {
        let first = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
        first && name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let within = |front: &str, back: &str| text.strip_prefix(front).and_then(|rest| rest.strip_suffix(back)).is_some_and(is_name);
    within("$", "") || within("$(", ")") || within("$env:", "") || within("%", "%")
}

/// Tells fallbacks that lead in a circle.
fn circles(channels: &[Channel<'_>], faults: &mut Faults) {
    let next = |name: &Name| channels.iter().find(|channel| channel.config.name == *name).and_then(|c| c.config.fallback.clone());
    let mut told: Vec<Name> = Vec::new();
    for channel in channels {
        let (start, Some(at)) = (&channel.config.name, channel.fallback) else { continue };
        let mut way = vec![start.clone()];
        while let Some(name) = way.last().and_then(next) {
            if name == *start {
                if !told.contains(start) {
                    let circle: Vec<&str> = way.iter().chain([start]).map(Name::as_str).collect();
                    faults.error(at, format!("fallbacks lead in a circle: {}", circle.join(", then ")));
                    told.append(&mut way);
                }
                break;
            }
            if way.contains(&name) {
                // A circle further on, told at one of its own.
                break;
            }
            way.push(name);
        }
    }
}

fn read_digests(part: Option<&Node>, known: &Known<'_>, faults: &mut Faults) -> Vec<DigestConfig> {
    let Some(node) = part.filter(|node| !matches!(node.value, Value::Null)) else { return Vec::new() };
    let named = entries::named(node, "digest", faults);
    named.iter().filter_map(|(_, name, node)| digests::digest(name, node, known, faults)).collect()
}

/// Warns of every set of the user's own that no channel and no rule asks for.
fn unused_sets(sets: &[String], channels: &[Channel<'_>], rules: &RuleSet, folder: &Path, faults: &mut Faults) {
    let of_channels = channels.iter().map(|channel| channel.config.common.template.as_str());
    let of_rules = rules.rules().iter().chain(rules.resting()).filter_map(|rule| rule.facts.template.as_deref());
    let built_in = BuiltIn::ALL.iter().map(|set| set.name());
    let used: Vec<&str> = built_in.clone().chain(of_channels).chain(of_rules).collect();
    for set in sets.iter().filter(|set| !used.contains(&set.as_str())) {
        let place = Place::file(&folder.join("templates").join(set));
        let hint = near(set, built_in.clone()).map_or_else(
            || format!("write `template: {set}` at a channel or a rule, or remove the folder"),
            |near| format!("did you mean `{near}`? a folder of that name takes the place of what is built in"),
        );
        faults.push(Fault::warning(&place, format!("no channel and no rule uses the template set `{set}`")).hint(hint));
    }
}

/// Warns of every channel that nothing sends to.
fn idle(channels: &[Channel<'_>], rules: &RuleSet, digests: &[DigestConfig], notices: Option<&NoticesConfig>, faults: &mut Faults) {
    let falls = |channel: &Channel<'_>| -> Option<Name> { channel.config.fallback.clone() };
    let mut used: Vec<Name> = rules.rules().iter().flat_map(|rule| rule.notify.clone()).collect();
    used.extend(digests.iter().flat_map(|digest| digest.notify.clone()));
    used.extend(notices.iter().flat_map(|notices| notices.notify.clone()));
    used.extend(channels.iter().filter_map(falls));
    for Channel { at, config: ChannelConfig { name, .. }, .. } in channels {
        if !used.contains(name) {
            faults.push(
                Fault::warning(&at.place, format!("nothing is sent to the channel `{name}`"))
                    .hint("name it in a rule's `notify`, or remove it"),
            );
        }
    }
}
