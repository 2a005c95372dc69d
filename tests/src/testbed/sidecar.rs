//! From a topology to Envoy configurations: one sidecar a service, and the edge.
//!
//! Cluster names are service names, because hops are named after clusters. Inbound routes neither limit nor retry: the caller's
//! sidecar decides. What an outbound route does without budgets is the builder's choice.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::topology::ServiceSpec;
use crate::envoy::{
    Bootstrap, Cluster, Direction, EmacFilter, HeaderRoute, HttpFilter, Listener, Node, Protocol,
    RoutePolicy, VirtualHost,
};

/// Name of the edge Envoy and of its workload.
pub(super) const EDGE: &str = "edge";
/// Name of the cluster of the sidecar's own application.
const APP: &str = "app";
/// Cluster of the control plane in every Envoy.
pub(super) const CONTROL_PLANE: &str = "emac-control-plane";
/// Namespace of every workload.
const NAMESPACE: &str = "shop";

/// Where a filter stands, for those who write its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// `shop`.
    pub namespace: &'a str,
    /// Name of the service, or `edge`.
    pub workload: &'a str,
    /// Which listener.
    pub direction: Direction,
    /// At the gateway in front of the first service.
    pub edge: bool,
    /// Name of the cluster that leads to the control plane.
    pub control_plane: &'a str,
    /// Whether there is such a cluster.
    pub has_control_plane: bool,
}

/// Our filter in every listener: the module, and its configuration by place.
#[derive(Clone)]
pub struct FilterSetup {
    /// The module, of either shell.
    pub module: PathBuf,
    /// The plugin configuration of one listener.
    pub configure: Arc<dyn Fn(Place<'_>) -> Value + Send + Sync>,
}

impl fmt::Debug for FilterSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterSetup").field("module", &self.module).finish_non_exhaustive()
    }
}

/// Ports of one sidecar and its application.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) admin: u16,
    pub(super) inbound: u16,
    pub(super) outbound: u16,
    pub(super) app: u16,
}

/// What all Envoys of a world have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub(super) filter: Filter,
    pub(super) policy: RoutePolicy,
    /// Per destination, where it differs from `policy`.
    pub(super) policies: BTreeMap<String, RoutePolicy>,
    /// Alternate routes by header, per destination.
    pub(super) alternates: BTreeMap<String, Vec<HeaderRoute>>,
    pub(super) control_plane: Option<u16>,
    pub(super) concurrency: u32,
    /// Environment of every Envoy.
    pub(super) env: Vec<(String, String)>,
}

/// What stands in every listener.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    /// The same everywhere.
    Plain(HttpFilter),
    /// Ours, configured by place.
    Emac(FilterSetup),
}

impl Common {
    /// The sidecar of a service. `inbound` gives every service's inbound port.
    pub(super) fn sidecar(
        &self,
        spec: &ServiceSpec,
        ports: Ports,
        inbound: &BTreeMap<String, u16>,
    ) -> Bootstrap {
        let destinations = spec.destinations();
        let mut listeners = vec![self.listener(
            &spec.name,
            Direction::Inbound,
            ports.inbound,
            vec![VirtualHost::any(APP, RoutePolicy::pass())],
        )];
        if !destinations.is_empty() {
            let hosts = destinations.iter().map(|d| self.destination(d)).collect();
            listeners.push(self.listener(&spec.name, Direction::Outbound, ports.outbound, hosts));
        }
        let to_others =
            destinations.iter().filter_map(|d| Some(Cluster::new(d, *inbound.get(d)?, Protocol::Downstream)));
        let clusters = [Cluster::new(APP, ports.app, Protocol::Downstream)].into_iter().chain(to_others);
        self.bootstrap(&spec.name, ports.admin, listeners, clusters.collect())
    }

    /// The edge: everything to the first service.
    pub(super) fn edge(&self, first: &str, admin: u16, port: u16, inbound: u16) -> Bootstrap {
        // The edge tries once: what it would retry is the whole journey.
        let policy = RoutePolicy { retry: None, ..RoutePolicy::default() };
        let hosts = vec![VirtualHost::any(first, policy)];
        let listener = self.listener(EDGE, Direction::Outbound, port, hosts);
        let clusters = vec![Cluster::new(first, inbound, Protocol::Downstream)];
        self.bootstrap(EDGE, admin, vec![listener], clusters)
    }

    fn bootstrap(
        &self,
        name: &str,
        admin: u16,
        listeners: Vec<Listener>,
        mut clusters: Vec<Cluster>,
    ) -> Bootstrap {
        clusters.extend(self.control_plane.map(|port| Cluster::new(CONTROL_PLANE, port, Protocol::Http2)));
        let node = Node {
            id: format!("{name}-1"),
            cluster: name.to_owned(),
            metadata: json!({"NAMESPACE": NAMESPACE, "WORKLOAD_NAME": name}),
        };
        Bootstrap { node, admin, listeners, clusters, concurrency: self.concurrency }
    }

    fn listener(&self, workload: &str, direction: Direction, port: u16, hosts: Vec<VirtualHost>) -> Listener {
        let edge = workload == EDGE;
        let name = match direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        let place = Place {
            namespace: NAMESPACE,
            workload,
            direction,
            edge,
            control_plane: CONTROL_PLANE,
            has_control_plane: self.control_plane.is_some(),
        };
        Listener { name: name.to_owned(), port, direction, edge, hosts, filter: self.filter.at(place) }
    }

    fn destination(&self, name: &str) -> VirtualHost {
        let policy = self.policies.get(name).unwrap_or(&self.policy).clone();
        let alternates = self.alternates.get(name).cloned().unwrap_or_default();
        VirtualHost { alternates, ..VirtualHost::to(name, policy) }
    }
}

impl Filter {
    fn at(&self, place: Place<'_>) -> HttpFilter {
        match self {
            Self::Plain(filter) => filter.clone(),
            Self::Emac(setup) => HttpFilter::Emac(EmacFilter {
                module: setup.module.clone(),
                configuration: (setup.configure)(place),
            }),
        }
    }
}
