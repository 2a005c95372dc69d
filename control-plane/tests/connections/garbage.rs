//! What is no report, no request and no trace never ends well.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;

use super::{PLENTY, serve};
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
