//! Bands of leaves: from counts, with a stated confidence, or from a promise alone.

use alloc::vec::Vec;

use super::beta::{lower_limit, upper_limit};
use super::{Band, LatencyGrid};
use crate::bound::Interval;
use crate::sketch::Sketch;

/// How the uncertainty of a measured distribution is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confidence {
    /// Exact binomial limits at every point, the error shared out among the points: tight in the tails, where objectives are.
    #[default]
    ClopperPearson,
    /// One distance everywhere (Dvoretzky, Kiefer, Wolfowitz; constant of Massart 1990): for comparison. Cannot promise more than
    /// `1 - eps` however good the evidence.
    Dkw,
}

/// What was measured of a leaf.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Latencies of good answers.
    pub latency: &'a Sketch,
    /// Every intended request.
    pub requests: u64,
}

/// `sqrt(ln(2/alpha) / 2n)`.
pub fn dkw_epsilon(requests: u64, alpha: f64) -> f64 {
    libm::sqrt(libm::log(2.0 / alpha) / (2.0 * requests.max(1) as f64))
}

/// Two-sided exact limits at level `1 - alpha` of a share of which `good` of `all` were seen; nothing known for `all = 0`.
pub fn clopper_pearson(good: u64, all: u64, alpha: f64) -> Interval {
    if all == 0 {
        return Interval::UNKNOWN;
    }
    let (good, all) = (good.min(all) as f64, all as f64);
    Interval::of(lower_limit(good, all, alpha / 2.0), upper_limit(good, all, alpha / 2.0))
}

/// Band that holds the whole distribution at once with probability at least `1 - alpha`. Latencies are known to their sketch's bucket:
/// what is not surely at most a point counts above it in the lower end, and below it in the upper.
///
/// A sketch of more answers than requests counts its answers as the requests. No requests: nothing is known.
pub fn observed(grid: &LatencyGrid, seen: Observed<'_>, alpha: f64, method: Confidence) -> Band {
    let requests = seen.requests.max(seen.latency.count());
    if requests == 0 {
        return Band::new(alloc::vec![0.0; grid.len()], alloc::vec![1.0; grid.len()]);
    }
    let counts = counts(grid, seen.latency);
    match method {
        Confidence::ClopperPearson => exact(&counts, requests as f64, alpha),
        Confidence::Dkw => within(&counts, requests as f64, dkw_epsilon(requests, alpha)),
    }
}

/// Surely and possibly at most each point.
fn counts(grid: &LatencyGrid, latency: &Sketch) -> Vec<(u64, u64)> {
    let at = |edge| {
        let counted = latency.count_at_most(edge);
        (counted.lower, counted.upper)
    };
    let all = latency.count();
    grid.edges().iter().map(|edge| at(*edge)).chain([(all, all)]).collect()
}

fn exact(counts: &[(u64, u64)], n: f64, alpha: f64) -> Band {
    // Each of the points has a lower and an upper limit that may fail.
    let each = alpha / (2.0 * counts.len() as f64);
    let lower = repeated(counts.iter().map(|c| c.0), |k| lower_limit(k as f64, n, each));
    let upper = repeated(counts.iter().map(|c| c.1), |k| upper_limit(k as f64, n, each));
    Band::new(lower, upper)
}

/// The same count has the same limit: most points of a band lie where nothing happens.
fn repeated(counts: impl Iterator<Item = u64>, limit: impl Fn(u64) -> f64) -> Vec<f64> {
    let mut known: Option<(u64, f64)> = None;
    let of = |count| {
        let value = known.filter(|(held, _)| *held == count).map_or_else(|| limit(count), |(_, value)| value);
        known = Some((count, value));
        value
    };
    counts.map(of).collect()
}

fn within(counts: &[(u64, u64)], n: f64, epsilon: f64) -> Band {
    let lower = counts.iter().map(|c| c.0 as f64 / n - epsilon);
    let upper: Vec<f64> = counts.iter().map(|c| c.1 as f64 / n + epsilon).collect();
    Band::new(lower, upper)
}

/// Band of a leaf of which only the availability is known: good answers come some time.
pub fn promised(grid: &LatencyGrid, availability: Interval) -> Band {
    let points = grid.edges().len();
    let lower = core::iter::repeat_n(0.0, points).chain([availability.lo()]);
    Band::new(lower, alloc::vec![availability.hi(); points + 1])
}
