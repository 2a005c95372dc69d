use std::process::Output;
use std::time::{Duration, Instant};

use emac_tests::load::Run;
use emac_tests::testbed::product::{CHECKOUT_INTENT, Serve, emac, filter};
use emac_tests::testbed::{Fault, World, wait_until};
use serde_json::Value;

use crate::common::{FOR_EVER, PATIENCE, runs, start, tally};

const REQUESTS: u64 = 60;

/// The checkout, enforced and with time enough for a busy machine, whose first payment provider fails.
async fn failing(test: &str) -> Option<World> {
    let intent = CHECKOUT_INTENT.replace("mode: observe", "mode: enforce").replace("400ms", "4s");
    let (filter, serve) = (runs(test, filter())?, runs(test, Serve { intent, ..Serve::default() }.setup())?);
    let world = start(test, World::builder().filter(filter).control_plane(serve)).await?;
    world.service("paya").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    assert!(
        wait_until(PATIENCE, || acts(&world, REQUESTS)).await,
        "nothing is enforced: {:#}",
        state(&world).await
    );
    Some(world)
}

/// Answers that an alternate had a part in.
async fn helped(world: &World, requests: u64) -> u64 {
    tally(&world.load().rate(100.0).count(requests).run().await).alternate
}

/// On a busy machine some answers come too late for anybody to help.
async fn acts(world: &World, requests: u64) -> bool {
    helped(world, requests).await * 2 > requests
}

async fn state(world: &World) -> Value {
    world.control().json("/api/v1/enforcement").await.unwrap_or_default()
}

/// Decisions that sidecars acted upon, or would have.
async fn decided(world: &World) -> f64 {
    let stats = world.stats().await.unwrap();
    ["fallback_after", "fallback_before", "refuse", "call"]
        .iter()
        .map(|decision| stats.sum("emac_decisions_total", &[("decision", decision)]))
        .sum()
}

async fn command(world: &World, args: &[&str]) -> Output {
    let server = format!("http://{}", world.control().ports().http);
    let mut command = tokio::process::Command::new(emac().unwrap());
    command.args(args).args(["--why", "INC-42", "--who", "jane", "--server", &server]);
    command.output().await.unwrap()
}

/// The command says that everybody knows.
fn done(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Sidecars do nothing, and go on doing nothing.
async fn stands_still(world: &World, when: &str) {
    let round = || async {
        let before = decided(world).await;
        (helped(world, REQUESTS).await, decided(world).await - before)
    };
    // A worker looks at what its leader took once a tick, and shows what it counted as often.
    let still = wait_until(PATIENCE, || async { round().await == (0, 0.0) }).await;
    assert!(still, "{when}: {:#}", state(world).await);
    assert_eq!(round().await, (0, 0.0), "{when}");
}

/// Waits until every sidecar is back and knows.
async fn heard(world: &World, sidecars: u64) {
    let all = || async {
        let of = state(world).await["sidecars"].clone();
        of["connected"] == sidecars && of["acknowledged"] == sidecars
    };
    assert!(wait_until(PATIENCE, all).await, "{:#}", state(world).await);
}

/// From an order to the last answer that a sidecar had a part in before they stood still.
fn last_act(run: &Run, ordered: Duration) -> Duration {
    let acted = run.so_far().into_iter().filter(|sample| sample.ok() && sample.alternate);
    acted.map(|sample| sample.at).max().unwrap_or_default().saturating_sub(ordered)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_holds_over_restarts_until_it_is_lifted() {
    let test = "kill_switch::a_stop_under_load_holds_over_restarts_until_it_is_lifted";
    let Some(mut world) = failing(test).await else { return };
    let began = Instant::now();
    let run = world.load().rate(50.0).duration(FOR_EVER * 10).start();

    let ordered = began.elapsed();
    let text = done(&command(&world, &["stop-enforcing"]).await);
    let returned = began.elapsed() - ordered;
    assert!(text.contains("\n6 of 6 connected sidecars have acknowledged it\n"), "{text}");
    stands_still(&world, "after the stop").await;
    let last = last_act(&run, ordered);
    println!(
        "kill switch: the command returned after {returned:?}, the last answer a sidecar had a part in began {last:?} after the order"
    );

    world.control_mut().kill();
    stands_still(&world, "without a control plane").await;
    world.control_mut().start().unwrap();
    assert!(world.control().ready_within(PATIENCE).await);
    heard(&world, 6).await;
    stands_still(&world, "after the control plane was killed").await;
    world.envoy_mut("front").restart().unwrap();
    assert!(wait_until(PATIENCE, || async { world.envoy("front").is_ready().await }).await);
    heard(&world, 6).await;
    stands_still(&world, "after a sidecar was restarted").await;

    done(&command(&world, &["resume-enforcing"]).await);
    assert!(wait_until(PATIENCE, || acts(&world, REQUESTS)).await, "not resumed: {:#}", state(&world).await);

    done(&command(&world, &["stop-enforcing", "--journey", "checkout"]).await);
    stands_still(&world, "after its journey was stopped by name").await;
    run.stop().await;
}
