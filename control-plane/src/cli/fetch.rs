//! Answers of a running control plane.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;

use super::access::Access;

/// Bytes of an answer we are ready to read.
const ANSWER_BYTES_MAX: usize = 256 << 20;

pub(super) type FetchError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer of `/api/v1/<part>`, waited for at most so long.
pub(super) async fn fetch(server: &Uri, part: &str, patience: Duration) -> Result<Bytes, FetchError> {
    fetch_by(&Access::default(), server, part, patience).await
}

/// The same, over TLS where the address says so.
pub(super) async fn fetch_by(
    access: &Access,
    server: &Uri,
    part: &str,
    patience: Duration,
) -> Result<Bytes, FetchError> {
    tokio::time::timeout(patience, body(access, server, part)).await?.map_err(|error| causes(&*error).into())
}

/// An error with what caused it: the outermost alone says "connection error" of everything.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_told = next.to_string();
        if !told.contains(&next_told) {
            told = format!("{told}: {next_told}");
        }
        cause = next.source();
    }
    told
}

async fn body(access: &Access, server: &Uri, part: &str) -> Result<Bytes, FetchError> {
    let stream = access.connect(server).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let host = server.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let request = Request::get(format!("/api/v1/{part}")).header(header::HOST, host);
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("/api/v1/{part} answered {}", answer.status()).into());
    }
    Ok(Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes())
}

/// Whether an address is one of a control plane: `http://HOST:PORT`.
pub(super) fn is_server(uri: &Uri) -> bool {
    uri.scheme_str() == Some("http") && uri.authority().is_some()
}

/// The same, or `https://HOST:PORT`, for who has an [`Access`] to give.
pub(super) fn is_server_or_secure(uri: &Uri) -> bool {
    is_server(uri) || (uri.scheme_str() == Some("https") && uri.authority().is_some())
}
