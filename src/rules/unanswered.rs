//! Expressions that gave no answer for a job, for whoever judges to say so in words of its own.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use crate::{document::Place, domain::Name};

use super::{RuleSet, rule::Trigger, when::When};

/// What became of an `expr` that gave no answer.
#[derive(Debug)]
pub(super) struct Silence {
    place: Place,
    why: OnceLock<String>,
    told: AtomicBool,
}

impl Silence {
    pub fn of(place: Place) -> Arc<Self> {
        Arc::new(Self { place, why: OnceLock::new(), told: AtomicBool::new(false) })
    }

    /// There was no answer; why there was none the first time is kept.
    pub fn keep(&self, why: String) {
        // It is there already as a rule.
        let _ = self.why.set(why);
    }
}

/// An `expr` that gave no answer for a job at least once, and did not hold then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered<'r> {
    /// The rule in which it stands.
    pub rule: &'r Name,
    /// Where, as `file:line:column`.
    pub place: String,
    /// Why there was none the first time.
    pub why: &'r str,
}

/// Each `expr` of a rule.
pub(super) fn silences(trigger: &Trigger) -> Vec<Arc<Silence>> {
    fn walk(when: &When, found: &mut Vec<Arc<Silence>>) {
        match when {
            When::Is(leaf) => found.extend(leaf.test.silence().cloned()),
            When::All(parts) | When::Any(parts) => parts.iter().for_each(|part| walk(part, found)),
            When::Not(inner) => walk(inner, found),
        }
    }
    let mut found = Vec::new();
    if let Trigger::When(when) = trigger {
        walk(when, &mut found);
    }
    found
}

impl RuleSet {
    /// Every `expr` that has given no answer since the rules were read, in their order.
    pub fn unanswered(&self) -> impl Iterator<Item = Unanswered<'_>> {
        self.silences().filter_map(|(rule, silence)| told(rule, silence))
    }

    /// Those of [`RuleSet::unanswered`] that this has not named before.
    pub fn newly_unanswered(&self) -> impl Iterator<Item = Unanswered<'_>> {
        self.silences().filter_map(|(rule, silence)| told(rule, silence).filter(|_| !silence.told.swap(true, Ordering::Relaxed)))
    }
}

fn told<'r>(rule: &'r Name, silence: &'r Silence) -> Option<Unanswered<'r>> {
    let why = silence.why.get()?;
    let Place { source, line, column, .. } = &silence.place;
    Some(Unanswered { rule, place: format!("{}:{line}:{column}", source.path.display()), why })
}
