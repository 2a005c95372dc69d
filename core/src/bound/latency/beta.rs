//! Exact limits of a binomial share, through the incomplete beta function.
//!
//! P(at least k of n | p) = I_p(a, b) with a = k, b = n - k + 1, written as `p^a q^b / B(a, b) · f` with a continued fraction f of positive
//! terms (DiDonato and Morris, ACM TOMS 18 (1992), the even part of Abramowitz and Stegun 26.5.8). Its convergents lie above and below f in
//! turn, so stopping above it keeps a limit sound, however early; a dozen steps give nine digits.

use core::f64::consts::TAU;

/// Limits, at one level, of a probability of which some of `n` trials succeeded.
pub(super) struct Limits {
    n: f64,
    alpha: f64,
    /// What all counts have in common: `ln Γ(n + 1) - ln alpha`.
    constant: f64,
    /// Normal quantile of the level.
    z: f64,
}

/// Above this many trials doubles no longer hold what the exact limit is computed from, and the Chernoff limit is used instead.
const EXACT_MAX: f64 = 1e12;
const NEWTON_MAX: u32 = 40;
/// Newton's next point is off by less than half the square of this, as a share of the level.
const EXCESS_ENOUGH: f64 = 1e-3;

impl Limits {
    /// `n >= 1` trials; each limit is wrong with probability at most `alpha`.
    pub(super) fn new(n: f64, alpha: f64) -> Self {
        Self { n, alpha, constant: ln_gamma(n + 1.0) - libm::log(alpha), z: normal_quantile(alpha) }
    }

    /// The largest p for which `k` or more successes have probability at most `alpha` (Clopper and Pearson, Biometrika 26 (1934)),
    /// rounded down. About a quarter of a microsecond.
    pub(super) fn lower(&self, k: f64) -> f64 {
        if k <= 0.0 {
            0.0
        } else if k >= self.n {
            libm::pow(self.alpha, 1.0 / self.n)
        } else if self.n > EXACT_MAX {
            self.chernoff(k / self.n)
        } else {
            self.exact(k)
        }
    }

    /// The upper limit, by symmetry.
    pub(super) fn upper(&self, k: f64) -> f64 {
        1.0 - self.lower(self.n - k)
    }

    /// I_p(a, b) rises in p and its logarithm is concave: wherever Newton's method starts, its next point is not above the root, so every
    /// point but the first is a sound limit. Two steps from where the normal approximation puts it.
    fn exact(&self, k: f64) -> f64 {
        let (a, b) = (k, self.n - k + 1.0);
        let (gamma_a, gamma_b) = (ln_gamma(a), ln_gamma(b));
        let constant = self.constant - gamma_a - gamma_b;
        let mut p = self.start(k);
        for _ in 0..NEWTON_MAX {
            let q = 1.0 - p;
            let f = fraction(p, a, b);
            let (ln_p, ln_q) = (a * libm::log(p), b * libm::log1p(-p));
            // Rounding of the large terms counts to the safe side.
            let terms = [self.constant, gamma_a, gamma_b, ln_p, ln_q].map(f64::abs);
            let rounding = ROUNDING * terms.iter().sum::<f64>();
            let excess = constant + ln_p + ln_q + libm::log(f) + rounding;
            let next = p - excess * p * q * f;
            // Never true of NaN, which ends at the Chernoff limit.
            if excess.abs() <= EXCESS_ENOUGH {
                return next * (1.0 - ROUNDING);
            }
            p = if next > 0.0 { next } else { p / 16.0 };
        }
        self.chernoff(k / self.n)
    }

    /// Wilson's limit for the count less one half, with the level's quantile bent by skewness and kurtosis. With a thousand trials and a level
    /// of 1e-5 it is two thousandths of a standard deviation off.
    fn start(&self, k: f64) -> f64 {
        let share = (k - 0.5) / self.n;
        let first = self.wilson(share, self.z);
        let variance = self.n * first * (1.0 - first);
        let skew = (1.0 - 2.0 * first) / libm::sqrt(variance);
        let excess = (1.0 - 6.0 * first * (1.0 - first)) / variance;
        // At levels far below those in use the bent quantile is of no use.
        self.wilson(share, bent(self.z, skew, excess)).min(k / self.n)
    }

    /// The p below `share` that lies `z` of its own standard deviations from it (Wilson 1927).
    fn wilson(&self, share: f64, z: f64) -> f64 {
        let z2 = z * z / self.n;
        let spread = z * libm::sqrt(share * (1.0 - share) / self.n + z2 / (4.0 * self.n));
        ((share + z2 / 2.0 - spread) / (1.0 + z2)).max(share / 1e3)
    }

    /// The least p with `n KL(share || p) <= ln(1/alpha)` for a share below 1: below the exact limit, because the tail is at most `exp(-n KL)` (Chernoff 1952).
    fn chernoff(&self, share: f64) -> f64 {
        let allowed = -libm::log(self.alpha) / self.n;
        let part = |share: f64, p: f64| share * libm::log(share / p);
        let divergence = |p: f64| part(share, p) + part(1.0 - share, 1.0 - p);
        let (mut far, mut near) = (0.0, share);
        for _ in 0..60 {
            let middle = f64::midpoint(far, near);
            if divergence(middle) > allowed { far = middle } else { near = middle }
        }
        far
    }
}

/// Twice the relative error of a sum of half a dozen logarithms.
const ROUNDING: f64 = 2e-15;
const FRACTION_ENOUGH: f64 = 1e-8;
const STEPS_MAX: f64 = 20_000.0;

/// The continued fraction, from above, for `p` below its mean. Convergents are looked at after every fourth step only: a division costs as
/// much as a step.
fn fraction(p: f64, a: f64, b: f64) -> f64 {
    let q = 1.0 - p;
    let lambda = a - (a + b) * p;
    let mut inverse = 1.0 / (a + 1.0);
    // Numerators and denominators of the last two convergents.
    let (mut above, mut below) = ((1.0, a * inverse * (lambda + 1.0)), (0.0, 1.0));
    let mut n = 0.0;
    loop {
        for _ in 0..4 {
            n += 1.0;
            let term = n * (b - n) * p * inverse;
            let alpha = (a + n - 1.0) * (a + b + n - 1.0) * p * term * inverse;
            inverse = 1.0 / (a + 2.0 * n + 1.0);
            let beta = n + term + (a + n) * inverse * (lambda + 1.0 + n * (1.0 + q));
            let next = (beta * above.0 + alpha * below.0, beta * above.1 + alpha * below.1);
            below = core::mem::replace(&mut above, next);
            // The numerator of the next step is zero: this convergent is the value.
            if n >= b {
                return above.0 / above.1;
            }
        }
        let (scale, value) = (1.0 / above.1, above.0 / above.1);
        if value - below.0 / below.1 <= FRACTION_ENOUGH * value || n >= STEPS_MAX {
            return value;
        }
        (above, below) = ((value, 1.0), (below.0 * scale, below.1 * scale));
    }
}

/// Stirling's series from 16 on, where three terms more than suffice.
fn ln_gamma(z: f64) -> f64 {
    if z < 16.0 {
        return libm::lgamma(z);
    }
    let r = 1.0 / z;
    let series = r * (1.0 / 12.0 - r * r * (1.0 / 360.0 - r * r * (1.0 / 1_260.0 - r * r / 1_680.0)));
    (z - 0.5) * libm::log(z) - z + libm::log(TAU) / 2.0 + series
}

/// The quantile of a distribution with this skewness and excess kurtosis, in standard deviations, from the normal one (Cornish and Fisher
/// 1938).
fn bent(z: f64, skew: f64, excess: f64) -> f64 {
    let z2 = z * z;
    z + (z2 - 1.0) * skew / 6.0 + (z2 - 3.0) * z * excess / 24.0 - (2.0 * z2 - 5.0) * z * skew * skew / 36.0
}

/// Normal quantile of a tail: Abramowitz and Stegun 26.2.23 to 5e-4, and Newton's method once on the logarithm of the tail. A start, no more.
fn normal_quantile(alpha: f64) -> f64 {
    let t = libm::sqrt(-2.0 * libm::log(alpha.min(0.5)));
    let top = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let z = t - top / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    let tail = libm::erfc(z * core::f64::consts::FRAC_1_SQRT_2) / 2.0;
    let density = libm::exp(-z * z / 2.0) / libm::sqrt(TAU);
    let step = libm::log(tail / alpha) * tail / density;
    if step.is_finite() { z + step } else { z }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_those_of_the_tables() {
        for (alpha, z) in [
            (0.5, 0.0),
            (0.25, 0.674_489_750_2),
            (0.025, 1.959_963_984_5),
            (1e-3, 3.090_232_306_2),
            (1e-6, 4.753_424_308_8),
            (1e-9, 5.997_807_015_0),
            (1e-15, 7.941_345_326_2),
        ] {
            assert!((normal_quantile(alpha) - z).abs() < 1e-7, "{alpha}: {}", normal_quantile(alpha));
        }
    }

    #[test]
    fn bent_quantiles_are_near_those_of_chi_square() {
        // 100 degrees of freedom: mean 100, variance 200, skewness sqrt(8/100), excess kurtosis 12/100.
        for (z, quantile) in
            [(-2.326_348, 70.065), (1.644_854, 124.342), (2.326_348, 135.807), (3.090_232, 149.449)]
        {
            let near = 100.0 + libm::sqrt(200.0) * bent(z, libm::sqrt(0.08), 0.12);
            assert!((near - quantile).abs() < 0.02, "{z}: {near} {quantile}");
        }
    }

    #[test]
    fn wilson_limits_lie_so_many_of_their_own_deviations_below() {
        for (n, share, z) in [(50.0, 0.3, 2.0), (1_000.0, 0.9, 3.0), (100.0, 0.01, 1.0), (20.0, 0.5, -1.0)] {
            let p = Limits::new(n, 0.5).wilson(share, z);
            let deviations = (share - p) / libm::sqrt(p * (1.0 - p) / n);
            assert!((deviations - z).abs() < 1e-9, "{share} of {n}: {deviations} {z}");
        }
        assert_eq!(Limits::new(2.0, 0.5).wilson(0.5, 1e3), 0.000_5, "never less than a thousandth");
    }

    #[test]
    fn the_search_starts_near_the_limit_and_never_above_the_share() {
        for k in [250.0, 500.0, 750.0] {
            let limits = Limits::new(1_000.0, 1e-5);
            let exact = limits.lower(k);
            let deviations = (limits.start(k) - exact) / libm::sqrt(exact * (1.0 - exact) / 1_000.0);
            assert!(deviations.abs() < 2e-3, "{k}: {deviations}");
        }
        for alpha in [1e-20, 1e-100, 1e-300] {
            assert!(Limits::new(20.0, alpha).start(2.0) <= 0.1, "{alpha}");
        }
    }

    #[test]
    fn the_chernoff_limit_of_one_half_has_a_closed_form() {
        // KL(1/2 || p) = -ln(4 p (1 - p)) / 2.
        let (n, alpha) = (100.0, 0.01);
        let closed = (1.0 - libm::sqrt(1.0 - libm::pow(alpha, 2.0 / n))) / 2.0;
        let limit = Limits::new(n, alpha).chernoff(0.5);
        assert!((limit - closed).abs() < 1e-12, "{limit} {closed}");
    }

    #[test]
    fn only_beyond_the_largest_number_of_trials_the_chernoff_limit_is_taken() {
        let lower = |n: f64| {
            let limits = Limits::new(n, 0.025);
            (limits.lower(5e11), limits.chernoff(5e11 / n))
        };
        let (exact, chernoff) = lower(EXACT_MAX);
        assert!(exact > chernoff);
        let (beyond, chernoff) = lower(EXACT_MAX + 1.0);
        assert_eq!(beyond, chernoff);
    }

    #[test]
    fn the_logarithm_of_gamma_is_that_of_a_factorial() {
        // Up to 18! doubles are exact.
        let mut factorial = 1.0;
        for n in 1..=18 {
            factorial *= f64::from(n);
            let (ours, exact) = (ln_gamma(f64::from(n + 1)), libm::log(factorial));
            assert!((ours - exact).abs() < 1e-13, "{n}: {ours} {exact}");
        }
    }
}
