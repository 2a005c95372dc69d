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

use super::{Connection, first_message, over};
use crate::identity::{Gate, Transport};
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
    let service = {
        let (gate, transport) = (Arc::clone(gate), connection.transport);
        service_fn(move |request| answer(router.clone(), transport.clone(), Arc::clone(&gate), request))
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
        _ = &mut serving => return,
        () = over(connection.ends) => return,
        () = stop.cancelled() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
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
