//! Where the jobs of a replay come from: the store, saved responses, or a live source.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    input::{self, FAULTS_TOLD, Input, Whose},
    period::SINCE_DEFAULT,
    sighting::{JOBS_MOST, Sighting, runs},
};
use crate::{
    app::SystemClock,
    cli::{
        output::{moment, plain, say},
        progress::Progress,
        since::{self, Since},
    },
    clock::Clock,
    config::Config,
    domain::{Job, Name},
    http::Http,
    intake::{Habits, Whole, read_whole},
    rehearsal::Course,
    store::{
        Store, Stories,
        sqlite::{Access, Sqlite},
    },
};

/// How many jobs are read from the store at a time.
const CHUNK: u32 = 10_000;
/// A saved list may come from a machine whose clock is ahead of this one's. A time further ahead than this is none: `9999-12-31`
/// is how some programs write that they know none.
const AHEAD_MOST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// What the source of saved jobs is called where the config has none.
const NO_SOURCE: &str = "unknown";
/// How far back a profile's past is kept from before the period: no condition looks further.
const PAST_MOST: usize = crate::rules::PAST_MOST as usize;

/// The jobs of a replay, and what is to be said of them.
#[derive(Debug)]
pub struct Jobs {
    /// Every run of every job, those of the past before the period among them.
    pub courses: Vec<Course>,
    /// The beginning of the period.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Since when anything is known: no earlier than the beginning.
    pub known_from: Timestamp,
    /// The sources that are watched.
    pub sources: Vec<Name>,
    /// Of each source that a service has watched, up to when nothing was alerted on.
    pub starts: BTreeMap<Name, Timestamp>,
    /// Rows that can't be read.
    pub unreadable: u64,
    /// What a reader of the result has to know, a line each.
    pub notes: Vec<String>,
}

/// What is wanted.
pub struct Wanted<'a> {
    /// The config's sources.
    pub sources: &'a [Name],
    /// The beginning, where it is said.
    pub since: Option<&'a Since>,
    /// The end, where it is said.
    pub until: Option<Timestamp>,
    /// Whether what lies before the period is needed too.
    pub past: bool,
}

impl Wanted<'_> {
    /// Of the store, beside a service that may be running.
    ///
    /// # Errors
    /// In one line.
    pub async fn stored(&self, file: &Path, progress: &mut Progress) -> Result<Jobs, String> {
        let to = self.until.unwrap_or_else(|| SystemClock.now());
        let from = self.since.unwrap_or(&Since::Ago(SINCE_DEFAULT)).before(to, &since::here());
        let store = Sqlite::open(file, Access::Beside).map_err(|error| error.to_string())?;
        let least = if self.past { Timestamp::MIN } else { from };
        let (mut courses, mut past) = (Vec::new(), Pasts::default());
        let mut after = None;
        loop {
            let rows = store.history(least, after, CHUNK).await.map_err(|error| error.to_string())?;
            let Some((last, run)) = rows.last() else { break };
            after = Some((last.source.clone(), last.id.clone(), *run));
            for (job, run) in rows {
                let course = Course { job: Arc::new(job), run, watched: true };
                if course.job.finished.is_some_and(|end| end < from) {
                    past.take(course);
                } else if ended(&course.job).is_none_or(|end| end <= to) {
                    courses.push(course);
                }
            }
            if courses.len() + past.len() > JOBS_MOST {
                return Err(format!("more than {JOBS_MOST} jobs are to be replayed: take a shorter period with --since and --until"));
            }
            progress.tell(format_args!("reading the store: {} jobs of the period", courses.len()));
        }
        let sources: BTreeSet<Name> = courses.iter().map(|course| course.job.source.clone()).chain(past.sources()).collect();
        let sources = self.sources.iter().filter(|name| sources.contains(*name)).cloned().collect();
        courses.extend(past.all());
        let mut notes = Vec::new();
        let first_end = courses.iter().filter_map(|course| ended(&course.job)).min();
        if let Some(oldest) = first_end.filter(|oldest| oldest.duration_since(from).as_hours() >= 24) {
            notes.push(format!("the store holds no job of this period that ended before {}", moment(oldest)));
        }
        let known_from = oldest(&courses).unwrap_or(from).max(from);
        let starts = store.starts().await.map_err(|error| error.to_string())?;
        Ok(Jobs { courses, from, to, known_from, sources, starts, unreadable: 0, notes })
    }

    /// Of saved responses. The period ends with the newest time in them: that is when they were saved, as far as can be told.
    ///
    /// # Errors
    /// In one line, with the file and the place.
    pub fn saved(&self, paths: &[PathBuf], source: Option<&Name>, progress: &mut Progress) -> Result<Jobs, String> {
        let first = self.sources.first().cloned().unwrap_or_else(|| Name::from(NO_SOURCE));
        let whose = source.map_or(Whose::Silent(&first), Whose::All);
        let mut input = Input::default();
        for path in paths {
            let name = path.display().to_string();
            let mut rows = |rows: u64| progress.tell(format_args!("reading {name}: {rows} rows"));
            if path == Path::new("-") {
                input::read("stdin", io::stdin().lock(), whose, &mut input, &mut rows)?;
            } else {
                let file = File::open(path).map_err(|error| format!("can't read {name}: {error}"))?;
                input::read(&name, file, whose, &mut input, &mut rows)?;
            }
        }
        progress.wipe();
        tell_faults(&input.faults, input.unreadable);
        if input.sightings.is_empty() && input.unreadable > 0 {
            return Err("no row of the input can be read".into());
        }
        let mut notes = Vec::new();
        if input.presumed && self.sources.len() > 1 {
            notes.push(format!(
                "the input does not say whose jobs these are: they are taken for those of `{first}`; --source names another"
            ));
        }
        if input.goes_on {
            notes.push("the last response names a next page: what is older is not in the input".to_owned());
        }
        Ok(self.told(input.sightings, input.unreadable, notes, None))
    }

    /// Of a live source: its whole list, read as the first turn of a service reads it. Nothing is stored.
    ///
    /// # Errors
    /// The source can't be read, in one line.
    pub async fn live(&self, config: &Config, name: &str, progress: &mut Progress) -> Result<Jobs, String> {
        let sources = &config.sources;
        let Some(source) = sources.iter().find(|source| *source.name == *name) else {
            let known: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            return Err(format!("the config {}", crate::cli::no_such("source", name, &known)));
        };
        crate::cli::refuse_placeholders(config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let feed = source.settings.connect(&source.name, &Http::new()?, &clock).map_err(|why| format!("source {name}: {why}"))?;
        let (mut sightings, mut faults, mut unreadable, mut left_out) = (Vec::new(), Vec::new(), 0, 0_u64);
        let habits = Habits::default();
        let read = read_whole(&*feed, &source.name, &habits, |rows| {
            for row in rows {
                match row {
                    Ok(_) if sightings.len() >= JOBS_MOST => left_out += 1,
                    Ok(job) => sightings.push(Sighting { job, run: None }),
                    Err(bad) => {
                        unreadable += 1;
                        if faults.len() < FAULTS_TOLD {
                            faults.push(format!("{name}: a row of the list: {}", bad.why));
                        }
                    }
                }
            }
            progress.tell(format_args!("reading {name}: {} rows", sightings.len()));
        });
        let whole = read.await.map_err(|error| format!("source {name}: {error}"))?;
        progress.wipe();
        tell_faults(&faults, unreadable);
        let mut notes = Vec::new();
        if let Whole::Incomplete(why) = whole {
            notes.push(format!("the list was read only in part: {why}"));
        }
        if left_out > 0 {
            notes.push(format!("the list holds more than {JOBS_MOST} rows: {left_out} of the oldest are left out"));
        }
        Ok(self.told(sightings, unreadable, notes, Some(source.name.clone())))
    }

    /// What is known from sightings alone. A live list ends now, a saved one with the newest time in it.
    fn told(&self, sightings: Vec<Sighting>, unreadable: u64, notes: Vec<String>, live: Option<Name>) -> Jobs {
        let now = SystemClock.now();
        let courses: Vec<Course> = runs(sightings).into_iter().map(|(job, run)| Course { job, run, watched: true }).collect();
        let times = || courses.iter().flat_map(|course| [course.job.finished, course.job.started]).flatten();
        let newest = || times().filter(|at| at.duration_since(now) <= AHEAD_MOST).max();
        let to = self.until.unwrap_or_else(|| if live.is_some() { now } else { newest().unwrap_or(now) });
        let oldest = oldest(&courses).unwrap_or(to).min(to);
        let from = self.since.map_or(oldest, |since| since.before(to, &since::here()));
        let sources: BTreeSet<Name> = courses.iter().map(|course| course.job.source.clone()).chain(live).collect();
        let sources = sources.into_iter().collect();
        Jobs { courses, from, to, known_from: oldest.max(from), sources, starts: BTreeMap::new(), unreadable, notes }
    }
}

/// When a job ended; of an end without a time, its start. None while it runs.
pub fn ended(job: &Job) -> Option<Timestamp> {
    job.finished.or(job.started).filter(|_| job.is_final())
}

/// The first time that is known of any job: what is made of jobs that run begins before their ends, and an end may be told as
/// before its start.
fn oldest(courses: &[Course]) -> Option<Timestamp> {
    courses.iter().flat_map(|course| [course.job.started, course.job.finished]).flatten().min()
}

fn tell_faults(faults: &[String], unreadable: u64) {
    for fault in faults {
        say(format_args!("{}", plain(fault)));
    }
    let untold = unreadable.saturating_sub(faults.len() as u64);
    if untold > 0 {
        say(format_args!("and {untold} rows more that can't be read"));
    }
}

/// What lies before the period, of each profile as much as any condition looks back on.
#[derive(Default)]
struct Pasts(HashMap<(Name, String), Vec<Course>>);

impl Pasts {
    fn take(&mut self, course: Course) {
        let past = self.0.entry((course.job.source.clone(), course.job.profile.clone())).or_default();
        past.push(course);
        if past.len() >= 2 * PAST_MOST {
            shorten(past);
        }
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn sources(&self) -> impl Iterator<Item = Name> {
        self.0.keys().map(|(source, _)| source.clone())
    }

    fn all(self) -> impl Iterator<Item = Course> {
        self.0.into_values().flat_map(|mut past| {
            shorten(&mut past);
            past
        })
    }
}

/// Leaves the newest.
fn shorten(past: &mut Vec<Course>) {
    past.sort_by(|a, b| (b.job.finished, &b.job.id).cmp(&(a.job.finished, &a.job.id)));
    past.truncate(PAST_MOST);
}
