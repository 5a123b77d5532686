//! A stand-in for the vendor's cloud on loopback.

use std::{
    collections::VecDeque,
    path::Path,
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
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::super::settings;
use crate::{
    clock::Clock,
    document::{Faults, Fields, Source, parse},
    domain::Name,
    http::Http,
    source::Feed,
};

pub struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        "2024-09-26T06:00:00Z".parse().unwrap()
    }
}

/// One answer: status, headers, body; sent after a while, if so told.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    pub after: Duration,
}

pub fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into(), after: Duration::ZERO }
}

impl Answer {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
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
pub struct Cloud {
    inside: Arc<Mutex<Inside>>,
    pub url: String,
}

pub const SECRET: &str = "canary-secret-0123456789";

impl Cloud {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cloud = Self { inside: Arc::default(), url };
        let app = Router::new().fallback(serve).with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        cloud
    }

    pub fn feed(&self) -> Arc<dyn Feed> {
        self.feed_of(&self.url)
    }

    /// A feed with its token from here and its list from elsewhere.
    pub fn feed_of(&self, base: &str) -> Arc<dyn Feed> {
        self.feed_with(base, Path::new(""), &format!("client_secret: {SECRET}"))
    }

    /// A feed of a config in `folder`, with credentials of its own.
    pub fn feed_with(&self, base: &str, folder: &Path, credentials: &str) -> Arc<dyn Feed> {
        let token_url = format!("{}/connect/token", self.url);
        let text = format!("client_id: app\n{credentials}\npage_size: 50\nbase_url: {base}\ntoken_url: {token_url}\n");
        let mut faults = Faults::default();
        let source = Arc::new(Source { path: folder.join("jobrelay.yaml"), text });
        let node = parse(&source, &mut faults).unwrap();
        let mut fields = Fields::open(&node, "a source", &mut faults).unwrap();
        let settings = settings::read(&mut fields, &mut faults).unwrap_or_else(|| panic!("{faults:?}"));
        let clock: Arc<dyn Clock> = Arc::new(FixedClock);
        settings.connect(&Name::from("contoso"), &Http::new().unwrap(), &clock).unwrap()
    }

    pub fn then_tokens(&self, answer: Answer) {
        self.inside.lock().unwrap().for_tokens.push_back(answer);
    }

    pub fn then_jobs(&self, answer: Answer) {
        self.inside.lock().unwrap().for_jobs.push_back(answer);
    }

    pub fn asked(&self) -> Vec<String> {
        self.inside.lock().unwrap().asked.clone()
    }

    pub fn tokens(&self) -> u32 {
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

/// A list that answers each request with these bytes, the last of them for ever, and then with silence or the end.
pub async fn raw(head: &'static str, endless: &'static [u8], hold: bool) -> (String, Arc<Notify>) {
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

/// A list whose answers each lack one byte more of a whole one.
pub async fn cut_shorter_each_time(whole: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for at in (0..whole.len()).rev() {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4096]).await;
            let _ = connection.write_all(&whole.as_bytes()[..at]).await;
            let _ = connection.shutdown().await;
        }
    });
    url
}
