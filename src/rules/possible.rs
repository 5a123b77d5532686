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
    profile::Pattern,
    when::{Leaf, When},
};

/// Some values, or all but some (and none at all, for a job without the value).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Allowed<T> {
    Only(BTreeSet<T>),
    Except(BTreeSet<T>),
}

impl<T: Ord + Clone> Allowed<T> {
    const fn all() -> Self {
        Self::Except(BTreeSet::new())
    }

    fn of(values: &[T], negated: bool) -> Self {
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

    fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(a), b) | (b, Self::Only(a)) => Self::Only(a.iter().filter(|v| b.has(Some(v))).cloned().collect()),
            (Self::Except(a), Self::Except(b)) => Self::Except(a | b),
        }
    }

    fn join(&self, other: &Self) -> Self {
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
    least: Bound<Duration>,
    most: Bound<Duration>,
    /// Whether only jobs that ended.
    ended: bool,
}

impl<'t> Possible<'t> {
    /// The jobs that a tree may match; none if it never matches any.
    pub fn of(when: &'t When) -> Option<Self> {
        let all = Self {
            codes: [Allowed::all(), Allowed::all(), Allowed::all()],
            sources: Allowed::all(),
            names: None,
            least: Bound::Unbounded,
            most: Bound::Unbounded,
            ended: false,
        };
        let possible = all.within(when, false)?;
        // What is counted matches the rest of the rule, and has ended.
        (!counts(when) || !possible.never_ends()).then_some(possible)
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

    /// Of these jobs, those that a tree may match.
    fn within(self, when: &'t When, negated: bool) -> Option<Self> {
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
            Lane::Profile(patterns) if !negated => {
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
            Lane::Ended if !negated => self.ended = true,
            Lane::Profile(_) | Lane::Duration(_) | Lane::Ended | Lane::Count | Lane::Other => {}
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

    /// Itself, unless there can be no such job.
    fn real(self) -> Option<Self> {
        let contradiction = self.codes.iter().any(Allowed::is_empty)
            || self.sources.is_empty()
            || (self.ended && self.never_ends())
            || is_empty(self.least, self.most);
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
