//! A flow's address: a secret as a whole, for whoever has it may post.

use reqwest::Url;

use crate::{
    document::{Fault, Faults, Fields, boolean, text},
    domain::Secret,
    http::Reply,
};

/// What to do about an address of the connectors.
const MOVE: &str =
    "in Teams, open the channel's menu > Workflows > \"Send webhook alerts to a channel\", and put the address it gives here";
/// The shortest piece of an address that is worth hiding in an answer: shorter ones are words such as `manual`.
const TELLING: usize = 16;

/// A valid address.
#[derive(Debug, Clone)]
pub struct Address(Secret);

impl Address {
    /// The address itself, for sending.
    ///
    /// # Errors
    /// It is none; this was told when it was read.
    pub fn url(&self) -> Result<Url, String> {
        Url::parse(self.0.expose()).map_err(|_| "`url` is no address".into())
    }

    /// Blanks whatever an answer's body repeats of the address: servers in between like to tell what was asked of them.
    pub fn keep_out_of(&self, reply: &mut Reply) {
        let Ok(url) = self.url() else { return };
        let query = url.query().unwrap_or_default();
        let raw = query.split(['&', '=']).chain(url.path().split('/')).map(str::to_owned);
        let decoded = url.query_pairs().map(|(_, value)| value.into_owned());
        let mut pieces: Vec<String> = raw.chain(decoded).filter(|piece| piece.len() >= TELLING).collect();
        // A piece that holds another goes first.
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        let mut text = String::from_utf8_lossy(&reply.body).into_owned();
        for piece in pieces {
            text = text.replace(&piece, "[secret]");
        }
        reply.body = text.into_bytes();
    }
}

/// What is to be said of an address, beyond whether it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Good,
    /// A connector's: switched off.
    Retired,
    /// A flow's as they were until late in 2025.
    Old,
    /// A flow's without its signature.
    Unsigned,
}

/// Judges an address by its exact host: the domain itself, or a name that ends behind a dot with it.
fn judge(url: &Url) -> Verdict {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let within = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    // The first connectors had no host of their own.
    let first = (within("outlook.office.com") || within("outlook.office365.com")) && url.path().starts_with("/webhook");
    if within("webhook.office.com") || first {
        return Verdict::Retired;
    }
    if within("logic.azure.com") {
        return Verdict::Old;
    }
    let signed = url.query_pairs().any(|(key, value)| key == "sig" && !value.is_empty());
    if within("api.powerplatform.com") && !signed { Verdict::Unsigned } else { Verdict::Good }
}

/// Reads `url` and `allow_insecure`.
pub fn read(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Address> {
    let insecure = fields.take("allow_insecure").and_then(|node| boolean(node, faults)).unwrap_or(false);
    let node = fields.require("url", faults)?;
    faults.hide(node);
    let written = text(node, faults)?;
    let mut wrong = |message: &str, hint: &str| {
        faults.push(Fault::error(&node.place, message).hint(hint));
        None
    };
    let whole = "write the whole address that the flow shows, in quotes: https://….api.powerplatform.com/…&sig=…";
    let Ok(url) = Url::parse(written.trim()) else { return wrong("`url` is no web address", whole) };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("`url` must not hold a user name or password", whole);
    }
    match url.scheme() {
        "https" => {}
        "http" if insecure || is_loopback(&url) => {}
        "http" => return wrong("`url` is not encrypted: plain http is for loopback only", "write https, or set `allow_insecure: true`"),
        _ => return wrong("`url` must be an https address", whole),
    }
    match judge(&url) {
        Verdict::Good => {}
        Verdict::Retired => return wrong("`url` is an address of the Office 365 connectors, which Microsoft has switched off", MOVE),
        Verdict::Old => faults.push(
            Fault::warning(
                &node.place,
                "`url` is of the old form (logic.azure.com), which no longer works in most places since December 2025",
            )
            .hint("open the flow in Power Automate, and put the address it shows now here"),
        ),
        Verdict::Unsigned => faults.push(
            Fault::warning(&node.place, "`url` has no `sig=`: was it cut off at an `&`?")
                .hint("put the whole address in quotes; the flow must take requests from anyone"),
        ),
    }
    Some(Address(Secret::new(String::from(url))))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;
    use crate::document::{Level, Source, parse};

    const FLOW: &str = "https://default0123.45.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdE";

    fn settings(yaml: &str) -> (Option<Address>, Faults) {
        let source = Arc::new(Source { path: PathBuf::from("jobrelay.yaml"), text: yaml.to_owned() });
        let mut faults = Faults::default();
        let node = parse(&source, &mut faults).unwrap();
        let mut fields = Fields::open(&node, "a channel", &mut faults).unwrap();
        let settings = read(&mut fields, &mut faults);
        fields.finish(&mut faults);
        (settings, faults)
    }

    /// The worst that is said of an address, and a piece of the words.
    #[track_caller]
    fn reads(yaml: &str, level: Option<Level>, words: &str) {
        let (settings, faults) = settings(yaml);
        let told = faults.sorted();
        assert_eq!(told.iter().map(|fault| fault.level).max(), level, "{yaml}: {told:?}");
        assert_eq!(settings.is_some(), level != Some(Level::Error), "{yaml}");
        let all =
            told.iter().map(|fault| format!("{} {}", fault.message, fault.hint.clone().unwrap_or_default())).collect::<Vec<_>>().join("; ");
        assert!(all.contains(words), "{yaml}: {all}");
        assert!(!all.contains("SECRET"), "{all}");
    }

    #[test]
    fn an_address_is_judged_by_its_exact_host() {
        let (good, warning, error) = (None, Some(Level::Warning), Some(Level::Error));
        reads(&format!("url: '{FLOW}'"), good, "");
        reads("url: 'https://flows.example.us/x?sig=SECRET'", good, "");
        reads("url: 'https://contoso.webhook.office.com/webhookb2/SECRET'", error, "Workflows");
        reads("url: 'https://CONTOSO.Webhook.Office.Com./webhookb2/SECRET'", error, "Workflows");
        reads("url: 'https://outlook.office.com/webhook/SECRET'", error, "Workflows");
        reads("url: 'https://xwebhook.office.com/SECRET'", good, "");
        reads("url: 'https://contoso.webhook.office.com.example.com/SECRET'", good, "");
        reads("url: 'https://example.com/contoso.webhook.office.com'", good, "");
        reads("url: 'https://prod-12.westeurope.logic.azure.com:443/workflows/SECRET?sig=SECRET'", warning, "Power Automate");
        reads("url: 'https://notlogic.azure.com/SECRET'", good, "");
        reads("url: 'https://x.environment.api.powerplatform.com/powerautomate/SECRET?api-version=1'", warning, "cut off");
    }

    #[test]
    fn only_what_can_be_sent_to_safely_is_taken() {
        let error = Some(Level::Error);
        reads("url: 'http://127.0.0.1:8080/SECRET'", None, "");
        reads("url: 'http://[::1]/SECRET'", None, "");
        reads("url: 'http://localhost/SECRET'", None, "");
        reads("url: 'http://flows.example/SECRET'", error, "allow_insecure");
        reads("{ url: 'http://flows.example/SECRET', allow_insecure: true }", None, "");
        reads("url: 'http://localhost.example/SECRET'", error, "allow_insecure");
        reads("url: 'https://user:SECRET@flows.example/'", error, "user name");
        reads("url: 'https://user@flows.example/'", error, "user name");
        reads("url: 'ftp://flows.example/SECRET'", error, "https");
        reads("url: 'flows.example/SECRET'", error, "https://");
        reads("url: ''", error, "https://");
        reads("url: [SECRET]", error, "text");
        reads("urll: 'https://flows.example/SECRET'", error, "`url`");
    }

    #[test]
    fn nothing_shows_an_address() {
        let source = Arc::new(Source { path: PathBuf::from("jobrelay.yaml"), text: format!("url: '{FLOW}'") });
        let mut faults = Faults::default();
        let node = parse(&source, &mut faults).unwrap();
        let settings = read(&mut Fields::open(&node, "a channel", &mut faults).unwrap(), &mut faults).unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("workflows") && !shown.contains("AbCd"), "{shown}");
        let hidden: Vec<_> = faults.hidden_in(&source).collect();
        assert!(hidden.iter().any(|bytes| source.text[bytes.clone()].contains("sig=")), "{hidden:?}");
    }
}
