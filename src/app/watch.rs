//! The files of the config, looked at every second: a change of what they hold rings for a reload.
//!
//! They are looked at, and no system is asked to report changes: in the usual setup the store lies in the same folder, and each of
//! its writes would be reported; and of a volume that is mounted over a network or from another system, nothing is.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{Files, Glance},
    server::Bell,
};

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long files must have looked the same before they are read: an editor may write one in several steps, and a tool several.
const QUIET: Duration = Duration::from_millis(500);

/// What to do after a look.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Look again after this time.
    Wait(Duration),
    /// Something changed, and has come to rest.
    Read,
}

/// What was seen: pure.
#[derive(Debug)]
struct Eye<G> {
    last: G,
    /// Whether something changed that has not been read.
    moved: bool,
}

impl<G: PartialEq> Eye<G> {
    const fn new(first: G) -> Self {
        // What came before the first look is read as well.
        Self { last: first, moved: true }
    }

    fn sees(&mut self, now: G) -> Step {
        let same = now == self.last;
        self.last = now;
        if !same {
            self.moved = true;
            return Step::Wait(QUIET);
        }
        if std::mem::take(&mut self.moved) { Step::Read } else { Step::Wait(LOOK_EVERY) }
    }
}

/// Watches until it is dropped.
pub async fn watch(files: Arc<Files>, bell: Arc<Bell>) {
    let Some(first) = look(&files).await else { return };
    let mut eye = Eye::new(first);
    loop {
        let Some(now) = look(&files).await else { return };
        match eye.sees(now) {
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Read => {
                let files = Arc::clone(&files);
                if tokio::task::spawn_blocking(move || files.differ()).await.unwrap_or(false) {
                    tracing::info!("the config's files have changed: they are read anew");
                    bell.ring();
                    // Until they are, they differ from what was read.
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }
}

/// A folder on a network may take its time.
async fn look(files: &Arc<Files>) -> Option<Glance> {
    let files = Arc::clone(files);
    let glance = tokio::task::spawn_blocking(move || files.glance()).await;
    glance.inspect_err(|error| tracing::error!(%error, "the config's files are no longer watched: SIGHUP has them read anew")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_they_have_come_to_rest() {
        let mut eye = Eye::new(0);
        let seen = [(0, Step::Read), (0, Step::Wait(LOOK_EVERY)), (1, Step::Wait(QUIET)), (2, Step::Wait(QUIET)), (2, Step::Read)];
        for (glance, step) in seen {
            assert_eq!(eye.sees(glance), step, "{glance}");
        }
        assert_eq!(eye.sees(2), Step::Wait(LOOK_EVERY));
    }
}
