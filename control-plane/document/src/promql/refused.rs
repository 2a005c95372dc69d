//! What the parser takes and Prometheus refuses: another system's extensions, what needs a feature flag, and what only Prometheus checks.
//!
//! Experimental functions are among it: a rule file with one of them is refused as a whole by a Prometheus without
//! `--enable-feature=promql-experimental-functions`, and with it every alert.

use std::time::{Duration, SystemTime};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_LIMIT_RATIO, T_LIMITK};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AtModifier, Expr, Offset, VectorMatchFillValues, VectorSelector};

use super::regex;
use super::selectors::parts;

/// Longest duration that Prometheus keeps: its nanoseconds fit 63 bits.
const DURATION_MAX: Duration = Duration::from_nanos(i64::MAX as u64);

/// Why Prometheus refuses an expression; the first reason found.
pub(super) fn refused(expr: &Expr) -> Option<String> {
    // Not by recursion: the text may be thousands of signs deep.
    let mut left = vec![expr];
    while let Some(expr) = left.pop() {
        if let Some(why) = own(expr) {
            return Some(why);
        }
        left.extend(parts(expr));
    }
    None
}

fn own(expr: &Expr) -> Option<String> {
    match expr {
        Expr::VectorSelector(of) => series(of),
        Expr::MatrixSelector(of) => range(of.range).or_else(|| series(&of.vs)),
        Expr::Subquery(of) => {
            let step = of.step.and_then(range);
            range(of.range)
                .or(step)
                .or_else(|| at(of.at.as_ref()))
                .or_else(|| offset(of.offset.as_ref()))
                .or_else(|| {
                    (of.expr.value_type() != ValueType::Vector && of.expr.value_type() != ValueType::Scalar)
                        .then(|| "a subquery is of series, not of ranges".to_owned())
                })
        }
        Expr::Aggregate(of) if [T_LIMITK, T_LIMIT_RATIO].contains(&of.op.id()) => {
            Some(experimental(&of.op.to_string()))
        }
        Expr::Binary(of) => {
            let fill = of.modifier.as_ref().map(|modifier| &modifier.fill_values);
            fill.is_some_and(|fill| *fill != VectorMatchFillValues::default())
                .then(|| "`fill` is experimental".to_owned())
        }
        Expr::Call(call) => {
            let numbers_only = ["exp", "ln", "log2", "log10"].contains(&call.func.name)
                && call.args.args.iter().any(|arg| arg.value_type() != ValueType::Vector);
            match call.func.name {
                // The parser takes it for one of the others.
                "first_over_time" => Some(experimental("first_over_time()")),
                name if call.func.experimental => Some(experimental(&format!("{name}()"))),
                name if numbers_only => Some(format!("{name}() is of series, not of numbers")),
                _ => None,
            }
        }
        _ => None,
    }
}

fn experimental(what: &str) -> String {
    format!("`{what}` is experimental; record it as a series of its own where its flag is set")
}

fn series(of: &VectorSelector) -> Option<String> {
    if !of.matchers.or_matchers.is_empty() {
        return Some("matchers have no `or`".to_owned());
    }
    let named_twice =
        of.name.is_some() && of.matchers.matchers.iter().any(|matcher| matcher.name == "__name__");
    if named_twice {
        return Some("a metric is named twice".to_owned());
    }
    at(of.at.as_ref())
        .or_else(|| offset(of.offset.as_ref()))
        .or_else(|| of.matchers.matchers.iter().find_map(pattern))
}

fn pattern(of: &Matcher) -> Option<String> {
    let is_pattern = matches!(of.op, MatchOp::Re(_) | MatchOp::NotRe(_));
    regex::refused(&of.value).filter(|_| is_pattern).map(|why| format!("`{}`: {why}", of.value))
}

fn range(of: Duration) -> Option<String> {
    match of {
        _ if of < Duration::from_millis(1) => Some("a range of nothing".to_owned()),
        _ if of > DURATION_MAX => Some("a range of centuries".to_owned()),
        _ => None,
    }
}

/// Times are kept in milliseconds of 64 bits, and centuries are long enough.
fn at(of: Option<&AtModifier>) -> Option<String> {
    let Some(AtModifier::At(time)) = of else { return None };
    let apart = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_else(|before| before.duration());
    (apart > DURATION_MAX).then(|| "a time centuries away".to_owned())
}

fn offset(of: Option<&Offset>) -> Option<String> {
    let (Offset::Pos(by) | Offset::Neg(by)) = of?;
    (*by > DURATION_MAX).then(|| "an offset of centuries".to_owned())
}
