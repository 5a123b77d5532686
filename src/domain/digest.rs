//! What a digest says of a period: facts, already reckoned and cut to the length that anyone would read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Category, RuleFacts, Severity, State};

/// A summary of a period, as it is kept with its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The digest's name.
    pub name: String,
    /// Where the period begins; within it.
    pub since: Timestamp,
    /// Where it ends; behind it.
    pub until: Timestamp,
    /// When it was due; none where someone asked for it by hand.
    pub due: Option<Timestamp>,
    /// Whether it goes out clearly later than it was due.
    pub late: bool,
    /// The time zone of its days and times, by its name in the IANA database.
    pub zone: String,
    /// Whether it is about a part of the jobs only (`when`).
    pub part: bool,
    /// The jobs that ended.
    pub totals: Totals,
    /// Those of the period before, of the same length.
    pub before: Totals,
    /// The same by category, the fullest first.
    pub categories: Vec<CategoryTotals>,
    /// Profiles with jobs that failed, the worst first; with several sources, see `tenants`.
    pub failing: Listed<Failing>,
    /// Profiles that had failed and are well again.
    pub recovered: Listed<Recovered>,
    /// Profiles whose slowest job took clearly longer than is usual for them.
    pub slower: Listed<Slow>,
    /// The profiles with the slowest jobs.
    pub slowest: Listed<Slow>,
    /// With several sources: those with jobs that failed, the worst first.
    pub tenants: Listed<Tenant>,
    /// With several sources: those without.
    pub quiet: Listed<String>,
    /// Whether there are several sources, so that each entry must say which one it is of.
    pub several: bool,
    /// The last days, oldest first, each beginning at midnight in `zone`.
    pub days: Vec<Day>,
    /// What all this rests on.
    pub coverage: Coverage,
    /// What was not reckoned, each in a sentence.
    pub notes: Vec<String>,
}

/// The first entries of a list, and how many there are besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// Those kept.
    pub first: Vec<T>,
    /// How many are not.
    pub more: u64,
}

impl<T> Listed<T> {
    /// The first `most` of a whole list.
    #[must_use]
    pub fn of(mut all: Vec<T>, most: usize) -> Self {
        let more = all.len().saturating_sub(most) as u64;
        all.truncate(most);
        Self { first: all, more }
    }

    /// How many there are in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.first.len() as u64 + self.more
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { first: Vec::new(), more: 0 }
    }
}

/// Jobs that ended, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// `finished`
    pub finished: u64,
    /// `failed`
    pub failed: u64,
    /// `finished_with_exception`
    pub finished_with_exception: u64,
    /// `skipped`
    pub skipped: u64,
    /// `stopped`
    pub stopped: u64,
    /// In a state that the vendor's page does not list.
    pub unknown: u64,
}

impl Totals {
    /// Counts one more.
    pub fn add(&mut self, state: State, count: u64) {
        *match state {
            State::Finished => &mut self.finished,
            State::Failed => &mut self.failed,
            State::FinishedWithException => &mut self.finished_with_exception,
            State::Skipped => &mut self.skipped,
            State::Stopped => &mut self.stopped,
            State::Running | State::Unknown(_) => &mut self.unknown,
        } += count;
    }

    /// All that ended.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.finished + self.bad() + self.skipped + self.stopped + self.unknown
    }

    /// Those that failed or finished with exceptions: what a digest calls failed where it does not say more.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.failed + self.finished_with_exception
    }
}

/// Whether a job that ended so did badly, as a digest counts.
#[must_use]
pub const fn is_bad(state: State) -> bool {
    matches!(state, State::Failed | State::FinishedWithException)
}

/// The jobs of one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryTotals {
    /// Its number; none for jobs whose category the feed does not tell.
    pub code: Option<i64>,
    /// In the period.
    pub totals: Totals,
    /// In the one before.
    pub before: Totals,
}

impl CategoryTotals {
    /// The category.
    #[must_use]
    pub fn category(&self) -> Option<Category> {
        self.code.map(Category::from_code)
    }
}

/// A profile with jobs that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Its source.
    pub source: String,
    /// Its name.
    pub profile: String,
    /// How its jobs ended in the period.
    pub totals: Totals,
    /// Whether the last one failed, so that it is not mended.
    pub still: bool,
    /// How many failed in a row, up to the period's end; none where that was not looked up.
    pub streak: Option<u32>,
    /// Whether there may be more of them, further back than was looked.
    pub streak_more: bool,
    /// When its last job before that ended well, as far as is known.
    pub last_good: Option<Timestamp>,
    /// When the last failed one ended.
    pub last_failed: Option<Timestamp>,
}

/// A profile that is well again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Its source.
    pub source: String,
    /// Its name.
    pub profile: String,
    /// How many had failed in a row before; none where that was not looked up.
    pub after: Option<u32>,
    /// When its last job ended well.
    pub at: Option<Timestamp>,
}

/// A profile's slowest job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slow {
    /// The source.
    pub source: String,
    /// The profile.
    pub profile: String,
    /// The job.
    pub id: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// What is usual, in milliseconds: the median of the jobs before it; none where too few are known.
    pub usual: Option<u64>,
}

/// A source with jobs that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub source: String,
    /// How its jobs ended.
    pub totals: Totals,
    /// Its profiles with jobs that failed, the worst first.
    pub failing: Listed<Failing>,
}

/// One day of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Its midnight.
    pub at: Timestamp,
    /// Jobs that finished.
    pub finished: u64,
    /// Jobs that failed or finished with exceptions.
    pub failed: u64,
    /// Jobs that ended otherwise.
    pub other: u64,
}

impl Day {
    /// All jobs that ended on it.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.finished + self.failed + self.other
    }
}

/// What a digest rests on: without it, silence would look like peace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Polls that read a list.
    pub polls: u64,
    /// Polls that failed, or that were due while nothing polled.
    pub missed: u64,
    /// How many sources are polled.
    pub sources: u64,
    /// Those with missed polls, the worst first.
    pub troubled: Listed<SourceCoverage>,
    /// Jobs that were seen to end, whatever the digest is about.
    pub jobs: u64,
    /// Jobs that run.
    pub running: u64,
    /// The job that started last of all.
    pub newest: Option<Newest>,
}

impl Coverage {
    /// Whether some source was not read at all in the period, so that no word on it would be a word too many.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.unread().next().is_some()
    }

    /// The sources that were not read at all in the period, as far as they are known by name.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        self.troubled.first.iter().filter(|source| source.polls == 0).map(|source| source.source.as_str())
    }
}

/// How one source was polled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCoverage {
    /// Its name.
    pub source: String,
    /// Polls that read its list.
    pub polls: u64,
    /// Polls that failed or were not made.
    pub missed: u64,
    /// The last poll that was made, whether or not it read the list.
    pub last: Option<Timestamp>,
}

/// The job that started last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Its source.
    pub source: String,
    /// Its id.
    pub id: String,
    /// Its profile.
    pub profile: String,
    /// How it stands, in the words of [`State::name`].
    pub state: String,
    /// When it started or, where that is not told, was first seen.
    pub at: Timestamp,
}

impl Digest {
    /// What stands in for one that can't be read from the store any more.
    #[must_use]
    pub fn unreadable(name: &str, at: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            since: at,
            until: at,
            due: None,
            late: false,
            zone: "UTC".into(),
            part: false,
            totals: Totals::default(),
            before: Totals::default(),
            categories: Vec::new(),
            failing: Listed::default(),
            recovered: Listed::default(),
            slower: Listed::default(),
            slowest: Listed::default(),
            tenants: Listed::default(),
            quiet: Listed::default(),
            several: false,
            days: Vec::new(),
            coverage: Coverage::default(),
            notes: vec!["What this digest said can't be read from the store any more.".into()],
        }
    }

    /// How many entries its longest list holds: a message names so many of each, or fewer where it must be short.
    #[must_use]
    pub fn entries(&self) -> usize {
        let of_tenants = self.tenants.first.iter().map(|tenant| tenant.failing.first.len()).sum();
        let lists = [
            if self.several { of_tenants } else { self.failing.first.len() },
            self.recovered.first.len(),
            self.slower.first.len(),
            self.slowest.first.len(),
            self.tenants.first.len(),
            self.quiet.first.len(),
            self.coverage.troubled.first.len(),
            self.categories.len(),
        ];
        lists.into_iter().max().unwrap_or_default()
    }

    /// How urgent it is: what failed is critical; exceptions, and polls that were missed, are a warning.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match () {
            () if self.totals.failed > 0 => Severity::Critical,
            () if self.totals.finished_with_exception > 0 || self.coverage.missed > 0 => Severity::Warning,
            () => Severity::Info,
        }
    }

    /// What a message of it has in the place of its rule.
    #[must_use]
    pub fn facts(&self) -> RuleFacts {
        RuleFacts {
            name: self.name.clone(),
            description: String::new(),
            severity: self.severity(),
            labels: BTreeMap::new(),
            template: None,
        }
    }

    /// Whether nothing happened, as far as anyone can know: no job ended, and every source was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.totals.ended() == 0 && !self.coverage.is_blind()
    }
}
