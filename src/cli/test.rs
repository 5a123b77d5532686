//! `jobrelay test`: the rules held against what their tests expect of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::ValueEnum;
use serde::Serialize;

use super::output::{colour, print, say};
use crate::{
    config::{self, ProcessEnvironment},
    document::{Fault, Faults, Level, Place},
    domain::Name,
    rehearsal::rule_tests::{self, Listed, Ran, RanFile, Subject, TestFile},
};

/// How the outcome is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What failed with its reasons, and a line a file, for people
    Text,
    /// One object: tests, faults, not_tested
    Json,
}

pub const EXAMPLES: &str = "\
Examples:
  jobrelay test
  jobrelay test rules/tests/failures.yaml
  jobrelay test --name \"stuck scan\"
  jobrelay test --junit rule-tests.xml      for a pipeline; its exit code is 1 if a test fails";

/// Options of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of rule tests, or folders of them [default: rules/tests/ beside the config]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Only tests whose name holds this text, case ignored
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,

    /// Also write the outcome to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// How the outcome is written
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: Format,
}

pub fn run(args: &Args, config: &Path) -> ExitCode {
    super::exit(test(args, config))
}

/// Where rule tests are looked for.
fn folder_of(folder: &Path) -> PathBuf {
    folder.join("rules").join("tests")
}

fn test(args: &Args, config: &Path) -> Result<ExitCode, String> {
    let (rules, mut faults) = config::load_rules(config, &ProcessEnvironment);
    let base = config.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let subject = rules.map(subject);
    let paths = paths(args, &base, &mut faults);
    let files: Vec<(PathBuf, Option<TestFile>, Vec<String>)> = paths
        .into_iter()
        .map(|path| {
            let mut own = Faults::default();
            let file = rule_tests::read(&path, &ProcessEnvironment, &base, subject.as_ref(), &mut own);
            let told = own.sorted().into_iter().filter(|fault| fault.level == Level::Error).map(one_line).collect();
            faults.append(own);
            (path, file, told)
        })
        .collect();
    let mut ran: Vec<RanFile<'_>> = Vec::new();
    let text = args.format == Format::Text;
    if text && !faults.is_empty() {
        print(format_args!("{}\n", config::report(&faults, on_terminal())));
    }
    for (path, file, told) in &files {
        let tests = file.as_ref().map(|file| file.tests.as_slice()).unwrap_or_default();
        let wanted = args.name.as_ref().map(|name| name.to_lowercase());
        let chosen = tests.iter().filter(|test| wanted.as_ref().is_none_or(|wanted| test.name.to_lowercase().contains(wanted)));
        let tests = chosen.map(|test| {
            let began = Instant::now();
            let outcome = test.run();
            Ran { test, outcome, took: began.elapsed() }
        });
        let file = RanFile { path, ran: tests.collect(), faults: told.clone() };
        if text {
            tell(&file);
        }
        ran.push(file);
    }
    let not_tested = if args.files.is_empty() && args.name.is_none() { not_tested(subject.as_ref(), &files) } else { Vec::new() };
    let count: usize = ran.iter().map(|file| file.ran.len()).sum();
    let failed: usize = ran.iter().map(RanFile::failed).sum();
    match args.format {
        Format::Json => print_json(&ran, &faults, &not_tested)?,
        Format::Text => {
            if ran.len() > 1 {
                print(format_args!("{}", summary(count, failed)));
            }
            for name in &not_tested {
                print(format_args!("not tested: {name}"));
            }
        }
    }
    if let Some(path) = &args.junit {
        fs::write(path, rule_tests::junit(&ran)).map_err(|error| format!("can't write {}: {error}", path.display()))?;
    }
    if count == 0 && !faults.any_error() {
        return nothing_ran(args, &base);
    }
    Ok(if failed == 0 && !faults.any_error() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// There was no test: a mistake where some were asked for.
fn nothing_ran(args: &Args, base: &Path) -> Result<ExitCode, String> {
    match &args.name {
        Some(name) => Err(format!("no test's name holds `{name}`")),
        None => {
            say(format_args!("no rule tests: {} holds none", folder_of(base).display()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The files asked for, or those beside the config.
fn paths(args: &Args, base: &Path, faults: &mut Faults) -> Vec<PathBuf> {
    if args.files.is_empty() {
        return rule_tests::files(&folder_of(base), faults);
    }
    let mut paths = Vec::new();
    for path in &args.files {
        if path.is_dir() {
            let found = rule_tests::files(path, faults);
            if found.is_empty() {
                faults.push(Fault::error(&Place::file(path), "no file of rule tests (*.yaml) lies in this folder"));
            }
            paths.extend(found);
        } else {
            paths.push(path.clone());
        }
    }
    paths
}

/// The enabled rules of which no test expects anything.
fn not_tested(subject: Option<&Subject>, files: &[(PathBuf, Option<TestFile>, Vec<String>)]) -> Vec<Name> {
    let tests = || files.iter().filter_map(|(_, file, _)| file.as_ref()).flat_map(|file| &file.tests);
    let rules = subject.map(|subject| subject.rules.rules()).unwrap_or_default();
    let touched: Vec<&Name> = tests().flat_map(rule_tests::RuleTest::touches).collect();
    rules.iter().map(|rule| rule.name.clone()).filter(|name| !touched.contains(&name)).collect()
}

/// A file's outcome: what failed, with its reasons, and a line on the whole.
fn tell(file: &RanFile<'_>) {
    let colour = on_terminal();
    let (red, off) = if colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    for ran in file.ran.iter().filter(|ran| !ran.outcome.passed()) {
        let place = &ran.test.place;
        let mut faults = Faults::default();
        ran.outcome.surprises.iter().for_each(|surprise| faults.push(surprise.fault()));
        print(format_args!(
            "{}:{}:{}: {red}FAILED{off}: {}\n{}\n{}",
            place.source.path.display(),
            place.line,
            place.column,
            ran.test.title(),
            ran.table(),
            config::told(&faults, colour)
        ));
    }
    let took = file.took().as_secs_f64() * 1_000.0;
    let (failed, errors) = (file.failed(), file.faults.len());
    let mut counts = vec![format!("{} passed", file.ran.len() - failed)];
    if failed > 0 {
        counts.push(format!("{red}{failed} failed{off}"));
    }
    if errors > 0 {
        counts.push(format!("{red}{errors} error{}{off}", if errors == 1 { "" } else { "s" }));
    }
    print(format_args!("{}: {} in {took:.1} ms", file.path.display(), counts.join(", ")));
}

/// `12 rule tests passed`, or `11 rule tests passed, 1 failed`
fn summary(count: usize, failed: usize) -> String {
    let passed = count - failed;
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    format!("{passed} rule test{} passed{failed}", if passed == 1 { "" } else { "s" })
}

fn on_terminal() -> bool {
    colour(std::io::IsTerminal::is_terminal(&std::io::stdout()))
}

fn one_line(fault: &Fault) -> String {
    let Place { line, column, .. } = &fault.place;
    let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    if *line == 0 { format!("{}{hint}", fault.message) } else { format!("{line}:{column}: {}{hint}", fault.message) }
}

/// All of it for a program.
#[derive(Serialize)]
struct Report<'r> {
    tests: Vec<Listed<'r>>,
    faults: Vec<config::Listed>,
    not_tested: &'r [Name],
}

fn print_json(ran: &[RanFile<'_>], faults: &Faults, not_tested: &[Name]) -> Result<(), String> {
    let tests = ran.iter().flat_map(|file| &file.ran).map(Ran::listed).collect();
    let report = Report { tests, faults: config::listing(faults), not_tested };
    let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    print(format_args!("{json}"));
    Ok(())
}

/// For `check`: runs every rule test beside the config and adds what is wrong with them, and each that fails, to `faults`. Returns how
/// many there are. Where the rules themselves have faults, which are told elsewhere, the tests are only read.
pub fn check(config: &Path, faults: &mut Faults) -> usize {
    let base = config.parent().unwrap_or_else(|| Path::new(""));
    let paths = rule_tests::files(&folder_of(base), faults);
    let subject = if paths.is_empty() { None } else { config::load_rules(config, &ProcessEnvironment).0.map(subject) };
    let mut count = 0;
    for path in paths {
        let Some(file) = rule_tests::read(&path, &ProcessEnvironment, base, subject.as_ref(), faults) else { continue };
        count += file.tests.len();
        for test in &file.tests {
            for surprise in test.run().surprises {
                let mut fault = surprise.fault();
                fault.message = format!("the rule test `{}` fails: {}", test.name, fault.message);
                faults.push(fault);
            }
        }
    }
    count
}

fn subject(config: config::RulesOnly) -> Subject {
    Subject { rules: config.rules, channels: config.channels, sources: config.sources }
}
