//! SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014): ten lines whose stream never changes
//! with a library's version, which is what a seed in a report promises.

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
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        // 53 bits: every double in [0, 1) that is a multiple of 2^-53.
        ((self.next() >> 11) as f64) * (1.0 / (1_u64 << 53) as f64) < probability
    }

    /// A number below `bound`, which is above zero. Lemire 2019, without its rejection: the bias is below bound / 2^64.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
