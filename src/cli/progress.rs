//! How far a long command has come, on stderr: one line that is written over on a terminal, a line a second elsewhere.

use std::{
    fmt::Arguments,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use super::output::{say, to_machines};

/// What is done sooner says nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a line on a terminal is written over.
const ON_TERMINAL: Duration = Duration::from_millis(100);
/// How often a line is added elsewhere, in a log.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// A command under way. Dropped, it wipes its line off the terminal.
pub struct Progress {
    terminal: bool,
    /// When the next word is due.
    due: Instant,
    /// Whether a line stands on the terminal.
    stands: bool,
}

impl Progress {
    /// Begins it.
    #[must_use]
    pub fn begin() -> Self {
        Self { terminal: io::stderr().is_terminal() && !to_machines(), due: Instant::now() + PATIENCE, stands: false }
    }

    /// Tells how far it has come, if a word is due; cheap otherwise.
    pub fn tell(&mut self, line: Arguments<'_>) {
        let now = Instant::now();
        if now < self.due {
            return;
        }
        self.due = now + if self.terminal { ON_TERMINAL } else { ELSEWHERE };
        if self.terminal {
            self.stands = true;
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
            let _ = io::stderr().flush();
        } else {
            say(line);
        }
    }

    /// Wipes the line, before something else is written.
    pub fn wipe(&mut self) {
        if std::mem::take(&mut self.stands) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.wipe();
    }
}
