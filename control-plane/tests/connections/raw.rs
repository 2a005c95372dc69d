//! HTTP/2 by hand: peers that do what no library would.

use std::fmt::Display;
use std::net::SocketAddr;

use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use hyper::body::Bytes;
use hyper::http::{HeaderMap, Request};
use tokio::net::{TcpSocket, TcpStream};

pub const REPORT: &str = "/emac.v1.EvidenceService/Report";
pub const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
pub const SOTW: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
pub const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A connection from an address of one's choice.
pub async fn tcp_from(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    // Small, so that a peer that does not read is soon noticed.
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(to).await
}

/// An HTTP/2 connection whose streams take `window` bytes until somebody makes room.
pub async fn http2(to: impl Display, window: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(to.to_string()).await.unwrap();
    let (send, connection) =
        h2::client::Builder::new().initial_window_size(window).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

/// Opens a stream of gRPC.
pub fn open(
    connection: &mut SendRequest<Bytes>,
    path: &str,
    headers: &[(&str, &str)],
) -> (ResponseFuture, SendStream<Bytes>) {
    let mut request = Request::post(format!("http://emac.test{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    connection.send_request(request.body(()).unwrap(), false).unwrap()
}

/// A frame of gRPC.
pub fn frame(compressed: u8, length: usize, message: &[u8]) -> Bytes {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&[compressed][..], &length, message].concat().into()
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    pub http: u16,
    /// gRPC's status; `None` when there was none.
    pub status: Option<i32>,
    pub message: String,
}

/// Sends what is given as the whole body and reads to the end.
pub async fn call(
    connection: &mut SendRequest<Bytes>,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> End {
    let (response, mut stream) = open(connection, path, headers);
    // Refused before all of it was taken, perhaps.
    let _ = send(&mut stream, body, true).await;
    let response = response.await.unwrap();
    let http = response.status().as_u16();
    let (parts, body) = response.into_parts();
    let trailers = read(body).await.unwrap();
    let from = |headers: &HeaderMap| {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        text("grpc-status").map(|status| (status.parse().unwrap(), text("grpc-message").unwrap_or_default()))
    };
    let (status, message) = from(&trailers).or_else(|| from(&parts.headers)).unzip();
    End { http, status, message: message.unwrap_or_default() }
}

/// Sends as the peer makes room.
pub async fn send(stream: &mut SendStream<Bytes>, mut body: Bytes, end: bool) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.unwrap_or(Err(h2::Reason::STREAM_CLOSED.into()))?;
        stream.send_data(body.split_to(room.min(body.len())), false)?;
    }
    if end { stream.send_data(Bytes::new(), true) } else { Ok(()) }
}

/// Reads to the end, making room; the trailers.
pub async fn read(mut body: RecvStream) -> Result<HeaderMap, h2::Error> {
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    Ok(body.trailers().await?.unwrap_or_default())
}
