//! What is no report, no request and no trace never ends well.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{PLENTY, closed, refused, serve, until};
use crate::raw::{self, DELTA, End, REPORT, SOTW, TRACES, frame};
use crate::support::scrape;

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const GZIP: (&str, &str) = ("grpc-encoding", "gzip");

/// What it is, headers, body.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Bytes);

/// Forty megabytes of nothing in forty kilobytes.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..40 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_never_ends_with_ok() {
    let folder = tempfile::tempdir().unwrap();
    let discovery = "discovery: {enabled: true, otlp: {grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"}}";
    let serving = serve(folder.path(), PLENTY, discovery).await;
    let ports = std::fs::read(folder.path().join("ports.json")).unwrap();
    let ports: serde_json::Value = serde_json::from_slice(&ports).unwrap();
    let otlp = ports["otlp_grpc"].as_str().unwrap().to_owned();
    let noise: Vec<u8> = (0..4_096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let bomb = bomb();
    let cases: [Case<'_>; 10] = [
        ("no protobuf", &[GRPC], frame(0, noise.len(), &noise)),
        ("a field that ends too soon", &[GRPC], frame(0, 2, &[0x0a, 0x7f])),
        ("less than a frame says", &[GRPC], frame(0, 100, &[0x0a])),
        ("half a frame's head", &[GRPC], Bytes::from_static(&[0, 0])),
        ("no frames", &[GRPC], noise.clone().into()),
        ("a frame without end", &[GRPC], frame(0, u32::MAX as usize, &noise)),
        ("compressed by nothing", &[GRPC], frame(1, 3, &[1, 2, 3])),
        ("a compression that is none", &[GRPC, ("grpc-encoding", "br")], frame(1, 3, &[1, 2, 3])),
        ("gzip that is none", &[GRPC, GZIP], frame(1, 3, &[1, 2, 3])),
        ("a bomb", &[GRPC, GZIP], frame(1, bomb.len(), &bomb)),
    ];
    for path in [REPORT, DELTA, SOTW, TRACES] {
        let address = if path == TRACES { otlp.clone() } else { serving.grpc.to_string() };
        for (what, headers, body) in &cases {
            let mut connection = raw::http2(&address, 65_535).await;
            let end = raw::call(&mut connection, path, headers, body.clone()).await;
            assert!(is_failure(&end), "{path}: {what}: {end:?}");
        }
        let mut connection = raw::http2(&address, 65_535).await;
        for (what, headers, path) in [
            ("JSON", &[("content-type", "application/json")][..], path),
            ("no content type", &[], path),
            ("an unknown method", &[GRPC], &format!("{path}s")),
            ("an unknown service", &[GRPC], "/x.Y/Z"),
            ("no path", &[GRPC], "/"),
        ] {
            let end = raw::call(&mut connection, path, headers, frame(0, 0, &[])).await;
            assert!(is_failure(&end), "{path}: {what}: {end:?}");
        }
        // More headers than anybody needs.
        let long = "x".repeat(60_000);
        let headers = [GRPC, ("x-long", long.as_str())];
        let (response, _stream) = raw::open(&mut connection, path, &headers);
        let refused = response.await;
        assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 431));
    }
    let samples = scrape(serving.http).await;
    let refused = |reason: &str| samples[&format!("emac_refused_total{{reason=\"{reason}\"}}")];
    assert!(refused("garbage") > 20.0 && refused("too_large") >= 3.0, "{samples:?}");
    // A bomb would have cost as much as it unpacks to.
    assert!(samples["process_resident_memory_bytes"] < 300e6);
}

fn is_failure(end: &End) -> bool {
    end.status.is_some_and(|status| status != 0)
}

/// Who asks for what is not served is told what is, in bounds, and counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_served_is_named_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let discovery = "discovery: {enabled: true, otlp: {grpc: \"127.0.0.1:0\"}}";
    let serving = serve(folder.path(), PLENTY, discovery).await;
    let ports = std::fs::read(folder.path().join("ports.json")).unwrap();
    let ports: serde_json::Value = serde_json::from_slice(&ports).unwrap();
    let otlp = ports["otlp_grpc"].as_str().unwrap().to_owned();
    let long = format!("/x.Y/{}", "z".repeat(5_000));
    let mut asked = 0.0;
    for (address, served) in [(serving.grpc.to_string(), &[REPORT, DELTA, SOTW][..]), (otlp, &[TRACES])] {
        let mut connection = raw::http2(&address, 65_535).await;
        let others = ["/a.B/C", "/", &long, &format!("{}s", served[0]), "/grpc.health.v1.Health/Check"];
        for path in others {
            asked += 1.0;
            let end = raw::call(&mut connection, path, &[GRPC], frame(0, 0, &[])).await;
            assert_eq!(end.status, Some(12), "{end:?}");
            let message = end.message.replace("%20", " ").replace("%60", "`");
            let named = &path[..path.len().min(100)];
            assert!(message.starts_with(&format!("nothing of `{named}")), "{message}");
            assert!(served.iter().all(|path| message.contains(path)) && message.len() < 1_000, "{message}");
            assert_eq!(refused(&serving, "garbage").await, asked, "{path}");
        }
        for path in served {
            let end = raw::call(&mut connection, path, &[GRPC], hyper::body::Bytes::new()).await;
            assert_ne!(end.status, Some(12), "{path}: {end:?}");
        }
        asked = refused(&serving, "garbage").await;
        for kinds in [
            &[("content-type", "application/grpc+json")][..],
            &[("content-type", "application/grpc-web")],
            &[GRPC, ("content-type", "text/plain")],
        ] {
            asked += 1.0;
            let end = raw::call(&mut connection, served[0], kinds, frame(0, 0, &[])).await;
            let message = end.message.replace("%20", " ").replace("%60", "`");
            assert!(end.http == 415 && message.contains(kinds.last().unwrap().1), "{end:?}");
            assert_eq!(refused(&serving, "garbage").await, asked, "{kinds:?}");
        }
        // A compression that is not taken says so itself, in the log too.
        asked += 1.0;
        if *served != [TRACES] {
            let end = raw::call(&mut connection, served[0], &[GRPC, GZIP], frame(1, 3, &[1, 2, 3])).await;
            assert!(end.status == Some(12) && end.message.contains("gzip"), "{end:?}");
            assert_eq!(refused(&serving, "garbage").await, asked);
        }
    }
}

/// What the protocol itself refuses is counted; who idles or leaves is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_no_http_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), "firstMessage: 1s, idle: 24h", "").await;
    let counts = async || {
        let samples = scrape(serving.http).await;
        ["garbage", "too_large", "silent"]
            .map(|reason| samples[&format!("emac_refused_total{{reason=\"{reason}\"}}")])
    };
    let send = async |bytes: &[u8]| {
        let mut stream = tokio::net::TcpStream::connect(serving.http).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    };
    let headers = "x: y\r\n".repeat(200);
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    let ask = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n";
    for (what, bytes, wanted) in [
        ("no HTTP", "nonsense\r\n\r\n", [1.0, 0.0, 0.0]),
        ("a broken header", "GET / HTTP/1.1\r\nhost : x\r\n\r\n", [2.0, 0.0, 0.0]),
        ("a long path", &long, [2.0, 1.0, 0.0]),
        ("many headers", &many, [2.0, 2.0, 0.0]),
        ("half a head", ask, [2.0, 2.0, 1.0]),
        ("half a second head", &format!("{ask}\r\n"), [2.0, 2.0, 2.0]),
        ("nothing", "", [2.0, 2.0, 2.0]),
        ("a whole head, then nothing", &format!("{ask}\r\n"), [2.0, 2.0, 2.0]),
    ] {
        let mut stream = send(bytes.as_bytes()).await;
        if what == "half a second head" {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            stream.write_all(ask.as_bytes()).await.unwrap();
        }
        closed(&mut stream).await;
        until(&format!("{what}: {:?}, not {wanted:?}", counts().await), async || counts().await == wanted)
            .await;
    }
    drop(send(ask.as_bytes()).await);
    closed(&mut send(b"").await).await;
    assert_eq!(counts().await, [2.0, 2.0, 2.0], "a peer that leaves");
}
