//! The walk that all dependence assumptions share.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::any_dependence::AnyDependence;
use super::comonotone::Comonotone;
use super::independent::Independent;
use super::{Band, LatencyGrid};
use crate::bound::choices::Chosen;
use crate::bound::evaluate::{mixed, repeated, weights};
use crate::bound::seen::{operands, seen};
use crate::bound::{Interval, Unbound, View};
use crate::journey::{Alternative, Choice, ComponentName, Expr, Join, Journey};
use crate::units::{Micros, Millis};

/// Band of every component, all on one grid.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyFacts {
    /// The grid of all bands.
    pub grid: LatencyGrid,
    /// By name; one for each leaf.
    pub components: BTreeMap<ComponentName, Band>,
}

/// How bands combine under one assumption. Pointwise operators take the ends of all operands at one point.
pub(super) trait Dependence {
    /// One after the other.
    fn series(&self, grid: &LatencyGrid, a: &Band, b: &Band) -> Band;
    /// All answered.
    fn all(&self, lowers: &[f64], uppers: &[f64]) -> (f64, f64);
    /// Some answered.
    fn any(&self, lowers: &[f64], uppers: &[f64]) -> (f64, f64);
    /// At least `k` answered, `1 <= k <= lowers.len()`.
    fn at_least(&self, k: usize, lowers: &[f64], uppers: &[f64]) -> (f64, f64);
    /// Whether operands that share a component need no care.
    fn shares(&self) -> bool {
        true
    }
}

/// A journey's bands, one for each assumption.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// Whatever the dependence.
    pub any_dependence: Band,
    /// When calls are independent. Where operands of one node share a component, that node is taken under any dependence.
    pub independent: Band,
    /// When all calls are slow together, branches drawn for themselves.
    pub comonotone: Band,
}

/// All three bands: side by side, as they are to be reported.
///
/// # Errors
/// [`Unbound`] for the first leaf without a band.
pub fn bands(journey: &Journey, facts: &LatencyFacts, view: View) -> Result<Bands, Unbound> {
    let any = any_dependence(journey, facts, view)?;
    let independent = Walk::new(journey, facts, &Independent, view).band(journey.root())?;
    let comonotone = Walk::new(journey, facts, &Comonotone, view).band(journey.root())?;
    // Roundings of one truth: any dependence holds under the others too.
    Ok(Bands { independent: independent.and(&any), comonotone: comonotone.and(&any), any_dependence: any })
}

/// Band whatever the dependence.
///
/// # Errors
/// [`Unbound`] for the first leaf without a band.
pub fn any_dependence(journey: &Journey, facts: &LatencyFacts, view: View) -> Result<Band, Unbound> {
    Walk::new(journey, facts, &AnyDependence, view).band(journey.root())
}

/// Band of a part of a journey whose components have other bands; independent calls, or any dependence.
pub(in crate::bound) fn timely(
    part: &Expr,
    grid: &LatencyGrid,
    components: &BTreeMap<ComponentName, Band>,
    (view, independent): (View, bool),
    chosen: &Chosen,
) -> Result<Band, Unbound> {
    let any = Walk::of(part, (grid, components), &AnyDependence, view, Some(chosen)).band(part)?;
    if !independent {
        return Ok(any);
    }
    Ok(Walk::of(part, (grid, components), &Independent, view, Some(chosen)).band(part)?.and(&any))
}

struct Walk<'a, D> {
    grid: &'a LatencyGrid,
    components: &'a BTreeMap<ComponentName, Band>,
    dependence: &'a D,
    view: View,
    repeated: BTreeSet<&'a ComponentName>,
    /// How often each component occurs.
    occurs: BTreeMap<&'a ComponentName, usize>,
    /// The journey is small enough to look for the tightest order of each series.
    every_order: bool,
    /// Probabilities of branches, where they are one point.
    chosen: Option<&'a Chosen>,
}

/// Twenty convolutions instead of four for five steps, thirty-five for six.
const EVERY_ORDER_STEPS: usize = 6;
const EVERY_ORDER_LEAVES: usize = 64;

impl<'a, D: Dependence> Walk<'a, D> {
    fn new(journey: &'a Journey, facts: &'a LatencyFacts, dependence: &'a D, view: View) -> Self {
        Self::of(journey.root(), (&facts.grid, &facts.components), dependence, view, None)
    }

    fn of(
        root: &'a Expr,
        (grid, components): (&'a LatencyGrid, &'a BTreeMap<ComponentName, Band>),
        dependence: &'a D,
        view: View,
        chosen: Option<&'a Chosen>,
    ) -> Self {
        let every_order = seen(root, view).len() <= EVERY_ORDER_LEAVES;
        let repeated = repeated(root, view);
        let mut occurs = BTreeMap::new();
        seen(root, view).into_iter().for_each(|name| *occurs.entry(name).or_default() += 1);
        Self { grid, components, dependence, view, repeated, occurs, every_order, chosen }
    }

    const fn grid(&self) -> &'a LatencyGrid {
        self.grid
    }

    /// Recursive: a checked expression is at most [`Expr::DEPTH_MAX`] deep. O(size · points²).
    fn band(&self, expr: &Expr) -> Result<Band, Unbound> {
        if !self.dependence.shares() && (self.operands_share(expr) || self.tries_share(expr)) {
            return self.combine(expr, &AnyDependence);
        }
        self.combine(expr, self.dependence)
    }

    fn combine(&self, expr: &Expr, rules: &impl Dependence) -> Result<Band, Unbound> {
        Ok(match expr {
            Expr::Leaf(name) => self.leaf(name)?,
            Expr::Series(steps) => self.series(rules, self.bands(steps)?),
            Expr::Parallel { join: Join::All, branches } => {
                pointwise(&self.bands(branches)?, |l, u| rules.all(l, u))
            }
            Expr::Parallel { join: Join::AtLeast(k), branches } => {
                pointwise(&self.bands(branches)?, |l, u| rules.at_least(*k as usize, l, u))
            }
            Expr::Race { delay, branches } => self.race(rules, *delay, branches)?,
            Expr::Fallback { primary, alternates } => self.fallback(rules, primary, alternates)?,
            Expr::Branch(choices) => self.branch(expr, choices)?,
            Expr::Retry { attempts, per_try_timeout, body } => {
                self.retry(rules, *attempts as usize, *per_try_timeout, body)?
            }
            Expr::Timeout { after, body } => self.band(body)?.cut(self.grid(), after.to_micros()),
            Expr::Repeat { count, body } => self.repeat(rules, *count, &self.band(body)?),
            Expr::Async(body) => match self.view {
                View::Immediate => {
                    body.leaves().into_iter().try_for_each(|name| self.leaf(name).map(drop))?;
                    Band::at_once(self.grid(), 1.0)
                }
                View::Eventual => self.band(body)?,
            },
        })
    }

    fn leaf(&self, name: &ComponentName) -> Result<Band, Unbound> {
        self.components.get(name).cloned().ok_or_else(|| Unbound(name.clone()))
    }

    fn bands(&self, exprs: &[Expr]) -> Result<Vec<Band>, Unbound> {
        exprs.iter().map(|expr| self.band(expr)).collect()
    }

    /// In every order at once while that is cheap, else as a balanced tree, in which each part is rounded log n times.
    fn series(&self, rules: &impl Dependence, bands: Vec<Band>) -> Band {
        let nothing = || Band::at_once(self.grid(), 1.0);
        if self.every_order && bands.len() <= EVERY_ORDER_STEPS {
            return self.every_order(rules, &bands).unwrap_or_else(nothing);
        }
        let mut bands = bands;
        while bands.len() > 1 {
            let join = |pair: &[Band]| match pair {
                [a, b] => rules.series(self.grid(), a, b),
                [one, ..] => one.clone(),
                [] => nothing(),
            };
            bands = bands.chunks(2).map(join).collect();
        }
        bands.pop().unwrap_or_else(nothing)
    }

    /// All orders bound the same distribution and differ by rounding alone, so what lies in all of them is at least as tight as the
    /// tightest: run by run of neighbours, the intersection over the ways to cut it in two. n (n² - 1) / 6 convolutions.
    fn every_order(&self, rules: &impl Dependence, bands: &[Band]) -> Option<Band> {
        // runs[len - 1][start]: the run of so many steps from there.
        let mut runs: Vec<Vec<Band>> = alloc::vec![bands.to_vec()];
        for len in 2..=bands.len() {
            let run = |start: usize| {
                let cut = |first: usize| {
                    let left = runs.get(first - 1)?.get(start)?;
                    let right = runs.get(len - first - 1)?.get(start + first)?;
                    Some(rules.series(self.grid(), left, right))
                };
                (1..len).filter_map(cut).reduce(|all, one| all.and(&one))
            };
            runs.push((0..bands.len()).filter_map(run).collect());
        }
        runs.pop()?.pop()
    }

    /// By squaring: O(log count) convolutions.
    fn repeat(&self, rules: &impl Dependence, count: u32, one: &Band) -> Band {
        if count <= 1 {
            return one.clone();
        }
        let half = self.repeat(rules, count / 2, one);
        let even = rules.series(self.grid(), &half, &half);
        if count.is_multiple_of(2) { even } else { rules.series(self.grid(), &even, one) }
    }

    fn race(&self, rules: &impl Dependence, delay: Millis, branches: &[Expr]) -> Result<Band, Unbound> {
        let late = |(i, band): (usize, Band)| {
            band.later(self.grid(), Micros(delay.to_micros().0.saturating_mul(i as u64)))
        };
        let bands: Vec<Band> = self.bands(branches)?.into_iter().enumerate().map(late).collect();
        Ok(pointwise(&bands, |l, u| rules.any(l, u)))
    }

    fn branch(&self, expr: &Expr, choices: &[Choice]) -> Result<Band, Unbound> {
        let bands = choices.iter().map(|c| self.band(&c.expr)).collect::<Result<Vec<_>, _>>()?;
        let chosen = self.chosen.and_then(|chosen| chosen.get(&core::ptr::from_ref(expr)));
        Ok(pointwise(&bands, |l, u| {
            let values: Vec<_> = l.iter().zip(u).map(|(l, u)| Interval::of(*l, *u)).collect();
            let value = mixed(choices, chosen, &values);
            (value.lo(), value.hi())
        }))
    }

    /// From below try `k` starts `k` patiences late, from above at once.
    fn retry(
        &self,
        rules: &impl Dependence,
        n: usize,
        per_try: Option<Millis>,
        body: &Expr,
    ) -> Result<Band, Unbound> {
        let one = self.band(body)?;
        let one = per_try.map_or(one.clone(), |timeout| one.cut(self.grid(), timeout.to_micros()));
        let patience = least(per_try.map(Millis::to_micros), self.patience(body));
        let late: Vec<Band> = match patience {
            Some(patience) => {
                (0..n).map(|k| one.later(self.grid(), Micros(patience.0.saturating_mul(k as u64)))).collect()
            }
            None => alloc::vec![one.clone()],
        };
        let lower = pointwise(&late, |l, u| rules.any(l, u));
        let upper = pointwise(&alloc::vec![one; n], |l, u| rules.any(l, u));
        Ok(lower.below(&upper))
    }

    /// From below each is asked when those before have run out of patience, from above at once. Weights as in availability: `sum (w_i -
    /// w_{i+1}) P(one of the first i answered)`.
    fn fallback(
        &self,
        rules: &impl Dependence,
        primary: &Expr,
        alternates: &[Alternative],
    ) -> Result<Band, Unbound> {
        let rungs: Vec<&Expr> = core::iter::once(primary).chain(alternates.iter().map(|a| &a.expr)).collect();
        let mut start = Some(Micros(0));
        let (mut late, mut early) = (Vec::new(), Vec::new());
        for rung in rungs {
            let band = self.band(rung)?;
            late.push(match start {
                Some(start) => band.later(self.grid(), start),
                None => Band::at_once(self.grid(), 0.0),
            });
            early.push(band);
            start = start.zip(self.patience(rung)).map(|(start, more)| start.after(more));
        }
        let weights = weights(alternates);
        let lower = pointwise(&late, |l, u| (worth(&weights, l, |l| rules.any(l, u).0), 1.0));
        let upper = pointwise(&early, |l, u| (0.0, worth(&weights, u, |u| rules.any(l, u).1)));
        Ok(lower.below(&upper))
    }

    /// Longest until it has surely ended, well or not; `None`: perhaps never.
    fn patience(&self, expr: &Expr) -> Option<Micros> {
        let sum = |exprs: &[Expr]| {
            exprs.iter().try_fold(Micros(0), |sum, expr| self.patience(expr).map(|more| sum.after(more)))
        };
        let most = |exprs: &[Expr]| {
            exprs.iter().try_fold(Micros(0), |most, expr| self.patience(expr).map(|more| most.max(more)))
        };
        let times = |n: u32, one: Option<Micros>| one.map(|one| Micros(one.0.saturating_mul(u64::from(n))));
        match expr {
            Expr::Leaf(_) => None,
            Expr::Series(steps) => sum(steps),
            Expr::Parallel { branches, .. } => most(branches),
            Expr::Race { delay, branches } => {
                let last = times(branches.len() as u32, Some(delay.to_micros()))?;
                most(branches).map(|most| most.after(last))
            }
            Expr::Fallback { primary, alternates } => {
                let all: Option<Micros> = alternates
                    .iter()
                    .try_fold(Micros(0), |sum, a| self.patience(&a.expr).map(|more| sum.after(more)));
                self.patience(primary).zip(all).map(|(first, rest)| first.after(rest))
            }
            Expr::Branch(choices) => {
                choices.iter().try_fold(Micros(0), |most, c| self.patience(&c.expr).map(|m| most.max(m)))
            }
            Expr::Retry { attempts, per_try_timeout, body } => {
                times(*attempts, least(per_try_timeout.map(Millis::to_micros), self.patience(body)))
            }
            Expr::Timeout { after, body } => least(Some(after.to_micros()), self.patience(body)),
            Expr::Repeat { count, body } => times(*count, self.patience(body)),
            Expr::Async(body) => match self.view {
                View::Immediate => Some(Micros(0)),
                View::Eventual => self.patience(body),
            },
        }
    }

    /// Tries, or repetitions, ask a component that is asked elsewhere too: then it is one event for all of them.
    fn tries_share(&self, expr: &Expr) -> bool {
        let (Expr::Retry { body, .. } | Expr::Repeat { body, .. }) = expr else { return false };
        let mut inside: BTreeMap<&ComponentName, usize> = BTreeMap::new();
        seen(body, self.view).into_iter().for_each(|name| *inside.entry(name).or_default() += 1);
        inside.into_iter().any(|(name, count)| self.occurs.get(name).is_some_and(|all| *all > count))
    }

    fn operands_share(&self, expr: &Expr) -> bool {
        if self.repeated.is_empty() {
            return false;
        }
        let mut held: BTreeSet<&ComponentName> = BTreeSet::new();
        operands(expr, self.view).into_iter().any(|child| {
            let inside: BTreeSet<&ComponentName> = seen(child, self.view).into_iter().collect();
            inside.into_iter().filter(|name| self.repeated.contains(name)).any(|name| !held.insert(name))
        })
    }
}

fn least(a: Option<Micros>, b: Option<Micros>) -> Option<Micros> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// A band from the ends of all bands at each point.
fn pointwise(bands: &[Band], ends: impl Fn(&[f64], &[f64]) -> (f64, f64)) -> Band {
    let points = bands.first().map_or(0, |band| band.lower().len());
    let (mut lowers, mut uppers) = (Vec::with_capacity(bands.len()), Vec::with_capacity(bands.len()));
    let at = |point: usize| {
        lowers.clear();
        uppers.clear();
        lowers.extend(bands.iter().map(|band| band.lower_at(point)));
        uppers.extend(bands.iter().map(|band| band.upper_at(point)));
        ends(&lowers, &uppers)
    };
    let (lower, upper): (Vec<f64>, Vec<f64>) = (0..points).map(at).unzip();
    Band::new(lower, upper)
}

/// `sum (w_i - w_{i+1}) union(first i)` with weights that do not rise.
fn worth(weights: &[f64], ends: &[f64], union: impl Fn(&[f64]) -> f64) -> f64 {
    let next = weights.iter().skip(1).chain(&[0.0]);
    let drops = weights.iter().zip(next).map(|(weight, next)| weight - next);
    drops.enumerate().map(|(i, drop)| drop * union(ends.get(..=i).unwrap_or(ends)).min(1.0)).sum()
}
