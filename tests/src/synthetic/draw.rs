//! Random numbers: one stream a purpose, all from one seed, so that adding a draw in one place moves nothing elsewhere.

pub(super) use emac_core::mix::mix;

/// A stream of draws.
pub struct Draw(fastrand::Rng);

impl Draw {
    /// Stream `number` of `purpose` under a seed.
    pub fn new(seed: u64, purpose: &str, number: u64) -> Self {
        let purpose = purpose.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        Self(fastrand::Rng::with_seed(mix(mix(seed ^ purpose) ^ mix(number))))
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `[lo, hi)`.
    pub fn between(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.unit()
    }

    /// A number below `bound`, which is above zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    /// 64 random bits, never all zero: span ids.
    pub fn id(&mut self) -> u64 {
        self.0.u64(1..)
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Standard normal, by Box and Muller 1958.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Lognormal with this median: latencies of services have its long right tail.
    pub fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// Index of one of the weights, in proportion to them; 0 when all are zero.
    pub fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        let found = weights.enumerate().position(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        found.unwrap_or(0)
    }

    /// `total` as a sum of `parts` summands, each at least 1; `1 <= parts <= total`.
    pub fn split(&mut self, total: usize, parts: usize) -> Vec<usize> {
        let mut shares = vec![1; parts];
        (parts..total).for_each(|_| shares[self.0.usize(..parts)] += 1);
        shares
    }
}
