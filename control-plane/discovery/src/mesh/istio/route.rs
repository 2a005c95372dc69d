//! VirtualService: timeouts, retries, shares and copies of the calls of a host, route by route.

use std::collections::BTreeMap;

use emac_core::units::Ratio;

use super::{exported_to, push};
use crate::mesh::at::At;
use crate::mesh::conflict::in_order;
use crate::mesh::divided;
use crate::mesh::name::Name;
use crate::mesh::{Destination, MeshFacts, Mirror, Scope, Split, unread};
use emac_compile::model::RuntimeParameters;

pub(super) fn virtual_service(spec: &At<'_>, namespace: Option<&str>, facts: &mut MeshFacts) {
    let name = |text: &str| Name::in_namespace(text, namespace);
    let hosts: Vec<Name> = spec.items("hosts").iter().filter_map(|host| host.own_text().map(name)).collect();
    let (gateways, namespaces) = (gateways(spec), exported_to(spec, namespace));
    if hosts.is_empty() {
        let what = "VirtualService without hosts (a delegate: for which requests it holds another one says)";
        unread::tell(what.to_owned(), 1, facts);
    }
    for route in spec.items("http") {
        let (condition, namespaces) = (condition(&gateways, &route), namespaces.clone());
        let scope = Scope { condition, namespaces, ..Scope::default() };
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

/// What neither is a condition nor changes one.
const NAMES: [&str; 3] = ["name", "statPrefix", "ignoreUriCase"];

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
            "gateways" => parts.extend(Some(gateways(at)).filter(|gateways| !gateways.is_empty())),
            _ if NAMES.contains(&key) => {}
            // Whatever it asks for, it is not every request.
            _ => parts.push(format!("{key} {}", value.written())),
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
    push(route, to, scope.clone(), parameters, faults(route), facts);
}

/// Faults that are injected on purpose: what traces show of them is no fault of the callee.
fn faults(route: &At<'_>) -> BTreeMap<&'static str, String> {
    let of = |name: &str| {
        let fault = route.find(&["fault", name])?;
        let share = fault.get("percentage").and_then(|at| at.percent("value")).unwrap_or(Ratio::ONE);
        Some(format!("injected into {} % of the calls", share.get() * 100.0))
    };
    let faults = [("fault.abort", of("abort")), ("fault.delay", of("delay"))];
    faults.into_iter().filter_map(|(name, says)| Some((name, says?))).collect()
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
