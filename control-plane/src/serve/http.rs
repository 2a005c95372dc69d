//! HTTP: health, metrics and the API. Shapes are made in `api` and `metrics`; here is only what travels.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::connect_info::Connected;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use serde::Serialize;
use tokio::sync::mpsc;

use super::exposition::Format;
use super::state::Shared;
use super::{api, guard, metrics, orders};
use crate::identity::{Incoming, Transport};

/// Connections whose TLS, if any, is done with.
pub(super) struct Connections {
    incoming: mpsc::Receiver<io::Result<Incoming>>,
    address: SocketAddr,
}

impl Connections {
    pub(super) fn new(incoming: mpsc::Receiver<io::Result<Incoming>>, address: SocketAddr) -> Self {
        Self { incoming, address }
    }
}

impl Listener for Connections {
    type Io = Incoming;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Incoming, SocketAddr) {
        match self.incoming.recv().await {
            Some(Ok(incoming)) => {
                let remote = incoming.remote();
                (incoming, remote)
            }
            // Nothing comes any more: the process is ending.
            _ => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, Connections>> for Transport {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().transport()
    }
}

/// Every route.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(serve_metrics))
        .route(
            "/api/v1/journeys",
            get(async |State(shared): State<Arc<Shared>>| json(&api::journeys(&shared))),
        )
        .route("/api/v1/hops", get(async |State(shared): State<Arc<Shared>>| json(&api::hops(&shared))))
        .route("/api/v1/proxies", get(async |State(shared): State<Arc<Shared>>| json(&api::proxies(&shared))))
        .route("/api/v1/plan", get(async |State(shared): State<Arc<Shared>>| json(&api::plan(&shared))))
        .route(
            "/api/v1/discovery",
            get(async |State(shared): State<Arc<Shared>>| json(&api::discovery(&shared))),
        )
        .route("/api/v1/records", get(records))
        .route(
            "/api/v1/enforcement",
            get(async |State(shared): State<Arc<Shared>>| json(&api::enforcement(&shared)))
                .post(orders::enforce),
        )
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), guard::stand_before))
        .with_state(shared)
}

async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    match shared.not_ready() {
        None => (StatusCode::OK, "ready\n".to_string()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

async fn serve_metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::negotiate(accept);
    let body = format.encode(&metrics::families(&shared));
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

/// JSON lines: a program reads them one by one.
async fn records(State(shared): State<Arc<Shared>>) -> Response {
    let enabled = shared.discovery.load().is_some();
    ([(header::CONTENT_TYPE, "application/x-ndjson")], shared.records.lines(enabled)).into_response()
}

/// Pretty, because people read it with curl; in the order of the fields, so that two answers can be compared.
pub(super) fn json(body: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(body) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
