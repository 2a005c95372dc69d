//! HTTP: health, metrics and the API. Shapes are made in `api` and `metrics`; here is only what travels.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::exposition::Format;
use super::state::Shared;
use super::{api, guard, metrics, orders, ready};

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
        .route("/api/v1/models", get(async |State(shared): State<Arc<Shared>>| json(&api::models(&shared))))
        .route("/api/v1/models/{journey}", get(model))
        .route(
            "/api/v1/discovery",
            get(async |State(shared): State<Arc<Shared>>| json(&api::discovery(&shared))),
        )
        .route("/api/v1/engine", get(async |State(shared): State<Arc<Shared>>| json(&api::engine(&shared))))
        .route("/api/v1/records", get(records))
        .route(
            "/api/v1/enforcement",
            get(async |State(shared): State<Arc<Shared>>| json(&api::enforcement(&shared)))
                .post(orders::enforce),
        )
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), guard::stand_before))
        .with_state(shared)
}

/// All reasons, one a line.
async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    let reasons = ready::reasons(&shared);
    match reasons.is_empty() {
        true => (StatusCode::OK, "ready\n".to_string()),
        false => {
            let lines = reasons.iter().map(|reason| format!("not ready: {reason}\n")).collect();
            (StatusCode::SERVICE_UNAVAILABLE, lines)
        }
    }
}

async fn serve_metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::negotiate(accept);
    let body = format.encode(&metrics::families(&shared));
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

async fn model(State(shared): State<Arc<Shared>>, Path(journey): Path<String>) -> Response {
    match api::model(&shared, &journey) {
        Some(model) => json(&model),
        None => {
            let why =
                format!("no journey `{}` is planned or declared\n", emac_document::shown(&journey, 100));
            (StatusCode::NOT_FOUND, why).into_response()
        }
    }
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
