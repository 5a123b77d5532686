//! What is said of each trouble of the watch, when it begins and when it is over.

use jiff::Timestamp;

use crate::{
    domain::{Notice, Severity},
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
        Topic::ChannelDown(name) => (format!("The channel {name} is back"), format!("What waited for {name} is sent now, in its order.")),
        Topic::StoreUnwritable => ("The store can be written again".into(), LATE.into()),
        Topic::ReloadRefused => ("The config is in use again".into(), "The config and rules in use are those of the files.".into()),
    };
    Notice { topic: topic.words(), title, text, since: Some(whole_second(since)), severity: Severity::Info, over: true }
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
