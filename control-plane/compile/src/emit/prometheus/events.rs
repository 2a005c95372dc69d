//! Good and total events of a window, so that what is not there counts as none.
//!
//! In PromQL `a + b` is empty as soon as one of them is, and `1 - good/total` when no success was ever seen: during an outage. So every addend
//! is given zeros where another addend has a value (`(a or (b) * 0) + (b or (a) * 0)`), a numerator where its denominator has one, and good events where there are events at all: `(good) or (total) * 0`. Nothing is given to
//! the total: without any series there is no result, which is absence and not health. Values that its query has for that (`or vector(0)`) are taken away.

use std::collections::BTreeSet;

use promql_parser::label::Matcher;
use promql_parser::parser::token::{
    T_ADD, T_AVG, T_DIV, T_LAND, T_LOR, T_LUNLESS, T_MAX, T_MIN, T_MUL, T_SUB, T_SUM, TokenType,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    BinModifier, BinaryExpr, Expr, NumberLiteral, ParenExpr, UnaryExpr, VectorMatchCardinality,
    VectorSelector,
};

use emac_document::{
    InvalidPromql, ResultLabels, Unit, differing_labels, match_all, parse_generated, parse_promql,
    result_labels, selectors, unit, with_window, write_promql,
};

/// Good and total events as trees.
#[derive(Clone, Debug)]
pub struct Events {
    good: Expr,
    total: Expr,
}

impl Events {
    /// The events of a window.
    ///
    /// # Errors
    /// When a query is no PromQL; those of an intent are.
    pub fn of(good: &str, total: &str, window: &str) -> Result<Self, InvalidPromql> {
        let read = |query: &str| parse_promql(&with_window(query, window)).and_then(as_series);
        let (good, total) =
            (filled(without_default(read(good)?, false)), filled(without_default(read(total)?, true)));
        if let Some(apart) = apart(&good, &total) {
            let sum = |of: &Expr| parse_generated(&format!("sum without ({apart}) ({})", write_promql(of)));
            return Ok(Self { good: sum(&good)?, total: sum(&total)? });
        }
        Ok(Self { good, total })
    }

    /// Whether the total counts anything: `vector(1)` does not.
    pub fn counts(&self) -> bool {
        !selectors(&self.total).is_empty()
    }

    /// What the total's numbers stand for, where that can be told.
    pub fn unit(&self) -> Option<Unit> {
        unit(&self.total)
    }

    /// Only those with a label.
    #[must_use]
    pub fn of_series(mut self, matcher: &Matcher) -> Self {
        match_all(&mut self.good, matcher);
        match_all(&mut self.total, matcher);
        self
    }

    /// Series that are counted, each as it is now: none when nobody measures any more, though a window still holds what was measured.
    pub fn present(&self) -> Option<String> {
        let counted = if self.counts() { &self.total } else { &self.good };
        let now = |series: &VectorSelector| {
            let now = VectorSelector { offset: None, at: None, ..series.clone() };
            format!("count({})", write_promql(&Expr::VectorSelector(now)))
        };
        let all: BTreeSet<String> = selectors(counted).into_iter().map(now).collect();
        (!all.is_empty()).then(|| all.into_iter().collect::<Vec<_>>().join(" or "))
    }

    /// Good events, none where there are others only.
    pub fn good(&self) -> String {
        let (good, total) = (write_promql(&self.good), self.total());
        let labels = [&self.good, &self.total].map(result_labels);
        if self.counts() && labels[0] == labels[1] { format!("({good}) or ({total}) * 0") } else { good }
    }

    /// All events.
    pub fn total(&self) -> String {
        write_promql(&self.total)
    }

    /// Failed events.
    pub fn failed(&self) -> String {
        format!("({}) - ({})", self.total(), self.good())
    }

    /// The share of failed events.
    pub fn errors(&self) -> String {
        format!("1 - (({}) / ({}))", self.good(), self.total())
    }

    /// The share of failed events, of what had any: no traffic has no share.
    pub fn errors_of_some(&self) -> String {
        match self.counts() {
            true => format!("1 - (({}) / (({}) != 0))", self.good(), self.total()),
            false => self.errors(),
        }
    }
}

/// Labels that good events differ by from all events, where the results keep them: series by series each would be compared with itself, and all of one
/// code were good, or none; of buckets nothing would match.
pub(super) fn apart(good: &Expr, total: &Expr) -> Option<String> {
    let mut labels = differing_labels(good, total);
    match (result_labels(good), result_labels(total)) {
        (ResultLabels::OfSeries, ResultLabels::OfSeries) => {}
        (ResultLabels::Known(good), ResultLabels::Known(total)) if good == total => {
            labels.retain(|label| good.contains(label));
        }
        _ => labels.clear(),
    }
    let list = || labels.iter().cloned().collect::<Vec<_>>().join(", ");
    (!labels.is_empty()).then(list)
}

/// Events without what stands in for them where there are no series. For all events that would be requests, and their absence never told; for good
/// ones it is harmless where results have no labels, and else one more result, beside which the missing ones are not seen.
fn without_default(expr: Expr, of_all: bool) -> Expr {
    match expr {
        Expr::Paren(of) => paren(without_default(*of.expr, of_all)),
        Expr::Binary(of) if of.op.id() == T_LOR && stands_in(&of, of_all) => without_default(*of.lhs, of_all),
        Expr::Binary(of) if [T_ADD, T_SUB].contains(&of.op.id()) => {
            let (lhs, rhs) = (without_default(*of.lhs, of_all), without_default(*of.rhs, of_all));
            Expr::Binary(BinaryExpr { lhs: Box::new(lhs), rhs: Box::new(rhs), ..of })
        }
        Expr::Aggregate(mut of) if of_all && of.op.id() == T_SUM => {
            of.expr = Box::new(without_default(*of.expr, of_all));
            Expr::Aggregate(of)
        }
        other => other,
    }
}

/// Whether the right side of an `or` is a number, and is not wanted.
fn stands_in(of: &BinaryExpr, of_all: bool) -> bool {
    let is_number = selectors(&of.rhs).is_empty() && !selectors(&of.lhs).is_empty();
    is_number && (of_all || result_labels(&of.lhs) != ResultLabels::Known(BTreeSet::new()))
}

/// A number made of series (`scalar(...)`) as a series without labels: a number is never absent.
fn as_series(expr: Expr) -> Result<Expr, InvalidPromql> {
    if expr.value_type() != ValueType::Scalar {
        return Ok(expr);
    }
    if selectors(&expr).is_empty() {
        return parse_generated(&format!("vector({})", write_promql(&expr)));
    }
    unscaled(expr)
}

/// Takes `scalar()` away, outside in.
fn unscaled(expr: Expr) -> Result<Expr, InvalidPromql> {
    if selectors(&expr).is_empty() {
        return Ok(expr);
    }
    Ok(match expr {
        Expr::Paren(of) => paren(unscaled(*of.expr)?),
        Expr::Unary(of) => Expr::Unary(UnaryExpr { expr: Box::new(unscaled(*of.expr)?) }),
        Expr::Binary(of) => {
            let (lhs, rhs) = (Box::new(unscaled(*of.lhs)?), Box::new(unscaled(*of.rhs)?));
            Expr::Binary(BinaryExpr { lhs, rhs, ..of })
        }
        Expr::Call(call) => match call.args.args.into_iter().next() {
            Some(of) if result_labels(&of) == ResultLabels::Known(Default::default()) => paren(*of),
            // Of several series a number is none; of one it is their sum.
            Some(of) => parse_generated(&format!("sum({})", write_promql(&of)))?,
            None => return Err(InvalidPromql::Syntax("a function of nothing".to_owned())),
        },
        other => other,
    })
}

fn paren(expr: Expr) -> Expr {
    match expr {
        Expr::Paren(_) => expr,
        expr => Expr::Paren(ParenExpr { expr: Box::new(expr) }),
    }
}

fn binary(lhs: Expr, op: u16, rhs: Expr) -> Expr {
    let set = BinModifier { card: VectorMatchCardinality::ManyToMany, ..BinModifier::default() };
    let modifier = (op == T_LOR).then_some(set);
    Expr::Binary(BinaryExpr { op: TokenType::new(op), lhs: Box::new(lhs), rhs: Box::new(rhs), modifier })
}

/// `(expr) * 0`.
fn zeros(expr: &Expr) -> Expr {
    binary(paren(expr.clone()), T_MUL, Expr::NumberLiteral(NumberLiteral::new(0.0)))
}

/// `(expr or (one) * 0 or (another) * 0)`.
fn or_zeros<'a>(expr: Expr, others: impl Iterator<Item = &'a Expr>) -> Expr {
    let before = expr.clone();
    let all = others.fold(expr, |all, other| binary(all, T_LOR, zeros(other)));
    if all == before { before } else { paren(all) }
}

/// A series of values that may be missing: read from Prometheus, and not given a value of its own already.
fn may_be_absent(expr: &Expr) -> bool {
    expr.value_type() == ValueType::Vector && !selectors(expr).is_empty() && !has_default(expr)
}

/// `x or vector(0)`.
fn has_default(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(of) => has_default(&of.expr),
        Expr::Binary(of) if of.op.id() == T_LOR => selectors(&of.rhs).is_empty() || has_default(&of.rhs),
        _ => false,
    }
}

/// An expression in which what is missing of a sum, a difference or a numerator counts as zero.
fn filled(expr: Expr) -> Expr {
    match expr {
        Expr::Paren(of) => paren(filled(*of.expr)),
        Expr::Unary(of) => Expr::Unary(UnaryExpr { expr: Box::new(filled(*of.expr)) }),
        Expr::Binary(of) => filled_binary(of),
        Expr::Aggregate(mut of) if [T_SUM, T_MAX, T_MIN, T_AVG].contains(&of.op.id()) => {
            of.expr = Box::new(filled(*of.expr));
            Expr::Aggregate(of)
        }
        Expr::Call(mut call)
            if ["scalar", "abs", "clamp", "clamp_min", "clamp_max", "round"].contains(&call.func.name) =>
        {
            call.args.args = call.args.args.into_iter().map(|arg| Box::new(filled(*arg))).collect();
            Expr::Call(call)
        }
        other => other,
    }
}

fn filled_binary(of: BinaryExpr) -> Expr {
    let plain = of.modifier.is_none();
    match of.op.id() {
        T_ADD | T_SUB if plain => {
            let mut terms = Vec::new();
            addends(Expr::Binary(of), &mut terms);
            sum(terms)
        }
        // Matched by some labels: so is what is missing.
        T_ADD | T_SUB
            if of.modifier.as_ref().is_some_and(|by| by.card == VectorMatchCardinality::OneToOne) =>
        {
            let (lhs, rhs) = (filled(*of.lhs), filled(*of.rhs));
            let or = |one: &Expr, other: &Expr| match may_be_absent(one) && may_be_absent(other) {
                true => {
                    let modifier =
                        of.modifier.clone().map(|by| by.with_card(VectorMatchCardinality::ManyToMany));
                    let (lhs, rhs) = (Box::new(one.clone()), Box::new(zeros(other)));
                    paren(Expr::Binary(BinaryExpr { op: TokenType::new(T_LOR), lhs, rhs, modifier }))
                }
                false => one.clone(),
            };
            let (left, right) = (or(&lhs, &rhs), or(&rhs, &lhs));
            Expr::Binary(BinaryExpr { lhs: Box::new(left), rhs: Box::new(right), ..of })
        }
        T_DIV if plain => {
            let (lhs, rhs) = (filled(*of.lhs), filled(*of.rhs));
            let missing =
                may_be_absent(&lhs) && may_be_absent(&rhs) && result_labels(&lhs) == result_labels(&rhs);
            let lhs = if missing { or_zeros(lhs, [&rhs].into_iter()) } else { lhs };
            binary(lhs, T_DIV, rhs)
        }
        // What these leave out is left out on purpose.
        T_LAND | T_LUNLESS => Expr::Binary(of),
        _ => {
            let (lhs, rhs) = (Box::new(filled(*of.lhs)), Box::new(filled(*of.rhs)));
            Expr::Binary(BinaryExpr { lhs, rhs, ..of })
        }
    }
}

/// The terms of sums and differences, each with its sign.
fn addends(expr: Expr, into: &mut Vec<(u16, Expr)>) {
    match expr {
        Expr::Binary(of) if of.modifier.is_none() && [T_ADD, T_SUB].contains(&of.op.id()) => {
            addends(*of.lhs, into);
            into.push((of.op.id(), filled(*of.rhs)));
        }
        other => into.push((T_ADD, filled(other))),
    }
}

fn sum(terms: Vec<(u16, Expr)>) -> Expr {
    // What has a value of its own gives zeros, too, and needs none.
    let read = |term: &&Expr| term.value_type() == ValueType::Vector && !selectors(term).is_empty();
    let series: Vec<Expr> = terms.iter().map(|(_, term)| term).filter(read).cloned().collect();
    let alike = series.windows(2).all(|two| result_labels(&two[0]) == result_labels(&two[1]));
    let full = |term: Expr| match alike && may_be_absent(&term) {
        true => {
            let others: Vec<_> = series.iter().filter(|other| **other != term).collect();
            or_zeros(term, others.into_iter())
        }
        false => term,
    };
    let mut terms = terms.into_iter().map(|(sign, term)| (sign, full(term)));
    let (_, first) = terms.next().unwrap_or((T_ADD, Expr::NumberLiteral(NumberLiteral::new(0.0))));
    terms.fold(first, |sum, (sign, term)| binary(sum, sign, term))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(good: &str, total: &str) -> Events {
        Events::of(good, total, "5m").unwrap()
    }

    #[test]
    fn what_is_not_there_counts_as_none() {
        for (good, total, expected) in [
            ("sum(ok)", "sum(all)", "(sum(ok)) or (sum(all)) * 0"),
            (
                "sum(a)+sum(b)",
                "sum(c)",
                "((sum(a) or (sum(b)) * 0) + (sum(b) or (sum(a)) * 0)) or (sum(c)) * 0",
            ),
            (
                "sum(all)-sum(bad)",
                "sum(all)",
                "((sum(all) or (sum(bad)) * 0) - (sum(bad) or (sum(all)) * 0)) or (sum(all)) * 0",
            ),
            (
                "(sum(a) or vector(0)) + sum(b)",
                "sum(c)",
                "((sum(a) or vector(0)) + (sum(b) or (sum(a) or vector(0)) * 0)) or (sum(c)) * 0",
            ),
            (
                "sum(ok) / (sum(ok) + sum(bad))",
                "vector(1)",
                "(sum(ok) or ((sum(ok) or (sum(bad)) * 0) + (sum(bad) or (sum(ok)) * 0)) * 0) / ((sum(ok) or (sum(bad)) * 0) + (sum(bad) or (sum(ok)) * 0))",
            ),
            ("scalar(sum(ok))", "scalar(sum(all)) * 1", "((sum(ok))) or ((sum(all)) * 1) * 0"),
            ("scalar(ok)", "scalar(all)", "(sum(ok)) or (sum(all)) * 0"),
            (
                "ok{code!=\"5\"}",
                "ok",
                "(sum without (code) (ok{code!=\"5\"})) or (sum without (code) (ok)) * 0",
            ),
            (
                "sum by (zone) (ok)",
                "sum by (zone) (all)",
                "(sum by (zone) (ok)) or (sum by (zone) (all)) * 0",
            ),
            ("sum by (zone) (ok)", "sum(all)", "sum by (zone) (ok)"),
            (
                "sum by (le, a) (x_bucket{le=\"1\"})",
                "sum by (a, le) (x_bucket{le=\"+Inf\"})",
                "(sum without (le) (sum by (le, a) (x_bucket{le=\"1\"}))) or (sum without (le) (sum by (a, le) (x_bucket{le=\"+Inf\"}))) * 0",
            ),
            (
                "(sum by (zone) (ok) or vector(0))",
                "sum by (zone) (all)",
                "((sum by (zone) (ok))) or (sum by (zone) (all)) * 0",
            ),
            ("sum(ok)", "(sum(all) or vector(0))", "(sum(ok)) or ((sum(all))) * 0"),
            (
                "sum(a) + on () sum(b)",
                "sum(c)",
                "((sum(a) or on () (sum(b)) * 0) + on () (sum(b) or on () (sum(a)) * 0)) or (sum(c)) * 0",
            ),
            ("sum(a) unless sum(b)", "sum(c)", "(sum(a) unless sum(b)) or (sum(c)) * 0"),
            ("2", "1", "vector(2)"),
        ] {
            assert_eq!(events(good, total).good(), expected, "{good} of {total}");
        }
    }

    #[test]
    fn all_events_have_no_default() {
        for (total, expected) in [
            ("sum(all) or vector(0)", "sum(all)"),
            ("(sum(all) or on () vector(1))", "(sum(all))"),
            (
                "(sum(a) or vector(0)) + (sum(b) or on () vector(1))",
                "((sum(a)) or (sum(b)) * 0) + ((sum(b)) or (sum(a)) * 0)",
            ),
            ("sum(rate(x[5m]) or vector(0))", "sum(rate(x[5m]))"),
            ("sum(a) or sum(b)", "sum(a) or sum(b)"),
            ("vector(1)", "vector(1)"),
        ] {
            assert_eq!(events("sum(ok)", total).total(), expected, "{total}");
        }
    }

    #[test]
    fn what_tells_good_from_failed_does_not_group_them() {
        for (good, total, expected) in [
            (
                "sum by (code) (x{code!~\"5..\"})",
                "sum by (code) (x)",
                "sum without (code) (sum by (code) (x))",
            ),
            (
                "sum by (code, zone) (x{code!~\"5..\"})",
                "sum by (zone, code) (x)",
                "sum without (code) (sum by (zone, code) (x))",
            ),
            ("sum by (zone) (x{code!~\"5..\"})", "sum by (zone) (x)", "sum by (zone) (x)"),
        ] {
            assert_eq!(events(good, total).total(), expected);
        }
    }

    #[test]
    fn what_is_measured_now_is_asked_of_every_series() {
        let present = |good: &str, total: &str| events(good, total).present();
        assert_eq!(present("sum(ok)", "sum(rate(all[5m] offset 1m))").as_deref(), Some("count(all)"));
        assert_eq!(
            present("sum(ok)", "sum(rate(ok[5m])) + sum(rate(bad{a=\"b\"}[5m] @ end()))").as_deref(),
            Some("count(bad{a=\"b\"}) or count(ok)")
        );
        assert_eq!(present("sum(ok)", "vector(1)").as_deref(), Some("count(ok)"));
        assert_eq!(present("vector(1)", "vector(1)"), None);
    }

    #[test]
    fn everything_that_is_made_is_read_back() {
        for (good, total) in [
            ("sum(a) - -sum(b) # x", "sum(a)+sum(b)+sum(c)"),
            ("sum(a + b)", "sum(b)"),
            ("scalar(a)/scalar(b)", "1"),
        ] {
            let events = events(good, total);
            for made in
                [events.good(), events.total(), events.failed(), events.errors(), events.errors_of_some()]
            {
                assert!(parse_generated(&made).is_ok(), "{made}");
            }
        }
    }
}
