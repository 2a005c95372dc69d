//! Connections that speak HTTP/2, each stream in a task of its own that can be taken away from a peer that does not read.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use emac_document::shown;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service as _;
use tonic::{Code, Status};

use super::messages::Messages;
use super::{Connection, first_message, over};
use crate::identity::{Cut, Gate, Port, Transport};
use crate::refusal::Refusal;

/// Most bytes of a request's headers, as HTTP/2 counts them; announced.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// What a peer may send ahead of what is read, in a stream and in a connection.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Most characters of a path that is not served, in log and answer.
const PATH_CHARS_MAX: usize = 200;
/// How long a connection that was told to end may take.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

tokio::task_local! {
    /// Of the stream whose task this is.
    static CUT: Cut;
}

/// Serves a connection to its end.
pub(super) async fn serve(
    connection: Connection,
    router: Router,
    gate: &Arc<Gate>,
    stop: &CancellationToken,
) {
    let limits = *gate.limits();
    let keepalive = Duration::from_millis(limits.keepalive.0);
    let streams = Streams { open: watch::Sender::new(0) };
    let open = streams.open.subscribe();
    let service = {
        let (gate, transport) = (Arc::clone(gate), connection.transport);
        let port = connection.port;
        // Boxed: what answers is gone once a stream's response has begun, and ten thousand streams would keep its room.
        service_fn(move |request| {
            Box::pin(answer(router.clone(), transport.clone(), (Arc::clone(&gate), port), request))
        })
    };
    let serving = Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(keepalive)
        .keep_alive_timeout(keepalive)
        .serve_connection(TokioIo::new(connection.wire), service);
    tokio::pin!(serving);
    tokio::select! {
        // However it ends, the peer has gone or is told by the protocol.
        _ = &mut serving => return,
        () = over(connection.ends) => return,
        () = stop.cancelled() => {}
        () = idle(open, first_message(&limits), Duration::from_millis(limits.idle.0)) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LEAVE_WITHIN, serving).await;
}

/// Waits until no stream has been open for a time: `first` before the first one, `later` after one.
async fn idle(mut open: watch::Receiver<usize>, first: Duration, later: Duration) {
    let mut patience = first;
    loop {
        let busy = *open.borrow_and_update() > 0;
        if busy {
            patience = later;
            if open.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        }
        match tokio::time::timeout(patience, open.changed()).await {
            Err(_) => return,
            Ok(Ok(())) => patience = later,
            Ok(Err(_)) => return std::future::pending().await,
        }
    }
}

/// What is asked, if it is asked in gRPC.
async fn answer(
    mut router: Router,
    transport: Transport,
    (gate, port): (Arc<Gate>, Port),
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let remote = transport.remote;
    let path = request.uri().path().to_owned();
    if let Err(said) = is_grpc(request.headers()) {
        let status = gate.refuse(
            Refusal::Garbage,
            &format!("content-type `{said}` is not application/grpc (from {remote})"),
        );
        let mut response = status.into_http::<Body>();
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Ok(response);
    }
    request.extensions_mut().insert(transport);
    if let Ok(cut) = CUT.try_with(Clone::clone) {
        request.extensions_mut().insert(cut);
    }
    let request = request.map(|body| Messages::new(body, Arc::clone(&gate), remote));
    let response = router.call(request).await?;
    let status = Status::from_header_map(response.headers());
    match status.filter(|status| status.code() == Code::Unimplemented) {
        None => Ok(response),
        // The method is served, but not in this way, and it said in which.
        Some(status) if served(port).contains(&path.as_str()) => {
            gate.refuse(Refusal::Garbage, &format!("`{path}`: {} (from {remote})", status.message()));
            Ok(response)
        }
        Some(_) => {
            let path = shown(&path, PATH_CHARS_MAX);
            let served = served(port).join(", ");
            let why = format!("nothing of `{path}` is served here, but {served} (from {remote})");
            let status = gate.refuse(Refusal::Garbage, &why);
            Ok(Status::unimplemented(status.message()).into_http())
        }
    }
}

/// Every method of a port.
const fn served(port: Port) -> &'static [&'static str] {
    match port {
        Port::Grpc => &[
            "/emac.v1.EvidenceService/Report",
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
        ],
        Port::OtlpGrpc => &["/opentelemetry.proto.collector.trace.v1.TraceService/Export"],
        Port::Http | Port::OtlpHttp => &[],
    }
}

/// Whether every content type is of gRPC with protobuf; else the first that is not, or nothing.
fn is_grpc(headers: &HeaderMap) -> Result<(), String> {
    let kinds = headers.get_all(header::CONTENT_TYPE);
    let grpc = |kind: &&HeaderValue| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [&b"application/grpc"[..], b"application/grpc+proto"].iter().any(|it| it.eq_ignore_ascii_case(kind))
    };
    match kinds.iter().find(|kind| !grpc(kind)) {
        Some(strange) => Err(String::from_utf8_lossy(strange.as_bytes()).into_owned()),
        None if kinds.iter().next().is_none() => Err(String::new()),
        None => Ok(()),
    }
}

/// Runs streams, and counts those of one connection.
#[derive(Clone)]
struct Streams {
    open: watch::Sender<usize>,
}

/// Counts an open stream until it is dropped.
struct Open(watch::Sender<usize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.open.send_modify(|open| *open += 1);
        let (open, cut) = (Open(self.open.clone()), Cut::default());
        tokio::spawn(async move {
            let _open = open;
            let Cut(taken) = cut.clone();
            // A stream's task that is dropped resets it.
            taken.run_until_cancelled(CUT.scope(cut, stream)).await;
        });
    }
}
