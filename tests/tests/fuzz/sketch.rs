//! The sketch's own codec.

use emac_core::sketch::Sketch;
use emac_core::units::Micros;

use super::harness::fuzz;
use super::samples;

#[test]
fn sketch_codec() {
    let examples: Vec<_> = samples::sketches().iter().map(Sketch::encode).collect();
    fuzz(&examples, |bytes| {
        let mut sum = Sketch::new();
        sum.record(Micros(5));
        let before = sum.clone();
        match (Sketch::decode(bytes), sum.merge_encoded(bytes)) {
            (Ok(sketch), Ok(())) => {
                assert_eq!(sketch.encode(), bytes, "two encodings of one sketch");
                let mut expected = before;
                expected.merge(&sketch);
                assert_eq!(sum, expected);
                asked(&sketch);
                true
            }
            (Err(error), Err(same)) => {
                assert_eq!((error, &sum), (same, &before), "an error changed the sketch");
                false
            }
            (decoded, merged) => panic!("{decoded:?} but {merged:?}"),
        }
    });
}

/// Questions that must have an answer whatever the sketch holds.
fn asked(sketch: &Sketch) {
    let sum = sketch.buckets().map(|bucket| u64::from(bucket.count)).sum::<u64>() + sketch.lost();
    assert_eq!(sum, sketch.count());
    assert_eq!(sketch.quantile(0.99).is_none(), sketch.is_empty());
    assert!(sketch.sum_estimate() >= 0.0);
    let bounds = sketch.count_at_most(Micros(20_000));
    assert!(bounds.lower <= bounds.upper && bounds.upper <= sketch.count());
}
