//! Nothing taken for granted: Makarov for sums, Frechet and Rueger for the rest.

use alloc::vec::Vec;

use super::evaluate::Dependence;
use super::{Band, LatencyGrid};
use crate::probability::{rueger_lower, rueger_upper};

pub(super) struct AnyDependence;

impl Dependence for AnyDependence {
    fn series(&self, grid: &LatencyGrid, a: &Band, b: &Band) -> Band {
        let (all_a, all_b) = (a.availability(), b.availability());
        let lower = grid.below().iter().map(|row| makarov_lower(row, a.lower(), b.lower()));
        let cap = all_a.hi().min(all_b.hi());
        let mut reached = 0.0;
        let upper: Vec<f64> = grid
            .above()
            .iter()
            .map(|row| {
                // The bound rises with time: once at its end it stays there.
                if reached < cap {
                    reached = makarov_upper(row, a.upper(), b.upper()).min(cap);
                }
                reached
            })
            .collect();
        let last_lower = all_a.lo() + all_b.lo() - 1.0;
        Band::new(lower.chain([last_lower]), upper.into_iter().chain([cap]).collect::<Vec<_>>())
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

/// `max_s a(s) + b(t - s) - 1`: {X <= s} and {Y <= t - s} together give X + Y <= t. From large s to small, until even a sure Y would
/// not help. `row`: for each s the point just below t - s.
fn makarov_lower(row: &[u16], a: &[f64], b: &[f64]) -> f64 {
    let most = b.get(row.first().map_or(0, |&t| usize::from(t))).copied().unwrap_or(1.0);
    let mut best = 1.0;
    for (&rest, &p) in row.iter().zip(a).rev() {
        if p + most <= best {
            break;
        }
        best = f64::max(best, p + b.get(usize::from(rest)).copied().unwrap_or(0.0));
    }
    best - 1.0
}

/// `min_s a(s) + b(t - s)`: X + Y <= t needs X <= s or Y <= t - s; X < 0 never happens, so it needs Y <= t too, and X <= t. From small
/// s to large, until a(s) alone is no better. `row`: for each s the point just above t - s.
fn makarov_upper(row: &[u16], a: &[f64], b: &[f64]) -> f64 {
    let at = |rest: u16| b.get(usize::from(rest)).copied().unwrap_or(1.0);
    let whole = row.first().map_or(1.0, |&t| at(t));
    let own = row.len().checked_sub(1).and_then(|t| a.get(t)).copied().unwrap_or(1.0);
    let mut best = whole.min(own);
    for (&rest, &p) in row.iter().zip(a) {
        if p >= best {
            break;
        }
        best = best.min(p + at(rest));
    }
    best
}
