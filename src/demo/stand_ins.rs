//! Stand-ins for Slack, Teams and a webhook's receiver: they check what the real ones check, answer as they answer, and hand
//! on what they took.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::mpsc::UnboundedSender;

use super::{clock::SimulatedClock, mail, view::Verified};
use crate::clock::Clock;

/// The largest request they read.
const BODY: usize = 1024 * 1024;
/// How far a signature's time may lie from the receiver's, on the machine's clock: the Standard Webhooks libraries' value.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// The most that Teams takes of a message, measured as it arrives.
const TEAMS_BYTES: usize = 28_672;
/// The most blocks of one Slack message.
const SLACK_BLOCKS: usize = 50;

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// At Slack.
    Slack(Value),
    /// At Teams.
    Teams(Value),
    /// At the mail server.
    Mail(mail::Envelope),
    /// At the webhook's receiver.
    Webhook(Verified, Value),
}

/// The HTTP stand-ins.
pub struct StandIns {
    /// The receivers' time.
    pub clock: Arc<SimulatedClock>,
    /// The webhook's secret: raw bytes, as base64 after `whsec_`.
    pub secret: String,
    /// Whom they hand on to, with the simulated time of arrival.
    pub desk: UnboundedSender<(Timestamp, Arrived)>,
}

/// The path of Slack's stand-in.
pub const SLACK: &str = "/services/T0CONTOSO/B0ONCALL/demo";
/// The path of Teams' stand-in.
pub const TEAMS: &str = "/workflows/scans/triggers/manual/paths/invoke";
/// The path of the webhook's receiver.
pub const WEBHOOK: &str = "/tickets/hook";

impl StandIns {
    /// The three of them.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(SLACK, post(slack))
            .route(TEAMS, post(teams))
            .route(WEBHOOK, post(webhook))
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(self)
    }

    fn hand_on(&self, arrived: Arrived) {
        // With nobody at the desk, the show is over.
        let _ = self.desk.send((self.clock.now(), arrived));
    }
}

async fn slack(State(at): State<Arc<StandIns>>, body: Bytes) -> Response {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "invalid_payload").into_response();
    };
    let blocks = |holder: &Value| holder["blocks"].as_array().map_or(0, Vec::len);
    let attachments = message["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
    if blocks(&message) + attachments.iter().map(blocks).sum::<usize>() > SLACK_BLOCKS {
        return (StatusCode::BAD_REQUEST, "invalid_blocks").into_response();
    }
    if message["text"].as_str().is_none_or(str::is_empty) && blocks(&message) == 0 && attachments.is_empty() {
        return (StatusCode::BAD_REQUEST, "no_text").into_response();
    }
    at.hand_on(Arrived::Slack(message));
    "ok".into_response()
}

async fn teams(State(at): State<Arc<StandIns>>, body: Bytes) -> Response {
    if body.len() > TEAMS_BYTES {
        return (StatusCode::PAYLOAD_TOO_LARGE, "MessageSizeExceeded").into_response();
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(message) if message["attachments"].as_array().is_some_and(|cards| !cards.is_empty()) => {
            at.hand_on(Arrived::Teams(message));
            StatusCode::ACCEPTED.into_response()
        }
        _ => (StatusCode::BAD_REQUEST, "TriggerInputSchemaMismatch").into_response(),
    }
}

async fn webhook(State(at): State<Arc<StandIns>>, headers: HeaderMap, body: Bytes) -> Response {
    let id = headers.get("webhook-id").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let fault = verify(&at.secret, &headers, &body, at.clock.now(), at.clock.simulated(TOLERANCE)).err();
    let refused = fault.clone();
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    at.hand_on(Arrived::Webhook(Verified { id, fault }, body));
    match refused {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(why) => (StatusCode::UNAUTHORIZED, why).into_response(),
    }
}

/// Checks a signature by the Standard Webhooks scheme: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
fn verify(secret: &str, headers: &HeaderMap, body: &[u8], now: Timestamp, tolerance: Duration) -> Result<(), String> {
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty()).ok_or(format!("there is no {name}"))
    };
    let (id, time, signatures) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let sent = time.parse().ok().and_then(|second| Timestamp::from_second(second).ok()).ok_or("its time is no time")?;
    if now.duration_since(sent).unsigned_abs() > tolerance {
        return Err("its time is too far from ours".into());
    }
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).map_err(|_| "the secret is no base64")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| "the secret is no key")?;
    for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
        mac.update(part);
    }
    let given = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).filter_map(|one| STANDARD.decode(one).ok());
    let right = given.into_iter().any(|signature| mac.clone().verify_slice(&signature).is_ok());
    if right { Ok(()) } else { Err("it does not match".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    /// The example of the Standard Webhooks libraries.
    const SIGNED: (&str, i64, &str, &str) =
        ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");

    fn checked(id: &str, time: i64, body: &str, signature: &str, late: u64) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", time.into());
        headers.insert("webhook-signature", signature.parse().unwrap());
        let now = Timestamp::from_second(SIGNED.1).unwrap() + Duration::from_secs(late);
        verify(SECRET, &headers, body.as_bytes(), now, TOLERANCE)
    }

    #[test]
    fn a_signature_holds_only_for_what_was_signed() {
        let (id, time, body, signature) = SIGNED;
        assert_eq!(checked(id, time, body, signature, 0), Ok(()));
        assert_eq!(checked(id, time, body, &format!("v1,AAAA {signature}"), 0), Ok(()));
        assert_eq!(checked(id, time, body, "v1,AAAA", 0), Err("it does not match".into()));
        assert_eq!(checked("msg_2", time, body, signature, 0), Err("it does not match".into()));
        assert_eq!(checked(id, time + 1, body, signature, 0), Err("it does not match".into()));
        assert_eq!(checked(id, time, r#"{"test": 1}"#, signature, 0), Err("it does not match".into()));
        assert_eq!(checked(id, time, body, signature, 301), Err("its time is too far from ours".into()));
        assert_eq!(verify(SECRET, &HeaderMap::new(), b"", Timestamp::UNIX_EPOCH, TOLERANCE), Err("there is no webhook-id".into()));
    }
}
