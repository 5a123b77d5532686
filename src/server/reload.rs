//! `POST /api/v1/reload`, and the bell by which everyone asks for a reload.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering};

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use super::{Server, endpoints::RELOAD, query::Query};

/// What came of a reload.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The config is in use.
    Reloaded {
        /// The version of its rules.
        rules_version: String,
    },
    /// The one before stays: the faults, as `check --format json` tells them.
    Refused(Vec<Value>),
    /// The program is stopping.
    Stopping,
}

/// Rung to have the config read anew. Rings during a reload come to one more.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Notify,
    /// Who waits for an answer; none once no one listens any more.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    closed: bool,
    answers: Vec<oneshot::Sender<Outcome>>,
}

impl Bell {
    /// Asks for a reload.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// Asks for a reload, and waits for what comes of it.
    pub async fn answered(&self) -> Outcome {
        let (reply, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.closed {
                return Outcome::Stopping;
            }
            waiting.answers.push(reply);
        }
        self.ring();
        answer.await.unwrap_or(Outcome::Stopping)
    }

    /// Waits until it is rung; whom to answer.
    pub async fn rung(&self) -> Vec<oneshot::Sender<Outcome>> {
        self.rung.notified().await;
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner).answers)
    }

    /// No one listens any more: who waits is told.
    pub fn close(&self) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Waiting { closed: true, answers: Vec::new() };
    }
}

/// Reads the config anew, and answers once it is in use or refused.
pub async fn reload(State(server): State<Arc<Server>>, RawQuery(raw): RawQuery) -> Response {
    if let Err(problem) = Query::read(raw.as_deref(), &RELOAD) {
        return problem.into_response();
    }
    let error = |status: StatusCode, why: &str| (status, Json(json!({ "reloaded": false, "error": why }))).into_response();
    let stopping = || error(StatusCode::SERVICE_UNAVAILABLE, "stopping");
    let Some(bell) = &server.bell else { return error(StatusCode::NOT_IMPLEMENTED, "there are no config files to read anew") };
    if server.stopping.load(Ordering::Relaxed) {
        return stopping();
    }
    match bell.answered().await {
        Outcome::Reloaded { rules_version } => Json(json!({ "reloaded": true, "rules_version": rules_version })).into_response(),
        Outcome::Refused(faults) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "reloaded": false, "faults": faults }))).into_response()
        }
        Outcome::Stopping => stopping(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_is_answered_also_where_no_one_listens_any_more() {
        let bell = Bell::default();
        let outcome = Outcome::Reloaded { rules_version: "0123456789ab".into() };
        let answers = async {
            for answer in bell.rung().await {
                answer.send(outcome.clone()).unwrap();
            }
        };
        let (first, second, ()) = tokio::join!(bell.answered(), bell.answered(), answers);
        assert_eq!((&first, &second), (&outcome, &outcome));
        let (left, ()) = tokio::join!(bell.answered(), async { bell.close() });
        assert_eq!((left, bell.answered().await), (Outcome::Stopping, Outcome::Stopping));
    }
}
