//! What the mesh and the cluster are told to do: Istio and Envoy configuration, Kubernetes manifests.
//!
//! Configuration says what traces cannot: timeouts nobody has hit yet, shares of traffic, copies whose answers nobody waits for, which
//! zone a replica runs in. It says what was asked for, not what happens; where traces say otherwise that is a finding, not a correction.
//!
//! Read are Istio's VirtualService, DestinationRule, ServiceEntry and MeshConfig; the Gateway API's HTTPRoute and GRPCRoute; Linkerd's
//! ServiceProfile; Envoy's `config_dump` and what `istioctl proxy-config` prints of it; Kubernetes' Deployment, StatefulSet, DaemonSet,
//! ReplicaSet, Pod, Service, EndpointSlice and Node, and Argo's Rollout, as files with several documents or as `kind: List`. Other kinds are
//! passed over and counted, and so are fields that bear on calls and are not read; other fields are ignored, and a field of the wrong type is a problem with its place. Every statement keeps who makes it: two that
//! differ are both kept ([`MeshFacts::conflicts`]), none is chosen.
//!
//! Left out: EnvoyFilter patches, defaults that nobody states (they stand in a dump), runtime overrides, TCP and TLS routes.

mod at;
mod conflict;
mod envoy;
mod gateway_api;
mod istio;
mod kubernetes;
mod label;
mod linkerd;
mod mesh_config;
mod name;
mod placement;
mod read;
mod runtime;
mod unread;

use std::collections::{BTreeMap, BTreeSet};

use emac_core::units::Ratio;

use emac_compile::model::{Provenance, RuntimeParameters};

pub use conflict::Conflict;
pub use label::{LabelKind, Observation, canonical_key, label_kind};
pub use name::{Address, Matched, Name, best};
pub use read::{read, read_text};
pub use runtime::{ModelCall, ObservedCall, Runtime, runtime};

/// Everything that was read, statement by statement, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshFacts {
    /// How calls are to be made.
    pub statements: Vec<Statement>,
    /// How calls are divided among destinations.
    pub splits: Vec<Split>,
    /// Copies of calls: asynchronous, never redundancy.
    pub mirrors: Vec<Mirror>,
    /// Subsets of destinations, as labels of their workloads.
    pub subsets: Vec<Subset>,
    /// What runs.
    pub workloads: Vec<Workload>,
    /// How it is called.
    pub services: Vec<Service>,
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// Endpoints with what is said of their place.
    pub endpoints: Vec<Endpoint>,
    /// Services of others.
    pub dependencies: Vec<Dependency>,
    /// Documents by kind.
    pub read: BTreeMap<String, u64>,
    /// Documents of kinds that are not understood, by kind, and fields of others that are not read (`mesh::unread`).
    pub passed_over: BTreeMap<String, u64>,
}

/// When a statement holds. Two statements contradict each other only where they hold for the same calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Whose sidecar it was read from; `None`: everybody's.
    pub caller: Option<Name>,
    /// Subset of the destination; `None`: all of it.
    pub subset: Option<String>,
    /// Condition on the request, for people: `prefix /login`; empty: all of them.
    pub condition: String,
    /// Namespaces whose workloads see it (`exportTo`, a consumer's route); empty: all.
    pub namespaces: BTreeSet<String>,
    /// Port of the destination; `None`: every one, or the only one that it has.
    pub port: Option<u32>,
}

impl Scope {
    /// Whether it holds for some of the calls of a destination only, as far as one can tell: a call of the model is not one route, one subset, or
    /// one entry point.
    fn is_conditional(&self) -> bool {
        !self.condition.is_empty()
            || self.subset.is_some()
            || !self.namespaces.is_empty()
            || self.port.is_some()
    }

    /// The same for one caller: whom it was exported to is settled where the caller's namespace is known. `None`: it does not hold for it.
    fn of_caller(&self, caller: &Name) -> Option<Self> {
        let meets = self.caller.as_ref().is_none_or(|whose| whose.meets(caller));
        let namespaces = match caller.namespace() {
            Some(namespace) if self.namespaces.is_empty() || self.namespaces.contains(namespace) => {
                BTreeSet::new()
            }
            Some(_) => return None,
            None => self.namespaces.clone(),
        };
        meets.then(|| Self { namespaces, ..self.clone() })
    }
}

/// Something said about the calls of a destination. Absent parameters are not said.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Who is called.
    pub to: Name,
    /// For which calls.
    pub scope: Scope,
    /// What is said.
    pub parameters: RuntimeParameters,
    /// What else is said, for people: `outlier.interval: 10s`, `hash: header x-user`.
    pub more: BTreeMap<&'static str, String>,
    /// Who says it.
    pub provenance: Provenance,
}

/// Where a part of the calls goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// Who is called.
    pub to: Name,
    /// Which subset of it.
    pub subset: Option<String>,
}

/// A branch: calls of one host divided by weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The host called.
    pub host: Name,
    /// For which calls.
    pub scope: Scope,
    /// Two destinations or more with their shares, which sum to 1. A share may be zero.
    pub shares: Vec<(Destination, Ratio)>,
    /// Who says it.
    pub provenance: Provenance,
}

/// Calls copied elsewhere. Nobody waits for the copy's answer, so that it never stands in for the original.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// The host called.
    pub host: Name,
    /// For which calls.
    pub scope: Scope,
    /// Where copies go.
    pub to: Destination,
    /// Share of the calls that are copied.
    pub share: Ratio,
    /// Who says it.
    pub provenance: Provenance,
}

/// `subsets` of a DestinationRule.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    /// Of which host.
    pub host: Name,
    /// Its name.
    pub name: String,
    /// Labels of its workloads.
    pub labels: BTreeMap<String, String>,
    /// Who says it.
    pub provenance: Provenance,
}

/// What runs: a Deployment or another controller, or a pod without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// `<name>.<namespace>`.
    pub name: Name,
    /// Kind of the manifest.
    pub kind: String,
    /// Pods asked for; `None` where their number is the cluster's (DaemonSet).
    pub replicas: Option<u32>,
    /// Labels of the workload and of its pods, and short annotations.
    pub labels: BTreeMap<String, BTreeSet<String>>,
    /// Labels of its pods only, which services select by.
    pub pod_labels: BTreeMap<String, String>,
    /// `selector.matchLabels`.
    pub selector: BTreeMap<String, String>,
    /// Where its pods may run.
    pub demands: Demands,
    /// Its pods, where they were listed.
    pub pods: Vec<Pod>,
    /// Who says it.
    pub provenance: Provenance,
}

/// What a workload asks of the nodes of its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Values allowed by label of the node: `nodeSelector` and required node affinity (`In`).
    pub allowed: BTreeMap<String, BTreeSet<String>>,
    /// Labels of nodes over whose values the pods must be spread (`DoNotSchedule`, or required anti-affinity).
    pub spread: BTreeSet<String>,
}

/// A running pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `<name>.<namespace>`.
    pub name: String,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is written.
    pub place: (String, String),
}

/// A Kubernetes Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `<name>.<namespace>`.
    pub name: Name,
    /// Labels and short annotations.
    pub labels: BTreeMap<String, BTreeSet<String>>,
    /// `selector`; empty: endpoints are kept by somebody else.
    pub selector: BTreeMap<String, String>,
    /// Numbers of its ports.
    pub ports: BTreeSet<u32>,
    /// `externalName`: a service of somebody else.
    pub external: Option<Name>,
    /// Who says it.
    pub provenance: Provenance,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Who says it.
    pub provenance: Provenance,
}

/// An address that answers for a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// For whom.
    pub of: Name,
    /// Address, or pod where it is named.
    pub instance: String,
    /// What is said of its place, by canonical key: zone, region, node.
    pub labels: BTreeMap<String, String>,
    /// Who says it.
    pub provenance: Provenance,
}

/// A ServiceEntry.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// `hosts`.
    pub hosts: Vec<Name>,
    /// `location: MESH_EXTERNAL`, which is the default.
    pub external: bool,
    /// Labels of the entry and short annotations.
    pub labels: BTreeMap<String, BTreeSet<String>>,
    /// Who says it.
    pub provenance: Provenance,
}

impl MeshFacts {
    /// Workloads that a service's selector picks, in its namespace. O(workloads).
    pub fn workloads_of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Workload> {
        self.workloads.iter().filter(|workload| service.picks(workload))
    }

    /// Whether a name is a service of somebody else.
    pub fn is_external(&self, name: &Name) -> bool {
        let entry = |all: &&Dependency| all.hosts.iter().any(|host| host.meets(name));
        let said = self.dependencies.iter().find(entry).map(|entry| entry.external);
        let alias =
            self.services.iter().any(|service| service.name.meets(name) && service.external.is_some());
        said.unwrap_or(alias)
    }
}

impl Service {
    /// Whether its selector picks the pods of a workload.
    pub fn picks(&self, workload: &Workload) -> bool {
        workload.name.namespace() == self.name.namespace()
            && !self.selector.is_empty()
            && contains(&workload.pod_labels, &self.selector)
    }
}

/// `90.0 % to cart.shop v1, 10.0 % to cart.shop v2`.
fn divided(shares: &[(Destination, Ratio)]) -> String {
    let one = |(to, share): &(Destination, Ratio)| {
        let subset = to.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
        format!("{:.1} % to {}{subset}", share.get() * 100.0, to.to)
    };
    shares.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Whether `labels` holds all of `selector`.
fn contains(labels: &BTreeMap<String, String>, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests;
