//! The address of a channel that takes HTTP requests: a secret as a whole, for whoever has it may post.

use std::fmt;

use reqwest::Url;

use crate::{
    document::{Fault, Faults, Fields, Form, Key, Node, boolean, text},
    http::{Http, Reply, look_at, origin},
};

/// The shortest piece of a secret that is looked for in an answer; shorter ones are words such as `hook`.
const TELLING: usize = 8;

/// The keys that [`Address::read`] takes.
pub const KEYS: &[Key] = &[
    Key::new("url", "the whole address that messages are posted to: a secret", Form::Text, &["${HOOK_URL:-https://hooks.example.com/x}"])
        .required(),
    Key::new("allow_insecure", "let it be plain http elsewhere than on loopback", Form::Boolean, &["true"]),
    Key::new("allow_private", "let it lead into your own network", Form::Boolean, &["true"]),
];

/// A valid address.
#[derive(Clone)]
pub struct Address {
    url: Url,
    /// Whether it may lead into one's own network.
    private: bool,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown())
    }
}

impl Address {
    /// Reads `url`, `allow_insecure` and `allow_private`; gives the node of the address for further faults. `whole` says where
    /// the right address is to be had.
    pub fn read<'a>(fields: &mut Fields<'a>, whole: &str, faults: &mut Faults) -> Option<(Self, &'a Node)> {
        let insecure = fields.take("allow_insecure").and_then(|node| boolean(node, faults)).unwrap_or(false);
        let private = fields.take("allow_private").and_then(|node| boolean(node, faults)).unwrap_or(false);
        let node = fields.require("url", faults)?;
        faults.hide(node);
        let written = text(node, faults)?;
        let mut wrong = |message: &str, hint: &str| {
            faults.push(Fault::error(&node.place, message).hint(hint));
            None
        };
        if written.trim().contains(char::is_whitespace) {
            return wrong("`url` has a blank or a line break in it", "paste the address anew, as one line");
        }
        let Ok(url) = Url::parse(written.trim()) else { return wrong("`url` is no web address", whole) };
        match url.scheme() {
            "https" => {}
            "http" if insecure || is_loopback(&url) => {}
            "http" => {
                return wrong("`url` is not encrypted: plain http is for loopback only", "write https, or add `allow_insecure: true`");
            }
            _ => return wrong("`url` must be an https address", whole),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return wrong("`url` names no host", whole);
        }
        if !private && let Err(refused) = look_at(&url) {
            // A name is looked at when it is connected to: what it leads to may change.
            let what = format!("`url` leads to {}, which is no public address", refused.address);
            return wrong(&what, "write the service's public address, or add `allow_private: true` if it stands in your own network");
        }
        Some((Self { url, private }, node))
    }

    /// The client that may send to it.
    #[must_use]
    pub fn client(&self, http: &Http) -> Http {
        if self.private { http.clone() } else { http.public_only() }
    }

    /// What may be shown of it: scheme, host and port.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}/[secret]", origin(&self.url))
    }

    /// The address itself, for sending.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// An answer without anything of the address, or of the other secrets that were sent: servers like to repeat what was asked
    /// of them.
    #[must_use]
    pub fn kept_out_of<'s>(&self, mut reply: Reply, others: impl IntoIterator<Item = &'s str>) -> Reply {
        let values: Vec<String> = self.url.query_pairs().map(|(_, value)| value.into_owned()).collect();
        let mut pieces: Vec<&str> = vec![self.url.as_str(), self.url.path(), self.url.query().unwrap_or_default()];
        pieces.extend(self.url.password());
        pieces.extend(self.url.path().split('/'));
        pieces.extend(values.iter().map(String::as_str));
        for other in others {
            pieces.push(other);
        }
        pieces.retain(|piece| piece.len() >= TELLING);
        // The longest first, so that a whole goes before its parts.
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        let mut text = String::from_utf8_lossy(&reply.body).into_owned();
        for piece in pieces {
            text = text.replace(piece, "[secret]");
        }
        reply.body = text.into_bytes();
        reply
    }
}

/// Whether it leads to this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        channel::{Envelope, KINDS, Payload, hostile},
        document::{Source, parse},
        domain::{Outcome, Refusal, Target},
        template::Templates,
    };

    fn read(yaml: &str) -> (Option<Address>, Vec<String>) {
        let source = Arc::new(Source { path: "jobrelay.yaml".into(), text: yaml.to_owned() });
        let mut faults = Faults::default();
        let node = parse(&source, &mut faults).unwrap();
        let mut fields = Fields::open(&node, "a channel", &mut faults).unwrap();
        let address = Address::read(&mut fields, "ask the channel", &mut faults).map(|(address, _)| address);
        fields.finish(&mut faults);
        let told = faults.sorted().iter().map(|fault| format!("{} | {}", fault.message, fault.hint.as_deref().unwrap_or(""))).collect();
        (address, told)
    }

    #[test]
    fn plain_http_is_for_loopback_unless_it_is_allowed() {
        for url in ["https://hooks.example/x", "http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]/x", " https://hooks.example/x "]
        {
            assert_eq!(read(&format!("url: '{url}'")).1, Vec::<String>::new(), "{url}");
        }
        assert_eq!(read("{ url: 'http://tickets.internal/x', allow_insecure: true }").1, Vec::<String>::new());
        assert_eq!(read("{ url: 'http://10.0.0.7/x', allow_insecure: true, allow_private: true }").1, Vec::<String>::new());
        for url in ["http://10.0.0.7/x", "http://localhost.evil.example/x", "http://127.0.0.1.nip.example/x"] {
            let (address, faults) = read(&format!("url: '{url}'"));
            assert!(address.is_none(), "{url}");
            assert!(faults[0].contains("plain http is for loopback only"), "{faults:?}");
        }
        for url in ["ftp://hooks.example/x", "hooks.example/x", "file:///etc/passwd", ""] {
            let (address, faults) = read(&format!("url: '{url}'"));
            assert!(address.is_none(), "{url}");
            assert!(faults[0].contains("ask the channel"), "{faults:?}");
        }
    }

    #[test]
    fn an_address_in_the_own_network_is_taken_only_where_it_is_allowed() {
        for host in ["10.0.0.7", "192.168.1.2:8443", "169.254.169.254", "100.64.0.1", "[fd00::1]", "[::ffff:10.0.0.7]", "0xa000007"] {
            let (address, faults) = read(&format!("url: 'https://{host}/canary-path'"));
            assert!(address.is_none(), "{host}");
            assert!(faults[0].contains("no public address") && faults[0].contains("allow_private: true"), "{faults:?}");
            assert!(!faults[0].contains("canary"), "{faults:?}");
            let (address, faults) = read(&format!("{{ url: 'https://{host}/canary-path', allow_private: true }}"));
            assert!(address.is_some() && faults.is_empty(), "{host}: {faults:?}");
        }
        assert!(read("{ url: 'https://hooks.example/x', allow_private: 1 }").1[0].contains("true or false"));
    }

    #[tokio::test]
    async fn no_kind_sends_to_a_name_that_leads_into_the_own_network_unless_it_is_allowed() {
        let (port, mut heard) = hostile::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        for kind in KINDS.iter().filter(|kind| kind.name != "email") {
            let send = async |more: &str| {
                let yaml = format!("{{ url: 'http://hooks.invalid:{port}/canary-path', allow_insecure: true{more} }}");
                let http = Http::leading_to(&[&["127.0.0.1"]]).unwrap();
                let channel = hostile::channel_through(kind, &yaml, Templates::built_in(), http).unwrap();
                let envelope = Envelope { key: "ntf_1", target: &Target(String::new()), now: hostile::now() };
                channel.send(&Payload::Json("{}".into()), envelope).await
            };
            let Outcome::Refused { what: Refusal::Channel, why } = send("").await else { panic!("{}", kind.name) };
            assert!(why.contains("hooks.invalid leads to 127.0.0.1") && why.contains("allow_private"), "{}: {why}", kind.name);
            assert!(!why.contains("canary"), "{}: {why}", kind.name);
            // No name ends so: asked for in earnest, it leads nowhere.
            let allowed = send(", allow_private: true").await;
            assert!(matches!(allowed, Outcome::Retry { .. }), "{}: {allowed:?}", kind.name);
        }
        assert!(heard.try_recv().is_err(), "nothing was sent");
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let (address, _) = read("url: 'https://hooks.example:8443/services/T0123456/B0123456/canary-path?sig=canary-query-value&x=1'");
        let address = address.unwrap();
        assert_eq!(format!("{address:?}"), "Address(https://hooks.example:8443/[secret])");
        let body = "Cannot POST /services/T0123456/B0123456/canary-path?sig=canary-query-value&amp;x=1 with canary-header";
        let reply = Reply { status: 404, headers: reqwest::header::HeaderMap::new(), body: body.into() };
        assert_eq!(
            address.kept_out_of(reply, ["canary-header"]).shown(),
            "HTTP 404: Cannot POST [secret]?sig=[secret]&amp;x=1 with [secret]"
        );
    }
}
