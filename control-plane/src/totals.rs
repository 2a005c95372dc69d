//! Lifetime totals: exact counts of everything ever reported, per journey and per hop.
//!
//! Counts are 64 bits wide (a sketch's are 32), so they do not run out: 2^64 requests at a million a second take 584 000 years.
//! Addition is exact and order does not matter, which the property test below holds against a plain recount.

use std::collections::BTreeMap;

use emac_core::evidence::{DecisionCounts, HopDelta, JourneyDelta};
use emac_core::outcome::OutcomeCounts;
use emac_core::sketch::{Bucket, Sketch, value_of_index};

use crate::packed::{Reader, overwrite_varint, varint_length, write_varint};

/// A distribution of latencies with 64-bit counts, in the buckets of [`emac_core::sketch`].
///
/// Some two bytes a bucket, because a hundred thousand hops have one each: (distance to the bucket before, count) as varints,
/// ascending, counts above zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyTotals {
    packed: Box<[u8]>,
}

impl LatencyTotals {
    /// Index of the bucket for values above the sketch's range; also takes what found its own bucket full, because "slow" is the
    /// careful guess about a value of which only the existence is known.
    pub const OVERFLOW: i32 = 864;

    /// From what was stored: (bucket index of `-1 ..= 864`, see [`Bucket::index`], count); buckets with a count of zero are left out.
    pub fn from_buckets(buckets: impl IntoIterator<Item = (i32, u64)>) -> Self {
        let mut sorted: BTreeMap<i32, u64> = BTreeMap::new();
        for (index, count) in buckets {
            let held = sorted.entry(index).or_default();
            *held = held.saturating_add(count);
        }
        let mut totals = Self::default();
        totals.merge(sorted.into_iter());
        totals
    }

    /// Adds a report's sketch.
    pub fn add(&mut self, sketch: &Sketch) {
        let buckets = sketch.buckets().map(|Bucket { index, count, .. }| (index, u64::from(count)));
        let buckets: Vec<_> = buckets.collect();
        if !self.add_in_place(&buckets) {
            self.merge(buckets.into_iter());
        }
        if sketch.lost() > 0 {
            self.merge([(Self::OVERFLOW, sketch.lost())].into_iter());
        }
    }

    /// Adds other totals.
    pub fn add_all(&mut self, other: &Self) {
        self.merge(other.buckets());
    }

    /// Adds ascending buckets where each is there already and its count takes as many bytes as before, which is most additions once a
    /// distribution is known; else nothing.
    fn add_in_place(&mut self, buckets: &[(i32, u64)]) -> bool {
        let (mut sums, mut left) = (Vec::with_capacity(buckets.len()), buckets.iter().peekable());
        let (mut bytes, mut last) = (Reader::new(&self.packed), FIRST);
        while let Some(&&(index, more)) = left.peek() {
            let Ok(gap) = bytes.varint() else { return false };
            let at = self.packed.len() - bytes.len();
            let Ok(count) = bytes.varint() else { return false };
            last = last.saturating_add_unsigned(gap);
            if last > i64::from(index) {
                return false;
            }
            if last == i64::from(index) {
                let sum = count.saturating_add(more);
                if varint_length(sum) != self.packed.len() - bytes.len() - at {
                    return false;
                }
                sums.push((at, sum));
                left.next();
            }
        }
        sums.into_iter().for_each(|(at, sum)| overwrite_varint(&mut self.packed[at..], sum));
        true
    }

    /// Adds ascending buckets.
    fn merge(&mut self, buckets: impl Iterator<Item = (i32, u64)>) {
        let mut theirs = buckets.filter(|(_, count)| *count > 0).peekable();
        if theirs.peek().is_none() {
            return;
        }
        let mut merged = Writer { packed: Vec::with_capacity(self.packed.len() + 16), last: FIRST };
        let mut mine = self.buckets().peekable();
        loop {
            match (mine.peek().copied(), theirs.peek().copied()) {
                (None, None) => break,
                (Some((index, count)), Some((other, more))) if index == other => {
                    merged.push(index, count.saturating_add(more));
                    mine.next();
                    theirs.next();
                }
                (Some((index, count)), other) if other.is_none_or(|(other, _)| index < other) => {
                    merged.push(index, count);
                    mine.next();
                }
                (_, other) => {
                    other.into_iter().for_each(|(index, count)| merged.push(index, count));
                    theirs.next();
                }
            }
        }
        drop(mine);
        self.packed = merged.packed.into_boxed_slice();
    }

    /// (bucket index, count), ascending, counts above zero.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        let (mut bytes, mut last) = (Reader::new(&self.packed), FIRST);
        std::iter::from_fn(move || {
            let (gap, count) = (bytes.varint().ok()?, bytes.varint().ok()?);
            last += i64::try_from(gap).ok()?;
            Some((i32::try_from(last).ok()?, count))
        })
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.buckets().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Estimated sum of the values in microseconds, off by at most the sketch's relative error; what is above its range counts as its end.
    /// Taken from the buckets, so that no report can bring it to the end of a number before their counts are.
    pub fn sum_us(&self) -> f64 {
        self.buckets().map(|(index, count)| value_of_index(index) * count as f64).sum()
    }

    /// Memory beside the value itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.packed.len()
    }
}

/// Where distances begin: the lowest bucket.
const FIRST: i64 = -1;

struct Writer {
    packed: Vec<u8>,
    last: i64,
}

impl Writer {
    fn push(&mut self, index: i32, count: u64) {
        write_varint(&mut self.packed, (i64::from(index) - self.last).unsigned_abs());
        write_varint(&mut self.packed, count);
        self.last = i64::from(index);
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

impl JourneyTotals {
    /// Adds what was reported.
    pub fn add(&mut self, delta: &JourneyDelta) {
        self.outcomes.merge(&delta.outcomes);
        self.within_deadline = self.within_deadline.saturating_add(delta.within_deadline);
        self.degraded = self.degraded.saturating_add(delta.degraded);
        self.latency.add(&delta.latency);
    }

    /// Adds other totals.
    pub fn add_all(&mut self, other: &Self) {
        self.outcomes.merge(&other.outcomes);
        self.within_deadline = self.within_deadline.saturating_add(other.within_deadline);
        self.degraded = self.degraded.saturating_add(other.degraded);
        self.latency.add_all(&other.latency);
    }
}

impl HopTotals {
    /// Adds what was reported.
    pub fn add(&mut self, delta: &HopDelta) {
        self.outcomes.merge(&delta.outcomes);
        self.retries = self.retries.saturating_add(delta.retries);
        self.decisions.merge(&delta.decisions);
        self.latency.add(&delta.latency);
        self.alternate_latency.add(&delta.alternate_latency);
    }

    /// Adds other totals.
    pub fn add_all(&mut self, other: &Self) {
        self.outcomes.merge(&other.outcomes);
        self.retries = self.retries.saturating_add(other.retries);
        self.decisions.merge(&other.decisions);
        self.latency.add_all(&other.latency);
        self.alternate_latency.add_all(&other.alternate_latency);
    }

    /// Memory beside the value itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.latency.heap_bytes() + self.alternate_latency.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use emac_core::units::Micros;
    use proptest::prelude::*;

    use super::*;

    /// The sum is the buckets', however often the largest report comes.
    #[test]
    fn no_number_of_reports_brings_a_sum_to_its_end() {
        let mut sketch = Sketch::new();
        sketch.record_n(Micros(1 << 27), u32::MAX);
        let (mut totals, mut reports) = (LatencyTotals::default(), 0_u32);
        let mut before = 0.0;
        while reports < 100 {
            totals.add(&sketch);
            reports += 1;
            let expected = f64::from(reports) * sketch.sum_estimate();
            assert!(totals.sum_us() > before && (totals.sum_us() / expected - 1.0).abs() < 1e-9);
            before = totals.sum_us();
        }
        assert!(before > u64::MAX as f64);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x7074), failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Against a plain map, with counts of every length and the largest, where sums stop.
        #[test]
        fn distributions_add_up_as_a_map_does(
            steps in prop::collection::vec(prop::collection::vec((0_usize..12, prop_oneof![1_u32..200, any::<u32>()]), 0..6), 1..30),
            begin in prop_oneof![Just(0_u64), any::<u64>()],
        ) {
            let mut totals = LatencyTotals::from_buckets([(3, begin)]);
            let mut map: BTreeMap<i32, u64> = [(3, begin)].into();
            for step in steps {
                let mut sketch = Sketch::new();
                step.iter().for_each(|(value, times)| sketch.record_n(Micros(1 << (2 * value)), *times));
                for Bucket { index, count, .. } in sketch.buckets() {
                    let held = map.entry(index).or_default();
                    *held = held.saturating_add(u64::from(count));
                }
                let held = map.entry(LatencyTotals::OVERFLOW).or_default();
                *held = held.saturating_add(sketch.lost());
                totals.add(&sketch);
            }
            map.retain(|_, count| *count > 0);
            prop_assert_eq!(totals.buckets().collect::<BTreeMap<_, _>>(), map.clone());
            prop_assert_eq!(totals, LatencyTotals::from_buckets(map));
        }
    }
}
