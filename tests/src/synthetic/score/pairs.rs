//! How two services stand to each other: decided by the lowest operator over both.

use std::collections::{BTreeMap, BTreeSet};

use super::Count;
use super::form::{Form, Kind};

/// How the first of a pair stands to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// It must be done before the other begins.
    Before,
    /// The other must be done before it begins.
    After,
    /// Both, at the same time.
    Beside,
    /// One or the other.
    Excludes,
    /// One may answer in the other's place.
    StandsIn,
    /// Nobody waits for one of them.
    Unwaited,
}

/// The relation of every two leaves, by (smaller name, larger name).
pub fn relations(form: &Form) -> BTreeMap<(String, String), Relation> {
    let mut found = BTreeMap::new();
    for node in form.all() {
        let operands: Vec<(BTreeSet<String>, bool)> =
            node.children().into_iter().map(|child| (child.leaves(), is_async(child))).collect();
        for (i, (left, unwaited)) in operands.iter().enumerate() {
            for (right, too) in &operands[i + 1..] {
                let relation = node.kind().map(|kind| relation(kind, *unwaited || *too));
                let both = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
                found.extend(both.filter_map(|(a, b)| Some(ordered(a, b, relation?))));
            }
        }
    }
    found
}

fn is_async(form: &Form) -> bool {
    form.kind() == Some(Kind::Async)
}

fn relation(kind: Kind, unwaited: bool) -> Relation {
    match kind {
        _ if unwaited => Relation::Unwaited,
        Kind::Series => Relation::Before,
        Kind::Branch => Relation::Excludes,
        kind if kind.stands_in() => Relation::StandsIn,
        _ => Relation::Beside,
    }
}

fn ordered(a: &str, b: &str, relation: Relation) -> ((String, String), Relation) {
    let turned = match relation {
        Relation::Before => Relation::After,
        other => other,
    };
    if a <= b { ((a.into(), b.into()), relation) } else { ((b.into(), a.into()), turned) }
}

/// Siblings whose relation is the true one.
pub(super) fn count(found: &Form, truth: &Form, siblings: &BTreeSet<(String, String)>) -> Count {
    let of = |form: &Form| -> BTreeSet<_> {
        relations(form).into_iter().filter(|(pair, _)| siblings.contains(pair)).collect()
    };
    Count::sets(&of(found), &of(truth))
}

/// Found nodes by which something stands in for something, or is tried again, for which it does not.
pub(super) fn invented(found: &Form, truth: &Form) -> Vec<String> {
    let known = relations(truth);
    let retried: BTreeSet<String> =
        truth.all().into_iter().filter(|n| n.kind() == Some(Kind::Retry)).flat_map(Form::leaves).collect();
    let stands_in = |a: &String, b: &String| {
        let pair = if a <= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
        known.get(&pair) == Some(&Relation::StandsIn)
    };
    let wrong = |node: &Form| match node.kind() {
        Some(kind) if kind.stands_in() => {
            let operands: Vec<_> = node.children().into_iter().map(Form::leaves).collect();
            operands.iter().enumerate().any(|(i, left)| {
                operands[i + 1..].iter().flatten().any(|b| left.iter().any(|a| !stands_in(a, b)))
            })
        }
        Some(Kind::Retry) => !node.leaves().is_subset(&retried),
        _ => false,
    };
    found.all().into_iter().filter(|n| wrong(n)).filter_map(Form::node).map(|n| format!("{n:?}")).collect()
}
