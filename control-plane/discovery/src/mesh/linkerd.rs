//! Linkerd's ServiceProfile (`linkerd.io`, v1alpha2): timeouts and repetition route by route, and shares of traffic.
//!
//! Its name is the service's host. One in the service's namespace holds for all callers, one in another namespace for the workloads of that. A route
//! is a method and a pattern of paths, so that what it says holds for some of the calls only. `isRetryable` sets no number: tries are bounded by
//! the retry budget, which is told and no parameter of a call.

use std::collections::BTreeMap;

use emac_core::units::Ratio;

use super::at::At;
use super::istio::push;
use super::name::Name;
use super::{Destination, MeshFacts, Scope, Split, divided, unread};
use emac_compile::model::RuntimeParameters;

/// Reads one object; false for a kind that is not understood.
pub(super) fn object(kind: &str, at: &At<'_>, facts: &mut MeshFacts) -> bool {
    if kind != "ServiceProfile" {
        return false;
    }
    let metadata = at.get("metadata");
    let text = |key| metadata.as_ref().and_then(|metadata| metadata.text(key));
    let (Some(host), Some(spec)) = (text("name"), at.get("spec")) else {
        at.refuse::<()>("a ServiceProfile without `metadata.name` or `spec`");
        return true;
    };
    let namespace = text("namespace");
    let host = Name::in_namespace(host, namespace);
    let consumer = namespace.filter(|own| host.namespace().is_some_and(|whose| whose != *own));
    let scope = Scope { namespaces: consumer.map(str::to_owned).into_iter().collect(), ..Scope::default() };
    for route in spec.items("routes") {
        read_route(&route, &host, &scope, &spec, facts);
    }
    unread::fields(kind, &spec, facts);
    if spec.get("retryBudget").is_some() && !spec.items("routes").iter().any(is_retryable) {
        unread::tell("ServiceProfile retryBudget (none of its routes is retried)".to_owned(), 1, facts);
    }
    split(&spec, &host, scope, facts);
    true
}

fn read_route(route: &At<'_>, host: &Name, scope: &Scope, spec: &At<'_>, facts: &mut MeshFacts) {
    let condition = route.get("condition").map(|at| at.written()).unwrap_or_default();
    let condition = if condition.is_empty() { "a route".to_owned() } else { condition };
    let parameters =
        RuntimeParameters { timeout_ms: route.millis("timeout"), ..RuntimeParameters::default() };
    let mut more = BTreeMap::new();
    if is_retryable(route) {
        let budget = spec.get("retryBudget").map(|at| at.written());
        more.insert("retries", budget.unwrap_or_else(|| "within Linkerd's usual budget".to_owned()));
    }
    push(route, host, Scope { condition, ..scope.clone() }, parameters, more, facts);
}

fn is_retryable(route: &At<'_>) -> bool {
    route.get("isRetryable").is_some_and(|at| at.written() == "true")
}

/// `dstOverrides`: shares of the calls.
fn split(spec: &At<'_>, host: &Name, scope: Scope, facts: &mut MeshFacts) {
    let items = spec.items("dstOverrides");
    let weight = |at: &At<'_>| at.get("weight").and_then(|at| weight(&at.written())).unwrap_or(0.0);
    let sum: f64 = items.iter().map(weight).sum();
    if items.len() < 2 || sum <= 0.0 {
        return;
    }
    let share = |at: &At<'_>| {
        let to = Destination { to: Name::new(at.text("authority")?), subset: None };
        Some((to, Ratio::new(weight(at) / sum).ok()?))
    };
    let shares: Vec<(Destination, Ratio)> = items.iter().filter_map(share).collect();
    let provenance = spec.mesh(format!("calls of {host} are divided: {}", divided(&shares)));
    facts.splits.push(Split { host: host.clone(), scope, shares, provenance });
}

/// A quantity of Kubernetes, as Linkerd takes weights: `900m` is 0.9.
fn weight(text: &str) -> Option<f64> {
    let text = text.trim_matches(['"', '\'']);
    let weight = match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().ok()? / 1_000.0,
        None => text.parse().ok()?,
    };
    Some(weight).filter(|weight| weight.is_finite() && *weight >= 0.0)
}
