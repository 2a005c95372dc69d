//! HTTP/2 on both ends, stream by stream.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::case::{Case, Cases, PATIENCE, Reader};
use super::http1::pattern;
use super::kind::{Client, Header, Step, Upstream};
use super::seen::Seen;

/// Large, so that no end waits for the other's windows more than HTTP/2 itself makes it.
const WINDOW: u32 = 4 * 1024 * 1024;
const PIECE: usize = 16 * 1024;

/// What a stream asks of its connection.
enum Wish {
    GoAway,
    Abort,
    Close,
}

/// A script was not played to its end.
struct Broken;

/// Sends with respect to the windows.
async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), Broken> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len().min(PIECE));
        let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let Some(Ok(capacity)) = capacity else { return Err(Broken) };
        if capacity > 0 {
            let part = data.split_to(capacity.min(data.len()));
            stream.send_data(part, false).map_err(|_| Broken)?;
        }
    }
    Ok(())
}

/// Plays what follows a head.
async fn play(
    steps: &[Step],
    stream: &mut SendStream<Bytes>,
    near: &Reader,
    far: &Reader,
    wishes: Option<&UnboundedSender<Wish>>,
) -> Result<(), Broken> {
    let wish = |wish: Wish| wishes.map_or(Err(Broken), |wishes| wishes.send(wish).map_err(|_| Broken));
    for step in steps {
        match step {
            Step::Bytes(bytes) => send(stream, Bytes::from(bytes.clone())).await?,
            Step::Fill(bytes) => send(stream, Bytes::from(pattern(*bytes))).await?,
            Step::Pause(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::Near(mark) => near.wait(*mark).await,
            Step::Far(mark) => far.wait(*mark).await,
            Step::Trailers(trailers) => {
                stream.send_trailers(header_map(trailers)).map_err(|_| Broken)?;
            }
            Step::End => stream.send_data(Bytes::new(), true).map_err(|_| Broken)?,
            Step::Reset(code) => stream.send_reset(Reason::from(*code)),
            Step::GoAway => wish(Wish::GoAway)?,
            Step::Abort => wish(Wish::Abort)?,
            Step::Close => wish(Wish::Close)?,
            Step::Answer(..) | Step::Interim(..) | Step::Rst => return Err(Broken),
        }
    }
    Ok(())
}

fn header_map(headers: &[Header]) -> HeaderMap {
    headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(&unescape(value)).ok()?))
        })
        .collect()
}

/// `\xe9` is one byte; tables are text.
fn unescape(value: &str) -> Vec<u8> {
    let mut parts = value.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at(2.min(part.len()));
        bytes.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

fn tell_headers(headers: &HeaderMap, seen: &mut Seen) {
    headers.iter().for_each(|(name, value)| seen.header(name.as_str().as_bytes(), value.as_bytes()));
}

/// Reads a body and its end.
async fn tell_body(mut stream: RecvStream, readers: &[&Reader], seen: &mut Seen, torn: bool) {
    let mut body = Vec::new();
    let error = loop {
        match stream.data().await {
            Some(Ok(data)) => {
                let _ = stream.flow_control().release_capacity(data.len());
                readers.iter().for_each(|reader| reader.body(data.len()));
                body.extend_from_slice(&data);
            }
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    if !torn {
        seen.body(&body);
    }
    let trailers = match error {
        Some(error) => Err(error),
        None => stream.trailers().await,
    };
    match trailers {
        Ok(trailers) => {
            if let Some(trailers) = trailers {
                seen.say("trailers:");
                tell_headers(&trailers, seen);
            }
            seen.say("end: stream");
            readers.iter().for_each(|reader| reader.whole());
        }
        Err(error) => seen.say(how(&error)),
    }
    readers.iter().for_each(|reader| reader.ended());
}

fn how(error: &h2::Error) -> String {
    let what = match (error.is_reset(), error.is_go_away()) {
        (true, _) => "reset",
        (_, true) => "goaway",
        _ => "broken off",
    };
    let code = error.reason().map(|reason| format!("{reason:?}")).unwrap_or_default();
    format!("end: {what} {code}")
}

/// One run as an HTTP/2 client: all its streams on one connection.
pub(super) async fn drive(address: SocketAddr, case: &Arc<Case>) -> Seen {
    let mut seen = Seen::default();
    if tokio::time::timeout(2 * PATIENCE, drive_streams(address, case, &mut seen)).await.is_err() {
        seen.say("nothing more came");
    }
    case.client.ended();
    seen
}

async fn drive_streams(address: SocketAddr, case: &Arc<Case>, seen: &mut Seen) {
    let Client::Http2 { streams, .. } = &case.kind.client else { return };
    let Ok(stream) = TcpStream::connect(address).await else { return seen.say("not connected") };
    let _ = stream.set_nodelay(true);
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
    let (mut requests, mut connection) = match builder.handshake::<_, Bytes>(stream).await {
        Ok(ends) => ends,
        Err(error) => return seen.say(how(&error)),
    };
    let settled = async { poll_fn(|cx| requests.poll_ready(cx)).await };
    // Envoy's settings say whether it takes extended CONNECT; they come first.
    let first = tokio::select! {
        ready = settled => ready,
        ended = &mut connection => ended,
    };
    if let Err(error) = first {
        return seen.say(how(&error));
    }
    let connection = tokio::spawn(connection);
    let mut exchanges = JoinSet::new();
    for _ in 0..*streams {
        let (case, requests) = (Arc::clone(case), requests.clone());
        exchanges.spawn(async move {
            let mut seen = Seen::default();
            exchange(requests, &case, &mut seen).await;
            seen.lines
        });
    }
    let mut all: Vec<Vec<String>> = exchanges.join_all().await;
    all.sort();
    for lines in all {
        seen.lines.extend(lines);
    }
    let left = matches!(&case.kind.client, Client::Http2 { steps, .. }
        if steps.iter().any(|step| matches!(step, Step::Close)));
    if !left {
        seen.say(if is_open(requests).await { "connection: open" } else { "connection: closed" });
    }
    connection.abort();
}

/// Whether the connection takes another request. Envoy itself answers it.
async fn is_open(requests: h2::client::SendRequest<Bytes>) -> bool {
    let asking = async {
        let mut requests = requests.ready().await.ok()?;
        let request = Request::builder().uri("http://shop/again").header("x-kind", "again").body(()).ok()?;
        requests.send_request(request, true).ok()?.0.await.ok()
    };
    tokio::time::timeout(PATIENCE, asking).await.is_ok_and(|answer| answer.is_some())
}

fn request(case: &Case) -> Option<Request<()>> {
    let Client::Http2 { method, path, headers, protocol, .. } = &case.kind.client else { return None };
    let uri: Uri = match *method {
        "CONNECT" if protocol.is_none() => path.parse().ok()?,
        _ => format!("http://shop{path}").parse().ok()?,
    };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = uri;
    request.headers_mut().extend(header_map(headers));
    for (name, value) in case.headers() {
        request.headers_mut().append(name, HeaderValue::from_str(&value).ok()?);
    }
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(Protocol::from(*protocol));
    }
    Some(request)
}

async fn exchange(requests: h2::client::SendRequest<Bytes>, case: &Case, seen: &mut Seen) {
    let Client::Http2 { steps, .. } = &case.kind.client else { return };
    let Some(request) = request(case) else { return seen.say("no request") };
    let mut requests = match requests.ready().await {
        Ok(requests) => requests,
        Err(error) => return seen.say(how(&error)),
    };
    let (mut response, mut stream) = match requests.send_request(request, steps.is_empty()) {
        Ok(ends) => ends,
        Err(error) => return seen.say(format!("not sent: {error}")),
    };
    let reading = async {
        let head = loop {
            let next = poll_fn(|cx| {
                if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
                    return Poll::Ready(Err(interim));
                }
                std::pin::Pin::new(&mut response).poll(cx).map(Ok)
            });
            match next.await {
                Ok(head) => break head,
                Err(interim) => {
                    seen.say(format!(":status: {}", interim.status().as_u16()));
                    tell_headers(interim.headers(), seen);
                    case.client.interim();
                }
            }
        };
        match head {
            Ok(head) => {
                seen.say(format!(":status: {}", head.status().as_u16()));
                tell_headers(head.headers(), seen);
                case.client.head();
                tell_body(head.into_body(), &[&case.client], seen, case.kind.torn).await;
            }
            Err(error) => {
                seen.say(how(&error));
                case.client.ended();
            }
        }
    };
    let leaves = steps.iter().any(|step| matches!(step, Step::Close));
    let playing = play(steps, &mut stream, &case.client, &case.upstream, None);
    if leaves {
        // A client that closes its connection reads no more.
        tokio::select! {
            () = async { tokio::join!(reading, async { playing.await.ok(); std::future::pending::<()>().await }); } => {}
            () = closing(steps, case) => case.client.ended(),
        }
    } else {
        let _ = tokio::join!(reading, playing);
    }
}

/// Resolves when the marks before a [`Step::Close`] are reached.
async fn closing(steps: &[Step], case: &Case) {
    for step in steps {
        match step {
            Step::Near(mark) => case.client.wait(*mark).await,
            Step::Far(mark) => case.upstream.wait(*mark).await,
            Step::Close => return,
            _ => {}
        }
    }
}

/// The scripted upstream. Ends with the runtime.
pub(super) async fn serve(listener: TcpListener, cases: Arc<Cases>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve_connection(stream, Arc::clone(&cases)));
    }
}

async fn serve_connection(stream: TcpStream, cases: Arc<Cases>) {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_connect_protocol();
    builder.max_concurrent_streams(1_000);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    let (wish, mut wishes) = unbounded_channel();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let (cases, wish) = (Arc::clone(&cases), wish.clone());
                    tokio::spawn(async move { answer(request, respond, &cases, &wish).await });
                }
                _ => return,
            },
            Some(wish) = wishes.recv() => match wish {
                Wish::GoAway => connection.graceful_shutdown(),
                Wish::Abort => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
                Wish::Close => return,
            },
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    cases: &Cases,
    wish: &UnboundedSender<Wish>,
) {
    let Some(case) = request.headers().get("x-case").and_then(|id| cases.find(id.as_bytes())) else { return };
    let Upstream::Http2(steps) = &case.kind.upstream else { return };
    case.begin();
    let mut seen = Seen::default();
    let (head, body) = request.into_parts();
    seen.say(format!("{} {}", head.method, head.uri));
    if let Some(protocol) = head.extensions.get::<Protocol>() {
        seen.say(format!(":protocol: {}", protocol.as_str()));
    }
    tell_headers(&head.headers, &mut seen);
    case.upstream.head();
    // Streams of one run do not wait for each other.
    let near = Reader::default();
    near.head();
    let readers = [&near, &case.upstream];
    let reading = tell_body(body, &readers, &mut seen, case.kind.torn);
    let playing = respond_with(steps, &mut respond, (&near, &case.client), wish);
    let _ = tokio::join!(reading, playing);
    case.finish(seen);
}

async fn respond_with(
    steps: &[Step],
    respond: &mut h2::server::SendResponse<Bytes>,
    (near, far): (&Reader, &Reader),
    wish: &UnboundedSender<Wish>,
) -> Result<(), Broken> {
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Interim(status, headers) => {
                respond.send_informational(response(*status, headers)?).map_err(|_| Broken)?;
            }
            Step::Answer(status, headers, end) => {
                let stream = respond.send_response(response(*status, headers)?, *end);
                let mut stream = stream.map_err(|_| Broken)?;
                let rest = steps.get(at + 1..).unwrap_or_default();
                return play(rest, &mut stream, near, far, Some(wish)).await;
            }
            Step::Reset(code) => respond.send_reset(Reason::from(*code)),
            Step::Pause(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::Near(mark) => near.wait(*mark).await,
            Step::Far(mark) => far.wait(*mark).await,
            Step::GoAway => wish.send(Wish::GoAway).map_err(|_| Broken)?,
            Step::Abort => wish.send(Wish::Abort).map_err(|_| Broken)?,
            Step::Close => wish.send(Wish::Close).map_err(|_| Broken)?,
            _ => return Err(Broken),
        }
    }
    Ok(())
}

fn response(status: u16, headers: &[Header]) -> Result<Response<()>, Broken> {
    let mut response = Response::builder().status(status).body(()).map_err(|_| Broken)?;
    *response.headers_mut() = header_map(headers);
    Ok(response)
}

/// An upstream that answers well and then sends DATA on stream 0, which HTTP/2 forbids.
pub(super) async fn serve_broken(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move { break_protocol(&mut stream).await });
    }
}

async fn break_protocol(stream: &mut TcpStream) -> std::io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    let mut preface = [0; PREFACE];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, s0, s1, s2, s3] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        if kind == SETTINGS && flags == 0 {
            stream.write_all(&frame(SETTINGS, 1, 0, b"")).await?;
        }
        if kind == HEADERS {
            let id = u32::from_be_bytes([s0, s1, s2, s3]);
            // 0x88 is `:status: 200` of the static table.
            stream.write_all(&frame(HEADERS, 4, id, &[0x88])).await?;
            stream.write_all(&frame(0, 0, id, b"begun")).await?;
            // What was begun is to arrive before the connection breaks.
            tokio::time::sleep(Duration::from_millis(150)).await;
            stream.write_all(&frame(0, 0, 0, b"wrong")).await?;
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
