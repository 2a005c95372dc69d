//! One sidecar: a connection, a stream of evidence that waits for each acknowledgement, a stream of budgets that acknowledges at once.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::v1::evidence_service_client::EvidenceServiceClient;
use emac_proto::v1::{ReportRequest, ReportResponse, WorkloadBudgets};
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::body::Body;

use super::world;

/// Wait of a sidecar whose report could not be taken.
const RETRY: Duration = Duration::from_millis(100);

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What sidecars say to who measures.
#[derive(Debug)]
pub(super) enum Said {
    /// It acknowledged budgets with this deadline.
    Holds { sidecar: usize, deadline_ms: u64, at: Instant },
    /// A report was acknowledged after so long.
    Durable(Duration),
    /// It ended, and why.
    Ended(usize, String),
}

/// What all of them need to know.
#[derive(Clone)]
pub(super) struct Surroundings {
    /// Where control planes are; each sidecar keeps to one.
    pub(super) grpc: Arc<[SocketAddr]>,
    pub(super) report_every: Duration,
    pub(super) said: mpsc::UnboundedSender<Said>,
    pub(super) stop: CancellationToken,
}

/// Lives until told to stop.
pub(super) async fn run(sidecar: usize, around: Surroundings) {
    let stop = around.stop.clone();
    let said = around.said.clone();
    if let Some(Err(problem)) = stop.run_until_cancelled(live(sidecar, around)).await {
        let _ = said.send(Said::Ended(sidecar, problem.to_string()));
    }
}

async fn live(sidecar: usize, around: Surroundings) -> Result<(), Failure> {
    let connection = Connection::open(around.grpc[sidecar % around.grpc.len()]).await?;
    let (budgets, evidence) =
        (take_budgets(sidecar, connection.clone(), &around), send_evidence(sidecar, connection, &around));
    tokio::try_join!(budgets, evidence)?;
    Err("a stream ended".into())
}

async fn take_budgets(sidecar: usize, connection: Connection, around: &Surroundings) -> Result<(), Failure> {
    let (requests, queue) = mpsc::channel(4);
    let first = DeltaDiscoveryRequest {
        node: Some(Node { id: format!("node-{sidecar}"), ..Node::default() }),
        resource_names_subscribe: vec![world::workload(sidecar)],
        ..request()
    };
    requests.send(first).await?;
    let mut client = AggregatedDiscoveryServiceClient::with_origin(connection, origin());
    let mut responses = client.delta_aggregated_resources(ReceiverStream::new(queue)).await?.into_inner();
    while let Some(response) = responses.message().await? {
        let deadline_ms = deadline(&response);
        requests.send(DeltaDiscoveryRequest { response_nonce: response.nonce, ..request() }).await?;
        if let Some(deadline_ms) = deadline_ms {
            around.said.send(Said::Holds { sidecar, deadline_ms, at: Instant::now() })?;
        }
    }
    Ok(())
}

fn deadline(response: &DeltaDiscoveryResponse) -> Option<u64> {
    let any = response.resources.first()?.resource.as_ref()?;
    let budgets = WorkloadBudgets::decode(any.value.as_slice()).ok()?;
    budgets.journeys.first().map(|journey| u64::from(journey.deadline_ms))
}

async fn send_evidence(sidecar: usize, connection: Connection, around: &Surroundings) -> Result<(), Failure> {
    let client = EvidenceServiceClient::with_origin(connection, origin());
    let mut report = world::report(sidecar, 7);
    report.epoch = now_ns();
    // Not all at once: real ones started at different times.
    tokio::time::sleep(around.report_every.mul_f64((sidecar % 1_009) as f64 / 1_009.0)).await;
    let mut ticks = tokio::time::interval(around.report_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stream = None;
    loop {
        ticks.tick().await;
        report.end_unix_ms = now_ns() / 1_000_000;
        report.start_unix_ms = report.end_unix_ms.saturating_sub(1_000);
        let begun = Instant::now();
        while let Err(status) = send(&mut stream, &client, &report).await {
            if status.code() != Code::Unavailable {
                return Err(status.into());
            }
            // As a real one: nothing is lost, it comes again.
            stream = None;
            tokio::time::sleep(RETRY).await;
        }
        around.said.send(Said::Durable(begun.elapsed()))?;
        report.sequence += 1;
    }
}

/// The two halves of a stream of evidence.
type Evidence = (mpsc::Sender<ReportRequest>, tonic::Streaming<ReportResponse>);

/// Sends a report, on a new stream if there is none, and waits for its acknowledgement.
async fn send(
    stream: &mut Option<Evidence>,
    client: &EvidenceServiceClient<Connection>,
    report: &ReportRequest,
) -> Result<(), tonic::Status> {
    let answers = match stream {
        Some((reports, answers)) => {
            reports.send(report.clone()).await.map_err(|_| ended())?;
            answers
        }
        None => {
            let (reports, queue) = mpsc::channel(1);
            reports.send(report.clone()).await.map_err(|_| ended())?;
            let answers = client.clone().report(ReceiverStream::new(queue)).await?.into_inner();
            &mut stream.insert((reports, answers)).1
        }
    };
    answers.message().await?.map(|_| ()).ok_or_else(ended)
}

fn ended() -> tonic::Status {
    tonic::Status::unavailable("the stream ended")
}

fn request() -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: WORKLOAD_BUDGETS_TYPE_URL.into(), ..DeltaDiscoveryRequest::default() }
}

fn origin() -> http::Uri {
    http::Uri::from_static("http://control-plane")
}

fn now_ns() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// One HTTP/2 connection, lean: ten thousand of them must fit beside the server.
#[derive(Clone)]
struct Connection(http2::SendRequest<Body>);

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .max_send_buf_size(16 << 10)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }
}

impl tower_service::Service<http::Request<Body>> for Connection {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
