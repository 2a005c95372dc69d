use emac_tests::envoy::RoutePolicy;
use emac_tests::testbed::{Call, Fault, Latency, ServiceSpec, Topology, World};
use serde_json::{Value, json};

use crate::common::{Plan, counted, planned, start, tally};

const REQUESTS: u64 = 20;

/// front -> paya, with payb in reach.
fn topology() -> Topology {
    let front =
        ServiceSpec::leaf("front", Latency::none()).then(vec![Call::http("paya", "/pay")]).reaching("payb");
    let others = ["paya", "payb"].map(|name| ServiceSpec::leaf(name, Latency::none()));
    Topology { services: [front].into_iter().chain(others).collect(), alternates: vec!["payb".to_owned()] }
}

async fn world(test: &str, alternate: Value) -> Option<World> {
    let fallback = json!({"alternate": alternate, "weight_ppm": 1_000_000});
    let plan = Plan::deadline(30_000)
        .hop("paya", json!({"timeout_ms": 300, "useful_min_ms": 1, "fallback": fallback}));
    let builder = World::builder()
        .topology(topology())
        .policy(RoutePolicy::pass())
        .alternate_route("paya", "x-provider", "payb", "payb")
        .filter(planned(test, plan)?);
    start(test, builder).await
}

/// Every request is answered, by payb.
async fn payb_helps(test: &str, fault: Fault) {
    let Some(world) = world(test, json!({"cluster": "payb", "authority": "payb", "timeout_ms": 5_000})).await
    else {
        return;
    };
    let healthy = tally(&world.load().count(REQUESTS).run().await);
    assert_eq!((healthy.ok, healthy.alternate), (REQUESTS, 0), "{:?}", healthy.statuses);

    world.service("paya").set_fault(fault).await;
    let helped = tally(&world.load().count(REQUESTS).run().await);
    assert_eq!(
        (helped.ok, helped.alternate, helped.degraded),
        (REQUESTS, REQUESTS, 0),
        "{:?}",
        helped.statuses
    );
    assert_eq!(world.service("payb").count(), REQUESTS);
    let hop = ("destination", "paya");
    counted(&world, "emac_hop_requests_total", &[hop, ("outcome", "alternate")], REQUESTS as f64).await;
    counted(&world, "emac_hop_requests_total", &[hop, ("outcome", "success")], REQUESTS as f64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_timeout() {
    payb_helps("fallback_alternate::after_a_timeout", Fault::Hang).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_server_error() {
    payb_helps("fallback_alternate::after_a_server_error", Fault::Errors { share: 1.0, status: 503 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_refused_connection() {
    payb_helps("fallback_alternate::after_a_refused_connection", Fault::Refuse).await;
}

/// The alternate fails too: the user sees the first failure, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_outages_are_one_error() {
    let test = "fallback_alternate::two_outages_are_one_error";
    let Some(world) = world(test, json!({"cluster": "payb", "authority": "payb", "timeout_ms": 5_000})).await
    else {
        return;
    };
    for service in ["paya", "payb"] {
        world.service(service).set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    }
    let both = tally(&world.load().count(REQUESTS).run().await);
    assert_eq!(both.errors, REQUESTS, "{:?}", both.statuses);
    assert_eq!(both.statuses.keys().collect::<Vec<_>>(), [&502]);
    counted(
        &world,
        "emac_hop_requests_total",
        &[("destination", "paya"), ("outcome", "error")],
        REQUESTS as f64,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_body_of_the_request_when_allowed() {
    let test = "fallback_alternate::with_the_body_of_the_request_when_allowed";
    let allowed = json!({"cluster": "payb", "authority": "payb", "timeout_ms": 5_000,
        "allow_non_idempotent": true, "body_bytes_max": 1_024});
    let Some(world) = world(test, allowed).await else { return };
    world.service("paya").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    let helped = tally(&world.load().post("amount=12").count(REQUESTS).run().await);
    assert_eq!((helped.ok, helped.alternate), (REQUESTS, REQUESTS), "{:?}", helped.statuses);
    let seen = world.service("payb").seen();
    assert!(
        seen.iter().all(|s| s.method == "POST" && s.path == "/pay" && s.body == "amount=12"),
        "{:?}",
        seen.first()
    );

    // Longer than what is kept: not repeated, and not cut short.
    let too_long = tally(&world.load().post("x".repeat(2_000)).count(REQUESTS).run().await);
    assert_eq!(too_long.errors, REQUESTS, "{:?}", too_long.statuses);
    assert_eq!(world.service("payb").count(), REQUESTS);
    assert!(world.service("paya").seen().iter().rev().take(REQUESTS as usize).all(|s| s.body.len() == 2_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_not_repeated_unless_allowed() {
    let test = "fallback_alternate::a_payment_is_not_repeated_unless_allowed";
    let plain = json!({"cluster": "payb", "authority": "payb", "timeout_ms": 5_000, "body_bytes_max": 1_024});
    let Some(world) = world(test, plain).await else { return };
    world.service("paya").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    let posts = tally(&world.load().post("amount=12").count(REQUESTS).run().await);
    assert_eq!(posts.errors, REQUESTS, "{:?}", posts.statuses);
    assert_eq!(world.service("payb").count(), 0);
}

/// No time for paya, so payb is asked instead of it, by the route table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_call_by_route() {
    let test = "fallback_alternate::before_the_call_by_route";
    let alternate = json!({"route_header": {"name": "x-provider", "value": "payb"}, "timeout_ms": 5_000});
    let fallback = json!({"alternate": alternate, "weight_ppm": 1_000_000});
    // Useful only with more time than the whole journey has.
    let hop = json!({"timeout_ms": 5_000, "useful_min_ms": 4_000, "fallback": fallback});
    let plan = Plan::deadline(3_000).hop("paya", hop);
    let Some(filter) = planned(test, plan) else { return };
    let builder = World::builder()
        .topology(topology())
        .policy(RoutePolicy::pass())
        .alternate_route("paya", "x-provider", "payb", "payb")
        .filter(filter);
    let Some(world) = start(test, builder).await else { return };
    let rerouted = tally(&world.load().count(REQUESTS).run().await);
    assert_eq!((rerouted.ok, rerouted.alternate), (REQUESTS, REQUESTS), "{:?}", rerouted.statuses);
    assert_eq!((world.service("paya").count(), world.service("payb").count()), (0, REQUESTS));
}
