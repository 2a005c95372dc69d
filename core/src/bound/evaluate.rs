//! The walk that all assumptions share: leaves, branch, timeout, fallback and async mean the same under each.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::choices::Chosen;
use super::remembered::{Leaves, Remembered, State};
use super::seen::{operands, seen, timed};
use super::{Facts, Interval, Loose};
use crate::journey::{Alternative, Choice, ComponentName, Expr, Join, Journey};
use crate::probability;
use crate::units::Millis;

/// Which outcome of a journey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Components it depends on whose state is not given; none where it does not matter who they are.
    pub(super) leaves: Leaves<'a>,
}

/// How operands combine under one assumption.
pub(super) trait Rules {
    /// All must succeed.
    fn all(&self, parts: &[Part<'_>]) -> Interval;
    /// One must succeed.
    fn any(&self, parts: &[Part<'_>]) -> Interval;
    /// At least `k` must succeed, `1 <= k <= parts.len()`.
    fn at_least(&self, k: usize, parts: &[Part<'_>]) -> Interval;
    /// One of `n` tries must succeed. `tied`: they share a component whose state is not given.
    fn tries(&self, n: u32, body: Interval, tied: bool) -> Interval;
    /// All of `n` repetitions must succeed.
    fn times(&self, n: u32, body: Interval, tied: bool) -> Interval;
    /// How a component that occurs twice is conditioned on; `None`: it is not. `others`: what is random beside it.
    fn conditions(&self, name: &ComponentName, others: &BTreeSet<&ComponentName>) -> Option<Alone>;
    /// Whether it matters which components operands depend on.
    fn ties(&self) -> bool {
        false
    }
    /// Whether latencies of different calls are independent; otherwise anything.
    fn independent_latencies(&self) -> bool {
        false
    }
}

/// Whether a component fails independently of all that is random beside it, for the lower end and for the upper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alone {
    pub(super) lower: bool,
    pub(super) upper: bool,
}

/// Components conditioned on from the root to a node: 2^10 evaluations of it. Those beyond tie the operands they stand in, which is
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
    /// Those that occur in several operands and are not conditioned on.
    tied: BTreeSet<&'a ComponentName>,
    /// Availabilities other than those of the facts.
    pub(super) values: BTreeMap<&'a ComponentName, Interval>,
    pub(super) chosen: Chosen,
    /// A node whose value is given.
    pub(super) given: Option<(&'a Expr, Interval)>,
    pub(super) loose: Loose,
    /// Share in time of bodies, by the state of what they depend on.
    known: BTreeMap<(*const Expr, Millis, Given<'a>), Interval>,
    remembered: Remembered<'a>,
}

/// Components whose state is given, and it.
type Given<'a> = Vec<(&'a ComponentName, bool)>;

impl<'a, R: Rules> Walk<'a, R> {
    pub(super) fn new(journey: &'a Journey, facts: &'a Facts, rules: &'a R, view: View) -> Self {
        let repeated = repeated(journey.root(), view);
        Self {
            facts,
            rules,
            view,
            remembered: Remembered::new(&repeated),
            repeated,
            fixed: BTreeMap::new(),
            tied: BTreeSet::new(),
            values: BTreeMap::new(),
            chosen: Chosen::new(),
            given: None,
            loose: Loose::default(),
            known: BTreeMap::new(),
        }
    }

    /// Recursive: a checked expression is at most [`Expr::DEPTH_MAX`] deep. O(size · depth), and each node again for each state of the components
    /// in it that are conditioned on.
    pub(super) fn value(&mut self, expr: &'a Expr) -> Result<Interval, Unbound> {
        if let Some((_, value)) = self.given.filter(|(node, _)| core::ptr::eq(*node, expr)) {
            return Ok(value);
        }
        if let Some(value) = self.remembered.value(expr, self.view) {
            return Ok(value);
        }
        let value = self.worked_out(expr)?;
        self.remembered.keep_value(expr, self.view, value);
        Ok(value)
    }

    fn worked_out(&mut self, expr: &'a Expr) -> Result<Interval, Unbound> {
        match expr {
            Expr::Leaf(name) => self.leaf(name),
            Expr::Timeout { after, body } => self.timely(body, *after),
            Expr::Retry { attempts, per_try_timeout, body } => {
                let one = match per_try_timeout {
                    Some(after) => self.timely(body, *after)?,
                    None => self.value(body)?,
                };
                Ok(self.rules.tries(*attempts, one, self.is_tied(body)))
            }
            Expr::Repeat { count, body } => {
                let one = self.value(body)?;
                Ok(self.rules.times(*count, one, self.is_tied(body)))
            }
            Expr::Async(body) => match self.view {
                View::Immediate => {
                    body.leaves().into_iter().try_for_each(|name| self.leaf(name).map(drop))?;
                    Ok(Interval::of(1.0, 1.0))
                }
                View::Eventual => self.value(body),
            },
            // A mixture is linear: what its choices share does not matter.
            Expr::Branch(choices) => self.branch(expr, choices),
            many => {
                let shared = self.shared(many);
                self.condition(many, shared, &mut |walk| walk.combine(many))
            }
        }
    }

    fn leaf(&self, name: &ComponentName) -> Result<Interval, Unbound> {
        let known = self.facts.components.get(name).ok_or_else(|| Unbound(name.clone()))?;
        Ok(match self.fixed.get(name) {
            Some(true) => Interval::of(1.0, 1.0),
            Some(false) => Interval::of(0.0, 0.0),
            None => self.values.get(name).copied().unwrap_or(known.availability),
        })
    }

    fn is_tied(&self, expr: &Expr) -> bool {
        !self.tied.is_empty() && seen(expr, self.view).into_iter().any(|name| self.tied.contains(name))
    }

    /// Components that stand in more than one operand and whose state is not given.
    fn shared(&self, expr: &'a Expr) -> Vec<&'a ComponentName> {
        if self.repeated.is_empty() {
            return Vec::new();
        }
        let mut operands_of: BTreeMap<&ComponentName, usize> = BTreeMap::new();
        for child in operands(expr, self.view) {
            let inside: BTreeSet<_> = seen(child, self.view).into_iter().collect();
            for name in inside.intersection(&self.repeated) {
                *operands_of.entry(name).or_default() += 1;
            }
        }
        let open = |name: &&ComponentName| !self.fixed.contains_key(*name) && !self.tied.contains(*name);
        operands_of.into_iter().filter(|&(_, count)| count > 1).map(|(name, _)| name).filter(open).collect()
    }

    /// The value of a node, conditioned on components.
    fn condition(
        &mut self,
        expr: &'a Expr,
        shared: Vec<&'a ComponentName>,
        value: &mut dyn FnMut(&mut Self) -> Result<Interval, Unbound>,
    ) -> Result<Interval, Unbound> {
        if shared.is_empty() {
            return value(self);
        }
        let mut random: BTreeSet<_> = self.random(expr).into_iter().collect();
        let mut open: Vec<_> = shared;
        let mut order = Vec::new();
        let room = CONDITIONED_MAX.saturating_sub(self.fixed.len());
        // Who fails alone first: its mixture is exact, and a mixture of the better of two is better than the better of two mixtures.
        while order.len() < room {
            let rank = |&(_, name): &(usize, &&ComponentName)| {
                core::cmp::Reverse(self.rules.conditions(name, &without(&random, name)))
            };
            let Some((place, _)) = open.iter().enumerate().min_by_key(rank) else { break };
            let name = open.remove(place);
            random.remove(name);
            let Some(alone) = self.rules.conditions(name, &random) else { return value(self) };
            order.push((name, alone));
        }
        let ties: Vec<_> = open.into_iter().filter(|name| self.tied.insert(name)).collect();
        self.loose.shared |= !ties.is_empty();
        ties.iter().for_each(|name| self.remembered.give(name, State::Tied));
        let found = self.over_states(&order, value);
        ties.into_iter().for_each(|name| {
            self.tied.remove(name);
            self.remembered.give(name, State::Open);
        });
        found
    }

    /// For each component in turn, `f` the value as a function of its state and of what else is random.
    ///
    /// Where it fails independently of the rest, `a f(up) + (1 - a) f(down)`, exactly. Else `f(up)` and `f(down)` are still means over the rest
    /// as it is, not as it would be given the state, of which nothing is known but that successes are associated: `f >= f(down)` in every
    /// state, and `E[X f(up)] >= a E[f(up)]`; so `max(f(down), a f(up))` below, and the same on failures above.
    fn over_states(
        &mut self,
        order: &[(&'a ComponentName, Alone)],
        value: &mut dyn FnMut(&mut Self) -> Result<Interval, Unbound>,
    ) -> Result<Interval, Unbound> {
        let Some(((name, alone), rest)) = order.split_first() else { return value(self) };
        if !rest.is_empty() {
            // Often some of them decide everything: what the others' best and worst leave as it is needs no going through.
            let (best, worst) = (self.all_fixed(order, true, value)?, self.all_fixed(order, false, value)?);
            if best == worst {
                return Ok(best);
            }
        }
        let a = self.leaf(name)?;
        self.fix(name, true);
        let up = self.over_states(rest, value)?;
        self.fix(name, false);
        let down = self.over_states(rest, value)?;
        self.release(name);
        Ok(mixture(a, up, down, *alone))
    }

    fn fix(&mut self, name: &'a ComponentName, up: bool) {
        self.fixed.insert(name, up);
        self.remembered.give(name, if up { State::Up } else { State::Down });
    }

    fn release(&mut self, name: &ComponentName) {
        self.fixed.remove(name);
        self.remembered.give(name, State::Open);
    }

    fn all_fixed(
        &mut self,
        order: &[(&'a ComponentName, Alone)],
        up: bool,
        value: &mut dyn FnMut(&mut Self) -> Result<Interval, Unbound>,
    ) -> Result<Interval, Unbound> {
        order.iter().for_each(|(name, _)| self.fix(name, up));
        let found = value(self);
        order.iter().for_each(|(name, _)| self.release(name));
        found
    }

    /// What is random of an operand. How quickly a component answers is so even when it is known to answer: what it shares may slow several of
    /// its calls at once.
    fn random(&self, expr: &'a Expr) -> Vec<&'a ComponentName> {
        let mut leaves = seen(expr, self.view);
        if self.fixed.is_empty() {
            return leaves;
        }
        leaves.retain(|name| !self.fixed.contains_key(*name));
        if self.rules.ties() {
            leaves.extend(timed(expr, self.view).into_iter().filter(|name| self.fixed.contains_key(*name)));
        }
        leaves
    }

    fn combine(&mut self, expr: &'a Expr) -> Result<Interval, Unbound> {
        match expr {
            Expr::Series(steps) => Ok(self.rules.all(&self.distinct(steps)?)),
            Expr::Parallel { join: Join::All, branches } => Ok(self.rules.all(&self.distinct(branches)?)),
            Expr::Parallel { join: Join::AtLeast(k), branches } => {
                Ok(self.rules.at_least(*k as usize, &self.parts(branches)?))
            }
            Expr::Race { branches, .. } => Ok(self.rules.any(&self.distinct(branches)?)),
            Expr::Fallback { primary, alternates } => self.fallback(primary, alternates),
            single => self.value(single),
        }
    }

    fn part(&mut self, expr: &'a Expr) -> Result<Part<'a>, Unbound> {
        let value = self.value(expr)?;
        let matter = self.rules.ties() || !self.tied.is_empty();
        Ok(Part { expr, value, leaves: if matter { self.random_of(expr) } else { Leaves::default() } })
    }

    fn random_of(&mut self, expr: &'a Expr) -> Leaves<'a> {
        if let Some(leaves) = self.remembered.leaves(expr, self.view) {
            return leaves;
        }
        let leaves = self.random(expr).into();
        self.remembered.keep_leaves(expr, self.view, &leaves);
        leaves
    }

    fn parts(&mut self, exprs: &'a [Expr]) -> Result<Vec<Part<'a>>, Unbound> {
        exprs.iter().map(|expr| self.part(expr)).collect()
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

    /// The first good answer counts with its weight w_i: `sum (w_i - w_{i+1}) P(one of the first i is good)`. Weights do not rise, so lower
    /// ends give the lower end.
    fn fallback(&mut self, primary: &'a Expr, alternates: &'a [Alternative]) -> Result<Interval, Unbound> {
        let mut asked = alloc::vec![self.part(primary)?];
        let mut unions = alloc::vec![self.rules.any(&asked)];
        for alternate in alternates {
            asked.push(self.part(&alternate.expr)?);
            unions.push(self.rules.any(&asked));
        }
        Ok(worth(&weights(alternates), &unions))
    }

    fn branch(&mut self, expr: &'a Expr, choices: &'a [Choice]) -> Result<Interval, Unbound> {
        let values = choices.iter().map(|c| self.value(&c.expr)).collect::<Result<Vec<_>, _>>()?;
        Ok(mixed(choices, self.chosen.get(&core::ptr::from_ref(expr)), &values))
    }

    // === Time ===

    /// A good answer within a time.
    pub(super) fn timely(&mut self, body: &'a Expr, after: Millis) -> Result<Interval, Unbound> {
        if let Some(share) = self.facts.stated(body, after) {
            return Ok(product(self.value(body)?, share));
        }
        if let Expr::Leaf(name) = body {
            return Ok(product(self.leaf(name)?, self.facts.leaf_within(name, after)));
        }
        if let Expr::Branch(choices) = body {
            let values =
                choices.iter().map(|c| self.timely(&c.expr, after)).collect::<Result<Vec<_>, _>>()?;
            return Ok(mixed(choices, self.chosen.get(&core::ptr::from_ref(body)), &values));
        }
        let mut names = BTreeSet::new();
        self.inside(body, &mut names);
        self.condition(body, names.into_iter().collect(), &mut |walk| {
            let ever = walk.value(body)?;
            let timely = walk.given_state(body, after)?;
            Ok(Interval::of(timely.lo().min(ever.hi()), timely.hi().min(ever.hi())))
        })
    }

    /// Components that a node below conditions on, but for those whose every try, or choice, is an event of its own.
    fn inside(&self, expr: &'a Expr, found: &mut BTreeSet<&'a ComponentName>) {
        let apart = match expr {
            Expr::Retry { attempts, .. } => *attempts > 1,
            Expr::Repeat { count, .. } => *count > 1,
            Expr::Branch(_) => true,
            _ => false,
        };
        if apart {
            return;
        }
        found.extend(self.shared(expr));
        operands(expr, self.view).into_iter().for_each(|child| self.inside(child, found));
    }

    fn given_state(&mut self, body: &'a Expr, after: Millis) -> Result<Interval, Unbound> {
        let leaves: BTreeSet<_> = seen(body, self.view).into_iter().collect();
        let state: Given<'a> = leaves.iter().filter_map(|&n| Some((n, *self.fixed.get(n)?))).collect();
        // What has another availability, or chosen probabilities, is not asked again.
        let plain = self.chosen.is_empty() && !leaves.iter().any(|name| self.values.contains_key(name));
        let key = (core::ptr::from_ref(body), after, state);
        if let Some(known) = self.known.get(&key).filter(|_| plain) {
            return Ok(*known);
        }
        let all: BTreeSet<_> = body.leaves().into_iter().collect();
        let values = all.into_iter().map(|name| Ok((name, self.leaf(name)?))).collect::<Result<_, _>>()?;
        let independent = self.rules.independent_latencies();
        let timely = self.facts.timely(body, after, &values, (self.view, independent), &self.chosen)?;
        if plain {
            self.known.insert(key, timely);
        }
        Ok(timely)
    }
}

/// Components on which an outcome depends in more than one place.
pub(super) fn repeated(root: &Expr, view: View) -> BTreeSet<&ComponentName> {
    let mut once = BTreeSet::new();
    seen(root, view).into_iter().filter(|name| !once.insert(*name)).collect()
}

fn without<'a>(all: &BTreeSet<&'a ComponentName>, one: &ComponentName) -> BTreeSet<&'a ComponentName> {
    all.iter().copied().filter(|name| *name != one).collect()
}

/// Weights of a fallback's answers, the primary's first.
pub(super) fn weights(alternates: &[Alternative]) -> Vec<f64> {
    core::iter::once(1.0).chain(alternates.iter().map(|a| a.weight.get())).collect()
}

/// `sum (w_i - w_{i+1}) U_i`, `unions` the first operands of each number.
pub(super) fn worth(weights: &[f64], unions: &[Interval]) -> Interval {
    let at = |end: fn(Interval) -> f64| {
        let next = weights.iter().skip(1).chain(&[0.0]);
        weights
            .iter()
            .zip(next)
            .zip(unions)
            .map(|((weight, next), union)| (weight - next) * end(*union))
            .sum()
    };
    Interval::of(at(Interval::lo), at(Interval::hi))
}

/// A branch: with the probabilities that were chosen, or the least and the greatest mixture.
pub(super) fn mixed(choices: &[Choice], chosen: Option<&Vec<f64>>, values: &[Interval]) -> Interval {
    if let Some(chosen) = chosen {
        let at = |end: fn(Interval) -> f64| chosen.iter().zip(values).map(|(q, value)| q * end(*value)).sum();
        return Interval::of(at(Interval::lo), at(Interval::hi));
    }
    let weighted = |end: fn(Interval) -> f64| {
        let pairs = choices.iter().zip(values);
        pairs.map(|(choice, value)| (choice.probability.lo(), choice.probability.hi(), end(*value))).collect()
    };
    Interval::of(
        probability::least_mixture(weighted(Interval::lo)),
        probability::most_mixture(weighted(Interval::hi)),
    )
}

pub(super) fn product(a: Interval, b: Interval) -> Interval {
    Interval::of(a.lo() * b.lo(), a.hi() * b.hi())
}

/// See [`Walk::over_states`]. The value rises with the component, so each end needs the component's own.
fn mixture(a: Interval, up: Interval, down: Interval, alone: Alone) -> Interval {
    let exact = |a: f64, up: f64, down: f64| a * up + (1.0 - a) * down;
    let lo = if alone.lower { exact(a.lo(), up.lo(), down.lo()) } else { down.lo().max(a.lo() * up.lo()) };
    let hi = if alone.upper {
        exact(a.hi(), up.hi(), down.hi())
    } else {
        up.hi().min(1.0 - (1.0 - a.hi()) * (1.0 - down.hi()))
    };
    Interval::of(lo, hi)
}
