//! How far bounds under any dependence are from the best ones there are.
//!
//! For an expression of up to four components the best bounds are linear programs: over all joint distributions with the given marginals, the
//! least and the most that the journey may reach. Ours combine node by node, which is sharp in each node and not always in the whole. Every
//! component occurs once; operators are those without repetition, whose tries would be components of their own. Of latency the lower end
//! is compared, which decisions read, at multiples of 10 ms, where the grid rounds nothing.

mod simplex;
mod worlds;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use emac_core::bound::latency::{
    LatencyFacts, LatencyGrid, any_dependence as latency_bound, promised_within,
};
use emac_core::bound::{Component, Domains, Facts, Interval, View, any_dependence};
use emac_core::journey::{ComponentName, Journey};
use emac_core::units::{Micros, Ratio};

use super::Section;
use simplex::least;
use worlds::{STEP_MS, expression, names, succeeds, within};

/// Expressions of each size.
const EXPRESSIONS: u64 = 300;
/// A slack below this is none.
const NONE: f64 = 1e-7;

/// The section of the report; some seconds.
pub fn section() -> Section {
    let mut body = "| bound, against the linear program | components | expressions | sharp | mean slack | worst slack |\n|---|---|---|---|---|---|\n".to_owned();
    for (name, slack) in [
        ("availability, both ends", availability as fn(usize, u64) -> f64),
        ("answered within a time, lower end", latency),
    ] {
        for components in 2..=4 {
            let slacks: Vec<_> = (0..EXPRESSIONS).map(|seed| slack(components, seed).max(0.0)).collect();
            let sharp = slacks.iter().filter(|slack| **slack < NONE).count() as f64 / slacks.len() as f64;
            let mean = slacks.iter().sum::<f64>() / slacks.len() as f64;
            let worst = slacks.iter().copied().fold(0.0, f64::max);
            let _ = writeln!(
                body,
                "| {name} | {components} | {EXPRESSIONS} | {:.0} % | {mean:.4} | {worst:.4} |",
                sharp * 100.0
            );
        }
    }
    Section { title: "Slack: any dependence beside the optimum over all joint distributions", body }
}

/// By how much our interval is wider than need be at its worse end; below zero it would be wrong.
fn availability(components: usize, seed: u64) -> f64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let journey = expression(&mut random, components, false);
    let marginals: Vec<f64> = (0..components).map(|_| random.f64()).collect();
    let named = names(components).into_iter().zip(&marginals);
    let facts = Facts::new(named.map(|(name, a)| (name, component(*a))).collect());
    let Ok(ours) = any_dependence(&journey, &facts, View::Eventual) else { return f64::NAN };
    let levels: Vec<_> = marginals.iter().map(|a| vec![1.0 - a, *a]).collect();
    let value = |world: &[usize]| succeeds(journey.root(), world);
    let low = least(&levels, value) - ours.interval.lo();
    let high = ours.interval.hi() + least(&levels, |world| -value(world));
    if low.min(high) < -NONE { low.min(high) } else { low.max(high) }
}

fn component(a: f64) -> Component {
    let availability = Interval::new(a, a).unwrap_or(Interval::UNKNOWN);
    Component { availability, domains: Domains::Missing }
}

/// Each component answers at one of two times or never; the journey is asked for a time.
fn latency(components: usize, seed: u64) -> f64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let journey = expression(&mut random, components, true);
    let marginals: Vec<Marginal> = (0..components).map(|_| Marginal::random(&mut random)).collect();
    let deadline = STEP_MS * random.u64(1..12);
    let grid = grid(&journey);
    let named = names(components).into_iter().zip(&marginals);
    let components: BTreeMap<ComponentName, _> =
        named.map(|(name, marginal)| (name, marginal.band(&grid))).collect();
    let facts = LatencyFacts { grid, components };
    let Ok(band) = latency_bound(&journey, &facts, View::Eventual) else { return f64::NAN };
    let levels: Vec<_> = marginals.iter().map(|marginal| marginal.weights.to_vec()).collect();
    let time = |(marginal, level): (&Marginal, &usize)| marginal.times.get(*level).copied();
    let value = |world: &[usize]| {
        let times: Vec<_> = marginals.iter().zip(world).map(time).collect();
        within(journey.root(), &times, deadline)
    };
    least(&levels, value) - band.at(&facts.grid, Micros(deadline * 1_000)).lo()
}

/// Every multiple of the step is a point, so sums and differences are.
fn grid(journey: &Journey) -> LatencyGrid {
    let multiples: Vec<_> = (0..64).map(|step| Micros(step * STEP_MS * 1_000)).collect();
    debug_assert!(journey.leaves().len() <= 4);
    LatencyGrid::through(Micros(16 * STEP_MS * 1_000), 1, &multiples)
}

/// Two times in milliseconds, the third level is never, and how often each.
struct Marginal {
    times: [u64; 2],
    weights: [f64; 3],
}

impl Marginal {
    fn random(random: &mut fastrand::Rng) -> Self {
        let first = random.u64(0..4);
        let times = [first, first + random.u64(1..4)].map(|step| step * STEP_MS);
        let parts = [random.f64(), random.f64(), 0.3 * random.f64()];
        let sum: f64 = parts.iter().sum();
        Self { times, weights: parts.map(|part| part / sum) }
    }

    fn band(&self, grid: &LatencyGrid) -> emac_core::bound::latency::Band {
        let [soon, late, _] = self.weights;
        let share = |value: f64| Ratio::new(value.min(1.0)).unwrap_or(Ratio::ONE);
        let ever = Interval::exactly(share(soon + late));
        let at = |place: usize| Micros(self.times[place] * 1_000);
        promised_within(grid, ever, &[(at(0), share(soon)), (at(1), share(soon + late))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bound_is_tighter_than_the_optimum() {
        for components in 2..=4 {
            for seed in 1_000..1_040 {
                for slack in [availability(components, seed), latency(components, seed)] {
                    assert!(slack > -NONE, "{components} {seed}: {slack}");
                }
            }
        }
    }

    #[test]
    fn two_components_are_bounded_sharply() {
        assert!((0..50).all(|seed| availability(2, seed) < NONE));
    }
}
