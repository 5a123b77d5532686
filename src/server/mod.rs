//! What the program answers over HTTP: whether it lives, whether it is ready, and its metrics.

mod reload;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::Secret,
    health::{Health, Topic, Trouble},
    metrics::{Metrics, TroubleGauge},
    store::Store,
};

pub use reload::{Bell, Outcome};

/// What the answers are made of.
pub struct Server {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is the matter with the watch itself.
    pub health: Arc<Health>,
    /// Required in `Authorization: Bearer` for all but the health checks, where it is set.
    pub token: Option<Secret>,
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
        let guarded = Router::new().route("/metrics", get(metrics)).route("/api/v1/reload", post(reload::reload));
        let guarded = guarded.layer(middleware::from_fn_with_state(Arc::clone(&self), authorise));
        let app = Router::new()
            .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
            .route("/readyz", get(ready))
            .merge(guarded)
            .fallback(|| async {
                (
                    StatusCode::NOT_FOUND,
                    Json(json!({ "error": "no such page; there are /healthz, /readyz, /metrics and POST /api/v1/reload" })),
                )
            })
            .with_state(self);
        axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await
    }
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

async fn authorise(State(server): State<Arc<Server>>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let Some(token) = &server.token else { return next.run(request).await };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    // Digests are compared, so that the time taken tells nothing of the token.
    let right = given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token.expose()));
    if right {
        next.run(request).await
    } else {
        let body = Json(json!({ "error": "send the configured `server.token` as `Authorization: Bearer …`" }));
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response()
    }
}
