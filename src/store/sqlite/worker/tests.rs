use super::*;
use crate::store::sqlite::fate::Place;

/// A file with a table, of which a given number of pages may still be used, and a writer on it.
fn writer(folder: &tempfile::TempDir, spare: u32) -> (Writer, Connection) {
    let path = folder.path().join("store.db");
    let open = || {
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
        connection
    };
    let connection = open();
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS tally (what TEXT, first TEXT, second TEXT, n INTEGER, PRIMARY KEY (what, first, second));
             CREATE TABLE IF NOT EXISTS thing (id INTEGER PRIMARY KEY, body BLOB)",
        )
        .unwrap();
    let pages: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.execute_batch(&format!("PRAGMA max_page_count = {}", pages + spare)).unwrap();
    (Writer::start(connection, Place::of(&path).unwrap(), Fate::default(), None).unwrap(), open())
}

async fn put(writer: &Writer, bytes: i64) -> Result<(), StoreError> {
    let write = move |tx: &mut Tx<'_>| {
        tx.db.execute("INSERT INTO thing (body) VALUES (zeroblob(?1))", [bytes])?;
        tx.count("things", "", "", 1);
        Ok(())
    };
    writer.write(Survives::ProcessDeath, write).await
}

/// Keeps the writer busy, from now on, until the reply is dropped, so that what is asked meanwhile comes into one group.
async fn hold(writer: &Arc<Writer>) -> (std::sync::mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), StoreError>>) {
    let (go_on, wait) = channel::<()>();
    let (busy, is_busy) = oneshot::channel();
    let writer = Arc::clone(writer);
    let held = tokio::spawn(async move {
        let write = move |_: &mut Tx<'_>| {
            let _ = busy.send(());
            let _ = wait.recv();
            Ok(())
        };
        writer.write(Survives::ProcessDeath, write).await
    });
    is_busy.await.unwrap();
    (go_on, held)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_transaction_the_database_undid_is_undone_for_each_of_its_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, look) = writer(&folder, 4);
    let writer = Arc::new(writer);
    let (go_on, held) = hold(&writer).await;
    let mut asked = [10, 1_000_000, 10, 10].map(|bytes| Box::pin(put(&writer, bytes)));
    let ask_all = std::future::poll_fn(|context| {
        let waiting = asked.iter_mut().all(|one| one.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(waiting)
    });
    assert!(ask_all.await, "all of them wait for the one that is held");
    drop(go_on);
    held.await.unwrap().unwrap();
    let mut succeeded = 0;
    for one in asked {
        succeeded += i64::from(one.await.is_ok());
    }
    let things: i64 = look.query_row("SELECT count(*) FROM thing", [], |row| row.get(0)).unwrap();
    let counted: i64 = look.query_row("SELECT coalesce(sum(n), 0) FROM tally WHERE what = 'things'", [], |row| row.get(0)).unwrap();
    assert_eq!((things, counted), (succeeded, succeeded), "what is on disk, what the sums say, and what the callers were told");
    assert!(succeeded < 4);
}
