//! What of a config file is never shown: whatever stands under a key that sounds like a secret, read or not.

use std::{ops::Range, path::Path};

use crate::document::{Fault, Faults, Node, Source, Value, near};

/// Parts of keys whose values may be secrets: a webhook's URL is its password.
const SECRET_WORDS: [&str; 11] = ["secret", "password", "passwd", "token", "url", "smtp", "key", "credential", "auth", "header", "cookie"];
/// Whole keys whose mistyped forms count as well.
const SECRET_KEYS: [&str; 6] = ["client_secret", "password", "secret", "token", "smtp", "headers"];

/// A longer line of a broken file, in bytes, is hidden whole: no one writes such a line, and to search it takes time.
const LONG_LINE: usize = 2_000;

/// Whether the value under `key` may be a secret.
fn sounds_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word)) || near(&key, SECRET_KEYS).is_some()
}

/// Covers every value under a key that sounds like a secret, at any depth. This does not rely on a reader that knows the
/// key: the reader of a source of unknown kind, or of a key that stands twice, never runs.
pub fn cover(node: &Node, faults: &mut Faults) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| cover(item, faults)),
        Value::Map(entries) => {
            for (key, value) in entries {
                if key.as_text().is_some_and(sounds_secret) {
                    faults.cover(value);
                } else {
                    cover(value, faults);
                }
            }
        }
        _ => {}
    }
}

/// The same for the text of a file that is not valid YAML, as byte ranges: the rest of a line behind such a key, and the
/// lines after it until one that begins with a key at the same or a lesser depth.
pub fn in_broken_text(text: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut within: Option<usize> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let depth = line.len() - line.trim_start_matches([' ', '-', '\t']).len();
        let goes_on = within.is_some_and(|above| depth > above || first_key(line).is_none()) && !line.trim().is_empty();
        if goes_on || line.len() > LONG_LINE {
            hidden.push(start..start + line.len());
        } else {
            within = None;
            if let Some(at) = behind_secret_key(line) {
                hidden.push(start + at..start + line.len());
                within = Some(depth);
            }
        }
        start += line.len();
    }
    hidden
}

/// The key a line begins with.
fn first_key(line: &str) -> Option<&str> {
    let (key, rest) = line.trim_start_matches([' ', '-', '\t']).split_once(':')?;
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '"' | '\''));
    (plain && (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))).then_some(key)
}

/// Where the value of the first key that sounds like a secret begins: behind its colon, or `=` or a blank where the slip is
/// that.
fn behind_secret_key(line: &str) -> Option<usize> {
    let start = line.len() - line.trim_start_matches([' ', '-', '\t']).len();
    let first = line[start..].find(|c: char| c.is_whitespace() || matches!(c, ':' | '=')).map_or(line.len(), |at| start + at);
    if line[first..].starts_with([' ', '\t']) && sounds_secret(&line[start..first]) {
        return Some(first);
    }
    line.char_indices().filter(|(_, c)| matches!(c, ':' | '=')).find_map(|(at, _)| {
        let before = &line[..at];
        let word = before.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '"' | '\''))).find(|word| !word.is_empty())?;
        sounds_secret(word.trim_matches(['"', '\''])).then_some(at + 1)
    })
}

/// Warns of a file that holds a secret itself and that others on this machine can read.
pub fn warn_if_open(source: &std::sync::Arc<Source>, faults: &mut Faults) {
    let Some(place) = faults.literal_secret_in(source).cloned() else { return };
    if readable_by_others(&source.path) {
        let message = "a secret stands in this file, and other users of this machine can read the file";
        faults.push(
            Fault::warning(&place, message).hint(format!("write `${{NAME}}` in its place, or `chmod 600 {}`", source.path.display())),
        );
    }
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_sound_secret() {
        for key in [
            "client_secret",
            "client_secrt",
            "password",
            "pasword",
            "token_url",
            "url",
            "smtp",
            "Authorization",
            "api_key",
            "headers",
            "scret",
        ] {
            assert!(sounds_secret(key), "{key}");
        }
        for key in ["kind", "region", "notify", "schedule", "listen", "from", "to", "name", "rate", "timeout", "client_id", "profile"] {
            assert!(!sounds_secret(key), "{key}");
        }
    }

    #[test]
    fn of_a_broken_text_no_line_of_a_secret_is_left() {
        let text = "a:\n  url: 'CANARY\n    CANARY\n  CANARY\n  rate: 5\n  b: { x: 1, secret: CANARY,\n    y: CANARY }\n- token=CANARY\nd:\n  token CANARY\nc: [\n";
        let hidden = in_broken_text(text);
        let mut shown = text.to_owned();
        for range in hidden.iter().rev() {
            shown.replace_range(range.clone(), "\n");
        }
        assert!(!shown.contains("CANARY"), "{shown}");
        for left in ["a:", "  url:", "  rate: 5", "x: 1, secret:", "  token", "c: ["] {
            assert!(shown.contains(left), "{left} in {shown}");
        }
    }
}
