//! Wiring and lifetime: everything is built from the config, the loops run, are changed for others on a reload, and stop in
//! order.

mod shift;
mod watch;

use std::{
    path::Path,
    sync::{Arc, RwLock, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::{Config, Files, Listed},
    health::{Health, Topic},
    http::Http,
    intake::Memory,
    metrics::Metrics,
    server::{self, Outcome, Samples, Server},
    store::{
        Overviews, Store, Tellings, Watches,
        sqlite::{Access, Sqlite},
    },
};
use shift::{Prepared, Shift};

pub use crate::server::Bell;

/// How long sends under way may take once the program is told to stop.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long requests that are being answered may take after that. A client that has begun a request and never ends it waits for ever.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// Without `notices` in the config no one is told; the board and the log still are.
const NEVER: Duration = Duration::MAX;

/// The machine's clock: the only place that asks it for the time of day.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is where the clock that everything else is passed comes from")]
        Timestamp::now()
    }

    fn up(&self) -> Option<Duration> {
        // Linux counts its sleep here, and not in the clock that waits are timed by.
        let text = std::fs::read_to_string("/proc/uptime").ok()?;
        Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
    }
}

/// How a running program gets another config.
pub struct Reload {
    /// Rung when one is asked for.
    pub bell: Arc<Bell>,
    /// The files, whose changes ring it.
    pub files: Arc<Files>,
    /// Reads them anew; where they are not to be used, the faults, an error at least among them, once they are logged.
    pub read: Arc<dyn Fn() -> Result<Config, Vec<Listed>> + Send + Sync>,
}

/// What stays while configs come and go.
pub struct Premises {
    http: Http,
    store: Arc<dyn Store>,
    watches: Arc<dyn Watches>,
    tellings: Arc<dyn Tellings>,
    overviews: Arc<dyn Overviews>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    memory: Memory,
    clock: Arc<dyn Clock>,
}

/// Runs the service until `stop` is cancelled.
///
/// # Errors
/// Why it could not start, in one line without secrets.
pub async fn run(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken, reload: Option<Reload>) -> Result<(), String> {
    let path = config.storage.path.clone();
    let store = Arc::new(Sqlite::open(&path, Access::Service).map_err(|error| error.to_string())?);
    let premises = Premises {
        http: Http::new()?,
        watches: Arc::<Sqlite>::clone(&store),
        tellings: Arc::<Sqlite>::clone(&store),
        overviews: Arc::<Sqlite>::clone(&store),
        store,
        metrics: Arc::new(Metrics::new()),
        health: Arc::new(Health::default()),
        memory: Memory::default(),
        clock,
    };
    let listener = server::listen(config.server.listen).await?;
    let address = listener.local_addr().map_err(|error| format!("can't tell the address listened on: {error}"))?;
    let server = Arc::new(Server {
        metrics: Arc::clone(&premises.metrics),
        store: Arc::clone(&premises.store),
        overviews: Arc::clone(&premises.overviews),
        health: Arc::clone(&premises.health),
        clock: Arc::clone(&premises.clock),
        token: config.server.token.clone(),
        loopback: address.ip().to_canonical().is_loopback(),
        in_use: RwLock::default(),
        samples: Samples::default(),
        stopping: std::sync::atomic::AtomicBool::new(false),
        bell: reload.as_ref().map(|reload| Arc::clone(&reload.bell)),
    });
    let fixed = Fixed::of(&config);
    let mut shift = Shift::begin(Prepared::new(config, &premises)?, &premises).await?;
    server.uses(Arc::clone(&shift.in_use));
    // What is in use is what the files say, whatever was refused before a restart.
    premises.health.fine(&Topic::ReloadRefused);
    // The server stops only when the loops are done, so that it can say so meanwhile.
    let served = CancellationToken::new();
    let serving = tokio::spawn(Arc::clone(&server).run(listener, served.clone()));
    tracing::info!(%address, "listening");

    let told = tokio::spawn({
        // At once, also in the middle of a reload.
        let (stop, server) = (stop.clone(), Arc::clone(&server));
        async move {
            stop.cancelled().await;
            server.stopping.store(true, Ordering::Relaxed);
        }
    });
    let watching = reload.as_ref().map(|reload| tokio::spawn(watch::watch(Arc::clone(&reload.files), Arc::clone(&reload.bell))));
    let failure = loop {
        match event(&stop, &mut shift, &*premises.store, &path, reload.as_ref()).await {
            Event::Stop => break None,
            Event::Failure(why) => break Some(why),
            Event::Reload(reload, answers) => match prepare(reload, &fixed, &premises).await {
                Err(faults) => refuse(&faults, answers, &premises),
                Ok(prepared) => {
                    let rules_version = prepared.rules_version().to_owned();
                    // All at once: no job is judged, and no message sent, by half a config.
                    shift.end().await;
                    if stop.is_cancelled() {
                        shift = Shift::none();
                        break None;
                    }
                    match Shift::begin(prepared, &premises).await {
                        Ok(next) => {
                            server.uses(Arc::clone(&next.in_use));
                            shift = next;
                        }
                        Err(why) => return Err(why),
                    }
                    premises.metrics.reloaded(true);
                    premises.health.fine(&Topic::ReloadRefused);
                    tracing::info!(rules_version, "the config is reloaded");
                    answer(answers, &Outcome::Reloaded { rules_version });
                }
            },
        }
    };
    server.stopping.store(true, Ordering::Relaxed);
    if let (Some(reload), Some(watching)) = (&reload, watching) {
        reload.bell.close();
        watching.abort();
    }
    if failure.is_none() {
        tracing::info!("stopping: sends under way are finished");
    }
    shift.end().await;
    served.cancel();
    told.abort();
    answered(serving).await;
    tracing::info!("stopped");
    failure.map_or(Ok(()), Err)
}

/// Waits until the requests under way are answered.
async fn answered(serving: JoinHandle<std::io::Result<()>>) {
    match tokio::time::timeout(ANSWERS_WITHIN, serving).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the server ended badly"),
        Ok(Err(error)) => tracing::warn!(%error, "the server failed"),
        Err(_) => tracing::debug!("a request was never finished by its sender"),
    }
}

/// What the loops are interrupted for.
enum Event<'r> {
    Stop,
    Failure(String),
    Reload(&'r Reload, Vec<oneshot::Sender<Outcome>>),
}

/// Waits until the program is told to stop or to reload, or until it has lost something it can't do without.
async fn event<'r>(stop: &CancellationToken, shift: &mut Shift, store: &dyn Store, path: &Path, reload: Option<&'r Reload>) -> Event<'r> {
    let asked = async {
        match reload {
            Some(reload) => {
                let answers = reload.bell.rung().await;
                (reload, answers)
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // Told to stop, the loops end as well: that is no failure, whichever is noticed first.
        biased;
        () = stop.cancelled() => Event::Stop,
        error = store.broken() => Event::Failure(format!("{}: {error}", path.display())),
        // No loop ends by itself: one that does has panicked, and a relay that has lost a loop must not look healthy.
        Some(ended) = shift.loops.join_next() => {
            Event::Failure(ended.map_or_else(|error| format!("a loop failed: {error}"), |()| "a loop ended".into()))
        }
        (reload, answers) = asked => Event::Reload(reload, answers),
    }
}

/// Reads the config anew and makes what it asks for; the faults where the one in use must stay.
async fn prepare(reload: &Reload, fixed: &Fixed, premises: &Premises) -> Result<Prepared, Vec<Listed>> {
    let fault = |message: String| {
        tracing::error!("{message}");
        vec![Listed::of_file(reload.files.config(), message)]
    };
    let read = Arc::clone(&reload.read);
    let config = match tokio::task::spawn_blocking(move || read()).await {
        Ok(config) => config?,
        Err(error) => return Err(fault(format!("it could not be read: {error}"))),
    };
    if Fixed::of(&config) != *fixed {
        tracing::warn!("`server.listen`, `server.token` and `storage.url` changed: they take effect at the next start, all else now");
    }
    Prepared::new(config, premises).map_err(fault)
}

/// The config in use stays, and everyone learns why.
fn refuse(faults: &[Listed], answers: Vec<oneshot::Sender<Outcome>>, premises: &Premises) {
    let errors: Vec<&Listed> = faults.iter().filter(|fault| fault.level == "error").collect();
    let why = match errors.as_slice() {
        [] => "it could not be read".to_owned(),
        [only] => only.line(),
        [first, more @ ..] => format!("{} (and {} more)", first.line(), more.len()),
    };
    tracing::error!(%why, "the config is not reloaded; the one in use stays");
    premises.metrics.reloaded(false);
    premises.health.trouble(Topic::ReloadRefused, &why, premises.clock.now());
    let listed = faults.iter().filter_map(|fault| serde_json::to_value(fault).ok()).collect();
    answer(answers, &Outcome::Refused(listed));
}

/// Whoever has gone away meanwhile needs no answer.
fn answer(waiting: Vec<oneshot::Sender<Outcome>>, outcome: &Outcome) {
    for one in waiting {
        let _ = one.send(outcome.clone());
    }
}

/// What of a config can't be changed while the program runs.
#[derive(PartialEq, Eq)]
struct Fixed {
    listen: std::net::SocketAddr,
    token: Option<String>,
    store: std::path::PathBuf,
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self {
            listen: config.server.listen,
            token: config.server.token.as_ref().map(|token| token.expose().to_owned()),
            store: config.storage.path.clone(),
        }
    }
}
