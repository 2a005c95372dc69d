//! Components fail independently: the paper's A+.

use alloc::collections::BTreeSet;

use super::choices::Branches;
use super::evaluate::{Alone, Part, Rules, Walk, repeated};
use super::shared_fate::SharedFate;
use super::{Assumption, Bound, Facts, Interval, Unbound, View, shared_fate};
use crate::journey::{ComponentName, Journey};
use crate::probability;

/// Availability when components fail independently; an interval when those of leaves are. Exact unless the bound says that it is loose.
/// O(size · depth), doubled by each shared component.
///
/// # Errors
/// [`Unbound`] for the first leaf without facts.
pub fn independent(journey: &Journey, facts: &Facts, view: View) -> Result<Bound, Unbound> {
    independent_if(journey, facts, view, None)
}

/// If a component were always, or never, up; how quickly it answers when it does stays as it is.
pub(super) fn independent_if(
    journey: &Journey,
    facts: &Facts,
    view: View,
    changed: Option<(&ComponentName, f64)>,
) -> Result<Bound, Unbound> {
    let rules = Independent::default();
    let root = journey.root();
    let repeated = repeated(root, view);
    let mut walk = Walk::new(journey, facts, &rules, view);
    let changed = changed.map(|(name, value)| (name, Interval::of(value, value)));
    walk.values.extend(changed);
    let branches = Branches::new(root, view, &repeated);
    let (mut interval, choices) = branches.over(1, |chosen| {
        walk.chosen.clone_from(chosen);
        walk.value(root)
    })?;
    let mut loose = walk.loose;
    loose.choices |= choices;
    if loose.any() {
        let envelope = match changed {
            Some((name, value)) => shared_fate(journey, &facts.with(name, value), view)?,
            None => shared_fate(journey, facts, view)?,
        };
        interval = interval.and(envelope.interval);
    }
    Ok(Bound { interval, assumption: Assumption::Independent, loose })
}

/// What operands share although it is not conditioned on ties them, as a domain of its own would.
#[derive(Default)]
pub(super) struct Independent {
    ties: SharedFate<'static>,
}

fn each(parts: &[Part<'_>], formula: impl Fn(&mut dyn Iterator<Item = f64>) -> f64) -> Interval {
    let lo = formula(&mut parts.iter().map(|part| part.value.lo()));
    let hi = formula(&mut parts.iter().map(|part| part.value.hi()));
    Interval::of(lo, hi)
}

/// Whether two operands hold one component.
fn tied(parts: &[Part<'_>]) -> bool {
    let mut held = BTreeSet::new();
    parts.iter().any(|part| {
        let own: BTreeSet<_> = part.leaves.iter().collect();
        own.into_iter().any(|name| !held.insert(*name))
    })
}

impl Rules for Independent {
    fn all(&self, parts: &[Part<'_>]) -> Interval {
        if tied(parts) { self.ties.all(parts) } else { each(parts, |values| values.product()) }
    }

    fn any(&self, parts: &[Part<'_>]) -> Interval {
        if tied(parts) { self.ties.any(parts) } else { each(parts, |values| probability::any(values)) }
    }

    fn at_least(&self, k: usize, parts: &[Part<'_>]) -> Interval {
        if tied(parts) {
            self.ties.at_least(k, parts)
        } else {
            each(parts, |values| probability::at_least(k, values))
        }
    }

    fn tries(&self, n: u32, body: Interval, tied: bool) -> Interval {
        if tied {
            return self.ties.tries(n, body, tied);
        }
        let all_fail = |a: f64| probability::repeat(1.0 - a, n);
        Interval::of(1.0 - all_fail(body.lo()), 1.0 - all_fail(body.hi()))
    }

    fn times(&self, n: u32, body: Interval, tied: bool) -> Interval {
        if tied {
            return self.ties.times(n, body, tied);
        }
        Interval::of(probability::repeat(body.lo(), n), probability::repeat(body.hi(), n))
    }

    fn conditions(&self, _: &ComponentName, _: &BTreeSet<&ComponentName>) -> Option<Alone> {
        Some(Alone { lower: true, upper: true })
    }

    fn independent_latencies(&self) -> bool {
        true
    }
}
