//! A stand-in at the level of bytes, in front of an upstream: what a broken machine or a broken line between answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What becomes of a connection once a request has come in.
#[derive(Clone)]
pub enum Mode {
    /// It is handed on to the upstream.
    Forward,
    /// Nothing ever comes back.
    Hole,
    /// A byte a second of a page that would be whole one day.
    Drip,
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and blanks for ever.
    Endless(Vec<u8>),
}

/// A running stand-in.
pub struct Wire {
    mode: Arc<Mutex<Mode>>,
    held: Arc<Mutex<JoinSet<()>>>,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

impl Wire {
    /// In front of an upstream at `http://HOST:PORT`.
    pub async fn start(upstream: &str, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let wire = Self { mode: Arc::new(Mutex::new(mode)), held: Arc::default(), url };
        let (mode, held, upstream) = (Arc::clone(&wire.mode), Arc::clone(&wire.held), upstream.trim_start_matches("http://").to_owned());
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let mode = mode.lock().unwrap().clone();
                let upstream = upstream.clone();
                // Whoever hangs up early has had enough: that is for the test to judge.
                held.lock().unwrap().spawn(async move { _ = answer(connection, mode, &upstream).await });
            }
        });
        wire
    }

    /// How connections fare from now on; those there are are cut.
    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
        self.held.lock().unwrap().abort_all();
    }
}

async fn answer(mut connection: TcpStream, mode: Mode, upstream: &str) -> std::io::Result<()> {
    if matches!(mode, Mode::Forward) {
        let mut behind = TcpStream::connect(upstream).await?;
        tokio::io::copy_bidirectional(&mut connection, &mut behind).await?;
        return Ok(());
    }
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if connection.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    match mode {
        Mode::Bytes(bytes) => connection.write_all(&bytes).await?,
        Mode::Endless(bytes) => {
            connection.write_all(&bytes).await?;
            loop {
                connection.write_all(&[b' '; 16 * 1024]).await?;
            }
        }
        Mode::Drip => {
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999\r\n\r\n").await?;
            for byte in b"{\"jobs\":[".iter().chain(std::iter::repeat(&b' ')) {
                connection.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Mode::Hole | Mode::Forward => {
            connection.read_to_end(&mut request).await?;
        }
    }
    connection.shutdown().await
}
