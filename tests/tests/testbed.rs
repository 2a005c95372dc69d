//! The testbed itself, on bare Envoys: requests flow, faults show, counts are exact, processes end.

use std::time::Duration;

use emac_tests::load::Tally;
use emac_tests::testbed::{Builder, Fault, Latency, Topology, World, WorldError};

const DEADLINE: Duration = Duration::from_millis(400);

/// The world, or `None` after saying why it cannot be.
async fn start(test: &str, builder: Builder) -> Option<World> {
    match builder.start().await {
        Ok(world) => Some(world),
        Err(WorldError::NotRun(why)) => {
            emac_tests::not_run(test, &why.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checkout_flows_and_faults_show() {
    let Some(world) = start("the_checkout_flows_and_faults_show", World::builder()).await else { return };
    let samples = world.load().rate(50.0).count(60).run().await;
    let tally = Tally::of(&samples, DEADLINE);
    assert_eq!((tally.sent, tally.ok), (60, 60), "{:?}", tally.statuses);
    for service in ["front", "cart", "pricing", "paya"] {
        assert_eq!(world.service(service).count(), 60, "{service}");
    }
    assert_eq!(world.service("payb").count(), 0);
    let seen = world.service("paya").seen();
    assert!(seen.iter().all(|s| s.headers.contains_key("traceparent") && s.path == "/pay"));

    world.service("paya").set_fault(Fault::Refuse).await;
    let before = world.retries().await.unwrap();
    let down = Tally::of(&world.load().rate(50.0).count(20).run().await, DEADLINE);
    assert_eq!((down.sent, down.errors), (20, 20));
    // Two retries of each call: the mesh's default.
    assert_eq!(world.retries().await.unwrap() - before, 40);

    world.service("paya").set_fault(Fault::None).await;
    let again = Tally::of(&world.load().rate(50.0).count(20).run().await, DEADLINE);
    assert_eq!(again.ok, 20, "{:?}", again.statuses);

    let pids: Vec<u32> = world.envoys().map(|(_, e)| e.process().pid()).collect();
    assert_eq!(pids.len(), 6);
    drop(world);
    assert!(pids.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_carries_bodies_over_several_workers() {
    let chain = Topology::chain(&["a", "b"], Latency::none());
    let builder = World::builder().topology(chain).concurrency(2);
    let Some(world) = start("a_chain_carries_bodies_over_several_workers", builder).await else { return };
    let samples = world.load().post("hello").clients(4).count(200).run().await;
    assert_eq!(Tally::of(&samples, DEADLINE).ok, 200);
    assert_eq!(world.service("b").count(), 200);
    assert!(world.service("b").seen().iter().all(|s| s.method == "POST" && s.body == "hello"));
}
