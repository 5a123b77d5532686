//! Which files of `rules/` are read, and which look as if they should be.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use crate::{
    document::{Environment, Fault, Faults, Node, Place, Value, expand, one_or_many, open, parse},
    domain::Name,
};

/// The folder of the rules' tests, which are read by whoever runs them.
const TESTS: &str = "tests";
/// How rule files end.
const ENDINGS: [&str; 2] = ["yaml", "yml"];

/// Every rule file, in the order of their names, filled in. What lies there and is passed over, though it seems to be one, is
/// warned of.
pub fn read(rules: &Path, environment: &dyn Environment, folder: &Path, faults: &mut Faults) -> Vec<Node> {
    let mut files = Vec::new();
    for path in entries(rules, faults) {
        match look(&path) {
            Look::Other => {}
            Look::PassedOver { why, hint } => faults.push(Fault::warning(&Place::file(&path), why).hint(hint)),
            Look::Rules => {
                let Some(mut node) = open(&path, faults).and_then(|source| parse(&source, faults)) else { continue };
                // A file whose every line is commented out is no mistake.
                if !matches!(node.value, Value::Null) {
                    expand(&mut node, environment, folder, faults);
                    files.push(node);
                }
            }
        }
    }
    files
}

/// What lies in a folder, by name; what is hidden is no one's business.
fn entries(folder: &Path, faults: &mut Faults) -> Vec<PathBuf> {
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                faults.push(Fault::error(&Place::file(folder), format!("can't list this folder: {error}")));
            }
            return Vec::new();
        }
    };
    let shown = |path: &PathBuf| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
    let mut paths: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).filter(shown).collect();
    paths.sort();
    paths
}

/// What a path below `rules/` is taken for.
enum Look {
    Rules,
    PassedOver { why: &'static str, hint: &'static str },
    Other,
}

fn look(path: &Path) -> Look {
    let ending = path.extension().and_then(OsStr::to_str);
    let ends_so = ending.is_some_and(|ending| ENDINGS.contains(&ending));
    let seems_so = ending.is_some_and(|ending| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)));
    if path.is_dir() {
        let is_tests = path.file_name() == Some(OsStr::new(TESTS));
        let hint = "put rule files into rules/ itself, and rename or move this folder";
        return match (is_tests, seems_so || holds_rules(path)) {
            (false, true) => Look::PassedOver { why: "this is a folder, and no rules are read from folders in rules/", hint },
            _ => Look::Other,
        };
    }
    match (ends_so, seems_so) {
        (true, _) => Look::Rules,
        (false, true) => {
            Look::PassedOver { why: "this file is not read: rule files end in .yaml or .yml, in small letters", hint: "rename it" }
        }
        (false, false) => Look::Other,
    }
}

/// Whether a folder has a file in it that would be a rule file one level up.
fn holds_rules(folder: &Path) -> bool {
    let is_rules = |path: PathBuf| path.extension().and_then(OsStr::to_str).is_some_and(|ending| ENDINGS.contains(&ending));
    std::fs::read_dir(folder).is_ok_and(|mut listing| listing.any(|entry| entry.is_ok_and(|entry| is_rules(entry.path()))))
}

/// The names that rules refer to, to be taken for known where the config itself can't be read: all else that is wrong with
/// the rules can then be told all the same.
#[derive(Debug, Default)]
pub struct Assumed {
    /// Whatever stands under `notify`.
    pub channels: Vec<Name>,
    /// Whatever stands under `source`.
    pub sources: Vec<Name>,
}

impl Assumed {
    /// Those that stand in rule files.
    pub fn of(files: &[Node]) -> Self {
        let (mut channels, mut sources) = (BTreeSet::new(), BTreeSet::new());
        for file in files {
            walk(file, &mut channels, &mut sources);
        }
        let names = |found: BTreeSet<&str>| found.into_iter().map(Name::from).collect();
        Self { channels: names(channels), sources: names(sources) }
    }
}

fn walk<'n>(node: &'n Node, channels: &mut BTreeSet<&'n str>, sources: &mut BTreeSet<&'n str>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| walk(item, channels, sources)),
        Value::Map(entries) => {
            for (key, value) in entries {
                let texts = || one_or_many(value).into_iter().filter_map(written);
                match key.as_text() {
                    Some("notify") => channels.extend(texts()),
                    Some("source") => sources.extend(texts()),
                    _ => walk(value, channels, sources),
                }
            }
        }
        _ => {}
    }
}

/// A name as it is written, which may look like a number.
fn written(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => node.place.source.text.get(node.place.bytes.clone()),
        _ => None,
    }
}
