//! `missing: {profile, every, grace, source}`: whether a job that is awaited has come in time, as far as that can be told. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    document::{Faults, Fields, Node, duration},
    domain::{Job, LONGEST, Name, State, Told},
};

use super::{Known, profile::Patterns, source};

/// `missing: {profile, every, grace, source}`: a notice when no such job has finished in time.
#[derive(Debug)]
pub struct Missing {
    profile: Patterns,
    /// The longest time from one job's end to the next one's.
    pub every: Duration,
    /// How much longer to wait before saying so.
    pub grace: Duration,
    /// The sources it is about, none twice; empty where the rule names none.
    pub sources: Vec<Name>,
}

/// What is known of one watch: a rule's, over the jobs of one source. All times are of the clock that dates the jobs' ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// When the newest job that counts ended; see [`Missing::counts`].
    pub last: Option<Timestamp>,
    /// Since when it is watched for: counts only where no such job ever came.
    pub began: Timestamp,
    /// Every job that ended before this instant is known: the list was last read completely then. None where it never was.
    /// Over history, where all is known, it is the present.
    pub complete: Option<Timestamp>,
    /// The source counts as unreadable from this instant on, and is unreadable still; none where it can be read.
    pub dark: Option<Timestamp>,
    /// What people have been told.
    pub told: Told,
}

/// How a watch stands. [`Standing::CannotTell`], [`Standing::Missing`] and [`Standing::Back`] are to be told, each once: what is
/// told is then written down as [`Standing::told`], and the watch is judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is due before this instant.
    Fine {
        /// When the next job is to have ended.
        due: Timestamp,
    },
    /// The time is up, and the list has not been read since: the job may have ended in time and only not been seen.
    Unread {
        /// When it was to have ended.
        due: Timestamp,
    },
    /// The time is up, and the source can't be read: whether the job came can't be told.
    CannotTell {
        /// When it was to have ended.
        due: Timestamp,
    },
    /// No job came in time.
    Missing {
        /// When it was to have ended.
        due: Timestamp,
    },
    /// After one of the two before was told, a job came.
    Back {
        /// When it was to have ended.
        due: Timestamp,
        /// When the newest one ended.
        came: Timestamp,
    },
    /// All there is to tell is told.
    Told,
}

impl Standing {
    /// What people know once this is told; none where it is nothing to tell.
    #[must_use]
    pub const fn told(self) -> Option<Told> {
        match self {
            Self::CannotTell { due } => Some(Told::CannotTell(due)),
            Self::Missing { due } => Some(Told::Missing(due)),
            Self::Back { .. } => Some(Told::Nothing),
            Self::Fine { .. } | Self::Unread { .. } | Self::Told => None,
        }
    }
}

impl Missing {
    pub(super) fn read(node: &Node, known: &Known<'_>, faults: &mut Faults) -> Option<Self> {
        let mut fields = Fields::open(node, "a mapping with `profile`, `every` and `grace`", faults)?;
        let profile = fields.require("profile", faults).and_then(|at| Patterns::read(at, None, faults));
        let every = fields.require("every", faults).and_then(|at| duration(at, Duration::from_secs(1)..=LONGEST, faults));
        let grace = fields.take("grace").map_or(Some(Duration::ZERO), |at| duration(at, Duration::ZERO..=LONGEST, faults));
        let sources = fields.take("source").map_or_else(Vec::new, |at| source::names(at, known, faults));
        fields.finish(faults);
        Some(Self { profile: profile?, every: every?, grace: grace?, sources })
    }

    /// Whether a job of this scan profile counts.
    #[must_use]
    pub fn awaits(&self, profile: &str) -> bool {
        self.profile.matches(profile)
    }

    /// The instant at which a job counts as having come: its end, or its start where the feed tells none. None for a job that does
    /// not count: one that runs or was skipped, of another profile or of a source that the rule does not name.
    #[must_use]
    pub fn counts(&self, job: &Job) -> Option<Timestamp> {
        let here = self.sources.is_empty() || self.sources.contains(&job.source);
        let came = here && job.is_final() && job.state != State::Skipped && self.awaits(&job.profile);
        job.finished.or(job.started).filter(|_| came)
    }

    /// The scan profiles it waits for, in words for people: `"nightly *" or "weekly *"`, at most a few of them.
    #[must_use]
    pub fn wanted(&self) -> String {
        const NAMED: usize = 3;
        let patterns = self.profile.all();
        let mut named: Vec<String> = patterns.iter().take(NAMED).map(|pattern| format!("\"{}\"", pattern.written)).collect();
        if patterns.len() > NAMED {
            named.push(format!("{} other patterns", patterns.len() - NAMED));
        }
        named.join(" or ")
    }

    /// What it waits for, in words that are the same for two rules only where they wait for the same.
    #[must_use]
    pub fn words(&self) -> String {
        let profiles: Vec<&str> = self.profile.all().iter().map(|pattern| pattern.written.as_str()).collect();
        let sources: Vec<&str> = self.sources.iter().map(Name::as_str).collect();
        serde_json::json!([profiles, self.every.as_millis().to_string(), self.grace.as_millis().to_string(), sources]).to_string()
    }

    /// When the next job is to have ended: `every` and `grace` after the last one did or, where none ever came, after the watch began.
    #[must_use]
    pub fn due(&self, watch: &Watch) -> Timestamp {
        let from = watch.last.unwrap_or(watch.began);
        from.checked_add(self.every.saturating_add(self.grace)).unwrap_or(Timestamp::MAX)
    }

    /// How a watch stands at `now`.
    ///
    /// Nothing is called missing before the list was read completely after it was due. A job that came later than it was due, and
    /// was found before anyone was told, is no gap.
    #[must_use]
    pub fn judge(&self, watch: &Watch, now: Timestamp) -> Standing {
        let due = self.due(watch);
        if let Told::CannotTell(gap) | Told::Missing(gap) = watch.told
            && let Some(came) = watch.last.filter(|_| due > gap)
        {
            return Standing::Back { due: gap, came };
        }
        if let Told::Missing(_) = watch.told {
            return Standing::Told;
        }
        if watch.complete.is_some_and(|complete| complete >= due) {
            return Standing::Missing { due };
        }
        match watch.told {
            Told::CannotTell(_) | Told::Missing(_) => Standing::Told,
            Told::Nothing if now < due => Standing::Fine { due },
            Told::Nothing if watch.dark.is_some_and(|dark| dark <= now) => Standing::CannotTell { due },
            Told::Nothing => Standing::Unread { due },
        }
    }

    /// When to judge a watch again although nothing else is heard of it; none where only a reading of the list can change anything.
    #[must_use]
    pub fn look_again(&self, watch: &Watch, now: Timestamp) -> Option<Timestamp> {
        match self.judge(watch, now) {
            Standing::Fine { due } => Some(due),
            Standing::Unread { .. } => watch.dark,
            Standing::Told => None,
            Standing::CannotTell { .. } | Standing::Missing { .. } | Standing::Back { .. } => Some(now),
        }
    }
}
