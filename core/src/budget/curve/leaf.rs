//! Curves of leaves: measured, declared by two quantiles, or immediate.

use alloc::vec::Vec;

use super::{Curve, Grid};
use crate::sketch::{CountBounds, Sketch};
use crate::units::{Micros, Millis};

/// 0.99 quantile of the standard normal distribution.
const Z_99: f64 = 2.326_347_874_040_841;
/// Calls that the default curve counts for among measured ones: it decides where nothing was seen, and is outvoted within
/// seconds.
const PRIOR_CALLS: f64 = 5.0;

/// A lognormal latency with the given median and 99 % quantile, for a share `success` of the calls; the rest never answer.
///
/// `p99 <= p50` is a step at `p50`.
pub fn lognormal(grid: &Grid, p50: Millis, p99: Millis, success: f64) -> Curve {
    let median_us = p50.to_micros().0.max(1) as f64;
    let sigma = libm::log(p99.to_micros().0.max(1) as f64 / median_us) / Z_99;
    Curve::new(grid.times().map(|t| success * lognormal_cdf(t.0 as f64 / median_us, sigma)))
}

/// Cumulative distribution of `exp(sigma Z)` at `x`.
fn lognormal_cdf(x: f64, sigma: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if sigma > 0.0 {
        0.5 * libm::erfc(-libm::log(x) / (sigma * core::f64::consts::SQRT_2))
    } else {
        f64::from(u8::from(x >= 1.0))
    }
}

/// An answer without waiting, for a share `success` of the calls.
pub fn at_once(grid: &Grid, success: f64) -> Curve {
    Curve::constant(grid, success)
}

/// Share of `calls` that answered well by each time, the latencies of good answers being `latency`. `default` counts for a few
/// calls, so that the curve goes on rising where nothing was seen yet.
///
/// A bucket counts only once its upper edge has passed: the share is never overstated. O(cells + buckets).
pub fn measured(grid: &Grid, latency: &Sketch, calls: u64, default: &Curve) -> Curve {
    let calls = calls.max(latency.count()) as f64 + PRIOR_CALLS;
    let times: Vec<Micros> = grid.times().collect();
    let counts = latency.counts_at_most(&times).into_iter();
    let share = |(count, prior): (CountBounds, &f64)| (count.lower as f64 + PRIOR_CALLS * prior) / calls;
    Curve::new(counts.zip(default.values()).map(share))
}

/// Lower end of the Wilson score interval of every point: what a curve measured on `calls` calls still promises, pointwise at the
/// confidence whose normal quantile is `z` (1.645: 95 %, one-sided). Wilson, JASA 22 (1927).
pub fn lower_confidence(curve: &Curve, calls: u64, z: f64) -> Curve {
    let n = calls as f64 + PRIOR_CALLS;
    Curve::new(curve.values().iter().map(|&p| wilson_lower(p, n, z)))
}

fn wilson_lower(p: f64, n: f64, z: f64) -> f64 {
    let z2 = z * z / n;
    let spread = z * libm::sqrt(p * (1.0 - p) / n + z2 / (4.0 * n));
    ((p + z2 / 2.0 - spread) / (1.0 + z2)).max(0.0)
}
