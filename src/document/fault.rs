//! What is wrong in a file, and where.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{FILE_BYTES, Fingerprint, Node, Place, Source, Value, fingerprint, read_bounded};

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
    /// What led to it, each in one line.
    pub notes: Vec<String>,
}

impl Fault {
    /// An error at `place`.
    #[must_use]
    pub fn error(place: &Place, message: impl Into<String>) -> Self {
        Self { level: Level::Error, place: place.clone(), message: message.into(), hint: None, notes: Vec::new() }
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

    /// The same fault with one more line on what led to it.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Every fault met so far, the places that must not be shown, and what else was read.
#[derive(Debug, Default)]
pub struct Faults {
    told: Vec<Fault>,
    hidden: Vec<(Arc<Source>, Range<usize>)>,
    literal: Vec<Place>,
    broken: Vec<Arc<Source>>,
    beside: Vec<(PathBuf, Fingerprint)>,
}

impl Faults {
    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.told.push(fault);
    }

    /// Adds all of another reading.
    pub fn append(&mut self, other: Self) {
        let Self { told, hidden, literal, broken, beside } = other;
        self.told.extend(told);
        self.hidden.extend(hidden);
        self.literal.extend(literal);
        self.broken.extend(broken);
        self.beside.extend(beside);
    }

    /// Notes a file that a value names, such as a certificate, before it is read: what it holds is a part of the config.
    pub fn beside(&mut self, path: &Path) {
        self.beside.push((path.to_owned(), fingerprint(&read_bounded(path, FILE_BYTES))));
    }

    /// The files that values name, each with what it held.
    #[must_use]
    pub fn files_beside(&self) -> &[(PathBuf, Fingerprint)] {
        &self.beside
    }

    /// Adds an error at a node.
    pub fn error(&mut self, at: &Node, message: impl Into<String>) {
        self.push(Fault::error(&at.place, message));
    }

    /// Marks a node as secret: whoever shows its line blanks it.
    pub fn hide(&mut self, node: &Node) {
        if !node.filled && !matches!(node.value, Value::Null) {
            self.literal.push(node.place.clone());
        }
        self.cover(node);
    }

    /// Marks a node as one that may hold a secret by mistake (the value of a mistyped key): its line is shown without it.
    pub fn cover(&mut self, node: &Node) {
        self.hidden.push((Arc::clone(&node.place.source), node.extent()));
    }

    /// Marks a file as one whose syntax is broken: no reader could tell what of it is secret.
    pub fn break_off(&mut self, source: &Arc<Source>) {
        self.broken.push(Arc::clone(source));
    }

    /// Whether a file's syntax is broken.
    #[must_use]
    pub fn is_broken(&self, source: &Arc<Source>) -> bool {
        self.broken.iter().any(|broken| Arc::ptr_eq(broken, source))
    }

    /// The first secret of a file that stands there itself, not as `${...}`.
    #[must_use]
    pub fn literal_secret_in(&self, source: &Arc<Source>) -> Option<&Place> {
        self.literal.iter().find(|place| Arc::ptr_eq(&place.source, source))
    }

    /// Whether any is an error.
    #[must_use]
    pub fn any_error(&self) -> bool {
        self.told.iter().any(|f| f.level == Level::Error)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// All of them, by file, then place.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Fault> {
        let mut all: Vec<&Fault> = self.told.iter().collect();
        all.sort_by(|a, b| {
            let key = |f: &Fault| (f.place.source.path.clone(), f.place.line, f.place.column);
            key(a).cmp(&key(b))
        });
        all
    }

    /// How many are of a level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.told.iter().filter(|fault| fault.level == level).count()
    }

    /// The byte ranges of a file that must not be shown.
    pub fn hidden_in<'a>(&'a self, source: &'a Arc<Source>) -> impl Iterator<Item = Range<usize>> + 'a {
        self.hidden.iter().filter(|(of, _)| Arc::ptr_eq(of, source)).map(|(_, bytes)| bytes.clone())
    }
}
