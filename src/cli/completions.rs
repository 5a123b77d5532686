//! `jobrelay completions SHELL`

use std::{io::Write, process::ExitCode};

use clap_complete::{Shell, generate};

pub const EXAMPLES: &str = "\
Examples:
  jobrelay completions bash > /etc/bash_completion.d/jobrelay
  jobrelay completions zsh > \"${fpath[1]}/_jobrelay\"
  jobrelay completions fish > ~/.config/fish/completions/jobrelay.fish";

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub fn run(args: &Args, mut command: clap::Command) -> ExitCode {
    // Into memory first: the generator panics where its reader has gone away.
    let mut script = Vec::new();
    generate(args.shell, &mut command, "jobrelay", &mut script);
    let _ = std::io::stdout().write_all(&script);
    ExitCode::SUCCESS
}
