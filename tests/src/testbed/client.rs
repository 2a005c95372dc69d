//! HTTP clients that connect to one loopback address whatever the URI says.
//!
//! A sidecar's outbound listener has one address and tells destinations apart by authority, so the URI names the destination
//! and the connector decides where to. Connections are pooled and kept alive.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// A pooled client of one address.
pub type Client = legacy::Client<To, Full<Bytes>>;

/// Connects to this address.
#[derive(Debug, Clone, Copy)]
pub struct To(SocketAddr);

impl tower_service::Service<Uri> for To {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let address = self.0;
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// A client of `address`: HTTP/2 with prior knowledge, or HTTP/1.1.
pub fn client(address: SocketAddr, http2: bool) -> Client {
    legacy::Client::builder(TokioExecutor::new()).http2_only(http2).build(To(address))
}

/// One request without body, its status and its body as text. Waits at most five seconds.
///
/// # Errors
/// Connection refused, broken off, or no whole answer in time.
pub async fn ask(method: Method, address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let uri: Uri = format!("http://{address}{path}").parse().map_err(io::Error::other)?;
    let mut request = Request::new(Full::default());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let whole = async {
        let response = client(address, false).request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::time::timeout(Duration::from_secs(5), whole).await.map_err(io::Error::other)?
}

/// `GET`, see [`ask`].
///
/// # Errors
/// As [`ask`].
pub async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    ask(Method::GET, address, path).await
}
