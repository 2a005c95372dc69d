//! Messages that are begun and not ended, and messages of which a few bytes would become much: bounded in time and memory.

use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::xds::{DeltaDiscoveryRequest, DiscoveryRequest, Node};
use h2::{RecvStream, SendStream};
use hyper::body::Bytes;
use prost::Message;
use tonic::Code;

use super::{PLENTY, refused, serve, until};
use crate::raw::{self, DELTA, REPORT, SOTW, frame};
use crate::support::{Sidecar, report, scrape};

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc")];

/// A first message of a stream that is taken.
fn first(path: &str) -> Vec<u8> {
    let (node, type_url) =
        (Node { id: "pod".into(), ..Node::default() }, WORKLOAD_BUDGETS_TYPE_URL.to_owned());
    match path {
        REPORT => report("node", 7, 1, 1).encode_to_vec(),
        DELTA => DeltaDiscoveryRequest { node: Some(node), type_url, ..DeltaDiscoveryRequest::default() }
            .encode_to_vec(),
        _ => DiscoveryRequest { node: Some(node), type_url, ..DiscoveryRequest::default() }.encode_to_vec(),
    }
}

/// Opens a stream, sends a first good message and then these bytes.
async fn begun(to: impl std::fmt::Display, path: &str, then: Bytes) -> (SendStream<Bytes>, RecvStream) {
    let mut connection = raw::http2(to, 65_535).await;
    let (response, mut stream) = raw::open(&mut connection, path, GRPC);
    let first = first(path);
    raw::send(&mut stream, frame(0, first.len(), &first), false).await.unwrap();
    raw::send(&mut stream, then, false).await.unwrap();
    (stream, response.await.unwrap().into_body())
}

/// The status that a stream ends with.
async fn status(path: &str, answers: RecvStream) -> (Code, String) {
    let trailers = tokio::time::timeout(super::PATIENCE, raw::read(answers)).await;
    let trailers = trailers.unwrap_or_else(|_| panic!("{path}: the stream stays open")).unwrap();
    let text = |name: &str| trailers.get(name).unwrap().to_str().unwrap().to_owned();
    (text("grpc-status").parse::<i32>().unwrap().into(), text("grpc-message"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_message_is_not_held_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let limits = "firstMessage: 300ms, idle: 24h, keepalive: 1h, stalled: 1h";
    let serving = serve(folder.path(), limits, "").await;
    // Meanwhile a sidecar with nothing to say is left alone.
    let mut quiet = Sidecar::connect(serving.grpc).await.unwrap();
    quiet.send(report("quiet", 7, 1, 1)).await.unwrap();
    let mut ended = 0.0;
    for path in [REPORT, DELTA, SOTW] {
        for half in [frame(0, 100, &[0x0a]), Bytes::from_static(&[0, 0]), frame(0, 4 << 20, &[0; 40_000])] {
            let (_stream, answers) = begun(serving.grpc, path, half).await;
            let (code, message) = status(path, answers).await;
            assert_eq!(code, Code::DeadlineExceeded, "{path}: {message}");
            assert!(message.contains("did%20not%20send%20the%20rest"), "{message}");
            ended += 1.0;
            assert_eq!(refused(&serving, "silent").await, ended);
        }
    }
    assert_eq!(quiet.send(report("quiet", 7, 2, 1)).await.unwrap().acknowledged_sequence, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_of_messages_take_no_more_memory_than_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), &format!("{PLENTY}, messagesMiB: 16"), "").await;
    let half = || frame(0, 4 << 20, &[0; 1_000]);
    let held = [begun(serving.grpc, REPORT, half()).await, begun(serving.grpc, DELTA, half()).await];
    let taken = async || scrape(serving.http).await["emac_message_memory_bytes"] == f64::from(8 << 20);
    until("what is begun is not counted", taken).await;
    for path in [REPORT, DELTA, SOTW] {
        let (_stream, answers) = begun(serving.grpc, path, half()).await;
        let (code, message) = status(path, answers).await;
        assert_eq!(code, Code::ResourceExhausted, "{message}");
        assert!(message.contains("connections.messagesMiB"), "{message}");
    }
    assert_eq!(refused(&serving, "no_room").await, 3.0);
    // What is small goes on; and what was held is free again when its stream ends.
    let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
    sidecar.send(report("other", 7, 1, 1)).await.unwrap();
    drop(held);
    let again = async || {
        let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
        sidecar.send(super::largest_of_a_day()).await.is_ok()
    };
    until("what was held is not free again", again).await;
}

/// The most memory that the server has had, in MiB.
fn most_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() >> 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_bytes_do_not_become_much_memory() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), PLENTY, "").await;
    let before = most_memory(serving.id());
    // Empty journeys, hops and records; names of resources in each variant.
    let cases: [(&str, [u8; 2]); 5] = [
        (REPORT, [0x3a, 0]),
        (REPORT, [0x42, 0]),
        (REPORT, [0x4a, 0]),
        (SOTW, [0x1a, 0]),
        (DELTA, [0x2a, 0]),
    ];
    for (path, entry) in cases {
        let message = entry.repeat(2_000_000);
        let mut connection = raw::http2(serving.grpc, 65_535).await;
        let end = raw::call(&mut connection, path, GRPC, frame(0, message.len(), &message)).await;
        assert_eq!(end.status, Some(Code::InvalidArgument as i32), "{path}: {end:?}");
    }
    assert!(refused(&serving, "too_large").await >= 5.0);
    let grown = most_memory(serving.id()) - before;
    assert!(grown < 48, "{grown} MiB more for messages of 4 MB");
}
