//! Bottom-up: the curve of every node, with what is needed to walk down again.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::operators::{self, Cut};
use super::{Allocation, Curve, Grid, split};
use crate::journey::{Alternative, Choice, ComponentName, Expr, Join, Journey};
use crate::probability;
use crate::units::Millis;

/// What the algebra asks its caller.
pub trait Inputs {
    /// Curve of a leaf, on the grid given to [`evaluate`].
    fn curve(&self, leaf: &ComponentName) -> Option<&Curve>;

    /// Largest share of requests that a degraded fallback of `primary` may answer.
    fn fallback_share(&self, primary: &Expr) -> f64;

    /// Time that the primary of a fallback gets however bad it looks (but never more than half of what there is). A primary given no
    /// time is never seen to recover.
    fn primary_least(&self, primary: &Expr) -> Millis;

    /// Retries per request of `body`.
    fn retry_share(&self, body: &Expr) -> f64;

    /// How the branches of a race fail.
    fn fate(&self) -> Fate {
        Fate::Independent
    }
}

/// How the branches of a race fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Each for itself.
    #[default]
    Independent,
    /// All together: the race is as good as its best branch.
    Shared,
}

/// A leaf without a curve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no curve for component {0}")]
pub struct UnboundLeaf(pub ComponentName);

/// The curves of a journey.
#[derive(Debug)]
pub struct Evaluation {
    pub(super) grid: Grid,
    pub(super) root: Node,
}

/// A node's curve, and how it hands its time on.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) curve: Curve,
    pub(super) give: Give,
}

#[derive(Debug)]
pub(super) enum Give {
    /// A leaf takes all.
    Leaf(ComponentName),
    /// Each takes all, the i-th `delay · i` cells less.
    Each { nodes: Vec<Node>, delay: usize },
    /// One after the other: `cuts[k][t]` is what the first `k + 1` get of `t`.
    Chain { steps: Vec<Node>, cuts: Vec<Vec<usize>> },
    /// One after the other as far as needed: `cuts[k][t]` is what number `k` gets of the `t` left to it and those after it.
    Ladder { rungs: Vec<Node>, cuts: Vec<Vec<usize>> },
    /// `n` equal parts.
    Parts { node: Box<Node>, n: usize, tries: bool },
    /// At most `max`.
    AtMost { node: Box<Node>, max: usize },
    /// No time of the journey's.
    Detached { node: Box<Node> },
}

/// Computes the curve of every node. Cost O(leaves · cells²).
///
/// # Errors
/// [`UnboundLeaf`] for the first leaf without a curve.
pub fn evaluate(journey: &Journey, grid: &Grid, inputs: &impl Inputs) -> Result<Evaluation, UnboundLeaf> {
    let root = Evaluator { grid, inputs }.node(journey.root())?;
    Ok(Evaluation { grid: *grid, root })
}

impl Evaluation {
    /// Success by deadline of the whole journey.
    pub const fn curve(&self) -> &Curve {
        &self.root.curve
    }

    /// The grid of all curves.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The best static split of `deadline`: one allocation for each leaf from left to right. O(leaves).
    pub fn allocate(&self, deadline: Millis) -> Vec<Allocation> {
        split::allocate(self, self.grid.cell(deadline))
    }
}

struct Evaluator<'a, I> {
    grid: &'a Grid,
    inputs: &'a I,
}

impl<I: Inputs> Evaluator<'_, I> {
    /// Recursive: a checked expression is at most [`Expr::DEPTH_MAX`] deep.
    fn node(&self, expr: &Expr) -> Result<Node, UnboundLeaf> {
        Ok(match expr {
            Expr::Leaf(name) => self.leaf(name)?,
            Expr::Series(steps) => chain(self.nodes(steps)?),
            Expr::Parallel { join, branches } => self.parallel(*join, self.nodes(branches)?),
            Expr::Race { delay, branches } => self.race(self.grid.wait(*delay), self.nodes(branches)?),
            Expr::Fallback { primary, alternates } => self.fallback(primary, alternates)?,
            Expr::Branch(choices) => self.branch(choices)?,
            Expr::Retry { attempts, per_try_timeout, body } => {
                let share = self.inputs.retry_share(body);
                let one_try = self.node(body)?;
                let one_try = match per_try_timeout {
                    Some(timeout) => at_most(one_try, self.grid.cell(*timeout)),
                    None => one_try,
                };
                self.parts(one_try, *attempts, true, |p| operators::retry(p, *attempts, share))
            }
            Expr::Timeout { after, body } => at_most(self.node(body)?, self.grid.cell(*after)),
            Expr::Repeat { count, body } => {
                self.parts(self.node(body)?, *count, false, |p| probability::repeat(p, *count))
            }
            Expr::Async(body) => Node {
                curve: Curve::constant(self.grid, 1.0),
                give: Give::Detached { node: Box::new(self.node(body)?) },
            },
        })
    }

    fn nodes(&self, exprs: &[Expr]) -> Result<Vec<Node>, UnboundLeaf> {
        exprs.iter().map(|expr| self.node(expr)).collect()
    }

    fn leaf(&self, name: &ComponentName) -> Result<Node, UnboundLeaf> {
        let curve = self.inputs.curve(name).ok_or_else(|| UnboundLeaf(name.clone()))?;
        let curve = Curve::new((0..=self.grid.cells()).map(|cell| curve.at(cell)));
        Ok(Node { curve, give: Give::Leaf(name.clone()) })
    }

    /// A curve from the values of all nodes at each time, the i-th `delay · i` cells earlier.
    fn pointwise(
        &self,
        nodes: Vec<Node>,
        delay: usize,
        value: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
    ) -> Node {
        let at = |t: usize, (i, node): (usize, &Node)| {
            t.checked_sub(i.saturating_mul(delay)).map_or(0.0, |t| node.curve.at(t))
        };
        let points =
            (0..=self.grid.cells()).map(|t| value(&mut nodes.iter().enumerate().map(|node| at(t, node))));
        Node { curve: Curve::new(points), give: Give::Each { nodes, delay } }
    }

    fn parallel(&self, join: Join, branches: Vec<Node>) -> Node {
        match join {
            Join::All => self.pointwise(branches, 0, |all| all.product()),
            Join::AtLeast(k) => self.pointwise(branches, 0, |all| probability::at_least(k as usize, all)),
        }
    }

    fn race(&self, delay: usize, branches: Vec<Node>) -> Node {
        match self.inputs.fate() {
            Fate::Independent => self.pointwise(branches, delay, |all| probability::any(all)),
            Fate::Shared => self.pointwise(branches, delay, |all| all.fold(0.0, f64::max)),
        }
    }

    fn branch(&self, choices: &[Choice]) -> Result<Node, UnboundLeaf> {
        let nodes = choices.iter().map(|c| self.node(&c.expr)).collect::<Result<Vec<_>, _>>()?;
        let value = |all: &mut dyn Iterator<Item = f64>| {
            let weighted = choices.iter().zip(all).map(|(c, p)| (c.probability.lo(), c.probability.hi(), p));
            probability::least_mixture(weighted.collect())
        };
        Ok(self.pointwise(nodes, 0, value))
    }

    fn parts(&self, node: Node, n: u32, tries: bool, value: impl Fn(f64) -> f64) -> Node {
        let n = (n as usize).max(1);
        let curve = Curve::new((0..=self.grid.cells()).map(|t| value(node.curve.at(t / n))));
        Node { curve, give: Give::Parts { node: Box::new(node), n, tries } }
    }

    fn fallback(&self, primary: &Expr, alternates: &[Alternative]) -> Result<Node, UnboundLeaf> {
        let budget = self.inputs.fallback_share(primary);
        let least = self.grid.wait(self.inputs.primary_least(primary));
        let mut rungs = alloc::vec![Rung { node: self.node(primary)?, weight: 1.0, share: 1.0, least }];
        for alternate in alternates {
            let weight = alternate.weight.get();
            let share = if weight < 1.0 { budget } else { 1.0 };
            rungs.push(Rung { node: self.node(&alternate.expr)?, weight, share, least: 0 });
        }
        Ok(ladder(rungs, self.grid))
    }
}

fn at_most(node: Node, max: usize) -> Node {
    let curve = node.curve.bounded(0, max);
    Node { curve, give: Give::AtMost { node: Box::new(node), max } }
}

fn chain(steps: Vec<Node>) -> Node {
    let mut rest = steps.iter();
    let mut whole = rest.next().map_or_else(|| Curve::new([]), |first| first.curve.clone());
    let mut cuts = Vec::with_capacity(steps.len());
    for step in rest {
        let Cut { curve, first } = operators::best_split(&whole, &step.curve, 0, operators::series);
        whole = curve;
        cuts.push(first);
    }
    Node { curve: whole, give: Give::Chain { steps, cuts } }
}

struct Rung {
    node: Node,
    /// Worth of its answer.
    weight: f64,
    /// Largest share of requests that may go to it.
    share: f64,
    /// Time it gets however bad it looks.
    least: usize,
}

/// From the last alternate upwards, because what a rung is worth depends on what is left to those after it.
fn ladder(rungs: Vec<Rung>, grid: &Grid) -> Node {
    let mut below = Curve::constant(grid, 0.0);
    let mut share = 0.0;
    let mut cuts = Vec::with_capacity(rungs.len());
    for Rung { node, weight, share: own_share, least } in rungs.iter().rev() {
        let value = |first, next| operators::fallback(first, *weight, share, next);
        let Cut { curve, first } = operators::best_split(&node.curve, &below, *least, value);
        below = curve;
        share = *own_share;
        cuts.push(first);
    }
    cuts.reverse();
    Node {
        curve: below,
        give: Give::Ladder { rungs: rungs.into_iter().map(|rung| rung.node).collect(), cuts },
    }
}
