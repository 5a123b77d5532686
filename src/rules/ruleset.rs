//! The set of all enabled rules, and its verdict on a job.

use std::{
    hash::{Hash, Hasher},
    mem::size_of,
    sync::Arc,
};

use jiff::Timestamp;
use moka::{Equivalent, sync::Cache};

use crate::domain::{Category, Job, JobType, Name, State};

use super::{
    Need, Past, Rule,
    condition::Facts,
    index::{Index, Number, REGEX_SET_BYTES},
    possible::Possible,
    rule::Trigger,
    unanswered::{Silence, silences},
    version,
    when::{Leaf, When, needed},
};

/// How many bytes the verdicts remembered may take: those on some 25,000 kinds of jobs, where few rules match. Past that,
/// the least used cost another look into the index, and nothing else.
const REMEMBERED_BYTES: u64 = 8 << 20;

/// Every enabled rule, compiled once.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    resting: Vec<Arc<Rule>>,
    version: String,
    watches_running: bool,
    looks_back: bool,
    /// Of each `expr`, its rule's number.
    silences: Vec<(Number, Arc<Silence>)>,
    index: Index,
    /// The rules that jobs alike may match: most jobs are like one seen before, and cost one look here.
    remembered: Cache<Kind, Arc<[Candidate]>>,
}

/// A rule that may match a job.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    number: Number,
    /// Whether it matches, whatever else the job is.
    surely: bool,
    /// Whether it needs the job's past.
    looks_back: bool,
}

/// What makes jobs alike: all that a condition may look at, apart from times.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    profile: Box<str>,
    source: Name,
    rest: Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Rest {
    state: State,
    kind: Option<JobType>,
    category: Option<Category>,
    ended: bool,
}

/// The [`Kind`] of a job, without a copy of it.
struct KindOf<'j>(&'j Job);

impl KindOf<'_> {
    const fn rest(&self) -> Rest {
        Rest { state: self.0.state, kind: self.0.kind, category: self.0.category, ended: self.0.is_final() }
    }

    fn owned(&self) -> Kind {
        Kind { profile: self.0.profile.as_str().into(), source: self.0.source.clone(), rest: self.rest() }
    }
}

impl Hash for KindOf<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.profile.as_str(), &self.0.source, self.rest()).hash(state);
    }
}

impl Equivalent<Kind> for KindOf<'_> {
    fn equivalent(&self, kind: &Kind) -> bool {
        *self.0.profile == *kind.profile && self.0.source == kind.source && self.rest() == kind.rest
    }
}

impl Default for RuleSet {
    fn default() -> Self {
        Self::new(Vec::new(), version::of([]))
    }
}

impl RuleSet {
    pub(super) fn new(rules: Vec<Arc<Rule>>, version: String) -> Self {
        Self::bounded(rules, version, REGEX_SET_BYTES)
    }

    pub(super) fn bounded(rules: Vec<Arc<Rule>>, version: String, regex_set_bytes: usize) -> Self {
        let numbered = || (0..).zip(&rules).filter_map(|(number, rule)| Some((number, when(rule)?)));
        let watches_running = numbered().any(|(_, when)| when.watches_running());
        let looks_back = numbered().any(|(_, when)| when.need().is_some());
        // A rule that can never match is in no index.
        let possible: Vec<(Number, Possible<'_>)> = numbered().filter_map(|(number, when)| Some((number, Possible::of(when)?))).collect();
        let index = Index::new(rules.len(), &possible, regex_set_bytes);
        let silent = (0..).zip(&rules).flat_map(|(number, rule)| silences(&rule.trigger).into_iter().map(move |one| (number, one)));
        let silences = silent.collect();
        let weight = |kind: &Kind, candidates: &Arc<[Candidate]>| {
            // What an entry takes besides: the cache's own records of it, by its authors' figures and rounded up.
            const BESIDES: usize = 200;
            let bytes = BESIDES + size_of::<Kind>() + kind.profile.len() + candidates.len() * size_of::<Candidate>();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let remembered = Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weight).build();
        Self { rules, resting: Vec::new(), version, watches_running, looks_back, silences, index, remembered }
    }

    /// Whether some rule may match jobs of a source, as far as its conditions on sources tell.
    #[must_use]
    pub fn may_match_source(&self, source: &Name) -> bool {
        self.rules.iter().filter_map(|rule| Possible::of(when(rule)?)).any(|possible| possible.sources.has(Some(source)))
    }

    /// The enabled rules, in the order of the files.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Each `expr` with its rule's name.
    pub(super) fn silences(&self) -> impl Iterator<Item = (&Name, &Silence)> {
        self.silences.iter().filter_map(|(number, silence)| Some((&self.rules.get(*number as usize)?.name, &**silence)))
    }

    /// The rules at rest (`enabled: false`), in the order of the files. They judge nothing.
    #[must_use]
    pub fn resting(&self) -> &[Arc<Rule>] {
        &self.resting
    }

    pub(super) fn with_resting(self, resting: Vec<Arc<Rule>>) -> Self {
        Self { resting, ..self }
    }

    /// A set in which the resting rules of these names are enabled, for a trial: its version is that of this set.
    #[must_use]
    pub fn waking(&self, names: &[Name]) -> Self {
        let (awake, resting): (Vec<_>, Vec<_>) = self.resting.iter().cloned().partition(|rule| names.contains(&rule.name));
        Self::new(self.rules.iter().cloned().chain(awake).collect(), self.version.clone()).with_resting(resting)
    }

    /// Twelve hex digits: the same rules, however they are laid out, have the same.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The rules that look at no past and that a job matches as it stands: a final job is judged by every rule, one that runs
    /// by those that name its state.
    #[must_use]
    pub fn judge(&self, job: &Job, now: Timestamp) -> Vec<Arc<Rule>> {
        self.matching(&Facts::new(job, Past::none(), now), false)
    }

    /// The rules that need the past, and only those, that a job matches as it stands. `past` holds what [`RuleSet::need`] asks
    /// for.
    #[must_use]
    pub fn judge_by_past(&self, job: &Job, past: Past<'_>, now: Timestamp) -> Vec<Arc<Rule>> {
        if self.looks_back { self.matching(&Facts::new(job, past, now), true) } else { Vec::new() }
    }

    /// Whether any rule needs a job's past.
    #[must_use]
    pub const fn looks_back(&self) -> bool {
        self.looks_back
    }

    /// How much of a job's past is needed by the rules that may match it; none if no rule that needs any may.
    #[must_use]
    pub fn need(&self, job: &Job) -> Option<Need> {
        if !self.looks_back {
            return None;
        }
        // A job that ended is judged alike at every moment; of one that runs, its age is left open.
        let facts = Facts::new(job, Past::none(), Timestamp::UNIX_EPOCH);
        let known = |leaf: &Leaf| leaf.test.need().is_none() && (job.is_final() || leaf.test.lane().is_fixed());
        let need = |candidate: &Candidate| {
            let when = when(self.rules.get(candidate.number as usize)?)?;
            let answer = when.answer(false, &|leaf| known(leaf).then(|| leaf.test.holds(&facts, when)));
            if answer >= needed(&facts) { when.need() } else { None }
        };
        self.candidates(&facts).iter().filter(|candidate| candidate.looks_back).filter_map(need).reduce(Need::with)
    }

    fn matching(&self, facts: &Facts<'_>, looking_back: bool) -> Vec<Arc<Rule>> {
        let matching = |candidate: &Candidate| {
            let rule = self.rules.get(candidate.number as usize)?;
            (candidate.surely || when(rule)?.matches(facts)).then(|| Arc::clone(rule))
        };
        self.candidates(facts).iter().filter(|candidate| candidate.looks_back == looking_back).filter_map(matching).collect()
    }

    /// What the rules that need the past want of a job that may match them.
    pub(super) fn looking_back(&self, facts: &Facts<'_>) -> Vec<&When> {
        let of = |candidate: &Candidate| when(self.rules.get(candidate.number as usize)?);
        self.candidates(facts).iter().filter(|candidate| candidate.looks_back).filter_map(of).collect()
    }

    /// The rules that a job may match: of one like it, as was found then.
    fn candidates(&self, facts: &Facts<'_>) -> Arc<[Candidate]> {
        let kind = KindOf(facts.job);
        self.remembered.get(&kind).unwrap_or_else(|| {
            let candidates = self.look_up(facts);
            self.remembered.insert(kind.owned(), Arc::clone(&candidates));
            candidates
        })
    }

    /// The rules that a job may match, as far as can be said without looking at times.
    fn look_up(&self, facts: &Facts<'_>) -> Arc<[Candidate]> {
        let try_out = |number: Number| {
            let when = when(self.rules.get(number as usize)?)?;
            let answer = when.answer(false, &|leaf| leaf.test.lane().is_fixed().then(|| leaf.test.holds(facts, when)));
            (answer >= needed(facts)).then(|| Candidate { number, surely: when.is_fixed(), looks_back: when.need().is_some() })
        };
        self.index.candidates(facts).filter_map(try_out).collect()
    }

    /// Whether any rule is to be judged while a job runs.
    #[must_use]
    pub const fn watches_running(&self) -> bool {
        self.watches_running
    }

    /// As [`RuleSet::judge`] and [`RuleSet::judge_by_past`] together, by asking every rule: what the index must agree with.
    #[cfg(test)]
    pub(super) fn judge_one_by_one(&self, job: &Job, past: Past<'_>, now: Timestamp) -> Vec<Arc<Rule>> {
        let facts = Facts::new(job, past, now);
        self.rules.iter().filter(|rule| when(rule).is_some_and(|when| when.matches(&facts))).cloned().collect()
    }
}

fn when(rule: &Rule) -> Option<&When> {
    match &rule.trigger {
        Trigger::When(when) => Some(when),
        Trigger::Missing(_) => None,
    }
}
