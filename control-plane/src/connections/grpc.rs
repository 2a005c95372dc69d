//! Connections that speak HTTP/2, each stream in a task of its own that can be taken away from a peer that does not read.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::codegen::Service as _;

use super::messages::Messages;
use super::{Connection, first_message, over};
use crate::identity::{Cut, Gate, Transport};
use crate::refusal::Refusal;

/// Most bytes of a request's headers, as HTTP/2 counts them; announced.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// What a peer may send ahead of what is read, in a stream and in a connection.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
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
        // Boxed: what answers is gone once a stream's response has begun, and ten thousand streams would keep its room.
        service_fn(move |request| {
            Box::pin(answer(router.clone(), transport.clone(), Arc::clone(&gate), request))
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
    gate: Arc<Gate>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let remote = transport.remote;
    let path = request.uri().path().to_owned();
    let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |it| it.as_bytes());
    if !content_type.starts_with(b"application/grpc") {
        let said = String::from_utf8_lossy(content_type).into_owned();
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
    let unknown = Code::Unimplemented as i32;
    if response.headers().get("grpc-status").is_some_and(|status| *status == *unknown.to_string()) {
        gate.refuse(Refusal::Garbage, &format!("nothing of `{path}` is served (from {remote})"));
    }
    Ok(response)
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
