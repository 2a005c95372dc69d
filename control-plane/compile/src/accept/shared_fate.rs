//! What follows for redundancy: a group whose members used to be separate and now share a domain has lost what it was there for.
//!
//! One member's move alone may change no bound: only together with the other's does it. The relation is therefore a delta of its own, which
//! shows the joint impact; it follows from its members' deltas and is taken with them.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{ComponentName, Expr};

use super::{Change, Delta, DomainRelation};
use crate::compile::is_redundant;
use crate::model::{Finding, Model, Status};

type Group = BTreeSet<ComponentName>;

pub(super) fn deltas(before: &Model, after: &Model, deltas: &[Delta]) -> Vec<Delta> {
    let was = relations(before, before);
    // Whoever has no operators of its own keeps the accepted ones.
    let is = relations(after, if after.structure.is_some() { after } else { before });
    let changed = is.into_iter().filter_map(|(group, after)| {
        let before = *was.get(&group)?;
        (before != after).then_some((group, before, after))
    });
    changed.filter_map(|(group, before, after)| delta(group, before, after, deltas)).collect()
}

fn delta(group: Group, before: DomainRelation, after: DomainRelation, deltas: &[Delta]) -> Option<Delta> {
    let of_member = |delta: &&Delta| match &delta.change {
        Change::FailureDomain { component, .. } => group.contains(component),
        _ => false,
    };
    let causes: Vec<_> = deltas.iter().filter(of_member).collect();
    let evidence = together(&causes)?;
    let follows = causes.iter().map(|delta| delta.id.clone()).collect();
    let mut delta = Delta::new(Change::SharedFate { group, before, after }, evidence)?;
    delta.follows = follows;
    Some(delta)
}

/// As sure as the least sure of them.
fn together(causes: &[&Delta]) -> Option<Finding> {
    let least = causes.iter().map(|delta| delta.evidence()).min_by(|a, b| {
        let rank = |finding: &Finding| match finding.status {
            Status::Contradictory => 0,
            Status::Unresolved => 1,
            Status::Identified => 2,
        };
        rank(a).cmp(&rank(b)).then(a.confidence.get().total_cmp(&b.confidence.get()))
    })?;
    let provenance = causes.iter().flat_map(|delta| delta.evidence().provenance.clone()).collect();
    Some(Finding { provenance, ..least.clone() })
}

/// Every redundant operator of a structure by the components below it, and how they stand by a model's domains.
fn relations(model: &Model, structure: &Model) -> BTreeMap<Group, DomainRelation> {
    let mut found = BTreeMap::new();
    let mut open: Vec<&Expr> = structure.structure.iter().map(|journey| journey.root()).collect();
    while let Some(expr) = open.pop() {
        if is_redundant(expr) {
            found.insert(expr.leaves().into_iter().cloned().collect(), relation(model, expr));
        }
        open.extend(expr.children());
    }
    found
}

fn relation(model: &Model, redundant: &Expr) -> DomainRelation {
    let mut seen: BTreeSet<&String> = BTreeSet::new();
    let (mut shared, mut unknown) = (false, false);
    for operand in redundant.children() {
        let mut own = BTreeSet::new();
        for name in operand.leaves() {
            let (status, domains) = model.domains_of(name);
            unknown |= status != Status::Identified;
            own.extend(domains.into_iter().flatten());
        }
        shared |= !seen.is_disjoint(&own);
        seen.extend(own);
    }
    match (unknown, shared) {
        (true, _) => DomainRelation::Unknown,
        (false, true) => DomainRelation::Shared,
        (false, false) => DomainRelation::Separate,
    }
}
