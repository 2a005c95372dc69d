//! A control plane that does what a scenario says: hands out given bytes as budgets, remembers what was accepted or refused, adds up
//! evidence exactly once, and can be rude.
//!
//! For what the real one never does: resources that do not decode, silence, answers that are garbage. Speaks the incremental xDS variant
//! only, as the filter does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use emac_core::evidence::Delta;
use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::convert::NodeReport;
use emac_proto::v1::evidence_service_server::{EvidenceService, EvidenceServiceServer};
use emac_proto::v1::{ReportRequest, ReportResponse, WorkloadBudgets};
use emac_proto::xds::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use emac_proto::xds::{
    Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

/// The scripted control plane; serves until dropped.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

/// What a sidecar said to a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Node id of its first request.
    pub node: String,
    /// Version of the response it answers.
    pub version: u64,
    /// Its words when it refused.
    pub refused: Option<String>,
}

#[derive(Debug)]
struct Shared {
    /// Bytes by resource name, and a version that grows with every change.
    budgets: watch::Sender<(u64, BTreeMap<String, Vec<u8>>)>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    answers: Vec<Answer>,
    evidence: Delta,
    counted: BTreeSet<(String, u64, u64)>,
    duplicates: u64,
    refused_reports: Vec<String>,
    /// Acknowledge nothing.
    silent: bool,
}

impl Scripted {
    /// Serves on a free port of loopback.
    ///
    /// # Errors
    /// Those of binding.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (budgets, _) = watch::channel((0, BTreeMap::new()));
        let shared = Arc::new(Shared { budgets, seen: Mutex::default() });
        let server = tonic::transport::Server::builder()
            .add_service(AggregatedDiscoveryServiceServer::new(Served(Arc::clone(&shared))))
            .add_service(EvidenceServiceServer::new(Served(Arc::clone(&shared))))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move {
            let _ = server.await;
        });
        Ok(Self { address, shared, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands out these budgets, to the workload they name; returns the version of the response.
    pub fn publish(&self, budgets: &WorkloadBudgets) -> u64 {
        self.publish_bytes(&budgets.workload, budgets.encode_to_vec())
    }

    /// Hands out any bytes as the budgets of a workload; returns the version of the response.
    pub fn publish_bytes(&self, workload: &str, bytes: Vec<u8>) -> u64 {
        let mut version = 0;
        self.shared.budgets.send_modify(|(current, budgets)| {
            *current += 1;
            version = *current;
            budgets.insert(workload.to_owned(), bytes);
        });
        version
    }

    /// What sidecars said to responses, in order.
    pub fn answers(&self) -> Vec<Answer> {
        self.shared.seen().answers.clone()
    }

    /// Whether this version was accepted by the node.
    pub fn is_accepted(&self, node: &str, version: u64) -> bool {
        self.shared
            .seen()
            .answers
            .iter()
            .any(|a| a.node == node && a.version == version && a.refused.is_none())
    }

    /// All evidence so far, each report counted once.
    pub fn evidence(&self) -> Delta {
        self.shared.seen().evidence.clone()
    }

    /// Reports that came again after they had been counted.
    pub fn duplicates(&self) -> u64 {
        self.shared.seen().duplicates
    }

    /// Reports that broke their specification: always a defect of the sender.
    pub fn refused_reports(&self) -> Vec<String> {
        self.shared.seen().refused_reports.clone()
    }

    /// From now on reports are counted and not acknowledged, or are again.
    pub fn set_silent(&self, silent: bool) {
        self.shared.seen().silent = silent;
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a report once; the acknowledgement, unless told to be silent.
    fn count(&self, wire: ReportRequest) -> Option<ReportResponse> {
        let answer = ReportResponse { epoch: wire.epoch, acknowledged_sequence: wire.sequence };
        let mut seen = self.seen();
        match NodeReport::try_from(wire) {
            Ok(report) => {
                if seen.counted.insert((report.node, report.report.epoch, report.report.sequence)) {
                    seen.evidence.merge(report.report.delta);
                } else {
                    seen.duplicates += 1;
                }
            }
            Err(error) => seen.refused_reports.push(error.to_string()),
        }
        (!seen.silent).then_some(answer)
    }
}

/// The services; one type for both, as coherence asks for.
struct Served(Arc<Shared>);

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl EvidenceService for Served {
    type ReportStream = Answers<ReportResponse>;

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let shared = Arc::clone(&self.0);
        let answers = request.into_inner().filter_map(move |report| match report {
            Ok(report) => shared.count(report).map(Ok),
            Err(status) => Some(Err(status)),
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Served {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        _request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("the scripted control plane is incremental"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (out, answers) = mpsc::channel(4);
        tokio::spawn(converse(Arc::clone(&self.0), request.into_inner(), out));
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

/// One client: its subscriptions and answers in, every change of what it subscribed to out. Ends with the stream.
async fn converse(
    shared: Arc<Shared>,
    mut requests: Streaming<DeltaDiscoveryRequest>,
    out: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
) {
    let mut changes = shared.budgets.subscribe();
    changes.mark_changed();
    let (mut node, mut wanted, mut sent) = (String::new(), BTreeSet::new(), BTreeMap::new());
    loop {
        tokio::select! {
            request = requests.next() => match request {
                Some(Ok(request)) => {
                    if let Some(named) = &request.node {
                        node.clone_from(&named.id);
                    }
                    wanted.extend(request.resource_names_subscribe.iter().cloned());
                    note_answer(&shared, &node, &request);
                    changes.mark_changed();
                }
                _ => return,
            },
            changed = changes.changed() => if changed.is_err() {
                return;
            },
        }
        let response = news(&mut changes, &wanted, &mut sent);
        if let Some(response) = response
            && out.send(Ok(response)).await.is_err()
        {
            return;
        }
    }
}

/// The nonce is the version, so that an answer says what it answers.
fn note_answer(shared: &Shared, node: &str, request: &DeltaDiscoveryRequest) {
    if let Ok(version) = request.response_nonce.parse() {
        let refused = request.error_detail.as_ref().map(|detail| detail.message.clone());
        shared.seen().answers.push(Answer { node: node.to_owned(), version, refused });
    }
}

/// What the client wants and was not sent in this form.
fn news(
    changes: &mut watch::Receiver<(u64, BTreeMap<String, Vec<u8>>)>,
    wanted: &BTreeSet<String>,
    sent: &mut BTreeMap<String, Vec<u8>>,
) -> Option<DeltaDiscoveryResponse> {
    let current = changes.borrow_and_update();
    let (version, budgets) = &*current;
    let fresh: Vec<_> = budgets
        .iter()
        .filter(|(name, bytes)| wanted.contains(*name) && sent.get(*name) != Some(*bytes))
        .collect();
    let resource = |(name, bytes): &(&String, &Vec<u8>)| Resource {
        name: (*name).clone(),
        version: version.to_string(),
        resource: Some(Any { type_url: WORKLOAD_BUDGETS_TYPE_URL.to_owned(), value: (*bytes).clone() }),
    };
    let resources: Vec<_> = fresh.iter().map(resource).collect();
    sent.extend(fresh.into_iter().map(|(name, bytes)| (name.clone(), bytes.clone())));
    (!resources.is_empty()).then(|| DeltaDiscoveryResponse {
        resources,
        type_url: WORKLOAD_BUDGETS_TYPE_URL.to_owned(),
        nonce: version.to_string(),
        ..DeltaDiscoveryResponse::default()
    })
}
