//! The parts `server` and `storage`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{ServerConfig, StorageConfig, entries::optional};
use crate::{
    document::{Fault, Faults, Fields, Node, text},
    domain::Secret,
};

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// The shortest token: what guards the API on a network must not be guessable.
const TOKEN_LEAST: usize = 16;
const FILE_DEFAULT: &str = "jobrelay.db";
/// How long ended jobs are kept.
const KEEP: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(100 * 365 * 24 * 3600);
const KEEP_DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Reads `server`.
pub fn server(part: Option<&Node>, faults: &mut Faults) -> Option<ServerConfig> {
    let Some(node) = part else { return Some(ServerConfig { listen: LISTEN_DEFAULT, token: None, public_url: None }) };
    let mut fields = Fields::open(node, "the server's settings", faults)?;
    let at = fields.take("listen");
    let listen = at.map_or(Some(LISTEN_DEFAULT), |node| address(node, faults));
    let token_node = fields.take("token");
    let token = token_node.map_or(Some(None), |node| token(node, faults).map(Some));
    let public_url = fields.take("public_url").map_or(Some(None), |node| web_address(node, faults).map(Some));
    fields.finish(faults);
    if token_node.is_none()
        && let (Some(listen), Some(at)) = (listen, at)
        && !listen.ip().is_loopback()
    {
        faults.push(
            Fault::error(&at.place, "an address that others can reach needs a `token`")
                .hint("add `token: ${JOBRELAY_TOKEN}`, or listen on 127.0.0.1"),
        );
    }
    Some(ServerConfig { listen: listen?, token: token?, public_url: public_url? })
}

fn address(node: &Node, faults: &mut Faults) -> Option<SocketAddr> {
    let written = text(node, faults)?;
    let numeric = match written.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => written.clone(),
    };
    let address = numeric.parse().ok();
    if address.is_none() {
        let message =
            if node.filled { "not an address to listen on".to_owned() } else { format!("`{written}` is no address to listen on") };
        faults.push(
            Fault::error(&node.place, message).hint("write an IP address and a port, as in 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080"),
        );
    }
    address
}

fn token(node: &Node, faults: &mut Faults) -> Option<Secret> {
    faults.hide(node);
    let written = text(node, faults)?;
    if written.chars().count() < TOKEN_LEAST {
        faults.push(
            Fault::error(&node.place, format!("the token is shorter than {TOKEN_LEAST} characters"))
                .hint("take a long random one, as from `openssl rand -hex 32`"),
        );
        return None;
    }
    if !written.chars().all(|c| c.is_ascii_graphic()) {
        faults.error(node, "the token holds characters that can't stand in an HTTP header: use letters, digits and signs");
        return None;
    }
    Some(Secret::new(written))
}

fn web_address(node: &Node, faults: &mut Faults) -> Option<String> {
    let written = text(node, faults)?;
    let good = url::Url::parse(&written)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none());
    if !good {
        faults.push(Fault::error(&node.place, "not an address of a web page").hint("write one as in https://jobrelay.contoso.example"));
        return None;
    }
    Some(written.trim_end_matches('/').to_owned())
}

/// Reads `storage`. A relative path starts at `folder`.
pub fn storage(part: Option<&Node>, folder: &Path, faults: &mut Faults) -> Option<StorageConfig> {
    let Some(node) = part else { return Some(StorageConfig { path: folder.join(FILE_DEFAULT), keep: KEEP_DEFAULT }) };
    let mut fields = Fields::open(node, "the storage's settings", faults)?;
    let path = fields.take("url").map_or_else(|| Some(folder.join(FILE_DEFAULT)), |node| database(node, folder, faults));
    let keep = optional(&mut fields, "keep", KEEP, KEEP_DEFAULT, faults);
    fields.finish(faults);
    Some(StorageConfig { path: path?, keep: keep? })
}

fn database(node: &Node, folder: &Path, faults: &mut Faults) -> Option<PathBuf> {
    faults.cover(node);
    let written = text(node, faults)?;
    let fault = if written.starts_with("postgres:") || written.starts_with("postgresql:") {
        faults.hide(node);
        Fault::error(&node.place, "this version does not have PostgreSQL yet").hint("write `sqlite:jobrelay.db`")
    } else {
        match written.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path)) {
            Some(path) if !path.is_empty() && !path.contains(['?', '\0']) && !path.starts_with(':') => return Some(folder.join(path)),
            _ => Fault::error(&node.place, "not the URL of a database").hint("write `sqlite:` and a path, as in `sqlite:jobrelay.db`"),
        }
    };
    faults.push(fault);
    None
}
