//! The store's disk and file in trouble, each kind made for real, and the program watched from outside.
//!
//! What needs `strace` or a mount of its own is told as ignored in a plain run; `./test` installs what is missing and runs it.

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{
    Home,
    process::{End, Process, SIGKILL},
    sink::Sink,
    text, until,
    upstream::{Upstream, job},
};

/// One source, one rule, one channel.
struct World {
    upstream: Upstream,
    hook: Sink,
    home: Home,
}

const RULES: &str = "rules:\n  - { name: failed, when: { state: failed }, notify: [hook] }\n";

impl World {
    async fn new() -> Self {
        Self::with("server: { listen: '127.0.0.1:0' }\n").await
    }

    async fn with(rest: &str) -> Self {
        let (upstream, hook) = (Upstream::start().await, Sink::start("").await);
        let config = format!(
            "{}    start: 24h\nchannels:\n  hook: {{ kind: webhook, url: '{}', rate: unlimited }}\n{rest}",
            upstream.config(),
            hook.url
        );
        Self { upstream, hook, home: Home::new(&config, RULES) }
    }

    fn db(&self) -> PathBuf {
        self.home.path("jobrelay.db")
    }

    fn fail(&self, ids: impl IntoIterator<Item = usize>) {
        for id in ids {
            self.upstream.put(job(&format!("Scan-{id:04}"), "scan sites", 3, 100, Some(0)));
        }
    }

    /// Starts it under a tool, and waits until it has read the list.
    async fn start(&self, tool: &[&str]) -> Process {
        let polls = self.upstream.polls();
        let mut process = Process::spawn(self.home.under(tool));
        let began = Instant::now();
        while self.upstream.polls() == polls {
            let end = process.ends_within(Duration::from_millis(10)).await;
            assert!(end.is_none(), "it ended in {end:?} ({tool:?} must be there, and allowed):\n{}", process.log());
            assert!(began.elapsed() < crate::common::SOON, "it does not read the list:\n{}", process.log());
        }
        process.listening().await;
        process
    }

    /// Waits until so many different jobs have been told of, and checks that each message came once.
    async fn told_once(&self, jobs: usize) {
        let taken = self.hook.holds(jobs).await;
        let keys: std::collections::BTreeSet<String> = taken.iter().map(|message| message.header("webhook-id")).collect();
        assert_eq!((keys.len(), taken.len()), (jobs, jobs));
    }

    /// Waits until the store says that all is on record.
    async fn on_record(&self, process: &Process, delivered: usize) {
        let wanted = format!("jobrelay_notifications_total{{channel=\"hook\",outcome=\"delivered\"}} {delivered}\n");
        let began = Instant::now();
        loop {
            let page = process.get("/metrics").await.map(|(_, page)| page).unwrap_or_default();
            if page.contains(&wanted) && page.contains("jobrelay_notifications_pending{channel=\"hook\"} 0\n") {
                return;
            }
            assert!(began.elapsed() < crate::common::SOON, "not on record: {wanted}{page}\n{}", process.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn is_sound(&self) {
        let file = rusqlite::Connection::open(self.db()).unwrap();
        let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
    }
}

/// `strace` on a process that runs, doing something to its system calls until it is let go.
struct Injection(Child);

impl Injection {
    async fn begin(process: &Process, calls: &str, what: &str) -> Self {
        let inject = format!("inject={calls}:{what}");
        let child = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject, "-p", &process.pid.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is needed: ./test installs it");
        let tasks = PathBuf::from(format!("/proc/{}/task", process.pid));
        let is_traced = |task: &Path| fs::read_to_string(task.join("status")).is_ok_and(|status| !status.contains("TracerPid:\t0\n"));
        until("strace holds every thread (tracing must be allowed)", || {
            fs::read_dir(&tasks).unwrap().all(|task| is_traced(&task.unwrap().path()))
        })
        .await;
        Self(child)
    }

    fn end(mut self) {
        assert!(Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap();
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace: run ./test"]
async fn a_sync_that_fails_ends_the_program_and_the_next_start_loses_nothing() {
    let world = World::new().await;
    let mut process = world.start(&[]).await;
    let injection = Injection::begin(&process, "fdatasync,fsync", "error=EIO:when=1").await;
    world.fail(0..5);
    assert_eq!(process.ends().await, End::Exit(1), "{}", process.log());
    drop(injection);
    let log = process.log();
    assert!(log.contains("failed to sync") && log.contains("jobrelay.db") && log.contains("start jobrelay again"), "{log}");
    assert_eq!(world.hook.taken().len(), 0, "what was not synced is not told");
    let process = world.start(&[]).await;
    world.told_once(5).await;
    world.on_record(&process, 5).await;
    drop(process);
    world.is_sound();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace: run ./test"]
async fn nothing_is_told_before_its_page_is_synced() {
    let world = World::new().await;
    let process = world.start(&[]).await;
    let injection = Injection::begin(&process, "fdatasync,fsync", "delay_enter=3000000").await;
    let asked = world.upstream.polls();
    world.fail(0..1);
    until("it polls", || world.upstream.polls() > asked).await;
    let polled = Instant::now();
    let taken = world.hook.holds(1).await;
    assert!(taken[0].at >= polled + Duration::from_millis(2_500), "told before the page can have been synced");
    injection.end();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace: run ./test"]
async fn killed_at_one_write_after_another_it_loses_nothing() {
    let world = World::new().await;
    let (mut jobs, mut by_injection) = (0, 0);
    for call in ["pwrite64", "fdatasync"] {
        for nth in (1..=14).chain([18, 24, 32, 48]) {
            world.fail([jobs]);
            jobs += 1;
            let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
            let tool = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
            let polls = world.upstream.polls();
            let mut process = Process::spawn(world.home.under(&tool));
            // It dies by the injected signal, or has made all its writes.
            let began = Instant::now();
            let end = loop {
                if let Some(end) = process.ends_within(Duration::from_millis(20)).await {
                    by_injection += 1;
                    break end;
                }
                if (world.upstream.polls() > polls && began.elapsed() > Duration::from_millis(1_500))
                    || began.elapsed() > crate::common::SOON
                {
                    break process.kill().await;
                }
            };
            assert_eq!(end, SIGKILL, "{}", process.log());
        }
    }
    assert!(by_injection >= 15, "strace killed it only {by_injection} times");
    let process = world.start(&[]).await;
    until("all is told", || {
        let keys: std::collections::BTreeSet<String> = world.hook.taken().iter().map(|message| message.header("webhook-id")).collect();
        keys.len() == jobs
    })
    .await;
    world.on_record(&process, jobs).await;
    let messages = world.hook.taken();
    for pair in messages.windows(2).filter(|pair| pair[0].header("webhook-id") == pair[1].header("webhook-id")) {
        assert_eq!(pair[0].body, pair[1].body);
    }
    let repeated = messages.windows(2).filter(|pair| pair[0].header("webhook-id") == pair[1].header("webhook-id")).count();
    assert_eq!(messages.len() - repeated, jobs, "a repeat comes next to the message that was in flight, nowhere else");
    drop(process);
    world.is_sound();
}

/// Runs the service with its store on a small disk of its own.
async fn on_a_small_disk(world: &World) -> (Process, PathBuf) {
    fs::create_dir(world.home.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=2m none disk && exec \"$0\" \"$@\"";
    let process = world.start(&["unshare", "-Urm", "sh", "-c", script]).await;
    let disk = PathBuf::from(format!("/proc/{}/root{}", process.pid, world.home.path("disk").display()));
    assert!(disk.join("small.db").exists(), "the store is not where it was put");
    (process, disk)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a mount namespace: run ./test"]
async fn a_full_disk_stops_polling_and_sending_until_there_is_room_again() {
    let world = World::with("server: { listen: '127.0.0.1:0' }\nstorage: { url: 'sqlite:disk/small.db' }\n").await;
    world.fail(0..3);
    let (mut process, disk) = on_a_small_disk(&world).await;
    world.told_once(3).await;
    world.on_record(&process, 3).await;
    // Another program fills the disk to the last byte.
    let mut ballast = fs::File::create(disk.join("ballast")).unwrap();
    while ballast.write(&[0; 512]).is_ok_and(|written| written > 0) {}
    world.fail(3..60);
    let unready = process.ready_is(503).await;
    assert!(unready.contains("can't be written") && unready.contains("full"), "{unready}");
    // What was under way comes to its end; then more than two polls' time goes by.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (polls, sent) = (world.upstream.polls(), world.hook.taken().len());
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.upstream.polls(), polls, "polling went on");
    assert_eq!(world.hook.taken().len(), sent, "sending went on");
    assert!(process.ready_is(503).await.contains("full"));
    assert_eq!(process.get("/healthz").await.unwrap().0, 200);
    fs::remove_file(disk.join("ballast")).unwrap();
    drop(ballast);
    process.ready_is(200).await;
    world.told_once(60).await;
    world.on_record(&process, 60).await;
    assert_eq!(process.stop().await, End::Exit(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace: run ./test"]
async fn writes_that_fail_for_a_while_cost_nothing() {
    for error in ["ENOSPC", "EIO", "EROFS"] {
        let world = World::new().await;
        let process = world.start(&[]).await;
        let injection = Injection::begin(&process, "pwrite64", &format!("error={error}")).await;
        world.fail(0..20);
        process.ready_is(503).await;
        assert_eq!(world.hook.taken().len(), 0, "{error}: told without a record");
        injection.end();
        process.ready_is(200).await;
        world.told_once(20).await;
        world.on_record(&process, 20).await;
        drop(process);
        world.is_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a mount namespace: run ./test"]
async fn a_store_that_may_not_be_written_is_refused_at_the_start() {
    let world = World::with("server: { listen: '127.0.0.1:0' }\nstorage: { url: 'sqlite:disk/small.db' }\n").await;
    fs::create_dir(world.home.path("disk")).unwrap();
    for made_before in [false, true] {
        if made_before {
            let mut process = world.start(&[]).await;
            assert_eq!(process.stop().await, End::Exit(0));
        }
        let script = "mount --bind disk disk && mount -o remount,bind,ro disk && exec \"$0\" \"$@\"";
        let mut process = Process::spawn(world.home.under(&["unshare", "-Urm", "sh", "-c", script]));
        assert_eq!(process.ends().await, End::Exit(1));
        let log = process.log();
        assert!(log.contains("small.db") && log.to_lowercase().contains("read-only"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_locked_by_another_program_is_waited_for() {
    let world = World::new().await;
    let process = world.start(&[]).await;
    let other = rusqlite::Connection::open(world.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    world.fail(0..10);
    let unready = process.ready_is(503).await;
    assert!(unready.contains("locked"), "{unready}");
    assert_eq!(world.hook.taken().len(), 0, "told without a record");
    other.execute_batch("ROLLBACK").unwrap();
    process.ready_is(200).await;
    world.told_once(10).await;
    world.on_record(&process, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_removed_or_replaced_while_in_use_ends_the_program() {
    for replaced in [false, true] {
        let world = World::new().await;
        let mut process = world.start(&[]).await;
        fs::remove_file(world.db()).unwrap();
        if replaced {
            fs::write(world.db(), "another file by the same name").unwrap();
        }
        world.fail(0..1);
        assert_eq!(process.ends().await, End::Exit(1));
        let log = process.log();
        assert!(log.contains("jobrelay.db was removed or replaced while in use"), "{log}");
        assert_eq!(world.hook.taken().len(), 0, "told without a record");
        for name in ["jobrelay.db", "jobrelay.db-wal", "jobrelay.db-shm"] {
            let _ = fs::remove_file(world.home.path(name));
        }
        let process = world.start(&[]).await;
        world.told_once(1).await;
        world.on_record(&process, 1).await;
    }
}

/// A store with some life behind it, stopped in order.
async fn lived(jobs: usize) -> World {
    let world = World::new().await;
    world.fail(0..jobs);
    let mut process = world.start(&[]).await;
    world.told_once(jobs).await;
    world.on_record(&process, jobs).await;
    assert_eq!(process.stop().await, End::Exit(0));
    assert!(!world.home.path("jobrelay.db-wal").exists(), "a stop in order leaves one file");
    world
}

/// In place of a byte to flip: the file ends in the middle.
const CUT_OFF: u64 = u64::MAX;

fn flip(file: &Path, at: u64) {
    let mut file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 0xFF]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_and_the_way_back_is_named() {
    let world = lived(200).await;
    let sound = fs::read(world.db()).unwrap();
    let pages = sound.len() / 4096;
    // The head of the file, the kind of each page, and how many cells a page holds.
    let mut places: Vec<u64> = vec![0, 16, 100];
    places.extend((1..pages as u64).flat_map(|page| [page * 4096, page * 4096 + 4]));
    let (mut refused, mut passed) = (0, Vec::new());
    for at in places.iter().copied().step_by(places.len().div_ceil(40)).chain([CUT_OFF]) {
        fs::write(world.db(), &sound).unwrap();
        if at == CUT_OFF {
            fs::write(world.db(), &sound[..sound.len() / 2 / 4096 * 4096]).unwrap();
        } else {
            flip(&world.db(), at);
        }
        let mut process = world.home.spawn();
        until("it refuses or runs", || process.address().is_some() || process.log().contains("ERROR")).await;
        if process.address().is_some() {
            process.kill().await;
            passed.push(at);
            continue;
        }
        assert_eq!(process.ends().await, End::Exit(1));
        let log = process.log();
        assert!(log.contains("jobrelay.db") && log.contains("damaged") && log.contains("put a copy of it back"), "byte {at}: {log}");
        refused += 1;
        for name in ["jobrelay.db-wal", "jobrelay.db-shm"] {
            let _ = fs::remove_file(world.home.path(name));
        }
    }
    assert!(passed.is_empty() && refused > 10, "{refused} refused, but these flipped bytes were not seen: {passed:?}");
    // The way back.
    fs::write(world.db(), &sound).unwrap();
    world.fail(200..210);
    let process = world.start(&[]).await;
    world.told_once(210).await;
    world.on_record(&process, 210).await;
}

/// A byte flipped in the log cuts off what was committed behind it: the list has it still.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_loses_no_job() {
    let world = World::new().await;
    world.fail(0..20);
    let mut process = world.start(&[]).await;
    world.told_once(20).await;
    world.on_record(&process, 20).await;
    process.kill().await;
    let log = world.home.path("jobrelay.db-wal");
    let half = fs::metadata(&log).unwrap().len() / 2;
    flip(&log, half);
    world.fail(20..25);
    let process = world.start(&[]).await;
    until("all is told", || {
        let keys: std::collections::BTreeSet<String> = world.hook.taken().iter().map(|message| message.header("webhook-id")).collect();
        keys.len() == 25
    })
    .await;
    drop(process);
    world.is_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_put_back_misses_nothing_and_repeats_only_what_came_after_it_under_the_same_ids() {
    let world = lived(10).await;
    let copy = fs::read(world.db()).unwrap();
    world.fail(10..15);
    let mut process = world.start(&[]).await;
    world.told_once(15).await;
    world.on_record(&process, 15).await;
    assert_eq!(process.stop().await, End::Exit(0));
    fs::write(world.db(), copy).unwrap();
    world.fail(15..20);
    let process = world.start(&[]).await;
    let taken = world.hook.holds(25).await;
    world.on_record(&process, 20).await;
    assert_eq!(world.hook.taken().len(), 25, "five came after the copy, and five are new");
    let keys: Vec<String> = taken.iter().map(|message| message.header("webhook-id")).collect();
    let before: std::collections::BTreeSet<&String> = keys[10..15].iter().collect();
    let again = keys[15..].iter().filter(|key| before.contains(key)).count();
    assert_eq!(again, 5, "a repeat is known by its id");
    assert!(keys[15..].iter().all(|key| !keys[..10].contains(key)), "what the copy knows of is not told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_takes_stops_nothing() {
    let full = || OwnedFd::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let closed = || OwnedFd::from(std::io::pipe().unwrap().1);
    for (name, log) in [("a full disk", full as fn() -> OwnedFd), ("a closed pipe", closed)] {
        let world = World::new().await;
        world.fail(0..10);
        let mut command = world.home.under(&[]);
        command.stdout(Stdio::from(log())).stderr(Stdio::from(log()));
        let mut child = command.spawn().unwrap();
        world.told_once(10).await;
        world.fail(10..15);
        world.told_once(15).await;
        assert!(child.try_wait().unwrap().is_none(), "{name}: it ended");
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
        let list = world.home.run(&["deliveries", "--outcome", "delivered", "--format", "json"]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text(&list.stdout)).unwrap().as_array().unwrap().len(), 15, "{name}");
    }
}

/// A channel that takes the whole request and then resets the connection: whether it was taken can't be known.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_asked_for_again_under_the_same_id() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::start().await;
    let config = format!(
        "{}    start: 24h\nchannels:\n  hook: {{ kind: webhook, url: 'http://{}/hook' }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
        upstream.config(),
        listener.local_addr().unwrap()
    );
    let home = Home::new(&config, RULES);
    upstream.put(job("Scan-0001", "scan sites", 3, 100, Some(0)));
    let process = home.spawn();
    let mut ids = Vec::new();
    for answered in [false, true] {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        let mut buffer = [0; 4096];
        // The body is the last thing sent, and ends in a closing brace.
        while !request.trim_end().ends_with('}') {
            let read = stream.read(&mut buffer).await.unwrap();
            request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        ids.push(request.lines().find(|line| line.starts_with("webhook-id:")).unwrap().to_owned());
        if answered {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        } else {
            stream.set_zero_linger().unwrap();
        }
    }
    assert_eq!(ids[0], ids[1]);
    let series = "jobrelay_notifications_total{channel=\"hook\",outcome=\"delivered\"} 1\n";
    let began = Instant::now();
    while !process.get("/metrics").await.is_some_and(|(_, page)| page.contains(series)) {
        assert!(began.elapsed() < crate::common::SOON, "{}", process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
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
        let jobs = jobs.map(|job| JobChange { job: std::sync::Arc::new(job), run: 1, newly_final: true, unjudged: false }).collect();
        let intake = Intake {
            source: "elsewhere".into(),
            now,
            jobs,
            alerts: Vec::new(),
            judged: Vec::new(),
            rules_version: "".into(),
            unreadable: Vec::new(),
        };
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
