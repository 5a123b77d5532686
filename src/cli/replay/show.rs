//! A replay as people read it, and as programs do.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    period::length,
    sums::{Played, Summary, Sums},
};
use crate::{
    cli::output::{columns, moment, print},
    domain::{Job, Name, NotificationKind, Severity},
    rehearsal::{Event, Gap, Message},
};

/// One message to one channel, in the words of `deliveries` and `alerts`.
#[derive(Debug, Serialize)]
struct Line<'p> {
    created: Timestamp,
    channel: &'p Name,
    kind: NotificationKind,
    rule: &'p Name,
    severity: Severity,
    jobs: Vec<&'p str>,
    alerts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<NoticeLine<'p>>,
}

/// What a notice is about.
#[derive(Debug, Serialize)]
struct NoticeLine<'p> {
    title: String,
    source: &'p Name,
    since: Option<Timestamp>,
    over: bool,
}

/// A replay as one JSON object.
#[derive(Serialize)]
struct Whole<'p> {
    notifications: Vec<Line<'p>>,
    summary: &'p Summary,
}

/// Prints a replay as one JSON object.
///
/// # Errors
/// It can't be written as JSON.
pub fn json(played: &Played, summary: &Summary) -> Result<(), String> {
    let line = |message| lines(message, &played.events);
    let whole = Whole { notifications: played.messages.iter().flat_map(line).collect(), summary };
    print(format_args!("{}", serde_json::to_string_pretty(&whole).map_err(|error| error.to_string())?));
    Ok(())
}

fn lines<'p>(message: &'p Message, events: &'p [Event]) -> impl Iterator<Item = Line<'p>> {
    let notice = message.carries.first().and_then(|place| notice(events.get(*place)?));
    let is_notice = notice.is_some();
    message.rule.notify.iter().map(move |channel| Line {
        created: message.at,
        channel,
        kind: message.kind,
        rule: &message.rule.name,
        severity: message.rule.facts.severity,
        jobs: carried(message, events).map(|job| job.id.as_str()).collect(),
        alerts: if is_notice { 0 } else { message.carries.len() as u64 },
        notice: message.carries.first().and_then(|place| self::notice(events.get(*place)?)),
    })
}

fn carried<'p>(message: &'p Message, events: &'p [Event]) -> impl Iterator<Item = &'p Job> {
    message.carries.iter().filter_map(|place| match events.get(*place)? {
        Event::Raised(raised) => Some(&*raised.job),
        Event::Missed(_) | Event::Back(_) => None,
    })
}

fn notice(event: &Event) -> Option<NoticeLine<'_>> {
    let (gap, over) = match event {
        Event::Raised(_) => return None,
        Event::Missed(gap) => (gap, false),
        Event::Back(gap) => (gap, true),
    };
    Some(NoticeLine { title: title(gap, over), source: &gap.source, since: gap.last, over })
}

fn title(gap: &Gap, over: bool) -> String {
    let last = gap.last.map_or_else(|| "none was seen before".to_owned(), |last| format!("the last one before ended {}", moment(last)));
    let what = if over { "a job has come again" } else { "no job has come in time" };
    format!("{}: {what}; {last}", gap.source)
}

/// Prints a replay in columns: the first `most` notifications, then the sums.
pub fn table(played: &Played, summary: &Summary, most: usize) {
    let rows: Vec<Vec<String>> = played.messages.iter().flat_map(|message| cells(message, &played.events)).take(most).collect();
    if !rows.is_empty() {
        print(format_args!("{}\n", columns(&["WHEN", "KIND", "RULE", "CHANNEL", "JOBS", "STATE", "PROFILE"], rows)));
    }
    let untold = summary.all.notifications.saturating_sub(most as u64);
    if untold > 0 {
        print(format_args!("and {untold} more: --show {} lists them all\n", summary.all.notifications));
    }
    let with_sums = |name: String, sums: Sums| vec![name, sums.alerts.to_string(), sums.notifications.to_string()];
    let mut rules: Vec<_> = summary.rules.iter().filter(|rule| rule.sums != Sums::default()).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse((rule.sums.notifications, rule.sums.alerts)));
    if !rules.is_empty() {
        print(format_args!(
            "{}",
            columns(&["RULE", "ALERTS", "MESSAGES"], rules.iter().map(|rule| with_sums(rule.rule.clone(), rule.sums)))
        ));
    }
    let silent: Vec<&str> = summary.rules.iter().filter(|rule| rule.sums == Sums::default()).map(|rule| rule.rule.as_str()).collect();
    if !silent.is_empty() {
        print(format_args!("nothing from: {}", silent.join(", ")));
    }
    if !summary.channels.is_empty() {
        let rows = summary.channels.iter().map(|channel| with_sums(channel.channel.clone(), channel.sums));
        print(format_args!("\n{}", columns(&["CHANNEL", "ALERTS", "MESSAGES"], rows)));
    }
    if !summary.days.is_empty() {
        let rows = summary.days.iter().map(|day| with_sums(day.day.to_string(), day.sums));
        print(format_args!("\n{}", columns(&["DAY (UTC)", "ALERTS", "MESSAGES"], rows)));
    }
    print(format_args!("\n{}", of_jobs(summary)));
    print(format_args!("{}", last_line(summary)));
}

/// `1204 jobs from … to …; 3 rows can't be read`, and what else is to be known, a line each.
pub fn of_jobs(summary: &Summary) -> String {
    let unreadable = match summary.unreadable {
        0 => String::new(),
        n => format!("; {} can't be read", counted(n, "row")),
    };
    let jobs = format!("{} from {} to {}{unreadable}", counted(summary.jobs, "job"), moment(summary.since), moment(summary.until));
    let notes = summary.notes.iter().map(|note| format!("note: {note}"));
    std::iter::once(jobs).chain(notes).collect::<Vec<_>>().join("\n")
}

/// `37 alerts in 21 messages over 30 days: nothing was sent`
fn last_line(summary: &Summary) -> String {
    let Sums { alerts, notifications, notices } = summary.all;
    let told = if notices > 0 { format!(" and {}", counted(notices, "notice")) } else { String::new() };
    let messages = counted(notifications.saturating_sub(notices), "message");
    format!("{} in {messages}{told} over {}: nothing was sent", counted(alerts, "alert"), length(summary.since, summary.until))
}

/// `1 alert`, `2 alerts`
pub fn counted(n: u64, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

fn cells(message: &Message, events: &[Event]) -> Vec<Vec<String>> {
    let first = message.carries.first().and_then(|place| events.get(*place));
    let [jobs, state, profile] = match first {
        Some(Event::Raised(raised)) => {
            let id = &raised.job.id;
            let jobs = if message.carries.len() > 1 { format!("{id} and {} more", message.carries.len() - 1) } else { id.clone() };
            [jobs, raised.job.state.name().into_owned(), raised.job.profile.clone()]
        }
        Some(event) => [notice(event).map(|notice| notice.title).unwrap_or_default(), String::new(), String::new()],
        None => [String::new(), String::new(), String::new()],
    };
    let row = |channel: &Name| {
        let kind = message.kind.name().to_owned();
        vec![moment(message.at), kind, message.rule.name.to_string(), channel.to_string(), jobs.clone(), state.clone(), profile.clone()]
    };
    message.rule.notify.iter().map(row).collect()
}
