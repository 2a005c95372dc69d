use emac_tests::envoy::RoutePolicy;
use emac_tests::testbed::{Fault, Latency, Topology, World};
use serde_json::json;

use crate::common::{Plan, counted, planned, start, tally};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_when_its_budget_does() {
    let test = "a_call_ends_when_its_budget_does";
    let plan = Plan::deadline(30_000).hop("back", json!({"timeout_ms": 150}));
    let Some(filter) = planned(test, plan) else { return };
    let builder = World::builder()
        .topology(Topology::chain(&["front", "back"], Latency::none()))
        .policy(RoutePolicy::pass())
        .filter(filter);
    let Some(world) = start(test, builder).await else { return };

    let healthy = tally(&world.load().count(20).run().await);
    assert_eq!(healthy.ok, 20, "{:?}", healthy.statuses);

    // The route would wait a minute, the load gives up after ten seconds: only the budget can end these calls.
    world.service("back").set_fault(Fault::Hang).await;
    let hanging = world.load().count(20).run().await;
    assert!(hanging.iter().all(|sample| sample.status == 502), "{:?}", tally(&hanging).statuses);
    assert_eq!(world.service("back").count(), 40);

    let hop = [("journey", "checkout"), ("destination", "back")];
    counted(&world, "emac_hop_requests_total", &[hop[0], hop[1], ("outcome", "success")], 20.0).await;
    counted(&world, "emac_hop_requests_total", &[hop[0], hop[1], ("outcome", "timeout")], 20.0).await;
}
