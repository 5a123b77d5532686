//! Which mail server, and how it is spoken to: what the one line `smtp:` says.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::domain::Secret;

/// The port of `smtps://` where none is written: submission in TLS from the first byte (RFC 8314).
const PORT_TLS: u16 = 465;
/// The port of `smtp://` where none is written: submission (RFC 6409).
const PORT_STARTTLS: u16 = 587;

/// A mail server and how to speak to it.
#[derive(Debug, Clone)]
pub struct MailServer {
    /// A name in its ASCII form, or an address without brackets.
    pub host: String,
    /// From 1.
    pub port: u16,
    /// When TLS begins.
    pub security: Security,
    /// As whom to log in; none where the server asks for nothing.
    pub login: Option<Login>,
}

/// How a login is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a password, which stands in `smtp`.
    Password,
    /// By a token, which is had by `oauth`.
    Token,
}

/// When TLS begins, if at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// `smtps://`: from the first byte.
    Implicit,
    /// `smtp://`: by STARTTLS, and nothing is said without it: whoever sits between could simply cut the offer out.
    Required,
    /// `smtp://` to loopback: by STARTTLS where it is offered. A certificate that can't be trusted is refused all the same.
    IfOffered,
    /// `allow_insecure: true`: by STARTTLS where it is offered and its certificate can be trusted, else without.
    Waived,
}

/// A user and a proof.
#[derive(Debug, Clone)]
pub struct Login {
    /// At some services an access key, so it is not shown either.
    pub user: Secret,
    /// The password; none where a token takes its place.
    pub password: Option<Secret>,
}

impl MailServer {
    /// Reads `smtps://user:password@host:465` or `smtp://user:password@host:587`, without the password where the way in is a
    /// token. User and password are percent-decoded.
    ///
    /// # Errors
    /// What is wrong with it, in one line that repeats nothing of it.
    pub fn parse(text: &str, way: Way, allow_insecure: bool) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|why| format!("is no URL ({why}): write smtps://user:password@host:465"))?;
        let implicit = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err("must begin with smtps:// (TLS) or smtp:// (STARTTLS)".into()),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("has something behind its port; in a password write / as %2F, ? as %3F and # as %23".into());
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host: write smtps://user:password@host:465")?;
        // The scheme is none of the web's, so the parser leaves the host as it is written: read it as the web's are read.
        let host = Host::parse(host).map_err(|why| format!("names no valid host: {why}"))?;
        let loopback = match &host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let security = match (implicit, allow_insecure, loopback) {
            (true, ..) => Security::Implicit,
            (false, true, _) => Security::Waived,
            (false, false, true) => Security::IfOffered,
            (false, false, false) => Security::Required,
        };
        let port = url.port().unwrap_or(if implicit { PORT_TLS } else { PORT_STARTTLS });
        if port == 0 {
            return Err("has the port 0".into());
        }
        let host = match host {
            Host::Domain(name) => name,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Ok(Self { host, port, security, login: login(&url, way)? })
    }

    /// Whether it is Exchange Online's own name.
    #[must_use]
    pub fn is_microsoft_365(&self) -> bool {
        self.host == "smtp.office365.com" || self.host.ends_with(".outlook.com")
    }

    /// Whether it runs on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }
}

/// What may be shown of it: host and port.
impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

fn login(url: &Url, way: Way) -> Result<Option<Login>, String> {
    let decode = |text: &str, what: &str| {
        let text =
            percent_decode_str(text).decode_utf8().map_err(|_| format!("has a {what} that is not UTF-8 once it is percent-decoded"))?;
        if text.chars().any(char::is_control) { Err(format!("has a {what} with a control character in it")) } else { Ok(text.into_owned()) }
    };
    let user = |user| decode(user, "user").map(Secret::new);
    match (url.username(), url.password().filter(|password| !password.is_empty()), way) {
        (_, Some(_), Way::Token) => Err("names a password, and `oauth` is set: leave one of them out".into()),
        ("", None, Way::Token) => Err("names no user for `oauth`: write smtp://user@host:587".into()),
        (name, None, Way::Token) => Ok(Some(Login { user: user(name)?, password: None })),
        ("", None, Way::Password) => Ok(None),
        ("", Some(_), Way::Password) => Err("names a password but no user".into()),
        (_, None, Way::Password) => Err("names a user but no password: write smtps://user:password@host:465, or set `oauth`".into()),
        (name, Some(password), Way::Password) => {
            Ok(Some(Login { user: user(name)?, password: Some(Secret::new(decode(password, "password")?)) }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str, security: Security) -> MailServer {
        let server = MailServer::parse(text, Way::Password, false).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!((server.to_string().as_str(), server.security), (shown, security), "{text}");
        server
    }

    #[test]
    fn reads_host_port_and_the_way_to_tls() {
        check("smtps://mail.example", "mail.example:465", Security::Implicit);
        check("smtps://mail.example:2465/", "mail.example:2465", Security::Implicit);
        check("smtp://Mail.Example", "mail.example:587", Security::Required);
        check("smtp://192.0.2.1:25", "192.0.2.1:25", Security::Required);
        check("smtp://bücher.example:25", "xn--bcher-kva.example:25", Security::Required);
        check("smtp://127.0.0.1:2525", "127.0.0.1:2525", Security::IfOffered);
        check("smtp://localhost", "localhost:587", Security::IfOffered);
        check("smtp://[::1]:2525", "[::1]:2525", Security::IfOffered);
        check("smtps://127.0.0.1", "127.0.0.1:465", Security::Implicit);
        // Names that only look like loopback.
        check("smtp://127.0.0.1.example", "127.0.0.1.example:587", Security::Required);
        check("smtp://localhost.example", "localhost.example:587", Security::Required);
        assert_eq!(MailServer::parse("smtp://mail.example", Way::Password, true).unwrap().security, Security::Waived);
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        for (text, user, password) in [
            ("smtps://user:pass@mail.example", "user", "pass"),
            ("smtps://alerts@contoso.example:p%40ss%2Fw%23rd@mail.example", "alerts@contoso.example", "p@ss/w#rd"),
            ("smtps://us%3Aer:a%3Ab@mail.example", "us:er", "a:b"),
            ("smtps://user:50%off@mail.example", "user", "50%off"),
            ("smtps://user:gr%C3%BCezi@mail.example", "user", "grüezi"),
        ] {
            let login = MailServer::parse(text, Way::Password, false).unwrap().login.unwrap();
            assert_eq!((login.user.expose(), login.password.unwrap().expose()), (user, password));
        }
        assert!(MailServer::parse("smtps://mail.example", Way::Password, false).unwrap().login.is_none());
    }

    #[test]
    fn refuses_what_can_not_work_and_repeats_none_of_it() {
        for text in [
            "",
            "mail.example:25",
            "https://canary:canary@mail.example",
            "smtp://",
            "smtp://canary@mail.example",
            "smtp://:canary@mail.example",
            "smtp://user:canary/rest@mail.example",
            "smtp://user:canary@mail.example/path",
            "smtp://user:canary@mail.example?x=1",
            "smtp://user:canary%0D%0ARSET@mail.example",
            "smtp://user:canary%FF@mail.example",
            "smtp://user:canary@mail.example:0",
            "smtp://user:canary@mail.example:99999",
            "smtp://user:canary@ma il.example",
        ] {
            let why = MailServer::parse(text, Way::Password, false).expect_err(text);
            assert!(!why.contains("canary") && !why.contains('\n'), "{text}: {why}");
        }
    }

    #[test]
    fn a_token_needs_a_user_and_no_password() {
        let login = MailServer::parse("smtp://alerts%40contoso.example@smtp.office365.com", Way::Token, false).unwrap().login.unwrap();
        assert_eq!((login.user.expose(), login.password.is_none()), ("alerts@contoso.example", true));
        for text in ["smtp://mail.example", "smtp://user:canary@mail.example", "smtp://:canary@mail.example"] {
            let why = MailServer::parse(text, Way::Token, false).expect_err(text);
            assert!(why.contains("`oauth`") && !why.contains("canary"), "{why}");
        }
    }

    #[test]
    fn a_password_is_in_no_debug_print() {
        let server = MailServer::parse("smtps://canary-user:canary-password@mail.example", Way::Password, false).unwrap();
        assert!(!format!("{server:?}{server}").contains("canary"));
    }
}
