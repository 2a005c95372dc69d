//! Answers of a running control plane.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Bytes of an answer we are ready to read.
const ANSWER_BYTES_MAX: usize = 256 << 20;

pub(super) type FetchError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer of `/api/v1/<part>`, waited for at most so long.
pub(super) async fn fetch(server: &Uri, part: &str, patience: Duration) -> Result<Bytes, FetchError> {
    tokio::time::timeout(patience, body(server, part)).await?
}

async fn body(server: &Uri, part: &str) -> Result<Bytes, FetchError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut parts = server.clone().into_parts();
    parts.path_and_query = Some(format!("/api/v1/{part}").parse()?);
    let answer = client.get(Uri::from_parts(parts)?).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("/api/v1/{part} answered {}", answer.status()).into());
    }
    Ok(Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes())
}

/// Whether an address is one of a control plane: `http://HOST:PORT`.
pub(super) fn is_server(uri: &Uri) -> bool {
    uri.scheme_str() == Some("http") && uri.authority().is_some()
}
