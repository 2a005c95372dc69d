//! Other people's splits, for comparison on the same evidence: judge them with [`achieved`](super::achieved()).
//!
//! - equal: every leaf on the longest path the same;
//! - proportional: by each leaf's usual latency (GrandSLAm, Kannan et al., EuroSys 2019);
//! - greedy: step by step to whoever gains most (Parslo, Mirhosseini et al., SoCC 2021).
//!
//! All three give one time for each leaf from left to right and never exceed the deadline on any path.

use alloc::vec::Vec;

use super::evaluate::{Evaluation, Give, Node};
use crate::journey::ComponentName;
use crate::units::Millis;

/// Every leaf on the longest path gets the same. O(size).
pub fn equal(evaluation: &Evaluation, deadline: Millis) -> Vec<Millis> {
    weighted(evaluation, deadline, &|_| 1.0)
}

/// Every leaf gets a share in proportion to `weight` (its usual latency, above zero) on the heaviest path. O(size · depth).
pub fn proportional(
    evaluation: &Evaluation,
    deadline: Millis,
    weight: impl Fn(&ComponentName) -> f64,
) -> Vec<Millis> {
    weighted(evaluation, deadline, &weight)
}

fn weighted(
    evaluation: &Evaluation,
    deadline: Millis,
    weight: &dyn Fn(&ComponentName) -> f64,
) -> Vec<Millis> {
    let mut times = Vec::new();
    let cells = evaluation.grid.cell(deadline);
    spread(&evaluation.root, cells as f64, weight, &mut |cells| times.push(evaluation.grid.time(cells)));
    times
}

/// Weight of the heaviest path through a node.
fn heaviest(node: &Node, weight: &dyn Fn(&ComponentName) -> f64) -> f64 {
    let of = |node: &Node| heaviest(node, weight);
    match &node.give {
        Give::Leaf(name) => weight(name),
        Give::Each { nodes, .. } => nodes.iter().map(of).fold(0.0, f64::max),
        Give::Chain { steps: all, .. } | Give::Ladder { rungs: all, .. } => all.iter().map(of).sum(),
        Give::Parts { node, n, .. } => *n as f64 * of(node),
        Give::AtMost { node, .. } => of(node),
        Give::Detached { .. } => 0.0,
    }
}

fn spread(node: &Node, cells: f64, weight: &dyn Fn(&ComponentName) -> f64, out: &mut dyn FnMut(usize)) {
    match &node.give {
        Give::Leaf(_) => out(libm::floor(cells.max(0.0)) as usize),
        Give::Each { nodes, delay } => {
            for (i, each) in nodes.iter().enumerate() {
                spread(each, cells - (i * delay) as f64, weight, out);
            }
        }
        Give::Chain { steps: all, .. } | Give::Ladder { rungs: all, .. } => {
            let whole = heaviest(node, weight).max(f64::MIN_POSITIVE);
            for one in all {
                spread(one, cells * heaviest(one, weight) / whole, weight, out);
            }
        }
        Give::Parts { node, n, .. } => spread(node, cells / *n as f64, weight, out),
        Give::AtMost { node, max } => spread(node, cells.min(*max as f64), weight, out),
        Give::Detached { node } => spread(node, cells, weight, out),
    }
}

/// Time goes to the part whose merit (the logarithm of its success, or of its failure among alternates) grows most for it, in
/// the steps that pay best: a part that can do nothing in one millisecond may be worth forty. O(leaves · cells²).
pub fn greedy(evaluation: &Evaluation, deadline: Millis) -> Vec<Millis> {
    let mut times = Vec::new();
    climb(&evaluation.root, evaluation.grid.cell(deadline), &mut |cells| {
        times.push(evaluation.grid.time(cells));
    });
    times
}

fn climb(node: &Node, cells: usize, out: &mut dyn FnMut(usize)) {
    match &node.give {
        Give::Leaf(_) => out(cells),
        Give::Each { nodes, delay } => {
            for (i, each) in nodes.iter().enumerate() {
                climb(each, cells.saturating_sub(i * delay), out);
            }
        }
        Give::Chain { steps, .. } => hand_out(steps, cells, |p| libm::log(p.max(NO_CHANCE)), out),
        Give::Ladder { rungs, .. } => hand_out(rungs, cells, |p| -libm::log((1.0 - p).max(NO_CHANCE)), out),
        Give::Parts { node, n, .. } => climb(node, cells / n, out),
        Give::AtMost { node, max } => climb(node, cells.min(*max), out),
        Give::Detached { node } => climb(node, cells, out),
    }
}

/// Keeps logarithms finite.
const NO_CHANCE: f64 = 1e-9;

fn hand_out(parts: &[Node], cells: usize, merit: fn(f64) -> f64, out: &mut dyn FnMut(usize)) {
    let mut times: Vec<usize> = parts.iter().map(|_| 0).collect();
    let mut left = cells;
    while left > 0 {
        let steps = parts.iter().zip(&times).map(|(part, &t)| best_step(part, t, left, merit));
        let best = steps.enumerate().max_by(|(_, a), (_, b)| a.1.total_cmp(&b.1));
        let Some((chosen, (step, _))) = best else { break };
        if let Some(time) = times.get_mut(chosen) {
            *time += step;
        }
        left -= step;
    }
    for (part, time) in parts.iter().zip(times) {
        climb(part, time, out);
    }
}

/// The step of at most `left` cells with the largest gain per cell, and that gain.
fn best_step(part: &Node, t: usize, left: usize, merit: fn(f64) -> f64) -> (usize, f64) {
    let now = merit(part.curve.at(t));
    let gain = |step: usize| (step, (merit(part.curve.at(t + step)) - now) / step as f64);
    (1..=left).map(gain).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((1, 0.0))
}
