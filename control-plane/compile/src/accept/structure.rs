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
mod sides;

use std::collections::BTreeSet;

use emac_core::journey::{ComponentName, Expr, Journey};

use super::Change;
use super::merge::Choose;
use shape::{Operand, OperatorShape, join, split};
use sides::Sides;

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

type Parts = (OperatorShape, Vec<Operand>);

/// Whether a unary operator stands around what the other side has: its operand is of the other's kind, or the other is not unary and has no
/// such operator among its own operands.
fn wraps(shape: &OperatorShape, other: Option<&Parts>, operands: &[Operand]) -> bool {
    let is_like =
        |shape: &OperatorShape, expr: &Expr| split(expr).is_some_and(|(inner, _)| shape.is_like(&inner));
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
