//! What one outcome of a journey depends on.

use alloc::vec;
use alloc::vec::Vec;

use super::View;
use crate::journey::{ComponentName, Expr};

/// Direct operands that an outcome depends on: nobody waits for an async in the immediate one. O(number of operands).
pub(super) fn operands(expr: &Expr, view: View) -> Vec<&Expr> {
    match (expr, view) {
        (Expr::Async(_), View::Immediate) => Vec::new(),
        _ => expr.children(),
    }
}

/// Component names that an outcome depends on, from left to right, repeated ones each time. What counts leaves counts these: a component
/// inside an async changes nothing of the immediate outcome, neither by itself nor by what it shares. O(size), not recursive.
pub fn seen(expr: &Expr, view: View) -> Vec<&ComponentName> {
    let mut found = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Leaf(name) => found.push(name),
            other => open.extend(operands(other, view).into_iter().rev()),
        }
    }
    found
}

/// Of these the ones under a time limit, of a part or of a try.
pub(super) fn timed(expr: &Expr, view: View) -> Vec<&ComponentName> {
    let mut found = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Timeout { .. } | Expr::Retry { per_try_timeout: Some(_), .. } => {
                found.extend(seen(expr, view))
            }
            other => open.extend(operands(other, view)),
        }
    }
    found
}
