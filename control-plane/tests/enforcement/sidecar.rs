//! A sidecar's stream of budgets, which takes all that comes, or falls silent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use emac_core::budget::{Mode, WorkloadBudgets};
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{DeltaDiscoveryRequest, Node};
use emac_proto::{WORKLOAD_BUDGETS_TYPE_URL, v1};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

pub const FRONT: &str = "shop/front";

pub struct Sidecar {
    held: Arc<Mutex<Option<WorkloadBudgets>>>,
    task: JoinHandle<()>,
}

impl Sidecar {
    /// `answers`: whether it acknowledges.
    pub async fn connect(grpc: SocketAddr, node: &str, workload: &str, answers: bool) -> Self {
        let client = AggregatedDiscoveryServiceClient::connect(format!("http://{grpc}")).await;
        let mut client = client.unwrap();
        let (requests, receiver) = mpsc::channel(4);
        let subscription = DeltaDiscoveryRequest {
            node: Some(Node { id: node.to_owned(), ..Node::default() }),
            type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
            resource_names_subscribe: vec![workload.to_owned()],
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(subscription).await.unwrap();
        let answered = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await;
        let mut responses = answered.unwrap().into_inner();
        let held: Arc<Mutex<Option<WorkloadBudgets>>> = Arc::default();
        let holds = Arc::clone(&held);
        let task = tokio::spawn(async move {
            // To the end of the stream, which a control plane that is killed breaks.
            while let Ok(Some(response)) = responses.message().await {
                if !answers {
                    continue;
                }
                for resource in response.resources {
                    let body = resource.resource.unwrap().value;
                    let next: WorkloadBudgets =
                        v1::WorkloadBudgets::decode(body.as_slice()).unwrap().try_into().unwrap();
                    let mut held = holds.lock().unwrap();
                    // As the filter does.
                    let newer = held.as_ref().is_none_or(|held| next.generation >= held.generation);
                    assert!(newer, "a generation went back");
                    *held = Some(next);
                }
                let ack = DeltaDiscoveryRequest {
                    type_url: response.type_url,
                    response_nonce: response.nonce,
                    ..DeltaDiscoveryRequest::default()
                };
                let _ = requests.send(ack).await;
            }
        });
        Self { held, task }
    }

    pub fn generation(&self) -> u64 {
        self.held.lock().unwrap().as_ref().map_or(0, |held| held.generation.0)
    }

    /// Whether there is anything of a journey.
    pub fn has(&self, journey: &str) -> bool {
        let held = self.held.lock().unwrap();
        held.as_ref().is_some_and(|held| held.hops.iter().any(|hop| hop.journey.as_str() == journey))
    }

    /// Whether anything of a journey acts; `None` before the first budgets.
    pub fn acts(&self, journey: &str) -> Option<bool> {
        let held = self.held.lock().unwrap();
        let held = held.as_ref()?;
        let journeys = held.journeys.iter().filter(|one| one.journey.as_str() == journey).map(|one| one.mode);
        let hops = held.hops.iter().filter(|hop| hop.journey.as_str() == journey).map(|hop| hop.mode);
        Some(journeys.chain(hops).any(|mode| mode == Mode::Enforce))
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.task.abort();
    }
}
