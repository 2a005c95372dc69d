//! A server on a free port of loopback, and clients of both variants.

#![allow(unreachable_pub)] // a test binary exports nothing

use emac_core::budget::{OnExpiry, WorkloadBudgets};
use emac_core::id::WorkloadName;
use emac_core::units::Moment;
use emac_core::units::{Generation, Millis};
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Node,
    Status as ErrorDetail,
};
use emac_proto::{WORKLOAD_BUDGETS_TYPE_URL, v1};
use emac_push::proxies::Proxies;
use emac_push::service::PushService;
use emac_push::snapshot::Publisher;
use prost::Message;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub const VALID: Millis = Millis(60_000);
/// Far above what anything here takes; only a failing test waits it out.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn moment(ms: u64) -> Moment {
    Moment { at: Millis(ms).to_micros(), unix_ms: 1_700_000_000_000 + ms }
}

pub struct Server {
    pub publisher: Publisher,
    pub proxies: Arc<Proxies>,
    pub shutdown: CancellationToken,
    address: SocketAddr,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|service| service).await
    }

    pub async fn with(shape: impl FnOnce(PushService) -> PushService) -> Self {
        let (publisher, proxies) = (Publisher::default(), Arc::<Proxies>::default());
        let shutdown = CancellationToken::new();
        let now = Arc::new(|| moment(0));
        let service = PushService::new(publisher.feed(), Arc::clone(&proxies), now, shutdown.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(shape(service).into_server());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { publisher, proxies, shutdown, address }
    }

    /// Budgets that differ where their digests do.
    pub fn publish(&self, generation: u64, workloads: &[(&str, &str)]) {
        let budgets = |(workload, digest): &(&str, &str)| {
            let workload = WorkloadName::new(workload).unwrap();
            let budgets = WorkloadBudgets {
                workload: workload.clone(),
                generation: Generation(generation),
                model_digest: digest.to_string(),
                issued_at_unix_ms: 0,
                valid_for: VALID,
                on_expiry: OnExpiry::Hold,
                journeys: Vec::new(),
                hops: Vec::new(),
            };
            (workload, Arc::new(budgets))
        };
        let plan: BTreeMap<_, _> = workloads.iter().map(budgets).collect();
        self.publisher.publish(&plan, moment(generation));
    }

    pub fn close_source(self) {
        drop(self.publisher);
    }

    pub async fn until(&self, condition: impl Fn(&Proxies) -> bool) {
        until(&self.proxies, condition).await;
    }

    async fn client(&self) -> AggregatedDiscoveryServiceClient<Channel> {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        AggregatedDiscoveryServiceClient::new(channel.connect().await.unwrap())
    }

    pub async fn delta(&self) -> Delta {
        self.try_delta().await.unwrap()
    }

    pub async fn try_delta(&self) -> Result<Delta, Status> {
        let (requests, queue) = mpsc::channel(4);
        let responses = self.client().await.delta_aggregated_resources(ReceiverStream::new(queue)).await?;
        Ok(Delta { requests, responses: responses.into_inner(), held: BTreeMap::new() })
    }

    pub async fn sotw(&self) -> Sotw {
        let (requests, queue) = mpsc::channel(4);
        let responses = self.client().await.stream_aggregated_resources(ReceiverStream::new(queue)).await;
        Sotw { requests, responses: responses.unwrap().into_inner(), names: Vec::new() }
    }
}

/// Waits for the registry to show something.
pub async fn until(proxies: &Proxies, condition: impl Fn(&Proxies) -> bool) {
    let wait = async {
        while !condition(proxies) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("never came about: {:?} {:?}", proxies.totals(), proxies.list()));
}

async fn read<R>(responses: &mut Streaming<R>) -> Result<R, Status> {
    let next = tokio::time::timeout(PATIENCE, responses.message()).await.expect("a message in time");
    next.transpose().expect("the stream goes on")
}

fn node() -> Option<Node> {
    Some(Node { id: "sidecar~1".into(), ..Node::default() })
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Name and generation.
fn decode(body: &[u8]) -> (String, u64) {
    let budgets = v1::WorkloadBudgets::decode(body).unwrap();
    (budgets.workload, budgets.generation)
}

pub struct Delta {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    pub held: BTreeMap<String, String>,
}

impl Delta {
    pub async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    pub async fn subscribe(&self, names: &[&str]) {
        self.resume(names, BTreeMap::new()).await;
    }

    pub async fn resume(&self, names: &[&str], held: BTreeMap<String, String>) {
        self.send(DeltaDiscoveryRequest {
            node: node(),
            type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
            resource_names_subscribe: strings(names),
            initial_resource_versions: held,
            ..DeltaDiscoveryRequest::default()
        })
        .await;
    }

    async fn reply(&self, nonce: String, error_detail: Option<ErrorDetail>) {
        self.send(DeltaDiscoveryRequest {
            type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
            response_nonce: nonce,
            error_detail,
            ..DeltaDiscoveryRequest::default()
        })
        .await;
    }

    async fn read(&mut self) -> (DeltaDiscoveryResponse, Vec<(String, u64)>) {
        let response = read(&mut self.responses).await.unwrap();
        let body = |r: &emac_proto::xds::Resource| {
            let (name, generation) = decode(&r.resource.as_ref().unwrap().value);
            assert_eq!(name, r.name);
            (name, generation)
        };
        let budgets = response.resources.iter().map(body).collect();
        self.held.extend(response.resources.iter().map(|r| (r.name.clone(), r.version.clone())));
        (response, budgets)
    }

    pub async fn next(&mut self) -> Vec<(String, u64)> {
        let (response, budgets) = self.read().await;
        self.reply(response.nonce, None).await;
        budgets
    }

    pub async fn next_unanswered(&mut self) -> Vec<(String, u64)> {
        self.read().await.1
    }

    pub async fn removed(&mut self) -> Vec<String> {
        self.read().await.0.removed_resources
    }

    pub async fn refuse(&mut self, message: &str) {
        let (response, _) = self.read().await;
        self.reply(response.nonce, Some(ErrorDetail { code: 3, message: message.into() })).await;
    }

    pub async fn error(&mut self) -> Status {
        read(&mut self.responses).await.unwrap_err()
    }
}

pub struct Sotw {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
    names: Vec<String>,
}

impl Sotw {
    pub async fn send(&self, request: DiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    pub async fn subscribe(&mut self, names: &[&str]) {
        self.names = strings(names);
        self.send(DiscoveryRequest {
            node: node(),
            type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
            resource_names: self.names.clone(),
            ..DiscoveryRequest::default()
        })
        .await;
    }

    pub async fn next(&mut self) -> Vec<(String, u64)> {
        let response = read(&mut self.responses).await.unwrap();
        self.send(DiscoveryRequest {
            version_info: response.version_info,
            type_url: response.type_url,
            resource_names: self.names.clone(),
            response_nonce: response.nonce,
            ..DiscoveryRequest::default()
        })
        .await;
        response.resources.iter().map(|any| decode(&any.value)).collect()
    }

    pub async fn error(&mut self) -> Status {
        read(&mut self.responses).await.unwrap_err()
    }
}
