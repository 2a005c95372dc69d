//! All calls are slow together: every latency a rising function of one cause.

use alloc::vec::Vec;

use super::evaluate::Dependence;
use super::{Band, LatencyGrid};

pub(super) struct Comonotone;

impl Dependence for Comonotone {
    /// Quantiles add: going through the levels at which either end rises.
    fn series(&self, grid: &LatencyGrid, a: &Band, b: &Band) -> Band {
        let edge = |point: usize| grid.edges().get(point).copied();
        let sum = |x: usize, y: usize| edge(x).zip(edge(y)).map(|(x, y)| x.after(y));
        let mut lower = alloc::vec![0.0; grid.len()];
        for (level, x, y) in levels(a.lower(), b.lower()) {
            let place = sum(x, y).map_or(grid.edges().len(), |time| grid.ceil(time));
            raise(&mut lower, place, level);
        }
        let mut upper = alloc::vec![0.0; grid.len()];
        for (level, x, y) in levels(a.upper(), b.upper()) {
            // The level is reached after the point before.
            let finite = x < grid.edges().len() && y < grid.edges().len();
            let early = sum(x.saturating_sub(1), y.saturating_sub(1));
            let place = early.filter(|_| finite).map_or(grid.edges().len(), |time| grid.floor(time));
            raise(&mut upper, place, level);
        }
        let rising = |values: Vec<f64>| {
            let mut held = 0.0_f64;
            values.into_iter().map(move |value| {
                held = held.max(value);
                held
            })
        };
        let upper: Vec<f64> = rising(upper).collect();
        Band::new(lower, upper)
    }

    fn all(&self, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        let least = |values: &[f64]| values.iter().copied().fold(1.0, f64::min);
        (least(lowers), least(uppers))
    }

    fn any(&self, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        (most(lowers), most(uppers))
    }

    fn at_least(&self, k: usize, lowers: &[f64], uppers: &[f64]) -> (f64, f64) {
        (largest(k, lowers), largest(k, uppers))
    }
}

fn raise(values: &mut [f64], place: usize, level: f64) {
    if let Some(value) = values.get_mut(place) {
        *value = value.max(level);
    }
}

/// The k-th largest.
fn largest(k: usize, values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.get(k.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Every level that both reach, with the points at which each reaches it. O(points).
fn levels(a: &[f64], b: &[f64]) -> Vec<(f64, usize, usize)> {
    let (mut x, mut y) = (0, 0);
    let mut found = Vec::new();
    let mut level = 0.0;
    while let (Some(&p), Some(&q)) = (a.get(x), b.get(y)) {
        // Up to the smaller of the two every level needs points x and y.
        let reached = p.min(q);
        if reached > level {
            level = reached;
            found.push((level, x, y));
        }
        if p <= q {
            x += 1
        }
        if q <= p {
            y += 1
        }
    }
    found
}
