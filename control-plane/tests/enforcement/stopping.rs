//! What a stop is worth: over restarts, broken files, silent sidecars, and by each of its three ways.

use crate::sidecar::{FRONT, Sidecar};
use crate::support::{api, scrape};
use crate::{HEAD, INTENT, emac, folder, serve, until, write};

const STOP: [&str; 5] = ["stop-enforcing", "--why", "INC-42: checkouts fail", "--who", "jane"];

async fn acts(sidecar: &Sidecar, wanted: bool) {
    until("the sidecar does not do as ordered", async || sidecar.acts("checkout") == Some(wanted)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_acknowledged_shown_everywhere_and_survives_a_kill() {
    let folder = folder("identity: none\n");
    let (folder, mut serving) = (folder.path(), serve(folder.path()).await);
    let front = Sidecar::connect(serving.grpc, "front-1", FRONT, true).await;
    acts(&front, true).await;
    let before = front.generation();

    let (code, stdout, stderr) = emac(folder, &serving, &STOP).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert_eq!(front.acts("checkout"), Some(false), "answered before the sidecar knew");
    let text: Vec<&str> = stdout.lines().collect();
    assert!(
        text[0].starts_with("enforcement is STOPPED for all journeys by jane (not proven), "),
        "{stdout}"
    );
    assert!(text[0].ends_with(" UTC: INC-42: checkouts fail"), "{stdout}");
    assert_eq!(text[1], "1 of 1 connected sidecars have acknowledged it");
    assert!(front.generation() > before);

    // Wherever the mode is shown.
    let plan = api(serving.http, "plan").await;
    assert_eq!(plan["workloads"][FRONT]["hops"][0]["mode"], "observe");
    assert_eq!(plan["journeys"]["checkout"]["stopped"]["by"], "jane");
    assert_eq!(plan["generation"], front.generation());
    let state = api(serving.http, "enforcement").await;
    let journey = &state["journeys"][0];
    assert_eq!((&journey["mode"], &journey["mode_declared"]), (&"observe".into(), &"enforce".into()));
    assert_eq!((&state["durable"], &state["revision"]), (&true.into(), &1.into()));
    let samples = scrape(serving.http).await;
    assert_eq!(samples["emac_enforcement_stopped{journey=\"checkout\"}"], 1.0);
    assert_eq!(
        (samples["emac_enforcement_stopped_all"], samples["emac_enforcement_unacknowledged"]),
        (1.0, 0.0)
    );
    let (_, status, _) = emac(folder, &serving, &["status"]).await;
    assert!(status.contains("enforcement is STOPPED for all journeys by jane (not proven)"), "{status}");

    // Twice: the first order stays, and the second says so.
    let (code, stdout, _) =
        emac(folder, &serving, &["stop-enforcing", "--why", "me too", "--who", "bob"]).await;
    assert!(code == 0 && stdout.starts_with("nothing changed") && stdout.contains("by jane"), "{stdout}");

    let generation = front.generation();
    serving.kill();
    let serving = serve(folder).await;
    let front = Sidecar::connect(serving.grpc, "front-1", FRONT, true).await;
    until("no budgets after the restart", async || front.acts("checkout").is_some()).await;
    assert_eq!(front.acts("checkout"), Some(false), "the stop was forgotten");
    assert!(front.generation() > generation);
    // While the intents are broken, and whoever orders it.
    write(folder, "journeys/checkout.yaml", "nonsense: [");
    let (code, stdout, _) =
        emac(folder, &serving, &["resume-enforcing", "--why", "over", "--who", "bob"]).await;
    assert!(code == 0 && stdout.starts_with("enforcement is as the intents say\n"), "{stdout}");
    assert_eq!(front.acts("checkout"), Some(true));
    let (code, ..) = emac(folder, &serving, &STOP).await;
    assert_eq!((code, front.acts("checkout")), (0, Some(false)));
    let state = api(serving.http, "enforcement").await;
    let history: Vec<_> = state["history"].as_array().unwrap().iter().map(|it| &it["by"]).collect();
    assert_eq!(history, ["jane", "bob", "bob", "jane"]);
}

/// Nobody waits for a sidecar that does not answer, and it is named with what it may go on doing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_acknowledge_is_named() {
    let folder = folder("identity: none\n");
    let (folder, serving) = (folder.path(), serve(folder.path()).await);
    let front = Sidecar::connect(serving.grpc, "front-1", FRONT, true).await;
    let _silent = Sidecar::connect(serving.grpc, "front-2", FRONT, false).await;
    let _edge = Sidecar::connect(serving.grpc, "edge-1", "shop/edge", true).await;
    // An unreachable one: it had budgets, and its connection broke.
    let gone = Sidecar::connect(serving.grpc, "edge-2", "shop/edge", true).await;
    acts(&front, true).await;
    acts(&gone, true).await;
    let proxies = async |node: &str| {
        let rows = api(serving.http, "proxies").await["proxies"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["node"] == node).unwrap_or_default()
    };
    until("nothing was acknowledged", async || {
        proxies("edge-2").await["generation_acknowledged"].is_u64() && !proxies("front-2").await.is_null()
    })
    .await;
    drop(gone);
    until("the stream did not end", async || proxies("edge-2").await["ended_age_ms"].is_u64()).await;
    let (code, stdout, _) = emac(folder, &serving, &[&STOP[..], &["--wait", "200ms"]].concat()).await;
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.contains("\n2 of 3 connected sidecars have acknowledged it\n"), "{stdout}");
    assert!(stdout.contains("\nnot acknowledged: front-2 (shop/front, "), "{stdout}");
    assert_eq!(front.acts("checkout"), Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_journey_is_stopped_by_its_name_and_a_wrong_name_is_told() {
    let folder = folder("identity: none\n");
    let folder = folder.path();
    let search = INTENT.replace("mode: observe", "mode: enforce").replace("name: checkout", "name: search");
    write(folder, "journeys/search.yaml", &search.replace("/checkout", "/search"));
    let serving = serve(folder).await;
    let front = Sidecar::connect(serving.grpc, "front-1", FRONT, true).await;
    acts(&front, true).await;
    let wrong = emac(folder, &serving, &[&STOP[..], &["--journey", "chekout"]].concat()).await;
    assert!(wrong.0 == 65 && wrong.2.contains("did you mean `checkout`?"), "{wrong:?}");
    let (code, stdout, _) = emac(folder, &serving, &[&STOP[..], &["--journey", "checkout"]].concat()).await;
    assert!(code == 0 && stdout.starts_with("enforcement is STOPPED for checkout by jane"), "{stdout}");
    assert_eq!((front.acts("checkout"), front.acts("search")), (Some(false), Some(true)));
    // All, and then one of them again.
    assert_eq!(emac(folder, &serving, &STOP).await.0, 0);
    assert_eq!((front.acts("checkout"), front.acts("search")), (Some(false), Some(false)));
    let args = ["resume-enforcing", "--why", "first", "--journey", "checkout"];
    let (code, stdout, _) = emac(folder, &serving, &args).await;
    assert!(code == 0 && stdout.contains("for all journeys but checkout by jane"), "{stdout}");
    assert_eq!((front.acts("checkout"), front.acts("search")), (Some(true), Some(false)));
}

/// One line of the configuration, whatever else is wrong with the file; what is half written does not let sidecars act.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_the_configuration_stops_and_is_lifted_there() {
    let folder = folder("identity: none\n");
    let (folder, serving) = (folder.path(), serve(folder.path()).await);
    let front = Sidecar::connect(serving.grpc, "front-1", FRONT, true).await;
    acts(&front, true).await;
    let config = |line: &str| write(folder, "emac.yaml", &format!("{HEAD}identity: none\n{line}"));
    config("plan: {period: nonsense}\nenforcement: {stopped: all, by: git, why: INC-42}\n");
    acts(&front, false).await;
    let (_, status, _) = emac(folder, &serving, &["status"]).await;
    let says =
        "enforcement is STOPPED for all journeys in the control plane's configuration by git: INC-42\n";
    assert!(status.contains(says), "{status}");
    // An order does not lift it.
    let (code, stdout, _) = emac(folder, &serving, &["resume-enforcing", "--why", "x"]).await;
    assert!(code == 0 && stdout.contains(says), "{stdout}");
    assert_eq!(front.acts("checkout"), Some(false));
    // Neither does a file that is not valid, nor half of one.
    config("plan: {period: nonsense}\n");
    let before = scrape(serving.http).await["emac_plan_seconds_count"];
    until("no plan is made", async || scrape(serving.http).await["emac_plan_seconds_count"] > before + 4.0)
        .await;
    assert_eq!(front.acts("checkout"), Some(false));
    config("enforcement: running\n");
    acts(&front, true).await;
    config("enforcement: stopped\n");
    acts(&front, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_not_survive_is_said() {
    let folder = folder("");
    write(folder.path(), "emac.yaml", &HEAD.replace("state: state\n", "identity: none\n"));
    let (folder, serving) = (folder.path(), serve(folder.path()).await);
    let front = Sidecar::connect(serving.grpc, "front-1", FRONT, true).await;
    acts(&front, true).await;
    let (code, stdout, _) = emac(folder, &serving, &STOP).await;
    assert!(
        code == 0 && stdout.contains("does not survive a restart of the control plane, which has no state"),
        "{stdout}"
    );
}
