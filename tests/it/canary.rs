//! A word of its own in every secret field; then every fault that makes a program talk. The words may be where they are used,
//! and nowhere else: in no log, list, answer, page or error, and in no file of the store.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse};
use base64::{Engine, engine::general_purpose::STANDARD};
use regex::bytes::Regex;

use crate::common::{
    Home, SOON,
    smtp::{Manner, Smtp},
    upstream::{CLIENT_SECRET, Upstream, job},
    wire::{Mode, Wire},
};

/// Each field and the word planted in it.
const PLANTED: &[(&str, &str)] = &[
    ("client_secret", CLIENT_SECRET),
    ("a token", "canary-token-"),
    ("the certificate's password", "canary-certificate-password"),
    ("slack's url", "canary-slack-url"),
    ("teams' url", "canary-teams-url"),
    ("the webhook's url", "canary-webhook-url"),
    ("the webhook's query", "canary-webhook-query"),
    ("the webhook's secret", "canary-webhook-secret-0123456789"),
    ("a header", "canary-header-value"),
    ("the body's webhook url", "canary-refusing-url"),
    ("smtp's user", "canary-smtp-user"),
    ("smtp's password", "canary-smtp-password"),
    ("the mail app's secret", "canary-app-secret"),
    ("the mail app's token_url", "canary-token-url"),
    ("the server's token", "canary-server-token"),
    ("a url that times out", "canary-silent-url"),
    ("a url with bad TLS", "canary-untrusted-url"),
    ("a url of a closed port", "canary-closed-url"),
    ("a url that is refused", "canary-private-url"),
];

/// The files in which the words are planted.
const PLANTS: &[&str] = &["jobrelay.yaml", "broken.yaml", "private.yaml", "elsewhere.yaml", "webhook.secret", "app.pfx"];

const RULES: &str = "\
rules:
  - { name: failed, when: { state: failed }, notify: [slack, teams, hook, refusing, silent, untrusted, closed, admins, mailbox] }
";

/// A word as it may be written: plain, and in base64 wherever in a longer text it stood.
fn forms(word: &str) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    for before in 0..3 {
        let mut text = vec![b' '; before];
        text.extend_from_slice(word.as_bytes());
        // The ends of the code depend on what stands around the word.
        text.truncate(text.len() / 3 * 3);
        let code = STANDARD.encode(&text);
        forms.push(code[if before == 0 { 0 } else { 4 }..].to_owned());
    }
    forms
}

fn holds(bytes: &[u8], word: &str) -> bool {
    finder(&[word]).is_match(bytes)
}

/// Finds any form of any of these words.
fn finder(words: &[&str]) -> Regex {
    let forms: Vec<String> = words.iter().flat_map(|word| forms(word)).map(|form| regex::escape(&form)).collect();
    Regex::new(&format!("(?-u){}", forms.join("|"))).unwrap()
}

/// Answers with a status and all that it was sent, and keeps it too.
#[derive(Clone)]
struct Echo {
    status: StatusCode,
    heard: Arc<Mutex<Vec<u8>>>,
    address: String,
}

impl Echo {
    async fn start(status: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let echo = Self { status: StatusCode::from_u16(status).unwrap(), heard: Arc::default(), address };
        let app = Router::new().fallback(repeat).with_state(echo.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        echo
    }
}

async fn repeat(State(echo): State<Echo>, request: axum::extract::Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let said = format!("{} {} {:?}\n{}", head.method, head.uri, head.headers, String::from_utf8_lossy(&body));
    echo.heard.lock().unwrap().extend_from_slice(said.as_bytes());
    (echo.status, said)
}

/// What was said, and by whom.
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    /// Every word that stands where it must not, each place in one line.
    fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        let words: Vec<&str> = PLANTED.iter().map(|(_, word)| *word).collect();
        let any = finder(&words);
        for (by, bytes) in self.0.iter().filter(|(_, bytes)| any.is_match(bytes)) {
            for (field, word) in PLANTED.iter().filter(|(_, word)| holds(bytes, word)) {
                let text = String::from_utf8_lossy(bytes);
                let line = text.lines().find(|line| holds(line.as_bytes(), word)).unwrap_or("(in bytes)");
                leaks.push(format!("{field} in {by}: {}", line.chars().take(400).collect::<String>()));
            }
        }
        leaks
    }
}

struct World {
    home: Home,
    said: Said,
    runs: usize,
}

impl World {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command.env("SMTP_USER", "canary-smtp-user").env("SERVER_TOKEN", "canary-server-token");
        command
    }

    fn run(&mut self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        let all = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&all).into_owned();
        self.said.0.push((args.join(" "), all));
        text
    }

    /// The service at its most talkative, its log in a file of the home; its address.
    async fn start(&mut self, format: &str) -> (tokio::process::Child, String) {
        let command = self.command(&["--log-format", format, "--log-level", "trace", "run"]);
        self.spawn(command).await
    }

    /// The same, with a small disk of its own in the folder `disk`.
    async fn start_on_a_small_disk(&mut self) -> (tokio::process::Child, String) {
        fs::create_dir(self.home.path("disk")).unwrap();
        let service = self.command(&["--log-level", "trace", "run"]);
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", "mount -t tmpfs -o size=2m none disk && exec \"$0\" \"$@\""]);
        command.arg(service.get_program()).args(service.get_args()).current_dir(self.home.folder.path());
        command.env_clear().envs(service.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", std::env::var_os("PATH").unwrap());
        self.spawn(command).await
    }

    async fn spawn(&mut self, mut command: Command) -> (tokio::process::Child, String) {
        self.runs += 1;
        let log = self.home.path(&format!("log-{}", self.runs));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
        let address = regex::Regex::new(r#"address"?[=:]"?(127\.0\.0\.1:\d+)"#).unwrap();
        let listens = || address.captures(&fs::read_to_string(&log).unwrap()).map(|found| found[1].to_owned());
        crate::common::until("it listens", || listens().is_some()).await;
        (child, listens().unwrap())
    }

    /// The service's pages, asked for with the right token, a wrong one and none.
    async fn pages(&mut self, address: &str) {
        let client = reqwest::Client::new();
        let lists = ["sources", "rules", "channels", "jobs", "alerts", "deliveries"].map(|list| format!("/api/v1/{list}"));
        let pages = ["/healthz", "/readyz", "/metrics", "/canary", "/api/v1/jobs?canary=canary"].into_iter();
        for page in pages.chain(lists.iter().map(String::as_str)) {
            for token in ["canary-server-token", "wrong", ""] {
                let request = client.get(format!("http://{address}{page}"));
                let response = if token.is_empty() { request } else { request.bearer_auth(token) }.send().await.unwrap();
                let (status, headers) = (response.status(), format!("{:?}", response.headers()));
                if page == "/metrics" || lists.iter().any(|list| list == page) {
                    assert_eq!(status == 200, token == "canary-server-token", "{status} with the token {token:?}");
                }
                let body = response.text().await.unwrap();
                self.said.0.push((format!("{page}, {status}"), format!("{headers}\n{body}").into_bytes()));
            }
        }
    }

    /// What the API says of a sample to each channel, and of a delivery sent again.
    async fn acts(&mut self, address: &str, channels: &[&str]) {
        let client = reqwest::Client::new();
        let samples = channels.iter().map(|channel| format!("/api/v1/channels/{channel}/test"));
        for path in samples.chain(["/api/v1/deliveries/1/retry".to_owned(), "/api/v1/reload".to_owned()]) {
            let request = client.post(format!("http://{address}{path}")).bearer_auth("canary-server-token");
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status(), format!("{:?}", response.headers()));
            assert!(status != 401 && status != 404, "{path}: {status}");
            let body = response.text().await.unwrap();
            self.said.0.push((format!("{path}, {status}"), format!("{headers}\n{body}").into_bytes()));
        }
    }

    /// All that lies in the home but what the words were planted in.
    fn files(&mut self, when: &str) {
        let mut folders = vec![PathBuf::from(self.home.folder.path())];
        let mut names = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !PLANTS.contains(&name.as_str()) {
                    self.said.0.push((format!("{name}, {when}"), fs::read(path).unwrap()));
                    names.push(name);
                }
            }
        }
        for name in ["jobrelay.db", "jobrelay.db-wal", "jobrelay.db-sent"] {
            assert!(names.iter().any(|found| found == name) || when == "at the end", "{name} is not there {when}: {names:?}");
        }
    }
}

/// A certificate with its key, behind a password.
fn certificate(home: &Home) {
    let openssl = |args: &str| {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(home.folder.path()).output().expect("openssl is here");
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout app.key -out app.crt -days 90 -subj /CN=app");
    openssl("pkcs12 -export -inkey app.key -in app.crt -out app.pfx -passout pass:canary-certificate-password");
    fs::remove_file(home.path("app.key")).unwrap();
}

/// All that stands around the program.
struct Around {
    upstream: Upstream,
    breaking: Echo,
    refusing: Echo,
    silent: Wire,
    untrusted: Smtp,
    mail: Smtp,
}

impl Around {
    async fn start() -> Self {
        let upstream = Upstream::start().await;
        let (breaking, refusing) = (Echo::start(500).await, Echo::start(400).await);
        let silent = Wire::start(&upstream.url, Mode::Hole).await;
        let untrusted = Smtp::start(Manner { implicit: true, ..Manner::default() }).await;
        let mail =
            Smtp::start(Manner { login: Some(("PLAIN LOGIN", "canary-smtp-user", "canary-smtp-password")), ..Manner::default() }).await;
        let code = STANDARD.encode("\0canary-smtp-user\0canary-smtp-password");
        mail.next("AUTH", &format!("454 4.7.0 try again, canary-smtp-user canary-smtp-password {code}"));
        mail.next("MAIL", "451 4.3.0 canary-smtp-password is a fine password");
        Self { upstream, breaking, refusing, silent, untrusted, mail }
    }

    fn config(&self) -> String {
        format!(
            "{}  fabrikam:\n    kind: aos_scan_jobs\n    base_url: {1}\n    token_url: http://{2}/token\n    client_id: app\n    certificate: {{ path: app.pfx, password: canary-certificate-password }}\n    poll_every: 5s\n\
         channels:\n  slack: {{ kind: slack, url: 'http://{2}/services/canary-slack-url', timeout: 2s }}\n  \
         teams: {{ kind: teams, url: 'http://{2}/flow?sig=canary-teams-url', timeout: 2s }}\n  \
         hook:\n    kind: webhook\n    url: http://{2}/canary-webhook-url?key=canary-webhook-query\n    secret: '${{file:webhook.secret}}'\n    headers: {{ Authorization: Bearer canary-header-value }}\n  \
         refusing: {{ kind: webhook, url: 'http://{3}/canary-refusing-url', headers: {{ X-Key: canary-header-value }} }}\n  \
         silent: {{ kind: webhook, url: '{4}/canary-silent-url', timeout: 1s }}\n  \
         untrusted: {{ kind: webhook, url: 'https://{5}/canary-untrusted-url' }}\n  \
         closed: {{ kind: webhook, url: 'http://127.0.0.1:9/canary-closed-url' }}\n  \
         admins:\n    kind: email\n    smtp: 'smtp://${{SMTP_USER}}:canary-smtp-password@{6}'\n    from: a@contoso.example\n    to: [b@contoso.example]\n  \
         mailbox:\n    kind: email\n    smtp: 'smtp://alerts@{6}'\n    from: a@contoso.example\n    to: [b@contoso.example]\n    oauth: {{ token_url: 'http://{2}/canary-token-url', client_id: app, client_secret: canary-app-secret }}\n\
         notices: {{ notify: [hook], source_down_after: 1m }}\n\
         server: {{ listen: '127.0.0.1:0', token: '${{SERVER_TOKEN}}' }}\n",
            self.upstream.config(),
            self.upstream.url,
            self.breaking.address,
            self.refusing.address,
            self.silent.url,
            self.untrusted.address,
            self.mail.address,
        )
    }

    /// What whoever should hear the words has heard.
    fn heard(&self) -> Vec<u8> {
        let (breaking, refusing) = (self.breaking.heard.lock().unwrap(), self.refusing.heard.lock().unwrap());
        [breaking.as_slice(), refusing.as_slice(), self.mail.commands().join("\n").as_bytes()].concat()
    }
}

/// Every command, on a sound config and on wrong ones.
fn commands(world: &mut World) {
    let told = world.run(&["--config", "private.yaml", "check"]);
    assert!(told.contains("`url` leads to 10.0.0.1") && told.contains("allow_private: true"), "{told}");
    for format in ["text", "json"] {
        let log = ["--log-level", "trace", "--log-format", format];
        for config in ["broken.yaml", "private.yaml"] {
            world.run(&[&log[..], &["--config", config, "run"]].concat());
            world.run(&["--config", config, "check", "--format", format]);
        }
        world.run(&["check", "--format", format]);
        world.run(&[&log[..], &["check", "--connect"]].concat());
        for channel in ["slack", "teams", "hook", "refusing", "silent", "untrusted", "closed", "admins", "mailbox", "canary"] {
            world.run(&[&log[..], &["send", channel]].concat());
        }
    }
}

/// One life of the service, in which everything goes wrong: the first ends by a kill, the second by a signal.
async fn life(world: &mut World, around: &Around, turn: usize, format: &str) {
    let (mut child, address) = world.start(format).await;
    around.upstream.polled(1).await;
    around.upstream.put(job(&format!("Scan{turn}"), "sites", 3, 5, Some(0)));
    let repeating = vec![("request-id", "canary-token-1".to_owned()), ("content-type", "text/canary-token-1".to_owned())];
    around.upstream.shelf.lock().unwrap().faults.extend([
        (503, repeating.clone(), format!("canary-token-1 {CLIENT_SECRET}")),
        (200, repeating.clone(), "canary-token-1".to_owned()),
        (302, vec![("location", format!("{}/canary-token-1", around.upstream.url))], String::new()),
    ]);
    let began = std::time::Instant::now();
    let open = ["slack", "teams", "hook", "refusing", "silent", "untrusted", "closed", "admins", "mailbox"];
    loop {
        let list = world.run(&["deliveries", "--format", "json"]);
        let list: serde_json::Value = serde_json::from_str(&list).unwrap_or_default();
        let tried =
            |name: &str| list.as_array().is_some_and(|all| all.iter().any(|d| d["channel"] == name && d["attempts"].as_i64() > Some(0)));
        if open.iter().all(|name| tried(name)) {
            break;
        }
        assert!(began.elapsed() < SOON, "not each was tried: {list:#}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    world.pages(&address).await;
    world.acts(&address, &open).await;
    for format in ["table", "json"] {
        for list in ["jobs", "alerts", "deliveries"] {
            world.run(&[list, "--format", format]);
        }
    }
    let dead = world.run(&["deliveries", "--outcome", "dead"]);
    assert!(dead.contains("refusing"), "{dead}");
    world.files("while it runs");
    if turn == 0 {
        world.run(&["deliveries", "retry", "--dead"]);
        child.kill().await.unwrap();
        world.files("after a kill");
    } else {
        assert!(Command::new("kill").args(["-TERM", &child.id().unwrap().to_string()]).status().unwrap().success());
        tokio::time::timeout(SOON, child.wait()).await.expect("it stops").unwrap();
        world.files("at the end");
    }
}

/// A home whose config has every word in it, and these settings more.
fn planted(around: &Around, more: &str) -> World {
    let config = around.config() + more;
    let home = Home::new(&config, RULES);
    certificate(&home);
    fs::write(home.path("webhook.secret"), "canary-webhook-secret-0123456789").unwrap();
    fs::write(home.path("broken.yaml"), config.replace("    secret:", "\t secret:").replace("kind: slack,", "kind: slack")).unwrap();
    let private = config.replace("http://127.0.0.1:9/canary-closed-url", "https://10.0.0.1/canary-private-url");
    fs::write(home.path("private.yaml"), private).unwrap();
    World { home, said: Said(Vec::new()), runs: 0 }
}

/// What whoever should hear them is told in a life of the service.
const HEARD: &[&str] = &[
    "canary-slack-url",
    "canary-teams-url",
    "canary-webhook-url",
    "canary-webhook-query",
    "canary-header-value",
    "canary-refusing-url",
    "canary-smtp-user",
    "canary-smtp-password",
    "canary-app-secret",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_comes_out_whatever_goes_wrong() {
    let around = Around::start().await;
    let mut world = planted(&around, "");

    commands(&mut world);
    for (turn, format) in ["json", "text"].into_iter().enumerate() {
        life(&mut world, &around, turn, format).await;
    }

    // The words were there to be let out: whoever should hear them has.
    let heard = around.heard();
    for word in HEARD {
        assert!(holds(&heard, word), "{word} was never used");
    }
    assert!(around.upstream.shelf.lock().unwrap().tokens > 0 && !around.mail.taken().is_empty());
    let leaks = world.said.leaks();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a mount namespace: run ./test"]
async fn no_secret_comes_out_while_the_disk_is_full() {
    let around = Around::start().await;
    let mut world = planted(&around, "storage: { url: 'sqlite:disk/jobrelay.db' }\n");
    let (mut child, address) = world.start_on_a_small_disk().await;
    let disk = format!("/proc/{}/root{}/disk", child.id().unwrap(), world.home.folder.path().display());
    let config = fs::read_to_string(world.home.path("jobrelay.yaml")).unwrap();
    fs::write(world.home.path("elsewhere.yaml"), config.replace("sqlite:disk/", &format!("sqlite:{disk}/"))).unwrap();
    around.upstream.polled(1).await;
    around.upstream.put(job("Scan1", "sites", 3, 5, Some(0)));
    let told = || {
        let heard = around.heard();
        HEARD.iter().all(|word| holds(&heard, word))
    };
    crate::common::until("each channel is tried", told).await;

    let mut ballast = fs::File::create(format!("{disk}/ballast")).unwrap();
    while std::io::Write::write(&mut ballast, &[0; 512]).is_ok_and(|written| written > 0) {}
    around.upstream.shelf.lock().unwrap().faults.push((503, Vec::new(), format!("canary-token-1 {CLIENT_SECRET}")));
    for n in 2..40 {
        around.upstream.put(job(&format!("Scan{n}"), "sites", 3, 5, Some(0)));
    }
    let began = std::time::Instant::now();
    while !reqwest::get(format!("http://{address}/readyz")).await.unwrap().text().await.unwrap().contains("full") {
        assert!(began.elapsed() < SOON, "the disk is never full");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    world.pages(&address).await;
    for command in [&["deliveries", "retry", "--dead"][..], &["deliveries"], &["alerts", "--format", "json"], &["jobs"]] {
        world.run(&[&["--config", "elsewhere.yaml"], command].concat());
    }
    // A second program is refused, or finds no room either.
    world.run(&["--config", "elsewhere.yaml", "--log-level", "trace", "run"]);
    for entry in fs::read_dir(&disk).unwrap() {
        let path = entry.unwrap().path();
        world.said.0.push((format!("{}, on the full disk", path.display()), fs::read(path).unwrap()));
    }
    child.kill().await.unwrap();
    world.files("at the end");
    assert!(world.said.0.iter().any(|(by, said)| by.starts_with("log-1") && String::from_utf8_lossy(said).contains("full")));
    let leaks = world.said.leaks();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
