//! Nothing taken for granted: Makarov for sums, Frechet and Rueger for the rest.

use alloc::vec::Vec;

use super::evaluate::Dependence;
use super::{Band, LatencyGrid};
use crate::probability::{rueger_lower, rueger_upper};

pub(super) struct AnyDependence;

impl Dependence for AnyDependence {
    fn series(&self, grid: &LatencyGrid, a: &Band, b: &Band) -> Band {
        let (all_a, all_b) = (a.availability(), b.availability());
        let last_lower = all_a.lo() + all_b.lo() - 1.0;
        let lower = grid.below().iter().map(|row| {
            // {X <= s} and {Y <= t - s} together give X + Y <= t.
            let sums = row.iter().zip(a.lower()).map(|(&rest, &p)| p + b.lower_at(usize::from(rest)));
            sums.fold(0.0, f64::max) - 1.0
        });
        let upper = grid.above().iter().map(|row| {
            // X + Y <= t needs X <= s or Y <= t - s; X < 0 never happens, so Y <= t is needed too.
            let sums = row.iter().zip(a.upper()).map(|(&rest, &p)| p + b.upper_at(usize::from(rest)));
            let whole = row.first().map_or(1.0, |&t| b.upper_at(usize::from(t)));
            sums.fold(whole, f64::min)
        });
        let upper: Vec<f64> =
            upper.zip(a.upper()).map(|(u, &x)| u.min(x)).chain([all_a.hi().min(all_b.hi())]).collect();
        Band::new(lower.chain([last_lower]), upper)
    }

    fn all(&self, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        let failures: f64 = lowers.iter().map(|p| 1.0 - p).sum();
        (1.0 - failures, uppers.iter().copied().fold(1.0, f64::min))
    }

    fn any(&self, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        (lowers.iter().copied().fold(0.0, f64::max), uppers.iter().sum())
    }

    fn at_least(&self, k: usize, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        (rueger_lower(k, lowers), rueger_upper(k, uppers.to_vec()))
    }
}
