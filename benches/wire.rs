//! Just enough HTTP/1.1 for a peer that costs next to nothing beside what is measured.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One request: its target, its `authorization`, its body.
pub struct Request<'r> {
    /// Path and query.
    pub target: &'r str,
    /// The value of `authorization`, or nothing.
    pub authorization: &'r str,
    /// The body.
    pub body: &'r [u8],
}

/// Answers a request with the bytes of a whole response.
pub trait Peer: Send + Sync + 'static {
    /// The response.
    fn answer(&self, request: &Request<'_>) -> Vec<u8>;
    /// How long to keep it back.
    fn hold(&self, _request: &Request<'_>) -> Duration {
        Duration::ZERO
    }
}

/// Serves on a free port of loopback; `http://127.0.0.1:PORT`.
pub async fn serve(peer: Arc<impl Peer>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(talk(stream, Arc::clone(&peer)));
        }
    });
    url
}

/// One connection, until the other side closes it.
async fn talk(mut stream: TcpStream, peer: Arc<impl Peer>) {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let Some((head, length)) = head(&buffer) else {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let (hold, response) = {
            let text = std::str::from_utf8(&buffer[..head]).unwrap();
            let target = text.split(' ').nth(1).unwrap_or_default();
            let request = Request { target, authorization: header(text, "authorization"), body: &buffer[head..head + length] };
            (peer.hold(&request), peer.answer(&request))
        };
        buffer.drain(..head + length);
        if !hold.is_zero() {
            tokio::time::sleep(hold).await;
        }
        if stream.write_all(&response).await.is_err() {
            return;
        }
    }
}

/// Where the body begins and how long it is, once the head is whole.
fn head(buffer: &[u8]) -> Option<(usize, usize)> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let length = header(std::str::from_utf8(&buffer[..end]).unwrap(), "content-length");
    Some((end, length.parse().unwrap_or(0)))
}

fn header<'t>(head: &'t str, name: &str) -> &'t str {
    head.lines()
        .find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
        .unwrap_or_default()
}

/// A response with this body.
pub fn ok(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut response = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    response.extend_from_slice(body);
    response
}
