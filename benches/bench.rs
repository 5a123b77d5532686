//! `cargo bench --bench relay [-- [N] [PART…]]`: the whole program measured from outside, beside what the machine allows.
//!
//! The release binary runs as a process, with its store on the real disk; a tenant and a sink, both on loopback, are in this
//! one. Goals are ratios or sit beside the limit measured in the same run: machines differ, and so do their hours.
//!
//! Parts: `webhook` `slack` `teams` (N messages each, 10,000 where nothing is said), `latency`, `backlog` and `start`
//! (N jobs, but at least 100,000), `idle`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    missing_docs
)]

mod machine;
mod peers;
mod relay;
mod wire;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use jiff::SignedDuration;

use machine::{Bare, bare, cpu, fsync, peak, percentile, reading, rss};
use peers::{Sink, Tenant, now, row};
use relay::{Home, Relay, disk, until};

const PARTS: [&str; 7] = ["webhook", "slack", "teams", "latency", "backlog", "start", "idle"];
const RULES: &str = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    severity: critical\n    notify: [sink]\n";
/// Jobs of the backlog, if no larger number is asked for; one in a hundred of them failed.
const BACKLOG: usize = 100_000;
/// Sources that are polled by turns for the latency of one job.
const SOURCES: usize = 60;

fn main() {
    let mut count = 10_000;
    let mut parts: Vec<String> = Vec::new();
    for argument in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        match argument.replace('_', "").parse() {
            Ok(number) => count = number,
            Err(_) if PARTS.contains(&argument.as_str()) => parts.push(argument),
            Err(_) => {
                eprintln!("unknown part {argument}: there are {}", PARTS.join(", "));
                std::process::exit(2);
            }
        }
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|one| one == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let disk = fsync(&disk());
        line("fsync of one page", &millis(disk), "(the machine's)");
        for kind in ["webhook", "slack", "teams"] {
            if wanted(kind) {
                throughput(kind, count).await;
            }
        }
        if wanted("latency") {
            latency(disk).await;
        }
        if wanted("backlog") || wanted("start") {
            backlog(count.max(BACKLOG), wanted("start")).await;
        }
        if wanted("idle") {
            idle().await;
        }
    });
}

/// One line of the report.
fn line(what: &str, measured: &str, goal: &str) {
    println!("{what:<44} {measured:<44} {goal}");
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn mark(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

fn config(tenant: &str, sink: &str, kind: &str, sources: usize, extra: &str) -> String {
    use std::fmt::Write as _;
    let mut text = "sources:\n".to_owned();
    for n in 0..sources {
        write!(
            text,
            "  tenant-{n}:\n    kind: aos_scan_jobs\n    base_url: {tenant}\n    token_url: {tenant}/connect/token\n    client_id: client-{n}\n    client_secret: a-secret\n    page_size: 1000\n{extra}"
        )
        .unwrap();
    }
    write!(text, "channels:\n  sink: {{ kind: {kind}, url: '{sink}', rate: unlimited }}\n").unwrap();
    text
}

const OFTEN: &str = "    poll_every: 5s\n";

/// Waits until every source has been read once.
async fn settled(relay: &Relay, tenant: &Tenant, sources: usize) {
    until("the first polls", async || tenant.pages.load(Ordering::Relaxed) >= sources).await;
    relay.counts("jobrelay_polls_total", "complete", sources as u64).await;
}

/// N failed jobs at once, each its own message: how many a second get from the list to an accepted POST that is on record.
async fn throughput(kind: &str, count: usize) {
    let (tenant, upstream) = Tenant::start().await;
    let before = limit(count).await;
    let (sink, url) = Sink::start().await;
    let home = Home::new(&config(&upstream, &url, kind, 1, OFTEN), RULES);
    let relay = home.start();
    settled(&relay, &tenant, 1).await;
    let used = cpu(relay.pid());
    let ended = now();
    tenant.put((0..count).map(|n| row(&format!("Scan-many-{n}"), 3, ended)).collect());
    until("the messages", async || sink.count() >= count).await;
    relay.counts("jobrelay_notifications_total", "delivered", count as u64).await;
    let all = Instant::now();
    let (served, last) = (tenant.served().unwrap(), sink.last().unwrap());
    let took = all - served;
    let rate = count as f64 / took.as_secs_f64();
    let each = cpu(relay.pid()).saturating_sub(used).as_secs_f64() * 1e6 / count as f64;
    let most = peak(relay.pid());
    let jobs = sink.jobs();
    assert!(jobs == count && sink.count() == count, "{count} jobs, {jobs} of them in {} messages", sink.count());
    drop(relay);
    // Once before and once after: on a shared machine the limit itself moves.
    let bare = f64::midpoint(before, limit(count).await);
    let half = rate / bare;
    line(
        &format!("{kind}: {count} messages of {} bytes", sink.length()),
        &format!("{rate:.0}/s, {half:.2} of the bare rate"),
        &format!("at least 0.50 {}", mark(half >= 0.5)),
    );
    line("  the last POST / the last record after", &format!("{} / {}", millis(last - served), millis(took)), "");
    line("  CPU a message", &format!("{each:.0} µs"), &format!("below 60 µs {}", mark(each < 60.0)));
    line("  peak memory", &format!("{most:.1} MiB"), &format!("below 60 MiB {}", mark(most < 60.0)));
    line("  store", &format!("{:.1} MiB", home.store_bytes() as f64 / 1_048_576.0), "");
}

/// POSTs a second of the bare client, told with its times.
async fn limit(count: usize) -> f64 {
    let (_, url) = Sink::start().await;
    let Bare { rate, p50, p99 } = bare(&url, count.max(1_000)).await;
    line("bare POSTs, 1 connection", &format!("{rate:.0}/s, p50 {p50:.0?}, p99 {p99:.0?}"), "(the machine's)");
    rate
}

/// One job at a time: from its page's leaving to its POST's arriving.
async fn latency(disk: Duration) {
    const SAMPLES: usize = 200;
    let (tenant, upstream) = Tenant::start().await;
    tenant.apart(Duration::from_secs(5) / SOURCES as u32);
    let (sink, url) = Sink::start().await;
    let home = Home::new(&config(&upstream, &url, "webhook", SOURCES, OFTEN), RULES);
    let relay = home.start();
    settled(&relay, &tenant, SOURCES).await;
    tenant.one_by_one(SAMPLES);
    let mut times = Vec::with_capacity(SAMPLES);
    let mut seen = 0;
    while seen < SAMPLES {
        tokio::time::timeout(Duration::from_secs(30), sink.came.notified()).await.expect("a job in time");
        seen = sink.count();
        // The next one is handed out only when the relay has come to rest.
        let took = tenant.handed_before(sink.last().unwrap());
        times.extend(took);
        tokio::time::sleep(Duration::from_millis(20)).await;
        tenant.next();
    }
    let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
    let (goal50, goal99) = (disk + Duration::from_millis(1), disk + Duration::from_millis(5));
    line(
        &format!("one job, list to POST, p50 of {}", times.len()),
        &millis(p50),
        &format!("one commit plus 1 ms ({}) {}", millis(goal50), mark(p50 <= goal50)),
    );
    line("  p99", &millis(p99), &format!("one commit plus 5 ms ({}) {}", millis(goal99), mark(p99 <= goal99)));
}

/// A first run that looks back over a long list.
async fn backlog(jobs: usize, restart: bool) {
    let (tenant, upstream) = Tenant::start().await;
    let (sink, url) = Sink::start().await;
    let home = Home::new(&config(&upstream, &url, "webhook", 1, "    poll_every: 5s\n    start: 30d\n"), RULES);
    let ended = now();
    let state = |n: usize| if n.is_multiple_of(100) { 3 } else { 2 };
    tenant.put((0..jobs).map(|n| row(&format!("Scan-old-{n}"), state(n), ended - SignedDuration::from_secs(n as i64))).collect());
    let relay = home.start();
    relay.counts("jobrelay_polls_total", "complete", 1).await;
    let took = relay.began.elapsed();
    assert_eq!(relay.sum("jobrelay_jobs_total", "").await, jobs as u64);
    relay.counts("jobrelay_notifications_total", "delivered", (jobs / 100) as u64).await;
    let all = relay.began.elapsed();
    let most = peak(relay.pid());
    assert_eq!(sink.jobs(), jobs / 100);
    line(
        &format!("{jobs} jobs, 1 % alert, cold: judged, on disk"),
        &format!("{:.2} s", took.as_secs_f64()),
        &format!("3 s {}", mark(took <= Duration::from_secs(3))),
    );
    line("  all delivered", &format!("{:.2} s", all.as_secs_f64()), "");
    line("  CPU a job", &format!("{:.1} µs", cpu(relay.pid()).as_secs_f64() * 1e6 / jobs as f64), "");
    line("  peak memory", &format!("{most:.1} MiB"), &format!("below 100 MiB {}", mark(most < 100.0)));
    drop(relay);
    if restart {
        let mut times = Vec::new();
        for _ in 0..10 {
            let relay = home.start();
            times.push(relay.ready().await);
        }
        let ready = percentile(&mut times, 50);
        let goal = Duration::from_millis(30);
        line(&format!("start to ready, {jobs} jobs in store, p50 of 10"), &millis(ready), &format!("30 ms {}", mark(ready <= goal)));
    }
}

/// What it costs to wait: a list of 1,000 jobs that does not change.
async fn idle() {
    const JOBS: usize = 1_000;
    const TURNS: usize = 4;
    let (tenant, upstream) = Tenant::start().await;
    let (_, url) = Sink::start().await;
    let ended = now() - SignedDuration::from_secs(3_600);
    // As far apart as such a list is: all of it lies within what every poll reads.
    let apart = |n: usize| SignedDuration::from_secs(20 * n as i64);
    tenant.put((0..JOBS).map(|n| row(&format!("Scan-old-{n}"), 2, ended - apart(n))).collect());
    let home = Home::new(&config(&upstream, &url, "webhook", 1, OFTEN), RULES);
    let relay = home.start();
    settled(&relay, &tenant, 1).await;
    // The second poll is the first that meets only what it knows, and the third the first that knows its pages.
    let turn = async || {
        let pages = tenant.pages.load(Ordering::Relaxed);
        until("a poll", async || tenant.pages.load(Ordering::Relaxed) > pages).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    turn().await;
    turn().await;
    let (began, used, written) = (Instant::now(), cpu(relay.pid()), reading(relay.pid(), "io", "write_bytes"));
    for _ in 0..TURNS {
        turn().await;
    }
    let used = cpu(relay.pid()).saturating_sub(used);
    let written = reading(relay.pid(), "io", "write_bytes") - written;
    let each = used / TURNS as u32;
    let share = used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let goal = Duration::from_millis(2);
    line(&format!("poll of {JOBS} unchanged jobs, CPU"), &millis(each), &format!("below 2 ms {}", mark(each < goal)));
    line("  written to disk meanwhile", &format!("{written} bytes"), &format!("0 {}", mark(written == 0)));
    line("  share of one core, a poll each 5 s", &format!("{share:.3} %"), "");
    let minute = used.as_secs_f64() / TURNS as f64 / 60.0 * 100.0;
    line("  the same, a poll each minute", &format!("{minute:.3} %"), &format!("0.1 % {}", mark(minute <= 0.1)));
    let memory = rss(relay.pid());
    line("  memory", &format!("{memory:.1} MiB"), &format!("below 15 MiB {}", mark(memory < 15.0)));
}
