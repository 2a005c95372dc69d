//! HTTP/1 by hand on both ends: bytes as they are sent, lines as they are read.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::case::{Case, Cases, PATIENCE, Reader};
use super::kind::{Client, Kind, Step, Upstream};
use super::seen::Seen;

const BLOCK: usize = 64 * 1024;

/// How a connection ended for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ended;

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// How a script left the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Open,
    Closed,
    Reset,
}

/// The reading half, with what was read too far.
struct Wire<'a> {
    read: ReadHalf<'a>,
    data: Vec<u8>,
}

impl<'a> Wire<'a> {
    fn new(read: ReadHalf<'a>) -> Self {
        Self { read, data: Vec::new() }
    }

    async fn more(&mut self) -> Result<(), Ended> {
        self.data.reserve(BLOCK);
        match self.read.read_buf(&mut self.data).await {
            Ok(0) | Err(_) => Err(Ended),
            Ok(_) => Ok(()),
        }
    }

    /// Up to and without the next `end`, which is taken too.
    async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, Ended> {
        loop {
            if let Some(at) = self.data.windows(end.len()).position(|bytes| bytes == end) {
                let rest = self.data.split_off(at + end.len());
                let mut found = std::mem::replace(&mut self.data, rest);
                found.truncate(at);
                return Ok(found);
            }
            self.more().await?;
        }
    }

    /// A body, as far as it comes; then what follows it.
    async fn body(
        &mut self,
        framing: Framing,
        readers: &[&Reader],
        body: &mut Vec<u8>,
    ) -> Result<Vec<Vec<u8>>, Ended> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => self.take(length, readers, body).await.map(|()| Vec::new()),
            Framing::UntilClose => loop {
                let new = std::mem::take(&mut self.data);
                readers.iter().for_each(|reader| reader.body(new.len()));
                body.extend_from_slice(&new);
                if self.more().await.is_err() {
                    return Ok(Vec::new());
                }
            },
            Framing::Chunked => loop {
                let size = self.until(b"\r\n").await?;
                let digits = size.split(|&byte| byte == b';').next().unwrap_or_default();
                let size =
                    std::str::from_utf8(digits).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
                let size = size.ok_or(Ended)?;
                if size == 0 {
                    return self.trailers().await;
                }
                self.take(size, readers, body).await?;
                self.until(b"\r\n").await?;
            },
        }
    }

    async fn trailers(&mut self) -> Result<Vec<Vec<u8>>, Ended> {
        let mut trailers = Vec::new();
        loop {
            match self.until(b"\r\n").await? {
                line if line.is_empty() => return Ok(trailers),
                line => trailers.push(line),
            }
        }
    }

    async fn take(&mut self, length: usize, readers: &[&Reader], body: &mut Vec<u8>) -> Result<(), Ended> {
        let mut left = length;
        loop {
            let part = left.min(self.data.len());
            let rest = self.data.split_off(part);
            body.append(&mut std::mem::replace(&mut self.data, rest));
            readers.iter().for_each(|reader| reader.body(part));
            left -= part;
            if left == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }
}

/// A head in lines.
struct Head {
    first: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let mut lines =
            bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.next().unwrap_or_default().to_vec();
        let pair = |line: &[u8]| match line.iter().position(|&byte| byte == b':') {
            Some(at) => (line[..at].to_vec(), line[at + 1..].trim_ascii().to_vec()),
            None => (line.to_vec(), Vec::new()),
        };
        Self { first, headers: lines.map(pair).collect() }
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        let found = |(given, _): &&(Vec<u8>, Vec<u8>)| given.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().find(found).map(|(_, value)| value.as_slice())
    }

    fn word(&self, number: usize) -> &[u8] {
        self.first.split(|&byte| byte == b' ').nth(number).unwrap_or_default()
    }

    fn status(&self) -> u16 {
        std::str::from_utf8(self.word(1)).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn framing(&self, otherwise: Framing) -> Framing {
        if self.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")) {
            return Framing::Chunked;
        }
        let length =
            self.get("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        length.map_or(otherwise, Framing::Length)
    }

    fn request_framing(&self) -> Framing {
        if self.word(0) == b"CONNECT" || self.get("upgrade").is_some() {
            return Framing::UntilClose;
        }
        self.framing(Framing::None)
    }

    fn response_framing(&self, method: &[u8]) -> Framing {
        match self.status() {
            101 => Framing::UntilClose,
            200..=299 if method == b"CONNECT" => Framing::UntilClose,
            204 | 304 => Framing::None,
            _ if method == b"HEAD" => Framing::None,
            _ => self.framing(Framing::UntilClose),
        }
    }

    fn tell(&self, seen: &mut Seen) {
        seen.raw(&self.first);
        self.headers.iter().for_each(|(name, value)| seen.header(name, value));
    }
}

/// Body and trailers into lines; whether the message came to its end.
async fn tell_body(
    wire: &mut Wire<'_>,
    framing: Framing,
    readers: &[&Reader],
    seen: &mut Seen,
    gone: &Notify,
    torn: bool,
) -> bool {
    let mut body = Vec::new();
    let ended = tokio::select! {
        biased;
        ended = wire.body(framing, readers, &mut body) => Some(ended),
        () = gone.notified() => None,
    };
    match ended {
        Some(Ok(trailers)) => {
            seen.body(&body);
            for trailer in trailers {
                let head = Head::parse(&[b"\r\n", trailer.as_slice()].concat());
                seen.say("trailer:");
                head.headers.iter().for_each(|(name, value)| seen.header(name, value));
            }
            if framing == Framing::UntilClose {
                seen.say("end: close");
            }
            readers.iter().for_each(|reader| reader.whole());
            true
        }
        Some(Err(Ended)) => {
            // How much of a torn body arrives is a race between data and reset, in Envoy and in the kernel.
            if torn {
                seen.say("torn");
            } else {
                seen.body(&body);
                seen.say(format!("torn after {} bytes of body", body.len()));
            }
            readers.iter().for_each(|reader| reader.ended());
            false
        }
        None => {
            seen.say("left");
            readers.iter().for_each(|reader| reader.ended());
            false
        }
    }
}

/// Writes what the steps say.
async fn play(steps: &[Step], case: &Case, near: &Reader, far: &Reader, write: &mut WriteHalf<'_>) -> Left {
    for step in steps {
        let written = match step {
            Step::Bytes(bytes) => write.write_all(&fill_in(bytes, case)).await,
            Step::Fill(bytes) => write.write_all(&pattern(*bytes)).await,
            Step::Pause(ms) => {
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                Ok(())
            }
            Step::Near(mark) => {
                near.wait(*mark).await;
                Ok(())
            }
            Step::Far(mark) => {
                far.wait(*mark).await;
                Ok(())
            }
            Step::Close => return Left::Closed,
            Step::Rst => return Left::Reset,
            _ => Err(io::Error::other("not a step of HTTP/1")),
        };
        if written.is_err() {
            return Left::Open;
        }
    }
    Left::Open
}

/// `{case}` becomes the headers of the run.
fn fill_in(bytes: &[u8], case: &Case) -> Vec<u8> {
    const PLACE: &[u8] = b"{case}\r\n";
    let Some(at) = bytes.windows(PLACE.len()).position(|part| part == PLACE) else { return bytes.to_vec() };
    let mut text = bytes[..at].to_vec();
    for (name, value) in case.headers() {
        text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    // Pipelined requests name their run too.
    text.extend_from_slice(&fill_in(&bytes[at + PLACE.len()..], case));
    text
}

/// So many bytes that are not all the same.
pub(super) fn pattern(bytes: usize) -> Vec<u8> {
    const PERIOD: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-+";
    let mut pattern = PERIOD.repeat(bytes.div_ceil(PERIOD.len()));
    pattern.truncate(bytes);
    pattern
}

/// One run as an HTTP/1 client.
pub(super) async fn drive(address: SocketAddr, case: &Case) -> Seen {
    let mut seen = Seen::default();
    let Client::Http1 { steps, answers } = &case.kind.client else { return seen };
    let Ok(mut stream) = TcpStream::connect(address).await else {
        seen.say("not connected");
        return seen;
    };
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.split();
    let (mut wire, gone) = (Wire::new(read), Notify::new());
    let playing = async {
        let left = play(steps, case, &case.client, &case.upstream, &mut write).await;
        if left != Left::Open {
            gone.notify_one();
        }
        left
    };
    let method = method_of(steps);
    let reading = async {
        let mut open = true;
        for _ in 0..*answers {
            open = open && read_answer(&mut wire, &method, case, &mut seen, &gone).await;
        }
        case.client.ended();
        open
    };
    let both = async { tokio::join!(playing, reading) };
    let (left, open) = match tokio::time::timeout(2 * PATIENCE, both).await {
        Ok(ended) => ended,
        Err(_) => {
            case.client.ended();
            seen.say("nothing more came");
            (Left::Closed, false)
        }
    };
    case.client.ended();
    if left == Left::Reset {
        let _ = wire.read.as_ref().set_zero_linger();
    }
    if open && left == Left::Open && !is_tunnel(&seen) {
        seen.say(if is_open(&mut wire, &mut write).await { "end: open" } else { "end: close" });
    }
    seen
}

fn is_tunnel(seen: &Seen) -> bool {
    seen.lines.last().is_some_and(|line| line == "end: close")
}

/// Whether the connection takes another request. Envoy itself answers it.
async fn is_open(wire: &mut Wire<'_>, write: &mut WriteHalf<'_>) -> bool {
    let again = b"GET /again HTTP/1.1\r\nhost: shop\r\nx-kind: again\r\n\r\n";
    if write.write_all(again).await.is_err() {
        return false;
    }
    matches!(tokio::time::timeout(PATIENCE, wire.until(b"\r\n\r\n")).await, Ok(Ok(_)))
}

fn method_of(steps: &[Step]) -> Vec<u8> {
    match steps.first() {
        Some(Step::Bytes(bytes)) => bytes.split(|&byte| byte == b' ').next().unwrap_or_default().to_vec(),
        _ => Vec::new(),
    }
}

async fn read_answer(
    wire: &mut Wire<'_>,
    method: &[u8],
    case: &Case,
    seen: &mut Seen,
    gone: &Notify,
) -> bool {
    loop {
        let head = tokio::select! {
            biased;
            head = wire.until(b"\r\n\r\n") => head,
            () = gone.notified() => {
                seen.say("left");
                return false;
            }
        };
        let Ok(head) = head.map(|head| Head::parse(&head)) else {
            seen.say("closed without an answer");
            return false;
        };
        head.tell(seen);
        if (100..200).contains(&head.status()) && head.status() != 101 {
            case.client.interim();
            continue;
        }
        case.client.head();
        let framing = head.response_framing(method);
        return tell_body(wire, framing, &[&case.client], seen, gone, case.kind.torn).await;
    }
}

/// The scripted upstream. Ends with the runtime.
pub(super) async fn serve(listener: TcpListener, cases: Arc<Cases>) {
    while let Ok((stream, _)) = listener.accept().await {
        let cases = Arc::clone(&cases);
        tokio::spawn(async move { answer(stream, &cases).await });
    }
}

async fn answer(mut stream: TcpStream, cases: &Cases) {
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.split();
    let mut wire = Wire::new(read);
    while let Ok(head) = wire.until(b"\r\n\r\n").await {
        let head = Head::parse(&head);
        let Some(case) = head.get("x-case").and_then(|id| cases.find(id)) else {
            // The request that primes a rate limit.
            let _ = write.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            continue;
        };
        let (number, mut seen, gone) = (case.begin(), Seen::default(), Notify::new());
        case.upstream.head();
        let steps = script(case.kind, &head, number);
        // Requests of one run do not wait for each other.
        let near = Reader::default();
        near.head();
        let playing = async {
            let left = play(steps, &case, &near, &case.client, &mut write).await;
            if left != Left::Open {
                gone.notify_one();
            }
            left
        };
        let reading = async {
            head.tell(&mut seen);
            tell_body(
                &mut wire,
                head.request_framing(),
                &[&near, &case.upstream],
                &mut seen,
                &gone,
                case.kind.torn,
            )
            .await
        };
        let (left, whole) = tokio::join!(playing, reading);
        case.finish(seen);
        if left == Left::Reset {
            let _ = wire.read.as_ref().set_zero_linger();
        }
        if left != Left::Open || !whole {
            return;
        }
    }
}

fn script<'a>(kind: &'a Kind, head: &Head, number: usize) -> &'a [Step] {
    match &kind.upstream {
        Upstream::Http1 { landed, .. } if head.word(1) == b"/landed" => landed,
        Upstream::Http1 { again, .. } if number > 0 && !again.is_empty() => again,
        Upstream::Http1 { steps, .. } => steps,
        _ => &[],
    }
}

/// Sends back what comes.
pub(super) async fn echo(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        });
    }
}

/// Answers every request with the same bytes: the authorisation service that denies.
pub(super) async fn always(listener: TcpListener, answer: &'static [u8]) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (read, mut write) = stream.split();
            let mut wire = Wire::new(read);
            while wire.until(b"\r\n\r\n").await.is_ok() && write.write_all(answer).await.is_ok() {}
        });
    }
}

/// A request that nobody looks at: it takes the one token of a rate limit.
pub(super) async fn prime(address: SocketAddr, kind: &Kind) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let (read, mut write) = stream.split();
    let request = format!("GET /shop HTTP/1.1\r\nhost: shop\r\nx-kind: {}\r\n\r\n", kind.name);
    if write.write_all(request.as_bytes()).await.is_ok() {
        let mut wire = Wire::new(read);
        let _ = tokio::time::timeout(PATIENCE, wire.until(b"\r\n\r\n")).await;
    }
}
