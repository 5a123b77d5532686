//! The jobs of a rule test, as they are written and as they are played.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value as Json;

use super::{
    Subject,
    layout::Placed,
    words::{instant, json, unknown, word},
};
use crate::{
    document::{Fault, Faults, Fields, Node, Place, Value, duration, integer, text},
    domain::{Category, Job, JobType, LONGEST, Name, State},
    rehearsal::Course,
};

/// The most jobs of one test, repetitions unfolded: a year of a job an hour.
pub const JOBS: usize = 10_000;
/// The profile of a job that names none.
pub const PROFILE: &str = "test scan";
/// How long a job takes that does not say.
pub const TAKES: Duration = Duration::from_secs(600);
/// The source of a job that names none, where none is configured.
pub const SOURCE: &str = "test";
/// An end this much later than the one known belongs to a new run, as in the service.
const NEW_RUN_AFTER: Duration = Duration::from_secs(2);

/// One job as it is written, or one of its repetitions.
#[derive(Debug, Clone)]
pub struct Written {
    pub place: Place,
    /// Its place in the list, from 1.
    pub entry: usize,
    /// Which of its repetitions, from 1; 0 where there are none.
    pub repetition: usize,
    pub id: String,
    pub source: Name,
    pub state: State,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub duration: Option<Duration>,
    /// It begins so long after the job at this place of the unfolded list.
    pub follows: Option<(usize, Duration)>,
    kind: Option<JobType>,
    category: Option<Category>,
    profile: Option<String>,
    extension: Option<Json>,
}

impl Written {
    /// Whether it has not ended.
    pub const fn is_open(&self) -> bool {
        match self.state {
            State::Running => true,
            State::Unknown(_) => self.finished.is_none() && self.duration.is_none(),
            _ => false,
        }
    }

    /// `1`, or `1/3` for the third repetition of the first.
    pub fn number(&self) -> String {
        if self.repetition == 0 { self.entry.to_string() } else { format!("{}/{}", self.entry, self.repetition) }
    }
}

/// Reads the list of jobs, and unfolds it.
pub fn read(node: &Node, subject: Option<&Subject>, zone: Option<&TimeZone>, faults: &mut Faults) -> Option<Vec<Written>> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        Value::Null if !node.filled => &[],
        _ => {
            faults.error(node, format!("expected a list of jobs, found {}", node.kind()));
            return None;
        }
    };
    let mut all = Vec::new();
    let mut sound = true;
    for (entry, item) in (1..).zip(items) {
        let before = all.len();
        sound &= job(item, entry, subject, zone, &mut all, faults).is_some();
        if all.len() > JOBS {
            faults.error(item, format!("a test has at most {JOBS} jobs, repetitions counted"));
            return None;
        }
        sound &= all.len() > before;
    }
    sound.then_some(all)
}

fn job(
    node: &Node,
    entry: usize,
    subject: Option<&Subject>,
    zone: Option<&TimeZone>,
    all: &mut Vec<Written>,
    faults: &mut Faults,
) -> Option<()> {
    let mut own = Faults::default();
    let mut fields = Fields::open(node, "a job: a mapping with any of `profile`, `state`, `started`, `duration` and so on", &mut own);
    let read = fields.as_mut().map(|fields| first(fields, node, entry, subject, zone, &mut own));
    let repeat = fields.as_mut().and_then(|fields| fields.take("repeat")).map(|at| repeat(at, &mut own));
    if let Some(fields) = fields {
        fields.finish(&mut own);
    }
    let broken = own.any_error();
    own.sorted().into_iter().cloned().for_each(|fault| faults.push(fault));
    let first = read.filter(|_| !broken)?;
    match repeat {
        None => all.push(first),
        Some(repeat) => unfold(&first, &repeat?, node, all, faults)?,
    }
    Some(())
}

fn first(
    fields: &mut Fields<'_>,
    node: &Node,
    entry: usize,
    subject: Option<&Subject>,
    zone: Option<&TimeZone>,
    faults: &mut Faults,
) -> Written {
    let id = fields.take("id").and_then(|at| text(at, faults));
    let source = fields.take("source").and_then(|at| source(at, subject, faults));
    let kind = fields.take("type").and_then(|at| coded(at, "type", JobType::ALL, JobType::name, JobType::parse, faults));
    let state_at = fields.take("state");
    let state = state_at.and_then(|at| coded(at, "state", State::ALL, State::name, State::parse, faults)).unwrap_or(State::Finished);
    let started = fields.take("started").and_then(|at| instant(at, zone, faults));
    let finished_at = fields.take("finished");
    let finished = finished_at.and_then(|at| instant(at, zone, faults));
    let duration_at = fields.take("duration");
    let duration = duration_at.and_then(|at| duration(at, Duration::ZERO..=LONGEST, faults));
    let profile = fields.take("profile").and_then(|at| text(at, faults));
    let category = fields.take("category").and_then(|at| coded(at, "category", Category::ALL, Category::name, Category::parse, faults));
    let extension = fields.take("extension").map(json);
    if let Some(at) = finished_at.filter(|_| state == State::Running) {
        faults.push(Fault::error(&at.place, "a running job has not finished").hint("leave `finished` out, or name another `state`"));
    }
    if let (Some(at), Some(started), Some(finished)) = (finished_at, started, finished) {
        match Duration::try_from(finished.duration_since(started)) {
            Err(_) => faults.error(at, "this job ends before it starts"),
            Ok(took) if duration.is_some_and(|duration| duration != took) => {
                let message = format!("from `started` to `finished` it is {}", crate::domain::format_duration(took));
                faults.push(Fault::error(&duration_at.unwrap_or(at).place, message).hint("leave one of the three out"));
            }
            Ok(_) => {}
        }
    }
    let default = || subject.and_then(|subject| subject.sources.first().cloned()).unwrap_or_else(|| Name::from(SOURCE));
    Written {
        place: node.place.clone(),
        entry,
        repetition: 0,
        id: id.unwrap_or_else(|| format!("job-{entry}")),
        source: source.unwrap_or_else(default),
        state,
        started,
        finished,
        duration,
        follows: None,
        kind,
        category,
        profile,
        extension,
    }
}

fn source(node: &Node, subject: Option<&Subject>, faults: &mut Faults) -> Option<Name> {
    let written = Name::from(text(node, faults)?);
    if let Some(subject) = subject.filter(|subject| !subject.sources.contains(&written)) {
        let known: Vec<&str> = subject.sources.iter().map(Name::as_str).collect();
        unknown(node, "source", &written, &known, faults);
    }
    Some(written)
}

/// A code by its name or number.
fn coded<T: Copy>(
    node: &Node,
    what: &str,
    all: &[T],
    name: impl Fn(T) -> std::borrow::Cow<'static, str>,
    parse: impl Fn(&str) -> Option<T>,
    faults: &mut Faults,
) -> Option<T> {
    let names: Vec<_> = all.iter().map(|value| name(*value)).collect();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    word(node, what, &names, parse, faults)
}

/// How often a job comes.
struct Repeat {
    times: usize,
    /// From one start to the next; none where one follows the other's end.
    every: Option<Duration>,
}

/// `repeat: 3`, or `repeat: { times: 3, every: 24h }`.
fn repeat(node: &Node, faults: &mut Faults) -> Option<Repeat> {
    let most = i64::try_from(JOBS).unwrap_or(i64::MAX);
    let count = |at: &Node, faults: &mut Faults| integer(at, 1..=most, faults).and_then(|times| usize::try_from(times).ok());
    if matches!(node.value, Value::Int(_)) {
        return Some(Repeat { times: count(node, faults)?, every: None });
    }
    let mut fields = Fields::open(node, "a number of times, or a mapping with `times` and `every`", faults)?;
    let times = fields.require("times", faults).and_then(|at| count(at, faults));
    let every = fields.take("every").map(|at| duration(at, Duration::ZERO..=LONGEST, faults));
    fields.finish(faults);
    Some(Repeat {
        times: times?,
        every: match every {
            Some(every) => Some(every?),
            None => None,
        },
    })
}

fn unfold(first: &Written, repeat: &Repeat, node: &Node, all: &mut Vec<Written>, faults: &mut Faults) -> Option<()> {
    if repeat.every.is_none() && first.finished.is_some() && repeat.times > 1 {
        let fault = Fault::error(&node.place, "this job ends at the same time each time it comes");
        faults.push(fault.hint("add `every` to `repeat`, as in repeat: { times: 3, every: 24h }"));
        return None;
    }
    let at = all.len();
    for nth in 0..repeat.times {
        let times = u32::try_from(nth).unwrap_or(u32::MAX);
        let later = repeat.every.map(|every| every.saturating_mul(times));
        let shifted = |time: Option<Timestamp>| match (time, later) {
            (Some(time), Some(later)) => time.checked_add(later).ok().map(Some),
            (time, None) if nth == 0 => Some(time),
            _ => Some(None),
        };
        let (Some(started), Some(finished)) = (shifted(first.started), shifted(first.finished)) else {
            faults.error(node, "repeated so often, this job leaves the calendar");
            return None;
        };
        all.push(Written {
            repetition: nth + 1,
            id: if nth == 0 { first.id.clone() } else { format!("{}/{}", first.id, nth + 1) },
            started,
            finished,
            follows: later.filter(|_| nth > 0 && started.is_none() && finished.is_none()).map(|later| (at, later)),
            ..first.clone()
        });
        if all.len() > JOBS {
            break;
        }
    }
    Some(())
}

/// The jobs as they are played.
#[derive(Debug, Default)]
pub struct Cast {
    /// One run of one job each, in the order in which they are listed.
    pub courses: Vec<Course>,
    /// How each is called: `job 1`, `job 2/3`.
    pub names: Vec<String>,
    /// Where each is listed first.
    pub places: Vec<Place>,
    /// Each job of the unfolded list: its entry, its repetition, and the run that it belongs to.
    pub entries: Vec<(usize, usize, usize)>,
}

impl Cast {
    /// Puts sightings of the same job together. A fault is told where one can't follow the other.
    pub fn of(written: Vec<Written>, placed: &[Placed], faults: &mut Faults) -> Self {
        let mut cast = Self::default();
        let mut newest: HashMap<(Name, String), usize> = HashMap::new();
        for (written, placed) in written.into_iter().zip(placed) {
            let key = (written.source.clone(), written.id.clone());
            let (entry, repetition, place, number) = (written.entry, written.repetition, written.place.clone(), written.number());
            let known = newest.get(&key).and_then(|at| Some((*at, cast.courses.get_mut(*at)?)));
            let at = match known {
                Some((at, course)) if !course.job.is_final() => {
                    course.job = Arc::new(played(written, placed, Some(&course.job)));
                    at
                }
                Some((_, course)) if !again(&course.job, &written, placed) => {
                    let fault = Fault::error(&place, format!("the job `{}` has ended before", written.id));
                    faults.push(fault.hint("its next run ends more than 2s later; another job has another `id`"));
                    continue;
                }
                known => {
                    let before = known.map(|(_, course)| course.clone());
                    let job = Arc::new(played(written, placed, before.as_ref().map(|course| &*course.job)));
                    let run = before.map_or(1, |course| course.run.saturating_add(1));
                    let watched = !job.is_final();
                    cast.courses.push(Course { job, run, watched });
                    cast.names.push(format!("job {number}"));
                    cast.places.push(place);
                    let at = cast.courses.len() - 1;
                    newest.insert(key, at);
                    at
                }
            };
            cast.entries.push((entry, repetition, at));
        }
        cast
    }
}

/// Whether a sighting of a job that has ended is one of a new run.
fn again(known: &Job, written: &Written, placed: &Placed) -> bool {
    let later = |end: Timestamp| known.finished.is_none_or(|known| end.duration_since(known).unsigned_abs() > NEW_RUN_AFTER && end > known);
    written.is_open() || placed.finished.is_some_and(later)
}

/// The job; what a later sighting leaves out is as it was in the one before.
fn played(written: Written, placed: &Placed, before: Option<&Job>) -> Job {
    Job {
        source: written.source,
        id: written.id,
        kind: written.kind.or_else(|| before.map_or(Some(JobType::Microsoft365), |job| job.kind)),
        state: written.state,
        started: Some(placed.started),
        finished: placed.finished,
        profile: written.profile.unwrap_or_else(|| before.map_or_else(|| PROFILE.to_owned(), |job| job.profile.clone())),
        category: written.category.or_else(|| before.map_or(Some(Category::Microsoft365), |job| job.category)),
        extension: written.extension.unwrap_or_else(|| before.map_or(Json::Null, |job| job.extension.clone())),
    }
}
