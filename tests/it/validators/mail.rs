//! Mail, held against mail servers and readers of mail that nobody here wrote.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{Form, Router, extract::State, response::IntoResponse, routing::post};
use serde_json::{Value, json};

use super::{accepted, parts, script, tell};
use crate::common::{
    Home, Service,
    smtp::ROOT,
    text, until,
    upstream::{Upstream, job},
};

const USER: &str = "alerts@contoso.example";
const PASSWORD: &str = "canary p@ss/word";
const LOGIN: &str = "alerts%40contoso.example:canary%20p%40ss%2Fword";
/// The one token that is good: the second that the issuer gives.
const TOKEN: &str = "canary-token-2";

/// A mail server of this test's own: see `tests/parts/postfix`.
struct Postfix {
    folder: PathBuf,
    plain: u16,
    starttls: u16,
    implicit: u16,
    small: u16,
}

impl Postfix {
    /// That shows tokens to `introspection`.
    fn start(introspection: &str) -> Self {
        // Postfix's own users must be able to enter it.
        let folder = tempfile::tempdir().unwrap().keep();
        let output = Command::new(script("postfix")).arg("start").arg(&folder).arg(introspection).output().unwrap();
        assert!(output.status.success(), "Postfix does not start; has `./test parts` run?\n{}", text(&output.stderr));
        let ports: Vec<u16> = text(&output.stdout).split_whitespace().map(|port| port.parse().unwrap()).collect();
        let [plain, starttls, implicit, small] = ports[..] else { panic!("{ports:?}") };
        Self { folder, plain, starttls, implicit, small }
    }

    fn told(&self, verb: &str, words: &[&str]) {
        assert!(Command::new(script("postfix")).arg(verb).arg(&self.folder).args(words).status().unwrap().success());
    }

    fn mails(&self) -> Vec<PathBuf> {
        fs::read_dir(self.folder.join("mail/inbox/new")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.mails().iter().map(|path| text(&fs::read(path).unwrap())).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = Command::new(script("postfix")).arg("stop").arg(&self.folder).status();
    }
}

/// Gives tokens, counted from 1, and says that [`TOKEN`] alone is good. Its address.
async fn issuer() -> String {
    async fn give(State(given): State<Arc<AtomicU32>>) -> impl IntoResponse {
        let number = given.fetch_add(1, Ordering::Relaxed) + 1;
        axum::Json(json!({ "access_token": format!("canary-token-{number}"), "token_type": "Bearer", "expires_in": 3599 }))
    }
    async fn judge(Form(asked): Form<Vec<(String, String)>>) -> impl IntoResponse {
        let good = asked.iter().any(|(key, value)| key == "token" && value == TOKEN);
        axum::Json(if good { json!({ "active": true, "username": USER }) } else { json!({ "active": false }) })
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/token", post(give)).route("/introspect", post(judge)).with_state(Arc::default());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

/// A channel by mail, on a line of its own.
fn channel(name: &str, smtp: &str, to: &str, more: &str) -> String {
    format!("  {name}: {{ kind: email, smtp: '{smtp}', from: jobrelay@contoso.example, to: {to}, rate: unlimited{more} }}\n")
}

fn by_token(issuer: &str) -> String {
    format!(", oauth: {{ token_url: '{issuer}/token', client_id: app, client_secret: canary-app-secret }}")
}

/// A program with these channels, all of which are told of failed scans, and a failed scan.
async fn failed(channels: &str, notify: &str) -> (Upstream, Home, Service) {
    let upstream = Upstream::start().await;
    let config = format!("{}channels:\n{channels}server: {{ listen: '127.0.0.1:0' }}\n", upstream.config());
    let rules = format!("rules: [{{ name: scan-failed, when: {{ state: failed }}, notify: [{notify}] }}]\n");
    let home = Home::new(&config, &rules);
    let service = home.start().await;
    upstream.polled(1).await;
    upstream.put(job("Scan-1", "scan sharepoint sites", 3, 100, Some(0)));
    (upstream, home, service)
}

/// Waits until the first delivery stands so, and gives it.
async fn stands(home: &Home, outcome: &str, answer: &str) -> Value {
    let first = || home.json(&["deliveries", "--format", "json"])[0].clone();
    let so = |delivery: &Value| delivery["outcome"] == outcome && delivery["answer"].as_str().is_some_and(|told| told.contains(answer));
    until(&format!("the delivery is {outcome} with {answer}"), || so(&first())).await;
    first()
}

#[track_caller]
fn sends(home: &Home, channel: &str, well: bool, says: &str) {
    let output = home.run(&["send", channel]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(!well)), "{channel}: {said}");
    assert!(said.contains(says) && !said.contains("canary"), "{channel}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Postfix and two readers of mail: run ./test"]
async fn a_real_mail_server_files_every_mail_and_two_readers_agree_on_it() {
    parts();
    let postfix = Postfix::start("http://127.0.0.1:9/");
    let channel = format!(
        "{{ kind: email, smtp: 'smtp://127.0.0.1:{}', from: 'Scan alerts <jobrelay@contoso.example>', \
         to: [admins@contoso.example, 'Ünal Öz <oncall@contoso.example>'], rate: unlimited }}",
        postfix.plain
    );
    let (home, service) = tell(&channel).await;
    let sent = home.json(&["deliveries", "--outcome", "delivered", "--format", "json"]).as_array().unwrap().len();
    until("each recipient has each mail", || postfix.mails().len() >= 2 * sent).await;
    let mails = postfix.mails();
    assert_eq!(mails.len(), 2 * sent, "an envelope for each recipient, and nothing twice");
    let read = accepted("mail.py", &[], &mails);
    let read_too = accepted("mail.cjs", &[], &mails);
    assert_eq!(read.len(), read_too.len());
    for (one, other) in read.iter().zip(&read_too) {
        assert_eq!(one["subject"], other["subject"]);
        assert_eq!(one["id"], other["id"]);
        assert_eq!(other["attachments"], 0);
        for forged in ["bcc", "cc", "body"] {
            assert!(!one["names"].as_array().unwrap().contains(&json!(forged)), "a name made a header in {one}");
        }
        for alive in ["<script", "<img src=https://evil.example", "href=\"https://evil.example"] {
            assert!(!one["html"].as_str().unwrap().contains(alive), "a name came alive in {one}");
        }
    }
    for part in ["text", "html"] {
        let all: String = read.iter().map(|mail| mail[part].as_str().unwrap()).collect();
        for shown in ["Scan-one", "scan sharepoint sites", "夜間スキャン"] {
            assert!(all.contains(shown), "no mail's {part} part says {shown}");
        }
    }
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Postfix and Dovecot: run ./test"]
async fn a_real_mail_server_takes_a_password_and_a_token_in_tls_and_no_wrong_one() {
    parts();
    let issuer = issuer().await;
    let postfix = Postfix::start(&format!("{issuer}/introspect"));
    postfix.told("password", &[USER, PASSWORD]);
    let (starttls, implicit, trusted) = (postfix.starttls, postfix.implicit, format!(", tls_ca: '{ROOT}'"));
    let to = "[a@contoso.example]";
    let good = [
        channel("starttls", &format!("smtp://{LOGIN}@localhost:{starttls}"), to, &trusted),
        channel("implicit", &format!("smtps://{LOGIN}@127.0.0.1:{implicit}"), to, &trusted),
        channel("token", &format!("smtp://alerts%40contoso.example@localhost:{starttls}"), to, &(by_token(&issuer) + &trusted)),
    ];
    let wrong = [
        channel("wrong", &format!("smtp://u:canary@localhost:{starttls}"), to, &trusted),
        channel("nobody", &format!("smtps://canary%40contoso.example@127.0.0.1:{implicit}"), to, &(by_token(&issuer) + &trusted)),
        channel("untrusted", &format!("smtps://{LOGIN}@127.0.0.1:{implicit}"), to, ""),
        channel("swapped", &format!("smtps://{LOGIN}@127.0.0.1:{starttls}"), to, &trusted),
    ];
    let config = format!("{}channels:\n{}{}", Upstream::start().await.config(), good.concat(), wrong.concat());
    let home = Home::new(&config, "rules: []\n");
    // The first token is none that the server takes: a second is asked for.
    for name in ["token", "starttls", "implicit"] {
        sends(&home, name, true, "delivered; it answered: 250 2.0.0 Ok: queued as");
    }
    sends(&home, "wrong", false, "535 5.7.8 Error: authentication failed");
    sends(&home, "wrong", false, "check user and password in `smtp`");
    sends(&home, "nobody", false, "it does not take the token for this user");
    sends(&home, "untrusted", false, "can't be trusted: its issuer is not trusted here");
    sends(&home, "swapped", false, "does not speak TLS on this port");
    until("each mail is filed", || postfix.mails().len() >= 3).await;
    let mails = postfix.texts();
    assert_eq!(mails.len(), 3);
    for mail in &mails {
        let head = mail.split("\n\n").next().unwrap();
        assert!(head.contains("with ESMTPSA") && head.contains("using TLSv1.3"), "{head}");
    }
    let output = home.run(&["check", "--connect"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(
        said.contains("channel starttls: ok") && said.contains("channel implicit: ok") && said.contains("channel wrong: error: 535"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Postfix and Dovecot: run ./test"]
async fn a_password_that_a_real_mail_server_refuses_holds_the_channel_until_it_is_right() {
    parts();
    let postfix = Postfix::start("http://127.0.0.1:9/");
    postfix.told("password", &[USER, "another"]);
    let channels =
        channel("admins", &format!("smtp://{LOGIN}@localhost:{}", postfix.starttls), "[a@contoso.example]", &format!(", tls_ca: '{ROOT}'"));
    let (_upstream, home, service) = failed(&channels, "admins").await;
    let trouble = || service.metric("jobrelay_trouble{kind=\"channel_refused\",name=\"admins\"}");
    let held = stands(&home, "pending", "535 5.7.8").await;
    assert!(held["answer"].as_str().unwrap().contains("check user and password in `smtp`"), "{held}");
    assert_eq!((trouble().await, postfix.mails().len()), (Some(1.0), 0));
    postfix.told("password", &[USER, PASSWORD]);
    home.stdout(&["deliveries", "retry", &held["id"].to_string()]);
    stands(&home, "delivered", "250 2.0.0 Ok: queued as").await;
    until("it is filed", || postfix.mails().len() == 1).await;
    assert!(!service.log().contains("canary"), "{}", service.log());
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Postfix and Dovecot: run ./test"]
async fn of_three_recipients_a_real_mail_server_takes_one_defers_one_and_refuses_one() {
    parts();
    let postfix = Postfix::start("http://127.0.0.1:9/");
    postfix.told("recipients", &["b@contoso.example", "451 4.7.1 greylisted", "c@contoso.example", "550 5.1.1 no such user"]);
    let to = "[a@contoso.example, b@contoso.example, c@contoso.example]";
    let (_upstream, home, service) = failed(&channel("admins", &format!("smtp://127.0.0.1:{}", postfix.plain), to, ""), "admins").await;
    stands(&home, "pending", "451 4.7.1 <b@contoso.example>: Recipient address rejected: greylisted").await;
    until("the first has it", || postfix.mails().len() == 1).await;
    postfix.told("recipients", &["c@contoso.example", "550 5.1.1 no such user"]);
    let ended = stands(&home, "delivered", "c@contoso.example refused: 550 5.1.1 <c@contoso.example>").await;
    assert!(ended["answer"].as_str().unwrap().contains("250 2.0.0 Ok: queued as"), "{ended}");
    until("the second has it", || postfix.mails().len() == 2).await;
    let mut to: Vec<String> =
        postfix.texts().iter().map(|mail| mail.lines().find(|line| line.starts_with("To: ")).unwrap().to_owned()).collect();
    to.sort();
    assert_eq!(to, ["To: a@contoso.example", "To: b@contoso.example"]);
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Postfix and Dovecot: run ./test"]
async fn a_mail_too_large_for_a_real_mail_server_is_a_dead_letter_and_the_channel_goes_on() {
    parts();
    let postfix = Postfix::start("http://127.0.0.1:9/");
    let small = channel("admins", &format!("smtp://127.0.0.1:{}", postfix.small), "[a@contoso.example]", "");
    let (upstream, home, service) = failed(&small, "admins").await;
    stands(&home, "dead", "552 5.3.4").await;
    upstream.put(job("Scan-2", "scan sharepoint sites", 3, 100, Some(0)));
    let dead = || home.json(&["deliveries", "--outcome", "dead", "--format", "json"]).as_array().unwrap().len();
    until("the next is dead too", || dead() == 2).await;
    let trouble = service.metric("jobrelay_trouble{kind=\"channel_refused\",name=\"admins\"}").await;
    assert!(trouble.is_none_or(|trouble| trouble < 1.0), "{trouble:?}");
    assert_eq!(postfix.mails().len(), 0);
    service.kill().await;
}

/// A mail server that hangs up on the first mail, once it has it, and takes tokens: see `tests/parts/smtpd.py`.
struct Smtpd {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    port: u64,
}

impl Smtpd {
    fn start() -> Self {
        let mut command = Command::new(parts().join("venv/bin/python"));
        command.arg(script("smtpd.py")).args([USER, TOKEN]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut server = Self { process, said, port: 0 };
        server.port = server.says()["port"].as_u64().unwrap();
        server
    }

    /// What it says next.
    fn says(&mut self) -> Value {
        serde_json::from_str(&self.said.next().expect("the mail server ended").unwrap()).unwrap()
    }
}

impl Drop for Smtpd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a second mail server: run ./test"]
async fn a_mail_whose_answer_is_lost_is_sent_again_under_its_message_id() {
    let mut server = Smtpd::start();
    let issuer = issuer().await;
    let smtp = format!("smtp://alerts%40contoso.example@127.0.0.1:{}", server.port);
    let (_upstream, home, service) = failed(&channel("admins", &smtp, "[a@contoso.example]", &by_token(&issuer)), "admins").await;
    // A token that is no longer good is challenged, and answered by an empty line; the next one is taken.
    assert_eq!(server.says(), json!({ "login": false, "answer": "b''" }));
    assert_eq!(server.says(), json!({ "login": true, "answer": null }));
    let first = server.says();
    assert_eq!((&first["cut"], &first["to"], &first["defects"]), (&json!(true), &json!(["a@contoso.example"]), &json!(0)));
    stands(&home, "pending", "may arrive twice").await;
    assert_eq!(server.says(), json!({ "login": true, "answer": null }));
    let second = server.says();
    assert_eq!((&second["cut"], &second["id"]), (&json!(false), &first["id"]));
    assert!(first["id"].as_str().unwrap().ends_with("@contoso.example>"), "{first}");
    stands(&home, "delivered", "250 2.0.0 taken").await;
    assert!(!service.log().contains("canary"), "{}", service.log());
    service.kill().await;
}
