//! Small formulas that bounds and budgets share.

use alloc::vec::Vec;

/// At least `k` of independent events: tail of the Poisson binomial distribution. O(n k).
pub(crate) fn at_least(k: usize, events: impl Iterator<Item = f64>) -> f64 {
    // exactly[j]: probability of j successes so far, the last entry of k or more.
    let mut exactly: Vec<f64> = core::iter::once(1.0).chain(core::iter::repeat_n(0.0, k)).collect();
    for p in events {
        let mut below = 0.0;
        for (j, slot) in exactly.iter_mut().enumerate() {
            let here = *slot;
            let stays = if j == k { here } else { here * (1.0 - p) };
            *slot = stays + below * p;
            below = here;
        }
    }
    exactly.last().copied().unwrap_or(1.0)
}

/// At least one of independent events: `1 - prod (1 - p)`.
pub(crate) fn any(events: impl Iterator<Item = f64>) -> f64 {
    1.0 - events.map(|p| 1.0 - p).product::<f64>()
}

/// All of `n` times.
pub(crate) fn repeat(p: f64, n: u32) -> f64 {
    libm::pow(p, f64::from(n))
}

/// The least of `sum q_i p_i` over `q_i` in their intervals with `sum q_i = 1`: what is free goes to the worst first.
/// `choices`: (low, high, p). O(n log n).
pub(crate) fn least_mixture(mut choices: Vec<(f64, f64, f64)>) -> f64 {
    choices.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut free = 1.0 - choices.iter().map(|c| c.0).sum::<f64>();
    let mut sum = 0.0;
    for (lo, hi, p) in choices {
        let extra = (hi - lo).min(free).max(0.0);
        free -= extra;
        sum += (lo + extra) * p;
    }
    sum
}

/// The most: the least of the failures.
pub(crate) fn most_mixture(choices: Vec<(f64, f64, f64)>) -> f64 {
    1.0 - least_mixture(choices.into_iter().map(|(lo, hi, p)| (lo, hi, 1.0 - p)).collect())
}

/// Rueger's upper bound of "at least `k`" events of probability `p`, whatever their dependence; attained by some joint
/// distribution. Rueger, Das maximale Signifikanzniveau des Tests "Lehne H0 ab, wenn k unter n gegebenen Tests zur Ablehnung fuehren",
/// Metrika 25 (1978). O(n log n).
pub(crate) fn rueger_upper(k: usize, mut p: Vec<f64>) -> f64 {
    p.sort_by(f64::total_cmp);
    let mut sum: f64 = p.iter().sum();
    let mut best = 1.0_f64;
    for (j, largest) in (0..k).zip(p.iter().rev()) {
        best = best.min(sum / (k - j) as f64);
        sum -= largest;
    }
    best.max(0.0)
}

/// Rueger's lower bound: at least `k` succeed unless at least `n - k + 1` fail. `1 <= k <= n`. O(n log n).
pub(crate) fn rueger_lower(k: usize, p: &[f64]) -> f64 {
    let failures = p.iter().map(|p| 1.0 - p).collect();
    1.0 - rueger_upper((p.len() + 1).saturating_sub(k).max(1), failures)
}
