//! Nothing is taken for granted: Frechet and Rueger, sharp in each node.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::evaluate::{Alone, Part, Rules, Walk};
use super::{Assumption, Bound, Facts, Interval, Loose, Unbound, View};
use crate::journey::{ComponentName, Journey};
use crate::probability::{rueger_lower, rueger_upper};

/// Availability whatever the dependence. Sharp in each node: some joint distribution of its operands attains each end; over the whole
/// expression not always. O(size · depth).
///
/// # Errors
/// [`Unbound`] for the first leaf without facts.
pub fn any_dependence(journey: &Journey, facts: &Facts, view: View) -> Result<Bound, Unbound> {
    let interval = Walk::new(journey, facts, &AnyDependence, view).value(journey.root())?;
    Ok(Bound { interval, assumption: Assumption::AnyDependence, loose: Loose::default() })
}

pub(super) struct AnyDependence;

pub(super) fn lows(parts: &[Part<'_>]) -> Vec<f64> {
    parts.iter().map(|part| part.value.lo()).collect()
}

pub(super) fn highs(parts: &[Part<'_>]) -> Vec<f64> {
    parts.iter().map(|part| part.value.hi()).collect()
}

impl Rules for AnyDependence {
    fn all(&self, parts: &[Part<'_>]) -> Interval {
        let failures: f64 = parts.iter().map(|part| 1.0 - part.value.lo()).sum();
        let least = parts.iter().map(|part| part.value.hi()).fold(1.0, f64::min);
        Interval::of(1.0 - failures, least)
    }

    fn any(&self, parts: &[Part<'_>]) -> Interval {
        let most = parts.iter().map(|part| part.value.lo()).fold(0.0, f64::max);
        Interval::of(most, parts.iter().map(|part| part.value.hi()).sum())
    }

    fn at_least(&self, k: usize, parts: &[Part<'_>]) -> Interval {
        Interval::of(rueger_lower(k, &lows(parts)), rueger_upper(k, highs(parts)))
    }

    fn tries(&self, n: u32, body: Interval, _: bool) -> Interval {
        Interval::of(body.lo(), f64::from(n) * body.hi())
    }

    fn conditions(&self, _: &ComponentName, _: &BTreeSet<&ComponentName>) -> Option<Alone> {
        None
    }

    fn times(&self, n: u32, body: Interval, _: bool) -> Interval {
        Interval::of(1.0 - f64::from(n) * (1.0 - body.lo()), body.hi())
    }
}
