use emac_tests::envoy::RoutePolicy;
use emac_tests::testbed::{Fault, Latency, Topology, World};
use serde_json::json;

use crate::common::{Plan, counted, planned, start, tally};

const BURST: u64 = 5;
const REQUESTS: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_degraded_answer_stops_at_its_budget() {
    let test = "a_degraded_answer_stops_at_its_budget";
    let cached = json!({"static_response": {"status": 200, "body": "{\"price\":1}",
        "headers": [{"name": "x-degraded", "value": "1"}, {"name": "content-type", "value": "application/json"}]},
        "weight_ppm": 500_000, "budget_ppm": 200_000, "burst": BURST});
    let plan = Plan::deadline(30_000).hop("pricing", json!({"timeout_ms": 5_000, "fallback": cached}));
    let Some(filter) = planned(test, plan) else { return };
    let builder = World::builder()
        .topology(Topology::chain(&["front", "pricing"], Latency::none()))
        .policy(RoutePolicy::pass())
        .filter(filter);
    let Some(world) = start(test, builder).await else { return };

    // A single failure is covered by the burst and seen by nobody but the counters.
    world.service("pricing").set_fault(Fault::Errors { share: 1.0, status: 500 }).await;
    let first = world.load().count(1).run().await;
    assert!(first[0].ok() && first[0].degraded, "{:?}", first[0]);

    // An outage is not hidden: a fifth of the answers is degraded, plus the burst, and no more.
    let outage = tally(&world.load().clients(2).count(REQUESTS - 1).run().await);
    let degraded = outage.degraded + 1;
    assert!(
        (REQUESTS / 5..=REQUESTS / 5 + BURST).contains(&degraded),
        "{degraded} degraded of {REQUESTS}: {:?}",
        outage.statuses
    );
    assert_eq!(outage.ok, outage.degraded);
    assert_eq!(outage.statuses.get(&502), Some(&(outage.sent - outage.ok)), "{:?}", outage.statuses);

    let hop = ("destination", "pricing");
    counted(&world, "emac_hop_requests_total", &[hop, ("outcome", "fallback")], degraded as f64).await;
    counted(&world, "emac_hop_requests_total", &[hop, ("outcome", "error")], (REQUESTS - degraded) as f64)
        .await;
    counted(
        &world,
        "emac_decisions_total",
        &[hop, ("decision", "budget_spent")],
        (REQUESTS - degraded) as f64,
    )
    .await;
}
