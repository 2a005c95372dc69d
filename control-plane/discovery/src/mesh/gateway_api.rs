//! The Gateway API's HTTPRoute and GRPCRoute (`gateway.networking.k8s.io`, v1 and v1beta1; Linkerd's own copy of HTTPRoute, `policy.linkerd.io`):
//! timeouts, retries, shares and copies of calls.
//!
//! A route of a Service (GAMMA) is about the calls of that service within the mesh, all of them where it stands in the service's namespace (a
//! producer's route) and those of its own namespace's workloads where it does not (a consumer's; GEP-1294); with a `port` or a `sectionName` it is
//! about that port. A route of a Gateway is about what enters there, so that it holds for some of the calls of its backends only. `retry.attempts` counts repetitions. A timeout of `0s` is none. `backendRequest` bounds one try.
//! A rule without matches is for every request, and so is one whose only match is the path prefix `/`.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::units::Ratio;

use super::at::At;
use super::conflict::in_order;
use super::istio::push;
use super::name::Name;
use super::{Destination, MeshFacts, Mirror, Scope, Split, divided, unread};
use emac_compile::model::RuntimeParameters;

/// Reads one object; false for a kind that is not understood.
pub(super) fn object(kind: &str, at: &At<'_>, facts: &mut MeshFacts) -> bool {
    if !["HTTPRoute", "GRPCRoute"].contains(&kind) {
        return false;
    }
    let Some(spec) = at.get("spec") else {
        at.refuse::<()>(format!("a {kind} without `spec`"));
        return true;
    };
    let namespace = at.get("metadata").and_then(|metadata| metadata.text("namespace"));
    unread::fields(kind, &spec, facts);
    unread::annotations(kind, at, facts);
    let route = Route { kind, parents: Parents::of(kind, &spec, namespace, facts), namespace };
    spec.items("rules").iter().for_each(|rule| read_rule(rule, &route, facts));
    true
}

/// What all rules of a route share.
struct Route<'a> {
    kind: &'a str,
    parents: Parents,
    namespace: Option<&'a str>,
}

/// Kinds through which requests enter.
const GATEWAYS: [&str; 3] = ["Gateway", "ListenerSet", "XListenerSet"];

/// What a route is attached to.
struct Parents {
    /// Services whose calls within the mesh it is about, and which of them.
    services: Vec<(Name, Scope)>,
    /// Gateways, for people; empty: none.
    gateways: String,
}

impl Parents {
    fn of(kind: &str, spec: &At<'_>, namespace: Option<&str>, facts: &mut MeshFacts) -> Self {
        let (mut services, mut gateways) = (Vec::new(), Vec::new());
        for parent in spec.items("parentRefs") {
            let Some(name) = parent.text("name") else { continue };
            let of = parent.text("kind").unwrap_or("Gateway");
            if of == "Service" {
                let whose = parent.text("namespace").or(namespace);
                let consumer = namespace.filter(|own| Some(*own) != whose);
                let namespaces = consumer.map(str::to_owned).into_iter().collect();
                let condition =
                    parent.text("sectionName").map(|port| format!("port {port}")).unwrap_or_default();
                let scope = Scope { condition, namespaces, port: parent.count("port"), ..Scope::default() };
                services.push((Name::in_namespace(name, whose), scope));
            } else if GATEWAYS.contains(&of) {
                gateways.push(name);
            } else {
                unread::tell(
                    format!("parent of {kind} of kind {of} (neither a Service nor a gateway)"),
                    1,
                    facts,
                );
            }
        }
        gateways.sort_unstable();
        let gateways =
            if gateways.is_empty() { String::new() } else { format!("gateway {}", gateways.join(", ")) };
        Self { services, gateways }
    }
}

fn read_rule(rule: &At<'_>, route: &Route<'_>, facts: &mut MeshFacts) {
    let Route { kind, parents, namespace } = route;
    let shares = shares(rule, *namespace);
    let matched = condition(rule, kind);
    let (timeouts, retry) = (rule.get("timeouts"), rule.get("retry"));
    let millis = |key| timeouts.as_ref().and_then(|timeouts| timeouts.millis(key));
    let attempts = retry.as_ref().and_then(|retry| retry.count("attempts"));
    let parameters = RuntimeParameters {
        timeout_ms: millis("request"),
        per_try_timeout_ms: millis("backendRequest"),
        attempts: attempts.map(|repeated| repeated.saturating_add(1)),
        retry_on: retry.as_ref().and_then(codes),
        ..RuntimeParameters::default()
    };
    // What is called is the service of the route within the mesh; from a gateway it is the backends alone.
    let within = parents.services.iter().map(|(service, scope)| {
        (service.clone(), Scope { condition: both(&scope.condition, &matched), ..scope.clone() })
    });
    let entering = Scope { condition: both(&parents.gateways, &matched), ..Scope::default() };
    let outside = !parents.gateways.is_empty();
    let entered = shares.iter().filter(|_| outside).map(|(to, _)| (to.to.clone(), entering.clone()));
    let targets: BTreeSet<(Name, Scope)> = within.chain(entered).collect();
    for (to, scope) in targets {
        push(rule, &to, scope.clone(), parameters.clone(), BTreeMap::new(), facts);
        mirrors(rule, &to, &scope, *namespace, facts);
        if shares.len() > 1 && parents.services.iter().any(|(service, _)| *service == to) {
            let provenance = rule.mesh(format!("calls of {to} are divided: {}", divided(&shares)));
            facts.splits.push(Split { host: to, scope, shares: shares.clone(), provenance });
        }
    }
}

/// Two conditions, either of which may say nothing.
fn both(one: &str, other: &str) -> String {
    [one, other].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Status codes that are tried again, as Istio writes them.
fn codes(retry: &At<'_>) -> Option<String> {
    let items = retry.items("codes");
    let codes: Vec<String> = items.iter().map(At::written).collect();
    (!codes.is_empty()).then(|| in_order(&codes.join(",")))
}

/// Backends with their shares: weights relative to their sum, 1 where none is given; one of weight 0 gets none.
fn shares(rule: &At<'_>, namespace: Option<&str>) -> Vec<(Destination, Ratio)> {
    let items = rule.items("backendRefs");
    let weights: Vec<f64> = items.iter().map(|item| f64::from(item.count("weight").unwrap_or(1))).collect();
    let sum: f64 = weights.iter().sum();
    let share = |(item, weight): (&At<'_>, &f64)| {
        let to = backend(item, namespace)?;
        Some((to, Ratio::new(weight / sum).ok()?))
    };
    items.iter().zip(&weights).filter(|_| sum > 0.0).filter_map(share).collect()
}

/// A Service; other kinds of backends are no component that traces could name.
fn backend(at: &At<'_>, namespace: Option<&str>) -> Option<Destination> {
    let is_service = at.text("kind").is_none_or(|kind| kind == "Service");
    let name = Name::in_namespace(at.text("name")?, at.text("namespace").or(namespace));
    is_service.then_some(Destination { to: name, subset: None })
}

/// For which requests a rule is: any of its matches, each all of its conditions, in a fixed order.
fn condition(rule: &At<'_>, kind: &str) -> String {
    let mut matches: Vec<String> = rule.items("matches").iter().map(|at| one_match(at, kind)).collect();
    matches.sort();
    if matches.iter().any(String::is_empty) { String::new() } else { matches.join(" or ") }
}

fn one_match(at: &At<'_>, kind: &str) -> String {
    let mut parts = Vec::new();
    if let Some(path) = at.get("path") {
        let form = match path.text("type") {
            Some("Exact") => "exact",
            Some("RegularExpression") => "regex",
            _ => "prefix",
        };
        parts.push(format!("uri {form} {}", path.text("value").unwrap_or("/")));
    }
    if kind == "GRPCRoute" {
        parts.extend(at.get("method").and_then(|method| grpc_method(&method)));
    } else {
        parts.extend(at.text("method").map(|method| format!("method {method}")));
    }
    for (key, name) in [("headers", "headers"), ("queryParams", "queryParams")] {
        let items = at.items(key);
        parts.extend(items.iter().filter_map(|item| Some(format!("{name} {}", item.text("name")?))));
    }
    // A prefix of everything is no condition.
    parts.retain(|part| part != "uri prefix /");
    parts.sort();
    parts.join(" and ")
}

/// `{service: shop.Cart, method: Get}` of a GRPCRoute.
fn grpc_method(at: &At<'_>) -> Option<String> {
    let parts: Vec<&str> = ["service", "method"].into_iter().filter_map(|key| at.text(key)).collect();
    (!parts.is_empty()).then(|| format!("method {}", parts.join("/")))
}

fn mirrors(rule: &At<'_>, host: &Name, scope: &Scope, namespace: Option<&str>, facts: &mut MeshFacts) {
    for filter in rule.items("filters") {
        let Some(mirror) = filter.get("requestMirror") else { continue };
        let Some(to) = mirror.get("backendRef").and_then(|backend_ref| backend(&backend_ref, namespace))
        else {
            continue;
        };
        let fraction = mirror.get("fraction").and_then(|fraction| {
            let of = fraction.count("denominator").unwrap_or(100);
            Ratio::new(f64::from(fraction.count("numerator")?) / f64::from(of)).ok()
        });
        let share = mirror.percent("percent").or(fraction).unwrap_or(Ratio::ONE);
        let provenance =
            mirror.mesh(format!("{:.1} % of the calls are copied to {}", share.get() * 100.0, to.to));
        facts.mirrors.push(Mirror { host: host.clone(), scope: scope.clone(), to, share, provenance });
    }
}
