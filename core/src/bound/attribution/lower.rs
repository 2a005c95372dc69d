//! A- asked again and again: of a tree where that is possible, else of the whole journey.
//!
//! A component that occurs twice is conditioned on, which takes all of the journey. But where every operand of the root must succeed, A- is in
//! proportion to what an operand is worth that holds no such component: each state's value is, and so are their mixtures and the better of two.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;

use super::tree::Tree;
use crate::bound::evaluate::repeated;
use crate::bound::shared_fate::shared_fate_given;
use crate::bound::{Facts, Interval, Unbound, View, shared_fate};
use crate::journey::{ComponentName, Expr, Join, Journey};

/// A- of the immediate outcome as a function of its components.
pub(super) struct Lower<'a> {
    journey: &'a Journey,
    facts: &'a Facts,
    value: f64,
    /// `None`: some component occurs twice.
    tree: Option<Tree<'a>>,
    /// Then operands that A- is in proportion to, by their components.
    factors: BTreeMap<&'a ComponentName, Rc<Tree<'a>>>,
}

impl<'a> Lower<'a> {
    /// # Errors
    /// [`Unbound`].
    pub(super) fn new(journey: &'a Journey, facts: &'a Facts) -> Result<Self, Unbound> {
        let repeated = repeated(journey.root(), View::Eventual);
        let mut factors = BTreeMap::new();
        if repeated.is_empty() {
            let tree = Tree::new(journey, journey.root(), facts)?;
            return Ok(Self { journey, facts, value: tree.value(), tree: Some(tree), factors });
        }
        if let Expr::Series(all) | Expr::Parallel { join: Join::All, branches: all } = journey.root() {
            for operand in all {
                let leaves = operand.leaves();
                if leaves.iter().any(|name| repeated.contains(name)) {
                    continue;
                }
                let tree = Rc::new(Tree::new(journey, operand, facts)?);
                factors.extend(leaves.into_iter().map(|name| (name, Rc::clone(&tree))));
            }
        }
        let value = shared_fate(journey, facts, View::Immediate)?.interval.lo();
        Ok(Self { journey, facts, value, tree: None, factors })
    }

    /// A-.
    pub(super) const fn value(&self) -> f64 {
        self.value
    }

    /// A- if one component were worth `value`.
    pub(super) fn with(&self, name: &ComponentName, value: f64) -> f64 {
        match (&self.tree, self.factors.get(name).filter(|factor| factor.value() > 0.0)) {
            (Some(tree), _) => tree.with(name, value),
            (None, Some(factor)) => (self.value / factor.value() * factor.with(name, value)).min(1.0),
            (None, None) => self.of(&self.facts.with(name, Interval::of(value, value)), None),
        }
    }

    /// A- if components were worth what `values` says.
    pub(super) fn with_all(&self, values: &BTreeMap<ComponentName, f64>) -> f64 {
        if let Some(tree) = &self.tree {
            return tree.with_all(&|name| values.get(name).copied());
        }
        let mut facts = self.facts.clone();
        for (name, &value) in values {
            if let Some(component) = facts.components.get_mut(name) {
                component.availability = Interval::of(value, value);
            }
        }
        self.of(&facts, None)
    }

    /// A- if one node were worth `value`.
    pub(super) fn with_node(&self, node: &Expr, value: f64) -> f64 {
        match &self.tree {
            Some(tree) => tree.with_node(node, value),
            None => self.of(self.facts, Some((node, Interval::of(value, value)))),
        }
    }

    /// Component names, each once, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a ComponentName> + use<'a> {
        self.journey.leaves().into_iter().collect::<BTreeSet<_>>().into_iter()
    }

    fn of(&self, facts: &Facts, given: Option<(&Expr, Interval)>) -> f64 {
        // Every leaf is known.
        shared_fate_given(self.journey, facts, View::Immediate, given)
            .map_or(0.0, |bound| bound.interval.lo())
    }
}
