//! The entries below `sources` and `channels`: the keys all kinds take are read here, the rest by the kind.

use std::time::Duration;

use super::{
    ChannelConfig, SourceConfig,
    names::{check_name, unknown},
};
use crate::{
    channel::{self, Common, Rate},
    document::{Fault, Faults, Fields, Node, Value, duration, text},
    domain::{Name, parse_duration},
    rules::Known,
    source,
};

/// How often a source may be polled.
const POLL_EVERY: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3600);
const POLL_EVERY_DEFAULT: Duration = Duration::from_secs(60);
/// How long one attempt to deliver may take.
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
/// How long a message may be tried.
const GIVE_UP_AFTER: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3600);
const GIVE_UP_AFTER_DEFAULT: Duration = Duration::from_secs(14 * 24 * 3600);
/// How far a first run may look back.
const LOOK_BACK: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10 * 366 * 24 * 3600);
/// The most messages a rate may name.
const RATE_MOST: u32 = 1_000_000;
/// The longest span of a rate.
const RATE_PER: Duration = Duration::from_secs(24 * 3600);

/// A channel as read, with the nodes that later checks point at.
pub struct Channel<'a> {
    /// The channel's name where it stands.
    pub at: &'a Node,
    /// The word after `kind:`.
    pub kind: &'static str,
    /// What it falls back on, where it stands.
    pub fallback: Option<&'a Node>,
    /// The valid part.
    pub config: ChannelConfig,
}

/// The named entries of a part. Names that can't be used are told.
pub fn named<'a>(part: &'a Node, what: &str, faults: &mut Faults) -> Vec<(&'a Node, Name, &'a Node)> {
    let expected = format!("a mapping from each {what}'s name to its settings");
    if matches!(part.value, Value::List(_)) {
        // Its items may hold secrets.
        faults.cover(part);
        let fault = Fault::error(&part.place, format!("expected {expected}, found a list"));
        faults.push(fault.hint(format!("leave the `-` out, and write each {what}'s name as a key with its settings below it")));
        return Vec::new();
    }
    let Some(mut fields) = Fields::open(part, &expected, faults) else { return Vec::new() };
    let entries = fields.rest();
    for (at, name, _) in &entries {
        check_name(at, name, faults);
    }
    entries.into_iter().map(|(at, name, value)| (at, Name::from(name), value)).collect()
}

/// Reads one source.
pub fn source(name: &Name, node: &Node, faults: &mut Faults) -> Option<SourceConfig> {
    let mut fields = Fields::open(node, "a source's settings", faults)?;
    let kinds: Vec<&str> = source::KINDS.iter().map(|kind| kind.name).collect();
    let kind = kind(&mut fields, "kind of source", &kinds, faults).and_then(|name| source::KINDS.iter().find(|kind| kind.name == name));
    let poll_every = optional(&mut fields, "poll_every", POLL_EVERY, POLL_EVERY_DEFAULT, faults);
    let start = fields.take("start").map_or(Some(Duration::ZERO), |node| match node.as_text() {
        Some("now") => Some(Duration::ZERO),
        _ => duration(node, LOOK_BACK, faults),
    });
    let kind = kind?;
    let settings = (kind.read)(&mut fields, faults);
    fields.finish(faults);
    Some(SourceConfig { name: name.clone(), kind: kind.name, settings: settings?, poll_every: poll_every?, start: start? })
}

/// Reads one channel. What it refers to is looked up first, so that a fault elsewhere in it hides none there.
pub fn channel<'a>(at: &'a Node, name: &Name, node: &'a Node, known: &Known<'_>, faults: &mut Faults) -> Option<Channel<'a>> {
    let mut fields = Fields::open(node, "a channel's settings", faults)?;
    let kinds: Vec<&str> = channel::KINDS.iter().map(|kind| kind.name).collect();
    let kind = kind(&mut fields, "kind of channel", &kinds, faults).and_then(|name| channel::KINDS.iter().find(|kind| kind.name == name));
    let written = fields.take("rate").map(|node| rate(node, faults));
    let set = fields.take("template").map_or_else(|| Some("alert".to_owned()), |node| template_set(node, known, faults));
    let timeout = optional(&mut fields, "timeout", TIMEOUT, TIMEOUT_DEFAULT, faults);
    let give_up_after = optional(&mut fields, "give_up_after", GIVE_UP_AFTER, GIVE_UP_AFTER_DEFAULT, faults);
    let fallback = fields.take("fallback");
    let falls_on = fallback.and_then(|node| fall_back(name, node, known, faults));
    let kind = kind?;
    let settings = (kind.read)(&mut fields, faults);
    fields.finish(faults);
    let settings = settings?;
    let rate = match written {
        Some(rate) => rate?,
        None => settings.default_rate(),
    };
    let config = ChannelConfig {
        name: name.clone(),
        kind: kind.name,
        settings,
        common: Common { template: set?, timeout: timeout? },
        rate,
        give_up_after: give_up_after?,
        fallback: falls_on,
    };
    Some(Channel { at, kind: kind.name, fallback, config })
}

/// The template set that a channel asks for.
fn template_set(node: &Node, known: &Known<'_>, faults: &mut Faults) -> Option<String> {
    let name = text(node, faults)?;
    if !known.template_sets.contains(&name) {
        let all: Vec<&str> = known.template_sets.iter().map(String::as_str).collect();
        faults.push(unknown(node, "template set", &name, &all));
        return None;
    }
    Some(name)
}

/// The channel that `channel` falls back on.
fn fall_back(channel: &Name, node: &Node, known: &Known<'_>, faults: &mut Faults) -> Option<Name> {
    let name = text(node, faults)?;
    let Some(found) = known.channels.iter().find(|known| known.as_str() == name) else {
        let all: Vec<&str> = known.channels.iter().map(Name::as_str).collect();
        faults.push(unknown(node, "channel", &name, &all));
        return None;
    };
    if found == channel {
        faults.error(node, "a channel can't fall back on itself");
        return None;
    }
    Some(found.clone())
}

/// The word after `kind:`. Of an unknown kind, nothing is known to be harmless: all it holds is covered.
fn kind(fields: &mut Fields<'_>, what: &str, known: &[&str], faults: &mut Faults) -> Option<String> {
    let node = fields.node();
    let found = match fields.take("kind") {
        Some(node) => text(node, faults).filter(|name| {
            let is_known = known.contains(&name.as_str());
            if !is_known {
                faults.push(unknown(node, what, name, known));
            }
            is_known
        }),
        None => {
            faults.push(Fault::error(&node.place, "the key `kind` is missing").hint(format!("known here: {}", known.join(", "))));
            None
        }
    };
    if found.is_none()
        && let Value::Map(entries) = &node.value
    {
        entries.iter().filter(|(key, _)| key.as_text() != Some("kind")).for_each(|(_, value)| faults.cover(value));
    }
    found
}

/// A duration that may be left out.
pub fn optional(
    fields: &mut Fields<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<Duration>,
    default: Duration,
    faults: &mut Faults,
) -> Option<Duration> {
    fields.take(key).map_or(Some(default), |node| duration(node, range, faults))
}

/// `1 per second`, `30 per minute`, `5 per 10s`, `unlimited`.
fn rate(node: &Node, faults: &mut Faults) -> Option<Rate> {
    let written = text(node, faults)?;
    if written.trim() == "unlimited" {
        return Some(Rate::Unlimited);
    }
    let read = || {
        let (messages, per) = written.split_once(" per ")?;
        let per = match per.trim() {
            "second" => Duration::from_secs(1),
            "minute" => Duration::from_secs(60),
            "hour" => Duration::from_secs(3600),
            "day" => RATE_PER,
            other => parse_duration(other).ok()?,
        };
        let messages: u32 = messages.trim().parse().ok()?;
        let sane = (1..=RATE_MOST).contains(&messages) && !per.is_zero() && per <= RATE_PER;
        sane.then_some(Rate::Limited { messages, per })
    };
    let rate = read();
    if rate.is_none() {
        let message = if node.filled { "not a rate".to_owned() } else { format!("`{written}` is no rate") };
        faults.push(
            Fault::error(&node.place, message)
                .hint("write a number and a span of at most a day, as in `1 per second`, `30 per minute` or `5 per 10s`; or `unlimited`"),
        );
    }
    rate
}
