//! An expression flattened into steps over a stack, for values that are asked for hundreds of times.
//!
//! Independent components, each of which occurs once; one that occurs twice has to be conditioned on, which is the
//! [walk](super::super::evaluate)'s matter. Same value as the walk's; a test holds them together.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::bound::evaluate::{running, worth};
use crate::bound::{Facts, Interval, View};
use crate::journey::{Choice, ComponentName, Expr, Join};
use crate::probability;

/// Operands on top of the stack become one value.
enum Step<'a> {
    /// Pushes a component.
    Leaf(usize),
    /// Pushes a certainty.
    Sure,
    All(usize),
    Any(usize),
    AtLeast(usize, usize),
    Fallback(Vec<f64>),
    Branch(&'a [Choice]),
    Tries(u32),
    Times(u32),
    Within(Interval),
}

/// The steps of an expression.
pub(super) struct Program<'a> {
    steps: Vec<Step<'a>>,
}

impl<'a> Program<'a> {
    /// `names`, sorted, holds every leaf of the expression. `None` when one occurs twice.
    pub(super) fn new(root: &'a Expr, names: &[&ComponentName], facts: &Facts, view: View) -> Option<Self> {
        let leaves = root.leaves();
        if leaves.iter().collect::<BTreeSet<_>>().len() < leaves.len() {
            return None;
        }
        let mut program = Self { steps: Vec::new() };
        program.push(root, names, facts, view);
        Some(program)
    }

    /// Recursive: a checked expression is at most [`Expr::DEPTH_MAX`] deep.
    fn push(&mut self, expr: &'a Expr, names: &[&ComponentName], facts: &Facts, view: View) {
        if matches!(expr, Expr::Async(_)) && view == View::Immediate {
            return self.steps.push(Step::Sure);
        }
        let operands = expr.children();
        let count = operands.len();
        operands.into_iter().for_each(|operand| self.push(operand, names, facts, view));
        self.steps.push(match expr {
            Expr::Leaf(name) => Step::Leaf(names.binary_search(&name).unwrap_or(usize::MAX)),
            Expr::Series(_) | Expr::Parallel { join: Join::All, .. } => Step::All(count),
            Expr::Parallel { join: Join::AtLeast(k), .. } => Step::AtLeast(*k as usize, count),
            Expr::Race { .. } => Step::Any(count),
            Expr::Fallback { alternates, .. } => Step::Fallback(
                core::iter::once(1.0).chain(alternates.iter().map(|a| a.weight.get())).collect(),
            ),
            Expr::Branch(choices) => Step::Branch(choices),
            Expr::Retry { attempts, .. } => Step::Tries(*attempts),
            Expr::Repeat { count, .. } => Step::Times(*count),
            Expr::Timeout { after, body } => Step::Within(facts.within(body, *after)),
            Expr::Async(_) => return,
        });
    }

    /// Lower end when the components, by place among the names, are worth `values`. O(size).
    pub(super) fn lower(&self, values: &[f64], stack: &mut Vec<Interval>) -> f64 {
        stack.clear();
        for step in &self.steps {
            let value = match step {
                Step::Leaf(place) => {
                    let value = values.get(*place).copied().unwrap_or_default();
                    Interval::of(value, value)
                }
                Step::Sure => Interval::of(1.0, 1.0),
                Step::All(n) | Step::Any(n) | Step::AtLeast(_, n) => many(step, top(stack, *n)),
                Step::Fallback(weights) => fallback(weights, top(stack, weights.len())),
                Step::Branch(choices) => branch(choices, top(stack, choices.len())),
                Step::Tries(_) | Step::Times(_) | Step::Within(_) => one(step, top(stack, 1)),
            };
            stack.truncate(stack.len() - step.operands());
            stack.push(value);
        }
        stack.last().map_or(1.0, |value| value.lo())
    }
}

impl Step<'_> {
    const fn operands(&self) -> usize {
        match self {
            Self::Leaf(_) | Self::Sure => 0,
            Self::All(n) | Self::Any(n) | Self::AtLeast(_, n) => *n,
            Self::Fallback(weights) => weights.len(),
            Self::Branch(choices) => choices.len(),
            Self::Tries(_) | Self::Times(_) | Self::Within(_) => 1,
        }
    }
}

fn top(stack: &[Interval], n: usize) -> &[Interval] {
    stack.get(stack.len().saturating_sub(n)..).unwrap_or_default()
}

fn both(parts: &[Interval], formula: impl Fn(&mut dyn Iterator<Item = f64>) -> f64) -> Interval {
    let lo = formula(&mut parts.iter().map(|part| part.lo()));
    let hi = formula(&mut parts.iter().map(|part| part.hi()));
    Interval::of(lo, hi)
}

fn many(step: &Step<'_>, parts: &[Interval]) -> Interval {
    match step {
        Step::Any(_) => both(parts, |values| probability::any(values)),
        Step::AtLeast(k, _) => both(parts, |values| probability::at_least(*k, values)),
        _ => both(parts, |values| values.product()),
    }
}

fn one(step: &Step<'_>, parts: &[Interval]) -> Interval {
    let body = parts.first().copied().unwrap_or(Interval::UNKNOWN);
    let of = |formula: &dyn Fn(f64) -> f64| Interval::of(formula(body.lo()), formula(body.hi()));
    match step {
        Step::Tries(n) => of(&|a| 1.0 - probability::repeat(1.0 - a, *n)),
        Step::Times(n) => of(&|a| probability::repeat(a, *n)),
        Step::Within(within) => Interval::of(body.lo() * within.lo(), body.hi() * within.hi()),
        _ => body,
    }
}

/// As the walk's: exact weights where the nearest monotone ones are looser.
fn fallback(weights: &[f64], parts: &[Interval]) -> Interval {
    let union = |n: usize| both(parts.get(..n).unwrap_or(parts), |values| probability::any(values));
    let unions: Vec<Interval> = (1..=parts.len()).map(union).collect();
    let below = running(weights.iter().copied(), f64::min);
    let mut above = running(weights.iter().rev().copied(), f64::max);
    above.reverse();
    let monotone = Interval::of(worth(&below, &unions, true), worth(&above, &unions, false));
    monotone.and(Interval::of(worth(weights, &unions, true), worth(weights, &unions, false)))
}

fn branch(choices: &[Choice], parts: &[Interval]) -> Interval {
    let weighted = |end: fn(Interval) -> f64| {
        let pairs = choices.iter().zip(parts);
        pairs.map(|(choice, part)| (choice.probability.lo(), choice.probability.hi(), end(*part))).collect()
    };
    let (low, high) = (weighted(Interval::lo), weighted(Interval::hi));
    Interval::of(probability::least_mixture(low), probability::most_mixture(high))
}
