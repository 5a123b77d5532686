//! What the channels are really sent, held against programs that nobody here wrote: the vendors' own libraries, the libraries
//! that receivers verify with, a real mail server, and readers of mail.
//!
//! `./test` installs them and runs these; in a plain run of the tests they are told as ignored.

mod cron;
mod digests;
mod junit;
mod mail;
mod schema;
mod slack;

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{
    Home, SOON, Service,
    sink::Sink,
    text, until,
    upstream::{Upstream, job},
};

/// A Standard Webhooks secret, in the form that the libraries take.
const HOOK_SECRET: &str = "whsec_Y2FuYXJ5LWhvb2stc2VjcmV0LTAxMjM0NTY3ODk=";

/// How many jobs the roll-up folds, about.
const MANY: usize = 150;

/// Names that mean something where they land, unless they are escaped for it.
const HOSTILE: [&str; 10] = [
    "<!channel> <!here> <@U123> <#C123> @everyone",
    "<https://evil.example/a|all is well> [all is well](https://evil.example/b) https://evil.example/c",
    "**bold** __bold__ *em* _em_ ~~gone~~ `code` # head 1. one - two > three ![](https://evil.example/d.png)",
    "\"}],\"x\":\"{{rule.name}} ${HOME} {{{job}}} \\\" \\u0041 \\",
    "<script>alert('x')</script> &amp; <b>&lt;i&gt;</b> <img src=https://evil.example/e.png>",
    "line\r\nBcc: eve@evil.example\r\n\r\nbody\u{2028}separated",
    "Prüfung ünïcödé 夜間スキャン 🧨👩‍👩‍👧‍👦 \u{202e}desrever\u{202c}",
    "\u{0}\u{7}\u{1b}[31mred\u{7f}\t\u{feff}",
    " ",
    "=?utf-8?q?encoded?= .\r\n.\r\n",
];

/// A name of signs that a card takes for formatting, which a reader must see as they are.
const PLAIN_FOR_ALL: &str = "a_b *c* **d** [e](f) `g` ~h~ # i \\ j";

/// The folder that `./test parts` fills.
pub fn parts() -> PathBuf {
    let folder =
        std::env::var_os("JOBRELAY_PARTS").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/parts"), PathBuf::from);
    assert!(folder.join("made").exists(), "{} is not there: `./test parts` installs what this test needs", folder.display());
    folder
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parts").join(name)
}

/// Runs one of `tests/parts` over files.
fn run(name: &str, arguments: &[&str], files: &[PathBuf]) -> Output {
    let parts = parts();
    let mut command = match name.rsplit_once('.') {
        Some((_, "py")) => Command::new(parts.join("venv/bin/python")),
        _ => Command::new("node"),
    };
    command.arg(script(name));
    if command.get_program() == "node" {
        command.arg(&parts);
    }
    command.args(arguments).args(files).output().unwrap()
}

/// It must find no fault; what it printed, a line of JSON a file.
#[track_caller]
fn accepted(name: &str, arguments: &[&str], files: &[PathBuf]) -> Vec<Value> {
    assert!(!files.is_empty(), "{name} was shown nothing");
    let output = run(name, arguments, files);
    assert!(output.status.success(), "{name} found faults:\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// It must find a fault in this.
#[track_caller]
fn refused(name: &str, arguments: &[&str], content: &Value, because: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(name, arguments, &files(folder.path(), [content.to_string()]));
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{name} takes {content}\n{said}");
    assert!(said.contains(because), "{name} says of {content}\n{said}");
}

fn files(folder: &Path, contents: impl IntoIterator<Item = String>) -> Vec<PathBuf> {
    let write = |(at, content): (usize, String)| {
        let path = folder.join(format!("{at:03}.json"));
        fs::write(&path, content).unwrap();
        path
    };
    contents.into_iter().enumerate().map(write).collect()
}

/// Tells a program with one channel, `it`, of a single job, of jobs with hostile names, of so many that they are rolled up,
/// and of a row that can't be read; returns once each alert has come to its end on the channel, and the notice too.
async fn tell(channel: &str) -> (Home, Service) {
    let upstream = Upstream::start().await;
    let config =
        format!("{}channels:\n  it: {channel}\nnotices: {{ notify: [it] }}\nserver: {{ listen: '127.0.0.1:0' }}\n", upstream.config());
    let rules = "\
rules:
  - name: scan-failed
    description: 'A scan failed: \"look\" <here> & *now*.'
    when: { state: failed }
    severity: critical
    notify: [it]
    labels: { team: 'a <b> & \"c\"', runbook: 'https://wiki.contoso.example/scans?a=1&b=2' }
  - name: many
    when: { state: finished_with_exception }
    notify: [it]
    limit: 1 per 5s
";
    let home = Home::new(&config, rules);
    let service = home.start().await;
    upstream.polled(1).await;
    let long = "a very long profile name ".repeat(40);
    let names: Vec<&str> = HOSTILE.into_iter().chain([PLAIN_FOR_ALL, long.as_str()]).collect();
    let all = 1 + names.len() * 2 + MANY;
    {
        // At once, so that one poll meets them all.
        let mut shelf = upstream.shelf.lock().unwrap();
        shelf.jobs.push(job("Scan-one", "scan sharepoint sites", 3, 100, Some(0)));
        for (at, name) in names.into_iter().enumerate() {
            shelf.jobs.push(job(&format!("Scan-hostile-{at}"), name, 3, 100, Some(0)));
            shelf.jobs.push(job(&format!("Scan-hostile-too-{at}"), name, 4, 100, Some(0)));
        }
        for at in 0..MANY {
            shelf.jobs.push(job(&format!("Scan-many-{at:04}"), &format!("scan site collection {at}"), 4, 100, Some(0)));
        }
    }
    let began = Instant::now();
    loop {
        let mut ended = 0.0;
        for outcome in ["delivered", "rolled_up"] {
            let series = format!("jobrelay_notifications_total{{channel=\"it\",outcome=\"{outcome}\"}}");
            ended += service.metric(&series).await.unwrap_or_default();
        }
        if ended >= all as f64 {
            break;
        }
        assert!(began.elapsed() < SOON, "{ended} of {all} alerts have come to their end:\n{}", service.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    upstream.put(json!({ "id": "Scan-odd", "state": "what" }));
    let told = || home.json(&["deliveries", "--format", "json"]).as_array().unwrap().clone();
    until("the notice is delivered", || told().iter().any(|one| one["kind"] == "notice" && one["outcome"] == "delivered")).await;
    (home, service)
}

/// The bodies that a sink took, as files; a roll-up of nearly all jobs must be among them.
fn taken(folder: &Path, sink: &Sink) -> Vec<PathBuf> {
    let bodies: Vec<String> = sink.taken().into_iter().map(|taken| taken.body).collect();
    let most = bodies.iter().map(|body| body.matches("Scan-many-").count()).max().unwrap_or_default();
    assert!(most >= 5, "no message lists many jobs, but {most} at most");
    files(folder, bodies)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Slack's SDK: run ./test"]
async fn slacks_own_library_takes_every_message() {
    let sink = Sink::start("ok").await;
    let (_home, service) = tell(&format!("{{ kind: slack, url: '{}', rate: unlimited }}", sink.url)).await;
    let folder = tempfile::tempdir().unwrap();
    accepted("slack.py", &[], &taken(folder.path(), &sink));
    for taken in sink.taken() {
        // What a name says must not ring for anyone, nor lead anywhere.
        for active in ["<!channel>", "<!here>", "<@U123>", "<#C123>", "<https://evil.example"] {
            assert!(!taken.body.contains(active), "{active} is live in {}", taken.body);
        }
    }
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Microsoft's schema and renderer: run ./test"]
async fn microsofts_schema_and_renderer_take_every_card() {
    let sink = Sink::start("").await;
    let (_home, service) = tell(&format!("{{ kind: teams, url: '{}', rate: unlimited }}", sink.url)).await;
    let folder = tempfile::tempdir().unwrap();
    let bodies = taken(folder.path(), &sink);
    accepted("teams.py", &[], &bodies);
    let drawn = accepted("teams.cjs", &[], &bodies);
    let all: String = drawn.iter().map(|card| card["text"].as_str().unwrap()).collect();
    for shown in ["Scan-one", "scan sharepoint sites", PLAIN_FOR_ALL] {
        assert!(all.contains(shown), "no card shows {shown}:\n{all}");
    }
    for card in &drawn {
        for marked in ["links", "marked"] {
            assert!(!card[marked].to_string().contains("evil.example"), "a name came alive in {card}");
        }
    }
    service.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the Standard Webhooks libraries: run ./test"]
async fn the_libraries_that_receivers_use_verify_every_webhook() {
    let sink = Sink::start("").await;
    let (_home, service) = tell(&format!("{{ kind: webhook, url: '{}', secret: {HOOK_SECRET}, rate: unlimited }}", sink.url)).await;
    let folder = tempfile::tempdir().unwrap();
    let requests: Vec<Value> = sink
        .taken()
        .iter()
        .map(|taken| {
            let header = |name: &str| (name.to_owned(), json!(taken.header(name)));
            let headers: serde_json::Map<_, _> = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header).into_iter().collect();
            json!({ "headers": headers, "body": taken.body })
        })
        .collect();
    accepted("webhook.py", &[HOOK_SECRET], &files(folder.path(), requests.iter().map(Value::to_string)));
    let mut forged = requests[0].clone();
    forged["body"] = json!(format!("{} ", forged["body"].as_str().unwrap()));
    refused("webhook.py", &[HOOK_SECRET], &forged, "svix");
    service.kill().await;
}

/// An `OpenID` provider with a job list behind its tokens, and what it says of them.
struct Provider {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Provider {
    /// That knows an app by its certificate.
    fn start(client: &str, certificate: &Path) -> Self {
        let mut command = Command::new("node");
        command.arg(script("oidc.cjs")).arg(parts()).arg(format!("{client}={}", certificate.display()));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut provider = Self { process, said, url: String::new() };
        let url = provider.says()["url"].clone();
        provider.url.push_str(url.as_str().unwrap());
        provider
    }

    /// What it says next.
    fn says(&mut self) -> Value {
        serde_json::from_str(&self.said.next().expect("the provider ended").unwrap()).unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs an OpenID provider: run ./test"]
fn an_openid_provider_takes_the_certificate_from_either_form_of_file_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    for name in ["app", "other"] {
        openssl(&format!("req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.crt -days 99 -subj /CN={name}"));
        openssl(&format!("pkcs12 -export -inkey {name}.key -in {name}.crt -out {name}.pfx -passout pass:canary-password"));
        let both = ["key", "crt"].map(|part| fs::read_to_string(folder.path().join(format!("{name}.{part}"))).unwrap());
        fs::write(folder.path().join(format!("{name}.pem")), both.concat()).unwrap();
    }
    let mut provider = Provider::start("app", &folder.path().join("app.crt"));
    let mut check = |certificate: &str, client: &str| {
        let config = format!(
            "sources:\n  contoso:\n    kind: aos_scan_jobs\n    base_url: {0}\n    token_url: {0}/connect/token\n    client_id: {client}\n    \
             certificate: {certificate}\nchannels:\n  hook: {{ kind: webhook, url: 'http://127.0.0.1:9/' }}\n",
            provider.url
        );
        let home = Home::new(&config, "rules: [{ name: failed, when: { state: failed }, notify: [hook] }]\n");
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, home.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        let output = home.run(&["check", "--connect"]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains("canary"), "{said}");
        let mut provider_says = vec![provider.says()];
        if output.status.success() {
            provider_says.push(provider.says());
        }
        (output.status.success(), said, Value::from(provider_says))
    };
    for good in ["{ path: app.pem }", "{ path: app.pfx, password: canary-password }"] {
        let (well, said, provider_says) = check(good, "app");
        assert!(well, "{good}: {said}\n{provider_says}");
        assert_eq!(provider_says, json!([{ "granted": "app" }, { "read": "app" }]));
    }
    for (wrong, client) in
        [("{ path: other.pem }", "app"), ("{ path: other.pfx, password: canary-password }", "app"), ("{ path: app.pem }", "stranger")]
    {
        let (well, said, provider_says) = check(wrong, client);
        assert!(!well && said.contains("the certificate is not the one uploaded"), "{wrong} of {client}: {said}\n{provider_says}");
        assert!(provider_says[0]["refused"].is_string(), "{provider_says}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs promtool: run ./test"]
async fn promtool_takes_the_metrics_page() {
    let sink = Sink::start("").await;
    let (_home, service) = tell(&format!("{{ kind: webhook, url: '{}', rate: unlimited }}", sink.url)).await;
    let page = tempfile::NamedTempFile::new().unwrap();
    fs::write(&page, service.metrics().await).unwrap();
    let check =
        |page: &Path| Command::new(parts().join("promtool")).args(["check", "metrics"]).stdin(fs::File::open(page).unwrap()).output();
    let output = check(page.path()).unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "promtool says:\n{said}");
    fs::write(&page, "# HELP a_total\na_total one\n").unwrap();
    assert!(!check(page.path()).unwrap().status.success(), "promtool takes anything");
    service.kill().await;
}

#[test]
#[ignore = "needs Slack's and Microsoft's libraries: run ./test"]
fn what_is_wrong_is_refused() {
    let text = |text: &str| json!({ "type": "mrkdwn", "text": text });
    let slack = |block: Value| json!({ "text": "a", "blocks": [block] });
    for (block, because) in [
        (json!({ "type": "section", "text": text(&"x".repeat(3_001)) }), "3000"),
        (json!({ "type": "section", "text": text("") }), "minimum length"),
        (json!({ "type": "header", "text": text("not plain") }), "reads"),
        (json!({ "type": "header", "text": { "type": "plain_text", "text": "x".repeat(151) } }), "150"),
        (json!({ "type": "section", "fields": [text(&"x".repeat(2_001))] }), "2000"),
        (json!({ "type": "section", "text": text("a"), "colour": "red" }), "reads"),
        (json!({ "type": "unheard-of" }), "knows no block"),
    ] {
        refused("slack.py", &[], &slack(block), because);
    }
    let section = json!({ "type": "section", "text": text("a") });
    refused("slack.py", &[], &json!({ "text": "a", "blocks": vec![section.clone(); 51] }), "51 blocks");
    refused("slack.py", &[], &json!({ "blocks": [section] }), "no `text`");

    let card = |body: Value| {
        let content = json!({ "type": "AdaptiveCard", "version": "1.4", "body": [body], "msteams": { "width": "Full" } });
        json!({ "type": "message", "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": content }] })
    };
    refused("teams.py", &[], &card(json!({ "type": "TextBlock" })), "text");
    refused("teams.py", &[], &card(json!({ "type": "TextBlock", "text": "a", "color": "Red" })), "Red");
    refused("teams.py", &[], &card(json!({ "type": "TextBlock", "text": "x".repeat(29_000) })), "28672");
    refused("teams.py", &[], &json!({ "type": "AdaptiveCard" }), "no message");
    refused("teams.cjs", &[], &card(json!({ "type": "TextBlok", "text": "a" })), "TextBlok");
    let nowhere = json!({ "type": "ActionSet", "actions": [{ "type": "Action.OpenUrl", "title": "a" }] });
    refused("teams.cjs", &[], &card(nowhere), "url");
}

#[test]
#[ignore = "needs checkers of HTML mail: run ./test"]
fn gmail_and_outlook_can_show_every_mail_and_its_html_is_sound() {
    let home = Home::new("", "");
    let page = text(&home.run(&["--config", "none.yaml", "preview", "--out", "-"]).stdout);
    let write = |(at, quoted): (usize, &str)| {
        let quoted = quoted.split('"').next().unwrap();
        let html = quoted.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
        let path = home.path(&format!("{at}.html"));
        fs::write(&path, html).unwrap();
        path
    };
    let mails: Vec<PathBuf> = page.split("srcdoc=\"").skip(1).enumerate().map(write).collect();
    assert!(mails.len() >= 9, "{} mails: one job, roll-ups, notices, hostile names", mails.len());
    assert_eq!(accepted("html.cjs", &[], &mails).len(), mails.len());
    // They find what is wrong, where something is.
    let bad = home.path("bad.html");
    fs::write(&bad, "<html><body><p>One<video src=\"x\"></video></div></body></html>").unwrap();
    let told = text(&run("html.cjs", &[], &[bad]).stdout);
    assert!(told.contains("knows no <video> element") && told.contains("close-order"), "{told}");
}
