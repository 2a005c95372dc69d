use std::path::{Path, PathBuf};
use std::time::Duration;

use emac_core::evidence::Delta;
use emac_tests::envoy::emac_filter;
use emac_tests::load::{Load, Run, Sample};
use emac_tests::testbed::scripted::Scripted;
use emac_tests::testbed::wait_until;
use serde_json::{Value, json};

use crate::common::{JOURNEY, PATIENCE, module, tally};
use app::App;
use proxy::{Listener, Proxy, Told, cluster, control_plane, discovered, route};

mod app;
mod client;
mod endings;
mod faults;
mod loss;
mod pod;
mod proxy;
mod updates;

/// How often the filter ticks and reports here.
const TICK_MS: u32 = 50;
const REPORT_MS: u32 = 100;
/// A load that keeps every worker busy, leaves the machine to others, and waits where the machine does.
const CLIENTS: usize = 4;
const DEADLINE_MS: u32 = 20_000;

/// Envoy and the module, or `None` after saying why they cannot be had.
fn parts(test: &str) -> Option<(PathBuf, PathBuf)> {
    let wasm = module(test)?;
    let Some(envoy) = emac_tests::envoy() else {
        emac_tests::not_run(test, "no Envoy: run `make tools`, or set ENVOY_BIN");
        return None;
    };
    Some((envoy, wasm))
}

/// How often a scenario repeats what it does: more under `EMAC_LIFECYCLE=all`.
fn rounds(short: usize) -> usize {
    if std::env::var("EMAC_LIFECYCLE").as_deref() == Ok("all") { short * 10 } else { short }
}

/// The plugin configuration of the pod, with these hops.
fn plugin(role: &str, hops: &[Value]) -> Value {
    let hops: Vec<Value> =
        hops.iter().map(|hop| with(hop, &json!({"journey": JOURNEY, "mode": "enforce"}))).collect();
    json!({
        "role": role,
        "workload": "shop/pod",
        "tick_ms": TICK_MS,
        "report_ms": REPORT_MS,
        "budgets": {
            "journeys": [{"journey": JOURNEY, "deadline_ms": DEADLINE_MS, "mode": "enforce", "entry": [{"path_template": "/**"}]}],
            "hops": hops,
        },
    })
}

/// With other fields.
fn with(value: &Value, fields: &Value) -> Value {
    let mut value = value.clone();
    for (name, field) in fields.as_object().into_iter().flatten() {
        value[name] = field.clone();
    }
    value
}

/// The edge reports to the control plane too.
fn reporting() -> Value {
    let control = json!({"control_plane": {"cluster": "emac-control-plane"}});
    with(&plugin("edge", &[json!({"destination": "callee", "timeout_ms": 10_000})]), &control)
}

/// One edge in front of one callee, under load, that reports to a control plane.
struct Shop {
    app: App,
    control: Scripted,
    proxy: Proxy,
}

impl Shop {
    /// The configuration of the edge comes by ECDS.
    async fn start(envoy: &Path, wasm: &Path, workers: u32, hot_restart: bool) -> Self {
        Self::with(envoy, emac_filter(wasm, &reporting()), workers, hot_restart).await
    }

    async fn with(envoy: &Path, ours: Value, workers: u32, hot_restart: bool) -> Self {
        let app = App::start().unwrap();
        let control = Scripted::start().await.unwrap();
        let edge = |name, filters| Listener { name, inbound: false, filters, routes: vec![route("callee")] };
        let told = Told {
            workers,
            listeners: vec![edge("edge", vec![discovered("emac")]), edge("plain", vec![])],
            clusters: vec![cluster("callee", app.port), control_plane(control.address().port())],
            extensions: vec![("emac", ours)],
            hot_restart,
            drain_s: 1,
        };
        let proxy = Proxy::start(envoy, told).await.unwrap();
        Self { app, control, proxy }
    }

    fn load(&self, listener: &str) -> Run {
        let load = Load::get(self.proxy.at(listener), "shop.example", "/slow/20");
        // A connection each: what a drain does to an idle one that is just being used again is nobody's doing here.
        load.header("connection", "close").clients(CLIENTS).duration(Duration::from_secs(600)).start()
    }

    /// Every request that the users sent stands in the evidence, once.
    async fn reported(&self, sent: u64) {
        let told = || async { reports_of(&self.control.evidence()) };
        let exact = wait_until(PATIENCE / 2, || async { told().await == (sent, sent) }).await;
        assert!(exact, "journeys and calls reported: {:?}, sent: {sent}", told().await);
        assert_eq!(self.control.refused_reports(), Vec::<String>::new());
    }
}

/// Journeys, and calls of the callee.
fn reports_of(evidence: &Delta) -> (u64, u64) {
    let journeys = evidence.journeys.values().map(|journey| journey.outcomes.total()).sum();
    let calls = evidence.hops.iter().filter(|(hop, _)| hop.destination == "callee");
    (journeys, calls.map(|(_, hop)| hop.outcomes.total()).sum())
}

/// Every request was answered well.
fn all_well(what: &str, samples: &[Sample]) -> u64 {
    let tally = tally(samples);
    assert_eq!(tally.errors, 0, "{what}: {:?}", tally.statuses);
    assert!(tally.sent > 0, "{what}: nothing was sent");
    tally.sent
}

/// Waits until so many requests more have been answered.
async fn more_answered(run: &Run, requests: usize) {
    let before = run.so_far().len();
    let answered = || async { run.so_far().len() >= before + requests };
    assert!(wait_until(PATIENCE, answered).await, "the load stands still");
}
