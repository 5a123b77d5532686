//! `jobrelay replay`: what would have been sent. The rules run over history, and nothing goes out.

mod against;
mod input;
mod jobs;
mod lenient;
mod period;
mod show;
mod sighting;
mod sums;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::ValueEnum;

use self::{
    against::Difference,
    jobs::{Jobs, Wanted},
    sums::{Played, Summary},
};
use super::{
    output::say,
    progress::Progress,
    since::{self, Since, Time, since_help},
};
use crate::{
    config::{self, Config, ProcessEnvironment, RulesOnly},
    domain::Name,
    rules::RuleSet,
};

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people
    Table,
    /// One object: notifications and summary; with --against, more, fewer and unchanged
    Json,
}

pub const EXAMPLES: &str = "\
Examples:
  jobrelay replay                                   the last 30 days of the store
  jobrelay replay --since 2026-01-01 --until 2026-02-01
  jobrelay replay --input jobs.json                 a saved response of /aos/jobs
  jobrelay replay --source contoso --since 7d       the tenant's own list, read now
  jobrelay replay --against ../in-service           before new rules page anyone: what would change?
  jobrelay jobs --format json --limit 1000 | jobrelay replay --input -

With --against, the config in use is held against another: `more` is what only this one sends,
`fewer` what only the other does. A rule that was renamed or got other channels counts as both.

What it can't know: jobs that had left the list before the service first read it, or that
storage.keep let go; of a list, all but the last run of a job that ran again; when a source could
not be read, so that `missing` rules speak as if it always could; and how late each job was seen, so
that every alert is made the moment its job ended. Alarms of running jobs are worked out from start and end.
A saved list ends with the newest time in it; --until sets another end.";

/// Options of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "WHEN", value_parser = since::since, help = since_help!("; by this machine's clock where neither Z nor an offset stands [default: 30d, of the store]"))]
    since: Option<Since>,

    /// Up to when: a date or a time, likewise [default: now; of a saved list, the newest time in it]
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    until: Option<Time>,

    /// Over saved jobs instead of the store: responses of /aos/jobs, one, a list of them or one a line; a list of jobs, also as `jobs
    /// --format json` prints it. Comments and trailing commas are allowed; - is standard input. No secret need be set
    #[arg(long, value_name = "FILE", num_args = 1..)]
    input: Vec<PathBuf>,

    /// Over this source's list, read now, whole, and not stored; with --input, whose jobs those are [default there: the first]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Show the difference to another config's rules: its file, or its folder
    #[arg(long, value_name = "CONFIG")]
    against: Option<PathBuf>,

    /// List at most so many notifications; all are counted. JSON lists them all
    #[arg(long, value_name = "N", default_value_t = 50)]
    show: usize,

    /// How the result is written
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

pub fn run(args: &Args, config: &Path) -> ExitCode {
    let sides = Side::of(args, config).and_then(|mine| {
        let other = args.against.as_deref().map(config_in);
        let other = other.map(|path| Side::rules_of(&path).map(|other| (path.display().to_string(), other))).transpose()?;
        Ok((mine, other))
    });
    let (mine, other) = match sides {
        Ok(sides) => sides,
        Err(code) => return code,
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    super::exit(runtime.block_on(replay(args, &mine, other.as_ref())))
}

/// The config file of a folder; a file is one itself.
fn config_in(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("jobrelay.yaml") } else { path.to_owned() }
}

/// One of the configs that are replayed, as much of it as is needed.
struct Side {
    rules: Arc<RuleSet>,
    sources: Vec<Name>,
    origin: Origin,
}

/// Where the jobs come from, with what of the config that takes.
enum Origin {
    /// Saved responses.
    Saved,
    /// The store in this file.
    Store(PathBuf),
    /// A source of this config.
    Live(Box<Config>),
}

impl Side {
    /// That in use. Unless a source is asked, no secret need be set.
    fn of(args: &Args, path: &Path) -> Result<Self, ExitCode> {
        if !args.input.is_empty() {
            return Self::rules_of(path);
        }
        if args.source.is_none() {
            let (RulesOnly { rules, sources, .. }, storage) = super::load_beside(path)?;
            return Ok(Self { rules, sources, origin: Origin::Store(storage.path) });
        }
        let config = super::load(path)?;
        let sources = config.sources.iter().map(|source| source.name.clone()).collect();
        Ok(Self { rules: Arc::clone(&config.rules), sources, origin: Origin::Live(Box::new(config)) })
    }

    /// Its rules alone.
    fn rules_of(path: &Path) -> Result<Self, ExitCode> {
        let (read, faults) = config::load_rules(path, &ProcessEnvironment);
        let Some(RulesOnly { rules, sources, .. }) = read else {
            super::report(&faults);
            return Err(ExitCode::FAILURE);
        };
        Ok(Self { rules, sources, origin: Origin::Saved })
    }

    fn needs_past(&self) -> bool {
        self.rules.looks_back() || self.rules.rules().iter().any(|rule| rule.missing().is_some())
    }
}

async fn replay(args: &Args, mine: &Side, other: Option<&(String, Side)>) -> Result<ExitCode, String> {
    let mut progress = Progress::begin();
    let jobs = gather(args, mine, other.map(|(_, other)| other), &mut progress).await?;
    if jobs.from > jobs.to {
        return Err("the period ends before it begins: see --since and --until".into());
    }
    let mut play = |side: &Side| {
        let played = Played::of(&side.rules, &jobs, &mut progress);
        let summary = Summary::of(&played, &jobs);
        (played, summary)
    };
    let (played, summary) = play(mine);
    let against = other.map(|(name, other)| (name, play(other)));
    drop(progress);
    match (&against, args.format) {
        (None, Format::Table) => show::table(&played, &summary, args.show),
        (None, Format::Json) => show::json(&played, &summary)?,
        (Some((name, (theirs, sums))), format) => {
            let difference = Difference::of((&played, &summary), (theirs, sums));
            match format {
                Format::Table => difference.table(name, args.show),
                Format::Json => difference.json()?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn gather(args: &Args, mine: &Side, other: Option<&Side>, progress: &mut Progress) -> Result<Jobs, String> {
    let past = mine.needs_past() || other.is_some_and(Side::needs_past);
    let wanted = Wanted {
        sources: &mine.sources,
        since: args.since.as_ref(),
        until: args.until.as_ref().map(|until| until.by(&since::here())),
        past,
    };
    let source = args.source.as_deref().map(Name::from);
    match (&mine.origin, &source) {
        (Origin::Live(config), Some(name)) => wanted.live(config, name, progress).await,
        (Origin::Store(file), _) => wanted.stored(file, progress).await,
        (Origin::Saved | Origin::Live(_), _) => {
            if let Some(name) = source.as_ref().filter(|name| !mine.sources.contains(name)) {
                let known: Vec<&str> = mine.sources.iter().map(Name::as_str).collect();
                say(format_args!("note: the config {}", super::no_such("source", name, &known)));
            }
            wanted.saved(&args.input, source.as_ref(), progress)
        }
    }
}
