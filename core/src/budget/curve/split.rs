//! Top-down: who gets how much of the deadline.

use alloc::vec::Vec;

use super::evaluate::{Evaluation, Give, Node};
use crate::journey::ComponentName;
use crate::units::Millis;

/// Below this share of what it could achieve a part is not worth starting.
const USEFUL: f64 = 0.05;
/// With the time for this share of what it could achieve a part is well served.
const NEEDED: f64 = 0.95;

/// The time of one leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Which component.
    pub leaf: ComponentName,
    /// Where it stands.
    pub place: Place,
    /// Latest planned start, from the start of the journey.
    pub start: Millis,
    /// Time for one try.
    pub time: Millis,
    /// Tries that fit, at least 1.
    pub tries: u32,
    /// What follows has no chance with less than this.
    pub useful_after: Millis,
    /// What follows (an alternate included) is well served with this.
    pub needed_after: Millis,
    /// With less than this the leaf itself has no chance.
    pub useful: Millis,
}

/// Where a leaf stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing else answers for it.
    Only,
    /// It is, or is part of, something an alternate answers for.
    Primary,
    /// It answers for another: the how-manyth alternate, from 0.
    Alternate(usize),
    /// Nobody waits for it; it has no time of the journey's.
    Detached,
}

/// What a node is given, in cells.
#[derive(Clone, Copy)]
struct Given {
    start: usize,
    time: usize,
    tries: u32,
    useful_after: usize,
    needed_after: usize,
    place: Place,
}

pub(super) fn allocate(evaluation: &Evaluation, cells: usize) -> Vec<Allocation> {
    let mut walk = Walk { evaluation, allocations: Vec::new() };
    let given =
        Given { start: 0, time: cells, tries: 1, useful_after: 0, needed_after: 0, place: Place::Only };
    walk.node(&evaluation.root, given);
    walk.allocations
}

struct Walk<'a> {
    evaluation: &'a Evaluation,
    allocations: Vec<Allocation>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, given: Given) {
        match &node.give {
            Give::Leaf(name) => self.leaf(node, name, given),
            Give::Each { nodes, delay } => {
                for (i, each) in nodes.iter().enumerate() {
                    let late = i.saturating_mul(*delay).min(given.time);
                    self.node(each, Given { start: given.start + late, time: given.time - late, ..given });
                }
            }
            Give::Chain { steps, cuts } => self.chain(steps, &chain_times(cuts, given.time), given),
            Give::Ladder { rungs, cuts } => self.ladder(rungs, &ladder_times(cuts, given.time), given),
            Give::Parts { node, n, tries } => {
                let tries = if *tries { given.tries.saturating_mul(*n as u32) } else { given.tries };
                self.node(node, Given { time: given.time / n, tries, ..given });
            }
            Give::AtMost { node, max } => self.node(node, Given { time: given.time.min(*max), ..given }),
            Give::Detached { node } => self.node(node, Given { place: Place::Detached, ..given }),
        }
    }

    fn leaf(&mut self, node: &Node, name: &ComponentName, given: Given) {
        let millis = |cells| self.evaluation.grid.time(cells);
        self.allocations.push(Allocation {
            leaf: name.clone(),
            place: given.place,
            start: millis(given.start),
            time: millis(given.time),
            tries: given.tries,
            useful_after: millis(given.useful_after),
            needed_after: millis(given.needed_after),
            useful: millis(reaching(node, USEFUL, given.time)),
        });
    }

    fn chain(&mut self, steps: &[Node], times: &[usize], given: Given) {
        let mut start = given.start;
        for (k, (step, &time)) in steps.iter().zip(times).enumerate() {
            let after = steps.iter().zip(times).skip(k + 1);
            let useful: usize = after.clone().map(|(s, &t)| reaching(s, USEFUL, t)).sum();
            let needed: usize = after.map(|(s, &t)| reaching(s, NEEDED, t)).sum();
            self.node(
                step,
                Given {
                    start,
                    time,
                    useful_after: given.useful_after + useful,
                    needed_after: given.needed_after + needed,
                    ..given
                },
            );
            start += time;
        }
    }

    fn ladder(&mut self, rungs: &[Node], times: &[usize], given: Given) {
        let mut start = given.start;
        for (k, (rung, &time)) in rungs.iter().zip(times).enumerate() {
            let after: usize =
                rungs.iter().zip(times).skip(k + 1).map(|(r, &t)| reaching(r, NEEDED, t)).sum();
            let place = match (given.place, k.checked_sub(1)) {
                (Place::Detached, _) => Place::Detached,
                (_, Some(alternate)) => Place::Alternate(alternate),
                (_, None) => Place::Primary,
            };
            self.node(rung, Given { start, time, needed_after: given.needed_after + after, place, ..given });
            start += time;
        }
    }
}

/// Shortest time with this share of what `time` achieves.
fn reaching(node: &Node, share: f64, time: usize) -> usize {
    node.curve.first_at_least(share * node.curve.at(time)).unwrap_or(time).min(time)
}

/// Times of the steps from the cuts of the left folds.
fn chain_times(cuts: &[Vec<usize>], time: usize) -> Vec<usize> {
    let mut left = time;
    let mut times = Vec::with_capacity(cuts.len() + 1);
    for cut in cuts.iter().rev() {
        let first = cut.get(left).copied().unwrap_or(left).min(left);
        times.push(left - first);
        left = first;
    }
    times.push(left);
    times.reverse();
    times
}

/// Times of the rungs from the cuts of the right folds.
fn ladder_times(cuts: &[Vec<usize>], time: usize) -> Vec<usize> {
    let mut left = time;
    let mut times = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let own = cut.get(left).copied().unwrap_or(left).min(left);
        times.push(own);
        left -= own;
    }
    times
}
