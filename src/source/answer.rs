//! What an answer that is no page means, in words that repeat no secret.

use jiff::Timestamp;

use crate::{
    domain::Secret,
    http::{HttpError, Reply},
    oauth::{TokenError, request_id},
    source::FeedError,
};

/// Of an answer of the feed with a status other than 2xx. A 401 comes here only when a fresh token got it.
pub fn refusal(reply: &Reply, origin: &str, token: &Secret, now: Timestamp) -> FeedError {
    let said = format!("{origin} answered {}", told(reply, token));
    match reply.status {
        401 => FeedError::Refused(format!(
            "{said}: it does not take a fresh token; check that base_url (or region) and token_url (or environment) belong together"
        )),
        403 => FeedError::Refused(format!(
            "{said}: grant the app the permission autodiscovery.readwrite.all under App registrations, and have it consented to"
        )),
        300..=399 => FeedError::Unavailable(format!("{said}: redirects are not followed; check base_url")),
        _ => TokenError::passing(reply, said, now)
            .map_or_else(|said| FeedError::Unavailable(format!("{said}: check base_url (or region)")), FeedError::from),
    }
}

/// Of no whole answer.
pub fn silence(error: &HttpError) -> FeedError {
    match error {
        HttpError::TooLarge { .. } => FeedError::Malformed(error.to_string()),
        _ => FeedError::Unavailable(error.to_string()),
    }
}

/// `HTTP 503: the body, shortened (request-id 7f3a)`.
fn told(reply: &Reply, token: &Secret) -> String {
    let shown = reply.shown();
    let shown = if token.is_told_in(&shown) { format!("HTTP {}, with a body that repeats the token", reply.status) } else { shown };
    format!("{shown}{}", request_id(reply, token))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Reply {
        let headers: HeaderMap = headers.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect();
        Reply { status, headers, body: body.into() }
    }

    fn of(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> FeedError {
        let now = "2024-09-26T05:58:40Z".parse().unwrap();
        refusal(&reply(status, headers, body), "https://graph.example", &Secret::new("canary-token-1"), now)
    }

    fn throttled(error: &FeedError) -> Option<u64> {
        match error {
            FeedError::Throttled { after, .. } => after.map(|after| after.as_secs()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn says_what_each_status_means_and_what_to_do() {
        for (status, expected) in [
            (400, "unavailable: https://graph.example answered HTTP 400: no: check base_url (or region)"),
            (404, "unavailable: https://graph.example answered HTTP 404: no: check base_url (or region)"),
            (302, "unavailable: https://graph.example answered HTTP 302: no: redirects are not followed; check base_url"),
            (503, "unavailable: https://graph.example answered HTTP 503: no"),
            (408, "unavailable: https://graph.example answered HTTP 408: no"),
        ] {
            assert_eq!(of(status, &[], "no").to_string(), expected);
        }
        assert!(matches!(of(401, &[], ""), FeedError::Refused(why) if why.contains("fresh token")));
        assert!(matches!(of(403, &[], ""), FeedError::Refused(why) if why.contains("autodiscovery.readwrite.all")));
    }

    #[test]
    fn takes_note_of_how_long_to_wait() {
        assert_eq!(throttled(&of(429, &[("retry-after", "120")], "")), Some(120));
        assert_eq!(throttled(&of(429, &[("retry-after", "Thu, 26 Sep 2024 06:00:40 GMT")], "")), Some(120));
        assert_eq!(throttled(&of(429, &[("retry-after", "soon")], "")), None);
        assert_eq!(throttled(&of(429, &[], "")), None);
        assert_eq!(throttled(&of(503, &[("retry-after", "7")], "")), Some(7));
        let error = of(429, &[("retry-after", "99999999999999999999")], "");
        assert_eq!(throttled(&error), Some(crate::http::RETRY_AFTER_MOST.as_secs()));
        assert!(matches!(error, FeedError::Throttled { after: Some(after), .. } if after <= Duration::from_secs(86_400)));
    }

    #[test]
    fn names_the_request_and_repeats_no_secret() {
        let error = of(500, &[("request-id", "7f3a")], "<html>Server\nError</html>").to_string();
        assert_eq!(error, "unavailable: https://graph.example answered HTTP 500: <html>Server Error</html> (request-id 7f3a)");
        for body in ["Bearer canary-token-1", "canary-t\u{7}oken-1", "xxanary-toxx"] {
            let error = of(500, &[("request-id", "canary-token-1")], body).to_string();
            assert_eq!(error, "unavailable: https://graph.example answered HTTP 500, with a body that repeats the token");
        }
    }
}
