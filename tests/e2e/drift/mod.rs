//! See the README beside this file.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use emac_tests::load::Run;
use emac_tests::testbed::product::{CHECKOUT_INTENT, Serve, emac, filter_with};
use emac_tests::testbed::{ControlSetup, Fault, World, wait_until};
use serde_json::{Value, json};

use crate::common::{runs, start};

/// Longer than many windows, also where every process waits for a core.
const LONG: Duration = Duration::from_secs(90);
/// Short windows: a scenario has no hours. `silence` is several reports of a sidecar.
const DISCOVERY: &str = "discovery: {enabled: true, window: 3s, silence: 1s, minTraces: 60, mesh: [k8s]}\n";
const RATE: f64 = 50.0;
const MANIFESTS: &str = "k8s/payments.yaml";
const SERVICES: [&str; 5] = ["front", "cart", "pricing", "paya", "payb"];

/// The example's intent: every call recorded, faults met, time enough for a machine that does much else, and payment networks read from the pods' label.
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
    // No component promises a latency, so an objective of it would be for a person; the deadline is said instead.
    let latency = "    latency:\n      window: 30d\n      objective: {metric: p99, threshold: 400ms}\n";
    let text = change(text, latency, "");
    let text = change(text, "[payment-network-a]", "[payment-network]");
    let text = change(text, "[payment-network-b]", "[payment-network]");
    let rule = "{name: payment-network, kind: inferred, source: kubernetes, key: payments.example/network}";
    let text = change(text, "{name: payment-network-a, kind: declared}", rule);
    change(text, "      - {name: payment-network-b, kind: declared}\n", "")
}

/// The two providers' gateways, each on its network.
fn manifests(network_of_payb: &str) -> String {
    let gateway = |name: &str, network: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  replicas: 3\n  \
             selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata:\n      labels:\n        app: {name}\n        \
             payments.example/network: {network}\n{}",
            (0..3).map(|pod| self::pod(name, pod, network)).collect::<String>()
        )
    };
    format!("{}---\n{}", gateway("paya", "net-a"), gateway("payb", network_of_payb))
}

fn pod(name: &str, number: usize, network: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}-{number}\n  namespace: shop\n  labels: {{app: {name}, \
         payments.example/network: {network}}}\nspec: {{nodeName: node-{number}}}\n"
    )
}

fn setup() -> Result<ControlSetup, emac_tests::envoy::NotRun> {
    let serve = Serve { intent: intent(), more: DISCOVERY.to_owned(), ..Serve::default() };
    let setup = serve.setup()?;
    let files = Arc::clone(&setup.files);
    let with_manifests = move |ports: &_| {
        let mut files = files(ports);
        files.push((MANIFESTS.to_owned(), manifests("net-b")));
        files
    };
    Ok(ControlSetup { files: Arc::new(with_manifests), ..setup })
}

/// The world under load, and what is asked of it.
struct Scene {
    world: World,
    _load: Run,
}

impl Scene {
    async fn start(test: &str) -> Option<Self> {
        let quick = filter_with(|_, configuration| {
            (configuration["tick_ms"], configuration["report_ms"]) = (json!(50), json!(200));
        });
        let (filter, control) = (runs(test, quick)?, runs(test, setup())?);
        let world = start(test, World::builder().filter(filter).control_plane(control)).await?;
        let load = world.load().rate(RATE).duration(Duration::from_secs(3_600)).start();
        Some(Self { world, _load: load })
    }

    async fn get(&self, path: &str) -> Value {
        self.world.control().json(path).await.unwrap_or_default()
    }

    /// What is known of the journey.
    async fn known(&self) -> Value {
        self.get("/api/v1/discovery").await["journeys"]["checkout"].clone()
    }

    async fn windows(&self) -> u64 {
        self.known().await["windows"].as_u64().unwrap_or_default()
    }

    async fn becomes(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let known = wait_until(LONG, || async { is(&self.known().await) }).await;
        let last = self.known().await;
        assert!(known, "never {what}: {last:#}");
        last
    }

    /// The command in the control plane's directory: exit code and what it printed.
    fn emac(&self, line: &str) -> (i32, String) {
        let output = Command::new(emac().expect("it was started before"))
            .args(line.split_whitespace())
            .current_dir(&self.world.control().ports().dir)
            .output()
            .expect("it was started before");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code().unwrap_or(-1), text.concat())
    }

    /// Answers that each service has given so far, as its own sidecar counts them: all, and those of its own fault.
    async fn answers(&self) -> BTreeMap<&'static str, (f64, f64)> {
        let stats = self.world.stats().await.expect("Envoys answer");
        let count = |service: &str, class: Option<&str>| {
            let mut labels = vec![("envoy", service), ("envoy_cluster_name", "app")];
            labels.extend(class.map(|class| ("envoy_response_code_class", class)));
            stats.sum("envoy_cluster_upstream_rq_xx", &labels)
        };
        SERVICES.map(|service| (service, (count(service, None), count(service, Some("5"))))).into()
    }
}

/// Sources of what speaks for an operator.
fn sources(known: &Value, operator: &str) -> Vec<String> {
    let operators = known["observed"]["operators"].as_array().cloned().unwrap_or_default();
    let found = operators.into_iter().find(|one| one["operator"] == operator);
    let provenance = found.and_then(|one| one["provenance"].as_array().cloned()).unwrap_or_default();
    provenance.iter().filter_map(|one| Some(one["source"].as_str()?.to_owned())).collect()
}

fn delta<'a>(known: &'a Value, kind: &str, about: &str) -> Option<&'a Value> {
    let deltas = known["deltas"].as_array()?;
    deltas.iter().find(|one| one["type"] == kind && one["change"].as_str().is_some_and(|c| c.contains(about)))
}

const GATE: &str = "gate --intent journeys/checkout/intent.yaml --model";
const MODEL: &str = "journeys/checkout/model.yaml";
const CANDIDATE: &str = "journeys/checkout/candidate.yaml";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_network_is_found_while_every_service_is_green() {
    let test = "drift::a_shared_network_is_found_while_every_service_is_green";
    let Some(scene) = Scene::start(test).await else { return };
    let declared = scene.get("/api/v1/plan").await["journeys"]["checkout"]["expression"].clone();
    assert!(declared.is_string(), "{declared}");

    discovered_from_hop_records_alone(&scene, &declared).await;
    let version = agreed(&scene, "ann", 1).await;
    let (code, text) = scene.emac(&format!("{GATE} {MODEL}"));
    assert_eq!(code, 0, "{text}");
    moved(&scene, &version).await;
    let second = agreed(&scene, "ben", 2).await;
    assert_ne!(second, version);
    let (code, text) = scene.emac(&format!("{GATE} {MODEL}"));
    assert_eq!(code, 2, "{text}");
}

/// paya fails now and then, and so does pricing: what stands in for them is seen, and the journey is the one that the intent declares.
async fn discovered_from_hop_records_alone(scene: &Scene, declared: &Value) {
    // 500 is what the mesh does not try again, so that each failure is met.
    scene.world.service("paya").set_fault(Fault::Errors { share: 0.3, status: 500 }).await;
    scene.world.service("pricing").set_fault(Fault::Errors { share: 0.1, status: 500 }).await;
    let operators = [
        "Fallback(paya, payb)",
        "Fallback(pricing, 0.5*cached-price)",
        "Parallel(Fallback(pricing, 0.5*cached-price), cart)",
        declared.as_str().unwrap_or_default(),
    ];
    let found = |known: &Value| {
        known["observed"]["expression"] == *declared
            && operators.iter().all(|operator| sources(known, operator).contains(&"hop-records".to_owned()))
    };
    let known = scene.becomes("the journey of the intent, from hop records", found).await;
    assert_eq!(known["observed"]["source"], "hop-records");
    assert_eq!(known["observed"]["disagreements"], json!([]));
    // What recurred is written, and written again once it is as sure as acceptance asks.
    scene.becomes("a candidate to decide on", |known| known["confidence"].as_f64() >= Some(0.8)).await;
    for service in ["paya", "pricing"] {
        scene.world.service(service).set_fault(Fault::None).await;
    }
}

/// A person agrees to the candidate. The version that acts since; the lineage has so many.
async fn agreed(scene: &Scene, by: &str, versions: usize) -> String {
    let (code, text) = scene.emac(&format!("accept --candidate {CANDIDATE} --into {MODEL} --by {by}"));
    assert_eq!(code, 0, "{text}");
    let (code, text) = scene.emac(&format!("verify {MODEL}"));
    assert_eq!(code, 0, "{text}");
    let (_, log) = scene.emac(&format!("log {MODEL} --format json"));
    let log: Value = serde_json::from_str(&log).expect("JSON");
    let lineage = log["models"][0]["versions"].as_array().expect("a list");
    assert_eq!(lineage.len(), versions, "{log:#}");
    let newest = lineage.iter().find(|one| one["by"] == by).expect("who agreed");
    let version = newest["version"].as_str().expect("its version").to_owned();
    scene.becomes("compared with the model", |known| known["base"] == version.as_str()).await;
    let planned =
        || async { scene.get("/api/v1/plan").await["journeys"]["checkout"]["model"] == version.as_str() };
    assert!(wait_until(LONG, planned).await, "never planned from version {version}");
    version
}

/// payb moves onto paya's network: the shared domain is proposed, with who says so, while every service is green.
async fn moved(scene: &Scene, version: &str) {
    let (before, window) = (scene.answers().await, scene.windows().await);
    scene.world.control().write(MANIFESTS, &manifests("net-a")).expect("its directory is there");
    let shared =
        |known: &Value| delta(known, "redundancy_domain_relation", "a shared failure domain").is_some();
    let known = scene.becomes("a shared domain", shared).await;
    let windows = known["windows"].as_u64().unwrap_or_default() - window;
    assert!(windows <= 3, "proposed after {windows} windows");
    let moved = delta(&known, "failure_domain_assignment", "payb").expect("what makes it shared");
    let says = &moved["provenance"][0];
    assert_eq!(
        (&says["source"], &moved["status"]),
        (&json!("kubernetes"), &json!("identified")),
        "{moved:#}"
    );
    assert!(says["file"].as_str().is_some_and(|file| file.ends_with(MANIFESTS)), "{says}");
    assert_eq!(says["field"], "spec.template.metadata.labels.payments.example/network");
    assert_eq!(known["base"], version);

    // What is accepted still passes; the candidate would not, and holds up what passes.
    let (code, text) = scene.emac(&format!("{GATE} {MODEL}"));
    assert_eq!(code, 0, "{text}");
    let (code, text) = scene.emac(&format!("{GATE} {CANDIDATE} --preview"));
    assert!(code == 2 && text.contains("PREVIEW FAIL"), "{code} {text}");
    let (code, text) = scene.emac(&format!("{GATE} {MODEL} --candidate {CANDIDATE}"));
    assert!(code == 3 && text.contains("a shared failure domain"), "{code} {text}");

    for (service, (all, bad)) in scene.answers().await {
        let (all, bad) = (all - before[service].0, bad - before[service].1);
        assert!(all > 0.0 || service == "payb", "{service} was not asked");
        assert!(
            bad <= all * (1.0 - promised(service)),
            "{service} failed {bad} of {all}: its own SLO is not green"
        );
    }
}

/// What a service promises in the intent.
fn promised(service: &str) -> f64 {
    match service {
        "front" => 0.9995,
        "cart" | "pricing" => 0.999,
        _ => 0.995,
    }
}
