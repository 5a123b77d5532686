//! `jobrelay send CHANNEL`: one sample alert, so that a person can see a message arrive before anything has failed.

use std::{path::Path, process::ExitCode, sync::Arc};

use crate::{
    app::SystemClock,
    channel::{Channel, Tools, sample},
    clock::Clock,
    config::Config,
    domain::{Job, Name, Notification, Outcome},
    http::Http,
    store::{
        JobFilter, Store,
        sqlite::{Access, Sqlite},
    },
};

use super::output::{print, say};

pub const EXAMPLES: &str = "\
Examples:
  jobrelay send oncall                                        does the channel work?
  jobrelay send oncall --rule scan-failed                     what would this rule's alert look like?
  jobrelay send oncall --rule scan-failed --job ID            the same, about a job that `jobrelay jobs` lists";

/// Options of `send`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The channel, as the config names it
    #[arg(value_name = "CHANNEL")]
    channel: String,

    /// Send it as this rule would: its severity, description, labels and template
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,

    /// Send it about this job of the store, instead of a made-up one
    #[arg(long, value_name = "ID")]
    job: Option<String>,
}

pub fn run(args: &Args, config: &Path) -> ExitCode {
    super::with_config(config, async |config| send(args, config).await)
}

async fn send(args: &Args, config: &Config) -> Result<ExitCode, String> {
    let unknown = |what: &str, name: &str, known: Vec<&str>| format!("the config {}", super::no_such(what, name, &known));
    let names = || config.channels.iter().map(|channel| channel.name.as_str()).collect();
    let channel = config.channels.iter().find(|c| *c.name == *args.channel).ok_or_else(|| unknown("channel", &args.channel, names()))?;
    let rule = match &args.rule {
        Some(name) => {
            let rules = config.rules.rules();
            let rule = rules.iter().find(|rule| *rule.name == **name);
            let names = || rules.iter().map(|rule| rule.name.as_str()).collect();
            (*rule.ok_or_else(|| unknown("enabled rule", name, names()))?.facts).clone()
        }
        None => sample::rule(),
    };
    let job = match &args.job {
        Some(id) => stored_job(config, id).await?,
        None => sample::job(config.sources.first().map(|source| &source.name), SystemClock.now()),
    };
    let notification = sample::notification(channel.name.clone(), &rule, job, SystemClock.now());
    let tools = Tools { http: Http::new()?, templates: Arc::clone(&config.templates), public_url: config.server.public_url.clone() };
    let live =
        channel.settings.connect(&channel.name, &channel.common, &tools).map_err(|why| format!("channel {}: {why}", channel.name))?;
    let code = deliver(&channel.name, &*live, &notification).await?;
    if code != ExitCode::SUCCESS
        && let Err(why) = super::refuse_placeholders(config)
    {
        say(format_args!("note: {why}"));
    }
    Ok(code)
}

/// Sends one message to each recipient of a channel, and prints what was answered.
pub(super) async fn deliver(name: &Name, channel: &dyn Channel, notification: &Notification) -> Result<ExitCode, String> {
    let mut code = ExitCode::SUCCESS;
    for (target, outcome) in sample::send(channel, notification, || SystemClock.now()).await? {
        let to = if target.0.is_empty() { name.to_string() } else { format!("{name}, {}", target.0) };
        match &outcome {
            Outcome::Delivered { answer } => print(format_args!("{to}: delivered; it answered: {answer}")),
            Outcome::Retry { why, .. } => print(format_args!("{to}: not delivered; the service would try again: {why}")),
            Outcome::Refused { why, .. } => print(format_args!("{to}: refused: {why}")),
        }
        if !matches!(outcome, Outcome::Delivered { .. }) {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

async fn stored_job(config: &Config, id: &str) -> Result<Job, String> {
    let store = Sqlite::open(&config.storage.path, Access::Beside).map_err(|error| error.to_string())?;
    let filter = JobFilter { id: Some(id.to_owned()), limit: 1, ..JobFilter::default() };
    let rows = store.jobs(filter).await.map_err(|error| error.to_string())?;
    rows.into_iter().next().map(|row| Job::from(row.job)).ok_or_else(|| format!("there is no job `{id}` in the store: see `jobrelay jobs`"))
}
