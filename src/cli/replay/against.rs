//! What two configs' rules make of the same jobs, one held against the other.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    period::length,
    show::{counted, of_jobs},
    sums::{Played, Summary},
};
use crate::{
    cli::output::{columns, moment, print},
    domain::Name,
    rehearsal::Event,
};

/// What an alert or a notice is told apart by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key<'p> {
    rule: &'p str,
    source: &'p str,
    what: What<'p>,
    channels: Vec<&'p str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What<'p> {
    Alert { job: &'p str, run: u32 },
    Missed(Timestamp),
    Back(Timestamp),
}

/// An alert or notice that only one of the two has.
#[derive(Debug, Serialize)]
struct Odd<'p> {
    rule: &'p str,
    source: &'p str,
    /// `alert`, or `notice` for one of a `missing` rule.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'p str>,
    created: Timestamp,
    channels: Vec<&'p str>,
}

/// How many more, fewer and the same a rule has.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
struct Balance {
    rule: String,
    more: u64,
    fewer: u64,
    unchanged: u64,
}

/// The difference: `more` has only this config, `fewer` only the other.
#[derive(Serialize)]
pub struct Difference<'p> {
    more: Vec<Odd<'p>>,
    fewer: Vec<Odd<'p>>,
    unchanged: u64,
    rules: Vec<Balance>,
    /// The sums of this config.
    summary: &'p Summary,
    /// The sums of the other.
    against: &'p Summary,
}

impl<'p> Difference<'p> {
    /// Holds this config's replay against the other's.
    #[must_use]
    pub fn of((ours, summary): (&'p Played, &'p Summary), (theirs, against): (&'p Played, &'p Summary)) -> Self {
        let keys = |played: &'p Played| played.events.iter().map(key).collect::<HashSet<Key<'p>>>();
        let (our_keys, their_keys) = (keys(ours), keys(theirs));
        let only = |played: &'p Played, other: &HashSet<Key<'p>>| -> Vec<Odd<'p>> {
            played.events.iter().filter(|event| !other.contains(&key(event))).map(odd).collect()
        };
        let mut balances: Vec<Balance> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut of_rule = |rule: &'p str, change: &dyn Fn(&mut Balance)| {
            let place = *places.entry(rule).or_insert_with(|| {
                balances.push(Balance { rule: rule.to_owned(), ..Balance::default() });
                balances.len() - 1
            });
            if let Some(balance) = balances.get_mut(place) {
                change(balance);
            }
        };
        // In the order of this config's files, then what only the other has.
        for rule in ours.rules.rules().iter().chain(theirs.rules.rules()) {
            of_rule(&rule.name, &|_| {});
        }
        let mut unchanged = 0;
        for key in &our_keys {
            let both = their_keys.contains(key);
            unchanged += u64::from(both);
            of_rule(key.rule, &|balance| if both { balance.unchanged += 1 } else { balance.more += 1 });
        }
        for key in their_keys.difference(&our_keys) {
            of_rule(key.rule, &|balance| balance.fewer += 1);
        }
        Self { more: only(ours, &their_keys), fewer: only(theirs, &our_keys), unchanged, rules: balances, summary, against }
    }

    /// Prints it as one JSON object.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub fn json(&self) -> Result<(), String> {
        print(format_args!("{}", serde_json::to_string_pretty(self).map_err(|error| error.to_string())?));
        Ok(())
    }

    /// Prints it in columns: the first `most` that are more and fewer, in order of time, then how many of each rule. `other` is what
    /// the other config is called.
    pub fn table(&self, other: &str, most: usize) {
        let mut odd: Vec<(&str, &Odd<'_>)> =
            self.more.iter().map(|odd| ("+", odd)).chain(self.fewer.iter().map(|odd| ("-", odd))).collect();
        odd.sort_by_key(|(_, odd)| odd.created);
        if !odd.is_empty() {
            let rows = odd.iter().take(most).map(|(sign, odd)| {
                vec![
                    (*sign).to_owned(),
                    moment(odd.created),
                    odd.kind.to_owned(),
                    odd.rule.to_owned(),
                    odd.job.map_or_else(|| odd.source.to_owned(), str::to_owned),
                    odd.state.clone().unwrap_or_default(),
                    odd.profile.unwrap_or_default().to_owned(),
                    odd.channels.join(", "),
                ]
            });
            print(format_args!("{}\n", columns(&["", "WHEN", "KIND", "RULE", "JOB", "STATE", "PROFILE", "CHANNELS"], rows)));
        }
        if odd.len() > most {
            print(format_args!("and {} more: --show {} lists them all\n", odd.len() - most, odd.len()));
        }
        let touched = self.rules.iter().filter(|balance| balance.more + balance.fewer + balance.unchanged > 0);
        let rows: Vec<Vec<String>> = touched
            .map(|balance| vec![balance.rule.clone(), balance.more.to_string(), balance.fewer.to_string(), balance.unchanged.to_string()])
            .collect();
        if !rows.is_empty() {
            print(format_args!("{}\n", columns(&["RULE", "MORE", "FEWER", "UNCHANGED"], rows)));
        }
        print(format_args!("{}", of_jobs(self.summary)));
        print(format_args!(
            "{} more and {} fewer than with {other}, {} unchanged; {} in place of {}, over {}: nothing was sent",
            counted(self.more.len() as u64, "alert"),
            self.fewer.len(),
            self.unchanged,
            counted(self.summary.all.notifications, "message"),
            self.against.all.notifications,
            length(self.summary.since, self.summary.until),
        ));
    }
}

fn key(event: &Event) -> Key<'_> {
    let rule = event.rule();
    // The order of a rule's channels means nothing.
    let mut channels: Vec<&str> = rule.notify.iter().map(Name::as_str).collect();
    channels.sort_unstable();
    let (source, what) = match event {
        Event::Raised(raised) => (&raised.job.source, What::Alert { job: &raised.job.id, run: raised.run }),
        Event::Missed(gap) => (&gap.source, What::Missed(gap.at)),
        Event::Back(gap) => (&gap.source, What::Back(gap.at)),
    };
    Key { rule: &rule.name, source, what, channels }
}

fn odd(event: &Event) -> Odd<'_> {
    let Key { rule, source, channels, .. } = key(event);
    let job = match event {
        Event::Raised(raised) => Some((&*raised.job, raised.run)),
        Event::Missed(_) | Event::Back(_) => None,
    };
    Odd {
        rule,
        source,
        kind: if job.is_some() { "alert" } else { "notice" },
        job: job.map(|(job, _)| job.id.as_str()),
        run: job.map(|(_, run)| run),
        state: job.map(|(job, _)| job.state.name().into_owned()),
        profile: job.map(|(job, _)| job.profile.as_str()),
        created: event.at(),
        channels,
    }
}
