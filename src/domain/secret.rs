//! Text that must never be shown.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// So many bytes of a secret in a row are a part of it.
const TELLING: usize = 8;

/// A password, key, token or secret-bearing URL. It has no `Display` and no `Serialize`; its `Debug` shows `[secret]`;
/// its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself, for the one place that sends it. Never for a log or an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether a text holds a telling part of it: servers like to repeat what was said to them, and not always the whole.
    #[must_use]
    pub fn is_told_in(&self, text: &str) -> bool {
        let secret = self.expose().as_bytes();
        let telling = TELLING.min(secret.len());
        let whole = |part: &[u8]| text.as_bytes().windows(telling).any(|window| window == part);
        telling > 0 && secret.windows(telling).any(whole)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_text() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }

    #[test]
    fn a_part_that_is_told_is_found() {
        let told = |secret: &str, text: &str| Secret::new(secret).is_told_in(text);
        assert!(told("b", "abc") && told("hunter2-hunter2", "xx hunter2- xx") && told("é-password", "<é-password>"));
        assert!(!told("", "abc") && !told("b", "") && !told("hunter2-hunter2", "hunter2"));
    }
}
