//! `jobrelay check`: every problem of config, rules and templates, with its place.

use std::{path::Path, process::ExitCode, sync::Arc};

use clap::ValueEnum;

use super::output::{colour, print, say};
use crate::{
    app::SystemClock,
    channel::Tools,
    clock::Clock,
    config::{self, Config, ProcessEnvironment},
    http::Http,
};

/// How the problems are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Each with its line, for people
    Text,
    /// An array of objects: file, line, column, level, message, hint
    Json,
}

pub const EXAMPLES: &str = "\
Examples:
  jobrelay check
  jobrelay check --connect          does each source and mail server answer?
  jobrelay check --format json      for an editor or a pipeline";

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also get a token from each source and read one job, and greet each mail server
    #[arg(long)]
    connect: bool,

    /// How the problems are written
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: Format,
}

pub fn run(args: &Args, path: &Path) -> ExitCode {
    let (config, mut faults) = config::load(path, &ProcessEnvironment);
    let tests = super::test::check(path, &mut faults);
    let config = config.filter(|_| !faults.any_error());
    match args.format {
        Format::Json => match serde_json::to_string_pretty(&config::listing(&faults)) {
            Ok(json) => print(format_args!("{json}")),
            Err(error) => say(format_args!("error: {error}")),
        },
        Format::Text => {
            if !faults.is_empty() {
                print(format_args!("{}", config::report(&faults, colour(std::io::IsTerminal::is_terminal(&std::io::stdout())))));
            }
            if let Some(config) = &config {
                print(format_args!("{}", summary(config, tests)));
            }
        }
    }
    match config {
        None => ExitCode::FAILURE,
        Some(config) if args.connect => match super::runtime() {
            Ok(runtime) => super::exit(runtime.block_on(connect(&config))),
            Err(code) => code,
        },
        Some(_) => ExitCode::SUCCESS,
    }
}

/// `ok: 1 source, 4 channels, 3 rules (1 more disabled), 12 rule tests`
fn summary(config: &Config, tests: usize) -> String {
    let counted = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let resting = if config.resting > 0 { format!(" ({} more disabled)", config.resting) } else { String::new() };
    let digests = if config.digests.is_empty() { String::new() } else { format!(", {}", counted(config.digests.len(), "digest")) };
    let tests = if tests > 0 { format!(", {}", counted(tests, "rule test")) } else { String::new() };
    format!(
        "ok: {}, {}, {}{resting}{digests}{tests}",
        counted(config.sources.len(), "source"),
        counted(config.channels.len(), "channel"),
        counted(config.rules.rules().len(), "rule"),
    )
}

/// Tries everything that can be tried without sending: a line for each on stderr, failure if any fails.
async fn connect(config: &Config) -> Result<ExitCode, String> {
    super::refuse_placeholders(config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let http = Http::new()?;
    let mut failed = 0;
    let mut tell = |what: &str, name: &str, result: Result<&str, String>| match result {
        Ok(good) => say(format_args!("{what} {name}: {good}")),
        Err(why) => {
            failed += 1;
            say(format_args!("{what} {name}: error: {why}"));
        }
    };
    for source in &config.sources {
        let result = match source.settings.connect(&source.name, &http, &clock) {
            Ok(feed) => feed.probe().await.map(|()| "ok, a token was given and a job read").map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        tell("source", &source.name, result);
    }
    let tools = Tools { http, templates: Arc::clone(&config.templates), public_url: config.server.public_url.clone() };
    for channel in &config.channels {
        let result = match channel.settings.connect(&channel.name, &channel.common, &tools) {
            Ok(live) => live.greet(clock.now()).await.map(|()| "ok"),
            Err(why) => Err(why),
        };
        tell("channel", &channel.name, result);
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
