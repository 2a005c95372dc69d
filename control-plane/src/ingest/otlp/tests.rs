use std::io::Write as _;
use std::net::SocketAddr;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use super::*;
use emac_trace::Sink as _;

fn small() -> OtlpSettings {
    OtlpSettings { spans_max: 10, request_bytes_max: 64 << 10, ..OtlpSettings::default() }
}

/// A request with so many spans, in both encodings.
fn request(spans: u64) -> (Vec<u8>, Vec<u8>) {
    const START: u64 = 1_700_000_000_000_000_000;
    let ids = || 1..=spans;
    let text = |key: &str, value: &str| {
        field(1, &[field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat())
    };
    let span = |id: u64| {
        let time = |number: u8| [&[number << 3 | 1][..], &START.to_le_bytes()].concat();
        let ids = [field(1, &7_u128.to_be_bytes()), field(2, &id.to_be_bytes())].concat();
        field(2, &[ids, field(5, b"GET /"), vec![6 << 3, 2], time(7), time(8)].concat())
    };
    let resource = [text("service.name", "front"), text("cloud.availability_zone", "a")].concat();
    let scope: Vec<u8> = ids().flat_map(span).collect();
    let proto = field(1, &[field(1, &resource), field(2, &scope)].concat());
    let text = |key, value| serde_json::json!({"key": key, "value": {"stringValue": value}});
    let span = |id| {
        serde_json::json!({"traceId": format!("{:032x}", 7), "spanId": format!("{id:016x}"), "name": "GET /", "kind": 2,
            "startTimeUnixNano": START.to_string(), "endTimeUnixNano": START.to_string()})
    };
    let resource = [text("service.name", "front"), text("cloud.availability_zone", "a")];
    let spans: Vec<_> = ids().map(span).collect();
    let json = serde_json::json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"spans": spans}]}]});
    (proto, json.to_string().into_bytes())
}

/// A length-delimited field of protobuf.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(value.len() as u64, &mut field);
    field.extend_from_slice(value);
    field
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn serve_grpc(receiver: Receiver) -> tonic::transport::Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(TraceServer::new(receiver));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

async fn export(
    channel: &tonic::transport::Channel,
    body: Vec<u8>,
    gzip: bool,
) -> Result<Vec<u8>, tonic::Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    if gzip {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    client.ready().await.unwrap();
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export".parse().unwrap();
    client.unary(tonic::Request::new(body), path, grpc::Bytes).await.map(tonic::Response::into_inner)
}

async fn serve_http(receiver: Receiver) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router(receiver)).await });
    address
}

struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    body: Vec<u8>,
}

async fn post(address: SocketAddr, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = Request::post(format!("http://{address}/v1/traces"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::from(body)).unwrap()).await.unwrap();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    Answer { status, retry_after, body }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

#[tokio::test]
async fn spans_come_in_by_grpc() {
    let stats = Arc::default();
    let (receiver, mut batches) = channel(OtlpSettings::default(), Arc::clone(&stats));
    let channel = serve_grpc(receiver).await;
    let (proto, _) = request(3);
    for gzip in [false, true] {
        assert_eq!(export(&channel, proto.clone(), gzip).await.unwrap(), Vec::<u8>::new());
        let batch = batches.next().await.unwrap();
        let mut there = Batch::default();
        there.symbols().of("somebody else");
        batch.replay(&mut there);
        assert_eq!(there.spans.iter().map(|span| span.id.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(there.symbols.text(there.spans[0].service), "front");
        assert_eq!(there.symbols.text(there.spans[0].operation), "GET /");
        assert_eq!((&*there.labels[0].1, &*there.labels[0].2), ("cloud.availability_zone", "a"));
    }
    assert_eq!(export(&channel, Vec::new(), false).await.unwrap(), Vec::<u8>::new());
    assert_eq!((count(&stats.requests), count(&stats.spans)), (3, 6));
}

#[tokio::test]
async fn spans_come_in_by_http() {
    let stats = Arc::default();
    let (receiver, mut batches) = channel(OtlpSettings::default(), Arc::clone(&stats));
    let address = serve_http(receiver).await;
    let (proto, json) = request(3);
    let (protobuf, plain_json) =
        (("content-type", "application/x-protobuf"), ("content-type", "application/json; charset=utf-8"));
    let compressed = ("content-encoding", "gzip");
    for (headers, body, expected) in [
        (&[protobuf][..], proto.clone(), &b""[..]),
        (&[protobuf, compressed], gzip(&proto), b""),
        (&[plain_json], json.clone(), b"{}"),
        (&[plain_json, compressed], gzip(&json), b"{}"),
    ] {
        let answer = post(address, headers, body).await;
        assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, expected));
        assert_eq!(batches.next().await.unwrap().spans(), 3);
    }
    assert_eq!(count(&stats.spans), 12);
}

#[tokio::test]
async fn a_full_queue_sheds_and_counts() {
    let stats: Arc<Stats> = Arc::default();
    let (receiver, mut batches) = channel(small(), Arc::clone(&stats));
    let grpc = serve_grpc(receiver.clone()).await;
    let address = serve_http(receiver).await;
    let (proto, json) = request(6);
    export(&grpc, proto.clone(), false).await.unwrap();
    let refused = export(&grpc, proto.clone(), false).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(String::from_utf8_lossy(refused.details()).contains("google.rpc.RetryInfo"));
    let answer = post(address, &[("content-type", "application/json")], json).await;
    assert_eq!((answer.status, answer.retry_after.as_deref()), (StatusCode::TOO_MANY_REQUESTS, Some("5")));
    assert_eq!((count(&stats.shed), count(&stats.spans_shed)), (2, 12));
    // Room is given back when a batch is dropped, not when it is taken out.
    let batch = batches.next().await.unwrap();
    assert_eq!(export(&grpc, proto.clone(), false).await.unwrap_err().code(), Code::ResourceExhausted);
    drop(batch);
    export(&grpc, proto, false).await.unwrap();
    // More than the queue holds is taken when nothing else waits.
    drop(batches.next().await);
    export(&grpc, request(50).0, false).await.unwrap();
}

#[tokio::test]
async fn requests_read_at_once_are_bounded() {
    let stats: Arc<Stats> = Arc::default();
    let (receiver, _batches) = channel(OtlpSettings { requests_max: 1, ..small() }, Arc::clone(&stats));
    let place = receiver.begin().unwrap();
    let grpc = serve_grpc(receiver.clone()).await;
    assert_eq!(export(&grpc, request(1).0, false).await.unwrap_err().code(), Code::ResourceExhausted);
    let address = serve_http(receiver).await;
    let headers = [("content-type", "application/x-protobuf")];
    assert_eq!(post(address, &headers, request(1).0).await.status, StatusCode::TOO_MANY_REQUESTS);
    drop(place);
    export(&grpc, request(1).0, false).await.unwrap();
    assert_eq!(count(&stats.shed), 2);
}

#[tokio::test]
async fn what_is_no_otlp_is_refused_whole() {
    let stats: Arc<Stats> = Arc::default();
    let (receiver, mut batches) = channel(small(), Arc::clone(&stats));
    let grpc = serve_grpc(receiver.clone()).await;
    let address = serve_http(receiver).await;
    let mut cut = request(3).0;
    cut.pop();
    assert_eq!(export(&grpc, cut.clone(), false).await.unwrap_err().code(), Code::InvalidArgument);
    let protobuf = ("content-type", "application/x-protobuf");
    let json = ("content-type", "application/json");
    let compressed = ("content-encoding", "gzip");
    let zipkin = br#"[{"traceId":"1","id":"1","timestamp":1700000000000000,"duration":1}]"#.to_vec();
    let json_cut = request(3).1[..500].to_vec();
    for (headers, body, expected) in [
        (&[protobuf][..], cut, StatusCode::BAD_REQUEST),
        (&[protobuf, compressed], b"no gzip".to_vec(), StatusCode::BAD_REQUEST),
        (&[json], zipkin, StatusCode::BAD_REQUEST),
        (&[json], json_cut, StatusCode::BAD_REQUEST),
        (&[json], br#"{"resourceSpans":7}"#.to_vec(), StatusCode::BAD_REQUEST),
        (&[json], b"{} {}".to_vec(), StatusCode::BAD_REQUEST),
        (&[json], Vec::new(), StatusCode::BAD_REQUEST),
        (&[json], vec![b' '; 70 << 10], StatusCode::PAYLOAD_TOO_LARGE),
        (&[json, compressed], gzip(&vec![b' '; 10 << 20]), StatusCode::PAYLOAD_TOO_LARGE),
        (&[("content-type", "text/plain")], Vec::new(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[json, ("content-encoding", "br")], Vec::new(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        assert_eq!(post(address, headers, body).await.status, expected, "{headers:?}");
    }
    assert!(count(&stats.invalid) >= 9);
    assert_eq!(count(&stats.requests), 0);
    assert!(batches.batches.try_recv().is_err());
}

#[tokio::test]
async fn a_bomb_ends_at_the_limit() {
    let (receiver, _batches) = channel(small(), Arc::default());
    let grpc = serve_grpc(receiver).await;
    let bomb = export(&grpc, vec![0; 10 << 20], true).await.unwrap_err();
    assert_eq!(bomb.code(), Code::ResourceExhausted);
    assert!(matches!(decompress(&gzip(&vec![0; 1 << 20]), 1_000), Err(ExportError::TooLarge(1_000))));
    let large = export(&grpc, vec![0; 10 << 20], false).await.unwrap_err();
    assert_eq!(large.code(), Code::OutOfRange);
}

#[tokio::test]
async fn spans_without_ids_are_a_partial_success() {
    let (receiver, mut batches) = channel(small(), Arc::default());
    let address = serve_http(receiver).await;
    let json = String::from_utf8(request(3).1).unwrap().replace("0000000000000002", "0000000000000000");
    let answer = post(address, &[("content-type", "application/json")], json.into_bytes()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let said = String::from_utf8(answer.body).unwrap();
    assert_eq!(
        said,
        r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"1 spans without usable ids or times"}}"#
    );
    let batch = batches.next().await.unwrap();
    assert_eq!((batch.spans(), batch.refused()), (2, 1));
    assert_eq!(answer::response(1)[..4], [0x0a, 0x27, 0x08, 0x01]);
}

#[tokio::test]
async fn nobody_listening_is_said() {
    let (receiver, batches) = channel(small(), Arc::default());
    drop(batches);
    let grpc = serve_grpc(receiver).await;
    assert_eq!(export(&grpc, request(1).0, false).await.unwrap_err().code(), Code::Unavailable);
}
