//! What nodes were found to be worth while components are conditioned on.
//!
//! With ten components conditioned on the journey is gone through a thousand times, and most nodes depend on few of the ten or on none: each node is
//! worked out once for each state of those that stand in it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec::Vec;

use super::seen::seen;
use super::{Interval, View};
use crate::journey::{ComponentName, Expr};

/// What is given of a component that occurs more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Open,
    Up,
    Down,
    Tied,
}

/// Components whose state is not given, from left to right.
pub(super) type Leaves<'a> = Rc<[&'a ComponentName]>;

/// See the module. Nothing is remembered while no component is conditioned on: what is asked then is asked once.
pub(super) struct Remembered<'a> {
    places: BTreeMap<&'a ComponentName, usize>,
    states: Vec<State>,
    conditioned: usize,
    nodes: BTreeMap<*const Expr, Node<'a>>,
}

/// A node and what is known of it, by how many components are conditioned on and by the states of those that stand in it.
struct Node<'a> {
    inside: Vec<usize>,
    values: BTreeMap<(usize, Vec<State>), Interval>,
    leaves: BTreeMap<(usize, Vec<State>), Leaves<'a>>,
}

impl Node<'_> {
    fn forget(&mut self) {
        self.values.clear();
        self.leaves.clear();
    }
}

impl<'a> Remembered<'a> {
    pub(super) fn new(repeated: &BTreeSet<&'a ComponentName>) -> Self {
        let places = repeated.iter().copied().zip(0..).collect();
        let states = alloc::vec![State::Open; repeated.len()];
        Self { places, states, conditioned: 0, nodes: BTreeMap::new() }
    }

    /// Gives the state of a component, or takes it back.
    pub(super) fn give(&mut self, name: &ComponentName, given: State) {
        let Some(state) = self.places.get(name).and_then(|&place| self.states.get_mut(place)) else { return };
        let counts = |state: State| usize::from(matches!(state, State::Up | State::Down));
        self.conditioned = self.conditioned + counts(given) - counts(*state);
        *state = given;
        if self.conditioned == 0 {
            self.nodes.values_mut().for_each(Node::forget);
        }
    }

    pub(super) fn value(&mut self, expr: &'a Expr, view: View) -> Option<Interval> {
        let (node, key) = self.node(expr, view)?;
        node.values.get(&key).copied()
    }

    pub(super) fn keep_value(&mut self, expr: &'a Expr, view: View, value: Interval) {
        if let Some((node, key)) = self.node(expr, view) {
            node.values.insert(key, value);
        }
    }

    pub(super) fn leaves(&mut self, expr: &'a Expr, view: View) -> Option<Leaves<'a>> {
        let (node, key) = self.node(expr, view)?;
        node.leaves.get(&key).map(Rc::clone)
    }

    pub(super) fn keep_leaves(&mut self, expr: &'a Expr, view: View, leaves: &Leaves<'a>) {
        if let Some((node, key)) = self.node(expr, view) {
            node.leaves.insert(key, Rc::clone(leaves));
        }
    }

    /// A node with its present state; none while no component is conditioned on, and for leaves, which are quicker looked up themselves.
    fn node(&mut self, expr: &'a Expr, view: View) -> Option<(&mut Node<'a>, (usize, Vec<State>))> {
        if self.conditioned == 0 || matches!(expr, Expr::Leaf(_)) {
            return None;
        }
        let Self { places, states, nodes, conditioned } = self;
        let node = nodes.entry(core::ptr::from_ref(expr)).or_insert_with(|| {
            let inside: BTreeSet<usize> =
                seen(expr, view).into_iter().filter_map(|name| places.get(name).copied()).collect();
            Node { inside: inside.into_iter().collect(), values: BTreeMap::new(), leaves: BTreeMap::new() }
        });
        let key = node.inside.iter().filter_map(|&place| states.get(place).copied()).collect();
        Some((node, (*conditioned, key)))
    }
}
