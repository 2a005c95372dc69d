//! The slow exact twin: availability by going through every state.

use std::collections::BTreeMap;
use std::prelude::v1::*;

use crate::bound::View;
use crate::journey::{Choice, ComponentName, Expr, Join};

/// State of a leaf: its name and which try of which repetition it stands in.
pub(super) type Call<'a> = (&'a ComponentName, Vec<u32>);

/// Probability of success when `up` gives that of each call; draws of a branch and of a degraded answer's acceptance are independent of
/// everything.
pub(super) struct Twin<'a> {
    pub(super) up: &'a mut dyn FnMut(Call<'_>) -> f64,
    /// Where in its interval each branch's probabilities lie: a share of the way.
    pub(super) lean: f64,
    pub(super) within: f64,
    pub(super) view: View,
}

impl Twin<'_> {
    pub(super) fn value(&mut self, expr: &Expr, tries: &[u32]) -> f64 {
        match expr {
            Expr::Leaf(name) => (self.up)((name, tries.to_vec())),
            Expr::Series(all) | Expr::Parallel { join: Join::All, branches: all } => {
                self.worlds(all, tries, |up, n| up == n)
            }
            Expr::Parallel { join: Join::AtLeast(k), branches } => {
                let k = *k as usize;
                self.worlds(branches, tries, move |up, _| up >= k)
            }
            Expr::Race { branches, .. } => self.worlds(branches, tries, |up, _| up > 0),
            Expr::Fallback { primary, alternates } => {
                let (mut reach, mut sum) = (1.0, 0.0);
                let rungs = core::iter::once((&**primary, 1.0))
                    .chain(alternates.iter().map(|a| (&a.expr, a.weight.get())));
                for (expr, weight) in rungs {
                    let p = self.value(expr, tries);
                    sum += reach * p * weight;
                    reach *= 1.0 - p;
                }
                sum
            }
            Expr::Branch(choices) => self.branch(choices, tries),
            Expr::Retry { attempts, per_try_timeout, body } => {
                let within = if per_try_timeout.is_some() { self.within } else { 1.0 };
                1.0 - self.each(*attempts, body, tries).map(|p| 1.0 - within * p).product::<f64>()
            }
            Expr::Repeat { count, body } => self.each(*count, body, tries).product(),
            Expr::Timeout { body, .. } => self.within * self.value(body, tries),
            Expr::Async(body) => {
                if self.view == View::Immediate {
                    1.0
                } else {
                    self.value(body, tries)
                }
            }
        }
    }

    fn each(&mut self, n: u32, body: &Expr, tries: &[u32]) -> impl Iterator<Item = f64> + use<> {
        let values: Vec<f64> = (0..n)
            .map(|k| {
                let inner: Vec<u32> = tries.iter().copied().chain([k]).collect();
                self.value(body, &inner)
            })
            .collect();
        values.into_iter()
    }

    fn worlds(&mut self, all: &[Expr], tries: &[u32], good: impl Fn(usize, usize) -> bool) -> f64 {
        let p: Vec<f64> = all.iter().map(|expr| self.value(expr, tries)).collect();
        let probability = |world: u32| -> f64 {
            p.iter().enumerate().map(|(i, p)| if world >> i & 1 == 1 { *p } else { 1.0 - p }).product()
        };
        let good = |world: &u32| good(world.count_ones() as usize, p.len());
        (0..1_u32 << p.len()).filter(good).map(probability).sum()
    }

    /// Some probabilities inside the intervals: from the lower ends up, or from the upper ends down, in order.
    fn branch(&mut self, choices: &[Choice], tries: &[u32]) -> f64 {
        let values: Vec<f64> = choices.iter().map(|c| self.value(&c.expr, tries)).collect();
        let fill = |order: &mut dyn Iterator<Item = usize>| {
            let mut q: Vec<f64> = choices.iter().map(|c| c.probability.lo()).collect();
            let mut free = 1.0 - q.iter().sum::<f64>();
            for i in order {
                let extra = (choices[i].probability.hi() - q[i]).min(free).max(0.0);
                q[i] += extra;
                free -= extra;
            }
            q.iter().zip(&values).map(|(q, v)| q * v).sum::<f64>()
        };
        let (a, b) = (fill(&mut (0..choices.len())), fill(&mut (0..choices.len()).rev()));
        a + self.lean * (b - a)
    }
}

/// The same expression in which occurrences of a component have one name only if they can happen together, directly or through a
/// third: those in different choices of a branch never do.
pub(super) fn separate(root: &Expr, view: View) -> Expr {
    let mut paths = BTreeMap::new();
    collect(root, view, &mut Vec::new(), &mut paths);
    let mut names: BTreeMap<Vec<(usize, bool)>, usize> = BTreeMap::new();
    for paths in paths.values() {
        let mut group: Vec<usize> = (0..paths.len()).collect();
        for i in 0..paths.len() {
            for j in 0..i {
                if together(root, &paths[i], &paths[j]) {
                    let (from, to) = (group[i], group[j]);
                    group.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
                }
            }
        }
        names.extend(paths.iter().cloned().zip(group));
    }
    rename(root, &mut Vec::new(), &names)
}

/// The name before [`separate`].
pub(super) fn base(name: &ComponentName) -> ComponentName {
    ComponentName::new(name.as_str().split('/').next().unwrap()).unwrap()
}

fn together(root: &Expr, a: &[(usize, bool)], b: &[(usize, bool)]) -> bool {
    let mut node = root;
    for (x, y) in a.iter().zip(b) {
        if x != y {
            return !matches!(node, Expr::Branch(_));
        }
        node = node.children()[x.0];
    }
    true
}

fn rename(expr: &Expr, path: &mut Vec<(usize, bool)>, names: &BTreeMap<Vec<(usize, bool)>, usize>) -> Expr {
    let tries = matches!(expr, Expr::Retry { .. } | Expr::Repeat { .. });
    let mut child = |place: usize, expr: &Expr| {
        path.push((place, tries));
        let renamed = rename(expr, path, names);
        path.pop();
        renamed
    };
    let mut all = |exprs: &[Expr]| exprs.iter().enumerate().map(|(i, e)| child(i, e)).collect::<Vec<_>>();
    match expr.clone() {
        Expr::Leaf(name) => {
            let group = names.get(path.as_slice()).copied().unwrap_or(usize::MAX);
            Expr::Leaf(ComponentName::new(&format!("{name}/{group}")).unwrap())
        }
        Expr::Series(steps) => Expr::Series(all(&steps)),
        Expr::Parallel { join, branches } => Expr::Parallel { join, branches: all(&branches) },
        Expr::Race { delay, branches } => Expr::Race { delay, branches: all(&branches) },
        Expr::Fallback { primary, mut alternates } => {
            let primary = Box::new(child(0, &primary));
            for (i, alternate) in alternates.iter_mut().enumerate() {
                alternate.expr = child(i + 1, &alternate.expr);
            }
            Expr::Fallback { primary, alternates }
        }
        Expr::Branch(mut choices) => {
            for (i, choice) in choices.iter_mut().enumerate() {
                choice.expr = child(i, &choice.expr);
            }
            Expr::Branch(choices)
        }
        Expr::Retry { attempts, per_try_timeout, body } => {
            Expr::Retry { attempts, per_try_timeout, body: Box::new(child(0, &body)) }
        }
        Expr::Timeout { after, body } => Expr::Timeout { after, body: Box::new(child(0, &body)) },
        Expr::Repeat { count, body } => Expr::Repeat { count, body: Box::new(child(0, &body)) },
        Expr::Async(body) => Expr::Async(Box::new(child(0, &body))),
    }
}

/// For each repeated component the number of tries and repetitions around all of its occurrences: up to there its calls are the
/// same event.
pub(super) fn scopes(root: &Expr, view: View) -> BTreeMap<ComponentName, usize> {
    let mut places: BTreeMap<ComponentName, Vec<Vec<(usize, bool)>>> = BTreeMap::new();
    collect(root, view, &mut Vec::new(), &mut places);
    let scope = |paths: &Vec<Vec<(usize, bool)>>| {
        let common =
            (0..).take_while(|&i| paths.iter().all(|p| p.get(i).is_some() && p[i] == paths[0][i])).count();
        paths[0][..common].iter().filter(|(_, tries)| *tries).count()
    };
    places.iter().filter(|(_, paths)| paths.len() > 1).map(|(n, paths)| (n.clone(), scope(paths))).collect()
}

/// Paths of leaves that the outcome waits for: which operand, and whether it is one of several tries.
fn collect(
    expr: &Expr,
    view: View,
    path: &mut Vec<(usize, bool)>,
    places: &mut BTreeMap<ComponentName, Vec<Vec<(usize, bool)>>>,
) {
    if let Expr::Leaf(name) = expr {
        places.entry(name.clone()).or_default().push(path.clone());
    }
    if view == View::Immediate && matches!(expr, Expr::Async(_)) {
        return;
    }
    let tries = matches!(expr, Expr::Retry { .. } | Expr::Repeat { .. });
    for (place, child) in expr.children().into_iter().enumerate() {
        path.push((place, tries));
        collect(child, view, path, places);
        path.pop();
    }
}

/// All states of independent events with their probabilities.
pub(super) fn states<K: Ord>(events: &BTreeMap<K, f64>) -> impl Iterator<Item = (f64, BTreeMap<&K, bool>)> {
    (0..1_u32 << events.len()).map(move |world| {
        let state: BTreeMap<&K, bool> =
            events.keys().enumerate().map(|(i, name)| (name, world >> i & 1 == 1)).collect();
        let weight = events.iter().map(|(name, p)| if state[name] { *p } else { 1.0 - p }).product();
        (weight, state)
    })
}
