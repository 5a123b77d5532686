//! What the files of a config held when they were read, so that a change of them is known from a touch.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};

use super::{Config, environment::ProcessEnvironment, load};
use crate::document::{Environment, FILE_BYTES, Faults, Fingerprint, fingerprint, read_bounded};

/// How deep below `templates/` a file is used: in the folder of its set.
const DEEP: usize = 2;

/// The files of a config, as they were last read.
#[derive(Debug)]
pub struct Files {
    config: PathBuf,
    read: Mutex<Contents>,
}

/// What files held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Contents {
    /// The config file, rules and templates.
    own: Fingerprint,
    /// Those that values name as `${file:PATH}`.
    named: BTreeMap<PathBuf, Fingerprint>,
    /// Those that values name by their paths: certificates.
    beside: BTreeMap<PathBuf, Fingerprint>,
}

/// How files look from outside: what of them changes when they do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance(Vec<(PathBuf, Option<Look>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    device: u64,
    file: u64,
    size: u64,
    modified: (i64, i64),
    /// Moves also where the time of modification is set back on purpose.
    changed: (i64, i64),
}

impl Files {
    /// Those of the config file at `config`; nothing is read yet.
    #[must_use]
    pub fn of(config: &Path) -> Self {
        Self { config: config.to_owned(), read: Mutex::default() }
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Loads them in this process's environment, and remembers what they held.
    #[must_use]
    pub fn load(&self) -> (Option<Config>, Faults) {
        // Before they are read: what changes meanwhile is a change still to be noticed.
        let own = self.own();
        let environment = Remembering::default();
        let loaded = load(&self.config, &environment);
        let named = environment.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let beside = loaded.1.files_beside().iter().cloned().collect();
        *self.last() = Contents { own, named, beside };
        loaded
    }

    /// Whether they hold something else than when they were last read. A touch changes nothing.
    #[must_use]
    pub fn differ(&self) -> bool {
        let before = self.last().clone();
        let named = before.named.keys().map(|path| (path.clone(), fingerprint(&ProcessEnvironment.file(path)))).collect();
        let beside = before.beside.keys().map(|path| (path.clone(), fingerprint(&read_bounded(path, FILE_BYTES)))).collect();
        Contents { own: self.own(), named, beside } != before
    }

    /// A look at them, which opens none.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let mut paths = self.paths();
        let last = self.last().clone();
        paths.extend(last.named.into_keys().chain(last.beside.into_keys()));
        // Links are followed: a volume of Kubernetes changes by one that points elsewhere.
        Glance(paths.into_iter().map(|path| (path.clone(), fs::metadata(&path).ok().map(|meta| look(&meta)))).collect())
    }

    fn last(&self) -> MutexGuard<'_, Contents> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The config file, every rule file, and every file of a set of templates.
    fn paths(&self) -> Vec<PathBuf> {
        let folder = self.config.parent().unwrap_or_else(|| Path::new(""));
        let mut paths = vec![self.config.clone()];
        below(&folder.join("rules"), 1, &mut paths);
        below(&folder.join("templates"), DEEP, &mut paths);
        let is_used = |path: &PathBuf| {
            let ending = path.extension().and_then(OsStr::to_str);
            *path == self.config || ending.is_some_and(|ending| matches!(ending, "yaml" | "yml" | "hbs"))
        };
        paths.retain(is_used);
        paths
    }

    fn own(&self) -> Fingerprint {
        let mut all = Sha256::new();
        for path in self.paths() {
            all.update(fingerprint(&Ok::<_, String>(path.as_os_str().as_encoded_bytes())));
            all.update(fingerprint(&read_bounded(&path, FILE_BYTES)));
        }
        all.finalize().into()
    }
}

/// The files below a folder, in the order of their names; hidden ones are an editor's or a volume's own.
fn below(folder: &Path, deep: usize, found: &mut Vec<PathBuf>) {
    let Ok(listing) = fs::read_dir(folder) else { return };
    let hidden = |path: &PathBuf| path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut paths: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !hidden(path)).collect();
    paths.sort();
    for path in paths {
        if !path.is_dir() {
            found.push(path);
        } else if deep > 1 {
            below(&path, deep - 1, found);
        }
    }
}

fn look(meta: &fs::Metadata) -> Look {
    Look {
        device: meta.dev(),
        file: meta.ino(),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    }
}

/// The process's environment, and what the files held that were asked of it.
#[derive(Default)]
struct Remembering(Mutex<BTreeMap<PathBuf, Fingerprint>>);

impl Environment for Remembering {
    fn variable(&self, name: &str) -> Option<String> {
        ProcessEnvironment.variable(name)
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let content = ProcessEnvironment.file(path);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), fingerprint(&content));
        content
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const CONFIG: &str = "\
sources: { contoso: { kind: aos_scan_jobs, region: us, client_id: app, certificate: { path: app.pem } } }
channels:
  hook: { kind: webhook, url: '${file:url.txt}' }
  mail: { kind: email, smtp: 'smtp://localhost', from: a@b.example, to: c@b.example, tls_ca: ca.pem }
";

    fn home() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        for below in ["rules/tests", "templates/alert"] {
            fs::create_dir_all(folder.path().join(below)).unwrap();
        }
        for (file, text) in
            [("jobrelay.yaml", CONFIG), ("rules/a.yaml", "a"), ("templates/alert/slack.json.hbs", "{}"), ("url.txt", "x"), ("ca.pem", "x")]
        {
            fs::write(folder.path().join(file), text).unwrap();
        }
        let files = Files::of(&folder.path().join("jobrelay.yaml"));
        let _ = files.load();
        (folder, files)
    }

    #[test]
    fn what_is_read_counts_and_nothing_else() {
        let cases = [
            ("jobrelay.yaml", Some("a: b"), true),
            ("rules/a.yaml", Some("b"), true),
            ("rules/a.yaml", None, true),
            ("rules/b.yml", Some(""), true),
            ("rules/a.yaml~", Some("b"), false),
            ("rules/.a.yaml.swp", Some("b"), false),
            ("rules/tests/a.yaml", Some("b"), false),
            ("templates/alert/slack.json.hbs", Some("[]"), true),
            ("url.txt", Some("y"), true),
            ("url.txt", None, true),
            // Of a certificate that was not there too.
            ("app.pem", Some("x"), true),
            ("ca.pem", Some("y"), true),
            ("ca.pem", None, true),
            ("other.pem", Some("x"), false),
            ("jobrelay.db-wal", Some("b"), false),
            ("rules/a.yaml", Some("a"), false),
        ];
        for (file, text, differs) in cases {
            let (folder, files) = home();
            let (path, before) = (folder.path().join(file), files.glance());
            assert!(!files.differ() && files.glance() == before);
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert_eq!(files.differ(), differs, "{file}: {text:?}");
            if differs {
                assert_ne!(files.glance(), before, "{file}: {text:?}");
            }
            let _ = files.load();
            assert!(!files.differ(), "{file}: it is read");
        }
    }

    #[test]
    fn a_volume_that_is_swapped_and_a_file_that_is_renamed_over_are_noticed() {
        let (folder, files) = home();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", "a"), ("..2", "b")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a.yaml"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        fs::remove_file(at("rules/a.yaml")).unwrap();
        symlink("../..data/a.yaml", at("rules/a.yaml")).unwrap();
        assert!(!files.differ(), "the same by another way");
        let before = files.glance();
        symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        assert!(files.differ() && files.glance() != before);
        let _ = files.load();
        let before = files.glance();
        fs::write(at("new"), "c: d").unwrap();
        fs::rename(at("new"), at("jobrelay.yaml")).unwrap();
        assert!(files.differ() && files.glance() != before);
    }
}
