//! What is asked of a world: which targets must be reached, or how a journey's expression comes out.

use std::collections::BTreeMap;

use emac_core::journey::{ComponentName, Expr, Join, Journey};

use super::world::{State, World};

/// Something that is up or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its part in the weighted sum.
    pub weight: f64,
    /// Which outcome.
    pub semantics: Semantics,
    /// What must hold.
    pub goal: Goal,
}

/// Which outcome is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Semantics {
    /// What is waited for: asynchronous edges are not followed, and targets behind them not asked for.
    #[default]
    Immediate,
    /// What is true in the end.
    Eventual,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// Enough targets live and are reached from a living entry through living nodes and edges.
    Reach {
        /// Index of the node.
        entry: usize,
        /// Indices of the nodes.
        targets: Vec<usize>,
        /// How many.
        predicate: Predicate,
    },
    /// A journey's expression over its components: one is good when its node lives and, if anything calls it, is called by a living node over
    /// a living edge.
    Expression {
        /// The expression.
        journey: Journey,
        /// Node of each component.
        nodes: BTreeMap<ComponentName, usize>,
    },
}

/// How many targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// Every one.
    All,
    /// One.
    Any,
    /// This many.
    AtLeast(usize),
}

impl Endpoint {
    /// Worth of a state, 0 ..= 1; between them only where an expression has weights or probabilities.
    pub(super) fn value(&self, world: &World, state: &State) -> f64 {
        match &self.goal {
            Goal::Reach { entry, targets, predicate } => {
                let asked = self.asked(world, *entry, targets);
                let reached = world.reached(*entry, state, self.semantics);
                let count = asked.iter().filter(|&&target| reached[target]).count();
                let least = match *predicate {
                    Predicate::All => asked.len(),
                    Predicate::Any => 1,
                    Predicate::AtLeast(least) => least,
                };
                // No more than are asked for.
                let enough = count >= least.min(asked.len());
                f64::from(u8::from(enough && state.nodes[*entry]))
            }
            Goal::Expression { journey, nodes } => expression(journey.root(), self.semantics, &|name| {
                nodes.get(name).is_some_and(|&node| world.answers(node, state))
            }),
        }
    }

    /// Targets that this outcome asks for: immediately, those that are reached when all is well.
    fn asked(&self, world: &World, entry: usize, targets: &[usize]) -> Vec<usize> {
        match self.semantics {
            Semantics::Eventual => targets.to_vec(),
            Semantics::Immediate => {
                let well = world.reached_when_well(entry);
                targets.iter().copied().filter(|&target| well[target]).collect()
            }
        }
    }
}

/// Expected worth of an expression when every component is up or down. Monotone in the components.
fn expression(expr: &Expr, semantics: Semantics, up: &impl Fn(&ComponentName) -> bool) -> f64 {
    let value = |expr: &Expr| expression(expr, semantics, up);
    match expr {
        Expr::Leaf(name) => f64::from(u8::from(up(name))),
        Expr::Series(all) | Expr::Parallel { join: Join::All, branches: all } => {
            all.iter().map(value).product()
        }
        Expr::Parallel { join: Join::AtLeast(k), branches } => {
            at_least(*k as usize, branches.iter().map(value))
        }
        Expr::Race { branches, .. } => {
            1.0 - branches.iter().map(|branch| 1.0 - value(branch)).product::<f64>()
        }
        Expr::Fallback { primary, alternates } => {
            let first = value(primary);
            let rest = alternates.iter().map(|alternate| (alternate.weight.get(), value(&alternate.expr)));
            rest.fold((first, 1.0 - first), |(sum, left), (weight, value)| {
                (sum + left * weight * value, left * (1.0 - value))
            })
            .0
        }
        Expr::Branch(choices) => {
            // The middle of each interval, scaled so that the shares add up.
            let share = |choice: &emac_core::journey::Choice| {
                f64::midpoint(choice.probability.lo(), choice.probability.hi())
            };
            let total: f64 = choices.iter().map(share).sum();
            choices.iter().map(|choice| share(choice) * value(&choice.expr)).sum::<f64>()
                / total.max(f64::MIN_POSITIVE)
        }
        Expr::Retry { body, .. } | Expr::Timeout { body, .. } | Expr::Repeat { body, .. } => value(body),
        Expr::Async(body) => match semantics {
            Semantics::Immediate => 1.0,
            Semantics::Eventual => value(body),
        },
    }
}

/// Probability that at least `k` of independent events happen.
fn at_least(k: usize, values: impl Iterator<Item = f64>) -> f64 {
    let mut exactly = vec![1.0];
    for value in values {
        let mut next = vec![0.0; exactly.len() + 1];
        for (count, share) in exactly.iter().enumerate() {
            next[count] += share * (1.0 - value);
            next[count + 1] += share * value;
        }
        exactly = next;
    }
    exactly.into_iter().skip(k).sum()
}
