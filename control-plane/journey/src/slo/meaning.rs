//! What an objective promises, read from how it is measured.

use emac_core::units::Micros;
use promql_parser::parser::token::{T_DIV, T_SUB};
use promql_parser::parser::{Expr, VectorSelector};

use super::histogram::{self, Good};
use super::resolve::Counted;
use super::time::{self, Told};
use super::{Indicator, Metric, Objective, RatioPart, Slo, SloOrigin, Unit};

/// What an objective's target is a share of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    /// Answers that are good.
    Good,
    /// Answers within a time.
    Within(Within),
    /// Moments at which a number made of many answers was as it should be: no share of answers, whatever is said of it.
    Moments(String),
    /// It cannot be told, and why; the time that it would be.
    Unclear(String, Option<Within>),
}

/// Answers within a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Within {
    pub(super) time: Micros,
    pub(super) counted: Counted,
    /// What names all events that it is a share of: two with the same are shares of the same answers.
    pub(super) population: String,
}

/// What an objective of an SLO promises.
pub(super) fn of(slo: &Slo, objective: &Objective) -> Meaning {
    let Some(indicator) = slo.indicators.get(objective.indicator) else {
        return Meaning::Unclear("it has no indicator".to_owned(), None);
    };
    match indicator {
        Indicator::Ratio { part, total } => ratio(slo, part, total),
        Indicator::Raw { metric, of_failures } => raw(slo, metric, *of_failures),
        Indicator::Threshold(metric) => threshold(slo, metric, objective),
        Indicator::Within { histogram, time } => Meaning::Within(Within {
            time: *time,
            counted: Counted::AnyAnswer,
            population: population(slo, histogram),
        }),
        Indicator::Probe(_) => Meaning::Good,
        Indicator::Plugin(id) if id.to_ascii_lowercase().contains("availability") => Meaning::Good,
        Indicator::Plugin(id) => Meaning::Unclear(format!("only the plugin {id} knows what it counts"), None),
    }
}

fn ratio(slo: &Slo, part: &RatioPart, total: &Metric) -> Meaning {
    let (metric, bad) = match part {
        RatioPart::Good(metric) => (metric, false),
        RatioPart::Bad(metric) => (metric, true),
    };
    match metric.expr() {
        Some(numerator) => {
            let good = histogram::of_ratio(&numerator, bad, total.expr().as_ref());
            // Pyrra's ratios are of bad events, its latencies of good ones.
            if slo.origin == SloOrigin::Pyrra && !bad && good == Good::Answers {
                let why = "it is a latency, and its `success` does not say by `le` which time is kept";
                return Meaning::Unclear(why.to_owned(), None);
            }
            within(slo, good, population(slo, total))
        }
        None => unread_ratio(metric),
    }
}

fn raw(slo: &Slo, metric: &Metric, of_failures: bool) -> Meaning {
    match metric.expr() {
        Some(ratio) => within(slo, histogram::of_raw(&ratio, of_failures), denominator(&ratio)),
        None => unread_ratio(metric),
    }
}

/// What a ratio that is written as one query divides by, also behind `1 -`.
fn denominator(ratio: &Expr) -> String {
    match histogram::unwrapped(ratio) {
        Expr::Binary(binary) if binary.op.id() == T_DIV => {
            binary.rhs.to_string().chars().filter(|letter| !letter.is_whitespace()).collect()
        }
        Expr::Binary(binary) if binary.op.id() == T_SUB => denominator(&binary.rhs),
        other => other.to_string(),
    }
}

/// A ratio is of good answers, unless its query has words of a histogram or of a time in it.
fn unread_ratio(metric: &Metric) -> Meaning {
    const WORDS: [&str; 4] = ["_bucket", "histogram_", "le=", "vmrange"];
    let unclear = |why: &str| Meaning::Unclear(why.to_owned(), None);
    match metric.texts.as_str() {
        query if WORDS.iter().any(|word| query.contains(word)) => {
            unclear("its query, which cannot be read, uses a histogram")
        }
        query if time::names_time(query) => {
            unclear("its query, which cannot be read, has words of a time in it")
        }
        _ => Meaning::Good,
    }
}

fn within(slo: &Slo, good: Good, population: String) -> Meaning {
    match good {
        Good::Answers => Meaning::Good,
        Good::Unclear(why) => Meaning::Unclear(why.to_owned(), None),
        Good::Within { bound, metric, of_all } => {
            let counted = if of_all { Counted::GoodAnswer } else { Counted::AnyAnswer };
            let told = time::told(&metric);
            let found = time::of(bound, slo.unit, told).map(|time| Within { time, counted, population });
            if time::is_no_answers(&metric) {
                let why =
                    format!("the histogram {metric} is named for an age or another time that is no answer's");
                return Meaning::Unclear(why, found);
            }
            // Pyrra's SLOs of buckets are latencies, in seconds where the name says nothing else.
            let said = told != Told::Nothing || slo.unit != Unit::Unsaid || slo.origin == SloOrigin::Pyrra;
            match found {
                Some(found) if said => Meaning::Within(found),
                found => {
                    Meaning::Unclear(format!("nothing says that the histogram {metric} is of times"), found)
                }
            }
        }
    }
}

/// The text of what all events are; an SLO without one has answers of its own.
fn population(slo: &Slo, total: &Metric) -> String {
    match &total.query {
        Some(query) => query.split_whitespace().collect(),
        None => format!("SLO {}", slo.name),
    }
}

// === thresholds ===

fn threshold(slo: &Slo, metric: &Metric, objective: &Objective) -> Meaning {
    let Some(threshold) = objective.threshold else {
        return Meaning::Unclear("it has no `op` and `value`".to_owned(), None);
    };
    if !threshold.below {
        return Meaning::Unclear("a number above a threshold is no time that is kept".to_owned(), None);
    }
    let within = |told| {
        let time = time::of(threshold.value, slo.unit, told)?;
        Some(Within { time, counted: Counted::AnyAnswer, population: population(slo, metric) })
    };
    let told = match told(metric) {
        Ok(told) => told,
        Err(why) => return Meaning::Moments(why),
    };
    let unclear = |why: &str| Meaning::Unclear(why.to_owned(), within(told));
    match (slo.unit, told) {
        (Unit::None, _) => unclear("its unit is none: it is no time"),
        (Unit::Unsaid, Told::Nothing) => unclear("nothing says that what it compares is a time"),
        _ => within(told).map_or_else(|| unclear("its value is no time"), Meaning::Within),
    }
}

/// What a threshold's query says of its unit; why it is no number of single answers.
fn told(metric: &Metric) -> Result<Told, String> {
    match metric.expr() {
        Some(expr) => {
            let series = single(&expr)?;
            let name = histogram::metric(series);
            refuse_summary(name)?;
            if !histogram::matchers(series, "quantile").is_empty() {
                return Err(OF_QUANTILE.to_owned());
            }
            Ok(if time::is_no_answers(name) { Told::Nothing } else { time::told(name) })
        }
        None => {
            refuse_summary(&metric.texts)?;
            // Only a query names what is compared.
            let query = metric.query.as_deref().unwrap_or_default();
            Ok(if time::is_no_answers(query) { Told::Nothing } else { time::told(query) })
        }
    }
}

const OF_QUANTILE: &str = "it compares a quantile, so its target counts moments and not answers";
const OF_RATIO: &str = "it compares a ratio, which is no time, and its target counts moments and not answers";
const OF_MANY: &str =
    "it compares a number made of many answers, so its target counts moments and not answers";

fn refuse_summary(name: &str) -> Result<(), String> {
    let made = ["_sum", "_count", "_bucket", "_total"].iter().any(|end| name.ends_with(end));
    if made || time::is_summary(name) { Err(OF_MANY.to_owned()) } else { Ok(()) }
}

/// The series that a query selects and does nothing else with.
fn single(expr: &Expr) -> Result<&VectorSelector, String> {
    match histogram::unwrapped(expr) {
        Expr::VectorSelector(series) => Ok(series),
        Expr::MatrixSelector(range) => Ok(&range.vs),
        Expr::Call(call) if call.func.name == "last_over_time" => match call.args.args.first() {
            Some(inner) => single(inner),
            None => Err(OF_MANY.to_owned()),
        },
        other if takes_quantile(other) => Err(OF_QUANTILE.to_owned()),
        Expr::Binary(binary) if binary.op.id() == T_DIV => Err(OF_RATIO.to_owned()),
        _ => Err(OF_MANY.to_owned()),
    }
}

fn takes_quantile(expr: &Expr) -> bool {
    histogram::any(expr, |expr| match expr {
        Expr::Call(call) => call.func.name.contains("quantile"),
        Expr::Aggregate(aggregate) => aggregate.op.to_string() == "quantile",
        _ => false,
    })
}
