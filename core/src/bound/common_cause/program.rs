//! An expression flattened into steps over a stack, for values that are asked for hundreds of times.
//!
//! Independent components, each of which occurs once; one that occurs twice has to be conditioned on, and a time limit over several
//! components has to add their latencies, which is the [walk](super::super::evaluate)'s matter. Same value as the walk's; a test holds them
//! together.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::bound::choices::Chosen;
use crate::bound::evaluate::{mixed, product, weights, worth};
use crate::bound::seen::{operands, seen};
use crate::bound::{Facts, Interval, View};
use crate::journey::{Choice, ComponentName, Expr, Join};
use crate::probability;
use crate::units::Millis;

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
    Branch(&'a Expr, &'a [Choice]),
    Tries(u32),
    Times(u32),
    Within(Interval),
}

/// The steps of an expression.
pub(super) struct Program<'a> {
    steps: Vec<Step<'a>>,
}

impl<'a> Program<'a> {
    /// `names`, sorted, holds every leaf that the outcome depends on. `None` when one occurs twice, or several stand under one time limit.
    pub(super) fn new(root: &'a Expr, names: &[&ComponentName], facts: &Facts, view: View) -> Option<Self> {
        let leaves = seen(root, view);
        if leaves.iter().collect::<BTreeSet<_>>().len() < leaves.len() {
            return None;
        }
        let mut program = Self { steps: Vec::new() };
        program.push(root, names, facts, view)?;
        Some(program)
    }

    /// Recursive: a checked expression is at most [`Expr::DEPTH_MAX`] deep.
    fn push(&mut self, expr: &'a Expr, names: &[&ComponentName], facts: &Facts, view: View) -> Option<()> {
        if matches!(expr, Expr::Async(_)) && view == View::Immediate {
            self.steps.push(Step::Sure);
            return Some(());
        }
        let operands = operands(expr, view);
        let count = operands.len();
        operands.into_iter().try_for_each(|operand| self.push(operand, names, facts, view))?;
        if let Expr::Retry { per_try_timeout: Some(after), body, .. } = expr {
            self.steps.push(Step::Within(within(body, *after, facts)?));
        }
        self.steps.push(match expr {
            Expr::Leaf(name) => Step::Leaf(names.binary_search(&name).unwrap_or(usize::MAX)),
            Expr::Series(_) | Expr::Parallel { join: Join::All, .. } => Step::All(count),
            Expr::Parallel { join: Join::AtLeast(k), .. } => Step::AtLeast(*k as usize, count),
            Expr::Race { .. } => Step::Any(count),
            Expr::Fallback { alternates, .. } => Step::Fallback(weights(alternates)),
            Expr::Branch(choices) => Step::Branch(expr, choices),
            Expr::Retry { attempts, .. } => Step::Tries(*attempts),
            Expr::Repeat { count, .. } => Step::Times(*count),
            Expr::Timeout { after, body } => Step::Within(within(body, *after, facts)?),
            Expr::Async(_) => return Some(()),
        });
        Some(())
    }

    /// The value when the components, by place among the names, are worth `values`. O(size).
    pub(super) fn value(&self, values: &[f64], chosen: &Chosen, stack: &mut Vec<Interval>) -> Interval {
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
                Step::Branch(expr, choices) => {
                    mixed(choices, chosen.get(&core::ptr::from_ref(*expr)), top(stack, choices.len()))
                }
                Step::Tries(_) | Step::Times(_) | Step::Within(_) => one(step, top(stack, 1)),
            };
            stack.truncate(stack.len() - step.operands());
            stack.push(value);
        }
        stack.last().copied().unwrap_or(Interval::of(1.0, 1.0))
    }
}

impl Step<'_> {
    const fn operands(&self) -> usize {
        match self {
            Self::Leaf(_) | Self::Sure => 0,
            Self::All(n) | Self::Any(n) | Self::AtLeast(_, n) => *n,
            Self::Fallback(weights) => weights.len(),
            Self::Branch(_, choices) => choices.len(),
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
        Step::Within(within) => product(body, *within),
        _ => body,
    }
}

/// As the walk's.
fn fallback(weights: &[f64], parts: &[Interval]) -> Interval {
    let union = |n: usize| both(parts.get(..n).unwrap_or(parts), |values| probability::any(values));
    worth(weights, &(1..=parts.len()).map(union).collect::<Vec<_>>())
}

/// `None`: latencies have to be added.
fn within(body: &Expr, after: Millis, facts: &Facts) -> Option<Interval> {
    let of = |name| facts.leaf_within(name, after);
    facts.stated(body, after).or_else(|| if let Expr::Leaf(name) = body { Some(of(name)) } else { None })
}
