//! The queries of objectives: what of them would make rules that alert wrongly, or that Prometheus refuses.

use promql_parser::parser::token::{T_ADD, T_LOR, T_SUB};
use promql_parser::parser::{Expr, NumberLiteral};

use emac_document::types::{Type, typed, word};
use emac_document::{
    InvalidPromql, Reader, ResultLabels, is_recordable, parse_promql, parts, result_labels, selectors, unit,
    window_use,
};

const WINDOW_HELP: &str =
    "write the range as `[{{ .window }}]`, as in sum(rate(x[{{ .window }}])): alerts compare several windows";

/// PromQL of which rules are made for one window after another.
pub(super) fn events<'a>() -> impl Type<'a, Value = String> {
    typed(|| word().shape(), read_events)
}

fn read_events(reader: Reader<'_>) -> Option<String> {
    let query = recorded(reader)?;
    let found = window_use(&query).ok()?;
    let (windowed, other) = (found.windowed, found.fixed + found.instant);
    if windowed == 0 && found.fixed > 0 {
        return reader
            .refuse_with("the query's range is always the same: it has no `{{ .window }}`", WINDOW_HELP);
    }
    if windowed == 0 && found.instant > 0 {
        return reader
            .refuse_with("the query has no range: it reads no window, but one instant", WINDOW_HELP);
    }
    if windowed == 0 {
        reader.warn(
            "the query reads no series: it counts no events",
            "few events are then not told from many, nor none from some",
        );
    } else if other > 0 {
        let (all, what) = (windowed + other, if other == 1 { "one" } else { "some" });
        reader.warn(
            format!("{what} of {all} selectors is not read over `{{{{ .window }}}}`"),
            "it is the same for every window, unless it only selects",
        );
    }
    Some(query)
}

/// PromQL of a quantile, of which one rule is made.
pub(super) fn quantile<'a>() -> impl Type<'a, Value = String> {
    typed(|| word().shape(), read_quantile)
}

fn read_quantile(reader: Reader<'_>) -> Option<String> {
    let query = recorded(reader)?;
    let found = window_use(&query).ok()?;
    if found.windowed + found.fixed == 0 {
        reader.warn(
            "the query has no range: of counters it tells what was since they began",
            "write the range as `[{{ .window }}]`, or leave it if the series is a recorded quantile",
        );
    }
    Some(query)
}

/// Refuses a query of another quantile than the objective's: a p95 below the threshold says nothing of the p99, and a mean of neither.
pub(super) fn is_of_quantile(reader: Reader<'_>, query: &str, name: &str, share: f64) -> Option<()> {
    let expr = parse_promql(query).ok()?;
    let series = selectors(&expr);
    let found = shares(&expr);
    let percent = |share: &f64| format!("p{}", (share * 1e14).round() / 1e12);
    if !found.is_empty() && !found.iter().any(|found| (found - share).abs() < 1e-9) {
        let asked = found.iter().map(percent).collect::<Vec<_>>().join(", ");
        return reader.refuse_with(
            format!("evidence.promql asks for the {asked}, and the objective is of the {name}"),
            "write the objective's quantile into the query, or the query's into the objective",
        );
    }
    let named =
        |end: &str| series.iter().any(|one| one.name.as_deref().is_some_and(|name| name.ends_with(end)));
    if found.is_empty() && named("_sum") && named("_count") {
        return reader.refuse_with(
            format!("evidence.promql is a mean, and the objective is of the {name}"),
            format!("such as histogram_quantile({share}, sum by (le) (rate(x_bucket[{{{{ .window }}}}])))"),
        );
    }
    let is_scaled = matches!(&expr, Expr::Binary(_));
    let millis = series.iter().filter_map(|one| one.name.as_deref());
    let mut millis = millis
        .filter(|name| name.split(['_', ':']).any(|word| matches!(word, "milliseconds" | "millis" | "msec")));
    if let Some(of) = millis.next().filter(|_| !is_scaled) {
        reader.warn(
            format!("`{of}` is named for milliseconds, and the threshold is in seconds"),
            "divide the query by 1000",
        );
    }
    Some(())
}

/// The quantiles that a query asks for, 0 to 1.
fn shares(expr: &Expr) -> Vec<f64> {
    let number = |expr: &Expr| match expr {
        Expr::NumberLiteral(NumberLiteral { val }) => Some(*val),
        _ => None,
    };
    let mut found = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Call(call) if call.func.name.contains("quantile") => {
                found.extend(call.args.args.first().and_then(|share| number(share)));
            }
            Expr::Aggregate(of) if of.op.to_string() == "quantile" => {
                found.extend(of.param.as_ref().and_then(|share| number(share)));
            }
            _ => {}
        }
        open.extend(parts(expr));
    }
    let labels = selectors(expr).into_iter().flat_map(|series| series.matchers.matchers.iter());
    found.extend(labels.filter(|one| one.name == "quantile").filter_map(|one| one.value.parse::<f64>().ok()));
    found
}

/// PromQL of which rules are made. A function that is not known would make a rule file that no known Prometheus loads.
fn recorded(reader: Reader<'_>) -> Option<String> {
    let text = reader.word()?;
    match parse_promql(text) {
        Ok(expr) if is_recordable(&expr) => Some(text.to_owned()),
        Ok(_) => reader.refuse("Prometheus records numbers, neither ranges of them nor text"),
        Err(error @ InvalidPromql::UnknownFunction(_)) => {
            reader.refuse_with(error.to_string(), "record it as a series of its own, where Prometheus has it")
        }
        Err(_) => reader.promql().map(str::to_owned),
    }
}

/// Refuses good and total events that make no ratio: Prometheus would match nothing, or divide a number by a rate.
pub(super) fn ratio(reader: Reader<'_>, good: &str, total: &str) -> Option<()> {
    let (good, total) = (parse_promql(good).ok()?, parse_promql(total).ok()?);
    if good == total {
        return reader.refuse_with(
            "goodEventQuery and totalEventQuery are the same: nothing would ever fail",
            "leave failures out of goodEventQuery, as in x{code!~\"5..\"}",
        );
    }
    if let (Some(good), Some(total)) = (unit(&good), unit(&total))
        && good != total
    {
        let said = |unit: emac_document::Unit| if unit.per_second { "events a second" } else { "events" };
        return match good.per_second == total.per_second {
            true => reader
                .refuse("goodEventQuery and totalEventQuery are multiplied differently: they make no ratio"),
            false => reader.refuse(format!(
                "goodEventQuery gives {} and totalEventQuery {}: they make no ratio",
                said(good),
                said(total)
            )),
        };
    }
    if selectors(&total).is_empty() {
        return Some(());
    }
    if has_default(&total) {
        reader.warn(
            "totalEventQuery gives a number where there are no series (`or vector(...)`): that is left out",
            "without series nothing is measured, which the alert for absent metrics tells",
        );
    }
    match (result_labels(&good), result_labels(&total)) {
        (ResultLabels::Known(good), ResultLabels::Known(total)) if good != total => {
            let list = |labels: std::collections::BTreeSet<String>| match labels.len() {
                0 => "none".to_owned(),
                _ => labels.into_iter().collect::<Vec<_>>().join(", "),
            };
            reader.refuse_with(
                format!(
                    "goodEventQuery has the labels {} and totalEventQuery {}: Prometheus matches nothing",
                    list(good),
                    list(total)
                ),
                "aggregate both by the same labels",
            )
        }
        (ResultLabels::Known(_), ResultLabels::OfSeries)
        | (ResultLabels::OfSeries, ResultLabels::Known(_)) => {
            reader.warn(
                "only one of goodEventQuery and totalEventQuery is aggregated",
                "Prometheus matches them only where the series have no other labels",
            );
            Some(())
        }
        _ => Some(()),
    }
}

/// `x or vector(0)`, also as an addend.
fn has_default(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(of) => has_default(&of.expr),
        Expr::Binary(of) if of.op.id() == T_LOR => {
            selectors(&of.rhs).is_empty() && !selectors(&of.lhs).is_empty()
        }
        Expr::Binary(of) if [T_ADD, T_SUB].contains(&of.op.id()) => {
            has_default(&of.lhs) || has_default(&of.rhs)
        }
        _ => false,
    }
}
