//! Which operands of two operators belong together: those whose components meet.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::ComponentName;

use super::leaves;
use super::shape::{Operand, OperatorShape};

/// Operands that belong together, by place. Without any on one side they are new, or gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OperandGroup {
    pub(super) was: Vec<usize>,
    pub(super) is: Vec<usize>,
}

impl OperandGroup {
    /// Whether both sides have something.
    pub(super) fn is_matched(&self) -> bool {
        !self.was.is_empty() && !self.is.is_empty()
    }

    /// Whether it can be looked at by itself: one operand against one, or against several that stand together and mean the same apart.
    pub(super) fn is_sensible(&self, was: &OperatorShape, is: &OperatorShape) -> bool {
        match (self.was.len(), self.is.len()) {
            (0..=1, 0..=1) => true,
            (_, 0..=1) => self.is_matched() && is_one(&self.was, was),
            (0..=1, _) => self.is_matched() && is_one(&self.is, is),
            _ => false,
        }
    }
}

fn is_one(places: &[usize], shape: &OperatorShape) -> bool {
    let together = places.windows(2).all(|pair| matches!(pair, [a, b] if a + 1 == *b));
    shape.is_flat() && (together || !shape.is_ordered())
}

/// Connected components of the graph in which operands of the two sides are joined when they have a component in common. What one side alone
/// has joins nothing. O(n log n) in the number of components.
pub(super) fn groups(was: &[Operand], is: &[Operand]) -> Vec<OperandGroup> {
    let names: Vec<_> = was.iter().chain(is).map(|operand| leaves(&operand.expr)).collect();
    let (before, after) = names.split_at(was.len().min(names.len()));
    let of_both = of(before).intersection(&of(after)).copied().collect::<BTreeSet<_>>();
    let mut sets = Sets((0..names.len()).collect());
    let mut owners = BTreeMap::new();
    for (operand, names) in names.iter().enumerate() {
        for name in names.iter().filter(|name| of_both.contains(name)) {
            let owner = *owners.entry(name).or_insert(operand);
            sets.join(owner, operand);
        }
    }
    let mut groups: BTreeMap<usize, OperandGroup> = BTreeMap::new();
    for operand in 0..names.len() {
        let group = groups.entry(sets.root(operand)).or_default();
        match operand.checked_sub(was.len()) {
            None => group.was.push(operand),
            Some(place) => group.is.push(place),
        }
    }
    groups.into_values().collect()
}

fn of(side: &[BTreeSet<ComponentName>]) -> BTreeSet<&ComponentName> {
    side.iter().flatten().collect()
}

/// Disjoint sets; every one points towards its root, the smallest of them.
struct Sets(Vec<usize>);

impl Sets {
    fn root(&self, mut one: usize) -> usize {
        while let Some(&above) = self.0.get(one).filter(|above| **above != one) {
            one = above;
        }
        one
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if let Some(above) = self.0.get_mut(one.max(other)) {
            *above = one.min(other);
        }
    }
}
