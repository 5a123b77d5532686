//! The feed against a stand-in for the vendor's cloud.

mod cloud;

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::feed;
use crate::{
    domain::State as JobState,
    oauth,
    source::{Cursor, Feed, FeedError, Found, Next},
};
use cloud::{Answer, Cloud, SECRET, answer, cut_shorter_each_time, raw};

fn first() -> Cursor {
    Cursor::Skip { skip: 0, top: 50 }
}

/// The error of reading the first page, which must name no secret.
async fn error(feed: &Arc<dyn Feed>) -> FeedError {
    error_of(feed.page(&first()).await)
}

fn error_of<T: std::fmt::Debug>(result: Result<T, FeedError>) -> FeedError {
    let error = result.unwrap_err();
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains("canary") && !shown.contains("secret-0123"), "{shown}");
        assert!(!shown.contains('\n'), "{shown}");
    }
    error
}

fn rows(ids: &[&str]) -> Vec<Value> {
    ids.iter().map(|id| json!({ "id": id, "state": 3 })).collect()
}

#[tokio::test]
async fn reads_the_list_page_by_page() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    let body = json!({ "jobs": rows(&["Scan3", "Scan2"]), "nextLink": "/jobs?skip=1", "totalCount": 2 }).to_string();
    cloud.then_jobs(answer(200, body).header("date", "Thu, 26 Sep 2024 06:00:01 GMT"));
    let page = feed.page(&first()).await.unwrap();
    let ids: Vec<&str> = page.rows.iter().map(|row| row.as_ref().unwrap().id.as_str()).collect();
    assert_eq!(ids, ["Scan3", "Scan2"]);
    let link = format!("{}/aos/jobs?skip=1", cloud.url);
    assert_eq!(page.next, Next::Link(link.clone()));
    assert_eq!(page.served_at, Some("2024-09-26T06:00:01Z".parse().unwrap()));
    assert_eq!(feed.page(&Cursor::Link(link)).await.unwrap().next, Next::None);
    assert_eq!(
        cloud.asked(),
        [
            format!(
                "POST /connect/token grant_type=client_credentials&client_id=app&scope=autodiscovery.readwrite.all&client_secret={SECRET} "
            ),
            "GET /aos/jobs?top=50&skip=0&orderby=StartTime&sortorder=1  Bearer canary-token-1".into(),
            "GET /aos/jobs?skip=1  Bearer canary-token-1".into(),
        ]
    );
}

#[tokio::test]
async fn a_page_is_known_again_by_its_every_byte() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    let body = json!({ "jobs": rows(&["Scan3", "Scan2"]) }).to_string();
    cloud.then_jobs(answer(200, body.clone()));
    let print = feed.page(&first()).await.unwrap().print;
    cloud.then_jobs(answer(200, body.clone()).header("date", "Thu, 26 Sep 2024 06:00:01 GMT"));
    let found = feed.page_unless(&first(), Some(print)).await.unwrap();
    assert!(matches!(found, Found::Known { served_at } if served_at == Some("2024-09-26T06:00:01Z".parse().unwrap())), "{found:?}");
    // Another body, and a page of which nothing is known.
    for (body, known) in [(body.replace("\"state\":3", "\"state\":2"), Some(print)), (format!("{body} "), Some(print)), (body, None)] {
        cloud.then_jobs(answer(200, body));
        let found = feed.page_unless(&first(), known).await.unwrap();
        assert!(matches!(&found, Found::Page(page) if page.rows.len() == 2), "{found:?}");
    }
    cloud.then_jobs(answer(500, "no"));
    error_of(feed.page_unless(&first(), Some(print)).await);
}

#[tokio::test]
async fn finds_a_job_by_its_whole_id_only() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    let body = json!({ "jobs": rows(&["Scan10", "Scan1", "xScan1"]) }).to_string();
    cloud.then_jobs(answer(200, body.clone()));
    assert_eq!(feed.find("Scan1").await.unwrap().unwrap().state, JobState::Failed);
    cloud.then_jobs(answer(200, body.clone()));
    assert_eq!(feed.find("Scan").await.unwrap(), None);
    // Where `search` is passed over, that a job is not among those shown says nothing.
    cloud.then_jobs(answer(200, body));
    assert!(matches!(error_of(feed.find("Scan7").await), FeedError::Malformed(why) if why.contains("passes over `search`")));
    feed.find("a b&skip=9").await.unwrap();
    assert!(cloud.asked().last().unwrap().starts_with("GET /aos/jobs?search=a%20b%26skip%3D9&top=50 "), "{:?}", cloud.asked());
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_request_for_a_token() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    let all = |feed: Arc<dyn Feed>| async move {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let feed = Arc::clone(&feed);
            calls.spawn(async move { feed.page(&first()).await.map(|_| ()) });
        }
        calls.join_all().await
    };
    let slow = Answer { after: Duration::from_millis(200), ..answer(400, r#"{"error":"invalid_client"}"#) };
    cloud.then_tokens(slow);
    let results = all(Arc::clone(&feed)).await;
    assert!(results.iter().all(|result| matches!(result, Err(FeedError::Refused(_)))), "{results:?}");
    assert_eq!(cloud.tokens(), 1, "a refusal is shared too");
    let results = all(Arc::clone(&feed)).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(cloud.tokens(), 2);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    feed.probe().await.unwrap();
    cloud.then_jobs(answer(401, ""));
    feed.page(&first()).await.unwrap();
    assert_eq!(cloud.tokens(), 2);
    assert!(cloud.asked().last().unwrap().ends_with("Bearer canary-token-2"));
    cloud.then_jobs(answer(401, "canary-token-2"));
    cloud.then_jobs(answer(401, "canary-token-3"));
    assert!(matches!(error(&feed).await, FeedError::Refused(_)));
    assert_eq!((cloud.tokens(), cloud.asked().len()), (3, 3 + 2 + 3));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_runs_out() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    let short = |token: &str, life: u32| answer(200, json!({ "access_token": token, "expires_in": life }).to_string());
    cloud.then_tokens(short("one", 0));
    feed.page(&first()).await.unwrap();
    cloud.then_tokens(short("two", 3600));
    feed.page(&first()).await.unwrap();
    feed.page(&first()).await.unwrap();
    assert_eq!(cloud.tokens(), 2);
    let bearers: Vec<String> = cloud.asked().iter().filter_map(|line| Some(line.split_once("Bearer ")?.1.to_owned())).collect();
    assert_eq!(bearers, ["one", "two", "two"]);
}

#[tokio::test]
async fn says_why_there_is_no_token_and_what_to_do() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    let echo = format!(r#"{{"error":"{SECRET}","error_description":"{SECRET}"}}"#);
    for (given, expected) in [
        (
            answer(400, format!(r#"{{"error":"invalid_client","error_description":"{SECRET}"}}"#)),
            "HTTP 400 invalid_client: client_id and client_secret do not belong together, or the secret has expired",
        ),
        (answer(401, r#"{"error":"invalid_scope"}"#), "HTTP 401 invalid_scope: grant the app the permission"),
        (answer(400, echo), "HTTP 400: check client_id"),
        (answer(403, format!("<html>{SECRET}")), "HTTP 403: check client_id"),
    ] {
        cloud.then_tokens(given);
        let error = error(&feed).await;
        assert!(matches!(error, FeedError::Refused(_)) && error.to_string().contains(expected), "{error}");
    }
    cloud.then_tokens(answer(429, SECRET).header("retry-after", "120"));
    assert!(matches!(error(&feed).await, FeedError::Throttled { after: Some(after), .. } if after.as_secs() == 120));
    for given in [
        answer(500, SECRET),
        answer(503, ""),
        answer(404, SECRET),
        answer(200, format!("<html>{SECRET}")),
        answer(200, "{}"),
        answer(400, r#"{"error":"temporarily_unavailable"}"#),
        answer(200, vec![b' '; oauth::TOKEN_BYTES + 1]),
    ] {
        cloud.then_tokens(given);
        assert!(matches!(error(&feed).await, FeedError::Unavailable(_)));
    }
    assert!(cloud.asked().iter().all(|line| !line.starts_with("GET")), "no page is asked for without a token");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (cloud, elsewhere) = (Cloud::start().await, Cloud::start().await);
    let feed = cloud.feed();
    for status in [301, 302, 303, 307, 308] {
        cloud.then_tokens(answer(status, "").header("location", format!("{}/connect/token", elsewhere.url)));
        assert!(error(&feed).await.to_string().contains("redirects are not followed"));
    }
    for status in [301, 302, 303, 307, 308] {
        cloud.then_jobs(answer(status, "").header("location", format!("{}/aos/jobs", elsewhere.url)));
        assert!(error(&feed).await.to_string().contains("redirects are not followed"));
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_link_elsewhere_gets_no_request() {
    let (cloud, elsewhere) = (Cloud::start().await, Cloud::start().await);
    let feed = cloud.feed();
    cloud.then_jobs(answer(200, json!({ "jobs": [], "nextLink": format!("{}/aos/jobs", elsewhere.url) }).to_string()));
    let page = feed.page(&first()).await.unwrap();
    assert!(matches!(page.next, Next::Unusable(why) if why.contains(&elsewhere.url)));
    let userinfo = cloud.url.replace("http://", "http://user@");
    for link in [format!("{}/aos/jobs", elsewhere.url), format!("{userinfo}/aos/jobs"), "nonsense".into()] {
        assert!(matches!(feed.page(&Cursor::Link(link)).await, Err(FeedError::Malformed(_))));
    }
    assert_eq!((elsewhere.asked().len(), cloud.asked().len()), (0, 2));
    for said in [json!(7), json!({}), json!("not a link")] {
        cloud.then_jobs(answer(200, json!({ "jobs": [], "nextLink": said }).to_string()));
        assert!(matches!(feed.page(&first()).await.unwrap().next, Next::Unusable(_)));
    }
}

#[tokio::test]
async fn only_a_whole_page_is_a_page() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    for body in ["", "{}", r#"{"jobs":null}"#, "<html>canary-token-1</html>", r#"{"jobs":[{"id":"canary-token-1""#] {
        cloud.then_jobs(answer(200, body).header("content-type", "text/html").header("request-id", "7f3a"));
        let error = error(&feed).await;
        assert!(matches!(error, FeedError::Malformed(_)), "{error}");
        assert!(error.to_string().contains("with text/html: ") && error.to_string().ends_with(" (request-id 7f3a)"), "{error}");
    }
    cloud.then_jobs(answer(503, "canary-token-1").header("retry-after", "Thu, 26 Sep 2024 06:02:00 GMT").header("date", "soon"));
    assert!(matches!(error(&feed).await, FeedError::Throttled { after: Some(after), .. } if after.as_secs() == 120));
    cloud.then_jobs(answer(502, "<html>Bad gateway</html>"));
    assert!(matches!(error(&feed).await, FeedError::Unavailable(_)));
}

#[tokio::test]
async fn a_page_that_never_ends_is_cut_off() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed_of(&raw("HTTP/1.1 200 OK\r\n\r\n{\"jobs\":[", &[b' '; 8 * 1024], false).await.0);
    let endless = error(&feed).await;
    assert!(matches!(&endless, FeedError::Malformed(why) if why.contains(&feed::PAGE_BYTES.to_string())), "{endless}");
    let feed = cloud.feed_of(&raw("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", &[], true).await.0);
    assert!(matches!(error(&feed).await, FeedError::Malformed(_)));
}

#[tokio::test]
async fn a_connection_that_breaks_gives_no_page() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed_of(&raw("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"jobs\":[]}", &[], false).await.0);
    assert!(matches!(error(&feed).await, FeedError::Unavailable(_)));
}

#[tokio::test]
async fn a_body_cut_at_any_byte_is_no_page() {
    let cloud = Cloud::start().await;
    let row = r#"{"id":"Scan1","state":3,"startTime":"2024-09-26T05:58:40.4092427+00:00","finishTime":"2024-09-26T05:59:12+00:00"}"#;
    let body = format!(r#"{{"jobs":[{row}],"nextLink":null,"totalCount":1}}"#);
    let feed = cloud.feed();
    for at in 0..body.len() {
        // A whole answer with a part of a body, as a broken gateway gives it.
        cloud.then_jobs(answer(200, body[..at].to_owned()));
        let error = error(&feed).await;
        assert!(matches!(error, FeedError::Malformed(_)), "cut at {at}: {error}");
    }
    cloud.then_jobs(answer(200, body.clone()));
    assert_eq!(feed.page(&first()).await.unwrap().rows.len(), 1);
    // A part of an answer, as a broken line gives it: its head is cut too, and its body by length and by chunks.
    let by_length = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let by_chunks = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for whole in [by_length, by_chunks] {
        let feed = cloud.feed_of(&cut_shorter_each_time(whole.clone()).await);
        for at in (0..whole.len()).rev() {
            let error = error(&feed).await;
            assert!(matches!(error, FeedError::Unavailable(_)), "cut at {at}: {error}");
        }
    }
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let cloud = Cloud::start().await;
    for head in ["", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"jobs\":["] {
        let (url, asked) = raw(head, &[], true).await;
        let feed = cloud.feed_of(&url);
        let first = first();
        // The first call gets the token and is dropped once it has asked: with time standing still, only the list may be slow.
        tokio::select! {
            _ = feed.page(&first) => panic!("silence is no page"),
            () = asked.notified() => {}
        }
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let error = error(&feed).await;
        assert_eq!(error, FeedError::Unavailable(format!("{url} did not answer within 30s")));
        assert!(began.elapsed() >= feed::PAGE_DEADLINE && began.elapsed() < feed::PAGE_DEADLINE + Duration::from_secs(2));
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_probe_reads_one_job() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    feed.probe().await.unwrap();
    assert!(cloud.asked()[1].starts_with("GET /aos/jobs?top=1&skip=0&"));
    cloud.then_jobs(answer(200, r#"{"jobs":[{"id":"Scan1"}]}"#));
    let error = feed.probe().await.unwrap_err();
    assert_eq!(error.to_string(), "not a page of jobs: a row can't be read: `state` is no whole number");
}

#[tokio::test]
async fn a_certificate_takes_the_place_of_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = "req -x509 -newkey rsa:2048 -nodes -keyout app.pem -out cert.pem -days 9 -subj /CN=app";
    let made = std::process::Command::new("openssl").args(openssl.split(' ')).current_dir(&folder).output().unwrap();
    assert!(made.status.success());
    let both = ["app.pem", "cert.pem"].map(|part| std::fs::read_to_string(folder.path().join(part)).unwrap());
    std::fs::write(folder.path().join("app.pem"), both.concat()).unwrap();

    let cloud = Cloud::start().await;
    let feed = cloud.feed_with(&cloud.url, folder.path(), "certificate: { path: app.pem }");
    feed.page(&first()).await.unwrap();
    let asked = cloud.asked().remove(0);
    let form = asked.strip_prefix("POST /connect/token ").unwrap().trim();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let keys: Vec<&str> = form.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["grant_type", "client_id", "scope", "client_assertion_type", "client_assertion"]);
    assert_eq!(form[3].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let claims = form[4].1.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["aud"], format!("{}/connect/token", cloud.url));
    assert_eq!(claims["iat"], 1_727_330_400);

    // Each request has an assertion of its own, and no error repeats it.
    cloud.then_jobs(answer(401, ""));
    cloud.then_tokens(
        answer(400, format!(r#"{{"error":"invalid_client","error_description":"{}"}}"#, form[4].1)).header("request-id", &form[4].1),
    );
    let error = error(&feed).await.to_string();
    assert!(error.contains("HTTP 400 invalid_client: the certificate is not the one uploaded"), "{error}");
    let asked = cloud.asked().pop().unwrap();
    assert!(asked.contains("client_assertion=") && !asked.contains(&form[4].1));
}
