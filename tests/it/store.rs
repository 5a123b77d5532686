//! One suite over every store. A backend is a [`Place`] (how it is opened, and opened anew) and its line at the end.

mod backlog;
mod keeping;
mod model;
mod past;
mod sqlite;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use jobrelay::{
    domain::{Category, Delivery, Ending, Job, JobType, Name, Notification, NotificationKind, RuleFacts, Severity, State, TargetEnd},
    store::{
        AlertFilter, Claim, DeliveryFilter, Gather, Gathering, Intake, JobChange, JobFilter, Known, Line, NewAlert, Overdue, Retry, RollUp,
        Settlement, Store, Tally, Verdict,
    },
};
use serde_json::json;

use backlog::{
    a_backlog_is_folded_rule_by_rule_in_the_place_of_the_oldest,
    a_dead_roll_up_of_a_backlog_goes_to_the_fallback_whole_and_is_sent_again_whole,
    a_roll_up_of_a_backlog_carries_as_many_as_it_may_and_comes_under_the_same_key_again,
    groups_and_roll_ups_are_folded_with_what_they_carry, none_of_a_backlog_is_given_up_before_its_own_time_is_over,
    what_may_have_been_sent_is_not_folded,
};
use keeping::{
    a_job_goes_once_it_is_old_absent_twice_and_settled, a_notice_is_told_once_at_each_end, old_jobs_come_oldest_first_page_by_page,
    old_notices_and_roll_ups_go_by_their_own_age, pruning_is_done_piece_by_piece, what_is_no_longer_watched_is_forgotten_in_silence,
};

use past::{
    an_alert_remembers_which_rules_judged, history_comes_piece_by_piece_each_job_once, the_ends_of_earlier_runs_stay_in_the_past,
    the_past_is_read_back_as_far_as_it_is_asked_for, what_ended_later_and_is_judged_can_be_asked_for,
    what_waits_to_be_judged_comes_in_the_order_of_the_ends_and_stays_until_it_is,
};

/// Where one store lives. Nothing is in it at first; it goes with the value.
#[async_trait]
trait Place: Send + Sync {
    /// Opens it as the service does. Whoever had it open as such before has let it go.
    async fn open(&self) -> Arc<dyn Store>;

    /// Opens it as a command beside the service does.
    async fn beside(&self) -> Arc<dyn Store>;

    /// The store as the service finds it that starts after this one was killed at this instant.
    async fn after_a_kill(&self) -> Arc<dyn Store>;
}

/// The rules of which every alert of these tests comes.
const VERSION: &str = "0123456789ab";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn job(id: &str, state: State) -> Job {
    let ended = state != State::Running;
    Job {
        source: "contoso".into(),
        id: id.into(),
        kind: Some(JobType::Microsoft365),
        state,
        started: Some(at(-100)),
        finished: ended.then(|| at(-10)),
        profile: "scan “sites” 🛰".into(),
        category: Some(Category::Unknown(42)),
        extension: json!({ "b": [1, null], "a": "x" }),
    }
}

fn facts(rule: &str) -> RuleFacts {
    RuleFacts {
        name: rule.into(),
        description: "What it is for.".into(),
        severity: Severity::Critical,
        labels: BTreeMap::from([("team".to_owned(), "collaboration".to_owned())]),
        template: None,
    }
}

fn alert(rule: &str, job: &Job, run: u32, notify: &[&str]) -> NewAlert {
    NewAlert {
        rule: rule.into(),
        facts: Arc::new(facts(rule)),
        job: Arc::new(job.clone()),
        run,
        notify: notify.iter().map(Name::from).collect(),
        held: false,
        gather: None,
    }
}

fn held(alert: NewAlert) -> NewAlert {
    NewAlert { held: true, ..alert }
}

/// A page of one job, newly final if it has ended, and what rules made of it.
fn page(now: Timestamp, job: &Job, run: u32, alerts: Vec<NewAlert>) -> Intake {
    let change = JobChange { job: Arc::new(job.clone()), run, newly_final: job.is_final(), unjudged: false };
    Intake {
        source: job.source.clone(),
        now,
        jobs: vec![change],
        alerts,
        judged: Vec::new(),
        rules_version: VERSION.into(),
        unreadable: Vec::new(),
    }
}

/// A failed job of each id, with an alert of the rule `failed` to the channels.
async fn fail(store: &dyn Store, now: Timestamp, ids: &[&str], notify: &[&str]) {
    for id in ids {
        let job = job(id, State::Failed);
        store.take_in(page(now, &job, 1, vec![alert("failed", &job, 1, notify)])).await.unwrap();
    }
}

/// The same, held back by the rule's limit.
async fn hold(store: &dyn Store, now: Timestamp, ids: &[&str], notify: &[&str]) {
    for id in ids {
        let job = job(id, State::Failed);
        store.take_in(page(now, &job, 1, vec![held(alert("failed", &job, 1, notify))])).await.unwrap();
    }
}

/// What a worker of the channel is given; nothing where there is nothing for it now.
async fn claim(store: &dyn Store, channel: &str, now: Timestamp) -> Vec<Notification> {
    match store.claim(&channel.into(), now, 100).await.unwrap() {
        Claim::Ready(batch) => batch,
        Claim::NotBefore(_) | Claim::Empty => Vec::new(),
    }
}

fn jobs_of(notification: &Notification) -> Vec<&str> {
    notification.alerts.iter().map(|alert| alert.job.id.as_str()).collect()
}

fn each_job(batch: &[Notification]) -> Vec<Vec<&str>> {
    batch.iter().map(jobs_of).collect()
}

async fn settle(store: &dyn Store, id: i64, now: Timestamp, verdict: Verdict) {
    store.settle(settlement(id, verdict, now)).await.unwrap();
}

fn settlement(id: i64, verdict: Verdict, now: Timestamp) -> Settlement {
    Settlement { id, verdict, now, attempted: true, answer: format!("{verdict:?}"), targets: Vec::new(), line: None, fallback: None }
}

/// A line in trouble that has lasted for so many seconds.
fn trouble(failed: u32, due: i64, aged: u64) -> Line {
    Line { failed, due: Some(at(due)), aged: Duration::from_secs(aged), answer: "HTTP 503".into(), ..Line::default() }
}

/// The channel failed with this message, and takes nothing before `due`.
async fn shut(store: &dyn Store, id: i64, now: Timestamp, line: Line) {
    store.settle(Settlement { line: Some(line), ..settlement(id, Verdict::Waits, now) }).await.unwrap();
}

async fn deliveries(store: &dyn Store, outcome: &str) -> Vec<Delivery> {
    let filter = DeliveryFilter { outcome: Some(outcome.into()), limit: 1_000, ..DeliveryFilter::default() };
    store.deliveries(filter).await.unwrap()
}

/// How the alerts of a channel have ended, and how many have not.
fn sums(tally: &Tally, channel: &str) -> (Vec<(Ending, u64)>, u64) {
    let ended = tally.ended.iter().filter(|((name, _), n)| name == channel && **n > 0).map(|((_, ending), n)| (*ending, *n)).collect();
    (ended, tally.pending.get(channel).copied().unwrap_or(0))
}

async fn the_same_page_twice_is_one_alert(place: &dyn Place) {
    let store = place.open().await;
    let job = job("Scan-1", State::Failed);
    let mut intake = page(at(0), &job, 1, vec![alert("failed", &job, 1, &["a", "b"])]);
    intake.unreadable.push(("no id".into(), "{\"state\":3}".into()));
    store.take_in(intake.clone()).await.unwrap();
    let (once, key) = (store.tally().await.unwrap(), claim(&*store, "a", at(0)).await[0].key.clone());
    store.take_in(Intake { now: at(60), ..intake }).await.unwrap();
    assert_eq!(store.tally().await.unwrap(), once);
    assert_eq!(once.alerts, BTreeMap::from([("failed".into(), 1)]));
    assert_eq!(once.jobs, BTreeMap::from([(("contoso".into(), "failed".into()), 1)]));
    assert_eq!(once.pending, BTreeMap::from([("a".into(), 1), ("b".into(), 1)]));
    let batch = claim(&*store, "a", at(60)).await;
    assert_eq!((batch.len(), &batch[0].key, batch[0].created), (1, &key, at(0)));
    assert_eq!(store.alerts(AlertFilter { limit: 10, ..AlertFilter::default() }).await.unwrap().len(), 1);
}

async fn an_alert_is_unique_by_rule_source_job_and_run(place: &dyn Place) {
    let store = place.open().await;
    let here = job("Scan-1", State::Failed);
    let there = Job { source: "fabrikam".into(), ..here.clone() };
    let other = Job { id: "Scan-2".into(), ..here.clone() };
    let raised = [("failed", &here, 1), ("slow", &here, 1), ("failed", &there, 1), ("failed", &other, 1), ("failed", &here, 2)];
    for _ in 0..2 {
        for (rule, job, run) in raised {
            store.take_in(page(at(0), job, run, vec![alert(rule, job, run, &["a"])])).await.unwrap();
        }
    }
    let batch = claim(&*store, "a", at(0)).await;
    assert_eq!(batch.len(), raised.len());
    let mut keys: Vec<&str> = batch.iter().map(|notification| notification.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), raised.len(), "each has a key of its own");
    let mut rules = store.alerted(&"contoso".into(), "Scan-1", 1).await.unwrap();
    rules.sort();
    assert_eq!(rules, ["failed", "slow"].map(Name::from));
    assert_eq!(store.alerted(&"contoso".into(), "Scan-1", 2).await.unwrap(), ["failed"].map(Name::from));
    assert_eq!(store.alerted(&"contoso".into(), "Scan-1", 3).await.unwrap(), []);
}

async fn what_is_known_of_a_job_is_what_was_last_taken_in(place: &dyn Place) {
    let store = place.open().await;
    let known = async |ids: &[&str]| store.known(&"contoso".into(), ids.iter().map(ToString::to_string).collect()).await.unwrap();
    let (running, failed) = (job("Scan-1", State::Running), job("Scan-1", State::Failed));
    store.take_in(page(at(0), &running, 1, Vec::new())).await.unwrap();
    let open = Known { run: 1, state: State::Running, finished: None, ended: false, unjudged: false };
    assert_eq!(known(&["Scan-2", "Scan-1", "scan-1"]).await, [None, Some(open), None]);
    store.take_in(page(at(1), &failed, 2, Vec::new())).await.unwrap();
    let ended = Known { run: 2, state: State::Failed, finished: failed.finished, ended: true, unjudged: false };
    assert_eq!(known(&["Scan-1"]).await, [Some(ended)]);
    assert_eq!(store.known(&"fabrikam".into(), vec!["Scan-1".into()]).await.unwrap(), [None]);
    let rows = store.jobs(JobFilter { limit: 10, ..JobFilter::default() }).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((Job::from(rows[0].job.clone()), rows[0].run), (failed, 2), "a job comes back as it went in");
}

async fn a_page_is_taken_in_whole(place: &dyn Place) {
    let store = place.open().await;
    let jobs: Vec<Job> = (0..40).map(|n| job(&format!("Scan-{n:02}"), State::Failed)).collect();
    let intake = Intake {
        source: "contoso".into(),
        now: at(0),
        jobs: jobs.iter().map(|job| JobChange { job: Arc::new(job.clone()), run: 1, newly_final: true, unjudged: false }).collect(),
        judged: Vec::new(),
        rules_version: VERSION.into(),
        alerts: jobs.iter().map(|job| alert("failed", job, 1, &["a", "b"])).collect(),
        unreadable: Vec::new(),
    };
    let looks = async {
        loop {
            let tally = store.tally().await.unwrap();
            let seen = (tally.jobs.values().sum::<u64>(), tally.alerts.values().sum::<u64>(), tally.pending.values().sum::<u64>());
            assert!(seen == (0, 0, 0) || seen == (40, 40, 80), "a page half taken in was seen: {seen:?}");
            if seen.0 > 0 {
                return;
            }
        }
    };
    let (taken, ()) = tokio::join!(store.take_in(intake), looks);
    taken.unwrap();
}

async fn a_job_is_open_until_it_ends(place: &dyn Place) {
    let store = place.open().await;
    let (running, long) = (job("Scan-1", State::Running), job("Scan-2", State::Running));
    store.take_in(page(at(0), &running, 1, vec![alert("stuck", &running, 1, &["a"])])).await.unwrap();
    store.take_in(page(at(0), &long, 3, Vec::new())).await.unwrap();
    let mut open = store.open_jobs(&"contoso".into()).await.unwrap();
    open.sort_by(|a, b| a.job.id.cmp(&b.job.id));
    assert_eq!(open.len(), 2);
    assert_eq!((&open[0].job, open[0].run, &*open[0].alerted), (&running, 1, &["stuck".into()][..]));
    assert_eq!((&open[1].job, open[1].run, &*open[1].alerted), (&long, 3, &[][..]));
    assert_eq!(store.open_jobs(&"fabrikam".into()).await.unwrap(), []);
    store.take_in(page(at(1), &job("Scan-2", State::Finished), 3, Vec::new())).await.unwrap();
    let open = store.open_jobs(&"contoso".into()).await.unwrap();
    assert_eq!(open.iter().map(|open| open.job.id.as_str()).collect::<Vec<_>>(), ["Scan-1"]);
}

async fn a_source_keeps_its_first_cut_and_its_furthest_watermark(place: &dyn Place) {
    let store = place.open().await;
    let name = Name::from("contoso");
    let first = store.open_source(&name, at(0)).await.unwrap();
    assert_eq!((first.cut, first.baseline, first.watermark), (at(0), false, None));
    store.end_sweep(&name, None).await.unwrap();
    let after_an_empty_sweep = store.open_source(&name, at(500)).await.unwrap();
    assert_eq!((after_an_empty_sweep.cut, after_an_empty_sweep.baseline, after_an_empty_sweep.watermark), (at(0), true, None));
    for (told, kept) in [(50, 50), (20, 50), (70, 70)] {
        store.end_sweep(&name, Some(at(told))).await.unwrap();
        assert_eq!(store.open_source(&name, at(500)).await.unwrap().watermark, Some(at(kept)));
    }
    let other = store.open_source(&"fabrikam".into(), at(9)).await.unwrap();
    assert_eq!((other.cut, other.baseline, other.watermark), (at(9), false, None));
}

async fn a_channel_gets_its_own_in_order_once_due(place: &dyn Place) {
    let store = place.open().await;
    assert_eq!(store.claim(&"a".into(), at(0), 10).await.unwrap(), Claim::Empty);
    fail(&*store, at(0), &["Scan-1", "Scan-2", "Scan-3"], &["a", "b"]).await;
    fail(&*store, at(0), &["Scan-4"], &["b"]).await;
    let Claim::Ready(first) = store.claim(&"a".into(), at(0), 2).await.unwrap() else { panic!() };
    assert_eq!(each_job(&first), [["Scan-1"], ["Scan-2"]]);
    let one = &first[0];
    assert_eq!((one.kind, one.total, one.attempts, one.created), (NotificationKind::Alert, 1, 0, at(0)));
    assert_eq!((&one.rule, &one.alerts[0].rule, one.alerts[0].run), (&facts("failed"), &facts("failed"), 1));
    assert_eq!(one.alerts[0].job, job("Scan-1", State::Failed));
    for notification in &first {
        settle(&*store, notification.id, at(1), Verdict::Delivered).await;
    }
    assert_eq!(each_job(&claim(&*store, "a", at(1)).await), [["Scan-3"]]);
    assert_eq!(each_job(&claim(&*store, "b", at(1)).await), [["Scan-1"], ["Scan-2"], ["Scan-3"], ["Scan-4"]]);
}

async fn a_channel_in_trouble_takes_nothing_before_its_time(place: &dyn Place) {
    let store = place.open().await;
    assert_eq!(store.line(&"a".into()).await.unwrap(), Line::default());
    fail(&*store, at(0), &["Scan-1", "Scan-2"], &["a", "b"]).await;
    let batch = claim(&*store, "a", at(0)).await;
    let line = Line { asked: Some(at(20)), since: Some(at(1)), ..trouble(3, 30, 7) };
    shut(&*store, batch[0].id, at(0), line.clone()).await;
    fail(&*store, at(5), &["Scan-3"], &["a"]).await;
    assert_eq!(store.claim(&"a".into(), at(29), 10).await.unwrap(), Claim::NotBefore(at(30)));
    assert_eq!(claim(&*store, "b", at(29)).await.len(), 2, "another channel is another matter");
    assert_eq!(deliveries(&*store, "pending").await.iter().filter(|d| d.due == Some(at(30))).count(), 3, "all that is for it waits");
    drop(store);
    let store = place.open().await;
    assert_eq!(store.line(&"a".into()).await.unwrap(), line);
    let again = claim(&*store, "a", at(30)).await;
    assert_eq!(each_job(&again), [["Scan-1"], ["Scan-2"], ["Scan-3"]]);
    assert_eq!((again[0].attempts, again[1].attempts), (1, 0));
    // Someone asks for it.
    shut(&*store, again[0].id, at(30), trouble(4, 900, 37)).await;
    assert_eq!(store.retry(Retry::One(again[0].id), at(31)).await.unwrap(), 1);
    assert_eq!(claim(&*store, "a", at(31)).await.len(), 3);
    let open = Line { aged: Duration::from_secs(37), sent: Some(at(31)), ..Line::default() };
    store.settle(Settlement { line: Some(open.clone()), ..settlement(again[0].id, Verdict::Delivered, at(31)) }).await.unwrap();
    assert_eq!(store.line(&"a".into()).await.unwrap(), open);
    assert_eq!(each_job(&claim(&*store, "a", at(31)).await), [["Scan-2"], ["Scan-3"]]);
}

async fn one_aside_lets_the_others_pass(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1", "Scan-2", "Scan-3"], &["a"]).await;
    let batch = claim(&*store, "a", at(0)).await;
    settle(&*store, batch[1].id, at(0), Verdict::Aside(at(90))).await;
    assert_eq!(each_job(&claim(&*store, "a", at(1)).await), [["Scan-1"], ["Scan-3"]]);
    for one in [&batch[0], &batch[2]] {
        settle(&*store, one.id, at(1), Verdict::Delivered).await;
    }
    assert_eq!(store.claim(&"a".into(), at(89), 10).await.unwrap(), Claim::NotBefore(at(90)));
    let back = claim(&*store, "a", at(90)).await;
    assert_eq!((each_job(&back), back[0].waited), (vec![vec!["Scan-2"]], Duration::from_secs(90)));
}

async fn a_clock_set_back_by_years_stops_nothing(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1", "Scan-2"], &["a"]).await;
    let year = 365 * 86_400;
    assert_eq!(claim(&*store, "a", at(-year)).await.len(), 2);
    let batch = claim(&*store, "a", at(0)).await;
    settle(&*store, batch[0].id, at(0), Verdict::Aside(at(60))).await;
    assert_eq!(each_job(&claim(&*store, "a", at(-year)).await), [["Scan-1"], ["Scan-2"]]);
}

async fn what_has_waited_too_long_for_its_channel_is_given_up(place: &dyn Place) {
    let store = place.open().await;
    let overdue = |aged: u64| Overdue {
        channel: "a".into(),
        aged: Duration::from_secs(aged),
        give_up_after: Duration::from_secs(100),
        answer: "given up: HTTP 503".into(),
        fallback: None,
        now: at(aged.cast_signed()),
    };
    fail(&*store, at(0), &["Scan-1", "Scan-2"], &["a", "b"]).await;
    hold(&*store, at(0), &["Scan-4", "Scan-5"], &["a"]).await;
    store.roll_up(&"failed".into(), at(0)).await.unwrap();
    // What went wrong before these were made is not theirs.
    shut(&*store, claim(&*store, "a", at(0)).await[0].id, at(0), trouble(1, 5, 1_000)).await;
    let gave_up = store.give_up(overdue(1_050)).await.unwrap();
    assert_eq!((gave_up.messages, gave_up.next), (0, Some(Duration::from_secs(50))));
    fail(&*store, at(50), &["Scan-3"], &["a"]).await;
    assert_eq!(store.give_up(overdue(1_060)).await.unwrap().messages, 0);
    let gave_up = store.give_up(overdue(1_100)).await.unwrap();
    assert_eq!((gave_up.messages, gave_up.next), (3, Some(Duration::from_secs(60))), "the one made later has its own time");
    let tally = store.tally().await.unwrap();
    assert_eq!((sums(&tally, "a"), sums(&tally, "b")), ((vec![(Ending::Dead, 4)], 1), (vec![], 2)));
    let dead = deliveries(&*store, "dead").await;
    assert!(dead.iter().filter(|d| d.rolled_into.is_none()).all(|d| d.answer.as_deref() == Some("given up: HTTP 503")), "{dead:?}");
    // Sent again, it has its whole time before it.
    let first = dead.iter().map(|d| d.id).min().unwrap();
    store.retry(Retry::One(first), at(1_100)).await.unwrap();
    assert_eq!(store.give_up(overdue(1_160)).await.unwrap().messages, 1, "the later one");
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::Dead, 4)], 1));
    assert_eq!(store.line(&"a".into()).await.unwrap().aged, Duration::from_secs(1_160));
}

async fn what_is_given_up_for_some_recipients_is_delivered_and_says_so(place: &dyn Place) {
    let store = place.open().await;
    let fallback = Some("b".into());
    fail(&*store, at(0), &["Scan-1", "Scan-2"], &["a"]).await;
    let ids: Vec<i64> = claim(&*store, "a", at(0)).await.iter().map(|one| one.id).collect();
    let end = |target: &str, accepted, answer: &str| TargetEnd { target: target.into(), accepted, answer: answer.into() };
    for (id, accepted) in ids.into_iter().zip([true, false]) {
        let targets = vec![end("x", accepted, "250 ok"), end("y", false, "550 no such user")];
        let line = Some(trouble(1, 5, 1_000));
        store.settle(Settlement { targets, line, ..settlement(id, Verdict::Waits, at(0)) }).await.unwrap();
    }
    let (aged, give_up_after) = (Duration::from_secs(1_100), Duration::from_secs(100));
    let overdue = Overdue { channel: "a".into(), aged, give_up_after, answer: "given up: 452 full".into(), fallback, now: at(100) };
    assert_eq!(store.give_up(overdue).await.unwrap().messages, 2);
    let answer = async |outcome| deliveries(&*store, outcome).await.into_iter().map(|one| one.answer.unwrap()).collect::<Vec<_>>();
    assert_eq!(answer("delivered").await, ["250 ok; y refused: 550 no such user; the others given up: 452 full"]);
    assert_eq!(answer("dead").await, ["given up: 452 full"]);
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::Delivered, 1), (Ending::Dead, 1)], 0));
    assert_eq!(claim(&*store, "b", at(100)).await.len(), 1, "only what nobody has goes to the fallback");
}

async fn a_fallback_gets_what_is_dead_once_and_counts_nothing(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1"], &["a"]).await;
    hold(&*store, at(0), &["Scan-2", "Scan-3"], &["a"]).await;
    store.roll_up(&"failed".into(), at(1)).await.unwrap();
    let die = async |id, fallback: &str| {
        let answer = "HTTP 400: no".to_owned();
        store.settle(Settlement { fallback: Some(fallback.into()), answer, ..settlement(id, Verdict::Dead, at(2)) }).await.unwrap();
    };
    let batch = claim(&*store, "a", at(1)).await;
    for one in &batch {
        die(one.id, "b").await;
    }
    let instead = claim(&*store, "b", at(2)).await;
    assert_eq!(each_job(&instead), [vec!["Scan-1"], vec!["Scan-2", "Scan-3"]]);
    assert_eq!(
        instead.iter().map(|one| (one.kind, one.total)).collect::<Vec<_>>(),
        [(NotificationKind::Alert, 1), (NotificationKind::RollUp, 2)]
    );
    let why = instead[0].undelivered.as_ref().unwrap();
    assert_eq!((why.channel.as_str(), why.answer.as_str()), ("a", "HTTP 400: no"));
    assert_ne!(instead[0].key, batch[0].key);
    // Sent again and dead again, it is told once.
    store.retry(Retry::One(batch[0].id), at(3)).await.unwrap();
    die(batch[0].id, "b").await;
    assert_eq!(claim(&*store, "b", at(3)).await.len(), 2);
    // The fallback's fallback is told what was wrong with the first one.
    die(instead[0].id, "c").await;
    settle(&*store, instead[1].id, at(4), Verdict::Delivered).await;
    let last = claim(&*store, "c", at(4)).await;
    assert_eq!((each_job(&last), last[0].undelivered.as_ref().unwrap().channel.as_str()), (vec![vec!["Scan-1"]], "a"));
    let tally = store.tally().await.unwrap();
    assert_eq!(sums(&tally, "a"), (vec![(Ending::Dead, 3)], 0));
    assert_eq!((sums(&tally, "b"), sums(&tally, "c")), ((vec![], 0), (vec![], 0)));
    let listed = deliveries(&*store, "pending").await;
    assert_eq!((listed.len(), listed[0].instead_of, &listed[0].jobs), (1, Some(batch[0].id), &vec!["Scan-1".to_owned()]));
}

async fn a_group_waits_for_others_and_goes_out_as_one_delivery(place: &dyn Place) {
    let store = place.open().await;
    let gather = async |second, id: &str, key: &str| {
        let job = job(id, State::Failed);
        let gather = Some(Gather { key: key.into(), wait: Duration::from_secs(60) });
        let alert = NewAlert { gather, ..alert("failed", &job, 1, &["a", "b"]) };
        store.take_in(page(at(second), &job, 1, vec![alert])).await.unwrap();
    };
    gather(0, "Scan-1", "sites").await;
    gather(10, "Scan-2", "mail").await;
    gather(59, "Scan-3", "sites").await;
    assert_eq!(store.claim(&"a".into(), at(59), 10).await.unwrap(), Claim::Empty, "nothing goes out by itself");
    drop(store);
    let store = place.open().await;
    let waits = |key: &str, due| Gathering { rule: "failed".into(), key: key.into(), due: at(due) };
    assert_eq!(store.gathering().await.unwrap(), [waits("sites", 60), waits("mail", 70)], "the first one says how long");
    assert_eq!(store.send_group(&"failed".into(), "sites", at(60)).await.unwrap(), RollUp { messages: 2, folded: 4 });
    assert_eq!(store.hold_group(&"failed".into(), "mail").await.unwrap(), 2);
    assert_eq!(store.gathering().await.unwrap(), []);
    assert_eq!(store.held_rules().await.unwrap(), ["failed"].map(Name::from));
    let batch = claim(&*store, "a", at(60)).await;
    assert_eq!((each_job(&batch), batch[0].kind, batch[0].total), (vec![vec!["Scan-1", "Scan-3"]], NotificationKind::Group, 2));
    settle(&*store, batch[0].id, at(60), Verdict::Delivered).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::Delivered, 2)], 1));
    assert_eq!(store.let_through(&"failed".into(), 10).await.unwrap(), [at(60)], "to the limit, a group is one message");
    store.roll_up(&"failed".into(), at(61)).await.unwrap();
    settle(&*store, claim(&*store, "a", at(61)).await[0].id, at(61), Verdict::Delivered).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::Delivered, 2), (Ending::RolledUp, 1)], 0));
}

async fn a_lease_keeps_others_off_until_it_runs_out(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1"], &["a"]).await;
    let mine = claim(&*store, "a", at(0)).await;
    assert_eq!(claim(&*store, "a", at(1)).await, mine, "its holder may ask again");
    let other = place.beside().await;
    let Claim::NotBefore(free) = other.claim(&"a".into(), at(1), 10).await.unwrap() else { panic!("it was given away twice") };
    assert!(free > at(1), "{free}");
    assert_eq!(each_job(&claim(&*other, "a", free).await), [["Scan-1"]]);
    let Claim::NotBefore(_) = store.claim(&"a".into(), free, 10).await.unwrap() else { panic!("it was given away twice") };
    // A tried one is free again for anyone.
    settle(&*other, mine[0].id, free, Verdict::Waits).await;
    assert_eq!(claim(&*store, "a", free).await.len(), 1);
}

async fn an_ending_is_for_good(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1", "Scan-2"], &["a"]).await;
    let batch = claim(&*store, "a", at(0)).await;
    settle(&*store, batch[0].id, at(1), Verdict::Delivered).await;
    settle(&*store, batch[1].id, at(1), Verdict::Dead).await;
    for late in [Verdict::Dead, Verdict::Delivered, Verdict::Waits, Verdict::Aside(at(2)), Verdict::Underway] {
        settle(&*store, batch[0].id, at(9), late).await;
        settle(&*store, batch[1].id, at(9), late).await;
    }
    let tally = store.tally().await.unwrap();
    assert_eq!(sums(&tally, "a"), (vec![(Ending::Delivered, 1), (Ending::Dead, 1)], 0));
    let dead = &deliveries(&*store, "dead").await[0];
    assert_eq!((dead.id, dead.ended, dead.due, dead.attempts), (batch[1].id, Some(at(1)), None, 1));
    assert_eq!((dead.answer.as_deref(), &dead.jobs), (Some("Dead"), &vec!["Scan-2".to_owned()]));
    assert_eq!(store.claim(&"a".into(), at(99), 10).await.unwrap(), Claim::Empty);
}

async fn recipients_that_are_done_stay_done(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1"], &["mail"]).await;
    let end = |target: &str, accepted| TargetEnd { target: target.into(), accepted, answer: "250 ok".into() };
    let id = claim(&*store, "mail", at(0)).await[0].id;
    let done = vec![end("x@contoso.example", true), end("y@contoso.example", false)];
    let underway = Settlement { attempted: false, targets: done.clone(), ..settlement(id, Verdict::Underway, at(0)) };
    store.settle(underway).await.unwrap();
    let again = claim(&*store, "mail", at(1)).await;
    assert_eq!((&again[0].ended, again[0].attempts), (&done, 0));
    settle(&*store, id, at(1), Verdict::Dead).await;
    assert_eq!(store.retry(Retry::One(id), at(2)).await.unwrap(), 1);
    assert_eq!(claim(&*store, "mail", at(2)).await[0].ended, [end("x@contoso.example", true)], "those that refused are asked again");
}

async fn a_roll_up_carries_what_was_held_and_ends_with_it(place: &dyn Place) {
    let store = place.open().await;
    hold(&*store, at(0), &["Scan-1", "Scan-2"], &["a", "b"]).await;
    hold(&*store, at(1), &["Scan-3"], &["a"]).await;
    assert_eq!(store.claim(&"a".into(), at(2), 10).await.unwrap(), Claim::Empty, "what is held is not sent by itself");
    assert_eq!(store.roll_up(&"other".into(), at(5)).await.unwrap(), RollUp { messages: 0, folded: 0 });
    assert_eq!(store.roll_up(&"failed".into(), at(5)).await.unwrap(), RollUp { messages: 2, folded: 5 });
    assert_eq!(store.roll_up(&"failed".into(), at(5)).await.unwrap(), RollUp { messages: 0, folded: 0 });
    let batch = claim(&*store, "a", at(5)).await;
    assert_eq!(each_job(&batch), [["Scan-1", "Scan-2", "Scan-3"]]);
    assert_eq!((batch[0].kind, batch[0].total, batch[0].created), (NotificationKind::RollUp, 3, at(5)));
    let tally = store.tally().await.unwrap();
    assert_eq!((sums(&tally, "a"), sums(&tally, "b")), ((vec![], 3), (vec![], 2)));
    settle(&*store, batch[0].id, at(6), Verdict::Delivered).await;
    let tally = store.tally().await.unwrap();
    assert_eq!((sums(&tally, "a"), sums(&tally, "b")), ((vec![(Ending::RolledUp, 3)], 0), (vec![], 2)));
    let rows = store.alerts(AlertFilter { job: Some("Scan-1".into()), limit: 10, ..AlertFilter::default() }).await.unwrap();
    assert_eq!(rows[0].channels, BTreeMap::from([("a".into(), "rolled_up".into()), ("b".into(), "pending".into())]));
    let folded = deliveries(&*store, "rolled_up").await;
    assert_eq!(folded.len(), 3);
    assert!(folded.iter().all(|delivery| delivery.rolled_into == Some(batch[0].id)));
}

async fn a_dead_roll_up_is_sent_again_whole(place: &dyn Place) {
    let store = place.open().await;
    hold(&*store, at(0), &["Scan-1", "Scan-2"], &["a"]).await;
    store.roll_up(&"failed".into(), at(5)).await.unwrap();
    let message = claim(&*store, "a", at(5)).await.remove(0);
    settle(&*store, message.id, at(6), Verdict::Dead).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::Dead, 2)], 0));
    let folded = deliveries(&*store, "dead").await.into_iter().find(|delivery| delivery.kind == "alert").unwrap();
    // Whichever of them is named, and however many times, the one message is sent.
    assert_eq!(store.retry(Retry::One(folded.id), at(7)).await.unwrap(), 1);
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![], 2));
    let again = claim(&*store, "a", at(7)).await;
    assert_eq!((again.len(), &again[0].key, again[0].total), (1, &message.key, 2));
    settle(&*store, message.id, at(8), Verdict::Dead).await;
    assert_eq!(store.retry(Retry::Dead, at(9)).await.unwrap(), 1);
    settle(&*store, message.id, at(10), Verdict::Delivered).await;
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![(Ending::RolledUp, 2)], 0));
    assert_eq!(store.retry(Retry::Dead, at(11)).await.unwrap(), 0);
    assert_eq!(store.retry(Retry::One(folded.id), at(11)).await.unwrap(), 0, "what is delivered is not sent again");
}

async fn the_dead_are_sent_again_and_the_living_at_once(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1", "Scan-2", "Scan-3"], &["a"]).await;
    let batch = claim(&*store, "a", at(0)).await;
    settle(&*store, batch[0].id, at(0), Verdict::Dead).await;
    settle(&*store, batch[1].id, at(0), Verdict::Dead).await;
    settle(&*store, batch[2].id, at(0), Verdict::Aside(at(3_600))).await;
    assert_eq!(store.retry(Retry::One(batch[2].id), at(5)).await.unwrap(), 1);
    assert_eq!(each_job(&claim(&*store, "a", at(5)).await), [["Scan-3"]]);
    assert_eq!(store.retry(Retry::Dead, at(6)).await.unwrap(), 2);
    let again = claim(&*store, "a", at(6)).await;
    assert_eq!(each_job(&again), [["Scan-1"], ["Scan-2"], ["Scan-3"]], "in their old places");
    assert_eq!(again[0].key, batch[0].key);
    assert_eq!(again[0].attempts, 0);
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![], 3));
    assert_eq!(store.retry(Retry::One(999_999), at(7)).await.unwrap(), 0);
}

async fn what_was_let_through_is_told_oldest_first(place: &dyn Place) {
    let store = place.open().await;
    fail(&*store, at(10), &["Scan-1"], &["a", "b"]).await;
    fail(&*store, at(20), &["Scan-2"], &["a"]).await;
    hold(&*store, at(30), &["Scan-3"], &["a", "b"]).await;
    let rule = Name::from("failed");
    assert_eq!(store.let_through(&rule, 10).await.unwrap(), [at(10), at(20)]);
    store.roll_up(&rule, at(40)).await.unwrap();
    fail(&*store, at(50), &["Scan-4"], &["a"]).await;
    assert_eq!(store.let_through(&rule, 10).await.unwrap(), [at(10), at(20), at(40), at(50)], "a roll-up counts once");
    assert_eq!(store.let_through(&rule, 2).await.unwrap(), [at(40), at(50)], "the newest are kept");
    assert_eq!(store.let_through(&"other".into(), 10).await.unwrap(), []);
}

async fn what_was_held_is_held_after_a_restart(place: &dyn Place) {
    let store = place.open().await;
    let (first, second) = (job("Scan-1", State::Failed), job("Scan-2", State::Failed));
    store.take_in(page(at(0), &first, 1, vec![held(alert("failed", &first, 1, &["a"]))])).await.unwrap();
    store.take_in(page(at(0), &second, 1, vec![held(alert("slow", &second, 1, &["a"]))])).await.unwrap();
    drop(store);
    let store = place.open().await;
    let mut rules = store.held_rules().await.unwrap();
    rules.sort();
    assert_eq!(rules, ["failed", "slow"].map(Name::from));
    assert_eq!(store.roll_up(&"slow".into(), at(1)).await.unwrap(), RollUp { messages: 1, folded: 1 });
    assert_eq!(store.held_rules().await.unwrap(), ["failed"].map(Name::from));
    assert_eq!(sums(&store.tally().await.unwrap(), "a"), (vec![], 2));
}

async fn a_kill_loses_nothing(place: &dyn Place) {
    let store = place.open().await;
    store.open_source(&"contoso".into(), at(0)).await.unwrap();
    store.end_sweep(&"contoso".into(), Some(at(3))).await.unwrap();
    fail(&*store, at(4), &["Scan-1", "Scan-2", "Scan-3"], &["a"]).await;
    hold(&*store, at(4), &["Scan-4"], &["a"]).await;
    let running = job("Scan-5", State::Running);
    store.take_in(page(at(4), &running, 1, Vec::new())).await.unwrap();
    store.roll_up(&"failed".into(), at(5)).await.unwrap();
    let batch = claim(&*store, "a", at(5)).await;
    settle(&*store, batch[0].id, at(5), Verdict::Delivered).await;
    shut(&*store, batch[1].id, at(5), trouble(1, 60, 0)).await;
    let before = store.tally().await.unwrap();
    let risen = place.after_a_kill().await;
    assert_eq!(risen.tally().await.unwrap(), before);
    let source = risen.open_source(&"contoso".into(), at(99)).await.unwrap();
    assert_eq!((source.cut, source.baseline, source.watermark), (at(0), true, Some(at(3))));
    assert_eq!(risen.open_jobs(&"contoso".into()).await.unwrap().len(), 1);
    assert_eq!(risen.claim(&"a".into(), at(6), 10).await.unwrap(), Claim::NotBefore(at(60)));
    let left = claim(&*risen, "a", at(60)).await;
    assert_eq!(each_job(&left), [["Scan-2"], ["Scan-3"], ["Scan-4"]], "leases of the dead hold no one up");
    let keys = |batch: &[Notification]| batch.iter().map(|notification| notification.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&left), keys(&batch[1..]));
}

async fn lists_are_cut_to_what_was_asked_for(place: &dyn Place) {
    let store = place.open().await;
    for (second, id, state) in [(1, "Scan-1", State::Failed), (2, "Scan-2", State::Finished), (3, "Scan-3", State::Running)] {
        let job = Job { started: Some(at(second)), profile: format!("Nightly {id}"), ..job(id, state) };
        store.take_in(page(at(second), &job, 1, vec![alert("any", &job, 1, &["a"])])).await.unwrap();
    }
    let all = || JobFilter { limit: 100, ..JobFilter::default() };
    let cases = [
        (all(), vec!["Scan-3", "Scan-2", "Scan-1"]),
        (JobFilter { limit: 2, ..all() }, vec!["Scan-3", "Scan-2"]),
        (JobFilter { state: Some(State::Failed), ..all() }, vec!["Scan-1"]),
        (JobFilter { profile: Some("nightly scan-2".into()), ..all() }, vec!["Scan-2"]),
        (JobFilter { since: Some(at(2)), ..all() }, vec!["Scan-3", "Scan-2"]),
        (JobFilter { source: Some("fabrikam".into()), ..all() }, vec![]),
        (JobFilter { id: Some("Scan-1".into()), ..all() }, vec!["Scan-1"]),
    ];
    for (filter, expected) in cases {
        let rows = store.jobs(filter.clone()).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.job.id.as_str()).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    let since = |second| AlertFilter { since: Some(at(second)), limit: 100, ..AlertFilter::default() };
    let rows = store.alerts(since(2)).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| (row.job.id.as_str(), row.severity.as_str())).collect::<Vec<_>>(),
        [("Scan-3", "critical"), ("Scan-2", "critical")]
    );
    assert_eq!(deliveries(&*store, "pending").await.len(), 3);
    assert_eq!(deliveries(&*store, "dead").await.len(), 0);
}

/// Every test of the suite, as tests of one backend.
macro_rules! suite {
    ($backend:ident: $place:expr) => {
        mod $backend {
            use super::*;
            tests! { $place;
                the_same_page_twice_is_one_alert, an_alert_is_unique_by_rule_source_job_and_run,
                what_is_known_of_a_job_is_what_was_last_taken_in, a_page_is_taken_in_whole, a_job_is_open_until_it_ends,
                a_source_keeps_its_first_cut_and_its_furthest_watermark, a_channel_gets_its_own_in_order_once_due,
                a_channel_in_trouble_takes_nothing_before_its_time, one_aside_lets_the_others_pass,
                a_clock_set_back_by_years_stops_nothing, what_has_waited_too_long_for_its_channel_is_given_up,
                what_is_given_up_for_some_recipients_is_delivered_and_says_so,
                a_fallback_gets_what_is_dead_once_and_counts_nothing, a_group_waits_for_others_and_goes_out_as_one_delivery, a_lease_keeps_others_off_until_it_runs_out, an_ending_is_for_good,
                recipients_that_are_done_stay_done, a_roll_up_carries_what_was_held_and_ends_with_it,
                a_dead_roll_up_is_sent_again_whole, the_dead_are_sent_again_and_the_living_at_once,
                a_backlog_is_folded_rule_by_rule_in_the_place_of_the_oldest, what_may_have_been_sent_is_not_folded,
                a_roll_up_of_a_backlog_carries_as_many_as_it_may_and_comes_under_the_same_key_again,
                groups_and_roll_ups_are_folded_with_what_they_carry,
                a_dead_roll_up_of_a_backlog_goes_to_the_fallback_whole_and_is_sent_again_whole,
                none_of_a_backlog_is_given_up_before_its_own_time_is_over, what_was_let_through_is_told_oldest_first, what_was_held_is_held_after_a_restart, a_kill_loses_nothing,
                lists_are_cut_to_what_was_asked_for, a_notice_is_told_once_at_each_end,
                what_is_no_longer_watched_is_forgotten_in_silence, old_jobs_come_oldest_first_page_by_page,
                a_job_goes_once_it_is_old_absent_twice_and_settled, pruning_is_done_piece_by_piece,
                old_notices_and_roll_ups_go_by_their_own_age, the_past_is_read_back_as_far_as_it_is_asked_for, history_comes_piece_by_piece_each_job_once,
                what_waits_to_be_judged_comes_in_the_order_of_the_ends_and_stays_until_it_is,
                the_ends_of_earlier_runs_stay_in_the_past, what_ended_later_and_is_judged_can_be_asked_for, an_alert_remembers_which_rules_judged,
            }

            #[test]
            fn the_sums_hold_over_any_history() {
                model::check(|| Box::new($place));
            }
        }
    };
}

macro_rules! tests {
    ($place:expr; $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(&$place).await;
            }
        )+
    };
}

suite!(on_sqlite: sqlite::File::new());
