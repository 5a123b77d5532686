//! Rule files, from nodes to rules: every fault of every rule is told.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use crate::{
    document::{Fault, Faults, Fields, Node, Place, Value, boolean, duration, text, text_list},
    domain::{Name, RuleFacts, Severity, parse_duration},
};

use super::{
    Group, GroupBy, Known, Limit, Missing, Rule, RuleSet,
    condition::{CONDITIONS, unknown},
    rule::Trigger,
    sense::{self, Of},
    version,
    when::{When, key_of},
};

/// The longest name of a rule, in characters: names stand in messages, lists and metrics.
const NAME_CHARS: usize = 200;
/// How long a group may wait for others where nothing is said.
const GROUP_WAIT: Duration = Duration::from_secs(60);
/// The longest a group may wait: an alert older than a day is news of yesterday.
const LONGEST_GROUP_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Reads rule files, each already parsed, and compiles every rule in them. Every fault of every file is told; a rule with a
/// fault is left out of the set.
#[must_use]
pub fn read(files: &[Node], known: &Known<'_>, faults: &mut Faults) -> RuleSet {
    let (mut rules, mut resting, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let mut twins = BTreeMap::new();
    for file in files {
        if matches!(file.value, Value::List(_)) {
            let fault = Fault::error(&file.place, "expected a mapping with the key `rules`, found a list");
            faults.push(fault.hint("write `rules:` in a line of its own above the list"));
            continue;
        }
        let Some(mut fields) = Fields::open(file, "a mapping with the key `rules`", faults) else { continue };
        if let Some(list) = fields.require("rules", faults) {
            match &list.value {
                Value::List(items) => {
                    for item in items {
                        // A rule's faults are counted apart, so that one broken rule leaves the others in the set.
                        let mut own = Faults::default();
                        let rule = rule(item, known, &mut names, &mut own);
                        let broken = own.any_error();
                        own.sorted().into_iter().cloned().for_each(|fault| faults.push(fault));
                        match rule.filter(|_| !broken) {
                            Some((rule, true)) => {
                                tell_twin(item, &rule, &mut twins, faults);
                                rules.push(Arc::new(rule));
                                told.push(version::plain(item));
                            }
                            Some((rule, false)) => resting.push(Arc::new(rule)),
                            None => {}
                        }
                    }
                }
                // A file whose rules are all commented out.
                Value::Null if !list.filled => {}
                _ => {
                    let fault = Fault::error(&list.place, format!("expected a list of rules, found {}", list.kind()));
                    faults.push(fault.hint("each rule begins with a `-`, as in `- name: scan-failed`"));
                }
            }
        }
        fields.finish_with(&elsewhere, faults);
    }
    RuleSet::new(rules, version::of(&told)).with_resting(resting)
}

/// Reads the conditions of a digest: a set of one rule, which judges jobs that ended and notifies no one.
#[must_use]
pub fn read_digest(name: &Name, node: &Node, known: &Known<'_>, faults: &mut Faults) -> RuleSet {
    // Counted apart: what is wrong elsewhere makes these no less certain.
    let mut own = Faults::default();
    let when = When::read(node, known, &mut own);
    if let Some(when) = when.as_ref().filter(|_| !own.any_error()) {
        sense::check(&node.place, node, when, Of::Digest, &mut own);
    }
    faults.append(own);
    let facts = RuleFacts {
        name: name.to_string(),
        description: String::new(),
        severity: Severity::default(),
        labels: BTreeMap::new(),
        template: None,
    };
    let rule = |when| Rule {
        name: name.clone(),
        facts: Arc::new(facts),
        notify: Vec::new(),
        limit: None,
        group: None,
        trigger: Trigger::When(when),
    };
    RuleSet::new(when.map(|when| Arc::new(rule(when))).into_iter().collect(), version::of(&[version::plain(node)]))
}

/// Where a key of a rule file stands that is none.
fn elsewhere(key: &str) -> Option<String> {
    match key {
        "tests" => Some("rule tests stand in files of their own: rules/tests/*.yaml".to_owned()),
        "sources" | "channels" | "digests" | "notices" | "server" | "storage" => Some(format!("`{key}` stands in jobrelay.yaml")),
        _ => None,
    }
}

/// Warns of a rule that asks for the same and notifies the same channels as one before it.
fn tell_twin(node: &Node, rule: &Rule, known: &mut BTreeMap<(String, Vec<Name>), Name>, faults: &mut Faults) {
    let Some(asked) = node.peek("when").or_else(|| node.peek("missing")) else { return };
    let mut channels = rule.notify.clone();
    channels.sort_unstable();
    match known.entry((version::plain(asked), channels)) {
        Entry::Occupied(first) => {
            let place = node.peek("name").map_or(&node.place, |name| &name.place);
            let message = format!("this rule asks for the same, and notifies the same, as `{}`: all is told twice", first.get());
            faults.push(Fault::warning(place, message).hint("remove one of the two"));
        }
        Entry::Vacant(new) => {
            new.insert(rule.name.clone());
        }
    }
}

/// One rule, and whether it is enabled.
fn rule(node: &Node, known: &Known<'_>, names: &mut BTreeMap<String, Place>, faults: &mut Faults) -> Option<(Rule, bool)> {
    let mut fields = Fields::open(node, "a rule: a mapping with `name`, `when` and `notify`", faults)?;
    let name = fields.require("name", faults).and_then(|at| name(at, names, faults));
    let description = fields.take("description").and_then(|at| text(at, faults)).unwrap_or_default();
    let (when, missing) = (fields.take("when"), fields.take("missing"));
    let severity = fields.take("severity").and_then(|at| severity(at, faults)).unwrap_or_default();
    let notify = fields.require("notify", faults).map(|at| notify(at, known, faults)).unwrap_or_default();
    let limit = fields.take("limit").and_then(|at| limit(at, faults));
    let group = fields.take("group").and_then(|at| group(at, faults));
    let labels = fields.take("labels").map(|at| labels(at, faults)).unwrap_or_default();
    let template = fields.take("template").and_then(|at| template(at, known, faults));
    let enabled = fields.take("enabled").and_then(|at| boolean(at, faults)).unwrap_or(true);
    let is_condition = |key: &str| CONDITIONS.iter().any(|condition| condition.key == key) || ["any", "all", "not"].contains(&key);
    fields
        .finish_with(&|key| is_condition(key).then(|| format!("`{key}` is a condition: it stands below `when`, indented deeper")), faults);
    let trigger = match (when, missing) {
        (Some(at), None) => {
            let when = When::read(at, known, faults);
            // Of a tree with a part left out for a fault, nothing is certain.
            if let Some(when) = when.as_ref().filter(|_| !faults.any_error()) {
                sense::check(&key_of(node, "when").place, at, when, Of::Rule, faults);
            }
            when.map(Trigger::When)
        }
        (None, Some(at)) => {
            idle_beside_missing(node, (limit.is_some(), group.is_some(), template.is_some()), faults);
            Missing::read(at, known, faults).map(Trigger::Missing)
        }
        (Some(when), Some(missing)) => {
            // What else is wrong with either is told all the same.
            When::read(when, known, faults);
            Missing::read(missing, known, faults);
            faults.error(key_of(node, "missing"), "`missing` stands in place of `when`: a rule has one of them");
            None
        }
        (None, None) => {
            let fault = Fault::error(&node.place, "the key `when` is missing");
            faults.push(fault.hint("write `when: {}` to match every job that ends"));
            None
        }
    };
    let name = Name::from(name?);
    let facts = RuleFacts { name: name.to_string(), description, severity, labels, template };
    if notify.is_empty() {
        return None;
    }
    Some((Rule { name, facts: Arc::new(facts), notify, limit, group, trigger: trigger? }, enabled))
}

/// Warns of what a rule with `missing` has no use for.
fn idle_beside_missing(node: &Node, rule: (bool, bool, bool), faults: &mut Faults) {
    let (limit, group, template) = rule;
    let idle = [
        ("limit", limit, "each gap is told once, and at once"),
        ("group", group, "what is missed together is one notice"),
        ("template", template, "a notice is in the set `notice`"),
    ];
    for (key, _, why) in idle.into_iter().filter(|(_, written, _)| *written) {
        let fault = Fault::warning(&key_of(node, key).place, format!("`{key}` does nothing on a rule with `missing`: {why}"));
        faults.push(fault.hint("remove it"));
    }
}

fn name(node: &Node, names: &mut BTreeMap<String, Place>, faults: &mut Faults) -> Option<String> {
    let name = text(node, faults)?;
    if name.trim().is_empty() {
        faults.error(node, "a rule's name is empty");
        return None;
    }
    if name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
        faults.error(node, format!("a rule's name is one line of at most {NAME_CHARS} characters"));
        return None;
    }
    if let Some(first) = names.get(&name) {
        let what = if node.filled { "this rule's name".to_owned() } else { format!("the rule name `{name}`") };
        let first = format!("it first stands at {}:{}:{}", first.source.path.display(), first.line, first.column);
        faults.push(Fault::error(&node.place, format!("{what} is taken")).hint(first));
        return None;
    }
    names.insert(name.clone(), node.place.clone());
    Some(name)
}

fn severity(node: &Node, faults: &mut Faults) -> Option<Severity> {
    let written = text(node, faults)?;
    let severity = Severity::parse(&written);
    if severity.is_none() {
        let names: Vec<&str> = Severity::ALL.iter().map(|s| s.name()).collect();
        unknown(node, "severity", &written, &names, faults);
    }
    severity
}

fn notify(node: &Node, known: &Known<'_>, faults: &mut Faults) -> Vec<Name> {
    let mut channels: Vec<Name> = Vec::new();
    for (item, written) in text_list(node, faults) {
        match known.channels.iter().find(|channel| channel.as_str() == written) {
            Some(channel) if channels.contains(channel) => {
                faults.push(Fault::warning(&item.place, format!("the channel `{channel}` stands here twice: it gets each message once")));
            }
            Some(channel) => channels.push(channel.clone()),
            None => {
                let names: Vec<&str> = known.channels.iter().map(Name::as_str).collect();
                unknown(item, "channel", &written, &names, faults);
            }
        }
    }
    channels
}

fn limit(node: &Node, faults: &mut Faults) -> Option<Limit> {
    let written = text(node, faults)?;
    let limit = parse_limit(&written);
    if limit.is_none() {
        let what = if node.filled { "the value filled in".to_owned() } else { format!("`{written}`") };
        let fault = Fault::error(&node.place, format!("{what} is no limit"));
        faults.push(fault.hint("write a number of messages from 1 and a duration, as in `5 per 1h`"));
    }
    limit
}

/// `5 per 1h`, or `5 per hour`.
fn parse_limit(written: &str) -> Option<Limit> {
    let (messages, per) = written.split_once("per")?;
    let messages: u32 = messages.trim().parse().ok().filter(|n| *n > 0)?;
    let per = match per.trim() {
        "second" => Duration::from_secs(1),
        "minute" => Duration::from_secs(60),
        "hour" => Duration::from_secs(3600),
        "day" => Duration::from_secs(24 * 3600),
        other => parse_duration(other).ok().filter(|per| !per.is_zero())?,
    };
    Some(Limit { messages, per })
}

fn group(node: &Node, faults: &mut Faults) -> Option<Group> {
    let mut fields = Fields::open(node, "a mapping with `by` and `wait`", faults)?;
    let mut by = Vec::new();
    if let Some(list) = fields.require("by", faults) {
        let words: Vec<&str> = GroupBy::ALL.iter().map(|(word, _)| *word).collect();
        for (item, written) in text_list(list, faults) {
            match GroupBy::ALL.iter().find(|(word, _)| *word == written) {
                Some((_, word)) if by.contains(word) => {}
                Some((_, word)) => by.push(*word),
                None => unknown(item, "word to group by", &written, &words, faults),
            }
        }
    }
    let wait = fields.take("wait").map_or(Some(GROUP_WAIT), |at| duration(at, Duration::from_secs(1)..=LONGEST_GROUP_WAIT, faults));
    fields.finish(faults);
    Some(Group { by, wait: wait? }).filter(|group| !group.by.is_empty())
}

fn labels(node: &Node, faults: &mut Faults) -> BTreeMap<String, String> {
    let Some(mut fields) = Fields::open(node, "a mapping of texts", faults) else { return BTreeMap::new() };
    fields.rest().into_iter().filter_map(|(_, key, value)| Some((key.to_owned(), text(value, faults)?))).collect()
}

fn template(node: &Node, known: &Known<'_>, faults: &mut Faults) -> Option<String> {
    let written = text(node, faults)?;
    if known.template_sets.contains(&written) {
        return Some(written);
    }
    let names: Vec<&str> = known.template_sets.iter().map(String::as_str).collect();
    unknown(node, "template set", &written, &names, faults);
    None
}
