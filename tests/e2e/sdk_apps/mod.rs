use std::time::{Duration, SystemTime, UNIX_EPOCH};

use emac_core::context::{Deadline, baggage};
use emac_tests::envoy::{NotRun, RoutePolicy};
use emac_tests::repo_root;
use emac_tests::supervise::Spec;
use emac_tests::testbed::{Fault, Latency, Seen, Topology, World};
use serde_json::json;

use crate::common::{JOURNEY, Plan, counted, planned, runs, start, tally};

const DEADLINE_MS: u32 = 2_000;
const REQUESTS: u64 = 20;
/// What users' browsers and gateways put there.
const OTHERS: &str = "tenant=7;k=v,note=two%20words,url=https://shop.example/";

/// The program in this folder, run by `interpreter` with the packages that `make sdks` fetched, named to it by `variable`.
fn program(name: &str, interpreter: &str, variable: &str, packages: &str) -> Result<Spec, NotRun> {
    let packages = repo_root().join(".tools/sdks").join(packages);
    if !packages.with_file_name("ready").is_file() {
        return Err(NotRun("no OpenTelemetry packages; `make sdks` fetches them".to_owned()));
    }
    let script = repo_root().join("tests/e2e/sdk_apps").join(name);
    let program = Spec::new("front", interpreter, "").args([script.display().to_string()]);
    Ok(program.env(variable, packages.display().to_string()))
}

fn baggage_of(seen: &Seen) -> String {
    let header = seen.headers.get("baggage").unwrap_or_else(|| panic!("no baggage: {:?}", seen.headers));
    header.to_str().unwrap().to_owned()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

async fn the_context_passes(test: &str, application: Result<Spec, NotRun>) {
    let Some(application) = runs(test, application) else { return };
    let plan = Plan::deadline(DEADLINE_MS).hop("front", json!({})).hop("back", json!({}));
    let Some(filter) = planned(test, plan) else { return };
    let builder = World::builder()
        .topology(Topology::chain(&["front", "back"], Latency::ms(5.0, 10.0)))
        .application("front", application)
        .policy(RoutePolicy::pass())
        .filter(filter);
    let Some(world) = start(test, builder).await else { return };

    let began = now_ms();
    let load =
        || world.load().header("baggage", OTHERS).header("baggage", "second=1").rate(50.0).count(REQUESTS);
    let healthy = tally(&load().run().await);
    let ended = now_ms();
    assert_eq!(healthy.ok, REQUESTS, "{:?}", healthy.statuses);
    let seen = world.service("back").seen();
    assert_eq!(seen.len() as u64, REQUESTS);
    for seen in &seen {
        let header = baggage_of(seen);
        let mut room = Vec::new();
        let ours = baggage::find(header.as_bytes(), &mut room).unwrap().expect("our member");
        assert_eq!(ours.journey, JOURNEY, "{header}");
        let Deadline::Absolute(at) = ours.deadline else { panic!("not absolute inside a pod: {header}") };
        assert!((began..=ended + u64::from(DEADLINE_MS)).contains(&at.0.0), "{header}");
        for key in ["tenant=", "note=", "url=", "second="] {
            assert!(header.split(',').any(|member| member.starts_with(key)), "{key} {header}");
        }
    }
    let of_back =
        |outcome: &'static str| [("journey", JOURNEY), ("destination", "back"), ("outcome", outcome)];
    counted(&world, "emac_hop_requests_total", &of_back("success"), REQUESTS as f64).await;
    counted(&world, "emac_context_missing_total", &[], 0.0).await;

    world.service("back").set_fault(Fault::Hang).await;
    let patience = Duration::from_millis(10 * u64::from(DEADLINE_MS));
    let hanging = tokio::time::timeout(patience, load().run()).await.expect("the deadline ends what hangs");
    assert!(hanging.iter().all(|sample| sample.status >= 500), "{:?}", tally(&hanging).statuses);
    // Whoever's clock ran out first: every call of the application ended, none of them well.
    let ends = &of_back("success")[..2];
    counted(&world, "emac_hop_requests_total", ends, 2.0 * REQUESTS as f64).await;
    counted(&world, "emac_hop_requests_total", &of_back("success"), REQUESTS as f64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_python() {
    let application = program("app.py", "python3", "PYTHONPATH", "python/packages");
    the_context_passes("sdk_apps::through_python", application).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_node() {
    let application = program("app.js", "node", "NODE_PATH", "node/node_modules");
    the_context_passes("sdk_apps::through_node", application).await;
}
