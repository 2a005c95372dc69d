use emac_tests::envoy::RoutePolicy;
use emac_tests::testbed::{Fault, Latency, Propagate, Topology, World};
use serde_json::{Value, json};

use crate::common::{Plan, counted, counted_at_least, planned, start, tally};

const DEADLINE_MS: u32 = 2_000;
const REQUESTS: u64 = 20;

async fn three_hops(test: &str, propagate: Propagate, plan: Plan) -> Option<World> {
    let builder = World::builder()
        .topology(Topology::chain(&["a", "b", "c", "d"], Latency::ms(20.0, 30.0)))
        .propagate(propagate)
        .policy(RoutePolicy::pass())
        .filter(planned(test, plan)?);
    start(test, builder).await
}

/// Remaining milliseconds in the context that the service's application was given, which is absolute there: none is ahead of the deadline
/// set at the edge.
fn contexts(world: &World, service: &str) -> Vec<String> {
    let baggage =
        |seen: &emac_tests::testbed::Seen| seen.headers.get("baggage")?.to_str().ok().map(str::to_owned);
    world.service(service).seen().iter().filter_map(baggage).collect()
}

/// Without a budget for any hop, the deadline alone ends a call three hops away. The edge itself waits for ever.
async fn the_deadline_reaches(propagate: Propagate, extra: Value, test: &str) {
    let plan =
        Plan::deadline(DEADLINE_MS).hop("b", json!({})).hop("c", json!({})).hop("d", json!({})).with(extra);
    let Some(world) = three_hops(test, propagate, plan).await else { return };
    let healthy = tally(&world.load().rate(50.0).count(REQUESTS).run().await);
    assert_eq!(healthy.ok, REQUESTS, "{:?}", healthy.statuses);
    counted(&world, "emac_context_missing_total", &[], 0.0).await;

    world.service("d").set_fault(Fault::Hang).await;
    let hanging = world.load().rate(50.0).count(REQUESTS).run().await;
    assert!(hanging.iter().all(|s| s.status == 502), "{:?}", tally(&hanging).statuses);
    // Whoever's clock ran out first: all three hops of a request end, none of them well.
    counted(
        &world,
        "emac_hop_requests_total",
        &[("destination", "d"), ("outcome", "success")],
        REQUESTS as f64,
    )
    .await;
    counted_at_least(&world, "emac_hop_requests_total", &[("outcome", "timeout")], REQUESTS as f64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_baggage() {
    the_deadline_reaches(Propagate::Both, json!({"join": "baggage"}), "deadline::by_baggage").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_traceparent() {
    the_deadline_reaches(
        Propagate::TraceparentOnly,
        json!({"join": "traceparent"}),
        "deadline::by_traceparent",
    )
    .await;
}

/// Nothing is handed on: a hop has a budget where it takes calls without context, and the gap is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_chain_each_hop_has_its_own_budget() {
    let test = "deadline::without_a_chain_each_hop_has_its_own_budget";
    let plan = Plan::deadline(DEADLINE_MS).hop("d", json!({"timeout_ms": 100, "without_context": true}));
    let Some(world) = three_hops(test, Propagate::Nothing, plan).await else { return };
    let healthy = tally(&world.load().rate(50.0).count(REQUESTS).run().await);
    assert_eq!(healthy.ok, REQUESTS, "{:?}", healthy.statuses);
    // Three outbound hops a request find no context: a's, b's and c's.
    counted(&world, "emac_context_missing_total", &[], 3.0 * REQUESTS as f64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wire_carries_what_remains_and_the_pod_when_it_ends() {
    let test = "deadline::the_wire_carries_what_remains_and_the_pod_when_it_ends";
    let Some(world) = three_hops(test, Propagate::Both, Plan::deadline(DEADLINE_MS)).await else { return };
    let began =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    world.load().rate(50.0).count(REQUESTS).run().await;
    let ended =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    for service in ["a", "b", "c", "d"] {
        let contexts = contexts(&world, service);
        assert_eq!(contexts.len() as u64, REQUESTS, "{service}");
        for context in contexts {
            let deadline: u64 = context
                .strip_prefix("emac=v2.checkout.a")
                .and_then(|rest| rest.split('.').next()?.parse().ok())
                .unwrap_or_else(|| panic!("{service}: {context}"));
            let deadline_ms = u64::from(DEADLINE_MS);
            assert!((began..=ended + deadline_ms).contains(&deadline), "{service}: {deadline} not absolute");
        }
    }
}
