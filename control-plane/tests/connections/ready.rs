//! Whether anybody should come, and what becomes of intents whose files are emptied.

use std::path::Path;

use super::{PLENTY, SHORT_LEASE, serve, until};
use crate::support::process::run;
use crate::support::{Sidecar, api, get, report, scrape};

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

/// The intent of a journey of this name.
fn named(name: &str) -> String {
    SHORT_LEASE.replace("name: checkout", &format!("name: {name}")).replace("/checkout", &format!("/{name}"))
}

/// A file that is emptied, or half written, takes no journey away; one that is removed does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_file_is_refused_and_a_removed_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let journeys = folder.path().join("journeys");
    std::fs::create_dir(&journeys).unwrap();
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
}

/// A file that is there and holds something else takes no journey away; moving and renaming have ways that do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_holds_its_journey_no_longer_is_refused_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let journeys = folder.path().join("journeys");
    std::fs::create_dir(&journeys).unwrap();
    let write = |file: &str, text: &str| {
        std::fs::write(folder.path().join("new"), text).unwrap();
        std::fs::rename(folder.path().join("new"), journeys.join(file)).unwrap();
    };
    let remove = |file: &str| std::fs::remove_file(journeys.join(file)).unwrap();
    let both = |one: &str, other: &str| format!("{}---\n{}", named(one), named(other));
    write("a.yaml", &named("a"));
    write("bc.yaml", &both("b", "c"));
    let serving = serve(folder.path(), PLENTY, "intents: [journeys]").await;
    let are = async |names: &[&str], refused: Option<&str>, removed: f64| {
        until(&format!("{names:?} {refused:?} {removed}"), async || {
            let samples = scrape(serving.http).await;
            let why = api(serving.http, "journeys").await["intents_refused"].clone();
            let state = api(serving.http, "enforcement").await;
            let known: Vec<_> =
                state["journeys"].as_array().unwrap().iter().map(|it| &it["journey"]).collect();
            known == names
                && samples["emac_intents_refused"] == f64::from(u8::from(refused.is_some()))
                && samples["emac_journeys_removed_total"] == removed
                && refused.is_none_or(|says| why.as_str().is_some_and(|why| why.contains(says)))
        })
        .await;
    };
    are(&["a", "b", "c"], None, 0.0).await;
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    for (file, text, says) in [
        (
            "a.yaml",
            other.to_owned(),
            "a.yaml: it held the journey `a`, which is in no file any more; now it holds no intent",
        ),
        (
            "a.yaml",
            named("z"),
            "a.yaml: it held the journey `a`, which is in no file any more; now it holds z",
        ),
        (
            "bc.yaml",
            named("c"),
            "bc.yaml: it held the journey `b`, which is in no file any more; now it holds c",
        ),
        ("bc.yaml", format!("{}---\n", named("b")), "bc.yaml: it held the journey `c`"),
    ] {
        write(file, &text);
        are(&["a", "b", "c"], Some(says), 0.0).await;
        let server = format!("http://{}", serving.http);
        let at = folder.path().to_owned();
        let status =
            tokio::task::spawn_blocking(move || run(&at, &["status", "--server", &server])).await.unwrap().1;
        assert!(
            status.contains("the intents' files are refused, and the last valid intents stay")
                && status.contains(says),
            "{status}"
        );
        write("a.yaml", &named("a"));
        write("bc.yaml", &both("b", "c"));
        are(&["a", "b", "c"], None, 0.0).await;
    }
    // One journey moves to a file of its own; whichever is written first, nothing is missing in between.
    write("bc.yaml", &named("c"));
    are(&["a", "b", "c"], Some("`b`"), 0.0).await;
    write("b.yaml", &named("b"));
    are(&["a", "b", "c"], None, 0.0).await;
    // A new name, in a file of another name.
    write("z.yaml", &named("z"));
    remove("a.yaml");
    are(&["b", "c", "z"], None, 1.0).await;
    remove("b.yaml");
    are(&["c", "z"], None, 2.0).await;
    // A start takes files as they are.
    write("z.yaml", &named("y"));
    are(&["c", "z"], Some("`z`"), 2.0).await;
    drop(serving);
    let serving = serve(folder.path(), PLENTY, "intents: [journeys]").await;
    assert_eq!(api(serving.http, "enforcement").await["journeys"][1]["journey"], "y");
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
