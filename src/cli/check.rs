//! `jobrelay check`

use std::process::ExitCode;

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, _config: &std::path::Path) -> ExitCode {
    super::output::say(format_args!("error: this build has no `check` yet"));
    ExitCode::FAILURE
}
