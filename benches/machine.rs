//! What the machine itself can do, and what a process has used of it: read from `/proc`, so on Linux only.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

/// CPU time that a process has used since it began, its ended threads left out.
///
/// From the scheduler's own sums, in nanoseconds: `stat` counts ticks of 10 ms, too coarse for a poll.
pub fn cpu(pid: u32) -> Duration {
    let mut nanos = 0;
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    for task in tasks.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanos += text.split_whitespace().next().and_then(|first| first.parse::<u64>().ok()).unwrap_or_default();
    }
    Duration::from_nanos(nanos)
}

/// A line of `/proc/PID/FILE`, as a number: `VmRSS` and `VmHWM` (KiB) of `status`, `write_bytes` of `io`.
pub fn reading(pid: u32, file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Memory in use, in MiB.
pub fn rss(pid: u32) -> f64 {
    reading(pid, "status", "VmRSS") as f64 / 1024.0
}

/// The most memory that was ever in use, in MiB.
pub fn peak(pid: u32) -> f64 {
    reading(pid, "status", "VmHWM") as f64 / 1024.0
}

/// How long it takes to put one more page of 4 KiB safely on the disk that holds `folder`: the median of 200.
pub fn fsync(folder: &Path) -> Duration {
    let mut file = tempfile::tempfile_in(folder).unwrap();
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            file.write_all(&[7; 4096]).unwrap();
            let began = Instant::now();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect();
    percentile(&mut times, 50)
}

/// Of measured times, the one that so many in a hundred do not exceed.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

/// What one connection of the program's own HTTP client gets through when nothing is kept and nothing is judged.
pub struct Bare {
    /// POSTs a second.
    pub rate: f64,
    /// Median time of one.
    pub p50: Duration,
    /// Of a hundred, the slowest but one.
    pub p99: Duration,
}

/// Measures [`Bare`] with `count` requests.
pub async fn bare(url: &str, count: usize) -> Bare {
    let client = reqwest::Client::builder().tcp_nodelay(true).build().unwrap();
    let body = "x".repeat(600);
    let mut times = Vec::with_capacity(count);
    let began = Instant::now();
    for _ in 0..count {
        let one = Instant::now();
        let answer = client.post(url).header("content-type", "application/json").body(body.clone()).send().await.unwrap();
        answer.bytes().await.unwrap();
        times.push(one.elapsed());
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    Bare { rate, p50: percentile(&mut times, 50), p99: percentile(&mut times, 99) }
}
