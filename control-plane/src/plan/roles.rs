//! What each leaf is to the others: who calls it, who answers for it, what it encloses.

use std::collections::BTreeSet;

use emac_core::id::{HopKey, WorkloadName};
use emac_core::journey::{ComponentName, Expr};
use emac_core::units::Ratio;

use super::input::JourneyInput;
use emac_journey::intent::{HopRef, Reach};

/// What a leaf is, by its place among the leaves.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Role {
    /// Called, and nothing a sidecar knows of answers for it.
    Plain,
    /// Called; the leaf at `alternate` answers for it.
    Primary { alternate: usize, weight: Ratio },
    /// Asked by the sidecar that called the leaf at `of`.
    Alternate { of: usize },
}

/// Roles of all leaves, from left to right.
#[derive(Debug)]
pub(super) struct Roles {
    roles: Vec<Role>,
    hops: Vec<Vec<HopKey>>,
    encloses: Vec<BTreeSet<usize>>,
    /// Fallbacks no sidecar can carry out.
    pub(super) notes: Vec<String>,
}

impl Roles {
    pub(super) fn new(intent: &JourneyInput) -> Self {
        let leaves = intent.structure.leaves();
        let mut found = Self {
            roles: vec![Role::Plain; leaves.len()],
            hops: leaves.iter().map(|name| hops_of(intent, name)).collect(),
            encloses: enclosures(intent, &leaves),
            notes: Vec::new(),
        };
        found.walk(intent.structure.root(), &mut 0);
        found
    }

    pub(super) fn get(&self, place: usize) -> Option<&Role> {
        self.roles.get(place)
    }

    /// Hops of a leaf, one for each workload that calls it.
    pub(super) fn hops(&self, place: usize) -> &[HopKey] {
        self.hops.get(place).map_or(&[], Vec::as_slice)
    }

    /// Hops of all leaves, each once.
    pub(super) fn all_hops(&self) -> Vec<HopKey> {
        let all: BTreeSet<&HopKey> = self.hops.iter().flatten().collect();
        all.into_iter().cloned().collect()
    }

    pub(super) fn encloses(&self, place: usize) -> bool {
        !self.enclosed(place).is_empty()
    }

    /// Leaves called, directly or not, while the call of this one lasts.
    pub(super) fn enclosed(&self, place: usize) -> Vec<usize> {
        self.encloses.get(place).map(|set| set.iter().copied().collect()).unwrap_or_default()
    }

    fn walk(&mut self, expr: &Expr, next: &mut usize) {
        match expr {
            Expr::Leaf(_) => *next += 1,
            Expr::Fallback { primary, alternates } => {
                let of = *next;
                let alternate = of + primary.leaves().len();
                let first = alternates.first();
                let both = direct_leaf(primary).zip(first.and_then(|first| direct_leaf(&first.expr)));
                match (both, first) {
                    (Some(_), Some(first)) => {
                        self.set(of, Role::Primary { alternate, weight: first.weight });
                        self.set(alternate, Role::Alternate { of });
                    }
                    _ => self.notes.push(format!(
                        "{expr}: a sidecar falls back from one hop to one answer; this has its share of the deadline, the rest is the application's"
                    )),
                }
                if alternates.len() > 1 {
                    self.notes.push(format!("{expr}: sidecars use the first alternate only"));
                }
                expr.children().into_iter().for_each(|child| self.walk(child, next));
            }
            other => other.children().into_iter().for_each(|child| self.walk(child, next)),
        }
    }

    fn set(&mut self, place: usize, role: Role) {
        if let Some(slot) = self.roles.get_mut(place) {
            *slot = role;
        }
    }
}

/// The one leaf of an expression a sidecar can handle as one hop: the leaf itself, perhaps retried or timed.
pub(super) fn direct_leaf(expr: &Expr) -> Option<&ComponentName> {
    match expr {
        Expr::Leaf(name) => Some(name),
        Expr::Retry { body, .. } | Expr::Timeout { body, .. } => direct_leaf(body),
        _ => None,
    }
}

pub(super) fn hop_ref<'a>(intent: &'a JourneyInput, name: &ComponentName) -> Option<&'a HopRef> {
    match &intent.components.get(name)?.reach {
        Reach::Hop(hop) => Some(hop),
        Reach::Static(_) | Reach::Unseen => None,
    }
}

/// Workloads that call a hop: its source, or the edges.
fn sources<'a>(intent: &'a JourneyInput, hop: &'a HopRef) -> &'a [WorkloadName] {
    hop.source.as_ref().map_or(intent.runtime.edges.as_slice(), std::slice::from_ref)
}

fn hops_of(intent: &JourneyInput, name: &ComponentName) -> Vec<HopKey> {
    let Some(hop) = hop_ref(intent, name) else { return Vec::new() };
    let key = |source: &WorkloadName| HopKey {
        journey: intent.name.as_str().to_owned(),
        source: source.as_str().to_owned(),
        destination: hop.destination.clone(),
        operation: hop.operation.clone(),
    };
    sources(intent, hop).iter().map(key).collect()
}

/// For each leaf the leaves its workload calls, and those theirs call, and so on.
fn enclosures(intent: &JourneyInput, leaves: &[&ComponentName]) -> Vec<BTreeSet<usize>> {
    let hops: Vec<Option<&HopRef>> = leaves.iter().map(|name| hop_ref(intent, name)).collect();
    let called_by = |workload: &WorkloadName| {
        let calls = |hop: &Option<&HopRef>| hop.is_some_and(|hop| sources(intent, hop).contains(workload));
        hops.iter().enumerate().filter(move |(_, hop)| calls(hop)).map(|(place, _)| place).collect::<Vec<_>>()
    };
    let closure = |hop: &Option<&HopRef>| {
        let mut found = BTreeSet::new();
        let mut open: Vec<&WorkloadName> = hop.iter().filter_map(|hop| hop.workload.as_ref()).collect();
        while let Some(workload) = open.pop() {
            for place in called_by(workload).into_iter().filter(|&place| found.insert(place)) {
                open.extend(hops.get(place).and_then(|hop| hop.and_then(|hop| hop.workload.as_ref())));
            }
        }
        found
    };
    hops.iter().map(closure).collect()
}
