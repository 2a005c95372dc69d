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

/// Pairs looked at together: their best is kept, so that near equals are searched for only where they are.
const BLOCK: usize = 32;
/// Values compared beside each other: what processors do in one instruction or two.
const LANES: usize = 4;

/// `max over i+j = t, i >= min(least, t/2) of value(a(i), b(j))`, `value` non-decreasing in `b`. O(cells²): about half a product a
/// nanosecond.
pub(super) fn best_split(a: &Curve, b: &Curve, least: usize, value: impl Fn(f64, f64) -> f64) -> Cut {
    let timeless = b.is_constant();
    let falling: Vec<f64> = b.values().iter().rev().copied().collect();
    let mut pairs = Pairs { value, tops: Vec::with_capacity(a.values().len() / BLOCK + 1) };
    let splits: Vec<(f64, usize)> = (0..a.values().len())
        .map(|t| {
            let least = least.min(t / 2);
            let own = a.values().get(least..=t).unwrap_or_default();
            let rest = falling.len().checked_sub(t - least + 1).and_then(|from| falling.get(from..));
            let (best, more) = pairs.best(own, rest.unwrap_or_default(), timeless);
            (best, least + more)
        })
        .collect();
    Cut {
        curve: Curve::new(splits.iter().map(|&(value, _)| value)),
        first: splits.into_iter().map(|(_, first)| first).collect(),
    }
}

/// Pairs of two rows, and what each is worth.
struct Pairs<V> {
    value: V,
    /// The best of each block of pairs.
    tops: Vec<f64>,
}

impl<V: Fn(f64, f64) -> f64> Pairs<V> {
    /// The best of the pairs, and its place; among near equals the middle one, or the last where more time helps the second no more.
    fn best(&mut self, a: &[f64], b: &[f64], timeless: bool) -> (f64, usize) {
        let value = &self.value;
        self.tops.clear();
        self.tops.extend(a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(|(a, b)| highest(a, b, value)));
        let best = self.tops.iter().copied().fold(0.0, f64::max);
        let good = |v: f64| v >= best - TIE;
        let pairs_of = |block: usize| {
            let row = |row: &'_ [f64]| block * BLOCK..row.len().min((block + 1) * BLOCK);
            let rows = a.get(row(a)).unwrap_or_default().iter().zip(b.get(row(b)).unwrap_or_default());
            rows.map(|(a, b)| good(value(*a, *b)))
        };
        let block = self.tops.iter().rposition(|top| good(*top)).unwrap_or(0);
        let last = block * BLOCK + pairs_of(block).rposition(|is_good| is_good).unwrap_or(0);
        if timeless {
            return (best, last);
        }
        let block = self.tops.iter().position(|top| good(*top)).unwrap_or(0);
        let first = block * BLOCK + pairs_of(block).position(|is_good| is_good).unwrap_or(0);
        let middle = usize::midpoint(first, last);
        let is_good = a.get(middle).zip(b.get(middle)).is_some_and(|(a, b)| good(value(*a, *b)));
        (best, if is_good { middle } else { first })
    }
}

/// The highest value of the pairs of two rows, at least 0.
fn highest(a: &[f64], b: &[f64], value: impl Fn(f64, f64) -> f64) -> f64 {
    let ((a, a_left), (b, b_left)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut best = [0.0_f64; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((best, a), b) in best.iter_mut().zip(a).zip(b) {
            let v = value(*a, *b);
            // Written so that it is one instruction; NaN changes nothing.
            *best = if v > *best { v } else { *best };
        }
    }
    let left = a_left.iter().zip(b_left).map(|(a, b)| value(*a, *b));
    best.into_iter().chain(left).fold(0.0, f64::max)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pair by pair, as it reads.
    fn plain(a: &Curve, b: &Curve, least: usize, value: impl Fn(f64, f64) -> f64) -> Vec<(f64, usize)> {
        let split = |t: usize| {
            let least = least.min(t / 2);
            let worth = |i: usize| value(a.at(i), b.at(t - i));
            let best = (least..=t).map(worth).fold(0.0, f64::max);
            let good = |i: &usize| worth(*i) >= best - TIE;
            let (first, last) =
                ((least..=t).find(good).unwrap_or(least), (least..=t).rfind(good).unwrap_or(least));
            // The middle of the row, which begins at `least`.
            let middle = least + usize::midpoint(first - least, last - least);
            let place = match b.is_constant() {
                true => last,
                false if good(&middle) => middle,
                false => first,
            };
            (best, place)
        };
        (0..a.values().len()).map(split).collect()
    }

    proptest! {
        #![proptest_config(crate::laws::config(200, 12))]

        /// Rows longer than some blocks, with flat parts, where many splits are as good.
        #[test]
        fn blocks_and_lanes_find_what_looking_at_every_pair_finds(
            rows in (1_usize..150).prop_flat_map(|n| {
                let row = || proptest::collection::vec(prop_oneof![Just(0.0), Just(0.5), Just(0.999), 0.0..1.0_f64], n);
                (row(), row())
            }),
            least in 0_usize..40,
            weight in 0.1..1.0_f64,
        ) {
            let (a, b) = (Curve::new(rows.0), Curve::new(rows.1));
            let check = |value: &dyn Fn(f64, f64) -> f64| {
                let cut = best_split(&a, &b, least, value);
                let plain = plain(&a, &b, least, value);
                let places: Vec<usize> = plain.iter().map(|split| split.1).collect();
                (cut.curve == Curve::new(plain.iter().map(|split| split.0)), cut.first == places)
            };
            prop_assert_eq!(check(&series), (true, true));
            prop_assert_eq!(check(&|first, next| fallback(first, weight, 0.5, next)), (true, true));
        }
    }
}
