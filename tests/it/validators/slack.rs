//! Slack's messages, as a renderer of Block Kit draws them, and beside those of Alertmanager.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
};

use serde_json::{Value, json};

use super::{HOSTILE, PLAIN_FOR_ALL, accepted, files, parts, refused, taken, tell};
use crate::common::{
    Home,
    sink::{Answer, Sink},
    upstream::{Upstream, job},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a renderer of Block Kit: run ./test"]
async fn a_renderer_of_block_kit_shows_every_job_and_no_name_comes_alive() {
    let sink = Sink::start("ok").await;
    let (_home, service) = tell(&format!("{{ kind: slack, url: '{}', rate: unlimited }}", sink.url)).await;
    let folder = tempfile::tempdir().unwrap();
    // That each text is drawn, once and whole, it sees to itself.
    let drawn = accepted("slack.cjs", &[], &taken(folder.path(), &sink));
    let mut all = String::new();
    for message in &drawn {
        let text = message["text"].as_str().unwrap();
        let code: Vec<&str> = message["code"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
        all += &code.join("\n");
        assert_eq!(message["ringing"], json!([]), "{message}");
        for link in message["links"].as_array().unwrap() {
            assert_eq!(link, "https://wiki.contoso.example/scans?a=1&b=2", "{message}");
        }
        let ours = ["Scan profile", "State", "Duration", "Source", "Started", "Ended", "Severity", "Type", "Job", "Since"];
        for mark in message["marked"].as_array().unwrap() {
            assert!(ours.contains(&mark.as_str().unwrap()), "a name is marked up: {mark}");
        }
        // Each job is named, or counted among the rest.
        let number_before = |word: &str| {
            text.split_once(word).and_then(|(before, _)| before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok())
        };
        let named = code.iter().filter(|code| code.starts_with("Scan-")).count();
        match number_before(" scans") {
            Some(count) => assert_eq!(named + number_before(" more: ").unwrap_or(0), count, "{text}"),
            None => assert!(named == 1 || text.contains("about itself"), "{text}"),
        }
    }
    for name in [HOSTILE[0], HOSTILE[1], PLAIN_FOR_ALL] {
        assert!(all.contains(&name.replace('`', "ˋ")), "no message shows {name}:\n{all}");
    }
    service.kill().await;
}

#[test]
#[ignore = "needs a renderer of Block Kit: run ./test"]
fn a_renderer_of_block_kit_brings_to_life_what_is_not_escaped_and_says_what_it_drops() {
    let section = |text: &str| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let folder = tempfile::tempdir().unwrap();
    let live = json!({ "text": "a", "blocks": [section("<!channel> <@U123> <https://evil.example/a|all is well> *b* `c`")] });
    let drawn = accepted("slack.cjs", &[], &files(folder.path(), [live.to_string()]));
    assert_eq!(
        drawn,
        [json!({
            "text": "@channel @U123 all is well b c", "code": ["c"], "links": ["https://evil.example/a"],
            "ringing": ["@channel", "@U123"], "marked": ["b"],
        })]
    );
    let unknown = json!({ "type": "unheard-of", "text": { "type": "mrkdwn", "text": "`c`" } });
    refused("slack.cjs", &[], &json!({ "text": "a", "blocks": [unknown] }), "1 spans of code are written, 0 are drawn");
    let plain = json!({ "type": "unheard-of", "text": { "type": "plain_text", "text": "all is well" } });
    refused("slack.cjs", &[], &json!({ "text": "a", "blocks": [plain] }), "is drawn 0 times");
}

/// Alertmanager, with Slack as its one receiver.
struct Alertmanager(Child);

impl Alertmanager {
    fn start(folder: &Path, slack: &str, port: u16) -> Self {
        let config = format!(
            "route: {{ receiver: slack, group_by: [alertname], group_wait: 0s, group_interval: 1s }}\nreceivers:\n  - name: slack\n    slack_configs:\n      - api_url: '{slack}'\n        \
             channel: '#alerts'\n        title_link: '{{{{ (index .Alerts 0).GeneratorURL }}}}'\n        text: '{{{{ .CommonAnnotations.summary }}}}'\n        fields:\n          \
             - {{ title: Scan profile, value: '{{{{ .CommonLabels.profile }}}}' }}\n          - {{ title: Source, value: '{{{{ .CommonLabels.source }}}}' }}\n          \
             - {{ title: Severity, value: '{{{{ .CommonLabels.severity }}}}' }}\n"
        );
        fs::write(folder.join("alertmanager.yml"), config).unwrap();
        // Debian's build reads its own templates below /usr/share, where a package that is only opened has none: in a mount
        // namespace of its own, it has.
        let script = "mount -t tmpfs none /usr/share && mkdir /usr/share/prometheus && cp -r \"$0/usr/share/prometheus/alertmanager\" /usr/share/prometheus/ && \
                      exec \"$0/usr/bin/prometheus-alertmanager\" --config.file=alertmanager.yml --storage.path=data --cluster.listen-address= --web.listen-address=127.0.0.1:$1";
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", script]).arg(parts().join("alertmanager")).arg(port.to_string());
        let log = fs::File::create(folder.join("alertmanager.log")).unwrap();
        Self(command.current_dir(folder).stderr(log).spawn().unwrap())
    }

    /// Tells it of an alert, by its own tool, as soon as it listens.
    async fn tell(&self, port: u16, labels: &[&str]) {
        let began = std::time::Instant::now();
        let told = || {
            Command::new(parts().join("alertmanager/usr/bin/amtool"))
                .args([&format!("--alertmanager.url=http://127.0.0.1:{port}"), "alert", "add"])
                .args(labels)
                .args(["--annotation=summary=scan sharepoint sites failed", "--generator-url=https://wiki.contoso.example/scans"])
                .output()
                .unwrap()
        };
        loop {
            let output = told();
            if output.status.success() {
                return;
            }
            assert!(began.elapsed() < crate::common::SOON, "{}", crate::common::text(&output.stderr));
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every text below a value, in one.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => items.iter().map(texts).collect(),
        Value::Object(entries) => entries.values().map(texts).collect(),
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Alertmanager and a mount namespace: run ./test"]
async fn alertmanagers_message_of_the_same_scan_says_nothing_that_ours_leaves_out() {
    let (their_sink, our_sink) = (Sink::start("ok").await, Sink::start("ok").await);
    // Both try again what Slack could not take for now.
    their_sink.next([Answer::new(500, "rollup_error")]);
    our_sink.next([Answer::new(500, "rollup_error")]);
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let alertmanager = Alertmanager::start(folder.path(), &their_sink.url, port);
    let labels = ["scan-failed", "severity=critical", "source=contoso", "profile=scan sharepoint sites", "job=Scan-one"];
    alertmanager.tell(port, &labels).await;

    let upstream = Upstream::start().await;
    let config = format!(
        "{}channels:\n  it: {{ kind: slack, url: '{}', rate: unlimited }}\nserver: {{ listen: '127.0.0.1:0' }}\n",
        upstream.config(),
        our_sink.url
    );
    let rules = "rules:\n  - name: scan-failed\n    when: { state: failed }\n    severity: critical\n    notify: [it]\n    \
                 labels: { runbook: 'https://wiki.contoso.example/scans' }\n";
    let home = Home::new(&config, rules);
    let service = home.start().await;
    upstream.polled(1).await;
    upstream.put(job("Scan-one", "scan sharepoint sites", 3, 100, Some(0)));

    let (theirs, ours) = (their_sink.holds(2).await, our_sink.holds(2).await);
    for taken in theirs.iter().chain(&ours) {
        assert!(taken.header("content-type").starts_with("application/json"), "{:?}", taken.headers);
    }
    let (theirs, ours) = (theirs[1].json(), ours[1].json());
    let attachment = |message: &Value| match message["attachments"].as_array().map(Vec::as_slice) {
        Some([one]) => one.clone(),
        _ => panic!("one attachment, with a coloured bar: {message}"),
    };
    let (their, our) = (attachment(&theirs), attachment(&ours));
    assert_eq!((&their["color"], &our["color"]), (&json!("danger"), &json!("#d1242f")), "both red");
    // Theirs is in the attachment, ours in front of all blocks, where Slack shows it in a notification.
    assert!(!their["fallback"].as_str().unwrap().is_empty());
    let fallback = ours["text"].as_str().unwrap();
    assert!(their["text"].as_str().unwrap().split(' ').all(|word| fallback.contains(word)), "{fallback}");
    assert_eq!(ours["blocks"][0]["type"], "header", "where theirs has its title");
    assert!(texts(&our).contains(&format!("<{}|", their["title_link"].as_str().unwrap())), "the title's link is one of ours: {our}");
    let fields: Vec<&str> = our["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|block| block["fields"].as_array().into_iter().flatten())
        .map(|f| f["text"].as_str().unwrap())
        .collect();
    let their_fields = their["fields"].as_array().unwrap();
    assert_eq!(their_fields.len(), 3, "{their}");
    for field in their_fields {
        let (title, value) = (field["title"].as_str().unwrap(), field["value"].as_str().unwrap().to_lowercase());
        let ours = fields.iter().find_map(|text| text.strip_prefix(&format!("*{title}*\n")));
        assert_eq!(ours.map(|said| said.trim_matches('`').to_lowercase()), Some(value), "{title}: {fields:?}");
    }
    // Its title names every label.
    for label in labels {
        let value = label.split_once('=').map_or(label, |(_, value)| value);
        assert!(their["title"].as_str().unwrap().contains(value), "{their}");
        assert!(texts(&ours).to_lowercase().contains(value) || texts(&ours).contains(value), "{value} is not in {ours}");
    }
    service.kill().await;
}
