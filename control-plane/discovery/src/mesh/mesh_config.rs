//! Istio's MeshConfig: what holds for calls of which nothing else is said.
//!
//! It stands in the ConfigMap `istio` (as text under `data.mesh`), in an IstioOperator or in values of Helm under `meshConfig`, or alone. Read is
//! `defaultHttpRetryPolicy`, as a statement about every host; a closer statement takes its place. The other fields say nothing of one call's
//! time or tries; those that bear on calls (`connectTimeout`) are counted as passed over.

use emac_compile::model::RuntimeParameters;
use emac_document::{Limits, Problems, Source, parse};

use super::at::At;
use super::conflict::in_order;
use super::istio::push;
use super::name::Name;
use super::{MeshFacts, Scope, unread};

/// Reads the ConfigMap that a mesh is configured by; false for any other.
pub(super) fn config_map(at: &At<'_>, facts: &mut MeshFacts) -> bool {
    let Some(text) = at.get("data").and_then(|data| data.text("mesh")) else { return false };
    let problems = Problems::new();
    let source = Source::new(&at.place().0, text);
    for document in parse(&source, &Limits::default(), &problems) {
        mesh_config(&At::root(&document, &problems), facts);
    }
    if !problems.is_empty() {
        at.refuse::<()>("`data.mesh` is no YAML");
    }
    true
}

/// Reads an IstioOperator; false for a kind that is not understood.
pub(super) fn operator(kind: &str, at: &At<'_>, facts: &mut MeshFacts) -> bool {
    let config = at.find(&["spec", "meshConfig"]).filter(|_| kind == "IstioOperator");
    config.is_some_and(|config| {
        mesh_config(&config, facts);
        true
    })
}

/// Reads a MeshConfig without a kind around it, or values of Helm with one; false for anything else.
pub(super) fn alone(at: &At<'_>, facts: &mut MeshFacts) -> bool {
    if let Some(config) = at.get("meshConfig") {
        mesh_config(&config, facts);
        return true;
    }
    let own = [
        "defaultConfig",
        "defaultHttpRetryPolicy",
        "rootNamespace",
        "trustDomain",
        "outboundTrafficPolicy",
        "connectTimeout",
    ];
    if own.iter().filter(|key| at.get(key).is_some()).count() < 2 {
        return false;
    }
    mesh_config(at, facts);
    true
}

fn mesh_config(at: &At<'_>, facts: &mut MeshFacts) {
    unread::fields("MeshConfig", at, facts);
    let Some(policy) = at.get("defaultHttpRetryPolicy") else { return };
    let parameters = RuntimeParameters {
        per_try_timeout_ms: policy.millis("perTryTimeout"),
        attempts: policy.count("attempts").map(|repeated| repeated.saturating_add(1)),
        retry_on: policy.text("retryOn").map(in_order),
        ..RuntimeParameters::default()
    };
    push(&policy, &Name::new("*"), Scope::default(), parameters, Default::default(), facts);
}
