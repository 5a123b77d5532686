//! The feed against a stand-in for the vendor's cloud on loopback.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::Response,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::{feed, settings};
use crate::{
    clock::Clock,
    document::{Faults, Fields, Source, parse},
    domain::{Name, State as JobState},
    http::Http,
    source::{Cursor, Feed, FeedError, Next, oauth},
};

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        "2024-09-26T06:00:00Z".parse().unwrap()
    }
}

/// One answer: status, headers, body; sent after a while, if so told.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    after: Duration,
}

fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into(), after: Duration::ZERO }
}

impl Answer {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Default)]
struct Inside {
    asked: Vec<String>,
    tokens: u32,
    /// What takes the place of the next answers of the token endpoint, and of the list.
    for_tokens: VecDeque<Answer>,
    for_jobs: VecDeque<Answer>,
}

/// The stand-in: a token endpoint and a list, with a journal of `METHOD path body authorization`.
#[derive(Clone)]
struct Cloud {
    inside: Arc<Mutex<Inside>>,
    url: String,
}

const SECRET: &str = "canary-secret-0123456789";

impl Cloud {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cloud = Self { inside: Arc::default(), url };
        let app = Router::new().fallback(serve).with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        cloud
    }

    fn feed(&self) -> Arc<dyn Feed> {
        self.feed_of(&self.url)
    }

    /// A feed with its token from here and its list from elsewhere.
    fn feed_of(&self, base: &str) -> Arc<dyn Feed> {
        let token_url = format!("{}/connect/token", self.url);
        let text = format!("client_id: app\nclient_secret: {SECRET}\npage_size: 50\nbase_url: {base}\ntoken_url: {token_url}\n");
        let mut faults = Faults::default();
        let source = Arc::new(Source { path: PathBuf::from("jobrelay.yaml"), text });
        let node = parse(&source, &mut faults).unwrap();
        let mut fields = Fields::open(&node, "a source", &mut faults).unwrap();
        let settings = settings::read(&mut fields, &mut faults).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(FixedClock);
        settings.connect(&Name::from("contoso"), &Http::new().unwrap(), &clock).unwrap()
    }

    fn then_tokens(&self, answer: Answer) {
        self.inside.lock().unwrap().for_tokens.push_back(answer);
    }

    fn then_jobs(&self, answer: Answer) {
        self.inside.lock().unwrap().for_jobs.push_back(answer);
    }

    fn asked(&self) -> Vec<String> {
        self.inside.lock().unwrap().asked.clone()
    }

    fn tokens(&self) -> u32 {
        self.inside.lock().unwrap().tokens
    }
}

async fn serve(State(cloud): State<Cloud>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let answer = {
        let mut inside = cloud.inside.lock().unwrap();
        let bearer = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        inside.asked.push(format!("{method} {uri} {} {bearer}", String::from_utf8_lossy(&body)));
        if uri.path() == "/connect/token" {
            inside.tokens += 1;
            let token = json!({ "access_token": format!("canary-token-{}", inside.tokens), "expires_in": 3600 });
            inside.for_tokens.pop_front().unwrap_or_else(|| answer(200, token.to_string()))
        } else {
            inside.for_jobs.pop_front().unwrap_or_else(|| answer(200, r#"{"jobs":[]}"#))
        }
    };
    tokio::time::sleep(answer.after).await;
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).unwrap());
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

fn first() -> Cursor {
    Cursor::Skip { skip: 0, top: 50 }
}

/// The error of reading the first page, which must name no secret.
async fn error(feed: &Arc<dyn Feed>) -> FeedError {
    let error = feed.page(&first()).await.unwrap_err();
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
async fn finds_a_job_by_its_whole_id_only() {
    let cloud = Cloud::start().await;
    let feed = cloud.feed();
    let body = json!({ "jobs": rows(&["Scan10", "Scan1", "xScan1"]) }).to_string();
    cloud.then_jobs(answer(200, body.clone()));
    assert_eq!(feed.find("Scan1").await.unwrap().unwrap().state, JobState::Failed);
    cloud.then_jobs(answer(200, body));
    assert_eq!(feed.find("Scan").await.unwrap(), None);
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

/// A list that answers each request with these bytes, the last of them for ever, and then with silence or the end.
async fn raw(head: &'static str, endless: &'static [u8], hold: bool) -> (String, Arc<Notify>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, asked) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(Notify::new()));
    let telling = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            telling.notify_one();
            let _ = connection.write_all(head.as_bytes()).await;
            while !endless.is_empty() && connection.write_all(endless).await.is_ok() {}
            if hold {
                let _ = connection.read(&mut request).await;
            }
        }
    });
    (url, asked)
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
