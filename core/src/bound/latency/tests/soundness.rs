//! 10 000 random expressions against exact joint distributions, for every assumption: no violation.

use std::collections::BTreeMap;
use std::prelude::v1::*;
use std::vec;

use super::call::{Call, Went, World, well_by};
use super::*;
use crate::bound::tests::random::{Random, Shape, expression};
use crate::journey::Expr;

const ROUNDING: f64 = 1e-11;

struct Case {
    journey: Journey,
    grid: LatencyGrid,
    random: Random,
    lean: f64,
    view: View,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let shape = Shape { leaves: 2 + random.below(4), names: 2 + random.below(4), repeated_tries: true };
        let journey = expression(&mut random, shape);
        let per_octave = [1, 2, 4][random.below(3)];
        let exact_edges = if random.below(2) == 0 { vec![] } else { vec![ms(7), ms(30)] };
        let grid = LatencyGrid::through(ms(40), per_octave, &exact_edges);
        let view = if random.below(2) == 0 { View::Immediate } else { View::Eventual };
        Self { journey, grid, lean: random.unit(), view, random }
    }

    fn latency(&mut self) -> u64 {
        [0, 1, 1_000, 5_000, 7_000, 12_345, 30_000, 41_000, 100_000][self.random.below(9)]
    }

    fn went(&mut self) -> Went {
        if self.random.below(20) > 0 {
            return Went::Well(self.latency());
        }
        let end = if self.random.below(2) == 0 { None } else { Some(self.latency()) };
        Went::Badly(end)
    }

    fn play(&self, fate: &mut dyn FnMut(Call<'_>) -> Went) -> Vec<(f64, Went)> {
        World { fate: &mut |call| vec![(1.0, fate(call))], lean: self.lean, view: self.view }
            .play(self.journey.root(), &[])
    }

    /// Share by each point of the grid, infinity last.
    fn cdf(&self, mixed: &Vec<(f64, Went)>) -> Vec<f64> {
        self.grid.edges().iter().map(|edge| Some(*edge)).chain([None]).map(|t| well_by(mixed, t)).collect()
    }

    /// A leaf's band around its calls' distributions, half of the time wider.
    fn band(&mut self, calls: &[Vec<(f64, Went)>]) -> Band {
        let slack = if self.random.below(2) == 0 { 0.0 } else { 0.1 * self.random.unit() };
        let cdfs: Vec<Vec<f64>> = calls.iter().map(|mixed| self.cdf(mixed)).collect();
        let hull = |fold: fn(f64, f64) -> f64, shift: f64| {
            (0..self.grid.len())
                .map(|i| cdfs.iter().map(|c| c[i]).reduce(fold).unwrap() + shift)
                .collect::<Vec<f64>>()
        };
        Band::new(hull(f64::min, -slack), hull(f64::max, slack))
    }

    fn check(&self, band: &Band, mixed: &Vec<(f64, Went)>, what: &str) {
        for (point, exact) in self.cdf(mixed).into_iter().enumerate() {
            let (lo, hi) = (band.lower_at(point), band.upper_at(point));
            assert!(
                lo <= exact + ROUNDING && exact <= hi + ROUNDING,
                "{what}: {} at {:?}: {exact} is not in [{lo}, {hi}]",
                self.journey,
                self.grid.edges().get(point)
            );
        }
    }

    fn facts(&mut self, calls: BTreeMap<ComponentName, Vec<Vec<(f64, Went)>>>) -> LatencyFacts {
        let components = calls.into_iter().map(|(name, calls)| (name, self.band(&calls))).collect();
        LatencyFacts { grid: self.grid.clone(), components }
    }
}

#[test]
fn any_dependence_holds_on_random_joint_distributions() {
    for seed in 0..10_000 {
        let mut case = Case::new(seed);
        let atoms = {
            let atoms = 2 + case.random.below(7);
            case.random.parts(atoms)
        };
        let mut table: BTreeMap<(ComponentName, Vec<usize>), Vec<Went>> = BTreeMap::new();
        let mut mixed = vec![];
        let drawn: Vec<Went> = (0..4_096).map(|_| case.went()).collect();
        let mut next = drawn.iter().cycle().copied();
        for (atom, weight) in atoms.iter().enumerate() {
            let outcome = case.play(&mut |(name, place)| {
                let draws = table
                    .entry((name.clone(), place))
                    .or_insert_with(|| next.by_ref().take(atoms.len()).collect());
                draws[atom]
            });
            mixed.extend(outcome.into_iter().map(|(p, went)| (p * weight, went)));
        }
        let mut calls: BTreeMap<ComponentName, Vec<Vec<(f64, Went)>>> = BTreeMap::new();
        for ((name, _), draws) in table {
            calls.entry(name).or_default().push(atoms.iter().copied().zip(draws).collect());
        }
        let facts = case.facts(calls);
        case.check(&any_dependence(&case.journey, &facts, case.view).unwrap(), &mixed, "any dependence");
    }
}

/// Every call of the expression as played.
fn all_calls(case: &Case) -> Vec<(ComponentName, Vec<usize>)> {
    let mut calls = vec![];
    case.play(&mut |(name, place)| {
        calls.push((name.clone(), place));
        Went::Well(0)
    });
    calls.sort();
    calls.dedup();
    calls
}

#[test]
fn independent_holds_on_product_distributions_and_lies_within_any_dependence() {
    let (mut seed, mut checked) = (0, 0);
    while checked < 10_000 {
        seed += 1;
        let mut case = Case::new(seed ^ 0x1111_0000);
        let calls = all_calls(&case);
        if calls.len() > 6 {
            continue;
        }
        let mut marginals: BTreeMap<ComponentName, Vec<(f64, Went)>> = BTreeMap::new();
        for (name, _) in &calls {
            let atoms = 1 + case.random.below(3);
            let weights = case.random.parts(atoms);
            let drawn = weights.into_iter().map(|w| (w, case.went())).collect();
            marginals.entry(name.clone()).or_insert(drawn);
        }
        let mut mixed = vec![];
        let worlds: usize = calls.iter().map(|(name, _)| marginals[name].len()).product();
        if worlds > 81 {
            continue;
        }
        for world in 0..worlds {
            let (mut rest, mut weight) = (world, 1.0);
            let mut fates = BTreeMap::new();
            for call in &calls {
                let of = &marginals[&call.0];
                let (p, went) = of[rest % of.len()];
                rest /= of.len();
                weight *= p;
                fates.insert(call.clone(), went);
            }
            let outcome = case.play(&mut |(name, place)| fates[&(name.clone(), place)]);
            mixed.extend(outcome.into_iter().map(|(p, went)| (p * weight, went)));
        }
        let facts = case.facts(marginals.into_iter().map(|(name, one)| (name, vec![one])).collect());
        let bands = bands(&case.journey, &facts, case.view).unwrap();
        case.check(&bands.independent, &mixed, "independent");
        case.check(&bands.any_dependence, &mixed, "any dependence");
        let any = &bands.any_dependence;
        assert!(any.encloses(&bands.independent, ROUNDING) && any.encloses(&bands.comonotone, ROUNDING));
        checked += 1;
    }
}

/// Whether every outcome is a rising function of the calls': no draws of its own, no answer that ends what failed.
fn rises(expr: &Expr) -> bool {
    let own = match expr {
        Expr::Branch(_) => false,
        Expr::Fallback { alternates, .. } => alternates.iter().all(|a| a.weight.get() == 1.0),
        _ => true,
    };
    own && expr.children().into_iter().all(rises)
}

#[test]
fn comonotone_holds_when_all_are_slow_together() {
    let (mut seed, mut checked) = (0, 0);
    while checked < 10_000 {
        seed += 1;
        let mut case = Case::new(seed ^ 0x2222_0000);
        if !rises(case.journey.root()) {
            continue;
        }
        let atoms = {
            let atoms = 2 + case.random.below(7);
            case.random.parts(atoms)
        };
        let names: Vec<ComponentName> = case.journey.leaves().into_iter().cloned().collect();
        let mut sorted: BTreeMap<ComponentName, Vec<Went>> = BTreeMap::new();
        for name in names {
            // Failures come last, and later than any answer: else a quick failure would make the slowest atom quick.
            let mut well: Vec<u64> = atoms.iter().map(|_| case.latency()).collect();
            well.sort_unstable();
            let good = atoms.len() - usize::from(case.random.below(3) == 0);
            let end = if case.random.below(2) == 0 { None } else { Some(100_000) };
            let fate = |(i, t)| if i < good { Went::Well(t) } else { Went::Badly(end) };
            sorted.entry(name).or_insert_with(|| well.into_iter().enumerate().map(fate).collect());
        }
        let mut mixed = vec![];
        for (atom, weight) in atoms.iter().enumerate() {
            let outcome = case.play(&mut |(name, _)| sorted[name][atom]);
            mixed.extend(outcome.into_iter().map(|(p, went)| (p * weight, went)));
        }
        let of = |went: Vec<Went>| vec![atoms.iter().copied().zip(went).collect::<Vec<_>>()];
        let facts = case.facts(sorted.into_iter().map(|(name, went)| (name, of(went))).collect());
        case.check(&bands(&case.journey, &facts, case.view).unwrap().comonotone, &mixed, "comonotone");
        checked += 1;
    }
}
