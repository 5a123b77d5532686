//! `jobrelay init`

use std::process::ExitCode;

/// Options of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> ExitCode {
    super::output::say(format_args!("error: this build has no `init` yet"));
    ExitCode::FAILURE
}
