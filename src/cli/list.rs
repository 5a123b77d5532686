//! `jobrelay jobs`, `alerts` and `deliveries`: what the store holds.

use std::{path::Path, process::ExitCode, time::Duration};

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    output::{self, columns, print, say},
    since::{self, Since, since_help},
};
use crate::{
    app::SystemClock,
    clock::Clock,
    config::RulesOnly,
    domain::{Delivery, Ending, Name, State, format_duration},
    store::{AlertFilter, AlertRow, DeliveryFilter, JobFilter, JobRow, Retry, Store},
};

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people
    Table,
    /// An array of objects
    Json,
}

/// What every list takes.
#[derive(Debug, clap::Args)]
struct Common {
    #[arg(long, value_name = "WHEN", value_parser = since::since, help = since_help!("; by this machine's clock where neither Z nor an offset stands"))]
    since: Option<Since>,

    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    limit: u32,

    /// How the list is written
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

impl Common {
    fn since(&self) -> Option<Timestamp> {
        self.since.as_ref().map(|since| since.before(SystemClock.now(), &since::here()))
    }
}

pub const JOB_EXAMPLES: &str = "\
Examples:
  jobrelay jobs --state failed --since 24h
  jobrelay jobs --profile sharepoint --limit 10
  jobrelay jobs --id Scan20240926055840723067 --format json";

pub const ALERT_EXAMPLES: &str = "\
Examples:
  jobrelay alerts --since 24h
  jobrelay alerts --job Scan20240926055840723067      did a rule match it, and who was told?
  jobrelay alerts --rule scan-failed --format json";

pub const DELIVERY_EXAMPLES: &str = "\
Examples:
  jobrelay deliveries --outcome pending      what waits, and what was answered last
  jobrelay deliveries --outcome dead         what could not be delivered, and why
  jobrelay deliveries retry 42               this one again
  jobrelay deliveries retry --dead           every dead letter again

Outcomes: pending; delivered; rolled_up (went out in a roll-up); silenced; dead (refused for good, or given up).";

/// Options of `jobs`.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
    /// Only this source's
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Only in this state: running, finished, failed, finished_with_exception, skipped, stopped, or the API's number
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<State>,

    /// Only profiles whose name contains this
    #[arg(long, value_name = "TEXT")]
    profile: Option<String>,

    /// Only this job id
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    #[command(flatten)]
    common: Common,
}

fn state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| {
        let known: Vec<_> = State::ALL.iter().map(|state| state.name()).collect();
        format!("the states are {}", known.join(", "))
    })
}

/// Options of `alerts`.
#[derive(Debug, clap::Args)]
pub struct AlertArgs {
    /// Only this rule's
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    /// Only this source's
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Only this job's
    #[arg(long, value_name = "ID")]
    job: Option<String>,

    #[command(flatten)]
    common: Common,
}

/// Options of `deliveries`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeliveryArgs {
    #[command(subcommand)]
    command: Option<DeliveryCommand>,

    /// Only this channel's
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,

    /// Only the one with this number
    #[arg(long, value_name = "ID")]
    id: Option<i64>,

    /// Only with this outcome: pending, delivered, rolled_up, silenced or dead
    #[arg(long, value_name = "OUTCOME", value_parser = outcome)]
    outcome: Option<String>,

    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum DeliveryCommand {
    /// Send a delivery again: a dead letter, or one that waits for its next attempt
    ///
    /// Recipients of a mail that accepted it are not sent it again. A running service sends within seconds, another at its next start.
    Retry(Which),
}

#[derive(Debug, Clone, Copy, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The delivery's number, from the list
    #[arg(value_name = "ID")]
    id: Option<i64>,

    /// Every dead letter
    #[arg(long)]
    dead: bool,
}

fn outcome(text: &str) -> Result<String, String> {
    let known: Vec<&str> = std::iter::once("pending").chain(Ending::ALL.iter().map(|ending| ending.name())).collect();
    if known.contains(&text) { Ok(text.to_owned()) } else { Err(format!("the outcomes are {}", known.join(", "))) }
}

pub fn jobs(args: &JobArgs, config: &Path) -> ExitCode {
    let filter = JobFilter {
        source: args.source.clone(),
        state: args.state,
        id: args.id.clone(),
        profile: args.profile.clone(),
        since: args.common.since(),
        behind: None,
        limit: args.common.limit,
    };
    super::with_listed(config, async |store, config| {
        let rows = store.jobs(filter).await.map_err(|error| error.to_string())?;
        let now = SystemClock.now();
        show(
            &args.common,
            &rows,
            &none("no jobs", &[sources(args.source.as_deref(), config)]),
            &["SOURCE", "JOB", "STATE", "PROFILE", "STARTED", "DURATION"],
            |row: &JobRow| {
                let job = &row.job;
                let length = job.duration.and_then(|secs| Duration::try_from_secs_f64(secs).ok()).map(format_duration);
                let running = job.started.filter(|_| job.finished.is_none()).and_then(|at| Duration::try_from(now.duration_since(at)).ok());
                vec![
                    job.source.clone(),
                    job.id.clone(),
                    job.state.clone(),
                    job.profile.clone(),
                    moment(job.started),
                    length.or_else(|| running.map(|age| format!("{} so far", format_duration(age)))).unwrap_or_default(),
                ]
            },
        )
    })
}

pub fn alerts(args: &AlertArgs, config: &Path) -> ExitCode {
    let filter = AlertFilter {
        rule: args.rule.clone(),
        source: args.source.clone(),
        job: args.job.clone(),
        since: args.common.since(),
        behind: None,
        limit: args.common.limit,
    };
    super::with_listed(config, async |store, config| {
        let rows = store.alerts(filter).await.map_err(|error| error.to_string())?;
        show(
            &args.common,
            &rows,
            &none("no alerts", &[rules(args.rule.as_deref(), config), sources(args.source.as_deref(), config)]),
            &["ALERT", "WHEN", "SEVERITY", "RULE", "JOB", "PROFILE", "CHANNELS"],
            |row: &AlertRow| {
                let channels: Vec<String> = row.channels.iter().map(|(channel, outcome)| format!("{channel}: {outcome}")).collect();
                vec![
                    row.id.to_string(),
                    moment(Some(row.created)),
                    row.severity.clone(),
                    row.rule.clone(),
                    row.job.id.clone(),
                    row.job.profile.clone(),
                    channels.join(", "),
                ]
            },
        )
    })
}

pub fn deliveries(args: &DeliveryArgs, config: &Path) -> ExitCode {
    if let Some(DeliveryCommand::Retry(which)) = &args.command {
        return retry(*which, config);
    }
    let filter = DeliveryFilter {
        id: args.id,
        channel: args.channel.clone(),
        outcome: args.outcome.clone(),
        since: args.common.since(),
        behind: None,
        limit: args.common.limit,
    };
    super::with_listed(config, async |store, config| {
        let rows = store.deliveries(filter).await.map_err(|error| error.to_string())?;
        show(
            &args.common,
            &rows,
            &none("no deliveries", &[channels(args.channel.as_deref(), config)]),
            &["ID", "CHANNEL", "OUTCOME", "RULE", "JOBS", "TRIES", "MADE", "ANSWER"],
            |row: &Delivery| {
                let jobs = match (&row.jobs[..], row.alerts) {
                    ([first], 1) => first.clone(),
                    ([first, ..], n) => format!("{first} and {} more", n.saturating_sub(1)),
                    // A notice and a digest are about no job.
                    ([], 0) => "-".to_owned(),
                    ([], n) => n.to_string(),
                };
                let answer = match (&row.answer, row.rolled_into) {
                    (_, Some(into)) => format!("in message {into}"),
                    (Some(answer), None) => answer.clone(),
                    (None, None) => String::new(),
                };
                vec![
                    row.id.to_string(),
                    row.channel.clone(),
                    row.outcome.clone(),
                    row.rule.clone(),
                    jobs,
                    row.attempts.to_string(),
                    moment(Some(row.created)),
                    answer,
                ]
            },
        )
    })
}

fn retry(which: Which, config: &Path) -> ExitCode {
    let which = which.id.map_or(Retry::Dead, Retry::One);
    super::with_listed(config, async |store, config| {
        let count = store.retry(which, SystemClock.now()).await.map_err(|error| error.to_string())?;
        match (count, which) {
            (0, Retry::One(id)) => Err(format!("delivery {id} is neither dead nor waiting: see `jobrelay deliveries`")),
            (0, Retry::Dead) => {
                print(format_args!("there are no dead letters"));
                Ok(ExitCode::SUCCESS)
            }
            (n, _) => {
                print(format_args!("{n} to be sent again: a running service does so within seconds, another at its next start"));
                let waiting = store.tally().await.map_err(|error| error.to_string())?.pending;
                let gone = waiting.iter().filter(|(name, _)| !config.channels.iter().any(|channel| channel.as_str() == *name));
                for (channel, alerts) in gone.filter(|(_, alerts)| **alerts > 0) {
                    say(format_args!(
                        "note: the config has no channel `{channel}`: nothing sends what waits for it ({alerts}) until it has one"
                    ));
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

/// What to say of an empty list: that it is, and which names asked for the config does not have. The store may hold what an
/// earlier config named, so an unknown name is no error.
fn none(words: &str, unknown: &[Option<String>]) -> String {
    std::iter::once(words.to_owned()).chain(unknown.iter().flatten().cloned()).collect::<Vec<_>>().join("; ")
}

fn sources(name: Option<&str>, config: &RulesOnly) -> Option<String> {
    unknown("source", name?, &config.sources.iter().map(Name::as_str).collect::<Vec<_>>())
}

fn channels(name: Option<&str>, config: &RulesOnly) -> Option<String> {
    unknown("channel", name?, &config.channels.iter().map(Name::as_str).collect::<Vec<_>>())
}

fn rules(name: Option<&str>, config: &RulesOnly) -> Option<String> {
    unknown("enabled rule", name?, &config.rules.rules().iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>())
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Option<String> {
    (!known.contains(&name)).then(|| format!("the config {}", super::no_such(what, name, known)))
}

fn show<T: Serialize>(
    common: &Common,
    rows: &[T],
    none: &str,
    header: &[&str],
    cells: impl Fn(&T) -> Vec<String>,
) -> Result<ExitCode, String> {
    match common.format {
        Format::Json => print(format_args!("{}", serde_json::to_string_pretty(rows).map_err(|error| error.to_string())?)),
        Format::Table if rows.is_empty() => say(format_args!("{none}")),
        Format::Table => {
            print(format_args!("{}", columns(header, rows.iter().map(cells))));
            if rows.len() >= usize::try_from(common.limit).unwrap_or(usize::MAX) {
                say(format_args!("the newest {} are shown; --limit shows more", rows.len()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn moment(at: Option<Timestamp>) -> String {
    at.map(output::moment).unwrap_or_default()
}
