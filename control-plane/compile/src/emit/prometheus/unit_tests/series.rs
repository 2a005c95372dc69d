//! Series that an SLI's queries select, made up from its matchers.
//!
//! A query is taken as a weighted sum of series (sums, differences and multiples of rates of them). A good request then is one or two series that together add
//! one to the good events and one to all; a failed one adds to all only. So `good / (good + bad)`, `all - bad` and buckets of histograms are covered; what is no
//! such sum is not.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_ADD, T_DIV, T_LOR, T_MUL, T_SUB, T_SUM};
use promql_parser::parser::{Expr, LabelModifier, NumberLiteral, VectorSelector};
use serde_json::{Value, json};

use super::super::Sli;
use super::super::events::apart;
use super::super::promql::{Selector, example, named_selectors};
use super::traffic::{Part, Traffic};
use emac_document::{parse_generated, parse_promql, write_label, write_promql};

/// Labels of a series.
type Labels = BTreeMap<String, String>;

/// A metric with labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct One {
    metric: String,
    labels: Labels,
}

/// Series that one request of a kind adds to.
type Event = Vec<One>;

/// Series that the queries select.
pub(super) struct Series {
    total: Expr,
    good: Event,
    failed: Event,
    /// A label that tells instances apart and is in no query, or one by which the queries group.
    instance: String,
}

/// More candidates than this are not tried.
const CANDIDATES_MAX: usize = 96;

impl Series {
    pub(super) fn of(sli: &Sli) -> Option<Self> {
        let (good, total) = (parse_promql(&sli.good).ok()?, parse_promql(&sli.total).ok()?);
        let (good, total) = match apart(&good, &total) {
            Some(labels) => {
                let sum = |of: &Expr| format!("sum without ({labels}) ({})", write_promql(of));
                (parse_generated(&sum(&good)).ok()?, parse_generated(&sum(&total)).ok()?)
            }
            None => (good, total),
        };
        let mut named = named_selectors(&good)?;
        named.extend(named_selectors(&total)?);
        let candidates = candidates(&named);
        let weighed: Vec<_> = candidates
            .into_iter()
            .filter_map(|one| Some((weight(&good, &one)?, weight(&total, &one)?, one)))
            .collect();
        let event = |good: f64| {
            let fits = |pair: &[&(f64, f64, One)]| {
                let sum = |of: fn(&(f64, f64, One)) -> f64| pair.iter().map(|one| of(one)).sum::<f64>();
                let (g, t) = (sum(|one| one.0), sum(|one| one.1));
                t > 0.0 && (g - good * t).abs() < 1e-9
            };
            let single = weighed.iter().map(|one| vec![one]);
            let double = weighed.iter().flat_map(|one| weighed.iter().map(move |other| vec![one, other]));
            let found = single.chain(double).find(|pair| fits(pair))?;
            Some(found.into_iter().map(|(_, _, one)| one.clone()).collect::<Event>())
        };
        let (good_event, failed) = (event(1.0)?, event(0.0)?);
        let result = Self { total, good: good_event, failed, instance: instance(&named, &good) };
        // The zeros of a missing numerator have its denominator's labels: so must the numerator.
        let labels = |event: &Event, of: &Expr| {
            event.iter().map(|one| result_of(of, &one.labels)).collect::<BTreeSet<_>>()
        };
        let of_total = labels(&result.good, &result.total);
        (of_total.len() == 1 && of_total == labels(&result.failed, &result.total)).then_some(result)
    }

    /// Input series of some traffic.
    pub(super) fn values(&self, traffic: &Traffic) -> Vec<Value> {
        let steps = traffic.minutes * 60 / traffic.step_seconds;
        let mut counted: BTreeMap<String, Vec<Option<u64>>> = BTreeMap::new();
        for part in &traffic.parts {
            let half = steps / 2;
            let good_series: Vec<_> = self.good.iter().filter(|_| !part.without_good).collect();
            let kinds =
                [(&good_series, part.good, false), (&self.failed.iter().collect(), part.failed, part.once)];
            for (series, each, once) in kinds {
                for one in series {
                    let values =
                        counted.entry(self.name(one, part)).or_insert_with(|| vec![None; steps as usize + 1]);
                    for (step, value) in (0..=steps).zip(values.iter_mut()) {
                        let minute = step * traffic.step_seconds / 60;
                        if minute < part.from || minute > part.until {
                            continue;
                        }
                        let first = part.from * 60 / traffic.step_seconds;
                        let more = u64::from(once && step >= half);
                        *value = Some(value.unwrap_or_default() + (step - first) * each + more);
                    }
                }
            }
        }
        counted
            .into_iter()
            .map(|(series, values)| json!({"series": series, "values": notation(&values)}))
            .collect()
    }

    fn name(&self, one: &One, part: &Part) -> String {
        let labels = self.labels(one, part);
        let equal =
            |(label, value): (&String, &String)| write_label(&Matcher::new(MatchOp::Equal, label, value));
        let labels: Vec<_> = labels.iter().map(equal).collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        if one.metric.chars().all(plain) && !one.metric.starts_with(|c: char| c.is_ascii_digit()) {
            return format!("{}{{{}}}", one.metric, labels.join(","));
        }
        let name = write_label(&Matcher::new(MatchOp::Equal, "__name__", &one.metric));
        format!("{{{}}}", [vec![name], labels].concat().join(","))
    }

    fn labels(&self, one: &One, part: &Part) -> Labels {
        let mut labels = one.labels.clone();
        if !part.instance.is_empty() {
            labels.insert(self.instance.clone(), part.instance.to_owned());
        }
        labels
    }

    /// The results of the queries by their labels, each with the parts that make it.
    pub(super) fn results(&self, traffic: &Traffic) -> Vec<(Labels, Vec<Part>)> {
        let mut results: BTreeMap<Labels, Vec<Part>> = BTreeMap::new();
        for part in &traffic.parts {
            let of = self.failed.first().map(|one| result_of(&self.total, &self.labels(one, part)));
            results.entry(of.unwrap_or_default()).or_default().push(*part);
        }
        results.into_iter().collect()
    }
}

/// Labels by which instances can be told apart.
fn instance(named: &[Selector], good: &Expr) -> String {
    let pinned: BTreeSet<_> =
        named.iter().flat_map(|one| one.matchers.iter().map(|matcher| &matcher.name)).collect();
    if let Some(free) = grouping(good).into_iter().find(|label| !pinned.contains(label)) {
        return free;
    }
    let mut names = ["instance", "pod", "replica", "emac_instance"].into_iter();
    let free = names.find(|name| !pinned.contains(&(*name).to_owned()));
    free.unwrap_or("emac_instance").to_owned()
}

/// Labels of the outermost `by`.
fn grouping(expr: &Expr) -> Vec<String> {
    match expr {
        Expr::Paren(of) => grouping(&of.expr),
        Expr::Binary(of) => grouping(&of.lhs),
        Expr::Aggregate(of) => match &of.modifier {
            Some(LabelModifier::Include(labels)) => labels.labels.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Series with every combination of what matchers of their metric select and do not.
fn candidates(named: &[Selector]) -> Vec<One> {
    let mut by_metric: BTreeMap<&str, BTreeMap<&str, Vec<&Matcher>>> = BTreeMap::new();
    for one in named {
        let labels = by_metric.entry(&one.metric).or_default();
        one.matchers.iter().for_each(|matcher| labels.entry(&matcher.name).or_default().push(matcher));
    }
    let mut all = Vec::new();
    for (metric, labels) in by_metric {
        let mut combinations = vec![Labels::new()];
        for (label, matchers) in labels {
            let values = values(&matchers);
            let with = |of: &Labels, value: &String| {
                let mut of = of.clone();
                // An empty label is none.
                if !value.is_empty() {
                    of.insert(label.to_owned(), value.clone());
                }
                of
            };
            combinations =
                combinations.iter().flat_map(|of| values.iter().map(|value| with(of, value))).collect();
            combinations.truncate(CANDIDATES_MAX);
        }
        all.extend(combinations.into_iter().map(|labels| One { metric: metric.to_owned(), labels }));
    }
    all.truncate(2 * CANDIDATES_MAX);
    all
}

/// Values of a label that tell its matchers apart.
fn values(matchers: &[&Matcher]) -> Vec<String> {
    let mut values: Vec<String> = matchers.iter().filter_map(|matcher| example(matcher)).collect();
    let others = ["error", "500", "200", "other"];
    for matcher in matchers {
        values.extend(others.iter().find(|value| !matcher.is_match(value)).map(|value| (*value).to_owned()));
    }
    let fresh: Vec<_> =
        others.iter().filter(|value| matchers.iter().all(|matcher| !matcher.is_match(value))).collect();
    values.extend(fresh.first().map(|value| (**value).to_owned()));
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(value.clone()));
    values.truncate(6);
    values
}

/// What one more event of a series adds to a query's result; `None` where the result is no weighted sum of series.
fn weight(expr: &Expr, one: &One) -> Option<f64> {
    let number = |expr: &Expr| match expr {
        Expr::NumberLiteral(NumberLiteral { val }) => Some(*val),
        _ => None,
    };
    match expr {
        Expr::Paren(of) => weight(&of.expr, one),
        Expr::Unary(of) => Some(-weight(&of.expr, one)?),
        Expr::Aggregate(of) if of.op.id() == T_SUM => weight(&of.expr, one),
        Expr::Binary(of) if of.modifier.is_none() => match (of.op.id(), number(&of.lhs), number(&of.rhs)) {
            (T_ADD, None, None) => Some(weight(&of.lhs, one)? + weight(&of.rhs, one)?),
            (T_SUB, None, None) => Some(weight(&of.lhs, one)? - weight(&of.rhs, one)?),
            (T_MUL, Some(by), None) => Some(by * weight(&of.rhs, one)?),
            (T_MUL, None, Some(by)) => Some(by * weight(&of.lhs, one)?),
            (T_DIV, None, Some(by)) => Some(weight(&of.lhs, one)? / by),
            _ => None,
        },
        Expr::Binary(of) if of.op.id() == T_LOR && is_zero(&of.rhs) => weight(&of.lhs, one),
        Expr::Call(call) => match call.args.args.iter().map(|arg| &**arg).collect::<Vec<_>>().as_slice() {
            [Expr::MatrixSelector(range)] if ["rate", "increase"].contains(&call.func.name) => {
                let plain = range.vs.at.is_none() && range.vs.offset.is_none();
                plain.then(|| if selects(&range.vs, one) { 1.0 } else { 0.0 })
            }
            [of] if call.func.name == "scalar" => weight(of, one),
            _ => None,
        },
        _ => None,
    }
}

/// `vector(0)`.
fn is_zero(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let zero = |arg: &Expr| matches!(arg, Expr::NumberLiteral(NumberLiteral { val }) if *val == 0.0);
    call.func.name == "vector" && call.args.args.iter().all(|arg| zero(arg))
}

fn selects(series: &VectorSelector, one: &One) -> bool {
    let named = series.name.as_ref().is_none_or(|name| *name == one.metric);
    let value = |matcher: &Matcher| match matcher.name.as_str() {
        "__name__" => one.metric.clone(),
        // A label that is not there is empty.
        label => one.labels.get(label).cloned().unwrap_or_default(),
    };
    named && series.matchers.matchers.iter().all(|matcher| matcher.is_match(&value(matcher)))
}

/// Labels of a result that comes from one series.
fn result_of(expr: &Expr, labels: &Labels) -> Labels {
    match expr {
        Expr::Paren(of) => result_of(&of.expr, labels),
        Expr::Unary(of) => result_of(&of.expr, labels),
        Expr::Binary(of) => match &*of.lhs {
            Expr::NumberLiteral(_) => result_of(&of.rhs, labels),
            lhs => result_of(lhs, labels),
        },
        Expr::Call(call) if call.func.name == "scalar" => Labels::new(),
        Expr::Call(call) => call.args.args.last().map(|of| result_of(of, labels)).unwrap_or_default(),
        Expr::Aggregate(of) => {
            let inner = result_of(&of.expr, labels);
            let keep = |label: &String| match &of.modifier {
                None => false,
                Some(LabelModifier::Include(by)) => by.labels.contains(label),
                Some(LabelModifier::Exclude(without)) => !without.labels.contains(label),
            };
            inner.into_iter().filter(|(label, _)| keep(label)).collect()
        }
        _ => labels.clone(),
    }
}

/// Values in promtool's notation: runs of equal steps are `first+stepxcount`.
fn notation(values: &[Option<u64>]) -> String {
    let mut out = Vec::new();
    let mut at = 0;
    let mut ended = false;
    while at < values.len() {
        match values[at] {
            None => {
                let count = values[at..].iter().take_while(|value| value.is_none()).count();
                // What was there and is no longer has ended, as when a target goes away.
                if at > 0 && !ended {
                    ended = true;
                    out.push("stale".to_owned());
                    at += 1;
                    continue;
                }
                if out.is_empty() {
                    out.push(format!("_x{count}"));
                }
                at += count;
            }
            Some(first) => {
                let step = values.get(at + 1).copied().flatten().map(|next| next.saturating_sub(first));
                let step = step.unwrap_or_default();
                let runs =
                    |(place, value): &(usize, &Option<u64>)| **value == Some(first + step * *place as u64);
                let count = values[at..].iter().enumerate().take_while(runs).count();
                out.push(if count == 1 {
                    first.to_string()
                } else {
                    format!("{first}+{step}x{}", count - 1)
                });
                at += count;
            }
        }
    }
    out.join(" ")
}
