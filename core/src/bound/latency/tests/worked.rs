//! Worked examples: what the rules say of a few numbers, and journeys of calls that take one of two times.

use std::prelude::v1::*;
use std::vec;

use super::any_dependence::AnyDependence;
use super::comonotone::Comonotone;
use super::evaluate::Dependence;
use super::independent::Independent;
use super::steps::{Step, steps};
use super::*;

/// Every 10 ms up to 100 ms is a point.
fn tens() -> LatencyGrid {
    LatencyGrid::through(ms(100), 16, &(1..=10).map(|i| ms(10 * i)).collect::<Vec<_>>())
}

/// Shares that are answered after exactly so many ms; the rest never is.
fn answers(grid: &LatencyGrid, shares: &[(u64, f64)]) -> Band {
    let by = |t: Micros| shares.iter().filter(|(at, _)| ms(*at) <= t).map(|(_, share)| share).sum();
    exactly(grid, by, shares.iter().map(|(_, share)| share).sum())
}

/// (lower, upper) of the shares answered by a time: any dependence, independent, comonotone.
fn by(text: &str, leaves: &[(&str, &[(u64, f64)])], time: u64) -> [(f64, f64); 3] {
    let grid = tens();
    let named: Vec<(&str, Band)> =
        leaves.iter().map(|(name, shares)| (*name, answers(&grid, shares))).collect();
    let of = bands(&journey(text), &facts(grid.clone(), &named), View::Immediate).unwrap();
    [of.any_dependence, of.independent, of.comonotone].map(|band| {
        let at = band.at(&grid, ms(time));
        (at.lo(), at.hi())
    })
}

#[test]
fn rules_take_the_ends_of_their_operands() {
    let (high, low) = ([0.5, 0.75, 0.875], [0.125, 0.25, 0.25]);
    let (higher, lower) = ([0.625, 0.875, 1.0], [0.25, 0.25, 0.375]);
    let all = |rules: &dyn Dependence| [rules.all(&high, &higher), rules.all(&low, &lower)];
    let any = |rules: &dyn Dependence| [rules.any(&high, &higher), rules.any(&low, &lower)];
    let at_least =
        |rules: &dyn Dependence, k| [rules.at_least(k, &high, &higher), rules.at_least(k, &low, &lower)];

    assert_eq!(all(&AnyDependence), [(0.125, 0.625), (-1.375, 0.25)]);
    assert_eq!(any(&AnyDependence), [(0.875, 2.5), (0.25, 0.875)]);
    // Of the high ones two answer unless two fail: at most min((1/2 + 1/4 + 1/8) / 2, 1/4 + 1/8). Of the low ones at most
    // min((1/4 + 1/4 + 3/8) / 2, 1/4 + 1/4).
    assert_eq!(at_least(&AnyDependence, 2), [(0.625, 1.0), (0.0, 0.4375)]);

    let product = |p: [f64; 3]| p[0] * p[1] * p[2];
    let some = |p: [f64; 3]| 1.0 - product(p.map(|p| 1.0 - p));
    let ends = |f: &dyn Fn([f64; 3]) -> f64| [(f(high), f(higher)), (f(low), f(lower))];
    assert_eq!(all(&Independent), ends(&product));
    assert_eq!(any(&Independent), ends(&some));
    assert_eq!(at_least(&Independent, 3), ends(&product));

    assert_eq!(all(&Comonotone), [(0.5, 0.625), (0.125, 0.25)]);
    assert_eq!(any(&Comonotone), [(0.875, 1.0), (0.25, 0.375)]);
    assert_eq!(at_least(&Comonotone, 2), [(0.75, 0.875), (0.25, 0.25)]);
}

#[test]
fn two_calls_take_as_long_as_both() {
    let leaves: [(&str, &[(u64, f64)]); 2] = [("a", &[(30, 1.0)]), ("b", &[(30, 1.0)])];
    assert_eq!(by("Series(a, b)", &leaves, 50), [(0.0, 0.0); 3]);
    assert_eq!(by("Series(a, b)", &leaves, 60), [(1.0, 1.0); 3]);
}

#[test]
fn operands_that_share_a_component_are_taken_under_any_dependence() {
    let slow_half: &[(u64, f64)] = &[(10, 0.5), (30, 0.5)];
    let leaves = [("a", slow_half), ("b", slow_half), ("c", &[(10, 0.5), (60, 0.5)])];
    // By 30 ms both must take 10: independently a quarter, together a half, by no means more.
    assert_eq!(by("Series(a, b)", &leaves, 30), [(0.0, 0.5), (0.25, 0.25), (0.5, 0.5)]);
    assert_eq!(by("Series(a, a)", &leaves, 30), [(0.0, 0.5), (0.0, 0.5), (0.5, 0.5)]);
    // c shares nothing with either.
    assert_eq!(by("Parallel(c, Series(a, a))", &leaves, 30)[1], (0.0, 0.25));
}

#[test]
fn four_times_take_four_times_as_long() {
    let leaves: [(&str, &[(u64, f64)]); 1] = [("a", &[(10, 1.0)])];
    assert_eq!(by("Repeat(count=4, a)", &leaves, 30), [(0.0, 0.0); 3]);
    assert_eq!(by("Repeat(count=4, a)", &leaves, 40), [(1.0, 1.0); 3]);
}

#[test]
fn what_is_asked_next_counts_once_what_was_asked_before_has_surely_ended() {
    let leaves: [(&str, &[(u64, f64)]); 2] = [("a", &[(10, 0.5)]), ("b", &[(10, 1.0)])];
    let independent = |text: &str, time| by(text, &leaves, time)[1];
    // The second try starts after 20 ms and takes 10; from above both start at once.
    for text in [
        "Retry(attempts=2, perTry=20ms, a)",
        "Retry(attempts=2, Timeout(after=20ms, a))",
        "Retry(attempts=2, perTry=40ms, Timeout(after=20ms, a))",
    ] {
        assert_eq!(
            [10, 20, 30].map(|t| independent(text, t)),
            [(0.5, 0.75), (0.5, 0.75), (0.75, 0.75)],
            "{text}"
        );
    }
    assert_eq!(independent("Retry(attempts=2, a)", 90), (0.5, 0.75), "the first may take for ever");
    let timely = [20, 30].map(|t| independent("Fallback(Timeout(after=20ms, a), b)", t));
    assert_eq!(timely, [(0.5, 1.0), (1.0, 1.0)]);
    assert_eq!(independent("Fallback(a, b)", 90), (0.5, 1.0));
}

#[test]
fn a_long_series_is_joined_as_a_balanced_tree() {
    let grid = LatencyGrid::through(ms(100), 8, &[]);
    let uniform = |i: u32| exactly(&grid, |t| (t.0 as f64 / (4_000.0 * f64::from(i))).min(1.0), 1.0);
    let parts: Vec<Band> = (1..=7).map(uniform).collect();
    let join = |a: &Band, b: &Band| AnyDependence.series(&grid, a, b);
    let [a, b, c, d, e, f, g] = parts.as_slice() else { unreachable!() };
    let tree = join(&join(&join(a, b), &join(c, d)), &join(&join(e, f), g));
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let named: Vec<(&str, Band)> = names.into_iter().zip(parts.clone()).collect();
    let series = journey("Series(a, b, c, d, e, f, g)");
    let ours = any_dependence(&series, &facts(grid.clone(), &named), View::Immediate).unwrap();
    assert_eq!(ours, tree);
}

#[test]
fn together_what_never_ends_ends_no_sum() {
    let grid = tens();
    let last = grid.edges().len() - 1;
    let (all, half) =
        (answers(&grid, &[(10, 1.0)]), exactly(&grid, |t| if t < ms(10) { 0.0 } else { 0.5 }, 1.0));
    for sum in [Comonotone.series(&grid, &half, &all), Comonotone.series(&grid, &all, &half)] {
        assert_eq!((sum.lower_at(last), sum.upper_at(last)), (0.5, 0.5));
        assert_eq!(sum.availability(), Interval::of(1.0, 1.0));
    }
}

#[test]
fn independently_a_sum_is_no_earlier_than_its_parts_and_as_rare_as_both() {
    let grid = tens();
    let series = |a: &[(u64, f64)], b: &[(u64, f64)]| {
        Independent.series(&grid, &answers(&grid, a), &answers(&grid, b))
    };
    let sum = series(&[(30, 1.0)], &[(0, 1.0)]);
    let at = grid.floor(ms(30));
    assert_eq!((sum.upper_at(at - 1), sum.lower_at(at)), (0.0, 1.0));
    assert_eq!(series(&[(10, 0.5)], &[(10, 0.75)]).availability(), Interval::of(0.375, 0.375));
}

#[test]
fn steps_are_where_a_curve_rises() {
    let grid = tens();
    let found = steps(&grid, &[0.0, 0.5, 0.5, 1.0, 1.0]);
    let expected = [Step { point: 1, from: 0.0, to: 0.5 }, Step { point: 3, from: 0.5, to: 1.0 }];
    assert_eq!(found, expected);
}

#[test]
fn a_later_band_starts_at_its_wait() {
    let grid = tens();
    let some = Band::new(vec![0.25; grid.len()], vec![0.75; grid.len()]);
    let later = some.later(&grid, ms(50));
    assert_eq!(later.at(&grid, ms(50)), Interval::of(0.25, 0.75));
    assert_eq!(later.at(&grid, ms(40)), Interval::of(0.0, 0.0));
}

#[test]
fn a_grid_goes_from_ten_octaves_below_its_threshold_to_four_above() {
    let grid = LatencyGrid::through(ms(400), 16, &[]);
    let edges = grid.edges();
    assert_eq!((edges[0], edges[1], edges[225]), (Micros(0), Micros(391), ms(6_400)));
    assert_eq!((edges.len(), grid.len(), grid.is_empty()), (226, 227, false));
    let named =
        journey("Series(Timeout(after=33ms, a), Retry(attempts=2, perTry=21ms, b), Race(delay=7ms, c, d))");
    let grid = LatencyGrid::for_journey(&named, ms(400));
    for time in [ms(7), ms(21), ms(33), ms(400)] {
        let point = grid.floor(time);
        assert_eq!((grid.edges()[point], grid.ceil(time)), (time, point));
        let after = Micros(time.0 + 1);
        assert_eq!((grid.floor(after), grid.ceil(after)), (point, point + 1));
    }
    assert_eq!(grid.ceil(ms(6_401)), grid.edges().len(), "infinity");
}

#[test]
fn the_error_is_shared_out_among_the_points() {
    let grid = tens();
    let good = |method| seen(&grid, &[(10, 900)], 1_000, method).availability();
    let each = 0.05 / grid.len() as f64;
    assert_eq!(good(Confidence::ClopperPearson), clopper_pearson(900, 1_000, each));
    let everywhere = dkw_epsilon(1_000, 0.05);
    assert_eq!(good(Confidence::Dkw), Interval::of(0.9 - everywhere, 0.9 + everywhere));
}
