//! Where a journey's unreliability comes from, and what would restore its objective.
//!
//! All functions work on the lower end of the domain envelope (A-) of the immediate outcome, which is what is promised.

mod lower;
mod tree;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::common_cause::halve;
use super::{Facts, Unbound};
use crate::journey::{ComponentName, Expr, Journey};
use lower::Lower;

/// One component's part in the journey's unreliability.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Which component.
    pub component: ComponentName,
    /// Its unavailability (upper end).
    pub unavailability: f64,
    /// Birnbaum importance: the journey's gain when the component goes from always failing to never. Birnbaum 1969.
    pub importance: f64,
    /// The journey's gain when the component never failed.
    pub gain: f64,
}

/// A change of one component that restores the objective by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which component.
    pub component: ComponentName,
    /// Its availability now (lower end).
    pub from: f64,
    /// What it would have to be.
    pub to: f64,
}

fn availability(facts: &Facts, name: &ComponentName) -> Result<f64, Unbound> {
    let known = facts.components.get(name).ok_or_else(|| Unbound(name.clone()))?;
    Ok(known.availability.lo())
}

/// Every component, largest gain first, then by name. O(size · depth), and for each component the operands of the nodes above it; where a
/// component occurs twice, the whole journey again.
///
/// # Errors
/// [`Unbound`].
pub fn attribute(journey: &Journey, facts: &Facts) -> Result<Vec<Attribution>, Unbound> {
    let lower = Lower::new(journey, facts)?;
    let of = |name: &ComponentName| {
        let (best, worst) = (lower.with(name, 1.0), lower.with(name, 0.0));
        Ok(Attribution {
            component: name.clone(),
            unavailability: 1.0 - availability(facts, name)?,
            importance: best - worst,
            gain: best - lower.value(),
        })
    };
    let mut found = lower.names().map(of).collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    Ok(found)
}

/// The least availability of one component with which A- meets the objective; its own when it does already, `None` when even 1 is not
/// enough.
///
/// # Errors
/// [`Unbound`].
pub fn required(
    journey: &Journey,
    facts: &Facts,
    name: &ComponentName,
    objective: f64,
) -> Result<Option<f64>, Unbound> {
    let lower = Lower::new(journey, facts)?;
    Ok(least(availability(facts, name)?, |value| lower.with(name, value) >= objective))
}

/// The least value of the node at `path` (as in [`InvalidExpr::path`](crate::journey::InvalidExpr), over the normal form) with which A-
/// meets the objective; `None` when even 1 is not enough, or there is no such node.
///
/// # Errors
/// [`Unbound`].
pub fn required_at(
    journey: &Journey,
    facts: &Facts,
    path: &[usize],
    objective: f64,
) -> Result<Option<f64>, Unbound> {
    let lower = Lower::new(journey, facts)?;
    let step =
        |node: Option<_>, &place: &usize| node.and_then(|node: &Expr| node.children().get(place).copied());
    let node = path.iter().fold(Some(journey.root()), step);
    Ok(node.and_then(|node| least(0.0, |value| lower.with_node(node, value) >= objective)))
}

/// The least value from `start` to 1 that is enough; `enough` is monotone.
fn least(start: f64, enough: impl Fn(f64) -> bool) -> Option<f64> {
    if enough(start) {
        Some(start)
    } else if enough(1.0) {
        Some(halve(start, 1.0, enough))
    } else {
        None
    }
}

/// The one-component change that restores the objective with the smallest increase of availability; `None` when none alone does, or
/// nothing is to restore. Ties go to the first name.
///
/// # Errors
/// [`Unbound`].
pub fn smallest_change(journey: &Journey, facts: &Facts, objective: f64) -> Result<Option<Change>, Unbound> {
    let lower = Lower::new(journey, facts)?;
    if lower.value() >= objective {
        return Ok(None);
    }
    let mut best: Option<Change> = None;
    for name in lower.names() {
        let from = availability(facts, name)?;
        let smallest = best.as_ref().map_or(f64::INFINITY, |best| best.to - best.from);
        let most = (from + smallest).min(1.0);
        // Only what is better than the best so far is worth finding exactly.
        if lower.with(name, most) < objective {
            continue;
        }
        let to = halve(from, most, |value| lower.with(name, value) >= objective);
        if to - from < smallest {
            best = Some(Change { component: name.clone(), from, to });
        }
    }
    Ok(best)
}

/// Splits the journey's error budget over its components: every unavailability is scaled by the same factor, the largest with which
/// A- meets the objective, so each component's part is in proportion to its importance times its unavailability. A component that
/// never fails gets none. `None` when even no failure at all is not enough.
///
/// Returns (component, largest unavailability allowed), by name. O(64 · size).
///
/// # Errors
/// [`Unbound`].
pub fn split_budget(
    journey: &Journey,
    facts: &Facts,
    objective: f64,
) -> Result<Option<Vec<(ComponentName, f64)>>, Unbound> {
    let lower = Lower::new(journey, facts)?;
    let u = |name: &ComponentName| availability(facts, name).map(|a| (name.clone(), 1.0 - a));
    let unavailabilities = lower.names().map(u).collect::<Result<Vec<_>, _>>()?;
    let meets = |factor: f64| {
        let scaled = |(name, u): &(ComponentName, f64)| (name.clone(), (1.0 - factor * u).clamp(0.0, 1.0));
        lower.with_all(&unavailabilities.iter().map(scaled).collect::<BTreeMap<_, _>>()) >= objective
    };
    if !meets(0.0) {
        return Ok(None);
    }
    let worst = unavailabilities.iter().map(|(_, u)| *u).fold(0.0, f64::max);
    let most = if worst > 0.0 { 1.0 / worst } else { 1.0 };
    let factor = if meets(most) { most } else { last_that(most, meets) };
    drop(lower);
    Ok(Some(unavailabilities.into_iter().map(|(name, u)| (name, factor * u)).collect()))
}

/// Halving kept on the side that holds.
fn last_that(most: f64, meets: impl Fn(f64) -> bool) -> f64 {
    let (mut holds, mut fails) = (0.0, most);
    for _ in 0..64 {
        let middle = f64::midpoint(holds, fails);
        if meets(middle) { holds = middle } else { fails = middle }
    }
    holds
}
