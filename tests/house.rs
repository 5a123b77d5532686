//! Guards the house: an import points down, never up or sideways, so that no circle can form.
//!
//! The table says what each room may name. It is the picture in ARCHITECTURE.md, made to fail.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each room and the rooms it may name, lowest floor first.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("failpoint", &[]),
    ("document", &["domain"]),
    ("store", &["domain", "failpoint"]),
    ("wake", &["domain"]),
    ("health", &["domain"]),
    ("http", &["domain"]),
    ("oauth", &["domain", "http"]),
    ("metrics", &["store"]),
    ("rules", &["domain", "document"]),
    ("rehearsal", &["domain", "document", "rules"]),
    ("template", &["document", "domain"]),
    ("source", &["clock", "domain", "document", "http", "oauth"]),
    ("channel", &["domain", "document", "http", "oauth", "template"]),
    ("config", &["domain", "document", "http", "rules", "template", "source", "channel"]),
    ("intake", &["clock", "domain", "failpoint", "metrics", "rules", "source", "store", "wake", "health"]),
    ("delivery", &["channel", "clock", "domain", "failpoint", "metrics", "store", "wake", "health"]),
    ("digest", &["domain", "rules", "store"]),
    ("schedule", &["clock", "digest", "domain", "failpoint", "intake", "rules", "store", "wake", "health"]),
    ("server", &["channel", "clock", "document", "domain", "metrics", "rules", "source", "store", "wake", "health"]),
    (
        "app",
        &[
            "channel", "clock", "config", "delivery", "digest", "domain", "health", "http", "intake", "metrics", "schedule", "server",
            "source", "store", "wake", "rules",
        ],
    ),
    ("schema", &["document", "rehearsal", "rules", "source", "channel", "config"]),
    ("demo", &["app", "clock", "config", "document", "domain", "source", "store", "channel", "template"]),
    ("preview", &["channel", "config", "demo", "document", "domain", "http", "template"]),
    (
        "cli",
        &[
            "app",
            "channel",
            "clock",
            "config",
            "demo",
            "digest",
            "document",
            "domain",
            "failpoint",
            "http",
            "intake",
            "preview",
            "rehearsal",
            "rules",
            "schema",
            "source",
            "store",
            "template",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// The largest healthy file; a larger one needs a place in [`LARGER`] with its reason.
const LINES: usize = 400;

/// Files over [`LINES`], each with the reason why it is one room.
const LARGER: &[(&str, &str)] = &[];

/// Files and folders that are compiled for tests only: like a file's own tests, they may name whatever they need.
const TEST_ONLY: &[&str] = &["tests.rs", "tests", "model"];

fn is_for_tests(path: &Path) -> bool {
    path.components().any(|part| TEST_ONLY.iter().any(|name| part.as_os_str() == *name))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn sources() -> Vec<PathBuf> {
    let found = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn room_of(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms a file names by `crate::room` (or, in the binary, `jobrelay::room`), grouped imports included; its tests may
/// name whatever they need, and comments are passed over.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let mut rooms = BTreeSet::new();
    for prefix in ["crate::", "jobrelay::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => rooms.extend(top_level_names(group)),
                None => rooms.extend(leading_name(rest)),
            }
        }
    }
    rooms
}

fn leading_name(text: &str) -> Option<String> {
    let name: String = text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The first word of each item of `{a::b, c::{d, e}, f}`, given the text behind the opening brace.
fn top_level_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut item) = (1, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.extend(leading_name(&std::mem::take(&mut item))),
            _ if depth == 1 => item.push(c),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.extend(leading_name(&item));
    names
}

#[test]
fn every_import_points_down() {
    let table: BTreeMap<&str, &[&str]> = MAY_NAME.iter().copied().collect();
    let mut breaches = Vec::new();
    for path in sources().into_iter().filter(|path| !is_for_tests(path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap())) {
        let room = room_of(&path);
        let allowed = table.get(room.as_str()).unwrap_or_else(|| panic!("the room `{room}` is not in the table of tests/house.rs"));
        for name in named(&fs::read_to_string(&path).unwrap()) {
            let is_room = table.contains_key(name.as_str());
            if is_room && name != room && !allowed.contains(&name.as_str()) {
                breaches.push(format!("{} names `{name}`, which `{room}` may not", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_table_itself_has_no_circle() {
    let mut above: BTreeSet<&str> = BTreeSet::new();
    for (room, allowed) in MAY_NAME {
        for name in *allowed {
            assert!(above.contains(name), "`{room}` may name `{name}`, which stands on no lower floor of the table");
        }
        above.insert(room);
    }
}

#[test]
fn the_reader_of_imports_sees_what_there_is_to_see() {
    let text = "use crate::{store::{self, Claim}, domain::Name,\n app};\nlet x = crate::rules::Rule; // crate::cli\nuse crate::http::Http;\n#[cfg(test)]\nmod tests { use crate::demo; }";
    let expected: BTreeSet<String> = ["store", "domain", "app", "rules", "http"].into_iter().map(str::to_owned).collect();
    assert_eq!(named(text), expected);
}

#[test]
fn no_file_has_grown_into_several_rooms() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            let excused = LARGER.iter().any(|(name, _)| path.ends_with(name));
            (lines > LINES && !excused).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "files over {LINES} lines:\n{}", long.join("\n"));
}

/// The names of tests on a page: whatever stands between backticks as a path that ends in a sentence.
fn tests_named(page: &str) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2).filter(|word| word.contains("::") && !word.contains(' '));
    quoted.filter_map(|path| path.rsplit("::").next()).filter(|name| name.matches('_').count() > 1).collect()
}

#[test]
fn every_test_that_the_page_on_faults_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let named = tests_named(&page);
    assert!(named.len() > 50, "the page names {} tests", named.len());
    let code: String = rust_files(&root.join("src"))
        .into_iter()
        .chain(rust_files(&root.join("tests")))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let missing: Vec<&str> = named.into_iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/faults.md names tests that are not there: {missing:?}");
}
