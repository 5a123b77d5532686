//! What the tests share: the true program as a process, and stand-ins for the clouds around it.

pub mod process;
pub mod sink;
pub mod smtp;
pub mod upstream;
pub mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::io::{AsyncBufReadExt, BufReader};

/// How long anything that should happen soon may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// Waits for a condition, and fails naming it.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "it did not come about that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A folder with a config, and the program run in it.
pub struct Home {
    pub folder: tempfile::TempDir,
}

impl Home {
    pub fn new(config: &str, rules: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(home.path("jobrelay.yaml"), config).unwrap();
        fs::create_dir(home.path("rules")).unwrap();
        fs::write(home.path("rules/rules.yaml"), rules).unwrap();
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program's command, with nothing of this process's environment that could change what it does.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.folder.path());
        command.args(args);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    #[track_caller]
    pub fn stdout(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?} failed:\n{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    #[track_caller]
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.stdout(args)).unwrap()
    }

    /// Starts the service and waits until it listens.
    pub async fn start(&self) -> Service {
        let mut command = tokio::process::Command::from(self.command(&["--log-format", "json", "--log-level", "debug", "run"]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let service = Service { child, log, address: String::new() };
        let find = |log: &str| {
            log.lines().find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).ok()?;
                (line["message"] == "listening").then(|| line["address"].as_str().unwrap().to_owned())
            })
        };
        let began = Instant::now();
        let address = loop {
            if let Some(address) = find(&service.log()) {
                break address;
            }
            assert!(began.elapsed() < SOON, "the service does not listen:\n{}", service.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Service { address, ..service }
    }
}

pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobrelay"));
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The running service.
pub struct Service {
    child: tokio::process::Child,
    log: Arc<Mutex<String>>,
    pub address: String,
}

impl Service {
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id().unwrap()).unwrap()
    }

    /// `kill -9`
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and the exit code.
    pub async fn stop(mut self) -> i32 {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        tokio::time::timeout(SOON, self.child.wait()).await.expect("it stops").unwrap().code().expect("it exits by itself")
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub async fn metrics(&self) -> String {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        text
    }

    /// The value of one series, written as the page writes it; none if it is not there.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        self.metrics().await.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}
