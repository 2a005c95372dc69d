//! Latencies of different calls are independent: convolution and products.

use alloc::vec::Vec;

use super::evaluate::Dependence;
use super::{Band, LatencyGrid};
use crate::probability;

pub(super) struct Independent;

impl Dependence for Independent {
    /// The lower end is the convolution of the latest distributions the bands allow (mass at the point where the lower end rises), the
    /// upper end that of the earliest (mass at the point before). The sum of later parts is later, so these are the ends.
    fn series(&self, grid: &LatencyGrid, a: &Band, b: &Band) -> Band {
        let latest: Vec<f64> = steps(a.lower());
        let lower = grid.below().iter().map(|row| {
            row.iter().zip(&latest).map(|(&rest, mass)| mass * b.lower_at(usize::from(rest))).sum::<f64>()
        });
        let earliest: Vec<f64> = steps(a.upper());
        let upper = grid.above().iter().map(|row| {
            let at_zero = row.first().map_or(1.0, |&t| b.upper_at(usize::from(t)));
            let first = earliest.first().copied().unwrap_or(0.0);
            // Mass that rises at point s + 1 may lie just after point s.
            let later = row.iter().zip(earliest.iter().skip(1));
            first * at_zero + later.map(|(&rest, mass)| mass * b.upper_at(usize::from(rest))).sum::<f64>()
        });
        let last =
            (a.availability().lo() * b.availability().lo(), a.availability().hi() * b.availability().hi());
        let upper: Vec<f64> = upper.chain([last.1]).collect();
        Band::new(lower.chain([last.0]), upper)
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

/// Mass at each point.
fn steps(values: &[f64]) -> Vec<f64> {
    let before = core::iter::once(&0.0).chain(values);
    values.iter().zip(before).map(|(now, before)| now - before).collect()
}
