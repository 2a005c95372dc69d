use std::net::SocketAddr;

use emac_tests::load::Load;
use emac_tests::testbed::{Latency, Topology, World};

use crate::common::{Plan, counted, counted_at_least, planned, start, tally};

const REQUESTS: u64 = 10;

/// Values nobody should send.
fn hostile() -> Vec<String> {
    let many = (0..200).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
    let long = format!("emac=v1:checkout:{}:0000", "9".repeat(400));
    [
        "emac=",
        "emac=v1",
        "emac=v1:checkout",
        "emac=v1:checkout:-1:0000",
        "emac=v1:checkout:18446744073709551616:0000",
        "emac=v2:checkout:100:0000",
        "emac=v1:No Such Journey!:100:0000",
        "emac=v1:unknown-journey:100:0000",
        "emac=v1:checkout:100:zzzz",
        "emac=v1:checkout:100:0000,emac=v1:checkout:1:0000",
        ",,,,;;;;====",
        &many,
        &long,
        &"x".repeat(20_000),
    ]
    .into_iter()
    .map(str::to_owned)
    .collect()
}

fn inbound(world: &World, service: &str) -> SocketAddr {
    let bootstrap = world.envoy(service).bootstrap();
    let port = bootstrap.listeners.iter().find(|l| l.name == "inbound").unwrap().port;
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_a_header_says_breaks_a_request() {
    let test = "hostile_headers::nothing_a_header_says_breaks_a_request";
    let Some(filter) = planned(test, Plan::deadline(5_000)) else { return };
    let builder =
        World::builder().topology(Topology::chain(&["front", "back"], Latency::none())).filter(filter);
    let Some(world) = start(test, builder).await else { return };
    let values = hostile();
    for value in &values {
        for target in [world.entry(), inbound(&world, "front")] {
            let load = Load::get(target, "front", "/work").header("baggage", value).count(REQUESTS);
            let answers = tally(&load.run().await);
            assert_eq!(answers.ok, REQUESTS, "{value:.60}: {:?}", answers.statuses);
        }
    }
    // The edge let nothing through: every request that came in there is one of the journey, with the deadline set there.
    let through_edge = REQUESTS * values.len() as u64;
    counted(
        &world,
        "journey_requests_total",
        &[("journey", "checkout"), ("result", "success")],
        through_edge as f64,
    )
    .await;
    counted_at_least(&world, "emac_context_invalid_total", &[], REQUESTS as f64).await;
    counted(&world, "emac_internal_errors_total", &[], 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edge_believes_no_foreign_context() {
    let test = "hostile_headers::the_edge_believes_no_foreign_context";
    let Some(filter) = planned(test, Plan::deadline(5_000)) else { return };
    let builder =
        World::builder().topology(Topology::chain(&["front", "back"], Latency::none())).filter(filter);
    let Some(world) = start(test, builder).await else { return };
    let foreign = "tenant=blue,emac=v1:checkout:1:0000,color=red";
    let answers = tally(&world.load().header("baggage", foreign).count(REQUESTS).run().await);
    assert_eq!(answers.ok, REQUESTS, "{:?}", answers.statuses);
    for seen in world.service("front").seen() {
        let baggage = seen.headers.get("baggage").unwrap().to_str().unwrap();
        assert!(baggage.contains("tenant=blue") && baggage.contains("color=red"), "{baggage}");
        assert!(!baggage.contains(":1:0000") && baggage.matches("emac=").count() == 1, "{baggage}");
    }
}
