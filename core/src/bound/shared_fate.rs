//! The domain envelope: operands that share a failure domain stand anywhere between independent and together, the others are
//! independent. Its lower end is the paper's A-.
//!
//! Sound for every model in which failures are increasing functions of independent causes, each the cause of one domain or of one
//! component: then successes are associated, so a series is at least the product and a race at most `1 - prod(1 - a)`. A domain that is
//! missing or conflicting counts as shared for the lower end and separate for the upper.
//!
//! A component that stands in several operands is one event and is conditioned on (see [`super::evaluate`]): exactly where nothing beside it
//! shares its domains, else as far as association reaches. Taking it for a domain that its holders share is sound too and sometimes
//! better, so the bound is what both allow.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::any_dependence::{highs, lows};
use super::choices::Branches;
use super::evaluate::{Alone, Part, Rules, Walk, repeated};
use super::{Assumption, Bound, Domains, Facts, Interval, Loose, Unbound, View};
use crate::journey::{ComponentName, Expr, Journey};
use crate::probability::{self, rueger_lower, rueger_upper};

/// Availability between independence and full correlation within each domain. O(size · depth), doubled by each shared component.
///
/// # Errors
/// [`Unbound`] for the first leaf without facts.
pub fn shared_fate(journey: &Journey, facts: &Facts, view: View) -> Result<Bound, Unbound> {
    shared_fate_given(journey, facts, view, None)
}

/// With a node whose value is given.
pub(super) fn shared_fate_given(
    journey: &Journey,
    facts: &Facts,
    view: View,
    given: Option<(&Expr, Interval)>,
) -> Result<Bound, Unbound> {
    let root = journey.root();
    let repeated = repeated(root, view);
    let of = |conditions| SharedFate { facts: Some(facts), conditions };
    let (tying, conditioning) = (of(false), of(true));
    let mut walk = Walk::new(journey, facts, &tying, view);
    walk.given = given;
    let mut interval = walk.value(root)?;
    let mut loose = Loose::default();
    if !repeated.is_empty() {
        let mut walk = Walk::new(journey, facts, &conditioning, view);
        walk.given = given;
        let (conditioned, choices) = Branches::new(root, view, &repeated).over(1, |chosen| {
            walk.chosen.clone_from(chosen);
            walk.value(root)
        })?;
        interval = interval.and(conditioned);
        loose = walk.loose;
        loose.choices |= choices;
    }
    Ok(Bound { interval, assumption: Assumption::DomainEnvelope, loose })
}

#[derive(Clone, Copy, Default)]
pub(super) struct SharedFate<'a> {
    /// Of the domains; `None`: nobody shares any.
    pub(super) facts: Option<&'a Facts>,
    /// A component in several operands is conditioned on, rather than tying them.
    pub(super) conditions: bool,
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

    fn tries(&self, n: u32, body: Interval, _: bool) -> Interval {
        Interval::of(body.lo(), 1.0 - probability::repeat(1.0 - body.hi(), n))
    }

    fn times(&self, n: u32, body: Interval, _: bool) -> Interval {
        Interval::of(probability::repeat(body.lo(), n), body.hi())
    }

    fn ties(&self) -> bool {
        true
    }

    fn conditions(&self, name: &ComponentName, others: &BTreeSet<&ComponentName>) -> Option<Alone> {
        if !self.conditions {
            return None;
        }
        let domains = |name: &ComponentName| self.facts?.components.get(name).map(|known| &known.domains);
        let mine = domains(name);
        let known = |other: &&ComponentName| matches!(domains(other), Some(Domains::Known(_)));
        let meets = |other: &&ComponentName| match (mine, domains(other)) {
            (Some(Domains::Known(mine)), Some(Domains::Known(theirs))) => !mine.is_disjoint(theirs),
            _ => false,
        };
        let upper = !others.iter().any(meets);
        let all_known = matches!(mine, Some(Domains::Known(_))) && others.iter().all(known);
        Some(Alone { lower: upper && (all_known || others.is_empty()), upper })
    }
}

impl SharedFate<'_> {
    /// For each operand the first operand of its cluster: operands joined, directly or through others, by what they share.
    pub(super) fn clusters(&self, parts: &[Part<'_>], unknown_is_shared: bool) -> Vec<usize> {
        let mut cluster: Vec<usize> = (0..parts.len()).collect();
        let mut holder: BTreeMap<Tie<'_>, usize> = BTreeMap::new();
        let mut all = false;
        for (place, part) in parts.iter().enumerate() {
            for name in part.leaves.iter().copied() {
                join(&mut cluster, *holder.entry(Tie::Component(name.as_str())).or_insert(place), place);
                let Some(facts) = self.facts else { continue };
                match facts.components.get(name).map(|component| &component.domains) {
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
