//! Whether anybody should come, and what becomes of intents whose files are emptied.

use std::path::Path;

use super::{PLENTY, SHORT_LEASE, serve, until};
use crate::support::process::run;
use crate::support::{Sidecar, get, report, scrape};

async fn readyz(http: std::net::SocketAddr) -> (u16, String) {
    let (status, _, body) = get(http, "/readyz", "*/*").await;
    (status, String::from_utf8(body).unwrap())
}

/// After a restart with evidence the first plan waits for a window of it; until then others should be asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_once_a_plan_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("intent.yaml"), SHORT_LEASE).unwrap();
    let more = "state: state\nintents: [intent.yaml]\nevidence: {window: 2s}";
    let mut serving = serve(folder.path(), PLENTY, more).await;
    until("it is never ready", async || readyz(serving.http).await == (200, "ready\n".to_owned())).await;
    Sidecar::connect(serving.grpc).await.unwrap().send(report("node", 7, 1, 9)).await.unwrap();
    serving.kill();
    let serving = serve(folder.path(), PLENTY, more).await;
    let (status, why) = readyz(serving.http).await;
    let waits = "not ready: no plan is in force for 1 journeys: evidence of one window is awaited after the restart\n";
    assert_eq!((status, why.as_str()), (503, waits));
    assert_eq!(scrape(serving.http).await["emac_ready"], 0.0);
    until("it is never ready again", async || readyz(serving.http).await.0 == 200).await;
    assert_eq!(scrape(serving.http).await["emac_ready"], 1.0);
}

/// A file that is emptied, or half written, takes no journey away; one that is removed does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_file_is_refused_and_a_removed_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let journeys = folder.path().join("journeys");
    std::fs::create_dir(&journeys).unwrap();
    let named = |name: &str| {
        SHORT_LEASE
            .replace("name: checkout", &format!("name: {name}"))
            .replace("/checkout", &format!("/{name}"))
    };
    let write = |file: &str, text: &str| std::fs::write(journeys.join(file), text).unwrap();
    write("a.yaml", &named("a"));
    write("bc.yaml", &format!("{}---\n{}", named("b"), named("c")));
    let serving = serve(folder.path(), PLENTY, "intents: [journeys]").await;
    let are = async |journeys: f64, refused: f64, removed: f64| {
        until(&format!("{journeys} {refused} {removed}"), async || {
            let samples = scrape(serving.http).await;
            let seen = ["emac_intents", "emac_intents_refused", "emac_journeys_removed_total"]
                .map(|name| samples[name]);
            seen == [journeys, refused, removed]
        })
        .await;
    };
    are(3.0, 0.0, 0.0).await;
    for emptied in ["", "\n\n", "# nothing yet\n", "---\n", "---\n# nothing\n...\n", "null\n"] {
        write("a.yaml", emptied);
        are(3.0, 1.0, 0.0).await;
        write("a.yaml", &named("a"));
        are(3.0, 0.0, 0.0).await;
    }
    // Nothing starts with one either: a restart would take the journey away as well.
    write("a.yaml", "");
    let (code, _, stderr) = serve_once(folder.path());
    assert_eq!(code, 65, "{stderr}");
    assert!(stderr.contains("a.yaml: no document in it") && stderr.contains("remove its file"), "{stderr}");
    std::fs::remove_file(journeys.join("a.yaml")).unwrap();
    are(2.0, 0.0, 1.0).await;
    write("bc.yaml", &named("c"));
    are(1.0, 0.0, 2.0).await;
}

fn serve_once(folder: &Path) -> (i32, String, String) {
    let args = [
        "serve",
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--identity",
        "none",
        "--intent",
        "journeys",
    ];
    run(folder, &args)
}
