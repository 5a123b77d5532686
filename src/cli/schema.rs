//! `jobrelay schema`: JSON Schemas for editors.

use std::process::ExitCode;

use super::output::print;
use crate::schema::Which;

pub const EXAMPLES: &str = "\
Examples:
  jobrelay schema > schemas/jobrelay.schema.json
  jobrelay schema --rules > schemas/rules.schema.json
  jobrelay schema --tests > schemas/tests.schema.json

An editor with the yaml language server (VS Code's YAML extension, Neovim, Helix, Zed, Emacs) completes keys and marks mistakes
where a file's first line names its schema, as in the files that `jobrelay init` writes:
  # yaml-language-server: $schema=schemas/jobrelay.schema.json
After an upgrade, print the schemas anew. What they can't know, such as whether a channel is there, `jobrelay check` tells.";

/// Options of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// That of rule files, in place of the config's
    #[arg(long)]
    rules: bool,

    /// That of files of rule tests, in place of the config's
    #[arg(long, conflicts_with = "rules")]
    tests: bool,
}

pub fn run(args: &Args) -> ExitCode {
    let which = match (args.rules, args.tests) {
        (true, _) => Which::Rules,
        (_, true) => Which::Tests,
        _ => Which::Config,
    };
    print(format_args!("{}", which.text().trim_end()));
    ExitCode::SUCCESS
}
