//! A sidecar's side of the evidence stream, and a scraper's side of HTTP.

#![allow(dead_code, unreachable_pub, missing_docs)] // each test binary uses its part

pub mod process;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use emac_control_plane::config::{Config, Identity, Listen};
use emac_core::evidence::{Delta, HopDelta, JourneyDelta, Report};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use emac_core::units::{Micros, Millis};
use emac_proto::convert::NodeReport;
use emac_proto::v1::evidence_service_client::EvidenceServiceClient;
use emac_proto::v1::{ReportRequest, ReportResponse};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub const WORKLOAD: &str = "shop/front";

/// Free ports on loopback, in memory.
pub fn config() -> Config {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Config {
        listen: Listen { grpc: any.into(), http: any },
        identity: Some(Identity::Nobody),
        ..Config::default()
    }
}

/// One open stream of a sidecar.
pub struct Sidecar {
    pub reports: mpsc::Sender<ReportRequest>,
    pub answers: Streaming<ReportResponse>,
}

impl Sidecar {
    pub async fn connect(grpc: impl std::fmt::Display) -> Result<Self, Status> {
        let endpoint = Channel::from_shared(format!("http://{grpc}")).unwrap();
        let channel = endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let (reports, receiver) = mpsc::channel(16);
        let answers =
            EvidenceServiceClient::new(channel).report(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(Self { reports, answers })
    }

    /// Sends one report and waits for its answer.
    pub async fn send(&mut self, report: ReportRequest) -> Result<ReportResponse, Status> {
        self.reports.send(report).await.map_err(|_| Status::unavailable("stream ended"))?;
        self.answers.message().await?.ok_or_else(|| Status::unavailable("stream ended"))
    }
}

/// A report with `calls` requests of a journey and of a hop, latencies and outcomes spread by the sequence.
pub fn report(node: &str, epoch: u64, sequence: u64, calls: u64) -> ReportRequest {
    let (mut outcomes, mut latency) = (OutcomeCounts::default(), Sketch::new());
    for call in 0..calls {
        outcomes.add(Outcome::ALL[((sequence + call) % 7) as usize]);
        latency.record(Micros(1 + (sequence * 7_919 + call * 104_729) % 3_000_000));
    }
    let journey =
        JourneyDelta { outcomes, latency: latency.clone(), within_deadline: calls / 2, degraded: 1 };
    let hop = HopDelta { outcomes, latency, retries: sequence, ..HopDelta::default() };
    let key = HopKey {
        journey: "checkout".into(),
        source: WORKLOAD.into(),
        destination: "cart".into(),
        operation: "GET /cart".into(),
    };
    let delta = Delta {
        journeys: [(JourneyName::new("checkout").unwrap(), journey)].into(),
        hops: [(key, hop)].into(),
        ..Delta::default()
    };
    let report = Report { epoch, sequence, start_unix: Millis(1), end_unix: Millis(2), delta };
    NodeReport::to_wire(node, &WorkloadName::new(WORKLOAD).unwrap(), &report)
}

/// What a control plane should have counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    pub outcomes: OutcomeCounts,
    pub latency: BTreeMap<i32, u64>,
    pub retries: u64,
}

impl Truth {
    pub fn add(&mut self, report: &ReportRequest) {
        let checked = NodeReport::try_from(report.clone()).unwrap();
        for hop in checked.report.delta.hops.values() {
            self.outcomes.merge(&hop.outcomes);
            self.retries += hop.retries;
            for bucket in hop.latency.buckets() {
                *self.latency.entry(bucket.index).or_default() += u64::from(bucket.count);
            }
        }
    }
}

/// GET with an `Accept` header: status, content type, body.
pub async fn get(http: SocketAddr, path: &str, accept: &str) -> (u16, String, Vec<u8>) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let request = hyper::Request::get(format!("http://{http}{path}")).header("accept", accept);
    let answer = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_string();
    (answer.status().as_u16(), kind, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
}

/// Samples of the text format by `name{labels}`.
pub async fn scrape(http: SocketAddr) -> BTreeMap<String, f64> {
    let (status, _, body) = get(http, "/metrics", "text/plain").await;
    assert_eq!(status, 200);
    let text = String::from_utf8(body).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(key, value)| (key.to_string(), value.parse().unwrap()))
        .collect()
}

/// JSON of the API.
pub async fn api(http: SocketAddr, part: &str) -> serde_json::Value {
    let (status, _, body) = get(http, &format!("/api/v1/{part}"), "*/*").await;
    assert_eq!(status, 200);
    serde_json::from_slice(&body).unwrap()
}
