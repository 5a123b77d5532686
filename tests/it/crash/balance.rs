//! The books are balanced: what the journals hold against what ought to be in them, and the program's own sums at each scrape.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::world::{CHANNELS, World};
use crate::common::process::{End, Process};

/// How long the last process may take to tell of all that is left.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// What the scrapes of all processes have shown.
#[derive(Debug, Default)]
pub struct Scrapes {
    pub count: usize,
    /// Alerts by rule, and what ended on each channel, as last seen: neither ever falls.
    highest: BTreeMap<String, u64>,
    /// The last one's.
    pub last: BTreeMap<String, u64>,
    pub breaches: Vec<String>,
}

/// The series of a page that are accounted for, by their full names.
fn series(page: &str) -> BTreeMap<String, u64> {
    let wanted = ["jobrelay_alerts_total", "jobrelay_notifications_total", "jobrelay_notifications_pending"];
    page.lines()
        .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

fn value(series: &BTreeMap<String, u64>, name: &str, channel: &str, rest: &str) -> u64 {
    series.get(&format!("jobrelay_{name}{{channel=\"{channel}\"{rest}}}")).copied().unwrap_or_default()
}

impl Scrapes {
    /// Checks promise 4 on one page: for each channel, the alerts of its rule are its endings and what is pending.
    pub fn check(&mut self, run: u32, page: &str) {
        self.count += 1;
        let series = series(page);
        for (channel, rule) in CHANNELS {
            let alerts = series.get(&format!("jobrelay_alerts_total{{rule=\"{rule}\"}}")).copied().unwrap_or_default();
            let ended: u64 = ["delivered", "rolled_up", "silenced", "dead"]
                .iter()
                .map(|outcome| value(&series, "notifications_total", channel, &format!(",outcome=\"{outcome}\"")))
                .sum();
            let pending = value(&series, "notifications_pending", channel, "");
            if alerts != ended + pending {
                self.breaches.push(format!("run {run}, {channel}: {alerts} alerts, but {ended} ended and {pending} pending"));
            }
        }
        for (name, value) in series.iter().filter(|(name, _)| !name.contains("pending")) {
            let highest = self.highest.entry(name.clone()).or_default();
            if value < highest {
                self.breaches.push(format!("run {run}: {name} fell from {highest} to {value}"));
            }
            *highest = *value;
        }
        self.last = series;
    }
}

/// Scrapes a process again and again until it can't be asked any more.
pub async fn scrape(address: String, run: u32, scrapes: Arc<Mutex<Scrapes>>) {
    let client = reqwest::Client::new();
    loop {
        let Ok(response) = client.get(format!("http://{address}/metrics")).send().await else { return };
        let status = response.status().as_u16();
        let Ok(page) = response.text().await else { return };
        if status == 200 {
            scrapes.lock().unwrap().check(run, &page);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// What the journals came to.
#[derive(Debug, Default)]
pub struct Balance {
    pub messages: usize,
    /// Repeats, each of the last message of a process that died.
    pub repeats: usize,
}

/// Lets one last process tell of all that is left, and balances the books.
pub async fn balance(world: &mut World, scrapes: &Arc<Mutex<Scrapes>>) -> Balance {
    let mut last = world.start(&[], &[]);
    let address = last.listening().await;
    let scraping = tokio::spawn(scrape(address, world.runs, Arc::clone(scrapes)));
    let began = Instant::now();
    let settled = |scrapes: &Scrapes| {
        CHANNELS.iter().all(|(channel, rule)| {
            let alerts = scrapes.last.get(&format!("jobrelay_alerts_total{{rule=\"{rule}\"}}")).copied().unwrap_or_default();
            alerts == world.expected(channel).len() as u64 && value(&scrapes.last, "notifications_pending", channel, "") == 0
        })
    };
    while began.elapsed() < SETTLED_WITHIN && !(world.all_told() && settled(&scrapes.lock().unwrap())) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut faults = Vec::new();
    let mut sum = Balance::default();
    for (channel, journal) in &world.journals {
        let entries = journal.entries();
        let (told, expected) = (journal.told(), world.expected(channel));
        let lost: Vec<&String> = expected.difference(&told).collect();
        let unexpected: Vec<&String> = told.difference(expected).collect();
        if !lost.is_empty() || !unexpected.is_empty() {
            faults.push(format!("{channel}: lost {lost:?}, unexpected {unexpected:?}"));
        }
        sum.messages += entries.len();
        sum.repeats += repeats(channel, &entries, &mut faults);
    }
    let last_sums = scrapes.lock().unwrap().last.clone();
    for (channel, _) in CHANNELS {
        let ended: u64 = ["delivered", "rolled_up"]
            .iter()
            .map(|outcome| value(&last_sums, "notifications_total", channel, &format!(",outcome=\"{outcome}\"")))
            .sum();
        if ended != world.expected(channel).len() as u64 {
            faults.push(format!("{channel}: {} jobs, but {ended} alerts delivered or rolled up", world.expected(channel).len()));
        }
    }
    faults.append(&mut scrapes.lock().unwrap().breaches);
    assert!(faults.is_empty(), "{}\nthe last log:\n{}", faults.join("\n"), last.log());
    assert_eq!(last.stop().await, End::Exit(0), "{}", last.log());
    scraping.abort();
    let file = rusqlite::Connection::open(world.home.path("jobrelay.db")).unwrap();
    let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    sum
}

/// Counts one channel's repeats. A channel is told things one after the other, each recorded before the next: so a message may
/// come again only if it was the last one its process sent, and then it is the first one that a later process sends.
fn repeats(channel: &str, entries: &[super::world::Entry], faults: &mut Vec<String>) -> usize {
    let mut count = 0;
    let mut seen: BTreeSet<&String> = BTreeSet::new();
    let mut keys: BTreeMap<&BTreeSet<String>, &String> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if entry.count != entry.jobs.len() {
            faults.push(format!("{channel}: a message of {} jobs says they are {}", entry.jobs.len(), entry.count));
        }
        if entry.jobs.iter().all(|job| !seen.contains(job)) {
            seen.extend(&entry.jobs);
            keys.insert(&entry.jobs, &entry.key);
            continue;
        }
        count += 1;
        let before = &entries[at.saturating_sub(1)];
        if before.jobs != entry.jobs || before.run >= entry.run {
            faults.push(format!("{channel}: {entry:?} repeats what was on record; before it came {before:?}"));
        }
        if keys.get(&entry.jobs).is_some_and(|key| **key != entry.key) {
            faults.push(format!("{channel}: {entry:?} repeats a message under another id"));
        }
    }
    count
}

/// How a process that may be killed at any instant is left: the scraper that watches it, begun once it listens.
pub fn watch(process: &Process, run: u32, scrapes: &Arc<Mutex<Scrapes>>, begun: &mut bool) {
    if !*begun && let Some(address) = process.address() {
        *begun = true;
        tokio::spawn(scrape(address, run, Arc::clone(scrapes)));
    }
}
