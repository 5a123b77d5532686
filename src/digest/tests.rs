mod runs;

use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::{
    document::{Faults, Source, parse},
    domain::{Category, Digest, Job, JobType},
    rules::{Known, read},
    store::{
        DigestEnd, DigestState, DigestStore, Intake, JobChange, Polls, Store,
        sqlite::{Access, Sqlite},
    },
};

fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// The jobs that a digest of a part is about.
fn part(when: &str) -> RuleSet {
    let text = format!("rules: [{{ name: part, notify: hook, when: {when} }}]");
    let mut faults = Faults::default();
    let node = parse(&Arc::new(Source { path: "rules.yaml".into(), text }), &mut faults).unwrap();
    let names = ["contoso", "fabrikam"].map(Name::from);
    read(&[node], &Known { channels: &[Name::from("hook")], sources: &names, template_sets: &[] }, &mut faults)
}

struct World {
    store: Sqlite,
    _folder: tempfile::TempDir,
    next: u32,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Sqlite::open(&folder.path().join("jobrelay.db"), Access::Service).unwrap(), _folder: folder, next: 0 }
    }

    fn job(&mut self, source: &str, profile: &str, state: State, finished: Timestamp, minutes_long: i64) -> Job {
        self.next += 1;
        Job {
            source: Name::from(source),
            id: format!("Scan{:06}", self.next),
            kind: Some(JobType::Microsoft365),
            state,
            started: Some(finished - minutes(minutes_long)),
            finished: Some(finished),
            profile: profile.into(),
            category: Some(Category::Microsoft365),
            extension: serde_json::Value::Null,
        }
    }

    async fn take_in(&self, now: Timestamp, news: bool, jobs: Vec<Job>) {
        let change = |job: Job| JobChange { job: Arc::new(job), run: 1, newly_final: news, unjudged: false };
        let mut by_source: std::collections::BTreeMap<Name, Vec<JobChange>> = std::collections::BTreeMap::new();
        for job in jobs {
            by_source.entry(job.source.clone()).or_default().push(change(job));
        }
        for (source, jobs) in by_source {
            let (alerts, judged, unreadable, rules_version) = (Vec::new(), Vec::new(), Vec::new(), "".into());
            self.store.take_in(Intake { source, now, jobs, alerts, judged, rules_version, unreadable }).await.unwrap();
        }
    }

    /// One job that ended as given, seen a minute later.
    async fn ends(&mut self, source: &str, profile: &str, state: State, finished: &str, minutes_long: i64) {
        let job = self.job(source, profile, state, t(finished), minutes_long);
        self.take_in(t(finished) + minutes(1), true, vec![job]).await;
    }

    async fn sum_up(&self, sources: &[&str], since: &str, until: &str, when: Option<RuleSet>) -> Digest {
        let scope = Scope {
            name: Name::from("daily"),
            sources: sources.iter().map(|name| (Name::from(name), Duration::from_secs(60))).collect(),
            when: when.map(Arc::new),
            zone: TimeZone::get("Europe/Zurich").unwrap(),
        };
        gather(&self.store, &scope, &Period { since: t(since), until: t(until), due: None, late: false }).await.unwrap()
    }
}

#[tokio::test]
async fn what_failed_recovered_and_was_slow_is_told_with_how_it_was_before() {
    let mut world = World::new();
    for day in 1..=4 {
        world.ends("contoso", "sites", State::Finished, &format!("2026-03-0{day}T02:00:00Z"), 10).await;
        world.ends("contoso", "mail", State::Failed, &format!("2026-03-0{day}T03:00:00Z"), 3).await;
    }
    world.ends("contoso", "teams", State::Finished, "2026-03-01T01:00:00Z", 5).await;
    // The period: 5 March.
    world.ends("contoso", "sites", State::Finished, "2026-03-05T02:00:00Z", 45).await;
    world.ends("contoso", "mail", State::Finished, "2026-03-05T03:00:00Z", 3).await;
    for hour in 4..7 {
        world.ends("contoso", "teams", State::Failed, &format!("2026-03-05T0{hour}:00:00Z"), 5).await;
    }
    world.ends("contoso", "drive", State::Failed, "2026-03-05T08:00:00Z", 5).await;
    world.ends("contoso", "drive", State::Finished, "2026-03-05T09:00:00Z", 5).await;
    world.ends("contoso", "google", State::Skipped, "2026-03-05T09:30:00Z", 0).await;
    let digest = world.sum_up(&["contoso"], "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z", None).await;

    let failing: Vec<_> =
        digest.failing.first.iter().map(|one| (&*one.profile, one.totals.failed, one.still, one.streak, one.last_good)).collect();
    assert_eq!(
        failing,
        [("teams", 3, true, Some(3), Some(t("2026-03-01T01:00:00Z"))), ("drive", 1, false, Some(0), Some(t("2026-03-05T09:00:00Z")))]
    );
    let recovered: Vec<_> = digest.recovered.first.iter().map(|one| (&*one.profile, one.after)).collect();
    assert_eq!(recovered, [("drive", Some(1)), ("mail", Some(4))]);
    let slower: Vec<_> = digest.slower.first.iter().map(|one| (&*one.profile, one.millis, one.usual)).collect();
    assert_eq!(slower, [("sites", 45 * 60_000, Some(10 * 60_000))]);
    assert_eq!((digest.slowest.first[0].profile.as_str(), digest.slowest.count()), ("sites", 4));
    assert_eq!((digest.totals.ended(), digest.totals.bad(), digest.totals.skipped), (8, 4, 1));
    assert_eq!((digest.before.ended(), digest.before.bad()), (2, 1));
    // In Zurich, the period ends an hour into the next day.
    let days: Vec<u64> = digest.days.iter().rev().take(3).map(Day::ended).collect();
    assert_eq!((digest.days.len(), days), (DAYS, vec![0, 8, 2]));
    assert_eq!(digest.days.iter().map(Day::ended).sum::<u64>(), 17);
    assert_eq!((digest.several, digest.tenants.count(), digest.notes.len()), (false, 0, 0));
    assert_eq!(digest.coverage.newest.unwrap().profile, "google");
}

#[tokio::test]
async fn of_several_sources_the_worst_stands_first_and_the_quiet_ones_together() {
    let mut world = World::new();
    for (source, failures) in [("a", 0), ("b", 1), ("c", 3)] {
        for n in 0..failures {
            world.ends(source, &format!("scan {n}"), State::Failed, "2026-03-05T02:00:00Z", 5).await;
        }
        world.ends(source, "scan 9", State::Finished, "2026-03-05T03:00:00Z", 5).await;
    }
    let digest = world.sum_up(&["a", "b", "c", "d"], "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z", None).await;
    let tenants: Vec<_> = digest.tenants.first.iter().map(|one| (&*one.source, one.totals.failed, one.failing.count())).collect();
    assert_eq!(tenants, [("c", 3, 3), ("b", 1, 1)]);
    assert_eq!(digest.quiet.first, ["a", "d"]);
    // One that could not be read is not said to be without a failure.
    for (source, made) in [("a", 1), ("b", 1), ("c", 1), ("d", 0)] {
        let (source, at) = (Name::from(source), t("2026-03-05T00:00:00Z"));
        let polls = Polls { from: at, to: t("2026-03-06T00:00:00Z"), made, failed: 1 - made, after_gap: true };
        world.store.note_polls(&source, polls).await.unwrap();
    }
    let digest = world.sum_up(&["a", "b", "c", "d"], "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z", None).await;
    assert_eq!((digest.quiet.first, digest.coverage.unread().collect::<Vec<_>>()), (vec!["a".to_owned()], vec!["d"]));
}

#[tokio::test]
async fn a_digest_about_one_tenant_says_nothing_of_the_others() {
    let mut world = World::new();
    for source in ["contoso", "fabrikam"] {
        world.ends(source, &format!("scan of {source}"), State::Failed, "2026-03-05T02:00:00Z", 5).await;
        let (source, from) = (Name::from(source), t("2026-03-05T00:00:00Z"));
        world.store.open_source(&source, from).await.unwrap();
        let polls = Polls { from, to: t("2026-03-06T00:00:00Z"), made: 10, failed: 2, after_gap: true };
        world.store.note_polls(&source, polls).await.unwrap();
    }
    let running = Job { finished: None, ..world.job("fabrikam", "scan of fabrikam", State::Running, t("2026-03-05T04:00:00Z"), 5) };
    world.take_in(t("2026-03-05T04:00:00Z"), false, vec![running]).await;
    let when = Some(part("{ not: { source: fabrikam } }"));
    let digest = world.sum_up(&["contoso", "fabrikam"], "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z", when).await;
    assert!(!digest.several && !serde_json::to_string(&digest).unwrap().contains("fabrikam"), "{digest:#?}");
    let coverage = &digest.coverage;
    assert_eq!((coverage.sources, coverage.polls, coverage.missed, coverage.jobs, coverage.running), (1, 10, 2, 1, 0));
    let whole = world.sum_up(&["contoso", "fabrikam"], "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z", None).await;
    assert_eq!((whole.coverage.sources, whole.coverage.jobs, whole.coverage.running), (2, 2, 1));
    assert_eq!(whole.coverage.newest.unwrap().source, "fabrikam");
}

#[tokio::test]
async fn each_job_is_in_the_one_period_in_which_it_was_seen_to_end_and_history_in_the_one_it_ended_in() {
    let mut world = World::new();
    let history = world.job("contoso", "sites", State::Finished, t("2026-03-01T12:00:00Z"), 5);
    world.take_in(t("2026-03-05T07:00:00Z"), false, vec![history.clone()]).await;
    let name = Name::from("daily");
    let state = |ended: &str| DigestState { ended: t(ended), counts_from: t(ended), plan: "x".into() };
    world.store.place_digest(&name, state("2026-03-04T08:00:00Z"), t("2026-03-05T07:00:00Z")).await.unwrap();
    // It ended before the period was closed, was judged before, and is written after.
    let late = world.job("contoso", "sites", State::Failed, t("2026-03-05T07:59:30Z"), 5);
    world.store.close_period(t("2026-03-05T08:00:00Z")).await.unwrap();
    world.take_in(t("2026-03-05T07:59:59Z"), true, vec![late.clone()]).await;
    let ended = |digest: Digest| digest.totals.ended();
    assert_eq!(ended(world.sum_up(&["contoso"], "2026-03-04T08:00:00Z", "2026-03-05T08:00:00Z", None).await), 0);
    assert_eq!(ended(world.sum_up(&["contoso"], "2026-03-05T08:00:00Z", "2026-03-06T08:00:00Z", None).await), 1);
    assert_eq!(ended(world.sum_up(&["contoso"], "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", None).await), 1);
    // Seen again as it was, it stays where it is; history that is seen again too.
    world.take_in(t("2026-03-09T08:00:00Z"), false, vec![late.clone(), history]).await;
    assert_eq!(ended(world.sum_up(&["contoso"], "2026-03-05T08:00:00Z", "2026-03-06T08:00:00Z", None).await), 1);
    assert_eq!(ended(world.sum_up(&["contoso"], "2026-03-06T08:00:00Z", "2026-03-10T08:00:00Z", None).await), 0);
    // An end that is found to be another one is news again.
    let corrected = Job { state: State::Finished, ..late.clone() };
    world.take_in(t("2026-03-11T08:00:00Z"), true, vec![corrected]).await;
    assert_eq!(ended(world.sum_up(&["contoso"], "2026-03-11T00:00:00Z", "2026-03-12T00:00:00Z", None).await), 1);
    // A clock that was years ahead counts there, until the digest is placed by the right one.
    world.store.close_period(t("2036-01-01T00:00:00Z")).await.unwrap();
    let wrong = world.job("contoso", "sites", State::Failed, t("2026-03-12T10:00:00Z"), 5);
    world.take_in(t("2026-03-12T10:00:00Z"), true, vec![wrong]).await;
    assert_eq!(ended(world.sum_up(&["contoso"], "2026-03-12T00:00:00Z", "2026-03-13T00:00:00Z", None).await), 0);
    world.store.place_digest(&name, state("2026-03-12T10:01:00Z"), t("2026-03-12T10:01:00Z")).await.unwrap();
    assert_eq!(ended(world.sum_up(&["contoso"], "2026-03-12T00:00:00Z", "2026-03-13T00:00:00Z", None).await), 1);
}

/// Two digests, of which each has told another part when the clock, hours ahead until then, is set right.
#[tokio::test]
async fn what_a_clock_that_was_ahead_has_counted_is_told_once_by_each_digest() {
    let mut world = World::new();
    let names = ["often", "seldom"].map(Name::from);
    let state = |ended: Timestamp| DigestState { ended, counts_from: ended, plan: "x".into() };
    let now = t("2026-03-05T08:00:00Z");
    for name in &names {
        world.store.place_digest(name, state(now), now).await.unwrap();
    }
    // By the wrong clock: one end, the seldom one's digest, three ends, the other's, five ends.
    let mut told = [0, 0];
    for (hour, ends, teller) in [(11, 1, Some(1)), (12, 3, Some(0)), (13, 5, None)] {
        let at = now + SignedDuration::from_hours(hour);
        let jobs = (0..ends).map(|_| world.job("contoso", "sites", State::Failed, now, 5)).collect();
        world.take_in(at, true, jobs).await;
        let Some(teller) = teller else { continue };
        let (name, end) = (&names[teller], at + minutes(1));
        let before = world.store.digest_state(name).await.unwrap().unwrap();
        world.store.close_period(end).await.unwrap();
        told[teller] += world.sum_up(&["contoso"], &before.ended.to_string(), &end.to_string(), None).await.totals.ended();
        let ended = DigestEnd { name: name.clone(), before, after: state(end), due: end, says: None, channels: Vec::new(), now: end };
        assert!(world.store.end_digest(ended).await.unwrap());
    }
    assert_eq!(told, [4, 1]);
    let right = now + minutes(1);
    for name in &names {
        let before = world.store.digest_state(name).await.unwrap().unwrap();
        let placed = DigestState { ended: before.ended.min(right), ..state(right) };
        world.store.place_digest(name, placed, right).await.unwrap();
    }
    let end = right + minutes(1);
    for (name, told) in names.iter().zip(told) {
        let since = world.store.digest_state(name).await.unwrap().unwrap().ended;
        assert!(since <= right, "{name}");
        let rest = world.sum_up(&["contoso"], &since.to_string(), &end.to_string(), None).await.totals.ended();
        assert_eq!(told + rest, 9, "{name}");
    }
}

#[tokio::test]
async fn polls_are_kept_and_told_apart_by_period() {
    let world = World::new();
    let source = Name::from("contoso");
    world.store.open_source(&source, t("2026-03-05T00:00:00Z")).await.unwrap();
    let mut at = t("2026-03-05T07:00:00Z");
    for n in 0..120 {
        if n == 75 {
            world.store.close_period(at).await.unwrap();
        }
        let polls = Polls { from: at, to: at + SignedDuration::from_secs(1), made: 1, failed: 0, after_gap: n == 0 };
        world.store.note_polls(&source, polls).await.unwrap();
        at += minutes(1);
    }
    let (split, end) = ("2026-03-05T08:15:00Z", "2026-03-05T09:00:00Z");
    let first = world.sum_up(&["contoso"], "2026-03-05T07:00:00Z", split, None).await.coverage;
    let second = world.sum_up(&["contoso"], split, end, None).await.coverage;
    assert_eq!((first.polls, first.missed, second.polls, second.missed), (75, 0, 45, 0));
    let silence = world.sum_up(&["contoso"], end, "2026-03-05T10:00:00Z", None).await;
    assert_eq!((silence.coverage.polls, silence.coverage.missed, silence.is_empty()), (0, 59, false));
}

#[tokio::test]
async fn the_end_of_a_period_between_two_polls_and_their_writing_is_no_gap() {
    let world = World::new();
    let source = Name::from("contoso");
    world.store.open_source(&source, t("2026-03-05T00:00:00Z")).await.unwrap();
    let (begin, end) = ("2026-03-05T07:00:00Z", "2026-03-05T07:55:00Z");
    let seconds = SignedDuration::from_secs;
    // Polled every five seconds, written down every thirty; two digests end in the middle of that, one right after the other.
    for n in 0..110 {
        let from = t(begin) + seconds(30 * n);
        if n == 20 || n == 60 {
            world.store.close_period(from + seconds(15)).await.unwrap();
            world.store.close_period(from + seconds(16)).await.unwrap();
        }
        let polls = Polls { from, to: from + seconds(26), made: 6, failed: 0, after_gap: n == 0 };
        world.store.note_polls(&source, polls).await.unwrap();
    }
    let scope = Scope { name: Name::from("weekly"), sources: vec![(source, Duration::from_secs(5))], when: None, zone: TimeZone::UTC };
    let period = Period { since: t(begin), until: t(end), due: None, late: false };
    let coverage = gather(&world.store, &scope, &period).await.unwrap().coverage;
    assert_eq!((coverage.polls, coverage.missed), (660, 0));
}

/// As many as a very large provider has in a day: a few sums stay.
#[tokio::test]
async fn a_hundred_thousand_jobs_are_summed_up() {
    const JOBS: usize = 100_000;
    let mut world = World::new();
    for page in 0..100 {
        let jobs = (0..JOBS / 100)
            .map(|n| {
                let state = if n % 50 == 0 { State::Failed } else { State::Finished };
                world.job(&format!("tenant {}", n % 40), &format!("scan {}", n % 500), state, t("2026-03-05T02:00:00Z"), 5)
            })
            .collect();
        world.take_in(t("2026-03-05T02:00:00Z") + minutes(page), true, jobs).await;
    }
    let digest = world.sum_up(&["tenant 0"], "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z", None).await;
    assert_eq!((digest.totals.ended(), digest.totals.failed), (JOBS as u64, JOBS as u64 / 50));
    assert!(digest.entries() <= 50 && serde_json::to_string(&digest).unwrap().len() < 200_000);
}

fn plan(schedule: &str, zone: &str) -> Plan {
    let parser = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Disallowed).build();
    Plan { schedule: parser.parse(schedule).unwrap(), zone: TimeZone::get(zone).unwrap() }
}

fn stands(plan: &Plan, ended: &str) -> DigestState {
    DigestState { ended: t(ended), counts_from: t(ended), plan: plan.words() }
}

#[test]
fn a_digest_is_due_once_for_what_was_missed_and_waits_for_the_next() {
    let daily = plan("0 8 * * *", "Europe/Zurich");
    let state = stands(&daily, "2026-03-05T07:00:02Z");
    assert_eq!(decide(&daily, Some(&state), t("2026-03-06T06:59:59Z")), Decision::Wait(Some(t("2026-03-06T07:00:00Z"))));
    let send = |now: &str| match decide(&daily, Some(&state), t(now)) {
        Decision::Send { due, late, after } => {
            assert_eq!((after.ended, after.counts_from), (t(now), t(now)));
            (due.to_string(), late)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(send("2026-03-06T07:00:00Z"), ("2026-03-06T07:00:00Z".into(), false));
    assert_eq!(send("2026-03-06T09:00:00Z"), ("2026-03-06T07:00:00Z".into(), true));
    assert_eq!(send("2026-03-09T06:59:59Z"), ("2026-03-08T07:00:00Z".into(), true));
    let often = plan("* * * * *", "UTC");
    let stood = stands(&often, "2026-03-06T07:00:00Z");
    let late = |now: &str| matches!(decide(&often, Some(&stood), t(now)), Decision::Send { late: true, .. });
    assert_eq!([late("2026-03-06T07:01:30Z"), late("2026-03-06T07:02:01Z")], [false, true]);
    // Summer time has begun.
    assert_eq!(send("2026-03-31T06:00:00Z"), ("2026-03-31T06:00:00Z".into(), true));
}

#[test]
fn a_new_digest_or_one_with_another_schedule_is_placed_and_says_nothing() {
    let daily = plan("0 8 * * *", "Europe/Zurich");
    let now = t("2026-03-05T12:00:00Z");
    let placed = |plan: &Plan, state: Option<&DigestState>, now| match decide(plan, state, now) {
        Decision::Place(state) => (state.ended.to_string(), state.counts_from),
        other => panic!("{other:?}"),
    };
    assert_eq!(placed(&daily, None, now), ("2026-03-05T07:00:00Z".into(), now));
    let hourly = plan("0 * * * *", "Europe/Zurich");
    let state = stands(&daily, "2026-03-05T07:00:00Z");
    assert_eq!(placed(&hourly, Some(&state), now), ("2026-03-05T07:00:00Z".into(), now));
    let elsewhere = plan("0 8 * * *", "America/New_York");
    assert_eq!(placed(&elsewhere, Some(&state), now), ("2026-03-05T07:00:00Z".into(), now));
}

#[test]
fn a_clock_set_back_repeats_nothing_and_one_that_was_far_ahead_silences_nothing() {
    let daily = plan("0 8 * * *", "Europe/Zurich");
    let state = stands(&daily, "2026-03-05T07:00:02Z");
    let next = Decision::Wait(Some(t("2026-03-06T07:00:00Z")));
    for back in ["2026-03-05T07:00:00Z", "2026-03-05T04:00:00Z", "2026-03-04T07:30:00Z"] {
        assert_eq!(decide(&daily, Some(&state), t(back)), next, "{back}");
    }
    let Decision::Place(placed) = decide(&daily, Some(&state), t("2026-03-01T00:00:00Z")) else { panic!() };
    assert_eq!(placed.ended, t("2026-03-01T00:00:00Z"));
}

proptest::proptest! {
    #[test]
    fn the_last_due_time_is_the_last_that_is_met_going_forward(
        schedule in proptest::sample::select(vec!["0 8 * * mon-fri", "30 2 * * *", "*/15 * * * *", "0 0 1 * *", "59 1 * * sun", "0 */6 * * *"]),
        zone in proptest::sample::select(vec!["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "UTC"]),
        from in 1_760_000_000_i64..1_800_000_000, hours in 0_i64..900,
    ) {
        let plan = plan(schedule, zone);
        let (from, now) = (Timestamp::from_second(from).unwrap(), Timestamp::from_second(from + hours * 3_600).unwrap());
        let met: Vec<Timestamp> = std::iter::successors(plan.next(from), |due| plan.next(*due)).take_while(|due| *due <= now).collect();
        proptest::prop_assert!(met.is_sorted());
        if let Some(last) = met.last() {
            proptest::prop_assert_eq!(plan.last(now), Some(*last));
        }
    }
}
