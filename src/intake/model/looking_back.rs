//! Rules that look at the past, in worlds as bad as they may come: an oracle judges every end by the true history.

mod scenes;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    CALM, HABITS, HARD, SEEN_LONG_ENOUGH, in_virtual_time, lived_through, rules_of, seeds,
    world::{EPOCH, Nature},
};
use crate::{
    domain::Job,
    intake::Habits,
    rules::{Past, RuleSet},
};

/// A world without what hides an end for a while: there, every answer is that of the true history.
const PLAIN: Nature = Nature { late: (0, 0), again: 0, unreadable: 0, deleted: 0, ..HARD };
/// How many jobs before it an end's verdict may hang on: more than any of the rules looks back.
const LOOKED_AT: usize = 40;

fn looking_back() -> Arc<RuleSet> {
    rules_of(
        "rules:\n\
         - { name: streak, when: { state: failed, streak: '>= 2' }, notify: [hook] }\n\
         - { name: recovery, when: { state: finished, previous: [failed, finished_with_exception] }, notify: [hook] }\n\
         - { name: often, when: { state: failed, count: { at_least: 3, within: 30m } }, notify: [hook] }\n\
         - { name: slow, when: { state: finished, slower_than_usual: { factor: 1.5, over: 10 } }, notify: [hook] }\n",
    )
}

#[derive(Debug, Default)]
struct Verdicts {
    due: usize,
    missing: Vec<String>,
    /// Alerts that the true history does not bear out.
    wrong: Vec<String>,
    /// Those among them that no end that showed up late accounts for.
    unaccounted: Vec<String>,
}

fn verdicts(seed: u64, nature: Nature, habits: Habits) -> Verdicts {
    let rules = looking_back();
    let (world, store) = in_virtual_time(lived_through(seed, nature, habits, &rules));
    let now = nature.seconds + CALM;
    let cut = store.cut().unwrap();
    let end = |id: &str, finished: Option<Timestamp>| format!("{id} ended {}", finished.map_or(0, |at| at.as_second() - EPOCH));
    let raised: BTreeSet<(String, String)> = store.told_of().into_iter().map(|(rule, id, finished)| (end(&id, finished), rule)).collect();
    let mut before: BTreeMap<String, Vec<(Arc<Job>, i64)>> = BTreeMap::new();
    let mut verdicts = Verdicts::default();
    let (mut expected, mut accounted) = (BTreeSet::new(), BTreeSet::new());
    for (job, seen) in world.ended() {
        let past = before.entry(job.profile.clone()).or_default();
        if job.finished > Some(cut) {
            let newest_first: Vec<Arc<Job>> = past.iter().rev().map(|(job, _)| Arc::clone(job)).collect();
            let matched = rules.judge_by_past(&job, Past::new(&newest_first), job.finished.unwrap());
            let finished = job.finished.unwrap().as_second() - EPOCH;
            for rule in matched {
                if now - seen >= SEEN_LONG_ENOUGH {
                    verdicts.due += 1;
                    if !raised.contains(&(end(&job.id, job.finished), rule.name.to_string())) {
                        verdicts.missing.push(format!("{} on {}", rule.name, end(&job.id, job.finished)));
                    }
                }
                expected.insert((end(&job.id, job.finished), rule.name.to_string()));
            }
            if past.iter().rev().take(LOOKED_AT).any(|(_, shown)| *shown > finished) {
                accounted.insert(end(&job.id, job.finished));
            }
        }
        past.push((job, seen));
    }
    for (end, rule) in raised {
        if !expected.contains(&(end.clone(), rule.clone())) {
            verdicts.wrong.push(format!("{rule} on {end}"));
            if !accounted.contains(&end) {
                verdicts.unaccounted.push(format!("{rule} on {end}"));
            }
        }
    }
    verdicts
}

#[test]
fn each_end_is_judged_by_the_true_history_whatever_order_the_pages_had_and_whenever_the_program_died() {
    let mut due = 0;
    for seed in seeds(10) {
        let verdicts = verdicts(seed, PLAIN, HABITS);
        assert!(verdicts.missing.is_empty() && verdicts.wrong.is_empty(), "seed {seed}: {verdicts:#?}");
        due += verdicts.due;
    }
    assert!(due > 100, "only {due} alerts were due");
    println!("{due} alerts due, none missing, none wrong");
}

#[test]
fn the_ends_of_a_jobs_earlier_runs_stay_in_the_history() {
    let mut due = 0;
    for seed in seeds(8) {
        let verdicts = verdicts(seed, Nature { again: 40, old_again: false, ..PLAIN }, HABITS);
        assert!(verdicts.missing.is_empty() && verdicts.wrong.is_empty(), "seed {seed}: {verdicts:#?}");
        due += verdicts.due;
    }
    assert!(due > 100, "only {due} alerts were due");
}

#[test]
fn an_end_that_shows_up_late_has_later_ones_judged_again() {
    let late = Nature { again: 0, ..HARD };
    let mut due = 0;
    for seed in seeds(8) {
        let verdicts = verdicts(seed, late, HABITS);
        assert!(verdicts.missing.is_empty() && verdicts.unaccounted.is_empty(), "seed {seed}: {verdicts:#?}");
        due += verdicts.due;
    }
    assert!(due > 100, "only {due} alerts were due");
    let missing: usize = (0..6).map(|seed| verdicts(seed, late, Habits { judge_again: false, ..HABITS }).missing.len()).sum();
    assert!(missing > 0, "without judging again nothing is missing: this test shows nothing");
}

#[test]
fn waiting_for_the_past_is_needed() {
    let habits = Habits { wait_for_past: false, judge_again: false, ..HABITS };
    let verdicts = (0..8).map(|seed| verdicts(seed, PLAIN, habits));
    let wrong: usize = verdicts.map(|verdicts| verdicts.missing.len() + verdicts.wrong.len()).sum();
    assert!(wrong > 0, "without waiting nothing is wrong: this model does not show what it is for");
}
