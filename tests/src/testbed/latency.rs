//! How long a healthy service takes: lognormal, given by its median and its 99th percentile.

use std::time::Duration;

/// The standard normal's 0.99 quantile.
const Z99: f64 = 2.326_347_874;

/// A lognormal distribution of service times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
}

impl Latency {
    /// By median and 99th percentile, milliseconds, `0 < p50 <= p99`.
    pub const fn ms(p50_ms: f64, p99_ms: f64) -> Self {
        Self { p50_ms, p99_ms }
    }

    /// No time at all: for tests of what is around a service.
    pub const fn none() -> Self {
        Self { p50_ms: 0.0, p99_ms: 0.0 }
    }

    /// The next service time drawn from `random`. Always takes two numbers from it, so that the n-th draw is the same whatever
    /// the parameters are.
    pub fn draw(&self, random: &mut fastrand::Rng) -> Duration {
        let z = standard_normal(random);
        if self.p50_ms <= 0.0 {
            return Duration::ZERO;
        }
        let sigma = (self.p99_ms / self.p50_ms).ln() / Z99;
        Duration::from_secs_f64(self.p50_ms / 1_000.0 * (sigma * z).exp())
    }
}

/// Box and Muller's transform; the second of the pair is not used.
fn standard_normal(random: &mut fastrand::Rng) -> f64 {
    let (u, v) = (1.0 - random.f64(), random.f64());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_as_asked() {
        let mut random = fastrand::Rng::with_seed(1);
        let latency = Latency::ms(40.0, 120.0);
        let mut drawn: Vec<f64> =
            (0..100_000).map(|_| latency.draw(&mut random).as_secs_f64() * 1_000.0).collect();
        drawn.sort_by(f64::total_cmp);
        assert!((drawn[50_000] - 40.0).abs() < 0.5, "{}", drawn[50_000]);
        assert!((drawn[99_000] - 120.0).abs() < 4.0, "{}", drawn[99_000]);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| Latency::ms(5.0, 9.0).draw(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
