//! The parts `digests` and `notices`.

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;

use super::{DigestConfig, NoticesConfig, cron, entries::optional, names::channels};
use crate::{
    document::{Fault, Faults, Fields, Node, boolean, near, text},
    domain::Name,
    rules::{self, Known, RuleSet},
};

/// How long a source may be down before someone is told.
const DOWN_AFTER: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600);
const DOWN_AFTER_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// How long a channel may take nothing before someone is told; what it refuses for good is told at once.
const CHANNEL_DOWN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);
/// The same where nothing is said: a fallback is told also where no `notices` are asked for.
pub const CHANNEL_DOWN_AFTER: Duration = Duration::from_secs(15 * 60);

/// Reads one digest.
pub fn digest(name: &Name, node: &Node, known: &Known<'_>, faults: &mut Faults) -> Option<DigestConfig> {
    let mut fields = Fields::open(node, "a digest's settings", faults)?;
    let at = fields.require("schedule", faults);
    let timezone = fields.take("timezone").map_or(Some(TimeZone::UTC), |node| timezone(node, faults));
    let schedule = at.and_then(|node| cron::read(node, timezone.as_ref().unwrap_or(&TimeZone::UTC), faults));
    let notify = fields.require("notify", faults).map(|node| channels(node, known.channels, faults));
    let when = fields.take("when").map(|node| Arc::new(conditions(name, node, known, faults)));
    let skip_empty = fields.take("skip_empty").map_or(Some(false), |node| boolean(node, faults));
    fields.finish(faults);
    Some(DigestConfig { name: name.clone(), schedule: schedule?, timezone: timezone?, notify: notify?, when, skip_empty: skip_empty? })
}

/// Reads `notices`.
pub fn notices(node: &Node, known: &[Name], faults: &mut Faults) -> Option<NoticesConfig> {
    let mut fields = Fields::open(node, "the notices' settings", faults)?;
    let notify = fields.require("notify", faults).map(|node| channels(node, known, faults));
    let source_down_after = optional(&mut fields, "source_down_after", DOWN_AFTER, DOWN_AFTER_DEFAULT, faults);
    let channel_down_after = optional(&mut fields, "channel_down_after", CHANNEL_DOWN, CHANNEL_DOWN_AFTER, faults);
    fields.finish(faults);
    Some(NoticesConfig { notify: notify?, source_down_after: source_down_after?, channel_down_after: channel_down_after? })
}

fn timezone(node: &Node, faults: &mut Faults) -> Option<TimeZone> {
    let name = text(node, faults)?;
    let zone = TimeZone::get(&name).ok();
    if zone.is_none() {
        let message = if node.filled { "unknown time zone".to_owned() } else { format!("unknown time zone `{name}`") };
        let zones = jiff::tz::db();
        let names: Vec<String> = zones.available().map(|zone| zone.as_str().to_owned()).collect();
        let hint = near(&name, names.iter().map(String::as_str))
            .map_or_else(|| "write one as in Europe/Zurich or UTC".to_owned(), |known| format!("did you mean `{known}`?"));
        faults.push(Fault::error(&node.place, message).hint(hint));
    }
    zone
}

/// A digest's `when`: it takes a rule's conditions, with the same faults.
fn conditions(name: &Name, when: &Node, known: &Known<'_>, faults: &mut Faults) -> RuleSet {
    let rules = rules::read_digest(name, when, known, faults);
    if rules.looks_back() {
        faults.push(
            Fault::error(
                &when.place,
                "a digest's `when` can't look at the jobs before: no `streak`, `count`, `previous` or `slower_than_usual`",
            )
            .hint("a digest tells by itself what failed in a row, what recovered and what was slower than usual"),
        );
    }
    rules
}
