//! What is said of each trouble of the watch, when it begins and when it is over.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    decide::{FLAP_WITHIN, FLAPS, STEADY},
    leap::Leap,
};
use crate::{
    domain::{Notice, Severity, format_duration},
    health::{Topic, Trouble},
};

/// A trouble that begins.
#[must_use]
pub fn begins(topic: &Topic, trouble: &Trouble) -> Notice {
    let why = &trouble.why;
    let (title, text, severity) = match topic {
        Topic::SourceDown(name) => (
            format!("{name} can't be read"),
            format!(
                "The job list of {name} can't be read. No scan of it can be relayed meanwhile; what ends is found when it is back. The last answer: {why}"
            ),
            Severity::Critical,
        ),
        Topic::CredentialsRefused(name) => (
            format!("{name} refuses the credentials"),
            format!(
                "The app registration's secret or certificate for {name} is no longer accepted: it may have expired. Make a new one in AvePoint Online Services under App registrations, set it, and restart jobrelay (SIGHUP will do where it is read from a file). No scan of {name} is relayed until then; what ends is found afterwards. The answer: {why}"
            ),
            Severity::Critical,
        ),
        Topic::SweepIncomplete(name) => (
            format!("The job list of {name} can be read only in part"),
            format!("Scans further down the list of {name} may not be seen: {why}"),
            Severity::Warning,
        ),
        Topic::RowsUnreadable(name) => (
            format!("Jobs of {name} can't be read"),
            format!(
                "The job list of {name} holds entries that make no sense to this program. They are kept as they came, and all others are relayed. The reason: {why}"
            ),
            Severity::Warning,
        ),
        Topic::ChannelRefused(name) => (
            format!("The channel {name} refuses messages"),
            format!(
                "Everything for {name} is held, nothing is lost, and it is tried again every hour. Its address may be gone or its password changed: mend it, then see `jobrelay deliveries --channel {name}`. Its answer: {why}"
            ),
            Severity::Critical,
        ),
        Topic::ChannelDown(name) => (
            format!("The channel {name} takes no messages"),
            format!(
                "Nothing gets through to {name}. What is for it waits in order and is tried again and again; it becomes a dead letter only when it has waited as long as the channel's `give_up_after`. If its service is not down, mend its address or the way to it. The last answer: {why}"
            ),
            Severity::Critical,
        ),
        Topic::ChannelGone(name) => (
            format!("Alerts wait for {name}, which the config no longer has"),
            format!(
                "{why} for the channel {name}, and nothing sends them. Nothing is lost: give a channel this name in the config again, and they go out in order. `jobrelay deliveries --channel {name} --outcome pending` lists them."
            ),
            Severity::Warning,
        ),
        Topic::StoreUnwritable => (
            "The store could not be written".into(),
            format!(
                "Nothing could be written to disk, so nothing was taken in and nothing sent: {why}. Make room or mend the disk, so that it does not happen again."
            ),
            Severity::Critical,
        ),
        Topic::ReloadRefused => (
            "The changed config is not in use".into(),
            format!(
                "A reload was refused as a whole, and the config from before it goes on working; nothing is lost. Mend it, see that `jobrelay check` is content, and reload again. The fault: {why}"
            ),
            Severity::Warning,
        ),
    };
    Notice { topic: topic.words(), title, text, since: Some(whole_second(trouble.since)), severity, over: false }
}

/// Nobody reads more of it, and so it is the same however the store keeps it.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A trouble that is over; it began at `since`.
#[must_use]
pub fn over(topic: &Topic, since: Timestamp) -> Notice {
    const LATE: &str = "Nothing that ended meanwhile is lost: it is relayed now, late but once.";
    let (title, text) = match topic {
        Topic::SourceDown(name) => (format!("{name} can be read again"), LATE.into()),
        Topic::CredentialsRefused(name) => (format!("{name} accepts the credentials again"), LATE.into()),
        Topic::SweepIncomplete(name) => (format!("The job list of {name} is read whole again"), LATE.into()),
        Topic::RowsUnreadable(name) => {
            (format!("All jobs of {name} can be read again"), "The whole list was read, and every entry made sense.".into())
        }
        Topic::ChannelRefused(name) => {
            (format!("The channel {name} takes messages again"), format!("What was held for {name} is sent now, in its order."))
        }
        Topic::ChannelGone(name) => {
            (format!("The config has the channel {name} again"), format!("What waited for {name} is sent now, in its order."))
        }
        Topic::ChannelDown(name) => (format!("The channel {name} is back"), format!("What waited for {name} is sent now, in its order.")),
        Topic::StoreUnwritable => ("The store can be written again".into(), LATE.into()),
        Topic::ReloadRefused => ("The config is in use again".into(), "The config and rules in use are those of the files.".into()),
    };
    Notice { topic: topic.words(), title, text, since: Some(whole_second(since)), severity: Severity::Info, over: true }
}

/// How many sources one notice lists; of more, it says how many.
const LISTED: usize = 20;
/// How much of a reason is repeated for each of several sources, in characters.
const REASON: usize = 120;

/// Whether two topics are of one kind, and are told of together.
#[must_use]
pub fn are_alike(one: Option<&Topic>, other: &Topic) -> bool {
    one.is_some_and(|one| shared(one).is_some() && std::mem::discriminant(one) == std::mem::discriminant(other))
}

/// What is said where several sources share a notice: the topic, and the ends of the two titles.
const fn shared(topic: &Topic) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match topic {
        Topic::SourceDown(_) => ("sources down", "sources can't be read", "sources can be read again"),
        Topic::CredentialsRefused(_) => {
            ("sources credentials refused", "sources refuse the credentials", "sources accept the credentials again")
        }
        Topic::SweepIncomplete(_) => ("sources incomplete", "sources can be read only in part", "sources are read whole again"),
        Topic::RowsUnreadable(_) => {
            ("sources rows unreadable", "sources list jobs that can't be read", "sources list no job any more that can't be read")
        }
        Topic::ChannelRefused(_) | Topic::ChannelDown(_) | Topic::ChannelGone(_) | Topic::StoreUnwritable | Topic::ReloadRefused => {
            return None;
        }
    })
}

/// The same trouble that begins at several sources. Where it `flaps`, it did so lately again and again.
#[must_use]
pub fn begin_together(several: &[(&Topic, &Trouble)], flaps: bool) -> Notice {
    let one = several.first().map(|(topic, trouble)| begins(topic, trouble));
    let (topic, title, _) = several.first().and_then(|(topic, _)| shared(topic)).unwrap_or(("sources", "sources are in trouble", ""));
    let same = several.windows(2).all(|pair| matches!(pair, [(_, one), (_, other)] if one.why == other.why));
    let short = |why: &str| why.chars().take(REASON).collect::<String>();
    let name = |(topic, trouble): &(&Topic, &Trouble)| {
        let name = topic.about().map(ToString::to_string).unwrap_or_default();
        if same { name } else { format!("{name} ({})", short(&trouble.why)) }
    };
    let why = several.first().filter(|_| same).map(|(_, trouble)| format!(" Each answers: {}", trouble.why)).unwrap_or_default();
    let again = if flaps { format!(" {}", up_and_down()) } else { String::new() };
    Notice {
        topic: topic.into(),
        title: format!("{} {title}{}", several.len(), if flaps { ", again and again" } else { "" }),
        text: format!(
            "No scan that can't be seen is relayed meanwhile; what ends is found when it can be. They are {}.{why}{again}",
            listed(several, name)
        ),
        since: several.iter().map(|(_, trouble)| whole_second(trouble.since)).min(),
        severity: one.map_or(Severity::Critical, |one| one.severity),
        over: false,
    }
}

/// The same trouble that is over at several sources; each began at its own instant.
#[must_use]
pub fn over_together(several: &[(&Topic, Timestamp)]) -> Notice {
    let (topic, _, title) = several.first().and_then(|(topic, _)| shared(topic)).unwrap_or(("sources", "", "sources are well again"));
    let text = several.first().map(|(topic, since)| over(topic, *since).text).unwrap_or_default();
    let name = |(topic, _): &(&Topic, Timestamp)| topic.about().map(ToString::to_string).unwrap_or_default();
    Notice {
        topic: topic.into(),
        title: format!("{} {title}", several.len()),
        text: format!("They are {}. {text}", listed(several, name)),
        since: several.iter().map(|(_, since)| whole_second(*since)).min(),
        severity: Severity::Info,
        over: true,
    }
}

/// The first few, and how many more there are.
fn listed<T>(several: &[T], name: impl Fn(&T) -> String) -> String {
    let mut names: Vec<String> = several.iter().take(LISTED).map(name).collect();
    if several.len() > LISTED {
        names.push(format!("and {} more", several.len() - LISTED));
    }
    names.join(", ")
}

fn up_and_down() -> String {
    format!(
        "It was told of {FLAPS} times within {}: nothing more is said of it until it has been well for {}.",
        format_duration(FLAP_WITHIN),
        format_duration(STEADY)
    )
}

/// A trouble that comes and goes.
#[must_use]
pub fn flaps(topic: &Topic, trouble: &Trouble) -> Notice {
    let once = begins(topic, trouble);
    Notice { title: format!("{}, again and again", once.title), text: format!("{} {}", up_and_down(), once.text), ..once }
}

/// A trouble that came and went, and has not come back for a while.
#[must_use]
pub fn steady(topic: &Topic, since: Timestamp) -> Notice {
    let once = over(topic, since);
    Notice { title: format!("{}, and has been well for {}", once.title, format_duration(STEADY)), ..once }
}

/// The wall clock was set, or the machine slept, between two looks.
#[must_use]
pub fn leapt(leap: Leap, before: Timestamp, now: Timestamp) -> Notice {
    let (topic, title, text) = match leap {
        Leap::Set(by) => {
            let way = if by.is_negative() { "back" } else { "forward" };
            (
                "clock set",
                format!("The clock was set {way} by {}", format_duration(rounded(by.unsigned_abs()))),
                format!(
                    "Between two looks the clock of jobrelay's machine went from {} to {}. Polls, retries and limits do not go by it, and scans are dated by their service; the times in messages and what is due at a time of day do. If no one set it, see to what keeps it right. There is no other message about it.",
                    seconds(before),
                    seconds(now)
                ),
            )
        }
        Leap::Slept(time) => (
            "machine slept",
            format!("jobrelay's machine was asleep for {}", format_duration(rounded(time))),
            "Nothing was polled or sent meanwhile. What ended is found now, and relayed late but once. A machine that relays alerts should not sleep. There is no other message about it.".into(),
        ),
    };
    Notice { topic: topic.into(), title, text, since: None, severity: Severity::Warning, over: false }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_secs(time.saturating_add(Duration::from_millis(500)).as_secs())
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The end of a topic of which no one is told, for the store alone.
#[must_use]
pub fn forgotten(words: &str) -> Notice {
    Notice { topic: words.to_owned(), title: String::new(), text: String::new(), since: None, severity: Severity::Info, over: true }
}

/// A store that could not be written could not take a notice of it either: both ends are told when it is over.
#[must_use]
pub fn after_unwritable(trouble: &Trouble) -> [Notice; 2] {
    [begins(&Topic::StoreUnwritable, trouble), over(&Topic::StoreUnwritable, trouble.since)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_has_words_of_its_own_at_both_ends() {
        let topics = Topic::all(&["contoso".into()], &["oncall".into()]);
        let trouble = Trouble { since: Timestamp::UNIX_EPOCH, why: "HTTP 503".into() };
        let mut titles: Vec<String> =
            topics.iter().flat_map(|topic| [begins(topic, &trouble).title, over(topic, Timestamp::UNIX_EPOCH).title]).collect();
        assert!(topics.iter().all(|topic| begins(topic, &trouble).text.contains("HTTP 503")));
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), topics.len() * 2);
    }
}
