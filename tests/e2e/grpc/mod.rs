use emac_tests::envoy::RoutePolicy;
use emac_tests::testbed::{Fault, Latency, ServiceSpec, Topology, World};
use serde_json::json;

use crate::common::{Plan, counted, planned, start, tally};

const REQUESTS: u64 = 20;
const DEADLINE_EXCEEDED: u16 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_cut_by_its_budget_ends_as_deadline_exceeded() {
    let test = "grpc::a_call_cut_by_its_budget_ends_as_deadline_exceeded";
    let plan = Plan::deadline(30_000).hop("cart", json!({"timeout_ms": 200}));
    let Some(filter) = planned(test, plan) else { return };
    let topology =
        Topology { services: vec![ServiceSpec::leaf("cart", Latency::none())], alternates: Vec::new() };
    let builder = World::builder().topology(topology).policy(RoutePolicy::pass()).filter(filter);
    let Some(world) = start(test, builder).await else { return };
    let mut load = world.load().count(REQUESTS);
    load.path = "/shop.Cart/Get".to_owned();
    let load = load.grpc(b"");
    let healthy = tally(&load.clone().run().await);
    assert_eq!(healthy.ok, REQUESTS, "{:?}", healthy.statuses);

    // Envoy would say 14 UNAVAILABLE, which default policies retry.
    world.service("cart").set_fault(Fault::Hang).await;
    let cut = load.clone().run().await;
    let codes: Vec<_> = cut.iter().map(|sample| sample.grpc_status).collect();
    assert!(codes.iter().all(|code| *code == Some(DEADLINE_EXCEEDED)), "{cut:?}");

    // A service that says 14 itself is not rewritten.
    world.service("cart").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    let unavailable = load.run().await;
    assert!(unavailable.iter().all(|sample| sample.grpc_status == Some(14)), "{unavailable:?}");

    let hop = ("destination", "cart");
    for (outcome, count) in [("success", REQUESTS), ("timeout", REQUESTS), ("error", REQUESTS)] {
        counted(&world, "emac_hop_requests_total", &[hop, ("outcome", outcome)], count as f64).await;
    }
}
