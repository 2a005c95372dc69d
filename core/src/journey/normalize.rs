//! Normal form: equal meaning, one spelling.
//!
//! Nested operators of one kind become one (series in series, parallel-all in parallel-all, race in race when all start at once,
//! an equal fallback's fallback where that changes no value), an operator over one operand becomes the operand, a timeout of a timeout the shorter one, and
//! operands whose order has no meaning (parallel, race at once, branch) stand in the order of their text. A series keeps its
//! order: it is when things happen, and a journey is read by people.
//!
//! Called on checked expressions only, whose depth is limited; hence recursive.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Alternative, Choice, Expr, Join};
use crate::units::{Millis, Ratio};

pub(super) fn normalize(expr: Expr) -> Expr {
    match expr {
        Expr::Leaf(_) => expr,
        Expr::Series(steps) => single_or(flatten(steps, as_series), Expr::Series),
        Expr::Parallel { join, branches } => parallel(join, branches),
        Expr::Race { delay, branches } => race(delay, branches),
        Expr::Fallback { primary, alternates } => fallback(normalize(*primary), alternates),
        Expr::Branch(choices) => branch(choices),
        Expr::Retry { attempts: 1, per_try_timeout: None, body } => normalize(*body),
        Expr::Retry { attempts: 1, per_try_timeout: Some(after), body } => timeout(after, normalize(*body)),
        Expr::Retry { attempts, per_try_timeout, body } => {
            Expr::Retry { attempts, per_try_timeout, body: Box::new(normalize(*body)) }
        }
        Expr::Timeout { after, body } => timeout(after, normalize(*body)),
        Expr::Repeat { count: 1, body } => normalize(*body),
        Expr::Repeat { count, body } => Expr::Repeat { count, body: Box::new(normalize(*body)) },
        Expr::Async(body) => match normalize(*body) {
            nested @ Expr::Async(_) => nested,
            body => Expr::Async(Box::new(body)),
        },
    }
}

/// Operands in normal form, those of the same kind replaced by their own operands.
fn flatten(operands: Vec<Expr>, inner: impl Fn(Expr) -> Result<Vec<Expr>, Expr>) -> Vec<Expr> {
    let mut flat = Vec::with_capacity(operands.len());
    for operand in operands.into_iter().map(normalize) {
        match inner(operand) {
            Ok(nested) => flat.extend(nested),
            Err(other) => flat.push(other),
        }
    }
    flat
}

fn as_series(expr: Expr) -> Result<Vec<Expr>, Expr> {
    match expr {
        Expr::Series(steps) => Ok(steps),
        other => Err(other),
    }
}

fn as_parallel_all(expr: Expr) -> Result<Vec<Expr>, Expr> {
    match expr {
        Expr::Parallel { join: Join::All, branches } => Ok(branches),
        other => Err(other),
    }
}

fn as_race_at_once(expr: Expr) -> Result<Vec<Expr>, Expr> {
    match expr {
        Expr::Race { delay: Millis(0), branches } => Ok(branches),
        other => Err(other),
    }
}

/// The only operand itself, or the operator over all of them.
fn single_or(mut operands: Vec<Expr>, operator: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match operands.pop() {
        Some(only) if operands.is_empty() => only,
        last => {
            operands.extend(last);
            operator(operands)
        }
    }
}

fn sorted(mut operands: Vec<Expr>) -> Vec<Expr> {
    operands.sort_by_cached_key(ToString::to_string);
    operands
}

fn parallel(join: Join, branches: Vec<Expr>) -> Expr {
    let all = matches!(join, Join::All) || join == Join::AtLeast(u32::try_from(branches.len()).unwrap_or(0));
    if all {
        let branches = sorted(flatten(branches, as_parallel_all));
        return single_or(branches, |branches| Expr::Parallel { join: Join::All, branches });
    }
    Expr::Parallel { join, branches: sorted(flatten(branches, Err)) }
}

fn race(delay: Millis, branches: Vec<Expr>) -> Expr {
    let branches =
        if delay.0 == 0 { sorted(flatten(branches, as_race_at_once)) } else { flatten(branches, Err) };
    single_or(branches, |branches| Expr::Race { delay, branches })
}

/// A fallback among the alternates stands for its value, degraded answers included: what is asked after it is asked when it has no answer
/// that was accepted. So it becomes its own operands only where that is the same: none of them is degraded, or nothing is asked after it.
fn fallback(primary: Expr, alternates: Vec<Alternative>) -> Expr {
    let mut flat = Vec::with_capacity(alternates.len());
    let count = alternates.len();
    for (place, alternate) in alternates.into_iter().enumerate() {
        let alternate = Alternative { weight: alternate.weight, expr: normalize(alternate.expr) };
        push_alternate(&mut flat, alternate, place + 1 == count);
    }
    Expr::Fallback { primary: Box::new(primary), alternates: flat }
}

fn push_alternate(flat: &mut Vec<Alternative>, alternate: Alternative, last: bool) {
    match (alternate.weight, alternate.expr) {
        (Ratio::ONE, Expr::Fallback { primary, alternates })
            if last || alternates.iter().all(|inner| inner.weight == Ratio::ONE) =>
        {
            push_alternate(flat, Alternative { weight: Ratio::ONE, expr: *primary }, false);
            flat.extend(alternates);
        }
        (weight, expr) => flat.push(Alternative { weight, expr }),
    }
}

fn branch(choices: Vec<Choice>) -> Expr {
    let mut choices: Vec<Choice> =
        choices.into_iter().map(|c| Choice { probability: c.probability, expr: normalize(c.expr) }).collect();
    match choices.pop() {
        Some(only) if choices.is_empty() => only.expr,
        last => {
            choices.extend(last);
            choices.sort_by_cached_key(text_of_choice);
            Expr::Branch(choices)
        }
    }
}

fn text_of_choice(choice: &Choice) -> (String, u64, u64) {
    let bits = |p: f64| p.to_bits();
    (choice.expr.to_string(), bits(choice.probability.lo()), bits(choice.probability.hi()))
}

fn timeout(after: Millis, body: Expr) -> Expr {
    match body {
        Expr::Timeout { after: inner, body } => Expr::Timeout { after: after.min(inner), body },
        body => Expr::Timeout { after, body: Box::new(body) },
    }
}
