//! The messages of a rehearsal, against the real ones: the same alerts through the limits, the store and the loop that makes
//! groups and roll-ups, the clock set from instant to instant.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use proptest::prelude::*;

use super::*;
use crate::{
    clock::Clock,
    document::{Faults, Source, parse},
    domain::{Job, State},
    intake::Limits,
    rehearsal::Gap,
    rules::{Known, RuleSet, read},
    schedule::RollUps,
    store::{
        self, DeliveryFilter, Gather, JobChange, NewAlert, Store,
        sqlite::{Access, Sqlite},
    },
    wake::Wake,
};

/// Rules in YAML, between the braces of each.
fn rules(bodies: &[String]) -> RuleSet {
    let text = bodies.iter().enumerate().map(|(n, body)| format!("  - {{ name: rule-{n}, {body} }}")).collect::<Vec<_>>().join("\n");
    let mut faults = Faults::default();
    let source = Source { path: PathBuf::from("r.yaml"), text: format!("rules:\n{text}") };
    let node = parse(&Arc::new(source), &mut faults).unwrap();
    let known = Known { channels: &[Name::from("a"), Name::from("b")], sources: &[Name::from("contoso")], template_sets: &[] };
    let rules = read(&[node], &known, &mut faults);
    assert!(!faults.any_error(), "{faults:?}\n{text}");
    rules
}

fn rule(body: &str) -> RuleSet {
    rules(&[format!("notify: [a, b], {body}")])
}

fn at(millis: u64) -> Timestamp {
    "2024-09-26T00:00:00Z".parse::<Timestamp>().unwrap().checked_add(Duration::from_millis(millis)).unwrap()
}

fn job(id: usize, profile: &str, finished: u64) -> Arc<Job> {
    Arc::new(Job {
        source: Name::from("contoso"),
        id: format!("j{id}"),
        kind: None,
        state: State::Failed,
        started: Some(at(0)),
        finished: Some(at(finished)),
        profile: profile.to_owned(),
        category: None,
        extension: serde_json::Value::Null,
    })
}

/// Every rule raised on every job as it ends.
fn raised(rules: &RuleSet, jobs: &[(&str, u64)]) -> Vec<Event> {
    let mut events = Vec::new();
    for (id, (profile, finished)) in jobs.iter().enumerate() {
        let job = job(id, profile, *finished);
        let raise = |rule: &Arc<Rule>| Raised { rule: Arc::clone(rule), job: Arc::clone(&job), run: 1, at: at(*finished) };
        events.extend(rules.rules().iter().map(raise).map(Event::Raised));
    }
    events.sort_by_key(Event::at);
    events
}

/// Each message as `kind at milliseconds: jobs`.
fn told(events: &[Event]) -> Vec<String> {
    let job = |place: &usize| match &events[*place] {
        Event::Raised(raised) => raised.job.id.clone(),
        Event::Missed(_) | Event::Back(_) => "-".to_owned(),
    };
    let told = |message: &Message| {
        let millis = message.at.duration_since(at(0)).as_millis();
        format!("{} at {millis}: {}", message.kind.name(), message.carries.iter().map(job).collect::<Vec<_>>().join(" "))
    };
    messages(events).iter().map(told).collect()
}

#[test]
fn what_a_limit_holds_goes_out_in_one_roll_up_as_soon_as_one_is_to_be_had() {
    let rules = rule("when: {}, limit: 2 per 10s");
    let jobs = [("p", 0), ("p", 0), ("p", 100), ("p", 4_000), ("p", 5_100), ("p", 30_000)];
    let expected = ["alert at 0: j0", "alert at 0: j1", "roll_up at 5000: j2 j3", "roll_up at 10000: j4", "alert at 30000: j5"];
    assert_eq!(told(&raised(&rules, &jobs)), expected);
}

#[test]
fn what_is_alike_and_comes_in_time_is_one_message() {
    let rules = rule("when: {}, group: { by: [profile], wait: 1m }");
    let jobs = [("p", 0), ("q", 10_000), ("p", 59_999), ("p", 60_000), ("q", 69_000)];
    let expected = ["group at 60000: j0 j2", "group at 70000: j1 j4", "group at 120000: j3"];
    assert_eq!(told(&raised(&rules, &jobs)), expected);
}

#[test]
fn a_group_that_finds_no_message_waits_for_the_roll_up() {
    let rules = rule("when: {}, group: { by: [profile], wait: 1s }, limit: 1 per 10s");
    let jobs = [("p", 0), ("q", 500), ("r", 1_200), ("s", 1_300)];
    assert_eq!(told(&raised(&rules, &jobs)), ["group at 1000: j0", "roll_up at 11000: j1 j2 j3"]);
}

#[test]
fn a_notice_knows_no_limit_and_every_rule_has_its_own() {
    let rules = rules(&["notify: a, when: {}, limit: 1 per 1h".into(), "notify: a, missing: { profile: p, every: 1h }".into()]);
    let [limited, missing] = rules.rules() else { panic!("two rules") };
    let gap = |millis| Gap { rule: Arc::clone(missing), source: Name::from("contoso"), at: at(millis), last: None };
    let raise = |id| Event::Raised(Raised { rule: Arc::clone(limited), job: job(id, "p", 5), run: 1, at: at(5) });
    let events = [Event::Missed(gap(1)), raise(1), raise(2), Event::Back(gap(6))];
    assert_eq!(told(&events), ["notice at 1: -", "alert at 5: j1", "notice at 6: -", "roll_up at 3600005: j2"]);
}

/// A clock that is set.
struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each message on each channel: kind, rule, instant, jobs.
type Sent = (String, String, String, Timestamp, Vec<String>);

/// What the service's own parts make of the events: buckets, store, and the loop's one step, taken whenever the loop would.
async fn really(rules: &RuleSet, events: &[Event]) -> Vec<Sent> {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&folder.path().join("s.db"), Access::Service).unwrap());
    let limits = Arc::new(Limits::recalled(rules, &*store).await.unwrap());
    let clock = Arc::new(Hands(Mutex::new(at(0))));
    let roll_ups = RollUps {
        limits: Arc::clone(&limits),
        store: Arc::clone(&store),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        channels: Vec::new(),
        wake: Arc::new(Wake::default()),
    };
    let set = |now: Timestamp| *clock.0.lock().unwrap() = now;
    let mut due: Option<Timestamp> = None;
    let mut next = events.iter().peekable();
    loop {
        let comes = next.peek().map(|event| event.at());
        let Some(now) = comes.into_iter().chain(due).min() else { break };
        set(now);
        roll_ups.release().await.unwrap();
        while let Some(Event::Raised(raised)) = next.next_if(|event| event.at() == now) {
            let rule = &raised.rule;
            let gather = rule.group.as_ref().map(|group| Gather { key: group.key(&raised.job), wait: group.wait });
            let mut buckets = limits.lock().await;
            let alert = NewAlert {
                rule: rule.name.clone(),
                facts: Arc::clone(&rule.facts),
                job: Arc::clone(&raised.job),
                run: raised.run,
                notify: rule.notify.clone(),
                held: gather.is_none() && !buckets.admit(&rule.name, now),
                gather,
            };
            let change = JobChange { job: Arc::clone(&raised.job), run: raised.run, newly_final: true, unjudged: false };
            let source = raised.job.source.clone();
            let page = store::Intake {
                source,
                now,
                jobs: vec![change],
                alerts: vec![alert],
                judged: Vec::new(),
                rules_version: "".into(),
                unreadable: Vec::new(),
            };
            store.take_in(page).await.unwrap();
        }
        due = roll_ups.release().await.unwrap().map(|wait| whole_micros(now.checked_add(wait).unwrap()));
    }
    let all = store.deliveries(DeliveryFilter { limit: 1_000_000, ..DeliveryFilter::default() }).await.unwrap();
    let own = all.into_iter().filter(|delivery| delivery.rolled_into.is_none());
    own.map(|d| (d.channel, d.kind, d.rule, d.created, d.jobs)).collect()
}

fn rehearsed(events: &[Event]) -> Vec<Sent> {
    let mut sent = Vec::new();
    for message in messages(events) {
        let job = |place: &usize| match &events[*place] {
            Event::Raised(raised) => raised.job.id.clone(),
            Event::Missed(_) | Event::Back(_) => unreachable!("no rule waits for a job here"),
        };
        let jobs: Vec<String> = message.carries.iter().map(job).collect();
        for channel in &message.rule.notify {
            sent.push((channel.to_string(), message.kind.name().to_owned(), message.rule.name.to_string(), message.at, jobs.clone()));
        }
    }
    sent
}

fn body() -> impl Strategy<Value = String> {
    let limit = prop_oneof![Just(String::new()), (1..4_u32, 1..40_u32).prop_map(|(n, d)| format!(", limit: {n} per {d}s"))];
    let group = prop_oneof![
        2 => Just(String::new()),
        1 => (1..30_u32).prop_map(|wait| format!(", group: {{ by: [source], wait: {wait}s }}")),
        1 => (1..30_u32).prop_map(|wait| format!(", group: {{ by: [profile], wait: {wait}s }}")),
    ];
    let notify = prop_oneof![Just("a"), Just("[a, b]")];
    (notify, limit, group).prop_map(|(notify, limit, group)| format!("notify: {notify}, when: {{}}{limit}{group}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_rehearsal_sends_what_the_service_sends(
        bodies in proptest::collection::vec(body(), 1..4),
        jobs in proptest::collection::vec((prop_oneof![Just("p"), Just("q"), Just("r")], 0..60_000_u64), 1..16),
    ) {
        let rules = rules(&bodies);
        let events = raised(&rules, &jobs);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut expected, mut found) = (runtime.block_on(really(&rules, &events)), rehearsed(&events));
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn every_event_is_in_one_message_and_no_message_before_what_it_carries(
        bodies in proptest::collection::vec(body(), 1..5),
        jobs in proptest::collection::vec((prop_oneof![Just("p"), Just("q"), Just("r")], 0..60_000_u64), 0..40),
    ) {
        let events = raised(&rules(&bodies), &jobs);
        let messages = messages(&events);
        let mut carried: Vec<usize> = messages.iter().flat_map(|message| message.carries.clone()).collect();
        carried.sort_unstable();
        prop_assert_eq!(carried, (0..events.len()).collect::<Vec<_>>());
        for message in &messages {
            prop_assert!(message.carries.iter().all(|place| events[*place].at() <= message.at && events[*place].rule().name == message.rule.name));
        }
        prop_assert!(messages.is_sorted_by_key(|message| message.at));
    }
}
