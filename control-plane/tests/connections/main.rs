//! What peers may take, and what becomes of those that say nothing, read nothing, or send what is no report: the real binary.

#![allow(missing_docs, unreachable_pub)]

mod garbage;
mod halves;
mod raw;
mod ready;
#[path = "../support/mod.rs"]
mod support;
mod words;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use emac_core::sketch::Sketch;
use emac_core::units::Micros;
use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::convert::REPORT_BYTES_MAX;
use emac_proto::v1::{HopDelta, HopKey, HopRecord, JourneyDelta, ReportRequest};
use emac_proto::xds::DeltaDiscoveryRequest;
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use prost::Message as _;
use support::process::{PATIENCE, Serving};
use support::{Sidecar, get, report, scrape};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

const HEAD: &str = "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\n";
const PLENTY: &str = "firstMessage: 10m, idle: 24h, keepalive: 1h, stalled: 1h";

async fn serve(folder: &Path, connections: &str, more: &str) -> Serving {
    let text = format!("{HEAD}identity: none\nconnections: {{{connections}}}\n{more}\n");
    std::fs::write(folder.join("emac.yaml"), text).unwrap();
    Serving::start_proving(folder, &["--config", "emac.yaml"]).await
}

async fn refused(serving: &Serving, reason: &str) -> f64 {
    scrape(serving.http).await[&format!("emac_refused_total{{reason=\"{reason}\"}}")]
}

/// Waits for a condition of the running server.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the other end closes a connection, whatever it sends before.
async fn closed(stream: &mut tokio::net::TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("the connection stays open");
}

/// Opens a stream of budgets; the answers and what keeps it open.
async fn budgets(
    grpc: impl std::fmt::Display,
    names: &[&str],
) -> Result<(tonic::Streaming<emac_proto::xds::DeltaDiscoveryResponse>, impl Sized), Status> {
    let mut client = AggregatedDiscoveryServiceClient::connect(format!("http://{grpc}"))
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let first = DeltaDiscoveryRequest {
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        resource_names_subscribe: names.iter().map(ToString::to_string).collect(),
        ..DeltaDiscoveryRequest::default()
    };
    sender.try_send(first).unwrap();
    let answers = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await?.into_inner();
    Ok((answers, (sender, client)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_connection_are_announced() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), "streamsPerConnection: 3", "").await;
    let mut connection = raw::http2(serving.grpc, 65_535).await;
    // Settings come with the first answer, at the latest.
    raw::call(&mut connection, "/", &[], hyper::body::Bytes::new()).await;
    assert_eq!(connection.current_max_send_streams(), 3);
}

/// One address gets at most as many as are free, and is told in the words of the protocol; another one finds a place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_cannot_take_all_connections() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), &format!("open: 8, {PLENTY}"), "").await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(raw::tcp_from("127.0.0.2", serving.grpc).await.unwrap());
    }
    until("they are not counted", async || {
        scrape(serving.http).await["emac_connections{port=\"grpc\"}"] == 4.0
    })
    .await;
    let fifth = raw::tcp_from("127.0.0.2", serving.grpc).await.unwrap();
    let (mut connection, task) = h2::client::handshake(fifth).await.unwrap();
    tokio::spawn(task);
    let grpc = [("content-type", "application/grpc")];
    let end = raw::call(&mut connection, raw::REPORT, &grpc, hyper::body::Bytes::new()).await;
    assert_eq!(end.status, Some(Code::ResourceExhausted as i32), "{end:?}");
    assert!(end.message.contains("has%204%20connections"), "{end:?}");
    // Somebody else comes in.
    let mut other = Sidecar::connect(serving.grpc).await.unwrap();
    other.send(report("node", 7, 1, 1)).await.unwrap();
    assert_eq!(refused(&serving, "connections_of_peer").await, 1.0);
    // What goes makes room.
    drop(held);
    until("no place is given back", async || {
        scrape(serving.http).await["emac_connections{port=\"grpc\"}"] == 1.0
    })
    .await;
    // The same on the HTTP port, in its words.
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(raw::tcp_from("127.0.0.3", serving.http).await.unwrap());
    }
    until("they are not counted", async || {
        scrape(serving.http).await["emac_connections{port=\"http\"}"] >= 5.0
    })
    .await;
    let mut fifth = raw::tcp_from("127.0.0.3", serving.http).await.unwrap();
    fifth.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = fifth.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("has 4 connections"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_cannot_take_all_streams() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), &format!("streams: 4, {PLENTY}"), "").await;
    let _evidence =
        [Sidecar::connect(serving.grpc).await.unwrap(), Sidecar::connect(serving.grpc).await.unwrap()];
    let status = Sidecar::connect(serving.grpc).await.err().expect("a third stream is refused");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("has 2 streams of evidence, as many as are free"), "{status}");
    // Streams of budgets have places of their own.
    let _budgets = [
        budgets(serving.grpc, &["shop/a"]).await.unwrap(),
        budgets(serving.grpc, &["shop/b"]).await.unwrap(),
    ];
    let status = budgets(serving.grpc, &["shop/c"]).await.err().expect("a third stream is refused");
    assert!(status.message().contains("has 2 streams of budgets"), "{status}");
    assert_eq!(refused(&serving, "streams_of_peer").await, 2.0);
    let samples = scrape(serving.http).await;
    assert_eq!(samples["emac_streams{kind=\"evidence\"}"], 2.0);
    assert_eq!(samples["emac_xds_streams_total{result=\"turned_away\"}"], 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_keeps_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let serving =
        serve(folder.path(), "firstMessage: 200ms, idle: 24h, keepalive: 1h, stalled: 1h", "").await;
    // No word, half a preface, half a head.
    for (address, bytes) in [
        (serving.grpc, &b""[..]),
        (serving.grpc, b"PRI * HTTP/2.0\r\n"),
        (serving.http, b""),
        (serving.http, b"GET /healthz HTTP/1.1\r\nhost:"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        closed(&mut stream).await;
    }
    // Nobody had begun to ask anything but the last.
    until("half a head is not counted", async || refused(&serving, "silent").await == 1.0).await;
    // A stream without a report; one without a request is of the same kind.
    let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
    let status = sidecar.answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("sent no report within 200ms"), "{status}");
    assert_eq!(refused(&serving, "silent").await, 2.0);
    // Whoever has said a first word may be silent for long.
    let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
    sidecar.send(report("node", 7, 1, 1)).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(600), sidecar.answers.message()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    sidecar.send(report("node", 7, 2, 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_and_vanished_peers_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let idle = serve(folder.path(), "firstMessage: 10m, idle: 200ms, keepalive: 1h, stalled: 1h", "").await;
    let mut connection = raw::http2(idle.grpc, 65_535).await;
    raw::call(&mut connection, "/", &[], hyper::body::Bytes::new()).await;
    until("an idle connection stays", async || {
        scrape(idle.http).await["emac_connections{port=\"grpc\"}"] == 0.0
    })
    .await;
    drop(idle);
    // A host that is gone: its connection is open, and nothing answers pings any more.
    let vanished =
        serve(folder.path(), "firstMessage: 10m, idle: 24h, keepalive: 200ms, stalled: 1h", "").await;
    let mut stream = tokio::net::TcpStream::connect(vanished.grpc).await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat()).await.unwrap();
    closed(&mut stream).await;
}

/// An intent whose lease is renewed several times a second, so that there is always something to send.
const SHORT_LEASE: &str = "apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {name: checkout}
spec:
  objectives: {availability: {window: 30d, target: 0.99}, latency: {window: 30d, objective: {metric: p99, threshold: 400ms}}}
  entry: [{host: shop.example, path: /checkout}]
  operator: {type: series, steps: [{ref: front}, {ref: cart}]}
  components:
    front: {availability: 0.9995, failureDomains: [a], hop: {destination: front, workload: shop/front}}
    cart: {availability: 0.999, failureDomains: [a], hop: {source: shop/front, destination: cart}}
  failureDomains: {rules: [{name: a, kind: declared}]}
  governance: {evaluationMode: conservative, runtime: {mode: observe, edge: [shop/gateway], lease: {validFor: 1s, onExpiry: hold}}}
";

/// Streams whose windows stay shut, and a connection whose socket is never read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("intent.yaml"), SHORT_LEASE).unwrap();
    let limits = "firstMessage: 10m, idle: 24h, keepalive: 1h, stalled: 300ms";
    let serving = serve(folder.path(), limits, "intents: [intent.yaml]").await;
    let grpc = [("content-type", "application/grpc")];
    let mut connection = raw::http2(serving.grpc, 0).await;

    let ask = DeltaDiscoveryRequest {
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        resource_names_subscribe: vec!["shop/front".into()],
        ..DeltaDiscoveryRequest::default()
    };
    let ask = ask.encode_to_vec();
    let (response, mut stream) = raw::open(&mut connection, raw::DELTA, &grpc);
    raw::send(&mut stream, raw::frame(0, ask.len(), &ask), false).await.unwrap();
    let mut body = response.await.unwrap().into_body();
    let ended = tokio::time::timeout(PATIENCE, body.data()).await.expect("the stream stays");
    assert!(ended.is_none_or(|data| data.is_err()));
    assert_eq!(refused(&serving, "slow_reader").await, 1.0);

    let (response, mut stream) = raw::open(&mut connection, raw::REPORT, &grpc);
    for sequence in 1..=3 {
        let one = report("node", 7, sequence, 1).encode_to_vec();
        raw::send(&mut stream, raw::frame(0, one.len(), &one), false).await.unwrap();
    }
    let mut body = response.await.unwrap().into_body();
    let ended = tokio::time::timeout(PATIENCE, body.data()).await.expect("the stream stays");
    assert!(ended.is_none_or(|data| data.is_err()));
    assert_eq!(refused(&serving, "slow_reader").await, 2.0);
    // Both were streams of one connection, which others may share: it goes on.
    assert_eq!(raw::call(&mut connection, "/", &[], hyper::body::Bytes::new()).await.http, 415);

    let mut stream = raw::tcp_from("127.0.0.2", serving.http).await.unwrap();
    let many = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2_000);
    // The server stops taking requests when its answers are not read, and ends the connection.
    let _ = tokio::time::timeout(PATIENCE, stream.write_all(&many)).await.expect("neither taken nor ended");
    until("a connection that is not read stays", async || {
        scrape(serving.http).await["emac_connections{port=\"http\"}"] <= 1.0
    })
    .await;
}

/// The longest report that the limits of the protocol allow, every name and every sketch at its longest.
/// A report of as many entries as there may be; each bucket of its sketches holds `2^doublings` values.
fn largest(doublings: u32) -> ReportRequest {
    let mut sketch = Sketch::new();
    // Half a bucket apart, so that every slot that can holds something.
    let values: BTreeSet<u64> =
        (0..27 * 64).map(|half| (f64::from(half) / 64.0).exp2().ceil() as u64).collect();
    values.into_iter().chain([0, u64::MAX]).for_each(|value| sketch.record(Micros(value)));
    for _ in 0..doublings {
        let same = sketch.clone();
        sketch.merge(&same);
    }
    let sketch = sketch.encode();
    let long = |n: usize| format!("{n:0512}");
    let outcomes =
        || Some(emac_proto::v1::OutcomeCounts { success: 8_000_000_000, error: 9, ..Default::default() });
    let key = |n: usize| HopKey {
        journey: "j".repeat(63),
        source: long(n),
        destination: long(n),
        operation: long(n),
    };
    // As late as a leader may have begun.
    let epoch = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let mut all = report(&"n".repeat(253), epoch, 1, 1);
    all.end_unix_ms = all.start_unix_ms + 86_400_000;
    all.journeys = (0..64)
        .map(|n| JourneyDelta {
            journey: format!("{n:063}"),
            outcomes: outcomes(),
            latency: sketch.clone(),
            within_deadline: 1,
            degraded: 1,
        })
        .collect();
    all.hops = (0..257)
        .map(|n| HopDelta {
            hop: Some(key(n)),
            outcomes: outcomes(),
            latency: sketch.clone(),
            retries: 1,
            decisions: None,
            alternate_latency: sketch.clone(),
        })
        .collect();
    all.records = (0..1_024)
        .map(|n| HopRecord {
            trace_id: vec![7; 16],
            parent_span_id: vec![7; 8],
            hop: Some(key(n)),
            start_unix_us: u64::MAX,
            duration_us: 1,
            outcome: 1,
            attempts: u32::MAX,
            status: 200,
            inbound: false,
            request_id: vec![7; 16],
            ended_by: 1,
        })
        .collect();
    all
}

/// The largest in which everything can have happened: 2^22 values in each of 866 buckets and more are 68 000 a second of a day.
fn largest_of_a_day() -> ReportRequest {
    largest(22)
}

/// A report within the stated limits is never refused for its size; one beyond is told what the limit is, and not to come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_report_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), PLENTY, "").await;
    // As much as can have happened in a day.
    let largest = largest_of_a_day();
    let length = largest.encoded_len();
    assert!(length > 3 << 20 && length <= REPORT_BYTES_MAX, "{length} of {REPORT_BYTES_MAX}");
    let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
    assert_eq!(sidecar.send(largest).await.unwrap().acknowledged_sequence, 1);

    // As long as the stated limits allow, and more than can have happened: it is read and understood.
    let implausible = self::largest(28);
    let length = implausible.encoded_len();
    assert!(length > 4 << 20 && length <= REPORT_BYTES_MAX, "{length} of {REPORT_BYTES_MAX}");
    let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
    let status = sidecar.send(implausible).await.unwrap_err();
    assert!(status.message().contains("latencies of 8000000009 requests"), "{status}");
    assert_eq!(refused(&serving, "too_large").await, 0.0);

    let mut beyond = report("node", 7, 1, 1);
    beyond.node = "x".repeat(REPORT_BYTES_MAX + (1 << 20));
    let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
    let status = sidecar.send(beyond).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("a report of the stated limits has at most"), "{status}");
    assert_eq!(refused(&serving, "too_large").await, 1.0);
}

/// A socket in the file system, where only the sidecar of the same pod can reach it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_left_by_nobody_and_taken_from_nobody() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("emac.sock");
    std::fs::write(folder.path().join("emac.yaml"), format!("{HEAD}identity: {{sidecar: true}}\n")).unwrap();
    let more = ["--config", "emac.yaml"];
    let mut first = Serving::start_on(folder.path(), "unix:emac.sock", &more).await;
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let connect = async || {
        let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        send
    };
    let id = "URI=spiffe://cluster.local/ns/shop/sa/front";
    let headers = [("content-type", "application/grpc"), ("x-forwarded-client-cert", id)];
    let one = report("node", 7, 1, 1).encode_to_vec();
    let body = raw::frame(0, one.len(), &one);
    let end = raw::call(&mut connect().await, raw::REPORT, &headers, body.clone()).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    let end = raw::call(&mut connect().await, raw::REPORT, &headers[..1], body).await;
    assert_eq!(end.status, Some(Code::Unauthenticated as i32), "{end:?}");
    // In use.
    let args = [
        "serve",
        "--grpc",
        "unix:emac.sock",
        "--http",
        "127.0.0.1:0",
        "--identity",
        "none",
        "--log-level",
        "warn",
    ];
    let (code, _, stderr) = support::process::run(folder.path(), &args);
    assert!(code != 0 && stderr.contains("unix:emac.sock: another process listens on it"), "{code} {stderr}");
    // Killed: what it left is taken over. Ended in order: nothing is left.
    first.kill();
    assert!(socket.exists());
    let mut second = Serving::start_on(folder.path(), "unix:emac.sock", &more).await;
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0));
    assert!(!socket.exists());
    // What is no socket is nobody's to remove.
    std::fs::write(&socket, "precious").unwrap();
    let (code, _, stderr) = support::process::run(folder.path(), &args);
    assert!(code != 0 && stderr.contains("no socket"), "{code} {stderr}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

/// Every family of `/metrics` stands in the reference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_documented() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("intent.yaml"), SHORT_LEASE).unwrap();
    let serving = serve(folder.path(), PLENTY, "intents: [intent.yaml]\ndiscovery: {enabled: true}").await;
    Sidecar::connect(serving.grpc).await.unwrap().send(report("node", 7, 1, 9)).await.unwrap();
    let (mut answers, _open) = budgets(serving.grpc, &["shop/front"]).await.unwrap();
    answers.message().await.unwrap();
    let (_, _, body) = get(serving.http, "/metrics", "text/plain").await;
    let text = String::from_utf8(body).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let missing: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
        .filter(|(name, _)| !reference.contains(&format!("| `{name}`")))
        .collect();
    assert!(missing.is_empty(), "add to docs/reference.md, \"Metrics\":\n{missing:#?}");
    let samples = scrape(serving.http).await;
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(samples[name] > 0.0, "{name}");
    }
    assert!(samples["process_max_fds"] >= samples["process_open_fds"]);
    assert_eq!(samples["emac_ready"], 1.0);
}
