//! Connections that speak HTTP/1.1.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service as _;

use super::wire::Heard;
use super::{Connection, first_message, over};
use crate::identity::{Gate, Remote, Transport};
use crate::refusal::Refusal;

/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Most bytes of a request's first line and headers.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// How long a request may take to come whole and be answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Serves a connection to its end.
pub(super) async fn serve(
    connection: Connection,
    router: Router,
    gate: &Arc<Gate>,
    stop: &CancellationToken,
) {
    let (remote, heard) = (connection.transport.remote, connection.wire.heard());
    let service = {
        let (gate, transport, heard) = (Arc::clone(gate), connection.transport, heard.clone());
        service_fn(move |request| {
            let answered = answer(router.clone(), transport.clone(), Arc::clone(&gate), request);
            let heard = heard.clone();
            async move {
                let answered = answered.await;
                // What comes now is the next request's.
                heard.forget();
                answered
            }
        })
    };
    let serving = Builder::new()
        .timer(TokioTimer::new())
        // From the connection's beginning, or the last answer, to the end of a request's headers: also the bound on idling.
        .header_read_timeout(first_message(gate.limits()))
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(connection.wire), service);
    tokio::pin!(serving);
    tokio::select! {
        // However it ends, the peer has gone or is told by the protocol.
        ended = &mut serving => return refused(ended, &heard, remote, gate),
        () = over(connection.ends) => return,
        () = stop.cancelled() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// Counts a request that was refused by the protocol, before anybody here saw it. A connection that idles, or that its peer leaves, is none.
fn refused(ended: hyper::Result<()>, heard: &Heard, remote: Remote, gate: &Gate) {
    let Err(error) = ended else { return };
    let refusal = if error.is_timeout() && heard.is_something() {
        Refusal::Silent
    } else if error.is_parse_too_large() {
        Refusal::TooLarge
    } else if error.is_parse() {
        Refusal::Garbage
    } else {
        return;
    };
    gate.refuse(refusal, &format!("the head of a request over HTTP: {error} (from {remote})"));
}

async fn answer(
    mut router: Router,
    transport: Transport,
    gate: Arc<Gate>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let remote = transport.remote;
    request.extensions_mut().insert(transport);
    match tokio::time::timeout(ANSWER_WITHIN, router.call(request)).await {
        Ok(answered) => answered,
        Err(_) => {
            let why = format!("a request did not come whole within {ANSWER_WITHIN:?} (from {remote})");
            let status = gate.refuse(Refusal::Silent, &why);
            Ok((StatusCode::REQUEST_TIMEOUT, format!("{}\n", status.message())).into_response())
        }
    }
}
