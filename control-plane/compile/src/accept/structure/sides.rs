//! Two operators of which some operands belong together: which kind, order and numbers the merged one has, and which operands.

use emac_core::journey::{Expr, Journey};

use super::matching::{OperandGroup, groups};
use super::shape::{Operand, OperatorShape, join};
use super::{Parts, rewritten, walk};
use crate::accept::Change;
use crate::accept::merge::{Choose, interleave};

/// Two operators whose operands are matched.
pub(super) struct Sides<'a> {
    a: &'a Expr,
    b: &'a Expr,
    place: &'a Expr,
    was: Parts,
    is: Parts,
    groups: Vec<OperandGroup>,
}

impl<'a> Sides<'a> {
    pub(super) fn new((a, b, place): (&'a Expr, &'a Expr, &'a Expr), was: Parts, is: Parts) -> Self {
        let groups = groups(&was.1, &is.1);
        Self { a, b, place, was, is, groups }
    }

    pub(super) fn merge(&self, choose: &mut Choose<'_>) -> Result<Expr, String> {
        let sensible =
            |group: &OperandGroup| group.is_sensible(&self.was.0, &self.is.0) && self.is_part(group);
        if !self.groups.iter().all(sensible) {
            return Ok(rewritten(self.a, self.b, self.place, choose));
        }
        let shape = self.shape(choose);
        let attributes = self.attributes(&shape, choose);
        let order = self.order(&shape, choose);
        let (mut base, mut extras) = (Vec::new(), Vec::new());
        for (place, group) in self.groups.iter().enumerate() {
            let Some(operand) = self.operand(group, &shape, attributes, choose)? else { continue };
            let extra = if order == Order::After { group.is.is_empty() } else { group.was.is_empty() };
            if extra { extras.push((place, operand)) } else { base.push((place, operand)) }
        }
        let (mine, others) = match order {
            Order::After => (self.by(|group| group.is.first()), self.by(|group| group.was.first())),
            Order::Before => (self.by(|group| group.was.first()), self.by(|group| group.is.first())),
        };
        base.sort_by_key(|(place, _)| mine.iter().position(|other| other == place));
        extras.sort_by_key(|(place, _)| others.iter().position(|other| other == place));
        join(&shape, interleave(base, &others, extras))
    }

    /// Whether looking at a group leads further: not when it is all that is being looked at, as where a component occurs twice.
    fn is_part(&self, group: &OperandGroup) -> bool {
        let (was, is) = (self.part(&self.was, &group.was), self.part(&self.is, &group.is));
        was.as_ref() != Some(self.a) || is.as_ref() != Some(self.b)
    }

    /// Kind and parameters of the operator.
    fn shape(&self, choose: &mut Choose<'_>) -> OperatorShape {
        if self.was.0 == self.is.0 {
            return self.is.0.clone();
        }
        let before = self.a.to_string();
        let after = self.alone(&self.is.0).unwrap_or_else(|| self.b.to_string());
        let of = self.place.to_string();
        let change = match self.was.0.is_like(&self.is.0) {
            true => Change::OperatorParameter { before, after, of },
            false => Change::OperatorKind { before, after, of },
        };
        if choose(change) { self.is.0.clone() } else { self.was.0.clone() }
    }

    /// What the accepted operands would be under another operator, so that a change shows itself alone.
    fn alone(&self, shape: &OperatorShape) -> Option<String> {
        let matched = self.groups.iter().filter(|group| !group.was.is_empty());
        let operands = matched.map(|group| {
            let is = group.is.first().and_then(|place| self.is.1.get(*place));
            let expr = self.part(&self.was, &group.was)?;
            Some(Operand { attribute: is.and_then(|operand| operand.attribute), expr })
        });
        let expr = join(shape, operands.collect::<Option<_>>()?).ok()?;
        Some(Journey::new(expr).ok()?.to_string())
    }

    /// Whose probabilities and weights the matched operands have.
    fn attributes(&self, shape: &OperatorShape, choose: &mut Choose<'_>) -> Order {
        if !self.was.0.is_like(&self.is.0) {
            return if shape.is_like(&self.is.0) { Order::After } else { Order::Before };
        }
        let differ = self.groups.iter().any(|group| match (&group.was[..], &group.is[..]) {
            ([was], [is]) => {
                let attribute = |side: &Parts, place: &usize| side.1.get(*place).map(|one| one.attribute);
                attribute(&self.was, was) != attribute(&self.is, is)
            }
            _ => false,
        });
        // An operator that grew around the accepted one has no attributes of its own there.
        if !differ || self.was.1.len() == 1 || self.is.1.len() == 1 {
            return if self.was.1.len() == 1 { Order::After } else { Order::Before };
        }
        let (before, after, of) = (self.a.to_string(), self.b.to_string(), self.place.to_string());
        let change = match self.is.0 {
            OperatorShape::Branch => Change::BranchProbability { before, after, of },
            _ => Change::OperatorParameter { before, after, of },
        };
        if choose(change) { Order::After } else { Order::Before }
    }

    /// Whose order the operands have. Where the operator itself changed, the order comes with it.
    fn order(&self, shape: &OperatorShape, choose: &mut Choose<'_>) -> Order {
        if self.was.0 != self.is.0 {
            return if *shape == self.is.0 { Order::After } else { Order::Before };
        }
        let matched = |places: Vec<usize>| -> Vec<usize> {
            let both = |place: &usize| self.groups.get(*place).is_some_and(OperandGroup::is_matched);
            places.into_iter().filter(both).collect()
        };
        let was = matched(self.by(|group| group.was.first()));
        let is = matched(self.by(|group| group.is.first()));
        if was == is || !shape.is_ordered() {
            return Order::After;
        }
        let (before, after, of) = (self.a.to_string(), self.b.to_string(), self.place.to_string());
        if choose(Change::Order { before, after, of }) { Order::After } else { Order::Before }
    }

    /// Groups that a side has, in its order.
    fn by(&self, first: impl Fn(&OperandGroup) -> Option<&usize>) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.groups.len()).collect();
        places.retain(|place| self.groups.get(*place).and_then(&first).is_some());
        places.sort_by_key(|place| self.groups.get(*place).and_then(&first).copied());
        places
    }

    /// The operand of a group; `None` when the answer is that there is none.
    fn operand(
        &self,
        group: &OperandGroup,
        shape: &OperatorShape,
        attributes: Order,
        choose: &mut Choose<'_>,
    ) -> Result<Option<Operand>, String> {
        let attribute = |side: &Parts, places: &[usize]| {
            let operand = places.first().and_then(|place| side.1.get(*place));
            operand.and_then(|operand| operand.attribute).filter(|_| shape.is_like(&side.0))
        };
        let (was, is) = (self.part(&self.was, &group.was), self.part(&self.is, &group.is));
        match (was, is) {
            (Some(was), Some(is)) => {
                let place = if group.is.len() > 1 { self.place } else { &is };
                let expr = walk(&was, &is, place, choose)?;
                let attribute = match attributes {
                    Order::After => attribute(&self.is, &group.is),
                    Order::Before => attribute(&self.was, &group.was),
                };
                Ok(Some(Operand { attribute, expr }))
            }
            (Some(expr), None) => {
                let (part, from, of) = (expr.to_string(), self.a.to_string(), self.place.to_string());
                let attribute = attribute(&self.was, &group.was);
                let gone = choose(Change::ComponentRemoved { part, from, of });
                Ok((!gone).then_some(Operand { attribute, expr }))
            }
            (None, Some(expr)) => {
                let (part, of) = (expr.to_string(), self.place.to_string());
                let attribute = attribute(&self.is, &group.is);
                Ok(choose(Change::ComponentAdded { part, of }).then_some(Operand { attribute, expr }))
            }
            (None, None) => Ok(None),
        }
    }

    /// Operands of one side as one expression; `None` without any.
    fn part(&self, side: &Parts, places: &[usize]) -> Option<Expr> {
        let operands: Vec<_> = places.iter().filter_map(|place| side.1.get(*place)).cloned().collect();
        match operands.as_slice() {
            [] => None,
            [one] => Some(one.expr.clone()),
            _ => join(&side.0, operands).ok(),
        }
    }
}

/// Which side is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Before,
    After,
}
