//! A template that stands in the config itself instead of in a file of its own.

use std::sync::Arc;

use super::{
    check, compile,
    engine::{Engine, RenderFailure},
    part::Landing,
    sample,
    view::{View, view},
};
use crate::document::{Fault, Faults, Node, Place, Source, text};

/// The name of the one template.
const NAME: &str = "body";

/// A JSON document as a Handlebars template.
pub struct Inline(Engine);

impl std::fmt::Debug for Inline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets may have been filled in.
        f.write_str("Inline")
    }
}

impl Inline {
    /// Reads a template and tries it with sample data; what is wrong with it is told at its line in the config.
    pub fn read(node: &Node, faults: &mut Faults) -> Option<Self> {
        let written = text(node, faults)?;
        let source = Arc::new(Source { path: format!("the template `{NAME}`").into(), text: written });
        let mut inner = Faults::default();
        let inline = Self::compiled(&source, &mut inner);
        for fault in inner.sorted() {
            let mut told = Fault::error(&in_document(node, &fault.place), &fault.message);
            // What was filled in may be a secret, and a hint may show the text around the fault.
            told.hint = fault.hint.clone().filter(|_| !node.filled);
            faults.push(told);
        }
        inline
    }

    fn compiled(source: &Arc<Source>, faults: &mut Faults) -> Option<Self> {
        let template = compile::compile(source, faults)?;
        if !check::check(&template, source, faults) {
            return None;
        }
        let mut engine = Engine::default();
        engine.put(NAME, template, Arc::clone(source));
        for (what, notification) in sample::samples() {
            let data = view(&notification, notification.alerts.len(), sample::now(), None, None);
            if let Err(fault) = engine.try_out(Landing::Json, NAME, &data, what) {
                faults.push(fault);
                return None;
            }
        }
        Some(Self(engine))
    }

    /// Renders it.
    ///
    /// # Errors
    /// The template failed: line, column and what was wrong, in one line.
    pub fn render(&self, view: &View) -> Result<String, RenderFailure> {
        self.0.render(Landing::Json, NAME, view)
    }
}

/// The place in the config of a place in the template: the line that reads the same, at or below the node's own. A text that
/// was filled in has none but the node's.
fn in_document(node: &Node, inner: &Place) -> Place {
    let wanted = inner.source.text.lines().nth(inner.line - 1).unwrap_or_default();
    let mut start = 0;
    for (number, line) in (1..).zip(node.place.source.text.split_inclusive('\n')) {
        if let Some(at) = line.find(wanted.trim()).filter(|_| number >= node.place.line && !node.filled && !wanted.trim().is_empty()) {
            let indent = wanted.len() - wanted.trim_start().len();
            let column = line[..at].chars().count() + (inner.column - 1).saturating_sub(indent) + 1;
            let first = start + line.char_indices().nth(column - 1).map_or(line.len(), |(at, _)| at);
            let length = inner.bytes.len().min(line.len() - (first - start).min(line.len()));
            return Place { source: Arc::clone(&node.place.source), line: number, column, bytes: first..first + length };
        }
        start += line.len();
    }
    node.place.clone()
}
