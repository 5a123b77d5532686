//! `${NAME}`, `${NAME:-default}` and `${file:PATH}`, filled in after parsing so that no content can change a document's shape.
//! `$${` stands for `${` itself. A default may hold `${...}` again; what is not needed is not looked up.

use std::path::{Path, PathBuf};

use super::{Faults, Node, Value};

/// Where `${...}` takes its values from; a trait so that a test needs no process-wide variables.
pub trait Environment {
    /// The value of a variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file.
    ///
    /// # Errors
    /// Whatever kept it from being read, in one line.
    fn file(&self, path: &Path) -> Result<String, String>;
}

/// Fills in every text value below `node`. Relative paths start at `folder`. What is missing is added to `faults`.
pub fn expand(node: &mut Node, environment: &dyn Environment, folder: &Path, faults: &mut Faults) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, environment, folder, faults)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| expand(value, environment, folder, faults)),
        Value::Text(text) if text.contains("${") => match filled(text, environment, folder) {
            Ok(value) => {
                node.value = Value::Text(value);
                node.filled = true;
            }
            Err(message) => {
                faults.error(node, message);
                // Readers pass over what could not be filled in: its fault is already told.
                node.value = Value::Null;
                node.filled = true;
            }
        },
        _ => {}
    }
}

fn filled(text: &str, environment: &dyn Environment, folder: &Path) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let end = closing(inner).ok_or_else(|| "`${` without a closing `}`".to_owned())?;
        out.push_str(&one(&inner[..end], environment, folder)?);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace stands that closes a `${`: a default may hold further ones.
fn closing(inner: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut at = 0;
    while let Some(step) = inner.get(at..)?.find(['$', '}']) {
        at += step;
        if inner[at..].starts_with("${") {
            open += 1;
        } else if inner[at..].starts_with('}') {
            match open.checked_sub(1) {
                Some(left) => open = left,
                None => return Some(at),
            }
        }
        at += 1;
    }
    None
}

fn one(reference: &str, environment: &dyn Environment, folder: &Path) -> Result<String, String> {
    if let Some(path) = reference.strip_prefix("file:") {
        let path: PathBuf = folder.join(path);
        return environment
            .file(&path)
            // An editor's last newline is not part of a secret.
            .map(|content| content.trim_end_matches(['\n', '\r']).to_owned())
            .map_err(|why| format!("can't read the file {}: {why}", path.display()));
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let valid =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if !valid {
        // What stands between the braces is not repeated: it may be part of a password that happens to hold `${`.
        return Err(
            "`${…}` without a variable's name in it: write ${NAME}, ${NAME:-default} or ${file:PATH}; $${ stands for ${ itself".into()
        );
    }
    match (environment.variable(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => filled(default, environment, folder),
        (None, None) => Err(format!("the environment variable {name} is not set: set it, or write ${{{name}:-default}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    impl Environment for One {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "SET").then(|| "value".to_owned())
        }
        fn file(&self, _: &Path) -> Result<String, String> {
            Ok("content\n".to_owned())
        }
    }

    #[test]
    fn a_default_may_hold_another() {
        for (text, expected) in [
            ("${NO:-${SET}}", Ok("value")),
            ("a${NO:-b${NO:-${file:x}}c}d", Ok("abcontentcd")),
            ("${SET:-${NO}}", Ok("value")),
            ("${NO:-}${SET}", Ok("value")),
            ("${NO:-$x}}", Ok("$x}")),
            ("${NO:-${NO}}", Err("the environment variable NO is not set: set it, or write ${NO:-default}")),
            ("${NO:-${SET}", Err("`${` without a closing `}`")),
        ] {
            assert_eq!(filled(text, &One, Path::new("")), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }
}
