
/// A store too large to be read through before the start.
async fn large(path: &Path) {
    use jobrelay::{
        domain::{Job, State},
        store::{
            Intake, JobChange, Store,
            sqlite::{Access, Sqlite},
        },
    };
    let store = Sqlite::open(path, Access::Service).unwrap();
    let log = path.with_extension("db-wal");
    let mut longest = 0;
    for page in 0..40 {
        let now = jiff::Timestamp::from_second(1_700_000_000 + page).unwrap();
        let jobs = (0..1_000).map(|n| Job {
            source: "elsewhere".into(),
            id: format!("Scan-{page:03}-{n:04}"),
            kind: None,
            state: State::Finished,
            started: Some(now),
            finished: Some(now),
            profile: "a profile with a name as long as people give them, to fill the file".repeat(3),
            category: None,
            extension: serde_json::Value::Null,
        });
        let jobs = jobs.map(|job| JobChange { job: std::sync::Arc::new(job), run: 1, newly_final: true }).collect();
        let intake = Intake { source: "elsewhere".into(), now, jobs, alerts: Vec::new(), unreadable: Vec::new() };
        store.take_in(intake).await.unwrap();
        longest = longest.max(fs::metadata(&log).unwrap().len());
    }
    assert!(longest < 14 << 20, "the log is folded into the file before it is long; it came to {longest} bytes");
    drop(store);
    assert!(fs::metadata(path).unwrap().len() > 10 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_searched_for_damage_while_it_is_worked_with() {
    let world = World::new().await;
    large(&world.db()).await;
    world.fail(0..3);
    let mut process = world.start(&[]).await;
    world.told_once(3).await;
    world.on_record(&process, 3).await;
    assert_eq!(process.stop().await, End::Exit(0));
    // Pages that nothing in this run would touch, in the middle of what is long past.
    let middle = fs::metadata(world.db()).unwrap().len() / 2 / 4096 * 4096;
    flip(&world.db(), middle);
    flip(&world.db(), middle + 4096);
    let mut process = world.home.spawn();
    assert_eq!(process.ends().await, End::Exit(1));
    let log = process.log();
    assert!(log.contains("jobrelay.db") && log.contains("damaged") && log.contains("put a copy of it back"), "{log}");
}
