//! `jobrelay completions`

use std::process::ExitCode;

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, _command: clap::Command) -> ExitCode {
    super::output::say(format_args!("error: this build has no `completions` yet"));
    ExitCode::FAILURE
}
