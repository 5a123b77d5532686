//! The past of a scan profile, and the jobs that wait to be judged by rules that look at it.

use std::sync::Arc;

use jiff::Timestamp;
use jobrelay::{
    domain::{Job, State},
    store::{AlertFilter, Intake, JobChange, LaterQuery, Moment, PastQuery, Store},
};

use super::{Place, alert, at, job, page};

fn ended(id: &str, profile: &str, finished: Option<i64>) -> Job {
    Job { profile: profile.into(), finished: finished.map(at), started: Some(at(-1_000)), ..job(id, State::Finished) }
}

fn taken(now: Timestamp, jobs: &[Job], unjudged: bool) -> Intake {
    let change = |job: &Job| JobChange { job: Arc::new(job.clone()), run: 1, newly_final: job.is_final(), unjudged };
    Intake { jobs: jobs.iter().map(change).collect(), ..page(now, &jobs[0], 1, Vec::new()) }
}

fn moment(second: i64, id: &str) -> Moment {
    Moment { at: at(second), id: id.into() }
}

pub async fn the_past_is_read_back_as_far_as_it_is_asked_for(place: &dyn Place) {
    let store = place.open().await;
    let mut jobs: Vec<Job> = (0..10).map(|n| ended(&format!("Scan-{n}"), "nightly", Some(n * 10))).collect();
    // Two ends at one instant, another profile and another source, one that runs, and one whose end will never be known.
    jobs.push(ended("Scan-5b", "nightly", Some(50)));
    jobs.push(ended("Other", "Nightly", Some(45)));
    jobs.push(Job { state: State::Running, ..ended("Runs", "nightly", None) });
    jobs.push(Job { state: State::Running, ..ended("Gone", "nightly", None) });
    jobs.push(ended("Timeless", "nightly", None));
    store.take_in(taken(at(0), &jobs, false)).await.unwrap();
    store.take_in(taken(at(0), &[Job { source: "fabrikam".into(), ..ended("Scan-4c", "nightly", Some(45)) }], false)).await.unwrap();
    store.give_up_on(&"contoso".into(), vec!["Gone".into()]).await.unwrap();
    let past = async |before: Moment, jobs: u32, since: Option<i64>, most: u32| {
        let query = PastQuery { source: "contoso".into(), profile: "nightly".into(), before, jobs, since: since.map(at), most };
        let found = store.past(query).await.unwrap();
        found.iter().map(|job| job.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(past(moment(50, "Scan-5b"), 2, None, 99).await, ["Scan-5", "Scan-4"]);
    assert_eq!(past(moment(50, "Scan-5"), 2, None, 99).await, ["Scan-4", "Scan-3"]);
    assert_eq!(past(moment(60, "Scan-6"), 3, None, 99).await, ["Scan-5b", "Scan-5", "Scan-4"]);
    assert_eq!(past(moment(60, "Scan-6"), 0, Some(40), 99).await, ["Scan-5b", "Scan-5", "Scan-4"]);
    assert_eq!(past(moment(60, "Scan-6"), 2, Some(40), 99).await, ["Scan-5b", "Scan-5", "Scan-4", "Scan-3", "Scan-2"]);
    assert_eq!(past(moment(60, "Scan-6"), 2, Some(40), 4).await, ["Scan-5b", "Scan-5", "Scan-4", "Scan-3"]);
    assert_eq!(past(moment(0, "Scan-0"), 9, Some(-99), 99).await, [""; 0]);
    assert_eq!(past(moment(999, ""), 99, None, 99).await.len(), 11, "what runs, and what ended without a time, is in no past");
}

pub async fn history_comes_piece_by_piece_each_job_once(place: &dyn Place) {
    let store = place.open().await;
    let mut jobs: Vec<Job> = (0..7).map(|n| ended(&format!("Scan-{n}"), "nightly", Some(n * 10))).collect();
    jobs.push(Job { state: State::Running, ..ended("Runs", "nightly", None) });
    store.take_in(taken(at(0), &jobs, false)).await.unwrap();
    store.take_in(taken(at(0), &[Job { source: "fabrikam".into(), ..ended("Scan-3", "nightly", Some(45)) }], false)).await.unwrap();
    let beside = place.beside().await;
    for most in 1..10 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let piece = beside.history(at(30), after, most).await.unwrap();
            assert!(piece.len() <= most as usize);
            let Some((last, run)) = piece.last() else { break };
            after = Some((last.source.clone(), last.id.clone(), *run));
            found.extend(piece.iter().map(|(job, run)| format!("{} {} {run}", job.source, job.id)));
        }
        // What ended before is left out; what runs, and what ended at that very instant, is not.
        let expected = ["Runs", "Scan-3", "Scan-4", "Scan-5", "Scan-6"].map(|id| format!("contoso {id} 1"));
        assert_eq!(found, [&expected[..], &["fabrikam Scan-3 1".to_owned()]].concat());
    }
}

pub async fn what_waits_to_be_judged_comes_in_the_order_of_the_ends_and_stays_until_it_is(place: &dyn Place) {
    let store = place.open().await;
    let contoso = "contoso".into();
    let jobs = [("C", Some(30)), ("A", Some(10)), ("B2", Some(20)), ("B1", Some(20)), ("Timeless", None)];
    let jobs: Vec<Job> = jobs.iter().map(|(id, finished)| ended(id, "nightly", *finished)).collect();
    store.take_in(taken(at(0), &jobs, true)).await.unwrap();
    store.take_in(taken(at(0), &[ended("Judged", "nightly", Some(15))], false)).await.unwrap();
    let waiting = async |store: &dyn Store, until: i64, most: u32| {
        let found = store.unjudged(&contoso, at(until), most).await.unwrap();
        found.iter().map(|one| one.job.id.clone()).collect::<Vec<_>>()
    };
    // Without a finish time, the start says where it belongs.
    assert_eq!(waiting(&*store, 99, 99).await, ["Timeless", "A", "B1", "B2", "C"]);
    assert_eq!(waiting(&*store, 20, 99).await, ["Timeless", "A", "B1", "B2"]);
    assert_eq!(waiting(&*store, 99, 2).await, ["Timeless", "A"]);
    let known = store.known(&contoso, vec!["A".into(), "Judged".into()]).await.unwrap();
    assert_eq!(known.iter().map(|known| known.unwrap().unjudged).collect::<Vec<_>>(), [true, false]);
    // Seen again unchanged, it waits all the same; an alert and the end of the waiting are one transaction.
    store.take_in(taken(at(1), &jobs[1..2], false)).await.unwrap();
    let judged = Intake {
        jobs: Vec::new(),
        judged: vec!["A".into(), "B1".into()],
        ..page(at(2), &jobs[1], 1, vec![alert("late", &jobs[1], 1, &["a"])])
    };
    store.take_in(judged).await.unwrap();
    let store = place.after_a_kill().await;
    assert_eq!(waiting(&*store, 99, 99).await, ["Timeless", "B2", "C"]);
    assert_eq!(store.alerted(&contoso, "A", 1).await.unwrap(), ["late".into()]);
    assert_eq!(store.unjudged(&"fabrikam".into(), at(99), 99).await.unwrap(), []);
    // Running again, there is no end left to judge.
    store.take_in(taken(at(3), &[Job { state: State::Running, ..ended("C", "nightly", None) }], false)).await.unwrap();
    assert_eq!(waiting(&*store, 99, 99).await, ["Timeless", "B2"]);
}

pub async fn what_ended_later_and_is_judged_can_be_asked_for(place: &dyn Place) {
    let store = place.open().await;
    let jobs: Vec<Job> = (0..6).map(|n| ended(&format!("Scan-{n}"), "nightly", Some(n * 10))).collect();
    store.take_in(taken(at(0), &jobs, false)).await.unwrap();
    store.take_in(taken(at(0), &[ended("Waits", "nightly", Some(35))], true)).await.unwrap();
    store.take_in(taken(at(0), &[ended("Other", "weekly", Some(35))], false)).await.unwrap();
    let later = async |than: Moment, since: i64, most: u32| {
        let query = LaterQuery { source: "contoso".into(), profile: "nightly".into(), than, since: at(since), most };
        let found = store.judged_later(query).await.unwrap();
        found.iter().map(|one| one.job.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(later(moment(20, "Scan-1"), -99, 99).await, ["Scan-2", "Scan-3", "Scan-4", "Scan-5"]);
    assert_eq!(later(moment(20, "Scan-2"), -99, 2).await, ["Scan-3", "Scan-4"]);
    assert_eq!(later(moment(20, "Scan-2"), 30, 99).await, ["Scan-4", "Scan-5"]);
    assert_eq!(later(moment(50, "Scan-5"), -99, 99).await, [""; 0]);
}

pub async fn the_ends_of_earlier_runs_stay_in_the_past(place: &dyn Place) {
    let store = place.open().await;
    let run = |run: u32, state: State, finished: Option<i64>| {
        let job = Job { state, ..ended("Scan-1", "nightly", finished) };
        let change = JobChange { job: Arc::new(job.clone()), run, newly_final: job.is_final(), unjudged: false };
        Intake { jobs: vec![change], ..page(at(finished.unwrap_or(0)), &job, run, Vec::new()) }
    };
    let past = async |store: &dyn Store, before: Moment| {
        let query = PastQuery { source: "contoso".into(), profile: "nightly".into(), before, jobs: 9, since: None, most: 99 };
        let found = store.past(query).await.unwrap();
        found.iter().map(|job| (job.id.clone(), job.state, job.finished.unwrap().as_second() - at(0).as_second())).collect::<Vec<_>>()
    };
    let first = ("Scan-1".to_owned(), State::Failed, 10);
    let other = ("Scan-2".to_owned(), State::Finished, 20);
    store.take_in(taken(at(0), &[ended("Scan-2", "nightly", Some(20))], false)).await.unwrap();
    // An end that is corrected is one end all the same.
    store.take_in(run(1, State::Stopped, Some(10))).await.unwrap();
    store.take_in(run(1, State::Failed, Some(10))).await.unwrap();
    store.take_in(run(2, State::Running, None)).await.unwrap();
    let store = place.after_a_kill().await;
    assert_eq!(past(&*store, moment(999, "")).await, [other.clone(), first.clone()]);
    // A page that is taken in a second time changes nothing.
    for _ in 0..2 {
        store.take_in(run(2, State::Finished, Some(30))).await.unwrap();
    }
    let second = ("Scan-1".to_owned(), State::Finished, 30);
    assert_eq!(past(&*store, moment(999, "")).await, [second, other.clone(), first.clone()]);
    assert_eq!(past(&*store, moment(30, "Scan-1")).await, [other.clone(), first]);

    let later = LaterQuery { source: "contoso".into(), profile: "nightly".into(), than: moment(5, ""), since: at(-99), most: 99 };
    let later: Vec<(String, u32)> = store.judged_later(later).await.unwrap().into_iter().map(|one| (one.job.id.clone(), one.run)).collect();
    assert_eq!(later, [("Scan-1".to_owned(), 1), ("Scan-2".to_owned(), 1), ("Scan-1".to_owned(), 2)]);
    let (mut runs, mut after) = (Vec::new(), None);
    while let Some((job, run)) = store.history(at(0), after.take(), 1).await.unwrap().pop() {
        after = Some((job.source.clone(), job.id.clone(), run));
        runs.push((job.id, run));
    }
    assert_eq!(runs, [("Scan-1".to_owned(), 1), ("Scan-1".to_owned(), 2), ("Scan-2".to_owned(), 1)]);

    // What is old goes, whether its job goes with it or not.
    store.prune(&"contoso".into(), at(15)).await.unwrap();
    assert_eq!(past(&*store, moment(25, "")).await, [other]);
    store.take_in(run(3, State::Running, None)).await.unwrap();
    store.take_in(run(3, State::Finished, Some(40))).await.unwrap();
    for _ in 0..2 {
        store.note_listed(&"contoso".into(), vec![("Scan-1".into(), false), ("Scan-2".into(), false)]).await.unwrap();
    }
    assert_eq!(store.prune(&"contoso".into(), at(99)).await.unwrap().jobs, 2);
    assert_eq!(past(&*store, moment(999, "")).await, []);
}

pub async fn an_alert_remembers_which_rules_judged(place: &dyn Place) {
    let store = place.open().await;
    let job = job("Scan-1", State::Failed);
    for version in ["aaaaaaaaaaaa", "bbbbbbbbbbbb"] {
        let judged = page(at(0), &job, 1, vec![alert("failed", &job, 1, &["a"]), alert(version, &job, 1, &["a"])]);
        store.take_in(Intake { rules_version: version.into(), ..judged }).await.unwrap();
    }
    let rows = store.alerts(AlertFilter { limit: 9, ..AlertFilter::default() }).await.unwrap();
    let told: Vec<(&str, &str)> = rows.iter().map(|row| (row.rule.as_str(), row.rules_version.as_deref().unwrap())).collect();
    let expected = [("bbbbbbbbbbbb", "bbbbbbbbbbbb"), ("aaaaaaaaaaaa", "aaaaaaaaaaaa"), ("failed", "aaaaaaaaaaaa")];
    assert_eq!(told, expected, "an alert that exists keeps the version it was made by");
}
