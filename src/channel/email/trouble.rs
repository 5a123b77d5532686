//! What can go wrong in a conversation with a mail server, and where.

use std::io;

use super::reply::Reply;
use crate::oauth::TokenError;

/// What the server was answering, or about to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Connecting.
    Connect,
    /// The handshake of TLS.
    Tls,
    /// The server's first line.
    Greeting,
    /// `EHLO`
    Hello,
    /// `STARTTLS`
    StartTls,
    /// `AUTH`
    Login,
    /// `RSET`
    Reset,
    /// `MAIL FROM`
    Sender,
    /// `RCPT TO`
    Recipient,
    /// `DATA`
    Data,
    /// The mail itself, with its final dot: the server may have taken it.
    Content,
}

impl Step {
    /// What it is called in an error.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Tls => "TLS",
            Self::Greeting => "its greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Login => "AUTH",
            Self::Reset => "RSET",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "the mail",
        }
    }
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The server answered, but not as hoped.
    Answered {
        /// What it answered to.
        to: Step,
        /// What it said.
        reply: Reply,
    },
    /// No connection, or it broke.
    Broken {
        /// In which step.
        at: Step,
        /// The innermost reason.
        why: String,
    },
    /// Its certificate can't be trusted.
    Untrusted(String),
    /// There is no token to log in with.
    NoToken(TokenError),
    /// It can't do what the config asks for.
    Unable(&'static str),
}

/// The reply, if it is 2yz.
///
/// # Errors
/// It is another.
pub fn positive(to: Step, reply: Reply) -> Result<Reply, Trouble> {
    if reply.is_positive() { Ok(reply) } else { Err(Trouble::Answered { to, reply }) }
}

/// A broken connection, in the words of its innermost reason.
#[must_use]
pub fn broken(at: Step, error: &io::Error) -> Trouble {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        _ => error.to_string(),
    };
    Trouble::Broken { at, why }
}
