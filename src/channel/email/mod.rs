//! Mail: each recipient in an envelope of its own, over a connection that is kept for the next one.

mod address;
mod dial;
mod kept;
mod live;
mod message;
mod oauth;
mod reply;
mod server;
mod session;
mod trouble;
mod verdict;

use std::{sync::Arc, time::Duration};

use lettre::message::Mailbox;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::contract::{Channel, Common, Kind, Rate, Settings, Tools};
use crate::{
    document::{Fault, Faults, Fields, Form, Key, Keys, Node, boolean, read_bounded, text, text_list},
    domain::{Name, Target},
    http::tls_config_with,
    oauth::{Client, Tokens},
};
use kept::Kept;
use live::Mail;
use server::{MailServer, Way};

/// The most recipients of one channel: each gets an envelope of its own, one after the other. Longer lists are for a
/// distribution group.
const RECIPIENTS: usize = 100;
/// The largest file of private root certificates.
const CA_BYTES: usize = 1024 * 1024;
/// What Exchange Online takes of one mailbox. Source: "Exchange Online limits", message rate limit (SMTP client submission),
/// <https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits>
const MICROSOFT_365: Rate = Rate::Limited { messages: 30, per: Duration::from_secs(60) };
/// For every other server: none publishes a limit for mail to one's own people, and this is far below where they complain.
const ELSEWHERE: Rate = Rate::Limited { messages: 10, per: Duration::from_secs(1) };

/// Mail.
pub const KIND: Kind = Kind {
    name: "email",
    example: "\
kind: email
smtp: ${SMTP_URL}           # smtps://user:password@host:465, or smtp://user:password@host:587 (STARTTLS required)
# A token in place of the password (smtp://user@smtp.office365.com:587), as Microsoft 365 wants it:
# oauth: { tenant: contoso.onmicrosoft.com, client_id: \"…\", client_secret: \"${MAIL_APP_SECRET}\" }
from: \"Scan alerts <jobrelay@contoso.example>\"
to: [m365-admins@contoso.example]   # each in an envelope of its own
# tls_ca: mail-ca.pem       # a private root certificate, beside the system's
",
    keys: Keys::new(&[KEYS]),
    read,
};

const KEYS: &[Key] = &[
    Key::new(
        "smtp",
        "the mail server: smtps://user:password@host:465, or smtp://user:password@host:587 (STARTTLS required)",
        Form::Text,
        &["${SMTP_URL:-smtps://user:password@mail.contoso.example:465}"],
    )
    .required(),
    Key::new("from", "the sender", Form::Text, &["\"Scan alerts <jobrelay@contoso.example>\""]).required(),
    Key::new("to", "the recipients, each in an envelope of its own", Form::OneOrMany(&Form::Text), &["[m365-admins@contoso.example]"])
        .required(),
    Key::new("oauth", "a token in place of the password, as Microsoft 365 wants it", Form::Mapping(&oauth::KEYS), &[]),
    Key::new("tls_ca", "a file of private root certificates (PEM), beside the system's", Form::Text, &["mail-ca.pem"]),
    Key::new("allow_insecure", "let it be mail without TLS elsewhere than on loopback", Form::Boolean, &["true"]),
];

#[derive(Debug)]
struct Email {
    server: MailServer,
    oauth: Option<Client>,
    from: Mailbox,
    to: Vec<Recipient>,
    private_roots: Vec<CertificateDer<'static>>,
}

/// One recipient.
#[derive(Debug, Clone)]
struct Recipient {
    /// The address alone: what outcomes are recorded under.
    target: Target,
    /// With the name, for the head of the mail.
    mailbox: Mailbox,
}

fn read(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Box<dyn Settings>> {
    let insecure = fields.take("allow_insecure").map_or(Some(false), |node| boolean(node, faults));
    let oauth = fields.take("oauth");
    let way = if oauth.is_some() { Way::Token } else { Way::Password };
    let server = fields.require("smtp", faults).and_then(|node| {
        faults.hide(node);
        read_server(node, way, insecure.unwrap_or_default(), faults)
    });
    let oauth = oauth.map(|node| oauth::read(node, insecure.unwrap_or_default(), faults));
    let from = fields.require("from", faults).and_then(|node| {
        let written = text(node, faults)?;
        read_mailbox(node, &written, faults)
    });
    let to = fields.require("to", faults).and_then(|node| read_recipients(node, faults));
    let private_roots = match fields.take("tls_ca") {
        Some(node) => read_roots(node, faults)?,
        None => Vec::new(),
    };
    insecure?;
    let oauth = match oauth {
        Some(client) => Some(client?),
        None => None,
    };
    Some(Box::new(Email { server: server?, oauth, from: from?, to: to?, private_roots }))
}

fn read_server(node: &Node, way: Way, insecure: bool, faults: &mut Faults) -> Option<MailServer> {
    let written = text(node, faults)?;
    match MailServer::parse(&written, way, insecure) {
        Ok(server) => Some(server),
        Err(why) => {
            faults.push(
                Fault::error(&node.place, format!("the mail server's address {why}"))
                    .hint("special characters in user and password are percent-encoded: @ is %40, : is %3A, / is %2F"),
            );
            None
        }
    }
}

fn read_mailbox(node: &Node, written: &str, faults: &mut Faults) -> Option<Mailbox> {
    match address::parse(written) {
        Ok(mailbox) => Some(mailbox),
        Err(why) => {
            let what = if node.filled { "the text filled in here".to_owned() } else { format!("`{}`", crate::http::shorten(written)) };
            let hint = "write an address, or a name and an address, as in \"Scan alerts <jobrelay@contoso.example>\"";
            faults.push(Fault::error(&node.place, format!("{what} {why}")).hint(hint));
            None
        }
    }
}

fn read_recipients(node: &Node, faults: &mut Faults) -> Option<Vec<Recipient>> {
    let items = text_list(node, faults);
    let count = items.len();
    let mut recipients: Vec<Recipient> = Vec::with_capacity(count);
    let mut all_read = true;
    for (item, written) in items {
        let Some(mailbox) = read_mailbox(item, &written, faults) else {
            all_read = false;
            continue;
        };
        let target = Target(mailbox.email.to_string());
        if recipients.iter().any(|other| other.target.0.eq_ignore_ascii_case(&target.0)) {
            faults.push(Fault::warning(&item.place, "this address stands here a second time; it is sent one mail"));
            continue;
        }
        recipients.push(Recipient { target, mailbox });
    }
    if count > RECIPIENTS {
        faults.push(
            Fault::error(&node.place, format!("{count} recipients are more than {RECIPIENTS}"))
                .hint("send to a distribution group, or use several channels"),
        );
        return None;
    }
    (all_read && !recipients.is_empty()).then_some(recipients)
}

fn read_roots(node: &Node, faults: &mut Faults) -> Option<Vec<CertificateDer<'static>>> {
    let written = text(node, faults)?;
    // Relative paths start at the config file's folder.
    let path = node.place.source.path.parent().unwrap_or(std::path::Path::new("")).join(&written);
    faults.beside(&path);
    let read = || {
        let pem = read_bounded(&path, CA_BYTES)?;
        let roots: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        // Tried at once, so that a file that is no root is told with its place.
        tls_config_with(&roots)?;
        if roots.is_empty() { Err("there is no certificate in it (a PEM file is wanted)".to_owned()) } else { Ok(roots) }
    };
    match read() {
        Ok(roots) => Some(roots),
        Err(why) => {
            faults.error(node, format!("can't use the certificates of {}: {why}", path.display()));
            None
        }
    }
}

impl Settings for Email {
    fn default_rate(&self) -> Rate {
        match () {
            () if self.server.is_microsoft_365() => MICROSOFT_365,
            // A mail server on this machine has a queue of its own, which paces better than we could.
            () if self.server.is_local() => Rate::Unlimited,
            () => ELSEWHERE,
        }
    }

    fn leads_to(&self) -> String {
        let to: Vec<&str> = self.to.iter().map(|recipient| recipient.target.0.as_str()).collect();
        format!("{} by way of {}", to.join(", "), self.server)
    }

    fn connect(&self, name: &Name, common: &Common, tools: &Tools) -> Result<Arc<dyn Channel>, String> {
        let tls = if self.private_roots.is_empty() { tools.http.tls() } else { Arc::new(tls_config_with(&self.private_roots)?) };
        Ok(Arc::new(Mail {
            name: name.clone(),
            server: self.server.clone(),
            tokens: self.oauth.clone().map(|client| Tokens::new(client, tools.http.clone())),
            tls,
            from: self.from.clone(),
            to: self.to.clone(),
            common: common.clone(),
            tools: tools.clone(),
            kept: Kept::default(),
        }))
    }
}
