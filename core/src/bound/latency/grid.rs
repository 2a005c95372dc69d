//! The times at which bands are held.

use alloc::vec::Vec;

use crate::journey::{Expr, Journey};
use crate::units::{Micros, Millis};

/// Zero, a geometric sequence of times, and infinity as the last point.
///
/// Holds for each pair of points which point lies just below, and just above, their difference: 4 bytes a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyGrid {
    /// Ascending, without infinity.
    edges: Vec<Micros>,
    /// Row t: for each s <= t the last point at most `edges[t] - edges[s]`.
    below: Vec<Vec<u16>>,
    /// Row t: for each s <= t the first point at least `edges[t] - edges[s]`.
    above: Vec<Vec<u16>>,
}

impl LatencyGrid {
    /// Most finite points: a convolution looks at half their square.
    pub const EDGES_MAX: usize = 2_048;
    /// Points per doubling unless said otherwise: outward rounding costs at most 4.4 % a step.
    pub const PER_OCTAVE: u32 = 16;
    /// Ten octaves below the threshold (400 ms: 0.4 ms) and four above it (6.4 s).
    const OCTAVES_BELOW: i32 = 10;
    const OCTAVES_ABOVE: i32 = 4;

    /// A grid through `threshold` and every duration the expression names, so that both are read without rounding.
    pub fn for_journey(journey: &Journey, threshold: Micros) -> Self {
        Self::through(threshold, Self::PER_OCTAVE, &durations(journey.root()))
    }

    /// A grid of `per_octave` points per doubling through `threshold` and each of `others` (the first few hundred).
    pub fn through(threshold: Micros, per_octave: u32, others: &[Micros]) -> Self {
        let per_octave = per_octave.clamp(1, 64) as i32;
        let steps = -Self::OCTAVES_BELOW * per_octave..=Self::OCTAVES_ABOVE * per_octave;
        let at = |step: i32| threshold.0 as f64 * libm::exp2(f64::from(step) / f64::from(per_octave));
        let geometric = steps.map(|step| Micros(libm::round(at(step)) as u64));
        let mut edges: Vec<Micros> = geometric
            .chain([Micros(0), threshold])
            .chain(others.iter().copied())
            .take(Self::EDGES_MAX)
            .collect();
        edges.sort_unstable();
        edges.dedup();
        Self::from_edges(edges)
    }

    fn from_edges(edges: Vec<Micros>) -> Self {
        let row = |place: fn(&[Micros], Micros) -> usize| {
            let of = |t: usize| {
                let time = edges.get(t).copied().unwrap_or_default();
                edges.iter().take(t + 1).map(|s| place(&edges, time.since(*s)) as u16).collect()
            };
            (0..edges.len()).map(of).collect()
        };
        let (below, above) = (row(floor), row(ceil));
        Self { edges, below, above }
    }

    /// Finite points.
    pub fn edges(&self) -> &[Micros] {
        &self.edges
    }

    /// Number of points with infinity.
    pub fn len(&self) -> usize {
        self.edges.len() + 1
    }

    /// Never: zero is always a point.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The last point at or before a time.
    pub fn floor(&self, time: Micros) -> usize {
        floor(&self.edges, time)
    }

    /// The first point at or after a time; infinity beyond the last.
    pub fn ceil(&self, time: Micros) -> usize {
        ceil(&self.edges, time)
    }

    /// For each finite t and s <= t: points just below `t - s`.
    pub(super) fn below(&self) -> &[Vec<u16>] {
        &self.below
    }

    /// For each finite t and s <= t: points just above `t - s`.
    pub(super) fn above(&self) -> &[Vec<u16>] {
        &self.above
    }
}

fn floor(edges: &[Micros], time: Micros) -> usize {
    edges.partition_point(|edge| *edge <= time).saturating_sub(1)
}

fn ceil(edges: &[Micros], time: Micros) -> usize {
    edges.partition_point(|edge| *edge < time)
}

/// Every duration an expression names.
fn durations(expr: &Expr) -> Vec<Micros> {
    let own: Option<Millis> = match expr {
        Expr::Timeout { after, .. } => Some(*after),
        Expr::Retry { per_try_timeout, .. } => *per_try_timeout,
        Expr::Race { delay, .. } => Some(*delay),
        _ => None,
    };
    let inner = expr.children().into_iter().flat_map(durations);
    own.map(Millis::to_micros).into_iter().chain(inner).take(512).collect()
}
