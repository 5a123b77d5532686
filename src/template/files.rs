//! Finding and reading the user's template files, and nothing outside of their folder.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::part::Part;
use crate::document::{Fault, Faults, Place, Source, near};

/// The largest template read; a larger one is a fault. No channel takes a message of this size.
pub const TEMPLATE_BYTES: usize = 64 * 1024;

/// What stands in the templates' folder: a set, and one of its files if there is one to read.
pub(super) struct Found {
    pub(super) set: String,
    pub(super) part: Option<Part>,
    pub(super) source: Option<Arc<Source>>,
}

/// Reads every file of every set below `folder`.
pub(super) fn read(folder: &Path, faults: &mut Faults) -> Vec<Found> {
    let mut found = Vec::new();
    let Some(inside) = fs::canonicalize(folder).ok().filter(|inside| inside.is_dir()) else {
        if folder.exists() {
            tell(folder, "is no folder", faults);
        }
        return found;
    };
    for (name, path) in entries(folder, faults) {
        if !path.is_dir() {
            // Who keeps a note there knows that it is none.
            if !name.to_lowercase().ends_with(".md") {
                let known = Part::ALL.iter().map(|part| part.file());
                let name = Part::of_file(&name).map(Part::file).or_else(|| near(&name, known)).unwrap_or("slack.json.hbs");
                let fault = Fault::warning(&at(&path), "the file stands outside of any set and is not used");
                faults.push(
                    fault.hint(format!("a set is a folder: move it to a path such as {}", folder.join("alert").join(name).display())),
                );
            }
            continue;
        }
        if !stays(&path, &inside) {
            tell(&path, "leads out of the templates' folder", faults);
            continue;
        }
        found.push(Found { set: name.clone(), part: None, source: None });
        for (file, path) in entries(&path, faults) {
            let Some(part) = Part::of_file(&file) else {
                unknown(&file, &path, faults);
                continue;
            };
            if let Some(text) = contents(&path, &inside, faults) {
                found.push(Found { set: name.clone(), part: Some(part), source: Some(Arc::new(Source { path, text })) });
            }
        }
    }
    found
}

/// The entries of a folder by name; hidden ones are an editor's or a volume's own.
fn entries(folder: &Path, faults: &mut Faults) -> Vec<(String, PathBuf)> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut all: Vec<_> = match listed {
        Ok(listed) => listed.iter().map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect(),
        Err(error) => {
            tell(folder, &format!("can't be read: {error}"), faults);
            Vec::new()
        }
    };
    all.retain(|(name, _)| !name.starts_with('.'));
    all.sort();
    all
}

fn unknown(file: &str, path: &Path, faults: &mut Faults) {
    let known = Part::ALL.iter().map(|part| part.file());
    let fault = Fault::warning(&at(path), format!("no channel uses a file named `{file}`"));
    faults.push(fault.hint(match near(file, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
    }));
}

/// Whether a path, every link followed, is still below `inside`.
fn stays(path: &Path, inside: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|real| real.starts_with(inside))
}

fn contents(path: &Path, inside: &Path, faults: &mut Faults) -> Option<String> {
    // What it is is looked at before it is opened: opening a pipe waits for its other end.
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => tell(path, "is no regular file", faults),
        Ok(_) if !stays(path, inside) => tell(path, "leads out of the templates' folder", faults),
        Ok(_) => {
            let mut text = Vec::new();
            let read = fs::File::open(path).and_then(|file| file.take(TEMPLATE_BYTES as u64 + 1).read_to_end(&mut text));
            match read {
                Err(error) => tell(path, &format!("can't be read: {error}"), faults),
                Ok(length) if length > TEMPLATE_BYTES => tell(path, &format!("is larger than {TEMPLATE_BYTES} bytes"), faults),
                Ok(_) => match String::from_utf8(text) {
                    // A byte order mark, which editors on Windows write, is no part of a message.
                    Ok(text) => return Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
                    Err(_) => tell(path, "is no UTF-8 text", faults),
                },
            }
        }
        Err(error) => tell(path, &format!("can't be read: {error}"), faults),
    }
    None
}

fn tell(path: &Path, what: &str, faults: &mut Faults) {
    faults.push(Fault::error(&at(path), format!("the template {what}")));
}

/// The place of a file that was not read.
fn at(path: &Path) -> Place {
    Place { source: Arc::new(Source { path: path.to_owned(), text: String::new() }), line: 1, column: 1, bytes: 0..0 }
}
