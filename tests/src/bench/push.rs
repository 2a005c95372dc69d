//! The push path: a plan for 1 000 workloads to 100 streams, over real connections on loopback, client and server sharing the
//! machine.
//!
//! Two audiences, both incremental: sidecars that ask for one workload each, as the filter does, and clients that ask for
//! everything. Every round changes the budgets of every workload, the worst case of a plan; what is timed ends when the last
//! client holds the last changed resource.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emac_core::budget::{
    HopBudget, JourneyBudget, Mode, OnExpiry, RetryBudget, SuccessPredicate, WorkloadBudgets,
};
use emac_core::id::{JourneyName, WorkloadName};
use emac_core::units::Moment;
use emac_core::units::{Generation, Millis, Ppm};
use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use emac_push::proxies::Proxies;
use emac_push::service::PushService;
use emac_push::snapshot::{Publisher, generation_of};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::Section;
use super::timing::median;

const WORKLOADS: usize = 1_000;
const STREAMS: usize = 100;
const ROUNDS: u64 = 7;
/// A round that takes longer has failed; nothing here should come near.
const PATIENCE: Duration = Duration::from_secs(60);

type Plan = BTreeMap<WorkloadName, Arc<WorkloadBudgets>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The section of the report; some seconds.
///
/// # Errors
/// What broke a connection, or that the clients were not served in time.
pub fn section() -> Result<Section, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut body = String::from("| measured | median | unit |\n|---|---|---|\n");
    let mut row = |name: &str, value: f64, unit: &str| {
        let _ = writeln!(body, "| {name} | {value:.2} | {unit} |");
    };
    row("publish a plan in which 1 of 1 000 workloads changed", publish(1), "ms");
    row("publish a plan in which all 1 000 changed", publish(WORKLOADS), "ms");
    let own = runtime.block_on(rounds(|i| vec![workload(i * WORKLOADS / STREAMS).to_string()], 1))?;
    row("plan published until each of 100 sidecars holds its own", own, "ms");
    let all = runtime.block_on(rounds(|_| vec!["*".to_string()], WORKLOADS))?;
    row("plan published until each of 100 wildcard clients holds all 1 000", all, "ms");
    row("resources delivered by that", (STREAMS * WORKLOADS) as f64 / all, "per ms");
    runtime.shutdown_background();
    let _ = writeln!(body, "\nA resource is {} bytes: four journeys, eight hops.", resource_bytes());
    Ok(Section { title: "Push: 1 000 workloads, 100 streams, loopback", body })
}

fn workload(i: usize) -> WorkloadName {
    WorkloadName::new(&format!("shop/workload-{i:04}")).unwrap_or_else(|error| unreachable!("{error}"))
}

fn journey(name: &str) -> JourneyName {
    JourneyName::new(name).unwrap_or_else(|error| unreachable!("{error}"))
}

/// A plan in which the first `changed` workloads are told something new by each generation.
fn plan(generation: u64, changed: usize) -> Plan {
    let timeout = |i: usize| Millis(if i < changed { 100 + generation } else { 100 });
    (0..WORKLOADS).map(|i| (workload(i), Arc::new(budgets(workload(i), generation, timeout(i))))).collect()
}

fn budgets(workload: WorkloadName, generation: u64, timeout: Millis) -> WorkloadBudgets {
    let names = ["checkout", "search", "login", "refund"];
    let journeys = names.map(|name| JourneyBudget {
        journey: journey(name),
        deadline: Millis(400),
        mode: Mode::Enforce,
        priority: 1,
        record: Ppm::ZERO,
        entry: Vec::new(),
    });
    let hops = (0..8).map(|i| hop(names[i % names.len()], i, timeout)).collect();
    WorkloadBudgets {
        workload,
        generation: Generation(generation),
        model_digest: "0123456789abcdef".repeat(4),
        issued_at_unix_ms: 0,
        valid_for: Millis(60_000),
        on_expiry: OnExpiry::Hold,
        journeys: journeys.into(),
        hops,
    }
}

fn hop(name: &str, i: usize, timeout: Millis) -> HopBudget {
    HopBudget {
        journey: journey(name),
        destination: format!("destination-{i}.shop.svc.cluster.local"),
        operation: "GET /items/{id}".into(),
        mode: Mode::Enforce,
        timeout: Some(timeout),
        per_try_timeout: Some(timeout),
        reserve: Millis(20),
        useful_min: Millis(5),
        alone: None,
        retry: Ppm::new(200_000).ok().map(|ratio| RetryBudget {
            ratio,
            floor_milli_per_s: 1_000,
            burst: 10,
            max_retries: 2,
        }),
        fallback: None,
        success: SuccessPredicate::default(),
        without_context: false,
        stream: false,
    }
}

fn resource_bytes() -> usize {
    let message = emac_proto::v1::WorkloadBudgets::from(&budgets(workload(0), 1, Millis(100)));
    prost::Message::encoded_len(&message)
}

fn publish(changed: usize) -> f64 {
    let publisher = Publisher::default();
    let time = |generation| {
        let plan = plan(generation, changed);
        let begin = Instant::now();
        publisher.publish(&plan, Moment::default());
        begin.elapsed().as_secs_f64() * 1e3
    };
    // The first fills the publisher.
    median((1..=31).map(time).skip(1).collect()).unwrap_or(f64::NAN)
}

/// Milliseconds from publishing until all clients hold `expected` resources of the new generation.
async fn rounds(names: impl Fn(usize) -> Vec<String>, expected: usize) -> Result<f64, Failure> {
    let (publisher, stop) = (Publisher::default(), CancellationToken::new());
    let address = serve(&publisher, stop.clone()).await?;
    let (done, mut reports) = mpsc::channel(STREAMS);
    for i in 0..STREAMS {
        let client = Client::connect(&address, names(i), expected).await?;
        tokio::spawn(client.run(done.clone()));
    }
    let mut times = Vec::new();
    for generation in 1..=ROUNDS {
        let plan = plan(generation, WORKLOADS);
        let begin = Instant::now();
        publisher.publish(&plan, Moment { unix_ms: generation, ..Moment::default() });
        for _ in 0..STREAMS {
            let report = tokio::time::timeout(PATIENCE, reports.recv()).await?;
            report.ok_or("a client has gone")?;
        }
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    stop.cancel();
    Ok(median(times).unwrap_or(f64::NAN))
}

async fn serve(publisher: &Publisher, stop: CancellationToken) -> Result<String, Failure> {
    let now = Arc::new(Moment::default);
    let service = PushService::new(publisher.feed(), Arc::<Proxies>::default(), now, stop);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let server = tonic::transport::Server::builder().add_service(service.into_server());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Ok(address)
}

/// An incremental client that accepts everything and counts the resources of each generation.
struct Client {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    expected: usize,
}

impl Client {
    async fn connect(address: &str, names: Vec<String>, expected: usize) -> Result<Self, Failure> {
        let (requests, queue) = mpsc::channel(16);
        let mut client = AggregatedDiscoveryServiceClient::connect(address.to_string()).await?;
        let first = DeltaDiscoveryRequest { resource_names_subscribe: names, ..request() };
        requests.send(first).await?;
        let responses = client.delta_aggregated_resources(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Self { requests, responses, expected })
    }

    async fn run(mut self, done: mpsc::Sender<()>) -> Result<(), Failure> {
        let (mut generation, mut held) = (0, 0);
        while let Some(response) = self.responses.message().await? {
            for resource in &response.resources {
                let of = generation_of(&resource.version).map_or(0, |g| g.0);
                held = if of == generation { held + 1 } else { 1 };
                generation = of;
            }
            self.requests.send(DeltaDiscoveryRequest { response_nonce: response.nonce, ..request() }).await?;
            if held == self.expected {
                held = 0;
                done.send(()).await?;
            }
        }
        Ok(())
    }
}

fn request() -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: WORKLOAD_BUDGETS_TYPE_URL.into(), ..DeltaDiscoveryRequest::default() }
}
