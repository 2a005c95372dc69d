//! Exact limits of a binomial share, through the incomplete beta function.

/// `-ln B(a, b)`.
pub(super) fn ln_inverse_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
}

/// The continued fraction of the regularized incomplete beta function, `I_x(a, b) = x^a (1-x)^b / (a B(a, b)) · fraction`, for `x`
/// below its mean, by Lentz's method (Abramowitz and Stegun 26.5.8). O(sqrt(max(a, b))) steps.
pub(super) fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let kept = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for step in 1..STEPS_MAX {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / kept(1.0 + even * d);
        c = kept(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / kept(1.0 + odd * d);
        c = kept(1.0 + odd / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

const TINY: f64 = 1e-300;
const STEPS_MAX: u32 = 20_000;
/// Above this many trials the Chernoff limit is used instead: the fraction's cost grows with the root of the trials, and the two
/// differ by less than 2 % of the distance to the share.
const EXACT_MAX: f64 = 1e6;

/// Lower limit of a probability of which `k` of `n` trials succeeded: the largest p for which `k` or more successes have probability at
/// most `alpha` (Clopper and Pearson, Biometrika 26 (1934)), rounded down.
pub(super) fn lower_limit(k: f64, n: f64, alpha: f64) -> f64 {
    if k <= 0.0 {
        return 0.0;
    }
    if k >= n {
        return libm::pow(alpha, 1.0 / n);
    }
    if n > EXACT_MAX { chernoff_lower(k / n, n, alpha) } else { exact_lower(k, n, alpha) }
}

/// P(at least k successes | p) = I_p(k, n - k + 1) rises in p, and its logarithm is concave: wherever Newton's method starts, its
/// next point is not above the root, so every point but the first is a sound limit. About five steps.
fn exact_lower(k: f64, n: f64, alpha: f64) -> f64 {
    let (a, b) = (k, n - k + 1.0);
    let constant = ln_inverse_beta(a, b) - libm::log(a) - libm::log(alpha);
    let mut p = wilson_lower(k / n, n, normal_tail(alpha));
    for _ in 0..NEWTON_MAX {
        let fraction = fraction(p, a, b);
        let excess = constant + a * libm::log(p) + b * libm::log1p(-p) + libm::log(fraction);
        let step = excess * p * (1.0 - p) * fraction / a;
        // The next point is off by the square of this, on the sound side. Never true of NaN, which ends at the Chernoff limit.
        if step.abs() <= 1e-5 * p * (1.0 - p) {
            return (p - step) * (1.0 - 2e-11);
        }
        p = if p > step { (p - step).min(k / n) } else { p / 16.0 };
    }
    chernoff_lower(k / n, n, alpha)
}

const NEWTON_MAX: u32 = 40;

fn wilson_lower(share: f64, n: f64, z: f64) -> f64 {
    let z2 = z * z / n;
    let spread = z * libm::sqrt(share * (1.0 - share) / n + z2 / (4.0 * n));
    ((share + z2 / 2.0 - spread) / (1.0 + z2)).max(share / 1e3)
}

/// Normal quantile of a tail, to 5e-4: a start for Newton, no more (Abramowitz and Stegun 26.2.23).
fn normal_tail(alpha: f64) -> f64 {
    let t = libm::sqrt(-2.0 * libm::log(alpha.min(0.5)));
    let top = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    t - top / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)))
}

/// Upper limit, by symmetry.
pub(super) fn upper_limit(k: f64, n: f64, alpha: f64) -> f64 {
    1.0 - lower_limit(n - k, n, alpha)
}

/// The least p with `n KL(share || p) <= ln(1/alpha)`: below the exact limit, because the tail is at most `exp(-n KL)` (Chernoff 1952).
fn chernoff_lower(share: f64, n: f64, alpha: f64) -> f64 {
    let allowed = -libm::log(alpha) / n;
    let divergence = |p: f64| {
        share * libm::log(share / p)
            + if share < 1.0 { (1.0 - share) * libm::log((1.0 - share) / (1.0 - p)) } else { 0.0 }
    };
    let (mut far, mut near) = (0.0, share);
    for _ in 0..60 {
        let middle = f64::midpoint(far, near);
        if divergence(middle) > allowed { far = middle } else { near = middle }
    }
    far
}
