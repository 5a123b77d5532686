//! The address of a channel that takes HTTP requests: a secret as a whole, for whoever has it may post.

use std::fmt;

use reqwest::Url;

use crate::{
    document::{Fault, Faults, Fields, Node, boolean, text},
    http::{Reply, origin},
};

/// The shortest piece of a secret that is looked for in an answer; shorter ones are words such as `hook`.
const TELLING: usize = 8;

/// A valid address.
#[derive(Clone)]
pub struct Address(Url);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({}/[secret])", origin(&self.0))
    }
}

impl Address {
    /// Reads `url` and `allow_insecure`; gives the node of the address for further faults. `whole` says where the right
    /// address is to be had.
    pub fn read<'a>(fields: &mut Fields<'a>, whole: &str, faults: &mut Faults) -> Option<(Self, &'a Node)> {
        let insecure = fields.take("allow_insecure").and_then(|node| boolean(node, faults)).unwrap_or(false);
        let node = fields.require("url", faults)?;
        faults.hide(node);
        let written = text(node, faults)?;
        let mut wrong = |message: &str, hint: &str| {
            faults.push(Fault::error(&node.place, message).hint(hint));
            None
        };
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
        Some((Self(url), node))
    }

    /// The address itself, for sending.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// An answer without anything of the address, or of the other secrets that were sent: servers like to repeat what was asked
    /// of them.
    #[must_use]
    pub fn kept_out_of<'s>(&self, mut reply: Reply, others: impl IntoIterator<Item = &'s str>) -> Reply {
        let values: Vec<String> = self.0.query_pairs().map(|(_, value)| value.into_owned()).collect();
        let mut pieces: Vec<&str> = vec![self.0.as_str(), self.0.path(), self.0.query().unwrap_or_default()];
        pieces.extend(self.0.password());
        pieces.extend(self.0.path().split('/'));
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
    use crate::document::{Source, parse};

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
        assert_eq!(read("{ url: 'http://10.0.0.7/x', allow_insecure: true }").1, Vec::<String>::new());
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
