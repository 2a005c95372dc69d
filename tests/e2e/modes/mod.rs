use emac_tests::envoy::RoutePolicy;
use emac_tests::testbed::{Call, Fault, Latency, ServiceSpec, Topology, World};
use serde_json::json;

use crate::common::{Plan, counted, planned, start, tally};

const REQUESTS: u64 = 20;

/// (good answers, decisions to fall back) under a failing paya.
async fn in_mode(test: &str, mode: &'static str, good: u64, decided: u64) {
    let front =
        ServiceSpec::leaf("front", Latency::none()).then(vec![Call::http("paya", "/pay")]).reaching("payb");
    let others = ["paya", "payb"].map(|name| ServiceSpec::leaf(name, Latency::none()));
    let topology = Topology {
        services: [front].into_iter().chain(others).collect(),
        alternates: vec!["payb".to_owned()],
    };
    let alternate = json!({"cluster": "payb", "authority": "payb", "timeout_ms": 5_000});
    let fallback = json!({"alternate": alternate, "weight_ppm": 1_000_000});
    let plan =
        Plan::deadline(30_000).mode(mode).hop("paya", json!({"timeout_ms": 5_000, "fallback": fallback}));
    let Some(filter) = planned(test, plan) else { return };
    let builder = World::builder().topology(topology).policy(RoutePolicy::pass()).filter(filter);
    let Some(world) = start(test, builder).await else { return };
    world.service("paya").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    let answers = tally(&world.load().count(REQUESTS).run().await);
    assert_eq!((answers.ok, answers.alternate), (good, good), "{:?}", answers.statuses);
    assert_eq!(world.service("payb").count(), good);
    let labels = [("destination", "paya"), ("decision", "fallback_after")];
    counted(&world, "emac_decisions_total", &labels, decided as f64).await;
    // What happened is recorded in every mode.
    let outcome = if good > 0 { "alternate" } else { "error" };
    counted(&world, "emac_hop_requests_total", &[labels[0], ("outcome", outcome)], REQUESTS as f64).await;
    let tried = world.service("paya").seen();
    assert_eq!(tried.len() as u64, REQUESTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observe_records_and_decides_nothing() {
    in_mode("modes::observe_records_and_decides_nothing", "observe", 0, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dry_run_decides_and_does_nothing() {
    in_mode("modes::dry_run_decides_and_does_nothing", "dry-run", 0, REQUESTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enforce_decides_and_acts() {
    in_mode("modes::enforce_decides_and_acts", "enforce", REQUESTS, REQUESTS).await;
}
