//! Wiring and lifetime: everything is built from the config, the loops run, and stop in order.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::Tools,
    clock::Clock,
    config::Config,
    delivery::Courier,
    domain::Name,
    health::{Health, Topic},
    http::Http,
    intake::{Habits, Intake, Limits, Memory},
    metrics::Metrics,
    schedule::{Notices, RollUps},
    server::{self, Server},
    store::{
        Store,
        sqlite::{Access, Sqlite},
    },
    wake::Wake,
};

/// How long sends under way may take once the program is told to stop.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);

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
}

/// Runs the service until `stop` is cancelled.
///
/// # Errors
/// Why it could not start, in one line without secrets.
pub async fn run(config: Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<(), String> {
    let http = Http::new()?;
    let tools = Tools { http: http.clone(), templates: Arc::clone(&config.templates), public_url: config.server.public_url.clone() };
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&config.storage.path, Access::Service).map_err(|error| error.to_string())?);
    let metrics = Arc::new(Metrics::new());
    let sources: Vec<Name> = config.sources.iter().map(|source| source.name.clone()).collect();
    let channels: Vec<Name> = config.channels.iter().map(|channel| channel.name.clone()).collect();
    let fallbacks = config.channels.iter().filter_map(|channel| Some((channel.name.clone(), channel.fallback.clone()?))).collect();
    metrics.announce(&texts(&sources), &texts(&channels));
    let wake = Arc::new(Wake::for_channels(channels.iter().cloned()));
    let limits = Arc::new(Limits::recalled(&config.rules, &*store).await.map_err(|error| error.to_string())?);
    let memory = Memory::default();
    let health = Arc::new(Health::default());

    let listener = server::listen(config.server.listen).await?;
    let address = listener.local_addr().map_err(|error| format!("can't tell the address listened on: {error}"))?;
    let server = Arc::new(Server {
        metrics: Arc::clone(&metrics),
        store: Arc::clone(&store),
        health: Arc::clone(&health),
        token: config.server.token,
        stopping: std::sync::atomic::AtomicBool::new(false),
    });

    // Two tokens: pollers and couriers stop at once, the server only when they are done, so that it can say so meanwhile.
    let served = CancellationToken::new();
    let mut loops = JoinSet::new();
    for source in config.sources {
        let intake = Intake {
            feed: source.settings.connect(&source.name, &http, &clock).map_err(|why| format!("source {}: {why}", source.name))?,
            name: source.name,
            poll_every: source.poll_every,
            start: source.start,
            keep: config.storage.keep,
            habits: Habits::default(),
            rules: Arc::clone(&config.rules),
            limits: Arc::clone(&limits),
            store: Arc::clone(&store),
            memory: memory.clone(),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            wake: Arc::clone(&wake),
        };
        loops.spawn(intake.run(stop.clone()));
    }
    for channel in config.channels {
        let courier = Courier {
            channel: channel
                .settings
                .connect(&channel.name, &channel.common, &tools)
                .map_err(|why| format!("channel {}: {why}", channel.name))?,
            line: store.line(&channel.name).await.map_err(|error| error.to_string())?,
            name: channel.name,
            rate: channel.rate,
            give_up_after: channel.give_up_after,
            fallback: channel.fallback,
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            wake: Arc::clone(&wake),
        };
        loops.spawn(courier.recalled().run(stop.clone()));
    }
    let (notify, source_down_after) = config.notices.map_or_else(|| (Vec::new(), NEVER), |n| (n.notify, n.source_down_after));
    let notices = Notices {
        health,
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        topics: Topic::all(&sources, &channels),
        notify,
        fallbacks,
        source_down_after,
        wake: Arc::clone(&wake),
    };
    loops.spawn(notices.run(stop.clone()));
    let roll_ups = RollUps { limits, store: Arc::clone(&store), clock, channels, wake };
    loops.spawn(roll_ups.run(stop.clone()));
    let serving = tokio::spawn(Arc::clone(&server).run(listener, served.clone()));
    tracing::info!(%address, "listening");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), sources = sources.len(), rules = config.rules.rules().len(), "jobrelay runs");

    let path = config.storage.path.clone();
    let failure = failure(&stop, &mut loops, &*store, &path).await;
    server.stopping.store(true, Ordering::Relaxed);
    stop.cancel();
    if failure.is_none() {
        tracing::info!("stopping: sends under way are finished");
    }
    let finished = tokio::time::timeout(STOP_WITHIN, async { while loops.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!("a send was still under way after {}s; it is tried again at the next start", STOP_WITHIN.as_secs());
        loops.shutdown().await;
    }
    served.cancel();
    match serving.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the server ended badly"),
        Err(error) => tracing::warn!(%error, "the server failed"),
    }
    tracing::info!("stopped");
    failure.map_or(Ok(()), Err)
}

/// Waits until the program is told to stop, or until it has lost something it can't do without: what, then.
async fn failure(stop: &CancellationToken, loops: &mut JoinSet<()>, store: &dyn Store, path: &Path) -> Option<String> {
    tokio::select! {
        // Told to stop, the loops end as well: that is no failure, whichever is noticed first.
        biased;
        () = stop.cancelled() => None,
        error = store.broken() => Some(format!("{}: {error}", path.display())),
        // No loop ends by itself: one that does has panicked, and a relay that has lost a loop must not look healthy.
        Some(ended) = loops.join_next() => Some(ended.map_or_else(|error| format!("a loop failed: {error}"), |()| "a loop ended".into())),
    }
}

fn texts(names: &[Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
