//! A band: lower and upper distribution function on a grid.

use alloc::vec::Vec;

use super::LatencyGrid;
use crate::bound::Interval;
use crate::units::Micros;

/// `lower <= F <= upper` at every point of a grid, infinity last. Both rise, lower stays below upper.
///
/// Between points `F` is at least the lower end of the point before and at most the upper end of the point after.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Band {
    /// From ends at every point: clamped to `[0, 1]`, the lower end made to rise, the upper end lowered to what comes after it. NaN is
    /// no knowledge (0 below, 1 above).
    pub(in crate::bound) fn new(
        lower: impl IntoIterator<Item = f64>,
        upper: impl IntoIterator<Item = f64>,
    ) -> Self {
        let mut held = 0.0;
        let mut lower: Vec<f64> = lower.into_iter().collect();
        for value in &mut lower {
            held = if *value > held { value.min(1.0) } else { held };
            *value = held;
        }
        let mut held = 1.0;
        let mut upper: Vec<f64> = upper.into_iter().collect();
        for value in upper.iter_mut().rev() {
            held = if *value < held { value.max(0.0) } else { held };
            *value = held;
        }
        upper.iter_mut().zip(&lower).for_each(|(upper, lower)| *upper = upper.max(*lower));
        Self { lower, upper }
    }

    /// An answer at once, with this probability.
    pub(super) fn at_once(grid: &LatencyGrid, value: f64) -> Self {
        let all = alloc::vec![value; grid.len()];
        Self::new(all.clone(), all)
    }

    pub(super) fn lower(&self) -> &[f64] {
        &self.lower
    }

    pub(super) fn upper(&self) -> &[f64] {
        &self.upper
    }

    pub(super) fn lower_at(&self, point: usize) -> f64 {
        self.lower.get(point).copied().unwrap_or(0.0)
    }

    pub(super) fn upper_at(&self, point: usize) -> f64 {
        self.upper.get(point).copied().unwrap_or(1.0)
    }

    /// The same shape in time for a component that is worth `value`, where `whole` are its lower and upper availability as they are.
    pub(in crate::bound) fn scaled(&self, value: Interval, (lo, hi): (f64, f64)) -> Self {
        let share = |part: f64, whole: f64| if whole > 0.0 { (part / whole).min(1.0) } else { 1.0 };
        let lower = self.lower.iter().map(|part| value.lo() * share(*part, lo));
        let upper: Vec<f64> = self.upper.iter().map(|part| value.hi() * share(*part, hi)).collect();
        Self::new(lower, upper)
    }

    /// Share of the intended requests that are answered well by `time`.
    pub fn at(&self, grid: &LatencyGrid, time: Micros) -> Interval {
        Interval::of(self.lower_at(grid.floor(time)), self.upper_at(grid.ceil(time)))
    }

    /// Share that is ever answered well.
    pub fn availability(&self) -> Interval {
        Interval::of(self.lower.last().copied().unwrap_or(0.0), self.upper.last().copied().unwrap_or(1.0))
    }

    /// Where the `q` quantile over all intended requests lies: (at least, at most); `None` for no finite end.
    pub fn quantile(&self, grid: &LatencyGrid, q: f64) -> (Option<Micros>, Option<Micros>) {
        let reached = |ends: &[f64]| ends.iter().position(|&p| p >= q);
        let first = reached(&self.upper).map(|point| point.saturating_sub(1));
        let edge = |point: usize| grid.edges().get(point).copied();
        (first.and_then(edge), reached(&self.lower).and_then(edge))
    }

    /// Whether `other` lies within, give or take `tolerance`.
    pub fn encloses(&self, other: &Self, tolerance: f64) -> bool {
        let below = self.lower.iter().zip(&other.lower).all(|(mine, theirs)| *mine <= theirs + tolerance);
        below && self.upper.iter().zip(&other.upper).all(|(mine, theirs)| *theirs <= mine + tolerance)
    }

    /// What lies in both of two bands around the same distribution.
    pub(super) fn and(&self, other: &Self) -> Self {
        let pairs = |a: &[f64], b: &[f64], fold: fn(f64, f64) -> f64| {
            a.iter().zip(b).map(|(a, b)| fold(*a, *b)).collect::<Vec<_>>()
        };
        Self::new(pairs(&self.lower, &other.lower, f64::max), pairs(&self.upper, &other.upper, f64::min))
    }

    /// Lower end of this and upper end of another band around the same distribution.
    pub(super) fn below(&self, upper: &Self) -> Self {
        Self::new(self.lower.iter().copied(), upper.upper.clone())
    }

    /// The same later: an answer at x becomes one at x + wait.
    pub(super) fn later(&self, grid: &LatencyGrid, wait: Micros) -> Self {
        if wait == Micros(0) {
            return self.clone();
        }
        let lower = grid
            .edges()
            .iter()
            .map(|edge| if *edge < wait { 0.0 } else { self.lower_at(grid.floor(edge.since(wait))) });
        let upper = grid
            .edges()
            .iter()
            .map(|edge| if *edge < wait { 0.0 } else { self.upper_at(grid.ceil(edge.since(wait))) });
        let (last_lower, last_upper) = (self.availability().lo(), self.availability().hi());
        let upper: Vec<f64> = upper.chain([last_upper]).collect();
        Self::new(lower.chain([last_lower]), upper)
    }

    /// No answer after `after`.
    pub(super) fn cut(&self, grid: &LatencyGrid, after: Micros) -> Self {
        let (last_lower, last_upper) = (self.lower_at(grid.floor(after)), self.upper_at(grid.ceil(after)));
        let lower = self.lower.iter().map(|value| value.min(last_lower));
        let upper: Vec<f64> = self.upper.iter().map(|value| value.min(last_upper)).collect();
        Self::new(lower, upper)
    }
}
