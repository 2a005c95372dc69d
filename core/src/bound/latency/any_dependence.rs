//! Nothing taken for granted: Makarov for sums, Frechet and Rueger for the rest.

use super::evaluate::Dependence;
use super::steps::{Step, last_rise, steps, until_flat};
use super::{Band, LatencyGrid};
use crate::probability::{rueger_lower, rueger_upper};

pub(super) struct AnyDependence;

impl Dependence for AnyDependence {
    fn series(&self, grid: &LatencyGrid, a: &Band, b: &Band) -> Band {
        let (all_a, all_b) = (a.availability(), b.availability());
        let rises = steps(grid, a.lower());
        let lower = until_flat(grid.below(), &rises, last_rise(grid, b.lower()), |row| {
            makarov_lower(row, &rises, b.lower())
        });
        let cap = all_a.hi().min(all_b.hi());
        let rises = steps(grid, a.upper());
        let upper = until_flat(grid.above(), &rises, last_rise(grid, b.upper()), |row| {
            makarov_upper(row, &rises, (a.upper(), b.upper())).min(cap)
        });
        let last_lower = all_a.lo() + all_b.lo() - 1.0;
        Band::new(lower.chain([last_lower]), upper.chain([cap]))
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

/// `max_s a(s) + b(t - s) - 1`: {X <= s} and {Y <= t - s} together give X + Y <= t. The first point of a level leaves Y most. From large s
/// to small, until even a sure Y would not help. `row`: for each s the point just below t - s.
fn makarov_lower(row: &[u16], a: &[Step], b: &[f64]) -> f64 {
    let at = |rest: u16| b.get(usize::from(rest)).copied().unwrap_or(0.0);
    let most = row.first().map_or(1.0, |&t| at(t));
    let mut best = 1.0;
    for step in a.iter().rev() {
        let Some(&rest) = row.get(step.point) else { continue };
        if step.to + most <= best {
            break;
        }
        best = f64::max(best, step.to + at(rest));
    }
    best - 1.0
}

/// `min_s a(s) + b(t - s)`: X + Y <= t needs X <= s or Y <= t - s; X < 0 never happens, so it needs Y <= t too, and X <= t. The last point of a
/// level leaves Y least. From small s to large, until a(s) alone is no better. `row`: for each s the point just above t - s.
fn makarov_upper(row: &[u16], a: &[Step], (of_a, of_b): (&[f64], &[f64])) -> f64 {
    let at = |rest: u16| of_b.get(usize::from(rest)).copied().unwrap_or(1.0);
    let whole = row.first().map_or(1.0, |&t| at(t));
    let own = row.len().checked_sub(1).and_then(|t| of_a.get(t)).copied().unwrap_or(1.0);
    let mut best = whole.min(own);
    for step in a {
        let before = step.point.checked_sub(1).and_then(|last| row.get(last));
        let Some(&rest) = before else { continue };
        if step.from >= best {
            break;
        }
        best = best.min(step.from + at(rest));
    }
    best
}
