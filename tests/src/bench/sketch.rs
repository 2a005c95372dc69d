//! The sketch beside hdrhistogram, DDSketch and t-digest, at about the same accuracy and on the same values.
//!
//! Values are lognormal latencies with a median of 20 ms. hdrhistogram keeps two significant digits (1 %) up to the same 134 s,
//! DDSketch has the same relative error (1.083 %), t-digest 100 centroids. `tdigests` has neither streaming record nor codec: it
//! is given batches of 1 000 values, and its bytes are the centroids as pairs of `f64`.

use std::hint::black_box;

use emac_core::sketch::{RELATIVE_ERROR_MAX, Sketch};
use emac_core::units::Micros;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use sketches_ddsketch::{Config, DDSketch};
use tdigests::{Centroid, TDigest};

use super::Section;
use super::table::{self, Better, Row};
use super::timing::{Work, side_by_side};

const OTHERS: [&str; 3] = ["hdrhistogram", "sketches-ddsketch", "tdigests"];
const MEDIAN_US: f64 = 20_000.0;
const SAMPLES: usize = 1_000;
const CENTROIDS: usize = 100;
const VALUE_MAX: u64 = 1 << 27;

const NOTES: &str = "
Latencies are lognormal, median 20 ms, sigma as stated (0.5 where not); sketches hold 1 000 of them.

- not run: record in wasm (target <= 5 ns): needs a loop of its own inside Envoy's V8.
";

/// Every row; a few seconds.
pub fn rows() -> Vec<Row> {
    let mut rows = vec![record(), merge()];
    rows.extend([0.5, 1.0].map(decode_and_merge));
    rows.extend([0.3, 0.5, 1.0].map(encoded_size));
    rows
}

/// The rows as a section of the report.
pub fn section() -> Section {
    let mut body = table::markdown(&OTHERS, &rows());
    body.push_str(NOTES);
    Section { title: "Sketch", body }
}

fn record() -> Row {
    let values = latencies(1 << 16, 0.5, 1);
    let floats: Vec<f64> = values.iter().map(|&v| v as f64).collect();
    let (mut ours, mut hdr, mut dd) = (Sketch::new(), new_hdr(), new_dd());
    let (mut at_ours, mut at_hdr, mut at_dd, mut at_td) = (0, 0, 0, 0);
    let contenders: Vec<Option<Work<'_>>> = vec![
        Some(Box::new(|| {
            next(&values, &mut at_ours).iter().for_each(|&v| ours.record(Micros(v)));
            SAMPLES as u64
        })),
        Some(Box::new(|| {
            next(&values, &mut at_hdr).iter().for_each(|&v| hdr.saturating_record(v));
            SAMPLES as u64
        })),
        Some(Box::new(|| {
            next(&floats, &mut at_dd).iter().for_each(|&v| dd.add(v));
            SAMPLES as u64
        })),
        Some(Box::new(|| {
            black_box(digest(next(&floats, &mut at_td).to_vec()));
            SAMPLES as u64
        })),
    ];
    cost("record", Some(2.5), side_by_side(contenders))
}

fn merge() -> Row {
    let one = Filled::new(0.5, 2);
    let other = Filled::new(0.5, 3);
    let (mut ours, mut hdr, mut dd) = (other.ours.clone(), other.hdr.clone(), other.dd.clone());
    let contenders: Vec<Option<Work<'_>>> = vec![
        Some(Box::new(|| {
            ours.merge(black_box(&one.ours));
            1
        })),
        Some(Box::new(|| {
            hdr.add(black_box(&one.hdr)).expect("same bounds");
            1
        })),
        Some(Box::new(|| {
            dd.merge(black_box(&one.dd)).expect("same configuration");
            1
        })),
        Some(Box::new(|| {
            black_box(merged_digest(&other.td, &one.td));
            1
        })),
    ];
    cost("merge", None, side_by_side(contenders))
}

fn decode_and_merge(sigma: f64) -> Row {
    let one = Filled::new(sigma, 4);
    let [ours_bytes, hdr_bytes, dd_bytes, td_bytes] = one.encoded();
    let (mut ours, mut hdr, mut dd) = (one.ours.clone(), one.hdr.clone(), one.dd.clone());
    let mut deserializer = Deserializer::new();
    let contenders: Vec<Option<Work<'_>>> = vec![
        Some(Box::new(|| {
            ours.merge_encoded(black_box(&ours_bytes)).expect("encoded above");
            1
        })),
        Some(Box::new(|| {
            let decoded: Histogram<u64> =
                deserializer.deserialize(&mut black_box(hdr_bytes.as_slice())).expect("encoded above");
            hdr.add(&decoded).expect("same bounds");
            1
        })),
        Some(Box::new(|| {
            let decoded = DDSketch::from_java_bytes(black_box(&dd_bytes)).expect("encoded above");
            dd.merge(&decoded).expect("same configuration");
            1
        })),
        Some(Box::new(|| {
            black_box(merged_digest(&one.td, &digest_from(black_box(&td_bytes))));
            1
        })),
    ];
    let millions = side_by_side(contenders).into_iter().map(|ns| ns.map(|ns| 1e3 / ns)).collect();
    row(format!("decode and merge, sigma {sigma}"), "M/s", Better::Higher, Some(3.0), millions)
}

fn encoded_size(sigma: f64) -> Row {
    let sizes = Filled::new(sigma, 5).encoded().map(|bytes| Some(bytes.len() as f64));
    row(format!("encoded, sigma {sigma}"), "bytes", Better::Lower, Some(300.0), sizes.to_vec())
}

/// The same values in each sketch.
struct Filled {
    ours: Sketch,
    hdr: Histogram<u64>,
    dd: DDSketch,
    td: TDigest,
}

impl Filled {
    fn new(sigma: f64, seed: u64) -> Self {
        let values = latencies(SAMPLES, sigma, seed);
        let (mut ours, mut hdr, mut dd) = (Sketch::new(), new_hdr(), new_dd());
        for &value in &values {
            ours.record(Micros(value));
            hdr.saturating_record(value);
            dd.add(value as f64);
        }
        Self { ours, hdr, dd, td: digest(values.iter().map(|&v| v as f64).collect()) }
    }

    fn encoded(&self) -> [Vec<u8>; 4] {
        let mut hdr = Vec::new();
        V2Serializer::new().serialize(&self.hdr, &mut hdr).expect("writing to memory");
        let centroids = self.td.centroids().iter().flat_map(|c| [c.mean, c.weight]);
        let td = centroids.flat_map(f64::to_le_bytes).collect();
        [self.ours.encode(), hdr, self.dd.to_java_bytes(), td]
    }
}

fn new_hdr() -> Histogram<u64> {
    Histogram::new_with_bounds(1, VALUE_MAX, 2).expect("valid bounds")
}

/// Bins and minimum are the defaults, because its codec keeps only the error and merging asks for equal configurations.
fn new_dd() -> DDSketch {
    DDSketch::new(Config::new(RELATIVE_ERROR_MAX, 2_048, 1e-9))
}

fn digest(values: Vec<f64>) -> TDigest {
    let mut digest = TDigest::from_values(values);
    digest.compress(CENTROIDS);
    digest
}

fn merged_digest(a: &TDigest, b: &TDigest) -> TDigest {
    let mut sum = a.merge(b);
    sum.compress(CENTROIDS);
    sum
}

fn digest_from(bytes: &[u8]) -> TDigest {
    let number = |half: &[u8]| f64::from_le_bytes(half.try_into().expect("eight bytes"));
    let pairs = bytes.chunks_exact(16).map(|pair| pair.split_at(8));
    TDigest::from_centroids(pairs.map(|(mean, weight)| Centroid::new(number(mean), number(weight))).collect())
}

/// The next thousand of a ring of values.
fn next<'a, T>(values: &'a [T], at: &mut usize) -> &'a [T] {
    *at = (*at + SAMPLES) % (values.len() - SAMPLES);
    black_box(&values[*at..*at + SAMPLES])
}

/// Lognormal latencies in microseconds; the same for the same seed.
pub fn latencies(n: usize, sigma: f64, seed: u64) -> Vec<u64> {
    let mut state = seed;
    let mut uniform = move || emac_core::mix::unit(&mut state);
    let mut normal =
        move || (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
    (0..n).map(|_| (MEDIAN_US * (sigma * normal()).exp()).round() as u64).collect()
}

fn cost(name: &str, target: Option<f64>, times: Vec<Option<f64>>) -> Row {
    row(name.into(), "ns", Better::Lower, target, times)
}

fn row(
    name: String,
    unit: &'static str,
    better: Better,
    target: Option<f64>,
    values: Vec<Option<f64>>,
) -> Row {
    let mut values = values.into_iter();
    let ours = values.next().flatten();
    Row { name, unit, better, target, ours, others: values.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_hold_the_same_values() {
        let filled = Filled::new(0.5, 9);
        let median = filled.ours.quantile(0.5).unwrap();
        let others = [
            filled.hdr.value_at_quantile(0.5) as f64,
            filled.dd.quantile(0.5).unwrap().unwrap(),
            filled.td.estimate_quantile(0.5),
        ];
        for other in others {
            assert!((other / median - 1.0).abs() < 0.03, "{other} beside {median}");
        }
        assert!((median / MEDIAN_US - 1.0).abs() < 0.1);
    }

    #[test]
    fn contenders_read_what_they_wrote() {
        let filled = Filled::new(0.5, 9);
        let [ours, hdr, dd, td] = filled.encoded();
        assert_eq!(Sketch::decode(&ours).as_ref(), Ok(&filled.ours));
        let hdr: Histogram<u64> = Deserializer::new().deserialize(&mut hdr.as_slice()).unwrap();
        assert_eq!(hdr.len(), filled.hdr.len());
        let mut sum = filled.dd.clone();
        sum.merge(&DDSketch::from_java_bytes(&dd).unwrap()).unwrap();
        assert_eq!(sum.count(), 2 * SAMPLES);
        assert_eq!(digest_from(&td).centroids(), filled.td.centroids());
    }

    #[test]
    fn sizes_meet_the_target() {
        for sigma in [0.3, 0.5, 1.0] {
            assert_eq!(encoded_size(sigma).met(), Some(true), "sigma {sigma}");
        }
    }
}
