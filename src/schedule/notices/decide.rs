//! What is to be told now, given what is the matter and what has been told: pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::words;
use crate::{
    domain::Notice,
    health::{Topic, Trouble},
};

/// A list that is read only in part is told of only after so long: one odd sweep is no news.
const LASTING: Duration = Duration::from_secs(5 * 60);
/// For so long what begins or is over at some sources waits for others to share a notice: when the network is down, their loops
/// find out one after another.
pub const GATHER: Duration = Duration::from_secs(90);
/// Told of so many times within [`FLAP_WITHIN`], a trouble goes up and down: that is said, and then no more of it until it has
/// been well for [`STEADY`].
pub const FLAPS: usize = 3;
/// See [`FLAPS`].
pub const FLAP_WITHIN: Duration = Duration::from_secs(6 * 3_600);
/// See [`FLAPS`].
pub const STEADY: Duration = Duration::from_secs(3_600);

/// How long the troubles that may pass by themselves must last before anyone is told.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Of a source that can't be read.
    pub source_down: Duration,
    /// Of a channel that takes nothing.
    pub channel_down: Duration,
}

impl Patience {
    const fn with(self, topic: &Topic) -> Duration {
        match topic {
            Topic::SourceDown(_) => self.source_down,
            Topic::ChannelDown(_) => self.channel_down,
            Topic::SweepIncomplete(_) => LASTING,
            // These do not pass by themselves.
            Topic::CredentialsRefused(_)
            | Topic::RowsUnreadable(_)
            | Topic::ChannelRefused(_)
            | Topic::ChannelGone(_)
            | Topic::StoreUnwritable
            | Topic::ReloadRefused => Duration::ZERO,
        }
    }
}

/// What is known.
#[derive(Debug)]
pub struct Facts<'f> {
    /// What the board says of each topic that a loop has looked at.
    pub known: &'f BTreeMap<Topic, Option<Trouble>>,
    /// Since when each of those has been well without a break, as far as this is known.
    pub well: &'f BTreeMap<Topic, Timestamp>,
    /// What was told to be the matter and not to be over, and since when it was.
    pub told: &'f BTreeMap<String, Timestamp>,
    /// When each topic was told of lately, oldest first.
    pub begun: &'f BTreeMap<String, Vec<Timestamp>>,
    /// How long troubles must last.
    pub patience: Patience,
    /// The present.
    pub now: Timestamp,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'t> {
    /// Tell of the beginning or the end of these, with one notice; each with when it began.
    Tell(Vec<(&'t Topic, Timestamp)>, Notice),
    /// Forget that it was told of: a worse trouble has taken its place, and that one's end will be told.
    Forget(&'t Topic),
}

/// A trouble that lasted long enough to be told, or one that was told and is over.
struct Due<'t> {
    topic: &'t Topic,
    trouble: Trouble,
    flaps: bool,
    /// Since when it is due.
    at: Timestamp,
}

/// Decides.
pub fn decide<'t>(topics: &'t [Topic], facts: &Facts<'_>) -> Vec<Step<'t>> {
    let mut steps: Vec<Step<'t>> = Vec::new();
    // Sources are told of together, kind by kind; all else by itself.
    let mut kinds: Vec<Vec<&'t Topic>> = Vec::new();
    for topic in topics {
        if is_superseded(topic, facts.known) {
            steps.extend(facts.told.contains_key(&topic.words()).then_some(Step::Forget(topic)));
            continue;
        }
        match kinds.iter_mut().find(|kind| words::are_alike(kind.first().copied(), topic)) {
            Some(kind) => kind.push(topic),
            None => kinds.push(vec![topic]),
        }
    }
    for kind in &kinds {
        steps.extend(begins(kind, facts));
        steps.extend(over(kind, facts));
    }
    steps
}

fn begins<'t>(kind: &[&'t Topic], facts: &Facts<'_>) -> Vec<Step<'t>> {
    let untold = kind.iter().filter(|topic| !facts.told.contains_key(&topic.words()));
    let (ripe, unripe): (Vec<Due<'_>>, Vec<Due<'_>>) = untold
        .filter_map(|topic| {
            let trouble = facts.known.get(topic)?.clone()?;
            let at = trouble.since.saturating_add(facts.patience.with(topic)).unwrap_or(Timestamp::MAX);
            // The third time is the one of which it is said.
            let flaps = topic.about().is_some() && flaps_within(begun(topic, facts), facts.now) + 1 >= FLAPS;
            Some(Due { topic, trouble, flaps, at })
        })
        .partition(|due| due.at <= facts.now);
    let Some(first) = ripe.iter().map(|due| due.at).min() else { return Vec::new() };
    let others = kind.iter().filter(|topic| !ripe.iter().any(|due| due.topic == **topic));
    let told_just_now = others.filter_map(|topic| begun(topic, facts).last()).any(|at| within(*at, facts.now, GATHER));
    let more_to_come = within(first, facts.now, GATHER) && unripe.iter().any(|due| within(first, due.at, GATHER));
    if told_just_now || more_to_come {
        return Vec::new();
    }
    together(ripe, |due| match due {
        [one] if one.flaps => words::flaps(one.topic, &one.trouble),
        [one] => words::begins(one.topic, &one.trouble),
        several => words::begin_together(
            &several.iter().map(|due| (due.topic, &due.trouble)).collect::<Vec<_>>(),
            several.iter().any(|due| due.flaps),
        ),
    })
}

fn over<'t>(kind: &[&'t Topic], facts: &Facts<'_>) -> Vec<Step<'t>> {
    let told = kind.iter().filter_map(|topic| Some((*topic, *facts.told.get(&topic.words())?)));
    let (ready, others): (Vec<_>, Vec<_>) = told.partition(|(topic, _)| {
        let flaps = flapped(topic, facts);
        let well = facts.well.get(topic).map(|since| Duration::try_from(facts.now.duration_since(*since)).unwrap_or_default());
        facts.known.get(topic) == Some(&None) && (!flaps || well.is_some_and(|well| well >= STEADY))
    });
    let ready: Vec<Due<'_>> = ready
        .into_iter()
        .map(|(topic, since)| {
            let flaps = flapped(topic, facts);
            let at = facts.well.get(topic).copied().unwrap_or(facts.now);
            Due { topic, trouble: Trouble { since, why: String::new() }, flaps, at }
        })
        .collect();
    let Some(first) = ready.iter().map(|due| due.at).min() else { return Vec::new() };
    if !others.is_empty() && within(first, facts.now, GATHER) {
        return Vec::new();
    }
    together(ready, |due| match due {
        [one] if one.flaps => words::steady(one.topic, one.trouble.since),
        [one] => words::over(one.topic, one.trouble.since),
        several => words::over_together(&several.iter().map(|due| (due.topic, due.trouble.since)).collect::<Vec<_>>()),
    })
}

/// One step for those that go up and down, and one for the others.
fn together<'t>(due: Vec<Due<'t>>, notice: impl Fn(&[Due<'t>]) -> Notice) -> Vec<Step<'t>> {
    let (flapping, plain): (Vec<Due<'t>>, Vec<Due<'t>>) = due.into_iter().partition(|due| due.flaps);
    let parts = [plain, flapping].into_iter().filter(|part| !part.is_empty());
    parts.map(|part| Step::Tell(part.iter().map(|due| (due.topic, due.trouble.since)).collect(), notice(&part))).collect()
}

/// When a topic was told of.
fn begun<'f>(topic: &Topic, facts: &Facts<'f>) -> &'f [Timestamp] {
    facts.begun.get(&topic.words()).map_or(&[], Vec::as_slice)
}

/// Whether it was said, when a topic was last told of, that it goes up and down.
fn flapped(topic: &Topic, facts: &Facts<'_>) -> bool {
    let begun = begun(topic, facts);
    topic.about().is_some() && begun.last().is_some_and(|last| flaps_within(begun, *last) >= FLAPS)
}

/// How many of these instants lie within [`FLAP_WITHIN`].
pub fn flaps_within(begun: &[Timestamp], now: Timestamp) -> usize {
    begun.iter().filter(|at| within(**at, now, FLAP_WITHIN)).count()
}

/// Whether `then` is at most so long before `now`, and not after it.
fn within(then: Timestamp, now: Timestamp, span: Duration) -> bool {
    Duration::try_from(now.duration_since(then)).is_ok_and(|passed| passed < span)
}

/// Whether a worse trouble is the matter, which says all there is to say: of a channel that refuses everything it is not also
/// told that nothing gets through to it.
fn is_superseded(topic: &Topic, known: &BTreeMap<Topic, Option<Trouble>>) -> bool {
    let Topic::ChannelDown(name) = topic else { return false };
    known.get(&Topic::ChannelRefused(name.clone())).is_some_and(Option::is_some)
}
