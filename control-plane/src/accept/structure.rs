//! The difference of two expressions, and their merge, in one walk.
//!
//! Operators have no names, so they are matched by the components below them: two operands belong together when their components meet. An
//! operator of another kind over the same operands is one change, an operand that only one side has is another, and what lies below is
//! looked at by itself. One operand that became several, or several one (`Series(a, b)` to `Parallel(a, b)` inside a longer series), are matched
//! as a group. Where components moved between operands no such reading is sensible, and the smallest operator around is one change.
//!
//! Cost: O(operands² · components) at each operator, which people and machines keep small.

mod matching;
mod shape;

use std::collections::BTreeSet;

use emac_core::journey::{ComponentName, Expr, Journey};

use super::Change;
use super::merge::{Choose, interleave};
use matching::{Group, groups};
use shape::{Operand, Shape, join, split};

/// Merges. A side without a structure says nothing about it: `after` without one changes nothing, `before` without one is replaced as a whole.
pub(super) fn merge(
    before: Option<&Journey>,
    after: Option<&Journey>,
    choose: &mut Choose<'_>,
) -> Result<Option<Journey>, String> {
    let (Some(before), Some(after)) = (before, after) else {
        let Some(after) = after else { return Ok(before.cloned()) };
        let text = after.to_string();
        let change = Change::OperatorKind { before: "none".to_owned(), after: text.clone(), of: text };
        return Ok(choose(change).then(|| after.clone()));
    };
    let (a, b) = (before.root(), after.root());
    let expr = if is_faithful(before, after) { walk(a, b, b, choose)? } else { rewritten(a, b, b, choose) };
    let journey = Journey::new(expr);
    journey.map(Some).map_err(|invalid| invalid.first().map_or_else(String::new, ToString::to_string))
}

/// Whether the fine walk gives back either side. It does by construction; where an expression defies it, one change of the whole is the truth.
fn is_faithful(before: &Journey, after: &Journey) -> bool {
    let gives = |answer: bool, side: &Journey| {
        let expr = walk(before.root(), after.root(), after.root(), &mut |_| answer);
        expr.ok().and_then(|expr| Journey::new(expr).ok()).as_ref() == Some(side)
    };
    gives(true, after) && gives(false, before)
}

/// `place` is the candidate's operator in which `b` stands, `b` itself but for a group of operands.
fn walk(a: &Expr, b: &Expr, place: &Expr, choose: &mut Choose<'_>) -> Result<Expr, String> {
    if a == b {
        return Ok(a.clone());
    }
    let common = leaves(a).intersection(&leaves(b)).cloned().collect::<BTreeSet<_>>();
    if common.is_empty() {
        return Ok(rewritten(a, b, place, choose));
    }
    match (split(a), split(b)) {
        (Some(was), Some(is)) if was.0.is_like(&is.0) => Sides::new((a, b, place), was, is).merge(choose),
        (was, Some((shape, operands))) if shape.is_unary() && wraps(&shape, was.as_ref(), &operands) => {
            wrapped(a, b, (shape, operands), choose)
        }
        (Some((shape, operands)), is) if shape.is_unary() && wraps(&shape, is.as_ref(), &operands) => {
            unwrapped(a, b, (shape, operands), choose)
        }
        (was, is) => several((a, b, place), was, is, &common, choose),
    }
}

type Parts = (Shape, Vec<Operand>);

/// Whether a unary operator stands around what the other side has: its operand is of the other's kind, or the other is not unary and has no
/// such operator among its own operands.
fn wraps(shape: &Shape, other: Option<&Parts>, operands: &[Operand]) -> bool {
    let is_like = |shape: &Shape, expr: &Expr| split(expr).is_some_and(|(inner, _)| shape.is_like(&inner));
    let Some((outer, others)) = other else { return true };
    let around = operands.iter().any(|operand| is_like(outer, &operand.expr));
    around || !outer.is_unary() && !others.iter().any(|operand| is_like(shape, &operand.expr))
}

/// `b` is an operator around what `a` is.
fn wrapped(a: &Expr, b: &Expr, (shape, operands): Parts, choose: &mut Choose<'_>) -> Result<Expr, String> {
    let around = |expr: Expr| join(&shape, vec![Operand::plain(expr)]);
    let after = around(a.clone()).map_or_else(|_| b.to_string(), |expr| expr.to_string());
    let taken = choose(Change::OperatorKind { before: a.to_string(), after, of: b.to_string() });
    let body = operands.into_iter().next().map_or_else(|| b.clone(), |operand| operand.expr);
    let inner = walk(a, &body, &body, choose)?;
    if taken { around(inner) } else { Ok(inner) }
}

/// `a` is an operator around what `b` is.
fn unwrapped(a: &Expr, b: &Expr, (shape, operands): Parts, choose: &mut Choose<'_>) -> Result<Expr, String> {
    let body = operands.into_iter().next().map_or_else(|| a.clone(), |operand| operand.expr);
    let change = Change::OperatorKind { before: a.to_string(), after: body.to_string(), of: b.to_string() };
    let taken = choose(change);
    let inner = walk(&body, b, b, choose)?;
    if taken { Ok(inner) } else { join(&shape, vec![Operand::plain(inner)]) }
}

/// Operators of different kinds. When all that both have lies in one operand of a side, that side has grown or shrunk around it; else it is the
/// kind that changed.
fn several(
    (a, b, place): (&Expr, &Expr, &Expr),
    was: Option<Parts>,
    is: Option<Parts>,
    common: &BTreeSet<ComponentName>,
    choose: &mut Choose<'_>,
) -> Result<Expr, String> {
    let holds_all = |parts: &Parts| parts.1.iter().any(|operand| common.is_subset(&leaves(&operand.expr)));
    match (was, is) {
        (_, Some(is)) if !is.0.is_unary() && holds_all(&is) => {
            let was = (is.0.clone(), vec![Operand::plain(a.clone())]);
            Sides::new((a, b, place), was, is).merge(choose)
        }
        (Some(was), _) if !was.0.is_unary() && holds_all(&was) => {
            let is = (was.0.clone(), vec![Operand::plain(b.clone())]);
            Sides::new((a, b, place), was, is).merge(choose)
        }
        (Some(was), Some(is)) => Sides::new((a, b, place), was, is).merge(choose),
        _ => Ok(rewritten(a, b, place, choose)),
    }
}

/// One change of the whole.
fn rewritten(a: &Expr, b: &Expr, place: &Expr, choose: &mut Choose<'_>) -> Expr {
    let (before, after, of) = (a.to_string(), b.to_string(), place.to_string());
    let taken = choose(Change::OperatorKind { before, after, of });
    if taken { b.clone() } else { a.clone() }
}

fn leaves(expr: &Expr) -> BTreeSet<ComponentName> {
    expr.leaves().into_iter().cloned().collect()
}

/// Two operators whose operands are matched.
struct Sides<'a> {
    a: &'a Expr,
    b: &'a Expr,
    place: &'a Expr,
    was: Parts,
    is: Parts,
    groups: Vec<Group>,
}

impl<'a> Sides<'a> {
    fn new((a, b, place): (&'a Expr, &'a Expr, &'a Expr), was: Parts, is: Parts) -> Self {
        let groups = groups(&was.1, &is.1);
        Self { a, b, place, was, is, groups }
    }

    fn merge(&self, choose: &mut Choose<'_>) -> Result<Expr, String> {
        let sensible = |group: &Group| group.is_sensible(&self.was.0, &self.is.0) && self.is_part(group);
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
    fn is_part(&self, group: &Group) -> bool {
        let (was, is) = (self.part(&self.was, &group.was), self.part(&self.is, &group.is));
        was.as_ref() != Some(self.a) || is.as_ref() != Some(self.b)
    }

    /// Kind and parameters of the operator.
    fn shape(&self, choose: &mut Choose<'_>) -> Shape {
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
    fn alone(&self, shape: &Shape) -> Option<String> {
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
    fn attributes(&self, shape: &Shape, choose: &mut Choose<'_>) -> Order {
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
            Shape::Branch => Change::BranchProbability { before, after, of },
            _ => Change::OperatorParameter { before, after, of },
        };
        if choose(change) { Order::After } else { Order::Before }
    }

    /// Whose order the operands have. Where the operator itself changed, the order comes with it.
    fn order(&self, shape: &Shape, choose: &mut Choose<'_>) -> Order {
        if self.was.0 != self.is.0 {
            return if *shape == self.is.0 { Order::After } else { Order::Before };
        }
        let matched = |places: Vec<usize>| -> Vec<usize> {
            let both = |place: &usize| self.groups.get(*place).is_some_and(Group::is_matched);
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
    fn by(&self, first: impl Fn(&Group) -> Option<&usize>) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.groups.len()).collect();
        places.retain(|place| self.groups.get(*place).and_then(&first).is_some());
        places.sort_by_key(|place| self.groups.get(*place).and_then(&first).copied());
        places
    }

    /// The operand of a group; `None` when the answer is that there is none.
    fn operand(
        &self,
        group: &Group,
        shape: &Shape,
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
