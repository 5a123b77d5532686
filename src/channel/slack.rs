//! Slack, through an incoming webhook.
//!
//! Sources: "Sending messages using incoming webhooks" and "Rate limits" of Slack's developer documentation, and the change
//! log of 2016-05-17 for the words of its errors. What it answers is read by its word first and by its status second, for not
//! every word's status is documented.

mod blocks;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Attempt, Channel, Common, Envelope, Kind, Payload, Rate, Settings, Tools, Wording,
    address::{Address, KEYS},
    fit, names,
    post::post,
    words,
};
use crate::{
    document::{Faults, Fields, Keys},
    domain::{Name, Notification, Outcome, Refusal, Target},
    http::Reply,
    template::Part,
};
use blocks::Verdict;

/// The kind `slack`.
pub const KIND: Kind = Kind {
    name: "slack",
    example: "kind: slack\n\
              # In Slack: your app > Incoming Webhooks > Add New Webhook; the whole address is a secret.\n\
              url: ${SLACK_WEBHOOK_URL:-https://hooks.slack.com/services/replace-me}\n",
    keys: Keys::new(&[KEYS]),
    read,
};

/// "1 per second" for each incoming webhook, with short bursts tolerated but not promised.
const RATE: Rate = Rate::Limited { messages: 1, per: Duration::from_secs(1) };

/// Words that say that the webhook, its channel or its workspace is gone or closed to us.
const CHANNEL_WORDS: &[&str] = &[
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_token",
    "no_active_hooks",
    "no_service",
    "no_service_id",
    "no_team",
    "posting_to_general_channel_denied",
    "team_disabled",
    "token_revoked",
];

/// Words that say that this one message can't be taken.
const MESSAGE_WORDS: &[&str] = &[
    "invalid_attachments",
    "invalid_blocks",
    "invalid_payload",
    "msg_blocks_too_long",
    "no_text",
    "too_many_attachments",
    "user_not_found",
];

#[derive(Debug)]
struct SlackSettings {
    address: Address,
}

fn read(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Box<dyn Settings>> {
    let whole = "write the whole address that Slack shows: https://hooks.slack.com/services/…";
    let (address, _) = Address::read(fields, whole, faults)?;
    Some(Box::new(SlackSettings { address }))
}

impl Settings for SlackSettings {
    fn default_rate(&self) -> Rate {
        RATE
    }

    fn leads_to(&self) -> String {
        self.address.shown()
    }

    fn connect(&self, _: &Name, common: &Common, tools: &Tools) -> Result<Arc<dyn Channel>, String> {
        let tools = Tools { http: self.address.client(&tools.http), ..tools.clone() };
        Ok(Arc::new(Slack { address: self.address.clone(), common: common.clone(), tools }))
    }
}

struct Slack {
    address: Address,
    common: Common,
    tools: Tools,
}

impl Slack {
    /// The message with the first `shown` jobs named.
    fn write(&self, notification: &Notification, shown: usize, wording: &Wording, now: Timestamp) -> Result<Attempt<String>, String> {
        let written = words::render(&self.tools, &self.common, Part::Slack, notification, shown, wording, now)?;
        let (file, text) = match written {
            Attempt::Fits(written) => written,
            Attempt::TooLarge(why) => return Ok(Attempt::TooLarge(why)),
        };
        let mut message: Value = serde_json::from_str(&text).map_err(|error| format!("{file} makes no valid JSON: {error}"))?;
        if let Some(line) = words::unsaid(&self.tools, &self.common, Part::Slack, notification, wording) {
            append(&mut message, &line);
        }
        match blocks::judge(&message) {
            // Without the template's white space.
            Verdict::Sound => Ok(Attempt::Fits(message.to_string())),
            Verdict::TooLarge(why) => Ok(Attempt::TooLarge(format!("{file} makes a message that Slack would not take: {why}"))),
            Verdict::Malformed(why) => Err(format!("{file} makes a message that Slack would not take: {why}")),
        }
    }
}

#[async_trait]
impl Channel for Slack {
    fn targets(&self) -> Vec<Target> {
        vec![Target(String::new())]
    }

    fn compose(&self, notification: &Notification, wording: &Wording, now: Timestamp) -> Result<Payload, String> {
        fit(notification.entries(), |shown| self.write(notification, shown, wording, now)).map(Payload::Json)
    }

    fn names(&self, notification: &Notification, now: Timestamp) -> Option<usize> {
        if self.is_customised(notification) {
            return None;
        }
        names(notification.alerts.len(), |shown| self.write(notification, shown, &Wording::Configured, now))
    }

    fn is_customised(&self, notification: &Notification) -> bool {
        self.tools.templates.is_users(words::set(&self.common, notification), Part::Slack)
    }

    async fn send(&self, payload: &Payload, envelope: Envelope<'_>) -> Outcome {
        post(&self.tools, &self.common, &self.address, payload, envelope, outcome).await
    }
}

/// Puts a line behind all that a message of the user's shows: below its last blocks, or its text where it has none.
fn append(message: &mut Value, line: &str) {
    let in_attachment = message.pointer("/attachments/0/blocks").is_some();
    let blocks = if in_attachment { message.pointer_mut("/attachments/0/blocks") } else { message.get_mut("blocks") };
    if let Some(blocks) = blocks.and_then(Value::as_array_mut) {
        blocks.push(json!({ "type": "context", "elements": [{ "type": "plain_text", "emoji": false, "text": line }] }));
    } else if let Some(Value::String(text)) = message.get_mut("text") {
        text.push('\n');
        text.push_str(line);
    }
}

/// What an answer means. Success is the body `ok` under a 200; a 200 with anything else is no success, and decides nothing.
fn outcome(reply: &Reply, now: Timestamp) -> Outcome {
    let body = String::from_utf8_lossy(&reply.body);
    let word = body.trim().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
    if reply.status == 200 && body.trim() == "ok" {
        return Outcome::Delivered { answer: "ok".into() };
    }
    if CHANNEL_WORDS.contains(&word) {
        return Outcome::Refused { what: Refusal::Channel, why: reply.shown() };
    }
    if MESSAGE_WORDS.contains(&word) {
        return Outcome::Refused { what: Refusal::Message, why: reply.shown() };
    }
    match reply.outcome(now) {
        Outcome::Delivered { answer } => {
            Outcome::Retry { after: reply.retry_after(now), why: format!("{answer} (Slack says `ok` when it takes a message)") }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
