//! `opentelemetry.proto.collector.trace.v1.TraceService`, without generated messages: bytes in, bytes out.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Request, Response, Status};

use super::{Encoding, ExportError, Receiver, answer};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The tonic service; gzip is accepted.
#[derive(Clone, Debug)]
pub struct TraceServer {
    receiver: Receiver,
}

impl TraceServer {
    /// Puts what comes into the receiver's queue.
    pub const fn new(receiver: Receiver) -> Self {
        Self { receiver }
    }
}

impl NamedService for TraceServer {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for TraceServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let receiver = self.receiver.clone();
        Box::pin(async move {
            if request.uri().path() != EXPORT {
                return Ok(Status::unimplemented("the only method is Export").into_http());
            }
            Ok(answer(receiver, request).await)
        })
    }
}

async fn answer(receiver: Receiver, request: http::Request<Body>) -> http::Response<Body> {
    let _place = match receiver.begin() {
        Ok(place) => place,
        Err(error) => return status(&error, &receiver).into_http(),
    };
    let time_max = receiver.settings.request_time_max;
    let mut grpc = Grpc::new(Bytes)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(receiver.settings.request_bytes_max);
    let answered = tokio::time::timeout(time_max, grpc.unary(Export(receiver.clone()), request)).await;
    answered.unwrap_or_else(|_| status(&ExportError::TimedOut(time_max), &receiver).into_http())
}

fn status(error: &ExportError, receiver: &Receiver) -> Status {
    let (code, retry_after) = match error {
        ExportError::Invalid(_) | ExportError::TooLarge(_) => (Code::InvalidArgument, None),
        ExportError::Full => (Code::ResourceExhausted, Some(receiver.settings.retry_after)),
        ExportError::TimedOut(_) => (Code::DeadlineExceeded, None),
        ExportError::ShuttingDown => (Code::Unavailable, None),
    };
    let message = error.to_string();
    let details = answer::status(code as i32, &message, retry_after);
    Status::with_details(code, message, details.into())
}

struct Export(Receiver);

impl UnaryService<Vec<u8>> for Export {
    type Response = Vec<u8>;
    type Future = BoxFuture<Response<Vec<u8>>, Status>;

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        let receiver = self.0.clone();
        Box::pin(async move {
            let exported = receiver.export(request.into_inner(), false, Encoding::Protobuf).await;
            match exported {
                Ok(refused) => Ok(Response::new(answer::response(refused))),
                Err(error) => Err(status(&error, &receiver)),
            }
        })
    }
}

/// Messages as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; prost::bytes::Buf::remaining(buffer)];
        prost::bytes::Buf::copy_to_slice(buffer, &mut bytes);
        Ok(Some(bytes))
    }
}
