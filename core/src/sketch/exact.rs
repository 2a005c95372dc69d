//! The slow exact twin of the sketch: every value, sorted. For tests only.

use std::vec::Vec;

use crate::units::Micros;

/// Every value that was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExactSketch {
    sorted: Vec<u64>,
}

impl ExactSketch {
    /// Keeps one value; linear in the number of values.
    pub fn record(&mut self, value: Micros) {
        let at = self.sorted.partition_point(|&other| other <= value.0);
        self.sorted.insert(at, value.0);
    }

    /// The value of rank `ceil(q * n)`, at least the first.
    pub fn quantile(&self, q: f64) -> Option<Micros> {
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = (libm::ceil(q * self.sorted.len() as f64) as usize).max(1);
        self.sorted.get(rank - 1).map(|&value| Micros(value))
    }

    /// Values at most `limit`.
    pub fn count_at_most(&self, limit: Micros) -> u64 {
        self.sorted.partition_point(|&value| value <= limit.0) as u64
    }

    /// Sum of all values.
    pub fn sum(&self) -> u128 {
        self.sorted.iter().map(|&value| u128::from(value)).sum()
    }
}
