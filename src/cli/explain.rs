//! `jobrelay explain JOB`: the whole story of one job, from what is stored.

mod account;
mod delivery;
mod judged;
mod text;

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use clap::ValueEnum;
use jiff::Timestamp;

use super::output::print;
use crate::{
    app::SystemClock,
    clock::Clock,
    config::RulesOnly,
    domain::{Job, Name},
    rules::{Limiter, PAST_MOST},
    store::{Moment, PastQuery, Sought, Store, Stories, Story, sqlite::Sqlite},
};
use account::{Account, Facts, Pasts};

/// How the story is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The answer in one line, then its reasons
    Text,
    /// One object
    Json,
}

pub const EXAMPLES: &str = "\
Examples:
  jobrelay explain Scan20240926055840723067
  jobrelay explain Scan20240926055840723067 --rule scan-failed     every condition of one rule, with the values compared
  jobrelay explain Scan20240926055840723067 --source contoso --format json

The first line is the answer; below it stand the job, each alert with its way to each channel, and each rule that stayed
silent with the condition that decided it. What rules say is said by the rules as they are now.";

/// Options of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job's id
    #[arg(value_name = "JOB")]
    job: String,

    /// Its source, where an id is in two
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Only what concerns this rule, with every condition of it
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    /// How the story is written
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: Format,
}

pub fn run(args: &Args, path: &Path) -> ExitCode {
    super::with_store(path, async |store, config| explain(args, config, store).await)
}

async fn explain(args: &Args, config: &RulesOnly, store: &Sqlite) -> Result<ExitCode, String> {
    let now = SystemClock.now();
    let story = find(args, config, store, now).await?;
    if let Some(rule) = &args.rule {
        known_rule(rule, config, &story)?;
    }
    let openings = openings(config, store, &story, now).await?;
    let pasts = pasts(config, store, &story, now).await?;
    let facts = Facts {
        story: &story,
        rules: &config.rules,
        pasts: &pasts,
        channels: &config.channels,
        resting: config.rules.resting().len(),
        openings: &openings,
        now,
    };
    let account = Account::new(&facts, args.rule.as_deref());
    match args.format {
        Format::Json => print(format_args!("{}", serde_json::to_string_pretty(&account).map_err(|error| error.to_string())?)),
        Format::Text => print(format_args!("{}", text::write(&account, args.rule.is_some()).trim_end())),
    }
    Ok(ExitCode::SUCCESS)
}

/// The story of the job that is meant.
async fn find(args: &Args, config: &RulesOnly, store: &Sqlite, now: Timestamp) -> Result<Story, String> {
    let id = args.job.trim();
    let failed = |error: crate::store::StoreError| error.to_string();
    let sources = match store.seek(id).await.map_err(failed)? {
        Sought::In(sources) => sources,
        Sought::Like(like) => return Err(nowhere(id, &like)),
    };
    let source = match (&args.source, sources.as_slice()) {
        (Some(wanted), _) if sources.contains(wanted) => wanted.clone(),
        (Some(wanted), _) => {
            let known: Vec<&str> = config.sources.iter().map(Name::as_str).collect();
            let hint = if known.contains(&wanted.as_str()) {
                String::new()
            } else {
                format!("; the config {}", super::no_such("source", wanted, &known))
            };
            return Err(format!("there is no job `{id}` of the source `{wanted}` in the store, but one of {}{hint}", listed(&sources)));
        }
        (None, [only]) => only.clone(),
        (None, _) => return Err(format!("{} each have a job `{id}`: say which with --source", listed(&sources))),
    };
    let story = store.story(&source, id, now).await.map_err(failed)?;
    // Pruned between two looks.
    story.ok_or_else(|| nowhere(id, &[]))
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

fn nowhere(id: &str, like: &[(String, String)]) -> String {
    let hint = match like {
        [] => "see `jobrelay jobs`; a job is known once a poll has met it, and forgotten after `storage.keep`".to_owned(),
        like => format!("like it are {}", like.iter().map(|(source, id)| format!("{id} (of {source})")).collect::<Vec<_>>().join(", ")),
    };
    format!("there is no job `{id}` in the store; {hint}")
}

/// A rule asked for must be one that can have something to say: of the config, or one that has alerted on this job.
fn known_rule(rule: &str, config: &RulesOnly, story: &Story) -> Result<(), String> {
    let mut known: Vec<&str> = config.rules.rules().iter().map(|rule| rule.name.as_str()).collect();
    known.extend(story.alerts.iter().map(|alert| alert.rule.name.as_str()));
    if known.contains(&rule) { Ok(()) } else { Err(format!("the config {}", super::no_such("enabled rule", rule, &known))) }
}

/// What came before the job, and before what each of its alerts saw, as far as rules of today look back.
async fn pasts(config: &RulesOnly, store: &dyn Store, story: &Story, now: Timestamp) -> Result<Pasts, String> {
    let past = async |job: &Job, now: Timestamp| match config.rules.need(job) {
        None => Ok(Vec::new()),
        Some(need) => {
            // Of a running job, whatever has ended by then lies before it.
            let (at, id) = job.finished.map_or_else(|| (now, String::new()), |end| (end, job.id.clone()));
            let since = (!need.reach.is_zero()).then(|| at.checked_sub(need.reach).unwrap_or(Timestamp::MIN));
            let (source, profile) = (job.source.clone(), job.profile.clone());
            let query = PastQuery { source, profile, before: Moment { at, id }, jobs: need.jobs, since, most: PAST_MOST };
            store.past(query).await.map_err(|error| error.to_string())
        }
    };
    let mut pasts = Pasts { job: past(&story.job, now).await?, ..Pasts::default() };
    for alert in &story.alerts {
        pasts.alerts.insert(alert.id, past(&alert.job, alert.created).await?);
    }
    Ok(pasts)
}

/// When the rules that hold messages of this job back have one to give again.
async fn openings(config: &RulesOnly, store: &dyn Store, story: &Story, now: Timestamp) -> Result<BTreeMap<String, Timestamp>, String> {
    let mut openings = BTreeMap::new();
    for rule in config.rules.rules() {
        let Some(limit) = rule.limit else { continue };
        if !story.alerts.iter().any(|alert| *alert.rule.name == *rule.name && alert.ways.iter().any(delivery::is_held)) {
            continue;
        }
        let limiter = Limiter::new(limit);
        limiter.recall(&store.let_through(&rule.name, limit.look_back()).await.map_err(|error| error.to_string())?);
        openings.insert(rule.name.to_string(), limiter.admit(now).err().unwrap_or(now));
    }
    Ok(openings)
}
