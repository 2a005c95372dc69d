//! Processes end: drained, asked to, replaced.

use std::time::Duration;

use super::{REPORT_MS, Shop, TICK_MS, all_well, more_answered, parts, reports_of, rounds};
use crate::common::tally;

/// Longest that a count lies in the sidecar: gathered, taken to the leader, sent.
const GRACE: Duration = Duration::from_millis((REPORT_MS + 3 * TICK_MS) as u64);

async fn after_a_drain_nothing_is_lost(test: &str, workers: u32) {
    let Some((envoy, wasm)) = parts(test) else { return };
    for _ in 0..rounds(1) {
        let mut shop = Shop::start(&envoy, &wasm, workers, false).await;
        let run = shop.load("edge");
        more_answered(&run, 100).await;
        let sent = all_well("before the drain", &run.stop().await);
        shop.proxy.post("/drain_listeners?graceful").await;
        // The grace that a drain gives, for every round trip on a busy machine.
        tokio::time::sleep(GRACE * 4).await;
        let ended = shop.proxy.terminate().await;
        assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", shop.proxy.log());
        assert_eq!(reports_of(&shop.control.evidence()), (sent, sent));
    }
}

/// Without a grace the last interval may be lost, and no more than that.
async fn at_sigterm_the_last_interval_is_lost_at_most(test: &str, workers: u32) {
    let Some((envoy, wasm)) = parts(test) else { return };
    for _ in 0..rounds(1) {
        let mut shop = Shop::start(&envoy, &wasm, workers, false).await;
        let run = shop.load("edge");
        more_answered(&run, 150).await;
        let before = run.so_far().len() as u64;
        // What was answered until now has its grace; what comes after it has none.
        tokio::time::sleep(GRACE * 4).await;
        let ended = shop.proxy.terminate().await;
        let sent = tally(&run.stop().await).ok;
        assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", shop.proxy.log());
        let (journeys, calls) = reports_of(&shop.control.evidence());
        assert!(before <= journeys && journeys <= sent, "{before} <= {journeys} <= {sent}");
        assert!(before <= calls && calls <= sent, "{before} <= {calls} <= {sent}");
    }
}

async fn a_hot_restart_loses_nothing(test: &str, workers: u32) {
    let Some((envoy, wasm)) = parts(test) else { return };
    if tempfile::tempfile_in("/dev/shm").is_err() {
        return emac_tests::not_run(test, "no shared memory: /dev/shm cannot be written");
    }
    let mut shop = Shop::start(&envoy, &wasm, workers, true).await;
    let (filtered, plain) = (shop.load("edge"), shop.load("plain"));
    for _ in 0..rounds(1) {
        more_answered(&filtered, 100).await;
        shop.proxy.succeed().await;
        more_answered(&filtered, 100).await;
        assert!(shop.proxy.predecessor_ended().await);
    }
    let (plain, filtered) = (plain.stop().await, filtered.stop().await);
    all_well("without the filter", &plain);
    let sent = all_well("with the filter", &filtered);
    shop.reported(sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_with_one_worker() {
    after_a_drain_nothing_is_lost("lifecycle::drained_with_one_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_with_four_workers() {
    after_a_drain_nothing_is_lost("lifecycle::drained_with_four_workers", 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_end_with_one_worker() {
    at_sigterm_the_last_interval_is_lost_at_most("lifecycle::asked_to_end_with_one_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_end_with_four_workers() {
    at_sigterm_the_last_interval_is_lost_at_most("lifecycle::asked_to_end_with_four_workers", 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_with_one_worker() {
    a_hot_restart_loses_nothing("lifecycle::replaced_with_one_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_with_four_workers() {
    a_hot_restart_loses_nothing("lifecycle::replaced_with_four_workers", 4).await;
}
