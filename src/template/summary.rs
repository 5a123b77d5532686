//! What templates see of a digest. Beside the facts there are sentences about them in `says`, free of any text from outside, so
//! that every channel says the same.

mod words;

use std::time::Duration;

use jiff::{Timestamp, fmt::strtime, tz::TimeZone};
use serde_json::{Value, json};

use crate::domain::{Category, Coverage, Day, Digest, Failing, Listed, Slow, State, Tenant, Totals, format_duration};
use words::{late_note, nothing_failed, plural, title};

/// The address under which a digest's mail finds its picture: mail that names it is sent with one.
pub const PICTURE: &str = "cid:picture@jobrelay";

/// How a time of the period is written.
const TIME: &str = "%a %-d %b %H:%M";

/// `period`: `since until seconds`, `label` ("Thu 26 Sep 08:00 to Fri 27 Sep 08:00"), `timezone`.
pub(super) fn period(digest: &Digest) -> Value {
    let seconds = digest.until.duration_since(digest.since).as_secs();
    json!({
        "since": digest.since,
        "until": digest.until,
        "seconds": seconds,
        "label": format!("{} to {}", time(digest, digest.since), time(digest, digest.until)),
        "timezone": digest.zone,
    })
}

/// `totals`: `ended finished failed finished_with_exception skipped stopped other`, and `before`, the same of the period before.
pub(super) fn totals(digest: &Digest) -> Value {
    let mut all = states(&digest.totals);
    all["before"] = states(&digest.before);
    all
}

fn states(totals: &Totals) -> Value {
    json!({
        "ended": totals.ended(),
        "finished": totals.finished,
        "failed": totals.failed,
        "finished_with_exception": totals.finished_with_exception,
        "skipped": totals.skipped,
        "stopped": totals.stopped,
        "other": totals.unknown,
    })
}

/// `digest`, whose lists hold at most `shown` entries each; `…_left_out` is how many they do not:
///
/// - `name title nothing_failed well late_note part several`
/// - `failing` (the worst first): `source profile ended failed finished_with_exception still streak streak_more last_good
///   last_failed says`; with several sources in the order of those, with `new_source` and `source_says` on the first of each and
///   `source_left_out` on its last
/// - `tenants`: `source ended failed says`; `quiet`: names
/// - `recovered`: `source profile after at says`; `slower`, `slowest`: `source profile job duration usual took says`
/// - `states`: `name label count before`; `categories`: `name label count failed before`
/// - `days`: `at date label ended finished failed other`; `bars`: `ended failed`, a character a day; `picture` (see [`PICTURE`]),
///   `picture_says`
/// - `coverage`: `says polls missed sources jobs running newest troubled`, where `newest` (or null) is `source id profile state
///   state_label at` and each of `troubled` is `source polls missed last says`
/// - `notes`: sentences about what was not reckoned
pub(super) fn digest(digest: &Digest, shown: usize) -> Value {
    let (failing, failing_left_out) = failing(digest, shown);
    let tenants: Vec<Value> = digest.tenants.first.iter().take(shown).map(tenant).collect();
    let recovered = list(&digest.recovered, shown, |one| {
        let says = one.after.map_or_else(|| "after it had failed".into(), |after| format!("after {after} failed"));
        json!({ "source": one.source, "profile": one.profile, "after": one.after, "at": one.at, "says": says })
    });
    let slower = list(&digest.slower, shown, slow);
    let slowest = list(&digest.slowest, shown, slow);
    let quiet: Vec<&String> = digest.quiet.first.iter().take(shown).collect();
    json!({
        "name": digest.name,
        "title": title(&digest.totals, &digest.coverage, digest.tenants.count()),
        "nothing_failed": nothing_failed(&digest.coverage),
        "well": digest.totals.bad() == 0 && digest.coverage.missed == 0,
        "late_note": digest.due.filter(|_| digest.late).map(|due| late_note(&time(digest, due), &time(digest, digest.until))),
        "part": digest.part,
        "several": digest.several,
        "failing": failing,
        "failing_left_out": failing_left_out,
        "tenants_left_out": digest.tenants.count() - tenants.len() as u64,
        "tenants": tenants,
        "quiet_left_out": digest.quiet.count() - quiet.len() as u64,
        "quiet": quiet,
        "recovered": recovered.0,
        "recovered_left_out": recovered.1,
        "slower": slower.0,
        "slower_left_out": slower.1,
        "slowest": slowest.0,
        "slowest_left_out": slowest.1,
        "states": by_state(digest),
        "categories": categories(digest, shown),
        "days": digest.days.iter().map(|day| self::day(digest, day)).collect::<Vec<_>>(),
        "bars": { "ended": bars(&digest.days, Day::ended), "failed": bars(&digest.days, |day| day.failed) },
        "picture": (!digest.days.is_empty()).then_some(PICTURE),
        "picture_says": picture_says(digest),
        "coverage": coverage(digest, shown),
        "notes": digest.notes,
    })
}

fn list<T>(listed: &Listed<T>, shown: usize, one: impl Fn(&T) -> Value) -> (Vec<Value>, u64) {
    let values: Vec<Value> = listed.first.iter().take(shown).map(one).collect();
    let left_out = listed.count() - values.len() as u64;
    (values, left_out)
}

/// A time in the digest's zone.
fn time(digest: &Digest, at: Timestamp) -> String {
    let zone = TimeZone::get(&digest.zone).unwrap_or(TimeZone::UTC);
    strtime::format(TIME, &at.to_zoned(zone)).unwrap_or_else(|_| at.to_string())
}

/// The rows of what failed, and how many profiles they leave out.
fn failing(digest: &Digest, shown: usize) -> (Vec<Value>, u64) {
    if !digest.several {
        return list(&digest.failing, shown, |one| row(digest, one));
    }
    let mut rows = Vec::new();
    for tenant in &digest.tenants.first {
        let room = shown.saturating_sub(rows.len()).min(tenant.failing.first.len());
        let its = tenant.failing.first.iter().take(room).enumerate().map(|(at, one)| {
            let mut row = row(digest, one);
            row["new_source"] = (at == 0).into();
            row["source_says"] = tenant_says(tenant).into();
            if at + 1 == room {
                row["source_left_out"] = (tenant.failing.count() - room as u64).into();
            }
            row
        });
        rows.extend(its);
    }
    let left_out = digest.failing.count().saturating_sub(rows.len() as u64);
    (rows, left_out)
}

fn row(digest: &Digest, one: &Failing) -> Value {
    json!({
        "source": one.source,
        "profile": one.profile,
        "ended": one.totals.ended(),
        "failed": one.totals.failed,
        "finished_with_exception": one.totals.finished_with_exception,
        "still": one.still,
        "streak": one.streak,
        "streak_more": one.streak_more,
        "last_good": one.last_good,
        "last_failed": one.last_failed,
        "says": failing_says(digest, one),
        "new_source": false,
        "source_says": null,
        "source_left_out": 0,
    })
}

fn failing_says(digest: &Digest, one: &Failing) -> String {
    let (bad, ended) = (one.totals.bad(), one.totals.ended());
    let verb = if one.totals.failed == 0 { "finished with exceptions" } else { "failed" };
    let counts = match (bad, ended) {
        (1, 1) => verb.to_owned(),
        (bad, ended) if bad == ended => format!("all {ended} {verb}"),
        (bad, ended) => format!("{bad} of {ended} {verb}"),
    };
    let exceptions = match one.totals.finished_with_exception {
        exceptions @ 1.. if one.totals.failed > 0 => format!(" ({exceptions} with exceptions)"),
        _ => String::new(),
    };
    if !one.still {
        return format!("{counts}{exceptions}, well again since");
    }
    let row = match one.streak {
        Some(streak @ 2..) => format!(", {streak}{} in a row", if one.streak_more { " or more" } else { "" }),
        _ => String::new(),
    };
    let good = match (one.last_good, one.streak) {
        (Some(good), _) => format!("; last good {}", time(digest, good)),
        (None, Some(_)) if !one.streak_more => "; no good one is known".into(),
        _ => String::new(),
    };
    format!("{counts}{exceptions}{row}{good}")
}

fn tenant(tenant: &Tenant) -> Value {
    json!({ "source": tenant.source, "ended": tenant.totals.ended(), "failed": tenant.totals.bad(), "says": tenant_says(tenant) })
}

fn tenant_says(tenant: &Tenant) -> String {
    let (bad, ended) = (tenant.totals.bad(), tenant.totals.ended());
    format!("{bad} of {ended} {} failed, in {} {}", plural(ended), tenant.failing.count(), profiles(tenant.failing.count()))
}

const fn profiles(count: u64) -> &'static str {
    if count == 1 { "profile" } else { "profiles" }
}

fn slow(slow: &Slow) -> Value {
    let took = format_duration(Duration::from_millis(slow.millis));
    let says = slow.usual.map_or_else(
        || took.clone(),
        |usual| {
            let times = slow.millis as f64 / usual.max(1) as f64;
            format!("{took}, usually {} ({times:.1} times as long)", format_duration(Duration::from_millis(usual)))
        },
    );
    let seconds = |millis: u64| millis as f64 / 1000.0;
    json!({
        "source": slow.source,
        "profile": slow.profile,
        "job": slow.id,
        "duration": seconds(slow.millis),
        "usual": slow.usual.map(seconds),
        "took": took,
        "says": says,
    })
}

/// The states that jobs ended in, in this period or the one before.
fn by_state(digest: &Digest) -> Vec<Value> {
    let (now, before) = (states(&digest.totals), states(&digest.before));
    let labels = [
        (State::Finished.name(), State::Finished.label()),
        (State::Failed.name(), State::Failed.label()),
        (State::FinishedWithException.name(), State::FinishedWithException.label()),
        (State::Skipped.name(), State::Skipped.label()),
        (State::Stopped.name(), State::Stopped.label()),
        ("other".into(), "Other".into()),
    ];
    let count = |of: &Value, name: &str| of[name].as_u64().unwrap_or_default();
    labels
        .iter()
        .map(|(name, label)| (name, label, count(&now, name), count(&before, name)))
        .filter(|(.., now, before)| now + before > 0)
        .map(|(name, label, now, before)| json!({ "name": name, "label": label, "count": now, "before": before }))
        .collect()
}

/// By category, where there is more than one.
fn categories(digest: &Digest, shown: usize) -> Vec<Value> {
    if digest.categories.len() < 2 {
        return Vec::new();
    }
    let one = |one: &crate::domain::CategoryTotals| {
        json!({
            "name": one.category().map(Category::name),
            "label": one.category().map_or_else(|| "Not told".into(), Category::label),
            "count": one.totals.ended(),
            "failed": one.totals.bad(),
            "before": one.before.ended(),
        })
    };
    digest.categories.iter().take(shown).map(one).collect()
}

fn day(digest: &Digest, day: &Day) -> Value {
    let zone = TimeZone::get(&digest.zone).unwrap_or(TimeZone::UTC);
    let at = day.at.to_zoned(zone);
    let label = strtime::format("%-d %b", &at).unwrap_or_default();
    json!({ "at": day.at, "date": at.date().to_string(), "label": label, "ended": day.ended(), "finished": day.finished, "failed": day.failed, "other": day.other })
}

/// A character a day, as high as the day was full; a dot where it was empty.
fn bars(days: &[Day], of: impl Fn(&Day) -> u64) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = days.iter().map(&of).max().unwrap_or_default();
    let height = |count: u64| {
        // At most 8, and at least 1 where there is anything at all.
        let eighths = (u128::from(count) * 8).div_ceil(u128::from(most.max(1)));
        usize::try_from(eighths).ok().and_then(|eighths| eighths.checked_sub(1)).and_then(|at| HEIGHTS.get(at)).copied().unwrap_or('·')
    };
    days.iter().map(|day| height(of(day))).collect()
}

fn picture_says(digest: &Digest) -> String {
    let sum = |of: fn(&Day) -> u64| digest.days.iter().map(of).sum::<u64>();
    let (ended, failed) = (sum(Day::ended), sum(|day| day.failed));
    let (days, scans) = (digest.days.len(), plural(ended));
    match digest.days.iter().max_by_key(|day| day.ended()).filter(|_| ended > 0) {
        Some(fullest) => {
            let zone = TimeZone::get(&digest.zone).unwrap_or(TimeZone::UTC);
            let date = strtime::format("%-d %b", &fullest.at.to_zoned(zone)).unwrap_or_default();
            format!("The last {days} days: {ended} {scans} ended, {failed} of them badly; most on {date} ({}).", fullest.ended())
        }
        None => format!("The last {days} days: no scan ended."),
    }
}

fn coverage(digest: &Digest, shown: usize) -> Value {
    let coverage = &digest.coverage;
    let troubled = list(&coverage.troubled, shown, |one| {
        let last = one.last.map_or_else(|| "never polled".into(), |last| format!("last tried {}", time(digest, last)));
        let says = format!("{} made, {} missed, {last}", one.polls, one.missed);
        json!({ "source": one.source, "polls": one.polls, "missed": one.missed, "last": one.last, "says": says })
    });
    let newest = coverage.newest.as_ref().map(|newest| {
        let label = State::parse(&newest.state).map_or_else(|| newest.state.clone().into(), State::label);
        json!({
            "source": newest.source,
            "id": newest.id,
            "profile": newest.profile,
            "state": newest.state,
            "state_label": label,
            "at": newest.at,
            "says": format!("started {}, {}", time(digest, newest.at), label.to_lowercase()),
        })
    });
    json!({
        "says": coverage_says(coverage),
        "polls": coverage.polls,
        "missed": coverage.missed,
        "sources": coverage.sources,
        "jobs": coverage.jobs,
        "running": coverage.running,
        "newest": newest,
        "troubled": troubled.0,
        "troubled_left_out": troubled.1,
    })
}

fn coverage_says(coverage: &Coverage) -> String {
    let Coverage { polls, missed, sources, jobs, running, .. } = coverage;
    let missed = if *missed == 0 { "none".to_owned() } else { missed.to_string() };
    let several = if *sources == 1 { String::new() } else { format!(" of {sources} sources") };
    let polled = if *polls == 1 { "poll" } else { "polls" };
    format!("{polls} {polled}{several} made, {missed} missed; {jobs} {} seen to end, {running} running", plural(*jobs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_poll_is_one_poll() {
        let one = Coverage { polls: 1, sources: 1, jobs: 2, ..Coverage::default() };
        assert_eq!(coverage_says(&one), "1 poll made, none missed; 2 scans seen to end, 0 running");
    }
}
