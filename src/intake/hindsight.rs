//! Rules that look at the past, judged once the past is at hand.
//!
//! Pages come newest first, so a job's past may stand on pages that are not yet read. An end is therefore taken in with a mark, and
//! judged by these rules when the sweep is complete, in the order of the ends; its alerts and the end of its mark are one transaction.
//! An end that shows up late has those behind it judged again, by what it changes for them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Intake,
    take_in::{Judged, alert},
};
use crate::{
    domain::Job,
    rules::{Need, PAST_MOST, Past, Rule},
    store::{Known, LaterQuery, Moment, NewAlert, PastQuery, SourceRecord, StoreError, Unjudged},
};

/// How many ends are judged in one transaction: those of one profile share a query.
const CHUNK: u32 = 1_000;
/// The most later ends of one profile that are judged again for one that shows up late: further than any condition looks back.
const AGAIN: u32 = PAST_MOST;
/// How long ends wait for a sweep that is complete; after that they are judged by what is known.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// The most profiles of which it is remembered how far they are judged; past that it is asked for again.
const PROFILES: usize = 10_000;

/// What a source's loop knows of what waits to be judged.
#[derive(Debug)]
pub struct Hindsight {
    /// Since when ends wait, and up to which one they wait no longer than [`PATIENCE`].
    waits: Option<(Instant, Timestamp)>,
    /// Whether what waits may have been taken in under other rules. All of these judge it then, for no job is judged by half a set.
    inherited: bool,
    /// All that ended up to here is known once the turn is complete: what ends while it goes on may have been passed.
    horizon: Timestamp,
    /// Of each profile, the last end that is judged.
    newest: HashMap<String, Moment>,
    /// Ends that are never judged, being older than the watch, but showed up before ones that are.
    late: BTreeMap<String, BTreeSet<Moment>>,
    /// Ends that wait because their state is another now, by job: as they stood when later ones were judged.
    stood: HashMap<String, Arc<Job>>,
    /// The pasts of the profiles whose jobs run, and how much of each was asked for.
    pasts: HashMap<String, (Need, Vec<Arc<Job>>)>,
    /// Whether it was told that a rule looks further back than anyone can.
    told_far: bool,
    /// How many changes of the source's jobs were taken in.
    changes: u64,
}

impl Default for Hindsight {
    fn default() -> Self {
        Self {
            waits: None,
            inherited: false,
            horizon: Timestamp::MAX,
            newest: HashMap::new(),
            late: BTreeMap::new(),
            stood: HashMap::new(),
            pasts: HashMap::new(),
            told_far: false,
            changes: 0,
        }
    }
}

impl Hindsight {
    /// Ends wait that an earlier loop has left.
    pub fn inherits(&mut self, now: Instant) {
        self.inherited = true;
        self.marked(now);
    }

    /// A turn's first page is read: it shows every end that came before the service gave it out.
    pub fn begins(&mut self, served: Timestamp, newest_end: Option<Timestamp>) {
        self.horizon = newest_end.map_or(served, |end| end.max(served));
    }

    /// An end was taken in that waits to be judged.
    pub fn marked(&mut self, now: Instant) {
        self.waits.get_or_insert((now, Timestamp::MAX));
    }

    /// A job was taken in that is not judged: it may have a place in a past.
    pub fn noted(&mut self, job: &Job, now: Instant) {
        let Some(moment) = moment(job) else { return };
        if self.newest.get(&job.profile).is_some_and(|newest| moment < *newest) {
            let late = self.late.entry(job.profile.clone()).or_default();
            late.insert(moment);
            if late.len() > AGAIN as usize {
                late.pop_first();
            }
            self.marked(now);
        }
    }

    /// A job is seen to have ended in another state than the one known.
    pub fn corrected(&mut self, job: &Job, known: &Known) {
        if self.stood.len() < PROFILES {
            let stood = Job { state: known.state, finished: known.finished, ..job.clone() };
            // Of several states, the one that others were judged by is the first.
            self.stood.entry(job.id.clone()).or_insert_with(|| Arc::new(stood));
        }
    }

    /// The past of an end that is judged again, as it was known before these ends showed up or changed their state.
    fn as_known(&self, past: &[Arc<Job>], late: &BTreeSet<Moment>) -> Vec<Arc<Job>> {
        let stood = |job: &Arc<Job>| match moment(job) {
            Some(moment) if late.contains(&moment) => self.stood.get(&job.id).cloned(),
            _ => Some(Arc::clone(job)),
        };
        let mut known: Vec<Arc<Job>> = past.iter().filter_map(stood).collect();
        known.sort_by(|a, b| (b.finished, &b.id).cmp(&(a.finished, &a.id)));
        known
    }

    /// A profile's past is another now.
    pub fn changed(&mut self, profile: &str) {
        self.pasts.remove(profile);
        self.changes += 1;
    }

    /// How many changes of the source's jobs were taken in: the same number, the same jobs.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// When what waits is to be judged, sweep or no sweep.
    pub fn due(&self) -> Option<Instant> {
        self.waits.map(|(since, _)| since + PATIENCE)
    }

    /// Up to which end is judged now.
    fn until(&self, complete: bool, now: Instant) -> Option<Timestamp> {
        let (since, until) = self.waits?;
        let waited = (now >= since + PATIENCE).then_some(until);
        waited.max(complete.then_some(self.horizon))
    }

    /// What was to be judged is; `left` is the last end that still waits.
    fn judged(&mut self, left: Option<Timestamp>, now: Instant) {
        match (left, self.waits) {
            (None, _) => (self.waits, self.inherited) = (None, false),
            // The clock that runs is that of ends that are judged.
            (Some(left), None) => self.waits = Some((now, left)),
            (Some(left), Some((since, until))) => {
                if until == Timestamp::MAX || now >= since + PATIENCE {
                    self.waits = Some((now, left));
                }
            }
        }
    }

    /// Whether something later than this end may have been judged.
    fn is_late(&self, profile: &str, first: &Moment) -> bool {
        self.newest.get(profile).is_none_or(|newest| first < newest)
    }

    fn is_judged_up_to(&mut self, profile: &str, last: &Moment) {
        if self.newest.len() >= PROFILES && !self.newest.contains_key(profile) {
            self.newest.clear();
        }
        let newest = self.newest.entry(profile.to_owned()).or_insert_with(|| last.clone());
        if *newest < *last {
            newest.clone_from(last);
        }
    }
}

/// A job's place in its profile's past; none where it has no finish time.
fn moment(job: &Job) -> Option<Moment> {
    Some(Moment { at: job.finished?, id: job.id.clone() })
}

fn place(one: &Unjudged) -> Moment {
    Moment { at: one.at, id: one.job.id.clone() }
}

/// What of a past, newest first, lies before a place.
fn before<'p>(past: &'p [Arc<Job>], place: &Moment) -> &'p [Arc<Job>] {
    let from = past.partition_point(|job| (job.finished, &job.id) >= (Some(place.at), &place.id));
    past.get(from..).unwrap_or_default()
}

/// One profile's share of a chunk.
#[derive(Default)]
struct Share<'c> {
    /// Ends to be judged, in their order.
    waiting: Vec<&'c Unjudged>,
    /// Ends that may not have been known when later ones were judged.
    late: BTreeSet<Moment>,
}

/// The pasts of several ends of one profile.
#[derive(Default)]
struct Pasts {
    /// One past for all, newest first: what of it lies before an end is that end's own.
    shared: Vec<Arc<Job>>,
    /// Where that does not reach far enough, each end's.
    own: Vec<Vec<Arc<Job>>>,
}

impl Pasts {
    /// The past of the end with this number.
    fn of(&self, number: usize, place: &Moment) -> &[Arc<Job>] {
        self.own.get(number).map_or_else(|| before(&self.shared, place), Vec::as_slice)
    }
}

/// An alert to be raised, at its job's place in time.
type Raised = (Moment, NewAlert);

impl Intake {
    /// After a turn, and when patience is at its end: judges what waits by the rules that look at the past.
    pub(super) async fn look_back(&self, hindsight: &mut Hindsight, record: &SourceRecord, complete: bool) -> Result<(), StoreError> {
        let Some(until) = hindsight.until(complete, Instant::now()) else { return Ok(()) };
        if !complete {
            tracing::info!(source = %self.name, "ends have waited long enough for the rest of the list: rules that look at the past judge by what is known");
        }
        let result = self.judge_waiting(hindsight, record, until).await;
        let left = match &result {
            Ok(()) => self.store.unjudged(&self.name, Timestamp::MAX, CHUNK).await.map(|left| left.last().map(|one| one.at)),
            Err(error) => Err(error.clone()),
        };
        // What could not be judged is still there, and waits for another while.
        hindsight.judged(left.unwrap_or(Some(Timestamp::MAX)), Instant::now());
        result
    }

    /// Judges every end up to an instant that waits, in the order in which they came.
    pub(super) async fn judge_waiting(&self, hindsight: &mut Hindsight, record: &SourceRecord, until: Timestamp) -> Result<(), StoreError> {
        loop {
            let chunk = self.store.unjudged(&self.name, until, CHUNK).await?;
            let mut shares: BTreeMap<&str, Share<'_>> = BTreeMap::new();
            let late = std::mem::take(&mut hindsight.late);
            for (profile, late) in &late {
                shares.entry(profile).or_default().late.clone_from(late);
            }
            for one in &chunk {
                let share = shares.entry(&one.job.profile).or_default();
                share.waiting.push(one);
                share.late.extend(moment(&one.job));
            }
            let mut raised = Vec::new();
            for (profile, share) in shares {
                self.judge_share(hindsight, record, profile, &share, &mut raised).await?;
            }
            raised.sort_by(|a, b| a.0.cmp(&b.0));
            let alerts: Vec<NewAlert> = raised.into_iter().map(|(_, alert)| alert).collect();
            if !chunk.is_empty() || !alerts.is_empty() {
                let done = chunk.iter().map(|one| one.job.id.clone()).collect();
                self.write(Judged { changes: Vec::new(), alerts, done }, &[]).await?;
            }
            if chunk.len() < CHUNK as usize {
                return Ok(());
            }
        }
    }

    async fn judge_share(
        &self,
        hindsight: &mut Hindsight,
        record: &SourceRecord,
        profile: &str,
        share: &Share<'_>,
        raised: &mut Vec<Raised>,
    ) -> Result<(), StoreError> {
        let again = match share.late.first() {
            Some(first) if self.habits.judge_again && self.rules.looks_back() && hindsight.is_late(profile, first) => {
                self.later(record, profile, first).await?
            }
            _ => Vec::new(),
        };
        let jobs: Vec<&Unjudged> = share.waiting.iter().copied().chain(&again).collect();
        let pasts = self.pasts_of(hindsight, profile, &jobs).await?;
        let now = self.clock.now();
        for (at, one) in jobs.iter().enumerate() {
            let past = pasts.of(at, &place(one));
            let mut matched = self.rules.judge_by_past(&one.job, Past::new(past), now);
            if at >= share.waiting.len() {
                // It is judged; what is new about it is what the late ones change.
                let known = hindsight.as_known(past, &share.late);
                let before = self.rules.judge_by_past(&one.job, Past::new(&known), now);
                matched.retain(|rule| !before.iter().any(|other| other.name == rule.name));
            } else if hindsight.inherited {
                matched.extend(self.rules.judge(&one.job, now));
            }
            for rule in self.not_alerted(one, matched).await? {
                raised.push((place(one), alert(&rule, &one.job, one.run)));
            }
        }
        for one in &jobs {
            hindsight.stood.remove(&one.job.id);
            if let Some(last) = moment(&one.job) {
                hindsight.is_judged_up_to(profile, &last);
            }
        }
        Ok(())
    }

    /// The ends that are judged and came later than one that shows up now.
    async fn later(&self, record: &SourceRecord, profile: &str, first: &Moment) -> Result<Vec<Unjudged>, StoreError> {
        let query =
            LaterQuery { source: self.name.clone(), profile: profile.to_owned(), than: first.clone(), since: record.cut, most: AGAIN };
        let later = self.store.judged_later(query).await?;
        if !later.is_empty() {
            tracing::debug!(source = %self.name, profile, later = later.len(), "an end showed up late: later ones are judged again");
        }
        if later.len() >= AGAIN as usize {
            tracing::warn!(source = %self.name, profile, judged_again = AGAIN, "an end showed up so late that not all later ones are judged again");
        }
        Ok(later)
    }

    /// The rules that have not alerted on a run.
    async fn not_alerted(&self, one: &Unjudged, mut matched: Vec<Arc<Rule>>) -> Result<Vec<Arc<Rule>>, StoreError> {
        if !matched.is_empty() {
            let alerted = self.store.alerted(&self.name, &one.job.id, one.run).await?;
            matched.retain(|rule| !alerted.contains(&rule.name));
        }
        Ok(matched)
    }

    /// The past of each of these jobs of one profile, as far as a rule may look; mostly by one query for all.
    async fn pasts_of(&self, hindsight: &mut Hindsight, profile: &str, jobs: &[&Unjudged]) -> Result<Pasts, StoreError> {
        let places: Vec<Moment> = jobs.iter().map(|one| place(one)).collect();
        let need = jobs.iter().filter_map(|one| self.rules.need(&one.job)).reduce(Need::with);
        let (Some(need), Some(first), Some(last)) = (need, places.iter().min(), places.iter().max()) else { return Ok(Pasts::default()) };
        let most = PAST_MOST.saturating_add(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        let shared = self.store.past(self.query(profile, need, last.clone(), first.at, most)).await?;
        let reaches = before(&shared, first).len() >= PAST_MOST as usize;
        if reaches && !std::mem::replace(&mut hindsight.told_far, true) {
            tracing::warn!(source = %self.name, profile, jobs = PAST_MOST, "a rule looks further back than this many jobs: what lies behind them does not count");
        }
        if reaches || shared.len() < most as usize {
            return Ok(Pasts { shared, own: Vec::new() });
        }
        // So much lies between the first and the last of them that the one query did not reach behind the first.
        let mut own = Vec::with_capacity(jobs.len());
        for (one, place) in jobs.iter().zip(places) {
            let at = place.at;
            own.push(match self.rules.need(&one.job) {
                None => Vec::new(),
                Some(need) => self.store.past(self.query(profile, need, place, at, PAST_MOST)).await?,
            });
        }
        Ok(Pasts { shared: Vec::new(), own })
    }

    fn query(&self, profile: &str, need: Need, before: Moment, from: Timestamp, most: u32) -> PastQuery {
        let since = from.checked_sub(need.reach).unwrap_or(Timestamp::MIN);
        PastQuery { source: self.name.clone(), profile: profile.to_owned(), before, jobs: need.jobs, since: Some(since), most }
    }

    /// The pasts that rules need for these jobs that run, each profile's read once until something of it ends.
    pub(super) async fn recall(
        &self,
        hindsight: &mut Hindsight,
        running: impl Iterator<Item = &Job>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut needs: HashMap<&str, Need> = HashMap::new();
        for job in running {
            if let Some(need) = self.rules.need(job) {
                let all = needs.entry(&job.profile).or_default();
                *all = all.with(need);
            }
        }
        hindsight.pasts.retain(|profile, (have, _)| needs.get(profile.as_str()).is_some_and(|need| have.with(*need) == *have));
        for (profile, need) in needs {
            if !hindsight.pasts.contains_key(profile) {
                let end = Moment { at: Timestamp::MAX, id: String::new() };
                let past = self.store.past(self.query(profile, need, end, now, PAST_MOST)).await?;
                hindsight.pasts.insert(profile.to_owned(), (need, past));
            }
        }
        Ok(())
    }

    /// The rules that look at the past and that a job matches which runs; see [`Intake::recall`].
    pub(super) fn judge_running_by_past(&self, hindsight: &Hindsight, job: &Job, now: Timestamp) -> Vec<Arc<Rule>> {
        let Some((_, past)) = hindsight.pasts.get(&job.profile) else { return Vec::new() };
        let ended = past.partition_point(|job| job.finished > Some(now));
        self.rules.judge_by_past(job, Past::new(past.get(ended..).unwrap_or_default()), now)
    }
}

#[cfg(test)]
mod tests;
