//! The rules turned round: from what a job is to the rules that may match it.
//!
//! Of each rule it keeps what [`Possible`] knows. The answer errs on one side: whoever asks tries the rules it names, and
//! may leave out the others.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use regex::{RegexSet, RegexSetBuilder};

use crate::domain::{Job, Name};

use super::{
    codes::Field,
    condition::Facts,
    glob::Folded,
    possible::{Allowed, Possible},
    profile::Matcher,
};

/// How large all regular expressions together may become when compiled into one, in bytes. Past that they are tried one by
/// one, which takes longer and finds the same.
pub(super) const REGEX_SET_BYTES: usize = 32 << 20;

/// A rule's place in the set.
pub(super) type Number = u32;

/// From a job to the rules that may match it.
#[derive(Debug)]
pub(super) struct Index {
    rules: usize,
    codes: [Column<i64>; Field::ALL.len()],
    sources: Column<Name>,
    names: Names,
}

impl Index {
    /// The index of some of a set's rules, each with its number.
    pub fn new(rules: usize, possible: &[(Number, Possible<'_>)], regex_set_bytes: usize) -> Self {
        let column = |field: Field| Column::new(rules, possible.iter().map(|(number, possible)| (*number, possible.codes(field))));
        Self {
            rules,
            codes: Field::ALL.map(column),
            sources: Column::new(rules, possible.iter().map(|(number, possible)| (*number, &possible.sources))),
            names: Names::new(rules, possible, regex_set_bytes),
        }
    }

    /// The numbers of the rules that may match, smallest first.
    pub fn candidates(&self, facts: &Facts<'_>) -> impl Iterator<Item = Number> + use<> {
        let mut bits = Bits::none(self.rules);
        self.names.add(&facts.job.profile, facts.folded(), &mut bits);
        self.keep(facts.job, &mut bits);
        bits.into_numbers()
    }

    fn keep(&self, job: &Job, bits: &mut Bits) {
        for (column, field) in self.codes.iter().zip(Field::ALL) {
            bits.keep(column.of(field.of(job).as_ref()));
        }
        bits.keep(self.sources.of(Some(&job.source)));
    }
}

/// The rules that a job may match by one of its values.
#[derive(Debug)]
struct Column<T> {
    named: HashMap<T, Bits>,
    /// By a value that no rule names, or by none.
    other: Bits,
}

impl<T: Hash + Ord + Clone> Column<T> {
    fn new<'p>(rules: usize, allowed: impl Iterator<Item = (Number, &'p Allowed<T>)> + Clone) -> Self
    where
        T: 'p,
    {
        let mut other = Bits::none(rules);
        for (number, allowed) in allowed.clone() {
            if allowed.has(None) {
                other.add(number);
            }
        }
        // As for a value that no rule names, but for the rules that do name it.
        let mut named = HashMap::new();
        for (number, allowed) in allowed {
            for value in allowed.named() {
                let bits: &mut Bits = named.entry(value.clone()).or_insert_with(|| other.clone());
                if allowed.has(Some(value)) {
                    bits.add(number);
                } else {
                    bits.remove(number);
                }
            }
        }
        Self { named, other }
    }

    fn of(&self, value: Option<&T>) -> &Bits {
        value.and_then(|value| self.named.get(value)).unwrap_or(&self.other)
    }
}

/// Rules by pieces of text, found by the pieces' lengths.
type ByPiece = BTreeMap<usize, HashMap<Box<[char]>, Vec<Number>>>;

/// The rules that a job may match by its scan profile's name.
#[derive(Debug)]
struct Names {
    /// Those without a pattern, and those with one of which nothing is known beforehand.
    always: Bits,
    whole: HashMap<Box<[char]>, Vec<Number>>,
    heads: ByPiece,
    tails: ByPiece,
    regexes: RegexSet,
    /// Of each regular expression in the set, its rule.
    of_regex: Vec<Number>,
}

impl Names {
    fn new(rules: usize, possible: &[(Number, Possible<'_>)], regex_set_bytes: usize) -> Self {
        let mut names = Self {
            always: Bits::none(rules),
            whole: HashMap::new(),
            heads: BTreeMap::new(),
            tails: BTreeMap::new(),
            regexes: RegexSet::empty(),
            of_regex: Vec::new(),
        };
        let mut regexes = Vec::new();
        for (number, possible) in possible {
            let Some(patterns) = &possible.names else {
                names.always.add(*number);
                continue;
            };
            for pattern in patterns {
                match &pattern.matcher {
                    Matcher::Glob(glob) => {
                        for ((head, whole), tail) in glob.heads().zip(glob.tails()) {
                            names.add_glob(*number, head, whole, tail);
                        }
                    }
                    Matcher::Regex(regex) => {
                        regexes.push(regex.as_str());
                        names.of_regex.push(*number);
                    }
                }
            }
        }
        match RegexSetBuilder::new(regexes).size_limit(regex_set_bytes).build() {
            Ok(set) => names.regexes = set,
            Err(_) => std::mem::take(&mut names.of_regex).into_iter().for_each(|number| names.always.add(number)),
        }
        names
    }

    fn add_glob(&mut self, number: Number, head: Vec<char>, whole: bool, tail: Vec<char>) {
        if whole {
            self.whole.entry(head.into()).or_default().push(number);
        } else if head.is_empty() && tail.is_empty() {
            self.always.add(number);
        } else {
            // The longer piece is met by fewer names.
            let (pieces, piece) = if head.len() >= tail.len() { (&mut self.heads, head) } else { (&mut self.tails, tail) };
            pieces.entry(piece.len()).or_default().entry(piece.into()).or_default().push(number);
        }
    }

    fn add(&self, name: &str, folded: &Folded, bits: &mut Bits) {
        let chars = folded.chars();
        bits.join(&self.always);
        bits.add_all(self.whole.get(chars));
        for (length, pieces) in self.heads.range(..=chars.len()) {
            bits.add_all(chars.get(..*length).and_then(|piece| pieces.get(piece)));
        }
        for (length, pieces) in self.tails.range(..=chars.len()) {
            bits.add_all(chars.get(chars.len() - length..).and_then(|piece| pieces.get(piece)));
        }
        if !self.of_regex.is_empty() {
            self.regexes.matches(name).into_iter().filter_map(|at| self.of_regex.get(at)).for_each(|number| bits.add(*number));
        }
    }
}

/// A set of rules, a bit each.
#[derive(Debug, Clone)]
struct Bits(Box<[u64]>);

impl Bits {
    fn none(rules: usize) -> Self {
        Self(vec![0; rules.div_ceil(64)].into())
    }

    fn add(&mut self, number: Number) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn remove(&mut self, number: Number) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    fn add_all(&mut self, numbers: Option<&Vec<Number>>) {
        numbers.into_iter().flatten().for_each(|number| self.add(*number));
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine &= theirs);
    }

    fn into_numbers(self) -> impl Iterator<Item = Number> {
        (0..).step_by(64).zip(self.0).flat_map(|(first, mut word)| {
            std::iter::from_fn(move || {
                (word != 0).then(|| {
                    let bit = word.trailing_zeros();
                    word &= word - 1;
                    first + bit
                })
            })
        })
    }
}
