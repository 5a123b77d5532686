//! Every message as its reader would see it, made from what really arrived.

pub mod canvas;
mod mail;
pub mod markup;
mod slack;
mod teams;
mod webhook;

use serde_json::Value;

use canvas::{Line, Style};

pub use mail::{Letter, lines as mail};
pub use slack::lines as slack;
pub use teams::lines as teams;
pub use webhook::{Verified, lines as webhook};

/// A text of a message, or nothing.
fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An element that this view has no picture of is named, so that nothing is missing in silence.
fn unshown(kind: Option<&str>, width: usize) -> Vec<Line> {
    Line::of(&format!("[{}]", kind.unwrap_or("?")), Style::DIM).wrapped(width)
}
