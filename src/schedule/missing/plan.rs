//! How every watch stands, and what of it is to be written and told: a pure decision.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::words;
use crate::{
    domain::{Name, Told},
    health::Reading,
    rules::{Missing, Rule, Standing, Watch},
    store::{LastEnd, RunningJob, WatchChange, WatchRow},
};

/// A notice that several sources may share is put off for so long while others of its rule are due as well and yet to be read:
/// their loops do not poll at the same instant.
pub const GATHER: Duration = Duration::from_secs(60);

/// After so long a source that can't be read counts as dark, also where it is polled too seldom to have failed several times.
const DARK_AFTER: Duration = Duration::from_secs(15 * 60);

/// By rule, the newest end that counts.
pub type Newest = BTreeMap<Name, LastEnd>;

/// The newest end that each rule waits for, of a source's newest ends by profile. Asked only when those change: there may be many
/// profiles, and lists are read all the time.
pub fn newest(rules: &[Arc<Rule>], ends: &[LastEnd]) -> Newest {
    let of = |rule: &Arc<Rule>| {
        let missing = rule.missing()?;
        let newest = ends.iter().filter(|end| missing.awaits(&end.profile)).max_by_key(|end| end.at)?;
        Some((rule.name.clone(), newest.clone()))
    };
    rules.iter().filter_map(of).collect()
}

/// What is known.
pub struct Facts<'f> {
    /// Every enabled rule.
    pub rules: &'f [Arc<Rule>],
    /// Every configured source.
    pub sources: &'f [Name],
    /// The watches as they were written down.
    pub rows: &'f [WatchRow],
    /// The newest end that each rule waits for, by source; see [`newest`].
    pub newest: &'f BTreeMap<Name, Newest>,
    /// What runs, by source.
    pub running: &'f BTreeMap<Name, Vec<RunningJob>>,
    /// How far each list is known.
    pub readings: &'f BTreeMap<Name, Reading>,
    /// The present.
    pub now: Timestamp,
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is to be written, and told.
    pub change: WatchChange,
    /// When to look again although no list was read meanwhile, by our clock.
    pub next: Option<Timestamp>,
}

/// Something to tell of one watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The source; none for a watch over all of them.
    pub source: Option<Name>,
    /// What is to be told.
    pub standing: Standing,
    /// What was told before.
    pub before: Told,
    /// Since when it was watched for.
    pub began: Timestamp,
    /// When the newest job ended that counts.
    pub last: Option<Timestamp>,
    /// That job, if the store still knows it.
    pub job: Option<LastEnd>,
    /// Where it was; also told of a watch over all sources.
    pub place: Option<Name>,
    /// Since when the source can't be read, if so.
    pub dark: Option<Timestamp>,
    /// The last of those that started and run still.
    pub running: Option<RunningJob>,
}

/// Since when each rule's notices are put off for others; forgotten by a restart, which costs a minute.
pub type Gathering = BTreeMap<Name, Timestamp>;

/// Decides.
pub fn plan(facts: &Facts<'_>, gathering: &mut Gathering) -> Plan {
    let mut plan = Plan::default();
    let mut kept: BTreeSet<(Name, Option<Name>)> = BTreeSet::new();
    for rule in facts.rules {
        if let Some(missing) = rule.missing() {
            OfRule { facts, rule, missing, awaits: missing.words() }.plan(gathering, &mut plan, &mut kept);
        }
    }
    let gone = facts.rows.iter().map(|row| (row.rule.clone(), row.source.clone())).filter(|key| !kept.contains(key));
    plan.change.drop.extend(gone);
    plan
}

/// One rule, and what is known.
struct OfRule<'f> {
    facts: &'f Facts<'f>,
    rule: &'f Rule,
    missing: &'f Missing,
    awaits: String,
}

impl OfRule<'_> {
    fn plan(&self, gathering: &mut Gathering, plan: &mut Plan, kept: &mut BTreeSet<(Name, Option<Name>)>) {
        let own = || self.facts.rows.iter().filter(|row| row.rule == self.rule.name && row.awaits == self.awaits);
        let rows: BTreeMap<Option<&Name>, &WatchRow> = own().map(|row| (row.source.as_ref(), row)).collect();
        let mut events = Vec::new();
        // What was told of all sources together goes on with those at which there is something to wait for.
        let mut inherited = Told::Nothing;
        let watched = self.watched(&rows);
        if let (Some(row), false) = (rows.get(&None), watched.contains(&None)) {
            let (told, over) = self.judge((*row).clone());
            inherited = told.row.told;
            events.extend(over.into_iter().filter(|event| matches!(event.standing, Standing::Back { .. })));
            if !events.is_empty() {
                inherited = Told::Nothing;
            }
        }
        let mut judged = Vec::new();
        for source in watched {
            let known = rows.contains_key(&source.as_ref()) || inherited != Told::Nothing;
            if !known && !self.of(source.as_ref()).all(|source| self.facts.readings.contains_key(source)) {
                // The time at which a watch begins is the service's, and nothing has been heard of it yet.
                continue;
            }
            let row = rows.get(&source.as_ref()).map_or_else(
                || WatchRow {
                    rule: self.rule.name.clone(),
                    began: self.now(source.as_ref()),
                    source: source.clone(),
                    awaits: self.awaits.clone(),
                    last: None,
                    told: inherited,
                },
                |row| (*row).clone(),
            );
            kept.insert((row.rule.clone(), row.source.clone()));
            judged.push(self.judge(row));
        }
        let held = self.holds(&judged, gathering, plan);
        for (mut one, told) in judged {
            for event in told {
                if held {
                    one.row.told = event.before;
                    break;
                }
                events.push(event);
            }
            if rows.get(&one.row.source.as_ref()).is_none_or(|before| **before != one.row) {
                plan.change.put.push(one.row);
            }
            soonest(&mut plan.next, one.next);
        }
        plan.change.notices.extend(words::notices(self.rule, self.missing, &events));
    }

    /// The sources that are watched: those the rule names, else those that ever had such a job, else all of them together.
    fn watched(&self, rows: &BTreeMap<Option<&Name>, &WatchRow>) -> Vec<Option<Name>> {
        let Facts { sources, .. } = self.facts;
        if !self.missing.sources.is_empty() {
            return self.missing.sources.iter().filter(|source| sources.contains(source)).cloned().map(Some).collect();
        }
        let had = |source: &&Name| rows.contains_key(&Some(*source)) || self.newest(source).is_some();
        let those: Vec<Option<Name>> = sources.iter().filter(had).cloned().map(Some).collect();
        if those.is_empty() { vec![None] } else { those }
    }

    fn running(&self, source: Option<&Name>) -> Option<RunningJob> {
        let all = self.of(source).filter_map(|source| self.facts.running.get(source)).flatten();
        all.filter(|job| self.missing.awaits(&job.profile)).max_by_key(|job| job.started).cloned()
    }

    fn newest(&self, source: &Name) -> Option<&LastEnd> {
        self.facts.newest.get(source)?.get(&self.rule.name)
    }

    /// The sources of a watch.
    fn of<'s>(&'s self, source: Option<&'s Name>) -> impl Iterator<Item = &'s Name> {
        let all = if source.is_none() { self.facts.sources } else { &[] };
        all.iter().chain(source)
    }

    fn reading(&self, source: &Name) -> Reading {
        self.facts.readings.get(source).copied().unwrap_or_default()
    }

    /// How far the clock of a watch's service is ahead of ours; of several, the one that is least so.
    fn ahead(&self, source: Option<&Name>) -> SignedDuration {
        self.of(source).map(|source| self.reading(source).ahead).min().unwrap_or_default()
    }

    /// The present, by the clock that dates the ends of a watch's jobs.
    fn now(&self, source: Option<&Name>) -> Timestamp {
        self.facts.now.saturating_add(self.ahead(source)).unwrap_or(self.facts.now)
    }

    /// From when on a source counts as dark, and since when it is, by our clock.
    fn darkness(&self, source: &Name) -> Option<(Timestamp, Timestamp)> {
        let reading = self.reading(source);
        let since = reading.dark?;
        let counts = if reading.is_dark() { since } else { since.saturating_add(DARK_AFTER).unwrap_or(Timestamp::MAX) };
        Some((counts, since))
    }

    /// What is known of a watch.
    fn watch(&self, row: &WatchRow) -> Watch {
        let source = row.source.as_ref();
        let readings: Vec<Reading> = self.of(source).map(|source| self.reading(source)).collect();
        let dark = self.of(source).filter_map(|source| self.darkness(source)).map(|(counts, _)| counts).min();
        Watch {
            last: row.last,
            began: row.began,
            // Of several lists, all must have been read.
            complete: readings.iter().map(|reading| reading.complete).min().flatten(),
            dark: dark.and_then(|dark| dark.saturating_add(self.ahead(source)).ok()),
            told: row.told,
        }
    }

    /// How a watch stands, and what is to be told of it, in order.
    fn judge(&self, mut row: WatchRow) -> (Judged, Vec<Event>) {
        let now = self.now(row.source.as_ref());
        let newest = self.of(row.source.as_ref()).filter_map(|source| Some((source.clone(), self.newest(source)?.clone())));
        let newest = newest.max_by_key(|(_, end)| end.at);
        row.last = row.last.max(newest.as_ref().map(|(_, end)| end.at));
        let (place, job) = newest.filter(|(_, end)| Some(end.at) == row.last).unzip();
        let dark = self.of(row.source.as_ref()).filter_map(|source| self.darkness(source)).map(|(_, since)| since).min();
        let mut events = Vec::new();
        loop {
            let watch = self.watch(&row);
            let standing = self.missing.judge(&watch, now);
            let Some(told) = standing.told() else {
                let next = self.missing.look_again(&watch, now);
                let next = next.and_then(|next| next.checked_sub(self.ahead(row.source.as_ref())).ok());
                return (Judged { unread: matches!(standing, Standing::Unread { .. }), row, next }, events);
            };
            events.push(Event {
                source: row.source.clone(),
                standing,
                before: row.told,
                began: row.began,
                last: row.last,
                job: job.clone(),
                place: place.clone().or_else(|| row.source.clone()),
                dark,
                running: self.running(row.source.as_ref()),
            });
            row.told = told;
        }
    }

    /// Whether to put off what there is to tell, for others that may be told with it: sources are neither polled, nor dark, nor back
    /// at the same instant.
    fn holds(&self, judged: &[(Judged, Vec<Event>)], gathering: &mut Gathering, plan: &mut Plan) -> bool {
        let ready = judged.iter().any(|(_, events)| !events.is_empty());
        let open = |(one, events): &(Judged, Vec<Event>)| one.unread || events.is_empty() && matches!(one.row.told, Told::CannotTell(_));
        if ready && judged.iter().any(open) {
            let since = *gathering.entry(self.rule.name.clone()).or_insert(self.facts.now);
            // Also where the clock was set back.
            if self.facts.now.duration_since(since).unsigned_abs() < GATHER {
                soonest(&mut plan.next, since.checked_add(GATHER).ok());
                return true;
            }
        }
        gathering.remove(&self.rule.name);
        false
    }
}

/// A watch as it stands now.
struct Judged {
    row: WatchRow,
    /// Whether it is due and its list has not been read since.
    unread: bool,
    next: Option<Timestamp>,
}

fn soonest(next: &mut Option<Timestamp>, other: Option<Timestamp>) {
    *next = match (*next, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}
