//! What a replay comes to: the sums by rule, channel and day.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::jobs::{Jobs, ended};
use crate::{
    cli::progress::Progress,
    domain::{Name, NotificationKind},
    rehearsal::{Event, Message, Watch, messages, run_telling},
    rules::RuleSet,
};

/// The rules of one config, run over the jobs.
pub struct Played {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// What would have happened, in order of time.
    pub events: Vec<Event>,
    /// The messages it would have come to, in order of time.
    pub messages: Vec<Message>,
}

impl Played {
    /// Runs them.
    #[must_use]
    pub fn of(rules: &Arc<RuleSet>, jobs: &Jobs, progress: &mut Progress) -> Self {
        let watch = Watch { from: jobs.known_from, to: jobs.to, sources: jobs.sources.clone() };
        let all = jobs.courses.len();
        let mut judged = |done: usize| progress.tell(format_args!("judging: {done} of {all} jobs"));
        let events = run_telling(rules, &jobs.courses, &watch, &mut judged);
        let messages = messages(&events);
        Self { rules: Arc::clone(rules), events, messages }
    }
}

/// The sums of a replay. A notification is one message to one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The beginning of the period.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// How many jobs ended in it, or still ran at its end.
    pub jobs: u64,
    /// What of all this is about jobs from before the service first watched their source: they were not alerted on.
    pub before_start: BeforeStart,
    /// Rows of the input that could not be read.
    pub unreadable: u64,
    #[serde(flatten)]
    pub all: Sums,
    /// By rule: every enabled one, in the order of the files.
    pub rules: Vec<RuleSums>,
    /// By channel: those that would have got something.
    pub channels: Vec<ChannelSums>,
    /// By day, UTC: those on which something would have been sent.
    pub days: Vec<DaySums>,
    /// What is to be known besides, a sentence each.
    pub notes: Vec<String>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Alerts; by channel, those for this channel.
    pub alerts: u64,
    /// Notifications in all.
    pub notifications: u64,
    /// The notices among them.
    pub notices: u64,
}

/// What lies before the first run's `start`, of the store alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BeforeStart {
    /// Jobs that ended before it.
    pub jobs: u64,
    /// Alerts that would have been raised before it.
    pub alerts: u64,
}

impl BeforeStart {
    /// A sentence, where there is something to say.
    fn note(self) -> Option<String> {
        let about = match self.alerts {
            0 => "no alert is".to_owned(),
            1 => "1 alert is".to_owned(),
            n => format!("{n} alerts are"),
        };
        let ended = if self.jobs == 1 { "1 job".to_owned() } else { format!("{} jobs", self.jobs) };
        (self.jobs > 0 || self.alerts > 0).then(|| {
            format!("{ended} ended before the service first watched their source, and it did not alert on them: {about} from then")
        })
    }
}

/// The sums of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSums {
    /// Its name.
    pub rule: String,
    #[serde(flatten)]
    pub sums: Sums,
}

/// The sums of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelSums {
    /// Its name.
    pub channel: String,
    #[serde(flatten)]
    pub sums: Sums,
}

/// The sums of one day: alerts by when they were raised, notifications by when they were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DaySums {
    /// The day, `2026-01-31`.
    pub day: Date,
    #[serde(flatten)]
    pub sums: Sums,
}

impl Summary {
    /// Sums up.
    #[must_use]
    pub fn of(played: &Played, jobs: &Jobs) -> Self {
        let mut all = Sums::default();
        let mut rules: HashMap<&str, Sums> = HashMap::new();
        let mut channels: BTreeMap<&str, Sums> = BTreeMap::new();
        let mut days: BTreeMap<Date, Sums> = BTreeMap::new();
        let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
        let mut before_start = BeforeStart::default();
        let is_before = |source: &Name, at: Timestamp| jobs.starts.get(source).is_some_and(|start| at <= *start);
        for event in &played.events {
            if let Event::Raised(raised) = event {
                all.alerts += 1;
                before_start.alerts += u64::from(is_before(&raised.job.source, raised.at));
                rules.entry(&raised.rule.name).or_default().alerts += 1;
                days.entry(day(raised.at)).or_default().alerts += 1;
            }
        }
        for message in &played.messages {
            let is_notice = message.kind == NotificationKind::Notice;
            let carried = if is_notice { 0 } else { message.carries.len() as u64 };
            for channel in &message.rule.notify {
                let of_channel = channels.entry(channel).or_default();
                of_channel.alerts += carried;
                let of_rule = rules.entry(&message.rule.name).or_default();
                for sums in [&mut all, of_channel, of_rule, days.entry(day(message.at)).or_default()] {
                    sums.notifications += 1;
                    sums.notices += u64::from(is_notice);
                }
            }
        }
        let within = |at: Timestamp| (jobs.from..=jobs.to).contains(&at);
        let mut counted = 0;
        for job in jobs.courses.iter().map(|course| &course.job).filter(|job| ended(job).is_none_or(within)) {
            counted += 1;
            before_start.jobs += u64::from(ended(job).is_some_and(|at| is_before(&job.source, at)));
        }
        let sums_of = |name: &str| rules.get(name).copied().unwrap_or_default();
        Self {
            since: jobs.from,
            until: jobs.to,
            jobs: counted,
            before_start,
            unreadable: jobs.unreadable,
            all,
            rules: played.rules.rules().iter().map(|rule| RuleSums { rule: rule.name.to_string(), sums: sums_of(&rule.name) }).collect(),
            channels: channels.into_iter().map(|(channel, sums)| ChannelSums { channel: channel.to_owned(), sums }).collect(),
            days: days.into_iter().map(|(day, sums)| DaySums { day, sums }).collect(),
            notes: {
                let unanswered = played.rules.unanswered().map(|one| crate::cli::output::unanswered(&one));
                jobs.notes.iter().cloned().chain(before_start.note()).chain(unanswered).collect()
            },
        }
    }
}
