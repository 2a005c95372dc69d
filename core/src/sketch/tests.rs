//! Laws of the sketch, against its exact twin and against hdrhistogram. Seeds are fixed.

use std::vec;
use std::vec::Vec;

use hdrhistogram::Histogram;
use proptest::prelude::*;

use super::exact::ExactSketch;
use super::*;

/// Values of every magnitude, small ones and ends of buckets included.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..200_u64,
        (0..28_u32, 0..1_000_u64).prop_map(|(bits, low)| (1 << bits) + low * (1 << bits) / 1_000),
        (0..SLOT_OVERFLOW, 0..3_u64).prop_map(|(slot, off)| (upper_of(slot) + off).saturating_sub(1)),
    ]
}

fn in_range() -> impl Strategy<Value = u64> {
    value().prop_map(|v| v.clamp(1, mapping::VALUE_MAX))
}

fn sketch_of(values: &[u64]) -> Sketch {
    let mut sketch = Sketch::new();
    values.iter().for_each(|&v| sketch.record(Micros(v)));
    sketch
}

fn exact_of(values: &[u64]) -> ExactSketch {
    let mut exact = ExactSketch::default();
    values.iter().for_each(|&v| exact.record(Micros(v)));
    exact
}

fn sketch() -> impl Strategy<Value = Sketch> {
    prop_oneof![full(), dense()]
}

/// Neighbouring buckets with small counts, as latencies make them: most take one byte, a few more.
fn dense() -> impl Strategy<Value = Sketch> {
    let gap = prop_oneof![9 => 0..3_usize, 1 => 3..12_usize];
    let count = prop_oneof![9 => 1..=32_u32, 1 => 33..1_000_u32];
    (0..SLOT_OVERFLOW, prop::collection::vec((gap, count), 8..60)).prop_map(|(first, tokens)| {
        let mut sketch = Sketch::new();
        let mut slot = first;
        for (gap, count) in tokens {
            slot += gap + 1;
            sketch.record_n(Micros(if slot < SLOT_OVERFLOW { upper_of(slot) } else { u64::MAX }), count);
        }
        sketch
    })
}

/// Counts near the top are common, so that merging saturates.
fn full() -> impl Strategy<Value = Sketch> {
    let n = prop_oneof![1..50_u32, (u32::MAX - 3)..=u32::MAX];
    let values = prop_oneof![value(), 1..4_u64];
    prop::collection::vec((values, n), 0..40).prop_map(|pairs| {
        let mut sketch = Sketch::new();
        pairs.into_iter().for_each(|(v, n)| sketch.record_n(Micros(v), n));
        sketch
    })
}

fn merged(a: &Sketch, b: &Sketch) -> Sketch {
    let mut sum = a.clone();
    sum.merge(b);
    sum
}

fn error(estimate: f64, truth: f64) -> f64 {
    (estimate / truth - 1.0).abs()
}

proptest! {
    #![proptest_config(crate::laws::config(256, 0x5ce7c4))]

    #[test]
    fn quantiles_are_within_the_error_of_the_twin(
        values in prop::collection::vec(in_range(), 1..300),
        q in 0.0..=1.0_f64,
    ) {
        let (sketch, exact) = (sketch_of(&values), exact_of(&values));
        for q in [q, 0.0, 0.5, 0.99, 1.0] {
            let truth = exact.quantile(q).unwrap();
            prop_assert!(error(sketch.quantile(q).unwrap(), truth.0 as f64) <= RELATIVE_ERROR_MAX);
            let (lower, upper) = sketch.quantile_bounds(q).unwrap();
            prop_assert!(lower < truth && truth <= upper);
        }
        prop_assert!(error(sketch.sum_estimate(), exact.sum() as f64) <= RELATIVE_ERROR_MAX + 1e-12);
    }

    #[test]
    fn quantiles_agree_with_hdrhistogram(values in prop::collection::vec(in_range(), 1..300)) {
        let sketch = sketch_of(&values);
        let mut hdr = Histogram::<u64>::new_with_bounds(1, mapping::VALUE_MAX, 4).unwrap();
        values.iter().for_each(|&v| hdr.record(v).unwrap());
        for q in [0.0, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let theirs = hdr.value_at_quantile(q) as f64;
            // Their own error of 1e-4 is on top.
            prop_assert!(error(sketch.quantile(q).unwrap(), theirs) <= RELATIVE_ERROR_MAX + 1.1e-4);
        }
    }

    #[test]
    fn count_bounds_enclose_the_truth(values in prop::collection::vec(value(), 0..300), limit in value()) {
        let bounds = sketch_of(&values).count_at_most(Micros(limit));
        let truth = exact_of(&values).count_at_most(Micros(limit));
        prop_assert!(bounds.lower <= truth && truth <= bounds.upper, "{bounds:?} {truth}");
        let bucket = values.iter().filter(|&&v| slot_of(v) == slot_of(limit)).count() as u64;
        prop_assert!(bounds.upper - bounds.lower <= bucket);
    }

    #[test]
    fn many_limits_at_once_are_counted_as_each_alone(
        values in prop::collection::vec(value(), 0..300),
        limits in prop::collection::vec(value(), 0..20),
    ) {
        let (sketch, mut limits) = (sketch_of(&values), limits.into_iter().map(Micros).collect::<Vec<_>>());
        limits.sort_unstable();
        let each: Vec<_> = limits.iter().map(|limit| sketch.count_at_most(*limit)).collect();
        prop_assert_eq!(sketch.counts_at_most(&limits), each);
    }

    #[test]
    fn at_the_end_of_a_bucket_the_bounds_meet(
        values in prop::collection::vec(value(), 0..300),
        slot in 0..SLOT_OVERFLOW,
    ) {
        let limit = Micros(upper_of(slot));
        let truth = exact_of(&values).count_at_most(limit);
        prop_assert_eq!(sketch_of(&values).count_at_most(limit), CountBounds { lower: truth, upper: truth });
    }

    #[test]
    fn merging_is_a_commutative_monoid(a in sketch(), b in sketch(), c in sketch()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(&merged(&a, &Sketch::new()), &a);
        prop_assert_eq!(&merged(&Sketch::new(), &a), &a);
        prop_assert_eq!(merged(&a, &b).count(), a.count() + b.count());
    }

    #[test]
    fn recording_and_merging_commute(
        a in sketch(),
        first in prop::collection::vec(value(), 0..100),
        second in prop::collection::vec(value(), 0..100),
    ) {
        let mut one_by_one = a.clone();
        first.iter().chain(&second).for_each(|&v| one_by_one.record(Micros(v)));
        prop_assert_eq!(merged(&merged(&a, &sketch_of(&first)), &sketch_of(&second)), one_by_one);
    }

    #[test]
    fn what_is_written_is_read(a in sketch()) {
        let bytes = a.encode();
        prop_assert!(bytes.len() <= ENCODED_BYTES_MAX);
        let back = Sketch::decode(&bytes).unwrap();
        prop_assert_eq!(back.lost(), a.lost());
        prop_assert_eq!(back, a);
    }

    #[test]
    fn merging_bytes_is_merging_sketches(a in sketch(), b in sketch()) {
        let mut from_bytes = a.clone();
        from_bytes.merge_encoded(&b.encode()).unwrap();
        prop_assert_eq!(from_bytes, merged(&a, &b));
    }

    #[test]
    fn a_sketch_has_one_encoding_and_errors_leave_it_whole(
        a in sketch(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let mut bytes = a.encode();
        if !bytes.is_empty() {
            flips.into_iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = byte);
            bytes.truncate(if keep { bytes.len() } else { cut.index(bytes.len()) });
        }
        let mut target = sketch_of(&[7, 9_000]);
        let before = target.clone();
        match target.merge_encoded(&bytes) {
            Ok(()) => prop_assert_eq!(Sketch::decode(&bytes).unwrap().encode(), bytes),
            Err(_) => prop_assert_eq!(target, before),
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(version) = bytes.first_mut() {
            *version = codec::VERSION;
        }
        if let Ok(sketch) = Sketch::decode(&bytes) {
            prop_assert_eq!(sketch.encode(), bytes);
        }
    }
}

#[test]
fn nothing_is_recorded_at_first() {
    let sketch = Sketch::new();
    assert!(sketch.is_empty() && sketch.encode().is_empty() && sketch.buckets().next().is_none());
    assert!(!sketch_of(&[5]).is_empty());
    assert_eq!((sketch.quantile(0.5), sketch.sum_estimate()), (None, 0.0));
    assert_eq!(Sketch::decode(&[]), Ok(sketch));
}

#[test]
fn zero_counts_as_one_and_the_largest_are_counted_apart() {
    let mut sketch = sketch_of(&[0, u64::MAX, mapping::VALUE_MAX]);
    assert_eq!((sketch.count(), sketch.above_range()), (3, 1));
    assert_eq!(sketch_of(&[0, mapping::VALUE_MAX]).above_range(), 0);
    assert_eq!(sketch.quantile(0.0), Some(1.0));
    assert_eq!(sketch.quantile(1.0), Some(mapping::VALUE_MAX as f64));
    assert_eq!(sketch.quantile_bounds(1.0).unwrap().1, Micros(u64::MAX));
    assert_eq!(sketch.buckets().map(|b| b.index).collect::<Vec<_>>(), vec![-1, 863, 864]);
    sketch.clear();
    assert_eq!(sketch, Sketch::new());
}

#[test]
fn quantiles_of_no_share_are_none() {
    let sketch = sketch_of(&[5]);
    for q in [f64::NAN, -0.1, 1.1] {
        assert_eq!(sketch.quantile(q), None);
    }
}

#[test]
fn a_full_bucket_loses_no_total() {
    let mut sketch = Sketch::new();
    sketch.record_n(Micros(10), u32::MAX);
    sketch.record_n(Micros(10), 5);
    assert_eq!((sketch.count(), sketch.lost()), (u64::from(u32::MAX) + 5, 5));
    assert_eq!(sketch.count_at_most(Micros(9)), CountBounds { lower: 0, upper: 5 });
}

#[test]
fn bytes_are_refused_with_a_reason_and_a_place() {
    use InvalidSketch as E;
    let cases: [(&[u8], E); 16] = [
        (&[2, 1, 0], E::Version { found: 2 }),
        (&[1], E::Truncated { at: 1 }),
        (&[1, 0], E::Total { declared: 0, held: 0 }),
        (&[1, 2, 0], E::Total { declared: 2, held: 1 }),
        (&[1, 1, 0, 0], E::Total { declared: 1, held: 2 }),
        (&[1, 0x81, 0], E::Overlong { at: 1 }),
        (&[1, 1, 0x80], E::Truncated { at: 2 }),
        (&[1, 1, 3], E::Truncated { at: 3 }),
        (&[1, 1, 3, 0xdf, 0x06], E::Bucket { at: 2 }),
        (&[1, 1, 3, 0xff, 0xff, 0x7f], E::Bucket { at: 2 }),
        (&[1, 1, 0xfc, 0xff, 0xff, 0xff, 0x3f], E::Count { at: 2 }),
        (&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], E::Overlong { at: 1 }),
        // Ten bytes, and still not the last; eight bytes that each go on.
        (&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81], E::Overlong { at: 1 }),
        (&[1, 8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80], E::Truncated { at: 2 }),
        // 861 empty slots and one with a count in three bytes; of eight short tokens the fifth, at 5 + 4, has no slot left.
        (&[1, 9, 3, 0xda, 0x06, 0, 0, 0, 0, 0, 0, 0, 0], E::Bucket { at: 9 }),
        // 850 slots are taken: five tokens of three slots each have a place, the sixth has none.
        (&[1, 9, 3, 0xce, 0x06, 2, 2, 2, 2, 2, 2, 2, 2], E::Bucket { at: 10 }),
    ];
    for (bytes, error) in cases {
        assert_eq!(Sketch::decode(bytes), Err(error), "{bytes:?}");
    }
    let long = vec![1; ENCODED_BYTES_MAX + 1];
    assert_eq!(Sketch::decode(&long), Err(E::TooLong { len: long.len() }));
    // 3 + 862 empty slots, then the last one.
    assert_eq!(Sketch::decode(&[1, 1, 3, 0xde, 0x06]).map(|s| s.above_range()), Ok(1));
}

#[test]
fn tokens_are_read_as_the_form_says() {
    let held = |bytes: &[u8]| {
        let sketch = Sketch::decode(bytes).unwrap();
        sketch.buckets().map(|bucket| (bucket.index, bucket.count)).collect::<Vec<_>>()
    };
    // (count - 1) << 2 | gap, eight of one byte and one more; the index is one below the slot.
    let short = [0, 1 << 2 | 1, 31 << 2 | 2, 4 << 2, 1, 6 << 2 | 2, 2 << 2, 31 << 2 | 1, 0];
    let bytes: Vec<u8> = [1, 84].into_iter().chain(short).collect();
    assert_eq!(held(&bytes), [(-1, 1), (1, 2), (4, 32), (5, 5), (7, 1), (10, 7), (11, 3), (13, 32), (14, 1)]);
    // Four tokens of two bytes: a gap of 3 + 3.
    assert_eq!(held(&[1, 4, 3, 3, 3, 3, 3, 3, 3, 3]), [(5, 1), (12, 1), (19, 1), (26, 1)]);
    // A count of 33 takes two bytes.
    assert_eq!(held(&[1, 40, 0x80, 1, 0, 0, 0, 0, 0, 0, 0])[..2], [(-1, 33), (0, 1)]);
}

/// LEB128.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[test]
fn the_longest_encoding_is_read_and_merges_without_losing_a_total() {
    // Every count full, and as many lost as a total of 64 bits has room for.
    let every_full = |total: u64| {
        let token = varint(u64::from(u32::MAX - 1) << 2);
        [vec![codec::VERSION], varint(total), token.repeat(mapping::SLOTS)].concat()
    };
    let longest = every_full(u64::MAX);
    assert_eq!(longest.len(), ENCODED_BYTES_MAX);
    let sketch = Sketch::decode(&longest).unwrap();
    assert_eq!((sketch.count(), sketch.encode()), (u64::MAX, longest));

    let held = mapping::SLOTS as u64 * u64::from(u32::MAX);
    let full = Sketch::decode(&every_full(held)).unwrap();
    let twice = merged(&full, &full);
    assert_eq!((twice.count(), twice.lost()), (2 * held, held));
}

#[test]
fn sketches_that_hold_something_else_are_not_equal() {
    let with = |n: u32| {
        let mut sketch = sketch_of(&[5]);
        sketch.record_n(Micros(5), n);
        sketch
    };
    let (empty, one) = (Sketch::new(), sketch_of(&[5]));
    assert!(empty != one && one != empty && one != sketch_of(&[9]) && one != with(1));
    // The same counts, and one more value lost.
    assert_ne!(with(u32::MAX), {
        let mut more = with(u32::MAX);
        more.record(Micros(5));
        more
    });
}

#[test]
fn a_thousand_latencies_take_at_most_300_bytes() {
    for sigma in [0.3, 0.5, 1.0] {
        let values: Vec<u64> = (0..1_000).map(|i| lognormal(20_000.0, sigma, i)).collect();
        let bytes = sketch_of(&values).encode().len();
        assert!(bytes <= 300, "{bytes} bytes at sigma {sigma}");
    }
}

/// A fixed sample of a lognormal distribution (Box-Muller over a Weyl sequence).
fn lognormal(median: f64, sigma: f64, i: u32) -> u64 {
    let u = libm::fmod((f64::from(i) + 0.5) * 0.754_877_666_246_692_7, 1.0);
    let v = libm::fmod((f64::from(i) + 0.5) * 0.569_840_290_998_053_2, 1.0);
    let normal = libm::sqrt(-2.0 * libm::log(u)) * libm::cos(core::f64::consts::TAU * v);
    libm::round(median * libm::exp(sigma * normal)) as u64
}
