//! What is known of the components: availabilities from promises, failure domains from the model.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::bound::{Component, Domains, Facts, Interval};
use emac_core::journey::{ComponentName, Journey};

use super::{Leaf, Promises};
use crate::intent::Intent;
use crate::model::{Model, Status};
use crate::plan::Reach;

/// Every component of the structure.
pub(super) fn leaves(
    intent: &Intent,
    model: &Model,
    promises: &Promises,
    structure: &Journey,
) -> BTreeMap<ComponentName, Leaf> {
    let names: BTreeSet<_> = structure.leaves().into_iter().collect();
    let leaf = |name: &ComponentName| {
        let (mut domain_status, domains) = model.domains_of(name);
        if is_kept(intent, name) {
            // It fails with nothing and nobody.
            domain_status = Status::Identified;
        }
        let (availability, source) = availability(intent, promises, name);
        let domains = domains.into_iter().flatten().cloned().collect();
        Leaf { availability, source, domains, domain_status }
    };
    names.into_iter().map(|name| (name.clone(), leaf(name))).collect()
}

/// Availability of a component and where it comes from. An answer kept in the sidecar is always there.
fn availability(intent: &Intent, promises: &Promises, name: &ComponentName) -> (Option<Interval>, String) {
    let kept =
        intent.components.get(name).is_some_and(|component| matches!(component.reach, Reach::Static(_)));
    if kept {
        return (Interval::new(1.0, 1.0).ok(), "kept in the sidecar".to_owned());
    }
    match promises.get(name) {
        Some(promise) => (promise.availability.map(Interval::exactly), promise.availability_source.clone()),
        None => (None, String::new()),
    }
}

/// Whether it is an answer kept in the sidecar.
fn is_kept(intent: &Intent, name: &ComponentName) -> bool {
    intent.components.get(name).is_some_and(|component| matches!(component.reach, Reach::Static(_)))
}

/// Facts for the bounds; `None` when a component has no availability.
pub(super) fn of(leaves: &BTreeMap<ComponentName, Leaf>) -> Option<Facts> {
    let mut facts = Facts::default();
    for (name, leaf) in leaves {
        let domains = match leaf.domain_status {
            Status::Identified => Domains::Known(leaf.domains.iter().cloned().collect()),
            Status::Unresolved => Domains::Missing,
            Status::Contradictory => Domains::Conflicting,
        };
        facts.components.insert(name.clone(), Component { availability: leaf.availability?, domains });
    }
    Some(facts)
}

/// Stated betas by domain.
pub(super) fn betas(intent: &Intent) -> BTreeMap<String, f64> {
    let stated = |rule: &crate::intent::DomainRule| Some((rule.name.clone(), rule.beta?.get()));
    intent.domains.iter().filter_map(stated).collect()
}

/// Domains with two members or more.
pub(super) fn shared_domains(facts: &Facts) -> Vec<String> {
    let mut members: BTreeMap<&str, usize> = BTreeMap::new();
    for component in facts.components.values() {
        if let Domains::Known(domains) = &component.domains {
            domains.iter().for_each(|domain| *members.entry(domain).or_default() += 1);
        }
    }
    members.into_iter().filter(|&(_, count)| count > 1).map(|(domain, _)| domain.to_owned()).collect()
}
