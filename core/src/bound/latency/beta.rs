//! The incomplete beta function and exact binomial limits.

/// Regularized incomplete beta function `I_x(a, b)`, `a, b > 0`, by Lentz's continued fraction (Abramowitz and Stegun 26.5.8). Relative
/// error about 1e-12; O(sqrt(max(a, b))) steps.
pub(super) fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x >= 1.0 {
        1.0
    } else if x < (a + 1.0) / (a + b + 2.0) {
        front(x, a, b) * fraction(x, a, b) / a
    } else {
        1.0 - front(x, a, b) * fraction(1.0 - x, b, a) / b
    }
}

/// `x^a (1-x)^b / B(a, b)`.
fn front(x: f64, a: f64, b: f64) -> f64 {
    let beta = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b);
    libm::exp(beta + a * libm::log(x) + b * libm::log1p(-x))
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
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
    let outer = chernoff_lower(k / n, n, alpha);
    if n > EXACT_MAX {
        return outer;
    }
    // P(at least k successes | p) = I_p(k, n - k + 1), rising in p.
    let excess = |p: f64| libm::log(incomplete_beta(p, k, n - k + 1.0).max(TINY)) - libm::log(alpha);
    last_below(excess, outer, k / n)
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

/// A point just below the root of a rising function between `low` (below it) and `high` (not below it), by the Illinois method.
fn last_below(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let (mut low, mut high) = (low, high);
    let (mut f_low, mut f_high) = (f(low), f(high));
    let mut last_moved_low = None;
    for _ in 0..60 {
        // Written so that NaN ends the search at the safe side.
        if !(f_low < 0.0 && f_high > 0.0 && high - low > 1e-12 * high) {
            break;
        }
        let guess = (low - f_low * (high - low) / (f_high - f_low)).clamp(low, high);
        let value = f(guess);
        let moves_low = value < 0.0;
        if moves_low {
            (low, f_low) = (guess, value);
            f_high *= if last_moved_low == Some(true) { 0.5 } else { 1.0 };
        } else {
            (high, f_high) = (guess, value);
            f_low *= if last_moved_low == Some(false) { 0.5 } else { 1.0 };
        }
        last_moved_low = Some(moves_low);
    }
    low * (1.0 - 1e-11)
}
