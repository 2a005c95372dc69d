//! Istio's VirtualService, DestinationRule and ServiceEntry (`networking.istio.io`, v1, v1beta1 and v1alpha3, which agree in what is read).
//!
//! `retries.attempts` counts repetitions, so that there is one try more. A timeout of `0s` is none. Weights are relative to their sum. A host
//! without dots stands in the object's own namespace.

mod policy;
mod route;

use std::collections::{BTreeMap, BTreeSet};

use super::at::At;
use super::label::{REGION, ZONE};
use super::name::Name;
use super::{Dependency, Endpoint, MeshFacts, Scope, Statement, unread};
use emac_compile::model::RuntimeParameters;

/// Fields read of each kind, for the check against the kinds' schemas.
#[cfg(test)]
pub(super) const FIELDS: [(&str, &str); 45] = [
    ("VirtualService", "hosts"),
    ("VirtualService", "gateways"),
    ("VirtualService", "exportTo"),
    ("VirtualService", "http.fault.abort.percentage.value"),
    ("VirtualService", "http.fault.delay.percentage.value"),
    ("VirtualService", "http.timeout"),
    ("VirtualService", "http.retries.attempts"),
    ("VirtualService", "http.retries.perTryTimeout"),
    ("VirtualService", "http.retries.retryOn"),
    ("VirtualService", "http.match.gateways"),
    ("VirtualService", "http.match.uri.prefix"),
    ("VirtualService", "http.match.headers"),
    ("VirtualService", "http.match.sourceLabels"),
    ("VirtualService", "http.route.weight"),
    ("VirtualService", "http.route.destination.host"),
    ("VirtualService", "http.route.destination.subset"),
    ("VirtualService", "http.mirror.host"),
    ("VirtualService", "http.mirror.subset"),
    ("VirtualService", "http.mirrorPercentage.value"),
    ("VirtualService", "http.mirrors.destination.host"),
    ("VirtualService", "http.mirrors.percentage.value"),
    ("DestinationRule", "host"),
    ("DestinationRule", "exportTo"),
    ("DestinationRule", "workloadSelector.matchLabels"),
    ("DestinationRule", "subsets.name"),
    ("DestinationRule", "subsets.labels"),
    ("DestinationRule", "subsets.trafficPolicy.outlierDetection.consecutive5xxErrors"),
    ("DestinationRule", "trafficPolicy.portLevelSettings.port.number"),
    ("DestinationRule", "trafficPolicy.connectionPool.tcp.maxConnections"),
    ("DestinationRule", "trafficPolicy.connectionPool.http.http1MaxPendingRequests"),
    ("DestinationRule", "trafficPolicy.connectionPool.http.http2MaxRequests"),
    ("DestinationRule", "trafficPolicy.connectionPool.http.maxRetries"),
    ("DestinationRule", "trafficPolicy.outlierDetection.consecutive5xxErrors"),
    ("DestinationRule", "trafficPolicy.outlierDetection.consecutiveGatewayErrors"),
    ("DestinationRule", "trafficPolicy.outlierDetection.consecutiveErrors"),
    ("DestinationRule", "trafficPolicy.outlierDetection.interval"),
    ("DestinationRule", "trafficPolicy.outlierDetection.baseEjectionTime"),
    ("DestinationRule", "trafficPolicy.outlierDetection.maxEjectionPercent"),
    ("DestinationRule", "trafficPolicy.loadBalancer.simple"),
    ("DestinationRule", "trafficPolicy.loadBalancer.consistentHash"),
    ("ServiceEntry", "hosts"),
    ("ServiceEntry", "location"),
    ("ServiceEntry", "endpoints.address"),
    ("ServiceEntry", "endpoints.locality"),
    ("ServiceEntry", "endpoints.labels"),
];

/// Reads one object; false for a kind that is not understood.
pub(super) fn object(kind: &str, at: &At<'_>, facts: &mut MeshFacts) -> bool {
    if !["VirtualService", "DestinationRule", "ServiceEntry"].contains(&kind) {
        return false;
    }
    let namespace = at.get("metadata").and_then(|metadata| metadata.text("namespace"));
    if let Some(spec) = at.get("spec") {
        unread::fields(kind, &spec, facts);
    }
    match (kind, at.get("spec")) {
        (_, None) => at.refuse::<()>(format!("a {kind} without `spec`")).unwrap_or_default(),
        ("VirtualService", Some(spec)) => route::virtual_service(&spec, namespace, facts),
        ("DestinationRule", Some(spec)) => policy::destination_rule(&spec, namespace, facts),
        (_, Some(spec)) => service_entry(at, &spec, facts),
    }
    true
}

fn service_entry(at: &At<'_>, spec: &At<'_>, facts: &mut MeshFacts) {
    let hosts: Vec<Name> = spec.items("hosts").iter().filter_map(At::own_text).map(Name::new).collect();
    let external = spec.text("location") != Some("MESH_INTERNAL");
    let whose = if external { "somebody else's service" } else { "a service outside of the cluster" };
    for endpoint in spec.items("endpoints") {
        for host in &hosts {
            service_endpoint(&endpoint, host, facts);
        }
    }
    let provenance = spec.mesh(whose);
    facts.dependencies.push(Dependency { hosts, external, labels: at.labels(), provenance });
}

fn service_endpoint(at: &At<'_>, host: &Name, facts: &mut MeshFacts) {
    let mut labels = at.texts("labels");
    if let Some(locality) = at.text("locality") {
        let mut parts = locality.split('/').filter(|part| !part.is_empty());
        labels.extend(parts.next().map(|region| (REGION.to_owned(), region.to_owned())));
        labels.extend(parts.next().map(|zone| (ZONE.to_owned(), zone.to_owned())));
    }
    labels.extend(
        at.text("network").map(|network| ("topology.istio.io/network".to_owned(), network.to_owned())),
    );
    let (_, field) = at.place();
    let instance = at.text("address").map_or(field, str::to_owned);
    let provenance = at.mesh(format!("endpoint {instance} of {host}"));
    facts.endpoints.push(Endpoint { of: host.clone(), instance, labels, provenance });
}

/// To whose workloads an object is visible: `.` is its own namespace, `~` nobody's, `*` (which is the default) everybody's.
fn exported_to(spec: &At<'_>, namespace: Option<&str>) -> BTreeSet<String> {
    let items = spec.items("exportTo");
    let named: BTreeSet<&str> = items.iter().filter_map(At::own_text).collect();
    if named.contains("*") {
        return BTreeSet::new();
    }
    let of = |name: &str| if name == "." { namespace.unwrap_or(name).to_owned() } else { name.to_owned() };
    named.into_iter().map(of).collect()
}

/// Keeps a statement that says something.
pub(super) fn push(
    at: &At<'_>,
    to: &Name,
    scope: Scope,
    parameters: RuntimeParameters,
    more: BTreeMap<&'static str, String>,
    facts: &mut MeshFacts,
) {
    if parameters != RuntimeParameters::default() || !more.is_empty() {
        let provenance = at.mesh(super::conflict::says(&parameters, &more));
        facts.statements.push(Statement { to: to.clone(), scope, parameters, more, provenance });
    }
}
