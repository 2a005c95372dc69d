//! A client that holds its connection in its hands: HTTP/1.1, one request at a time, in pieces where a scenario wants it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(super) async fn write(&mut self, text: &str) -> io::Result<()> {
        self.0.get_mut().write_all(text.as_bytes()).await
    }

    /// Sends a request without body.
    pub(super) async fn ask(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.write(&format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n")).await
    }

    /// The status of the next answer, whose headers are read.
    pub(super) async fn head(&mut self) -> io::Result<(u16, Vec<String>)> {
        tokio::time::timeout(PATIENCE, self.read_head()).await.map_err(io::Error::other)?
    }

    async fn read_head(&mut self) -> io::Result<(u16, Vec<String>)> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_ascii_lowercase()),
            }
        }
        let status = lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        Ok((status.unwrap_or(0), lines))
    }

    /// The whole of an answer that says its length; its status.
    pub(super) async fn answer(&mut self) -> io::Result<u16> {
        let (status, headers) = self.head().await?;
        let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).await?;
        Ok(status)
    }

    /// Reads until a text has come.
    pub(super) async fn until(&mut self, text: &str) -> io::Result<()> {
        let read = async {
            let mut all = String::new();
            while !all.contains(text) {
                if self.0.read_line(&mut all).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, read).await.map_err(io::Error::other)?
    }
}

/// One request on a connection of its own; its status.
pub(super) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<u16> {
    let mut connection = Connection::open(address).await?;
    connection.ask(path, headers).await?;
    connection.answer().await
}
