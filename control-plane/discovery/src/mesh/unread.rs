//! Fields that bear on the time, the tries or the ways of calls and are not read: each is told by its kind, its name and how often it stands there.
//!
//! What is read of an object says how it is called but for these; nothing is concluded from them, and nobody has to guess that they were seen.

use super::MeshFacts;
use super::at::At;

const CONNECTION: &str = "bounds a connection, not a call";
const RETRIES: &str = "says how tries are spread, not how many";
const BUDGET: &str = "bounds the tries of all calls together";
const LOCALITY: &str = "says to which place calls go";
const ITSELF: &str = "the proxy answers, nobody is called";
const ELSEWHERE: &str = "the callee is asked under another path or name";

/// Kind, field, and why no parameter of a call follows from it.
pub(super) const FIELDS: [(&str, &str, &str); 35] = [
    ("VirtualService", "http.redirect", ITSELF),
    ("VirtualService", "http.directResponse", ITSELF),
    ("VirtualService", "http.rewrite", ELSEWHERE),
    ("VirtualService", "http.delegate", "its routes are another VirtualService's, which is not looked up"),
    ("VirtualService", "http.retries.backoff", RETRIES),
    ("VirtualService", "http.retries.retryRemoteLocalities", RETRIES),
    ("VirtualService", "http.retries.retryIgnorePreviousHosts", RETRIES),
    ("VirtualService", "tcp", "routes of connections, which have no calls"),
    ("VirtualService", "tls", "routes of connections, which have no calls"),
    ("DestinationRule", "connectionPool.tcp.connectTimeout", CONNECTION),
    ("DestinationRule", "connectionPool.tcp.idleTimeout", CONNECTION),
    ("DestinationRule", "connectionPool.tcp.maxConnectionDuration", CONNECTION),
    ("DestinationRule", "connectionPool.http.idleTimeout", CONNECTION),
    ("DestinationRule", "connectionPool.http.maxRequestsPerConnection", CONNECTION),
    ("DestinationRule", "outlierDetection.consecutiveLocalOriginFailures", "another count of errors"),
    ("DestinationRule", "outlierDetection.minHealthPercent", "says when ejection ends"),
    ("DestinationRule", "loadBalancer.localityLbSetting", LOCALITY),
    ("DestinationRule", "loadBalancer.zoneAwareLbSetting", LOCALITY),
    ("DestinationRule", "retryBudget", BUDGET),
    ("DestinationRule", "tunnel", "calls go through another proxy"),
    ("MeshConfig", "connectTimeout", CONNECTION),
    ("MeshConfig", "localityLbSetting", LOCALITY),
    ("MeshConfig", "defaultVirtualServiceExportTo", "says for whom objects without `exportTo` hold"),
    ("MeshConfig", "defaultDestinationRuleExportTo", "says for whom objects without `exportTo` hold"),
    ("HTTPRoute", "rules.filters.requestRedirect", ITSELF),
    ("HTTPRoute", "rules.filters.urlRewrite", ELSEWHERE),
    ("HTTPRoute", "rules.filters.extensionRef", "refers to an object of the gateway's own"),
    ("HTTPRoute", "rules.backendRefs.filters", "holds for the calls of one backend"),
    ("HTTPRoute", "rules.retry.backoff", RETRIES),
    ("HTTPRoute", "rules.sessionPersistence", "says which replica is called"),
    ("GRPCRoute", "rules.filters.extensionRef", "refers to an object of the gateway's own"),
    ("GRPCRoute", "rules.backendRefs.filters", "holds for the calls of one backend"),
    ("GRPCRoute", "rules.sessionPersistence", "says which replica is called"),
    ("ServiceProfile", "routes.responseClasses", "says which answers are failures"),
    ("ServiceProfile", "opaquePorts", "connections of these ports have no calls"),
];

/// Where a policy of traffic stands in a DestinationRule.
const POLICIES: [&str; 4] = [
    "trafficPolicy",
    "trafficPolicy.portLevelSettings",
    "subsets.trafficPolicy",
    "subsets.trafficPolicy.portLevelSettings",
];

/// Linkerd's annotations of Services and routes. They hold unless a ServiceProfile or a closer route says otherwise.
const ANNOTATIONS: [&str; 2] = ["retry.linkerd.io/", "timeout.linkerd.io/"];

/// Full paths of a field within `spec` (of a MeshConfig, within itself).
pub(super) fn paths(kind: &str, field: &str) -> Vec<String> {
    match kind {
        "DestinationRule" => POLICIES.iter().map(|policy| format!("{policy}.{field}")).collect(),
        _ => vec![field.to_owned()],
    }
}

/// Counts what stands in the `spec` of an object that was read.
pub(super) fn fields(kind: &str, spec: &At<'_>, facts: &mut MeshFacts) {
    for (_, field, why) in FIELDS.iter().filter(|(of, ..)| *of == kind) {
        let found = paths(kind, field).iter().map(|path| spec.number_of(path)).sum();
        tell(format!("{kind} {field} ({why})"), found, facts);
    }
}

/// Counts annotations of an object that set timeouts and tries.
pub(super) fn annotations(kind: &str, object: &At<'_>, facts: &mut MeshFacts) {
    let annotations = object.find(&["metadata", "annotations"]);
    for (key, _) in annotations.iter().flat_map(At::entries) {
        if ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix)) {
            tell(format!("{kind} with annotation {key} (Linkerd's; not read)"), 1, facts);
        }
    }
}

/// Adds to what was passed over.
pub(super) fn tell(what: String, found: u64, facts: &mut MeshFacts) {
    if found > 0 {
        *facts.passed_over.entry(what).or_default() += found;
    }
}
