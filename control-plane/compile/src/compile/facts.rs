//! What is known of the components: availabilities from promises, failure domains from the model.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::bound::latency::clopper_pearson;
use emac_core::bound::{Component, Domains, Facts, Interval};
use emac_core::journey::{ComponentName, Journey};

use super::{Given, LEAF_ERROR, Leaf};
use crate::model::{Model, Status};
use emac_journey::intent::{EvaluationMode, Intent, Reach};

/// Every component of the structure.
pub(super) fn leaves(
    intent: &Intent,
    model: &Model,
    given: &Given<'_>,
    structure: &Journey,
) -> BTreeMap<ComponentName, Leaf> {
    let names: BTreeSet<_> = structure.leaves().into_iter().collect();
    let alpha = LEAF_ERROR / names.len().max(1) as f64;
    let leaf = |name: &ComponentName| {
        let kept = is_kept(intent, name);
        let (status, domains) = model.domains_of(name);
        // What is kept fails with nothing and nobody.
        let domain_status = if kept { Status::Identified } else { status };
        let (availability, source) = availability(intent, given, name, alpha);
        let domains = domains.into_iter().flatten().cloned().collect();
        let promises = given.promises.get(name).map(|promise| promise.taken.clone()).unwrap_or_default();
        Leaf { availability, source, domains, domain_status, kept, promises }
    };
    names.into_iter().map(|name| (name.clone(), leaf(name))).collect()
}

/// Availability of a component and where it comes from. An answer kept in the sidecar is always there.
fn availability(
    intent: &Intent,
    given: &Given<'_>,
    name: &ComponentName,
    alpha: f64,
) -> (Option<Interval>, String) {
    if is_kept(intent, name) {
        return (Interval::new(1.0, 1.0).ok(), "kept in the sidecar".to_owned());
    }
    let promise = given.promises.get(name);
    let promised = promise.and_then(|promise| promise.availability).map(Interval::exactly);
    let source = promise.map_or("", |promise| promise.availability_source.as_str());
    let seen = given.evidence.and_then(|evidence| evidence.components.get(name)).map(|seen| seen.counts);
    let Some(seen) = seen.filter(|seen| seen.requests > 0) else { return (promised, source.to_owned()) };
    let measured = clopper_pearson(seen.good, seen.requests, alpha);
    let said = format!("{} good of {} requests", seen.good, seen.requests);
    match (promised, intent.governance.mode) {
        // The lower of promise and measurement at each end.
        (Some(promised), EvaluationMode::Conservative) => {
            let (lo, hi) = (promised.lo().min(measured.lo()), promised.hi().min(measured.hi()));
            (Interval::new(lo, hi).ok(), format!("{said}, and {source}"))
        }
        _ => (Some(measured), said),
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
    let stated = |rule: &emac_journey::intent::DomainRule| Some((rule.name.clone(), rule.beta?.get()));
    intent.domains.iter().filter_map(stated).collect()
}
