//! OTLP over HTTP: `POST /v1/traces`.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tonic::Code;

use super::{Encoding, ExportError, Receiver, answer};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The route.
pub fn router(receiver: Receiver) -> Router {
    Router::new().route("/v1/traces", post(traces)).with_state(receiver)
}

async fn traces(State(receiver): State<Receiver>, request: Request) -> Response {
    let Some(encoding) = encoding(request.headers()) else {
        return unsupported(&format!("content-type: expected {PROTOBUF} or {JSON}"));
    };
    let gzip = match text(request.headers(), &header::CONTENT_ENCODING) {
        "" | "identity" => false,
        "gzip" => true,
        _ => return unsupported("content-encoding: expected gzip or none"),
    };
    let exported = export(&receiver, request.into_body(), gzip, encoding).await;
    match (exported, encoding) {
        (Ok(refused), Encoding::Protobuf) => body(encoding, answer::response(refused)),
        (Ok(refused), Encoding::Json) => body(encoding, answer::response_json(refused).into_bytes()),
        (Err(error), encoding) => failure(&error, encoding, &receiver),
    }
}

async fn export(receiver: &Receiver, body: Body, gzip: bool, encoding: Encoding) -> Result<u64, ExportError> {
    let _place = receiver.begin()?;
    let (bytes_max, time_max) = (receiver.settings.request_bytes_max, receiver.settings.request_time_max);
    let read = tokio::time::timeout(time_max, Limited::new(body, bytes_max).collect()).await;
    let body = match read {
        Err(_) => return Err(receiver.not_taken(ExportError::TimedOut(time_max))),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(receiver.not_taken(ExportError::TooLarge(bytes_max)));
        }
        Ok(Err(error)) => return Err(receiver.not_taken(ExportError::Invalid(error.to_string()))),
        Ok(Ok(body)) => body.to_bytes().to_vec(),
    };
    receiver.export(body, gzip, encoding).await
}

/// By the content type, whose parameters do not matter.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let content_type = text(headers, &header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    match content_type.to_ascii_lowercase().as_str() {
        PROTOBUF => Some(Encoding::Protobuf),
        JSON => Some(Encoding::Json),
        _ => None,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn body(encoding: Encoding, bytes: Vec<u8>) -> Response {
    let content_type = if encoding == Encoding::Json { JSON } else { PROTOBUF };
    ([(header::CONTENT_TYPE, content_type)], bytes).into_response()
}

fn unsupported(what: &str) -> Response {
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{what}\n")).into_response()
}

/// A `google.rpc.Status` in the encoding of the request, as the specification asks.
fn failure(error: &ExportError, encoding: Encoding, receiver: &Receiver) -> Response {
    let (http, code) = match error {
        ExportError::Invalid(_) => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        ExportError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidArgument),
        ExportError::Full => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        ExportError::TimedOut(_) => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded),
        ExportError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
    };
    let message = error.to_string();
    let bytes = match encoding {
        Encoding::Protobuf => answer::status(code as i32, &message, None),
        Encoding::Json => answer::status_json(code as i32, &message).into_bytes(),
    };
    let mut response = (http, body(encoding, bytes)).into_response();
    if matches!(error, ExportError::Full | ExportError::ShuttingDown) {
        let seconds = receiver.settings.retry_after.as_secs().max(1);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
