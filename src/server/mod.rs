//! What the program answers over HTTP: whether it lives, whether it is ready, its metrics, and the API.

mod channels;
mod cursor;
mod endpoints;
mod guard;
mod in_use;
mod lists;
mod problem;
mod query;
mod reload;
mod retry;
mod rules;
mod sample;
mod sources;

use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    document::near,
    domain::Secret,
    health::{Health, Topic, Trouble},
    metrics::{Metrics, TroubleGauge},
    store::{Overviews, Store},
};
use problem::{Problem, quoted};

pub use endpoints::{ENDPOINTS, Endpoint};
pub use in_use::{ChannelInUse, InUse, SourceInUse};
pub use query::{LIMIT_DEFAULT, LIMIT_MOST};
pub use reload::{Bell, Outcome};
pub use sample::Samples;

/// What the answers are made of.
pub struct Server {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The same, for what it tells of all it keeps.
    pub overviews: Arc<dyn Overviews>,
    /// What is the matter with the watch itself.
    pub health: Arc<Health>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Required in `Authorization: Bearer` for all but the health checks, where it is set.
    pub token: Option<Secret>,
    /// Whether it listens on a loopback address.
    pub loopback: bool,
    /// Of the config in use.
    pub in_use: RwLock<Arc<InUse>>,
    /// When channels were last sent samples.
    pub samples: Samples,
    /// Set once the program is stopping.
    pub stopping: AtomicBool,
    /// Rung for a reload; none where there are no files to read anew.
    pub bell: Option<Arc<Bell>>,
}

impl Server {
    /// Serves on an open listener until told to stop; requests under way are answered first.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn run(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let app = Router::new()
            .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route(endpoints::SOURCES.path, get(sources::sources))
            .route(endpoints::RULES.path, get(rules::rules))
            .route(endpoints::CHANNELS.path, get(channels::channels))
            .route(endpoints::JOBS.path, get(lists::jobs))
            .route(endpoints::ALERTS.path, get(lists::alerts))
            .route(endpoints::DELIVERIES.path, get(lists::deliveries))
            .route(endpoints::RETRY.path, post(retry::retry))
            .route(endpoints::TEST.path, post(sample::test))
            .route(endpoints::RELOAD.path, post(reload::reload))
            .fallback(nowhere)
            .with_state(Arc::clone(&self));
        // Around the whole, not around each path: only there is it known which methods a path takes.
        let app = Router::new().fallback_service(app).layer(middleware::from_fn_with_state(self, guard::guard));
        axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await
    }
}

impl Server {
    /// What is in use now.
    fn in_use(&self) -> Arc<InUse> {
        Arc::clone(&self.in_use.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another config has taken effect.
    pub fn uses(&self, in_use: Arc<InUse>) {
        *self.in_use.write().unwrap_or_else(PoisonError::into_inner) = in_use;
    }

    /// Nothing is begun any more once the program is stopping.
    fn is_serving(&self) -> Result<(), Problem> {
        if self.stopping.load(Ordering::Relaxed) { Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping")) } else { Ok(()) }
    }
}

async fn nowhere(uri: Uri) -> Problem {
    let paths = || ["/healthz", "/readyz", "/metrics"].into_iter().chain(ENDPOINTS.iter().map(|endpoint| endpoint.path));
    let hint = match near(uri.path(), paths()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", paths().collect::<Vec<_>>().join(", ")),
    };
    Problem::new(StatusCode::NOT_FOUND, format!("there is no {}; {hint}", quoted(uri.path())))
}

/// Binds the address.
///
/// # Errors
/// Why it can't be had, naming the address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("can't listen on {address}: {error}; is another program using it? Set `server.listen`"))
}

async fn ready(State(server): State<Arc<Server>>) -> Response {
    let reason = if server.stopping.load(Ordering::Relaxed) {
        Some("stopping".to_owned())
    } else {
        server.store.trouble().map(|trouble| trouble.to_string())
    };
    // A source or channel in trouble is told, but leaves the program ready: it can do all it is there for.
    let troubles: Vec<Value> = server
        .health
        .troubles()
        .iter()
        .map(|(topic, trouble)| json!({ "topic": topic.words(), "since": trouble.since, "why": trouble.why }))
        .collect();
    match reason {
        None => Json(json!({ "status": "ready", "troubles": troubles })).into_response(),
        Some(reason) => {
            let body = json!({ "status": "unready", "reason": reason, "troubles": troubles });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn metrics(State(server): State<Arc<Server>>) -> Response {
    match server.store.tally().await {
        Ok(tally) => {
            let text = server.metrics.text(tally, troubles(&server.health));
            ([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "a scrape could not be answered");
            (StatusCode::SERVICE_UNAVAILABLE, "the store can't be read\n").into_response()
        }
    }
}

fn troubles(health: &Health) -> Vec<TroubleGauge> {
    let gauge = |(topic, trouble): (Topic, Option<Trouble>)| TroubleGauge {
        kind: topic.kind(),
        name: topic.about().map(ToString::to_string).unwrap_or_default(),
        lasts: trouble.is_some(),
    };
    health.known().into_iter().map(gauge).collect()
}
