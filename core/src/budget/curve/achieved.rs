//! What a given split achieves, optimal or not.

use alloc::vec::Vec;

use super::operators;
use super::{Fate, Grid, Inputs, UnboundLeaf};
use crate::journey::{Alternative, Choice, Expr, Join, Journey};
use crate::probability;
use crate::units::Millis;

/// Probability to succeed when the leaves have the timeouts `times`, one for each leaf from left to right (a try's, where there
/// are several). Whether they fit the deadline is the caller's to see to. O(size).
///
/// # Errors
/// [`UnboundLeaf`] for the first leaf without a curve, or without a time.
pub fn achieved(
    journey: &Journey,
    grid: &Grid,
    inputs: &impl Inputs,
    times: &[Millis],
) -> Result<f64, UnboundLeaf> {
    Given { grid, inputs, times: times.iter() }.value(journey.root())
}

struct Given<'a, I> {
    grid: &'a Grid,
    inputs: &'a I,
    times: core::slice::Iter<'a, Millis>,
}

impl<I: Inputs> Given<'_, I> {
    fn value(&mut self, expr: &Expr) -> Result<f64, UnboundLeaf> {
        Ok(match expr {
            Expr::Leaf(name) => {
                let curve = self.inputs.curve(name).zip(self.times.next());
                let (curve, time) = curve.ok_or_else(|| UnboundLeaf(name.clone()))?;
                curve.at(self.grid.cell(*time))
            }
            Expr::Series(all) | Expr::Parallel { join: Join::All, branches: all } => {
                self.values(all)?.into_iter().product()
            }
            Expr::Parallel { join: Join::AtLeast(k), branches } => {
                probability::at_least(*k as usize, self.values(branches)?.into_iter())
            }
            Expr::Race { branches, .. } => self.race(branches)?,
            Expr::Fallback { primary, alternates } => self.fallback(primary, alternates)?,
            Expr::Branch(choices) => self.branch(choices)?,
            Expr::Retry { attempts, body, .. } => {
                let share = self.inputs.retry_share(body);
                operators::retry(self.value(body)?, *attempts, share)
            }
            Expr::Timeout { body, .. } => self.value(body)?,
            Expr::Repeat { count, body } => probability::repeat(self.value(body)?, *count),
            Expr::Async(body) => self.value(body).map(|_| 1.0)?,
        })
    }

    fn values(&mut self, exprs: &[Expr]) -> Result<Vec<f64>, UnboundLeaf> {
        exprs.iter().map(|expr| self.value(expr)).collect()
    }

    fn race(&mut self, branches: &[Expr]) -> Result<f64, UnboundLeaf> {
        let values = self.values(branches)?;
        Ok(match self.inputs.fate() {
            Fate::Independent => probability::any(values.into_iter()),
            Fate::Shared => values.into_iter().fold(0.0, f64::max),
        })
    }

    fn fallback(&mut self, primary: &Expr, alternates: &[Alternative]) -> Result<f64, UnboundLeaf> {
        let budget = self.inputs.fallback_share(primary);
        let mut rungs = alloc::vec![(self.value(primary)?, 1.0)];
        for alternate in alternates {
            rungs.push((self.value(&alternate.expr)?, alternate.weight.get()));
        }
        let climb = |(next, share): (f64, f64), (first, weight): (f64, f64)| {
            let own_share = if weight < 1.0 { budget } else { 1.0 };
            (operators::fallback(first, weight, share, next), own_share)
        };
        Ok(rungs.into_iter().rev().fold((0.0, 0.0), climb).0)
    }

    fn branch(&mut self, choices: &[Choice]) -> Result<f64, UnboundLeaf> {
        let mut weighted = Vec::with_capacity(choices.len());
        for choice in choices {
            let value = self.value(&choice.expr)?;
            weighted.push((choice.probability.lo(), choice.probability.hi(), value));
        }
        Ok(probability::least_mixture(weighted))
    }
}
