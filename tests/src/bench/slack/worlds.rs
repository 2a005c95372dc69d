//! Random expressions, and what becomes of them when it is known how each component answers.

use emac_core::journey::{Choice, ComponentName, Expr, Join, Journey, Probability};
use emac_core::units::{Millis, Ratio};

/// Times are multiples of this.
pub(super) const STEP_MS: u64 = 10;

/// `c0`, `c1`, ...
pub(super) fn names(count: usize) -> Vec<ComponentName> {
    (0..count).map(name).collect()
}

fn name(place: usize) -> ComponentName {
    ComponentName::new(&format!("c{place}")).unwrap_or_else(|error| unreachable!("{error}"))
}

fn place(name: &ComponentName) -> usize {
    name.as_str().trim_start_matches('c').parse().unwrap_or_default()
}

/// Over so many components, each once; with timeouts where times matter.
pub(super) fn expression(random: &mut fastrand::Rng, components: usize, timed: bool) -> Journey {
    let expr = over(random, &(0..components).collect::<Vec<_>>(), timed);
    Journey::new(expr).unwrap_or_else(|problems| unreachable!("{problems:?}"))
}

fn over(random: &mut fastrand::Rng, places: &[usize], timed: bool) -> Expr {
    if timed && random.u8(0..5) == 0 {
        let after = Millis(STEP_MS * random.u64(1..8));
        return Expr::Timeout { after, body: Box::new(operator(random, places, false)) };
    }
    operator(random, places, timed)
}

fn operator(random: &mut fastrand::Rng, places: &[usize], timed: bool) -> Expr {
    if let [one] = places {
        return Expr::Leaf(name(*one));
    }
    // Where the first operand ends, and perhaps the second.
    let cut = random.usize(1..places.len());
    let (first, rest) = places.split_at(cut);
    let mut operands = vec![over(random, first, timed)];
    if rest.len() > 1 && random.bool() {
        let (second, third) = rest.split_at(random.usize(1..rest.len()));
        operands.extend([over(random, second, timed), over(random, third, timed)]);
    } else {
        operands.push(over(random, rest, timed));
    }
    let count = operands.len();
    match random.u8(0..5) {
        0 => Expr::Series(operands),
        1 => Expr::Parallel { join: Join::All, branches: operands },
        2 => Expr::Parallel { join: Join::AtLeast(random.u32(1..=count as u32)), branches: operands },
        3 => {
            let delay = if timed { STEP_MS * random.u64(0..2) } else { 0 };
            Expr::Race { delay: Millis(delay), branches: operands }
        }
        _ => {
            let share = Ratio::new(1.0 / count as f64).unwrap_or(Ratio::ONE);
            let choice = |expr| Choice { probability: Probability::exactly(share), expr };
            Expr::Branch(operands.into_iter().map(choice).collect())
        }
    }
}

/// Probability of success when `world[i]` is 1 for every component that is up; choices are drawn for themselves.
pub(super) fn succeeds(expr: &Expr, world: &[usize]) -> f64 {
    let times: Vec<_> = world.iter().map(|up| (*up == 1).then_some(0)).collect();
    within(expr, &times, 0)
}

/// Probability of an answer by `deadline` when every component answers at its time, or never.
pub(super) fn within(expr: &Expr, times: &[Option<u64>], deadline: u64) -> f64 {
    let ends = ends(expr, times);
    ends.into_iter().filter(|(_, end)| end.is_some_and(|end| end <= deadline)).map(|(p, _)| p).sum()
}

/// A time, or never, with its probability.
type Ends = Vec<(f64, Option<u64>)>;

fn ends(expr: &Expr, times: &[Option<u64>]) -> Ends {
    let all = |operands: &[Expr]| operands.iter().map(|operand| ends(operand, times)).collect::<Vec<_>>();
    match expr {
        Expr::Leaf(name) => vec![(1.0, times.get(place(name)).copied().flatten())],
        Expr::Series(steps) => every(&all(steps), |ends| ends.iter().copied().sum()),
        Expr::Parallel { join: Join::All, branches } => every(&all(branches), |ends| kth(ends, ends.len())),
        Expr::Parallel { join: Join::AtLeast(k), branches } => {
            every(&all(branches), |ends| kth(ends, *k as usize))
        }
        Expr::Race { delay, branches } => every(&all(branches), |ends| {
            let late = ends.iter().enumerate().map(|(i, end)| end.map(|end| end + i as u64 * delay.0));
            late.flatten().min()
        }),
        Expr::Branch(choices) => {
            let chosen = choices.iter().flat_map(|choice| {
                let share = choice.probability.lo();
                ends(&choice.expr, times).into_iter().map(move |(p, end)| (p * share, end))
            });
            chosen.collect()
        }
        Expr::Timeout { after, body } => {
            let cut = |end: Option<u64>| end.filter(|end| *end <= after.0);
            ends(body, times).into_iter().map(|(p, end)| (p, cut(end))).collect()
        }
        other => unreachable!("{} is not drawn", other.operator()),
    }
}

/// When the `k`-th of several has ended.
fn kth(ends: &[Option<u64>], k: usize) -> Option<u64> {
    let mut ended: Vec<_> = ends.iter().flatten().copied().collect();
    ended.sort_unstable();
    ended.get(k - 1).copied()
}

/// Over all combinations of the operands' ends.
fn every(operands: &[Ends], combine: impl Fn(&[Option<u64>]) -> Option<u64>) -> Ends {
    let start: Vec<(f64, Vec<Option<u64>>)> = vec![(1.0, Vec::new())];
    let combinations = operands.iter().fold(start, |so_far, ends| {
        let longer = |(p, before): &(f64, Vec<Option<u64>>), (q, end): &(f64, Option<u64>)| {
            (p * q, before.iter().copied().chain([*end]).collect())
        };
        so_far.iter().flat_map(|one| ends.iter().map(move |end| longer(one, end))).collect()
    });
    combinations.into_iter().map(|(p, ends)| (p, combine(&ends))).collect()
}
