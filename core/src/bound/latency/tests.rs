pub(in crate::bound) mod call;
mod soundness;
mod worked;

use std::collections::BTreeMap;
use std::prelude::v1::*;
use std::vec;

use super::*;
use crate::bound::{Component, Domains, Facts, Interval, Unbound, View};
use crate::journey::{ComponentName, Journey, parse};
use crate::sketch::Sketch;
use crate::units::{Micros, Millis};

fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap()
}

fn journey(text: &str) -> Journey {
    Journey::new(parse(text).unwrap()).unwrap()
}

fn ms(ms: u64) -> Micros {
    Millis(ms).to_micros()
}

/// (latency in ms, how many), and requests in all.
fn seen(grid: &LatencyGrid, answers: &[(u64, u32)], requests: u64, method: Confidence) -> Band {
    let mut latency = Sketch::new();
    answers.iter().for_each(|&(at, n)| latency.record_n(ms(at), n));
    observed(grid, Observed { latency: &latency, requests }, 0.05, method)
}

fn facts(grid: LatencyGrid, bands: &[(&str, Band)]) -> LatencyFacts {
    LatencyFacts { grid, components: bands.iter().map(|(n, b)| (name(n), b.clone())).collect() }
}

/// A band without width: these values at the grid's points, the last one for ever.
fn exactly(grid: &LatencyGrid, cdf: impl Fn(Micros) -> f64, ever: f64) -> Band {
    let values: Vec<f64> = grid.edges().iter().map(|edge| cdf(*edge)).chain([ever]).collect();
    Band::new(values.clone(), values)
}

/// `-ln B(a, b)`.
fn ln_inverse_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
}

/// The continued fraction of the regularized incomplete beta function, `I_x(a, b) = x^a (1-x)^b / (a B(a, b)) · fraction`, for `x` below its
/// mean, by Lentz's method (Abramowitz and Stegun 26.5.8): slower than what limits are computed with, and another one.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let kept = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for step in 1..20_000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / kept(1.0 + term * d);
            c = kept(1.0 + term / c);
            h *= d * c;
        }
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// Regularized incomplete beta function.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    let front = (ln_inverse_beta(a, b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b
    }
}

#[test]
fn the_incomplete_beta_function_is_a_binomial_tail() {
    let choose = |n: u32, k: u32| -> f64 { (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product() };
    for n in [1_u32, 5, 17, 40] {
        for k in 1..=n {
            for p in [0.001, 0.2, 0.5, 0.77, 0.999] {
                let p: f64 = p;
                let tail: f64 =
                    (k..=n).map(|j| choose(n, j) * p.powi(j as i32) * (1.0 - p).powi((n - j) as i32)).sum();
                let beta = incomplete_beta(p, f64::from(k), f64::from(n - k + 1));
                assert!((beta - tail).abs() < 1e-12 * tail.max(1e-3), "{n} {k} {p}: {beta} {tail}");
            }
        }
    }
}

#[test]
fn exact_limits_are_those_of_the_tables() {
    // 8 of 10 at 95 %: 0.4439 to 0.9748; none of 10: 0 to 0.3085.
    let of = |good, all| clopper_pearson(good, all, 0.05);
    assert!(
        (of(8, 10).lo() - 0.443_904_5).abs() < 1e-6 && (of(8, 10).hi() - 0.974_789_3).abs() < 1e-6,
        "{}",
        of(8, 10)
    );
    assert!(of(0, 10).lo() == 0.0 && (of(0, 10).hi() - 0.308_497_1).abs() < 1e-6);
    assert!((of(10, 10).lo() - 0.691_502_9).abs() < 1e-6 && of(10, 10).hi() == 1.0);
    assert_eq!(of(0, 0), Interval::UNKNOWN);
    // The limit is one: at it, the tail has the stated probability, and not more.
    for (good, all) in [(1_u64, 3_u64), (19_990, 20_000), (5, 20_000), (999_999, 1_000_000)] {
        let (k, n) = (good as f64, all as f64);
        let tail = incomplete_beta(of(good, all).lo(), k, n - k + 1.0);
        assert!((0.025 - 1e-6..=0.025).contains(&tail), "{good} of {all}: {tail}");
    }
    for alpha in [0.5, 1e-3, 1e-9, 1e-15] {
        for (good, all) in [(1_u64, 1_000_000_u64), (1, 2), (999_999, 1_000_000), (3, 1_000), (500, 1_000)] {
            let (k, n) = (good as f64, all as f64);
            let tail = incomplete_beta(clopper_pearson(good, all, alpha).lo(), k, n - k + 1.0);
            assert!(tail <= alpha / 2.0 * (1.0 + 1e-7), "{good} of {all}: {tail} {alpha}");
            assert!(tail >= alpha / 2.0 * (1.0 - 1e-4), "{good} of {all}: {tail} {alpha}");
        }
    }
}

/// Of every count: never more than the exact limit, and never much less.
#[test]
fn limits_are_sound_and_exact_over_all_counts_and_sizes() {
    for n in [1_u64, 2, 3, 7, 40, 1_000, 30_000, 3_000_000, 4_000_000_000] {
        let counts = (0..=40).map(|i| n * i / 40).chain(1..20).chain((1..20).map(|i| n.saturating_sub(i)));
        for good in counts.filter(|good| (1..n).contains(good)) {
            for alpha in [0.3, 0.02, 1e-5, 1e-9] {
                let (k, size) = (good as f64, n as f64);
                let tail = incomplete_beta(clopper_pearson(good, n, alpha).lo(), k, size - k + 1.0);
                // Rounding, here and in the twin, grows with the terms that are subtracted.
                let rounding = 2e-13 * size;
                assert!(tail <= alpha / 2.0 * (1.0 + 1e-7 + rounding), "{good} of {n}: {tail} {alpha}");
                assert!(tail >= alpha / 2.0 * (1.0 - 1e-5 - rounding), "{good} of {n}: {tail} {alpha}");
            }
        }
    }
    // Beyond what doubles hold the Chernoff limit: a little lower, never higher.
    let (large, exact) =
        (clopper_pearson(1_999 << 40, 2_000 << 40, 0.05), clopper_pearson(1_999 << 28, 2_000 << 28, 0.05));
    assert!(large.lo() < 0.9995 && large.lo() > exact.lo());
}

#[test]
fn a_good_tail_is_seen_by_exact_limits_and_not_by_dkw() {
    let journey = journey("Series(a, b, c, d, e)");
    let grid = LatencyGrid::for_journey(&journey, ms(400));
    let alpha = 0.05 / 200.0;
    let mut latency = Sketch::new();
    (0..19_990).for_each(|i| latency.record(ms(5 + i % 20)));
    let band = |method| observed(&grid, Observed { latency: &latency, requests: 20_000 }, alpha, method);
    let value = |method| {
        let bands: Vec<(&str, Band)> = ["a", "b", "c", "d", "e"].map(|n| (n, band(method))).into();
        let facts = facts(grid.clone(), &bands);
        any_dependence(&journey, &facts, View::Immediate).unwrap().at(&grid, ms(400)).lo()
    };
    assert!((dkw_epsilon(20_000, alpha) - 0.014_99).abs() < 1e-5);
    assert!(value(Confidence::Dkw) < 0.93, "{}", value(Confidence::Dkw));
    assert!(value(Confidence::ClopperPearson) > 0.99, "{}", value(Confidence::ClopperPearson));
}

#[test]
fn odd_evidence_gives_a_band() {
    let journey = journey("a");
    let grid = LatencyGrid::for_journey(&journey, ms(100));
    for method in [Confidence::ClopperPearson, Confidence::Dkw] {
        let empty = seen(&grid, &[], 0, method);
        assert_eq!((empty.at(&grid, ms(100)), empty.availability()), (Interval::UNKNOWN, Interval::UNKNOWN));
        let all_failed = seen(&grid, &[], 1_000, method);
        assert!(all_failed.availability().lo() == 0.0 && all_failed.availability().hi() < 0.1);
        let one_bucket = seen(&grid, &[(50, 1_000)], 1_000, method);
        assert!(one_bucket.at(&grid, ms(40)).hi() < 0.1 && one_bucket.at(&grid, ms(60)).lo() > 0.9);
        // Inside the bucket's width nothing is known.
        assert!(one_bucket.at(&grid, ms(50)).lo() < 0.1 || one_bucket.at(&grid, ms(51)).lo() > 0.9);
        // More answers than requests: the answers are the requests.
        let more = seen(&grid, &[(1, 10)], 3, method);
        assert!(more.availability().hi() == 1.0);
    }
    let odd = Band::new([f64::NAN, -0.0, f64::INFINITY, 0.1], [f64::NAN, 0.5, f64::NEG_INFINITY, 2.0]);
    assert!(odd.lower().iter().zip(odd.upper()).all(|(l, u)| (0.0..=1.0).contains(l) && l <= u && *u <= 1.0));
    assert!(odd.lower().windows(2).all(|w| w[0] <= w[1]));
}

#[test]
fn an_unmeasured_leaf_still_has_its_availability() {
    let journey = journey("Series(a, b)");
    let grid = LatencyGrid::for_journey(&journey, ms(100));
    let promise = promised(&grid, Interval::new(0.99, 0.995).unwrap());
    let both = facts(grid.clone(), &[("a", promise.clone()), ("b", promise)]);
    let band = any_dependence(&journey, &both, View::Immediate).unwrap();
    assert!(
        (band.availability().lo() - 0.98).abs() < 1e-12 && (band.availability().hi() - 0.995).abs() < 1e-12
    );
    assert_eq!(band.at(&grid, ms(100)).lo(), 0.0);
    assert_eq!(band.quantile(&grid, 0.5), (Some(Micros(0)), None));
    let missing = facts(grid.clone(), &[]);
    assert_eq!(any_dependence(&journey, &missing, View::Immediate), Err(Unbound(name("a"))));
}

#[test]
fn the_three_assumptions_read_a_sum_differently() {
    let journey = journey("Series(a, b)");
    let grid = LatencyGrid::through(ms(100), 32, &[]);
    let uniform = exactly(&grid, |t| (t.0 as f64 / 50_000.0).min(1.0), 1.0);
    let both = facts(grid.clone(), &[("a", uniform.clone()), ("b", uniform)]);
    let at = |band: &Band, t: u64| band.at(&grid, ms(t));
    let now = View::Immediate;
    let Bands { any_dependence: any, independent, comonotone } = bands(&journey, &both, now).unwrap();
    // Two uniform latencies up to 50 ms: at 75 ms 0.875 independent, 0.75 together, anything from 0.5 to 1.
    let close = |i: Interval, lo: f64, hi: f64| (i.lo() - lo).abs() < 0.04 && (i.hi() - hi).abs() < 0.04;
    assert!(close(at(&any, 75), 0.5, 1.0), "{}", at(&any, 75));
    assert!(close(at(&independent, 75), 0.875, 0.875), "{}", at(&independent, 75));
    assert!(close(at(&comonotone, 75), 0.75, 0.75), "{}", at(&comonotone, 75));
    assert!(any.encloses(&independent, 1e-12) && any.encloses(&comonotone, 1e-12));
    let (least, most) = independent.quantile(&grid, 0.875);
    assert!(least.unwrap() <= ms(75) && ms(75) <= most.unwrap() && most.unwrap() < ms(80));
}

#[test]
fn a_timeout_tells_availability_its_share() {
    let journey = journey("Series(a, Timeout(after=50ms, b))");
    let grid = LatencyGrid::for_journey(&journey, ms(100));
    let half = exactly(&grid, |t| if t >= ms(50) { 0.6 } else { 0.0 }, 0.8);
    let bands = facts(grid.clone(), &[("a", promised(&grid, Interval::of(1.0, 1.0))), ("b", half)]);
    let one = |a| Component { availability: Interval::of(a, a), domains: Domains::Missing };
    let mut known =
        Facts::new([(name("a"), one(1.0)), (name("b"), one(0.8))].into_iter().collect::<BTreeMap<_, _>>());
    known.set_latency(bands.into());
    let value = crate::bound::independent(&journey, &known, View::Immediate).unwrap().interval;
    assert!((value.lo() - 0.6).abs() < 1e-12 && (value.hi() - 0.6).abs() < 1e-12, "{value}");
}

#[test]
fn a_short_series_is_bounded_by_every_parenthesization_together() {
    // Never looser than any way to bracket five steps.
    let grid = LatencyGrid::through(ms(100), 8, &[]);
    let bands: Vec<Band> = (1..=5)
        .map(|i| exactly(&grid, |t| 0.999 * (t.0 as f64 / (4_000.0 * f64::from(i))).min(1.0), 0.999))
        .collect();
    let all = brackets(&grid, &bands, &super::any_dependence::AnyDependence);
    assert_eq!(all.len(), 14);
    let names = ["a", "b", "c", "d", "e"];
    let named: Vec<(&str, Band)> = names.into_iter().zip(bands).collect();
    let series = journey("Series(a, b, c, d, e)");
    let ours = any_dependence(&series, &facts(grid, &named), View::Immediate).unwrap();
    assert!(all.iter().all(|other| other.encloses(&ours, 1e-12)));
    assert!(all.iter().any(|other| !ours.encloses(other, 1e-3)), "rounding does tell them apart");
}

fn brackets(grid: &LatencyGrid, bands: &[Band], rules: &impl super::evaluate::Dependence) -> Vec<Band> {
    if let [one] = bands {
        return vec![one.clone()];
    }
    let mut all = Vec::new();
    for cut in 1..bands.len() {
        for left in brackets(grid, &bands[..cut], rules) {
            for right in brackets(grid, &bands[cut..], rules) {
                all.push(rules.series(grid, &left, &right));
            }
        }
    }
    all
}
