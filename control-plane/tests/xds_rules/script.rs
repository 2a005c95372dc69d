//! A world of resources and well-behaved clients of it, so that a case reads as its row does.

#![allow(unreachable_pub)] // a test binary exports nothing

use emac_core::units::Micros;
use emac_proto::xds::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Node, Status,
};
use emac_push::protocol::{
    DeltaWatch, Kind, KindTable, Receipt, Resource, ResourceSet, Scope, Snapshot, SotwWatch, State, Stream,
    StreamError, StreamLimits, TtlPolicy,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const CDS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub const EDS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub const LDS: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
pub const RDS: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
pub const OTHERS: [&str; 3] = ["example.org/a.Secret", "example.org/a.Runtime", "example.org/a.Budgets"];

pub const FULL: [&str; 2] = [CDS, LDS];
pub const PARTIAL: [&str; 2] = [RDS, EDS];
pub const ALL: [&str; 4] = [CDS, LDS, RDS, EDS];

pub fn kinds() -> KindTable {
    let state = |url: &&str| if FULL.contains(url) { State::Full } else { State::Partial };
    let order = [CDS, EDS, LDS, RDS].iter().chain(&OTHERS);
    KindTable::new(order.map(|url| Kind::new(url, state(url))).collect())
}

pub fn kinds_with_ttl(url: &str, resend_every: Micros) -> KindTable {
    let mut kind = Kind::new(url, if FULL.contains(&url) { State::Full } else { State::Partial });
    kind.ttl = Some(TtlPolicy { resend_every });
    let rest = [CDS, EDS, LDS, RDS].iter().filter(|u| **u != url).map(|u| Kind::new(u, State::Full));
    KindTable::new(std::iter::once(kind).chain(rest).collect())
}

/// Each kind on a stream of its own and on an aggregated one.
pub fn places(kinds: &[&'static str]) -> Vec<(&'static str, Scope)> {
    kinds
        .iter()
        .flat_map(|kind| [(*kind, Scope::Single((*kind).into())), (*kind, Scope::Aggregated)])
        .collect()
}

/// What exists.
#[derive(Default)]
pub struct World {
    sets: BTreeMap<&'static str, (String, BTreeMap<String, String>)>,
    pub now: Micros,
}

impl World {
    /// `kind` at set version `version` with resources `name@version`.
    pub fn with(kind: &'static str, version: &str, resources: &[&str]) -> Self {
        let mut world = Self::default();
        world.put(kind, version, resources);
        world
    }

    pub fn put(&mut self, kind: &'static str, version: &str, resources: &[&str]) {
        let split = |r: &&str| r.split_once('@').map(|(n, v)| (n.to_string(), v.to_string())).unwrap();
        self.sets.insert(kind, (version.to_string(), resources.iter().map(split).collect()));
    }

    pub fn snapshot(&self) -> Snapshot {
        let add = |snapshot: Snapshot, (kind, (version, resources)): (&&str, &(String, BTreeMap<_, _>))| {
            snapshot.with(kind, Arc::new(set(version, resources)))
        };
        self.sets.iter().fold(Snapshot::default(), add)
    }
}

fn set(version: &str, resources: &BTreeMap<String, String>) -> ResourceSet {
    let resource = |(name, version): (&String, &String)| {
        let body = format!("{name}@{version}").into_bytes().into();
        (name.as_str().into(), Resource { version: version.as_str().into(), body })
    };
    ResourceSet { version: version.into(), resources: resources.iter().map(resource).collect() }
}

/// A response in the words of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub kind: String,
    pub version: String,
    /// `name@version`, sorted.
    pub resources: Vec<String>,
    pub removed: Vec<String>,
    pub nonce: u64,
}

impl Answer {
    pub fn names(&self) -> Vec<&str> {
        self.resources.iter().map(|r| r.split_once('@').unwrap().0).collect()
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

fn node() -> Option<Node> {
    Some(Node { id: "sidecar~1".into(), ..Node::default() })
}

pub fn refusal() -> Option<Status> {
    Some(Status { code: 3, message: "field 3: out of range".into() })
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A client of the state-of-the-world variant that keeps version and nonce as it should.
pub struct Sotw {
    pub stream: Stream<SotwWatch>,
    versions: BTreeMap<String, String>,
    pub nonces: BTreeMap<String, String>,
    names: BTreeMap<String, Vec<String>>,
}

impl Sotw {
    pub fn new(scope: Scope) -> Self {
        Self::of(kinds(), scope)
    }

    pub fn of(kinds: KindTable, scope: Scope) -> Self {
        let stream = Stream::new(Arc::new(kinds), scope, StreamLimits::default());
        Self { stream, versions: BTreeMap::new(), nonces: BTreeMap::new(), names: BTreeMap::new() }
    }

    pub fn request(&self, kind: &str) -> DiscoveryRequest {
        DiscoveryRequest {
            version_info: self.versions.get(kind).cloned().unwrap_or_default(),
            node: if self.nonces.is_empty() { node() } else { None },
            resource_names: self.names.get(kind).cloned().unwrap_or_default(),
            type_url: kind.to_string(),
            response_nonce: self.nonces.get(kind).cloned().unwrap_or_default(),
            error_detail: None,
        }
    }

    pub fn send(&mut self, request: &DiscoveryRequest) -> Receipt {
        self.try_send(request).unwrap()
    }

    pub fn try_send(&mut self, request: &DiscoveryRequest) -> Result<Receipt, StreamError> {
        self.stream.on_request(request).map(|received| received.receipt)
    }

    /// States the names wanted.
    pub fn want(&mut self, kind: &str, names: &[&str]) -> Receipt {
        self.names.insert(kind.to_string(), strings(names));
        self.send(&self.request(kind))
    }

    /// The next response, read but not answered yet.
    pub fn take(&mut self, world: &World) -> Option<Answer> {
        let response = self.stream.poll(&world.snapshot(), world.now)?;
        self.nonces.insert(response.type_url.clone(), response.nonce.clone());
        Some(answer(response))
    }

    pub fn ack(&mut self, answer: &Answer) -> Receipt {
        self.versions.insert(answer.kind.clone(), answer.version.clone());
        self.send(&self.request(&answer.kind))
    }

    pub fn nack(&mut self, answer: &Answer) -> Receipt {
        let request = DiscoveryRequest { error_detail: refusal(), ..self.request(&answer.kind) };
        self.send(&request)
    }

    /// Exactly one response, acknowledged.
    pub fn one(&mut self, world: &World) -> Answer {
        let answer = self.take(world).expect("one response");
        assert!(matches!(self.ack(&answer), Receipt::Acked(_)));
        self.silent(world);
        answer
    }

    pub fn silent(&mut self, world: &World) {
        assert_eq!(self.take(world), None, "nothing more is owed");
    }
}

fn answer(response: DiscoveryResponse) -> Answer {
    assert!(response.resources.iter().all(|r| r.type_url == response.type_url), "each resource's own type");
    let mut resources: Vec<_> = response.resources.iter().map(|r| text(&r.value)).collect();
    resources.sort();
    Answer {
        kind: response.type_url,
        version: response.version_info,
        resources,
        removed: Vec::new(),
        nonce: response.nonce.parse().unwrap(),
    }
}

/// A client of the incremental variant.
pub struct Delta {
    pub stream: Stream<DeltaWatch>,
    greeted: bool,
}

impl Delta {
    pub fn new(scope: Scope) -> Self {
        Self::of(kinds(), scope, StreamLimits::default())
    }

    pub fn of(kinds: KindTable, scope: Scope, limits: StreamLimits) -> Self {
        Self { stream: Stream::new(Arc::new(kinds), scope, limits), greeted: false }
    }

    pub fn send(&mut self, request: &DeltaDiscoveryRequest) -> Receipt {
        self.try_send(request).unwrap()
    }

    pub fn try_send(&mut self, request: &DeltaDiscoveryRequest) -> Result<Receipt, StreamError> {
        self.stream.on_request(request).map(|received| received.receipt)
    }

    pub fn request(&mut self, kind: &str, add: &[&str], take: &[&str]) -> DeltaDiscoveryRequest {
        let greeted = std::mem::replace(&mut self.greeted, true);
        DeltaDiscoveryRequest {
            node: if greeted { None } else { node() },
            type_url: kind.to_string(),
            resource_names_subscribe: strings(add),
            resource_names_unsubscribe: strings(take),
            ..DeltaDiscoveryRequest::default()
        }
    }

    pub fn subscribe(&mut self, kind: &str, names: &[&str]) -> Receipt {
        let request = self.request(kind, names, &[]);
        self.send(&request)
    }

    pub fn unsubscribe(&mut self, kind: &str, names: &[&str]) -> Receipt {
        let request = self.request(kind, &[], names);
        self.send(&request)
    }

    /// A first request that says what the client still holds.
    pub fn resume(&mut self, kind: &str, names: &[&str], held: &[&str]) -> Receipt {
        let split = |r: &&str| r.split_once('@').map(|(n, v)| (n.to_string(), v.to_string())).unwrap();
        let mut request = self.request(kind, names, &[]);
        request.initial_resource_versions = held.iter().map(split).collect();
        self.send(&request)
    }

    pub fn take(&mut self, world: &World) -> Option<Answer> {
        self.stream.poll(&world.snapshot(), world.now).map(delta_answer)
    }

    pub fn ack(&mut self, answer: &Answer) -> Receipt {
        self.reply(answer, None)
    }

    pub fn nack(&mut self, answer: &Answer) -> Receipt {
        self.reply(answer, refusal())
    }

    fn reply(&mut self, answer: &Answer, error_detail: Option<Status>) -> Receipt {
        let mut request = self.request(&answer.kind, &[], &[]);
        request.response_nonce = answer.nonce.to_string();
        request.error_detail = error_detail;
        self.send(&request)
    }

    /// Exactly one response, acknowledged.
    pub fn one(&mut self, world: &World) -> Answer {
        let answer = self.take(world).expect("one response");
        assert!(matches!(self.ack(&answer), Receipt::Acked(_)));
        self.silent(world);
        answer
    }

    pub fn silent(&mut self, world: &World) {
        assert_eq!(self.take(world), None, "nothing more is owed");
    }
}

fn delta_answer(response: DeltaDiscoveryResponse) -> Answer {
    assert_eq!(response.system_version_info, "");
    let resource = |r: &emac_proto::xds::Resource| {
        let body = r.resource.as_ref().unwrap();
        assert_eq!(body.type_url, response.type_url, "each resource's own type");
        assert_eq!(text(&body.value), format!("{}@{}", r.name, r.version));
        text(&body.value)
    };
    let mut resources: Vec<_> = response.resources.iter().map(resource).collect();
    resources.sort();
    Answer {
        kind: response.type_url.clone(),
        version: String::new(),
        resources,
        removed: response.removed_resources.clone(),
        nonce: response.nonce.parse().unwrap(),
    }
}
