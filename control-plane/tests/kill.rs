//! Totals are exact across `kill -9`: a real process is killed at seeded random moments while sidecars report, and started again;
//! in the end every request is counted once.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use emac_control_plane::serve::exposition::MetricFamily;
use emac_core::outcome::Outcome;
use emac_proto::v1::ReportRequest;
use prost::Message;
use support::process::{Serving, run};
use support::{Sidecar, Truth, api, get, report, scrape};
use tokio::sync::watch;

const NODES: u64 = 4;
const REPORTS: u64 = 60;
const KILLS: u64 = 10;

/// A state of [`emac_core::mix`]: the same kills for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        emac_core::mix::next(&mut self.0) % bound
    }
}

/// One sidecar's outbox: a report at a time, the same until it is acknowledged, over as many streams as it takes.
async fn send_all(
    node: u64,
    mut server: watch::Receiver<Option<SocketAddr>>,
    acknowledged: Arc<AtomicU64>,
) -> u64 {
    let name = format!("node-{node}");
    let (mut sequence, mut resent) = (1, 0);
    while sequence <= REPORTS {
        let address = server.borrow_and_update().to_owned();
        let stream = match address {
            Some(address) => Sidecar::connect(address).await.ok(),
            None => None,
        };
        let Some(mut stream) = stream else {
            // Nothing listens: wait for the next address.
            let _ = server.changed().await;
            continue;
        };
        while sequence <= REPORTS {
            let Ok(answer) = stream.send(report(&name, 7 + node, sequence, 11)).await else { break };
            assert!(answer.acknowledged_sequence >= sequence, "acknowledged is never taken back");
            sequence += 1;
            acknowledged.fetch_add(1, SeqCst);
        }
        resent += 1;
    }
    resent
}

fn truth() -> Truth {
    let mut truth = Truth::default();
    for node in 0..NODES {
        for sequence in 1..=REPORTS {
            let report: ReportRequest = report(&format!("node-{node}"), 7 + node, sequence, 11);
            truth.add(&report);
        }
    }
    truth
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_counted_once_across_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(0x5eed);
    let mut serving = Serving::start(folder.path(), &["--state", "state"]).await;
    let (address, server) = watch::channel(Some(serving.grpc));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let sidecars: Vec<_> = (0..NODES)
        .map(|node| tokio::spawn(send_all(node, server.clone(), Arc::clone(&acknowledged))))
        .collect();
    for _ in 0..KILLS {
        // After some more acknowledgements, and then somewhere between receipt, commit and answer of the next ones.
        let target = acknowledged.load(SeqCst) + random.below(NODES * REPORTS / KILLS);
        while acknowledged.load(SeqCst) < target.min(NODES * REPORTS) {
            tokio::task::yield_now().await;
        }
        for _ in 0..random.below(20_000) {
            std::hint::spin_loop();
        }
        address.send_replace(None);
        serving.kill();
        serving = Serving::start(folder.path(), &["--state", "state"]).await;
        address.send_replace(Some(serving.grpc));
    }
    let mut streams = 0;
    for sidecar in sidecars {
        streams += sidecar.await.unwrap();
    }
    assert!(streams > NODES, "the kills came while sidecars were sending");
    check(&serving, &truth()).await;

    // And once more after an orderly end.
    serving.signal("TERM");
    assert_eq!(serving.wait(), Some(0));
    let serving = Serving::start(folder.path(), &["--state", "state"]).await;
    check(&serving, &truth()).await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_row_ends_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(folder.path(), &["--state", "state"]).await;
    let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
    sidecar.send(report("node-1", 7, 1, 11)).await.unwrap();
    drop(sidecar);
    serving.signal("TERM");
    assert_eq!(serving.wait(), Some(0));
    let file = folder.path().join("state/evidence.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    let name = b"shop/front node-1";
    let found: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at + name.len() - 1] ^= 4);
    std::fs::write(&file, &bytes).unwrap();
    let args =
        ["serve", "--identity", "none", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--state", "state"];
    let (code, _, stderr) = run(folder.path(), &args);
    assert_ne!(code, 0);
    for part in ["evidence.redb", "log.2", "checksum", "move it away"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert_eq!(std::fs::read(&file).unwrap().len(), bytes.len(), "left where it is");
}

/// Counts, retries and every bucket are exactly what was sent.
async fn check(serving: &Serving, truth: &Truth) {
    let hops = api(serving.http, "hops").await;
    let total = &hops["hops"][0]["total"];
    for outcome in Outcome::ALL {
        assert_eq!(total["outcomes"][outcome.label()], truth.outcomes.get(outcome), "{}", outcome.label());
    }
    assert_eq!(total["retries"], truth.retries);
    let samples = scrape(serving.http).await;
    let count = truth.outcomes.total() as f64;
    assert_eq!(samples[r#"journey_latency_seconds_count{journey="checkout"}"#], count);
    assert_eq!(native_counts(serving.http).await, truth.latency.values().copied().collect::<Vec<_>>());
}

/// Counts of the native buckets of the journey's latency, in order.
async fn native_counts(http: SocketAddr) -> Vec<u64> {
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let (_, _, body) = get(http, "/metrics", accept).await;
    let mut rest = body.as_slice();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).unwrap();
        if family.name() == "journey_latency_seconds" {
            let histogram = family.metric[0].histogram.clone().unwrap();
            let add = |count: &mut i64, delta: &i64| {
                *count += delta;
                Some(*count as u64)
            };
            return histogram.positive_delta.iter().scan(0, add).collect();
        }
    }
    Vec::new()
}
