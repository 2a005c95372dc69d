use emac_proto::v1;
use emac_tests::envoy::RoutePolicy;
use emac_tests::testbed::scripted::Scripted;
use emac_tests::testbed::{Fault, Latency, Topology, World, wait_until};

use crate::common::{PATIENCE, counted_at_least, edge_answers, governed, start, tally};

fn budgets(generation: u64, valid_for_ms: u32, on_expiry: v1::OnExpiry) -> v1::WorkloadBudgets {
    v1::WorkloadBudgets { generation, valid_for_ms, on_expiry: on_expiry as i32, ..edge_answers(203) }
}

async fn world(test: &str, control: &Scripted) -> Option<World> {
    let builder = World::builder()
        .topology(Topology::chain(&["front"], Latency::none()))
        .policy(RoutePolicy::pass())
        .control_plane_at(control.address().port())
        .filter(governed(test)?);
    let world = start(test, builder).await?;
    world.service("front").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    Some(world)
}

/// Status of one request: 203 while budgets rule, 503 while they do not.
async fn status(world: &World) -> u16 {
    world.load().count(1).run().await[0].status
}

async fn becomes(world: &World, wanted: u16) -> bool {
    wait_until(PATIENCE, || async { status(world).await == wanted }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_lease_is_released() {
    let test = "lease::an_expired_lease_is_released";
    let control = Scripted::start().await.unwrap();
    let Some(world) = world(test, &control).await else { return };
    assert_eq!(status(&world).await, 503, "before any budget");
    control.publish(&budgets(5, 1_500, v1::OnExpiry::Release));
    assert!(becomes(&world, 203).await, "budgets did not rule: {:?}", control.answers());
    assert!(becomes(&world, 503).await, "the lease never ended");
    counted_at_least(&world, "emac_budget_stale", &[], 1.0).await;

    // An older generation does not come back; the same one renews the lease.
    control.publish(&budgets(4, 60_000, v1::OnExpiry::Release));
    let renewed = control.publish(&budgets(5, 60_000, v1::OnExpiry::Release));
    assert!(
        wait_until(PATIENCE, || async { control.is_accepted("edge-1", renewed) }).await,
        "{:?}",
        control.answers()
    );
    assert!(becomes(&world, 203).await, "the renewal did not count");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_lease_is_held() {
    let test = "lease::an_expired_lease_is_held";
    let control = Scripted::start().await.unwrap();
    let Some(world) = world(test, &control).await else { return };
    control.publish(&budgets(5, 1_000, v1::OnExpiry::Hold));
    assert!(becomes(&world, 203).await, "budgets did not rule: {:?}", control.answers());
    counted_at_least(&world, "emac_budget_stale", &[], 1.0).await;
    let answers = tally(&world.load().count(20).run().await);
    assert_eq!(answers.statuses.get(&203), Some(&20), "{:?}", answers.statuses);
}
