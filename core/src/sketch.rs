//! Latency sketch: a base-2 exponential histogram of schema 5 over whole microseconds.
//!
//! Why this one: buckets are those of OTLP exponential histograms and Prometheus native histograms, so export is a copy; merge
//! is exact, commutative and associative; recording is a table look-up and an addition; and the error is relative and bounded
//! ([`RELATIVE_ERROR_MAX`]) whatever the distribution (DDSketch, Masson, Rim and Lee, VLDB 2019).
//!
//! Range: `1 us ..= 2^27 us` (134 s) in 865 buckets; 0 counts as 1 us, larger values go to one overflow bucket and are reported
//! as [`Sketch::above_range`]. An empty sketch owns no memory, any other 3.5 KB.
//!
//! Left out: changing the schema, negative values, exact sums, minimum and maximum.

mod codec;
#[cfg(any(test, feature = "twin"))]
pub mod exact;
mod mapping;
mod store;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use codec::{ENCODED_BYTES_MAX, InvalidSketch};

use crate::units::Micros;
use mapping::{SLOT_OVERFLOW, lower_of, slot_of, upper_of, value_of};
use store::Store;

/// `(g - 1) / (g + 1)` with `g = 2^(1/32)`, rounded up: the most by which [`Sketch::quantile`] is off, relative to the true
/// value, for values up to 134 s.
pub const RELATIVE_ERROR_MAX: f64 = 0.010_830_002;

/// Schema of Prometheus native histograms and scale of OTLP exponential histograms: `2^5` buckets per doubling.
pub const SCHEMA: i32 = 5;

/// Counts of latencies by bucket.
///
/// A bucket's count stops at `u32::MAX`; [`Sketch::count`] goes on counting and [`Sketch::lost`] says how many have no place.
/// All laws of merging hold for saturated sketches too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    store: Store,
}

/// One bucket with its count: the whole microseconds in `(lower, upper]`; the first one takes 0 as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Index in an OTLP exponential histogram, `-1 ..= 864`: the bucket covers `(2^(index/32), 2^((index+1)/32)]`.
    /// Prometheus native histograms number it one higher.
    pub index: i32,
    /// Largest whole value below.
    pub lower: Micros,
    /// Largest whole value inside; `u64::MAX` for the overflow bucket.
    pub upper: Micros,
    /// Values inside, at least 1.
    pub count: u32,
}

/// The value that stands for those of a bucket with [`Bucket::index`] `-1 ..= 864`, in microseconds: off by at most [`RELATIVE_ERROR_MAX`]. The
/// nearest bucket's for another index; `2^27` for what is above the range.
pub fn value_of_index(index: i32) -> f64 {
    value_of(usize::try_from(index.saturating_add(1)).unwrap_or(0).min(SLOT_OVERFLOW))
}

/// How many values are surely, and how many possibly, at most some limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountBounds {
    /// Surely at most the limit.
    pub lower: u64,
    /// Possibly at most the limit.
    pub upper: u64,
}

impl Sketch {
    /// An empty sketch, without memory of its own.
    pub const fn new() -> Self {
        Self { store: Store::new() }
    }

    /// Counts one value. A few nanoseconds; the first one allocates.
    #[inline]
    pub fn record(&mut self, value: Micros) {
        self.record_n(value, 1);
    }

    /// Counts a value `n` times.
    #[inline]
    pub fn record_n(&mut self, value: Micros, n: u32) {
        if n > 0 {
            self.store.add(slot_of(value.0), n);
        }
    }

    /// Values recorded, those without a place included. About 0.1 us.
    pub fn count(&self) -> u64 {
        self.store.held().saturating_add(self.store.lost())
    }

    /// Values that found their bucket full: in [`Sketch::count`], in no bucket.
    pub const fn lost(&self) -> u64 {
        self.store.lost()
    }

    /// Values above the range, counted in the overflow bucket.
    pub fn above_range(&self) -> u32 {
        self.store.counts().get(SLOT_OVERFLOW).copied().unwrap_or(0)
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// Adds another sketch, exactly. About 0.1 us.
    pub fn merge(&mut self, other: &Self) {
        self.store.merge(&other.store);
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.store.clear();
    }

    /// Buckets that hold something, from low to high.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.store.nonzero().map(|(slot, count)| Bucket {
            index: slot as i32 - 1,
            lower: Micros(lower_of(slot)),
            upper: Micros(upper_of(slot)),
            count,
        })
    }

    /// The smallest value that at least a share `q` of the values does not exceed, in microseconds.
    ///
    /// Off by at most [`RELATIVE_ERROR_MAX`]; a value above the range counts as `2^27`. `None` when the sketch is empty or `q`
    /// is not in `[0, 1]`. Lost values are not seen.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.slot_at(q).map(value_of)
    }

    /// The bucket of [`Sketch::quantile`] as an interval that holds the true quantile: `(lower, upper]`.
    pub fn quantile_bounds(&self, q: f64) -> Option<(Micros, Micros)> {
        self.slot_at(q).map(|slot| (Micros(lower_of(slot)), Micros(upper_of(slot))))
    }

    /// Bounds of the number of values at most `limit`: exact but for the bucket that holds `limit`, and for lost values, which
    /// may be anywhere.
    pub fn count_at_most(&self, limit: Micros) -> CountBounds {
        let at = slot_of(limit.0);
        let below = self.store.counts().iter().take(at).map(|&count| u64::from(count)).sum();
        self.bounds_in(at, limit, below)
    }

    /// [`Sketch::count_at_most`] of each of `limits`, which ascend; in one go over the buckets.
    pub fn counts_at_most(&self, limits: &[Micros]) -> Vec<CountBounds> {
        let counts = self.store.counts();
        let (mut below, mut next) = (0, 0);
        let at_most = |limit: &Micros| {
            let at = slot_of(limit.0);
            let passed = counts.get(next..at.min(counts.len())).unwrap_or_default();
            below += passed.iter().map(|&count| u64::from(count)).sum::<u64>();
            next = next.max(at);
            self.bounds_in(at, *limit, below)
        };
        limits.iter().map(at_most).collect()
    }

    /// Estimate of the sum of all values in microseconds: off by at most [`RELATIVE_ERROR_MAX`] while nothing is lost or above
    /// the range.
    pub fn sum_estimate(&self) -> f64 {
        self.store.nonzero().map(|(slot, count)| value_of(slot) * f64::from(count)).sum()
    }

    /// Appends the sketch as bytes; see the module `codec` for the form. At most [`ENCODED_BYTES_MAX`] bytes, none when empty.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        codec::encode(&self.store, out);
    }

    /// The sketch as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Reads a sketch.
    ///
    /// # Errors
    /// [`InvalidSketch`] for anything but the one encoding of a sketch.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidSketch> {
        let mut sketch = Self::new();
        sketch.merge_encoded(bytes).map(|()| sketch)
    }

    /// Adds an encoded sketch without building it first.
    ///
    /// # Errors
    /// [`InvalidSketch`]; the sketch is then unchanged.
    pub fn merge_encoded(&mut self, bytes: &[u8]) -> Result<(), InvalidSketch> {
        codec::merge(&mut self.store, bytes)
    }

    /// Bounds at a limit in slot `at`, with so many values in the slots before.
    fn bounds_in(&self, at: usize, limit: Micros, below: u64) -> CountBounds {
        let inside = self.store.counts().get(at).copied().map_or(0, u64::from);
        let complete = limit.0 >= upper_of(at);
        CountBounds {
            lower: if complete { below + inside } else { below },
            upper: (below + inside).saturating_add(self.lost()),
        }
    }

    /// Slot of the value of rank `ceil(q * n)`, at least the first.
    fn slot_at(&self, q: f64) -> Option<usize> {
        // Written so that NaN fails.
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = (libm::ceil(q * self.store.held() as f64) as u64).max(1);
        let mut seen = 0;
        self.store.counts().iter().position(|&count| {
            seen += u64::from(count);
            seen >= rank
        })
    }
}
