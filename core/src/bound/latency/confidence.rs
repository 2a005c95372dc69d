//! Bands of leaves: from counts, with a stated confidence, or from a promise alone.

use alloc::vec::Vec;

use super::beta::Limits;
use super::{Band, LatencyGrid};
use crate::bound::Interval;
use crate::sketch::Sketch;
use crate::units::{Micros, Ratio};

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
    let limits = Limits::new(all, alpha / 2.0);
    Interval::of(limits.lower(good), limits.upper(good))
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
    banded(&counts(grid, seen.latency), requests, alpha, method)
}

/// The same from cumulative counts, as classic histograms have them: `(bound, good answers at most bound)`, ascending in both, of `good` good
/// answers among `requests`. Between bounds an answer may be anywhere.
pub fn observed_at(
    grid: &LatencyGrid,
    bounds: &[(Micros, u64)],
    (good, requests): (u64, u64),
    alpha: f64,
    method: Confidence,
) -> Band {
    let requests = requests.max(good);
    if requests == 0 {
        return Band::new(alloc::vec![0.0; grid.len()], alloc::vec![1.0; grid.len()]);
    }
    let at = |edge: &Micros| {
        let surely = bounds.iter().rev().find(|(bound, _)| bound <= edge).map_or(0, |&(_, count)| count);
        let possibly = bounds.iter().find(|(bound, _)| bound >= edge).map_or(good, |&(_, count)| count);
        (surely.min(good), possibly.min(good))
    };
    let counts: Vec<_> = grid.edges().iter().map(at).chain([(good, good)]).collect();
    banded(&counts, requests, alpha, method)
}

/// Counts surely and possibly at most each point, with their uncertainty.
fn banded(counts: &[(u64, u64)], requests: u64, alpha: f64, method: Confidence) -> Band {
    match method {
        Confidence::ClopperPearson => exact(counts, requests as f64, alpha),
        Confidence::Dkw => within(counts, requests as f64, dkw_epsilon(requests, alpha)),
    }
}

/// Surely and possibly at most each point.
fn counts(grid: &LatencyGrid, latency: &Sketch) -> Vec<(u64, u64)> {
    let all = latency.count();
    let counted = latency.counts_at_most(grid.edges());
    counted.into_iter().map(|counted| (counted.lower, counted.upper)).chain([(all, all)]).collect()
}

fn exact(counts: &[(u64, u64)], n: f64, alpha: f64) -> Band {
    // Each of the points has a lower and an upper limit that may fail.
    let each = alpha / (2.0 * counts.len() as f64);
    let limits = Limits::new(n, each);
    let lower = repeated(counts.iter().map(|c| c.0), |k| limits.lower(k as f64));
    let upper = repeated(counts.iter().map(|c| c.1), |k| limits.upper(k as f64));
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

/// Band of a leaf that promises shares of its requests within times, beside its availability.
pub fn promised_within(grid: &LatencyGrid, availability: Interval, shares: &[(Micros, Ratio)]) -> Band {
    let at = |edge: &Micros| {
        let kept = shares.iter().filter(|(time, _)| time <= edge).map(|(_, share)| share.get());
        kept.fold(0.0, f64::max).min(availability.hi())
    };
    let points = grid.edges().len();
    let lower = grid.edges().iter().map(at).chain([availability.lo()]);
    Band::new(lower, alloc::vec![availability.hi(); points + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> LatencyGrid {
        LatencyGrid::through(Micros(400_000), 16, &[Micros(100_000)])
    }

    #[test]
    fn cumulative_counts_bound_what_a_sketch_of_the_same_answers_says() {
        let (grid, mut sketch) = (grid(), Sketch::new());
        sketch.record_n(Micros(50_000), 900);
        sketch.record_n(Micros(200_000), 90);
        let seen = Observed { latency: &sketch, requests: 1_000 };
        let fine = observed(&grid, seen, 0.05, Confidence::ClopperPearson);
        let bounds = [(Micros(100_000), 900), (Micros(400_000), 990)];
        let coarse = observed_at(&grid, &bounds, (990, 1_000), 0.05, Confidence::ClopperPearson);
        assert!(coarse.encloses(&fine, 1e-12));
        assert_eq!(coarse.at(&grid, Micros(400_000)), fine.at(&grid, Micros(400_000)));
        assert_eq!(observed_at(&grid, &[], (0, 0), 0.05, Confidence::Dkw).availability(), Interval::UNKNOWN);
    }

    #[test]
    fn promises_are_steps() {
        let grid = grid();
        let share = |value| Ratio::new(value).unwrap();
        let availability = Interval::new(0.999, 0.999).unwrap();
        let band = promised_within(
            &grid,
            availability,
            &[(Micros(100_000), share(0.9)), (Micros(400_000), share(0.99))],
        );
        let lower = |micros| band.at(&grid, Micros(micros)).lo();
        assert_eq!((lower(90_000), lower(100_000), lower(390_000), lower(400_000)), (0.0, 0.9, 0.9, 0.99));
        assert_eq!(band.availability(), availability);
        assert_eq!(promised_within(&grid, availability, &[]), promised(&grid, availability));
    }
}
