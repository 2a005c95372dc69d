//! Buckets where they belong, in both histograms.

use emac_core::sketch::Sketch;

use super::*;

fn totals(values: impl IntoIterator<Item = u64>) -> LatencyTotals {
    let (mut sketch, mut totals) = (Sketch::new(), LatencyTotals::default());
    values.into_iter().for_each(|value| sketch.record(Micros(value)));
    totals.add(&sketch);
    totals
}

/// Counts of whole values at most each bound, the plain way.
#[test]
fn classic_counts_are_exact() {
    let values: Vec<u64> =
        (0..60).flat_map(|n| [1_u64 << (n / 2), 900 + 37 * n * n, (1 << (n / 2)) + 1]).collect();
    for bucket in classic(&totals(values.clone())) {
        let bound_us = (bucket.upper_bound() * 1e6).round() as u64;
        let plain = values.iter().filter(|&&value| value <= bound_us).count() as u64;
        assert_eq!(bucket.cumulative_count(), plain, "at {bound_us} us");
    }
}

#[test]
fn classic_bounds_grow_from_a_millisecond_to_two_minutes() {
    let bounds: Vec<f64> = classic(&totals([])).iter().map(Bucket::upper_bound).collect();
    assert_eq!(bounds.first(), Some(&0.001024));
    assert_eq!(bounds.last(), Some(&134.217728));
    assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
}

/// A native bucket `i` covers `(2^((i-1)/32), 2^(i/32)]` seconds.
#[test]
fn a_native_bucket_holds_its_values_within_the_stated_error() {
    for value in
        (0..27).flat_map(|octave| [1_u64 << octave, 3 << octave, 5 << octave]).filter(|v| *v < 1 << 27)
    {
        let histogram = histogram(&totals([value]));
        let index = f64::from(histogram.positive_span[0].offset());
        let (lower, upper) = (((index - 1.0) / 32.0).exp2(), (index / 32.0).exp2());
        let seconds = value as f64 / 1e6;
        assert!(seconds > lower * 0.9958 && seconds <= upper * 1.0042, "{seconds} in ({lower}, {upper}]");
    }
}

#[test]
fn counts_of_native_buckets_sum_to_the_sample_count() {
    let histogram = histogram(&totals([0, 1, 5, 5, 5, 1_000, 77_777, u64::MAX]));
    let mut count = 0;
    let sum: i64 = histogram
        .positive_delta
        .iter()
        .map(|delta| {
            count += delta;
            count
        })
        .sum();
    assert_eq!(sum, 8);
    assert_eq!(histogram.sample_count(), 8);
}
