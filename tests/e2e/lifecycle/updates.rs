//! Configuration and module are replaced while requests are answered.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Shop, all_well, more_answered, parts, reporting, rounds, with};
use emac_tests::envoy::emac_filter;

/// The module with other bytes that mean the same: a custom section at its end (behind a shared object anything may stand).
fn another(module: &Path, dir: &Path, number: usize) -> PathBuf {
    let mut bytes = std::fs::read(module).unwrap();
    let name = format!("upgrade-{number}");
    let length = u8::try_from(name.len()).unwrap();
    bytes.extend_from_slice(&[0, length + 1, length]);
    bytes.extend_from_slice(name.as_bytes());
    let file = dir.join(name).with_extension(module.extension().unwrap());
    std::fs::write(&file, bytes).unwrap();
    file
}

/// What is replaced.
#[derive(Debug, Clone, Copy)]
enum Replaced {
    Listeners,
    Configuration,
    Module,
}

async fn nothing_is_lost(test: &str, workers: u32, replaced: Replaced) {
    let Some((envoy, wasm)) = parts(test) else { return };
    let mut shop = Shop::start(&envoy, &wasm, workers, false).await;
    let (filtered, plain) = (shop.load("edge"), shop.load("plain"));
    more_answered(&filtered, 50).await;
    for round in 0..rounds(4) {
        // Of no consequence, but a change.
        let configuration = with(&reporting(), &json!({"report_ms": 101 + round % 7}));
        match replaced {
            Replaced::Listeners => shop.proxy.push_listeners(|_| {}).await,
            Replaced::Configuration => {
                shop.proxy.push_extension("emac", &emac_filter(&wasm, &configuration)).await
            }
            Replaced::Module => {
                let module = another(&wasm, shop.proxy.dir(), round);
                shop.proxy.push_extension("emac", &emac_filter(&module, &reporting())).await;
            }
        }
        more_answered(&filtered, 60).await;
    }
    let (plain, filtered) = (plain.stop().await, filtered.stop().await);
    all_well("without the filter", &plain);
    let sent = all_well("with the filter", &filtered);
    assert_eq!(shop.app.dead_contexts(), Vec::<String>::new());
    let hop = [("destination", "callee"), ("journey", "checkout"), ("outcome", "success")];
    shop.proxy.counted("emac_hop_requests_total", &hop, sent).await;
    shop.proxy.counted("journey_requests_total", &[("result", "success")], sent).await;
    shop.reported(sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_with_one_worker() {
    nothing_is_lost("lifecycle::listeners_with_one_worker", 1, Replaced::Listeners).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_with_four_workers() {
    nothing_is_lost("lifecycle::listeners_with_four_workers", 4, Replaced::Listeners).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configurations_with_one_worker() {
    nothing_is_lost("lifecycle::configurations_with_one_worker", 1, Replaced::Configuration).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configurations_with_four_workers() {
    nothing_is_lost("lifecycle::configurations_with_four_workers", 4, Replaced::Configuration).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_with_one_worker() {
    nothing_is_lost("lifecycle::modules_with_one_worker", 1, Replaced::Module).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_with_four_workers() {
    nothing_is_lost("lifecycle::modules_with_four_workers", 4, Replaced::Module).await;
}
