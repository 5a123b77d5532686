//! What is known of the data before there is any: which variables there are, taken from a sample view.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

use super::{sample, view::view};
use crate::{document::near, domain::Notification};

/// What templates may name.
pub(super) static ROOT: LazyLock<Shape> = LazyLock::new(|| {
    // Every view has each key, but only a notice has a `notice`, and so on: one of each kind is enough to know them all.
    let seen = |mut samples: Vec<(&str, Notification)>| {
        let (_, notification) = samples.swap_remove(0);
        view(&notification, notification.entries(), sample::now(), None, None).data().clone()
    };
    let mut all = seen(sample::samples());
    all["notice"] = seen(sample::notices())["notice"].take();
    let mut digest = seen(sample::digests());
    for key in ["digest", "period", "totals"] {
        all[key] = digest[key].take();
    }
    Shape::of(&all)
});

/// What a variable can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text, number, truth value or nothing.
    Single,
    /// An object with known keys.
    Object(BTreeMap<String, Shape>),
    /// A list of one kind of thing.
    List(Box<Shape>),
    /// An object whose keys are the user's: a label that a rule lacks is nothing, not an error.
    Labels,
    /// Whatever the vendor sends.
    Any,
}

/// The keys whose content is not the program's to know.
const LABELS: &str = "labels";
const ANY: &str = "extension";

impl Shape {
    /// The shape of a sample.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Object(entries) => Self::Object(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let shape = match key.as_str() {
                            LABELS => Self::Labels,
                            ANY => Self::Any,
                            _ => Self::of(value),
                        };
                        (key.clone(), shape)
                    })
                    .collect(),
            ),
            Value::Array(items) => Self::List(Box::new(items.first().map_or(Self::Single, Self::of))),
            _ => Self::Single,
        }
    }

    /// The shape below `key`.
    pub(super) fn get(&self, key: &str) -> Result<Self, Unknown> {
        match self {
            Self::Object(entries) => match entries.get(key) {
                Some(shape) => Ok(shape.clone()),
                None => Err(Unknown::Key { near: near(key, entries.keys().map(String::as_str)).map(str::to_owned), known: self.keys() }),
            },
            Self::List(item) => {
                if key.parse::<usize>().is_ok() {
                    Ok((**item).clone())
                } else {
                    Err(Unknown::InList)
                }
            }
            Self::Labels => Ok(Self::Single),
            Self::Any => Ok(Self::Any),
            Self::Single => Err(Unknown::InSingle),
        }
    }

    fn keys(&self) -> Vec<String> {
        match self {
            Self::Object(entries) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }
}

/// Why there is no such variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The object has other keys.
    Key {
        /// The nearest of them.
        near: Option<String>,
        /// All of them.
        known: Vec<String>,
    },
    /// A list has items, not keys.
    InList,
    /// A single value has nothing below it.
    InSingle,
}

impl Unknown {
    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Key { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::Key { known, .. } => format!("known here: {}", known.join(", ")),
            Self::InList => "it is a list: write {{#each LIST}}…{{/each}}, or LIST.[0] for its first item".into(),
            Self::InSingle => "it is a single value and has nothing below it".into(),
        }
    }
}
