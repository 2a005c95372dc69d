//! One choice of a branch's probabilities for all states.
//!
//! Where a bound is a mean over states (of components conditioned on, of domains that fail), an interval of a branch must not choose anew in
//! each of them: its probabilities are one point. In the probabilities of one branch the value is linear, so over all branches together its
//! extremes lie at corners of `{lo <= q <= hi, sum q = 1}` of each, and all combinations of corners are looked at. Under tries the value is concave
//! in them (`1 - (1 - x)^n`), which keeps the least at a corner and not the greatest; under repetitions it is the other way round.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::seen::operands;
use super::{Interval, View};
use crate::journey::{Choice, ComponentName, Expr};

/// Combinations of corners that are looked at; beyond that each state chooses for itself, which is wider.
const COMBINATIONS_MAX: usize = 64;
/// Combinations times states: what common causes of twelve domains cost without choices.
const STATES_MAX: usize = 1 << 12;

/// Probabilities chosen for branches, by node.
pub(super) type Chosen = BTreeMap<*const Expr, Vec<f64>>;

/// Branches with an interval below which a component of several states stands.
pub(super) struct Branches<'a> {
    open: Vec<(&'a Expr, Vec<Vec<f64>>)>,
    least_at_corners: bool,
    greatest_at_corners: bool,
}

/// Around a node.
#[derive(Clone, Copy, Default)]
struct Around {
    tries: bool,
    repeats: bool,
    deadline: bool,
}

impl<'a> Branches<'a> {
    /// `moving`: components that are not in one state only.
    pub(super) fn new(root: &'a Expr, view: View, moving: &BTreeSet<&ComponentName>) -> Self {
        let mut found = Self { open: Vec::new(), least_at_corners: true, greatest_at_corners: true };
        if !moving.is_empty() {
            found.collect(root, view, moving, Around::default());
        }
        found
    }

    /// Returns whether something below moves.
    fn collect(
        &mut self,
        expr: &'a Expr,
        view: View,
        moving: &BTreeSet<&ComponentName>,
        around: Around,
    ) -> bool {
        let mut inside = around;
        match expr {
            Expr::Leaf(name) => return moving.contains(name),
            Expr::Retry { attempts, per_try_timeout, .. } => {
                inside.tries |= *attempts > 1;
                inside.deadline |= per_try_timeout.is_some();
            }
            Expr::Repeat { count, .. } => inside.repeats |= *count > 1,
            Expr::Timeout { .. } => inside.deadline = true,
            _ => {}
        }
        let mut moves = false;
        for child in operands(expr, view) {
            moves |= self.collect(child, view, moving, inside);
        }
        if let Expr::Branch(choices) = expr
            && moves
            && choices.iter().any(|choice| !choice.probability.is_exact())
        {
            // Within a time limit later tries have less time: neither concave nor convex.
            let mixed = around.deadline && (around.tries || around.repeats);
            self.least_at_corners &= !around.repeats && !mixed;
            self.greatest_at_corners &= !around.tries && !mixed;
            self.open.push((expr, corners(choices)));
        }
        moves
    }

    fn combinations(&self) -> usize {
        self.open.iter().fold(1, |all, (_, corners)| all.saturating_mul(corners.len().max(1)))
    }

    /// The value over all choices, and whether it is wider than it need be. `value` is asked with choices and without;
    /// `states`: how many it goes through each time.
    pub(super) fn over<E>(
        &self,
        states: usize,
        mut value: impl FnMut(&Chosen) -> Result<Interval, E>,
    ) -> Result<(Interval, bool), E> {
        let each = value(&Chosen::new())?;
        if self.open.is_empty() {
            return Ok((each, false));
        }
        let count = self.combinations();
        if count > COMBINATIONS_MAX || count.saturating_mul(states) > STATES_MAX {
            return Ok((each, true));
        }
        let mut ends = (f64::INFINITY, f64::NEG_INFINITY);
        for combination in 0..count {
            let at = value(&self.chosen(combination))?;
            ends = (ends.0.min(at.lo()), ends.1.max(at.hi()));
        }
        let lo = if self.least_at_corners { ends.0 } else { each.lo() };
        let hi = if self.greatest_at_corners { ends.1 } else { each.hi() };
        Ok((Interval::of(lo, hi).and(each), !(self.least_at_corners && self.greatest_at_corners)))
    }

    fn chosen(&self, combination: usize) -> Chosen {
        let mut rest = combination;
        let pick = |(expr, corners): &(&Expr, Vec<Vec<f64>>)| {
            let count = corners.len().max(1);
            let corner = corners.get(rest % count).cloned().unwrap_or_default();
            rest /= count;
            (core::ptr::from_ref(*expr), corner)
        };
        self.open.iter().map(pick).collect()
    }
}

/// Corners of `{lo <= q <= hi, sum q = 1}`: all but one at an end of their interval, the last one what is left. More than
/// [`COMBINATIONS_MAX`] are not told apart: the caller gives up on them anyway.
fn corners(choices: &[Choice]) -> Vec<Vec<f64>> {
    let mut found: Vec<Vec<f64>> = Vec::new();
    // With so many choices there are more corners than are looked at.
    if choices.len() > 10 {
        return alloc::vec![Vec::new(); COMBINATIONS_MAX + 1];
    }
    for free in 0..choices.len() {
        for ends in 0..1_usize << (choices.len() - 1) {
            let mut bit = 0;
            let mut q: Vec<f64> = Vec::with_capacity(choices.len());
            for (place, choice) in choices.iter().enumerate() {
                let high = place != free && {
                    bit += 1;
                    ends >> (bit - 1) & 1 == 1
                };
                q.push(match (place == free, high) {
                    (true, _) => 0.0,
                    (_, true) => choice.probability.hi(),
                    (_, false) => choice.probability.lo(),
                });
            }
            let left = 1.0 - q.iter().sum::<f64>();
            let Some(choice) = choices.get(free) else { continue };
            let (lo, hi) = (choice.probability.lo(), choice.probability.hi());
            if !(lo - ROUNDING..=hi + ROUNDING).contains(&left) {
                continue;
            }
            if let Some(slot) = q.get_mut(free) {
                *slot = left.clamp(lo, hi);
            }
            let same = |other: &Vec<f64>| other.iter().zip(&q).all(|(a, b)| (a - b).abs() <= ROUNDING);
            if !found.iter().any(same) {
                found.push(q);
            }
        }
    }
    found
}

/// Sums of probabilities are off by less.
const ROUNDING: f64 = 1e-12;

#[cfg(test)]
mod tests {
    use std::prelude::v1::*;
    use std::vec;

    use super::*;
    use crate::journey::parse;

    fn of(text: &str) -> Vec<Vec<f64>> {
        let expr = parse(text).unwrap();
        let mut found = match &expr {
            Expr::Branch(choices) => corners(choices),
            _ => Vec::new(),
        };
        found.sort_by(|a, b| a.partial_cmp(b).unwrap());
        found
    }

    #[test]
    fn corners_are_where_all_but_one_are_at_an_end() {
        assert_eq!(of("Branch(0.25*a, 0.75*b)"), [[0.25, 0.75]]);
        assert_eq!(of("Branch([0.25,0.5]*a, [0.5,1]*b)"), [[0.25, 0.75], [0.5, 0.5]]);
        assert_eq!(
            of("Branch([0,0.25]*a, [0.25,0.5]*b, [0.25,0.5]*c)"),
            vec![vec![0.0, 0.5, 0.5], vec![0.25, 0.25, 0.5], vec![0.25, 0.5, 0.25]]
        );
        assert!(of(&format!("Branch({})", ["[0,1]*a"; 11].join(", "))).len() > COMBINATIONS_MAX);
    }

    #[test]
    fn extremes_are_at_corners_of_one_side_under_tries_and_under_repetitions() {
        let ends = |text: &str| {
            let root = parse(text).unwrap();
            let name = ComponentName::new("a").unwrap();
            let moving = [&name].into();
            let found = Branches::new(&root, View::Immediate, &moving);
            (found.open.len(), found.least_at_corners, found.greatest_at_corners)
        };
        let branch = "Branch([0.2,0.4]*a, [0.6,0.8]*b)";
        assert_eq!(ends(branch), (1, true, true));
        assert_eq!(ends(&format!("Retry(attempts=2, {branch})")), (1, true, false));
        assert_eq!(ends(&format!("Repeat(count=2, {branch})")), (1, false, true));
        assert_eq!(ends(&format!("Timeout(after=9ms, Retry(attempts=2, {branch}))")), (1, false, false));
        assert_eq!(ends("Branch([0.2,0.4]*c, [0.6,0.8]*b)"), (0, true, true), "one state only");
        assert_eq!(ends(&format!("Async({branch})")), (0, true, true), "nobody waits for it");
    }
}
