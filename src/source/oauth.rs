//! Bearer tokens by the OAuth 2.0 client credentials grant (RFC 6749, section 4.4): one held at a time, one request at a
//! time, and no word of a secret in an error.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Method, header::ACCEPT};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use super::{FeedError, answer, certificate::Certificate};
use crate::{
    clock::Clock,
    domain::Secret,
    http::{self, Http, Reply},
};

/// The whole time the token endpoint may take.
pub const TOKEN_DEADLINE: Duration = Duration::from_secs(15);
/// The largest answer of a token endpoint.
pub const TOKEN_BYTES: usize = 64 * 1024;
/// A token is renewed this long before it runs out, so that none runs out on its way.
const EARLY: Duration = Duration::from_secs(60);
/// How long a token is taken to live where the endpoint does not say (RFC 6749 only recommends that it does).
const UNSAID_LIFE: Duration = Duration::from_secs(300);
/// No token is held for longer, whatever the endpoint says.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How the app proves who it is.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The client secret.
    Secret(Secret),
    /// A certificate, by a fresh client assertion for each request.
    Certificate(Arc<Certificate>),
}

/// What a token is asked for with.
#[derive(Debug, Clone)]
pub struct Client {
    /// The token endpoint.
    pub token_url: Url,
    /// The app's id.
    pub id: String,
    /// The permission asked for.
    pub scope: String,
    /// How the app proves who it is.
    pub proof: Proof,
}

/// A token in use.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub value: Secret,
    serial: u64,
}

/// The tokens of one source.
pub struct Tokens {
    client: Client,
    http: Http,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    /// Requests ended so far. Read before waiting for `held`, it tells whether one ended meanwhile.
    ended: AtomicU64,
}

#[derive(Default)]
struct Held {
    token: Option<(Token, Instant)>,
    failure: Option<FeedError>,
}

impl Tokens {
    /// Holds none yet.
    pub fn new(client: Client, http: Http, clock: Arc<dyn Clock>) -> Self {
        Self { client, http, clock, held: Mutex::default(), ended: AtomicU64::new(0) }
    }

    /// The token held, or a new one when it is about to run out.
    ///
    /// # Errors
    /// The endpoint gave none.
    pub async fn token(&self) -> Result<Token, FeedError> {
        self.obtain(None).await
    }

    /// A token other than the one that was refused.
    ///
    /// # Errors
    /// The endpoint gave none.
    pub async fn renewed(&self, refused: &Token) -> Result<Token, FeedError> {
        self.obtain(Some(refused.serial)).await
    }

    async fn obtain(&self, refused: Option<u64>) -> Result<Token, FeedError> {
        let before = self.ended.load(Ordering::Acquire);
        let mut held = self.held.lock().await;
        if let Some((token, until)) = &held.token
            && Instant::now() < *until
            && Some(token.serial) != refused
        {
            return Ok(token.clone());
        }
        // A request that ended while this caller waited for its turn has answered for it too.
        if self.ended.load(Ordering::Acquire) != before
            && let Some(failure) = &held.failure
        {
            return Err(failure.clone());
        }
        held.token = None;
        let asked = Instant::now();
        let result = self.ask().await;
        let serial = self.ended.fetch_add(1, Ordering::AcqRel);
        match result {
            Ok((value, life)) => {
                let token = Token { value, serial };
                held.failure = None;
                held.token = Some((token.clone(), asked + life.saturating_sub(EARLY.min(life / 4))));
                Ok(token)
            }
            Err(error) => {
                held.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn ask(&self) -> Result<(Secret, Duration), FeedError> {
        let client = &self.client;
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", &client.id), ("scope", &client.scope)];
        let shown = match &client.proof {
            Proof::Secret(secret) => secret.clone(),
            Proof::Certificate(certificate) => {
                form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
                certificate.assertion(&client.id, client.token_url.as_str(), self.clock.now()).map_err(FeedError::Refused)?
            }
        };
        let key = if matches!(client.proof, Proof::Secret(_)) { "client_secret" } else { "client_assertion" };
        form.push((key, shown.expose()));
        let request = self
            .http
            .request(Method::POST, client.token_url.clone())
            .header(ACCEPT, "application/json")
            .form(&form)
            .build()
            .map_err(|_| FeedError::Unavailable("the request for a token can't be made: check token_url".into()))?;
        let reply = self
            .http
            .send(request, TOKEN_DEADLINE, TOKEN_BYTES)
            .await
            .map_err(|error| FeedError::Unavailable(format!("no token: {error}")))?;
        self.read(&reply, &shown)
    }

    /// The token in an answer. The body is never shown: it may repeat what was sent.
    fn read(&self, reply: &Reply, shown: &Secret) -> Result<(Secret, Duration), FeedError> {
        let origin = http::origin(&self.client.token_url);
        let said = format!("the token endpoint {origin} answered HTTP {}{}", reply.status, answer::request_id(reply, shown));
        match reply.status {
            200..=299 => read_token(&reply.body).map_err(|why| FeedError::Unavailable(format!("{said}, but {why}; check token_url"))),
            300..=399 => Err(FeedError::Unavailable(format!("{said}: redirects are not followed; check token_url"))),
            400 | 401 | 403 => Err(self.refusal(&said, &reply.body)),
            _ => Err(answer::trouble(reply, said, self.clock.now())
                .unwrap_or_else(|said| FeedError::Unavailable(format!("{said}: check token_url")))),
        }
    }

    fn refusal(&self, said: &str, body: &[u8]) -> FeedError {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let word = serde_json::from_slice(body).map_or_else(|_| String::new(), |refusal: Refusal| refusal.error);
        let expired;
        let to_do = match word.as_str() {
            "temporarily_unavailable" | "server_error" => return FeedError::Unavailable(format!("{said} {word}")),
            "invalid_client" | "unauthorized_client" | "invalid_grant" | "access_denied" => match &self.client.proof {
                Proof::Secret(_) => {
                    "client_id and client_secret do not belong together, or the secret has expired (one lives 1 to 3 years): make a \
                     new one under App registrations and set client_secret"
                }
                Proof::Certificate(certificate) => {
                    expired = certificate.trouble(self.clock.now());
                    expired.as_deref().unwrap_or(
                        "the certificate is not the one uploaded to the app registration of client_id, or this machine's clock is wrong",
                    )
                }
            },
            "invalid_scope" => "grant the app the permission that `scope` names (autodiscovery.readwrite.all) under App registrations",
            _ => "check client_id, the secret or certificate, scope and token_url",
        };
        // Only the standard's own words are repeated: an endpoint may put what it was sent into any other.
        if WORDS.contains(&word.as_str()) {
            FeedError::Refused(format!("{said} {word}: {to_do}"))
        } else {
            FeedError::Refused(format!("{said}: {to_do}"))
        }
    }
}

/// The reasons a token endpoint may give (RFC 6749, sections 4.1.2.1 and 5.2).
const WORDS: &[&str] = &[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
];

fn read_token(body: &[u8]) -> Result<(Secret, Duration), &'static str> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        token_type: Option<String>,
        expires_in: Option<serde_json::Value>,
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Err("with no token in it");
    };
    if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("with a token that is no Bearer token");
    }
    if answer.access_token.is_empty() || !answer.access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("with a token that is none");
    }
    let seconds = match answer.expires_in {
        Some(serde_json::Value::Number(number)) => number.as_f64(),
        Some(serde_json::Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let life = seconds.map_or(UNSAID_LIFE, |seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST_LIFE));
    Ok((Secret::new(answer.access_token), life.min(LONGEST_LIFE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_token_and_how_long_it_lives() {
        let life = |rest: &str| read_token(format!(r#"{{"access_token":"t"{rest}}}"#).as_bytes()).unwrap().1.as_secs();
        assert_eq!(life(r#","expires_in":3600,"token_type":"Bearer""#), 3600);
        assert_eq!(life(r#","expires_in":"3600","token_type":"bearer""#), 3600);
        assert_eq!(life(r#","expires_in":1e300"#), LONGEST_LIFE.as_secs());
        assert_eq!(life(r#","expires_in":-5"#), 0);
        assert_eq!(life(r#","expires_in":"NaN""#), 0);
        assert_eq!(life(r#","expires_in":null"#), UNSAID_LIFE.as_secs());
        assert_eq!(life(""), UNSAID_LIFE.as_secs());
    }

    #[test]
    fn takes_nothing_else_for_a_token() {
        for body in
            ["", "<html>", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\nb"}"#, r#"{"access_token":"a","token_type":"mac"}"#]
        {
            assert!(read_token(body.as_bytes()).is_err(), "{body}");
        }
    }
}
