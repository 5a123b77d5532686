//! Mail, from the config's words to a mail server's answers.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use jobrelay::{
    channel::{Channel, Common, Envelope, KINDS, Payload, Tools},
    document::{Faults, Fields, Source, parse},
    domain::{Name, Outcome, Target},
    http::Http,
    template::Templates,
};
use mail_parser::MessageParser;

use crate::common::{
    Home,
    sink::{Answer, Sink},
    smtp::{CUT, FINAL_DOT, Manner, ROOT, SILENCE, Smtp},
    upstream::{Upstream, job},
};

const USER: &str = "alerts@contoso.example";
const PASSWORD: &str = "canary p@ss/word";
const LOGIN: &str = "alerts%40contoso.example:canary%20p%40ss%2Fword";

/// A live channel, or the faults in its settings.
fn channel(settings: &str) -> Result<Arc<dyn Channel>, Vec<String>> {
    let source = Arc::new(Source { path: "jobrelay.yaml".into(), text: settings.to_owned() });
    let mut faults = Faults::default();
    let read = parse(&source, &mut faults).and_then(|node| {
        let mut fields = Fields::open(&node, "a channel", &mut faults)?;
        let kind = KINDS.iter().find(|kind| kind.name == "email").unwrap();
        let read = (kind.read)(&mut fields, &mut faults);
        fields.finish(&mut faults);
        read
    });
    let told: Vec<String> = faults.sorted().iter().map(|f| format!("{}:{}: {}", f.place.line, f.place.column, f.message)).collect();
    let Some(settings) = read.filter(|_| !faults.any_error()) else { return Err(told) };
    assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
    let tools = Tools { http: Http::new().unwrap(), templates: Arc::new(Templates::built_in()), public_url: None };
    let common = Common { template: "alert".into(), timeout: Duration::from_secs(3) };
    Ok(settings.connect(&Name::from("admins"), &common, &tools).unwrap())
}

fn settings(url: &str, more: &str) -> String {
    format!("smtp: '{url}'\nfrom: 'Scan alerts <jobrelay@contoso.example>'\nto: [a@contoso.example, b@contoso.example]\n{more}\n")
}

fn plain(server: &Smtp) -> Arc<dyn Channel> {
    channel(&settings(&format!("smtp://{}", server.address), "")).unwrap()
}

/// A channel that logs in by a token from `endpoint`.
fn by_token(server: &Smtp, endpoint: &Sink) -> Arc<dyn Channel> {
    let oauth = format!("oauth: {{ token_url: '{}', client_id: app, client_secret: canary-app-secret }}", endpoint.url);
    channel(&settings(&format!("smtp://alerts%40contoso.example@{}", server.address), &oauth)).unwrap()
}

async fn send(channel: &dyn Channel, key: &str, to: &str) -> Outcome {
    let payload =
        Payload::Mail { subject: "Subject".into(), html: "<p>.</p>\n.\n".into(), text: ".\n".into(), picture: None, thread: "one".into() };
    channel.send(&payload, Envelope { key, target: &Target(to.into()), now: noon() }).await
}

fn noon() -> Timestamp {
    Timestamp::from_second(1_727_352_000).unwrap()
}

#[track_caller]
fn check(outcome: &Outcome, word: &str, contains: &str) {
    assert_eq!(outcome.word(), word, "{outcome:?}");
    assert!(outcome.answer().contains(contains), "{outcome:?}");
    assert!(!outcome.answer().contains("canary"), "{outcome:?}");
}

fn message_id(data: &str) -> String {
    MessageParser::default().parse(data).unwrap().message_id().unwrap().to_owned()
}

#[tokio::test]
async fn one_connection_carries_one_mail_after_the_other() {
    for pipelining in [true, false] {
        let server = Smtp::start(Manner { pipelining, ..Manner::default() }).await;
        let channel = plain(&server);
        for n in 0..5 {
            check(&send(&*channel, &format!("key{n}"), "a@contoso.example").await, "delivered", &format!("250 2.0.0 queued as {}", n + 1));
        }
        let taken = server.taken();
        assert_eq!(server.connections(), 1);
        assert!(
            taken.iter().all(|mail| mail.connection == 1 && mail.to == ["a@contoso.example"] && mail.from == "jobrelay@contoso.example")
        );
        let mail = MessageParser::default().parse(&taken[0].data).unwrap();
        assert_eq!((mail.body_text(0).unwrap().trim_end(), mail.body_html(0).unwrap().trim_end()), (".", "<p>.</p>\r\n."));
    }
}

#[tokio::test]
async fn an_idle_connection_is_hung_up_with_a_word_and_the_next_mail_has_a_new_one() {
    let server = Smtp::start(Manner::default()).await;
    let channel = plain(&server);
    check(&send(&*channel, "k1", "a@contoso.example").await, "delivered", "250");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(40)).await;
    tokio::time::resume();
    check(&send(&*channel, "k2", "a@contoso.example").await, "delivered", "250");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(40)).await;
    assert_eq!((server.connections(), server.commands().iter().any(|command| command == "QUIT")), (1, false));
    tokio::time::advance(Duration::from_secs(40)).await;
    crate::common::until("it says goodbye", || server.commands().iter().any(|command| command == "QUIT")).await;
    tokio::time::resume();
    check(&send(&*channel, "k3", "a@contoso.example").await, "delivered", "250");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn each_recipient_has_an_outcome_of_its_own_and_the_next_mail_a_clean_start() {
    for pipelining in [true, false] {
        let server = Smtp::start(Manner { pipelining, ..Manner::default() }).await;
        let channel = plain(&server);
        server.next("RCPT TO:<a@", "550 5.1.1 no such user");
        server.next("RCPT TO:<b@", "451 4.7.1 greylisted");
        check(&send(&*channel, "k", "a@contoso.example").await, "message_refused", "550 5.1.1 no such user");
        check(&send(&*channel, "k", "b@contoso.example").await, "retry", "451 4.7.1 greylisted");
        check(&send(&*channel, "k", "b@contoso.example").await, "delivered", "250");
        assert_eq!((server.taken().len(), server.connections()), (1, 1), "{:?}", server.commands());
    }
}

#[tokio::test]
async fn a_server_that_wants_the_mail_of_a_refused_recipient_gets_an_empty_one() {
    let server = Smtp::start(Manner::default()).await;
    let channel = plain(&server);
    server.next("RCPT TO:<a@", "550 5.1.1 no such user");
    server.next("DATA", "354 go ahead anyway");
    check(&send(&*channel, "k", "a@contoso.example").await, "message_refused", "550");
    check(&send(&*channel, "k", "b@contoso.example").await, "delivered", "250");
    assert_eq!((server.taken().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_nothing() {
    for death in [CUT, "421 4.4.2 idle too long", "503 5.5.1 what?"] {
        for at in ["MAIL", "RCPT", "DATA"] {
            if death.starts_with("503") && at != "MAIL" {
                continue;
            }
            let server = Smtp::start(Manner { pipelining: false, ..Manner::default() }).await;
            let channel = plain(&server);
            check(&send(&*channel, "k1", "a@contoso.example").await, "delivered", "250");
            server.next(at, death);
            check(&send(&*channel, "k2", "a@contoso.example").await, "delivered", "250");
            assert_eq!((server.taken().len(), server.connections()), (2, 2), "{death} at {at}");
        }
    }
}

#[tokio::test]
async fn after_the_final_dot_the_mail_is_left_for_later_and_keeps_its_id() {
    let server = Smtp::start(Manner::default()).await;
    let channel = plain(&server);
    check(&send(&*channel, "k1", "a@contoso.example").await, "delivered", "250");
    server.next(FINAL_DOT, CUT);
    check(&send(&*channel, "k2", "a@contoso.example").await, "retry", "may arrive twice");
    assert_eq!(server.taken().len(), 2, "not sent again by itself");
    server.next(FINAL_DOT, SILENCE);
    check(&send(&*channel, "k2", "a@contoso.example").await, "retry", "did not finish within 3s");
    check(&send(&*channel, "k2", "a@contoso.example").await, "delivered", "250");
    check(&send(&*channel, "k2", "b@contoso.example").await, "delivered", "250");
    let ids: Vec<String> = server.taken().iter().map(|mail| message_id(&mail.data)).collect();
    assert_eq!((&ids[1], &ids[2]), (&ids[2], &ids[3]));
    assert!(ids[0] != ids[1] && ids[4] != ids[3], "{ids:?}");
    assert!(ids[1].starts_with("k2.") && ids[1].ends_with("@contoso.example"));
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_later_and_one_that_takes_no_mail_is_not() {
    let (busy, closed) = (Smtp::start(Manner::default()).await, Smtp::start(Manner::default()).await);
    busy.always("connect", "421 4.3.2 too many connections");
    closed.always("connect", "554 5.3.2 no mail here");
    check(&send(&*plain(&busy), "k", "a@contoso.example").await, "retry", "421 4.3.2");
    check(&send(&*plain(&closed), "k", "a@contoso.example").await, "channel_refused", "check host and port");
    assert_eq!((busy.commands(), closed.commands()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_login_is_made_by_whatever_the_server_offers() {
    for mechanisms in ["PLAIN LOGIN", "LOGIN", "XOAUTH2 PLAIN"] {
        let server = Smtp::start(Manner { login: Some((mechanisms, USER, PASSWORD)), ..Manner::default() }).await;
        let right = channel(&settings(&format!("smtp://{LOGIN}@{}", server.address), "")).unwrap();
        check(&send(&*right, "k", "a@contoso.example").await, "delivered", "250");
        let wrong = channel(&settings(&format!("smtp://u:canary@{}", server.address), "")).unwrap();
        check(
            &send(&*wrong, "k", "a@contoso.example").await,
            "channel_refused",
            "535 5.7.8 bad credentials (to AUTH); check user and password",
        );
        check(&send(&*plain(&server), "k", "a@contoso.example").await, "channel_refused", "wants a login");
        assert_eq!(server.taken().len(), 1);
    }
    let server = Smtp::start(Manner::default()).await;
    let given = channel(&settings(&format!("smtp://{LOGIN}@{}", server.address), "")).unwrap();
    check(&send(&*given, "k", "a@contoso.example").await, "channel_refused", "offers no login");
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_takes_the_place_of_a_password() {
    let endpoint = Sink::start(r#"{"access_token":"canary-token-1","token_type":"Bearer","expires_in":3599}"#).await;
    let server = Smtp::start(Manner { token: Some((USER, "canary-token-1")), ..Manner::default() }).await;
    let channel = by_token(&server, &endpoint);
    for n in 0..3 {
        check(&send(&*channel, &format!("k{n}"), "a@contoso.example").await, "delivered", "250");
    }
    channel.greet(noon()).await.unwrap();
    assert_eq!((endpoint.taken().len(), server.connections()), (1, 2));
    assert_eq!(
        endpoint.taken()[0].body,
        "grant_type=client_credentials&client_id=app&scope=https%3A%2F%2Foutlook.office365.com%2F.default&client_secret=canary-app-secret"
    );
    let plain = Smtp::start(Manner { login: Some(("PLAIN", USER, PASSWORD)), ..Manner::default() }).await;
    check(&send(&*by_token(&plain, &endpoint), "k", "a@contoso.example").await, "channel_refused", "AUTH XOAUTH2");
    assert!(plain.commands().iter().all(|command| !command.starts_with("AUTH")), "{:?}", plain.commands());
}

#[tokio::test]
async fn a_token_that_is_refused_before_its_time_is_renewed_once() {
    let first = r#"{"access_token":"canary-token-1","expires_in":3599}"#;
    let second = r#"{"access_token":"canary-token-2","expires_in":3599}"#;
    let endpoint = Sink::start(second).await;
    // The token is no longer good; the new one is.
    let server = Smtp::start(Manner { token: Some((USER, "canary-token-2")), ..Manner::default() }).await;
    endpoint.next([Answer::new(200, first)]);
    let channel = by_token(&server, &endpoint);
    check(&send(&*channel, "k1", "a@contoso.example").await, "delivered", "250");
    check(&send(&*channel, "k2", "a@contoso.example").await, "delivered", "250");
    let said: Vec<String> = server.commands().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!((endpoint.taken().len(), server.connections(), &said[..4]), (2, 2, &["EHLO", "AUTH", "EHLO", "AUTH"].map(String::from)[..]));
    // None is good: one more is asked for, and then it is the channel that is refused.
    for (at, answer) in [
        ("nothing", ""),
        ("AUTH", "535 5.7.3 Authentication unsuccessful"),
        ("challenge", "535 5.7.139 SmtpClientAuthentication is disabled"),
    ] {
        let server = Smtp::start(Manner { token: Some((USER, "another")), ..Manner::default() }).await;
        server.always(at, answer);
        let asked = endpoint.taken().len();
        let outcome = send(&*by_token(&server, &endpoint), "k", "a@contoso.example").await;
        check(&outcome, "channel_refused", "(to AUTH); it does not take the token for this user: check the user in `smtp`");
        assert!(outcome.answer().starts_with("535 5.7."), "{outcome:?}");
        assert_eq!((endpoint.taken().len() - asked, server.connections()), (2, 2), "{at}");
    }
    // A server that hangs up at the answer to its challenge.
    let server = Smtp::start(Manner { token: Some((USER, "another")), ..Manner::default() }).await;
    server.always("login", CUT);
    check(&send(&*by_token(&server, &endpoint), "k", "a@contoso.example").await, "retry", "refused without a word");
    assert_eq!(server.connections(), 2);
    // One that is only busy costs no token.
    server.always("AUTH", "454 4.7.0 Temporary authentication failure");
    let asked = endpoint.taken().len();
    check(&send(&*by_token(&server, &endpoint), "k", "a@contoso.example").await, "retry", "454");
    assert_eq!(endpoint.taken().len() - asked, 1);
}

#[tokio::test]
async fn without_a_token_no_server_is_greeted_and_no_secret_told() {
    let server = Smtp::start(Manner { token: Some((USER, "canary-token-1")), ..Manner::default() }).await;
    for (status, body, word, contains) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"canary-app-secret"}"#,
            "channel_refused",
            "HTTP 401 invalid_client: client_id and client_secret",
        ),
        (400, r#"{"error":"invalid_scope"}"#, "channel_refused", "SMTP.SendAsApp"),
        (400, r#"{"error":"canary-app-secret"}"#, "channel_refused", "HTTP 400: check client_id"),
        (503, "canary-app-secret", "retry", "HTTP 503"),
        (200, "canary-app-secret", "retry", "with no token in it"),
    ] {
        let endpoint = Sink::start("").await;
        endpoint.always(Answer::new(status, body));
        let channel = by_token(&server, &endpoint);
        check(&send(&*channel, "k", "a@contoso.example").await, word, contains);
        let why = channel.greet(noon()).await.unwrap_err();
        assert!(why.contains(contains) && !why.contains("canary"), "{why}");
    }
    let endpoint = Sink::start("").await;
    endpoint.always(Answer { headers: vec![("retry-after", "120".into())], ..Answer::new(429, "") });
    let outcome = send(&*by_token(&server, &endpoint), "k", "a@contoso.example").await;
    assert!(matches!(outcome, Outcome::Retry { after: Some(after), .. } if after.as_secs() == 120), "{outcome:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_server_that_repeats_a_token_gives_it_not_away() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let endpoint = Sink::start(r#"{"access_token":"canary-token-1","expires_in":3599}"#).await;
    let server = Smtp::start(Manner { token: Some((USER, "canary-token-1")), ..Manner::default() }).await;
    let line = STANDARD.encode(format!("user={USER}\x01auth=Bearer canary-token-1\x01\x01"));
    // Whole, and cut off as by a limit on lines.
    server.always("AUTH", &format!("501 5.5.4 syntax: AUTH XOAUTH2 {line} or {} or canary-token-1", &line[..line.len() - 9]));
    let outcome = send(&*by_token(&server, &endpoint), "k", "a@contoso.example").await;
    check(&outcome, "channel_refused", "501 5.5.4 syntax: AUTH XOAUTH2 [secret] or [secret] or [secret]");
}

#[tokio::test]
async fn a_server_that_repeats_what_it_refuses_gives_no_secret_away() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let server = Smtp::start(Manner { login: Some(("PLAIN", USER, PASSWORD)), ..Manner::default() }).await;
    let given = channel(&settings(&format!("smtp://{LOGIN}@{}", server.address), "")).unwrap();
    let (line, word) = (STANDARD.encode(format!("\0{USER}\0{PASSWORD}")), STANDARD.encode(PASSWORD));
    server.next("AUTH", &format!("501 5.5.4 syntax: AUTH PLAIN {line} or {word} or {PASSWORD}"));
    let outcome = send(&*given, "k", "a@contoso.example").await;
    check(&outcome, "channel_refused", "[secret]");
    assert!(!outcome.answer().contains(&line) && !outcome.answer().contains(&word), "{outcome:?}");
}

#[tokio::test]
async fn tls_is_used_where_it_is_offered_and_only_with_a_certificate_that_can_be_trusted() {
    let login = Some(("PLAIN", USER, PASSWORD));
    let server = Smtp::start(Manner { starttls: true, login, ..Manner::default() }).await;
    let wrapped = Smtp::start(Manner { implicit: true, login, ..Manner::default() }).await;
    let trusted = format!("tls_ca: {ROOT}");
    for (url, server) in
        [(format!("smtp://{LOGIN}@{}", server.address), &server), (format!("smtps://{LOGIN}@{}", wrapped.address), &wrapped)]
    {
        let good = channel(&settings(&url, &trusted)).unwrap();
        check(&send(&*good, "k", "a@contoso.example").await, "delivered", "250");
        check(&send(&*good, "k", "a@contoso.example").await, "delivered", "250");
        assert!(server.taken().iter().all(|mail| mail.tls));
        assert_eq!(server.connections(), 1);
        let before = server.commands().len();
        let bad = channel(&settings(&url, "")).unwrap();
        check(&send(&*bad, "k", "a@contoso.example").await, "channel_refused", "can't be trusted: its issuer");
        assert!(server.commands()[before..].iter().all(|command| !command.starts_with("AUTH")));
    }
    // Who waives security for a server that can't prove itself gets the mail through without it.
    let open = Smtp::start(Manner { starttls: true, ..Manner::default() }).await;
    let waived = channel(&settings(&format!("smtp://{}", open.address), "allow_insecure: true")).unwrap();
    check(&send(&*waived, "k", "a@contoso.example").await, "delivered", "250");
    assert!(!open.taken()[0].tls);
    // A plain server on a port that should speak TLS.
    let plain = channel(&settings(&format!("smtps://{}", open.address), "")).unwrap();
    check(&send(&*plain, "k", "a@contoso.example").await, "channel_refused", "does not speak TLS");
}

#[tokio::test]
async fn nothing_is_said_to_a_server_elsewhere_that_offers_no_tls() {
    let server = Smtp::start(Manner { login: Some(("PLAIN", USER, PASSWORD)), ..Manner::default() }).await;
    // An address that is not of the loopback network, although the machine takes it for itself.
    let url = format!("smtp://{LOGIN}@0.0.0.0:{}", server.address.port());
    let elsewhere = channel(&settings(&url, "")).unwrap();
    check(&send(&*elsewhere, "k", "a@contoso.example").await, "channel_refused", "does not offer STARTTLS");
    assert!(server.commands().iter().all(|command| command.starts_with("EHLO")), "{:?}", server.commands());
    let waived = channel(&settings(&url, "allow_insecure: true")).unwrap();
    check(&send(&*waived, "k", "a@contoso.example").await, "delivered", "250");
}

#[tokio::test]
async fn words_slipped_in_before_the_handshake_are_not_believed() {
    let server = Smtp::start(Manner { starttls: true, ..Manner::default() }).await;
    server.next("STARTTLS", "220 go ahead\r\n250-mail.example\r\n250 AUTH PLAIN");
    let channel = channel(&settings(&format!("smtp://{}", server.address), &format!("tls_ca: {ROOT}"))).unwrap();
    check(&send(&*channel, "k", "a@contoso.example").await, "retry", "not encrypted");
}

#[tokio::test]
async fn a_greeting_sends_nothing() {
    let server = Smtp::start(Manner { login: Some(("PLAIN", USER, PASSWORD)), ..Manner::default() }).await;
    let right = channel(&settings(&format!("smtp://{LOGIN}@{}", server.address), "")).unwrap();
    right.greet(noon()).await.unwrap();
    let words: Vec<String> = server.commands().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(words, ["EHLO", "AUTH", "QUIT"]);
    assert!(server.commands()[0].starts_with("EHLO [127.0.0.1]"));
    let wrong = channel(&settings(&format!("smtp://u:canary@{}", server.address), "")).unwrap();
    let why = wrong.greet(noon()).await.unwrap_err();
    assert!(why.contains("check user and password") && !why.contains("canary"), "{why}");
    let nobody = channel(&settings("smtp://127.0.0.1:1", "")).unwrap().greet(noon()).await.unwrap_err();
    assert!(nobody.contains("can't connect to 127.0.0.1:1"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_own_roots_count_and_can_be_named_from_outside() {
    let server = Smtp::start(Manner { implicit: true, login: Some(("PLAIN", USER, PASSWORD)), ..Manner::default() }).await;
    let config = Upstream::start().await.config()
        + "channels:\n  admins:\n    kind: email\n    smtp: '${SMTP_URL}'\n    from: jobrelay@contoso.example\n    to: a@contoso.example\n";
    let home = Home::new(&config, "rules: []\n");
    let url = format!("smtps://{LOGIN}@localhost:{}", server.address.port());
    let run = |roots: &str| {
        let output = home.command(&["send", "admins"]).env("SMTP_URL", &url).env("SSL_CERT_FILE", roots).output().unwrap();
        let text = crate::common::text(&output.stdout) + &crate::common::text(&output.stderr);
        assert!(!text.contains("canary"), "{text}");
        (output.status.code(), text)
    };
    let (code, text) = run(ROOT);
    assert!(code == Some(0) && text.contains("a@contoso.example: delivered; it answered: 250"), "{text}");
    assert!(server.taken()[0].tls);
    let (code, text) = run("/nowhere");
    assert!(code == Some(1) && text.contains("refused: the certificate of localhost"), "{text}");
}

#[test]
fn faults_stand_at_their_places_and_give_no_secret_away() {
    let to = "to: a@contoso.example";
    let from = "from: j@contoso.example";
    let smtp = "smtp: smtp://mail.example";
    for (text, told) in [
        (format!("{from}\n{to}"), vec!["1:1: the key `smtp` is missing"]),
        (
            format!("smtp: http://u:canary@mail.example\n{from}\n{to}"),
            vec!["1:7: the mail server's address must begin with smtps:// (TLS) or smtp:// (STARTTLS)"],
        ),
        (format!("{smtp}\nfrom: jobrelay\n{to}"), vec!["2:7: `jobrelay` is no mail address: there is no @ in it"]),
        (format!("{smtp}\n{from}\nto: []"), vec!["3:5: the list is empty"]),
        (
            format!("{smtp}\n{from}\nto: [a@contoso.example, 'b@contoso.example, c@contoso.example', d@]"),
            vec![
                "3:25: `b@contoso.example, c@contoso.example` is more than one address: write a list",
                "3:65: `d@` is no mail address: right of the @ stands a domain",
            ],
        ),
        (format!("{smtp}\n{from}\n{to}\ntls_ca: nowhere.pem"), vec!["4:9: can't use the certificates of nowhere.pem: it does not exist"]),
        (
            // Nor is a pipe waited for, or a device read for ever.
            format!("{smtp}\n{from}\n{to}\ntls_ca: /dev/zero"),
            vec!["4:9: can't use the certificates of /dev/zero: it is no regular file"],
        ),
        (
            format!(
                "smtp: smtp://u:canary@mail.example\n{from}\n{to}\noauth: {{ tenant: contoso.example, client_id: a, client_secret: canary }}"
            ),
            vec!["1:7: the mail server's address names a password, and `oauth` is set: leave one of them out"],
        ),
        (
            format!("{smtp}\n{from}\n{to}\noauth: {{ client_secret: canary, tenant: a/canary }}"),
            vec![
                "1:7: the mail server's address names no user for `oauth`: write smtp://user@host:587",
                "4:8: the key `client_id` is missing",
                "4:41: this is no tenant",
            ],
        ),
        (
            format!(
                "smtp: smtp://u@mail.example\n{from}\n{to}\noauth: {{ client_id: a, client_secret: canary, token_url: 'http://id.example/canary', tennant: b }}"
            ),
            vec!["4:58: plain http would show the secret to everyone on the way", "4:86: unknown key `tennant`"],
        ),
        (
            format!(
                "smtp: smtp://u@mail.example\n{from}\n{to}\noauth: {{ tenant: common.example, client_id: ' ', client_secret: canary, token_url: 'https://id.example' }}"
            ),
            vec!["4:45: `client_id` is empty", "4:84: `tenant` and `token_url` are both set"],
        ),
        (
            format!("smtp: smtp://u@mail.example\n{from}\n{to}\noauth: canary"),
            vec!["4:8: expected `{ tenant, client_id, client_secret }`, found text"],
        ),
        (format!("{smtp}\n{from}\n{to}\nport: 25"), vec!["4:1: unknown key `port`"]),
    ] {
        let found = channel(&text).err().unwrap_or_else(|| panic!("{text}"));
        assert_eq!(found, told, "{text}");
        assert!(!found.join("").contains("canary"));
    }
    let many: Vec<String> = (0..101).map(|n| format!("a{n}@contoso.example")).collect();
    let found = channel(&format!("{smtp}\n{from}\nto: [{}]", many.join(", "))).err().unwrap();
    assert_eq!(found, ["3:5: 101 recipients are more than 100"]);
    let twice = channel(&format!("{smtp}\n{from}\nto: [a@contoso.example, A <a@Contoso.example>, b@contoso.example]")).unwrap();
    assert_eq!(twice.targets(), [Target("a@contoso.example".into()), Target("b@contoso.example".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_tells_each_recipient_once_whatever_becomes_of_the_others() {
    let (upstream, server) =
        (Upstream::start().await, Smtp::start(Manner { login: Some(("PLAIN", USER, PASSWORD)), ..Manner::default() }).await);
    let config = format!(
        "{}channels:\n  admins:\n    kind: email\n    smtp: smtp://{LOGIN}@{}\n    from: Scan alerts <jobrelay@contoso.example>\n    to: [a@contoso.example, b@contoso.example, c@contoso.example]\nserver: {{ listen: '127.0.0.1:0' }}\n",
        upstream.config(),
        server.address
    );
    let rules = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    severity: critical\n    notify: [admins]\n";
    let home = Home::new(&config, rules);
    let service = home.start().await;
    upstream.polled(1).await;
    server.next("RCPT TO:<b@", "451 4.7.1 greylisted");
    server.next("RCPT TO:<c@", "550 5.1.1 no such user");
    let profile = "sites\r\nBcc: x@evil.example\r\n\r\n<script>alert(1)</script> {{job.id}} \u{202e}";
    upstream.put(job("Scan-1", profile, 3, 100, Some(0)));
    let delivered = || {
        let all = home.json(&["deliveries", "--format", "json"]);
        all.as_array().unwrap().iter().any(|delivery| delivery["outcome"] == "delivered")
    };
    crate::common::until("it is delivered", delivered).await;
    let asked = |to: &str| server.commands().iter().filter(|command| command.starts_with(&format!("RCPT TO:<{to}@"))).count();
    assert_eq!((asked("a"), asked("b"), asked("c")), (1, 2, 1));
    let taken = server.holds(2).await;
    assert_eq!(taken.iter().map(|mail| mail.to[0].as_str()).collect::<Vec<_>>(), ["a@contoso.example", "b@contoso.example"]);
    let delivery = &home.json(&["deliveries", "--format", "json"])[0];
    let answer = delivery["answer"].as_str().unwrap();
    assert!(answer.contains("250 2.0.0 queued as 1") && answer.contains("c@contoso.example refused: 550 5.1.1 no such user"), "{answer}");
    let mail = MessageParser::default().parse(&taken[0].data).unwrap();
    assert_eq!(mail.subject(), Some("[critical] Scan failed: sites Bcc: x@evil.example <script>alert(1)</script> {{job.id}} (contoso)"));
    assert!(mail.header("Bcc").is_none() && mail.to().unwrap().first().unwrap().address() == Some("a@contoso.example"));
    let html = mail.body_html(0).unwrap();
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");
    assert!(mail.body_text(0).unwrap().contains("Scan-1"));
    for text in [service.log(), home.stdout(&["deliveries", "--format", "json"])] {
        assert!(!text.contains("canary p@ss") && !text.contains("canary%20p"), "{text}");
    }
    assert_eq!(service.stop().await, 0);
}
