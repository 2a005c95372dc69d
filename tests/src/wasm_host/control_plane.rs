//! The far end of the filter's two streams, in memory: incremental xDS for budgets, and evidence reports.

use std::collections::{BTreeMap, BTreeSet};

use emac_proto::WORKLOAD_BUDGETS_TYPE_URL as TYPE_URL;
use emac_proto::v1::{ReportRequest, ReportResponse, WorkloadBudgets};
use emac_proto::xds::{Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use prost::Message;

use super::headers::Headers;
use super::world::{Event, GrpcOp, World};

/// How the control plane behaves from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// As it should.
    #[default]
    Serve,
    /// Nobody listens: streams break at once.
    Refuse,
    /// Streams open, nothing ever comes back.
    Silent,
    /// Every message is answered by bytes that mean nothing.
    Garbage,
    /// Budgets are served; reports are read and not acknowledged.
    Unacknowledged,
    /// Budgets are served; report streams end with RESOURCE_EXHAUSTED.
    Exhausted,
}

/// A refused resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Nonce of the refused response.
    pub nonce: String,
    /// What the filter says is wrong.
    pub message: String,
}

#[derive(Debug, Default)]
struct Stream {
    root: u32,
    evidence: bool,
    subscribed: BTreeSet<String>,
    versions: BTreeMap<String, String>,
}

/// UNAVAILABLE.
const UNAVAILABLE: u32 = 14;
/// RESOURCE_EXHAUSTED.
const EXHAUSTED: u32 = 8;

/// An in-memory control plane. What it counted is durable: it survives [`super::Host::kill_control_plane`].
#[derive(Default)]
pub struct ControlPlane {
    /// How it behaves.
    pub behaviour: Behaviour,
    /// Every report as it arrived, repeats too.
    pub reports: Vec<ReportRequest>,
    /// Nonces acknowledged.
    pub acks: Vec<String>,
    /// Resources refused.
    pub nacks: Vec<Nack>,
    /// Every xDS request as it arrived.
    pub xds_requests: Vec<DeltaDiscoveryRequest>,
    /// Clusters asked for, one entry a stream.
    pub clusters: Vec<String>,
    /// Initial metadata, one entry a stream.
    pub metadata: Vec<Headers>,
    resources: BTreeMap<String, (u64, Vec<u8>)>,
    streams: BTreeMap<(usize, u32), Stream>,
    counted: BTreeSet<(String, u64, u64)>,
    nonce: u64,
    version: u64,
    dirty: bool,
}

impl ControlPlane {
    /// Publishes budgets; subscribers get them at the next quiet point.
    pub fn push(&mut self, budgets: &WorkloadBudgets) {
        self.push_bytes(&budgets.workload.clone(), budgets.encode_to_vec());
    }

    /// Publishes any bytes as the resource of that name.
    pub fn push_bytes(&mut self, name: &str, bytes: Vec<u8>) {
        self.version += 1;
        self.resources.insert(name.to_string(), (self.version, bytes));
        self.dirty = true;
    }

    /// Serves again, remembering what it counted but no stream.
    pub fn restart(&mut self) {
        self.behaviour = Behaviour::Serve;
    }

    /// Streams open now: (budgets, evidence).
    pub fn streams(&self) -> (usize, usize) {
        let evidence = self.streams.values().filter(|stream| stream.evidence).count();
        (self.streams.len() - evidence, evidence)
    }

    /// VMs that hold a stream.
    pub fn connected_vms(&self) -> BTreeSet<usize> {
        self.streams.keys().map(|(vm, _)| *vm).collect()
    }

    /// Reports counted, each once: the truth the sidecar's numbers must add up to.
    pub fn counted(&self) -> Vec<&ReportRequest> {
        let mut seen = BTreeSet::new();
        let acknowledged = |report: &&ReportRequest| self.counted.contains(&identity(report));
        self.reports.iter().filter(acknowledged).filter(|report| seen.insert(identity(report))).collect()
    }

    pub(super) fn kill(&mut self, world: &mut World) {
        self.behaviour = Behaviour::Refuse;
        for ((vm, token), stream) in std::mem::take(&mut self.streams) {
            world.events.push_back((vm, closed(stream.root, token, UNAVAILABLE)));
        }
    }

    /// The streams of a VM, or of one of its root contexts, are gone.
    pub(super) fn forget(&mut self, vm: usize, root: Option<u32>) {
        self.streams.retain(|(of, _), stream| *of != vm || root.is_some_and(|root| root != stream.root));
    }

    /// Takes what the filter sent, and publishes what is new.
    pub(super) fn serve(&mut self, world: &mut World) {
        while let Some((vm, root, token, op)) = world.grpc.pop_front() {
            self.take(world, (vm, token), root, op);
        }
        if std::mem::take(&mut self.dirty) {
            let keys: Vec<_> = self.streams.keys().copied().collect();
            keys.into_iter().for_each(|key| self.publish(world, key));
        }
    }

    fn take(&mut self, world: &mut World, key: (usize, u32), root: u32, op: GrpcOp) {
        match op {
            GrpcOp::Open { cluster, path, metadata } => {
                self.metadata.push(metadata);
                self.open(world, key, root, cluster, &path);
            }
            GrpcOp::Send { message, end } => self.receive(world, key, &message, end),
            GrpcOp::Close | GrpcOp::Cancel => drop(self.streams.remove(&key)),
        }
    }

    fn open(&mut self, world: &mut World, (vm, token): (usize, u32), root: u32, cluster: String, path: &str) {
        self.clusters.push(cluster);
        // Envoy reports initial metadata even for a peer that is not there.
        world.events.push_back((vm, Event::GrpcInitialMetadata { root, token }));
        let evidence = match path {
            "emac.v1.EvidenceService/Report" => true,
            "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources" => false,
            other => panic!("nobody serves {other}"),
        };
        match self.behaviour {
            Behaviour::Refuse => world.events.push_back((vm, closed(root, token, UNAVAILABLE))),
            _ => drop(self.streams.insert((vm, token), Stream { root, evidence, ..Stream::default() })),
        }
    }

    fn receive(&mut self, world: &mut World, key: (usize, u32), message: &[u8], end: bool) {
        let Some(stream) = self.streams.get(&key) else { return };
        match (self.behaviour, stream.evidence) {
            (Behaviour::Garbage, _) => {
                let bytes: Vec<u8> = (0..40).map(|_| world.random_byte()).collect();
                world.events.push_back((
                    key.0,
                    Event::GrpcMessage { root: stream.root, token: key.1, message: bytes },
                ));
            }
            (Behaviour::Silent, _) => {}
            (_, true) => self.report(world, key, message),
            (_, false) => self.discover(world, key, message),
        }
        if end {
            self.end(world, key, 0);
        }
    }

    fn end(&mut self, world: &mut World, key: (usize, u32), status: u32) {
        if let Some(stream) = self.streams.remove(&key) {
            world.events.push_back((key.0, closed(stream.root, key.1, status)));
        }
    }

    /// # Panics
    /// On bytes that are no report.
    fn report(&mut self, world: &mut World, key: (usize, u32), message: &[u8]) {
        let report = ReportRequest::decode(message).expect("a report");
        match self.behaviour {
            Behaviour::Exhausted => return self.end(world, key, EXHAUSTED),
            Behaviour::Unacknowledged => return self.reports.push(report),
            _ => {}
        }
        let answer = ReportResponse { epoch: report.epoch, acknowledged_sequence: report.sequence };
        self.counted.insert(identity(&report));
        self.reports.push(report);
        let root = self.streams.get(&key).map_or(0, |stream| stream.root);
        let message = answer.encode_to_vec();
        world.events.push_back((key.0, Event::GrpcMessage { root, token: key.1, message }));
    }

    /// # Panics
    /// On bytes that are no xDS request.
    fn discover(&mut self, world: &mut World, key: (usize, u32), message: &[u8]) {
        let request = DeltaDiscoveryRequest::decode(message).expect("an xDS request");
        self.xds_requests.push(request.clone());
        if let Some(error) = request.error_detail {
            self.nacks.push(Nack { nonce: request.response_nonce, message: error.message });
        } else if !request.response_nonce.is_empty() {
            self.acks.push(request.response_nonce);
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.subscribed.retain(|name| !request.resource_names_unsubscribe.contains(name));
        for name in request.resource_names_subscribe {
            stream.versions.remove(&name);
            stream.subscribed.insert(name);
        }
        stream.versions.extend(request.initial_resource_versions);
        self.publish(world, key);
    }

    /// Sends what the subscriber does not have.
    fn publish(&mut self, world: &mut World, key: (usize, u32)) {
        if matches!(self.behaviour, Behaviour::Silent | Behaviour::Garbage) {
            return;
        }
        let Some(stream) = self.streams.get_mut(&key).filter(|stream| !stream.evidence) else { return };
        let mut fresh = Vec::new();
        for (name, (version, bytes)) in
            self.resources.iter().filter(|(name, _)| stream.subscribed.contains(*name))
        {
            let version = version.to_string();
            if stream.versions.insert(name.clone(), version.clone()).as_ref() != Some(&version) {
                let any = Any { type_url: TYPE_URL.to_string(), value: bytes.clone() };
                fresh.push(Resource { version, resource: Some(any), name: name.clone() });
            }
        }
        if fresh.is_empty() {
            return;
        }
        self.nonce += 1;
        let response = DeltaDiscoveryResponse {
            system_version_info: self.version.to_string(),
            resources: fresh,
            type_url: TYPE_URL.to_string(),
            nonce: format!("n{}", self.nonce),
            removed_resources: Vec::new(),
        };
        let message = response.encode_to_vec();
        world.events.push_back((key.0, Event::GrpcMessage { root: stream.root, token: key.1, message }));
    }
}

fn identity(report: &ReportRequest) -> (String, u64, u64) {
    (report.node.clone(), report.epoch, report.sequence)
}

fn closed(root: u32, token: u32, status: u32) -> Event {
    Event::GrpcClosed { root, token, status, message: Vec::new() }
}
