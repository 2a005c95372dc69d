//! Two models to one: a walk over both that asks, change by change, which side to take.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::Journey;

use super::{Change, structure};
use crate::model::{Edge, Model, Redundancy};

/// Answers whether a change is taken.
pub(super) type Choose<'a> = dyn FnMut(Change) -> bool + 'a;

/// What a walk gives.
pub(super) struct Merged {
    /// Everything but the structure and what is known about the fields, which are the accepted model's.
    pub(super) model: Model,
    /// The structure, or why there is none.
    pub(super) structure: Result<Option<Journey>, String>,
}

/// Who has a value, where the two differ.
enum Sides<'a, T> {
    Both(&'a T, &'a T),
    Before(&'a T),
    After(&'a T),
}

impl<'a, T> Sides<'a, T> {
    fn new(before: Option<&'a T>, after: Option<&'a T>) -> Option<Self> {
        match (before, after) {
            (Some(before), Some(after)) => Some(Self::Both(before, after)),
            (Some(before), None) => Some(Self::Before(before)),
            (None, Some(after)) => Some(Self::After(after)),
            (None, None) => None,
        }
    }
}

impl<T: Clone> Sides<'_, T> {
    fn owned(&self) -> (Option<T>, Option<T>) {
        match *self {
            Self::Both(before, after) => (Some(before.clone()), Some(after.clone())),
            Self::Before(before) => (Some(before.clone()), None),
            Self::After(after) => (None, Some(after.clone())),
        }
    }
}

/// Walks. Which changes there are depends on the models alone, never on the answers. O(n log n), and O(n) for each item that only the accepted
/// model has.
pub(super) fn merge(before: &Model, after: &Model, choose: &mut Choose<'_>) -> Merged {
    let structure = structure::merge(before.structure.as_ref(), after.structure.as_ref(), choose);
    let nodes = maps(&units(&before.nodes), &units(&after.nodes), choose, |name, sides| match sides {
        Sides::Before(()) => Change::NodeRemoved(name.clone()),
        _ => Change::NodeAdded(name.clone()),
    });
    let edges = lists(&before.edges, &after.edges, ends, choose, |sides| match sides {
        Sides::Both(before, after) => Change::EdgeChanged { before: before.clone(), after: after.clone() },
        Sides::Before(edge) => Change::EdgeRemoved(edge.clone()),
        Sides::After(edge) => Change::EdgeAdded(edge.clone()),
    });
    let group = |redundancy: &Redundancy| redundancy.group.clone();
    let redundancy = lists(&before.redundancy, &after.redundancy, group, choose, |sides| {
        let (before, after) = sides.owned();
        Change::Redundancy { before, after }
    });
    let domains = maps(&before.domains, &after.domains, choose, |component, sides| {
        let (before, after) = sides.owned();
        Change::FailureDomain { component: component.clone(), before, after }
    });
    let runtime = maps(&before.runtime, &after.runtime, choose, |(from, to), sides| {
        let (before, after) = sides.owned();
        Change::Runtime { from: from.clone(), to: to.clone(), before, after }
    });
    let nodes = nodes.into_keys().collect();
    let model = Model { nodes, edges, redundancy, domains, runtime, ..before.clone() };
    Merged { model, structure }
}

fn ends(edge: &Edge) -> (String, String) {
    (edge.from.clone(), edge.to.clone())
}

fn units(names: &BTreeSet<String>) -> BTreeMap<String, ()> {
    names.iter().map(|name| (name.clone(), ())).collect()
}

/// One value: as it is where both agree, else as the answer says.
fn value<'a, T: PartialEq>(
    before: Option<&'a T>,
    after: Option<&'a T>,
    choose: &mut Choose<'_>,
    change: impl FnOnce(Sides<'a, T>) -> Change,
) -> Option<&'a T> {
    if before == after {
        return after;
    }
    let taken = Sides::new(before, after).is_some_and(|sides| choose(change(sides)));
    if taken { after } else { before }
}

/// Key by key.
fn maps<K: Ord + Clone, V: PartialEq + Clone>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    choose: &mut Choose<'_>,
    change: impl Fn(&K, Sides<'_, V>) -> Change,
) -> BTreeMap<K, V> {
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    let mut merged = BTreeMap::new();
    for key in keys {
        let value = value(before.get(key), after.get(key), choose, |sides| change(key, sides));
        merged.extend(value.map(|value| (key.clone(), value.clone())));
    }
    merged
}

/// Item by item; items of one key are told apart by their order. The candidate's order stands; what it lacks and is kept follows what it
/// followed.
fn lists<T: PartialEq + Clone, K: Ord + Clone>(
    before: &[T],
    after: &[T],
    key: impl Fn(&T) -> K,
    choose: &mut Choose<'_>,
    change: impl Fn(Sides<'_, T>) -> Change,
) -> Vec<T> {
    let (before, after) = (numbered(before, &key), numbered(after, &key));
    let was: BTreeMap<_, _> = before.iter().map(|(key, item)| (key, item)).collect();
    let is: BTreeSet<_> = after.iter().map(|(key, _)| key).collect();
    let mut base = Vec::new();
    for (key, item) in &after {
        let value = value(was.get(key).copied(), Some(item), choose, &change);
        base.extend(value.map(|value| (key, value.clone())));
    }
    let gone = before.iter().filter(|(key, _)| !is.contains(key));
    let kept = gone.filter_map(|(key, item)| Some((key, value(Some(item), None, choose, &change)?.clone())));
    let kept: Vec<_> = kept.collect();
    let order: Vec<_> = before.iter().map(|(key, _)| key).collect();
    interleave(base, &order, kept)
}

/// Items with their keys and how many of the same key stand before them.
fn numbered<T: Clone, K: Ord + Clone>(items: &[T], key: impl Fn(&T) -> K) -> Vec<((K, usize), T)> {
    let mut counts = BTreeMap::new();
    let mut number = |key: K| {
        let count = counts.entry(key.clone()).or_insert(0_usize);
        *count += 1;
        (key, *count)
    };
    items.iter().map(|item| (number(key(item)), item.clone())).collect()
}

/// Puts each extra behind the nearest item that stood before it in `order`, or first.
pub(super) fn interleave<K: PartialEq, T>(mut base: Vec<(K, T)>, order: &[K], extras: Vec<(K, T)>) -> Vec<T> {
    for (key, item) in extras {
        let place = order.iter().position(|other| *other == key).unwrap_or(0);
        let mut before = order.iter().take(place).rev();
        let behind = before.find_map(|other| base.iter().position(|(key, _)| key == other));
        base.insert(behind.map_or(0, |place| place + 1), (key, item));
    }
    base.into_iter().map(|(_, item)| item).collect()
}
