//! Seeded random expressions over every operator.

use std::prelude::v1::*;
use std::vec;

use crate::journey::{Alternative, Choice, ComponentName, Expr, Join, Journey, Probability};
use crate::mix;
use crate::units::{Millis, Ratio};

/// A state of [`crate::mix`].
pub(in crate::bound) struct Random(pub(in crate::bound) u64);

impl Random {
    pub(in crate::bound) fn next(&mut self) -> u64 {
        mix::next(&mut self.0)
    }

    pub(in crate::bound) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(in crate::bound) fn unit(&mut self) -> f64 {
        mix::unit(&mut self.0)
    }

    /// Positive numbers that add up to 1.
    pub(in crate::bound) fn parts(&mut self, n: usize) -> Vec<f64> {
        let raw: Vec<f64> = (0..n).map(|_| self.unit() + 1e-3).collect();
        let sum: f64 = raw.iter().sum();
        raw.into_iter().map(|x| x / sum).collect()
    }
}

/// What to leave out.
#[derive(Clone, Copy)]
pub(in crate::bound) struct Shape {
    pub(in crate::bound) leaves: usize,
    /// Names to draw from: fewer than leaves makes repeated components likely.
    pub(in crate::bound) names: usize,
    pub(in crate::bound) repeated_tries: bool,
}

/// An expression of exactly `shape.leaves` leaves.
pub(in crate::bound) fn expression(random: &mut Random, shape: Shape) -> Journey {
    loop {
        let expr = tree(random, shape, shape.leaves, false);
        if let Ok(journey) = Journey::new(expr) {
            return journey;
        }
    }
}

fn tree(random: &mut Random, shape: Shape, leaves: usize, in_race: bool) -> Expr {
    if random.below(5) == 0 {
        return unary(random, shape, leaves, in_race);
    }
    if leaves == 1 {
        return Expr::Leaf(ComponentName::new(&format!("c{}", random.below(shape.names))).unwrap());
    }
    let kind = random.below(6);
    let in_race = in_race || kind == 3;
    let mut parts = vec![];
    let mut left = leaves;
    while left > 0 {
        let size = if parts.is_empty() { 1 + random.below(left - 1) } else { 1 + random.below(left) };
        parts.push(tree(random, shape, size, in_race));
        left -= size;
    }
    nary(random, kind, parts)
}

fn unary(random: &mut Random, shape: Shape, leaves: usize, in_race: bool) -> Expr {
    let body = Box::new(tree(random, shape, leaves, in_race));
    match random.below(4) {
        0 if shape.repeated_tries => Expr::Retry {
            attempts: 1 + random.below(3) as u32,
            per_try_timeout: (random.below(3) > 0).then(|| Millis(1 + random.below(40) as u64)),
            body,
        },
        1 if shape.repeated_tries => Expr::Repeat { count: 1 + random.below(3) as u32, body },
        2 if !in_race => Expr::Async(body),
        _ => Expr::Timeout { after: Millis(1 + random.below(60) as u64), body },
    }
}

fn nary(random: &mut Random, kind: usize, parts: Vec<Expr>) -> Expr {
    match kind {
        0 => Expr::Series(parts),
        1 => Expr::Parallel { join: Join::All, branches: parts },
        2 => Expr::Parallel { join: Join::AtLeast(1 + random.below(parts.len()) as u32), branches: parts },
        3 => Expr::Race { delay: Millis(random.below(2) as u64 * 7), branches: parts },
        4 => fallback(random, parts),
        _ => branch(random, parts),
    }
}

fn fallback(random: &mut Random, parts: Vec<Expr>) -> Expr {
    let mut parts = parts.into_iter();
    let primary = Box::new(parts.next().unwrap());
    let weight = |random: &mut Random| {
        if random.below(2) == 0 { Ratio::ONE } else { Ratio::new(0.1 + 0.9 * random.unit()).unwrap() }
    };
    let mut alternates: Vec<_> = parts.map(|expr| Alternative { weight: weight(random), expr }).collect();
    // Weights do not rise.
    let mut weights: Vec<Ratio> = alternates.iter().map(|alternate| alternate.weight).collect();
    weights.sort_by(|a, b| b.get().total_cmp(&a.get()));
    alternates.iter_mut().zip(weights).for_each(|(alternate, weight)| alternate.weight = weight);
    Expr::Fallback { primary, alternates }
}

fn branch(random: &mut Random, parts: Vec<Expr>) -> Expr {
    let shares = random.parts(parts.len());
    let loose = random.below(2) == 0;
    let choice = |(expr, q): (Expr, f64)| {
        let (lo, hi) = if loose { (q * 0.8, (q * 1.3).min(1.0)) } else { (q, q) };
        let probability = Probability::between(Ratio::new(lo).unwrap(), Ratio::new(hi).unwrap()).unwrap();
        Choice { probability, expr }
    };
    Expr::Branch(parts.into_iter().zip(shares).map(choice).collect())
}
