//! The keys of the kind, and where its clouds live.

use std::{net::IpAddr, path::Path, sync::Arc};

use url::{Host, Url};

use super::{feed::JobsFeed, link};
use crate::{
    clock::Clock,
    document::{Fault, Faults, Fields, Node, boolean, integer, near, text},
    domain::{Name, Secret},
    http::Http,
    oauth::{Certificate, Client, Proof},
    source::{Feed, Settings},
};

/// The permission that `/aos/jobs` needs.
const SCOPE: &str = "autodiscovery.readwrite.all";
/// `top` where `page_size` is not set: the service's own default.
const PAGE_SIZE: u32 = 100;
/// The range of `top`, by the vendor's page.
pub const PAGE_SIZES: std::ops::RangeInclusive<i64> = 1..=1000;

/// The commercial cloud's data centres, by the vendor's page on its Graph API.
pub const REGIONS: [&str; 12] = ["au", "sg", "ca", "ne", "we", "fr", "de", "jp", "kr", "ch", "uk", "us"];

/// A cloud of the vendor: its name, graph base, token URL. Only the commercial one is on the vendor's pages; the other
/// bases are those that public client code uses.
pub struct Cloud {
    pub name: &'static str,
    base: &'static str,
    token: &'static str,
}

const COMMERCIAL: Cloud = Cloud {
    name: "commercial",
    base: "https://graph.avepointonlineservices.com",
    token: "https://identity.avepointonlineservices.com/connect/token",
};
pub const CLOUDS: [Cloud; 4] = [
    COMMERCIAL,
    Cloud {
        name: "us_government",
        base: "https://graph-gov.avepointonlineservices.com",
        token: "https://identity-gov.avepointonlineservices.com/connect/token",
    },
    Cloud {
        name: "aos2",
        base: "https://graph-aos2.avepointonlineservices.com",
        token: "https://identity-aos2.avepointonlineservices.com/connect/token",
    },
    Cloud { name: "fedramp", base: "https://graphusgovapi.online15.net", token: "https://identity.online15.net/connect/token" },
];

/// The valid settings.
#[derive(Debug)]
struct JobsSettings {
    base: Url,
    client: Client,
    page_size: u32,
}

impl Settings for JobsSettings {
    fn connect(&self, name: &Name, http: &Http, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Feed>, String> {
        if let Proof::Certificate(certificate) = &self.client.proof
            && let Some(trouble) = certificate.trouble(clock.now())
        {
            tracing::warn!(source = %name, "{trouble}");
        }
        let jobs = link::jobs_url(&self.base);
        Ok(Arc::new(JobsFeed::new(name.clone(), jobs, self.page_size, self.client.clone(), http.clone(), Arc::clone(clock))))
    }
}

/// Reads the kind's own keys.
pub fn read(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Box<dyn Settings>> {
    let insecure = fields.take("allow_insecure").map_or(Some(false), |node| boolean(node, faults));
    let cloud = cloud(fields, faults);
    let base = fields.take("base_url").map(|node| base_url(node, insecure, faults));
    let token_url = fields.take("token_url").map(|node| address(node, insecure, faults));
    let scope = fields.take("scope").map_or_else(|| Some(SCOPE.to_owned()), |node| filled_text(node, "scope", faults));
    let client_id = fields.require("client_id", faults).and_then(|node| filled_text(node, "client_id", faults));
    let proof = proof(fields, faults);
    let page_size =
        fields.take("page_size").map_or(Some(PAGE_SIZE), |node| integer(node, PAGE_SIZES, faults).and_then(|n| u32::try_from(n).ok()));
    let (own_base, own_token) = cloud?;
    insecure?;
    Some(Box::new(JobsSettings {
        base: base.unwrap_or(Some(own_base))?,
        client: Client {
            token_url: token_url.unwrap_or(Some(own_token))?,
            id: client_id?,
            scope: scope?,
            permission: SCOPE,
            proof: proof?,
        },
        page_size: page_size?,
    }))
}

/// Graph base and token URL of `region` and `environment`.
fn cloud(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<(Url, Url)> {
    let region = fields.take("region");
    let environment = fields.take("environment");
    let cloud = match environment {
        None => &COMMERCIAL,
        Some(node) => {
            let names = CLOUDS.each_ref().map(|cloud| cloud.name);
            let Some(cloud) = one_of(node, "environment", &names, faults).and_then(|name| CLOUDS.iter().find(|cloud| cloud.name == name))
            else {
                // A wrong region is a fault of its own, whatever cloud was meant.
                region.and_then(|node| one_of(node, "region", &REGIONS, faults));
                return None;
            };
            cloud
        }
    };
    let base = match region {
        None => cloud.base.to_owned(),
        Some(node) if cloud.name != COMMERCIAL.name => {
            let fault = Fault::error(&node.place, format!("`region` is for the commercial environment only, not for {}", cloud.name));
            faults.push(fault.hint("leave out `region`: this environment has one address"));
            return None;
        }
        Some(node) => format!("https://graph-{}.avepointonlineservices.com", one_of(node, "region", &REGIONS, faults)?),
    };
    Some((base.parse().ok()?, cloud.token.parse().ok()?))
}

/// One of a few words.
fn one_of(node: &Node, key: &str, known: &[&'static str], faults: &mut Faults) -> Option<&'static str> {
    let said = text(node, faults)?;
    let found = known.iter().copied().find(|word| said.eq_ignore_ascii_case(word));
    if found.is_none() {
        let shown = if node.filled { String::new() } else { format!(" `{said}`") };
        let hint = match near(&said, known.iter().copied()) {
            Some(word) if said.len() > 2 => format!("did you mean `{word}`?"),
            _ => format!("one of {}", known.join(", ")),
        };
        let message = if node.filled && said.is_empty() {
            format!("the value filled in is empty: it is no {key}")
        } else {
            format!("unknown {key}{shown}")
        };
        faults.push(Fault::error(&node.place, message).hint(hint));
    }
    found
}

/// A text that must not be empty.
fn filled_text(node: &Node, key: &str, faults: &mut Faults) -> Option<String> {
    let said = text(node, faults)?;
    if said.trim().is_empty() {
        faults.error(node, format!("`{key}` is empty"));
        return None;
    }
    Some(said)
}

fn proof(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Proof> {
    let secret = fields.take("client_secret");
    if let Some(node) = secret {
        faults.hide(node);
    }
    match (secret, fields.take("certificate")) {
        (Some(node), None) => filled_text(node, "client_secret", faults).map(|secret| Proof::Secret(Secret::new(secret))),
        (None, Some(node)) => certificate(node, faults).map(|certificate| Proof::Certificate(Arc::new(certificate))),
        (Some(_), Some(node)) => {
            let fault = Fault::error(&node.place, "`client_secret` and `certificate` are both set");
            faults.push(fault.hint("keep the one that is registered for the app"));
            None
        }
        (None, None) => {
            let fault = Fault::error(&fields.node().place, "the key `client_secret` is missing");
            faults.push(fault.hint("set `client_secret`, or `certificate: { path, password }` in place of it"));
            None
        }
    }
}

fn certificate(node: &Node, faults: &mut Faults) -> Option<Certificate> {
    let mut fields = Fields::open(node, "`{ path, password }`", faults)?;
    let at = fields.require("path", faults);
    let password_at = fields.take("password");
    if let Some(node) = password_at {
        faults.hide(node);
    }
    fields.finish(faults);
    let at = at?;
    let path = filled_text(at, "path", faults)?;
    let password = match password_at {
        Some(node) => Some(Secret::new(text(node, faults)?)),
        None => None,
    };
    // Relative to the folder of the file it stands in.
    let path = at.place.source.path.parent().unwrap_or_else(|| Path::new("")).join(path);
    faults.beside(&path);
    match Certificate::load(&path, password.as_ref()) {
        Ok(certificate) => Some(certificate),
        Err(wrong) => {
            let place = password_at.filter(|_| wrong.password).unwrap_or(at).place.clone();
            faults.push(Fault::error(&place, wrong.why).hint(wrong.hint));
            None
        }
    }
}

/// A base to which `/aos/jobs` is added.
fn base_url(node: &Node, insecure: Option<bool>, faults: &mut Faults) -> Option<Url> {
    let url = address(node, insecure, faults)?;
    if url.query().is_some() || url.path().trim_end_matches('/').ends_with("/aos/jobs") {
        let fault = Fault::error(&node.place, "`base_url` is more than a base");
        faults.push(fault.hint("leave out `/aos/jobs` and everything behind it"));
        return None;
    }
    Some(url)
}

/// An https URL; plain http for loopback, and elsewhere where `allow_insecure` says so. No message repeats it: a filled-in
/// one may be a secret.
fn address(node: &Node, insecure: Option<bool>, faults: &mut Faults) -> Option<Url> {
    let Ok(url) = text(node, faults)?.trim().parse::<Url>() else {
        faults.push(Fault::error(&node.place, "this is no URL").hint("write it whole, as in https://graph.example.com"));
        return None;
    };
    let wrong = match url.scheme() {
        "https" => None,
        "http" if insecure != Some(false) || is_loopback(&url) => None,
        "http" => Some(("plain http would show the token to everyone on the way", "write https, or set `allow_insecure: true`")),
        _ => Some(("this is no http(s) URL", "write it whole, as in https://graph.example.com")),
    };
    let wrong = wrong.or_else(|| {
        let has_user = !url.username().is_empty() || url.password().is_some();
        let user = ("a URL with a user in it is not taken", "leave out what stands before the `@`");
        let fragment = ("a URL with a `#` in it is not taken", "leave out the `#` and what stands behind it");
        has_user.then_some(user).or_else(|| url.fragment().map(|_| fragment))
    });
    if let Some((message, hint)) = wrong {
        faults.hide(node);
        faults.push(Fault::error(&node.place, message).hint(hint));
        return None;
    }
    Some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::document::{Level, Source, parse};

    /// What the settings read to, and every fault with its hint.
    fn reading(yaml: &str) -> (Option<String>, Vec<String>) {
        let mut faults = Faults::default();
        let source = Arc::new(Source { path: PathBuf::from("jobrelay.yaml"), text: yaml.into() });
        let node = parse(&source, &mut faults).unwrap();
        let mut fields = Fields::open(&node, "a source", &mut faults).unwrap();
        fields.take("kind");
        let settings = read(&mut fields, &mut faults);
        fields.finish(&mut faults);
        let told = faults.sorted().into_iter().map(|fault| {
            assert_eq!(fault.level, Level::Error);
            let hint = fault.hint.clone().unwrap_or_default();
            format!("{}:{} {} ({hint})", fault.place.line, fault.place.column, fault.message)
        });
        (settings.map(|settings| format!("{settings:?}")), told.collect())
    }

    #[track_caller]
    fn check(keys: &str, base: &str, token: &str) {
        let (settings, faults) = reading(&format!("client_id: app\nclient_secret: canary-secret\n{keys}\n"));
        assert_eq!(faults, Vec::<String>::new(), "{keys}");
        let settings = settings.unwrap();
        let host = |url: &str| Url::parse(url).unwrap().host().unwrap().to_owned();
        for url in [base, token] {
            assert!(settings.contains(&format!("{:?}", host(url))), "{keys}: {url} is not in {settings}");
        }
        assert!(!settings.contains("canary"), "{settings}");
    }

    #[test]
    fn knows_where_each_cloud_lives() {
        let identity = "https://identity.avepointonlineservices.com/connect/token";
        check("", "https://graph.avepointonlineservices.com", identity);
        check("environment: commercial", "https://graph.avepointonlineservices.com", identity);
        for region in REGIONS {
            check(&format!("region: {region}"), &format!("https://graph-{region}.avepointonlineservices.com"), identity);
        }
        check("region: US\nenvironment: commercial", "https://graph-us.avepointonlineservices.com", identity);
        check(
            "environment: us_government",
            "https://graph-gov.avepointonlineservices.com",
            "https://identity-gov.avepointonlineservices.com",
        );
        check("environment: aos2", "https://graph-aos2.avepointonlineservices.com", "https://identity-aos2.avepointonlineservices.com");
        check("environment: fedramp", "https://graphusgovapi.online15.net", "https://identity.online15.net");
        check("region: us\nbase_url: https://gw.example/a/", "https://gw.example", identity);
        check("token_url: https://id.example/token\nscope: other", "https://graph.avepointonlineservices.com", "https://id.example");
        for host in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1", "http://a.localhost", "http://127.9.9.9"] {
            check(&format!("base_url: '{host}'\ntoken_url: '{host}/token'"), host, host);
        }
        check("base_url: http://inside.example\nallow_insecure: true", "http://inside.example", identity);
    }

    #[test]
    fn tells_every_fault_with_its_place_and_what_to_do() {
        let app = "client_id: app\nclient_secret: s\n";
        for (yaml, expected) in [
            (format!("{app}region: uss"), "3:9 unknown region `uss` (did you mean `us`?)"),
            (format!("{app}region: xx"), "3:9 unknown region `xx` (one of au, sg, ca, ne, we, fr, de, jp, kr, ch, uk, us)"),
            (format!("{app}environment: fedrmp"), "3:14 unknown environment `fedrmp` (did you mean `fedramp`?)"),
            (
                format!("{app}region: us\nenvironment: aos2"),
                "3:9 `region` is for the commercial environment only, not for aos2 (leave out `region`: this environment has one address)",
            ),
            (
                "client_id: app".into(),
                "1:1 the key `client_secret` is missing (set `client_secret`, or `certificate: { path, password }` in place of it)",
            ),
            ("client_secret: s".into(), "1:1 the key `client_id` is missing ()"),
            ("client_id: app\nclient_secret: ''".into(), "2:16 `client_secret` is empty ()"),
            ("client_id: ' '\nclient_secret: s".into(), "1:12 `client_id` is empty ()"),
            (
                format!("{app}certificate: {{ path: a.pfx }}"),
                "3:14 `client_secret` and `certificate` are both set (keep the one that is registered for the app)",
            ),
            ("client_id: app\ncertificate: a.pfx".into(), "2:14 expected `{ path, password }`, found text ()"),
            ("client_id: app\ncertificate: { password: p }".into(), "2:14 the key `path` is missing ()"),
            ("client_id: app\ncertificate: { path: '' }".into(), "2:22 `path` is empty ()"),
            (
                "client_id: app\ncertificate: { path: none.pfx }".into(),
                "2:22 can't read the certificate none.pfx: No such file or directory (os error 2) (a relative path is relative to the config file's folder)",
            ),
            (format!("{app}page_size: 0"), "3:12 must be from 1 to 1000 ()"),
            (format!("{app}page_size: 1001"), "3:12 must be from 1 to 1000 ()"),
            (format!("{app}base_url: graph.example"), "3:11 this is no URL (write it whole, as in https://graph.example.com)"),
            (
                format!("{app}base_url: ftp://graph.example"),
                "3:11 this is no http(s) URL (write it whole, as in https://graph.example.com)",
            ),
            (
                format!("{app}base_url: http://graph.example"),
                "3:11 plain http would show the token to everyone on the way (write https, or set `allow_insecure: true`)",
            ),
            (
                format!("{app}token_url: http://127.0.0.1.example/token"),
                "3:12 plain http would show the token to everyone on the way (write https, or set `allow_insecure: true`)",
            ),
            (
                format!("{app}base_url: https://u:p@graph.example"),
                "3:11 a URL with a user in it is not taken (leave out what stands before the `@`)",
            ),
            (
                format!("{app}base_url: https://graph.example/#a"),
                "3:11 a URL with a `#` in it is not taken (leave out the `#` and what stands behind it)",
            ),
            (
                format!("{app}base_url: https://graph.example/aos/jobs"),
                "3:11 `base_url` is more than a base (leave out `/aos/jobs` and everything behind it)",
            ),
            (
                format!("{app}base_url: https://graph.example?a=b"),
                "3:11 `base_url` is more than a base (leave out `/aos/jobs` and everything behind it)",
            ),
            (format!("{app}allow_insecure: 1"), "3:17 expected true or false, found a number ()"),
            (format!("{app}regoin: us"), "3:1 unknown key `regoin` (did you mean `region`?)"),
        ] {
            let (_, faults) = reading(&yaml);
            assert_eq!(faults, [expected], "{yaml}");
        }
        let (_, faults) = reading("client_id: app\ncertificate: { path: Cargo.toml, pasword: p }");
        assert_eq!(faults.last().unwrap(), "2:34 unknown key `pasword` (did you mean `password`?)");
    }

    #[test]
    fn the_example_reads_but_for_what_the_config_room_takes() {
        let (settings, faults) = reading(super::super::EXAMPLE);
        assert!(settings.is_some());
        assert!(faults.iter().all(|fault| fault.contains("`poll_every`") || fault.contains("`start`")), "{faults:?}");
    }
}
