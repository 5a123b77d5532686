//! Opening files: only regular ones, only up to a size, and only UTF-8.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use sha2::{Digest, Sha256};

use super::{FILE_BYTES, Fault, Faults, Place, Source};

/// Reads a YAML file; what keeps it from being read is added to `faults`. A byte order mark is passed over.
pub fn open(path: &Path, faults: &mut Faults) -> Option<Arc<Source>> {
    let bytes = match read_bounded(path, FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(why) => {
            faults.push(Fault::error(&Place::file(path), format!("can't read this file: {why}")));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => {
            let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
            Some(Arc::new(Source { path: path.to_owned(), text }))
        }
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
            let line = text.matches('\n').count() + 1;
            let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            // The text is left out: a line that can't be read is not shown.
            let source = Arc::new(Source { path: path.to_owned(), text: String::new() });
            let fault = Fault::error(&Place { source, line, column, bytes: 0..0 }, "not UTF-8 text from here on");
            faults.push(fault.hint("save it as UTF-8"));
            None
        }
    }
}

/// What tells one content of a file from another.
pub type Fingerprint = [u8; 32];

/// The fingerprint of what was read or, where it could not be, of why.
#[must_use]
pub fn fingerprint(content: &Result<impl AsRef<[u8]>, String>) -> Fingerprint {
    let mut hash = Sha256::new();
    match content {
        Ok(content) => {
            hash.update([1]);
            hash.update(content);
        }
        Err(why) => {
            hash.update([0]);
            hash.update(why);
        }
    }
    hash.finalize().into()
}

/// The content of a regular file of at most `most` bytes. A pipe or a device is refused: reading it could wait for ever.
///
/// # Errors
/// What kept it from being read, in one line that does not name it.
pub fn read_bounded(path: &Path, most: usize) -> Result<Vec<u8>, String> {
    let plain = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    // Looked at before it is opened: opening a pipe waits for its writer.
    let about = std::fs::metadata(path).map_err(plain)?;
    if !about.is_file() {
        return Err(if about.is_dir() { "it is a folder".into() } else { "it is no regular file".into() });
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(plain)?.take(most as u64 + 1).read_to_end(&mut bytes).map_err(plain)?;
    if bytes.len() > most { Err(format!("it is larger than {most} bytes")) } else { Ok(bytes) }
}
