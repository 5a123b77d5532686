//! The one HTTP client: a deadline over the whole exchange, a cap on the body while it is read, no redirects, and errors
//! that never name more of a URL than its origin.

mod guard;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{
    Client, ClientBuilder, Request, Response, Url,
    header::{DATE, HeaderMap, RETRY_AFTER},
    redirect,
};
use rustls::{CertificateError, pki_types::CertificateDer};

use crate::domain::{Outcome, Refusal};
use guard::Guard;
pub use guard::{NotPublic, look_at};

/// How much of a channel's answer is read: enough for any error text.
pub const ANSWER_BYTES: usize = 64 * 1024;
/// How much of an answer is kept in a log, an error or the store.
pub const ANSWER_SHOWN: usize = 300;
/// A longer `Retry-After` is taken as this.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(24 * 3600);
/// How long an idle connection is kept for the next message.
const IDLE: Duration = Duration::from_secs(90);
/// The share of a deadline that connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The client. Cloning shares its connections.
#[derive(Clone)]
pub struct Http {
    client: Client,
    guarded: Client,
    /// Whether this one is confined to public addresses.
    public_only: bool,
    tls: Arc<rustls::ClientConfig>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, complete.
    pub body: Vec<u8>,
}

/// Why there is no whole answer. Shows an origin at most, never a path or a query: those may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The deadline passed.
    #[error("{origin} did not answer within {}", crate::domain::format_duration(*.limit))]
    Timeout {
        /// Whom we asked.
        origin: String,
        /// The deadline.
        limit: Duration,
    },
    /// No connection, or TLS failed.
    #[error("can't connect to {origin}: {why}")]
    Connect {
        /// Whom we asked.
        origin: String,
        /// The innermost reason.
        why: String,
    },
    /// The connection broke in the middle: whether the request was taken is not known.
    #[error("the connection to {origin} broke: {why}")]
    Broken {
        /// Whom we asked.
        origin: String,
        /// The innermost reason.
        why: String,
    },
    /// The host leads to an address that is not for messages; nothing was sent.
    #[error("{0}: if that is meant, write `allow_private: true` beside the channel's `url`")]
    NotPublic(NotPublic),
    /// The body exceeds its cap.
    #[error("{origin} answered with more than {cap} bytes")]
    TooLarge {
        /// Whom we asked.
        origin: String,
        /// The cap.
        cap: usize,
    },
}

impl Http {
    /// Makes the client with the system's root certificates; where there are none (a bare container), with Mozilla's.
    ///
    /// # Errors
    /// The TLS set-up failed, in one line.
    pub fn new() -> Result<Self, String> {
        Self::with(Guard::of_the_system())
    }

    fn with(guard: Guard) -> Result<Self, String> {
        let tls = tls_config()?;
        let build = |builder: ClientBuilder| {
            builder
                .user_agent(concat!("jobrelay/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .connect_timeout(CONNECT)
                .pool_idle_timeout(IDLE)
                .tcp_nodelay(true)
                .referer(false)
                .tls_backend_preconfigured(tls.clone())
                .build()
                .map_err(|error| format!("can't set up the HTTP client: {}", innermost(&error)))
        };
        let client = build(Client::builder())?;
        let guarded = build(Client::builder().dns_resolver(Arc::new(guard)))?;
        Ok(Self { client, guarded, public_only: false, tls: Arc::new(tls) })
    }

    /// One whose guard finds these addresses behind every name.
    ///
    /// # Errors
    /// As for [`Http::new`].
    #[cfg(test)]
    pub fn leading_to(addresses: &'static [&'static [&'static str]]) -> Result<Self, String> {
        Self::with(guard::tests::scripted(addresses, Arc::default()))
    }

    /// The same, but that it connects to public addresses alone (and to loopback, where the URL says so): for what sends to
    /// addresses that may be anyone's. Behind a proxy it is the proxy that looks names up, and its rules that hold.
    #[must_use]
    pub fn public_only(&self) -> Self {
        Self { client: self.guarded.clone(), public_only: true, ..self.clone() }
    }

    /// The client's TLS set-up, for connections that speak another protocol than HTTP.
    #[must_use]
    pub fn tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// The builder of a request to be handed to [`Http::send`].
    pub fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request and reads the whole answer, of at most `cap` bytes, within `deadline`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn send(&self, request: Request, deadline: Duration, cap: usize) -> Result<Reply, HttpError> {
        self.look_at(&request)?;
        let origin = origin(request.url());
        match tokio::time::timeout(deadline, self.exchange(request, &origin, cap)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Timeout { origin, limit: deadline }),
        }
    }

    /// As [`Http::send`], for whoever needs the status before all: once there is one, a body that breaks off, takes too long or
    /// exceeds `cap` is taken as far as it was read. A message that was accepted must not be sent again for the sake of the
    /// words that come after.
    ///
    /// # Errors
    /// See [`HttpError`]; never [`HttpError::TooLarge`].
    pub async fn tell(&self, request: Request, deadline: Duration, cap: usize) -> Result<Reply, HttpError> {
        self.look_at(&request)?;
        let origin = origin(request.url());
        let until = tokio::time::Instant::now() + deadline;
        let mut response = match tokio::time::timeout_at(until, self.client.execute(request)).await {
            Ok(result) => result.map_err(|error| failed(&origin, &error))?,
            Err(_) => return Err(HttpError::Timeout { origin, limit: deadline }),
        };
        let mut body = Vec::new();
        while let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(until, response.chunk()).await {
            body.extend_from_slice(&chunk[..chunk.len().min(cap - body.len())]);
            if body.len() == cap {
                break;
            }
        }
        Ok(Reply { status: response.status().as_u16(), headers: std::mem::take(response.headers_mut()), body })
    }

    /// An address in the URL itself passes the resolver by.
    fn look_at(&self, request: &Request) -> Result<(), HttpError> {
        if self.public_only { look_at(request.url()).map_err(HttpError::NotPublic) } else { Ok(()) }
    }

    async fn exchange(&self, request: Request, origin: &str, cap: usize) -> Result<Reply, HttpError> {
        let mut response: Response = self.client.execute(request).await.map_err(|e| failed(origin, &e))?;
        let too_large = || HttpError::TooLarge { origin: origin.to_owned(), cap };
        if response.content_length().is_some_and(|length| length > cap as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failed(origin, &e))? {
            if body.len() + chunk.len() > cap {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status().as_u16(), headers: std::mem::take(response.headers_mut()), body })
    }
}

fn failed(origin: &str, error: &reqwest::Error) -> HttpError {
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<NotPublic>()) {
        return HttpError::NotPublic(refused.clone());
    }
    let (origin, why) = (origin.to_owned(), causes(error).find_map(of_tls).unwrap_or_else(|| innermost(error)));
    if error.is_connect() { HttpError::Connect { origin, why } } else { HttpError::Broken { origin, why } }
}

impl Reply {
    /// The server's own time of answering.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        let date = httpdate::parse_http_date(self.headers.get(DATE)?.to_str().ok()?).ok()?;
        Timestamp::try_from(date).ok()
    }

    /// What `Retry-After` asks for, in seconds or as a date (against the server's own `Date`, else `now`), capped at
    /// [`RETRY_AFTER_MOST`]. None where it is absent or makes no sense.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if text.bytes().all(|b| b.is_ascii_digit()) {
            // More digits than fit are a very long wait, not none.
            Duration::from_secs(text.parse().unwrap_or(u64::MAX))
        } else {
            let until = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
            Duration::try_from(until.duration_since(self.date().unwrap_or(now))).unwrap_or(Duration::ZERO)
        };
        (!text.is_empty()).then(|| wait.min(RETRY_AFTER_MOST))
    }

    /// The body as one short line, for a log or the store.
    #[must_use]
    pub fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line = shorten(&text);
        if line.is_empty() { format!("HTTP {}", self.status) } else { format!("HTTP {}: {line}", self.status) }
    }

    /// What the status alone says, for a kind of channel that has no words of its own: 2xx is delivered; 408, 425, 429 and
    /// 5xx are tried again; 401, 403, 404, 410 and redirects are about the channel; every other one about the message.
    #[must_use]
    pub fn outcome(&self, now: Timestamp) -> Outcome {
        let shown = self.shown();
        match self.status {
            200..=299 => Outcome::Delivered { answer: shown },
            408 | 425 | 429 | 500..=599 => Outcome::Retry { after: self.retry_after(now), why: shown },
            300..=399 => Outcome::Refused { what: Refusal::Channel, why: format!("{shown} (redirects are not followed)") },
            401 | 403 | 404 | 410 => Outcome::Refused { what: Refusal::Channel, why: shown },
            _ => Outcome::Refused { what: Refusal::Message, why: shown },
        }
    }
}

impl From<HttpError> for Outcome {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::NotPublic(_) => Self::Refused { what: Refusal::Channel, why: error.to_string() },
            _ => Self::Retry { after: None, why: error.to_string() },
        }
    }
}

/// Scheme, host and port: what may be shown of a URL.
#[must_use]
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// One line without control characters, of at most [`ANSWER_SHOWN`] characters.
#[must_use]
pub fn shorten(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !c.is_control()));
        if line.chars().count() > ANSWER_SHOWN {
            return line.chars().take(ANSWER_SHOWN).chain(['…']).collect();
        }
    }
    line
}

/// The TLS set-up shared by every kind of connection: system roots, else Mozilla's.
///
/// # Errors
/// The provider does not support the default protocol versions, in one line.
pub fn tls_config() -> Result<rustls::ClientConfig, String> {
    tls_config_with(&[])
}

/// As [`tls_config`], with private roots beside the system's.
///
/// # Errors
/// As for [`tls_config`], or one of the private roots is no certificate.
pub fn tls_config_with(private: &[CertificateDer<'static>]) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for certificate in private {
        roots.add(certificate.clone()).map_err(|error| format!("a private root certificate can't be used: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("can't set up TLS: {error}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Why a certificate is not trusted.
#[must_use]
pub fn distrust(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "it is for another host name".into(),
        CertificateError::UnknownIssuer => "its issuer is not trusted here".into(),
        // The verifier's own error has no words for people, and its type is no one else's to name.
        CertificateError::Other(inner) if format!("{inner:?}").contains("CaUsedAsEndEntity") => {
            "it is an issuer's own, as self-signed ones are, and not one issued to a server".into()
        }
        other => shorten(&other.to_string()),
    }
}

/// What TLS makes of a cause, where it is one of TLS. An `io::Error` speaks for what it holds, but does not name it as its cause.
fn of_tls(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let held = || cause.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>();
    match cause.downcast_ref::<rustls::Error>().or_else(held)? {
        rustls::Error::InvalidCertificate(why) => Some(format!("its certificate can't be trusted: {}", distrust(why))),
        rustls::Error::InvalidMessage(_) => Some("it does not speak TLS on this port".into()),
        _ => None,
    }
}

/// The last cause of an error: "connection refused" rather than "error sending request for url (…)".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().map(|cause| shorten(&cause.to_string())).unwrap_or_default()
}

/// An error, its cause, the cause of that, and so on.
fn causes<'e>(error: &'e (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

#[cfg(test)]
mod tests;
