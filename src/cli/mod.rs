//! The command line: one file a command. Data goes to stdout, logs and progress to stderr.

#![allow(clippy::doc_markdown, reason = "the texts of arguments are help for a terminal, where a backtick is a blemish")]

mod check;
mod completions;
mod demo;
mod digest;
mod explain;
mod init;
mod list;
mod output;
mod preview;
mod progress;
mod replay;
mod run;
mod schema;
mod send;
mod since;
mod test;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum, builder::TypedValueParser as _};
use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    config::{self, Config, ProcessEnvironment, RulesOnly, StorageConfig},
    document::{Faults, near},
    store::sqlite::{Access, Sqlite},
};
use output::say;

/// Watches AvePoint scan jobs and tells the right people when one needs them.
#[derive(Debug, Parser)]
#[command(name = "jobrelay", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    /// The config file; rules/ and templates/ are looked for beside it
    #[arg(
        long,
        global = true,
        env = "JOBRELAY_CONFIG",
        default_value = "jobrelay.yaml",
        value_parser = clap::builder::OsStringValueParser::new().map(config_file),
        value_name = "FILE",
        help_heading = EVERYWHERE
    )]
    config: PathBuf,

    /// How log lines are written to stderr: text for people, json (one object a line) for machines
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT", hide_possible_values = true, help_heading = EVERYWHERE)]
    log_format: LogFormat,

    /// What is logged: error, warn, info, debug or trace, or a filter as in RUST_LOG [default: info; for the demo, warn]
    ///
    /// At every level it is what the program itself says: what its libraries would add is not known to be free of secrets.
    #[arg(long, global = true, env = "RUST_LOG", value_name = "LEVEL", help_heading = EVERYWHERE)]
    log_level: Option<String>,

    #[command(subcommand)]
    command: Command,
}

/// The config file. One without a name is the default: containers set variables to nothing.
fn config_file(given: std::ffi::OsString) -> PathBuf {
    if given.is_empty() { PathBuf::from("jobrelay.yaml") } else { PathBuf::from(given) }
}

/// Where the help lists what every command takes.
const EVERYWHERE: &str = "For every command";

/// What is logged where nothing is said.
const LOG_LEVEL: &str = "info";

const AFTER_HELP: &str = "\
First steps:
  jobrelay demo            see it work, with nothing configured
  jobrelay init            write a commented config to start from
  jobrelay check           find every mistake in it
  jobrelay test            try the rules on made-up jobs
  jobrelay preview         see every message, before anyone gets one
  jobrelay replay          see what would have been sent of late
  jobrelay send oncall     see one message arrive
  jobrelay run             the service

Something wrong?
  jobrelay check --connect             does each source and mail server answer?
  jobrelay jobs --since 24h            was the job seen?
  jobrelay explain ID                  why did it alert, or not, and who was told?
  jobrelay deliveries --outcome dead   what could not be delivered, and why

Exit codes: 0 done; 1 the thing asked about is wrong; 2 the command line is wrong.";

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The service: polls, relays, serves health checks, metrics and the API, until SIGTERM or Ctrl-C
    ///
    /// Only one may run on a store. SIGTERM and Ctrl-C let sends under way finish (10 s at most), and it exits with 0. SIGHUP,
    /// `POST /api/v1/reload` and an edit have config, rules and templates read anew: all of them take effect at once, or, with a
    /// fault in them, none.
    #[command(after_help = run::EXAMPLES)]
    Run,
    /// See it work: a simulated tenant, stand-ins for every channel, each message as its reader would see it
    ///
    /// Needs no config, and talks to loopback only: the real program, over real HTTP and SMTP. Messages go to stdout, what happens
    /// in the tenant to stderr.
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Args),
    /// Write a commented config, rules and templates to start from
    ///
    /// Writes jobrelay.yaml, rules/, templates/ and .env.example, and overwrites nothing.
    #[command(after_help = init::EXAMPLES)]
    Init(init::Args),
    /// Read config, rules, templates and rule tests, and report every problem with its place
    ///
    /// Exits with 1 if there is an error; warnings alone leave 0. Nothing is sent.
    #[command(after_help = check::EXAMPLES)]
    Check(check::Args),
    /// Run rule tests: jobs played through the rules, held against what must alert
    ///
    /// The tests lie in rules/tests/*.yaml. A failure shows what was expected and what came of it, and for each difference the condition
    /// that decided it. Nothing is read but the rules and the names of sources and channels: no secret need be set. Exits with 1 if a test
    /// fails or a file has a fault.
    #[command(after_help = test::EXAMPLES)]
    Test(test::Args),
    /// Show every message as its readers will see it, on one page, without sending any
    ///
    /// Every template set for every kind of channel, about made-up jobs, as one HTML file that fetches nothing. It needs no config: without
    /// one it shows the built-in words. Exits with 1 if a set has no words for a message; the page says why.
    #[command(after_help = preview::EXAMPLES)]
    Preview(preview::Args),
    /// Send a sample alert to one channel, and say what it answered
    ///
    /// The message goes out at once and is not recorded. Exits with 1 if it was not accepted.
    #[command(after_help = send::EXAMPLES)]
    Send(send::Args),
    /// Say why a job did or did not alert, and what became of each message
    ///
    /// Each rule's verdict with the values compared and the condition that decided it, then limit, group or roll-up, and each channel's
    /// answer. It reads what is stored, beside a running service or without one, and sends nothing.
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Args),
    /// Show what would have been sent: run the rules over history, and send nothing
    ///
    /// Over the store (beside a running service), saved responses of /aos/jobs, or a live source; with limits, groups and roll-ups as
    /// they would have been. With --against, the difference to another config's rules.
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::Args),
    /// Show a digest made now, or send it
    ///
    /// Made of what the store holds, beside a service that may be running. One that is sent goes out at once and is not recorded: the
    /// next one by its schedule covers the same time again. Exits with 1 if a channel did not accept it.
    #[command(after_help = digest::EXAMPLES)]
    Digest(digest::Args),
    /// List the jobs the store holds, newest first
    #[command(after_help = list::JOB_EXAMPLES)]
    Jobs(list::JobArgs),
    /// List the alerts the store holds, newest first, and how each stands on its channels
    #[command(after_help = list::ALERT_EXAMPLES)]
    Alerts(list::AlertArgs),
    /// List deliveries, newest first, with the channel's answer; `deliveries retry` sends again
    #[command(after_help = list::DELIVERY_EXAMPLES)]
    Deliveries(list::DeliveryArgs),
    /// Print the JSON Schema of the config file, for editors; with --rules or --tests, that of rule files or their tests
    #[command(after_help = schema::EXAMPLES)]
    Schema(schema::Args),
    /// Print shell completions
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Args),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let default = if matches!(cli.command, Command::Demo(_)) { demo::LOG_LEVEL } else { LOG_LEVEL };
    // A variable that is set to nothing, as containers do, is not set.
    let level = cli.log_level.as_deref().filter(|level| !level.trim().is_empty()).unwrap_or(default);
    let Some(filter) = log_filter(level) else {
        say(format_args!("error: `{level}` is no log level: use error, warn, info, debug or trace"));
        return ExitCode::from(2);
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // Whatever was asked for: no one here can promise what a library, or its next version, writes of a request at its most talkative.
    let own = filter_fn(|said| is_own(said.target()));
    match cli.log_format {
        LogFormat::Text => {
            let ansi = output::colour(std::io::IsTerminal::is_terminal(&std::io::stderr()));
            log.with_target(false).with_ansi(ansi).finish().with(own).init();
        }
        LogFormat::Json => {
            output::speak_to_machines();
            log.json().flatten_event(true).with_target(false).with_current_span(false).with_span_list(false).finish().with(own).init();
        }
    }
    let config = cli.config.as_path();
    match cli.command {
        Command::Run => run::run(config),
        Command::Demo(args) => demo::run(args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args, config),
        Command::Test(args) => test::run(&args, config),
        Command::Preview(args) => preview::run(&args, config),
        Command::Send(args) => send::run(&args, config),
        Command::Explain(args) => explain::run(&args, config),
        Command::Replay(args) => replay::run(&args, config),
        Command::Digest(args) => digest::run(&args, config),
        Command::Jobs(args) => list::jobs(&args, config),
        Command::Alerts(args) => list::alerts(&args, config),
        Command::Deliveries(args) => list::deliveries(&args, config),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
    }
}

/// Whether a line of the log is the program's own.
fn is_own(target: &str) -> bool {
    target.strip_prefix(env!("CARGO_CRATE_NAME")).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A level, or a filter. To the library, any one word is the name of a crate of which all is logged, and nothing of others: a
/// mistyped level would silence the program.
fn log_filter(level: &str) -> Option<EnvFilter> {
    let one_word = !level.contains(['=', ',', ':', '[']);
    if one_word && level.trim() != "jobrelay" && level.trim().parse::<LevelFilter>().is_err() {
        return None;
    }
    EnvFilter::try_new(level).ok()
}

/// The valid config, or a failure that has been told: on stderr, where a service's log is. Warnings are for `check` and `run`.
fn load(path: &std::path::Path) -> Result<Config, ExitCode> {
    let (config, faults): (Option<Config>, Faults) = config::load(path, &ProcessEnvironment);
    if config.is_none() {
        report(&faults);
    }
    config.ok_or(ExitCode::FAILURE)
}

/// What a command that looks into the store needs of the config: no secret need be set for it. A failure has been told.
fn load_beside(path: &std::path::Path) -> Result<(RulesOnly, StorageConfig), ExitCode> {
    told(config::load_beside(path, &ProcessEnvironment))
}

fn told<T>((read, faults): (Option<T>, Faults)) -> Result<T, ExitCode> {
    if read.is_none() {
        report(&faults);
    }
    read.ok_or(ExitCode::FAILURE)
}

/// Writes every fault to stderr: as a drawing for people, for machines as lines of the log.
fn report(faults: &Faults) {
    if output::to_machines() {
        run::log(faults);
    } else if !faults.is_empty() {
        say(format_args!("{}", config::report(faults, output::colour(std::io::IsTerminal::is_terminal(&std::io::stderr())))));
    }
}

/// What is to talk to the outside can't do so with `init`'s placeholders.
fn refuse_placeholders(config: &Config) -> Result<(), String> {
    match config.placeholders.as_slice() {
        [] => Ok(()),
        places => Err(format!(
            "placeholders of `jobrelay init` still stand at {}: set the variables they name (.env.example lists them), or write the values there",
            places.join(", ")
        )),
    }
}

/// `has no channel `oncal`; did you mean `oncall`?`
fn no_such(what: &str, name: &str, known: &[&str]) -> String {
    let hint = match near(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("it has no {what} at all"),
        None => format!("there are: {}", known.join(", ")),
    };
    format!("has no {what} `{name}`; {hint}")
}

/// A runtime for a command that talks to the network or the store.
fn runtime() -> Result<tokio::runtime::Runtime, ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().map_err(|error| {
        say(format_args!("error: can't start: {error}"));
        ExitCode::FAILURE
    })
}

/// Runs a command that needs the whole config.
fn with_config<F>(path: &std::path::Path, command: F) -> ExitCode
where
    F: AsyncFnOnce(&Config) -> Result<ExitCode, String>,
{
    let ready = load(path).and_then(|config| runtime().map(|runtime| (config, runtime)));
    ready.map_or_else(|code| code, |(config, runtime)| exit(runtime.block_on(command(&config))))
}

/// Runs a command that holds the store against the rules, beside a service that may be running.
fn with_store<F>(path: &std::path::Path, command: F) -> ExitCode
where
    F: AsyncFnOnce(&Sqlite, &RulesOnly) -> Result<ExitCode, String>,
{
    on_store(load_beside(path), command)
}

/// Runs a command that lists what the store holds, beside a service that may be running: in the middle of an edit of its rules too.
fn with_listed<F>(path: &std::path::Path, command: F) -> ExitCode
where
    F: AsyncFnOnce(&Sqlite, &RulesOnly) -> Result<ExitCode, String>,
{
    on_store(told(config::load_listed(path, &ProcessEnvironment)), command)
}

fn on_store<F>(read: Result<(RulesOnly, StorageConfig), ExitCode>, command: F) -> ExitCode
where
    F: AsyncFnOnce(&Sqlite, &RulesOnly) -> Result<ExitCode, String>,
{
    let ready = read.and_then(|read| runtime().map(|runtime| (read, runtime)));
    ready.map_or_else(
        |code| code,
        |((config, storage), runtime)| {
            let store = Sqlite::open(&storage.path, Access::Beside).map_err(|error| error.to_string());
            exit(store.and_then(|store| runtime.block_on(command(&store, &config))))
        },
    )
}

/// The exit code of a command whose failure is one line.
fn exit(result: Result<ExitCode, String>) -> ExitCode {
    result.unwrap_or_else(|why| {
        say(format_args!("error: {why}"));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_lines_are_logged() {
        for own in ["jobrelay", "jobrelay::http", module_path!()] {
            assert!(is_own(own), "{own}");
        }
        for other in ["reqwest::connect", "hyper_util::client", "rustls::client", "log", "jobrelayx", "x::jobrelay", ""] {
            assert!(!is_own(other), "{other}");
        }
    }
}
