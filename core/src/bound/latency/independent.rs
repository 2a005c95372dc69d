//! Latencies of different calls are independent: convolution and products.

use super::evaluate::Dependence;
use super::steps::{Step, last_rise, steps, until_flat};
use super::{Band, LatencyGrid};
use crate::probability;

pub(super) struct Independent;

impl Dependence for Independent {
    /// The lower end is the convolution of the latest distributions the bands allow (mass at the point where the lower end rises), the
    /// upper end that of the earliest (mass at the point before). The sum of later parts is later, so these are the ends.
    fn series(&self, grid: &LatencyGrid, a: &Band, b: &Band) -> Band {
        let latest = steps(grid, a.lower());
        let lower = until_flat(grid.below(), &latest, last_rise(grid, b.lower()), |row| {
            let past = latest.iter().map_while(|step| Some((row.get(step.point)?, step.to - step.from)));
            past.map(|(&rest, mass)| mass * b.lower_at(usize::from(rest))).sum()
        });
        let earliest = steps(grid, a.upper());
        let upper = until_flat(grid.above(), &earliest, last_rise(grid, b.upper()), |row| {
            // Mass that rises at a point may lie just after the point before, but is none at a time before both.
            let past = earliest.iter().take_while(|step| step.point < row.len());
            let rest = |step: &Step| row.get(step.point.saturating_sub(1)).copied().unwrap_or_default();
            past.map(|step| (step.to - step.from) * b.upper_at(usize::from(rest(step)))).sum()
        });
        let last =
            (a.availability().lo() * b.availability().lo(), a.availability().hi() * b.availability().hi());
        Band::new(lower.chain([last.0]), upper.chain([last.1]))
    }

    fn all(&self, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        (lowers.iter().product(), uppers.iter().product())
    }

    fn any(&self, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        (probability::any(lowers.iter().copied()), probability::any(uppers.iter().copied()))
    }

    fn at_least(&self, k: usize, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        let tail = |values: &[f64]| probability::at_least(k, values.iter().copied());
        (tail(lowers), tail(uppers))
    }

    fn shares(&self) -> bool {
        false
    }
}
