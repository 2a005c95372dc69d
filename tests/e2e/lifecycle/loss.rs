//! A worker loses its VM.

use std::path::Path;
use std::time::Duration;

use emac_tests::testbed::wait_until;

use super::client::Connection;
use super::{Shop, all_well, more_answered, parts, reports_of};
use crate::common::PATIENCE;

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

/// Others do not notice; of what was counted, the lost VM takes its last interval with it and no more.
async fn a_lost_vm_is_replaced(test: &str, workers: u32) {
    let Some((envoy, wasm)) = parts(test) else { return };
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::start(&envoy, &trapping(&wasm, dir.path()), workers, false).await;
    let run = shop.load("edge");
    more_answered(&run, 100).await;
    let sent = all_well("before", &run.stop().await);
    shop.reported(sent).await;
    // Nobody else is answered meanwhile, so that nothing can be lost with the VM but the request that ends it.
    let mut poison = Connection::open(shop.proxy.at("edge")).await.unwrap();
    let head = "POST /pay HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n";
    poison.write(&format!("{head}1\r\na\r\n0\r\nx-poison: 1\r\n\r\n")).await.unwrap();
    let trapped = || async { shop.proxy.log().contains("unreachable") };
    assert!(wait_until(PATIENCE, trapped).await, "{}", shop.proxy.log());
    // A VM is loaded again at most once a second: until then its worker fails requests, with this failure policy.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let run = shop.load("edge");
    more_answered(&run, 200).await;
    let samples = run.stop().await;
    let after = all_well("with a new VM", &samples);
    let told = || async { reports_of(&shop.control.evidence()) };
    let exact = || async {
        let (journeys, calls) = told().await;
        (sent + after..=sent + after + 1).contains(&journeys)
            && (sent + after..=sent + after + 1).contains(&calls)
    };
    assert!(wait_until(PATIENCE / 2, exact).await, "{:?}, not {} or one more", told().await, sent + after);
    assert_eq!(shop.app.dead_contexts(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vm_lost_by_the_only_worker() {
    a_lost_vm_is_replaced("lifecycle::a_vm_lost_by_the_only_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vm_lost_by_one_of_four_workers() {
    a_lost_vm_is_replaced("lifecycle::a_vm_lost_by_one_of_four_workers", 4).await;
}
