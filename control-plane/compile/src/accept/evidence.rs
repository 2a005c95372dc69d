//! What speaks for a change: the candidate's finding about the field that it changes.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{ComponentName, Expr};
use emac_core::units::Ratio;

use super::Change;
use crate::model::{Field, Finding, Model, Provenance, Status};

/// The finding about the changed field. Where the candidate has none, its evidence as a whole is named and the change is unresolved: it
/// rests on what was not seen, or on something that nobody weighed. Empty provenance when there is no evidence either.
pub(super) fn of(change: &Change, candidate: &Model) -> Finding {
    let fields = fields(change, candidate);
    let exact = fields.iter().find_map(|field| candidate.findings.get(field));
    let enclosing = || change.place().and_then(|place| enclosing(place, candidate));
    exact.or_else(enclosing).cloned().unwrap_or_else(|| unweighed(candidate))
}

/// Fields that a change is about, the nearest first.
fn fields(change: &Change, candidate: &Model) -> Vec<Field> {
    let edge = |from: &str, to: &str| Field::Edge { from: from.to_owned(), to: to.to_owned() };
    match change {
        Change::EdgeAdded(one) | Change::EdgeRemoved(one) | Change::EdgeChanged { after: one, .. } => {
            vec![edge(&one.from, &one.to)]
        }
        Change::FailureDomain { component, .. } => vec![Field::Domains(component.clone())],
        Change::Runtime { from, to, .. } => {
            vec![Field::Runtime { from: from.clone(), to: to.clone() }, edge(from, to)]
        }
        Change::BranchProbability { of, .. } => {
            vec![Field::Probability(of.clone()), Field::Operator(of.clone())]
        }
        // A callee is there because it is called, a group because of the operator that makes it one.
        Change::NodeAdded(name) => {
            let touches =
                |field: &&Field| matches!(field, Field::Edge { from, to } if from == name || to == name);
            candidate.findings.keys().find(touches).cloned().into_iter().collect()
        }
        Change::Redundancy { after: Some(after), .. } => operators(candidate)
            .filter(|expr| expr.operator() != "Leaf" && same_leaves(expr, &after.group))
            .map(|expr| Field::Operator(expr.to_string()))
            .collect(),
        other => other.place().map(|of| Field::Operator(of.to_owned())).into_iter().collect(),
    }
}

/// The finding about the smallest operator around a part of the candidate's expression.
fn enclosing<'a>(place: &str, candidate: &'a Model) -> Option<&'a Finding> {
    let around = candidate.findings.iter().filter_map(|(field, finding)| match field {
        Field::Operator(text) if text.contains(place) => Some((text, finding)),
        _ => None,
    });
    around.min_by_key(|(text, _)| text.len()).map(|(_, finding)| finding)
}

fn unweighed(candidate: &Model) -> Finding {
    let provenance = |evidence: &crate::model::EvidenceRef| Provenance {
        source: evidence.source,
        says: format!("{} as a whole; no finding for this field", evidence.name),
        traces: Vec::new(),
        place: None,
    };
    let provenance = candidate.evidence.iter().map(provenance).collect();
    Finding { status: Status::Unresolved, confidence: Ratio::ZERO, samples: 0, provenance }
}

/// Of each field the finding of the side whose value the merged model has, the candidate's first.
pub(super) fn merged_findings(before: &Model, after: &Model, merged: &Model) -> BTreeMap<Field, Finding> {
    let mut findings = BTreeMap::new();
    for side in [before, after] {
        for (field, finding) in &side.findings {
            if says_the_same(field, side, merged) {
                findings.insert(field.clone(), finding.clone());
            }
        }
    }
    findings
}

/// Whether two models agree about a field.
fn says_the_same(field: &Field, one: &Model, other: &Model) -> bool {
    match field {
        Field::Edge { from, to } => {
            let edges = |model: &Model| {
                let edges = model.edges.iter().filter(|edge| edge.from == *from && edge.to == *to);
                edges.cloned().collect::<Vec<_>>()
            };
            edges(one) == edges(other)
        }
        Field::Domains(name) => one.domains.get(name) == other.domains.get(name),
        Field::Runtime { from, to } => {
            let key = (from.clone(), to.clone());
            one.runtime.get(&key) == other.runtime.get(&key)
        }
        Field::Operator(text) | Field::Probability(text) => has(one, text) == has(other, text),
    }
}

/// Whether an operator stands somewhere in a model's structure.
fn has(model: &Model, text: &str) -> bool {
    operators(model).any(|expr| expr.to_string() == text)
}

fn same_leaves(expr: &Expr, group: &BTreeSet<ComponentName>) -> bool {
    expr.leaves().into_iter().collect::<BTreeSet<_>>().into_iter().eq(group)
}

/// Every node of a model's structure.
fn operators(model: &Model) -> impl Iterator<Item = &Expr> {
    let mut open: Vec<&Expr> = model.structure.iter().map(|journey| journey.root()).collect();
    std::iter::from_fn(move || {
        let expr = open.pop()?;
        open.extend(expr.children());
        Some(expr)
    })
}
