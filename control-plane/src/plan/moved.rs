//! Whether evidence moved since a journey was planned from it: by more than its own noise.
//!
//! A window that slides over steady traffic differs from second to second by chance alone, and a plan made anew from it would be the same
//! within its damping. So a hop's evidence is compared with what it was planned from: the share of good answers by two standard errors,
//! the distribution of latencies by the statistic of Kolmogorov and Smirnov at a few of its quantiles, and the number of calls by whether
//! it is enough. What is planned from is kept as those few numbers, not as a sketch.

use std::collections::BTreeMap;

use emac_core::id::HopKey;
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use emac_core::units::Micros;

use super::input::{EvidenceByHop, HopEvidence};

/// Where distributions are compared.
const QUANTILES: [f64; 7] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999];
/// Quantile of the Kolmogorov distribution: a chance of 1 in 1 000 that equal distributions look moved.
const KS: f64 = 1.95;
/// Standard errors of a difference of shares, for about the same chance.
const ERRORS: f64 = 3.3;
/// Shares that differ by less change no plan, however many calls show it.
const SHARE_MIN: f64 = 0.005;

/// What a journey was planned from.
#[derive(Clone, Debug, Default)]
pub(super) struct Basis(BTreeMap<HopKey, Mark>);

/// One hop of it.
#[derive(Clone, Debug, Default)]
struct Mark {
    calls: u64,
    good: u64,
    latency: Points,
    alternate: Points,
}

/// A distribution, as the shares at or below some values.
#[derive(Clone, Debug, Default)]
struct Points {
    count: u64,
    at: Vec<(Micros, f64)>,
}

impl Basis {
    pub(super) fn of(evidence: &EvidenceByHop) -> Self {
        Self(evidence.iter().map(|(key, hop)| (key.clone(), Mark::of(hop))).collect())
    }

    /// How far `evidence` is from this basis, in units of what chance explains: above 1 it moved. `enough` calls are needed to be heard.
    pub(super) fn distance(&self, evidence: &EvidenceByHop, enough: u64) -> f64 {
        let none = (Mark::default(), HopEvidence::default());
        let gone = self.0.iter().filter(|(key, _)| !evidence.contains_key(*key));
        let gone = gone.map(|(_, mark)| mark.distance(&none.1, enough));
        let here = evidence.iter();
        let here = here.map(|(key, hop)| self.0.get(key).unwrap_or(&none.0).distance(hop, enough));
        gone.chain(here).fold(0.0, f64::max)
    }
}

impl Mark {
    fn of(hop: &HopEvidence) -> Self {
        let (calls, good) = counted(&hop.outcomes);
        let (latency, alternate) = (Points::of(&hop.latency), Points::of(&hop.alternate_latency));
        Self { calls, good, latency, alternate }
    }

    fn distance(&self, hop: &HopEvidence, enough: u64) -> f64 {
        let (calls, good) = counted(&hop.outcomes);
        // What is not enough to be heard is not evidence: it counts whether it became so, or was.
        if calls.max(self.calls) < enough {
            return 0.0;
        }
        if calls.min(self.calls) < enough {
            return f64::INFINITY;
        }
        let (before, now) = (share(self.good, self.calls), share(good, calls));
        let spread = |share: f64, of: u64| (share * (1.0 - share)).max(1.0 / of as f64) / of as f64;
        let noise = ERRORS * (spread(before, self.calls) + spread(now, calls)).sqrt();
        let shares = (before - now).abs() / noise.max(SHARE_MIN);
        shares.max(self.latency.distance(&hop.latency)).max(self.alternate.distance(&hop.alternate_latency))
    }
}

impl Points {
    fn of(sketch: &Sketch) -> Self {
        let point = |q| Some(sketch.quantile_bounds(q)?.1);
        let at = QUANTILES.into_iter().filter_map(point).map(|limit| (limit, below(sketch, limit)));
        Self { count: sketch.count(), at: at.collect() }
    }

    fn distance(&self, sketch: &Sketch) -> f64 {
        let (before, now) = (self.count as f64, sketch.count() as f64);
        if before == 0.0 || now == 0.0 {
            // Nothing to compare; whether there is anything is told by the outcomes.
            return 0.0;
        }
        let noise = KS * ((before + now) / (before * now)).sqrt();
        let apart = self.at.iter().map(|&(limit, share)| (share - below(sketch, limit)).abs());
        apart.fold(0.0, f64::max) / noise.max(2.0 * SHARE_MIN)
    }
}

/// Calls that say something of the destination, and those that ended well.
fn counted(outcomes: &OutcomeCounts) -> (u64, u64) {
    let silent = [Outcome::Cancelled, Outcome::Shed, Outcome::Stream];
    let silent = silent.into_iter().fold(0_u64, |sum, outcome| sum.saturating_add(outcomes.get(outcome)));
    (outcomes.total().saturating_sub(silent), outcomes.get(Outcome::Success))
}

/// Share at or below the upper end of a bucket, where a sketch is exact.
fn below(sketch: &Sketch, limit: Micros) -> f64 {
    share(sketch.count_at_most(limit).lower, sketch.count())
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
