//! SplitMix64 ([`emac_core::mix`]): a stream that never changes with a library's version, which is what a seed in a report promises.

use emac_core::mix;

/// A stream of random numbers.
pub(super) struct Random(u64);

impl Random {
    /// Stream `number` of a seed.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed);
        let start = random.next();
        let mut other = Self(number);
        Self(start ^ other.next())
    }

    fn next(&mut self) -> u64 {
        mix::next(&mut self.0)
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        mix::unit(&mut self.0) < probability
    }

    /// A number below `bound`, which is above zero. Lemire 2019, without its rejection: the bias is below bound / 2^64.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
