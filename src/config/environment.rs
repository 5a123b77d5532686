//! Where `${...}` takes its values from in the running program.

use std::path::Path;

use crate::document::{Environment, read_bounded};

/// The largest file that `${file:PATH}` takes in: far beyond any secret.
const SECRET_BYTES: usize = 64 * 1024;

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        String::from_utf8(read_bounded(path, SECRET_BYTES)?).map_err(|_| "it is not UTF-8 text".into())
    }
}
