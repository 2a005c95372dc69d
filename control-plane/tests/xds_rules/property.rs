//! Laws over random histories: whatever a client does and whatever changes, once both are quiet the client's view is the
//! server's set as far as subscribed, nothing came unasked, and the server stopped talking. And no request makes it panic.

use crate::script::{CDS, RDS, kinds};
use emac_core::units::Micros;
use emac_proto::xds::{DeltaDiscoveryRequest, DiscoveryRequest, Status};
use emac_push::protocol::{
    DeltaStream, Resource, ResourceSet, Scope, Snapshot, SotwStream, Stream, StreamLimits,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "*"];
const MESSAGES_MAX: usize = 64;

/// Name to version; what exists, and what a client believes exists.
type View = BTreeMap<String, String>;

#[derive(Clone, Debug)]
enum Step {
    /// The set becomes this: version per name, 0 for absent.
    Change([u8; 4]),
    /// State of the world: the new list. Incremental: names added, names taken away.
    Want(BTreeSet<usize>, BTreeSet<usize>),
    /// Some responses are read and answered; `true` refuses.
    Read(Vec<bool>),
    /// The stream breaks; a new one states what is held.
    Reconnect,
}

fn names(max: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0..NAMES.len(), 0..=max)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::array::uniform4(0_u8..4).prop_map(Step::Change),
        4 => (names(4), names(2)).prop_map(|(add, take)| Step::Want(add, take)),
        3 => proptest::collection::vec(any::<bool>(), 0..3).prop_map(Step::Read),
        1 => Just(Step::Reconnect),
    ]
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(51),
        ..ProptestConfig::default()
    }
}

fn world(versions: [u8; 4]) -> (View, Snapshot) {
    let existing = NAMES.iter().zip(versions).filter(|(_, version)| *version > 0);
    let view: View = existing.map(|(name, version)| (name.to_string(), version.to_string())).collect();
    let resource = |(name, version): (&String, &String)| {
        let body = format!("{name}@{version}").into_bytes().into();
        (name.as_str().into(), Resource { version: version.as_str().into(), body })
    };
    let resources = view.iter().map(resource).collect();
    let set = ResourceSet { version: format!("{versions:?}").into(), resources };
    let set = Arc::new(set);
    (view, Snapshot::default().with(CDS, Arc::clone(&set)).with(RDS, set))
}

/// The world in which only what nobody here asked for is different.
fn elsewhere(existing: &View, covers: impl Fn(&str) -> bool) -> Snapshot {
    let version = |name: &str| existing.get(name).map_or(0, |version| version.parse().unwrap());
    let other = |version: u8| if version == 0 { 9 } else { 0 };
    let versions = ["a", "b", "c", "d"].map(|name| (name, version(name)));
    world(versions.map(|(name, version)| if covers(name) { version } else { other(version) })).1
}

fn pick(indices: &BTreeSet<usize>) -> Vec<String> {
    indices.iter().map(|i| NAMES[*i].to_string()).collect()
}

/// The client of the incremental variant: what it wants and what it has been told.
#[derive(Default)]
struct Model {
    names: BTreeSet<String>,
    wildcard: bool,
    view: View,
}

impl Model {
    fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    fn add(&mut self, list: &[String]) {
        self.wildcard |= list.iter().any(|n| n == "*");
        self.names.extend(list.iter().filter(|n| *n != "*").cloned());
    }

    fn take(&mut self, list: &[String]) {
        for name in list {
            self.names.remove(name);
            self.wildcard &= name != "*";
        }
        let (names, wildcard) = (&self.names, self.wildcard);
        self.view.retain(|name, _| wildcard || names.contains(name));
    }

    fn expected(&self, existing: &View) -> View {
        existing.iter().filter(|(n, _)| self.covers(n)).map(|(n, v)| (n.clone(), v.clone())).collect()
    }
}

struct DeltaRun {
    stream: DeltaStream,
    started: bool,
    model: Model,
    existing: View,
    snapshot: Snapshot,
}

impl DeltaRun {
    fn new() -> Self {
        let (existing, snapshot) = world([1, 1, 0, 0]);
        Self { stream: fresh(), started: false, model: Model::default(), existing, snapshot }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change(versions) => (self.existing, self.snapshot) = world(versions),
            Step::Want(add, take) => self.want(pick(&add), pick(&take)),
            Step::Read(refusals) => refusals.into_iter().for_each(|refuse| {
                self.read(refuse);
            }),
            Step::Reconnect => self.reconnect(),
        }
    }

    fn want(&mut self, add: Vec<String>, take: Vec<String>) {
        if !std::mem::replace(&mut self.started, true) && add.is_empty() {
            self.model.wildcard = true;
        }
        self.model.add(&add);
        self.model.take(&take);
        self.send(DeltaDiscoveryRequest {
            resource_names_subscribe: add,
            resource_names_unsubscribe: take,
            ..DeltaDiscoveryRequest::default()
        });
    }

    fn send(&mut self, request: DeltaDiscoveryRequest) {
        let request = DeltaDiscoveryRequest { type_url: RDS.into(), ..request };
        self.stream.on_request(&request).unwrap();
    }

    fn read(&mut self, refuse: bool) -> bool {
        let Some(response) = self.stream.poll(&self.snapshot, Micros(0)) else { return false };
        for resource in &response.resources {
            assert!(self.model.covers(&resource.name), "{} came unasked", resource.name);
            // A refused resource counts as told: the law is about what is sent, not about what is liked.
            self.model.view.insert(resource.name.clone(), resource.version.clone());
        }
        for name in &response.removed_resources {
            assert!(self.model.covers(name), "{name} was mentioned unasked");
            self.model.view.remove(name);
        }
        let error_detail = refuse.then(|| Status { code: 3, message: "no".into() });
        self.send(DeltaDiscoveryRequest {
            response_nonce: response.nonce,
            error_detail,
            ..DeltaDiscoveryRequest::default()
        });
        true
    }

    /// A client that wants nothing does not ask again: an empty first request would mean everything.
    fn reconnect(&mut self) {
        self.stream = fresh();
        let wildcard = self.model.wildcard.then(|| "*".to_string());
        let add: Vec<_> = self.model.names.iter().cloned().chain(wildcard).collect();
        self.started = !add.is_empty();
        if self.started {
            self.send(DeltaDiscoveryRequest {
                resource_names_subscribe: add,
                initial_resource_versions: self.model.view.clone(),
                ..DeltaDiscoveryRequest::default()
            });
        }
    }

    fn settle(&mut self) {
        let messages = (0..MESSAGES_MAX).take_while(|_| self.read(false)).count();
        assert!(messages < MESSAGES_MAX, "the server does not stop talking");
    }
}

fn fresh<W: emac_push::protocol::Watch>() -> Stream<W> {
    let limits = StreamLimits { response_bytes_max: 12, ..StreamLimits::default() };
    Stream::new(Arc::new(kinds()), Scope::Aggregated, limits)
}

/// The client of the state-of-the-world variant, of a full kind: its view is the last response.
struct SotwRun {
    stream: SotwStream,
    list: Option<Vec<String>>,
    legacy: bool,
    nonce: String,
    view: View,
    existing: View,
    snapshot: Snapshot,
}

impl SotwRun {
    fn new() -> Self {
        let (existing, snapshot) = world([1, 1, 0, 0]);
        let (list, nonce, view) = (None, String::new(), View::new());
        Self { stream: fresh(), list, legacy: false, nonce, view, existing, snapshot }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change(versions) => (self.existing, self.snapshot) = world(versions),
            Step::Want(list, _) => self.want(pick(&list)),
            Step::Read(refusals) => refusals.into_iter().for_each(|refuse| {
                self.read(refuse);
            }),
            Step::Reconnect => self.reconnect(),
        }
    }

    fn want(&mut self, list: Vec<String>) {
        self.legacy = list.is_empty() && (self.list.is_none() || self.legacy);
        self.list = Some(list);
        self.send(None);
        let kept: View =
            self.view.iter().filter(|(n, _)| self.covers(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
        self.view = kept;
    }

    fn covers(&self, name: &str) -> bool {
        self.legacy || self.list.iter().flatten().any(|n| n == name || n == "*")
    }

    fn send(&mut self, error_detail: Option<Status>) {
        let request = DiscoveryRequest {
            type_url: CDS.into(),
            resource_names: self.list.clone().unwrap_or_default(),
            response_nonce: self.nonce.clone(),
            error_detail,
            ..DiscoveryRequest::default()
        };
        self.stream.on_request(&request).unwrap();
    }

    fn read(&mut self, refuse: bool) -> bool {
        let Some(response) = self.stream.poll(&self.snapshot, Micros(0)) else { return false };
        let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
        let split = |r: String| r.split_once('@').map(|(n, v)| (n.to_string(), v.to_string())).unwrap();
        self.view = response.resources.iter().map(|r| split(text(&r.value))).collect();
        assert!(self.view.keys().all(|name| self.covers(name)), "something came unasked");
        self.nonce = response.nonce;
        self.send(refuse.then(|| Status { code: 3, message: "no".into() }));
        true
    }

    fn reconnect(&mut self) {
        self.stream = fresh();
        self.nonce.clear();
        self.legacy = self.list.as_ref().is_some_and(Vec::is_empty);
        if self.list.is_some() {
            self.send(None);
        }
    }

    fn settle(&mut self) -> View {
        let messages = (0..MESSAGES_MAX).take_while(|_| self.read(false)).count();
        assert!(messages < MESSAGES_MAX, "the server does not stop talking");
        self.existing.iter().filter(|(n, _)| self.covers(n)).map(|(n, v)| (n.clone(), v.clone())).collect()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_incremental_client_ends_with_what_it_subscribed(steps in proptest::collection::vec(step(), 1..24)) {
        let mut run = DeltaRun::new();
        steps.into_iter().for_each(|step| run.step(step));
        run.settle();
        prop_assert_eq!(&run.model.view, &run.model.expected(&run.existing));
        let elsewhere = elsewhere(&run.existing, |name| run.model.covers(name));
        prop_assert_eq!(run.stream.poll(&elsewhere, Micros(0)), None, "none of its business");
    }

    #[test]
    fn a_state_of_the_world_client_ends_with_what_it_subscribed(steps in proptest::collection::vec(step(), 1..24)) {
        let mut run = SotwRun::new();
        steps.into_iter().for_each(|step| run.step(step));
        let expected = run.settle();
        prop_assert_eq!(&run.view, &expected);
        let elsewhere = elsewhere(&run.existing, |name| run.covers(name));
        prop_assert_eq!(run.stream.poll(&elsewhere, Micros(0)), None, "none of its business");
    }

    /// Requests that make no sense: any nonce, names, versions and errors, in any order.
    #[test]
    fn no_request_makes_the_machine_panic_or_loop(
        requests in proptest::collection::vec(
            (0_usize..4, names(5), names(5), 0_u8..5, any::<bool>(), "[a-d*]{0,2}", "[0-9]{0,2}"), 0..32),
    ) {
        let (mut sotw, mut delta): (SotwStream, DeltaStream) = (fresh(), fresh());
        for (i, (kind, add, take, version, refuse, name, nonce)) in requests.into_iter().enumerate() {
            let snapshot = world([version % 3, version, u8::try_from(i % 3).unwrap(), 1]).1;
            let type_url = [CDS, RDS, "example.org/no.Such", ""][kind].to_string();
            let error_detail = refuse.then(|| Status { code: -7, message: name.clone() });
            let names: Vec<_> = pick(&add).into_iter().chain([name.clone()]).collect();
            let _ = sotw.on_request(&DiscoveryRequest {
                version_info: nonce.clone(), node: None, resource_names: names.clone(),
                type_url: type_url.clone(), response_nonce: nonce.clone(), error_detail: error_detail.clone(),
            });
            let _ = delta.on_request(&DeltaDiscoveryRequest {
                node: None, type_url, resource_names_subscribe: names, resource_names_unsubscribe: pick(&take),
                initial_resource_versions: [(name, nonce.clone())].into(), response_nonce: nonce, error_detail,
            });
            let messages = (0..MESSAGES_MAX).take_while(|_| sotw.poll(&snapshot, Micros(0)).is_some()).count();
            prop_assert!(messages < MESSAGES_MAX);
            let messages = (0..MESSAGES_MAX).take_while(|_| delta.poll(&snapshot, Micros(0)).is_some()).count();
            prop_assert!(messages < MESSAGES_MAX);
        }
    }
}
