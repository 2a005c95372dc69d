//! DestinationRule: breakers, outlier detection, load balancing, and the subsets of a host.

use std::collections::BTreeMap;

use super::{exported_to, push};
use crate::mesh::at::At;
use crate::mesh::name::Name;
use crate::mesh::{MeshFacts, Scope, Subset};
use emac_compile::model::RuntimeParameters;

pub(super) fn destination_rule(spec: &At<'_>, namespace: Option<&str>, facts: &mut MeshFacts) {
    let Some(host) = spec.text("host").map(|host| Name::in_namespace(host, namespace)) else {
        return spec.refuse::<()>("a DestinationRule without `host`").unwrap_or_default();
    };
    let namespaces = exported_to(spec, namespace);
    let scope = Scope { condition: selected(spec), namespaces, ..Scope::default() };
    if let Some(policy) = spec.get("trafficPolicy") {
        traffic_policy(&policy, &host, &scope, facts);
    }
    for subset in spec.items("subsets") {
        let Some(name) = subset.text("name") else { continue };
        if let Some(policy) = subset.get("trafficPolicy") {
            traffic_policy(&policy, &host, &Scope { subset: Some(name.to_owned()), ..scope.clone() }, facts);
        }
        let labels = subset.texts("labels");
        let provenance = subset.mesh(format!("subset {name} of {host}"));
        facts.subsets.push(Subset { host: host.clone(), name: name.to_owned(), labels, provenance });
    }
}

/// Which workloads' calls it is about, where it selects them.
fn selected(spec: &At<'_>) -> String {
    let labels = spec.get("workloadSelector").map(|selector| selector.texts("matchLabels"));
    let labels =
        labels.unwrap_or_default().into_iter().map(|(name, value)| format!("sourceLabels {name}={value}"));
    labels.collect::<Vec<_>>().join(" and ")
}

fn traffic_policy(policy: &At<'_>, host: &Name, scope: &Scope, facts: &mut MeshFacts) {
    let (parameters, more) = policy_parameters(policy);
    push(policy, host, scope.clone(), parameters, more, facts);
    for port in policy.items("portLevelSettings") {
        let number = port.get("port").and_then(|port| port.count("number"));
        let (parameters, more) = policy_parameters(&port);
        push(&port, host, Scope { port: number, ..scope.clone() }, parameters, more, facts);
    }
}

fn policy_parameters(policy: &At<'_>) -> (RuntimeParameters, BTreeMap<&'static str, String>) {
    let mut more = BTreeMap::new();
    let outlier = policy.get("outlierDetection");
    let errors = ["consecutive5xxErrors", "consecutiveGatewayErrors", "consecutiveErrors"];
    let consecutive = outlier.as_ref().and_then(|at| errors.iter().find_map(|key| at.count(key)));
    if let Some(outlier) = &outlier {
        let texts = [("interval", "outlier.interval"), ("baseEjectionTime", "outlier.ejection")];
        more.extend(texts.iter().filter_map(|(key, name)| Some((*name, outlier.text(key)?.to_owned()))));
        more.extend(outlier.count("maxEjectionPercent").map(|most| ("outlier.most", format!("{most} %"))));
    }
    let balancer = policy.get("loadBalancer");
    more.extend(
        balancer.as_ref().and_then(|at| at.text("simple")).map(|simple| ("balancer", simple.to_owned())),
    );
    more.extend(balancer.and_then(|at| at.get("consistentHash")).map(|hash| ("hash", hash_of(&hash))));
    let pending = policy.find(&["connectionPool", "http"]);
    let http = |key| pending.as_ref().and_then(|at| at.count(key));
    more.extend(http("http2MaxRequests").map(|most| ("requests.most", most.to_string())));
    more.extend(http("maxRetries").map(|most| ("retries.most", most.to_string())));
    let parameters = RuntimeParameters {
        max_connections: policy.find(&["connectionPool", "tcp"]).and_then(|at| at.count("maxConnections")),
        max_pending: http("http1MaxPendingRequests"),
        consecutive_errors: consecutive.filter(|&errors| errors > 0),
        ..RuntimeParameters::default()
    };
    (parameters, more)
}

fn hash_of(at: &At<'_>) -> String {
    let keys: Vec<_> =
        at.entries().into_iter().map(|(key, value)| format!("{key} {}", value.written())).collect();
    keys.join(", ")
}
