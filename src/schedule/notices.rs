//! Notices about the watch itself: each told once when it begins, and once when it is over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::STORE_RETRY;
use crate::{
    clock::Clock,
    domain::{Name, Notice, Severity},
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
    /// All there is to tell of, by the sources and channels of the config.
    pub topics: Vec<Topic>,
    /// Whom to tell; empty where the config has no `notices`.
    pub notify: Vec<Name>,
    /// The channels that stand in for others: each is told, beside those, of the refusal of the one it stands in for.
    pub fallbacks: BTreeMap<Name, Name>,
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
        if self.notify.is_empty() && self.fallbacks.is_empty() {
            // The board and the log tell all the same.
            return Ok(());
        }
        let known = self.health.known();
        if let Some(Some(trouble)) = known.get(&Topic::StoreUnwritable) {
            *unwritable = Some(trouble.clone());
            return Ok(());
        }
        if let Some(trouble) = unwritable.clone() {
            for notice in after_unwritable(&trouble) {
                self.tell(notice, &Topic::StoreUnwritable, now).await?;
            }
            *unwritable = None;
        }
        let told = self.store.told().await?;
        for topic in told.keys().filter(|words| !self.topics.iter().any(|topic| topic.words() == **words)) {
            // What is no longer watched is in nobody's way: there is no end to be told.
            self.store.tell(forgotten(topic), Vec::new(), now).await?;
        }
        for (topic, notice) in decide(&self.topics, &known, &told, self.source_down_after, now) {
            self.tell(notice, topic, now).await?;
        }
        Ok(())
    }

    fn watch_store(&self, now: Timestamp) {
        match self.store.trouble() {
            Some(trouble) => self.health.trouble(Topic::StoreUnwritable, &trouble.to_string(), now),
            None => self.health.fine(&Topic::StoreUnwritable),
        }
    }

    async fn tell(&self, notice: Notice, about: &Topic, now: Timestamp) -> Result<(), StoreError> {
        let channels = audience(&self.notify, &self.fallbacks, about, notice.over);
        if channels.is_empty() {
            return Ok(());
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

/// Who is told: a channel is not told of its own refusal while it lasts, unless there is no one else to tell.
/// Its fallback is told in any case.
fn audience(notify: &[Name], fallbacks: &BTreeMap<Name, Name>, about: &Topic, over: bool) -> Vec<Name> {
    let fallback = match about {
        Topic::ChannelRefused(refused) => fallbacks.get(refused).filter(|fallback| !notify.contains(fallback)),
        _ => None,
    };
    let deaf = |name: &Name| !over && matches!(about, Topic::ChannelRefused(refused) if refused == name);
    let hearing: Vec<Name> = notify.iter().filter(|name| !deaf(name)).chain(fallback).cloned().collect();
    if hearing.is_empty() { notify.to_vec() } else { hearing }
}

/// What to tell now, given what is known and what has been told: pure.
fn decide<'t>(
    topics: &'t [Topic],
    known: &BTreeMap<Topic, Option<Trouble>>,
    told: &BTreeMap<String, Timestamp>,
    source_down_after: Duration,
    now: Timestamp,
) -> Vec<(&'t Topic, Notice)> {
    let notice = |topic| match (known.get(topic)?, told.get(&topic.words())) {
        (Some(trouble), None) => {
            let lasts = Duration::try_from(now.duration_since(trouble.since)).unwrap_or_default();
            (lasts >= patience(topic, source_down_after)).then(|| begins(topic, trouble))
        }
        (None, Some(since)) => Some(over(topic, *since)),
        (Some(_), Some(_)) | (None, None) => None,
    };
    topics.iter().filter_map(|topic| Some((topic, notice(topic)?))).collect()
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
        Topic::StoreUnwritable => (
            "The store could not be written".into(),
            format!(
                "Nothing could be written to disk, so nothing was taken in and nothing sent: {why}. Make room or mend the disk, so that it does not happen again."
            ),
            Severity::Critical,
        ),
    };
    Notice { topic: topic.words(), title, text, since: Some(whole_second(trouble.since)), severity, over: false }
}

/// Nobody reads more of it, and so it is the same however the store keeps it.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn over(topic: &Topic, since: Timestamp) -> Notice {
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
        Topic::StoreUnwritable => ("The store can be written again".into(), LATE.into()),
    };
    Notice { topic: topic.words(), title, text, since: Some(whole_second(since)), severity: Severity::Info, over: true }
}

/// The end of a topic that is no longer watched, for the store alone.
fn forgotten(words: &str) -> Notice {
    Notice { topic: words.to_owned(), title: String::new(), text: String::new(), since: None, severity: Severity::Info, over: true }
}

/// A store that could not be written could not take a notice of it either: both ends are told when it is over.
fn after_unwritable(trouble: &Trouble) -> [Notice; 2] {
    [begins(&Topic::StoreUnwritable, trouble), over(&Topic::StoreUnwritable, trouble.since)]
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::store::{
        Claim,
        sqlite::{Access, Sqlite},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// What the board says of a topic.
    enum Board {
        Nothing,
        Fine,
        Since(i64),
    }
    use Board::{Fine, Nothing, Since};

    /// What the board says of one topic, which was told or not, and the titles of what is told at `now`.
    #[track_caller]
    fn check(topic: &Topic, board: &Board, told: bool, now: i64, expected: &[&str]) {
        let trouble = |since: i64| Trouble { since: at(since), why: "HTTP 503".into() };
        let known = match board {
            Nothing => BTreeMap::new(),
            Fine => BTreeMap::from([(topic.clone(), None)]),
            Since(second) => BTreeMap::from([(topic.clone(), Some(trouble(*second)))]),
        };
        let told = told.then(|| (topic.words(), at(0))).into_iter().collect();
        let topics = Topic::all(&["contoso".into()], &["oncall".into()]);
        let notices = decide(&topics, &known, &told, Duration::from_secs(900), at(now));
        assert!(notices.iter().all(|(about, notice)| *about == topic && notice.since == Some(at(0)) && notice.topic == topic.words()));
        let titles: Vec<&str> = notices.iter().map(|(_, notice)| notice.title.as_str()).collect();
        assert_eq!(titles, expected);
    }

    #[test]
    fn a_source_that_is_down_is_told_of_after_a_while_once_and_once_when_it_is_back() {
        let down = Topic::SourceDown("contoso".into());
        check(&down, &Since(0), false, 899, &[]);
        check(&down, &Since(0), false, 900, &["contoso can't be read"]);
        check(&down, &Since(0), true, 5_000, &[]);
        check(&down, &Fine, true, 5_060, &["contoso can be read again"]);
        check(&down, &Fine, false, 6_000, &[]);
    }

    #[test]
    fn what_was_told_before_a_restart_is_not_over_before_someone_has_looked() {
        for topic in Topic::all(&["contoso".into()], &["oncall".into()]) {
            check(&topic, &Nothing, true, 10_000, &[]);
            check(&topic, &Since(5_000), true, 10_000, &[]);
        }
    }

    #[test]
    fn what_does_not_pass_by_itself_is_told_of_at_once() {
        check(&Topic::CredentialsRefused("contoso".into()), &Since(0), false, 0, &["contoso refuses the credentials"]);
        check(&Topic::ChannelRefused("oncall".into()), &Since(0), false, 0, &["The channel oncall refuses messages"]);
        check(&Topic::RowsUnreadable("contoso".into()), &Since(0), false, 0, &["Jobs of contoso can't be read"]);
        let incomplete = Topic::SweepIncomplete("contoso".into());
        check(&incomplete, &Since(0), false, 299, &[]);
        check(&incomplete, &Since(0), false, 300, &["The job list of contoso can be read only in part"]);
    }

    #[test]
    fn a_clock_set_back_tells_nothing_early() {
        check(&Topic::SourceDown("contoso".into()), &Since(0), false, -100_000, &[]);
    }

    #[test]
    fn a_refused_channel_hears_of_it_only_where_no_one_else_does_and_of_the_end_always() {
        let both = [Name::from("a"), Name::from("b")];
        let refused = Topic::ChannelRefused("a".into());
        let none = BTreeMap::new();
        assert_eq!(audience(&both, &none, &refused, false), both[1..]);
        assert_eq!(audience(&both, &none, &refused, true), both);
        assert_eq!(audience(&both[..1], &none, &refused, false), both[..1]);
        assert_eq!(audience(&both, &none, &Topic::ChannelRefused("c".into()), false), both);
        assert_eq!(audience(&both, &none, &Topic::SourceDown("a".into()), false), both);
    }

    #[test]
    fn a_fallback_hears_of_the_refusal_of_the_channel_it_stands_in_for() {
        let [a, b, c] = ["a", "b", "c"].map(|name| vec![Name::from(name)]);
        let fallbacks = BTreeMap::from([("a".into(), "b".into())]);
        let refused = Topic::ChannelRefused("a".into());
        assert_eq!(audience(&[], &fallbacks, &refused, false), b);
        assert_eq!(audience(&a, &fallbacks, &refused, false), b, "there is someone else to tell");
        assert_eq!(audience(&c, &fallbacks, &refused, false), [c, b].concat());
        assert_eq!(audience(&[], &fallbacks, &Topic::ChannelRefused("c".into()), false), []);
    }
    struct Hand(Mutex<Timestamp>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    #[tokio::test]
    async fn a_source_that_stays_down_is_told_over_the_stores_own_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(Mutex::new(at(0))));
        let down = || Topic::SourceDown("contoso".into());
        let start = || {
            let store: Arc<dyn Store> = Arc::new(Sqlite::open(&folder.path().join("jobrelay.db"), Access::Service).unwrap());
            Notices {
                health: Arc::default(),
                store,
                clock: Arc::<Hand>::clone(&clock),
                topics: Topic::all(&["contoso".into()], &["oncall".into()]),
                notify: vec!["oncall".into()],
                fallbacks: BTreeMap::new(),
                source_down_after: Duration::from_secs(900),
                wake: Arc::new(Wake::for_channels(["oncall".into()])),
            }
        };
        let look = async |notices: &Notices, second: i64| {
            *clock.0.lock().unwrap() = at(second);
            notices.look(&mut None).await.unwrap();
            match notices.store.claim(&"oncall".into(), at(second), 10).await.unwrap() {
                Claim::Ready(batch) => batch.into_iter().map(|one| one.notice.unwrap().title).collect(),
                Claim::NotBefore(_) | Claim::Empty => Vec::new(),
            }
        };
        let none: [&str; 0] = [];
        let told = ["contoso can't be read"];
        let notices = start();
        notices.health.trouble(down(), "HTTP 503", at(0));
        assert_eq!(look(&notices, 899).await, none);
        assert_eq!(look(&notices, 900).await, told);
        assert_eq!(look(&notices, 2_000).await, told);
        drop(notices);
        let notices = start();
        assert_eq!(look(&notices, 2_100).await, told, "nothing is heard yet");
        notices.health.trouble(down(), "HTTP 503", at(2_110));
        assert_eq!(look(&notices, 9_000).await, told);
        notices.health.fine(&down());
        let over = ["contoso can't be read", "contoso can be read again"];
        assert_eq!(look(&notices, 9_001).await, over);
        assert_eq!(look(&notices, 9_002).await, over);
        // A source that is taken out of the config while it is down is forgotten, and not told of when it comes back well.
        notices.health.trouble(down(), "HTTP 503", at(10_000));
        assert_eq!(look(&notices, 11_000).await.len(), 3);
        drop(notices);
        let without = Notices { topics: Topic::all(&[], &["oncall".into()]), ..start() };
        assert_eq!(look(&without, 12_000).await.len(), 3);
        drop(without);
        let notices = start();
        notices.health.fine(&down());
        assert_eq!(look(&notices, 13_000).await.len(), 3);
    }

    #[test]
    fn each_topic_has_words_of_its_own_at_both_ends() {
        let topics = Topic::all(&["contoso".into()], &["oncall".into()]);
        let trouble = Trouble { since: at(0), why: "HTTP 503".into() };
        let mut titles: Vec<String> = topics.iter().flat_map(|topic| [begins(topic, &trouble).title, over(topic, at(0)).title]).collect();
        assert!(topics.iter().all(|topic| begins(topic, &trouble).text.contains("HTTP 503")));
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), topics.len() * 2);
    }
}
