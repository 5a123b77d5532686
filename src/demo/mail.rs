//! A mail server for the demo: the least of SMTP that a client needs to hand over a mail, for one machine alone.
//!
//! No TLS and no login: it listens on loopback and keeps nothing.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// The longest line it reads; RFC 5321 asks for 1,000.
const LINE: u64 = 8 * 1024;
/// The largest mail it takes.
const MAIL: usize = 4 * 1024 * 1024;
/// How long it waits for a client's next line: RFC 5321, 4.5.3.2.7.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// A mail as it was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The address after `MAIL FROM`.
    pub from: String,
    /// The addresses after `RCPT TO`.
    pub to: Vec<String>,
    /// Headers and body, without the dots of the transport.
    pub data: Vec<u8>,
}

/// Serves until the listener breaks; each mail is handed to `take` before it is acknowledged.
pub async fn serve(listener: TcpListener, take: impl Fn(Envelope) + Clone + Send + Sync + 'static) {
    while let Ok((stream, _)) = listener.accept().await {
        let take = take.clone();
        tokio::spawn(async move {
            // A client that breaks off has said all it will: there is nobody to tell.
            let _ = session(stream, take).await;
        });
    }
}

async fn session(stream: TcpStream, take: impl Fn(Envelope)) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.contoso.example ESMTP demo\r\n").await?;
    let (mut from, mut to): (Option<String>, Vec<String>) = (None, Vec::new());
    while let Some(line) = read_line(&mut stream).await? {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let upper = text.to_ascii_uppercase();
        let verb = upper.split([' ', ':']).next().unwrap_or_default();
        let answer = match verb {
            "EHLO" => "250-mail.contoso.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 4194304".into(),
            "HELO" => "250 mail.contoso.example".into(),
            "MAIL" => match path(text) {
                Some(address) => {
                    (from, to) = (Some(address), Vec::new());
                    "250 2.1.0 sender ok".into()
                }
                None => "501 5.5.4 write MAIL FROM:<address>".into(),
            },
            "RCPT" if from.is_none() => "503 5.5.1 MAIL comes first".into(),
            "RCPT" => match path(text).filter(|address| !address.is_empty()) {
                Some(address) => {
                    to.push(address);
                    "250 2.1.5 recipient ok".into()
                }
                None => "501 5.5.4 write RCPT TO:<address>".into(),
            },
            "DATA" if to.is_empty() => "503 5.5.1 RCPT comes first".into(),
            "DATA" => {
                stream.write_all(b"354 end with a dot alone\r\n").await?;
                let Some(data) = read_data(&mut stream).await? else { return Ok(()) };
                if data.len() > MAIL {
                    "552 5.3.4 too large".into()
                } else {
                    take(Envelope { from: from.take().unwrap_or_default(), to: std::mem::take(&mut to), data });
                    "250 2.0.0 taken".to_owned()
                }
            }
            "RSET" => {
                (from, to) = (None, Vec::new());
                "250 2.0.0 forgotten".into()
            }
            "NOOP" => "250 2.0.0 here".into(),
            "QUIT" => {
                stream.write_all(b"221 2.0.0 bye\r\n").await?;
                return Ok(());
            }
            _ => "502 5.5.1 not known here".into(),
        };
        // In one piece: a second small write would wait for the first one's acknowledgement.
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// One line with its end; none when the client has gone, is silent for too long or writes without end.
async fn read_line(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = (&mut *stream).take(LINE);
    match timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await {
        Ok(read) => {
            read?;
            Ok(line.ends_with(b"\n").then_some(line))
        }
        Err(_) => Ok(None),
    }
}

/// The lines up to a dot alone. Of a mail that is too large, the rest is read and let go.
async fn read_data(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut data = Vec::new();
    while let Some(line) = read_line(stream).await? {
        if line == b".\r\n" || line == b".\n" {
            return Ok(Some(data));
        }
        if data.len() <= MAIL {
            data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
    Ok(None)
}

/// The address between `<` and `>`.
fn path(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('<')?;
    rest.split_once('>').map(|(address, _)| address.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    async fn talk(said: &str) -> (String, Vec<Envelope>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken: Arc<Mutex<Vec<Envelope>>> = Arc::default();
        let keeps = Arc::clone(&taken);
        tokio::spawn(serve(listener, move |mail| keeps.lock().unwrap().push(mail)));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(said.as_bytes()).await.unwrap();
        let mut answers = String::new();
        // A server that hangs up on unread bytes resets the connection.
        let _ = client.read_to_string(&mut answers).await;
        let taken = taken.lock().unwrap().clone();
        (answers, taken)
    }

    #[tokio::test]
    async fn it_takes_a_mail_and_undoes_the_dots() {
        let said = "EHLO me\r\nMAIL FROM:<a@x> BODY=8BITMIME\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
        let (answers, taken) = talk(said).await;
        assert_eq!(taken, [Envelope { from: "a@x".into(), to: vec!["b@y".into()], data: b"Subject: x\r\n\r\n.dot\r\n".to_vec() }]);
        assert!(answers.ends_with("250 2.0.0 taken\r\n221 2.0.0 bye\r\n"), "{answers}");
    }

    #[tokio::test]
    async fn it_refuses_what_is_out_of_order_and_goes_on() {
        let said = "RCPT TO:<b@y>\r\nDATA\r\nMAIL FROM a\r\nVRFY x\r\nNOOP\r\nQUIT\r\n";
        let (answers, taken) = talk(said).await;
        let codes: Vec<&str> = answers.lines().map(|line| &line[..3]).collect();
        assert_eq!((codes, taken), (vec!["220", "503", "503", "501", "502", "250", "221"], vec![]));
    }

    #[tokio::test]
    async fn a_line_without_end_ends_the_session() {
        let (answers, taken) = talk(&"x".repeat(20_000)).await;
        assert!(taken.is_empty() && answers.lines().count() <= 1);
    }
}
