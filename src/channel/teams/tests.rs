use std::sync::LazyLock;

use proptest::prelude::*;
use reqwest::header::HeaderMap;
use serde_json::json;

use super::*;
use crate::{
    channel::hostile::{self, notification},
    domain::{Category, Job, NotificationKind, RuleFacts, Severity, State},
    template::{Templates, samples},
};

const FLOW: &str = "https://default0123.45.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdE";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_727_330_000 + second).unwrap()
}

fn reply(status: u16, body: &str) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "90".parse().unwrap());
    Reply { status, headers, body: body.as_bytes().to_vec() }
}

#[track_caller]
fn means(status: u16, body: &str, word: &str) {
    let outcome = outcome(&reply(status, body), at(0));
    assert_eq!(outcome.word(), word, "{status} {body:?}: {outcome:?}");
    if let Outcome::Retry { after, .. } = outcome {
        assert_eq!(after, Some(Duration::from_secs(90)));
    }
}

#[test]
fn an_answer_is_read_by_its_status_and_a_connectors_by_its_words() {
    for accepted in [
        "",
        "1",
        "ok",
        "{\"id\":\"08585\"}",
        "{\"echo\":\"Webhook message delivery failed, HTTP error 500\"}",
        "[]",
        "Übernommen",
        "HTTP error",
    ] {
        means(202, accepted, "delivered");
        means(200, accepted, "delivered");
    }
    means(204, "", "delivered");
    let told = |code: &str| {
        format!(
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {code} with ContextId tcid=0,server=AM3,cv=x.."
        )
    };
    for (code, word) in [
        ("429", "retry"),
        ("500", "retry"),
        ("503", "retry"),
        ("408", "retry"),
        ("400", "message_refused"),
        ("413", "message_refused"),
        ("403", "channel_refused"),
        ("404", "channel_refused"),
        ("410", "channel_refused"),
    ] {
        means(200, &told(code), word);
    }
    means(200, "Microsoft Teams endpoint returned HTTP error 429", "retry");
    means(200, "webhook message delivery FAILED with error: unknown", "message_refused");
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        means(status, "later", "retry");
    }
    for status in [400, 405, 413, 415, 422] {
        means(status, "{\"error\":{\"code\":\"TriggerInputSchemaMismatch\"}}", "message_refused");
    }
    for status in [401, 403, 404, 410, 301, 302, 307] {
        means(status, "{\"error\":{\"code\":\"WorkflowNotFound\"}}", "channel_refused");
    }
}

fn channel(templates: Templates) -> Arc<dyn Channel> {
    hostile::channel(&KIND, &format!("url: '{FLOW}'"), templates).unwrap()
}

fn built_in() -> Arc<dyn Channel> {
    // Made once: reading the system's root certificates takes its time.
    static CHANNEL: LazyLock<Arc<dyn Channel>> = LazyLock::new(|| channel(Templates::built_in()));
    Arc::clone(&CHANNEL)
}

fn job(id: &str, profile: &str, state: State) -> Job {
    Job {
        source: "contoso".into(),
        id: id.into(),
        kind: None,
        state,
        started: Some(at(-754)),
        finished: (state != State::Running).then(|| at(0)),
        profile: profile.into(),
        category: Some(Category::Microsoft365),
        extension: Value::Null,
    }
}

fn rule(name: &str, description: &str, runbook: &str, severity: Severity) -> RuleFacts {
    let labels = [("runbook".to_owned(), runbook.to_owned())].into();
    RuleFacts { name: name.into(), description: description.into(), severity, labels, template: None }
}

#[track_caller]
fn card(channel: &dyn Channel, notification: &Notification, wording: &Wording) -> (String, Value) {
    let Payload::Json(json) = channel.compose(notification, wording, at(185)).unwrap() else { panic!("no JSON") };
    let message: Value = serde_json::from_str(&json).unwrap();
    card::check(&message).unwrap();
    assert!(json.len() <= card::REQUEST_BYTES && card::fits(&json), "{} bytes", json.len());
    (json, message)
}

/// Every text that Teams shows as it is, and every one it reads as Markdown.
fn texts(value: &Value, plain: &mut Vec<String>, markdown: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, plain, markdown)),
        Value::Object(fields) => {
            let literal = fields.get("type").is_some_and(|kind| kind == "TextRun" || kind == "Action.OpenUrl");
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "text" || key == "title" => {
                        if literal {
                            plain.push(text.clone());
                        } else {
                            markdown.push(text.clone());
                        }
                    }
                    Value::String(text) if key == "fallbackText" => markdown.push(text.clone()),
                    other => texts(other, plain, markdown),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn an_alert_says_what_a_person_needs() {
    let rule = rule("scan-failed", "A scan failed.", "https://wiki.contoso.example/failed", Severity::Critical);
    let alert = notification(NotificationKind::Alert, &rule, vec![job("Scan20240926", "scan sharepoint sites", State::Failed)], 0);
    let (_, message) = card(&*built_in(), &alert, &Wording::Configured);
    let (mut plain, mut markdown) = (Vec::new(), Vec::new());
    texts(&message, &mut plain, &mut markdown);
    let all = plain.join("\n");
    for said in [
        "CRITICAL",
        "scan-failed",
        "Scan failed: scan sharepoint sites",
        "A scan failed.",
        "contoso",
        "Microsoft 365",
        "12m 34s",
        "2024-09-26 05:53 UTC",
        "3m 5s ago",
        "Scan20240926",
        "Runbook",
    ] {
        assert!(all.contains(said), "{said} is not in {all}");
    }
    let content = &message["attachments"][0]["content"];
    assert_eq!(content["body"][0]["style"], "attention");
    assert_eq!(content["msteams"], json!({ "width": "Full" }));
    assert_eq!(content["actions"][0]["url"], "https://wiki.contoso.example/failed");
    assert_eq!(content["actions"][1]["url"], "https://relay.contoso.example/");
    assert_eq!(message["attachments"][0]["contentUrl"], Value::Null);
    assert!(content["fallbackText"].as_str().unwrap().contains("scan sharepoint sites"));
}

#[test]
fn a_notice_says_what_is_the_matter_since_when_and_that_it_is_over() {
    let said = |notification| {
        let (_, message) = card(&*built_in(), &notification, &Wording::Configured);
        let (mut plain, mut markdown) = (Vec::new(), Vec::new());
        texts(&message, &mut plain, &mut markdown);
        let content = &message["attachments"][0]["content"];
        assert!(content["actions"][0]["url"] == "https://relay.contoso.example/");
        (plain.join("|"), content["body"][0]["style"].as_str().unwrap().to_owned())
    };
    let (all, style) = said(hostile::down(false));
    assert!(
        all.contains("CRITICAL| · jobrelay about itself|contoso can't be read|The last answer: HTTP 503|2024-09-26 05:46 UTC"),
        "{all}"
    );
    assert!(all.contains("source contoso down") && style == "attention");
    let (all, style) = said(hostile::down(true));
    assert!(all.starts_with("OVER|") && all.contains("|15m| (from 2024-09-26 05:46 UTC)|"), "{all}");
    assert_eq!(style, "good");
}

#[test]
fn a_severity_has_its_colour() {
    let styles = [
        (Severity::Critical, State::Failed, "attention"),
        (Severity::Warning, State::Failed, "warning"),
        (Severity::Info, State::Failed, "accent"),
        (Severity::Info, State::Finished, "good"),
    ];
    for (severity, state, style) in styles {
        let alert = notification(NotificationKind::Alert, &rule("r", "", "", severity), vec![job("1", "p", state)], 0);
        let (_, message) = card(&*built_in(), &alert, &Wording::Configured);
        assert_eq!(message["attachments"][0]["content"]["body"][0]["style"], style);
    }
}

#[test]
fn only_web_addresses_become_links() {
    for runbook in ["javascript:alert(1)", "file:///etc/passwd", "notes", "", "data:text/html,x", "ms-settings:"] {
        let alert = notification(NotificationKind::Alert, &rule("r", "", runbook, Severity::Info), vec![job("1", "p", State::Failed)], 0);
        let (_, message) = card(&*built_in(), &alert, &Wording::Configured);
        let actions = message["attachments"][0]["content"]["actions"].as_array().unwrap();
        assert_eq!(actions.iter().map(|action| &action["title"]).collect::<Vec<_>>(), ["Console"], "{runbook}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let names = [
        "__init__.py",
        "[click](https://evil.example)",
        "<at>Everyone</at>",
        "*bold* _it_ `c`",
        "\"},{\"type\":\"Image\"",
        "{{rule.name}}",
        "# head",
        "${x}",
        "a\\nb",
        "🛰️ été 日本",
    ];
    for name in names {
        let rule = rule(name, name, "", Severity::Warning);
        let jobs = || vec![job(name, name, State::Failed), job(name, name, State::Unknown(6))];
        for alert in [
            notification(NotificationKind::RollUp, &rule, jobs(), 0),
            notification(NotificationKind::Alert, &rule, jobs()[..1].to_vec(), 0),
        ] {
            let (_, message) = card(&*built_in(), &alert, &Wording::BuiltIn { why: name.into() });
            let (mut plain, mut markdown) = (Vec::new(), Vec::new());
            texts(&message, &mut plain, &mut markdown);
            // Name, description, profile, id and trouble, each as it is.
            assert!(plain.iter().filter(|text| text.contains(name)).count() >= 5, "{name}: {plain:?}");
            let bare = |text: &str| text.replace('\\', "");
            for text in markdown.iter().filter(|text| bare(text).contains(&bare(name))) {
                let marked = text.char_indices().any(|(at, c)| "[]*_`>#".contains(c) && !text[..at].ends_with('\\'));
                assert!(!marked, "{text} would be read as Markdown");
            }
        }
    }
}

#[test]
fn a_roll_up_names_whole_jobs_and_counts_the_rest() {
    let jobs: Vec<Job> = (0..1_000).map(|n| job(&format!("Scan{n:04}"), "scan sharepoint sites", State::Failed)).collect();
    let roll_up = notification(NotificationKind::RollUp, &rule("scan-failed", "", "", Severity::Critical), jobs, 4_000);
    let (json, message) = card(&*built_in(), &roll_up, &Wording::Configured);
    let named = json.matches("Scan0").count();
    assert!(named >= 90, "{named} jobs are named in {} bytes", json.len());
    assert!(json.contains(&format!("and {} more", 5_000 - named)), "{json}");
    let (mut plain, mut markdown) = (Vec::new(), Vec::new());
    texts(&message, &mut plain, &mut markdown);
    assert!(plain.iter().all(|text| !text.contains('\\')), "nothing is escaped for Markdown where none is read: {plain:?}");
    assert!(json.contains("5000 scans") && json.contains("jobrelay alerts --rule scan-failed"));
}

#[test]
fn on_a_fallback_words_of_the_users_that_do_not_say_why_have_a_line_behind_them() {
    let card = json!({ "type": "AdaptiveCard", "version": "1.4", "body": [{ "type": "TextBlock", "text": "mine" }] });
    let own = json!({ "type": "message", "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": card }] });
    let yaml = format!("url: {FLOW}");
    let Payload::Json(text) = hostile::quiet_on_a_fallback(&KIND, &yaml, &[("teams.json.hbs", &own.to_string())]) else { panic!("JSON") };
    let message: Value = serde_json::from_str(&text).unwrap();
    let body = message["attachments"][0]["content"]["body"].as_array().unwrap();
    assert_eq!(body[0]["text"], "mine");
    assert_eq!(body[1]["inlines"][0]["text"], "Could not be delivered to oncall: HTTP 404: <gone> & *away* now");
}

/// The jobs that a card names, each whole (name, how it stands, id; one line where there are many), and those it counts.
fn told_of(message: &Value) -> u64 {
    let body = message["attachments"][0]["content"]["body"].as_array().unwrap();
    let line = |part: &&Value| part["inlines"][0]["text"].as_str().is_some_and(|text| text.starts_with("• "));
    let mut told = body.iter().filter(line).count() as u64;
    for part in body.iter().filter(|part| part["spacing"] == "Medium") {
        let runs: Vec<&str> = part["inlines"].as_array().unwrap().iter().map(|run| run["text"].as_str().unwrap()).collect();
        assert_eq!(runs.len(), 3, "{runs:?}");
        let left_out = runs[0].strip_prefix("and ").and_then(|text| text.strip_suffix(" more")?.parse::<u64>().ok());
        told += if runs[1] == "; all of them: " { left_out.unwrap() } else { 1 };
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_notification_becomes_a_card_within_the_limits(notification in hostile::notifications(), trouble in hostile::names()) {
        for wording in [Wording::Configured, Wording::BuiltIn { why: trouble.clone() }] {
            let (_, message) = card(&*built_in(), &notification, &wording);
            if notification.total > 1 {
                prop_assert_eq!(told_of(&message), notification.total);
            }
        }
    }
}

fn users(body: &str) -> Arc<dyn Channel> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("alert")).unwrap();
    std::fs::write(folder.path().join("alert/teams.json.hbs"), body).unwrap();
    let mut faults = Faults::default();
    let templates = Templates::load(folder.path(), &mut faults);
    assert!(!faults.any_error(), "{:?}", faults.sorted());
    channel(templates)
}

#[test]
fn a_users_card_that_teams_would_not_show_is_an_error_and_the_built_in_one_is_none() {
    let (_, alert) = samples().swap_remove(0);
    let own = users(r#"{ "type": "message", "attachments": [] }"#);
    assert!(own.is_customised(&alert));
    let why = own.compose(&alert, &Wording::Configured, at(0)).unwrap_err();
    assert!(why.contains("teams.json.hbs") && why.contains("attachments"), "{why}");
    let (json, _) = card(&*own, &alert, &Wording::BuiltIn { why });
    assert!(json.contains("has no attachments"), "the reader is told: {json}");
    assert!(!built_in().is_customised(&alert));
}

#[tokio::test]
async fn a_card_is_posted_as_json_in_utf_8_and_no_answer_shows_the_address() {
    let answer =
        "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\nno such page: /workflows/0123456789abcdef/x?sp=%2Frun&sig=AbCdEfGhIjKl";
    let (port, mut heard) = hostile::answering(answer).await;
    let url = format!("url: 'http://127.0.0.1:{port}/workflows/0123456789abcdef/x?sp=%2Frun&sig=AbCdEfGhIjKl'");
    let channel = hostile::channel(&KIND, &url, Templates::built_in()).unwrap();
    let target = Target(String::new());
    let payload = Payload::Json("{\"x\":\"🛰\"}".into());
    let outcome = channel.send(&payload, Envelope { key: "msg_7", target: &target, now: at(0) }).await;
    let request = heard.recv().await.unwrap();
    assert!(request.starts_with("POST /workflows/0123456789abcdef/x?sp=%2Frun&sig=AbCdEfGhIjKl HTTP/1.1"), "{request}");
    assert!(request.contains("content-type: application/json; charset=utf-8"), "{request}");
    assert!(request.contains("webhook-id: msg_7"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"x\":\"🛰\"}"), "{request}");
    let Outcome::Refused { what: Refusal::Channel, why } = outcome else { panic!("{outcome:?}") };
    assert!(why.starts_with("HTTP 404: no such page") && !why.contains("AbCd") && !why.contains("0123"), "{why}");
}
