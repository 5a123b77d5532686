//! Whose address it is, and what is to be said of it.

use reqwest::Url;

use crate::document::{Fault, Faults, Node};

/// What to do about an address of the connectors.
const MOVE: &str =
    "in Teams, open the channel's menu > Workflows > \"Send webhook alerts to a channel\", and put the address it gives here";

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

/// Whether an address may be used; what is to be said of it goes to `faults`.
pub fn is_taken(url: &Url, node: &Node, faults: &mut Faults) -> bool {
    if !url.username().is_empty() || url.password().is_some() {
        faults.push(
            Fault::error(&node.place, "`url` must not hold a user name or password")
                .hint("a flow's address needs none: its `sig=` is the key to it"),
        );
        return false;
    }
    match judge(url) {
        Verdict::Good => true,
        Verdict::Retired => {
            let what = "`url` is an address of the Office 365 connectors, which Microsoft has switched off";
            faults.push(Fault::error(&node.place, what).hint(MOVE));
            false
        }
        Verdict::Old => {
            let what = "`url` is of the old form (logic.azure.com), which no longer works in most places since December 2025";
            faults.push(Fault::warning(&node.place, what).hint("open the flow in Power Automate, and put the address it shows now here"));
            true
        }
        Verdict::Unsigned => {
            let what = "`url` has no `sig=`: was it cut off at an `&`?";
            faults.push(Fault::warning(&node.place, what).hint("put the whole address in quotes; the flow must take requests from anyone"));
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::document::{Fields, Level, Source, parse};

    const FLOW: &str = "https://default0123.45.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdE";

    fn settings(yaml: &str) -> (bool, Faults) {
        let source = Arc::new(Source { path: "jobrelay.yaml".into(), text: yaml.to_owned() });
        let mut faults = Faults::default();
        let node = parse(&source, &mut faults).unwrap();
        let mut fields = Fields::open(&node, "a channel", &mut faults).unwrap();
        let settings = (super::super::KIND.read)(&mut fields, &mut faults);
        fields.finish(&mut faults);
        (settings.is_some(), faults)
    }

    /// The worst that is said of an address, and a piece of the words.
    #[track_caller]
    fn reads(yaml: &str, level: Option<Level>, words: &str) {
        let (taken, faults) = settings(yaml);
        let told = faults.sorted();
        assert_eq!(told.iter().map(|fault| fault.level).max(), level, "{yaml}: {told:?}");
        assert_eq!(taken, level != Some(Level::Error), "{yaml}");
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
}
