use std::collections::BTreeMap;
use std::prelude::v1::*;
use std::vec;

use proptest::prelude::*;

use super::*;
use crate::journey::tests::any_expr;
use crate::journey::{ComponentName, Expr, Join, Journey, parse};
use crate::sketch::Sketch;
use crate::units::{Micros, Millis};

#[derive(Debug, Default)]
struct Curves {
    curves: BTreeMap<ComponentName, Curve>,
    share: f64,
    least: u64,
    fate: Fate,
}

impl Inputs for Curves {
    fn curve(&self, leaf: &ComponentName) -> Option<&Curve> {
        self.curves.get(leaf)
    }
    fn fallback_share(&self, _: &Expr) -> f64 {
        self.share
    }
    fn primary_least(&self, _: &Expr) -> Millis {
        Millis(self.least)
    }
    fn retry_share(&self, _: &Expr) -> f64 {
        self.share
    }
    fn fate(&self) -> Fate {
        self.fate
    }
}

fn journey(text: &str) -> Journey {
    Journey::new(parse(text).unwrap()).unwrap()
}

fn curves(share: f64, leaves: &[(&str, Curve)]) -> Curves {
    let named = |(name, curve): &(&str, Curve)| (ComponentName::new(name).unwrap(), curve.clone());
    Curves { curves: leaves.iter().map(named).collect(), share, least: 0, fate: Fate::Independent }
}

fn grid(ms: u64) -> Grid {
    Grid::new(Millis(ms)).unwrap()
}

fn times(evaluation: &Evaluation, deadline: u64) -> Vec<Millis> {
    evaluation.allocate(Millis(deadline)).into_iter().map(|a| a.time).collect()
}

/// The demo's checkout with healthy defaults.
fn checkout() -> (Journey, Grid, Curves) {
    let grid = grid(380);
    let usual = |p50, p99| lognormal(&grid, Millis(p50), Millis(p99), 0.999);
    let inputs = curves(
        0.2,
        &[
            ("front", usual(5, 25)),
            ("cart", usual(20, 60)),
            ("pricing", usual(20, 60)),
            ("cached", at_once(&grid, 1.0)),
            ("paya", usual(30, 90)),
            ("payb", usual(30, 90)),
        ],
    );
    let text = "Series(front, Parallel(cart, Fallback(pricing, 0.8*cached)), Fallback(paya, payb))";
    (journey(text), grid, inputs)
}

#[test]
fn the_grid_is_whole_milliseconds_within_the_deadline() {
    assert_eq!((grid(400).cells(), grid(400).time(400)), (400, Millis(400)));
    assert_eq!((grid(120_000).cells(), grid(120_000).time(510)), (510, Millis(119_850)));
    assert_eq!(grid(400).cell(Millis(9_999)), 400);
    assert!(Grid::new(Millis(0)).is_err());
    assert!(Grid::new(Millis(u64::MAX)).is_err());
}

#[test]
fn a_curve_is_a_distribution_whatever_comes_in() {
    let curve = Curve::new([f64::NAN, -1.0, 0.5, 0.2, f64::INFINITY, 0.7]);
    assert_eq!(curve.values(), [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]);
    assert_eq!(curve.at(99), 1.0);
    assert_eq!(Curve::new([]).at(0), 0.0);
}

#[test]
fn the_lognormal_meets_its_two_quantiles() {
    let curve = lognormal(&grid(400), Millis(20), Millis(100), 1.0);
    assert!((curve.at(20) - 0.5).abs() < 1e-12);
    assert!((curve.at(100) - 0.99).abs() < 1e-12);
    let step = lognormal(&grid(10), Millis(5), Millis(5), 0.9);
    assert_eq!((step.at(4), step.at(5)), (0.0, 0.9));
}

#[test]
fn a_measured_curve_counts_failures_and_never_overstates() {
    let grid = grid(100);
    let mut latency = Sketch::new();
    (0..900).for_each(|i| latency.record(Micros(1_000 * (i / 10))));
    let default = Curve::constant(&grid, 0.0);
    let curve = measured(&grid, &latency, 1_000, &default);
    for cell in 0..=100_usize {
        let truth = (10 * (cell + 1)).min(900) as f64 / 1_000.0;
        assert!(curve.at(cell) <= truth, "{cell}");
        assert!(curve.at(cell) >= truth * 0.95 - 0.012, "{cell}: {} {truth}", curve.at(cell));
    }
    let lower = lower_confidence(&curve, 1_000, 1.645);
    assert!(lower.values().iter().zip(curve.values()).all(|(l, c)| l <= c));
    // Wilson 1927, p = 0.5, n = 100 - 5 + 5 at z = 1.96: 0.403832.
    let half = lower_confidence(&Curve::constant(&grid, 0.5), 95, 1.96);
    assert!((half.at(0) - 0.403_830).abs() < 1e-6);
}

#[test]
fn the_checkout_gets_a_sensible_plan_before_any_evidence() {
    let (journey, grid, inputs) = checkout();
    let evaluation = evaluate(&journey, &grid, &inputs).unwrap();
    assert!(evaluation.curve().at(380) > 0.9975, "{}", evaluation.curve().at(380));
    let plan = evaluation.allocate(Millis(380));
    let of = |name: &str| plan.iter().find(|a| a.leaf.as_str() == name).unwrap();
    assert_eq!(of("cart").time, of("pricing").time);
    assert_eq!(of("front").time.0 + of("cart").time.0 + of("paya").time.0 + of("payb").time.0, 380);
    assert!((70..=170).contains(&of("paya").time.0), "{plan:?}");
    assert!((70..=170).contains(&of("payb").time.0), "{plan:?}");
    assert_eq!((of("paya").place, of("payb").place), (Place::Primary, Place::Alternate(0)));
    assert_eq!(of("paya").start.0 + of("paya").time.0, of("payb").start.0);
    assert_eq!(of("cart").place, Place::Only);
    assert_eq!(of("cached").time, Millis(0));
}

#[test]
fn a_slow_primary_does_not_stretch_its_own_timeout() {
    let (journey, grid, mut inputs) = checkout();
    let slow = lognormal(&grid, Millis(300), Millis(900), 0.999);
    inputs.curves.insert(ComponentName::new("paya").unwrap(), slow);
    let evaluation = evaluate(&journey, &grid, &inputs).unwrap();
    let plan = evaluation.allocate(Millis(380));
    let time = |name: &str| plan.iter().find(|a| a.leaf.as_str() == name).unwrap().time.0;
    assert!(time("payb") >= 90, "{plan:?}");
    assert!(time("paya") <= 100, "{plan:?}");
    assert!(evaluation.curve().at(380) > 0.99);
}

#[test]
fn a_degraded_fallback_answers_for_its_budget_and_no_more() {
    let grid = grid(10);
    let dead = at_once(&grid, 0.0);
    let inputs = curves(0.2, &[("a", dead.clone()), ("b", at_once(&grid, 1.0))]);
    let value = |text: &str| evaluate(&journey(text), &grid, &inputs).unwrap().curve().at(10);
    assert!((value("Fallback(a, 0.5*b)") - 0.1).abs() < 1e-12);
    assert!((value("Fallback(a, b)") - 1.0).abs() < 1e-12, "an equal alternate is not budgeted");
}

#[test]
fn shared_fate_makes_a_race_as_good_as_its_best() {
    let grid = grid(10);
    let mut inputs = curves(0.2, &[("a", at_once(&grid, 0.9)), ("b", at_once(&grid, 0.8))]);
    let value = |inputs: &Curves| evaluate(&journey("Race(a, b)"), &grid, inputs).unwrap().curve().at(5);
    assert!((value(&inputs) - 0.98).abs() < 1e-12);
    inputs.fate = Fate::Shared;
    assert!((value(&inputs) - 0.9).abs() < 1e-12);
}

#[test]
fn an_unbound_leaf_is_named() {
    let missing = evaluate(&journey("Series(a, b)"), &grid(5), &curves(0.0, &[("a", Curve::new([]))]));
    assert_eq!(missing.unwrap_err().0.as_str(), "b");
}

#[test]
fn our_split_is_at_least_as_good_as_the_others() {
    let (journey, grid, inputs) = checkout();
    let evaluation = evaluate(&journey, &grid, &inputs).unwrap();
    let deadline = Millis(380);
    let judge = |times: &[Millis]| achieved(&journey, &grid, &inputs, times).unwrap();
    let best = judge(&times(&evaluation, 380));
    let weight = |leaf: &ComponentName| {
        let curve = &inputs.curves[leaf];
        curve.first_at_least(0.9).unwrap_or(1).max(1) as f64
    };
    for other in [
        equal(&evaluation, deadline),
        proportional(&evaluation, deadline, weight),
        greedy(&evaluation, deadline),
    ] {
        assert_eq!(other.len(), 6);
        assert!(judge(&other) <= best + 1e-5, "{other:?}");
        assert!(judge(&other) > 0.9, "{other:?} is a plan at least");
    }
}

/// Zero, and from each time on the value beside it.
fn rising(grid: &Grid, steps: &[(usize, f64)]) -> Curve {
    let at = |cell| steps.iter().rfind(|&&(from, _)| cell >= from).map_or(0.0, |&(_, value)| value);
    Curve::new((0..=grid.cells()).map(at))
}

#[test]
fn a_coarse_grid_finds_the_last_point_before_a_time() {
    // 1 024 ms in 512 cells of 2 ms.
    let cell = |ms| grid(1_024).cell(Millis(ms));
    assert_eq!([0, 1, 2, 101, 1_024, 9_999].map(cell), [0, 0, 1, 50, 512, 512]);
}

#[test]
fn a_curve_says_when_it_reaches_a_value_and_whether_time_helps() {
    let curve = rising(&grid(4), &[(2, 0.25), (3, 0.75)]);
    let first = |value| curve.first_at_least(value);
    assert_eq!([0.0, 0.25, 0.3, 0.75, 0.8].map(first), [Some(0), Some(2), Some(3), Some(3), None]);
    assert!(!curve.is_constant() && Curve::constant(&grid(4), 0.5).is_constant());
}

#[test]
fn without_calls_a_measured_curve_is_the_default() {
    let default = rising(&grid(10), &[(3, 0.5), (7, 0.75)]);
    assert_eq!(measured(&grid(10), &Sketch::new(), 0, &default), default);
    // Of 5 calls that count as the default's and 15 that failed, a quarter may answer.
    let outvoted = measured(&grid(10), &Sketch::new(), 15, &default);
    assert_eq!((outvoted.at(3), outvoted.at(7)), (0.125, 0.1875));
}

#[test]
fn a_given_split_achieves_the_product_of_its_parts() {
    let grid = grid(10);
    let curve = |value| rising(&grid, &[(3, value / 2.0), (5, value)]);
    let inputs = curves(0.25, &[("a", curve(0.5)), ("b", curve(1.0))]);
    let value =
        |text: &str, times: [u64; 2]| achieved(&journey(text), &grid, &inputs, &times.map(Millis)).unwrap();
    assert_eq!(value("Series(a, b)", [5, 3]), 0.25);
    assert_eq!(value("Series(a, b)", [3, 5]), 0.25);
    assert_eq!(value("Series(a, b)", [5, 2]), 0.0);
    // Half the requests fail; an equal answers for all of them, a degraded one for a quarter of all requests, at half its worth.
    assert_eq!(value("Fallback(a, b)", [5, 5]), 1.0);
    assert_eq!(value("Fallback(a, 0.5*b)", [5, 5]), 0.5 + 0.25 * 0.5);
    let missing = achieved(&journey("Series(a, b)"), &grid, &inputs, &[Millis(1)]);
    assert_eq!(missing.unwrap_err().0.as_str(), "b");
}

#[test]
fn other_peoples_splits_divide_the_longest_path() {
    let grid = grid(80);
    let curve = rising(&grid, &[(10, 0.5)]);
    let inputs = curves(1.0, &["a", "b", "c"].map(|name| (name, curve.clone())));
    let split = |text: &str| {
        let evaluation = evaluate(&journey(text), &grid, &inputs).unwrap();
        let weight = |leaf: &ComponentName| if leaf.as_str() == "a" { 3.0 } else { 1.0 };
        let splits = [equal(&evaluation, Millis(80)), proportional(&evaluation, Millis(80), weight)];
        splits.map(|times| times.into_iter().map(|time| time.0).collect::<Vec<_>>())
    };
    assert_eq!(split("Series(a, b)"), [[40, 40], [60, 20]]);
    assert_eq!(split("Series(a, Parallel(b, c))"), [[40, 40, 40], [60, 20, 20]]);
    // Three tries one after the other weigh as three.
    assert_eq!(split("Series(a, Retry(attempts=3, b))"), [[20, 20], [40, 13]]);
    assert_eq!(split("Series(b, Retry(attempts=3, a))"), [[20, 20], [8, 24]]);
    assert_eq!(split("Race(delay=30ms, a, b)"), [[80, 50], [80, 50]]);
    assert_eq!(split("Timeout(after=25ms, a)"), [[25], [25]]);
}

#[test]
fn greedy_gives_a_step_to_whoever_gains_most() {
    let greedy = |text: &str, cells: u64, leaves: &[(&str, Curve)]| {
        let grid = grid(cells);
        let evaluation = evaluate(&journey(text), &grid, &curves(1.0, leaves)).unwrap();
        super::greedy(&evaluation, Millis(cells)).into_iter().map(|time| time.0).collect::<Vec<_>>()
    };
    let to = |low, high| Curve::new([low, high]);
    // In series 0.1 -> 0.3 is the larger factor; among alternates 0.5 -> 0.9 leaves fewer failures.
    let leaves = [("a", to(0.5, 0.9)), ("b", to(0.1, 0.3))];
    assert_eq!(greedy("Series(a, b)", 1, &leaves), [0, 1]);
    assert_eq!(greedy("Fallback(a, b)", 1, &leaves), [1, 0]);
    assert_eq!(greedy("Race(delay=30ms, a, b)", 80, &leaves), [80, 50]);
    assert_eq!(greedy("Retry(attempts=4, a)", 80, &leaves), [20]);
}

#[test]
fn an_allocation_says_when_a_leaf_starts_and_what_follows_needs() {
    let grid = grid(100);
    // 0.04 is less than a twentieth of 0.9, 0.05 is more; nineteen twentieths need the last step.
    let served = |useful, needed| rising(&grid, &[(useful - 1, 0.04), (useful, 0.05), (needed, 0.9)]);
    let inputs = curves(
        1.0,
        &[("a", served(7, 30)), ("b", served(10, 20)), ("c", served(5, 15)), ("d", served(3, 10))],
    );
    let allocated = |text: &str| evaluate(&journey(text), &grid, &inputs).unwrap().allocate(Millis(100));
    let after = |a: &Allocation| (a.useful_after.0, a.needed_after.0, a.useful.0);

    let plan = allocated("Series(a, b, c)");
    assert_eq!(plan.iter().map(after).collect::<Vec<_>>(), [(15, 35, 7), (5, 15, 10), (0, 0, 5)]);
    assert_eq!(plan[0].start.0, 0);
    assert_eq!(plan[1].start.0, plan[0].time.0);
    assert_eq!(plan[2].start.0 + plan[2].time.0, 100);

    // The alternate is needed too, but nothing depends on it being useful.
    let plan = allocated("Series(a, Fallback(b, d), c)");
    assert_eq!(plan.iter().map(|a| after(a).1).collect::<Vec<_>>()[1..], [10 + 15, 15, 0], "{plan:?}");
    assert_eq!(plan.iter().map(|a| after(a).0).collect::<Vec<_>>()[1..], [5, 5, 0], "{plan:?}");
    assert_eq!((plan[1].place, plan[2].place), (Place::Primary, Place::Alternate(0)));
    assert_eq!(plan[2].start.0, plan[1].start.0 + plan[1].time.0);
}

#[test]
fn an_allocation_knows_waits_tries_bounds_and_what_nobody_waits_for() {
    let grid = grid(60);
    let curve = rising(&grid, &[(5, 0.5)]);
    let inputs = curves(1.0, &["a", "b"].map(|name| (name, curve.clone())));
    let allocated = |text: &str| evaluate(&journey(text), &grid, &inputs).unwrap().allocate(Millis(60));
    let spans =
        |text: &str| allocated(text).iter().map(|a| (a.start.0, a.time.0, a.tries)).collect::<Vec<_>>();
    assert_eq!(spans("Race(delay=20ms, a, b)"), [(0, 60, 1), (20, 40, 1)]);
    assert_eq!(spans("Retry(attempts=2, Retry(attempts=3, a))"), [(0, 10, 6)]);
    assert_eq!(spans("Repeat(count=3, a)"), [(0, 20, 1)]);
    assert_eq!(spans("Timeout(after=25ms, a)"), [(0, 25, 1)]);
    let places: Vec<_> = allocated("Series(a, Async(b))").iter().map(|a| a.place).collect();
    assert_eq!(places, [Place::Only, Place::Detached]);
}

// === The slow exact twin: every split, by enumeration ===

struct Twin<'a> {
    inputs: &'a Curves,
}

impl Twin<'_> {
    fn best(&self, expr: &Expr, t: usize) -> f64 {
        match expr {
            Expr::Leaf(name) => self.inputs.curves[name].at(t),
            Expr::Series(all) => self.splits(all.len(), t, &|parts| {
                all.iter().zip(parts).map(|(e, &t)| self.best(e, t)).product()
            }),
            Expr::Parallel { join: Join::All, branches } => {
                branches.iter().map(|e| self.best(e, t)).product()
            }
            Expr::Parallel { join: Join::AtLeast(k), branches } => self.at_least(*k, branches, t),
            Expr::Race { delay, branches } => {
                let fails = |(i, e): (usize, &Expr)| {
                    t.checked_sub(i * delay.0 as usize).map_or(1.0, |t| 1.0 - self.best(e, t))
                };
                1.0 - branches.iter().enumerate().map(fails).product::<f64>()
            }
            Expr::Fallback { primary, alternates } => self.splits(1 + alternates.len(), t, &|parts| {
                let enough = parts[0] >= (self.inputs.least as usize).min(t / 2);
                if enough { self.ladder(primary, alternates, parts) } else { 0.0 }
            }),
            Expr::Branch(choices) => self.branch(choices, t),
            Expr::Retry { attempts, per_try_timeout, body } => {
                let each = t / *attempts as usize;
                let p = self.best(body, per_try_timeout.map_or(each, |m| each.min(m.0 as usize)));
                let expected: f64 = (0..*attempts).map(|k| (1.0 - p).powi(k as i32)).sum();
                p * expected.min(1.0 + self.inputs.share)
            }
            Expr::Timeout { after, body } => self.best(body, t.min(after.0 as usize)),
            Expr::Repeat { count, body } => self.best(body, t / *count as usize).powi(*count as i32),
            Expr::Async(_) => 1.0,
        }
    }

    fn splits(&self, parts: usize, t: usize, value: &dyn Fn(&[usize]) -> f64) -> f64 {
        fn go(done: &mut Vec<usize>, parts: usize, left: usize, value: &dyn Fn(&[usize]) -> f64) -> f64 {
            if done.len() == parts {
                return value(done);
            }
            let mut best = 0.0_f64;
            for own in 0..=left {
                done.push(own);
                best = best.max(go(done, parts, left - own, value));
                done.pop();
            }
            best
        }
        go(&mut Vec::new(), parts, t, value)
    }

    fn at_least(&self, k: u32, branches: &[Expr], t: usize) -> f64 {
        let p: Vec<f64> = branches.iter().map(|e| self.best(e, t)).collect();
        let worlds = (0..1_u32 << p.len()).filter(|world| world.count_ones() >= k);
        let probability = |world: u32| -> f64 {
            p.iter().enumerate().map(|(i, p)| if world >> i & 1 == 1 { *p } else { 1.0 - p }).product()
        };
        worlds.map(probability).sum()
    }

    fn ladder(&self, primary: &Expr, alternates: &[crate::journey::Alternative], times: &[usize]) -> f64 {
        let mut rungs = vec![(self.best(primary, times[0]), 1.0)];
        for (a, &t) in alternates.iter().zip(&times[1..]) {
            rungs.push((self.best(&a.expr, t), a.weight.get()));
        }
        let (mut reach, mut sum) = (1.0_f64, 0.0);
        for (k, (p, weight)) in rungs.iter().enumerate() {
            sum += reach * p * weight;
            let next_degraded = rungs.get(k + 1).is_some_and(|next| next.1 < 1.0);
            let share = if next_degraded { self.inputs.share } else { 1.0 };
            reach *= (1.0 - p).min(share);
        }
        sum
    }

    fn branch(&self, choices: &[crate::journey::Choice], t: usize) -> f64 {
        // A linear programme over a box and one equation: its optimum has all but one at an end.
        let p: Vec<f64> = choices.iter().map(|c| self.best(&c.expr, t)).collect();
        let mut least = f64::INFINITY;
        for free in 0..choices.len() {
            for ends in 0..1_u32 << choices.len() {
                let end = |i: usize| {
                    let q = choices[i].probability;
                    if ends >> i & 1 == 1 { q.hi() } else { q.lo() }
                };
                let others: f64 = (0..p.len()).filter(|&i| i != free).map(end).sum();
                let q = choices[free].probability;
                let own = 1.0 - others;
                if own >= q.lo() - 1e-9 && own <= q.hi() + 1e-9 {
                    let sum: f64 = (0..p.len()).filter(|&i| i != free).map(|i| end(i) * p[i]).sum();
                    least = least.min(sum + own * p[free]);
                }
            }
        }
        least
    }
}

/// Curves for every name that `any_expr` uses.
fn any_curves(cells: usize) -> impl Strategy<Value = Curves> {
    let names = ["a", "b", "pay-a", "0.5", "Series", "ns/x_1"];
    let step = prop_oneof![3 => 0.0..2.0 / cells as f64, 1 => Just(0.0)];
    let curve = prop::collection::vec(step, cells + 1).prop_map(|steps| {
        let mut sum = 0.0;
        Curve::new(steps.into_iter().map(move |s| {
            sum += s;
            sum
        }))
    });
    (prop::collection::vec(curve, names.len()), prop_oneof![Just(0.0), Just(0.2), Just(1.0)], 0..4_u64)
        .prop_map(move |(drawn, share, least)| Curves {
            least,
            ..curves(share, &names.into_iter().zip(drawn).collect::<Vec<_>>())
        })
}

proptest! {
    #![proptest_config(crate::laws::config(300, 11))]

    #[test]
    fn the_curve_is_what_enumeration_finds(expr in any_expr(), inputs in any_curves(6)) {
        let Ok(journey) = Journey::new(expr) else { return Ok(()) };
        prop_assume!(journey.leaves().len() <= 8);
        let grid = grid(6);
        let evaluation = evaluate(&journey, &grid, &inputs).unwrap();
        let twin = Twin { inputs: &inputs };
        for t in 0..=6_usize {
            let (ours, slow) = (evaluation.curve().at(t), twin.best(journey.root(), t));
            prop_assert!((ours - slow).abs() < 1e-9, "{} at {}: {} {}", journey, t, ours, slow);
        }
    }

    #[test]
    fn the_split_keeps_the_promise_of_the_curve(expr in any_expr(), inputs in any_curves(60)) {
        let Ok(journey) = Journey::new(expr) else { return Ok(()) };
        let grid = grid(60);
        let evaluation = evaluate(&journey, &grid, &inputs).unwrap();
        let plan = times(&evaluation, 60);
        let kept = achieved(&journey, &grid, &inputs, &plan).unwrap();
        let slack = 1e-5 * journey.leaves().len() as f64;
        prop_assert!(kept >= evaluation.curve().at(60) - slack, "{}: {} {}", journey, kept, evaluation.curve().at(60));
    }

    #[test]
    fn no_path_exceeds_the_deadline(expr in any_expr(), inputs in any_curves(60)) {
        let Ok(journey) = Journey::new(expr) else { return Ok(()) };
        let evaluation = evaluate(&journey, &grid(60), &inputs).unwrap();
        for a in evaluation.allocate(Millis(60)) {
            prop_assert!(a.start.0 + a.time.0 * u64::from(a.tries) <= 60, "{}: {:?}", journey, a);
        }
    }

    #[test]
    fn more_time_never_hurts(expr in any_expr(), inputs in any_curves(6)) {
        let Ok(journey) = Journey::new(expr) else { return Ok(()) };
        let value = |inputs: &Curves| evaluate(&journey, &grid(6), inputs).unwrap().curve().clone();
        let before = value(&inputs);
        prop_assert!(before.values().windows(2).all(|w| w[0] <= w[1] && (0.0..=1.0).contains(&w[1])));
    }
}
