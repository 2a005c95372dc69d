//! Each operator on curves, value by value.

use alloc::vec::Vec;

use super::Curve;

/// Splits whose values differ by less count as equal, and the middle one is taken: slack is shared between the parts instead of
/// going to whoever comes first, and rounding does not choose. A hundredth of the error budget of four nines.
pub(super) const TIE: f64 = 1e-6;

/// A curve and, for each time, how much of it the first part gets.
pub(super) struct Cut {
    pub(super) curve: Curve,
    pub(super) first: Vec<usize>,
}

/// `max over i+j = t, i >= min(least, t/2) of value(a(i), b(j))`, `value` non-decreasing in `b`. O(cells²).
pub(super) fn best_split(a: &Curve, b: &Curve, least: usize, value: impl Fn(f64, f64) -> f64) -> Cut {
    let cells = a.values().len();
    let timeless = b.is_constant();
    let splits: Vec<(f64, usize)> = (0..cells)
        .map(|t| {
            let least = least.min(t / 2);
            let own = a.values().get(least..=t).unwrap_or_default();
            let rest = b.values().get(..=t - least).unwrap_or_default();
            let (best, more) = best_of(own, rest, timeless, &value);
            (best, least + more)
        })
        .collect();
    Cut {
        curve: Curve::new(splits.iter().map(|&(value, _)| value)),
        first: splits.into_iter().map(|(_, first)| first).collect(),
    }
}

/// The best of the pairs of `a` upwards with `b` downwards, and its place; among near equals the middle one.
fn best_of(a: &[f64], b: &[f64], timeless: bool, value: &impl Fn(f64, f64) -> f64) -> (f64, usize) {
    let values = || a.iter().zip(b.iter().rev()).map(|(&a, &b)| value(a, b));
    let best = values().fold(0.0, f64::max);
    let good = |v: f64| v >= best - TIE;
    let last = values().rposition(good).unwrap_or(0);
    if timeless {
        return (best, last);
    }
    let first = values().position(good).unwrap_or(0);
    let middle = usize::midpoint(first, last);
    (best, if values().nth(middle).is_some_and(good) { middle } else { first })
}

/// Both must succeed.
pub(super) fn series(a: f64, b: f64) -> f64 {
    a * b
}

/// The first, or else what the next is worth, for at most `share` of the requests.
pub(super) fn fallback(first: f64, weight: f64, share: f64, next: f64) -> f64 {
    first * weight + (1.0 - first).min(share) * next
}

/// `n` tries of success `p` each, tries beyond the first for at most `share` of the requests.
pub(super) fn retry(p: f64, n: u32, share: f64) -> f64 {
    let expected: f64 =
        core::iter::successors(Some(1.0), |left| Some(left * (1.0 - p))).take(n as usize).sum();
    p * expected.min(1.0 + share)
}
