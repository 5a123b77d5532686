//! What every kind of channel does alike, whatever it is spoken to in. A new kind joins by its line in [`STANDS`].

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use jobrelay::{
    channel::{Channel, Common, Envelope, KINDS, Payload, Tools},
    document::{Faults, Fields, Source, parse},
    domain::{Name, Outcome, Target},
    http::Http,
    template::Templates,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::common::sink::Sink;

/// The kinds that speak HTTP, each with settings whose every secret is a canary; `PORT` is the stand-in's.
const STANDS: &[(&str, &str)] = &[
    ("slack", "url: http://127.0.0.1:PORT/services/T/B/canary-address"),
    ("teams", "url: 'http://127.0.0.1:PORT/workflows/canary-flow/run?sig=canary-signature'"),
    (
        "webhook",
        "url: 'http://user:canary-password@127.0.0.1:PORT/canary-path?token=canary-token'\nheaders: { authorization: Bearer canary-bearer }",
    ),
];
/// The kinds whose own tests do what is done here.
const ELSEWHERE: &[&str] = &["email"];
/// How long an attempt may take here.
const TIMEOUT: Duration = Duration::from_millis(700);

/// What the stand-in does once it has read the whole request.
#[derive(Clone)]
enum Does {
    /// Answers with this status and header line, and a body that says the request's own words back.
    Answers(u16, String),
    /// Says nothing, and holds the line.
    Nothing,
    /// Resets the connection.
    Resets,
    /// Says something that is no HTTP, with the request's own words.
    Babbles,
    /// Sends its answer a byte at a time.
    Drips,
}

/// The port of a server that does so to every request.
async fn stand_in(does: Does) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let does = does.clone();
            tokio::spawn(async move {
                let request = read(&mut connection).await;
                let answer = match does {
                    Does::Answers(status, header) => {
                        format!("HTTP/1.1 {status} X\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{request}", request.len())
                    }
                    Does::Nothing => {
                        tokio::time::sleep(TIMEOUT * 20).await;
                        return;
                    }
                    Does::Resets => {
                        // To close without lingering is to reset.
                        connection.set_zero_linger().unwrap();
                        return;
                    }
                    Does::Babbles => format!("220 {request}\r\n"),
                    Does::Drips => {
                        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".iter().cycle() {
                            if connection.write_all(&[*byte]).await.is_err() {
                                return;
                            }
                            tokio::time::sleep(TIMEOUT / 5).await;
                        }
                        return;
                    }
                };
                let _ = connection.write_all(answer.as_bytes()).await;
                let _ = connection.shutdown().await;
            });
        }
    });
    port
}

/// One whole request, headers and body.
async fn read(connection: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = connection.read(&mut piece).await.unwrap_or(0);
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        let whole = text.find("\r\n\r\n").is_some_and(|end| bytes.len() >= end + 4 + length.unwrap_or(0));
        if read == 0 || whole {
            return text;
        }
    }
}

fn channel(kind: &str, settings: &str) -> Arc<dyn Channel> {
    let source = Arc::new(Source { path: "jobrelay.yaml".into(), text: settings.to_owned() });
    let mut faults = Faults::default();
    let node = parse(&source, &mut faults).unwrap();
    let mut fields = Fields::open(&node, "a channel", &mut faults).unwrap();
    let kind = KINDS.iter().find(|known| known.name == kind).unwrap();
    let read = (kind.read)(&mut fields, &mut faults);
    fields.finish(&mut faults);
    assert!(!faults.any_error(), "{:?}", faults.sorted());
    let read = read.unwrap();
    assert!(!format!("{read:?}").contains("canary"), "{read:?}");
    let tools = Tools { http: Http::new().unwrap(), templates: Arc::new(Templates::built_in()), public_url: None };
    read.connect(&Name::from("a"), &Common { template: "alert".into(), timeout: TIMEOUT }, &tools).unwrap()
}

/// Has every kind send to a port, and checks what it makes of the answer.
async fn check(what: &str, port: u16, word: &str, after: Option<Duration>) {
    for (kind, settings) in STANDS {
        let channel = channel(kind, &settings.replace("PORT", &port.to_string()));
        let target = Target(String::new());
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let began = std::time::Instant::now();
        let outcome = channel.send(&Payload::Json("{}".into()), Envelope { key: "msg_1", target: &target, now }).await;
        assert_eq!(outcome.word(), word, "{kind}, {what}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("canary"), "{kind}, {what}: {outcome:?}");
        assert!(!outcome.answer().is_empty() && !outcome.answer().contains('\n'), "{kind}, {what}: {outcome:?}");
        assert!(began.elapsed() < TIMEOUT * 10, "{kind}, {what}: it took {:?}", began.elapsed());
        if let (Some(_), Outcome::Retry { after: asked, .. }) = (after, &outcome) {
            assert_eq!(*asked, after, "{kind}, {what}");
        }
    }
}

#[test]
fn every_kind_is_held_to_it() {
    let mut here: Vec<&str> = STANDS.iter().map(|(name, _)| *name).chain(ELSEWHERE.iter().copied()).collect();
    here.sort_unstable();
    let mut all: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    all.sort_unstable();
    assert_eq!(here, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_means_the_same_to_all() {
    let tables: [(&str, &[u16]); 3] = [
        ("retry", &[408, 425, 429, 500, 502, 503, 504]),
        ("message_refused", &[400, 405, 413, 415, 422]),
        ("channel_refused", &[401, 403, 404, 410]),
    ];
    for (word, statuses) in tables {
        for status in statuses {
            let port = stand_in(Does::Answers(*status, String::new())).await;
            check(&format!("HTTP {status}"), port, word, None).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_heard_in_both_forms() {
    let date = "date: Fri, 15 Jan 2027 08:00:00 GMT\r\nretry-after: Fri, 15 Jan 2027 09:00:00 GMT\r\n";
    for (header, asked) in [("retry-after: 3600\r\n", 3_600), (date, 3_600), ("retry-after: 99999999999999999999\r\n", 86_400)] {
        let port = stand_in(Does::Answers(429, header.to_owned())).await;
        check(header, port, "retry", Some(Duration::from_secs(asked))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let elsewhere = Sink::start("ok").await;
    for status in [301, 302, 303, 307, 308] {
        let port = stand_in(Does::Answers(status, format!("location: {}\r\n", elsewhere.url))).await;
        check(&format!("HTTP {status}"), port, "channel_refused", None).await;
    }
    assert_eq!(elsewhere.taken().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_answer_it_is_tried_again() {
    for (what, does) in [("silence", Does::Nothing), ("a reset after the whole request", Does::Resets), ("babble", Does::Babbles)] {
        check(what, stand_in(does).await, "retry", None).await;
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    check("a closed port", closed, "retry", None).await;
    check("a drip", stand_in(Does::Drips).await, "retry", None).await;
}
