//! The points at which a curve rises: all that a convolution has to look at.
//!
//! A curve on a grid is flat almost everywhere, before the first and after the last latency seen, so going through its rises costs a
//! fraction of going through all points. And once every rise of both parts of a sum lies behind, the sum rises no more.

use alloc::vec::Vec;

use super::LatencyGrid;

/// A rise of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// The point from which on the curve is higher.
    pub(super) point: usize,
    /// How high it was before.
    pub(super) from: f64,
    /// How high it is.
    pub(super) to: f64,
}

/// Rises at finite points; at the first point from zero.
pub(super) fn steps(grid: &LatencyGrid, values: &[f64]) -> Vec<Step> {
    let mut from = 0.0;
    let mut found = Vec::new();
    for (point, &to) in values.iter().enumerate().take(grid.edges().len()) {
        if to > from {
            found.push(Step { point, from, to });
            from = to;
        }
    }
    found
}

/// Values of the sum of two parts at all finite points: `value` of each row until nothing can rise any more, and that value from there on.
///
/// `rows[t][s]` is the point at which `t - s` lies. Nothing rises any more when even the last of `steps` leaves a time at which the other part
/// has had its own last rise, at `other`.
pub(super) fn until_flat<'a>(
    rows: &'a [Vec<u16>],
    steps: &'a [Step],
    other: usize,
    value: impl Fn(&'a [u16]) -> f64 + 'a,
) -> impl Iterator<Item = f64> + 'a {
    let last = steps.last().map_or(0, |step| step.point);
    let mut flat = None;
    rows.iter().map(move |row| {
        flat.unwrap_or_else(|| {
            let now = value(row);
            let over = row.get(last).is_some_and(|&rest| usize::from(rest) >= other);
            flat = over.then_some(now);
            now
        })
    })
}

/// Where a curve rises last among finite points; 0 if nowhere.
pub(super) fn last_rise(grid: &LatencyGrid, values: &[f64]) -> usize {
    let finite = values.get(..grid.edges().len()).unwrap_or(values);
    let end = finite.last().copied().unwrap_or_default();
    finite.iter().position(|&value| value >= end).unwrap_or_default()
}
