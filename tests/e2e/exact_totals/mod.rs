use emac_tests::load::Run;
use emac_tests::testbed::product::{Serve, filter};
use emac_tests::testbed::{World, wait_until};

use crate::common::{PATIENCE, counted, runs, start, tally};

const REQUESTS: u64 = 3_000;
const CLIENTS: usize = 16;
/// Every hop of the checkout, called once a request.
const HOPS: [&str; 4] = ["front", "cart", "pricing", "paya"];

async fn totals_are_exact(test: &str, workers: u32) {
    let (Some(filter), Some(serve)) = (runs(test, filter()), runs(test, Serve::default().setup())) else {
        return;
    };
    let builder = World::builder().concurrency(workers).filter(filter).control_plane(serve);
    let Some(mut world) = start(test, builder).await else { return };

    let run = world.load().clients(CLIENTS).count(REQUESTS).start();
    answered(&run, REQUESTS / 3).await;
    world.control_mut().kill();
    answered(&run, REQUESTS * 2 / 3).await;
    world.control_mut().start().unwrap();
    let answers = tally(&run.finish().await);
    assert_eq!((answers.sent, answers.ok), (REQUESTS, REQUESTS), "{:?}", answers.statuses);

    for destination in HOPS {
        let hop = [("destination", destination)];
        in_the_control_plane(&world, "emac_hop_requests_total", &hop, REQUESTS).await;
        counted(&world, "emac_hop_requests_total", &hop, REQUESTS as f64).await;
    }
    // What came before a worker of the edge had its first budgets is of no known journey, and counted as such.
    let early = world
        .stats()
        .await
        .unwrap()
        .sum("emac_hop_requests_total", &[("destination", "front"), ("journey", "")]);
    let known = REQUESTS - early as u64;
    assert!(known > REQUESTS / 2, "budgets came late: {early} requests of no known journey");
    in_the_control_plane(
        &world,
        "journey_requests_total",
        &[("journey", "checkout"), ("result", "success")],
        known,
    )
    .await;
    in_the_control_plane(&world, "journey_latency_seconds_count", &[("journey", "checkout")], known).await;
    counted(&world, "journey_requests_total", &[("journey", "checkout")], known as f64).await;
}

async fn answered(run: &Run, requests: u64) {
    assert!(wait_until(PATIENCE * 4, || async { run.so_far().len() as u64 >= requests }).await);
}

async fn in_the_control_plane(world: &World, name: &str, labels: &[(&str, &str)], expected: u64) {
    let sum = || async { world.control().metrics().await.map_or(-1.0, |metrics| metrics.sum(name, labels)) };
    let exact = wait_until(PATIENCE, || async { sum().await == expected as f64 }).await;
    assert!(exact, "{name}{labels:?} is {}, not {expected}", sum().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_worker() {
    totals_are_exact("exact_totals::with_one_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_four_workers() {
    totals_are_exact("exact_totals::with_four_workers", 4).await;
}
