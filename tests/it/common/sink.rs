//! A stand-in for Slack, Teams and any webhook: takes POSTs, keeps them, and answers as told.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// One request that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub headers: HeaderMap,
    pub body: String,
    pub at: std::time::Instant,
}

impl Taken {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: &'static str,
    pub delay: std::time::Duration,
}

impl Answer {
    pub fn new(status: u16, body: &'static str) -> Self {
        Self { status, headers: Vec::new(), body, delay: std::time::Duration::ZERO }
    }
}

#[derive(Default)]
struct Inside {
    taken: Vec<Taken>,
    next: Vec<Answer>,
    always: Option<Answer>,
}

/// A running sink.
#[derive(Clone)]
pub struct Sink {
    inside: Arc<Mutex<Inside>>,
    /// `http://127.0.0.1:PORT/hook`
    pub url: String,
}

impl Sink {
    /// One that answers every request with `body` and 200.
    pub async fn start(body: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let sink = Self { inside: Arc::default(), url };
        sink.always(Answer::new(200, body));
        let app = Router::new().fallback(take).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        sink
    }

    pub fn always(&self, answer: Answer) {
        self.inside.lock().unwrap().always = Some(answer);
    }

    /// The next requests are answered so, first one first; the ones after as before.
    pub fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inside.lock().unwrap().next.extend(answers);
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.inside.lock().unwrap().taken.clone()
    }

    /// Waits until so many requests have come in all.
    pub async fn holds(&self, count: usize) -> Vec<Taken> {
        super::until(&format!("{count} messages are in the sink"), || self.taken().len() >= count).await;
        self.taken()
    }
}

async fn take(State(sink): State<Sink>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = {
        let mut inside = sink.inside.lock().unwrap();
        inside.taken.push(Taken { headers, body: String::from_utf8(body.to_vec()).unwrap(), at: std::time::Instant::now() });
        if inside.next.is_empty() { inside.always.clone().unwrap() } else { inside.next.remove(0) }
    };
    tokio::time::sleep(answer.delay).await;
    let mut response = (StatusCode::from_u16(answer.status).unwrap(), answer.body).into_response();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
