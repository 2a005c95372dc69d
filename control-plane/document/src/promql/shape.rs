//! What a query's result is like: which labels it has, and whether it counts or gives a rate.

use std::collections::BTreeSet;

use promql_parser::label::Matcher;
use promql_parser::parser::token::{
    T_ADD, T_BOTTOMK, T_DIV, T_LAND, T_LOR, T_LUNLESS, T_MUL, T_SUB, T_SUM, T_TOPK,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, NumberLiteral, VectorMatchCardinality,
    VectorSelector,
};

use super::selectors::selectors;

/// Labels of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultLabels {
    /// These, each perhaps empty.
    Known(BTreeSet<String>),
    /// Whatever the series have, or more than can be told.
    OfSeries,
}

impl ResultLabels {
    fn none() -> Self {
        Self::Known(BTreeSet::new())
    }
}

/// What a number of a result stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Events a second; otherwise events within the window.
    pub per_second: bool,
    /// By what it was multiplied.
    pub scale: f64,
}

impl Unit {
    /// By what a value is multiplied to give the events within a window of so many seconds.
    pub fn events(self, window_seconds: f64) -> f64 {
        if self.per_second { window_seconds / self.scale } else { 1.0 / self.scale }
    }
}

/// Labels of what an expression gives.
pub fn result_labels(expr: &Expr) -> ResultLabels {
    match expr {
        Expr::Paren(of) => result_labels(&of.expr),
        Expr::Unary(of) => result_labels(&of.expr),
        Expr::Subquery(of) => result_labels(&of.expr),
        Expr::Aggregate(of) => aggregated(of),
        Expr::Binary(of) => combined(of),
        Expr::Call(call) => called(call),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => ResultLabels::none(),
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) | Expr::Extension(_) => ResultLabels::OfSeries,
    }
}

fn aggregated(of: &AggregateExpr) -> ResultLabels {
    if [T_TOPK, T_BOTTOMK].contains(&of.op.id()) {
        return result_labels(&of.expr);
    }
    // `count_values` adds a label, named by its text.
    let added = of.param.iter().filter_map(|param| match &**param {
        Expr::StringLiteral(label) => Some(label.val.clone()),
        _ => None,
    });
    match (&of.modifier, result_labels(&of.expr)) {
        (None, _) => ResultLabels::Known(added.collect()),
        (Some(LabelModifier::Include(labels)), _) => {
            ResultLabels::Known(labels.labels.iter().cloned().chain(added).collect())
        }
        (Some(LabelModifier::Exclude(labels)), ResultLabels::Known(mut known)) => {
            known.retain(|label| !labels.labels.contains(label));
            known.extend(added);
            ResultLabels::Known(known)
        }
        (Some(LabelModifier::Exclude(_)), ResultLabels::OfSeries) => ResultLabels::OfSeries,
    }
}

fn combined(of: &BinaryExpr) -> ResultLabels {
    if of.lhs.value_type() == ValueType::Scalar {
        return result_labels(&of.rhs);
    }
    let (left, right) = (result_labels(&of.lhs), result_labels(&of.rhs));
    if of.rhs.value_type() == ValueType::Scalar || [T_LAND, T_LUNLESS].contains(&of.op.id()) {
        return left;
    }
    if of.op.id() == T_LOR {
        return if left == right { left } else { ResultLabels::OfSeries };
    }
    let Some(modifier) = &of.modifier else {
        // Only equal labels match: what is known of one side holds for both.
        return if left == ResultLabels::OfSeries { right } else { left };
    };
    match (&modifier.card, &modifier.matching) {
        (VectorMatchCardinality::ManyToOne(with), _) => widened(left, &with.labels),
        (VectorMatchCardinality::OneToMany(with), _) => widened(right, &with.labels),
        (_, Some(LabelModifier::Include(on))) => ResultLabels::Known(on.labels.iter().cloned().collect()),
        (_, Some(LabelModifier::Exclude(ignored))) => narrowed(left, &ignored.labels),
        (_, None) if left == ResultLabels::OfSeries => right,
        (_, None) => left,
    }
}

fn widened(labels: ResultLabels, with: &[String]) -> ResultLabels {
    match labels {
        ResultLabels::Known(known) => {
            ResultLabels::Known(known.into_iter().chain(with.iter().cloned()).collect())
        }
        ResultLabels::OfSeries => ResultLabels::OfSeries,
    }
}

fn narrowed(labels: ResultLabels, without: &[String]) -> ResultLabels {
    match labels {
        ResultLabels::Known(known) => {
            ResultLabels::Known(known.into_iter().filter(|label| !without.contains(label)).collect())
        }
        ResultLabels::OfSeries => ResultLabels::OfSeries,
    }
}

fn called(call: &Call) -> ResultLabels {
    let Some(of) = first_of_series(call) else { return ResultLabels::none() };
    let labels = result_labels(of);
    let text = |place: usize| match call.args.args.get(place).map(|arg| &**arg) {
        Some(Expr::StringLiteral(text)) => Some(text.val.clone()),
        _ => None,
    };
    match call.func.name {
        "scalar" => ResultLabels::none(),
        "absent" | "absent_over_time" => ResultLabels::OfSeries,
        "histogram_quantile" => narrowed(labels, &["le".to_owned()]),
        "label_replace" | "label_join" => match text(1) {
            Some(label) => widened(labels, &[label]),
            None => ResultLabels::OfSeries,
        },
        _ => labels,
    }
}

/// The first argument that is no number and no text.
fn first_of_series(call: &Call) -> Option<&Expr> {
    let mut args = call.args.args.iter().map(|arg| &**arg);
    args.find(|arg| matches!(arg.value_type(), ValueType::Vector | ValueType::Matrix))
}

/// What an expression's numbers stand for; `None` where that cannot be told.
pub fn unit(expr: &Expr) -> Option<Unit> {
    match expr {
        Expr::Paren(of) => unit(&of.expr),
        Expr::Unary(of) => unit(&of.expr),
        Expr::Aggregate(of) if of.op.id() == T_SUM => unit(&of.expr),
        Expr::Binary(of) => unit_of_two(of),
        Expr::Call(call) => unit_of_call(call),
        Expr::VectorSelector(series) => named(series),
        _ => None,
    }
}

/// Recorded series say in their names what they are.
fn named(series: &VectorSelector) -> Option<Unit> {
    let name = series.name.as_deref()?;
    let (level, operation) = name.rsplit_once(':')?;
    let unit = |per_second| Some(Unit { per_second, scale: 1.0 });
    match (operation.contains("rate"), operation.contains("increase")) {
        _ if level.is_empty() || operation.contains("ratio") => None,
        (true, false) => unit(true),
        (false, true) => unit(false),
        _ => None,
    }
}

fn unit_of_two(of: &BinaryExpr) -> Option<Unit> {
    let number = |expr: &Expr| match expr {
        Expr::NumberLiteral(NumberLiteral { val }) if *val > 0.0 => Some(*val),
        Expr::Paren(of) => match &*of.expr {
            Expr::NumberLiteral(NumberLiteral { val }) if *val > 0.0 => Some(*val),
            _ => None,
        },
        _ => None,
    };
    let scaled = |unit: Unit, by: f64| Unit { scale: unit.scale * by, ..unit };
    match of.op.id() {
        T_MUL => match (number(&of.lhs), number(&of.rhs)) {
            (Some(by), None) => Some(scaled(unit(&of.rhs)?, by)),
            (None, Some(by)) => Some(scaled(unit(&of.lhs)?, by)),
            _ => None,
        },
        T_DIV => Some(scaled(unit(&of.lhs)?, 1.0 / number(&of.rhs)?)),
        // An alternative for what is not there, such as `or vector(0)`.
        T_LOR => unit(&of.lhs).or_else(|| unit(&of.rhs)),
        T_ADD | T_SUB if selectors(&of.rhs).is_empty() => unit(&of.lhs),
        T_ADD | T_SUB if selectors(&of.lhs).is_empty() => unit(&of.rhs),
        T_ADD | T_SUB => unit(&of.lhs).filter(|left| unit(&of.rhs).as_ref() == Some(left)),
        _ if of.op.is_set_operator() => unit(&of.lhs),
        _ if of.op.is_comparison_operator() && !of.return_bool() => unit(&of.lhs),
        _ => None,
    }
}

fn unit_of_call(call: &Call) -> Option<Unit> {
    let of = first_of_series(call)?;
    match call.func.name {
        "rate" | "irate" => Some(Unit { per_second: true, scale: 1.0 }),
        "increase" | "delta" | "count_over_time" | "changes" => Some(Unit { per_second: false, scale: 1.0 }),
        "avg_over_time" => match of {
            Expr::Subquery(over) => unit(&over.expr),
            Expr::MatrixSelector(range) => named(&range.vs),
            _ => None,
        }
        .filter(|unit| unit.per_second),
        // Increases over each step, summed up over all.
        "sum_over_time" => match of {
            Expr::Subquery(over) => unit(&over.expr),
            Expr::MatrixSelector(range) => named(&range.vs),
            _ => None,
        }
        .filter(|unit| !unit.per_second),
        "scalar" | "abs" | "ceil" | "floor" | "round" | "clamp" | "clamp_min" | "clamp_max"
        | "label_replace" | "label_join" | "sort" | "sort_desc" | "histogram_count" => unit(of),
        _ => None,
    }
}

/// Labels by whose matchers two queries differ.
pub fn differing_labels(one: &Expr, other: &Expr) -> BTreeSet<String> {
    let matchers = |expr: &Expr| -> Vec<Matcher> {
        let of = selectors(expr).into_iter().flat_map(|series| series.matchers.matchers.clone());
        of.filter(|matcher| matcher.name != "__name__").collect()
    };
    let (one, other) = (matchers(one), matchers(other));
    let alone = |of: &[Matcher], without: &[Matcher]| -> BTreeSet<String> {
        of.iter().filter(|matcher| !without.contains(matcher)).map(|matcher| matcher.name.clone()).collect()
    };
    alone(&one, &other).into_iter().chain(alone(&other, &one)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse_promql;
    use super::*;

    #[test]
    fn labels_of_results_are_told() {
        let known =
            |labels: &[&str]| ResultLabels::Known(labels.iter().map(|label| (*label).to_owned()).collect());
        for (query, expected) in [
            ("sum(rate(x[5m]))", known(&[])),
            ("sum by (zone) (rate(x[5m])) * 60", known(&["zone"])),
            ("100 - (sum(x) by (b, a))", known(&["a", "b"])),
            ("sum without (code) (rate(x[5m]))", ResultLabels::OfSeries),
            ("sum without (code) (sum by (code, zone) (x))", known(&["zone"])),
            ("rate(x[5m])", ResultLabels::OfSeries),
            ("sum(a) or vector(0)", known(&[])),
            ("sum(a) or b", ResultLabels::OfSeries),
            ("sum by (zone) (a) / on (zone) group_left (pod) b", known(&["pod", "zone"])),
            ("a * on (zone) b", known(&["zone"])),
            ("histogram_quantile(0.9, sum by (le, zone) (rate(x[5m])))", known(&["zone"])),
            ("scalar(sum(x))", known(&[])),
            ("1", known(&[])),
            ("max_over_time(sum by (a) (x)[5m:])", known(&["a"])),
            ("topk(1, sum by (a) (x))", known(&["a"])),
            ("count_values by (a) (\"v\", x)", known(&["a", "v"])),
            ("label_replace(sum(x), \"new\", \"$1\", \"old\", \"(.*)\")", known(&["new"])),
        ] {
            assert_eq!(result_labels(&parse_promql(query).unwrap()), expected, "{query}");
        }
    }

    #[test]
    fn what_numbers_stand_for_is_told() {
        let events = |query: &str| unit(&parse_promql(query).unwrap()).map(|unit| unit.events(300.0));
        for (query, expected) in [
            ("sum(rate(x[5m]))", Some(300.0)),
            ("sum(increase(x[5m]))", Some(1.0)),
            ("sum(rate(x[5m])) * 60", Some(5.0)),
            ("(sum(increase(x[5m])) / 300)", Some(300.0)),
            ("sum(rate(x[5m])) + sum(rate(y[5m])) or vector(0)", Some(300.0)),
            ("sum(rate(x[5m])) - sum(increase(y[5m]))", None),
            ("sum(avg_over_time(job:good:rate5m[1h]))", Some(300.0)),
            ("sum(job:good:rate5m)", Some(300.0)),
            ("sum(sum_over_time(job:good:increase1m[1h]))", Some(1.0)),
            ("sum(job:errors:ratio_rate5m)", None),
            ("sum(x) / sum(y)", None),
            ("histogram_count(sum(rate(x[5m])))", Some(300.0)),
            ("sum(x)", None),
            ("sum(count_over_time((up == 1)[5m:15s]))", Some(1.0)),
            ("avg_over_time(up[5m])", None),
        ] {
            assert_eq!(events(query), expected, "{query}");
        }
    }
}
