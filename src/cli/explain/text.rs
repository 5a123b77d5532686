//! The account for a person: the answer first, then what it rests on.

use std::{fmt::Write, time::Duration};

use super::{
    account::{Account, AlertAccount, stamp},
    delivery::{Delivery, plural},
    judged::{Compared, Judged, Said},
};
use crate::{cli::output::plain, domain::format_duration};

/// How many rules that stayed silent are shown.
const SILENT_SHOWN: usize = 50;

/// Writes it. With `every`, each rule's conditions are all shown, not only those of rules that match.
pub fn write(account: &Account, every: bool) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{}", plain(&text));
    };
    line(account.summary.clone());
    line(String::new());
    job(account, &mut line);
    for alert in &account.alerts {
        line(String::new());
        raised(account, alert, &mut line);
    }
    line(String::new());
    let (telling, silent): (Vec<&Judged>, Vec<&Judged>) = account.rules.iter().partition(|one| one.verdict != Said::Silent);
    let more = if account.disabled_rules == 0 { String::new() } else { format!("; {} more disabled", account.disabled_rules) };
    line(format!("rules as they are now (version {}{more})", account.rules_version));
    for one in telling {
        rule(one, every || matches!(one.verdict, Said::Alerted | Said::Matches), &mut line);
    }
    for one in silent.iter().take(SILENT_SHOWN) {
        rule(one, every, &mut line);
    }
    if let Some(more) = silent.len().checked_sub(SILENT_SHOWN).filter(|more| *more > 0) {
        line(format!("  {more} more are silent; --rule NAME shows one, --format json all"));
    }
    out
}

fn job(account: &Account, line: &mut impl FnMut(String)) {
    let job = &account.job;
    let mut row = |name: &str, value: String| line(format!("{name:<11}{value}"));
    row("job", format!("{}, of the source {}, run {}", job.id, job.source, account.run));
    row("profile", if job.profile.is_empty() { "no name".to_owned() } else { job.profile.clone() });
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    row("type", format!("{}, category {}", or_none(&job.kind), or_none(&job.category)));
    row("state", job.state.clone());
    row("started", job.started.map_or_else(|| "not told".to_owned(), stamp));
    let for_so_long = |secs: f64| Duration::try_from_secs_f64(secs).ok().map(format_duration);
    row(
        "finished",
        match (job.finished, job.duration.and_then(for_so_long)) {
            (Some(at), Some(length)) => format!("{}, after {length}", stamp(at)),
            (Some(at), None) => stamp(at),
            (None, Some(age)) => format!("not yet; it has been running for {age}"),
            (None, None) => "not told".to_owned(),
        },
    );
    row("first seen", stamp(account.first_seen));
    for note in &account.notes {
        row("note", note.clone());
    }
}

fn raised(account: &Account, alert: &AlertAccount, line: &mut impl FnMut(String)) {
    let earlier = if alert.run == account.run { String::new() } else { format!(", on run {}", alert.run) };
    let version = alert.rules_version.as_ref().map(|version| format!("; judged by rules of version {version}")).unwrap_or_default();
    line(format!(
        "alert {} of {} ({}), {}{earlier}: the job was {}; {}{version}",
        alert.id,
        alert.rule,
        alert.severity,
        stamp(alert.created),
        alert.state,
        alert.how
    ));
    for change in &alert.since_changed {
        line(format!("  note: {change}"));
    }
    if alert.deliveries.is_empty() {
        line("  it notified no channel".to_owned());
    }
    for one in &alert.deliveries {
        delivery(one, line);
    }
}

fn delivery(one: &Delivery, line: &mut impl FnMut(String)) {
    line(format!("  {}", one.words));
    let message = one.telling();
    let answer = message.answer.as_deref().filter(|_| one.outcome != "dead").map(|answer| format!("; its last answer: {answer}"));
    line(format!("    delivery {}, {}{}", message.id, plural(message.attempts.into(), "attempt"), answer.unwrap_or_default()));
    for recipient in one.recipients() {
        let word = if recipient.accepted { "accepted" } else { "refused" };
        line(format!("    {} {word}: {}", recipient.target, recipient.answer));
    }
    for instead in &one.instead {
        line(format!(
            "    in its place: {} (delivery {}, {})",
            instead.words,
            instead.message.id,
            plural(instead.message.attempts.into(), "attempt")
        ));
    }
}

fn rule(one: &Judged, all: bool, line: &mut impl FnMut(String)) {
    let word = match one.verdict {
        Said::Alerted => "alerted",
        Said::Matches => "matches, no alert",
        Said::Silent => "silent",
        Said::WaitsForTheEnd => "waits",
        Said::JudgesNoJob => "no judge of jobs",
    };
    line(format!("  {}: {word}: {}", one.rule, one.reason));
    if all {
        one.conditions.iter().for_each(|condition| compared(condition, line));
    }
}

fn compared(one: &Compared, line: &mut impl FnMut(String)) {
    let holds = if one.held == one.is_negated() { "no " } else { "yes" };
    let decided = if one.decided { "  <- decided" } else { "" };
    line(format!("    {holds} {}: found {}; {}{decided}", one.condition, one.found, one.wish()));
}
