//! From the sums and the histories of the profiles that matter to what is said.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{
    Period, Scope,
    sums::{PROFILES_MOST, ProfileSums, Sums},
};
use crate::{
    domain::{
        CategoryTotals, Coverage, Day, Digest, Failing, Listed, Name, Newest, Recovered, Slow, SourceCoverage, State, Tenant, is_bad,
    },
    store::{DigestStore, Ended, HistoryAsk, StoreError},
};

/// How many entries of each list are kept: nobody reads more in a message.
const KEPT: usize = 50;
/// How many profiles of one tenant are.
const KEPT_OF_TENANT: usize = 5;
/// How many of the slowest jobs are told.
const SLOWEST: usize = 5;
/// For so many failing profiles it is looked up how long they have been so, and so far back.
const STREAKS: usize = 200;
const STREAK_JOBS: u32 = 500;
/// For so many profiles it is looked up whether they had failed before.
const LOOKED_BACK: usize = 2_000;
/// For so many, the slowest first, what is usual, over so many jobs before.
const COMPARED: usize = 500;
const COMPARED_JOBS: u32 = 60;
/// The longest name that is kept: more is never shown.
const NAME_CHARS: usize = 300;

/// As `slower_than_usual` is where a rule says no more: longer than twice the median of the last 20 jobs that finished, of at
/// least three, and at least a minute.
const FACTOR: u32 = 2;
const OVER: usize = 20;
const LEAST: usize = 3;
const FLOOR: Duration = Duration::from_secs(60);

/// One profile with its source.
type Entry<'s> = (&'s Name, &'s str, &'s ProfileSums);

pub async fn reckon(
    store: &dyn DigestStore,
    scope: &Scope,
    period: &Period,
    sums: Sums,
    days: Vec<Day>,
    coverage: Coverage,
) -> Result<Digest, StoreError> {
    let all: Vec<Entry<'_>> =
        sums.sources.iter().flat_map(|(source, its)| its.profiles.iter().map(move |(profile, sums)| (source, &**profile, sums))).collect();
    let mut notes = Vec::new();
    if sums.nameless > 0 {
        notes.push(format!("More than {PROFILES_MOST} scan profiles: {} jobs of the others are in the totals only.", sums.nameless));
    }
    let failing = failing(store, &all, period, &mut notes).await?;
    let recovered = recovered(store, &all, period, &mut notes).await?;
    let (slower, slowest) = slow(store, &all, period, &mut notes).await?;
    let several = scope.sources.len() > 1 || sums.sources.len() > 1;
    let tenants = if several { tenants(&sums, &failing) } else { Vec::new() };
    let quiet = if several { quiet(scope, &sums, &coverage) } else { Vec::new() };
    let mut categories: Vec<CategoryTotals> =
        sums.categories.iter().map(|(code, (totals, before))| CategoryTotals { code: *code, totals: *totals, before: *before }).collect();
    categories.sort_by_key(|category| (std::cmp::Reverse(category.totals.ended()), category.code));
    categories.truncate(KEPT);
    Ok(Digest {
        name: scope.name.to_string(),
        since: period.since,
        until: period.until,
        due: period.due,
        late: period.late,
        zone: scope.zone.iana_name().unwrap_or("UTC").to_owned(),
        part: scope.when.is_some(),
        totals: sums.totals,
        before: sums.before_totals,
        categories,
        failing: Listed::of(failing, KEPT),
        recovered: Listed::of(recovered, KEPT),
        slower: Listed::of(slower, KEPT),
        slowest: Listed::of(slowest, SLOWEST),
        tenants: Listed::of(tenants, KEPT),
        quiet: Listed::of(quiet, KEPT),
        several,
        days,
        coverage: brief_coverage(coverage),
        notes,
    })
}

/// The profiles with jobs that failed, the worst first: those not mended, then by how many failed.
async fn failing(store: &dyn DigestStore, all: &[Entry<'_>], period: &Period, notes: &mut Vec<String>) -> Result<Vec<Failing>, StoreError> {
    let mut found: Vec<&Entry<'_>> = all.iter().filter(|(.., sums)| sums.totals.bad() > 0).collect();
    found.sort_by(|(a_source, a_name, a), (b_source, b_name, b)| {
        let rank = |sums: &ProfileSums| (sums.is_failing(), sums.totals.bad(), sums.totals.failed);
        rank(b).cmp(&rank(a)).then_with(|| (a_source, a_name).cmp(&(b_source, b_name)))
    });
    let asks = found.iter().take(STREAKS).map(|entry| ask(entry, None, period, STREAK_JOBS)).collect();
    if found.len() > STREAKS {
        notes.push(format!("How long they have failed was looked up for {STREAKS} of {} profiles.", found.len()));
    }
    let mut histories = store.histories(asks).await?.into_iter();
    let fact = |(source, profile, sums): &Entry<'_>, history: Option<Vec<Ended>>| {
        let streak = history.as_ref().map(|history| history.iter().take_while(|ended| is_bad(ended.state)).count());
        // A streak as long as what was looked at may be longer.
        let more = history.as_ref().is_some_and(|history| streak == Some(history.len()) && history.len() >= STREAK_JOBS as usize);
        let last_good = history.as_ref().and_then(|history| history.iter().find(|ended| ended.state == State::Finished));
        Failing {
            source: brief(source),
            profile: brief(profile),
            totals: sums.totals,
            still: sums.is_failing(),
            streak: streak.map(|streak| u32::try_from(streak).unwrap_or(u32::MAX)),
            streak_more: more,
            last_good: last_good.map(|ended| ended.finished),
            last_failed: sums.last_failed,
        }
    };
    Ok(found.into_iter().map(|entry| fact(entry, histories.next())).collect())
}

/// The profiles that had failed, in the period or last before it, and whose last job finished.
async fn recovered(
    store: &dyn DigestStore,
    all: &[Entry<'_>],
    period: &Period,
    notes: &mut Vec<String>,
) -> Result<Vec<Recovered>, StoreError> {
    let well: Vec<&Entry<'_>> = all.iter().filter(|(.., sums)| sums.is_well()).collect();
    let (mut found, untold): (Vec<&Entry<'_>>, Vec<&Entry<'_>>) = well.into_iter().partition(|(.., sums)| sums.totals.bad() > 0);
    if untold.len() > LOOKED_BACK {
        notes.push(format!("Whether they had failed before was looked up for {LOOKED_BACK} of {} profiles.", untold.len()));
    }
    let asks = untold.iter().take(LOOKED_BACK).map(|entry| ask(entry, entry.2.earliest.as_ref(), period, 1)).collect();
    let before = store.histories(asks).await?;
    let had_failed = |history: &Vec<Ended>| history.first().is_some_and(|ended| is_bad(ended.state));
    found.extend(untold.into_iter().zip(&before).filter(|(_, history)| had_failed(history)).map(|(entry, _)| entry));
    found.sort_by_key(|(source, profile, sums)| (std::cmp::Reverse(sums.newest.as_ref().map(|(at, ..)| *at)), *source, *profile));
    let asks = found.iter().take(KEPT).map(|entry| ask(entry, None, period, STREAK_JOBS)).collect();
    let mut histories = store.histories(asks).await?.into_iter();
    let fact = |(source, profile, sums): &Entry<'_>, history: Option<Vec<Ended>>| {
        let after = history.map(|history| {
            let since = history.iter().skip_while(|ended| !is_bad(ended.state));
            u32::try_from(since.take_while(|ended| is_bad(ended.state)).count()).unwrap_or(u32::MAX)
        });
        let at = sums.newest.as_ref().map(|(at, ..)| *at);
        Recovered { source: brief(source), profile: brief(profile), after: after.filter(|after| *after > 0), at }
    };
    Ok(found.into_iter().map(|entry| fact(entry, histories.next())).collect())
}

/// The profiles whose slowest job took longer than is usual for them, by how much, and those with the slowest jobs.
async fn slow(
    store: &dyn DigestStore,
    all: &[Entry<'_>],
    period: &Period,
    notes: &mut Vec<String>,
) -> Result<(Vec<Slow>, Vec<Slow>), StoreError> {
    let mut ran: Vec<(&Entry<'_>, Duration, Timestamp, &str)> =
        all.iter().filter_map(|entry| entry.2.slowest.as_ref().map(|(took, finished, id)| (entry, *took, *finished, &**id))).collect();
    ran.sort_by(|(a, a_took, ..), (b, b_took, ..)| b_took.cmp(a_took).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
    // Below the floor no job is slow.
    let long = ran.iter().take_while(|(_, took, ..)| *took >= FLOOR).count();
    if long > COMPARED {
        notes.push(format!("What is usual was looked up for the {COMPARED} slowest of {long} profiles."));
    }
    let asks = ran
        .iter()
        .take(COMPARED)
        .map(|(entry, _, finished, id)| ask(entry, Some(&(*finished, (*id).into())), period, COMPARED_JOBS))
        .collect();
    let mut histories = store.histories(asks).await?.into_iter();
    let mut facts: Vec<Slow> = ran
        .iter()
        .map(|((source, profile, _), took, _, id)| Slow {
            source: brief(source),
            profile: brief(profile),
            id: brief(id),
            millis: millis(*took),
            usual: histories.next().and_then(|history| usual(&history)).map(millis),
        })
        .collect();
    let mut slower: Vec<Slow> = facts.iter().filter(|slow| is_slower(slow)).cloned().collect();
    let times = |slow: &Slow| slow.usual.map_or(0.0, |usual| slow.millis as f64 / usual.max(1) as f64);
    slower.sort_by(|a, b| times(b).total_cmp(&times(a)));
    facts.truncate(SLOWEST);
    Ok((slower, facts))
}

fn is_slower(slow: &Slow) -> bool {
    slow.millis >= millis(FLOOR) && slow.usual.is_some_and(|usual| slow.millis > usual.saturating_mul(FACTOR.into()))
}

/// The median of the last jobs that finished, if there are enough of them.
fn usual(history: &[Ended]) -> Option<Duration> {
    let mut took: Vec<Duration> =
        history.iter().filter(|ended| ended.state == State::Finished).filter_map(|ended| ended.took).take(OVER).collect();
    if took.len() < LEAST {
        return None;
    }
    took.sort_unstable();
    let middle = |at: usize| took.get(at).copied().unwrap_or_default();
    Some((middle((took.len() - 1) / 2) + middle(took.len() / 2)) / 2)
}

/// The sources with jobs that failed, the worst first.
fn tenants(sums: &Sums, failing: &[Failing]) -> Vec<Tenant> {
    let mut tenants: Vec<Tenant> = sums
        .sources
        .iter()
        .filter(|(_, its)| its.totals.bad() > 0)
        .map(|(source, its)| {
            let name = brief(source);
            let of_it = failing.iter().filter(|one| one.source == name).cloned().collect();
            Tenant { source: name, totals: its.totals, failing: Listed::of(of_it, KEPT_OF_TENANT) }
        })
        .collect();
    tenants.sort_by(|a, b| {
        let rank = |tenant: &Tenant| (tenant.totals.failed, tenant.totals.bad(), tenant.failing.count());
        rank(b).cmp(&rank(a)).then_with(|| a.source.cmp(&b.source))
    });
    tenants
}

/// The sources without any.
fn quiet(scope: &Scope, sums: &Sums, coverage: &Coverage) -> Vec<String> {
    // Of one that was not read nobody knows whether it was without a failure.
    let unread: BTreeSet<&str> = coverage.unread().collect();
    if unread.len() == coverage.troubled.first.len() && coverage.troubled.more > 0 {
        // There are more than are known by name.
        return Vec::new();
    }
    let mut quiet: Vec<String> = scope
        .sources
        .iter()
        .map(|(name, _)| name)
        .filter(|name| sums.sources.get(*name).is_none_or(|its| its.totals.bad() == 0) && !unread.contains(name.as_str()))
        .map(|name| brief(name))
        .collect();
    quiet.sort();
    quiet
}

fn ask(entry: &Entry<'_>, before: Option<&(Timestamp, Box<str>)>, period: &Period, most: u32) -> HistoryAsk {
    let (source, profile, _) = entry;
    HistoryAsk {
        source: (*source).clone(),
        profile: (*profile).to_owned(),
        before: before.map(|(finished, id)| (*finished, id.to_string())),
        until: period.until,
        most,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn brief(text: &str) -> String {
    if text.chars().count() <= NAME_CHARS {
        return text.to_owned();
    }
    text.chars().take(NAME_CHARS - 1).chain(['…']).collect()
}

fn brief_coverage(mut coverage: Coverage) -> Coverage {
    for SourceCoverage { source, .. } in &mut coverage.troubled.first {
        *source = brief(source);
    }
    if let Some(Newest { source, id, profile, .. }) = &mut coverage.newest {
        (*source, *id, *profile) = (brief(source), brief(id), brief(profile));
    }
    coverage
}
