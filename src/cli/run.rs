//! `jobrelay run`

use std::{path::Path, process::ExitCode, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, Bell, Reload, SystemClock},
    config::{self, Config, Files, Listed},
    document::Faults,
    failpoint,
};

pub const EXAMPLES: &str = "\
Examples:
  jobrelay run
  jobrelay --config /etc/jobrelay/jobrelay.yaml --log-format json run
  curl -s localhost:8080/readyz     what is the matter with the watch itself, if anything";

pub fn run(path: &Path) -> ExitCode {
    let files = Arc::new(Files::of(path));
    let (config, faults) = files.load();
    super::report(&faults);
    let Some(config) = config else { return ExitCode::FAILURE };
    if let Err(why) = super::refuse_placeholders(&config) {
        return super::exit(Err(why));
    }
    if let Ok(place) = std::env::var(failpoint::VARIABLE)
        && let Err(why) = failpoint::arm(&place)
    {
        return super::exit(Err(why));
    }
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        let bell = Arc::new(Bell::default());
        cancel_on_signals(&stop, Some(Arc::clone(&bell)))?;
        let read = Arc::clone(&files);
        let reload = Reload { bell, files, read: Arc::new(move || reread(&read)) };
        app::run(config, Arc::new(SystemClock), stop, Some(reload)).await.map(|()| ExitCode::SUCCESS)
    });
    super::exit(result)
}

/// The config as its files stand now. What is wrong with it goes to the log, line by line: this is no time for drawings.
fn reread(files: &Files) -> Result<Config, Vec<Listed>> {
    let (config, faults) = files.load();
    log(&faults);
    let mut listed = config::listing(&faults);
    let Some(config) = config else { return Err(listed) };
    if let Err(message) = super::refuse_placeholders(&config) {
        tracing::error!("{message}");
        listed.push(Listed::of_file(files.config(), message));
        return Err(listed);
    }
    Ok(config)
}

/// Every fault as a line of the log: a reader of JSON lines can't make sense of a drawing.
pub fn log(faults: &Faults) {
    for fault in config::listing(faults) {
        let config::Listed { file, line, column, message, hint, .. } = &fault;
        if fault.level == "error" {
            tracing::error!(file, line, column, hint, "{message}");
        } else {
            tracing::warn!(file, line, column, hint, "{message}");
        }
    }
}

/// Cancels `stop` on SIGTERM and SIGINT, and rings `reload` on SIGHUP, which would end the process if nobody caught it.
pub fn cancel_on_signals(stop: &CancellationToken, reload: Option<Arc<Bell>>) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("can't listen for signals: {error}"));
    let (mut terminate, mut interrupt, mut hangup) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?);
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => if let Some(reload) = &reload {
                    reload.ring();
                },
            }
        }
        stop.cancel();
    });
    Ok(())
}
