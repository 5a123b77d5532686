//! The embedded store in a file of its own, and what only a file can do.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use jobrelay::store::{
    JobFilter, Store,
    sqlite::{Access, OpenError, Sqlite},
};

use super::{Place, claim, deliveries, each_job, fail, sums};
use super::{Retry, Verdict, at, settle};

pub struct File {
    folder: tempfile::TempDir,
}

impl File {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobrelay.db")
    }

    fn access(&self, access: Access) -> Result<Sqlite, OpenError> {
        Sqlite::open(&self.path(), access)
    }
}

#[async_trait]
impl Place for File {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.access(Access::Service).unwrap())
    }

    async fn beside(&self) -> Arc<dyn Store> {
        Arc::new(self.access(Access::Beside).unwrap())
    }

    async fn after_a_kill(&self) -> Arc<dyn Store> {
        // What a killed process leaves is what it has handed to the system: the files as they stand, with their log.
        let left = self.folder.path().join("left");
        fs::create_dir(&left).unwrap();
        for name in ["jobrelay.db", "jobrelay.db-wal"] {
            fs::copy(self.folder.path().join(name), left.join(name)).unwrap();
        }
        Arc::new(Sqlite::open(&left.join("jobrelay.db"), Access::Service).unwrap())
    }
}

#[tokio::test]
async fn a_file_has_one_service() {
    let place = File::new();
    let store = place.open().await;
    let second = place.access(Access::Service).err().unwrap();
    assert!(matches!(&second, OpenError::InUse(path) if *path == place.path()), "{second}");
    drop(store);
    place.access(Access::Service).unwrap();
}

#[tokio::test]
async fn its_files_are_for_their_owner_alone_and_a_mode_that_was_chosen_stays() {
    use std::os::unix::fs::PermissionsExt;
    let place = File::new();
    let modes = || {
        let mut modes: Vec<(String, u32)> = fs::read_dir(place.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o777))
            .collect();
        modes.sort();
        modes
    };
    let store = place.open().await;
    fail(&*store, at(0), &["Scan-1"], &["a"]).await;
    let all = ["jobrelay.db", "jobrelay.db-sent", "jobrelay.db-shm", "jobrelay.db-wal", "jobrelay.db.lock"];
    assert_eq!(modes(), all.map(|name| (name.to_owned(), 0o600)));
    drop(store);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o640)).unwrap();
    let _store = place.open().await;
    assert_eq!(modes()[0], ("jobrelay.db".to_owned(), 0o640));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_beside_the_service_sees_and_changes_what_it_works_on() {
    let place = File::new();
    let missing = place.access(Access::Beside).err().unwrap();
    assert!(matches!(missing, OpenError::Missing(_)), "{missing}");
    assert!(!place.path().exists(), "a look makes no file");
    let service = place.open().await;
    fail(&*service, at(0), &["Scan-1"], &["a"]).await;
    let id = claim(&*service, "a", at(0)).await[0].id;
    let command = place.beside().await;
    assert_eq!(deliveries(&*command, "pending").await.len(), 1);
    settle(&*service, id, at(0), Verdict::Dead).await;
    assert_eq!(command.retry(Retry::Dead, at(1)).await.unwrap(), 1);
    drop(command);
    assert_eq!(each_job(&claim(&*service, "a", at(1)).await), [["Scan-1"]]);
    settle(&*service, id, at(1), Verdict::Delivered).await;
    assert_eq!(sums(&service.tally().await.unwrap(), "a").1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_takes_no_lease_from_the_service() {
    let place = File::new();
    let service = place.open().await;
    fail(&*service, at(0), &["Scan-1"], &["a"]).await;
    assert_eq!(claim(&*service, "a", at(0)).await.len(), 1);
    let command = place.beside().await;
    assert_eq!(claim(&*command, "a", at(0)).await.len(), 0, "opening it beside the service voids nothing");
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_left_alone() {
    let place = File::new();
    drop(place.open().await);
    let raw = rusqlite::Connection::open(place.path()).unwrap();
    let ours: i64 = raw.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    raw.execute_batch("PRAGMA user_version = 9999").unwrap();
    drop(raw);
    let before = fs::read(place.path()).unwrap();
    for access in [Access::Service, Access::Beside] {
        let refused = place.access(access).err().unwrap().to_string();
        assert!(refused.contains("9999") && refused.contains("newer jobrelay"), "{refused}");
    }
    assert_eq!(fs::read(place.path()).unwrap(), before);
    // What was refused holds no lock.
    rusqlite::Connection::open(place.path()).unwrap().execute_batch(&format!("PRAGMA user_version = {ours}")).unwrap();
    place.access(Access::Service).unwrap();
}

/// As each released version left it.
#[tokio::test]
async fn a_file_of_an_older_program_is_brought_up_to_date_by_a_service_alone() {
    let mut steps: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    steps.sort();
    assert!(steps.len() > 5);
    for version in 1..steps.len() {
        let place = File::new();
        let raw = rusqlite::Connection::open(place.path()).unwrap();
        for step in &steps[..version] {
            raw.execute_batch(&fs::read_to_string(step).unwrap()).unwrap();
        }
        raw.execute_batch(&format!(
            "PRAGMA user_version = {version};
             INSERT INTO job (source, id, run, state, started, finished, profile, ended, first_seen)
             VALUES ('contoso', 'Scan-1', 1, 2, 1000000, 2000000, 'nightly', 1, 3000000);"
        ))
        .unwrap();
        let refused = place.access(Access::Beside).err().unwrap().to_string();
        assert!(
            refused.contains(&format!("version {version}")) && refused.contains("older jobrelay") && !refused.contains('\n'),
            "{refused}"
        );
        assert_eq!(raw.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), i64::try_from(version).unwrap());
        drop((raw, place.open().await));
        let jobs = place.beside().await.jobs(JobFilter { limit: 9, ..JobFilter::default() }).await.unwrap();
        assert_eq!(jobs[0].job.id, "Scan-1");
    }
}

#[tokio::test]
async fn what_is_no_store_is_told_with_its_path() {
    let place = File::new();
    fs::write(place.path(), "these are the notes of someone, and no database at all, whatever the name of the file may say").unwrap();
    let refused = place.access(Access::Service).err().unwrap().to_string();
    assert!(refused.contains("jobrelay.db"), "{refused}");
    assert!(fs::read_to_string(place.path()).unwrap().starts_with("these are the notes"));
}
