//! A sidecar that goes from one replica to another with what it holds, and takes budgets as the filter does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use emac_core::budget::{Mode, WorkloadBudgets};
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{DeltaDiscoveryRequest, Node};
use emac_proto::{WORKLOAD_BUDGETS_TYPE_URL, v1};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::process::PATIENCE;

const WORKLOAD: &str = "shop/front";

/// What it holds and what it saw.
#[derive(Debug, Default)]
struct Held {
    budgets: Option<WorkloadBudgets>,
    /// Budgets since it came to the replica it is at.
    since: u64,
    /// Offers of a lower generation than the one held.
    lower: u64,
    /// Offers that said something else under the generation held.
    other: u64,
}

pub struct Mover {
    node: String,
    held: Arc<Mutex<Held>>,
    task: JoinHandle<()>,
}

impl Mover {
    pub async fn start(node: &str, grpc: SocketAddr) -> Self {
        let held: Arc<Mutex<Held>> = Arc::default();
        let task = tokio::spawn(listen(node.to_owned(), grpc, Arc::clone(&held)));
        let mover = Self { node: node.to_owned(), held, task };
        mover.heard().await;
        mover
    }

    /// Leaves the replica it is at and goes to another; returns once that has told it something.
    pub async fn go(&mut self, grpc: SocketAddr) {
        self.task.abort();
        self.held.lock().unwrap().since = 0;
        self.task = tokio::spawn(listen(self.node.clone(), grpc, Arc::clone(&self.held)));
        self.heard().await;
    }

    async fn heard(&self) {
        let begun = Instant::now();
        while self.held.lock().unwrap().since == 0 {
            assert!(begun.elapsed() < PATIENCE, "{}: no budgets", self.node);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether anything of the checkout acts.
    pub fn acts(&self) -> bool {
        let held = self.held.lock().unwrap();
        let Some(budgets) = &held.budgets else { return false };
        budgets.hops.iter().any(|hop| hop.mode == Mode::Enforce)
            || budgets.journeys.iter().any(|journey| journey.mode == Mode::Enforce)
    }

    /// How long it takes until it acts, or does not any more.
    pub async fn until(&self, acts: bool) -> Duration {
        let begun = Instant::now();
        while self.acts() != acts {
            assert!(begun.elapsed() < PATIENCE, "{} does not do as ordered: {acts}", self.node);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    }

    pub fn generation(&self) -> u64 {
        self.held.lock().unwrap().budgets.as_ref().map_or(0, |budgets| budgets.generation.0)
    }

    /// Offers of a lower generation, and of something else under the same.
    pub fn oddities(&self) -> (u64, u64) {
        let held = self.held.lock().unwrap();
        (held.lower, held.other)
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects again whenever the stream breaks.
async fn listen(node: String, grpc: SocketAddr, held: Arc<Mutex<Held>>) {
    loop {
        let _ = stream(&node, grpc, &held).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn stream(node: &str, grpc: SocketAddr, held: &Mutex<Held>) -> Option<()> {
    let mut client = AggregatedDiscoveryServiceClient::connect(format!("http://{grpc}")).await.ok()?;
    let (requests, receiver) = mpsc::channel(4);
    let subscription = DeltaDiscoveryRequest {
        node: Some(Node { id: node.to_owned(), ..Node::default() }),
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        resource_names_subscribe: vec![WORKLOAD.to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(subscription).await.ok()?;
    let opened = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await.ok()?;
    let mut responses = opened.into_inner();
    while let Some(response) = responses.message().await.ok()? {
        for resource in response.resources {
            let body = resource.resource?.value;
            let next = v1::WorkloadBudgets::decode(body.as_slice()).ok()?.try_into().ok()?;
            take(&mut held.lock().unwrap(), next);
        }
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(ack).await.ok()?;
    }
    Some(())
}

/// As the filter: what is older is refused, the same generation only renews the lease.
fn take(held: &mut Held, next: WorkloadBudgets) {
    held.since += 1;
    let told = |budgets: &WorkloadBudgets| (budgets.journeys.clone(), budgets.hops.clone());
    match &held.budgets {
        Some(before) if next.generation < before.generation => held.lower += 1,
        Some(before) if next.generation == before.generation => {
            held.other += u64::from(told(before) != told(&next));
        }
        _ => held.budgets = Some(next),
    }
}
