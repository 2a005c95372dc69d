//! The drift watch of a real process: candidates are whole across `kill -9`, and traces of OpenTelemetry are taken.

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use emac_core::evidence::{Delta, HopRecord, Report};
use emac_core::id::{HopKey, WorkloadName};
use emac_core::outcome::Outcome;
use emac_core::units::{Micros, Millis};
use emac_proto::convert::NodeReport;
use emac_proto::v1::ReportRequest;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::process::{PATIENCE, Serving, run};
use support::{Sidecar, WORKLOAD, api};
use tokio::sync::watch;

const INTENT: &str = include_str!("../examples/checkout/intent.yaml");
const KILLS: u64 = 6;

/// Every window counts at once, so that each flip of the manifests is a new candidate.
const CONFIG: &str = "
apiVersion: emac.dev/v1alpha1
kind: ControlPlaneConfig
identity: none
intents: [journeys]
discovery:
  enabled: true
  window: 1s
  silence: 100ms
  minTraces: 5
  recurrence: {windows: 1, of: 1, absent: 1}
  mesh: [k8s]
  otlp: {http: \"127.0.0.1:0\"}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let network = "{name: network, kind: inferred, source: kubernetes, key: network}";
    let intent = INTENT
        .replace("[payment-network-a]", "[network]")
        .replace("[payment-network-b]", "[network]")
        .replace("{name: payment-network-a, kind: declared}", network)
        .replace("      - {name: payment-network-b, kind: declared}\n", "");
    write("journeys/intent.yaml", &intent);
    write("emac.yaml", CONFIG);
    write("k8s/payments.yaml", &manifests(0));
    folder
}

fn manifests(number: u64) -> String {
    let gateway = |name: &str, network: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop, labels: {{network: {network}}}}}\nspec: {{}}\n"
        )
    };
    gateway("paya", "n0") + "---\n" + &gateway("payb", &format!("n{number}"))
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// What the edge and front record of ten checkouts that have just ended.
fn recorded(epoch: u64, sequence: u64) -> ReportRequest {
    let mut delta = Delta::default();
    for trace in sequence * 10..sequence * 10 + 10 {
        let begin = u64::try_from(unix().as_micros()).unwrap() - 200_000;
        let id = (u128::from(epoch) << 64 | u128::from(trace)) + 1;
        let mut call = |source: &str, destination: &str, inbound: bool, start: u64, took: u64| {
            delta.records.push(HopRecord {
                trace_id: id.to_be_bytes(),
                parent_span_id: 1_u64.to_be_bytes(),
                hop: HopKey {
                    journey: "checkout".into(),
                    source: source.into(),
                    destination: destination.into(),
                    operation: String::new(),
                },
                start_unix_us: begin + start,
                duration: Micros(took),
                outcome: Outcome::Success,
                attempts: 1,
                status: 200,
                inbound,
                request_id: [0; 16],
                ended_by: emac_core::outcome::EndedBy::Unknown,
            });
        };
        call("shop/edge", "front", false, 0, 100_000);
        call("", "shop/front", true, 10, 99_900);
        call(WORKLOAD, "cart", false, 5_000, 20_000);
        call(WORKLOAD, "pricing", false, 5_100 + trace % 7, 25_000);
        call(WORKLOAD, "paya", false, 40_000, 30_000);
    }
    let report = Report { epoch, sequence, start_unix: Millis(1), end_unix: Millis(2), delta };
    NodeReport::to_wire("front-1", &WorkloadName::new(WORKLOAD).unwrap(), &report)
}

/// Reports until told otherwise, to whoever listens.
async fn reports(mut server: watch::Receiver<Option<SocketAddr>>, sent: Arc<AtomicU64>) {
    for epoch in 1.. {
        let address = server.borrow_and_update().to_owned();
        let stream = match address {
            Some(address) => Sidecar::connect(address).await.ok(),
            None => None,
        };
        let Some(mut stream) = stream else {
            if server.changed().await.is_err() {
                return;
            }
            continue;
        };
        for sequence in 1.. {
            if stream.send(recorded(epoch, sequence)).await.is_err() {
                break;
            }
            sent.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn candidate(folder: &Path) -> Option<String> {
    std::fs::read_to_string(folder.join("journeys/candidate.yaml")).ok()
}

/// A candidate is there and says this of payb's network.
async fn says(folder: &Path, network: &str) {
    let begun = std::time::Instant::now();
    while !candidate(folder).is_some_and(|text| text.contains(&format!("network:{network}"))) {
        assert!(begun.elapsed() < PATIENCE, "no candidate says {network}: {:?}", candidate(folder));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_is_never_half_a_file() {
    let folder = folder();
    let serve = ["--config", "emac.yaml"];
    let mut serving = Serving::start(folder.path(), &serve).await;
    let (address, server) = watch::channel(Some(serving.grpc));
    let sent = Arc::new(AtomicU64::new(0));
    let sidecar = tokio::spawn(reports(server, Arc::clone(&sent)));
    for kill in 1..=KILLS {
        says(folder.path(), &format!("n{}", kill - 1)).await;
        std::fs::write(folder.path().join("k8s/payments.yaml"), manifests(kill)).unwrap();
        // As soon as the next one is there, or somewhere on its way.
        if kill % 2 == 0 {
            says(folder.path(), &format!("n{kill}")).await;
        } else {
            let until = sent.load(SeqCst) + 15 + kill * 3;
            while sent.load(SeqCst) < until {
                tokio::task::yield_now().await;
            }
        }
        address.send_replace(None);
        serving.kill();
        let (code, text, problem) = run(folder.path(), &["verify", "--sealed", "journeys/candidate.yaml"]);
        assert_eq!(code, 0, "{text}{problem}");
        serving = Serving::start(folder.path(), &serve).await;
        address.send_replace(Some(serving.grpc));
    }
    says(folder.path(), &format!("n{KILLS}")).await;
    sidecar.abort();
}

/// Reports of an epoch, all acknowledged: ten checkouts each.
async fn sent(serving: &Serving, epoch: u64, sequences: std::ops::RangeInclusive<u64>) {
    let mut stream = Sidecar::connect(serving.grpc).await.unwrap();
    for sequence in sequences {
        stream.send(recorded(epoch, sequence)).await.unwrap();
    }
}

/// What discovery knows once `is` says so.
async fn known(serving: &Serving, is: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let begun = std::time::Instant::now();
    loop {
        let known = api(serving.http, "discovery").await;
        if is(&known) {
            return known;
        }
        assert!(begun.elapsed() < PATIENCE, "{known:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_goes_on_after_kill_9_and_what_is_damaged_is_moved_aside() {
    let folder = folder();
    let config = CONFIG.replace("intents: [journeys]", "intents: [journeys]\nstate: state");
    let long = config.replace("  window: 1s", "  window: 1h\n  step: 20m");
    std::fs::write(folder.path().join("emac.yaml"), &long).unwrap();
    let serve = ["--config", "emac.yaml"];
    // Twice in the middle of its first window: nothing is lost, nothing counted twice.
    let mut serving = Serving::start(folder.path(), &serve).await;
    sent(&serving, 1, 1..=5).await;
    let first = known(&serving, |known| known["traces"] == 50).await;
    for restart in 1..=2_u64 {
        serving.kill();
        serving = Serving::start(folder.path(), &serve).await;
        let next = known(&serving, |known| known["traces"] == 40 + 10 * restart).await;
        assert_eq!(next["window_began_unix_ms"], first["window_began_unix_ms"]);
        assert_eq!((&next["windows"], &next["problems"]), (&serde_json::json!(0), &serde_json::json!([])));
        sent(&serving, 1 + restart, 1..=1).await;
        known(&serving, |known| known["traces"] == 50 + 10 * restart).await;
    }
    // Spans are kept as records are, and windows are made of both in the order in which they came.
    for trace in 1..=20 {
        export(folder.path(), spans(trace)).await;
    }
    known(&serving, |known| known["traces"] == 90).await;
    serving.kill();
    serving = Serving::start(folder.path(), &serve).await;
    export(folder.path(), spans(21)).await;
    let next = known(&serving, |known| known["traces"] == 91).await;
    assert_eq!(next["signal"]["traces"]["spans"]["taken"], 42, "{next:#}");
    assert_eq!((&next["windows"], &next["problems"]), (&serde_json::json!(0), &serde_json::json!([])));
    // What was written down is damaged.
    serving.kill();
    let memory = folder.path().join("state/discovery/watch.json");
    std::fs::write(&memory, "{").unwrap();
    let mut serving = Serving::start(folder.path(), &serve).await;
    let next = known(&serving, |known| known["problems"].as_array().is_some_and(|all| !all.is_empty())).await;
    let problem = next["problems"][0].as_str().unwrap();
    assert!(problem.contains("watch.json") && problem.contains("moved to"), "{problem}");
    assert_eq!(std::fs::read_to_string(memory.with_extension("json.unread")).unwrap(), "{");
    assert_eq!(next["traces"], 0);
    sent(&serving, 9, 1..=1).await;
    known(&serving, |known| known["traces"] == 10).await;
    // Another length of windows: told, and it goes on.
    serving.kill();
    std::fs::write(folder.path().join("emac.yaml"), &config).unwrap();
    let serving = Serving::start(folder.path(), &serve).await;
    sent(&serving, 10, 1..=3).await;
    let next = known(&serving, |known| known["journeys"]["checkout"]["windows"].as_u64() >= Some(1)).await;
    assert!(
        next["journeys"]["checkout"]["deltas"].as_array().is_some_and(|deltas| !deltas.is_empty()),
        "{next:#}"
    );
    let together = &next["journeys"]["checkout"]["together"];
    assert!(together["impact"]["a_minus"]["after"].is_number(), "{together:#}");
}

fn spans(trace: u64) -> String {
    let begin = unix().as_nanos() - 300_000_000;
    let span = |id: u64, parent: &str, name: &str, start: u128, end: u128| {
        format!(
            r#"{{"traceId": "{trace:032x}", "spanId": "{id:016x}", "parentSpanId": "{parent}", "name": "{name}", "kind": 2,
               "startTimeUnixNano": "{}", "endTimeUnixNano": "{}"}}"#,
            begin + start,
            begin + end
        )
    };
    let of = |service: &str, span: String| {
        format!(
            r#"{{"resource": {{"attributes": [{{"key": "service.name", "value": {{"stringValue": "{service}"}}}}]}},
               "scopeSpans": [{{"spans": [{span}]}}]}}"#
        )
    };
    let front = of("front", span(1, "", "GET /checkout", 0, 200_000_000));
    let cart = of("cart", span(2, "0000000000000001", "Get", 10_000_000, 50_000_000));
    format!(r#"{{"resourceSpans": [{front}, {cart}]}}"#)
}

/// Exports JSON to the control plane of a folder.
async fn export(folder: &Path, request: String) {
    let ports: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("ports.json")).unwrap()).unwrap();
    let traces = format!("http://{}/v1/traces", ports["otlp_http"].as_str().unwrap());
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request =
        hyper::Request::post(&traces).header("content-type", "application/json").body(request.into());
    assert_eq!(client.request(request.unwrap()).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_of_opentelemetry_are_watched() {
    let folder = folder();
    let serving = Serving::start(folder.path(), &["--config", "emac.yaml"]).await;
    for trace in 1..=20 {
        export(folder.path(), spans(trace)).await;
    }
    known(&serving, |known| known["traces"] == 20).await;
}

/// A request that sends a message, and the one that takes it, which begins a trace of its own and links to the first. Of even numbers the taker comes first.
fn messages(trace: u64) -> [String; 2] {
    let begin = unix().as_nanos() - 300_000_000;
    let text =
        |key: &str, value: &str| format!(r#"{{"key": "{key}", "value": {{"stringValue": "{value}"}}}}"#);
    let of = |service: &str, spans: &str| {
        format!(
            r#"{{"resourceSpans": [{{"resource": {{"attributes": [{}]}}, "scopeSpans": [{{"spans": [{spans}]}}]}}]}}"#,
            text("service.name", service)
        )
    };
    let times = format!(r#""startTimeUnixNano": "{begin}", "endTimeUnixNano": "{}""#, begin + 1_000_000);
    let topic = [text("messaging.system", "kafka"), text("messaging.destination.name", "orders")].join(",");
    let (sender, taker) = (2 * trace, 2 * trace + 1);
    let sent = of(
        "front",
        &format!(
            r#"{{"traceId": "{sender:032x}", "spanId": "0000000000000001", "name": "POST /orders", "kind": 2, {times}}},
            {{"traceId": "{sender:032x}", "spanId": "0000000000000002", "parentSpanId": "0000000000000001", "name": "send", "kind": 4, {times}, "attributes": [{topic}]}}"#
        ),
    );
    let taken = of(
        "worker",
        &format!(
            r#"{{"traceId": "{taker:032x}", "spanId": "0000000000000003", "name": "process", "kind": 5, {times}, "attributes": [{topic}],
            "links": [{{"traceId": "{sender:032x}", "spanId": "0000000000000002"}}]}}"#
        ),
    );
    if trace.is_multiple_of(2) { [taken, sent] } else { [sent, taken] }
}

/// `emac serve` tells of received spans what `emac discover` tells of the same in a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_message_a_journey_took_is_told_as_of_a_file() {
    let folder = folder();
    let serving = Serving::start(folder.path(), &["--config", "emac.yaml"]).await;
    let requests: Vec<String> = (1..=20).flat_map(messages).collect();
    for request in &requests {
        export(folder.path(), request.clone()).await;
    }
    let is_over =
        |known: &serde_json::Value| known["undeclared"].as_array().is_some_and(|all| all.len() == 2);
    let served = known(&serving, is_over).await;
    std::fs::write(folder.path().join("traces.jsonl"), requests.join("\n")).unwrap();
    let args = ["discover", "--traces", "traces.jsonl", "--out", "found", "--format", "json"];
    let (code, text, problem) = run(folder.path(), &args);
    assert_eq!(code, 0, "{problem}");
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    let linked = &served["signal"]["traces"]["traces"]["linked"];
    assert_eq!(*linked, told["signal"]["traces"]["linked"], "{told:#}");
    assert_eq!(
        (&linked[0]["from"], &linked[0]["to"], &linked[0]["count"]),
        (&"front kafka:orders".into(), &"worker process".into(), &20.into()),
        "{linked:#}"
    );
    let (code, text, problem) =
        run(folder.path(), &["status", "--server", &format!("http://{}", serving.http)]);
    assert_eq!(code, 0, "{problem}");
    assert!(text.contains("worker process is linked to front kafka:orders: 20 traces"), "{text}");
}

/// What sidecars recorded is evidence for the command line: from the running control plane, from a file with its answer, and from its state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_running_control_plane_are_evidence() {
    let folder = folder();
    let config = CONFIG
        .replace("intents: [journeys]", "intents: [journeys]\nstate: state")
        .replace("window: 1s", "window: 1h");
    std::fs::write(folder.path().join("emac.yaml"), config).unwrap();
    let serving = Serving::start(folder.path(), &["--config", "emac.yaml"]).await;
    let mut sidecar = Sidecar::connect(serving.grpc).await.unwrap();
    for sequence in 1..=5 {
        sidecar.send(recorded(1, sequence)).await.unwrap();
    }
    let server = format!("http://{}", serving.http);
    let begun = std::time::Instant::now();
    let saved = loop {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let answer = client.get(format!("{server}/api/v1/records").parse().unwrap()).await.unwrap();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        // Five calls of fifty checkouts, behind the line that counts them.
        if text.lines().count() == 251 {
            break text;
        }
        assert!(begun.elapsed() < PATIENCE, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    std::fs::write(folder.path().join("records.jsonl"), saved).unwrap();
    export(folder.path(), spans(1)).await;
    known(&serving, |known| known["traces"] == 51).await;
    for evidence in [server.as_str(), "records.jsonl", "state", "state/discovery/evidence"] {
        let args = ["discover", "--evidence", evidence, "--intent", "journeys", "--out", "found"];
        let (code, text, problem) = run(folder.path(), &args);
        assert_eq!(code, 0, "{evidence}: {problem}");
        let told = problem.contains("2 spans of tracing beside the records were left out");
        assert_eq!(told, evidence.starts_with("state"), "{evidence}: {problem}");
        assert!(text.contains("checkout (declared; 50 traces"), "{evidence}: {text}");
        assert!(text.contains("Series(front, Parallel(Fallback(pricing, "), "{evidence}: {text}");
    }
    let (code, _, problem) = run(folder.path(), &["discover", "--evidence", "journeys", "--out", "found"]);
    assert_eq!(code, 65);
    assert!(problem.contains("a folder without records of calls"), "{problem}");
}
