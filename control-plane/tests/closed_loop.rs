//! The whole loop on loopback: an intent becomes budgets on an xDS stream, evidence changes them, a changed file changes them, and
//! a broken file changes nothing.

mod support;

use std::path::Path;
use std::time::Duration;

use emac_control_plane::config::Config;
use emac_control_plane::serve::{Intents, Server};
use emac_core::budget::{HopBudget, Mode, WorkloadBudgets};
use emac_core::evidence::{Delta, HopDelta, Report};
use emac_core::id::{HopKey, WorkloadName};
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use emac_core::units::{Micros, Millis};
use emac_document::Problems;
use emac_proto::convert::NodeReport;
use emac_proto::v1::{self, ReportRequest};
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};
use prost::Message;
use support::{Sidecar, api, config, scrape};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

const INTENT: &str = include_str!("../examples/checkout/intent.yaml");
const FRONT: &str = "shop/front";
/// How long anything may take before the test is said to hang.
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    server: Server,
    folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), INTENT);
        let intents = vec![folder.path().display().to_string()];
        let config = Config { intents, plan_period: Millis(50), ..config() };
        let read = Intents::load(&config.intents, &Problems::new()).expect("the example is valid");
        Self { server: Server::start(&config, read).await.unwrap(), folder }
    }
}

/// Replaces the intent whole, as an editor or a volume does.
fn write(folder: &Path, intent: &str) {
    std::fs::write(folder.join("intent.tmp"), intent).unwrap();
    std::fs::rename(folder.join("intent.tmp"), folder.join("intent.yaml")).unwrap();
}

/// A sidecar that accepts whatever budgets it is sent.
struct Subscriber {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Subscriber {
    async fn connect(server: &Server) -> Self {
        let mut client =
            AggregatedDiscoveryServiceClient::connect(format!("http://{}", server.grpc())).await.unwrap();
        let (requests, receiver) = mpsc::channel(4);
        let subscription = DeltaDiscoveryRequest {
            node: Some(Node { id: "front-1".into(), ..Node::default() }),
            type_url: emac_proto::WORKLOAD_BUDGETS_TYPE_URL.into(),
            resource_names_subscribe: vec![FRONT.into()],
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(subscription).await.unwrap();
        let responses =
            client.delta_aggregated_resources(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, responses }
    }

    /// The next budgets, accepted.
    async fn next(&mut self) -> WorkloadBudgets {
        let response = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        let response = response.expect("budgets in time").unwrap().expect("an open stream");
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(ack).await.unwrap();
        let body = &response.resources[0].resource.as_ref().unwrap().value;
        v1::WorkloadBudgets::decode(body.as_slice()).unwrap().try_into().unwrap()
    }

    /// The first budgets that satisfy a condition.
    async fn until(&mut self, wanted: impl Fn(&WorkloadBudgets) -> bool) -> WorkloadBudgets {
        loop {
            let budgets = self.next().await;
            if wanted(&budgets) {
                return budgets;
            }
        }
    }
}

fn hop<'a>(budgets: &'a WorkloadBudgets, destination: &str) -> &'a HopBudget {
    budgets.hops.iter().find(|hop| hop.destination == destination).unwrap()
}

/// A report of 200 calls from front to a destination, all of one latency.
fn calls(sequence: u64, destination: &str, latency: Micros) -> ReportRequest {
    let (mut outcomes, mut sketch) = (OutcomeCounts::default(), Sketch::new());
    for _ in 0..200 {
        outcomes.add(Outcome::Success);
        sketch.record(latency);
    }
    let key = HopKey {
        journey: "checkout".into(),
        source: FRONT.into(),
        destination: destination.into(),
        operation: String::new(),
    };
    let hops = [(key, HopDelta { outcomes, latency: sketch, ..HopDelta::default() })].into();
    let delta = Delta { hops, ..Delta::default() };
    let report = Report { epoch: 1, sequence, start_unix: Millis(0), end_unix: Millis(0), delta };
    NodeReport::to_wire("front-1", &WorkloadName::new(FRONT).unwrap(), &report)
}

#[tokio::test]
async fn an_intent_becomes_budgets_and_evidence_changes_them() {
    let World { server, folder: _folder } = World::start().await;
    let mut subscriber = Subscriber::connect(&server).await;
    let first = subscriber.next().await;
    assert_eq!(first.workload.as_str(), FRONT);
    assert_eq!(first.journeys[0].deadline, Millis(400));
    let before = hop(&first, "paya").timeout.unwrap();

    // paya is steadily slow, cart is quick: whoever can fall back gets less than it would need.
    let mut sidecar = Sidecar::connect(server.grpc()).await.unwrap();
    sidecar.send(calls(1, "paya", Micros(390_000))).await.unwrap();
    sidecar.send(calls(2, "cart", Micros(5_000))).await.unwrap();
    let changed = subscriber.until(|budgets| hop(budgets, "paya").timeout != Some(before)).await;
    assert!(changed.generation > first.generation);

    let plan = api(server.http(), "plan").await;
    assert!(plan["generation"].as_u64().unwrap() >= changed.generation.0);
    let leaves = plan["journeys"]["checkout"]["leaves"].as_array().unwrap().clone();
    let paya = leaves.iter().find(|leaf| leaf["component"] == "paya").unwrap();
    assert_eq!(paya["curve"], serde_json::json!({"source": "measured", "calls": 200}));
    let proxies = api(server.http(), "proxies").await;
    assert_eq!(proxies["streams"][0]["node"], "front-1");
    let samples = scrape(server.http()).await;
    assert_eq!(samples["emac_proxies_connected"], 1.0);
    assert_eq!(samples[r#"emac_xds_answers_total{answer="nack"}"#], 0.0);
    assert!(samples["emac_plan_generation"] >= changed.generation.0 as f64);
    server.shutdown().await;
}

#[tokio::test]
async fn a_changed_file_switches_the_mode_and_a_broken_one_changes_nothing() {
    let World { server, folder } = World::start().await;
    let mut subscriber = Subscriber::connect(&server).await;
    assert_eq!(subscriber.next().await.journeys[0].mode, Mode::Observe);

    write(folder.path(), "kind: JourneyIntent\nspec: [");
    let refused = || async { scrape(server.http()).await[r#"emac_intent_reloads_total{result="refused"}"#] };
    tokio::time::timeout(PATIENCE, async {
        while refused().await < 1.0 {
            tokio::task::yield_now().await
        }
    })
    .await
    .expect("the broken file is noticed");
    assert_eq!(scrape(server.http()).await["emac_intents"], 1.0, "the last good one stays");

    write(folder.path(), &INTENT.replace("mode: observe", "mode: enforce"));
    let enforced = subscriber.until(|budgets| budgets.journeys[0].mode == Mode::Enforce).await;
    assert!(enforced.hops.iter().all(|hop| hop.mode == Mode::Enforce));
    server.shutdown().await;
}

#[tokio::test]
async fn a_restart_with_evidence_waits_for_new_evidence_before_it_plans() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), INTENT);
    let mut config = Config { state: Some(folder.path().join("state")), plan_period: Millis(50), ..config() };
    config.intents = vec![folder.path().join("intent.yaml").display().to_string()];
    config.evidence.window = Millis(1_000);
    let intents = Intents::load(&config.intents, &Problems::new()).unwrap();

    let server = Server::start(&config, intents.clone()).await.unwrap();
    let before = Subscriber::connect(&server).await.next().await.generation;
    let mut sidecar = Sidecar::connect(server.grpc()).await.unwrap();
    sidecar.send(calls(1, "paya", Micros(90_000))).await.unwrap();
    server.shutdown().await;

    let server = Server::start(&config, intents).await.unwrap();
    assert_eq!(api(server.http(), "plan").await["workloads"], serde_json::json!({}));
    let after = Subscriber::connect(&server).await.next().await.generation;
    assert!(after > before, "a generation is never given twice");
    server.shutdown().await;
}
