//! Any HTTP endpoint that takes JSON, by the Standard Webhooks scheme: an id that is the same for each attempt, the time of the
//! attempt, and, where there is a secret, a signature over both and the body.
//!
//! Source: Standard Webhooks 1.0.0, `spec/standard-webhooks.md`.

mod settings;
mod sign;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::header::{self, HeaderValue};
use serde::de::IgnoredAny;

use super::{Attempt, Channel, Common, Envelope, Payload, Tools, Wording, fit, words};
use crate::{
    domain::{Notification, Outcome, Refusal, Target},
    http::ANSWER_BYTES,
    template::{Part, RenderFailure, view},
};
pub use settings::KIND;
use settings::WebhookSettings;

/// "Payloads should be kept small": under 20 kB. A body is kept below it by dropping jobs, but never the first one: no receiver
/// is known to refuse a larger one, and one without its job would be worth nothing. A digest's lists may all be empty: its totals
/// and how many each list leaves out still say what the period came to.
const BODY_BYTES: usize = 20_000;

struct Webhook {
    settings: Arc<WebhookSettings>,
    common: Common,
    tools: Tools,
}

impl Webhook {
    /// The body with the first `shown` jobs named, and what made it.
    fn body(
        &self,
        notification: &Notification,
        shown: usize,
        wording: &Wording,
        now: Timestamp,
    ) -> Result<Attempt<(String, String)>, String> {
        let Some(template) = self.settings.body.as_ref().filter(|_| *wording == Wording::Configured) else {
            return words::render(&self.tools, &self.common, Part::Webhook, notification, shown, wording, now);
        };
        let data = view(notification, shown, now, self.tools.public_url.as_deref(), None);
        match template.render(&data) {
            Ok(text) => Ok(Attempt::Fits(("the template `body`".into(), text))),
            Err(RenderFailure::TooLarge) => Ok(Attempt::TooLarge(RenderFailure::TooLarge.to_string())),
            Err(RenderFailure::Failed(why)) => Err(why),
        }
    }

    fn write(&self, notification: &Notification, shown: usize, wording: &Wording, now: Timestamp) -> Result<Attempt<String>, String> {
        let (file, text) = match self.body(notification, shown, wording, now)? {
            Attempt::Fits(written) => written,
            Attempt::TooLarge(why) => return Ok(Attempt::TooLarge(why)),
        };
        serde_json::from_str::<IgnoredAny>(&text).map_err(|error| format!("{file} makes no valid JSON: {error}"))?;
        let least = usize::from(notification.digest.is_none());
        if text.len() >= BODY_BYTES && shown > least {
            return Ok(Attempt::TooLarge(format!("{file} makes a body of {} bytes", text.len())));
        }
        Ok(Attempt::Fits(text))
    }
}

#[async_trait]
impl Channel for Webhook {
    fn targets(&self) -> Vec<Target> {
        vec![Target(String::new())]
    }

    fn compose(&self, notification: &Notification, wording: &Wording, now: Timestamp) -> Result<Payload, String> {
        fit(notification.entries(), |shown| self.write(notification, shown, wording, now)).map(Payload::Json)
    }

    fn is_customised(&self, notification: &Notification) -> bool {
        self.settings.body.is_some() || self.tools.templates.is_users(words::set(&self.common, notification), Part::Webhook)
    }

    async fn send(&self, payload: &Payload, envelope: Envelope<'_>) -> Outcome {
        let Payload::Json(body) = payload else {
            return Outcome::Refused { what: Refusal::Message, why: "a webhook takes JSON, not mail".into() };
        };
        let seconds = envelope.now.as_second();
        let mut request = self
            .tools
            .http
            .request(self.settings.method.clone(), self.settings.address.url().clone())
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        let mut own = header::HeaderMap::new();
        for (name, value) in &self.settings.headers {
            // Its value was read once before, when the config was.
            let Ok(mut value) = HeaderValue::from_str(value.expose()) else { continue };
            value.set_sensitive(true);
            own.insert(name.clone(), value);
        }
        request = request.headers(own).header("webhook-id", envelope.key).header("webhook-timestamp", seconds);
        if let Some(key) = &self.settings.secret {
            request = request.header("webhook-signature", key.sign(envelope.key, seconds, body));
        }
        let Ok(request) = request.body(body.clone()).build() else {
            return Outcome::Refused { what: Refusal::Message, why: "the request can't be made".into() };
        };
        match self.tools.http.tell(request, self.common.timeout, ANSWER_BYTES).await {
            Ok(reply) => self.settings.kept_out_of(reply).outcome(envelope.now),
            Err(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
