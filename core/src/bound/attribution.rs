//! Where a journey's unreliability comes from, and what would restore its objective.
//!
//! All functions work on the lower end of the domain envelope (A-), which is what is promised.

use alloc::vec::Vec;

use super::common_cause::halve;
use super::evaluate::Walk;
use super::shared_fate::SharedFate;
use super::{Facts, Interval, Unbound, View};
use crate::journey::{ComponentName, Expr, Journey};

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

fn lower(journey: &Journey, facts: &Facts) -> Result<f64, Unbound> {
    let rules = SharedFate { facts };
    Ok(Walk::new(journey, facts, &rules, View::Immediate).value(journey.root())?.lo())
}

fn at(journey: &Journey, facts: &Facts, name: &ComponentName, value: f64) -> Result<f64, Unbound> {
    lower(journey, &facts.with(name, Interval::of(value, value)))
}

fn distinct(journey: &Journey) -> Vec<&ComponentName> {
    let mut names = journey.leaves();
    names.sort();
    names.dedup();
    names
}

/// Every component, largest gain first, then by name. O(components · size · depth).
///
/// # Errors
/// [`Unbound`].
pub fn attribute(journey: &Journey, facts: &Facts) -> Result<Vec<Attribution>, Unbound> {
    let now = lower(journey, facts)?;
    let mut found = Vec::new();
    for name in distinct(journey) {
        let (best, worst) = (at(journey, facts, name, 1.0)?, at(journey, facts, name, 0.0)?);
        found.push(Attribution {
            component: name.clone(),
            unavailability: 1.0 - availability(facts, name)?,
            importance: best - worst,
            gain: best - now,
        });
    }
    found.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    Ok(found)
}

fn availability(facts: &Facts, name: &ComponentName) -> Result<f64, Unbound> {
    let known = facts.components.get(name).ok_or_else(|| Unbound(name.clone()))?;
    Ok(known.availability.lo())
}

/// The least availability of one component with which A- meets the objective; its own when it does already, `None` when even 1 is not
/// enough. O(64 · size · depth).
///
/// # Errors
/// [`Unbound`].
pub fn required(
    journey: &Journey,
    facts: &Facts,
    name: &ComponentName,
    objective: f64,
) -> Result<Option<f64>, Unbound> {
    let now = availability(facts, name)?;
    least(now, |value| Ok(at(journey, facts, name, value)? >= objective))
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
    let step =
        |node: Option<_>, &place: &usize| node.and_then(|node: &Expr| node.children().get(place).copied());
    let Some(node) = path.iter().fold(Some(journey.root()), step) else { return Ok(None) };
    let rules = SharedFate { facts };
    least(0.0, |value| {
        let walk = Walk::new(journey, facts, &rules, View::Immediate);
        let value = walk.given(node, Interval::of(value, value)).value(journey.root())?;
        Ok(value.lo() >= objective)
    })
}

/// The least value from `start` to 1 that is enough; `enough` is monotone.
fn least(start: f64, enough: impl Fn(f64) -> Result<bool, Unbound>) -> Result<Option<f64>, Unbound> {
    if enough(start)? {
        return Ok(Some(start));
    }
    if !enough(1.0)? {
        return Ok(None);
    }
    Ok(Some(halve(start, 1.0, |value| enough(value).unwrap_or(false))))
}

/// The one-component change that restores the objective with the smallest increase of availability; `None` when none alone does, or
/// nothing is to restore. Ties go to the first name.
///
/// # Errors
/// [`Unbound`].
pub fn smallest_change(journey: &Journey, facts: &Facts, objective: f64) -> Result<Option<Change>, Unbound> {
    if lower(journey, facts)? >= objective {
        return Ok(None);
    }
    let mut best: Option<Change> = None;
    for name in distinct(journey) {
        let from = availability(facts, name)?;
        let Some(to) = required(journey, facts, name, objective)? else { continue };
        if best.as_ref().is_none_or(|best| to - from < best.to - best.from) {
            best = Some(Change { component: name.clone(), from, to });
        }
    }
    Ok(best)
}

/// Splits the journey's error budget over its components: every unavailability is scaled by the same factor, the largest with which
/// A- meets the objective, so each component's part is in proportion to its importance times its unavailability. A component that
/// never fails gets none. `None` when even no failure at all is not enough.
///
/// Returns (component, largest unavailability allowed), by name. O(64 · size · depth).
///
/// # Errors
/// [`Unbound`].
pub fn split_budget(
    journey: &Journey,
    facts: &Facts,
    objective: f64,
) -> Result<Option<Vec<(ComponentName, f64)>>, Unbound> {
    let mut unavailabilities = Vec::new();
    for name in distinct(journey) {
        unavailabilities.push((name.clone(), 1.0 - availability(facts, name)?));
    }
    let meets = |factor: f64| {
        let mut scaled = facts.clone();
        for (name, u) in &unavailabilities {
            scaled = scaled_to(scaled, name, 1.0 - factor * u);
        }
        lower(journey, &scaled).map(|value| value >= objective)
    };
    if !meets(0.0)? {
        return Ok(None);
    }
    let worst = unavailabilities.iter().map(|(_, u)| *u).fold(0.0, f64::max);
    let most = if worst > 0.0 { 1.0 / worst } else { 1.0 };
    let factor = if meets(most)? { most } else { most_that(most, &meets) };
    Ok(Some(unavailabilities.into_iter().map(|(name, u)| (name, factor * u)).collect()))
}

/// Halving kept on the side that holds.
fn most_that(most: f64, meets: &impl Fn(f64) -> Result<bool, Unbound>) -> f64 {
    let (mut holds, mut fails) = (0.0, most);
    for _ in 0..64 {
        let middle = f64::midpoint(holds, fails);
        if meets(middle).unwrap_or(false) { holds = middle } else { fails = middle }
    }
    holds
}

fn scaled_to(mut facts: Facts, name: &ComponentName, availability: f64) -> Facts {
    if let Some(component) = facts.components.get_mut(name) {
        component.availability = Interval::of(availability, availability);
    }
    facts
}
