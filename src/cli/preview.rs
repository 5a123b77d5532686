//! `jobrelay preview`: every message as its readers will see it, on one page, before anyone is paged.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use super::output::{print, say};
use crate::{
    config::{self, ProcessEnvironment},
    document::{Faults, read_bounded},
    preview::{self, MARK, Preview, Words},
    template::Templates,
};

pub const EXAMPLES: &str = "\
Examples:
  jobrelay preview                        writes jobrelay-preview.html: open it in a browser
  jobrelay preview --out words.html
  jobrelay --config scans/jobrelay.yaml preview --out - > words.html";

/// The largest page of an earlier run that is recognized as such.
const PAGE_BYTES: usize = 64 * 1024 * 1024;
/// Where the console would be, if the config does not say.
const CONSOLE: &str = "https://jobrelay.example";

/// Options of `preview`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The page that is written; - for stdout
    #[arg(long, value_name = "FILE", default_value = "jobrelay-preview.html")]
    out: PathBuf,
}

pub fn run(args: &Args, config: &Path) -> ExitCode {
    super::exit(show(args, config))
}

fn show(args: &Args, config: &Path) -> Result<ExitCode, String> {
    let to_stdout = args.out.as_os_str() == "-";
    if !to_stdout {
        may_write(&args.out)?;
    }
    let mut faults = Faults::default();
    let (templates, public_url, about) = words(config, &mut faults);
    super::report(&faults);
    let words = Words { templates, faults: &faults, public_url, about };
    let preview = preview::render(&words)?;
    let page = preview.html.as_bytes();
    if to_stdout {
        // A reader that has gone away has seen what it wanted.
        let _ = std::io::stdout().write_all(page);
    } else {
        std::fs::write(&args.out, page).map_err(|error| format!("can't write {}: {error}", args.out.display()))?;
    }
    Ok(tell(&preview, &words, (!to_stdout).then_some(&args.out)))
}

/// The config's sets, or the built-in ones where there is no config; the console's address; and where the sets come from.
fn words(config: &Path, faults: &mut Faults) -> (Arc<Templates>, Option<String>, String) {
    if !config.exists() {
        let about = format!("There is no config at {}: these are the built-in sets alone.", config.display());
        return (Arc::new(Templates::built_in()), Some(CONSOLE.into()), about);
    }
    let folder = config.parent().unwrap_or_else(|| Path::new("")).join("templates");
    let templates = Arc::new(Templates::load(&folder, faults));
    // Words can be looked at before all else is right: what is wrong with the rest is for `check` to tell.
    let (valid, _) = config::load(config, &ProcessEnvironment);
    let (public_url, note) = match valid {
        Some(config) => match config.server.public_url {
            Some(url) => (Some(url), ""),
            None => (None, " Without `server.public_url`, messages hold no link to the console."),
        },
        None => (Some(CONSOLE.to_owned()), " The config has errors (`jobrelay check` tells them), so links to the console are made up."),
    };
    let about = format!("The built-in sets, with the files in {}/ in their place.{note}", folder.display());
    (templates, public_url, about)
}

/// Refuses to write over a file that is not an earlier page.
fn may_write(path: &Path) -> Result<(), String> {
    if !path.is_file() {
        return Ok(());
    }
    let is_ours = read_bounded(path, PAGE_BYTES).is_ok_and(|bytes| bytes.is_empty() || String::from_utf8_lossy(&bytes).contains(MARK));
    if is_ours { Ok(()) } else { Err(format!("{} is there and no page of `preview`: name another file with --out", path.display())) }
}

fn tell(preview: &Preview, words: &Words<'_>, path: Option<&PathBuf>) -> ExitCode {
    say(format_args!("{}", words.about));
    for failure in &preview.failures {
        say(format_args!("error: {failure}"));
    }
    let sum = format!("{} sets, {} messages", preview.sets, preview.messages);
    match path {
        Some(path) => print(format_args!("{}: {sum}", path.display())),
        None => say(format_args!("{sum}")),
    }
    if preview.failures.is_empty() && !words.faults.any_error() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
