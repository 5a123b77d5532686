//! The guard at work: names that lead into one's own network, to a listener that would tell.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Answers 204 and hangs up; counts who came.
async fn listener() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let _ = connection.read(&mut [0; 4096]).await;
            let _ = connection.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    });
    (port, came)
}

async fn post(http: &Http, url: &str) -> Result<Reply, HttpError> {
    let request = http.request(Method::POST, url.parse().unwrap()).body("{}").build().unwrap();
    http.tell(request, DEADLINE, 1024).await
}

/// A client whose names lead where `answers` says, and how often it has looked.
fn client(answers: &'static [&'static [&'static str]]) -> (Http, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    (Http::with(guard::tests::scripted(answers, Arc::clone(&asked))).unwrap().public_only(), asked)
}

#[tokio::test]
async fn a_name_that_leads_into_the_own_network_is_refused_and_no_one_is_called() {
    const LEADS: &[&[&[&str]]] = &[
        &[&["127.0.0.1"]],
        &[&["::1"]],
        &[&["::ffff:127.0.0.1"]],
        &[&["169.254.169.254"]],
        &[&["10.0.0.1", "192.168.0.1"]],
        &[&["::ffff:10.0.0.1"]],
        &[&["64:ff9b::a00:1"]],
        &[&["0.0.0.0"]],
    ];
    let (port, came) = listener().await;
    for answers in LEADS {
        let (http, _) = client(answers);
        let error = post(&http, &format!("http://hooks.example:{port}/canary-path?sig=canary")).await.unwrap_err();
        assert!(matches!(&error, HttpError::NotPublic(_)), "{answers:?}: {error:?}");
        let Outcome::Refused { what: Refusal::Channel, why } = error.into() else { panic!("{answers:?}") };
        assert!(why.starts_with(&format!("hooks.example leads to {}", answers[0][0].parse::<std::net::IpAddr>().unwrap())), "{why}");
        assert!(why.contains("`allow_private: true`") && !why.contains("canary"), "{why}");
    }
    let (http, _) = client(&[&["10.0.0.1"]]);
    let error = post(&http, "http://169.254.169.254/latest/canary").await.unwrap_err().to_string();
    assert!(error.contains("169.254.169.254") && !error.contains("canary"), "{error}");
    assert_eq!(came.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_by_what_is_connected_to() {
    let (port, came) = listener().await;
    // The one name that may lead to this machine stands for a public one.
    let (http, asked) = client(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let url = format!("http://localhost:{port}/x");
    assert_eq!(post(&http, &url).await.unwrap().status, 204);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "a second look could find another address than the one that was judged");
    assert!(matches!(post(&http, &url).await, Err(HttpError::NotPublic(_))));
    assert_eq!((asked.load(Ordering::SeqCst), came.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_name_that_was_not_to_be_found_or_has_moved_is_looked_up_anew_each_time() {
    let (port, came) = listener().await;
    let elsewhere = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let (http, asked) = client(&[&[], &[], &["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1"]]);
    let url = format!("http://localhost:{port}/canary");
    for _ in 0..2 {
        let outcome: Outcome = post(&http, &url).await.unwrap_err().into();
        assert!(matches!(&outcome, Outcome::Retry { after: None, why } if !why.contains("canary")), "{outcome:?}");
    }
    // No failure is remembered, nor where it led before.
    assert_eq!(post(&http, &url).await.unwrap().status, 204);
    let (reply, ()) = tokio::join!(post(&http, &url), async {
        let (mut connection, _) = elsewhere.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await;
        let _ = connection.write_all(b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    });
    assert_eq!(reply.unwrap().status, 202);
    assert_eq!(post(&http, &url).await.unwrap().status, 204);
    assert_eq!((asked.load(Ordering::SeqCst), came.load(Ordering::SeqCst)), (5, 2));
}

#[tokio::test]
async fn loopback_that_is_written_out_is_allowed_and_so_is_all_where_nothing_is_forbidden() {
    let (port, came) = listener().await;
    let (http, _) = client(&[&["10.0.0.1"]]);
    assert_eq!(post(&http, &format!("http://127.0.0.1:{port}/x")).await.unwrap().status, 204);
    let open = Http::new().unwrap();
    assert_eq!(post(&open, &format!("http://localhost:{port}/x")).await.unwrap().status, 204);
    assert_eq!(post(&open.public_only(), &format!("http://localhost:{port}/x")).await.unwrap().status, 204);
    assert_eq!(came.load(Ordering::SeqCst), 3);
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_words() {
    /// As the verifier's own error shows itself.
    #[derive(Debug, thiserror::Error)]
    #[error("CaUsedAsEndEntity")]
    struct CaUsedAsEndEntity;
    let check = |error: &rustls::Error, expected: &str| {
        let held = std::io::Error::other(error.clone());
        for cause in [error as &(dyn std::error::Error + 'static), &held] {
            assert!(of_tls(cause).is_some_and(|said| said.contains(expected)), "{:?} should say {expected}", of_tls(cause));
        }
    };
    check(&rustls::Error::InvalidCertificate(CertificateError::Expired), "can't be trusted: it has expired");
    check(&rustls::Error::InvalidCertificate(CertificateError::NotValidForName), "it is for another host name");
    let own = CertificateError::Other(rustls::OtherError(Arc::new(CaUsedAsEndEntity)));
    check(&rustls::Error::InvalidCertificate(own), "self-signed");
    check(&rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "does not speak TLS");
    assert_eq!(of_tls(&std::io::Error::other("reset")), None);
}
