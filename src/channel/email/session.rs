//! A conversation with a mail server: connected, encrypted, logged in, and good for one mail after the other.
//!
//! Every step is named, so that whoever judges a failure knows what it was about and, above all, whether the mail's last
//! byte was out when it came: only before that is it certain that the mail was not taken.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    time::Instant,
};

use super::{
    dial::{Stream, connect, encrypted},
    reply::Reply,
    server::{MailServer, Security},
    trouble::{Step, Trouble, broken, positive},
};
use crate::domain::Secret;

/// What stands in place of a secret.
const SECRET: &str = "[secret]";
/// The shortest secret that is still looked for once the login is over.
const TELLING: usize = 8;
/// A question within a login (RFC 4954).
pub const CHALLENGE: u16 = 334;

/// What it offers in its answer to `EHLO`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Offers {
    pipelining: bool,
    starttls: bool,
    login: Option<Mechanism>,
    /// XOAUTH2: a user and a token.
    token: bool,
}

/// How a user and a password are handed over, the better way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Older, and all that some servers offer.
    Login,
}

impl Offers {
    fn of(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            // `AUTH=` is how servers wrote it before it was a standard, for clients that still read it.
            let mut words = line.split([' ', '=']);
            match words.next() {
                Some("PIPELINING") => offers.pipelining = true,
                Some("STARTTLS") => offers.starttls = true,
                Some("AUTH") => {
                    for word in words {
                        let known = match word {
                            "PLAIN" => Mechanism::Plain,
                            "LOGIN" => Mechanism::Login,
                            _ => {
                                offers.token |= word == "XOAUTH2";
                                continue;
                            }
                        };
                        offers.login = Some(offers.login.map_or(known, |other| other.min(known)));
                    }
                }
                _ => {}
            }
        }
        offers
    }
}

/// A conversation, ready for a mail.
pub struct Session {
    stream: BufReader<Box<dyn Stream>>,
    own_address: SocketAddr,
    offers: Offers,
    /// What was said to log in, which no answer may give away.
    secrets: Vec<Secret>,
    /// Whether a transaction was begun and not ended.
    underway: bool,
    last_used: Instant,
}

impl Session {
    /// Connects, encrypts and logs in, as `server` asks; with `token` where its login has no password.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn open(server: &MailServer, tls: &Arc<ClientConfig>, token: Option<&Secret>) -> Result<Self, Trouble> {
        let mut session = match Self::greeted(server, server.security, tls).await {
            Err(Trouble::Untrusted(_)) if server.security == Security::Waived => Self::bare(server).await?,
            result => result?,
        };
        if let Some(login) = &server.login {
            match (&login.password, token) {
                (Some(password), _) => session.log_in(&login.user, password).await?,
                (None, Some(token)) => session.log_in_by_token(&login.user, token).await?,
                (None, None) => return Err(Trouble::Unable("there is neither a password nor a token for the user in `smtp`")),
            }
        }
        Ok(session)
    }

    async fn greeted(server: &MailServer, security: Security, tls: &Arc<ClientConfig>) -> Result<Self, Trouble> {
        if security == Security::Implicit {
            let (stream, own_address) = connect(server).await?;
            return Self::begin(encrypted(Box::new(stream), server, tls).await?, own_address).await;
        }
        let session = Self::bare(server).await?;
        match (session.offers.starttls, security) {
            (true, _) => session.start_tls(server, tls).await,
            (false, Security::Required) => Err(Trouble::Unable(
                "it does not offer STARTTLS, and mail is not sent without TLS: use smtps:// if it has a TLS port, or set `allow_insecure: true`",
            )),
            (false, _) => Ok(session),
        }
    }

    async fn bare(server: &MailServer) -> Result<Self, Trouble> {
        let (stream, own_address) = connect(server).await?;
        Self::begin(Box::new(stream), own_address).await
    }

    async fn begin(stream: Box<dyn Stream>, own_address: SocketAddr) -> Result<Self, Trouble> {
        let (stream, last_used) = (BufReader::new(stream), Instant::now());
        let mut session = Self { stream, own_address, offers: Offers::default(), secrets: Vec::new(), underway: false, last_used };
        positive(Step::Greeting, session.reply(Step::Greeting).await?)?;
        session.hello().await?;
        Ok(session)
    }

    async fn hello(&mut self) -> Result<(), Trouble> {
        // An address literal is right wherever the program runs; a container's host name is no name to anyone (RFC 5321,
        // section 4.1.4).
        let name = match self.own_address {
            SocketAddr::V4(address) => format!("[{}]", address.ip()),
            SocketAddr::V6(address) => format!("[IPv6:{}]", address.ip()),
        };
        let reply = positive(Step::Hello, self.ask(Step::Hello, &format!("EHLO {name}")).await?)?;
        self.offers = Offers::of(&reply);
        Ok(())
    }

    async fn start_tls(mut self, server: &MailServer, tls: &Arc<ClientConfig>) -> Result<Self, Trouble> {
        positive(Step::StartTls, self.ask(Step::StartTls, "STARTTLS").await?)?;
        if !self.stream.buffer().is_empty() {
            // Said before the handshake, to be read after it: the words of someone between, who can't be let in.
            return Err(Trouble::Broken { at: Step::StartTls, why: "words followed its answer that are not encrypted".into() });
        }
        let stream = encrypted(self.stream.into_inner(), server, tls).await?;
        self.stream = BufReader::new(stream);
        self.hello().await?;
        Ok(self)
    }

    async fn log_in(&mut self, user: &Secret, password: &Secret) -> Result<(), Trouble> {
        let encoded = |text: &str| Secret::new(STANDARD.encode(text));
        let plain = encoded(&format!("\0{}\0{}", user.expose(), password.expose()));
        let words = [encoded(user.expose()), encoded(password.expose())];
        self.secrets = vec![plain.clone(), words[1].clone(), password.clone()];
        let reply = match self.offers.login {
            Some(Mechanism::Plain) => self.ask(Step::Login, &format!("AUTH PLAIN {}", plain.expose())).await?,
            Some(Mechanism::Login) => {
                let mut reply = self.ask(Step::Login, "AUTH LOGIN").await?;
                for word in &words {
                    if reply.code == CHALLENGE {
                        reply = self.ask(Step::Login, word.expose()).await?;
                    }
                }
                reply
            }
            None => return Err(Trouble::Unable("it offers no login by user and password (AUTH PLAIN or LOGIN)")),
        };
        self.welcomed(reply)
    }

    /// Logs in by XOAUTH2. Source: "SASL XOAUTH2", the page that `super::oauth` names.
    async fn log_in_by_token(&mut self, user: &Secret, token: &Secret) -> Result<(), Trouble> {
        if !self.offers.token {
            return Err(Trouble::Unable("it offers no login by token (AUTH XOAUTH2): take `oauth` out and write a password in `smtp`"));
        }
        let bearer = Secret::new(format!("user={}\x01auth=Bearer {}\x01\x01", user.expose(), token.expose()));
        let line = Secret::new(STANDARD.encode(bearer.expose()));
        self.secrets = vec![line.clone(), bearer, token.clone()];
        let mut reply = self.ask(Step::Login, &format!("AUTH XOAUTH2 {}", line.expose())).await?;
        if reply.code == CHALLENGE {
            // A refused token is told of in a challenge. It is owed an empty answer, and only then comes the refusal.
            reply = match self.ask(Step::Login, "").await {
                // A server that hangs up instead has refused it all the same.
                Err(Trouble::Broken { .. }) => Reply { code: CHALLENGE, lines: vec!["the token is refused without a word".into()] },
                result => result?,
            };
        }
        self.welcomed(reply)
    }

    /// Nothing, if the login was taken.
    fn welcomed(&mut self, reply: Reply) -> Result<(), Trouble> {
        if reply.code != 235 {
            return Err(Trouble::Answered { to: Step::Login, reply });
        }
        // A shorter one may be a word that any answer holds, and to take it out would tell it.
        self.secrets.retain(|secret| secret.expose().len() >= TELLING);
        Ok(())
    }

    /// Sends one mail to one recipient. `content` is a whole message with CRLF at each line's end.
    ///
    /// # Errors
    /// See [`Trouble`]. After an answer other than 421 the conversation is good for the next mail.
    pub async fn transact(&mut self, from: &str, to: &str, content: &[u8]) -> Result<Reply, Trouble> {
        let mut script = vec![
            (Step::Sender, format!("MAIL FROM:<{from}>\r\n")),
            (Step::Recipient, format!("RCPT TO:<{to}>\r\n")),
            (Step::Data, "DATA\r\n".to_owned()),
        ];
        if self.underway {
            script.insert(0, (Step::Reset, "RSET\r\n".to_owned()));
        }
        self.underway = true;
        // One way out and one way back for all of them, where the server can (RFC 2920).
        let together = if self.offers.pipelining { script.len() } else { 1 };
        for steps in script.chunks(together) {
            let commands: String = steps.iter().map(|(_, command)| command.as_str()).collect();
            self.write(steps[0].0, commands.as_bytes()).await?;
            self.answers(steps).await?;
        }
        self.write(Step::Content, &stuffed(content)).await?;
        let reply = positive(Step::Content, self.reply(Step::Content).await?)?;
        self.underway = false;
        self.last_used = Instant::now();
        Ok(reply)
    }

    /// Reads the answers to commands sent together; the first that is not as hoped counts.
    async fn answers(&mut self, steps: &[(Step, String)]) -> Result<(), Trouble> {
        let mut first = None;
        for (step, _) in steps {
            let reply = match self.reply(*step).await {
                Ok(reply) => reply,
                Err(trouble) => return Err(first.unwrap_or(trouble)),
            };
            let hoped = if *step == Step::Data { reply.code == 354 } else { reply.is_positive() };
            let closing = reply.code == 421;
            if hoped && *step == Step::Data && first.is_some() {
                // A server that asks for the mail although it refused the recipient: it is owed an end (RFC 2920, 3.1).
                self.write(Step::Content, b".\r\n").await?;
                self.reply(Step::Content).await?;
            } else if !hoped && first.is_none() {
                first = Some(Trouble::Answered { to: *step, reply });
            }
            if closing {
                break;
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// How long it is since the last mail.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// Says goodbye. Whatever the server makes of it, the conversation is over.
    pub async fn quit(mut self) {
        let _ = self.ask(Step::Reset, "QUIT").await;
    }

    async fn ask(&mut self, step: Step, command: &str) -> Result<Reply, Trouble> {
        self.write(step, format!("{command}\r\n").as_bytes()).await?;
        self.reply(step).await
    }

    async fn write(&mut self, step: Step, bytes: &[u8]) -> Result<(), Trouble> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        write.await.map_err(|error| broken(step, &error))
    }

    async fn reply(&mut self, step: Step) -> Result<Reply, Trouble> {
        let reply = Reply::read(&mut self.stream).await.map_err(|error| broken(step, &error))?;
        Ok(without_echo(reply, &self.secrets))
    }
}

/// The mail with its final dot, and a dot more before each line that begins with one (RFC 5321, section 4.5.2).
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + content.len() / 50 + 5);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// A reply without the secrets: some servers repeat the line they refuse, or its beginning.
fn without_echo(mut reply: Reply, secrets: &[Secret]) -> Reply {
    if secrets.is_empty() {
        return reply;
    }
    for line in &mut reply.lines {
        let mut shown: String = line.chars().filter(|c| !c.is_control()).collect();
        for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
            shown = shown.replace(secret.expose(), SECRET);
        }
        let told = |word: &&str| secrets.iter().any(|secret| secret.is_told_in(word));
        *line = shown.split(' ').map(|word| if told(&word) { SECRET } else { word }).collect::<Vec<_>>().join(" ");
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_begins_with_a_dot_does_not_end_the_mail() {
        for (content, sent) in [
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.\r\nQUIT\r\n", "a\r\n..\r\nQUIT\r\n.\r\n"),
            ("..a\r\n", "...a\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(stuffed(content.as_bytes())).unwrap(), sent);
        }
    }

    #[test]
    fn an_offer_is_read_however_it_is_written() {
        let reply = |lines: &[&str]| Reply { code: 250, lines: lines.iter().map(|line| (*line).to_owned()).collect() };
        let all = Offers { pipelining: true, starttls: true, login: Some(Mechanism::Plain), token: false };
        assert_eq!(Offers::of(&reply(&["mail.example", "PIPELINING", "starttls", "AUTH LOGIN PLAIN"])), all);
        assert_eq!(
            Offers::of(&reply(&["mail.example", "AUTH=PLAIN", "SIZE 10"])),
            Offers { login: Some(Mechanism::Plain), ..Offers::default() }
        );
        let both = Offers { login: Some(Mechanism::Login), token: true, ..Offers::default() };
        assert_eq!(Offers::of(&reply(&["mail.example", "AUTH XOAUTH2 LOGIN"])), both);
        // The first line is a greeting, whatever it says.
        assert_eq!(Offers::of(&reply(&["STARTTLS"])), Offers::default());
    }

    #[test]
    fn a_server_that_repeats_the_password_is_not_repeated() {
        let reply = Reply { code: 501, lines: vec!["bad command: AUTH PLAIN AHVAcHc=".into(), "hunter2?".into()] };
        let [line, password] = ["AHVAcHc=", "hunter2"].map(Secret::new);
        let shown = without_echo(reply, &[line, password]).shown();
        assert_eq!(shown, "501 bad command: AUTH PLAIN [secret] [secret]?");
        let line = Secret::new("dXNlcj1hQGIBYXV0aD1CZWFyZXIgY2FuYXJ5");
        let reply = Reply { code: 500, lines: vec!["5.5.2 too long: AUTH XOAUTH2 dXNlcj1h\tQGIBYXV0aD1C...".into()] };
        assert_eq!(without_echo(reply, &[line]).shown(), "500 5.5.2 too long: AUTH XOAUTH2 [secret]");
    }
}
