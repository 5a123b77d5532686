//! The program under measure: the release binary as a process of its own, in a folder on the real disk.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long any one thing may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a config, which outlives the process.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// With this config and these rules.
    pub fn new(config: &str, rules: &str) -> Self {
        let folder = tempfile::tempdir_in(disk()).unwrap();
        fs::write(folder.path().join("jobrelay.yaml"), format!("{config}server: {{ listen: '127.0.0.1:0' }}\n")).unwrap();
        fs::create_dir(folder.path().join("rules")).unwrap();
        fs::write(folder.path().join("rules/rules.yaml"), rules).unwrap();
        Self { folder }
    }

    /// Bytes of all files of the store.
    pub fn store_bytes(&self) -> u64 {
        let files = fs::read_dir(self.folder.path()).unwrap().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().contains(".db"))
            .map(|file| file.metadata().map_or(0, |meta| meta.len()))
            .sum()
    }

    /// Starts the service; returns once it listens.
    pub fn start(&self) -> Relay {
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_jobrelay"))
            .args(["--log-format", "json", "run"])
            .current_dir(self.folder.path())
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the program did not start:\n{said}");
            let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if value["message"] == "listening" {
                break value["address"].as_str().unwrap().to_owned();
            }
            said.push_str(&line);
        };
        // Its log is read to the end, as a service manager would, and what is not of INFO shown.
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok).filter(|line| !line.contains("\"INFO\"")) {
                eprintln!("    {line}");
            }
        });
        Relay { child, address, began }
    }
}

/// A folder on the disk that builds go to: a store in memory would prove nothing.
pub fn disk() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    folder.to_owned()
}

/// The running program.
pub struct Relay {
    child: Child,
    address: String,
    /// When it was started.
    pub began: Instant,
}

impl Relay {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it first said that it is ready.
    pub async fn ready(&self) -> Duration {
        let url = format!("http://{}/readyz", self.address);
        while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.began.elapsed()
    }

    /// The sum of a metric over every series whose labels contain `having`.
    pub async fn sum(&self, metric: &str, having: &str) -> u64 {
        let url = format!("http://{}/metrics", self.address);
        let page = reqwest::get(&url).await.unwrap().text().await.unwrap();
        let series = page.lines().filter(|line| line.starts_with(metric) && line.contains(having));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }

    /// Waits until [`Relay::sum`] has reached `goal`.
    pub async fn counts(&self, metric: &str, having: &str, goal: u64) {
        until(metric, async || self.sum(metric, having).await >= goal).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Nothing is measured after this; what it leaves is thrown away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something, looking every few milliseconds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
