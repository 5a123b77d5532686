//! `when`: conditions, and `any`, `all`, `not` over them.
//!
//! **Running jobs.** A job that has not ended matches only by a branch that names its state: some `state` condition that
//! holds for it, lists `running` (or a number the vendor's page does not list, which may be a state without an end), and does
//! not stand under an odd number of `not`s. So `any: [{state: running, duration: "> 2h"}, {profile: "x*"}]` alarms about a
//! running job by its first branch only, and `not: {state: finished}` never does.

use std::fmt;

use crate::{
    document::{Fault, Faults, Fields, Node, Value},
    domain::State,
};

use super::{
    Known,
    codes::Field,
    condition::{CONDITIONS, Condition, Facts, Lane, Test},
    past::Need,
};

/// How deep `any`, `all` and `not` may nest.
const NESTED: usize = 32;

/// What stands under `when`.
#[derive(Debug)]
pub(super) enum When {
    /// One condition.
    Is(Leaf),
    /// All must hold; of none, it holds.
    All(Vec<When>),
    /// One must hold.
    Any(Vec<When>),
    /// It must not hold.
    Not(Box<When>),
}

/// One condition with its value.
pub(super) struct Leaf {
    pub condition: &'static Condition,
    pub test: Box<dyn Test>,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.condition.key, self.test)
    }
}

impl Leaf {
    /// Whether it names a state in which a job may still run.
    fn names_open(&self) -> bool {
        match self.test.lane() {
            Lane::Code(Field::State, codes) => {
                codes.iter().any(|code| matches!(State::from_code(*code), State::Running | State::Unknown(_)))
            }
            _ => false,
        }
    }
}

/// How a tree answers for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// It does not hold.
    No,
    /// It holds, by conditions that do not name the job's state.
    Holds,
    /// It holds, and a condition by which it does names the job's state.
    Named,
}

impl When {
    /// Answers, each condition by what `test` says of it. Where `negated`, the answer to the opposite. Where `test` can't
    /// say, the answer is the most it could be.
    pub fn answer(&self, negated: bool, test: &impl Fn(&Leaf) -> Option<bool>) -> Answer {
        let every = |children: &[Self]| {
            let mut answer = Answer::Holds;
            for child in children {
                match child.answer(negated, test) {
                    Answer::No => return Answer::No,
                    held => answer = answer.max(held),
                }
            }
            answer
        };
        let some = |children: &[Self]| {
            let mut answer = Answer::No;
            for child in children {
                answer = answer.max(child.answer(negated, test));
                if answer == Answer::Named {
                    break;
                }
            }
            answer
        };
        match self {
            Self::Is(leaf) if test(leaf) == Some(negated) => Answer::No,
            Self::Is(leaf) if !negated && leaf.names_open() => Answer::Named,
            Self::Is(_) => Answer::Holds,
            Self::Not(inner) => inner.answer(!negated, test),
            Self::All(children) if negated => some(children),
            Self::Any(children) if negated => every(children),
            Self::All(children) => every(children),
            Self::Any(children) => some(children),
        }
    }

    /// Whether a job matches as it stands.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.answer(false, &|leaf| Some(leaf.test.holds(facts, self))) >= needed(facts)
    }

    /// Whether a running job may ever match.
    pub fn watches_running(&self) -> bool {
        fn names(when: &When, negated: bool) -> bool {
            match when {
                When::Is(leaf) => !negated && leaf.names_open(),
                When::All(children) | When::Any(children) => children.iter().any(|child| names(child, negated)),
                When::Not(inner) => names(inner, !negated),
            }
        }
        names(self, false)
    }

    /// Whether the answer is the same for every job alike in state, type, category, source and profile.
    pub fn is_fixed(&self) -> bool {
        match self {
            Self::Is(leaf) => leaf.test.lane().is_fixed(),
            Self::All(children) | Self::Any(children) => children.iter().all(Self::is_fixed),
            Self::Not(inner) => inner.is_fixed(),
        }
    }

    /// What it asks for by itself: its parts where all of them must hold, and theirs.
    pub fn demands(&self) -> Vec<&Self> {
        match self {
            Self::All(parts) => parts.iter().flat_map(Self::demands).collect(),
            other => vec![other],
        }
    }

    /// Whether it has a `streak`, but no condition on the state of which one could be.
    pub fn streak_of_all(&self) -> bool {
        fn any(when: &When, is: &impl Fn(&Leaf) -> bool) -> bool {
            match when {
                When::Is(leaf) => is(leaf),
                When::All(children) | When::Any(children) => children.iter().any(|child| any(child, is)),
                When::Not(inner) => any(inner, is),
            }
        }
        any(self, &|leaf| leaf.condition.key == "streak") && !any(self, &|leaf| matches!(leaf.test.lane(), Lane::Code(Field::State, _)))
    }

    /// How much of a job's past its conditions look at, if any does.
    pub fn need(&self) -> Option<Need> {
        match self {
            Self::Is(leaf) => leaf.test.need(),
            Self::All(children) | Self::Any(children) => children.iter().filter_map(Self::need).reduce(Need::with),
            Self::Not(inner) => inner.need(),
        }
    }

    /// Reads a mapping of conditions.
    pub fn read(node: &Node, known: &Known<'_>, faults: &mut Faults) -> Option<Self> {
        read(node, known, 0, faults)
    }
}

/// The least answer with which a job matches.
pub(super) const fn needed(facts: &Facts<'_>) -> Answer {
    if facts.job.is_final() { Answer::Holds } else { Answer::Named }
}

fn read(node: &Node, known: &Known<'_>, depth: usize, faults: &mut Faults) -> Option<When> {
    if depth > NESTED {
        faults.error(node, format!("`any`, `all` and `not` nest deeper than {NESTED}"));
        return None;
    }
    let hint = match node.value {
        Value::List(_) => Some("leave the `-` out: all conditions here must hold; where one is enough, `any: [...]` lists them"),
        Value::Null if !node.filled => Some("conditions stand below it, indented deeper; `when: {}` means every job that ends"),
        _ => None,
    };
    if let Some(hint) = hint {
        faults.push(Fault::error(&node.place, format!("expected a mapping of conditions, found {}", node.kind())).hint(hint));
        return None;
    }
    let mut fields = Fields::open(node, "a mapping of conditions", faults)?;
    let mut parts = Vec::new();
    for condition in CONDITIONS {
        let Some(value) = fields.take(condition.key) else { continue };
        parts.extend((condition.read)(value, known, faults).map(|test| When::Is(Leaf { condition, test })));
    }
    if let Some(list) = fields.take("any") {
        parts.push(When::Any(read_list(list, known, depth, faults)));
    }
    if let Some(list) = fields.take("all") {
        parts.push(When::All(read_list(list, known, depth, faults)));
    }
    if let Some(inner) = fields.take("not") {
        parts.extend(read(inner, known, depth + 1, faults).map(|inner| When::Not(Box::new(inner))));
    }
    fields.finish(faults);
    Some(match <[When; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => When::All(parts),
    })
}

fn read_list(node: &Node, known: &Known<'_>, depth: usize, faults: &mut Faults) -> Vec<When> {
    match &node.value {
        Value::List(items) if items.is_empty() => faults.error(node, "the list is empty"),
        Value::List(items) => return items.iter().filter_map(|item| read(item, known, depth + 1, faults)).collect(),
        // One mapping could be meant as one branch or as one branch a key.
        _ => faults.error(node, format!("expected a list of mappings, each behind a `-`, found {}", node.kind())),
    }
    Vec::new()
}

/// The key of a mapping's entry, for faults about the key itself.
pub(super) fn key_of<'n>(node: &'n Node, key: &str) -> &'n Node {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|(k, _)| k.as_text() == Some(key)).map_or(node, |(k, _)| k),
        _ => node,
    }
}
