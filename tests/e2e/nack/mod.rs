use emac_proto::v1;
use emac_tests::envoy::RoutePolicy;
use emac_tests::testbed::scripted::Scripted;
use emac_tests::testbed::{Fault, Latency, Topology, World, wait_until};

use crate::common::{PATIENCE, counted_at_least, edge_answers, governed, start};

fn budgets(generation: u64, status: u32) -> v1::WorkloadBudgets {
    v1::WorkloadBudgets { generation, valid_for_ms: 600_000, ..edge_answers(status) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_named_and_the_last_good_kept() {
    let test = "nack::what_is_wrong_is_named_and_the_last_good_kept";
    let Some(filter) = governed(test) else { return };
    let control = Scripted::start().await.unwrap();
    let builder = World::builder()
        .topology(Topology::chain(&["front"], Latency::none()))
        .policy(RoutePolicy::pass())
        .control_plane_at(control.address().port())
        .filter(filter);
    let Some(world) = start(test, builder).await else { return };
    world.service("front").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    let status = || async { world.load().count(1).run().await[0].status };

    let good = control.publish(&budgets(1, 203));
    assert!(
        wait_until(PATIENCE, || async { control.is_accepted("edge-1", good) }).await,
        "{:?}",
        control.answers()
    );
    assert!(wait_until(PATIENCE, || async { status().await == 203 }).await);

    let refusal =
        |version| control.answers().into_iter().find(|a| a.version == version).and_then(|a| a.refused);
    let out_of_range = control.publish(&budgets(2, 99));
    assert!(
        wait_until(PATIENCE, || async { refusal(out_of_range).is_some() }).await,
        "{:?}",
        control.answers()
    );
    let words = refusal(out_of_range).unwrap();
    assert!(words.contains("hops[0].fallback.static_response.status"), "{words}");
    let garbage = control.publish_bytes("shop/edge", vec![0xff; 64]);
    assert!(wait_until(PATIENCE, || async { refusal(garbage).is_some() }).await, "{:?}", control.answers());
    assert_eq!(status().await, 203, "the last good budgets rule on");
    counted_at_least(&world, "emac_nack_total", &[], 1.0).await;

    // The stream goes on: what is mended is taken.
    let mended = control.publish(&budgets(3, 201));
    assert!(
        wait_until(PATIENCE, || async { control.is_accepted("edge-1", mended) }).await,
        "{:?}",
        control.answers()
    );
    assert!(wait_until(PATIENCE, || async { status().await == 201 }).await);
}
