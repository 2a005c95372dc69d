//! HTTP as it stands on the wire, written by hand: what a library would not let a test say.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than the server waits for any body.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Raw {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Raw {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends bytes as they are and reads until the server closes, which every request asks for.
pub async fn send(http: SocketAddr, bytes: &str) -> Raw {
    let mut stream = TcpStream::connect(http).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that has answered may close before it has read all that was sent.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Raw { status, head: head.to_owned(), body: body.to_owned() }
}

/// GET with the header lines given, `Host` among them.
pub async fn get(http: SocketAddr, path: &str, headers: &[&str]) -> Raw {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    send(http, &format!("GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")).await
}

/// An order, as `curl` would send it, with more header lines.
pub async fn order(http: SocketAddr, body: &str, headers: &[&str]) -> Raw {
    let mut lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    for (name, line) in [
        ("host:", format!("Host: {http}\r\n")),
        ("content-type:", "Content-Type: application/json\r\n".to_owned()),
    ] {
        if !headers.iter().any(|header| header.to_lowercase().starts_with(name)) {
            lines += &line;
        }
    }
    let length = body.len();
    let text = format!(
        "POST /api/v1/enforcement HTTP/1.1\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    send(http, &text).await
}
