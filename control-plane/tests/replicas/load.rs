//! Sidecars that report to whichever replica takes it, and subscribers that watch over their leases.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use emac_core::budget::WorkloadBudgets;
use emac_proto::v1;
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{DeltaDiscoveryRequest, Node};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Sidecar, Truth, report};

/// An answer later than this is taken for none: the replica is frozen.
const ANSWER: Duration = Duration::from_secs(3);
/// Between two attempts of one sidecar.
const PAUSE: Duration = Duration::from_millis(50);
const CALLS: u64 = 11;

/// Where replicas listen; changes as they come and go.
pub type Doors = watch::Receiver<Vec<SocketAddr>>;

/// Sidecars under way.
pub struct Load {
    stop: Arc<AtomicBool>,
    pub acknowledged: Arc<AtomicU64>,
    sidecars: Vec<JoinHandle<(String, u64)>>,
}

impl Load {
    /// So many sidecars, each sending a report every `period` until told to stop; a report is sent until it is acknowledged.
    pub fn start(sidecars: u64, period: Duration, doors: &Doors) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let one = |node| {
            let (stop, acknowledged, doors) = (Arc::clone(&stop), Arc::clone(&acknowledged), doors.clone());
            tokio::spawn(run(node, period, doors, stop, acknowledged))
        };
        Self { sidecars: (0..sidecars).map(one).collect(), stop, acknowledged }
    }

    /// Waits for so many more acknowledgements.
    pub async fn more(&self, reports: u64) {
        let until = self.acknowledged.load(SeqCst) + reports;
        let begun = Instant::now();
        while self.acknowledged.load(SeqCst) < until {
            assert!(begun.elapsed() < Duration::from_secs(60), "reports are not acknowledged");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends after the reports under way; what should be counted: everything that was sent, once.
    pub async fn finish(self) -> Truth {
        self.stop.store(true, SeqCst);
        let mut truth = Truth::default();
        for sidecar in self.sidecars {
            let (node, last) = sidecar.await.unwrap();
            (1..=last).for_each(|sequence| truth.add(&report(&node, 7, sequence, CALLS)));
        }
        truth
    }
}

async fn run(
    node: u64,
    period: Duration,
    doors: Doors,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) -> (String, u64) {
    let name = format!("node-{node}");
    let (mut sequence, mut place) = (0, node as usize);
    'connect: loop {
        place += 1;
        let door = {
            let doors = doors.borrow();
            (!doors.is_empty()).then(|| doors[place % doors.len()])
        };
        let stream = match door {
            Some(door) => {
                tokio::time::timeout(ANSWER, Sidecar::connect(door)).await.ok().and_then(Result::ok)
            }
            None => None,
        };
        let Some(mut stream) = stream else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        loop {
            if stop.load(SeqCst) {
                return (name, sequence);
            }
            let next = sequence + 1;
            let answer = tokio::time::timeout(ANSWER, stream.send(report(&name, 7, next, CALLS))).await;
            let Ok(Ok(answer)) = answer else {
                tokio::time::sleep(PAUSE).await;
                continue 'connect;
            };
            assert_eq!(answer.acknowledged_sequence, next);
            sequence = next;
            acknowledged.fetch_add(1, SeqCst);
            tokio::time::sleep(period).await;
        }
    }
}

/// What a subscriber saw.
#[derive(Debug, Default)]
pub struct Watched {
    /// Longest time that its budgets were older than when they were issued, in shares of their lease.
    pub longest_gap: Duration,
    pub renewals: u64,
    pub generation: u64,
}

/// A sidecar that holds budgets, from whichever replica gives them.
pub struct Subscriber {
    pub workload: &'static str,
    stop: Arc<AtomicBool>,
    pub generation: watch::Receiver<u64>,
    task: JoinHandle<Watched>,
}

impl Subscriber {
    pub fn start(workload: &'static str, place: usize, doors: &Doors) -> Self {
        let (stop, (sender, generation)) = (Arc::new(AtomicBool::new(false)), watch::channel(0));
        let task = tokio::spawn(subscribe(workload, place, doors.clone(), Arc::clone(&stop), sender));
        Self { workload, stop, generation, task }
    }

    pub async fn finish(self) -> Watched {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap()
    }
}

async fn subscribe(
    workload: &'static str,
    mut place: usize,
    doors: Doors,
    stop: Arc<AtomicBool>,
    generation: watch::Sender<u64>,
) -> Watched {
    let (mut watched, mut last) = (Watched::default(), None);
    while !stop.load(SeqCst) {
        place += 1;
        let door = {
            let doors = doors.borrow();
            (!doors.is_empty()).then(|| doors[place % doors.len()])
        };
        if let Some(door) = door {
            let _ = hold(workload, door, &stop, &generation, &mut watched, &mut last).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    watched
}

/// One stream, to its end.
async fn hold(
    workload: &str,
    door: SocketAddr,
    stop: &AtomicBool,
    newest: &watch::Sender<u64>,
    watched: &mut Watched,
    last: &mut Option<Instant>,
) -> Option<()> {
    let connect = AggregatedDiscoveryServiceClient::connect(format!("http://{door}"));
    let mut client = tokio::time::timeout(ANSWER, connect).await.ok()?.ok()?;
    let (requests, receiver) = mpsc::channel(4);
    let subscription = DeltaDiscoveryRequest {
        node: Some(Node { id: format!("{workload}-1"), ..Node::default() }),
        type_url: emac_proto::WORKLOAD_BUDGETS_TYPE_URL.into(),
        resource_names_subscribe: vec![workload.into()],
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(subscription).await.ok()?;
    let opened = client.delta_aggregated_resources(ReceiverStream::new(receiver));
    let mut responses = tokio::time::timeout(ANSWER, opened).await.ok()?.ok()?.into_inner();
    while !stop.load(SeqCst) {
        // A lease is renewed within a third of its validity: who hears nothing for half of it has a dead peer.
        let response =
            tokio::time::timeout(crate::replica::LEASE / 2, responses.message()).await.ok()?.ok()??;
        for resource in &response.resources {
            let body = &resource.resource.as_ref()?.value;
            let budgets: WorkloadBudgets =
                v1::WorkloadBudgets::decode(body.as_slice()).ok()?.try_into().ok()?;
            let got = budgets.generation.0;
            assert!(got >= watched.generation, "generation {got} after {} from {door}", watched.generation);
            watched.generation = got;
            watched.renewals += 1;
            if let Some(last) = last.replace(Instant::now()) {
                watched.longest_gap = watched.longest_gap.max(last.elapsed());
            }
            newest.send_replace(got);
        }
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(ack).await.ok()?;
    }
    Some(())
}
