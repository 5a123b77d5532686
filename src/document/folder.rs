//! Folders of YAML files: which of them are read, and which look as if they should be.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{Fault, Faults, Place};

/// How the files that are read end.
const ENDINGS: [&str; 2] = ["yaml", "yml"];

/// A folder of YAML files.
#[derive(Debug, Clone, Copy)]
pub struct Folder<'f> {
    /// Where it is.
    pub path: &'f Path,
    /// What its files are: `rule files`.
    pub holds: &'static str,
    /// What people call it: `rules/`.
    pub called: &'static str,
    /// The folder in it that is another's business.
    pub but: Option<&'static str>,
}

impl Folder<'_> {
    /// Its YAML files, in the order of their names; none where it is not there. What lies in it and is passed over, though it seems to be
    /// meant, is warned of; what is hidden is no one's business.
    pub fn files(&self, faults: &mut Faults) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for path in self.entries(faults) {
            if path.is_dir() {
                self.tell_folder(&path, faults);
            } else if is_yaml(&path) {
                files.push(path);
            } else if seems_yaml(&path) {
                let why = format!("this file is not read: {} end in .yaml or .yml, in small letters", self.holds);
                faults.push(Fault::warning(&Place::file(&path), why).hint("rename it"));
            }
        }
        files
    }

    fn tell_folder(&self, path: &Path, faults: &mut Faults) {
        let is_meant = self.but.is_none_or(|but| path.file_name() != Some(OsStr::new(but)));
        let holds_some = || std::fs::read_dir(path).is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(|entry| is_yaml(&entry.path()))));
        if is_meant && (is_yaml(path) || seems_yaml(path) || holds_some()) {
            let why = format!("this is a folder, and no {} are read from folders in {}", self.holds, self.called);
            let hint = format!("put {} into {} itself, and rename or move this folder", self.holds, self.called);
            faults.push(Fault::warning(&Place::file(path), why).hint(hint));
        }
    }

    fn entries(&self, faults: &mut Faults) -> Vec<PathBuf> {
        let listing = match std::fs::read_dir(self.path) {
            Ok(listing) => listing,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    faults.push(Fault::error(&Place::file(self.path), format!("can't list this folder: {error}")));
                }
                return Vec::new();
            }
        };
        let shown = |path: &PathBuf| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
        let mut paths: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).filter(shown).collect();
        paths.sort();
        paths
    }
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(OsStr::to_str).unwrap_or_default()
}

fn is_yaml(path: &Path) -> bool {
    ENDINGS.contains(&ending(path))
}

/// Whether it ends in what people write for YAML: in capital letters, with a slip, or as the JSON that YAML is as well.
fn seems_yaml(path: &Path) -> bool {
    let ending = ending(path);
    ["yaml", "yml", "ymal", "yalm", "json"].iter().any(|known| known.eq_ignore_ascii_case(ending))
        || path.to_string_lossy().to_lowercase().ends_with(".yaml.txt")
        || path.to_string_lossy().to_lowercase().ends_with(".yml.txt")
}
