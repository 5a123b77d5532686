//! A mail as a plain reader shows it: who, to whom, about what, and its text part.

use mail_parser::{Address, MessageParser};

use super::canvas::{Line, Style, clean};

/// What a mail's reader needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Who it says it is from.
    pub from: String,
    /// To whom it says it goes.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its date, as an RFC 3339 text.
    pub date: String,
    /// Its `Message-ID`.
    pub message_id: String,
    /// The text part.
    pub text: String,
    /// The HTML part, if it has one.
    pub html: Option<String>,
}

impl Letter {
    /// Reads a mail as it came over the wire; none if it is no mail at all.
    #[must_use]
    pub fn read(raw: &[u8]) -> Option<Self> {
        let message = MessageParser::default().parse(raw)?;
        let html = message.html_part(0).filter(|part| part.is_text_html()).and_then(|part| part.text_contents()).map(str::to_owned);
        Some(Self {
            from: address(message.from()),
            to: address(message.to()),
            subject: message.subject().unwrap_or_default().to_owned(),
            date: message.date().map(mail_parser::DateTime::to_rfc3339).unwrap_or_default(),
            message_id: message.message_id().unwrap_or_default().to_owned(),
            text: message.body_text(0).map(std::borrow::Cow::into_owned).unwrap_or_default(),
            html,
        })
    }
}

fn address(addresses: Option<&Address<'_>>) -> String {
    let one = |addr: &mail_parser::Addr<'_>| match (addr.name(), addr.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    addresses.map(|all| all.iter().map(one).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

/// The mail within a width.
#[must_use]
pub fn lines(letter: &Letter, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (name, value, style) in
        [("From", &letter.from, Style::PLAIN), ("To", &letter.to, Style::PLAIN), ("Subject", &letter.subject, Style::BOLD)]
    {
        let label = format!("{name:<9}");
        let values = Line::of(value, style).wrapped(width.saturating_sub(label.len()));
        for (at, value) in values.into_iter().enumerate() {
            let mut line = Line::of(if at == 0 { &label } else { "         " }, Style::DIM);
            line.extend(value);
            lines.push(line);
        }
    }
    lines.push(Line::default());
    // Cleaned before it is split: a lone line separator of another script is a line's end here too.
    lines.extend(clean(letter.text.trim()).lines().flat_map(|line| Line::of(line, Style::PLAIN).hanging(width, 0)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = "From: =?utf-8?Q?Scan_alerts_=E2=9A=A0?= <jobrelay@contoso.example>\r\nTo: admins@contoso.example\r\n\
        Subject: scan sites failed\r\nDate: Thu, 26 Sep 2024 06:06:00 +0000\r\nMessage-ID: <msg_1@jobrelay>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nIt failed after 6=20min=\r\nutes.\r\n\r\nRunbook: https://wiki.example\r\n--b\r\n\
        Content-Type: text/html; charset=utf-8\r\n\r\n<p>It failed.</p>\r\n--b--\r\n";

    #[test]
    fn a_mail_is_read_from_the_wire() {
        let letter = Letter::read(RAW.as_bytes()).unwrap();
        assert_eq!(letter.from, "Scan alerts ⚠ <jobrelay@contoso.example>");
        assert_eq!(letter.date, "2024-09-26T06:06:00Z");
        assert_eq!(letter.html.as_deref().map(str::trim), Some("<p>It failed.</p>"));
        let seen: Vec<String> = lines(&letter, 40).iter().map(|line| line.painted(false)).collect();
        let expected = [
            "From     Scan alerts ⚠",
            "         <jobrelay@contoso.example>",
            "To       admins@contoso.example",
            "Subject  scan sites failed",
            "",
            "It failed after 6 minutes.",
            "",
            "Runbook: https://wiki.example",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_mail_of_text_alone_has_no_html() {
        let letter = Letter::read(b"Subject: x\r\n\r\nhello\r\n").unwrap();
        assert_eq!((letter.html, letter.text.trim()), (None, "hello"));
    }
}
