//! Bearer tokens by the OAuth 2.0 client credentials grant (RFC 6749, section 4.4): one held at a time, one request at a
//! time, and no word of a secret in an error.

mod certificate;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use reqwest::{Method, header::ACCEPT};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use crate::{
    domain::Secret,
    http::{self, Http, Reply},
};
pub use certificate::Certificate;

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
    /// What that permission is called where it is granted, for whoever lacks it.
    pub permission: &'static str,
    /// How the app proves who it is.
    pub proof: Proof,
}

/// Why there is no token, in one line without a word of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// The app or its proof is refused: someone has to do something.
    Refused(String),
    /// The endpoint asks for patience.
    Throttled {
        /// The least wait it asked for.
        after: Option<Duration>,
        /// What it answered.
        why: String,
    },
    /// No answer, or one that tells of trouble over there.
    Unavailable(String),
}

impl TokenError {
    /// Of a status that tells of trouble over there, which passes.
    ///
    /// # Errors
    /// It is another one; `said` comes back.
    pub fn passing(reply: &Reply, said: String, now: Timestamp) -> Result<Self, String> {
        match (reply.status, reply.retry_after(now)) {
            (429, after) | (408 | 425 | 500..=599, after @ Some(_)) => Ok(Self::Throttled { after, why: said }),
            (408 | 425 | 500..=599, None) => Ok(Self::Unavailable(said)),
            _ => Err(said),
        }
    }
}

/// A token in use.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub value: Secret,
    serial: u64,
}

/// The tokens of one app.
pub struct Tokens {
    client: Client,
    http: Http,
    held: Mutex<Held>,
    /// Requests ended so far. Read before waiting for `held`, it tells whether one ended meanwhile.
    ended: AtomicU64,
}

#[derive(Default)]
struct Held {
    token: Option<(Token, Instant)>,
    failure: Option<TokenError>,
}

impl Tokens {
    /// Holds none yet.
    #[must_use]
    pub fn new(client: Client, http: Http) -> Self {
        Self { client, http, held: Mutex::default(), ended: AtomicU64::new(0) }
    }

    /// The token held, or a new one when it is about to run out. `now` dates what is signed, and `Retry-After` dates.
    ///
    /// # Errors
    /// The endpoint gave none.
    pub async fn token(&self, now: Timestamp) -> Result<Token, TokenError> {
        self.obtain(None, now).await
    }

    /// A token other than the one that was refused.
    ///
    /// # Errors
    /// The endpoint gave none.
    pub async fn renewed(&self, refused: &Token, now: Timestamp) -> Result<Token, TokenError> {
        self.obtain(Some(refused.serial), now).await
    }

    async fn obtain(&self, refused: Option<u64>, now: Timestamp) -> Result<Token, TokenError> {
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
        let result = self.ask(now).await;
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

    async fn ask(&self, now: Timestamp) -> Result<(Secret, Duration), TokenError> {
        let client = &self.client;
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", &client.id), ("scope", &client.scope)];
        let shown = match &client.proof {
            Proof::Secret(secret) => secret.clone(),
            Proof::Certificate(certificate) => {
                form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
                certificate.assertion(&client.id, client.token_url.as_str(), now).map_err(TokenError::Refused)?
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
            .map_err(|_| TokenError::Unavailable("the request for a token can't be made: check token_url".into()))?;
        let reply = self
            .http
            .send(request, TOKEN_DEADLINE, TOKEN_BYTES)
            .await
            .map_err(|error| TokenError::Unavailable(format!("no token: {error}")))?;
        self.read(&reply, &shown, now)
    }

    /// The token in an answer. The body is never shown: it may repeat what was sent.
    fn read(&self, reply: &Reply, shown: &Secret, now: Timestamp) -> Result<(Secret, Duration), TokenError> {
        let origin = http::origin(&self.client.token_url);
        let said = format!("the token endpoint {origin} answered HTTP {}{}", reply.status, request_id(reply, shown));
        match reply.status {
            200..=299 => read_token(&reply.body).map_err(|why| TokenError::Unavailable(format!("{said}, but {why}; check token_url"))),
            300..=399 => Err(TokenError::Unavailable(format!("{said}: redirects are not followed; check token_url"))),
            400 | 401 | 403 => Err(self.refusal(&said, &reply.body, now)),
            _ => {
                Err(TokenError::passing(reply, said, now)
                    .unwrap_or_else(|said| TokenError::Unavailable(format!("{said}: check token_url"))))
            }
        }
    }

    fn refusal(&self, said: &str, body: &[u8], now: Timestamp) -> TokenError {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let word = serde_json::from_slice(body).map_or_else(|_| String::new(), |refusal: Refusal| refusal.error);
        let (expired, lacking);
        let to_do = match word.as_str() {
            "temporarily_unavailable" | "server_error" => return TokenError::Unavailable(format!("{said} {word}")),
            "invalid_client" | "unauthorized_client" | "invalid_grant" | "access_denied" => match &self.client.proof {
                Proof::Secret(_) => {
                    "client_id and client_secret do not belong together, or the secret has expired (as each does after some years): make a \
                     new one under App registrations and set client_secret"
                }
                Proof::Certificate(certificate) => {
                    expired = certificate.trouble(now);
                    expired.as_deref().unwrap_or(
                        "the certificate is not the one uploaded to the app registration of client_id, or this machine's clock is wrong",
                    )
                }
            },
            "invalid_scope" => {
                lacking = format!("grant the app the permission that `scope` names ({}) under App registrations", self.client.permission);
                &lacking
            }
            _ => "check client_id, the secret or certificate, scope and token_url",
        };
        // Only the standard's own words are repeated: an endpoint may put what it was sent into any other.
        if WORDS.contains(&word.as_str()) {
            TokenError::Refused(format!("{said} {word}: {to_do}"))
        } else {
            TokenError::Refused(format!("{said}: {to_do}"))
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

/// ` (request-id 7f3a)`, where the answer has one: what the vendor's support asks for.
#[must_use]
pub fn request_id(reply: &Reply, secret: &Secret) -> String {
    let id = reply.headers.get("request-id").map(|id| http::shorten(&String::from_utf8_lossy(id.as_bytes()))).unwrap_or_default();
    if id.is_empty() || secret.is_told_in(&id) { String::new() } else { format!(" (request-id {id})") }
}

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
