//! What a query is made of, and its selectors: every place where it reads series, parameters of aggregations included.

use promql_parser::label::Matcher;
use promql_parser::parser::{Expr, VectorSelector};

/// What an expression is made of, in the order written.
pub fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(of) => of.param.iter().map(|param| &**param).chain([&*of.expr]).collect(),
        Expr::Unary(of) => vec![&of.expr],
        Expr::Binary(of) => vec![&of.lhs, &of.rhs],
        Expr::Paren(of) => vec![&of.expr],
        Expr::Subquery(of) => vec![&of.expr],
        Expr::Call(call) => call.args.args.iter().map(|arg| &**arg).collect(),
        Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// Visits every selector, in the order written.
fn each_selector<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a VectorSelector)) {
    match expr {
        Expr::VectorSelector(series) => visit(series),
        Expr::MatrixSelector(range) => visit(&range.vs),
        other => parts(other).into_iter().for_each(|part| each_selector(part, visit)),
    }
}

/// Changes every selector.
pub fn each_selector_mut(expr: &mut Expr, change: &mut dyn FnMut(&mut VectorSelector)) {
    match expr {
        Expr::VectorSelector(series) => change(series),
        Expr::MatrixSelector(range) => change(&mut range.vs),
        Expr::Subquery(range) => each_selector_mut(&mut range.expr, change),
        Expr::Unary(of) => each_selector_mut(&mut of.expr, change),
        Expr::Paren(of) => each_selector_mut(&mut of.expr, change),
        Expr::Binary(of) => {
            each_selector_mut(&mut of.lhs, change);
            each_selector_mut(&mut of.rhs, change);
        }
        Expr::Aggregate(of) => {
            if let Some(param) = &mut of.param {
                each_selector_mut(param, change);
            }
            each_selector_mut(&mut of.expr, change);
        }
        Expr::Call(call) => call.args.args.iter_mut().for_each(|arg| each_selector_mut(arg, change)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Every selector, in the order written.
pub fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut found = Vec::new();
    each_selector(expr, &mut |series| found.push(series));
    found
}

/// One more matcher for every selector. One of the user's own for the same label stays: both must hold.
pub fn match_all(expr: &mut Expr, matcher: &Matcher) {
    each_selector_mut(expr, &mut |series| {
        if !series.matchers.matchers.contains(matcher) {
            series.matchers.matchers.push(matcher.clone());
        }
    });
}
