//! See the README beside this file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use emac_control_plane::evidence_log::{self, Kept};
use emac_core::evidence::HopRecord;
use emac_core::outcome::{EndedBy, Outcome};
use emac_tests::load::Run;
use emac_tests::testbed::product::{CHECKOUT_INTENT, Serve, filter_with};
use emac_tests::testbed::{Fault, Propagate, World, wait_until};
use serde_json::{Value, json};

use crate::common::{runs, start};

/// Longer than many windows, also where every process waits for a core.
const LONG: Duration = Duration::from_secs(90);
const DISCOVERY: &str = "discovery: {enabled: true, window: 3s, step: 1s, silence: 500ms, minTraces: 30}\n";
const RATE: f64 = 40.0;

/// The example's intent: every call recorded, time enough for a machine that does much else.
fn intent() -> String {
    let change = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "the example has changed: {from}");
        text.replace(from, to)
    };
    let text = change(
        CHECKOUT_INTENT.to_owned(),
        "mode: observe",
        "mode: enforce\n      record: 100%\n      deadline: 5s",
    );
    let latency = "    latency:\n      window: 30d\n      objective: {metric: p99, threshold: 400ms}\n";
    change(text, latency, "")
}

struct Scene {
    world: World,
    _load: Vec<Run>,
}

impl Scene {
    async fn start(test: &str) -> Option<Self> {
        let quick = filter_with(|place, configuration| {
            (configuration["tick_ms"], configuration["report_ms"]) = (json!(50), json!(200));
            configuration["join"] = json!("traceparent");
            if place.edge {
                configuration["undeclared_ppm"] = json!(1_000_000);
            }
        });
        let serve = Serve { intent: intent(), more: DISCOVERY.to_owned(), ..Serve::default() };
        let (filter, control) = (runs(test, quick)?, runs(test, serve.setup())?);
        let world =
            World::builder().propagate(Propagate::RequestIdOnly).filter(filter).control_plane(control);
        let world = start(test, world).await?;
        world.service("paya").set_fault(Fault::Errors { share: 0.7, status: 503 }).await;
        let load = |path: &str| {
            let mut load = world.load().rate(RATE).duration(Duration::from_secs(3_600));
            (load.trace, load.path) = (false, path.to_owned());
            load.start()
        };
        let load = vec![load("/checkout"), load("/orders/7")];
        Some(Self { world, _load: load })
    }

    async fn known(&self) -> Value {
        self.world.control().json("/api/v1/discovery").await.unwrap_or_default()
    }

    async fn becomes(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let known = wait_until(LONG, || async { is(&self.known().await) }).await;
        let last = self.known().await;
        assert!(known, "never {what}: {last:#}");
        last
    }
}

fn checkout(known: &Value) -> &Value {
    &known["journeys"]["checkout"]
}

fn undeclared<'a>(known: &'a Value, operation: &str) -> Option<&'a Value> {
    known["undeclared"].as_array()?.iter().find(|one| one["operation"] == operation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_shows_its_journeys_declared_and_not() {
    let test = "traceless::a_mesh_shows_its_journeys_declared_and_not";
    let Some(mut scene) = Scene::start(test).await else { return };
    // Nobody wrote a trace id but the edge, whose trace id is the request id.
    let minted = || async {
        let seen = scene.world.service("front").seen();
        seen.iter().any(|seen| {
            let header = |name: &str| Some(seen.headers.get(name)?.to_str().ok()?.replace('-', ""));
            match (header("traceparent"), header("x-request-id")) {
                (Some(trace), Some(request)) => {
                    trace[2..14] == request[..12] && trace[15..34] == request[13..]
                }
                _ => false,
            }
        })
    };
    assert!(wait_until(LONG, minted).await, "no traceparent of the request id");

    let planned = scene.world.control().json("/api/v1/plan").await.unwrap_or_default();
    let declared = planned["journeys"]["checkout"]["expression"].clone();
    assert!(declared.is_string(), "{planned}");
    let found = |known: &Value| {
        let observed = &checkout(known)["observed"];
        observed["expression"] == declared && observed["source"] == "hop-records"
    };
    scene.becomes("the journey of the intent, without any tracing", found).await;
    // The mesh's tries are told, and are no retry of the application's.
    let told = |known: &Value| {
        let deltas = checkout(known)["deltas"].as_array().cloned().unwrap_or_default();
        let call = deltas
            .into_iter()
            .find(|one| one["change"].as_str().is_some_and(|c| c.starts_with("call front -> paya")));
        call.is_some_and(|one| one["provenance"].to_string().contains("the mesh tried"))
    };
    let known = scene.becomes("what the mesh tried again", told).await;
    assert!(
        !checkout(&known)["observed"]["expression"].as_str().unwrap_or_default().contains("Retry"),
        "{known:#}"
    );
    assert!(checkout(&known)["together"]["decision"]["before"].is_string());

    // Killed in the middle: what was known is known, and what nobody declared goes on to recur.
    let windows = known["windows"].as_u64().unwrap_or_default();
    scene.world.control_mut().kill();
    scene.world.control_mut().start().expect("it starts as before");
    let known = scene.becomes("an answer again", |known| known["windows"].is_u64()).await;
    assert!(known["windows"].as_u64() >= Some(windows), "{known:#}");
    assert_eq!(known["problems"], json!([]), "{known:#}");
    assert!(!checkout(&known)["deltas"].as_array().is_none_or(Vec::is_empty), "{known:#}");

    let orders =
        |known: &Value| undeclared(known, "GET /orders/{id}").is_some_and(|one| one["proposed"] == true);
    let known = scene.becomes("a proposed journey that nobody declared", orders).await;
    let orders = undeclared(&known, "GET /orders/{id}").expect("just seen");
    assert!(orders["expression"].as_str().is_some_and(|text| text.contains("front")), "{orders:#}");
    let name = orders["name"].as_str().expect("a name").to_owned();
    let file = scene.world.control().ports().dir.join(format!("state/discovery/undeclared/{name}.yaml"));
    assert!(wait_until(LONG, || async { file.exists() }).await, "{} is not there", file.display());

    recorded_whose_doing_it_was(&mut scene).await;
}

/// What the real Envoys said of the ends of calls, as the control plane keeps it.
async fn recorded_whose_doing_it_was(scene: &mut Scene) {
    let folder = scene.world.control().ports().dir.join("state/discovery/evidence");
    // The mesh tried three times, and the last answer was the callee's own; payb's, whom the sidecar asked, is the sidecar's word.
    recorded(&folder, "a call that the mesh tried again", |record| {
        record.hop.destination == "paya" && record.attempts == 3
    })
    .await;
    recorded(&folder, "an answer of the callee's own", |record| {
        record.hop.destination == "front" && record.ended_by == EndedBy::Callee && record.status == 200
    })
    .await;
    // Nobody answers: the sidecar gives up.
    scene.world.service("paya").set_fault(Fault::Hang).await;
    recorded(&folder, "a call that the sidecar ended", |record| {
        record.hop.destination == "paya" && record.ended_by == EndedBy::Filter
    })
    .await;
    // The application is gone: its own proxy says so, which is the callee's word to whoever called.
    scene.world.service("cart").set_fault(Fault::Refuse).await;
    recorded(&folder, "a request that cart's own proxy ended", |record| {
        record.inbound && record.hop.destination == "shop/cart" && record.ended_by == EndedBy::Mesh
    })
    .await;
    recorded(&folder, "an answer of cart's proxy", |record| {
        record.hop.destination == "cart"
            && record.ended_by == EndedBy::Callee
            && record.outcome == Outcome::Error
    })
    .await;
    // The proxy is gone, too: the caller's finds nobody.
    scene.world.envoy_mut("cart").process_mut().kill();
    recorded(&folder, "a call that the caller's proxy ended", |record| {
        record.hop.destination == "cart" && record.ended_by == EndedBy::Mesh
    })
    .await;
}

/// Waits until such a record is kept.
async fn recorded(folder: &Path, what: &str, is: fn(&HopRecord) -> bool) {
    let mut ends = BTreeMap::new();
    let mut look = || {
        ends.clear();
        let mut found = false;
        let read = evidence_log::read(folder, 0, &mut |kept, _| {
            let Kept::Record(_, record) = kept else { return };
            found |= is(record);
            let HopRecord { hop, inbound, outcome, ended_by, .. } = record;
            let end = format!(
                "{} {} {} by {}",
                hop.destination,
                if *inbound { "inbound" } else { "outbound" },
                outcome.label(),
                ended_by.label()
            );
            *ends.entry(end).or_insert(0) += 1;
        });
        found && read.is_ok()
    };
    let deadline = Instant::now() + LONG;
    while !look() {
        assert!(Instant::now() < deadline, "never recorded: {what}; {ends:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
