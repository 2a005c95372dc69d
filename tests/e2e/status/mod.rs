use emac_tests::testbed::product::{CHECKOUT_INTENT, Serve, emac, filter_with};
use emac_tests::testbed::{World, wait_until};
use serde_json::Value;

use crate::common::{PATIENCE, runs, start};

/// The checkout with short leases, in which cart and pricing have budgets too.
fn intent() -> String {
    CHECKOUT_INTENT
        .replace("validFor: 60s", "validFor: 4s")
        .replace("destination: cart}", "destination: cart, workload: shop/cart}")
        .replace("destination: pricing}", "destination: pricing, workload: shop/pricing}")
}

/// A world in which the filter beside one workload knows no control plane: for status as good as no filter.
async fn world_without(test: &str, workload: &'static str) -> Option<World> {
    let filter = filter_with(move |place, configuration| {
        if let Some(fields) = configuration.as_object_mut() {
            fields.insert("tick_ms".into(), 50.into());
            fields.insert("report_ms".into(), 200.into());
            if place.workload == workload {
                fields.remove("control_plane");
            }
        }
    });
    let serve = Serve { intent: intent(), ..Serve::default() };
    let (filter, serve) = (runs(test, filter)?, runs(test, serve.setup())?);
    start(test, World::builder().filter(filter).control_plane(serve)).await
}

async fn api(world: &World, part: &str) -> Value {
    world.control().json(&format!("/api/v1/{part}")).await.unwrap_or_default()
}

/// How a node stands; nothing while it is not listed.
async fn state(world: &World, node: &str) -> Option<String> {
    let proxies = api(world, "proxies").await;
    let row = proxies["proxies"].as_array()?.iter().find(|row| row["node"] == node)?.clone();
    row["state"].as_str().map(str::to_owned)
}

async fn becomes(world: &World, node: &str, wanted: &str) {
    let as_wanted = || async { state(world, node).await.as_deref() == Some(wanted) };
    assert!(
        wait_until(PATIENCE, as_wanted).await,
        "{node} is not {wanted}: {:#}",
        api(world, "proxies").await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_killed_and_missing_filters_are_told_apart() {
    let test = "status::stopped_killed_and_missing_filters_are_told_apart";
    let Some(mut world) = world_without(test, "front").await else { return };
    becomes(&world, "cart-1", "idle").await;
    becomes(&world, "edge-1", "idle").await;

    world.envoy_mut("cart").process_mut().freeze();
    becomes(&world, "cart-1", "silent").await;
    world.envoy_mut("cart").process_mut().thaw();
    becomes(&world, "cart-1", "idle").await;

    // The control plane speaks of callees once it has run for 15 s.
    let told = || async {
        world.load().count(5).run().await;
        let hops = api(&world, "hops").await;
        hops["bypassed"].as_array().is_some_and(|all| all.iter().any(|one| one["workload"] == "shop/front"))
    };
    assert!(wait_until(PATIENCE * 2, told).await, "{:#}", api(&world, "hops").await["bypassed"]);
    becomes(&world, "edge-1", "live").await;
    assert_eq!(api(&world, "journeys").await["edges"][0]["state"], "reporting");

    // A workload that is down is not one that was bypassed: nobody answers its callers.
    world.envoy_mut("pricing").process_mut().kill();
    becomes(&world, "pricing-1", "cut off").await;
    becomes(&world, "pricing-1", "gone").await;
    // This lease is shorter than the window, which still holds answers from before.
    let not_told = || async {
        world.load().count(5).run().await;
        let hops = api(&world, "hops").await;
        hops["bypassed"].as_array().is_some_and(|all| all.iter().all(|one| one["workload"] != "shop/pricing"))
    };
    assert!(wait_until(PATIENCE, not_told).await, "{:#}", api(&world, "hops").await["bypassed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_the_filter_is_told() {
    let test = "status::a_gateway_without_the_filter_is_told";
    let Some(world) = world_without(test, "edge").await else { return };
    becomes(&world, "front-1", "idle").await;
    assert!(world.load().count(5).run().await.iter().all(emac_tests::load::Sample::ok));
    assert_eq!(api(&world, "journeys").await["edges"][0]["state"], "no edge");
    let metrics = world.control().metrics().await.unwrap();
    assert_eq!(metrics.sum("emac_journey_without_edge", &[("journey", "checkout")]), 1.0);
    let server = format!("http://{}", world.control().ports().http);
    let shown =
        std::process::Command::new(emac().unwrap()).args(["status", "--server", &server]).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("no edge has reported for checkout"), "{text}");
}
