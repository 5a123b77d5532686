//! What is wrong in a file, and where.

use std::sync::Arc;

use super::{Node, Place};

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The config works, but surely not as meant.
    Warning,
    /// The config can't be used.
    Error,
}

/// One thing wrong in a file.
#[derive(Debug, Clone)]
pub struct Fault {
    /// How bad.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// What, in one line, free of secrets.
    pub message: String,
    /// What to do, or the nearest known name.
    pub hint: Option<String>,
}

impl Fault {
    /// An error at `place`.
    #[must_use]
    pub fn error(place: &Place, message: impl Into<String>) -> Self {
        Self { level: Level::Error, place: place.clone(), message: message.into(), hint: None }
    }

    /// A warning at `place`.
    #[must_use]
    pub fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(place, message) }
    }

    /// The same fault with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Every fault met so far, and the places that must not be shown.
#[derive(Debug, Default)]
pub struct Faults {
    faults: Vec<Fault>,
    secrets: Vec<Place>,
}

impl Faults {
    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Adds an error at a node.
    pub fn error(&mut self, at: &Node, message: impl Into<String>) {
        self.push(Fault::error(&at.place, message));
    }

    /// Marks a node's text as secret: whoever shows its line blanks it.
    pub fn hide(&mut self, node: &Node) {
        self.secrets.push(node.place.clone());
    }

    /// Whether any is an error.
    #[must_use]
    pub fn any_error(&self) -> bool {
        self.faults.iter().any(|f| f.level == Level::Error)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// All of them, by file, then place.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Fault> {
        let mut all: Vec<&Fault> = self.faults.iter().collect();
        all.sort_by(|a, b| {
            let key = |f: &Fault| (f.place.source.path.clone(), f.place.line, f.place.column);
            key(a).cmp(&key(b))
        });
        all
    }

    /// The byte ranges of a file that must not be shown.
    pub fn hidden_in<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        self.secrets.iter().filter(|s| Arc::ptr_eq(&s.source, &place.source)).map(|s| s.bytes.clone())
    }
}
