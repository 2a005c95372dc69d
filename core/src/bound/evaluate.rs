//! The walk that all assumptions share: leaves, branch, timeout, fallback and async mean the same under each.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::any_dependence::AnyDependence;
use super::{Facts, Interval};
use crate::journey::{Alternative, Choice, ComponentName, Expr, Join, Journey};
use crate::probability;

/// Which outcome of a journey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// What its user sees: async parts are not waited for.
    #[default]
    Immediate,
    /// What is true in the end: async parts must succeed too.
    Eventual,
}

/// A leaf of which nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("component {0} has no availability")]
pub struct Unbound(pub ComponentName);

/// One operand with its value.
pub(super) struct Part<'a> {
    pub(super) expr: &'a Expr,
    pub(super) value: Interval,
}

/// How operands combine under one assumption.
pub(super) trait Rules {
    /// All must succeed.
    fn all(&self, parts: &[Part<'_>]) -> Interval;
    /// One must succeed.
    fn any(&self, parts: &[Part<'_>]) -> Interval;
    /// At least `k` must succeed, `1 <= k <= parts.len()`.
    fn at_least(&self, k: usize, parts: &[Part<'_>]) -> Interval;
    /// One of `n` tries must succeed.
    fn tries(&self, n: u32, body: Interval) -> Interval;
    /// All of `n` repetitions must succeed.
    fn times(&self, n: u32, body: Interval) -> Interval;
    /// Whether components are independent, so that one that occurs twice can be conditioned on.
    fn conditions(&self) -> bool {
        false
    }
}

/// Components conditioned on in one node: 2^10 evaluations of it. Beyond that the node falls back to any dependence, which is
/// wider and still right.
const CONDITIONED_MAX: usize = 10;

/// A walk over one expression.
pub(super) struct Walk<'a, R> {
    facts: &'a Facts,
    rules: &'a R,
    view: View,
    /// Components that occur more than once.
    repeated: BTreeSet<&'a ComponentName>,
    /// Those whose state is given.
    fixed: BTreeMap<&'a ComponentName, bool>,
}

impl<'a, R: Rules> Walk<'a, R> {
    pub(super) fn new(journey: &'a Journey, facts: &'a Facts, rules: &'a R, view: View) -> Self {
        let mut seen = BTreeSet::new();
        let repeated = journey.leaves().into_iter().filter(|name| !seen.insert(*name)).collect();
        Self { facts, rules, view, repeated, fixed: BTreeMap::new() }
    }

    /// Whether some component occurs more than once.
    pub(super) fn repeats(&self) -> bool {
        !self.repeated.is_empty()
    }

    /// Recursive: a checked expression is at most [`Expr::DEPTH_MAX`] deep. O(size · depth), times two for each component conditioned
    /// on.
    pub(super) fn value(&mut self, expr: &'a Expr) -> Result<Interval, Unbound> {
        match expr {
            Expr::Leaf(name) => self.leaf(name),
            Expr::Timeout { after, body } => {
                let within = self.facts.within(body, *after);
                let body = self.value(body)?;
                Ok(Interval::of(body.lo() * within.lo(), body.hi() * within.hi()))
            }
            Expr::Retry { attempts, body, .. } => self.tries(*attempts, body),
            Expr::Repeat { count, body } => self.times(*count, body),
            Expr::Async(body) => match self.view {
                View::Immediate => self.value(body).map(|_| Interval::of(1.0, 1.0)),
                View::Eventual => self.value(body),
            },
            // A mixture is linear: what its choices share does not matter.
            Expr::Branch(choices) => self.branch(choices),
            many => {
                let shared = if self.rules.conditions() { self.shared(many) } else { Vec::new() };
                if shared.len() > CONDITIONED_MAX {
                    self.combine(many, &AnyDependence)
                } else {
                    self.condition(many, &shared)
                }
            }
        }
    }

    fn leaf(&self, name: &ComponentName) -> Result<Interval, Unbound> {
        let known = self.facts.components.get(name).ok_or_else(|| Unbound(name.clone()))?;
        Ok(match self.fixed.get(name) {
            Some(true) => Interval::of(1.0, 1.0),
            Some(false) => Interval::of(0.0, 0.0),
            None => known.availability,
        })
    }

    fn tries(&mut self, n: u32, body: &'a Expr) -> Result<Interval, Unbound> {
        let value = self.value(body)?;
        Ok(self.rules.tries(n, value))
    }

    fn times(&mut self, n: u32, body: &'a Expr) -> Result<Interval, Unbound> {
        let value = self.value(body)?;
        Ok(self.rules.times(n, value))
    }

    /// Components that stand in more than one operand and whose state is not given.
    fn shared(&self, expr: &'a Expr) -> Vec<&'a ComponentName> {
        if self.repeated.is_empty() {
            return Vec::new();
        }
        let mut operands: BTreeMap<&ComponentName, usize> = BTreeMap::new();
        for child in expr.children() {
            let inside: BTreeSet<_> = child.leaves().into_iter().collect();
            for name in inside.intersection(&self.repeated) {
                *operands.entry(name).or_default() += 1;
            }
        }
        let open = |name: &&ComponentName| !self.fixed.contains_key(*name);
        operands.into_iter().filter(|&(_, count)| count > 1).map(|(name, _)| name).filter(open).collect()
    }

    /// `a · (value when up) + (1 - a) · (value when down)` for each component in turn.
    fn condition(&mut self, expr: &'a Expr, shared: &[&'a ComponentName]) -> Result<Interval, Unbound> {
        let Some((name, rest)) = shared.split_first() else { return self.combine(expr, self.rules) };
        let a = self.leaf(name)?;
        self.fixed.insert(name, true);
        let up = self.condition(expr, rest)?;
        self.fixed.insert(name, false);
        let down = self.condition(expr, rest)?;
        self.fixed.remove(name);
        Ok(mixture(a, up, down))
    }

    fn combine(&mut self, expr: &'a Expr, rules: &impl Rules) -> Result<Interval, Unbound> {
        match expr {
            Expr::Series(steps) => Ok(rules.all(&self.distinct(steps)?)),
            Expr::Parallel { join: Join::All, branches } => Ok(rules.all(&self.distinct(branches)?)),
            Expr::Parallel { join: Join::AtLeast(k), branches } => {
                Ok(rules.at_least(*k as usize, &self.parts(branches)?))
            }
            Expr::Race { branches, .. } => Ok(rules.any(&self.distinct(branches)?)),
            Expr::Fallback { primary, alternates } => self.fallback(primary, alternates, rules),
            single => self.value(single),
        }
    }

    fn parts(&mut self, exprs: &'a [Expr]) -> Result<Vec<Part<'a>>, Unbound> {
        exprs.iter().map(|expr| Ok(Part { expr, value: self.value(expr)? })).collect()
    }

    /// Operands of an idempotent operator: the same component twice is one event.
    fn distinct(&mut self, exprs: &'a [Expr]) -> Result<Vec<Part<'a>>, Unbound> {
        let mut parts = self.parts(exprs)?;
        if !self.repeated.is_empty() {
            let mut seen = BTreeSet::new();
            parts.retain(|part| match part.expr {
                Expr::Leaf(name) => seen.insert(name),
                _ => true,
            });
        }
        Ok(parts)
    }

    /// The first good answer counts with its weight w_i: `sum (w_i - w_{i+1}) P(one of the first i is good)`, which takes lower
    /// ends to lower ends while weights do not rise. Rising ones are exact under independence, and otherwise replaced by the nearest
    /// that do not rise: from below for the lower end, from above for the upper.
    fn fallback(
        &mut self,
        primary: &'a Expr,
        alternates: &'a [Alternative],
        rules: &impl Rules,
    ) -> Result<Interval, Unbound> {
        let mut asked = alloc::vec![Part { expr: primary, value: self.value(primary)? }];
        let mut unions = alloc::vec![rules.any(&asked)];
        for alternate in alternates {
            asked.push(Part { expr: &alternate.expr, value: self.value(&alternate.expr)? });
            unions.push(rules.any(&asked));
        }
        let weights: Vec<f64> =
            core::iter::once(1.0).chain(alternates.iter().map(|a| a.weight.get())).collect();
        let below = running(weights.iter().copied(), f64::min);
        let mut above = running(weights.iter().rev().copied(), f64::max);
        above.reverse();
        let monotone = Interval::of(worth(&below, &unions, true), worth(&above, &unions, false));
        let exact = Interval::of(worth(&weights, &unions, true), worth(&weights, &unions, false));
        Ok(if rules.conditions() { monotone.and(exact) } else { monotone })
    }

    fn branch(&mut self, choices: &'a [Choice]) -> Result<Interval, Unbound> {
        let mut low = Vec::with_capacity(choices.len());
        let mut high = Vec::with_capacity(choices.len());
        for choice in choices {
            let value = self.value(&choice.expr)?;
            low.push((choice.probability.lo(), choice.probability.hi(), value.lo()));
            high.push((choice.probability.lo(), choice.probability.hi(), value.hi()));
        }
        Ok(Interval::of(probability::least_mixture(low), probability::most_mixture(high)))
    }
}

/// `sum (w_i - w_{i+1}) U_i` at the lower or upper ends, those of falling terms at the other.
pub(super) fn worth(weights: &[f64], unions: &[Interval], lower: bool) -> f64 {
    let next = weights.iter().skip(1).chain(&[0.0]);
    let term = |((weight, next), union): ((&f64, &f64), &Interval)| {
        let drop = weight - next;
        drop * if (drop >= 0.0) == lower { union.lo() } else { union.hi() }
    };
    weights.iter().zip(next).zip(unions).map(term).sum()
}

/// The fold so far at each place.
pub(super) fn running(values: impl Iterator<Item = f64>, fold: fn(f64, f64) -> f64) -> Vec<f64> {
    let mut held = None;
    let step = |value| *held.insert(held.map_or(value, |held| fold(held, value)));
    values.map(step).collect()
}

/// Bounds of `a up + (1 - a) down`, which is linear in each of the three.
fn mixture(a: Interval, up: Interval, down: Interval) -> Interval {
    let at = |a: f64, up: f64, down: f64| a * up + (1.0 - a) * down;
    let lo = at(a.lo(), up.lo(), down.lo()).min(at(a.hi(), up.lo(), down.lo()));
    let hi = at(a.lo(), up.hi(), down.hi()).max(at(a.hi(), up.hi(), down.hi()));
    Interval::of(lo, hi)
}
