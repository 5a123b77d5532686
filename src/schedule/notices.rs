//! Notices about the watch itself: each told once when it begins, and once when it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::STORE_RETRY;
use crate::{
    clock::Clock,
    domain::{Name, Notice, Severity, format_duration},
    health::{Health, Topic, Trouble},
    store::{Store, StoreError},
    wake::Wake,
};

/// How often the board is looked at although nothing changed: a source counts as down only after a while.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Troubles that may pass by themselves are told only after so long: one odd sweep is no news.
const LASTING: Duration = Duration::from_secs(5 * 60);

/// Tells whom it concerns of the watch's own troubles.
pub struct Notices {
    /// Where the loops say what is the matter.
    pub health: Arc<Health>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Whom to tell; empty where the config has no `notices`.
    pub notify: Vec<Name>,
    /// How long a source may be down before someone is told.
    pub source_down_after: Duration,
    /// Whom to wake.
    pub wake: Arc<Wake>,
}

impl Notices {
    /// Tells until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        // When the store could not be written, as far as it is not yet told: while it lasts, nothing can be.
        let mut unwritable: Option<Trouble> = None;
        loop {
            let wait = match self.look(&mut unwritable).await {
                Ok(()) => LOOK_AGAIN,
                Err(error) => {
                    tracing::debug!(%error, "notices wait for the store");
                    STORE_RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.health.changed() => {}
                () = tokio::time::sleep(self.clock.passes_in(wait)) => {}
            }
        }
    }

    async fn look(&self, unwritable: &mut Option<Trouble>) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.watch_store(now);
        let troubles = self.health.troubles();
        if let Some(trouble) = troubles.get(&Topic::StoreUnwritable) {
            *unwritable = Some(trouble.clone());
            return Ok(());
        }
        if let Some(trouble) = unwritable.clone() {
            for notice in after_unwritable(&trouble, now) {
                self.tell(notice, None, now).await?;
            }
            *unwritable = None;
        }
        let told = self.store.told().await?;
        for (notice, about) in decide(&troubles, &told, self.source_down_after, now) {
            self.tell(notice, about.as_ref(), now).await?;
        }
        Ok(())
    }

    fn watch_store(&self, now: Timestamp) {
        match self.store.trouble() {
            Some(trouble) => self.health.trouble(Topic::StoreUnwritable, &trouble.to_string(), now),
            None => self.health.fine(&Topic::StoreUnwritable),
        }
    }

    async fn tell(&self, notice: Notice, about: Option<&Topic>, now: Timestamp) -> Result<(), StoreError> {
        // A channel is not told of its own refusal, unless there is no one else to tell.
        let refused = match about {
            Some(Topic::ChannelRefused(name)) => Some(name),
            _ => None,
        };
        let mut channels: Vec<Name> = self.notify.iter().filter(|name| Some(*name) != refused).cloned().collect();
        if channels.is_empty() {
            channels.clone_from(&self.notify);
        }
        if self.store.tell(notice.clone(), channels.clone(), now).await? {
            tracing::warn!(topic = %notice.topic, over = notice.over, "{}", notice.title);
            for channel in &channels {
                self.wake.channel(channel);
            }
        }
        Ok(())
    }
}

/// What to tell now, given what is the matter and what has been told: pure.
fn decide(
    troubles: &BTreeMap<Topic, Trouble>,
    told: &[String],
    source_down_after: Duration,
    now: Timestamp,
) -> Vec<(Notice, Option<Topic>)> {
    let mut notices = Vec::new();
    for (topic, trouble) in troubles {
        let lasts = Duration::try_from(now.duration_since(trouble.since)).unwrap_or_default();
        if lasts >= patience(topic, source_down_after) && !told.contains(&topic.words()) {
            notices.push((begins(topic, trouble), Some(topic.clone())));
        }
    }
    let present: BTreeSet<String> = troubles.keys().map(Topic::words).collect();
    for words in told.iter().filter(|words| !present.contains(*words)) {
        notices.push((over(words), None));
    }
    notices
}

/// How long it must last before anyone is told.
const fn patience(topic: &Topic, source_down_after: Duration) -> Duration {
    match topic {
        Topic::SourceDown(_) => source_down_after,
        Topic::SweepIncomplete(_) => LASTING,
        // These do not pass by themselves.
        Topic::CredentialsRefused(_) | Topic::RowsUnreadable(_) | Topic::ChannelRefused(_) | Topic::StoreUnwritable => Duration::ZERO,
    }
}

fn begins(topic: &Topic, trouble: &Trouble) -> Notice {
    let why = &trouble.why;
    let (title, text, severity) = match topic {
        Topic::SourceDown(name) => (
            format!("{name} can't be read"),
            format!(
                "The job list of {name} could not be read since {}. No scan of it can be relayed meanwhile; what ends is found when it is back. The last answer: {why}",
                trouble.since
            ),
            Severity::Critical,
        ),
        Topic::CredentialsRefused(name) => (
            format!("{name} refuses the credentials"),
            format!(
                "The app registration's secret or certificate for {name} is no longer accepted: it may have expired. Make a new one in AvePoint Online Services under App registrations, set it, and restart or reload jobrelay. No scan of {name} is relayed until then; what ends is found afterwards. The answer: {why}"
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
        Topic::StoreUnwritable => ("The store can't be written".into(), why.clone(), Severity::Critical),
    };
    Notice { topic: topic.words(), title, text, severity, over: false }
}

fn over(words: &str) -> Notice {
    let mut parts = words.splitn(3, ' ');
    let title = match (parts.next(), parts.next(), parts.next()) {
        (Some("source"), Some(name), Some("down")) => format!("{name} can be read again"),
        (Some("source"), Some(name), Some("credentials refused")) => format!("{name} accepts the credentials again"),
        (Some("source"), Some(name), Some("incomplete")) => format!("The job list of {name} is read whole again"),
        (Some("source"), Some(name), Some("rows unreadable")) => format!("All jobs of {name} can be read again"),
        (Some("channel"), Some(name), _) => format!("The channel {name} takes messages again"),
        _ => format!("Over: {words}"),
    };
    let text = "Nothing that ended meanwhile is lost: it is relayed now, late but once.".into();
    Notice { topic: words.to_owned(), title, text, severity: Severity::Info, over: true }
}

/// A store that could not be written could not take a notice of it either: both ends are told when it is over.
fn after_unwritable(trouble: &Trouble, now: Timestamp) -> Vec<Notice> {
    let topic = Topic::StoreUnwritable.words();
    let lasted = Duration::try_from(now.duration_since(trouble.since)).unwrap_or_default();
    let begun = Notice {
        topic: topic.clone(),
        title: "The store could not be written".into(),
        text: format!(
            "From {} for {} nothing could be written to disk, so nothing was taken in and nothing sent: {}. Make room or mend the disk, so that it does not happen again.",
            trouble.since,
            format_duration(lasted),
            trouble.why
        ),
        severity: Severity::Critical,
        over: false,
    };
    let ended = Notice {
        topic,
        title: "The store can be written again".into(),
        text: "What ended meanwhile is relayed now, late but once.".into(),
        severity: Severity::Info,
        over: true,
    };
    vec![begun, ended]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[track_caller]
    fn check(topic: Option<(Topic, i64)>, told: &[&str], now: i64, expected: &[&str]) {
        let troubles = topic.map(|(topic, since)| (topic, Trouble { since: at(since), why: "HTTP 503".into() })).into_iter().collect();
        let told: Vec<String> = told.iter().map(|words| (*words).to_owned()).collect();
        let titles: Vec<String> =
            decide(&troubles, &told, Duration::from_secs(900), at(now)).into_iter().map(|(notice, _)| notice.title).collect();
        assert_eq!(titles, expected);
    }

    #[test]
    fn a_source_that_is_down_is_told_of_after_a_while_once_and_once_when_it_is_back() {
        let down = || Some((Topic::SourceDown("contoso".into()), 0));
        check(down(), &[], 899, &[]);
        check(down(), &[], 900, &["contoso can't be read"]);
        check(down(), &["source contoso down"], 5_000, &[]);
        check(None, &["source contoso down"], 5_060, &["contoso can be read again"]);
        check(None, &[], 6_000, &[]);
    }

    #[test]
    fn what_does_not_pass_by_itself_is_told_of_at_once() {
        check(Some((Topic::CredentialsRefused("contoso".into()), 0)), &[], 0, &["contoso refuses the credentials"]);
        check(Some((Topic::ChannelRefused("oncall".into()), 0)), &[], 0, &["The channel oncall refuses messages"]);
        check(Some((Topic::SweepIncomplete("contoso".into()), 0)), &[], 299, &[]);
    }

    #[test]
    fn every_topic_has_an_end_in_words() {
        let name = || Name::from("contoso");
        for topic in [
            Topic::SourceDown(name()),
            Topic::CredentialsRefused(name()),
            Topic::SweepIncomplete(name()),
            Topic::RowsUnreadable(name()),
            Topic::ChannelRefused(name()),
        ] {
            let over = over(&topic.words());
            assert!(over.title.contains("contoso") && !over.title.starts_with("Over"), "{over:?}");
        }
    }
}
