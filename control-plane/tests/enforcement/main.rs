//! The kill switch and who may throw it: the real binary, sidecars' streams, and HTTP written by hand.

#![allow(missing_docs, unreachable_pub)]

#[path = "../identity/authority.rs"]
mod authority;
mod operators;
mod raw;
mod record;
mod sidecar;
mod stopping;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::process::{self, PATIENCE, Serving, run};

const HEAD: &str =
    "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\nintents: [journeys]\nstate: state\n";
/// An intent that acts.
const INTENT: &str = include_str!("../../examples/checkout/intent.yaml");

/// A folder with the checkout, enforced, and a configuration.
fn folder(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("journeys")).unwrap();
    write(folder.path(), "journeys/checkout.yaml", &INTENT.replace("mode: observe", "mode: enforce"));
    write(folder.path(), "emac.yaml", &format!("{HEAD}{more}"));
    folder
}

/// Replaces a file whole.
fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
}

async fn serve(folder: &Path) -> Serving {
    Serving::start_proving(folder, &["--config", "emac.yaml"]).await
}

/// As [`serve`]; what it logs comes into the file `log`.
async fn serve_logged(folder: &Path) -> Serving {
    let _ = std::fs::remove_file(folder.join("ports.json"));
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let args = ["serve", "--config", "emac.yaml", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let mut command = process::emac(folder, &[&args[..], &["--ports-file", "ports.json"]].concat());
    Serving::of(command.stderr(log).spawn().unwrap(), &folder.join("ports.json")).await
}

/// Waits until the log says something.
async fn logged(folder: &Path, says: &str) {
    let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    until(&format!("not logged: {says}"), async || log().contains(says)).await;
}

/// `emac` against a control plane, without blocking the sidecars of the test.
async fn emac(folder: &Path, serving: &Serving, args: &[&str]) -> (i32, String, String) {
    let server = format!("http://{}", serving.http);
    let args: Vec<String> =
        args.iter().map(ToString::to_string).chain(["--server".to_owned(), server]).collect();
    let folder = folder.to_owned();
    let work = move || run(&folder, &args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
