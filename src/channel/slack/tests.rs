use proptest::prelude::*;
use reqwest::header::HeaderMap;
use serde_json::json;

use super::*;
use crate::{
    channel::hostile::{self, composed, job, now, rule},
    domain::NotificationKind,
    template::Templates,
};

const URL: &str = "url: https://hooks.slack.com/services/T0123456/B0123456/canary-slack-address";

fn slack() -> Arc<dyn Channel> {
    static SLACK: std::sync::LazyLock<Arc<dyn Channel>> =
        std::sync::LazyLock::new(|| hostile::channel(&KIND, URL, Templates::built_in()).unwrap());
    Arc::clone(&SLACK)
}

fn one() -> Notification {
    hostile::notification(NotificationKind::Alert, &rule(), vec![job()], 0)
}

#[test]
fn one_alert_reads_as_a_person_would_say_it() {
    let message = composed(&*slack(), &one(), &Wording::Configured);
    assert_eq!(message["text"], "🔴 Scan failed: scan sharepoint sites (contoso), after 32s");
    assert_eq!(message["blocks"][0]["text"]["text"], "🔴 Scan failed: scan sharepoint sites");
    assert_eq!(message["attachments"][0]["color"], "#d1242f");
    let blocks = message["attachments"][0]["blocks"].as_array().unwrap();
    assert_eq!(blocks[0]["text"]["text"], "A scan failed, or finished with exceptions.");
    let fields: Vec<&str> = blocks[1]["fields"].as_array().unwrap().iter().map(|field| field["text"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "*Scan profile*\n`scan sharepoint sites`",
            "*State*\nFailed",
            "*Duration*\n32s",
            "*Source*\n`contoso`",
            "*Started*\n<!date^1727330320^{date_short_pretty} {time}|2024-09-26 05:58 UTC>",
            "*Ended*\n<!date^1727330352^{date_short_pretty} {time}|2024-09-26 05:59 UTC>, 2m 28s ago",
            "*Severity*\nCritical",
            "*Type*\nMicrosoft 365 scan",
        ]
    );
    assert_eq!(blocks[2]["text"]["text"], "*Job* `Scan20240926055840723067`");
    assert_eq!(
        blocks[3]["elements"][0]["text"],
        "<https://wiki.contoso.example/scans?a=1&amp;b=2%7C3|Runbook> · <https://relay.contoso.example/|Console> · Rule `scan-failed`"
    );
    assert_eq!(blocks.len(), 4);
}

#[test]
fn a_roll_up_has_a_line_for_each_job_and_says_how_many_more() {
    let jobs = (0..23).map(|n| crate::domain::Job { id: format!("Scan-{n:03}"), ..job() }).collect();
    let roll_up = hostile::notification(NotificationKind::RollUp, &rule(), jobs, 177);
    let message = composed(&*slack(), &roll_up, &Wording::Configured);
    assert_eq!(message["text"], "🔴 200 scans: scan-failed");
    let blocks = message["attachments"][0]["blocks"].as_array().unwrap();
    assert_eq!(blocks[1]["elements"][0]["text"], "Held back by the rule's limit, and told here in one message.");
    let lines: Vec<&str> = blocks[2..5].iter().flat_map(|block| block["text"]["text"].as_str().unwrap().lines()).collect();
    assert_eq!(lines.len(), 23);
    assert_eq!(lines[22], "• `scan sharepoint sites` failed after 32s, 2m 28s ago · `contoso` · `Scan-022`");
    assert_eq!(blocks[5]["text"]["text"], "…and 177 more: `jobrelay alerts --rule scan-failed`");
}

#[test]
fn two_hundred_jobs_are_named_as_far_as_slack_has_room() {
    let jobs = (0..200).map(|n| crate::domain::Job { id: format!("4f9c7b1e-0000-4000-8000-{n:012}"), ..job() }).collect();
    let message = composed(&*slack(), &hostile::notification(NotificationKind::RollUp, &rule(), jobs, 0), &Wording::Configured);
    let all = message.to_string();
    let named = all.matches("4f9c7b1e").count();
    assert!((80..200).contains(&named), "{named} named");
    assert!(all.contains(&format!("…and {} more", 200 - named)));
    // With short names there is room for more of them.
    let jobs = (0..150).map(|n| crate::domain::Job { id: format!("S{n}"), profile: "nightly".into(), ..job() }).collect();
    let message = composed(&*slack(), &hostile::notification(NotificationKind::RollUp, &rule(), jobs, 0), &Wording::Configured);
    let all = message.to_string();
    assert!((0..150).all(|n| all.contains(&format!("`S{n}`"))) && !all.contains("more: "), "{all}");
}

#[test]
fn a_running_job_and_one_without_times_read_well_too() {
    let running = crate::domain::Job { state: crate::domain::State::Running, finished: None, ..job() };
    let timeless = crate::domain::Job { started: None, finished: None, kind: None, category: None, ..job() };
    let message = |job| composed(&*slack(), &hostile::notification(NotificationKind::Alert, &rule(), vec![job], 0), &Wording::Configured);
    let said = message(running);
    assert_eq!(said["text"], "🔴 Scan still running: scan sharepoint sites (contoso), for 3m");
    assert!(said.to_string().contains("*Duration*\\n3m so far") && !said.to_string().contains("*Ended*"), "{said}");
    let said = message(timeless);
    assert_eq!(said["text"], "🔴 Scan failed: scan sharepoint sites (contoso)");
    assert!(said.to_string().contains("*Started*\\nnot known"), "{said}");
}

#[test]
fn a_notice_says_what_is_the_matter_since_when_and_that_it_is_over() {
    let message = composed(&*slack(), &hostile::down(false), &Wording::Configured);
    assert_eq!(message["text"], "🔴 contoso can't be read");
    assert_eq!(message["blocks"][0]["text"]["text"], "🔴 contoso can't be read");
    assert_eq!(message["attachments"][0]["color"], "#d1242f");
    let blocks = message["attachments"][0]["blocks"].as_array().unwrap();
    assert_eq!(blocks[0]["text"]["text"], "The last answer: HTTP 503");
    let since = "<!date^1727329600^{date_short_pretty} {time}|2024-09-26 05:46 UTC>";
    assert_eq!(blocks[1]["text"]["text"], format!("*Since* {since}, 15m ago"));
    assert_eq!(blocks[2]["elements"][0]["text"], "<https://relay.contoso.example/|Console> · jobrelay about itself: `source contoso down`");
    let message = composed(&*slack(), &hostile::down(true), &Wording::Configured);
    assert_eq!(message["text"], "✅ contoso can be read again");
    assert_eq!(message["attachments"][0]["color"], "#1a7f37");
    assert_eq!(message["attachments"][0]["blocks"][1]["text"]["text"], format!("*Lasted* 15m, from {since}"));
}

/// What of a message Slack reads mark-up in: the `mrkdwn` of its blocks, less what stands between backticks.
fn marked_up(value: &Value) -> String {
    match value {
        Value::Object(entries) if entries.get("type") == Some(&json!("mrkdwn")) => {
            let text = entries["text"].as_str().unwrap();
            text.split('`').step_by(2).collect::<Vec<_>>().join(" ")
        }
        Value::Object(entries) => entries.values().map(marked_up).collect(),
        Value::Array(items) => items.iter().map(marked_up).collect(),
        _ => String::new(),
    }
}

#[test]
fn hostile_names_come_out_as_text() {
    for name in hostile::NAMES {
        let job = crate::domain::Job { profile: (*name).to_owned(), id: (*name).to_owned(), source: Name::from(name), ..job() };
        let rule = crate::domain::RuleFacts { name: (*name).to_owned(), description: (*name).to_owned(), ..rule() };
        let mut all: Vec<Notification> = [vec![job.clone()], vec![job.clone(), job.clone()]]
            .map(|jobs| hostile::notification(NotificationKind::Alert, &rule, jobs, 0))
            .into();
        let mut down = hostile::down(false);
        if let Some(notice) = &mut down.notice {
            notice.topic.replace_range(.., name);
            notice.title.replace_range(.., name);
            notice.text.replace_range(.., name);
        }
        all.push(down);
        for notification in all {
            let wording = Wording::BuiltIn { why: (*name).to_owned() };
            let all = composed(&*slack(), &notification, &wording).to_string();
            let marked = all.replace("<!date^", "").replace("<https://wiki.", "").replace("<https://relay.", "");
            assert!(!marked.contains('<'), "{name:?}: {all}");
            assert!(!marked_up(&serde_json::from_str(&all).unwrap()).contains("bold"), "{name:?}: {all}");
            assert!(!all.contains(['\u{202e}', '\u{2066}', '\u{1b}', '\u{7f}']), "{name:?}: {all}");
        }
    }
}

#[test]
fn the_built_in_words_say_why_they_are_used() {
    let wording = Wording::BuiltIn { why: "templates/alert/slack.json.hbs:3:1: <it> failed".into() };
    let all = composed(&*slack(), &one(), &wording).to_string();
    assert!(
        all.contains("These are the built-in words, since yours could not be used: templates/alert/slack.json.hbs:3:1: &lt;it&gt; failed")
    );
}

#[test]
fn on_a_fallback_words_of_the_users_that_do_not_say_why_have_a_line_behind_them() {
    let plain = |text: &str| json!({ "type": "context", "elements": [{ "type": "plain_text", "emoji": false, "text": text }] });
    let line = "Could not be delivered to oncall: HTTP 404: &lt;gone&gt; &amp; *away* now";
    let section = json!({ "type": "section", "text": { "type": "plain_text", "text": "mine" } });
    let said = |own: &Value| match hostile::quiet_on_a_fallback(&KIND, URL, &[("slack.json.hbs", &own.to_string())]) {
        Payload::Json(text) => serde_json::from_str::<Value>(&text).unwrap(),
        mail @ Payload::Mail { .. } => panic!("{mail:?}"),
    };
    let message = said(&json!({ "text": "mine" }));
    assert_eq!(message, json!({ "text": format!("mine\n{line}") }));
    let message = said(&json!({ "text": "mine", "blocks": [section] }));
    assert_eq!(message["blocks"], json!([section, plain(line)]));
    let message = said(&json!({ "text": "mine", "attachments": [{ "color": "good", "blocks": [section] }] }));
    assert_eq!((&message["text"], &message["attachments"][0]["blocks"]), (&json!("mine"), &json!([section, plain(line)])));
    // Words that see to it themselves are left alone.
    let own = json!({ "text": "{{#if undelivered}}late: {{undelivered}}{{else}}mine{{/if}}" });
    assert_eq!(said(&own), json!({ "text": format!("late: {}", line.replace(" now", "\nnow")) }));
}

#[test]
fn a_users_message_that_slack_would_refuse_is_told_before_it_is_sent() {
    let section = |text: &str| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let header = |text: &str| json!({ "text": "x", "blocks": [{ "type": "header", "text": { "type": "plain_text", "text": text } }] });
    let blocks = |blocks: Vec<Value>| json!({ "text": "x", "blocks": blocks });
    let large = [
        (json!({ "text": "x".repeat(40_001) }), "40001 characters"),
        (blocks(vec![section("x"); 51]), "51 blocks, 50 at most"),
        (blocks(vec![section(&"x".repeat(3_001))]), "a section's text has 3001 characters"),
        (blocks(vec![section(&"é".repeat(2_500)); 5]), "12500 characters in all blocks"),
        (header(&"x".repeat(151)), "a header's text has 151 characters"),
        (blocks(vec![json!({ "type": "section", "fields": vec![json!({ "type": "mrkdwn", "text": "x" }); 11] })]), "11 fields"),
        (
            blocks(vec![json!({ "type": "section", "fields": [{ "type": "mrkdwn", "text": "x".repeat(2_001) }] })]),
            "a field's text has 2001",
        ),
        (json!({ "text": "x", "attachments": vec![json!({}); 101] }), "101 attachments"),
    ];
    for (message, expected) in large {
        assert!(
            matches!(blocks::judge(&message), Verdict::TooLarge(why) if why.contains(expected)),
            "{expected}: {:?}",
            blocks::judge(&message)
        );
    }
    let malformed = [
        (json!([]), "must be a JSON object"),
        (json!({}), "no `text`"),
        (json!({ "text": " " }), "no `text`"),
        (json!({ "text": "x", "blocks": "y" }), "`blocks` must be a list"),
        (json!({ "text": "x", "link_names": true }), "mentions"),
        (json!({ "text": "x", "parse": "full" }), "mentions"),
        (blocks(vec![section("")]), "a section's text is empty"),
        (blocks(vec![json!({ "type": "sectoin" })]), "did you mean `section`?"),
        (blocks(vec![json!({ "type": "section" })]), "neither `text` nor `fields`"),
        (blocks(vec![json!({ "type": "section", "text": "x" })]), "must be an object"),
        (blocks(vec![json!({ "text": "x" })]), "no `type`"),
        (blocks(vec![json!({ "type": "header", "text": { "type": "mrkdwn", "text": "x" } })]), "must be `plain_text`"),
        (blocks(vec![json!({ "type": "context", "elements": [] })]), "are none"),
        (blocks(vec![json!({ "type": "image", "image_url": "/x.png" })]), "must be a web address"),
        (blocks(vec![json!({ "type": "divider", "block_id": "a" }), json!({ "type": "divider", "block_id": "a" })]), "same `block_id`"),
    ];
    for (message, expected) in malformed {
        assert!(
            matches!(blocks::judge(&message), Verdict::Malformed(why) if why.contains(expected)),
            "{expected}: {:?}",
            blocks::judge(&message)
        );
    }
    let sound = [
        json!({ "text": "x" }),
        json!({ "blocks": [section("x")] }),
        json!({ "attachments": [{ "fallback": "x", "text": "y" }] }),
        blocks(vec![json!({ "type": "divider" }), json!({ "type": "something_new" })]),
    ];
    for message in sound {
        assert_eq!(blocks::judge(&message), Verdict::Sound, "{message}");
    }
}

#[test]
fn answers_are_read_by_their_word_first() {
    let delivered = |answer: &str| Outcome::Delivered { answer: answer.into() };
    let cases = [
        (200, "ok", delivered("ok")),
        (200, "ok\n", delivered("ok")),
        (404, "no_service", Outcome::Refused { what: Refusal::Channel, why: "HTTP 404: no_service".into() }),
        (200, "no_service", Outcome::Refused { what: Refusal::Channel, why: "HTTP 200: no_service".into() }),
        (410, "channel_is_archived", Outcome::Refused { what: Refusal::Channel, why: "HTTP 410: channel_is_archived".into() }),
        (403, "invalid_token", Outcome::Refused { what: Refusal::Channel, why: "HTTP 403: invalid_token".into() }),
        (403, "action_prohibited", Outcome::Refused { what: Refusal::Channel, why: "HTTP 403: action_prohibited".into() }),
        (400, "invalid_payload", Outcome::Refused { what: Refusal::Message, why: "HTTP 400: invalid_payload".into() }),
        (400, "invalid_blocks", Outcome::Refused { what: Refusal::Message, why: "HTTP 400: invalid_blocks".into() }),
        (403, "no_text", Outcome::Refused { what: Refusal::Message, why: "HTTP 403: no_text".into() }),
        (400, "something_new", Outcome::Refused { what: Refusal::Message, why: "HTTP 400: something_new".into() }),
        (404, "<html>", Outcome::Refused { what: Refusal::Channel, why: "HTTP 404: <html>".into() }),
        (500, "rollup_error", Outcome::Retry { after: None, why: "HTTP 500: rollup_error".into() }),
        (503, "", Outcome::Retry { after: None, why: "HTTP 503".into() }),
        (200, "", Outcome::Retry { after: None, why: "HTTP 200 (Slack says `ok` when it takes a message)".into() }),
        (200, "okay", Outcome::Retry { after: None, why: "HTTP 200: okay (Slack says `ok` when it takes a message)".into() }),
    ];
    for (status, body, expected) in cases {
        let reply = Reply { status, headers: HeaderMap::new(), body: body.into() };
        assert_eq!(outcome(&reply, now()), expected, "{status} {body}");
    }
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "30".parse().unwrap());
    let reply = Reply { status: 429, headers, body: "rate_limited".into() };
    assert_eq!(outcome(&reply, now()), Outcome::Retry { after: Some(Duration::from_secs(30)), why: "HTTP 429: rate_limited".into() });
}

#[tokio::test]
async fn what_is_sent_is_what_was_composed_and_no_answer_gives_the_address_away() {
    let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 45\r\n\r\nCannot POST /services/canary-slack-address/xyz";
    let (port, mut heard) = hostile::answering(answer).await;
    let yaml = format!("url: http://127.0.0.1:{port}/services/canary-slack-address");
    let channel = hostile::channel(&KIND, &yaml, Templates::built_in()).unwrap();
    let payload = channel.compose(&one(), &Wording::Configured, now()).unwrap();
    let target = Target(String::new());
    let outcome = channel.send(&payload, Envelope { key: "ntf_1", target: &target, now: now() }).await;
    assert!(matches!(&outcome, Outcome::Refused { what: Refusal::Channel, why } if why.contains("[secret]")), "{outcome:?}");
    assert!(!outcome.answer().contains("canary"), "{outcome:?}");
    let request = heard.recv().await.unwrap();
    let Payload::Json(body) = payload else { panic!("JSON") };
    assert!(request.starts_with("POST /services/canary-slack-address HTTP/1.1\r\n") && request.ends_with(&body), "{request}");
    assert!(request.contains("webhook-id: ntf_1\r\n"), "{request}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_notification_is_a_message_that_slack_takes(notification in hostile::notifications(), why in hostile::names()) {
        for wording in [Wording::Configured, Wording::BuiltIn { why }] {
            // Composing judges the message; that a valid message comes of everything is the point.
            let message = composed(&*slack(), &notification, &wording);
            prop_assert_eq!(blocks::judge(&message), Verdict::Sound);
            let all = message.to_string();
            let marked = all.replace("<!date^", "").replace("<https://wiki.example/", "").replace("<https://relay.contoso.example/", "");
            prop_assert!(!marked.contains('<'), "{}", all);
        }
    }
}
