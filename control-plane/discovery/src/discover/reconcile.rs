//! Evidence and intent: what the intent declares is held against what was seen.
//!
//! Structure comes from evidence. From the intent comes what evidence cannot show: the exact value of a probability that lies in the interval seen, the
//! worth of an alternate, the attempts of a retry that never needed all. Redundancy that was never needed leaves no trace; where nothing
//! contradicts it, it is kept as declared and says so. A redundancy that *was* needed and did not come is a disagreement.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{Alternative, Choice, ComponentName, Expr};
use emac_core::units::Ratio;

use super::candidate::{NodeKey, key};
use super::structure::SUPPORT_MIN;

/// How often a component was called and failed.
pub(super) type Calls = BTreeMap<ComponentName, (u64, u64)>;

/// What was taken from the intent.
#[derive(Debug, Default)]
pub(super) struct FromIntent {
    /// Operators that evidence neither shows nor contradicts.
    pub(super) unexercised: BTreeMap<NodeKey, String>,
    /// Operators whose parameters are as declared.
    pub(super) confirmed: BTreeSet<NodeKey>,
    /// Declared redundancy that was needed and did not come, as (declared, what was seen).
    pub(super) refuted: Vec<(Expr, String)>,
}

/// Holds an expression against what is declared.
pub(super) fn reconcile(found: Expr, declared: &Expr, calls: &Calls) -> (Expr, FromIntent) {
    let mut taken = FromIntent::default();
    let mut all = Vec::new();
    postorder(declared, &mut all);
    // Inner operators first: the outer ones stand around them.
    let mut expr = rename_kept(found, declared);
    for operator in &all {
        expr = supply(expr, operator, calls, &mut taken);
    }
    let declared: BTreeMap<NodeKey, &Expr> = all.iter().map(|expr| (key(expr), *expr)).collect();
    (adopt(expr, &declared, &mut taken), taken)
}

fn postorder<'a>(expr: &'a Expr, into: &mut Vec<&'a Expr>) {
    expr.children().into_iter().for_each(|child| postorder(child, into));
    if !matches!(expr, Expr::Leaf(_)) {
        into.push(expr);
    }
}

fn leaves(expr: &Expr) -> BTreeSet<ComponentName> {
    expr.leaves().into_iter().cloned().collect()
}

/// An answer kept in a sidecar has the name that the intent gives to what stands in for the same primary.
fn rename_kept(found: Expr, declared: &Expr) -> Expr {
    let Expr::Fallback { primary, alternates } = &found else {
        return map_children(found, &mut |child| rename_kept(child, declared));
    };
    match same_kept(primary, alternates, declared) {
        Some(declared) => Expr::Fallback { primary: primary.clone(), alternates: declared.to_vec() },
        None => found,
    }
}

/// The declared alternates of a primary whose alternates are answers kept in a sidecar.
fn same_kept<'a>(
    primary: &Expr,
    alternates: &[Alternative],
    declared: &'a Expr,
) -> Option<&'a [Alternative]> {
    let own = leaves(primary);
    let is_kept = |alternate: &Alternative| matches!(&alternate.expr, Expr::Leaf(name) if own.iter().any(|of| name.as_str() == format!("{of}-fallback")));
    if !alternates.iter().all(is_kept) {
        return None;
    }
    let mut all = Vec::new();
    postorder(declared, &mut all);
    all.into_iter().find_map(|expr| match expr {
        Expr::Fallback { primary, alternates } if leaves(primary) == own => Some(alternates.as_slice()),
        _ => None,
    })
}

/// Which names [`reconcile`] gives to answers kept in a sidecar.
pub(super) fn names_of_kept(
    found: &Expr,
    declared: &Expr,
) -> BTreeMap<ComponentName, BTreeSet<ComponentName>> {
    let (mut names, mut all) = (BTreeMap::new(), Vec::new());
    postorder(found, &mut all);
    for expr in all {
        let Expr::Fallback { primary, alternates } = expr else { continue };
        let Some(same) = same_kept(primary, alternates, declared) else { continue };
        let new: BTreeSet<_> = same.iter().flat_map(|alternate| leaves(&alternate.expr)).collect();
        names.extend(alternates.iter().flat_map(|one| leaves(&one.expr)).map(|old| (old, new.clone())));
    }
    names
}

/// Puts a declared operator around what it protects, where evidence could not have shown it.
fn supply(found: Expr, declared: &Expr, calls: &Calls, taken: &mut FromIntent) -> Expr {
    let protected: BTreeSet<_> = match declared {
        Expr::Fallback { primary, .. } => leaves(primary),
        Expr::Race { branches, .. } => branches.first().map(leaves).unwrap_or_default(),
        Expr::Retry { body, .. } | Expr::Timeout { body, .. } => leaves(body),
        _ => return found,
    };
    let mut present = Vec::new();
    postorder(&found, &mut present);
    if present.iter().any(|expr| key(expr) == key(declared)) {
        return found;
    }
    let others: BTreeSet<_> = leaves(declared).difference(&protected).cloned().collect();
    let seen: BTreeSet<_> = leaves(&found);
    if !others.is_disjoint(&seen) || !protected.is_subset(&seen) {
        return found;
    }
    let failed: u64 = protected.iter().filter_map(|name| calls.get(name)).map(|(_, failed)| failed).sum();
    if failed >= SUPPORT_MIN && !matches!(declared, Expr::Timeout { .. }) {
        taken.refuted.push((declared.clone(), format!("{failed} calls failed without a fallback")));
        return found;
    }
    let wrapped = wrap(found, &protected, declared);
    taken.unexercised.insert(
        key(declared),
        format!("declared; needed in {failed} requests, too few to confirm or refute it"),
    );
    wrapped
}

/// Replaces the node over exactly these leaves by the declared operator around it.
fn wrap(found: Expr, protected: &BTreeSet<ComponentName>, declared: &Expr) -> Expr {
    if leaves(&found) != *protected {
        return map_children(found, &mut |child| wrap(child, protected, declared));
    }
    match declared {
        Expr::Fallback { alternates, .. } => {
            Expr::Fallback { primary: Box::new(found), alternates: alternates.clone() }
        }
        Expr::Race { delay, branches } => {
            let rest = branches.iter().skip(1).cloned();
            Expr::Race { delay: *delay, branches: std::iter::once(found).chain(rest).collect() }
        }
        Expr::Retry { attempts, per_try_timeout, .. } => {
            Expr::Retry { attempts: *attempts, per_try_timeout: *per_try_timeout, body: Box::new(found) }
        }
        Expr::Timeout { after, .. } => Expr::Timeout { after: *after, body: Box::new(found) },
        _ => found,
    }
}

/// Takes declared parameters where what was seen agrees with them, operator by operator.
fn adopt(found: Expr, declared: &BTreeMap<NodeKey, &Expr>, taken: &mut FromIntent) -> Expr {
    let key = key(&found);
    let found = match declared.get(&key) {
        Some(stated) => {
            taken.confirmed.insert(key);
            with_parameters(found, stated)
        }
        None => found,
    };
    map_children(found, &mut |child| adopt(child, declared, taken))
}

/// An operator with the parameters of the declared one over the same components, where what was seen agrees with them.
fn with_parameters(found: Expr, stated: &Expr) -> Expr {
    match (found, stated) {
        (Expr::Branch(choices), Expr::Branch(stated)) => Expr::Branch(agreed(choices, stated)),
        // Attempts seen are those that were needed.
        (Expr::Retry { attempts, body, .. }, Expr::Retry { attempts: stated, per_try_timeout, .. })
            if attempts <= *stated =>
        {
            Expr::Retry { attempts: *stated, per_try_timeout: *per_try_timeout, body }
        }
        (Expr::Timeout { after, body }, Expr::Timeout { after: stated, .. }) if near(after.0, stated.0) => {
            Expr::Timeout { after: *stated, body }
        }
        (Expr::Race { delay, branches }, Expr::Race { delay: stated, .. })
            if near(delay.0, stated.0) || delay.0 == 0 =>
        {
            Expr::Race { delay: *stated, branches }
        }
        (Expr::Fallback { primary, alternates }, Expr::Fallback { alternates: stated, .. }) => {
            Expr::Fallback { primary, alternates: weighed(alternates, stated) }
        }
        (found, _) => found,
    }
}

/// Times are the same that differ by one in so many: a person writes round numbers, and a sample of requests meets its timer a little late.
const NEAR_PART: u64 = 10;

/// Times that a person would call the same. Below a few milliseconds one millisecond is the least difference there is.
fn near(seen: u64, stated: u64) -> bool {
    seen.abs_diff(stated) * NEAR_PART <= stated.max(NEAR_PART)
}

/// Probabilities as stated, where every one lies in the interval seen.
fn agreed(choices: Vec<Choice>, stated: &[Choice]) -> Vec<Choice> {
    let of = |choice: &Choice| stated.iter().find(|other| leaves(&other.expr) == leaves(&choice.expr));
    let inside = |choice: &Choice| {
        of(choice).is_some_and(|other| {
            choice.probability.lo() <= other.probability.hi()
                && other.probability.lo() <= choice.probability.hi()
        })
    };
    if !choices.iter().all(inside) {
        return choices;
    }
    let adopted = choices.into_iter().map(|choice| {
        let probability = of(&choice).map_or(choice.probability, |other| other.probability);
        Choice { probability, ..choice }
    });
    adopted.collect()
}

/// The worth of answers is nothing that a trace shows. In another order than the stated one an answer is worth no more than those before it.
fn weighed(alternates: Vec<Alternative>, stated: &[Alternative]) -> Vec<Alternative> {
    let weighed = alternates.into_iter().map(|alternate| {
        let same = stated.iter().find(|other| leaves(&other.expr) == leaves(&alternate.expr));
        Alternative { weight: same.map_or(alternate.weight, |other| other.weight), ..alternate }
    });
    falling(weighed)
}

/// An alternate is worth at most what those before it are.
pub(super) fn falling(alternates: impl Iterator<Item = Alternative>) -> Vec<Alternative> {
    let mut most = Ratio::ONE;
    let capped = |alternate: Alternative| {
        if alternate.weight < most {
            most = alternate.weight;
        }
        Alternative { weight: most, ..alternate }
    };
    alternates.map(capped).collect()
}

/// The same operator over changed operands.
fn map_children(expr: Expr, change: &mut dyn FnMut(Expr) -> Expr) -> Expr {
    match expr {
        Expr::Leaf(_) => expr,
        Expr::Series(steps) => Expr::Series(steps.into_iter().map(change).collect()),
        Expr::Parallel { join, branches } => {
            Expr::Parallel { join, branches: branches.into_iter().map(change).collect() }
        }
        Expr::Race { delay, branches } => {
            Expr::Race { delay, branches: branches.into_iter().map(change).collect() }
        }
        Expr::Fallback { primary, alternates } => {
            let primary = Box::new(change(*primary));
            let alternates =
                alternates.into_iter().map(|a| Alternative { expr: change(a.expr), ..a }).collect();
            Expr::Fallback { primary, alternates }
        }
        Expr::Branch(choices) => {
            Expr::Branch(choices.into_iter().map(|c| Choice { expr: change(c.expr), ..c }).collect())
        }
        Expr::Retry { attempts, per_try_timeout, body } => {
            Expr::Retry { attempts, per_try_timeout, body: Box::new(change(*body)) }
        }
        Expr::Timeout { after, body } => Expr::Timeout { after, body: Box::new(change(*body)) },
        Expr::Repeat { count, body } => Expr::Repeat { count, body: Box::new(change(*body)) },
        Expr::Async(body) => Expr::Async(Box::new(change(*body))),
    }
}
