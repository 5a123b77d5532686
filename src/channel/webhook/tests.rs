use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    channel::hostile::{self, composed, job, now, rule},
    domain::{NotificationKind, SourceCoverage},
    template::{Templates, digests},
};

const URL: &str = "url: https://tickets.contoso.example/hook";

fn hook(yaml: &str) -> Arc<dyn Channel> {
    hostile::channel(&KIND, yaml, Templates::built_in()).unwrap()
}

fn one() -> Notification {
    hostile::notification(NotificationKind::Alert, &rule(), vec![job()], 0)
}

#[track_caller]
fn refused(yaml: &str, expected: &str) {
    let faults = hostile::channel(&KIND, yaml, Templates::built_in()).map(|_| ()).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains(expected), "{faults:?}\nshould contain\n{expected}");
}

#[test]
fn the_body_is_the_jobs_as_data() {
    let notification = hostile::notification(NotificationKind::RollUp, &rule(), vec![job()], 4);
    assert_eq!(
        composed(&*hook(URL), &notification, &Wording::Configured),
        json!({
            "type": "job.roll_up",
            "timestamp": "2024-09-26T06:01:40Z",
            "data": {
                "rule": {
                    "name": "scan-failed",
                    "description": "A scan failed, or finished with exceptions.",
                    "severity": "critical",
                    "labels": { "runbook": "https://wiki.contoso.example/scans?a=1&b=2|3" }
                },
                "title": "5 scans: scan-failed",
                "count": 5,
                "left_out": 4,
                "jobs": [{
                    "source": "contoso",
                    "id": "Scan20240926055840723067",
                    "run": 1,
                    "type": "microsoft_365",
                    "state": "failed",
                    "started": "2024-09-26T05:58:40Z",
                    "finished": "2024-09-26T05:59:12Z",
                    "duration": 32.0,
                    "profile": "scan sharepoint sites",
                    "category": "microsoft_365",
                    "extension": null
                }],
                "link": "https://relay.contoso.example/",
                "undelivered": null,
                "trouble": null
            }
        })
    );
    assert_eq!(composed(&*hook(URL), &one(), &Wording::Configured)["type"], "job.alert");
}

#[test]
fn many_jobs_are_dropped_whole_until_the_body_is_small() {
    let jobs: Vec<_> = (0..150).map(|n| crate::domain::Job { id: format!("Scan-{n:03}"), ..job() }).collect();
    let channel = hook(URL);
    let roll_up = hostile::notification(NotificationKind::RollUp, &rule(), jobs, 0);
    let Ok(Payload::Json(text)) = channel.compose(&roll_up, &Wording::Configured, now()) else { panic!("JSON") };
    assert!((15_000..BODY_BYTES).contains(&text.len()), "{} bytes", text.len());
    let body: Value = serde_json::from_str(&text).unwrap();
    let named = body["data"]["jobs"].as_array().unwrap().len() as u64;
    assert_eq!(body["data"]["left_out"], 150 - named);
    // The first job is named however long it is.
    let long = crate::domain::Job { profile: "\u{1}".repeat(30_000), ..job() };
    let body = composed(&*channel, &hostile::notification(NotificationKind::Alert, &rule(), vec![long], 0), &Wording::Configured);
    assert_eq!(body["data"]["jobs"][0]["profile"].as_str().unwrap().len(), 30_000);
}

#[test]
fn a_body_of_ones_own_is_used_and_the_built_in_one_takes_its_place_in_trouble() {
    let channel = hook(&format!("{URL}\nbody: '{{\"title\": \"{{{{rule.name}}}}: {{{{job.profile}}}} {{{{job.state_phrase}}}}\"}}'"));
    assert!(channel.is_customised(&one()) && !hook(URL).is_customised(&one()));
    assert_eq!(composed(&*channel, &one(), &Wording::Configured), json!({ "title": "scan-failed: scan sharepoint sites failed" }));
    let built_in = composed(&*channel, &one(), &Wording::BuiltIn { why: "it broke".into() });
    assert_eq!((&built_in["type"], &built_in["data"]["trouble"]), (&json!("job.alert"), &json!("it broke")));
}

#[test]
fn what_is_wrong_in_the_settings_is_told_at_its_place() {
    refused("url: https://x.example\nmethod: GET", "2:9 unknown method | known here: POST, PUT, PATCH");
    refused("url: https://x.example\nsecret: short", "2:9 the secret has 5 bytes");
    refused("url: https://x.example\nheaders: { Webhook-Id: x }", "the header `webhook-id` is set by the program");
    refused("url: https://x.example\nheaders: { Content-Length: '5' }", "the header `content-length` is set by the program");
    refused("url: https://x.example\nheaders: { 'X Y': x }", "`X Y` is no header name");
    refused("url: https://x.example\nheaders: { \"X\\r\\nY\": x }", "is no header name");
    refused("url: https://x.example\nheaders: { X-A: \"a\\r\\nb: c\" }", "2:17 a header's value must be one line");
    refused("url: https://x.example\nheaders: { X-A: a, x-a: b }", "stands here a second time");
    refused("url: https://x.example\nheaderz: { X-A: a }", "unknown key `headerz` | did you mean `headers`?");
    refused("secret: canary-hook-secret-0123456789", "the key `url` is missing");
}

#[test]
fn a_fault_in_the_body_is_told_at_its_line() {
    refused("url: https://x.example\nbody: '{\"a\": \"{{job.nope}}\"}'", "2:17 there is no variable `job.nope` | known here:");
    refused(
        "url: https://x.example\nbody: |\n  {\n    \"a\": \"{{uper job.id}}\"\n  }\n",
        "4:13 there is no helper `uper` | did you mean `upper`?",
    );
    refused("url: https://x.example\nbody: '{\"a\": {{job.id}}}'", "2:8 with sample data (one job) the result is not valid JSON");
    refused("url: https://x.example\nbody: [1]", "expected text, found a list");
}

/// The scheme's formula, by hand: the block of SHA-256 is 64 bytes.
fn hmac_by_hand(key: &[u8], message: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    assert!(key.len() <= 64);
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test]
async fn a_request_carries_its_id_its_time_and_a_signature_that_proves_true() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let (port, mut heard) = hostile::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let secret = "canary-hook-secret-0123456789";
    let yaml =
        format!("url: http://127.0.0.1:{port}/hook\nsecret: {secret}\nmethod: put\nheaders: {{ Authorization: Bearer canary-token-1234 }}");
    let channel = hook(&yaml);
    let payload = channel.compose(&one(), &Wording::Configured, now()).unwrap();
    let target = Target(String::new());
    let mut signatures = Vec::new();
    for later in [0, 30] {
        let at = now() + jiff::SignedDuration::from_secs(later);
        let outcome = channel.send(&payload, Envelope { key: "ntf_1", target: &target, now: at }).await;
        assert_eq!(outcome, Outcome::Delivered { answer: "HTTP 204".into() });
        let request = heard.recv().await.unwrap();
        assert!(request.starts_with("PUT /hook HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: Bearer canary-token-1234\r\n"), "{request}");
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap();
        assert_eq!((header("webhook-id"), header("webhook-timestamp")), ("ntf_1", at.as_second().to_string().as_str()));
        let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
        let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac_by_hand(secret.as_bytes(), signed.as_bytes())));
        assert_eq!(header("webhook-signature"), expected);
        signatures.push(expected);
    }
    assert_ne!(signatures[0], signatures[1], "each attempt is signed with its own time");
}

#[tokio::test]
async fn without_a_secret_the_id_is_sent_all_the_same_and_no_answer_gives_a_secret_away() {
    let answer = "HTTP/1.1 500 Oops\r\ncontent-length: 67\r\n\r\nyou sent canary-token-1234 to /canary-path-5678 \nand that was wrong";
    let (port, mut heard) = hostile::answering(answer).await;
    let channel = hook(&format!("url: http://127.0.0.1:{port}/canary-path-5678\nheaders: {{ Authorization: Bearer canary-token-1234 }}"));
    let payload = channel.compose(&one(), &Wording::Configured, now()).unwrap();
    let target = Target(String::new());
    let outcome = channel.send(&payload, Envelope { key: "ntf_1", target: &target, now: now() }).await;
    assert_eq!(outcome, Outcome::Retry { after: None, why: "HTTP 500: you sent [secret] to [secret] and that was wrong".into() });
    let request = heard.recv().await.unwrap();
    assert!(request.contains("webhook-id: ntf_1\r\n") && !request.contains("webhook-signature"), "{request}");
}

#[tokio::test]
async fn a_message_that_was_accepted_is_not_sent_again_for_a_bad_end_of_the_answer() {
    // The length promised never comes.
    let (port, _heard) = hostile::answering("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nthanks").await;
    let channel = hook(&format!("url: http://127.0.0.1:{port}/hook"));
    let payload = channel.compose(&one(), &Wording::Configured, now()).unwrap();
    let target = Target(String::new());
    let outcome = channel.send(&payload, Envelope { key: "ntf_1", target: &target, now: now() }).await;
    assert_eq!(outcome, Outcome::Delivered { answer: "HTTP 200: thanks".into() });
}

#[tokio::test]
async fn a_closed_port_is_tried_again_and_named_by_its_origin_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let channel = hook(&format!("url: http://127.0.0.1:{port}/canary-path-5678"));
    let payload = channel.compose(&one(), &Wording::Configured, now()).unwrap();
    let target = Target(String::new());
    let outcome = channel.send(&payload, Envelope { key: "ntf_1", target: &target, now: now() }).await;
    assert!(
        matches!(&outcome, Outcome::Retry { after: None, why } if why.starts_with(&format!("can't connect to http://127.0.0.1:{port}: ")))
    );
}

#[test]
fn a_notice_is_data_and_a_body_of_ones_own_can_tell_it_from_an_alert() {
    let body = composed(&*hook(URL), &hostile::down(true), &Wording::Configured);
    let data = json!({
        "topic": "source contoso down", "rule": null, "title": "contoso can be read again", "text": "The last answer: HTTP 503", "severity": "info",
        "over": true, "since": "2024-09-26T05:46:40Z", "lasted": 900, "link": "https://relay.contoso.example/", "undelivered": null, "trouble": null,
    });
    assert_eq!(body, json!({ "type": "notice", "timestamp": "2024-09-26T06:01:40Z", "data": data }));
    let own = format!("{URL}\nbody: '{{ \"text\": \"{{{{#if notice}}}}{{{{notice.title}}}}{{{{else}}}}{{{{job.id}}}}{{{{/if}}}}\" }}'\n");
    let body = composed(&*hook(&own), &hostile::down(false), &Wording::Configured);
    assert_eq!(body, json!({ "text": "contoso can't be read" }));
}

#[test]
fn a_digest_whose_first_names_fill_the_body_still_says_what_the_period_came_to() {
    let mut digest = (**digests()[0].1.digest.as_ref().unwrap()).clone();
    // Each of these characters takes six bytes of JSON.
    let name = "\u{1}".repeat(300);
    digest.name.clone_from(&name);
    digest.totals.failed = 4_711;
    for one in &mut digest.failing.first {
        one.profile.clone_from(&name);
    }
    for one in digest.slower.first.iter_mut().chain(&mut digest.slowest.first) {
        one.profile.clone_from(&name);
    }
    for one in &mut digest.recovered.first {
        one.profile.clone_from(&name);
    }
    digest.quiet.first = vec![name.clone()];
    digest.coverage.troubled.first = vec![SourceCoverage { source: name.clone(), polls: 1, missed: 1, last: None }];
    let newest = digest.coverage.newest.as_mut().unwrap();
    (newest.profile, newest.source, newest.id) = (name.clone(), name.clone(), name);
    let (ended, failing) = (digest.totals.ended(), digest.failing.count());
    let body = composed(&*hook(URL), &Notification::of_digest(Arc::new(digest), now()), &Wording::Configured);
    assert!(body.to_string().len() < BODY_BYTES, "{} bytes", body.to_string().len());
    assert_eq!((body["data"]["totals"]["ended"].as_u64(), body["data"]["failing_left_out"].as_u64()), (Some(ended), Some(failing)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_notification_is_a_body_that_says_it_all(notification in hostile::notifications()) {
        static HOOK: std::sync::LazyLock<Arc<dyn Channel>> = std::sync::LazyLock::new(|| hook(URL));
        let body = composed(&**HOOK, &notification, &Wording::Configured);
        if let Some(notice) = &notification.notice {
            prop_assert_eq!(body["type"].as_str(), Some("notice"));
            let (title, text) = (body["data"]["title"].as_str(), body["data"]["text"].as_str());
            prop_assert_eq!((title, text), (Some(notice.title.as_str()), Some(notice.text.as_str())));
            return Ok(());
        }
        if let Some(digest) = &notification.digest {
            let (name, failing) = (body["data"]["name"].as_str(), body["data"]["failing"].as_array().unwrap());
            prop_assert_eq!((body["type"].as_str(), name), (Some("digest"), Some(digest.name.as_str())));
            prop_assert_eq!(body["data"]["totals"]["ended"].as_u64(), Some(digest.totals.ended()));
            let left_out = body["data"]["failing_left_out"].as_u64().unwrap();
            prop_assert!(digest.several || failing.len() as u64 + left_out == digest.failing.count());
            prop_assert!(body.to_string().len() < BODY_BYTES);
            return Ok(());
        }
        let jobs = body["data"]["jobs"].as_array().unwrap();
        prop_assert!(!jobs.is_empty());
        for (said, alert) in jobs.iter().zip(&notification.alerts) {
            prop_assert_eq!(said["id"].as_str(), Some(alert.job.id.as_str()));
            prop_assert_eq!(said["profile"].as_str(), Some(alert.job.profile.as_str()));
            prop_assert_eq!(&said["extension"], &alert.job.extension);
        }
        prop_assert_eq!(body["data"]["left_out"].as_u64(), Some(notification.total - jobs.len() as u64));
        prop_assert!(jobs.len() == 1 || body.to_string().len() < BODY_BYTES);
    }
}
