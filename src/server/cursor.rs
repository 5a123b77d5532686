//! A place in a list, handed out and given back: opaque to whoever carries it, and checked when it comes back.
//!
//! It holds the key of the last entry shown, not how many were: rows that come and go meanwhile neither repeat nor hide others.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// So many bytes of a digest stand before what they are of: against mistakes, not against forgers, who could but choose a place in a
/// list that they may read anyway.
const CHECK: usize = 8;
/// What the digest begins with; a later form of cursors begins otherwise.
const FORM: &[u8] = b"jobrelay cursor 1\n";

/// What a cursor holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor<K> {
    /// The path of the list.
    pub list: String,
    /// Its filters.
    pub filters: Vec<(String, String)>,
    /// How many entries a page has.
    pub limit: u32,
    /// From when on.
    pub since: Option<Timestamp>,
    /// The place of the last entry shown.
    pub key: K,
}

/// As much of a cursor as tells whose it is.
#[derive(Deserialize)]
struct Whose {
    list: String,
}

/// Writes a cursor.
pub fn seal<K: Serialize>(cursor: &Cursor<K>) -> String {
    // Texts and numbers: these can always be written.
    let inside = serde_json::to_vec(cursor).unwrap_or_default();
    let mut bytes = check(&inside);
    bytes.extend(inside);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor of a list.
///
/// # Errors
/// It is none, or that of another list.
pub fn open<K: DeserializeOwned>(text: &str, list: &str) -> Result<Cursor<K>, Problem> {
    let none = || Problem::bad(format!("`cursor` is not one of {list}: give what an answer has as `next`, unchanged, or leave it out"));
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| none())?;
    let (checked, inside) = bytes.split_at_checked(CHECK).ok_or_else(none)?;
    if checked != check(inside) {
        return Err(none());
    }
    let Whose { list: of } = serde_json::from_slice(inside).map_err(|_| none())?;
    if of != list {
        return Err(Problem::bad(format!("`cursor` is one of {of}, not of {list}")));
    }
    serde_json::from_slice(inside).map_err(|_| none())
}

fn check(inside: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(FORM).chain_update(inside).finalize().iter().take(CHECK).copied().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor(id: &str) -> Cursor<(i64, String)> {
        let filters = vec![("source".to_owned(), "contoso".to_owned())];
        Cursor {
            list: "/api/v1/jobs".into(),
            filters,
            limit: 7,
            since: Timestamp::from_second(1_800_000_000).ok(),
            key: (-5, id.to_owned()),
        }
    }

    fn read(text: &str, list: &str) -> Result<Cursor<(i64, String)>, Problem> {
        open(text, list)
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back_and_no_changed_one_does(id in ".{0,40}", at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_-]") {
            let sealed = seal(&cursor(&id));
            prop_assert!(sealed.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "it needs no escape in an address");
            prop_assert_eq!(read(&sealed, "/api/v1/jobs").unwrap(), cursor(&id));
            prop_assert!(read(&sealed, "/api/v1/alerts").unwrap_err().error.contains("is one of /api/v1/jobs, not of /api/v1/alerts"));
            let at = at.index(sealed.len());
            let changed = format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]);
            prop_assert!(changed == sealed || read(&changed, "/api/v1/jobs").is_err());
        }

        #[test]
        fn whatever_is_sent_is_refused_in_words(text in ".{0,200}") {
            prop_assert!(read(&text, "/api/v1/jobs").unwrap_err().error.contains("`next`"));
        }
    }
}
