//! One spelling for structures that mean the same.
//!
//! A call that nobody waits for begins where it stands and has no say in what follows: beside other calls, or as the first step of one of several
//! branches, it is a step before them. Only this spelling is written, so that two journeys that differ in nothing look alike.

use emac_core::journey::Join;

use super::support::Support;
use super::{Block, Node};

/// The structure with calls that nobody waits for as early steps rather than branches, and no series directly within another. O(nodes).
pub(super) fn spelling(mut node: Node) -> Node {
    for child in node.children_mut() {
        let inner = std::mem::replace(child, Node::new(Block::Nothing, Support::default()));
        *child = spelling(inner);
    }
    match node.block {
        Block::Parallel(Join::All, branches) => at_once(branches, node.support),
        Block::Series(steps) => in_order(steps, node.support),
        block => Node::new(block, node.support),
    }
}

fn at_once(branches: Vec<Node>, support: Support) -> Node {
    let (mut before, mut rest) = (Vec::new(), Vec::new());
    for branch in branches {
        match branch.block {
            Block::Async(_) => before.push(branch),
            Block::Series(steps) => {
                let (unawaited, steps) = leading(steps);
                before.extend(unawaited);
                rest.push(in_order(steps, branch.support));
            }
            _ => rest.push(branch),
        }
    }
    if before.is_empty() {
        return Node::new(Block::Parallel(Join::All, rest), support);
    }
    match rest.len() {
        0 => {}
        1 => before.append(&mut rest),
        _ => before.push(Node::new(Block::Parallel(Join::All, rest), support.clone())),
    }
    in_order(before, support)
}

/// The steps that nobody waits for before the first that somebody does, and the others.
fn leading(mut steps: Vec<Node>) -> (Vec<Node>, Vec<Node>) {
    let is_awaited = |step: &Node| !matches!(step.block, Block::Async(_));
    let rest = steps.split_off(steps.iter().position(is_awaited).unwrap_or(steps.len()));
    // Of a branch that nobody waits for in any part something is left: an empty one is no branch.
    if rest.is_empty() { (Vec::new(), steps) } else { (steps, rest) }
}

/// Steps in order; the weakest reason counts for the whole.
fn in_order(steps: Vec<Node>, mut support: Support) -> Node {
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        match step.block {
            Block::Series(inner) => {
                if step.support.confidence < support.confidence {
                    support = step.support;
                }
                all.extend(inner);
            }
            block => all.push(Node::new(block, step.support)),
        }
    }
    match all.len() {
        1 => all.remove(0),
        _ => Node::new(Block::Series(all), support),
    }
}
