//! `jobrelay init [DIR]`: a config to start from, which `check` passes as it stands.
//!
//! What can't be known beforehand holds the word [`PLACEHOLDER`]: `check` points at each, `run` refuses to start with one.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use regex::Regex;

use super::output::print;
use crate::{
    channel,
    config::PLACEHOLDER,
    schema::Which,
    source,
    template::{BuiltIn, Part},
};

pub const EXAMPLES: &str = "\
Examples:
  jobrelay init                     here
  jobrelay init /etc/jobrelay       there; then: jobrelay --config /etc/jobrelay/jobrelay.yaml check";

/// Options of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write; made if it is not there
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

/// The starter rules and their tests: the repository's `rules/`.
const RULES: &[(&str, &str)] = &[
    ("failures.yaml", include_str!("../../rules/failures.yaml")),
    ("not-run.yaml", include_str!("../../rules/not-run.yaml")),
    ("slow.yaml", include_str!("../../rules/slow.yaml")),
    ("tests/failures.yaml", include_str!("../../rules/tests/failures.yaml")),
    ("tests/not-run.yaml", include_str!("../../rules/tests/not-run.yaml")),
    ("tests/slow.yaml", include_str!("../../rules/tests/slow.yaml")),
];

/// One file to be written.
struct File {
    path: PathBuf,
    text: String,
    /// Whether secrets will be written into it.
    private: bool,
}

pub fn run(args: &Args) -> ExitCode {
    super::exit(write_all(&args.folder))
}

fn write_all(folder: &Path) -> Result<ExitCode, String> {
    let files = files(folder);
    let taken: Vec<String> =
        files.iter().filter(|file| fs::symlink_metadata(&file.path).is_ok()).map(|file| file.path.display().to_string()).collect();
    if !taken.is_empty() {
        return Err(format!("nothing was written, for this is there already: {}; name another folder", taken.join(", ")));
    }
    let mut written: Vec<&Path> = Vec::new();
    for file in &files {
        if let Err(error) = write(file) {
            // Half a config is worse than none: the next attempt would refuse to overwrite it.
            for path in written {
                let _ = fs::remove_file(path);
            }
            return Err(format!("nothing was written, for {} can't be: {error}", file.path.display()));
        }
        written.push(&file.path);
    }
    for path in written {
        print(format_args!("wrote {}", path.display()));
    }
    let config = folder.join("jobrelay.yaml");
    let option = if folder == Path::new(".") { String::new() } else { format!(" --config {}", config.display()) };
    print(format_args!("\n{}", next_steps(folder, &option)));
    Ok(ExitCode::SUCCESS)
}

/// From here to a first message.
fn next_steps(folder: &Path, option: &str) -> String {
    let (example, own) = (folder.join(".env.example"), folder.join(".env"));
    let steps = [
        (format!("cp {} {}", example.display(), own.display()), "and put your values into the copy"),
        (format!("set -a; . {}; set +a", own.display()), "for this shell; its head says how elsewhere"),
        (format!("jobrelay{option} check --connect"), "is all of it right, and does the source answer?"),
        (format!("jobrelay{option} send oncall"), "a sample, to see it arrive"),
        (format!("jobrelay{option} run"), ""),
    ];
    let width = steps.iter().map(|(step, _)| step.chars().count()).max().unwrap_or_default();
    let lines = steps.iter().map(|(step, what)| format!("  {step:width$}   {what}").trim_end().to_owned());
    std::iter::once("Next:".to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

fn write(file: &File) -> std::io::Result<()> {
    if let Some(parent) = file.path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if file.private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options.open(&file.path)?.write_all(file.text.as_bytes())
}

fn files(folder: &Path) -> Vec<File> {
    let config = config();
    let mut files = vec![
        File { path: folder.join(".env.example"), text: variables(&config), private: true },
        File { path: folder.join("jobrelay.yaml"), text: config, private: true },
        File { path: folder.join("templates/README.md"), text: TEMPLATES.to_owned(), private: false },
    ];
    let open = |path: PathBuf, text: &str| File { path, text: text.to_owned(), private: false };
    files.extend(Which::ALL.iter().map(|which| open(folder.join("schemas").join(which.file()), &which.text())));
    files.extend(RULES.iter().map(|(name, text)| open(folder.join("rules").join(name), text)));
    for set in BuiltIn::ALL {
        let copies = folder.join("templates/.built-in").join(set.name());
        files.extend(Part::ALL.iter().map(|part| open(copies.join(part.file()), part.built_in(*set))));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

const HEAD: &str = "\
# yaml-language-server: $schema=schemas/jobrelay.schema.json
#
# jobrelay's config: where scan jobs are read, and who is told. What is told is said in rules/, in which words in templates/.
# `jobrelay check` finds every mistake in all of them.
#
# ${NAME} is filled in from the environment, ${NAME:-default} falls back on what is written there, ${file:PATH} is the content
# of a file. Where a default says `replace-me`, set the variable (.env.example lists them all) or write the value in its place:
# until then `check` warns, and `run` refuses to start.

";

const TAIL: &str = "\
# Every channel also takes:
#   rate: 1 per second            # or 30 per minute, 5 per 10s, unlimited; else the limit its service has published
#   template: alert               # a set in templates/
#   timeout: 15s                  # for one attempt
#   give_up_after: 14d            # how long a message is tried
#   fallback: other               # the channel that gets what this one could not deliver

# A summary at set times: what failed, what recovered, what was slow, and what all of it rests on.
# digests:
#   weekday-morning:
#     schedule: '0 8 * * mon-fri' # minute, hour, day of the month, month, day of the week
#     timezone: Europe/Zurich     # UTC where nothing is said
#     notify: [oncall]

# notices: { notify: [oncall], source_down_after: 15m, channel_down_after: 15m }   # who is told when the watch itself is in trouble

server:
  listen: 127.0.0.1:8080          # health checks, metrics, the API; 127.0.0.1:0 takes a free port
  # token: ${JOBRELAY_TOKEN}      # at least 16 characters; required on any other than a loopback address
  # public_url: https://jobrelay.contoso.example

storage:
  url: sqlite:jobrelay.db         # a relative path is relative to this file's folder
  keep: 90d                       # how long jobs that have ended are kept
";

/// What `init` calls the source or channel of a kind; another kind's is called as the kind is. The starter rules notify
/// the first.
const NAMES: [(&str, &str); 5] =
    [("slack", "oncall"), ("aos_scan_jobs", "contoso"), ("teams", "scans"), ("email", "admins"), ("webhook", "ticketing")];

/// `jobrelay.yaml`: the source and the first channel stand ready, the others as comments, each in its kind's own words.
fn config() -> String {
    let name = |kind: &'static str| NAMES.iter().find(|(of, _)| *of == kind).map_or(kind, |(_, name)| name);
    let mut text = String::from(HEAD);
    text.push_str("sources:\n");
    for (at, kind) in source::KINDS.iter().enumerate() {
        entry(&mut text, name(kind.name), kind.example, at > 0);
    }
    text.push_str("\nchannels:\n");
    for kind in channel::KINDS {
        entry(&mut text, name(kind.name), kind.example, name(kind.name) != NAMES[0].1);
    }
    text.push('\n');
    text.push_str(TAIL);
    text
}

/// One entry, indented below its name; as a comment if it rests.
fn entry(text: &mut String, name: &str, example: &str, rests: bool) {
    let mark = if rests { "# " } else { "" };
    if rests {
        text.push('\n');
    }
    let _ = writeln!(text, "  {mark}{name}:");
    for line in example.trim_end().lines() {
        let _ = writeln!(text, "  {mark}  {line}");
    }
}

/// `.env.example`: every variable that the config names, in its order; those of comments are comments.
fn variables(config: &str) -> String {
    let mut text = String::from(
        "# The variables that jobrelay.yaml takes its secrets from. Copy this file to .env, put the values in, keep it to yourself\n\
         # (chmod 600), and hand it to the program: `set -a; . ./.env; set +a` in a shell, `--env-file .env` for docker,\n\
         # `EnvironmentFile=` for systemd. jobrelay itself reads only its environment. A value with signs such as & in it (a Teams\n\
         # address) stands in single quotes for a shell and systemd; docker would take the quotes as part of the value.\n\n",
    );
    let Ok(reference) = Regex::new(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*))?\}") else { return text };
    let mut seen = Vec::new();
    for line in config.lines().skip(HEAD.lines().count()) {
        let (used, comment) = match line.split_once('#') {
            Some((used, comment)) => (used, comment),
            None => (line, ""),
        };
        for (part, mark) in [(used, ""), (comment, "# ")] {
            for found in reference.captures_iter(part) {
                let name = found.get(1).map_or("", |name| name.as_str()).to_owned();
                if !seen.contains(&name) {
                    let value = found.get(2).map_or(PLACEHOLDER, |value| value.as_str());
                    let _ = writeln!(text, "{mark}{name}={value}");
                    seen.push(name);
                }
            }
        }
    }
    text
}

const TEMPLATES: &str = "\
# Templates

Messages are put into words by Handlebars templates, in sets: one folder a set, one file a way of saying it. The sets
`alert` and `notice` (what jobrelay has to say of itself: a source that can't be read, a channel that refuses messages) are
built in; a file in `templates/alert/` or `templates/notice/` takes the place of the built-in one, file by file, and a folder of
another name is a set that a rule or a channel asks for with `template: NAME`.

The built-in files lie in `templates/.built-in/`, to start from; nothing reads them there:

    mkdir -p templates/alert
    cp templates/.built-in/alert/slack.json.hbs templates/alert/

`jobrelay check` renders every template with sample data and names every mistake; `jobrelay send CHANNEL` shows one message
where its reader sees it. A template that fails in service costs no alert: the built-in one is sent in its place.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_rules_is_written() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        let mut listed: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
        listed.sort_unstable();
        assert_eq!(listed, found);
    }

    #[test]
    fn the_variables_of_comments_are_comments() {
        let config = format!("{HEAD}a: ${{ONE:-replace-me}}\n# b: ${{TWO}}\nc: ${{ONE}} # ${{THREE:-x}}\n");
        let text = variables(&config);
        let lines: Vec<&str> = text.lines().skip_while(|line| !line.is_empty()).skip(1).collect();
        assert_eq!(lines, ["ONE=replace-me", "# TWO=replace-me", "# THREE=x"]);
    }
}
