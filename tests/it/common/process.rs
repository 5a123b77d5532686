//! The program as a process that is not expected to last: started bare or under a tool, killed, and looked at as it dies.

use std::{
    collections::VecDeque,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Home, SOON};

/// How many of the newest lines of a log are kept.
const LINES: usize = 400;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

pub const SIGKILL: End = End::Signal(9);
/// What a failpoint ends in.
pub const SIGABRT: End = End::Signal(6);

#[derive(Default)]
struct Heard {
    address: Option<String>,
    lines: VecDeque<String>,
}

/// `jobrelay run`, some time of its life.
pub struct Process {
    child: tokio::process::Child,
    heard: Arc<Mutex<Heard>>,
    ear: tokio::task::JoinHandle<()>,
    pub pid: u32,
}

impl Home {
    /// The command that runs the service under a tool (`strace …`; none runs it bare).
    pub fn under(&self, tool: &[&str]) -> Command {
        let run = self.command(&["--log-format", "json", "--log-level", "info", "run"]);
        let Some((first, rest)) = tool.split_first() else { return run };
        let mut command = Command::new(first);
        command.args(rest).arg(run.get_program()).args(run.get_args()).current_dir(self.folder.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Starts the service, and waits for nothing.
    pub fn spawn(&self) -> Process {
        Process::spawn(self.under(&[]))
    }
}

impl Process {
    /// Starts a command made by [`Home::under`].
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap_or_else(|error| {
            panic!("can't start {shown}: {error} (these tests need strace and util-linux: ./test installs what is missing)")
        });
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&heard));
        let ear = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut heard = kept.lock().unwrap();
                if heard.address.is_none()
                    && let Ok(event) = serde_json::from_str::<serde_json::Value>(&line)
                    && event["message"] == "listening"
                {
                    heard.address = event["address"].as_str().map(str::to_owned);
                }
                if heard.lines.len() == LINES {
                    heard.lines.pop_front();
                }
                heard.lines.push_back(line);
            }
        });
        let pid = child.id().unwrap();
        Self { child, heard, ear, pid }
    }

    /// Where it listens, once it does.
    pub fn address(&self) -> Option<String> {
        self.heard.lock().unwrap().address.clone()
    }

    pub fn log(&self) -> String {
        self.heard.lock().unwrap().lines.make_contiguous().join("\n")
    }

    /// Waits until it listens.
    pub async fn listening(&self) -> String {
        super::until(&format!("it listens; its log so far:\n{}", self.log()), || self.address().is_some()).await;
        self.address().unwrap()
    }

    /// The end, if it comes within `wait`.
    pub async fn ends_within(&mut self, wait: Duration) -> Option<End> {
        let status = tokio::time::timeout(wait, self.child.wait()).await.ok()?.unwrap();
        if !self.ear.is_finished() {
            // Its last words may still be on their way; a tool that outlives it keeps the line open.
            let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.ear).await;
        }
        Some(status.code().map_or_else(|| End::Signal(status.signal().unwrap()), End::Exit))
    }

    /// The end, which must come soon.
    pub async fn ends(&mut self) -> End {
        match self.ends_within(SOON).await {
            Some(end) => end,
            None => panic!("it does not end:\n{}", self.log()),
        }
    }

    /// `kill -9`. How it ended: it may have been quicker.
    pub async fn kill(&mut self) -> End {
        // Fails only where it is dead already.
        let _ = self.child.start_kill();
        self.ends().await
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self) -> End {
        assert!(Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().unwrap().success());
        self.ends().await
    }

    /// A page of its server: status and body; none if it can't be asked any more.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = reqwest::get(format!("http://{}{path}", self.address()?)).await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    /// Waits until `/readyz` answers so; its body.
    pub async fn ready_is(&self, status: u16) -> String {
        let began = std::time::Instant::now();
        loop {
            let answer = self.get("/readyz").await;
            if let Some((found, body)) = &answer
                && *found == status
            {
                return body.clone();
            }
            assert!(began.elapsed() < SOON, "/readyz is not {status}: {answer:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
