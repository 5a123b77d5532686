//! JSON Schemas of the config, of rule files and of their tests, for editors: made of the tables of keys that stand beside the readers.
//!
//! Draft 7, for the yaml language server knows no later one in full. A schema refuses nothing that the reader takes; what only
//! the reader can know (that a channel is there, that a time zone is one) is left to `check`.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::{
    channel, config,
    document::{DURATION, Form, Key, Keys},
    rehearsal::rule_tests,
    rules, source,
};

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// `jobrelay.yaml`.
    Config,
    /// `rules/*.yaml`.
    Rules,
    /// `rules/tests/*.yaml`.
    Tests,
}

impl Which {
    /// All.
    pub const ALL: &'static [Self] = &[Self::Config, Self::Rules, Self::Tests];

    /// The file's name in `schemas/`.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Config => "jobrelay.schema.json",
            Self::Rules => "rules.schema.json",
            Self::Tests => "tests.schema.json",
        }
    }

    /// The whole schema, as the file holds it.
    #[must_use]
    pub fn text(self) -> String {
        format!("{:#}\n", self.schema())
    }

    fn schema(self) -> Value {
        let (title, keys) = match self {
            Self::Config => ("jobrelay.yaml", config::FILE_KEYS),
            Self::Rules => ("jobrelay's rules", rules::FILE_KEYS),
            Self::Tests => ("tests of jobrelay's rules", rule_tests::FILE_KEYS),
        };
        let mut definitions = Map::new();
        definitions.insert("filled".into(), json!({ "type": "string", "pattern": FILLED, "description": "filled in from outside" }));
        if self != Self::Tests {
            definitions.insert("when".into(), mapping(rules::when_keys().iter(), &[]));
        }
        if self == Self::Config {
            let kinds = source::KINDS.iter().map(|kind| (kind.name, kind.keys));
            definitions.insert("source".into(), of_kind("the kind of source", config::SOURCE_KEYS, kinds));
            let kinds = channel::KINDS.iter().map(|kind| (kind.name, kind.keys));
            definitions.insert("channel".into(), of_kind("the kind of channel", config::CHANNEL_KEYS, kinds));
        }
        let mut schema = Map::new();
        schema.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
        schema.insert("title".into(), json!(title));
        if let Value::Object(rest) = mapping(keys.all(), keys.one_of) {
            schema.extend(rest);
        }
        schema.insert("definitions".into(), Value::Object(definitions));
        Value::Object(schema)
    }
}

/// A value that is filled in from outside, in whole or in part.
const FILLED: &str = r"\$\{";

/// A mapping with these keys and no others.
fn mapping<'k>(keys: impl Iterator<Item = &'k Key>, one_of: &[&[&str]]) -> Value {
    let keys: Vec<&Key> = keys.collect();
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        put(&mut schema, "required", json!(required));
    }
    if !one_of.is_empty() {
        let one = |names: &&[&str]| json!({ "oneOf": names.iter().map(|name| json!({ "required": [name] })).collect::<Vec<_>>() });
        put(&mut schema, "allOf", Value::Array(one_of.iter().map(one).collect()));
    }
    schema
}

/// An entry whose further keys depend on its `kind`.
fn of_kind(what: &str, common: &'static [Key], kinds: impl Iterator<Item = (&'static str, Keys)>) -> Value {
    let mut names = Vec::new();
    let mut branches = Vec::new();
    for (name, keys) in kinds {
        let mut branch = mapping(common.iter().chain(keys.all()), keys.one_of);
        if let Some(Value::Object(properties)) = branch.get_mut("properties") {
            properties.insert("kind".into(), json!({ "const": name, "description": what }));
        }
        branches.push(json!({ "if": { "required": ["kind"], "properties": { "kind": { "const": name } } }, "then": branch }));
        names.push(name);
    }
    json!({
        "type": "object",
        "required": ["kind"],
        "properties": { "kind": { "description": what, "anyOf": [{ "enum": names }, { "$ref": "#/definitions/filled" }] } },
        "allOf": branches,
    })
}

/// A key's value, with what there is to say of it.
fn property(key: &Key) -> Value {
    let mut schema = value(key.form);
    if schema.get("pattern").is_some() {
        // What the language server says in place of the expression.
        put(&mut schema, "patternErrorMessage", json!(format!("write it as in {}", key.examples.join(" or "))));
    }
    if schema.get("$ref").is_some() {
        // Draft 7 passes over whatever stands beside a reference.
        schema = json!({ "allOf": [schema] });
    }
    put(&mut schema, "description", json!(key.meaning));
    let examples: Vec<Value> = key.examples.iter().filter_map(|example| serde_yaml::from_str(example).ok()).collect();
    if !examples.is_empty() {
        put(&mut schema, "examples", Value::Array(examples));
    }
    schema
}

fn value(form: Form) -> Value {
    let like = |patterns: &[&str]| json!({ "type": "string", "pattern": format!("{}|{FILLED}", patterns.join("|")) });
    let or_filled = |mut forms: Vec<Value>| {
        forms.push(json!({ "$ref": "#/definitions/filled" }));
        json!({ "anyOf": forms })
    };
    match form {
        Form::Text => json!({ "type": ["string", "number", "boolean"] }),
        Form::Like(patterns) => like(patterns),
        Form::Duration => like(&[&format!(r"^\s*{DURATION}$")]),
        Form::Word(words) => or_filled(vec![json!({ "enum": words() })]),
        Form::AnyCase(words) => {
            let words = words();
            let any_case = words.iter().map(|word| any_case(word)).collect::<Vec<_>>().join("|");
            or_filled(vec![json!({ "enum": words }), json!({ "type": "string", "pattern": any_case })])
        }
        Form::Code(words) => {
            or_filled(vec![json!({ "enum": words() }), json!({ "type": "integer" }), json!({ "type": "string", "pattern": "^-?[0-9]+$" })])
        }
        Form::Boolean => or_filled(vec![json!({ "type": "boolean" })]),
        Form::Integer(least, most) => or_filled(vec![json!({ "type": "integer", "minimum": least, "maximum": most })]),
        Form::Factor(most) => or_filled(vec![json!({ "type": "number", "exclusiveMinimum": 0, "maximum": most })]),
        Form::OneOrMany(form) => json!({ "anyOf": [value(*form), { "type": "array", "minItems": 1, "items": value(*form) }] }),
        Form::List(form) => json!({ "type": "array", "minItems": 1, "items": value(*form) }),
        Form::AnyList(form) => json!({ "type": "array", "items": value(*form) }),
        Form::Anything => json!({}),
        Form::Either(forms) => json!({ "anyOf": forms.iter().map(|form| value(*form)).collect::<Vec<_>>() }),
        Form::OrNothing(form) => {
            let mut schema = value(*form);
            match schema.get("type").cloned() {
                Some(kind) => put(&mut schema, "type", json!([kind, "null"])),
                None => schema = json!({ "anyOf": [schema, { "type": "null" }] }),
            }
            schema
        }
        Form::Mapping(keys) => mapping(keys.all(), keys.one_of),
        Form::Named(form) => json!({ "type": "object", "additionalProperties": value(*form) }),
        Form::Defined(name) => json!({ "$ref": format!("#/definitions/{name}") }),
    }
}

/// `^[Uu][Ss]$`
fn any_case(word: &str) -> String {
    let letter =
        |c: char| if c.is_ascii_alphabetic() { format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()) } else { c.to_string() };
    format!("^{}$", word.chars().map(letter).collect::<String>())
}

fn put(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(entries) = schema {
        entries.insert(key.to_owned(), value);
    }
}
