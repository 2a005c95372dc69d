use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use emac_tests::envoy::RoutePolicy;
use emac_tests::load::Tally;
use emac_tests::shell::Shell;
use emac_tests::testbed::scripted::Scripted;
use emac_tests::testbed::{
    Builder, Call, Fault, FilterSetup, Latency, ServiceSpec, Topology, World, wait_until,
};
use emac_tests::{repo_root, target_dir};
use serde_json::json;

use crate::common::{PATIENCE, Plan, counted_at_least, runs, start, tally};

const REQUESTS: u64 = 20;
const ERRORS: &str = "emac_internal_errors_total";

/// front -> paya, with payb in reach.
fn topology() -> Topology {
    let front =
        ServiceSpec::leaf("front", Latency::none()).then(vec![Call::http("paya", "/pay")]).reaching("payb");
    let others = ["paya", "payb"].map(|name| ServiceSpec::leaf(name, Latency::none()));
    Topology { services: [front].into_iter().chain(others).collect(), alternates: vec!["payb".to_owned()] }
}

/// Budgets with a fallback, a timeout of 300 ms, and a control plane.
fn plan() -> Plan {
    let alternate = json!({"cluster": "payb", "authority": "payb", "timeout_ms": 5_000,
        "allow_non_idempotent": true, "body_bytes_max": 1_024});
    let fallback = json!({"alternate": alternate, "weight_ppm": 1_000_000});
    Plan::deadline(30_000)
        .hop("paya", json!({"timeout_ms": 300, "useful_min_ms": 1, "fallback": fallback}))
        .with(json!({"control_plane": {"cluster": "emac-control-plane"}}))
}

fn world_of(module: PathBuf, plan: Plan) -> Builder {
    let configure = Arc::new(move |place: emac_tests::testbed::Place<'_>| plan.configuration(place));
    World::builder()
        .topology(topology())
        .policy(RoutePolicy::pass())
        .filter(FilterSetup { module, configure })
}

/// The shared object with the feature that panics where `EMAC_PROVOKE` says; built once, beside what ships.
fn provoking() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let target = target_dir().join("provoke");
            let output = Command::new(env!("CARGO"))
                .args([
                    "build",
                    "--quiet",
                    "-p",
                    "emac-filter-native",
                    "--features",
                    "provoke",
                    "--target-dir",
                ])
                .arg(&target)
                .current_dir(repo_root())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            target.join("debug/libemac_filter_native.so")
        })
        .clone()
}

/// A world that panics in a hook, and its control plane.
async fn panicking(test: &str, hook: &str) -> Option<(World, Scripted)> {
    let control = Scripted::start().await.unwrap();
    let builder = world_of(provoking(), plan())
        .control_plane_at(control.address().port())
        .envoy_env("EMAC_PROVOKE", hook);
    Some((start(test, builder).await?, control))
}

async fn asked(world: &World) -> Tally {
    tally(&world.load().post("amount=12").count(REQUESTS).run().await)
}

fn log_of(world: &World, envoy: &str) -> String {
    std::fs::read_to_string(world.envoy(envoy).process().log()).unwrap_or_default()
}

async fn said(world: &World, words: &str) {
    let says = || async { world.envoys().any(|(name, _)| log_of(world, name).contains(words)) };
    assert!(wait_until(PATIENCE, says).await, "nobody says {words:?}: {}", log_of(world, "front"));
}

/// Every hook in which a request, a tick, a stream to the control plane or the clock may fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_hook_is_counted_and_requests_pass() {
    for hook in [
        "config_new",
        "tick",
        "new",
        "destroy",
        "request_headers",
        "request_body",
        "response_headers",
        "response_body",
        "complete",
        "stream",
        "clock",
    ] {
        let Some((world, _control)) = panicking("native::a_panic_in_a_hook", hook).await else { return };
        for _ in 0..2 {
            let answers = asked(&world).await;
            assert_eq!((answers.sent, answers.ok), (REQUESTS, REQUESTS), "{hook}: {:?}", answers.statuses);
        }
        counted_at_least(&world, ERRORS, &[], 1.0).await;
        said(&world, &format!("emac: panic in {hook} (")).await;
    }
}

/// A call that would be cut is not: it passes, late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_when_a_timer_fires_lets_the_call_go_on() {
    let Some((world, _control)) = panicking("native::a_panic_when_a_timer_fires", "woken").await else {
        return;
    };
    world.service("paya").set_fault(Fault::Late { share: 1.0, by: Duration::from_millis(600) }).await;
    let answers = tally(&world.load().count(5).run().await);
    assert_eq!((answers.sent, answers.ok), (5, 5), "{:?}", answers.statuses);
    counted_at_least(&world, ERRORS, &[], 1.0).await;
    said(&world, "emac: panic in woken (").await;
}

/// The failure that was held back while the alternate was asked goes to the user, and no request hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_at_an_alternates_answer_lets_the_failure_go_on() {
    let Some((world, _control)) = panicking("native::a_panic_at_an_alternates_answer", "callout").await
    else {
        return;
    };
    world.service("paya").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    let answers = asked(&world).await;
    assert_eq!((answers.sent, answers.errors), (REQUESTS, REQUESTS), "{:?}", answers.statuses);
    assert_eq!(answers.statuses.keys().collect::<Vec<_>>(), [&502], "as without the filter");
    counted_at_least(&world, ERRORS, &[], 1.0).await;
    world.service("paya").set_fault(Fault::None).await;
    assert_eq!(asked(&world).await.ok, REQUESTS);
}

/// Envoy drops its configuration when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_as_a_configuration_goes_ends_nothing_else() {
    let test = "native::a_panic_as_a_configuration_goes";
    let Some((mut world, _control)) = panicking(test, "config_destroy").await else { return };
    assert_eq!(asked(&world).await.ok, REQUESTS);
    world.envoy_mut("front").process_mut().ask_to_end();
    let mut status = None;
    for _ in 0..200 {
        status = world.envoy_mut("front").process_mut().exited();
        if status.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", log_of(&world, "front"));
    said(&world, "emac: panic in config_destroy (").await;
}

/// An Envoy that does not have what is asked of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_that_lacks_something_is_told_and_passes_traffic() {
    let Some((world, _control)) = panicking("native::an_envoy_that_lacks_something", "lack").await else {
        return;
    };
    let answers = asked(&world).await;
    assert_eq!((answers.sent, answers.ok), (REQUESTS, REQUESTS), "{:?}", answers.statuses);
    said(&world, "lets all requests pass unchanged").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_does_not_parse_passes_everything() {
    let test = "native::a_configuration_that_does_not_parse";
    let Some(module) = runs(test, Shell::Native.module()) else { return };
    let Some(world) = start(test, world_of(module, plan().with(json!({"rolle": "edge"})))).await else {
        return;
    };
    let answers = asked(&world).await;
    assert_eq!((answers.sent, answers.ok), (REQUESTS, REQUESTS), "{:?}", answers.statuses);
    counted_at_least(&world, "emac_config_invalid_total", &[], 1.0).await;
    said(&world, "emac: invalid plugin configuration").await;
}

/// The client leaves while its alternate is asked: the callout has no stream to come back to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callout_whose_stream_is_gone_leaves_nothing_behind() {
    let test = "native::a_callout_whose_stream_is_gone";
    let Some(module) = runs(test, Shell::Native.module()) else { return };
    let Some(world) = start(test, world_of(module, plan())).await else { return };
    world.service("paya").set_fault(Fault::Errors { share: 1.0, status: 503 }).await;
    world.service("payb").set_fault(Fault::Hang).await;
    // A load that ends in the midst of its requests takes their connections with it.
    let run = world.load().clients(8).duration(Duration::from_secs(60)).start();
    assert!(wait_until(PATIENCE, || async { world.service("payb").seen().len() >= 8 }).await);
    drop(run);
    for service in ["paya", "payb"] {
        world.service(service).set_fault(Fault::None).await;
    }
    let answers = asked(&world).await;
    assert_eq!((answers.sent, answers.ok), (REQUESTS, REQUESTS), "{:?}", answers.statuses);
    let errors = world.stats().await.unwrap().sum(ERRORS, &[]);
    assert_eq!(errors, 0.0);
}

/// C for `cc`: a module that says it is of another ABI, or that is none at all.
fn compiled(dir: &Path, name: &str, code: &str) -> Option<PathBuf> {
    let (source, object) = (dir.join(format!("{name}.c")), dir.join(format!("lib{name}.so")));
    std::fs::write(&source, code).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&object, &source]).status();
    built.is_ok_and(|status| status.success()).then_some(object)
}

/// What is no module of ours is Envoy's to refuse, as it starts: never a crash, and never our name on somebody else's file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_without_our_hooks_is_refused_by_envoy() {
    let test = "native::a_module_without_our_hooks";
    let dir = tempfile::tempdir().unwrap();
    let version = "const char *envoy_dynamic_module_on_program_init(void) { return \"v9.9.9\"; }";
    let Some(module) = runs(test, compiled(dir.path(), "other", version).ok_or("no C compiler")) else {
        return;
    };
    let refused = world_of(module, Plan::deadline(30_000)).start().await;
    let Err(refused) = refused else { panic!("Envoy took a module without a filter") };
    assert!(refused.to_string().contains("envoy_dynamic_module_on_http_filter"), "{refused}");
}
