//! A stand-in for a mail server: takes mail as RFC 5321 has it, keeps it, and answers as told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// In place of an answer: the connection is closed.
pub const CUT: &str = "cut";
/// In place of an answer: there is none, and the connection stays open.
pub const SILENCE: &str = "silence";
/// What the end of a mail is called where answers are told.
pub const FINAL_DOT: &str = ".";

/// The root that issued the server's certificate, for `localhost` and `127.0.0.1`. No key of the root exists.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/common/tls/ca.pem");

/// One mail that was taken.
#[derive(Clone, Debug)]
pub struct MailTaken {
    pub from: String,
    pub to: Vec<String>,
    /// The whole message, without the dots that kept it apart from its end.
    pub data: String,
    /// Whether it came in TLS.
    pub tls: bool,
    /// In which connection, from 1.
    pub connection: usize,
}

/// How the server behaves. The default is one without TLS and login that takes several commands at once.
#[derive(Clone, Debug)]
pub struct Manner {
    pub pipelining: bool,
    /// Whether it offers STARTTLS.
    pub starttls: bool,
    /// Whether TLS begins with the first byte.
    pub implicit: bool,
    /// The login it wants before it takes mail, and the mechanisms it offers for that.
    pub login: Option<(&'static str, &'static str, &'static str)>,
    /// The user and the token it takes by XOAUTH2, as Exchange Online does, if any.
    pub token: Option<(&'static str, &'static str)>,
}

impl Default for Manner {
    fn default() -> Self {
        Self { pipelining: true, starttls: false, implicit: false, login: None, token: None }
    }
}

#[derive(Default)]
struct Inside {
    taken: Vec<MailTaken>,
    commands: Vec<String>,
    connections: usize,
    next: Vec<(String, String)>,
    always: Vec<(String, String)>,
}

/// A running mail server.
#[derive(Clone)]
pub struct Smtp {
    inside: Arc<Mutex<Inside>>,
    manner: Manner,
    tls: Arc<ServerConfig>,
    pub address: SocketAddr,
}

impl Smtp {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { inside: Arc::default(), manner, tls: tls(), address: listener.local_addr().unwrap() };
        let shared = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = shared.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        server
    }

    /// The next command that begins so is answered so; several wait their turn.
    pub fn next(&self, command: &str, answer: &str) {
        self.inside.lock().unwrap().next.push((command.to_owned(), answer.to_owned()));
    }

    /// Every command that begins so is answered so.
    pub fn always(&self, command: &str, answer: &str) {
        self.inside.lock().unwrap().always.push((command.to_owned(), answer.to_owned()));
    }

    pub fn taken(&self) -> Vec<MailTaken> {
        self.inside.lock().unwrap().taken.clone()
    }

    /// Every command of every connection, in order, without the mails themselves.
    pub fn commands(&self) -> Vec<String> {
        self.inside.lock().unwrap().commands.clone()
    }

    pub fn connections(&self) -> usize {
        self.inside.lock().unwrap().connections
    }

    /// Waits until so many mails have come in all.
    pub async fn holds(&self, count: usize) -> Vec<MailTaken> {
        super::until(&format!("{count} mails are taken"), || self.inside.lock().unwrap().taken.len() >= count).await;
        self.taken()
    }

    fn told(&self, command: &str) -> Option<String> {
        let mut inside = self.inside.lock().unwrap();
        if let Some(at) = inside.next.iter().position(|(prefix, _)| command.starts_with(prefix.as_str())) {
            return Some(inside.next.remove(at).1);
        }
        inside.always.iter().find(|(prefix, _)| command.starts_with(prefix.as_str())).map(|(_, answer)| answer.clone())
    }

    async fn serve(self, stream: TcpStream) {
        let connection = {
            let mut inside = self.inside.lock().unwrap();
            inside.connections += 1;
            inside.connections
        };
        stream.set_nodelay(true).unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&self.tls));
        if self.manner.implicit {
            if let Ok(stream) = acceptor.accept(stream).await {
                Talk::new(&self, connection, true, stream).greet().await;
            }
            return;
        }
        if let Some(stream) = Talk::new(&self, connection, false, stream).greet().await
            && let Ok(stream) = acceptor.accept(stream).await
        {
            Talk::new(&self, connection, true, stream).listen().await;
        }
    }
}

fn tls() -> Arc<ServerConfig> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/common/tls");
    let chain = CertificateDer::pem_file_iter(format!("{folder}/server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// What becomes of a conversation after a command.
enum After {
    GoOn,
    Encrypt,
    End,
}

struct Talk<'s, S> {
    server: &'s Smtp,
    connection: usize,
    tls: bool,
    known: bool,
    from: Option<String>,
    to: Vec<String>,
    stream: BufReader<S>,
}

impl<'s, S: AsyncRead + AsyncWrite + Unpin> Talk<'s, S> {
    fn new(server: &'s Smtp, connection: usize, tls: bool, stream: S) -> Self {
        Self { server, connection, tls, known: false, from: None, to: Vec::new(), stream: BufReader::new(stream) }
    }

    async fn greet(mut self) -> Option<S> {
        match self.answer("connect", "220 mail.example ESMTP").await {
            After::GoOn => self.listen().await,
            After::Encrypt | After::End => None,
        }
    }

    /// Answers until the end, or until TLS is to begin on the stream handed back.
    async fn listen(mut self) -> Option<S> {
        while let Some(line) = self.line().await {
            self.server.inside.lock().unwrap().commands.push(line.clone());
            match self.command(&line).await {
                After::GoOn => {}
                After::Encrypt => return Some(self.stream.into_inner()),
                After::End => break,
            }
        }
        None
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.ok()?;
        let line = line.strip_suffix(b"\r\n")?;
        Some(String::from_utf8(line.to_vec()).unwrap())
    }

    /// Gives the answer told for this command, or the usual one.
    async fn answer(&mut self, command: &str, usual: &str) -> After {
        let answer = self.server.told(command).unwrap_or_else(|| usual.to_owned());
        match answer.as_str() {
            CUT => After::End,
            SILENCE => After::GoOn,
            answer => {
                let sent = self.stream.write_all(format!("{answer}\r\n").as_bytes()).await;
                let _ = self.stream.flush().await;
                if sent.is_err() || answer.starts_with("421") { After::End } else { After::GoOn }
            }
        }
    }

    async fn command(&mut self, line: &str) -> After {
        let manner = self.server.manner.clone();
        let address = |line: &str| line.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned();
        let told = self.server.inside.lock().unwrap().next.iter().any(|(prefix, _)| line.starts_with(prefix.as_str()))
            || self.server.inside.lock().unwrap().always.iter().any(|(prefix, _)| line.starts_with(prefix.as_str()));
        match line.split([' ', ':']).next().unwrap() {
            _ if told && !line.starts_with("DATA") => self.answer(line, "").await,
            "EHLO" => {
                let mut offers = vec!["mail.example", "SIZE 1000000"];
                offers.extend(manner.pipelining.then_some("PIPELINING"));
                offers.extend((manner.starttls && !self.tls).then_some("STARTTLS"));
                let login = manner.login.map(|(mechanisms, ..)| format!("AUTH {mechanisms}"));
                let login = login.or_else(|| manner.token.map(|_| "AUTH LOGIN XOAUTH2".to_owned()));
                offers.extend(login.as_deref());
                let last = offers.len() - 1;
                let lines: Vec<String> =
                    offers.iter().enumerate().map(|(at, offer)| format!("250{}{offer}", if at < last { '-' } else { ' ' })).collect();
                self.answer(line, &lines.join("\r\n")).await
            }
            "STARTTLS" => match self.answer(line, "220 go ahead").await {
                After::GoOn => After::Encrypt,
                after => after,
            },
            "AUTH" => self.log_in(line).await,
            "MAIL" if (manner.login.is_some() || manner.token.is_some()) && !self.known => {
                self.answer(line, "530 5.7.0 Authentication required").await
            }
            "MAIL" if self.from.is_some() => self.answer(line, "503 5.5.1 nested MAIL command").await,
            "MAIL" => {
                self.from = Some(address(line));
                self.answer(line, "250 2.1.0 ok").await
            }
            "RCPT" if self.from.is_none() => self.answer(line, "503 5.5.1 MAIL first").await,
            "RCPT" => {
                self.to.push(address(line));
                self.answer(line, "250 2.1.5 ok").await
            }
            "DATA" if self.to.is_empty() && !told => self.answer(line, "554 5.5.1 no valid recipients").await,
            "DATA" => self.mail(line).await,
            "RSET" => {
                (self.from, self.to) = (None, Vec::new());
                self.answer(line, "250 2.0.0 ok").await
            }
            "NOOP" => self.answer(line, "250 2.0.0 ok").await,
            "QUIT" => {
                self.answer(line, "221 2.0.0 bye").await;
                After::End
            }
            _ => self.answer(line, "502 5.5.2 unknown command").await,
        }
    }

    /// A token that is not right is told of in a challenge, and refused once that is answered by an empty line.
    async fn take_token(&mut self, given: &str) -> After {
        let right = self.server.manner.token.map(|(user, token)| format!("user={user}\x01auth=Bearer {token}\x01\x01"));
        self.known = right.is_some_and(|right| given == STANDARD.encode(right));
        if self.known {
            return self.answer("login", "235 2.7.0 welcome").await;
        }
        let challenge = STANDARD.encode(r#"{"status":"401","schemes":"Bearer"}"#);
        if matches!(self.answer("challenge", &format!("334 {challenge}")).await, After::End) {
            return After::End;
        }
        match self.line().await.as_deref() {
            Some("") => self.answer("login", "535 5.7.3 Authentication unsuccessful").await,
            Some(_) => self.answer("login", "501 5.5.2 an empty line was due").await,
            None => After::End,
        }
    }

    async fn log_in(&mut self, line: &str) -> After {
        if let Some(given) = line.strip_prefix("AUTH XOAUTH2 ").filter(|_| self.server.manner.token.is_some()) {
            return self.take_token(given).await;
        }
        let Some((mechanisms, user, password)) = self.server.manner.login else {
            return self.answer(line, "503 5.5.1 no login here").await;
        };
        let encoded = |text: String| STANDARD.encode(text);
        self.known = match line.split(' ').collect::<Vec<_>>()[..] {
            ["AUTH", "PLAIN", given] if mechanisms.contains("PLAIN") => given == encoded(format!("\0{user}\0{password}")),
            ["AUTH", "LOGIN"] if mechanisms.contains("LOGIN") => {
                let mut right = true;
                for (question, wanted) in [("VXNlcm5hbWU6", user), ("UGFzc3dvcmQ6", password)] {
                    self.answer("challenge", &format!("334 {question}")).await;
                    right &= self.line().await.is_some_and(|given| given == encoded(wanted.to_owned()));
                }
                right
            }
            _ => return self.answer(line, "504 5.5.4 unknown mechanism").await,
        };
        let usual = if self.known { "235 2.7.0 welcome" } else { "535 5.7.8 bad credentials" };
        self.answer("login", usual).await
    }

    async fn mail(&mut self, line: &str) -> After {
        let answer = self.server.told(line).unwrap_or_else(|| "354 go ahead".to_owned());
        if answer == CUT {
            return After::End;
        }
        self.stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
        if !answer.starts_with("354") {
            return After::GoOn;
        }
        let mut data = String::new();
        loop {
            let Some(line) = self.line().await else { return After::End };
            if line == "." {
                break;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
        }
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        let told = self.server.told(FINAL_DOT);
        let takes = told.as_deref().is_none_or(|answer| answer.starts_with('2') || answer == CUT || answer == SILENCE);
        let number = {
            let mut inside = self.server.inside.lock().unwrap();
            if takes && !to.is_empty() {
                let mail = MailTaken { from, to, data, tls: self.tls, connection: self.connection };
                inside.taken.push(mail);
            }
            inside.taken.len()
        };
        match told.as_deref() {
            Some(CUT) => After::End,
            Some(SILENCE) => After::GoOn,
            answer => {
                let usual = format!("250 2.0.0 queued as {number}");
                let answer = answer.unwrap_or(&usual).to_owned();
                let _ = self.stream.write_all(format!("{answer}\r\n").as_bytes()).await;
                let _ = self.stream.flush().await;
                if answer.starts_with("421") { After::End } else { After::GoOn }
            }
        }
    }
}
