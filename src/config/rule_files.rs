//! The files of `rules/`, from paths to trees.

use std::{collections::BTreeSet, path::Path};

use crate::{
    document::{Environment, Faults, Folder, Node, Value, expand, one_or_many, open, parse},
    domain::Name,
};

/// The folder of the rules' tests, which are read by whoever runs them.
const TESTS: &str = "tests";

/// Every rule file, in the order of their names, filled in. What lies there and is passed over, though it seems to be one, is
/// warned of.
pub fn read(rules: &Path, environment: &dyn Environment, folder: &Path, faults: &mut Faults) -> Vec<Node> {
    let mut files = Vec::new();
    for path in (Folder { path: rules, holds: "rule files", called: "rules/", but: Some(TESTS) }).files(faults) {
        let Some(mut node) = open(&path, faults).and_then(|source| parse(&source, faults)) else { continue };
        // A file whose every line is commented out is no mistake.
        if !matches!(node.value, Value::Null) {
            expand(&mut node, environment, folder, faults);
            files.push(node);
        }
    }
    files
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
