//! Which machines a message may go to: a name or an address that leads into one's own network, or to the metadata service of a
//! cloud, is refused where the connection is made. What was looked at is what is connected to, so that a name that changes its
//! mind in between (DNS rebinding) wins nothing.
//!
//! Source of the ranges: the IANA special-purpose address registries for IPv4 and IPv6, and RFC 6052 for NAT64.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::Host;

/// The one name whose addresses may be this machine's own.
const LOOPBACK_NAME: &str = "localhost";

/// The variables that name a proxy, which stands in one's own network as a rule.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// IPv4 that is no public machine's: the first address and the length of its prefix.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carriers' NAT; the metadata service of one cloud is in it.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, and the metadata service of most clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// What of the public range of IPv6, `2000::/3`, is no public machine's.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    // The protocols' own, Teredo's tunnels among them.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4: a tunnel to any IPv4 address.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Why no connection is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} leads to {address}, which is no public address")]
pub struct NotPublic {
    /// The name, or the address itself.
    pub host: String,
    /// Where it leads.
    pub address: IpAddr,
}

/// Whether an address is a public machine's. One that holds an IPv4 address (mapped, or by NAT64's known prefix) is judged by
/// that.
#[must_use]
pub fn is_allowed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|(first, length)| (address.to_bits() ^ first.to_bits()) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        // A network without IPv4 gives such addresses to every machine that has no other.
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    segments[0] >> 13 == 1 && !NOT_PUBLIC_V6.iter().any(|(first, length)| (address.to_bits() ^ first.to_bits()) >> (128 - length) == 0)
}

/// Looks at the host of a URL that is an address itself: no name is resolved for it. Loopback is allowed where it is written
/// out.
///
/// # Errors
/// The host is an address of no public machine.
pub fn look_at(url: &Url) -> Result<(), NotPublic> {
    let address = match url.host() {
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    if is_allowed(address) || address.to_canonical().is_loopback() {
        return Ok(());
    }
    Err(NotPublic { host: address.to_string(), address })
}

/// The addresses of a name that may be connected to.
fn allowed(host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NotPublic> {
    let is_own = |ip: IpAddr| host == LOOPBACK_NAME && ip.to_canonical().is_loopback();
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|at| is_allowed(at.ip()) || is_own(at.ip()));
    match bad.first() {
        Some(at) if good.is_empty() => Err(NotPublic { host: host.to_owned(), address: at.ip() }),
        // Where there is a public one as well, the others are passed over.
        _ => Ok(good),
    }
}

/// How names are looked up.
type Lookup = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync>;

/// Looks names up, and gives only the addresses that may be connected to.
pub struct Guard {
    lookup: Lookup,
    /// The names of the proxies: where one is used, it is the one to judge the rest.
    proxies: Vec<String>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

impl Guard {
    /// One that asks the system, and lets the proxies through that the environment names.
    #[must_use]
    pub fn of_the_system() -> Self {
        let proxies = PROXIES.iter().filter_map(|name| proxy_host(&std::env::var(name).ok()?)).collect();
        Self { lookup: Arc::new(|host| Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect()) })), proxies }
    }
}

/// The host of a proxy, which may be written without a scheme.
fn proxy_host(written: &str) -> Option<String> {
    let whole = if written.contains("://") { written.to_owned() } else { format!("http://{written}") };
    Some(Url::parse(&whole).ok()?.host_str()?.to_owned())
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        let found = (self.lookup)(host.clone());
        let is_proxy = self.proxies.contains(&host);
        Box::pin(async move {
            let found = found.await?;
            let good = if is_proxy { found } else { allowed(&host, found)? };
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
pub mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A guard whose names lead where `answers` says: the first time to the first, the last from then on.
    pub fn scripted(answers: &'static [&'static [&'static str]], asked: Arc<AtomicUsize>) -> Guard {
        let lookup: Lookup = Arc::new(move |_| {
            let turn = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let found = answers[turn].iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
            Box::pin(async move { Ok(found) })
        });
        Guard { lookup, proxies: vec!["proxy.example".into()] }
    }

    #[test]
    fn only_public_addresses_are_allowed() {
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
            "2003::1",
            "3ffe::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(is_allowed(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_allowed(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_in_a_url_is_looked_at_in_whatever_form_it_is_written() {
        for url in [
            "https://10.0.0.1/x",
            "https://0x0a000001/x",
            "https://167772161/x",
            "https://10.1/x",
            "https://0251.0376.0251.0376/x",
            "https://169.254.169.254./x",
            "https://[::ffff:10.0.0.1]/x",
            "https://[fe80::1]/x",
            "https://[64:ff9b::a9fe:a9fe]/x",
            "https://0/x",
        ] {
            assert!(look_at(&url.parse().unwrap()).is_err(), "{url}");
        }
        for url in [
            "https://1.1.1.1/x",
            "http://127.0.0.1:9/x",
            "http://127.9.9.9/x",
            "http://[::1]:9/x",
            "https://hooks.example/x",
            "http://2130706433/x",
        ] {
            assert_eq!(look_at(&url.parse().unwrap()), Ok(()), "{url}");
        }
    }

    #[test]
    fn of_several_addresses_the_public_ones_are_used() {
        let found = |ips: &[&str]| ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect::<Vec<_>>();
        assert_eq!(allowed("hooks.example", found(&["10.0.0.1", "1.1.1.1"])), Ok(found(&["1.1.1.1"])));
        assert_eq!(allowed("localhost", found(&["::1", "127.0.0.1"])), Ok(found(&["::1", "127.0.0.1"])));
        for host in ["hooks.example", "localhost.", "localhost.example", "x.localhost"] {
            let refused = NotPublic { host: host.into(), address: "127.0.0.1".parse().unwrap() };
            assert_eq!(allowed(host, found(&["127.0.0.1", "::1"])), Err(refused), "{host}");
        }
        assert!(allowed("localhost", found(&["169.254.169.254"])).is_err());
        assert_eq!(allowed("hooks.example", Vec::new()), Ok(Vec::new()), "that is for the connector to tell");
    }

    #[tokio::test]
    async fn the_proxy_that_was_named_may_stand_anywhere() {
        assert_eq!(proxy_host("http://user:pass@proxy.example:3128").as_deref(), Some("proxy.example"));
        assert_eq!(proxy_host("proxy.example:3128").as_deref(), Some("proxy.example"));
        let guard = scripted(&[&["10.0.0.1"]], Arc::default());
        assert!(guard.resolve("proxy.example".parse().unwrap()).await.is_ok());
        assert!(guard.resolve("Proxy.Example".parse().unwrap()).await.is_ok());
        assert!(guard.resolve("other.proxy.example".parse().unwrap()).await.is_err());
    }
}
