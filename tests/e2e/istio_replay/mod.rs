mod capture;
mod mesh;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use emac_tests::envoy::Direction;
use emac_tests::shell::Shell;
use emac_tests::testbed::{Service, wait_until};
use emac_tests::{envoy, shared_data};
use serde_json::{Value, json};

use crate::common::{JOURNEY, PATIENCE, module, runs, tally};
use capture::Capture;
use mesh::{Captures, FRONT, Mesh, PAY};

const REQUESTS: u64 = 200;
const CLIENTS: usize = 8;
/// Far above what a healthy request takes on a busy machine: whatever refuses one has misread its deadline.
const DEADLINE_MS: u64 = 20_000;

/// Binary, module and captures.
struct Replay {
    envoy: PathBuf,
    wasm: PathBuf,
    data: PathBuf,
}

impl Replay {
    /// What is needed, or `None` after saying what is missing.
    fn find(test: &str) -> Option<Self> {
        let wasm = module(test)?;
        let envoy = runs(test, envoy().ok_or("no Envoy: set ENVOY_BIN or run `make tools`"))?;
        let data = runs(test, shared_data("istio-live").ok_or("no istio-live (EMAC_SHARED_DATA)"))?;
        Some(Self { envoy, wasm, data })
    }

    /// A capture with our module and with budgets for who needs some; the plugin configuration stays one text for both directions.
    fn capture(&self, name: &str) -> Capture {
        Capture::read(&self.data, &format!("{name}.json"))
            .with_module(&self.wasm)
            .configured(|configuration| configuration["budgets"] = budgets())
    }

    /// This gateway, and sidecars with the plugin.
    fn behind(&self, gateway: Capture) -> Captures {
        Captures { gateway, front: self.capture("front-1.with"), pay: self.capture("pay-1.with") }
    }

    async fn start(&self, workers: u32, captures: Captures) -> Mesh {
        Mesh::start(&self.envoy, workers, captures).await
    }
}

/// Enforced; each proxy finds in it what is its own. A fallback that could hide every failure shows in what is degraded.
fn budgets() -> Value {
    let hop = |destination| json!({"journey": JOURNEY, "destination": destination, "mode": "enforce", "timeout_ms": DEADLINE_MS / 2});
    let mut pay = hop(PAY);
    let answer = json!({"status": 200, "headers": [{"name": "x-degraded", "value": "1"}]});
    pay["fallback"] =
        json!({"static_response": answer, "weight_ppm": 500_000, "budget_ppm": 500_000, "burst": 50});
    json!({
        "journeys": [{"journey": JOURNEY, "deadline_ms": DEADLINE_MS, "mode": "enforce",
            "entry": [{"host": "shop.example", "path_template": "/checkout"}]}],
        "hops": [hop(FRONT), pay],
    })
}

/// What gateway-classic.yaml makes of a classic gateway: the one plugin is an edge.
fn as_edge(configuration: &mut Value) {
    configuration["role"] = json!("edge");
}

/// All answered well by the real thing.
async fn all_answered(mesh: &Mesh, clients: usize) {
    let answers = tally(&mesh.load().clients(clients).count(REQUESTS).run().await);
    let counts = (answers.ok, answers.degraded, answers.alternate);
    assert_eq!(counts, (REQUESTS, 0, 0), "of {} {:?}", answers.sent, answers.statuses);
}

/// [`all_answered`], every context at these applications is absolute, and every counter is exact.
async fn all_is_well(mesh: &Mesh, applications: &[&Service]) {
    let began = now_ms();
    all_answered(mesh, CLIENTS).await;
    let possible = began..=now_ms() + DEADLINE_MS;
    for application in applications {
        assert_eq!(application.count(), REQUESTS);
        for deadline in contexts(application) {
            let absolute = deadline.is_some_and(|deadline| possible.contains(&deadline));
            assert!(absolute, "{}: {deadline:?} is not absolute", application.name());
        }
    }
    counts_are_exact(mesh).await;
}

async fn counts_are_exact(mesh: &Mesh) {
    let all = REQUESTS as f64;
    mesh.counted("journey_requests_total", &[("journey", JOURNEY), ("result", "success")], all).await;
    mesh.counted("journey_requests_total", &[], all).await;
    for destination in [FRONT, PAY] {
        let hop = [("journey", JOURNEY), ("destination", destination), ("outcome", "success")];
        mesh.counted("emac_hop_requests_total", &hop, all).await;
    }
    mesh.counted("emac_hop_requests_total", &[], 2.0 * all).await;
    for none in ["emac_context_invalid_total", "emac_internal_errors_total", "emac_config_invalid_total"] {
        mesh.counted(none, &[], 0.0).await;
    }
    // The control plane, behind the cluster that istiod made of its Service, was told the same.
    let told = || async {
        let evidence = mesh.control.evidence();
        evidence.journeys.values().map(|journey| journey.outcomes.total()).sum::<u64>()
    };
    assert!(wait_until(PATIENCE, || async { told().await == REQUESTS }).await, "{}", told().await);
    assert_eq!(mesh.control.refused_reports(), Vec::<String>::new());
}

/// Milliseconds in the context of each request of an application; `None` where it was given none.
fn contexts(application: &Service) -> Vec<Option<u64>> {
    let context = |seen: &emac_tests::testbed::Seen| {
        let baggage = seen.headers.get("baggage")?.to_str().unwrap();
        let fields: Vec<&str> = baggage.split(['=', '.', ':', ';']).collect();
        let deadline = fields.get(3).and_then(|field| field.trim_start_matches(['a', 'r']).parse().ok());
        Some(deadline.unwrap_or_else(|| panic!("{}: no deadline in {baggage}", application.name())))
    };
    application.seen().iter().map(context).collect()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// One root context a thread serves both directions of the sidecars; at the gateway a plugin without a selector stands behind the edge's.
async fn behind_a_gateway_with_two_filters(test: &str, workers: u32) {
    let Some(replay) = Replay::find(test) else { return };
    let gateway = replay.capture("shop-gateway-1.with");
    let mesh = replay.start(workers, replay.behind(gateway)).await;
    all_is_well(&mesh, &[&mesh.front, &mesh.pay]).await;
    mesh.counted("emac_second_filter_total", &[], REQUESTS as f64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_filters_one_worker() {
    behind_a_gateway_with_two_filters("istio_replay::two_filters_one_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_filters_four_workers() {
    behind_a_gateway_with_two_filters("istio_replay::two_filters_four_workers", 4).await;
}

async fn behind_a_classic_gateway(test: &str, workers: u32) {
    let Some(replay) = Replay::find(test) else { return };
    let gateway = replay.capture("gateway-1.with").configured(as_edge);
    let mesh = replay.start(workers, replay.behind(gateway)).await;
    all_is_well(&mesh, &[&mesh.front, &mesh.pay]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classic_gateway_one_worker() {
    behind_a_classic_gateway("istio_replay::classic_gateway_one_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classic_gateway_four_workers() {
    behind_a_classic_gateway("istio_replay::classic_gateway_four_workers", 4).await;
}

/// A gateway that only the sidecars' plugin reached: no edge, no journey, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_an_edge_breaks_nothing() {
    let test = "istio_replay::a_gateway_without_an_edge_breaks_nothing";
    let Some(replay) = Replay::find(test) else { return };
    let mesh = replay.start(4, replay.behind(replay.capture("gateway-1.with"))).await;
    all_answered(&mesh, CLIENTS).await;
    mesh.counted("journey_requests_total", &[], 0.0).await;
}

/// The next module is the beginning of a file: whatever the strategy, Envoy refuses it and goes on with the one it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_does_not_load_leaves_the_last_one() {
    let test = "istio_replay::a_module_that_does_not_load_leaves_the_last_one";
    let Some(replay) = Replay::find(test) else { return };
    let mesh = replay.start(1, replay.behind(replay.capture("gateway-1.with").configured(as_edge))).await;
    let module = std::fs::read(&replay.wasm).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken").with_extension(replay.wasm.extension().unwrap());
    // Half a shared object would end Envoy itself: the system's loader maps what is not there. docs/shells.md says so.
    let length = if Shell::of(&broken) == Shell::Native { 32 } else { module.len() / 2 };
    std::fs::write(&broken, &module[..length]).unwrap();
    mesh.push("front", replay.capture("front-1.with").with_module(&broken));
    let refused = || async {
        let stats = mesh.stats_of("front").await.0;
        let is = |name: &str| name.starts_with("envoy_extension_config") && name.ends_with("_config_fail");
        stats.iter().any(|sample| is(&sample.name) && sample.value > 0.0)
    };
    assert!(wait_until(PATIENCE, refused).await, "the module was taken");
    all_is_well(&mesh, &[&mesh.front, &mesh.pay]).await;
}

/// Old connections into the pod have no filter, its own calls have one: it sees contexts as they came over the wire.
async fn inbound_without_the_filter(test: &str, workers: u32) {
    let Some(replay) = Replay::find(test) else { return };
    let mut captures = replay.behind(replay.capture("gateway-1.with").configured(as_edge));
    captures.front = captures.front.with_listeners_of(&replay.capture("front-1.without"), Direction::Inbound);
    let mesh = replay.start(workers, captures).await;
    all_is_well(&mesh, &[&mesh.pay]).await;
    assert!(contexts(&mesh.front).into_iter().all(|left| left.is_some_and(|left| left > 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inbound_without_the_filter_one_worker() {
    inbound_without_the_filter("istio_replay::inbound_without_the_filter_one_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inbound_without_the_filter_four_workers() {
    inbound_without_the_filter("istio_replay::inbound_without_the_filter_four_workers", 4).await;
}

/// The plugin is applied while pooled connections between the pods idle, which keep their old chains: all sides mix.
async fn applied_while_connections_idle(test: &str, workers: u32) {
    let Some(replay) = Replay::find(test) else { return };
    let gateway = replay.capture("gateway-1.with").configured(as_edge);
    let without = |name| replay.capture(name);
    let captures = Captures { gateway, front: without("front-1.without"), pay: without("pay-1.without") };
    let mesh = replay.start(workers, captures).await;
    all_answered(&mesh, CLIENTS).await;

    mesh.push("front", replay.capture("front-1.with"));
    mesh.push("pay", replay.capture("pay-1.with"));
    // Every listener: in, out to the other pod, out to the control plane.
    for (proxy, chains) in [("front", 3.0), ("pay", 2.0)] {
        let old = "envoy_listener_manager_total_filter_chains_draining";
        let draining = || async { mesh.stats_of(proxy).await.sum(old, &[]) };
        assert!(
            wait_until(PATIENCE, || async { draining().await == chains }).await,
            "{proxy}: {}",
            draining().await
        );
    }
    // As many as before use the old connections; more open new ones.
    all_answered(&mesh, CLIENTS).await;
    all_answered(&mesh, 4 * CLIENTS).await;
    // A time of another pod's clock, from an outbound side without the filter, is taken away; nothing becomes 0.
    for application in [&mesh.front, &mesh.pay] {
        assert!(!contexts(application).contains(&Some(0)), "{}", application.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applied_while_connections_idle_one_worker() {
    applied_while_connections_idle("istio_replay::applied_while_connections_idle_one_worker", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applied_while_connections_idle_four_workers() {
    applied_while_connections_idle("istio_replay::applied_while_connections_idle_four_workers", 4).await;
}
