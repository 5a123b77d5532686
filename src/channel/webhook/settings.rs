//! The settings of a webhook, read and checked.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};

use super::{Webhook, sign};
use crate::{
    channel::{
        Channel, Common, Kind, Rate, Settings, Tools,
        address::{Address, KEYS},
    },
    document::{Fault, Faults, Fields, Form, Key, Keys, Node, text},
    domain::{Name, Secret},
    http::Reply,
    template::Inline,
};

/// The kind `webhook`.
pub const KIND: Kind = Kind {
    name: "webhook",
    example: "kind: webhook\n\
              url: https://tickets.contoso.example/hook\n\
              # Signs each request by the Standard Webhooks scheme; at least 24 characters, or whsec_ and base64.\n\
              secret: ${TICKET_HOOK_SECRET}\n\
              # A name or an address in your own network is refused unless you allow it:\n\
              # allow_private: true\n\
              # For any other JSON API:\n\
              # method: PUT\n\
              # headers: { Authorization: \"Bearer ${TICKET_TOKEN}\" }\n\
              # body: '{ \"title\": \"{{rule.name}}: {{job.profile}} {{job.state_phrase}}\" }'\n",
    keys: Keys::new(&[KEYS, OWN]),
    read,
};

/// The keys beside the address's.
const OWN: &[Key] = &[
    Key::new(
        "secret",
        "signs each request by the Standard Webhooks scheme: at least 24 characters, or whsec_ and base64",
        Form::Text,
        &["${TICKET_HOOK_SECRET:-0123456789abcdef01234567}"],
    ),
    Key::new(
        "method",
        "how it is sent; POST where nothing is said",
        Form::AnyCase(|| METHODS.iter().map(|(name, _)| (*name).to_owned()).collect()),
        &["PUT"],
    ),
    Key::new("headers", "headers of your own", Form::Named(&Form::Text), &["{ Authorization: \"Bearer ${TICKET_TOKEN:-x}\" }"]),
    Key::new("body", "a template for any other JSON API", Form::Text, &["'{ \"title\": \"{{rule.name}}: {{job.profile}}\" }'"]),
];

/// No scheme publishes a rate. Ten in a second is what a small service bears, and the smallest limit that the APIs of common
/// ticket systems publish for one client.
const RATE: Rate = Rate::Limited { messages: 10, per: Duration::from_secs(1) };

/// The methods that carry a body and change something.
const METHODS: [(&str, Method); 3] = [("POST", Method::POST), ("PUT", Method::PUT), ("PATCH", Method::PATCH)];

/// Headers that are the connection's or the scheme's own.
const RESERVED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Every header of the scheme begins so.
const SCHEME: &str = "webhook-";
/// The most headers of one's own, and the longest value of one: servers refuse requests with more than some 8 KiB of them.
const HEADERS: usize = 32;
const HEADER_BYTES: usize = 4_096;

/// The settings of one webhook.
#[derive(Debug)]
pub struct WebhookSettings {
    pub(super) address: Address,
    pub(super) secret: Option<sign::Key>,
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, Secret)>,
    pub(super) body: Option<Inline>,
}

impl WebhookSettings {
    /// An answer without any of the secrets that were sent.
    pub(super) fn kept_out_of(&self, reply: Reply) -> Reply {
        let headers = self.headers.iter().flat_map(|(_, value)| {
            // What an answer repeats of `Bearer x` may be the x alone.
            [value.expose(), value.expose().rsplit(' ').next().unwrap_or_default()]
        });
        self.address.kept_out_of(reply, headers.chain(self.secret.iter().flat_map(sign::Key::texts)))
    }
}

/// So that what is connected shares what was read.
#[derive(Debug)]
struct Read(Arc<WebhookSettings>);

impl Settings for Read {
    fn default_rate(&self) -> Rate {
        RATE
    }

    fn leads_to(&self) -> String {
        self.0.address.shown()
    }

    fn connect(&self, _: &Name, common: &Common, tools: &Tools) -> Result<Arc<dyn Channel>, String> {
        let tools = Tools { http: self.0.address.client(&tools.http), ..tools.clone() };
        Ok(Arc::new(Webhook { settings: Arc::clone(&self.0), common: common.clone(), tools }))
    }
}

fn read(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Box<dyn Settings>> {
    let address = Address::read(fields, "write the whole address, as in https://tickets.contoso.example/hook", faults);
    let secret = fields.take("secret").map(|node| key(node, faults));
    let method = fields.take("method").map_or(Some(Method::POST), |node| method(node, faults));
    let headers = fields.take("headers").map_or_else(|| Some(Vec::new()), |node| headers(node, faults));
    let body = fields.take("body").map(|node| Inline::read(node, faults));
    // A key that is there and wrong has told its fault, and the channel can't be used.
    let settings = WebhookSettings {
        address: address?.0,
        secret: secret.map_or(Some(None), |key| key.map(Some))?,
        method: method?,
        headers: headers?,
        body: body.map_or(Some(None), |body| body.map(Some))?,
    };
    Some(Box::new(Read(Arc::new(settings))))
}

fn key(node: &Node, faults: &mut Faults) -> Option<sign::Key> {
    faults.hide(node);
    let written = text(node, faults)?;
    match sign::Key::read(written.trim()) {
        Ok(key) => Some(key),
        Err(why) => {
            faults.push(Fault::error(&node.place, why).hint("make one with: openssl rand -base64 32"));
            None
        }
    }
}

fn method(node: &Node, faults: &mut Faults) -> Option<Method> {
    let written = text(node, faults)?;
    let known = METHODS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&written));
    if known.is_none() {
        faults.push(Fault::error(&node.place, "unknown method").hint("known here: POST, PUT, PATCH"));
    }
    known.map(|(_, method)| method.clone())
}

fn headers(node: &Node, faults: &mut Faults) -> Option<Vec<(HeaderName, Secret)>> {
    let entries = Fields::open(node, "a mapping of header names to values", faults)?.rest();
    if entries.len() > HEADERS {
        faults.error(node, format!("at most {HEADERS} headers"));
        return None;
    }
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    let mut sound = true;
    for (key, name, value) in entries {
        faults.hide(value);
        let mut wrong = |at: &Node, message: String| {
            faults.error(at, message);
            sound = false;
        };
        let Some(header) = header_name(name) else {
            wrong(key, format!("`{}` is no header name: letters, digits and hyphens", name.escape_debug()));
            continue;
        };
        if header.as_str().starts_with(SCHEME) || RESERVED.contains(&header.as_str()) {
            wrong(key, format!("the header `{header}` is set by the program"));
            continue;
        }
        if headers.iter().any(|(known, _)| *known == header) {
            wrong(key, format!("the header `{header}` stands here a second time"));
            continue;
        }
        match text(value, faults) {
            Some(written) if written.len() <= HEADER_BYTES && HeaderValue::from_str(&written).is_ok() => {
                headers.push((header, Secret::new(written)));
            }
            Some(_) => {
                faults.error(value, format!("a header's value must be one line of at most {HEADER_BYTES} visible characters"));
                sound = false;
            }
            None => sound = false,
        }
    }
    sound.then_some(headers)
}

/// A header's name, in a narrower alphabet than HTTP's own: nothing outside of it is in use.
fn header_name(text: &str) -> Option<HeaderName> {
    let plain = !text.is_empty() && text.len() <= 70 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plain.then(|| HeaderName::from_bytes(text.as_bytes()).ok()).flatten()
}
