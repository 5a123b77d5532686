//! What jobs a tree may match at all: for the warning about a rule that never can, and for the index.
//!
//! The answer errs on one side: a job outside it never matches; one within it may or may not.

use std::{
    collections::BTreeSet,
    ops::{Bound, RangeBounds},
    time::Duration,
};

use crate::domain::{Name, State};

use super::{
    codes::Field,
    condition::Lane,
    glob::Folded,
    profile::{Matcher, Pattern, Patterns},
    when::{Leaf, When},
};

/// Some values, or all but some (and none at all, for a job without the value).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Allowed<T> {
    Only(BTreeSet<T>),
    Except(BTreeSet<T>),
}

impl<T: Ord + Clone> Allowed<T> {
    pub const fn all() -> Self {
        Self::Except(BTreeSet::new())
    }

    pub fn of(values: &[T], negated: bool) -> Self {
        let values = values.iter().cloned().collect();
        if negated { Self::Except(values) } else { Self::Only(values) }
    }

    /// Whether it has a value; of none, whether it has whatever is not named.
    pub fn has(&self, value: Option<&T>) -> bool {
        match (self, value) {
            (Self::Only(values), Some(value)) => values.contains(value),
            (Self::Except(values), Some(value)) => !values.contains(value),
            (Self::Only(_), None) => false,
            (Self::Except(_), None) => true,
        }
    }

    /// Every value it names.
    pub const fn named(&self) -> &BTreeSet<T> {
        match self {
            Self::Only(values) | Self::Except(values) => values,
        }
    }

    pub fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(a), b) | (b, Self::Only(a)) => Self::Only(a.iter().filter(|v| b.has(Some(v))).cloned().collect()),
            (Self::Except(a), Self::Except(b)) => Self::Except(a | b),
        }
    }

    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a | b),
            (Self::Only(a), Self::Except(b)) | (Self::Except(b), Self::Only(a)) => Self::Except(b - a),
            (Self::Except(a), Self::Except(b)) => Self::Except(a & b),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Only(values) if values.is_empty())
    }
}

/// The jobs a tree may match.
#[derive(Debug, Clone)]
pub(super) struct Possible<'t> {
    codes: [Allowed<i64>; Field::ALL.len()],
    pub sources: Allowed<Name>,
    /// Any of these patterns; none for all names.
    pub names: Option<Vec<&'t Pattern>>,
    /// One pattern of each of these matches the name.
    wanted: Vec<&'t Patterns>,
    /// No pattern of any of these does.
    unwanted: Vec<&'t Patterns>,
    least: Bound<Duration>,
    most: Bound<Duration>,
    /// Whether only jobs that ended.
    ended: bool,
}

impl<'t> Possible<'t> {
    /// The jobs that a tree may match; none if it never matches any.
    pub fn of(when: &'t When) -> Option<Self> {
        let possible = Self::any().within(when, false)?;
        // What is counted matches the rest of the rule, and has ended.
        (!counts(when) || !possible.never_ends()).then_some(possible)
    }

    /// Every job.
    pub const fn any() -> Self {
        Self {
            codes: [Allowed::all(), Allowed::all(), Allowed::all()],
            sources: Allowed::all(),
            names: None,
            wanted: Vec::new(),
            unwanted: Vec::new(),
            least: Bound::Unbounded,
            most: Bound::Unbounded,
            ended: false,
        }
    }

    /// Whether all of them run: none is in a state that ends which the vendor lists.
    pub fn only_runs(&self) -> bool {
        let states = self.codes(Field::State);
        let ended = State::ALL.iter().filter(|state| **state != State::Running);
        states.has(Some(&State::Running.code())) && ended.into_iter().all(|state| !states.has(Some(&state.code())))
    }

    /// What it may have of one of the codes.
    pub fn codes(&self, field: Field) -> &Allowed<i64> {
        let [states, types, categories] = &self.codes;
        match field {
            Field::State => states,
            Field::Type => types,
            Field::Category => categories,
        }
    }

    /// Of these jobs, those that a tree or, where `negated`, its opposite may match; none if it never does.
    pub fn within(self, when: &'t When, negated: bool) -> Option<Self> {
        match when {
            When::Is(leaf) => self.and(leaf, negated).real(),
            When::Not(inner) => self.within(inner, !negated),
            When::All(parts) if !negated => self.every(parts, negated),
            When::Any(parts) if negated => self.every(parts, negated),
            When::All(parts) | When::Any(parts) => parts.iter().filter_map(|part| self.clone().within(part, negated)).reduce(Self::or),
        }
    }

    fn every(self, parts: &'t [When], negated: bool) -> Option<Self> {
        // Plain conditions first: within them, fewer alternatives are left possible.
        let (plain, nested): (Vec<&When>, Vec<&When>) = parts.iter().partition(|part| matches!(part, When::Is(_)));
        plain.into_iter().chain(nested).try_fold(self, |possible, part| possible.within(part, negated))
    }

    fn and(mut self, leaf: &'t Leaf, negated: bool) -> Self {
        match leaf.test.lane() {
            Lane::Code(field, codes) => {
                let [states, types, categories] = &mut self.codes;
                let mine = match field {
                    Field::State => states,
                    Field::Type => types,
                    Field::Category => categories,
                };
                *mine = mine.meet(&Allowed::of(codes, negated));
            }
            Lane::Source(sources) => self.sources = self.sources.meet(&Allowed::of(sources, negated)),
            Lane::Profile(patterns) if negated => self.unwanted.push(patterns),
            Lane::Profile(patterns) => {
                self.wanted.push(patterns);
                let fewer = self.names.as_ref().is_none_or(|names| patterns.all().len() < names.len());
                if fewer {
                    self.names = Some(patterns.all().iter().collect());
                }
            }
            Lane::Duration(spans) if !negated => {
                let least = spans.iter().map(|span| span.least).reduce(|a, b| if starts_later(a, b) { b } else { a });
                let most = spans.iter().map(|span| span.most).reduce(|a, b| if ends_earlier(a, b) { b } else { a });
                if let Some(least) = least.filter(|least| starts_later(*least, self.least)) {
                    self.least = least;
                }
                if let Some(most) = most.filter(|most| ends_earlier(*most, self.most)) {
                    self.most = most;
                }
            }
            Lane::AtLeast(least) if !negated => {
                let least = Bound::Included(least);
                if starts_later(least, self.least) {
                    self.least = least;
                }
            }
            Lane::Says(codes) if !negated => {
                for (mine, said) in self.codes.iter_mut().zip(codes) {
                    *mine = mine.meet(said);
                }
            }
            Lane::Ended | Lane::Streak(..) if !negated => self.ended = true,
            Lane::Duration(_)
            | Lane::AtLeast(_)
            | Lane::Says(_)
            | Lane::Ended
            | Lane::Streak(..)
            | Lane::Previous(_)
            | Lane::Count
            | Lane::Other => {}
        }
        self
    }

    fn or(mut self, other: Self) -> Self {
        for (mine, theirs) in self.codes.iter_mut().zip(&other.codes) {
            *mine = mine.join(theirs);
        }
        self.sources = self.sources.join(&other.sources);
        self.names = self.names.zip(other.names).map(|(mut mine, theirs)| {
            // Both hold what held around them; told twice, it would grow with every `any` beside.
            for pattern in theirs {
                if !mine.iter().any(|known| std::ptr::eq(*known, pattern)) {
                    mine.push(pattern);
                }
            }
            mine
        });
        // What both ask of the name is asked around them.
        self.wanted.retain(|mine| other.wanted.iter().any(|theirs| std::ptr::eq(*mine, *theirs)));
        self.unwanted.retain(|mine| other.unwanted.iter().any(|theirs| std::ptr::eq(*mine, *theirs)));
        if starts_later(self.least, other.least) {
            self.least = other.least;
        }
        if ends_earlier(self.most, other.most) {
            self.most = other.most;
        }
        self.ended &= other.ended;
        self
    }

    /// Whether only jobs that run.
    fn never_ends(&self) -> bool {
        let running = BTreeSet::from([State::Running.code()]);
        matches!(self.codes(Field::State), Allowed::Only(states) if states.is_subset(&running))
    }

    /// Whether no name is left: of a condition that spells its names out, each is ruled out by another, or every pattern of one
    /// stands under a `not` as well.
    fn names_exclude_each_other(&self) -> bool {
        if self.wanted.len() + self.unwanted.len() < 2 {
            return false;
        }
        let matches = |patterns: &Patterns, name: &Folded, by_regex: bool| {
            patterns.all().iter().any(|pattern| match &pattern.matcher {
                Matcher::Glob(glob) => glob.matches(name),
                // It minds case, and what is spelled out does not.
                Matcher::Regex(_) => by_regex,
            })
        };
        let is_ruled_out = |pattern: &Pattern| {
            let negated = || self.unwanted.iter().flat_map(|patterns| patterns.all()).any(|other| other.written == pattern.written);
            let by_name = |name: &str| {
                let name = Folded::new(name);
                self.wanted.iter().any(|other| !matches(other, &name, true))
                    || self.unwanted.iter().any(|other| matches(other, &name, false))
            };
            negated() || pattern.literal().is_some_and(by_name)
        };
        self.wanted.iter().any(|patterns| patterns.all().iter().all(is_ruled_out))
    }

    /// Itself, unless there can be no such job.
    fn real(self) -> Option<Self> {
        let contradiction = self.codes.iter().any(Allowed::is_empty)
            || self.sources.is_empty()
            || (self.ended && self.never_ends())
            || is_empty(self.least, self.most)
            || self.names_exclude_each_other();
        (!contradiction).then_some(self)
    }
}

/// Whether a job matches by a `count` only.
fn counts(when: &When) -> bool {
    match when {
        When::Is(leaf) => matches!(leaf.test.lane(), Lane::Count),
        When::All(parts) => parts.iter().any(counts),
        When::Any(_) | When::Not(_) => false,
    }
}

/// Whether a range that starts at `a` leaves out something of one that starts at `b`.
fn starts_later(a: Bound<Duration>, b: Bound<Duration>) -> bool {
    match (a, b) {
        (Bound::Unbounded, _) => false,
        (_, Bound::Unbounded) => true,
        (Bound::Included(a), Bound::Included(b) | Bound::Excluded(b)) | (Bound::Excluded(a), Bound::Excluded(b)) => a > b,
        (Bound::Excluded(a), Bound::Included(b)) => a >= b,
    }
}

/// Whether a range that ends at `a` leaves out something of one that ends at `b`.
fn ends_earlier(a: Bound<Duration>, b: Bound<Duration>) -> bool {
    match (a, b) {
        (Bound::Unbounded, _) => false,
        (_, Bound::Unbounded) => true,
        (Bound::Included(a), Bound::Included(b) | Bound::Excluded(b)) | (Bound::Excluded(a), Bound::Excluded(b)) => a < b,
        (Bound::Excluded(a), Bound::Included(b)) => a <= b,
    }
}

fn is_empty(least: Bound<Duration>, most: Bound<Duration>) -> bool {
    match (least, most) {
        // Nothing takes less than no time.
        (Bound::Unbounded, most) => most == Bound::Excluded(Duration::ZERO),
        (Bound::Included(at), most) => !(Bound::Unbounded, most).contains(&at),
        (Bound::Excluded(_), Bound::Unbounded) => false,
        (Bound::Excluded(after), Bound::Included(end) | Bound::Excluded(end)) => after >= end,
    }
}
