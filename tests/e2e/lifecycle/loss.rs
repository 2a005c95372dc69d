//! A worker loses its VM.

use std::path::{Path, PathBuf};
use std::time::Instant;

use emac_tests::testbed::wait_until;
use serde_json::json;

use super::client::{Connection, get};
use super::{Shop, all_well, more_answered, reporting, reports_of};
use crate::common::PATIENCE;
use emac_tests::envoy::emac_filter;
use emac_tests::shell::Shell;

const EXPORTS: u8 = 7;
const CODE: u8 = 10;
const IMPORTS: u8 = 2;

/// The module, but that a callback traps which no other request of the scenario causes: request trailers.
fn trapping(wasm: &Path, dir: &Path) -> std::path::PathBuf {
    let mut bytes = std::fs::read(wasm).unwrap();
    let body = body_of(&bytes, "proxy_on_request_trailers");
    // No locals, `unreachable`, `nop` as far as the old body went, `end`.
    let (last, rest) = bytes[body].split_last_mut().unwrap();
    rest.fill(0x01);
    rest[..2].copy_from_slice(&[0x00, 0x00]);
    *last = 0x0b;
    let file = dir.join("trapping.wasm");
    std::fs::write(&file, bytes).unwrap();
    file
}

/// Where the body of an exported function stands in a module.
fn body_of(bytes: &[u8], export: &str) -> std::ops::Range<usize> {
    let (mut imported, mut function) = (0, None);
    let mut at = 8;
    while at < bytes.len() {
        let id = bytes[at];
        at += 1;
        let size = number(bytes, &mut at);
        let end = at + size;
        match id {
            IMPORTS => {
                for _ in 0..number(bytes, &mut at) {
                    for _ in 0..2 {
                        let length = number(bytes, &mut at);
                        at += length;
                    }
                    assert_eq!(bytes[at], 0, "the module imports functions only");
                    at += 1;
                    number(bytes, &mut at);
                    imported += 1;
                }
            }
            EXPORTS => {
                for _ in 0..number(bytes, &mut at) {
                    let length = number(bytes, &mut at);
                    let name = &bytes[at..at + length];
                    at += length + 1;
                    let index = number(bytes, &mut at);
                    if name == export.as_bytes() {
                        function = Some(index);
                    }
                }
            }
            CODE => {
                let skipped = function.unwrap() - imported;
                number(bytes, &mut at);
                for _ in 0..skipped {
                    let length = number(bytes, &mut at);
                    at += length;
                }
                let length = number(bytes, &mut at);
                return at..at + length;
            }
            _ => {}
        }
        at = end;
    }
    panic!("no code")
}

/// LEB128.
fn number(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

/// A shop whose traffic has been counted, and of which one worker has then lost its VM; and how many requests were sent.
async fn with_a_lost_vm(envoy: &Path, wasm: &Path, workers: u32, policy: &str) -> (Shop, u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut ours = emac_filter(&trapping(wasm, dir.path()), &reporting());
    ours["typed_config"]["config"]["failure_policy"] = json!(policy);
    let shop = Shop::with(envoy, ours, workers, false).await;
    let run = shop.load("edge");
    more_answered(&run, 100).await;
    let sent = all_well("before", &run.stop().await);
    shop.reported(sent).await;
    // Nobody else is answered meanwhile: nothing goes with the VM but the request that ends it.
    let mut poison = Connection::open(shop.proxy.at("edge")).await.unwrap();
    let head = "POST /pay HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n";
    poison.write(&format!("{head}1\r\na\r\n0\r\nx-poison: 1\r\n\r\n")).await.unwrap();
    let trapped = || async { shop.proxy.log().contains("unreachable") };
    assert!(wait_until(PATIENCE, trapped).await, "{}", shop.proxy.log());
    (shop, sent)
}

/// Only a wasm module has a VM to lose: what a panic costs the native shell is shown under `native`.
fn parts(test: &str) -> Option<(PathBuf, PathBuf)> {
    super::parts(test).filter(|(_, module)| Shell::of(module) == Shell::Wasm)
}

/// With `FAIL_RELOAD` the proxy makes a new VM (at most once a second, and fails requests until then); it counts on exactly.
async fn a_lost_vm_is_replaced(test: &str, workers: u32) {
    let Some((envoy, wasm)) = parts(test) else { return };
    let (shop, mut sent) = with_a_lost_vm(&envoy, &wasm, workers, "FAIL_RELOAD").await;
    let mut in_a_row = 0;
    let until = Instant::now() + PATIENCE;
    while in_a_row < 20 {
        assert!(Instant::now() < until, "no new VM: {}", shop.proxy.log());
        let well = get(shop.proxy.at("edge"), "/pay", &[("connection", "close")]).await.unwrap_or(0) == 200;
        in_a_row = if well { in_a_row + 1 } else { 0 };
        sent += u64::from(well);
    }
    let run = shop.load("edge");
    more_answered(&run, 200).await;
    sent += all_well("with a new VM", &run.stop().await);
    let told = || async { reports_of(&shop.control.evidence()) };
    assert!(
        wait_until(PATIENCE / 2, || async { told().await == (sent, sent) }).await,
        "{:?}, not {sent}",
        told().await
    );
    assert_eq!(shop.app.dead_contexts(), Vec::<String>::new());
}

/// With `FAIL_OPEN` its worker goes on without the filter: every request is answered, and the others' are counted.
async fn without_a_vm_traffic_passes(test: &str, workers: u32) {
    let Some((envoy, wasm)) = parts(test) else { return };
    let (shop, sent) = with_a_lost_vm(&envoy, &wasm, workers, "FAIL_OPEN").await;
    let run = shop.load("edge");
    more_answered(&run, 200).await;
    let after = all_well("without a VM", &run.stop().await);
    let (journeys, _) = reports_of(&shop.control.evidence());
    assert!((sent..=sent + after).contains(&journeys), "{sent} <= {journeys} <= {}", sent + after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vm_lost_by_the_only_worker() {
    a_lost_vm_is_replaced("lifecycle::a_vm_lost_by_the_only_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vm_lost_by_one_of_four_workers() {
    a_lost_vm_is_replaced("lifecycle::a_vm_lost_by_one_of_four_workers", 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_vm_the_only_worker_passes_traffic() {
    without_a_vm_traffic_passes("lifecycle::without_a_vm_the_only_worker_passes_traffic", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_vm_one_of_four_workers_passes_traffic() {
    without_a_vm_traffic_passes("lifecycle::without_a_vm_one_of_four_workers_passes_traffic", 4).await;
}
