//! The record of orders: what becomes of it when somebody removes it, and of what a process that was killed leaves beside it.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::sidecar::{FRONT, Sidecar};
use crate::support::api;
use crate::{emac, folder, logged, serve_logged, until};

const STOP: [&str; 3] = ["stop-enforcing", "--why", "INC-42"];

fn record(folder: &Path) -> String {
    fs::read_to_string(folder.join("state/enforcement.json")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_lost_resumes_nothing_unheard() {
    let folder = folder("identity: none\n");
    let (folder, mut serving) = (folder.path(), serve_logged(folder.path()).await);
    let state = folder.join("state");
    let lose = |names: &[&str]| names.iter().for_each(|name| fs::remove_file(state.join(name)).unwrap());
    assert_eq!(emac(folder, &serving, &STOP).await.0, 0);
    let kept = record(folder);
    // While it runs what it knows counts, whoever removes what.
    for emptied in [false, true] {
        match emptied {
            true => fs::write(state.join("enforcement.json"), "").unwrap(),
            false => lose(&["enforcement.json", "enforcement.copy.json"]),
        }
        until("the record is not written anew", async || record(folder) == kept).await;
        logged(folder, "removed or emptied while it was in use").await;
    }
    until("the copy is not written", async || state.join("enforcement.copy.json").exists()).await;
    serving.kill();
    lose(&["enforcement.json"]);
    let mut serving = serve_logged(folder).await;
    let front = Sidecar::connect(serving.grpc, "front-1", FRONT, true).await;
    until("there are no budgets", async || front.acts("checkout").is_some()).await;
    assert_eq!(front.acts("checkout"), Some(false), "removing a file resumed");
    let told = "enforcement.json was gone from state and was written anew from enforcement.copy.json: what was stopped is still stopped";
    logged(folder, told).await;
    let (_, status, _) = emac(folder, &serving, &["status"]).await;
    assert!(status.contains(told) && status.contains("STOPPED for all journeys"), "{status}");
    assert_eq!(record(folder), kept);
    // Both by hand is somebody's decision; it is told.
    serving.kill();
    lose(&["enforcement.json", "enforcement.copy.json"]);
    let mut serving = serve_logged(folder).await;
    let told = "state was in use and holds neither enforcement.json nor enforcement.copy.json";
    logged(folder, told).await;
    let (_, status, _) = emac(folder, &serving, &["status"]).await;
    assert!(status.contains(told) && !status.contains("STOPPED"), "{status}");
    // Until somebody says how it shall be, or a restart finds a record.
    assert_eq!(emac(folder, &serving, &["resume-enforcing", "--why", "as it should be"]).await.0, 0);
    assert!(api(serving.http, "enforcement").await["record"].is_null());
    serving.kill();
    let serving = serve_logged(folder).await;
    assert!(api(serving.http, "enforcement").await["record"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_left_half_written_goes_at_the_next_start() {
    let folder = folder("identity: none\n");
    let (folder, mut serving) = (folder.path(), serve_logged(folder.path()).await);
    serving.kill();
    let state = folder.join("state");
    fs::create_dir_all(state.join("discovery")).unwrap();
    let left = ["state/.emac-Xy12zA.new", "state/discovery/.emac-aaaaaa.new"];
    let others = ["state/.emac-notes.new", "state/.emac-young1.new", "journeys/.emac-bbbbbb.new"];
    for name in left.iter().chain(&others) {
        fs::write(folder.join(name), "half").unwrap();
        let age = Duration::from_secs(if name.contains("young") { 5 } else { 3_600 });
        let file = fs::File::options().write(true).open(folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    let _serving = serve_logged(folder).await;
    logged(folder, "removed temporary files of a process that was killed while it wrote removed=2").await;
    assert!(left.iter().all(|name| !folder.join(name).exists()));
    assert!(others.iter().all(|name| folder.join(name).exists()));
}
