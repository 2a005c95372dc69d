//! Istio's VirtualService, DestinationRule and ServiceEntry (`networking.istio.io`, v1, v1beta1 and v1alpha3, which agree in what is read).
//!
//! `retries.attempts` counts repetitions, so that there is one try more. A timeout of `0s` is none. Weights are relative to their sum. A host
//! without dots stands in the object's own namespace.

use std::collections::BTreeMap;

use emac_core::units::Ratio;

use super::at::At;
use super::conflict::in_order;
use super::label::{REGION, ZONE};
use super::name::Name;
use super::{Dependency, Destination, Endpoint, MeshFacts, Mirror, Scope, Split, Statement, Subset};
use crate::model::RuntimeParameters;

/// Fields read of each kind, for the check against the kinds' schemas.
#[cfg(test)]
pub(super) const FIELDS: [(&str, &str); 39] = [
    ("VirtualService", "hosts"),
    ("VirtualService", "gateways"),
    ("VirtualService", "http.timeout"),
    ("VirtualService", "http.retries.attempts"),
    ("VirtualService", "http.retries.perTryTimeout"),
    ("VirtualService", "http.retries.retryOn"),
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
    let read = match kind {
        "VirtualService" => virtual_service,
        "DestinationRule" => destination_rule,
        "ServiceEntry" => service_entry,
        _ => return false,
    };
    let namespace = at.get("metadata").and_then(|metadata| metadata.text("namespace"));
    let Some(spec) = at.get("spec") else {
        at.refuse::<()>(format!("a {kind} without `spec`"));
        return true;
    };
    read(at, &spec, namespace, facts);
    true
}

fn virtual_service(_: &At<'_>, spec: &At<'_>, namespace: Option<&str>, facts: &mut MeshFacts) {
    let name = |text: &str| Name::in_namespace(text, namespace);
    let hosts: Vec<Name> = spec.items("hosts").iter().filter_map(|host| host.own_text().map(name)).collect();
    let gateways = gateways(spec);
    for route in spec.items("http") {
        let scope = Scope { condition: condition(&gateways, &route), ..Scope::default() };
        let shares = shares(&route, namespace);
        // What is called is the host, and whom it is sent to; both names may stand in traces.
        let mut targets: Vec<Name> = hosts
            .iter()
            .cloned()
            .chain(shares.iter().map(|(destination, _)| destination.to.clone()))
            .collect();
        targets.sort();
        targets.dedup();
        for to in &targets {
            route_statement(&route, to, &scope, facts);
        }
        for host in &hosts {
            mirrors(&route, host, &scope, namespace, facts);
            if shares.len() > 1 {
                let provenance = route.mesh(format!("calls of {host} are divided: {}", divided(&shares)));
                let (host, scope, shares) = (host.clone(), scope.clone(), shares.clone());
                facts.splits.push(Split { host, scope, shares, provenance });
            }
        }
    }
}

/// Gateways other than the mesh itself.
fn gateways(spec: &At<'_>) -> String {
    let items = spec.items("gateways");
    let names: Vec<_> = items.iter().filter_map(At::own_text).collect();
    if names.is_empty() || names.contains(&"mesh") {
        String::new()
    } else {
        format!("gateway {}", names.join(", "))
    }
}

/// For which requests a route is: any of its matches, each all of its conditions, in a fixed order.
fn condition(gateways: &str, route: &At<'_>) -> String {
    let mut matches: Vec<String> = route.items("match").iter().map(one_match).collect();
    matches.sort();
    let matched = if matches.iter().any(String::is_empty) { String::new() } else { matches.join(" or ") };
    [gateways, &matched].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn one_match(at: &At<'_>) -> String {
    const TEXTS: [&str; 4] = ["uri", "method", "authority", "scheme"];
    const PLAIN: [&str; 2] = ["sourceNamespace", "port"];
    let mut parts = Vec::new();
    for (key, value) in at.entries() {
        match key {
            _ if TEXTS.contains(&key) => parts.extend(string_match(key, &value)),
            _ if PLAIN.contains(&key) => parts.push(format!("{key} {}", value.written())),
            "headers" | "queryParams" | "withoutHeaders" => {
                for (name, value) in value.entries() {
                    let matched = string_match(name, &value).unwrap_or_else(|| name.to_owned());
                    parts.push(format!("{key} {matched}"));
                }
            }
            "sourceLabels" => {
                let labels = at.texts(key).into_iter().map(|(name, value)| format!("{key} {name}={value}"));
                parts.extend(labels);
            }
            _ => {}
        }
    }
    // A prefix of everything is no condition.
    parts.retain(|part| part != "uri prefix /");
    parts.sort();
    parts.join(" and ")
}

/// `{prefix: /a}` as `uri prefix /a`.
fn string_match(name: &str, at: &At<'_>) -> Option<String> {
    let forms = ["exact", "prefix", "regex"];
    forms.iter().find_map(|form| Some(format!("{name} {form} {}", at.text(form)?)))
}

fn route_statement(route: &At<'_>, to: &Name, scope: &Scope, facts: &mut MeshFacts) {
    let retries = route.get("retries");
    let attempts = retries.as_ref().and_then(|retries| retries.count("attempts"));
    let parameters = RuntimeParameters {
        timeout_ms: route.millis("timeout"),
        per_try_timeout_ms: retries.as_ref().and_then(|retries| retries.millis("perTryTimeout")),
        attempts: attempts.map(|repeated| repeated.saturating_add(1)),
        retry_on: retries.as_ref().and_then(|retries| retries.text("retryOn")).map(in_order),
        ..RuntimeParameters::default()
    };
    push(route, to, scope.clone(), parameters, BTreeMap::new(), facts);
}

/// Keeps a statement that says something.
fn push(
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

fn destination(at: &At<'_>, namespace: Option<&str>) -> Option<Destination> {
    let to = Name::in_namespace(at.text("host")?, namespace);
    Some(Destination { to, subset: at.text("subset").map(str::to_owned) })
}

/// Destinations of a route with their shares of its calls; one without a weight beside others gets none.
fn shares(route: &At<'_>, namespace: Option<&str>) -> Vec<(Destination, Ratio)> {
    let items = route.items("route");
    let weights: Vec<f64> = items.iter().map(|item| f64::from(item.count("weight").unwrap_or(0))).collect();
    let sum: f64 = weights.iter().sum();
    let alone = items.len() == 1;
    if !alone && items.len() > 1 && sum <= 0.0 {
        route.refuse::<()>("several destinations without weights");
        return Vec::new();
    }
    let share = |(item, weight): (&At<'_>, &f64)| {
        let destination = destination(&item.get("destination")?, namespace)?;
        let share = if alone { Ratio::ONE } else { Ratio::new(weight / sum).ok()? };
        Some((destination, share))
    };
    items.iter().zip(&weights).filter_map(share).collect()
}

pub(super) fn divided(shares: &[(Destination, Ratio)]) -> String {
    let one = |(to, share): &(Destination, Ratio)| {
        let subset = to.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
        format!("{:.1} % to {}{subset}", share.get() * 100.0, to.to)
    };
    shares.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `mirror` with its percentage, and `mirrors`; without one all calls are copied.
fn mirrors(route: &At<'_>, host: &Name, scope: &Scope, namespace: Option<&str>, facts: &mut MeshFacts) {
    let old = || ["mirrorPercent", "mirror_percent"].iter().find_map(|key| route.percent(key));
    let single = route.get("mirror").and_then(|mirror| {
        let share = route.get("mirrorPercentage").map(|at| at.percent("value")).unwrap_or_else(old);
        Some((destination(&mirror, namespace)?, share, mirror))
    });
    let listed = route.items("mirrors").into_iter().filter_map(|mirror| {
        let share = mirror.get("percentage").and_then(|at| at.percent("value"));
        Some((destination(&mirror.get("destination")?, namespace)?, share, mirror))
    });
    for (to, share, at) in single.into_iter().chain(listed) {
        let share = share.unwrap_or(Ratio::ONE);
        let provenance =
            at.mesh(format!("{:.1} % of the calls are copied to {}", share.get() * 100.0, to.to));
        facts.mirrors.push(Mirror { host: host.clone(), scope: scope.clone(), to, share, provenance });
    }
}

fn destination_rule(_: &At<'_>, spec: &At<'_>, namespace: Option<&str>, facts: &mut MeshFacts) {
    let Some(host) = spec.text("host").map(|host| Name::in_namespace(host, namespace)) else {
        return spec.refuse::<()>("a DestinationRule without `host`").unwrap_or_default();
    };
    if let Some(policy) = spec.get("trafficPolicy") {
        traffic_policy(&policy, &host, None, facts);
    }
    for subset in spec.items("subsets") {
        let Some(name) = subset.text("name") else { continue };
        if let Some(policy) = subset.get("trafficPolicy") {
            traffic_policy(&policy, &host, Some(name), facts);
        }
        let labels = subset.texts("labels");
        let provenance = subset.mesh(format!("subset {name} of {host}"));
        facts.subsets.push(Subset { host: host.clone(), name: name.to_owned(), labels, provenance });
    }
}

fn traffic_policy(policy: &At<'_>, host: &Name, subset: Option<&str>, facts: &mut MeshFacts) {
    let scope = |condition: String| Scope { subset: subset.map(str::to_owned), condition, caller: None };
    let (parameters, more) = policy_parameters(policy);
    push(policy, host, scope(String::new()), parameters, more, facts);
    for port in policy.items("portLevelSettings") {
        let number = port.get("port").and_then(|port| port.count("number"));
        let (parameters, more) = policy_parameters(&port);
        let condition = format!("port {}", number.unwrap_or_default());
        push(&port, host, scope(condition), parameters, more, facts);
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

fn service_entry(at: &At<'_>, spec: &At<'_>, namespace: Option<&str>, facts: &mut MeshFacts) {
    let _ = namespace;
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
