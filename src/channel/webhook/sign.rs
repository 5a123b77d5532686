//! The signature of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, in base64, behind `v1,`.

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::Secret;

/// What stands before a secret in base64.
const PREFIX: &str = "whsec_";
/// The fewest bytes of a secret ("between 24 bytes and 64 bytes"). More than 64 are taken: they harm nothing.
const FEWEST: usize = 24;

/// A secret to sign with.
#[derive(Debug, Clone)]
pub struct Key {
    written: Secret,
    /// In base64: a secret's memory is wiped, and holds text.
    bytes: Secret,
}

impl Key {
    /// Reads `whsec_` and base64; any other text is the secret itself.
    ///
    /// # Errors
    /// It is no base64, or too short; in one line that does not repeat it.
    pub fn read(written: &str) -> Result<Self, String> {
        let bytes = match written.strip_prefix(PREFIX) {
            Some(encoded) => BASE64_STANDARD.decode(encoded).map_err(|_| format!("behind `{PREFIX}` a secret must be in base64"))?,
            None => written.as_bytes().to_vec(),
        };
        if bytes.len() < FEWEST {
            return Err(format!("the secret has {} bytes; a signature needs one of at least {FEWEST}", bytes.len()));
        }
        Ok(Self { written: Secret::new(written), bytes: Secret::new(BASE64_STANDARD.encode(bytes)) })
    }

    /// The value of `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let key = BASE64_STANDARD.decode(self.bytes.expose()).unwrap_or_default();
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// The secret's texts, to be kept out of what is shown.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        [self.written.expose(), self.written.expose().trim_start_matches(PREFIX)].into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemes_own_example_comes_out() {
        // From the scheme's reference libraries.
        let key = Key::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_base64_behind_the_prefix_and_itself_without() {
        let raw = "0123456789abcdefghijklmn";
        let encoded = format!("whsec_{}", BASE64_STANDARD.encode(raw));
        assert_eq!(Key::read(raw).unwrap().sign("a", 1, "b"), Key::read(&encoded).unwrap().sign("a", 1, "b"));
        assert!(Key::read("short").unwrap_err().contains("has 5 bytes"));
        assert!(Key::read("whsec_c2hvcnQ=").unwrap_err().contains("has 5 bytes"));
        assert!(Key::read("whsec_!!!").unwrap_err().contains("base64"));
        assert!(!format!("{:?}", Key::read(raw).unwrap()).contains("0123"));
    }
}
