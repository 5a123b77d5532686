//! Notices about the watch itself: each told once when it begins, and once when it is over.

mod words;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::words::{after_unwritable, begins, forgotten, over};
use super::STORE_RETRY;
use crate::{
    clock::Clock,
    domain::{Name, Notice},
    health::{Health, Topic, Trouble},
    store::{Store, StoreError},
    wake::Wake,
};

/// How often the board is looked at although nothing changed: a source counts as down only after a while.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A list that is read only in part is told of only after so long: one odd sweep is no news.
const LASTING: Duration = Duration::from_secs(5 * 60);

/// How long the troubles that may pass by themselves must last before anyone is told.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Of a source that can't be read.
    pub source_down: Duration,
    /// Of a channel that takes nothing.
    pub channel_down: Duration,
}

impl Patience {
    const fn with(self, topic: &Topic) -> Duration {
        match topic {
            Topic::SourceDown(_) => self.source_down,
            Topic::ChannelDown(_) => self.channel_down,
            Topic::SweepIncomplete(_) => LASTING,
            // These do not pass by themselves.
            Topic::CredentialsRefused(_)
            | Topic::RowsUnreadable(_)
            | Topic::ChannelRefused(_)
            | Topic::StoreUnwritable
            | Topic::ReloadRefused => Duration::ZERO,
        }
    }
}

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
    /// The channels that stand in for others: each is told, beside those, of the trouble of the one it stands in for.
    pub fallbacks: BTreeMap<Name, Name>,
    /// How long a trouble may last before someone is told.
    pub patience: Patience,
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
        for (topic, step) in decide(&self.topics, &known, &told, self.patience, now) {
            match step {
                Step::Tell(notice) => self.tell(notice, topic, now).await?,
                Step::Forget => {
                    self.store.tell(forgotten(&topic.words()), Vec::new(), now).await?;
                }
            }
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

/// Who is told: a channel is not told of its own trouble while it lasts, unless there is no one else to tell.
/// Its fallback is told in any case.
fn audience(notify: &[Name], fallbacks: &BTreeMap<Name, Name>, about: &Topic, over: bool) -> Vec<Name> {
    let deaf = match about {
        Topic::ChannelRefused(channel) | Topic::ChannelDown(channel) => Some(channel),
        _ => None,
    };
    let fallback = deaf.and_then(|channel| fallbacks.get(channel)).filter(|fallback| !notify.contains(fallback));
    let hears = |name: &&Name| over || deaf != Some(*name);
    let hearing: Vec<Name> = notify.iter().filter(hears).chain(fallback).cloned().collect();
    if hearing.is_empty() { notify.to_vec() } else { hearing }
}

/// What is to be done about a topic.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Tell of its beginning or its end.
    Tell(Notice),
    /// Forget that it was told of: a worse trouble has taken its place, and that one's end will be told.
    Forget,
}

/// What to do now, given what is known and what has been told: pure.
fn decide<'t>(
    topics: &'t [Topic],
    known: &BTreeMap<Topic, Option<Trouble>>,
    told: &BTreeMap<String, Timestamp>,
    patience: Patience,
    now: Timestamp,
) -> Vec<(&'t Topic, Step)> {
    let step = |topic: &Topic| {
        let told = told.get(&topic.words());
        if is_superseded(topic, known) {
            return told.map(|_| Step::Forget);
        }
        match (known.get(topic)?, told) {
            (Some(trouble), None) => {
                let lasts = Duration::try_from(now.duration_since(trouble.since)).unwrap_or_default();
                (lasts >= patience.with(topic)).then(|| Step::Tell(begins(topic, trouble)))
            }
            (None, Some(since)) => Some(Step::Tell(over(topic, *since))),
            (Some(_), Some(_)) | (None, None) => None,
        }
    };
    topics.iter().filter_map(|topic| Some((topic, step(topic)?))).collect()
}

/// Whether a worse trouble is the matter, which says all there is to say: of a channel that refuses everything it is not also
/// told that nothing gets through to it.
fn is_superseded(topic: &Topic, known: &BTreeMap<Topic, Option<Trouble>>) -> bool {
    let Topic::ChannelDown(name) = topic else { return false };
    known.get(&Topic::ChannelRefused(name.clone())).is_some_and(Option::is_some)
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

    const PATIENCE: Patience = Patience { source_down: Duration::from_secs(900), channel_down: Duration::from_secs(600) };

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
        let steps = decide(&topics, &known, &told, PATIENCE, at(now));
        let titles = steps.iter().map(|(about, step)| {
            let Step::Tell(notice) = step else { panic!("{step:?}") };
            assert!(*about == topic && notice.since == Some(at(0)) && notice.topic == topic.words());
            notice.title.as_str()
        });
        assert_eq!(titles.collect::<Vec<_>>(), expected);
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
    fn a_channel_that_is_down_is_told_of_after_a_while_unless_it_refuses_everything() {
        let [down, refused] = [Topic::ChannelDown("oncall".into()), Topic::ChannelRefused("oncall".into())];
        check(&down, &Since(0), false, 599, &[]);
        check(&down, &Since(0), false, 600, &["The channel oncall takes no messages"]);
        check(&down, &Since(0), true, 5_000, &[]);
        check(&down, &Fine, true, 5_060, &["The channel oncall is back"]);
        let trouble = || Some(Trouble { since: at(0), why: "HTTP 404".into() });
        for on_board in [None, Some(trouble()), Some(None)] {
            let mut known = BTreeMap::from([(refused.clone(), trouble())]);
            known.extend(on_board.map(|state| (down.clone(), state)));
            let topics = std::slice::from_ref(&down);
            assert_eq!(decide(topics, &known, &BTreeMap::new(), PATIENCE, at(5_000)), []);
            let told = BTreeMap::from([(down.words(), at(0))]);
            assert_eq!(decide(topics, &known, &told, PATIENCE, at(5_000)), [(&down, Step::Forget)]);
        }
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
        assert_eq!(audience(&both, &none, &Topic::ChannelDown("a".into()), false), both[1..]);
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
        assert_eq!(audience(&[], &fallbacks, &Topic::ChannelDown("a".into()), false), b);
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
                patience: PATIENCE,
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
}
