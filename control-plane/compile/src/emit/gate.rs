//! What a canary must show, for every rollout controller: measurements with their limits.
//!
//! A gate measures the canary or says that it cannot. Every selector of every query has the canary's label. What is measured of too few requests, of no
//! requests, or of series that are not there (any more) is no number, and no number passes. No success among requests is failure.

use promql_parser::label::{MatchOp, Matcher};

use super::prometheus::{FAILURES_MIN, Quantile, Sli, default_quantile, round};
use crate::compile::Compiled;
use emac_core::units::Ratio;
use emac_document::{Unit, parse_promql, selectors, with_window};

/// Argument with the error budget.
pub(super) const BUDGET: &str = "error-budget";
/// Window of the canary's own measurements: five scrapes a minute apart.
pub(super) const WINDOW: &str = "5m";
const WINDOW_SECONDS: f64 = 300.0;
/// More requests than this are not asked for by default: a small canary could never show them.
const REQUESTS_MOST: f64 = 100.0;
/// Annotation with what [`counted_at_the_edge`] says.
pub(super) const EDGE_NOTE: &str = "emac.dev/counted-at-the-edge";
/// What the edge's proxies count.
const EDGE: &str = "journey_requests_total";
/// Where more than half again as many events are good as there are events at all, something else is measured.
const GOOD_MOST: f64 = 1.5;

/// Where numbers may lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// At or above it.
    Least(f64),
    /// At or below it, and not below a floor that no right measurement is under.
    Most { most: f64, floor: Option<f64> },
    /// At or above it; below it nothing is decided.
    Enough(f64),
    /// Never.
    Never,
}

impl Limit {
    /// The number that is compared with.
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Least(value) | Self::Most { most: value, .. } | Self::Enough(value) => value,
            Self::Never => 0.0,
        }
    }
}

/// One measurement with its limit.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    /// More of its name, such as `p99-5m`.
    pub(super) of: String,
    /// Name of the limit where limits have names.
    pub(super) argument: &'static str,
    pub(super) limit: Limit,
    pub(super) query: String,
}

impl Metric {
    fn new(name: &'static str, argument: &'static str, limit: Limit, query: String) -> Self {
        Self { name, of: String::new(), argument, limit, query }
    }
}

/// How a number is written into queries, by the name of its argument: as the argument, or as it is.
pub(super) type Written = fn(&'static str, f64) -> String;

/// What is measured, in order; `matcher` selects the canary.
pub(super) fn metrics(
    compiled: &Compiled<'_>,
    sli: &Sli,
    matcher: &Matcher,
    written: Written,
) -> Vec<Metric> {
    let series = |rest: &str| format!("journey:{}:{rest}", sli.metric);
    let governance = &compiled.intent.governance;
    let mut metrics = Vec::new();
    if compiled.preview {
        metrics.push(Metric::new("preview-never-passes", "preview", Limit::Never, "vector(1)".to_owned()));
    }
    metrics.extend([
        Metric::new(
            "pessimistic-availability-bound",
            "availability-objective",
            Limit::Least(sli.target.get()),
            series("availability_bound{bound=\"pessimistic\"}"),
        ),
        Metric::new(
            "model-delta-confidence",
            "auto-accept-confidence",
            Limit::Least(governance.auto_accept_confidence.get()),
            series("model_delta:confidence"),
        ),
        Metric::new(
            "unresolved-domain-conflict",
            "max-domain-conflicts",
            Limit::Most { most: 0.0, floor: None },
            series("model:unresolved_domain_conflict"),
        ),
    ]);
    metrics.extend(burn_rate(compiled, sli, matcher, written));
    metrics.extend(latency(compiled, sli, matcher, written));
    metrics
}

/// Limits that the intent gives its canaries.
fn gate(compiled: &Compiled<'_>) -> emac_journey::intent::Gate {
    compiled.intent.governance.delivery.as_ref().map(|delivery| delivery.gate).unwrap_or_default()
}

/// Requests of the canary below which nothing is decided: as many as make two failures burn the budget at the limit, and at most
/// [`REQUESTS_MOST`].
pub(super) fn requests_min(compiled: &Compiled<'_>, sli: &Sli) -> f64 {
    let gate = gate(compiled);
    let two = 2.0 / (gate.burn_rate_max.unwrap_or(1.0) * sli.budget());
    gate.requests_min.map_or_else(|| two.min(REQUESTS_MOST).ceil(), f64::from)
}

fn burn_rate(compiled: &Compiled<'_>, sli: &Sli, matcher: &Matcher, written: Written) -> Vec<Metric> {
    let Ok(events) = sli.events(WINDOW) else { return Vec::new() };
    let events = events.of_series(matcher);
    let most = gate(compiled).burn_rate_max.unwrap_or(1.0);
    let burn = format!("({}) / {}", events.errors_of_some(), written(BUDGET, sli.budget()));
    let unit = events.unit().filter(|_| events.counts());
    // A window holds what was measured before the canary's series vanished: above the limit that fails, below it nothing passes.
    let present = events.present();
    let query = match unit {
        None => match &present {
            Some(present) => {
                let most = written("max-canary-burn-rate", most);
                format!("(({burn}) > {most}) or (({burn}) and on () ({present}))")
            }
            None => burn,
        },
        // Divided by nothing, and so no number, where it is above the limit by a failure or two.
        Some(unit) => {
            let failures = format!("({}){}", events.failed(), times(unit));
            let most = written("max-canary-burn-rate", most);
            format!("{burn} + 0 / (({burn} <= bool {most}) + ({failures} >= bool {FAILURES_MIN}))")
        }
    };
    let limit = Limit::Most { most, floor: Some(-(GOOD_MOST - 1.0) / sli.budget()) };
    let mut metrics = vec![Metric {
        of: WINDOW.to_owned(),
        ..Metric::new("canary-burnrate", "max-canary-burn-rate", limit, query)
    }];
    if let Some(unit) = unit {
        let requests = format!("sum({}){}", events.total(), times(unit));
        let requests = match present {
            Some(present) => format!("{requests} and on () ({present})"),
            None => requests,
        };
        metrics.push(Metric {
            of: WINDOW.to_owned(),
            ..Metric::new(
                "canary-requests",
                "min-canary-requests",
                Limit::Enough(requests_min(compiled, sli)),
                requests,
            )
        });
    }
    metrics
}

/// ` * 300`, which makes events of a rate.
fn times(unit: Unit) -> String {
    match round(unit.events(WINDOW_SECONDS)) {
        1.0 => String::new(),
        by => format!(" * {by}"),
    }
}

/// The objective's quantile against its threshold, and the p99 against the canary's own limit.
fn latency(compiled: &Compiled<'_>, sli: &Sli, matcher: &Matcher, written: Written) -> Vec<Metric> {
    let of = |quantile: Quantile, name: &str, limit: f64, argument: &'static str| Metric {
        of: format!("{}-{WINDOW}", name.replace('.', "-")),
        ..Metric::new(
            "canary-latency",
            argument,
            Limit::Most { most: limit, floor: None },
            quantile.of_series(matcher).judged(&written(argument, limit)),
        )
    };
    let own = gate(compiled).p99_max.map(|limit| limit.0 as f64 / 1e6);
    let mut metrics = Vec::new();
    if let Some(latency) = &sli.latency {
        let is_p99 = latency.name == "p99";
        let limit = own.filter(|_| is_p99).unwrap_or(latency.threshold);
        if let Some(quantile) = Quantile::of(&latency.query, WINDOW, WINDOW_SECONDS) {
            metrics.push(of(quantile.of_sidecars(), &latency.name, limit, "max-latency-seconds"));
        }
        if is_p99 {
            return metrics;
        }
    }
    if let (Some(limit), Some((quantile, _))) = (own, p99(compiled, sli)) {
        metrics.push(of(quantile, "p99", limit, "max-p99-latency-seconds"));
    }
    metrics
}

/// The p99: the objective's query with another share, else the histogram that sidecars expose; and whether it is the former.
pub(super) fn p99(compiled: &Compiled<'_>, sli: &Sli) -> Option<(Quantile, bool)> {
    let share = Ratio::new(0.99).unwrap_or_default();
    let read = |query: &str| Some(Quantile::of(query, WINDOW, WINDOW_SECONDS)?.of_sidecars());
    let own = sli.latency.as_ref().and_then(|latency| read(&latency.query)?.with_share(share));
    match own {
        Some(quantile) => Some((quantile, true)),
        None => Some((read(&default_quantile(compiled.intent.name.as_str(), share))?, false)),
    }
}

/// Where what is counted is what the journey's edge counts: on which condition that is the canary's, and what to do otherwise.
pub(super) fn counted_at_the_edge(compiled: &Compiled<'_>, sli: &Sli, label: &str) -> Option<String> {
    let of_edge = |query: &str| {
        let expr = parse_promql(&with_window(query, WINDOW)).ok();
        expr.is_some_and(|expr| selectors(&expr).iter().any(|one| one.name.as_deref() == Some(EDGE)))
    };
    if ![&sli.good, &sli.total].into_iter().any(|query| of_edge(query)) {
        return None;
    }
    let edges: Vec<_> = compiled.intent.runtime.policy.edges.iter().map(ToString::to_string).collect();
    let edge = if edges.is_empty() { String::new() } else { format!(" (here {})", edges.join(", ")) };
    Some(format!(
        "{EDGE} is counted at the journey's edge{edge} and has the label {label} only where the rollout's pods are that edge. For a gateway, or a service behind the edge, every analysis is inconclusive: state goodEventQuery and totalEventQuery of series that the rollout's own pods have, such as istio_requests_total{{reporter=\"destination\"}}"
    ))
}

/// `label="value"`.
pub(super) fn equal(label: &str, value: &str) -> Matcher {
    Matcher::new(MatchOp::Equal, label, value)
}
