//! The tables of keys against the readers, in both directions, and the schemas against what the readers take.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use serde_json::{Value, json};

use super::*;
use crate::document::{Environment, Fault, Faults, Level, Source, expand, parse};

struct Unset;

impl Environment for Unset {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn file(&self, _: &Path) -> Result<String, String> {
        Err("there is none".into())
    }
}

/// What the readers say: of rules alone, where nothing else changes; else of the whole. The errors, each with its hint.
fn errors(documents: &Documents, which: Which) -> Vec<String> {
    let faults = match which {
        Which::Config => {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("rules")).unwrap();
            fs::write(folder.path().join("rules/a.yaml"), documents.rules.to_string()).unwrap();
            fs::write(folder.path().join("jobrelay.yaml"), documents.config.to_string()).unwrap();
            crate::config::load(&folder.path().join("jobrelay.yaml"), &Unset).1
        }
        Which::Tests => {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.yaml");
            fs::write(&path, documents.tests.to_string()).unwrap();
            let mut faults = Faults::default();
            // Without the rules, only what is wrong whatever they are is told.
            rule_tests::read(&path, &Unset, folder.path(), None, &mut faults);
            faults
        }
        Which::Rules => {
            let mut faults = Faults::default();
            let source = Arc::new(Source { path: "rules/a.yaml".into(), text: documents.rules.to_string() });
            let mut node = parse(&source, &mut faults).unwrap();
            expand(&mut node, &Unset, Path::new(""), &mut faults);
            let (channels, sources) = (["oncall".into(), "other".into()], ["contoso".into()]);
            let known = rules::Known { channels: &channels, sources: &sources, template_sets: &["alert".to_owned()] };
            let _ = rules::read(&[node], &known, &mut faults);
            faults
        }
    };
    let told = |fault: &&Fault| format!("{} ({})", fault.message, fault.hint.as_deref().unwrap_or_default());
    faults.sorted().iter().filter(|fault| fault.level == Level::Error).map(told).collect()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The mapping that a form leads to, if it does.
fn keys_below(form: Form) -> Option<Keys> {
    match form {
        Form::Mapping(keys) => Some(*keys),
        Form::OneOrMany(form) | Form::OrNothing(form) | Form::List(form) | Form::AnyList(form) => keys_below(*form),
        _ => None,
    }
}

/// The least that a mapping may hold.
fn least(keys: Keys) -> Value {
    let needed = |key: &&'static Key| key.required || keys.one_of.iter().any(|names| names.first() == Some(&key.name));
    Value::Object(keys.all().filter(needed).map(|key| (key.name.to_owned(), examples(key).remove(0))).collect())
}

/// A key's examples; of a mapping that has none, its least.
fn examples(key: &Key) -> Vec<Value> {
    match keys_below(key.form) {
        Some(keys) if key.examples.is_empty() => vec![least(keys)],
        _ => key.examples.iter().map(|example| yaml(example)).collect(),
    }
}

/// A config and its rules that are valid, in which one mapping after another is looked at.
#[derive(Clone)]
struct Documents {
    config: Value,
    rules: Value,
    tests: Value,
}

impl Documents {
    fn new() -> Self {
        let source = entry(source::KINDS[0].name, source::KINDS[0].keys);
        let other = json!({ "kind": "webhook", "url": "https://hooks.example.com/x" });
        Self {
            config: json!({ "sources": { "contoso": source }, "channels": { "oncall": other, "other": other } }),
            rules: json!({ "rules": [{ "name": "a", "when": { "state": "failed" }, "notify": "oncall" }] }),
            tests: json!({ "tests": [] }),
        }
    }

    fn at(&mut self, which: Which, pointer: &str) -> &mut Value {
        let document = match which {
            Which::Config => &mut self.config,
            Which::Rules => &mut self.rules,
            Which::Tests => &mut self.tests,
        };
        document.pointer_mut(pointer).unwrap_or_else(|| panic!("there is no {pointer}"))
    }

    fn put(&mut self, which: Which, pointer: &str, key: &str, value: Value) {
        self.at(which, pointer).as_object_mut().unwrap().insert(key.to_owned(), value);
    }
}

fn entry(kind: &str, keys: Keys) -> Value {
    let mut entry = least(keys);
    entry.as_object_mut().unwrap().insert("kind".into(), kind.into());
    entry
}

struct Check {
    schemas: Vec<jsonschema::Validator>,
    looked_at: usize,
}

impl Check {
    fn schema_refuses(&self, documents: &Documents) -> Vec<String> {
        let mut refused = Vec::new();
        for (schema, document) in self.schemas.iter().zip([&documents.config, &documents.rules, &documents.tests]) {
            refused.extend(schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())));
        }
        refused
    }

    #[track_caller]
    fn is_taken(&self, documents: &Documents, which: Which, what: &str) {
        let wrong: Vec<String> = errors(documents, which)
            .into_iter()
            // A file that is not there, and no fault of the key.
            .filter(|told| !told.starts_with("can't read the certificate") && !told.starts_with("can't use the certificates"))
            .collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?}\n{}\n{}", documents.config, documents.rules);
        let refused = self.schema_refuses(documents);
        assert!(refused.is_empty(), "{what}: {refused:?}\n{}\n{}", documents.config, documents.rules);
    }

    /// Looks at the mapping at `pointer`, which holds the least it may, and at all that stand below it.
    fn mapping(&mut self, documents: &Documents, which: Which, pointer: &str, keys: &[&Key], one_of: &[&[&str]], besides: &[&str]) {
        self.looked_at += 1;
        self.is_taken(documents, which, pointer);
        let mut odd = documents.clone();
        odd.put(which, pointer, "zzzzzzzz", json!(1));
        let told = errors(&odd, which);
        let known = told.iter().find_map(|told| told.strip_prefix("unknown key `zzzzzzzz` (known here: ")?.strip_suffix(')'));
        let known: BTreeSet<&str> = known.unwrap_or_else(|| panic!("{pointer}: {told:?}")).split(", ").collect();
        let listed: BTreeSet<&str> = keys.iter().map(|key| key.name).chain(besides.iter().copied()).collect();
        assert_eq!(listed, known, "{pointer}: the keys listed, and those that the reader knows");
        assert!(!self.schema_refuses(&odd).is_empty(), "{pointer}: the schema takes an unknown key");
        for key in keys {
            if matches!(key.form, Form::Anything) {
                continue;
            }
            let mut wrong = documents.clone();
            wrong.put(which, pointer, key.name, json!([[{ "a": 1 }]]));
            assert!(!self.schema_refuses(&wrong).is_empty(), "{pointer}/{}: the schema takes anything", key.name);
            // Which job is meant is looked up only where the rules are known.
            let is_read = which != Which::Tests || key.name != "job";
            assert!(!is_read || !errors(&wrong, which).is_empty(), "{pointer}/{}: the reader takes anything", key.name);
            for value in examples(key) {
                let mut with = documents.clone();
                for names in one_of.iter().filter(|names| names.contains(&key.name)) {
                    names.iter().for_each(|name| _ = with.at(which, pointer).as_object_mut().unwrap().remove(*name));
                }
                if key.name == "oauth" {
                    // A token takes the place of the password.
                    with.put(which, pointer, "smtp", json!("smtp://user@smtp.office365.com:587"));
                }
                with.put(which, pointer, key.name, value);
                self.is_taken(&with, which, &format!("{pointer}/{}", key.name));
                if let Some(below) = keys_below(key.form).filter(|_| !["rules", "tests", "jobs", "expect"].contains(&key.name)) {
                    with.put(which, pointer, key.name, least(below));
                    if key.name == "finished" {
                        with.put(which, pointer, key.name, json!({ "days": "mon" }));
                    }
                    let all: Vec<&Key> = below.all().collect();
                    self.mapping(&with, which, &format!("{pointer}/{}", key.name), &all, below.one_of, &[]);
                }
            }
        }
    }
}

impl Check {
    fn new() -> Self {
        Self { schemas: Which::ALL.iter().map(|which| jsonschema::draft7::new(&which.schema()).unwrap()).collect(), looked_at: 0 }
    }
}

// Of each mapping: the table and the reader know the same keys, and each example is taken by reader and schema.

#[test]
fn the_config_itself_and_its_reader_agree() {
    let (mut check, start) = (Check::new(), Documents::new());
    let file: Vec<&Key> = crate::config::FILE_KEYS.all().filter(|key| !key.required && key.name != "digests").collect();
    check.mapping(&start, Which::Config, "", &file, &[], &["sources", "channels", "digests"]);
    let digests = crate::config::FILE_KEYS.all().find(|key| key.name == "digests").unwrap();
    let Form::OrNothing(Form::Named(Form::Mapping(digest))) = digests.form else { panic!("digests") };
    let mut documents = start.clone();
    documents.config["digests"] = json!({ "daily": least(**digest) });
    check.mapping(&documents, Which::Config, "/digests/daily", &digest.all().collect::<Vec<_>>(), digest.one_of, &[]);
    assert!(check.looked_at >= 5, "{}", check.looked_at);
}

#[test]
fn each_kind_of_source_and_its_reader_agree() {
    let (mut check, start) = (Check::new(), Documents::new());
    for kind in source::KINDS {
        let mut documents = start.clone();
        documents.config["sources"]["contoso"] = entry(kind.name, kind.keys);
        let keys: Vec<&Key> = crate::config::SOURCE_KEYS.iter().chain(kind.keys.all()).collect();
        check.mapping(&documents, Which::Config, "/sources/contoso", &keys, kind.keys.one_of, &["kind"]);
    }
    assert!(check.looked_at > source::KINDS.len(), "{}", check.looked_at);
}

#[test]
fn each_kind_of_channel_and_its_reader_agree() {
    let (mut check, start) = (Check::new(), Documents::new());
    for kind in channel::KINDS {
        let mut documents = start.clone();
        documents.config["channels"]["oncall"] = entry(kind.name, kind.keys);
        let keys: Vec<&Key> = crate::config::CHANNEL_KEYS.iter().chain(kind.keys.all()).collect();
        check.mapping(&documents, Which::Config, "/channels/oncall", &keys, kind.keys.one_of, &["kind"]);
    }
    assert!(check.looked_at > channel::KINDS.len(), "{}", check.looked_at);
}

#[test]
fn rules_and_their_reader_agree() {
    let (mut check, start) = (Check::new(), Documents::new());
    check.mapping(&start, Which::Rules, "", &rules::FILE_KEYS.all().collect::<Vec<_>>(), &[], &[]);
    let rule = keys_below(rules::FILE_KEYS.all().next().unwrap().form).unwrap();
    check.mapping(&start, Which::Rules, "/rules/0", &rule.all().collect::<Vec<_>>(), rule.one_of, &[]);
    let when = rules::when_keys();
    let when: Vec<&Key> = when.iter().collect();
    check.mapping(&start, Which::Rules, "/rules/0/when", &when, &[], &[]);
    let mut nested = start.clone();
    nested.rules["rules"][0]["when"] = json!({ "any": [{ "not": { "state": "failed" } }] });
    check.mapping(&nested, Which::Rules, "/rules/0/when/any/0/not", &when, &[], &[]);
    assert!(check.looked_at >= 9, "{}", check.looked_at);
}

#[test]
fn rule_tests_and_their_reader_agree() {
    let (mut check, mut start) = (Check::new(), Documents::new());
    start.tests = json!({ "tests": [{ "name": "a", "jobs": [{ "state": "failed" }], "expect": [{ "rule": "a" }] }] });
    check.mapping(&start, Which::Tests, "", &rule_tests::FILE_KEYS.all().collect::<Vec<_>>(), &[], &[]);
    let test = keys_below(rule_tests::FILE_KEYS.all().next().unwrap().form).unwrap();
    check.mapping(&start, Which::Tests, "/tests/0", &test.all().collect::<Vec<_>>(), test.one_of, &[]);
    for (name, pointer) in [("jobs", "/tests/0/jobs/0"), ("expect", "/tests/0/expect/0")] {
        let keys = keys_below(test.all().find(|key| key.name == name).unwrap().form).unwrap();
        check.mapping(&start, Which::Tests, pointer, &keys.all().collect::<Vec<_>>(), keys.one_of, &[]);
    }
    start.tests["tests"][0]["jobs"][0]["repeat"] = json!({ "times": 2 });
    let Form::Either([_, Form::Mapping(repeat)]) = keys_below(test.all().find(|key| key.name == "jobs").unwrap().form)
        .and_then(|job| job.all().find(|key| key.name == "repeat"))
        .unwrap()
        .form
    else {
        panic!("repeat")
    };
    check.mapping(&start, Which::Tests, "/tests/0/jobs/0/repeat", &repeat.all().collect::<Vec<_>>(), &[], &[]);
}

#[test]
fn what_is_filled_in_may_stand_wherever_a_single_value_may() {
    let check = Check::new();
    let mut documents = Documents::new();
    for (which, pointer, key, value) in [
        (Which::Config, "/sources/contoso", "region", "${NO:-us}"),
        (Which::Config, "/sources/contoso", "page_size", "${NO:-100}"),
        (Which::Config, "/sources/contoso", "poll_every", "${NO:-60s}"),
        (Which::Config, "/channels/oncall", "allow_private", "${NO:-true}"),
        (Which::Config, "/channels/oncall", "rate", "${NO:-1} per second"),
        (Which::Rules, "/rules/0", "severity", "${NO:-critical}"),
        (Which::Rules, "/rules/0", "limit", "${NO:-5} per 1h"),
        (Which::Rules, "/rules/0/when", "state", "${NO:-failed}"),
        (Which::Rules, "/rules/0/when", "duration", "> ${NO:-30m}"),
    ] {
        documents.put(which, pointer, key, json!(value));
        check.is_taken(&documents, Which::Config, key);
    }
}

#[test]
fn what_the_reader_takes_in_other_ways_the_schema_takes_too() {
    let check = Check::new();
    for (which, pointer, key, value) in [
        (Which::Config, "/sources/contoso", "region", json!("US")),
        (Which::Config, "/sources/contoso", "client_id", json!(2024)),
        (Which::Config, "", "digests", json!(null)),
        (Which::Config, "/channels/oncall", "rate", json!("30 per minute")),
        (Which::Config, "/channels/oncall", "method", json!("put")),
        (Which::Rules, "", "rules", json!(null)),
        (Which::Rules, "/rules/0", "limit", json!("5 per hour")),
        (Which::Rules, "/rules/0", "labels", json!({ "n": 1, "b": true })),
        (Which::Rules, "/rules/0/when", "state", json!([2, "42", "failed"])),
        (Which::Rules, "/rules/0/when", "profile", json!(2024)),
        (Which::Rules, "/rules/0/when", "duration", json!([">30m", "1h 30m .. 2d"])),
        (Which::Rules, "/rules/0/when", "streak", json!("2..5")),
        (Which::Rules, "/rules/0/when", "streak", json!(3)),
        (Which::Rules, "/rules/0/when", "finished", json!([{ "days": ["mon-wed", "saturday"] }, { "between": "6:00 - 24:00" }])),
    ] {
        let mut documents = Documents::new();
        documents.put(which, pointer, key, value.clone());
        check.is_taken(&documents, Which::Config, &format!("{key}: {value}"));
    }
}

#[test]
fn the_files_in_the_repository_are_what_the_command_prints() {
    for which in Which::ALL {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(which.file());
        assert_eq!(fs::read_to_string(&file).unwrap(), which.text(), "print it anew: jobrelay schema > {}", file.display());
    }
}
