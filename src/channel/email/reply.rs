//! A mail server's replies (RFC 5321, section 4.2).

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::http::shorten;

/// The longest line read. RFC 5321 allows 512 octets; servers put long links into theirs.
const LINE_BYTES: u64 = 4 * 1024;
/// The most lines of one reply.
const LINES: usize = 100;

/// One whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// The text behind the code, line by line.
    pub lines: Vec<String>,
}

impl Reply {
    /// Reads one reply.
    ///
    /// # Errors
    /// The connection ended or broke, or what came is no reply.
    pub async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let line = line(from).await?;
            let (code, more, text) = parts(&line).ok_or_else(|| invalid("the answer is not of SMTP"))?;
            lines.push(text.to_owned());
            if !more {
                return Ok(Self { code, lines });
            }
            if lines.len() >= LINES {
                return Err(invalid("the answer has too many lines"));
            }
        }
    }

    /// 2yz: done.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 5yz: refused for good.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced status code at the head of the text, as `5.7.30` (RFC 3463).
    #[must_use]
    pub fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split_whitespace().next()?;
        let dots = word.bytes().filter(|b| *b == b'.').count();
        (dots == 2 && word.bytes().all(|b| b == b'.' || b.is_ascii_digit())).then_some(word)
    }

    /// The whole reply as one short line.
    #[must_use]
    pub fn shown(&self) -> String {
        shorten(&format!("{} {}", self.code, self.lines.join(" ")))
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    let read = from.take(LINE_BYTES).read_until(b'\n', &mut line).await?;
    if !line.ends_with(b"\n") {
        let long = read as u64 >= LINE_BYTES;
        return Err(if long { invalid("the answer has too long a line") } else { io::ErrorKind::UnexpectedEof.into() });
    }
    Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}

/// The code, whether more lines follow, and the text.
fn parts(line: &str) -> Option<(u16, bool, &str)> {
    let (code, rest) = (line.get(..3)?, line.get(3..)?);
    let code = code.bytes().all(|b| b.is_ascii_digit()).then(|| code.parse().ok()).flatten().filter(|code| (200..600).contains(code))?;
    match rest.as_bytes().first() {
        None => Some((code, false, "")),
        Some(b' ') => Some((code, false, &rest[1..])),
        Some(b'-') => Some((code, true, &rest[1..])),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read(text: &str) -> Result<(u16, Vec<String>), io::ErrorKind> {
        let mut bytes = text.as_bytes();
        Reply::read(&mut bytes).await.map(|reply| (reply.code, reply.lines)).map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn reads_one_line_and_many() {
        let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(read("250 ok\r\n").await, Ok((250, lines(&["ok"]))));
        assert_eq!(read("354\r\n").await, Ok((354, lines(&[""]))));
        assert_eq!(read("250-mail\r\n250-PIPELINING\n250 SIZE 1\r\nrest").await, Ok((250, lines(&["mail", "PIPELINING", "SIZE 1"]))));
    }

    #[tokio::test]
    async fn refuses_what_is_no_reply_and_what_never_ends() {
        for text in ["HTTP/1.1 400 Bad Request\r\n", "25\r\n", "250ok\r\n", "ééé\r\n", "099 x\r\n", "999 x\r\n", "+50 x\r\n"] {
            assert_eq!(read(text).await, Err(io::ErrorKind::InvalidData), "{text}");
        }
        assert_eq!(read(&"250-on\r\n".repeat(5_000)).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(read(&"2".repeat(1_000_000)).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(read("250-half\r\n").await, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read("").await, Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn finds_the_enhanced_code() {
        let reply = |text: &str| Reply { code: 550, lines: vec![text.to_owned()] };
        assert_eq!(reply("5.7.30 Basic authentication is not supported").enhanced(), Some("5.7.30"));
        assert_eq!(reply("see 5.7.30").enhanced(), None);
        assert_eq!(reply("").enhanced(), None);
    }

    proptest! {
        #[test]
        fn a_reply_is_shown_in_one_line(text in any::<String>()) {
            let shown = Reply { code: 550, lines: vec![text.clone(), text] }.shown();
            prop_assert!(!shown.chars().any(char::is_control) && shown.chars().count() <= crate::http::ANSWER_SHOWN + 1);
        }
    }
}
