//! The rehearsal: each profile by itself, then all of it in order of time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Course, Event, Raised, Watch, gaps::gaps, past::Profile};
use crate::{
    domain::{Job, Name, State},
    rules::{Explained, Past, Rule, RuleSet},
};

/// The least step of a job's times: what begins to hold past an age holds this much later.
const STEP: Duration = Duration::from_micros(1);

/// How many runs are judged between two words on how far it has come.
const TELL_EVERY: usize = 1_000;

/// What would have happened in the time watched, in order of time; at one instant, by job and then by the rules' order.
///
/// A rule raises once on each run of a job. The work grows with the jobs, times the rules that may match each.
#[must_use]
pub fn run(rules: &RuleSet, courses: &[Course], watch: &Watch) -> Vec<Event> {
    run_telling(rules, courses, watch, &mut |_| {})
}

/// As [`run`], for those who wait: `judged` hears now and then how many runs of jobs are judged.
#[must_use]
pub fn run_telling(rules: &RuleSet, courses: &[Course], watch: &Watch, judged: &mut dyn FnMut(usize)) -> Vec<Event> {
    let ages = if rules.watches_running() { rules.turning_ages() } else { Vec::new() };
    let mut raised: Vec<Raised> = Vec::new();
    let profiles = Profile::all(courses);
    let mut done = 0;
    for profile in &profiles {
        let stage = Stage { rules, profile, ages: &ages, watch };
        for course in &profile.courses {
            stage.play(course, &mut raised);
            done += 1;
            if done % TELL_EVERY == 0 {
                judged(done);
            }
        }
    }
    // Within one job and instant the order is that in which the rules stand: the sort is stable.
    raised.sort_by(|a, b| (a.at, a.job.finished, &a.job.id).cmp(&(b.at, b.job.finished, &b.job.id)));
    let mut events: Vec<Event> = raised.into_iter().map(Event::Raised).collect();
    let gaps = gaps(rules, &profiles, watch);
    if !gaps.is_empty() {
        events.extend(gaps);
        events.sort_by_key(Event::at);
    }
    events
}

/// Says why rules match jobs, or do not.
#[derive(Debug)]
pub struct Explainer<'e> {
    rules: &'e RuleSet,
    profiles: HashMap<(&'e Name, &'e str), Profile<'e>>,
}

impl<'e> Explainer<'e> {
    /// For these jobs.
    #[must_use]
    pub fn new(rules: &'e RuleSet, courses: &'e [Course]) -> Self {
        Self { rules, profiles: Profile::all(courses).into_iter().map(|profile| (profile.key, profile)).collect() }
    }

    /// Every rule's verdict on a job as it stands at an instant, with its reasons.
    #[must_use]
    pub fn explain(&self, job: &Job, now: Timestamp) -> Vec<Explained> {
        let profile = self.profiles.get(&(&job.source, job.profile.as_str()));
        let past = profile.map(|profile| if job.finished.is_some() { profile.before(job) } else { profile.by(now) });
        self.rules.explain(job, Past::new(past.unwrap_or_default()), job.finished.unwrap_or(now))
    }
}

/// What the jobs of one profile are judged by.
struct Stage<'s> {
    rules: &'s RuleSet,
    profile: &'s Profile<'s>,
    /// The ages at which rules on running jobs turn, youngest first.
    ages: &'s [Duration],
    watch: &'s Watch,
}

impl Stage<'_> {
    /// Adds what one run of a job raises.
    fn play(&self, course: &Course, raised: &mut Vec<Raised>) {
        let job = &course.job;
        let end = if job.is_final() { job.finished.or(job.started) } else { None };
        if end.is_some_and(|end| end < self.watch.from) {
            // All it could raise is past.
            return;
        }
        let mut alerted: Vec<Name> = Vec::new();
        let mut add = |rules: Vec<Arc<Rule>>, job: &Arc<Job>, at: Timestamp| {
            for rule in rules {
                if !alerted.contains(&rule.name) {
                    alerted.push(rule.name.clone());
                    if at >= self.watch.from {
                        raised.push(Raised { rule, job: Arc::clone(job), run: course.run, at });
                    }
                }
            }
        };
        if self.rules.watches_running() && (course.watched || !job.is_final()) {
            let running =
                if job.is_final() { Arc::new(Job { state: State::Running, finished: None, ..Job::clone(job) }) } else { Arc::clone(job) };
            for at in self.turns(&running, end) {
                add(self.judge(&running, self.profile.by(at), at), &running, at);
            }
        }
        if job.is_final() {
            let at = end.unwrap_or(self.watch.to);
            if at <= self.watch.to {
                let past = if job.finished.is_some() { self.profile.before(job) } else { self.profile.by(at) };
                add(self.judge(job, past, at), job, at);
            }
        }
    }

    /// The instants of a job's run at which a rule's answer may turn, in order: from its start on, before its end, and up to
    /// the clock.
    fn turns(&self, running: &Job, end: Option<Timestamp>) -> Vec<Timestamp> {
        let within = |at: &Timestamp| end.is_none_or(|end| *at < end) && *at <= self.watch.to;
        let Some(start) = running.started else {
            // Of an unknown age, it is known to run only at the end.
            return if end.is_none() { vec![self.watch.to] } else { Vec::new() };
        };
        let aged = |age: Duration| start.checked_add(age).ok();
        let mut turns: Vec<Timestamp> = [Some(start)]
            .into_iter()
            .chain(self.ages.iter().flat_map(|age| [aged(*age), aged(age.saturating_add(STEP))]))
            .map_while(|at| at.filter(within))
            .collect();
        if self.rules.need(running).is_some() {
            // Each end of another job of the profile may turn the answer, and changes what is usual from then on.
            let until = end.unwrap_or(Timestamp::MAX).min(self.watch.to.checked_add(STEP).unwrap_or(self.watch.to));
            for from in [start].into_iter().chain(self.profile.ends_between(start, until)) {
                let by_past = self.rules.turning_ages_by_past(running, Past::new(self.profile.by(from)), from);
                turns.push(from);
                turns.extend(by_past.iter().flat_map(|age| [aged(*age), aged(age.saturating_add(STEP))]).flatten());
            }
            turns.retain(|at| *at >= start && within(at));
            turns.sort_unstable();
        }
        turns.dedup();
        turns
    }

    /// The rules that a job matches, first those that look at no past.
    fn judge(&self, job: &Job, past: &[Arc<Job>], at: Timestamp) -> Vec<Arc<Rule>> {
        let mut rules = self.rules.judge(job, at);
        if self.rules.looks_back() {
            rules.extend(self.rules.judge_by_past(job, Past::new(past), at));
        }
        rules
    }
}
