//! Microsoft Teams, through a Workflows webhook: an Adaptive Card in a message.
//!
//! Workflows answers 202 before the flow has run: what Teams itself refuses is refused out of sight. So a card is checked
//! ([`card`]) before it is sent. The connectors that Workflows replaced answered 200 with the failure in words; an address
//! of that kind still to be met (a copy, a proxy) is read accordingly.

mod card;
mod host;

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

/// The kind `teams`.
pub const KIND: Kind = Kind {
    name: "teams",
    example: "kind: teams\n\
              # In Teams: the channel's menu > Workflows > \"Send webhook alerts to a channel\"; the whole address is a secret.\n\
              url: ${TEAMS_WORKFLOW_URL}\n",
    keys: Keys::new(&[KEYS]),
    read,
};

/// Two limits are published for a webhook, 4 in a second and 60 in 30 seconds; an even pace within the second is within
/// both. Source: "Create and send messages" (Incoming Webhooks and connectors) of the Teams developer documentation. A flow
/// has a budget of 10,000 actions a day besides, some three of them a message: it is for a rule's `limit` to keep it.
const RATE: Rate = Rate::Limited { messages: 60, per: Duration::from_secs(30) };

#[derive(Debug)]
struct TeamsSettings {
    address: Address,
}

fn read(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Box<dyn Settings>> {
    let whole = "write the whole address that the flow shows, in quotes: https://….api.powerplatform.com/…&sig=…";
    let (address, node) = Address::read(fields, whole, faults)?;
    if !host::is_taken(address.url(), node, faults) {
        return None;
    }
    Some(Box::new(TeamsSettings { address }))
}

impl Settings for TeamsSettings {
    fn default_rate(&self) -> Rate {
        RATE
    }

    fn leads_to(&self) -> String {
        self.address.shown()
    }

    fn connect(&self, _: &Name, common: &Common, tools: &Tools) -> Result<Arc<dyn Channel>, String> {
        let tools = Tools { http: self.address.client(&tools.http), ..tools.clone() };
        Ok(Arc::new(Teams { address: self.address.clone(), common: common.clone(), tools }))
    }
}

struct Teams {
    address: Address,
    common: Common,
    tools: Tools,
}

impl Teams {
    /// The message with the first `shown` jobs named.
    fn write(&self, notification: &Notification, shown: usize, wording: &Wording, now: Timestamp) -> Result<Attempt<String>, String> {
        let written = words::render(&self.tools, &self.common, Part::Teams, notification, shown, wording, now)?;
        let (file, text) = match written {
            Attempt::Fits(written) => written,
            Attempt::TooLarge(why) => return Ok(Attempt::TooLarge(why)),
        };
        let mut message: Value = serde_json::from_str(&text).map_err(|error| format!("{file} makes no valid JSON: {error}"))?;
        if let Some(line) = words::unsaid(&self.tools, &self.common, Part::Teams, notification, wording)
            && let Some(body) = message.pointer_mut("/attachments/0/content/body").and_then(Value::as_array_mut)
        {
            let run = json!({ "type": "TextRun", "text": line, "size": "Small", "isSubtle": true });
            body.push(json!({ "type": "RichTextBlock", "separator": true, "inlines": [run] }));
        }
        card::check(&message).map_err(|why| format!("{file} makes a card that Teams would not show: {why}"))?;
        // Without the template's white space, which would count.
        let json = message.to_string();
        Ok(if card::fits(&json) {
            Attempt::Fits(json)
        } else {
            Attempt::TooLarge(format!("{file} makes a card of {} bytes, larger than Teams takes", json.len()))
        })
    }
}

#[async_trait]
impl Channel for Teams {
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
        self.tools.templates.is_users(words::set(&self.common, notification), Part::Teams)
    }

    async fn send(&self, payload: &Payload, envelope: Envelope<'_>) -> Outcome {
        post(&self.tools, &self.common, &self.address, payload, envelope, outcome).await
    }
}

/// What an answer means. The body of a 2xx may be anything (a flow can have an answer of its own), but for the connectors'
/// way to tell a failure in plain words under a 200. Source: msteams-docs issues 1810 and 4145.
fn outcome(reply: &Reply, now: Timestamp) -> Outcome {
    let by_status = reply.outcome(now);
    if !matches!(by_status, Outcome::Delivered { .. }) {
        return by_status;
    }
    let body = String::from_utf8_lossy(&reply.body).to_ascii_lowercase();
    // JSON is a flow's own answer, which may repeat our words, a job's name among them.
    if body.trim_start().starts_with(['{', '[']) {
        return by_status;
    }
    let told = body.split_once("http error ").and_then(|(_, rest)| rest.get(..3)?.parse::<u16>().ok());
    let why = reply.shown();
    match told {
        None if body.contains("webhook message delivery failed") => Outcome::Refused { what: Refusal::Message, why },
        None => by_status,
        Some(408 | 425 | 429 | 500..=599) => Outcome::Retry { after: reply.retry_after(now), why },
        Some(401 | 403 | 404 | 410) => Outcome::Refused { what: Refusal::Channel, why },
        Some(_) => Outcome::Refused { what: Refusal::Message, why },
    }
}

#[cfg(test)]
mod tests;
