//! gRPC over plain HTTP/2: a unary call is one framed message and a trailer, which needs no code generator.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;

use super::service::Body;

/// gRPC status of a dependency that did not answer: "internal", which default retry policies leave alone.
pub const INTERNAL: u16 = 13;
/// gRPC status of a service that is down.
pub const UNAVAILABLE: u16 = 14;

/// One uncompressed message with its five-byte prefix.
pub fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat().into()
}

/// Whether these are the headers of a gRPC message.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"))
}

/// `grpc-status` among headers or trailers.
pub fn status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// An answer with this status: message and trailer when it is 0, trailers only otherwise.
pub(super) fn response(status: u16) -> Response<Body> {
    let status_value = HeaderValue::from(status);
    let mut response = if status == 0 {
        let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a legal name"), status_value)]);
        let body = Full::new(frame(b"")).with_trailers(std::future::ready(Some(Ok(trailers))));
        Response::new(body.boxed())
    } else {
        let mut response = Response::new(Full::default().boxed());
        response.headers_mut().insert("grpc-status", status_value);
        response
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_frame_states_its_length() {
        assert_eq!(&super::frame(b"abc")[..], b"\0\0\0\0\x03abc");
    }
}
