//! One mail for one recipient, as bytes: headers that automatic mail should carry, and two ways of saying the same.

use std::fmt::Write as _;

use jiff::Timestamp;
use lettre::{
    Message,
    message::{
        Attachment, Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Date, HeaderName, HeaderValue},
    },
};
use sha2::{Digest, Sha256};

use crate::template::PICTURE;

/// The longest subject. Clients show some 70 characters, and a subject of a user's template may be anything.
pub const SUBJECT_CHARS: usize = 200;

/// Everything a mail is made of.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'l> {
    /// The channel's name.
    pub channel: &'l str,
    /// The sender.
    pub from: &'l Mailbox,
    /// The one recipient.
    pub to: &'l Mailbox,
    /// The notification's key.
    pub key: &'l str,
    /// What the conversation is about.
    pub thread: &'l str,
    /// One line; it is made one if it is not.
    pub subject: &'l str,
    /// The HTML part.
    pub html: &'l str,
    /// The text part.
    pub text: &'l str,
    /// The picture that the HTML part shows under [`PICTURE`], a PNG.
    pub picture: Option<&'l [u8]>,
    /// When it is sent.
    pub now: Timestamp,
}

impl Letter<'_> {
    /// The mail, every line ended by CRLF, pure ASCII.
    ///
    /// # Errors
    /// The parts make no mail, in one line.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        let domain = self.from.email.domain();
        let id = self.message_id();
        // No mail was ever sent under this id: it is the root that all mails of one conversation name, so that clients show
        // them together whichever of them was delivered, deleted or came first.
        let root = format!("<thread.{}@{domain}>", digest(&[self.channel, self.thread]));
        let list = format!("jobrelay alerts <{}.jobrelay.{domain}>", atom(self.channel));
        // `=_` can stand in neither encoding of a body, so no body can hold its own boundary (RFC 2045, section 6.7).
        let boundary = format!("=_jobrelay_{}", digest(&[&id]));
        let alternatives = MultiPart::alternative().boundary(boundary).singlepart(part(ContentType::TEXT_PLAIN, self.text));
        let page = part(ContentType::TEXT_HTML, self.html);
        let parts = match (self.picture, "image/png".parse()) {
            (Some(picture), Ok(png)) => {
                let shown = Attachment::new_inline(PICTURE.trim_start_matches("cid:").to_owned()).body(picture.to_vec(), png);
                let boundary = format!("=_related_{}", digest(&[&id]));
                alternatives.multipart(MultiPart::related().boundary(boundary).singlepart(page).singlepart(shown))
            }
            _ => alternatives.singlepart(page),
        };
        let message = Message::builder()
            .header(Date::new(self.now.max(Timestamp::UNIX_EPOCH).into()))
            .from(self.from.clone())
            .to(self.to.clone())
            .subject(subject(self.subject))
            .message_id(Some(id))
            .in_reply_to(root.clone())
            .references(root)
            // No out-of-office reply should answer a machine (RFC 3834; Exchange: MS-OXCMAIL 2.2.3.2.14).
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Auto-Response-Suppress", "OOF, AutoReply, RN, NRN, DR"))
            .raw_header(header("List-Id", &list))
            .multipart(parts)
            .map_err(|error| format!("can't be made a mail: {error}"))?;
        Ok(message.formatted())
    }

    /// The same for every attempt at this notification and recipient.
    fn message_id(&self) -> String {
        let recipient = digest(&[self.to.email.as_ref()]);
        format!("<{}.{}@{}>", atom(self.key), &recipient[..16], self.from.email.domain())
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn part(kind: ContentType, text: &str) -> SinglePart {
    // Text that is mostly not ASCII is shorter in base64. Both keep every line below 78 characters, whatever the text.
    let foreign = text.bytes().filter(|byte| !byte.is_ascii()).count();
    let encoding = if foreign * 6 > text.len() { ContentTransferEncoding::Base64 } else { ContentTransferEncoding::QuotedPrintable };
    let body = Body::new_with_encoding(text.to_owned(), encoding)
        // Neither encoding refuses any text; should one, eight bits are what is left.
        .unwrap_or_else(|bytes| Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::Binary));
    SinglePart::builder().header(kind).body(body)
}

/// One line of at most [`SUBJECT_CHARS`], without characters that act instead of being seen. What looks like an encoded word
/// (RFC 2047) would be read as what it stands for: an invisible joiner in it makes it text, which is then encoded as a whole.
fn subject(text: &str) -> String {
    let mut line = String::new();
    let acts = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word: String = word.chars().filter(|c| !acts(*c)).collect::<String>().replace("=?", "=\u{2060}?");
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    if line.chars().count() > SUBJECT_CHARS {
        line = line.chars().take(SUBJECT_CHARS - 1).chain(['…']).collect();
    }
    line
}

/// Letters, digits, `-` and `_`: what can stand in an id of a mail or a list. Other characters become `-`.
fn atom(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect()
}

/// 32 hexadecimal digits of the SHA-256 of the texts, each with its length, so that no two lists of texts look alike.
fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().iter().take(16).fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use mail_parser::{HeaderValue as Parsed, MessageParser, MimeHeaders};
    use proptest::prelude::*;

    use super::*;

    fn letter<'l>(from: &'l Mailbox, to: &'l Mailbox) -> Letter<'l> {
        Letter {
            channel: "admins",
            from,
            to,
            key: "msg_0123abc",
            thread: "contoso\nscan sites",
            subject: "[critical] Scan failed: scan sites (contoso)",
            html: "<p>One</p>",
            text: "One",
            picture: None,
            now: Timestamp::from_second(1_727_330_320).unwrap(),
        }
    }

    fn mailbox(text: &str) -> Mailbox {
        super::super::address::parse(text).unwrap()
    }

    fn header_lines(bytes: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(bytes).unwrap();
        text.split("\r\n\r\n").next().unwrap().split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn it_carries_what_automatic_mail_should() {
        let (from, to) = (mailbox("Scan alerts <jobrelay@contoso.example>"), mailbox("A Person <ops@contoso.example>"));
        let bytes = letter(&from, &to).bytes().unwrap();
        let mail = MessageParser::default().parse(&bytes).unwrap();
        let text = |name: &'static str| match mail.header(name) {
            Some(Parsed::Text(text)) => text.to_string(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(mail.subject(), Some("[critical] Scan failed: scan sites (contoso)"));
        assert_eq!(mail.from().unwrap().first().unwrap().address(), Some("jobrelay@contoso.example"));
        assert_eq!(mail.to().unwrap().first().unwrap().address(), Some("ops@contoso.example"));
        assert_eq!(mail.date().unwrap().to_rfc3339(), "2024-09-26T05:58:40Z");
        assert_eq!(text("Auto-Submitted"), "auto-generated");
        assert_eq!(text("X-Auto-Response-Suppress"), "OOF, AutoReply, RN, NRN, DR");
        assert!(header_lines(&bytes).contains(&"List-Id: jobrelay alerts <admins.jobrelay.contoso.example>".to_owned()));
        assert_eq!(mail.content_type().unwrap().subtype(), Some("alternative"));
        assert_eq!(mail.body_text(0).unwrap(), "One");
        assert_eq!(mail.body_html(0).unwrap(), "<p>One</p>");
        assert!(mail.message_id().unwrap().starts_with("msg_0123abc."));
        assert_eq!(mail.in_reply_to(), mail.references());
    }

    #[test]
    fn a_picture_lies_beside_the_page_that_shows_it() {
        let (from, to) = (mailbox("j@contoso.example"), mailbox("a@x.example"));
        let png: Vec<u8> = (0..=255).collect();
        let html = format!("<img src=\"{PICTURE}\">");
        let bytes = Letter { picture: Some(&png), html: &html, ..letter(&from, &to) }.bytes().unwrap();
        assert!(bytes.is_ascii());
        let mail = MessageParser::default().parse(&bytes).unwrap();
        let kinds: Vec<String> = mail
            .parts
            .iter()
            .map(|part| part.content_type().unwrap())
            .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap()))
            .collect();
        assert_eq!(kinds, ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]);
        let picture = &mail.parts[4];
        assert_eq!((picture.content_id(), picture.contents()), (PICTURE.strip_prefix("cid:"), png.as_slice()));
        assert!(picture.content_disposition().unwrap().is_inline());
        assert_eq!((mail.body_text(0).unwrap(), mail.html_body_count()), ("One".into(), 1));
    }

    #[test]
    fn ids_follow_what_they_stand_for_and_nothing_else() {
        let (from, a, b) = (mailbox("j@contoso.example"), mailbox("a@x.example"), mailbox("b@x.example"));
        let first = letter(&from, &a);
        let parsed = |letter: &Letter<'_>| {
            let bytes = letter.bytes().unwrap();
            let mail = MessageParser::default().parse(&bytes).unwrap();
            (mail.message_id().unwrap().to_owned(), mail.references().as_text().unwrap().to_owned())
        };
        let (id, root) = parsed(&first);
        let later = Letter { now: first.now + jiff::SignedDuration::from_hours(5), text: "reworded", ..first };
        assert_eq!(parsed(&later), (id.clone(), root.clone()));
        let other_recipient = parsed(&letter(&from, &b));
        assert_ne!(other_recipient.0, id);
        assert_eq!(other_recipient.1, root);
        let other_thread = parsed(&Letter { thread: "contoso\nscan teams", ..first });
        assert_eq!(other_thread.0, id);
        assert_ne!(other_thread.1, root);
    }

    #[test]
    fn a_name_that_looks_encoded_is_read_as_it_is_written() {
        let (from, to) = (mailbox("j@contoso.example"), mailbox("a@x.example"));
        for name in ["=?utf-8?q?all_is_well?=", "x=?utf-8?b?YWxsIGlzIHdlbGw=?=", "=\u{202e}?utf-8?q?all_is_well?="] {
            let bytes = Letter { subject: &format!("Scan failed: {name}"), ..letter(&from, &to) }.bytes().unwrap();
            let mail = MessageParser::default().parse(&bytes).unwrap();
            let seen = mail.subject().unwrap().replace('\u{2060}', "");
            assert_eq!(seen, format!("Scan failed: {}", name.replace('\u{202e}', "")));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_words_it_is_one_mail_that_reads_back(
            subject_text in any::<String>(), html in any::<String>(), text in any::<String>(),
            channel in any::<String>(), key in any::<String>(), thread in any::<String>(), long in 0_usize..3,
        ) {
            let (from, to) = (mailbox("\"A, \u{e9}\" <j@contoso.example>"), mailbox("a@x.example"));
            let html = html.repeat(1 + long * 40);
            let parts = Letter { channel: &channel, key: &key, thread: &thread, subject: &subject_text, html: &html, text: &text, ..letter(&from, &to) };
            let bytes = parts.bytes().unwrap();
            prop_assert!(bytes.is_ascii());
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                prop_assert!(line.ends_with(b"\r") && line.len() <= 999, "a line of {} bytes", line.len());
            }
            let names: Vec<String> = header_lines(&bytes).iter().filter(|line| !line.starts_with([' ', '\t'])).map(|line| line.split(':').next().unwrap().to_owned()).collect();
            prop_assert_eq!(names, ["Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "X-Auto-Response-Suppress", "List-Id", "MIME-Version", "Content-Type"]);
            let mail = MessageParser::default().parse(&bytes).unwrap();
            let seen = mail.subject().unwrap_or_default();
            prop_assert!(seen.chars().count() <= SUBJECT_CHARS && !seen.chars().any(char::is_control), "{:?}", seen);
            prop_assert_eq!(seen, subject(&subject_text));
            prop_assert_eq!(mail.parts.len(), 3);
            let plain = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(plain(mail.parts[1].text_contents().unwrap()), plain(&text));
            prop_assert_eq!(plain(mail.parts[2].text_contents().unwrap()), plain(&html));
        }
    }
}
