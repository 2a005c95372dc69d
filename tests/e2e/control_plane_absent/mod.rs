use emac_tests::supervise::reserve;
use emac_tests::testbed::{Latency, Topology, World};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::common::{counted, governed, start, tally};

const REQUESTS: u64 = 200;

/// Requests flow and nothing breaks, whatever listens at the control plane's port.
async fn traffic_does_not_care(test: &str, port: u16) {
    let Some(filter) = governed(test) else { return };
    let builder = World::builder()
        .topology(Topology::chain(&["front", "back"], Latency::none()))
        .control_plane_at(port)
        .filter(filter);
    let Some(world) = start(test, builder).await else { return };
    let answers = tally(&world.load().rate(200.0).count(REQUESTS).run().await);
    assert_eq!(answers.ok, REQUESTS, "{:?}", answers.statuses);
    counted(&world, "emac_internal_errors_total", &[], 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens() {
    let port = reserve().unwrap().release();
    traffic_does_not_care("control_plane_absent::nobody_listens", port).await;
}

/// A server that answers every connection with bytes that are not HTTP/2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_talks_nonsense() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let nonsense = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(&[0xee; 4_096]).await;
        }
    });
    traffic_does_not_care("control_plane_absent::somebody_talks_nonsense", port).await;
    nonsense.abort();
}

/// A server that accepts and never says a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    traffic_does_not_care("control_plane_absent::somebody_is_silent", port).await;
    silent.abort();
}
