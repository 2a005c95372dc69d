//! Latency of a journey: bands of its components from evidence or promises, combined under each assumption, read at the objective.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use emac_core::bound::latency::{
    Band, Confidence, LatencyFacts, LatencyGrid, Observed, bands, observed, observed_at, promised_within,
};
use emac_core::bound::{Facts, Interval, Unbound, View, seen};
use emac_core::journey::{ComponentName, Expr, Journey};
use emac_core::units::{Micros, Ratio};

use super::{Given, LEAF_ERROR, Leaf};
use emac_journey::intent::Intent;
use emac_journey::measured::Latency;
use emac_journey::slo::LatencyPoint;

/// Latency at the objective, side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyBounds {
    /// Whatever the dependence; what decisions use.
    pub any_dependence: AtObjective,
    /// Calls are independent.
    pub independent: AtObjective,
    /// All calls are slow together.
    pub comonotone: AtObjective,
}

/// A band read at the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtObjective {
    /// Share of the intended requests answered well within the threshold.
    pub within: Interval,
    /// The objective's quantile: at least, at most; `None` for no finite end.
    pub quantile: (Option<Micros>, Option<Micros>),
}

/// Where the grid is centred when there is no latency objective, only a timeout.
const NO_THRESHOLD: Micros = Micros(1_000_000);

/// Bands of all components, and those of which nothing is known.
pub(super) struct Known {
    facts: Arc<LatencyFacts>,
    /// Of those the answer waits for.
    pub(super) unknown: Vec<ComponentName>,
    /// Of those, the ones that stand under a time limit, of a part or of a try: what it lets through is anything.
    pub(super) untimed: Vec<ComponentName>,
}

impl Known {
    pub(super) fn new(
        intent: &Intent,
        structure: &Journey,
        leaves: &BTreeMap<ComponentName, Leaf>,
        given: &Given<'_>,
    ) -> Self {
        let threshold = intent.objectives.latency.as_ref().map_or(NO_THRESHOLD, |latency| latency.threshold);
        let grid = LatencyGrid::for_journey(structure, threshold);
        let alpha = LEAF_ERROR / leaves.len().max(1) as f64;
        let waited: BTreeSet<_> = seen(structure.root(), View::Immediate).into_iter().collect();
        let timed = timed(structure.root());
        let mut unknown = Vec::new();
        let mut components = BTreeMap::new();
        for (name, leaf) in leaves {
            let measured = measured(&grid, name, given, alpha);
            let band = measured.or_else(|| promised(&grid, name, leaf, given));
            if band.is_none() && waited.contains(name) {
                unknown.push(name.clone());
            }
            let availability = leaf.availability.unwrap_or(Interval::UNKNOWN);
            components
                .insert(name.clone(), band.unwrap_or_else(|| promised_within(&grid, availability, &[])));
        }
        let untimed = unknown.iter().filter(|name| timed.contains(name)).cloned().collect();
        Self { facts: Arc::new(LatencyFacts { grid, components }), unknown, untimed }
    }

    /// Tells availability how quickly components answer.
    pub(super) fn tell(&self, facts: &mut Facts) {
        facts.set_latency(Arc::clone(&self.facts));
    }

    /// The objective under each assumption; `None` without an objective, or when nothing is known of some component.
    pub(super) fn bounds(
        &self,
        intent: &Intent,
        structure: &Journey,
    ) -> Result<Option<LatencyBounds>, Unbound> {
        let Some(objective) = intent.objectives.latency.as_ref().filter(|_| self.unknown.is_empty()) else {
            return Ok(None);
        };
        let bands = bands(structure, &self.facts, View::Immediate)?;
        let at = |band: &Band| AtObjective {
            within: band.at(&self.facts.grid, objective.threshold),
            quantile: band.quantile(&self.facts.grid, objective.metric.quantile.get()),
        };
        Ok(Some(LatencyBounds {
            any_dependence: at(&bands.any_dependence),
            independent: at(&bands.independent),
            comonotone: at(&bands.comonotone),
        }))
    }
}

/// From evidence with a latency.
fn measured(grid: &LatencyGrid, name: &ComponentName, given: &Given<'_>, alpha: f64) -> Option<Band> {
    let seen = given.evidence?.components.get(name).filter(|seen| seen.counts.requests > 0)?;
    let method = Confidence::default();
    let counts = (seen.counts.good, seen.counts.requests);
    match &seen.latency {
        Latency::Unknown => None,
        Latency::Sketch(sketch) => {
            Some(observed(grid, Observed { latency: sketch, requests: seen.counts.requests }, alpha, method))
        }
        Latency::Cumulative(bounds) => Some(observed_at(grid, bounds, counts, alpha, method)),
    }
}

/// From promised shares within times, and for an answer kept in the sidecar, which is there at once. What was promised of answers, good or not, is promised
/// of good ones less those that may have failed.
fn promised(grid: &LatencyGrid, name: &ComponentName, leaf: &Leaf, given: &Given<'_>) -> Option<Band> {
    let availability = leaf.availability?;
    if leaf.kept {
        return Some(promised_within(grid, availability, &[(Micros(0), Ratio::ONE)]));
    }
    let points = &given.promises.get(name)?.latency;
    let share = |point: &LatencyPoint| Ratio::new(point.good_share(availability.lo())).ok();
    let shares: Vec<_> = points.iter().filter_map(|point| Some((point.within, share(point)?))).collect();
    (!shares.is_empty()).then(|| promised_within(grid, availability, &shares))
}

/// Components under a time limit that the answer waits for.
fn timed(root: &Expr) -> BTreeSet<&ComponentName> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Async(_) => continue,
            Expr::Timeout { .. } | Expr::Retry { per_try_timeout: Some(_), .. } => {
                found.extend(seen(expr, View::Immediate));
            }
            _ => {}
        }
        open.extend(expr.children());
    }
    found
}
