//! The domain envelope: operands that share a failure domain (or a component) stand anywhere between independent and together, the
//! others are independent. Its lower end is the paper's A-.
//!
//! Sound for every model in which failures are increasing functions of independent causes, each the cause of one domain: then
//! successes are associated, so a series is at least the product and a race at most `1 - prod(1 - a)`. A domain that is missing or
//! conflicting counts as shared for the lower end and separate for the upper.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::any_dependence::{highs, lows};
use super::evaluate::{Part, Rules, Walk};
use super::{Assumption, Bound, Domains, Facts, Interval, Unbound, View};
use crate::journey::Journey;
use crate::probability::{self, rueger_lower, rueger_upper};

/// Availability between independence and full correlation within each domain. O(size · depth).
///
/// # Errors
/// [`Unbound`] for the first leaf without facts.
pub fn shared_fate(journey: &Journey, facts: &Facts, view: View) -> Result<Bound, Unbound> {
    let rules = SharedFate { facts };
    let interval = Walk::new(journey, facts, &rules, view).value(journey.root())?;
    Ok(Bound { interval, assumption: Assumption::DomainEnvelope })
}

pub(super) struct SharedFate<'a> {
    pub(super) facts: &'a Facts,
}

/// What operands can share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tie<'a> {
    Component(&'a str),
    Domain(&'a str),
}

impl Rules for SharedFate<'_> {
    fn all(&self, parts: &[Part<'_>]) -> Interval {
        let lo = parts.iter().map(|part| part.value.lo()).product();
        let clusters = self.clusters(parts, false);
        Interval::of(lo, per_cluster(&clusters, &highs(parts), 1.0, f64::min).product())
    }

    fn any(&self, parts: &[Part<'_>]) -> Interval {
        let lo = any_lower(&self.clusters(parts, true), &lows(parts));
        Interval::of(lo, probability::any(parts.iter().map(|part| part.value.hi())))
    }

    /// Exact where nothing is shared; otherwise the better of what any dependence allows and what association does: the best `k` in
    /// series, the worst `n - k + 1` not all failing.
    fn at_least(&self, k: usize, parts: &[Part<'_>]) -> Interval {
        let highs = highs(parts);
        let lo = at_least_lower(k, &self.clusters(parts, true), &lows(parts));
        let hi = if alone(&self.clusters(parts, false)) {
            probability::at_least(k, highs.iter().copied())
        } else {
            let failures: Vec<f64> = highs.iter().map(|p| 1.0 - p).collect();
            let all_fail = best_in_series((parts.len() + 1).saturating_sub(k), &failures);
            (1.0 - all_fail).min(rueger_upper(k, highs))
        };
        Interval::of(lo, hi)
    }

    fn tries(&self, n: u32, body: Interval) -> Interval {
        Interval::of(body.lo(), 1.0 - probability::repeat(1.0 - body.hi(), n))
    }

    fn times(&self, n: u32, body: Interval) -> Interval {
        Interval::of(probability::repeat(body.lo(), n), body.hi())
    }
}

impl SharedFate<'_> {
    /// For each operand the first operand of its cluster: operands joined, directly or through others, by what they share.
    pub(super) fn clusters(&self, parts: &[Part<'_>], unknown_is_shared: bool) -> Vec<usize> {
        let mut cluster: Vec<usize> = (0..parts.len()).collect();
        let mut holder: BTreeMap<Tie<'_>, usize> = BTreeMap::new();
        let mut all = false;
        for (place, part) in parts.iter().enumerate() {
            for name in part.expr.leaves() {
                join(&mut cluster, *holder.entry(Tie::Component(name.as_str())).or_insert(place), place);
                match self.facts.components.get(name).map(|component| &component.domains) {
                    Some(Domains::Known(domains)) => {
                        for domain in domains {
                            join(&mut cluster, *holder.entry(Tie::Domain(domain)).or_insert(place), place);
                        }
                    }
                    _ => all |= unknown_is_shared,
                }
            }
        }
        if all { alloc::vec![0; parts.len()] } else { (0..parts.len()).map(|p| root(&cluster, p)).collect() }
    }
}

fn root(cluster: &[usize], mut place: usize) -> usize {
    while let Some(&parent) = cluster.get(place).filter(|&&parent| parent != place) {
        place = parent;
    }
    place
}

/// Roots are the first of their cluster, so that parents always point to the left.
fn join(cluster: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(cluster, a), root(cluster, b));
    if let Some(slot) = cluster.get_mut(a.max(b)) {
        *slot = a.min(b);
    }
}

/// Values of each cluster folded into one.
fn per_cluster(
    clusters: &[usize],
    values: &[f64],
    start: f64,
    fold: fn(f64, f64) -> f64,
) -> impl Iterator<Item = f64> {
    let mut folded: BTreeMap<usize, f64> = BTreeMap::new();
    for (&cluster, &value) in clusters.iter().zip(values) {
        let held = folded.entry(cluster).or_insert(start);
        *held = fold(*held, value);
    }
    folded.into_values()
}

/// Lower end of a race.
pub(super) fn any_lower(clusters: &[usize], lows: &[f64]) -> f64 {
    probability::any(per_cluster(clusters, lows, 0.0, f64::max))
}

/// Lower end of "at least `k`".
pub(super) fn at_least_lower(k: usize, clusters: &[usize], lows: &[f64]) -> f64 {
    if alone(clusters) {
        probability::at_least(k, lows.iter().copied())
    } else {
        best_in_series(k, lows).max(rueger_lower(k, lows))
    }
}

/// Whether nobody shares anything.
fn alone(clusters: &[usize]) -> bool {
    clusters.iter().enumerate().all(|(place, &root)| place == root)
}

/// Product of the `k` largest.
fn best_in_series(k: usize, values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.into_iter().take(k).product()
}
