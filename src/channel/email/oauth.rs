//! The key `oauth`: a token in place of a password, by client credentials. Microsoft 365 is closing its other way in.

use crate::{
    document::{Fault, Faults, Fields, Form, Key, Keys, Node, text},
    domain::Secret,
    oauth::{Client, Proof},
};

/// Where Microsoft's tokens are had; the tenant stands between the two. Source: "Authenticate an IMAP, POP or SMTP connection
/// using OAuth", <https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>
const ENTRA: [&str; 2] = ["https://login.microsoftonline.com/", "/oauth2/v2.0/token"];
/// What an app without a user asks Exchange Online for, by the same page.
const SCOPE: &str = "https://outlook.office365.com/.default";
/// What it must have been granted for that.
const PERMISSION: &str = "for Exchange Online it is SMTP.SendAsApp, with an admin's consent";

/// The keys of `oauth`.
pub const KEYS: Keys = Keys {
    lists: &[&[
        Key::new("tenant", "the Microsoft 365 tenant, by its id or one of its domains", Form::Text, &["contoso.onmicrosoft.com"]),
        Key::new("token_url", "where another service gives tokens", Form::Text, &["https://id.contoso.example/token"]),
        Key::new("client_id", "the app's id", Form::Text, &["00000000-0000-0000-0000-000000000000"]).required(),
        Key::new("client_secret", "the app's secret", Form::Text, &["${MAIL_APP_SECRET:-x}"]).required(),
        Key::new(
            "scope",
            "what is asked for; Exchange Online's where nothing is said",
            Form::Text,
            &["https://outlook.office365.com/.default"],
        ),
    ]],
    one_of: &[&["tenant", "token_url"]],
};

/// Reads `{ tenant or token_url, client_id, client_secret, scope }`.
pub fn read(node: &Node, insecure: bool, faults: &mut Faults) -> Option<Client> {
    let mut fields = Fields::open(node, "`{ tenant, client_id, client_secret }`", faults)?;
    let (tenant, token_url) = (fields.take("tenant"), fields.take("token_url"));
    let url = match (tenant, token_url) {
        (Some(tenant), None) => entra(tenant, faults),
        (None, Some(node)) => address(node, insecure, faults),
        (None, None) => {
            let fault = Fault::error(&node.place, "the key `tenant` is missing");
            faults.push(fault.hint("set `tenant` for Microsoft 365, or `token_url` for any other service"));
            None
        }
        (Some(_), Some(node)) => {
            let fault = Fault::error(&node.place, "`tenant` and `token_url` are both set");
            faults.push(fault.hint("the token URL follows from `tenant`: keep one of them"));
            None
        }
    };
    let id = fields.require("client_id", faults).and_then(|node| filled(node, "client_id", faults));
    let secret = fields.require("client_secret", faults).and_then(|node| {
        faults.hide(node);
        filled(node, "client_secret", faults)
    });
    let scope = fields.take("scope").map_or_else(|| Some(SCOPE.to_owned()), |node| filled(node, "scope", faults));
    fields.finish(faults);
    let proof = Proof::Secret(Secret::new(secret?));
    Some(Client { token_url: url?, id: id?, scope: scope?, permission: PERMISSION, proof })
}

/// The token URL of a tenant, which is named by its id or one of its domains.
fn entra(node: &Node, faults: &mut Faults) -> Option<url::Url> {
    let tenant = filled(node, "tenant", faults)?;
    let tenant = tenant.trim();
    let named = tenant.contains(['.', '-']) && tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    let url = ENTRA.join(tenant).parse().ok().filter(|_| named && tenant.trim_matches('.') == tenant);
    if url.is_none() {
        let fault = Fault::error(&node.place, "this is no tenant");
        faults.push(fault.hint("write its id (Microsoft Entra > Overview > Tenant ID) or a domain of it, as contoso.onmicrosoft.com"));
    }
    url
}

/// An https URL; plain http for loopback, or where `allow_insecure` says so. It is not repeated: it may hold a key.
fn address(node: &Node, insecure: bool, faults: &mut Faults) -> Option<url::Url> {
    faults.hide(node);
    let url = text(node, faults)?.trim().parse::<url::Url>().ok();
    let url = url.filter(|url| url.has_host() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    let wrong = match &url {
        Some(url) if url.scheme() == "https" => return Some(url.clone()),
        Some(url) if url.scheme() == "http" && (insecure || super::super::address::is_loopback(url)) => return Some(url.clone()),
        Some(url) if url.scheme() == "http" => "plain http would show the secret to everyone on the way",
        _ => "this is no https address without a user in it",
    };
    faults.push(Fault::error(&node.place, wrong).hint("write it whole, as in https://login.example.com/oauth2/token"));
    None
}

fn filled(node: &Node, key: &str, faults: &mut Faults) -> Option<String> {
    let said = text(node, faults)?;
    if said.trim().is_empty() {
        faults.error(node, format!("`{key}` is empty"));
        return None;
    }
    Some(said)
}
