//! Who may ask for what: one gate before every path.
//!
//! Whoever knows the token may do all there is. On a loopback address there may be none: then everyone on this machine may, but no web
//! page that a browser on it shows. Such a page can send here what it likes, and can be made to look as if it came from here (by a name of
//! its own that leads to 127.0.0.1), but it can't hide the name it asked for, nor that it is a page.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Server,
    problem::{Problem, quoted},
};
use crate::domain::Secret;

/// The paths that need no token: whatever supervises the program has none.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];
/// The longest body that is read. None is needed for anything yet.
const BODY_BYTES: usize = 16 * 1024;
/// How long a body may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Lets a request pass or refuses it, and marks every answer as one that is not to be kept or guessed at.
pub async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match admit(&server, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    seal(response, &method, &path)
}

async fn admit(server: &Server, request: Request) -> Result<Request, Problem> {
    let public_url = server.in_use().public_url.clone();
    let gate = Gate { loopback: server.loopback, token: server.token.as_ref(), public_url: public_url.as_ref() };
    gate.judge(request.method(), request.uri(), request.headers())?;
    if !changes(request.method()) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let read = tokio::time::timeout(BODY_WITHIN, to_bytes(body, BODY_BYTES)).await;
    let body = read
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {}s", BODY_WITHIN.as_secs())))?
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is not whole, or larger than {BODY_BYTES} bytes")))?;
    if !matches!(body.trim_ascii(), b"" | b"{}") {
        return Err(Problem::bad("no body is taken here: give parameters behind `?` in the address"));
    }
    Ok(Request::from_parts(parts, Body::empty()))
}

/// What a request is judged by.
struct Gate<'g> {
    loopback: bool,
    token: Option<&'g Secret>,
    public_url: Option<&'g Url>,
}

impl Gate<'_> {
    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        if self.loopback {
            self.judge_host(uri, headers)?;
        }
        let authorised = match self.token {
            Some(token) if !OPEN.contains(&uri.path()) => {
                let given = bearer(headers);
                if !given.is_some_and(|given| is_same(given, token.expose())) {
                    let error = "send the configured `server.token` as `Authorization: Bearer …`";
                    return Err(Problem::new(StatusCode::UNAUTHORIZED, error));
                }
                true
            }
            _ => false,
        };
        if changes(method) { self.judge_sender(headers, authorised) } else { Ok(()) }
    }

    /// The name that was asked for must be this machine's: a page's own name may lead here as well.
    fn judge_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let named = headers.get_all(header::HOST).iter().map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
        for authority in named.chain(uri.authority().cloned().map(Some)) {
            let known = authority.as_ref().is_some_and(|authority: &Authority| is_loopback(authority.host()) || self.is_public(authority));
            if !known {
                let shown = authority.map(|authority| authority.to_string()).unwrap_or_default();
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    format!(
                        "{} is no name of a loopback address: ask for localhost, or set `server.public_url` to the name that a proxy asks for",
                        quoted(&shown)
                    ),
                ));
            }
        }
        Ok(())
    }

    fn is_public(&self, authority: &Authority) -> bool {
        self.public_url.and_then(Url::host_str).is_some_and(|host| host.eq_ignore_ascii_case(authority.host()))
    }

    /// What changes something must not come from a page of another site, which could not be told from its user's will.
    fn judge_sender(&self, headers: &HeaderMap, authorised: bool) -> Result<(), Problem> {
        let foreign = || {
            let error = "a web page of another site may not do this: set `server.token`, and send it as `Authorization: Bearer …`";
            Problem::new(StatusCode::FORBIDDEN, error)
        };
        if headers.get_all("sec-fetch-site").iter().any(|site| site != "none" && site != "same-origin") {
            return Err(foreign());
        }
        // No page makes a browser send a token that it does not know.
        if !authorised && headers.get_all(header::ORIGIN).iter().any(|origin| !self.is_own(origin, headers)) {
            return Err(foreign());
        }
        // What a page's form could send without asking first is none of these.
        let is_json = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json"))
        };
        if headers.get_all(header::CONTENT_TYPE).iter().all(is_json) {
            return Ok(());
        }
        let error = "send no body, or `Content-Type: application/json` (with curl, `-X POST` in place of `-d`)";
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
    }

    /// Whether a page is one of this server's own.
    fn is_own(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let Some(origin) = origin.to_str().ok().and_then(|text| Url::parse(text).ok()) else { return false };
        if self.public_url.is_some_and(|public| public.origin() == origin.origin()) {
            return true;
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let own = host.and_then(|host| Url::parse(&format!("{}://{host}", origin.scheme())).ok());
        matches!(origin.scheme(), "http" | "https") && own.is_some_and(|own| own.origin() == origin.origin())
    }
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Compared by digests, in a time that tells nothing of the token, not even its length.
fn is_same(given: &str, token: &str) -> bool {
    verify_slices_are_equal(&Sha256::digest(given), &Sha256::digest(token)).is_ok()
}

/// Whether a host is a name of this machine that no one else can give away.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn seal(mut response: Response, method: &Method, path: &str) -> Response {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = response.headers().get(header::ALLOW).cloned();
        let takes = allow.as_ref().and_then(|allow| allow.to_str().ok()).unwrap_or_default().replace(',', ", ");
        let error = format!("{} takes {takes}, not {}", quoted(path), quoted(method.as_str()));
        response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, error).into_response();
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    if response.status() == StatusCode::BAD_REQUEST
        && response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/json")
    {
        // The framework's own words are no JSON.
        response = Problem::bad(format!("{} can't be read: what is escaped in an address must be UTF-8", quoted(path))).into_response();
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    /// The status a request with these headers is refused with; 200 where it passes.
    fn status(gate: &Gate<'_>, request: &str, pairs: &[(&'static str, &str)]) -> u16 {
        let (method, uri) = request.split_once(' ').unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let judged = gate.judge(&method.parse().unwrap(), &uri.parse().unwrap(), &headers);
        judged.map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered() {
        let public = Url::parse("https://jobrelay.contoso.example").unwrap();
        let gate = Gate { loopback: true, token: None, public_url: Some(&public) };
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
            "[::ffff:127.0.0.1]:80",
            "jobrelay.contoso.example",
            "JobRelay.contoso.example:443",
        ] {
            assert_eq!(status(&gate, "GET /metrics", &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0:8080",
            "[::2]",
            "[::ffff:10.0.0.1]",
            "",
            "not a host",
            "user@evil.example",
            "localhost@evil.example",
        ] {
            assert_eq!(status(&gate, "GET /readyz", &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(&gate, "GET /metrics", &[]), 200, "no browser leaves it out");
        assert_eq!(status(&gate, "GET /metrics", &[("host", "localhost"), ("host", "evil.example")]), 403);
        assert_eq!(status(&gate, "GET http://evil.example/metrics", &[("host", "localhost")]), 403);
        let elsewhere = Gate { loopback: false, ..gate };
        assert_eq!(status(&elsewhere, "GET /readyz", &[("host", "10.0.0.1:8080")]), 200);
    }

    #[test]
    fn no_page_of_another_site_can_change_anything() {
        let public = Url::parse("https://jobrelay.contoso.example").unwrap();
        let gate = Gate { loopback: true, token: None, public_url: Some(&public) };
        let host = ("host", "127.0.0.1:8080");
        for pairs in [
            vec![],
            vec![("sec-fetch-site", "none")],
            vec![("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8080")],
            vec![("origin", "https://jobrelay.contoso.example")],
            vec![("content-type", "application/json; charset=utf-8")],
        ] {
            assert_eq!(status(&gate, "POST /x", &[&[host], &pairs[..]].concat()), 200, "{pairs:?}");
        }
        for (code, pairs) in [
            (403, vec![("origin", "https://evil.example")]),
            (403, vec![("origin", "null")]),
            (403, vec![("origin", "http://127.0.0.1:3000")]),
            (403, vec![("origin", "http://127.0.0.1")]),
            (403, vec![("origin", "http://localhost:8080")]),
            (403, vec![("origin", "file://127.0.0.1:8080")]),
            (403, vec![("origin", "http://127.0.0.1:8080"), ("origin", "https://evil.example")]),
            (403, vec![("sec-fetch-site", "cross-site")]),
            (403, vec![("sec-fetch-site", "same-site")]),
            (403, vec![("sec-fetch-site", "something-new")]),
            (415, vec![("content-type", "text/plain")]),
            (415, vec![("content-type", "application/x-www-form-urlencoded")]),
            (415, vec![("content-type", "multipart/form-data; boundary=x")]),
            (415, vec![("content-type", "text/plain; application/json")]),
        ] {
            assert_eq!(status(&gate, "POST /x", &[&[host], &pairs[..]].concat()), code, "{pairs:?}");
            let read = status(&gate, "GET /x", &[&[host], &pairs[..]].concat());
            assert_eq!(read, 200, "what only reads can't be read by a page: {pairs:?}");
        }
        for method in ["PUT", "PATCH", "DELETE", "PURGE"] {
            assert_eq!(status(&gate, &format!("{method} /x"), &[host, ("origin", "https://evil.example")]), 403, "{method}");
        }
    }

    #[test]
    fn where_there_is_a_token_only_its_bearer_passes() {
        let token = Secret::new(TOKEN);
        let gate = Gate { loopback: false, token: Some(&token), public_url: None };
        let with = |request: &str, authorization: &str| status(&gate, request, &[("authorization", authorization)]);
        for path in ["/metrics", "/api/v1/jobs", "/nowhere", "/healthz/", "//healthz"] {
            assert_eq!(status(&gate, &format!("GET {path}"), &[]), 401, "{path}");
            assert_eq!(with(&format!("GET {path}"), &format!("Bearer {TOKEN}")), 200, "{path}");
        }
        assert_eq!((status(&gate, "GET /healthz", &[]), status(&gate, "GET /readyz", &[])), (200, 200));
        assert_eq!(with("GET /metrics", &format!("bearer  {TOKEN}")), 200);
        for wrong in [
            TOKEN.to_owned(),
            format!("Basic {TOKEN}"),
            "Bearer".into(),
            "Bearer ".into(),
            format!("Bearer {TOKEN}0"),
            format!("Bearer {}", &TOKEN[1..]),
        ] {
            assert_eq!(with("GET /metrics", &wrong), 401, "{wrong}");
        }
        let bearer = format!("Bearer {TOKEN}");
        let post = |name, value: &str| status(&gate, "POST /x", &[("authorization", &bearer), (name, value)]);
        assert_eq!(post("origin", "https://behind.a.proxy.example"), 200, "no page makes a browser send the token");
        assert_eq!((post("sec-fetch-site", "cross-site"), post("content-type", "text/plain")), (403, 415));
    }
}
