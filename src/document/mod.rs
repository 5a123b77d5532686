//! YAML files with their places: read into a tree whose every node knows its line and column, checked by readers that
//! collect every fault instead of stopping at the first.
//!
//! Raw first, meaning second: this room knows YAML and places; what a key means is known to the room that reads it.

mod expand;
mod fault;
mod folder;
mod node;
mod open;
mod reader;
mod shape;
mod slip;
mod yaml;

pub use expand::{Environment, expand};
pub use fault::{Fault, Faults, Level};
pub use folder::Folder;
pub use node::{FILE_BYTES, Node, Place, Source, Value};
pub use open::{Fingerprint, fingerprint, open, read_bounded};
pub use reader::{Fields, boolean, duration, integer, near, one_or_many, text, text_list};
pub use shape::{DURATION, DURATION_PAIR, Form, Key, Keys};
pub use yaml::parse;
