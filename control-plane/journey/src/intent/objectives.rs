//! `spec.objectives`: what is promised.

use emac_core::units::{Micros, Ratio};

use super::queries;
use super::share::target;
use emac_document::Fields;
use emac_document::types::{Type, duration, mapping, seconds, text_like};

/// What a journey promises.
#[derive(Clone, Debug, PartialEq)]
pub struct Objectives {
    /// `availability`.
    pub availability: AvailabilityObjective,
    /// `latency`.
    pub latency: Option<LatencyObjective>,
}

/// `availability`: a share of requests that succeed.
#[derive(Clone, Debug, PartialEq)]
pub struct AvailabilityObjective {
    /// `window`: over which the share is taken.
    pub window: Micros,
    /// `target`: strictly between 0 and 1.
    pub target: Ratio,
    /// `sli`: how the share is measured.
    pub sli: Option<RatioSli>,
}

/// `sli`: PromQL with `{{ .window }}` where the window goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatioSli {
    /// `goodEventQuery`.
    pub good: String,
    /// `totalEventQuery`.
    pub total: String,
}

/// `latency`: a quantile that stays below a threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyObjective {
    /// `window`: over which the quantile is taken.
    pub window: Micros,
    /// `objective.metric`.
    pub metric: LatencyMetric,
    /// `objective.threshold`.
    pub threshold: Micros,
    /// `evidence.promql`: how the quantile is measured.
    pub promql: Option<String>,
}

/// A quantile by its usual name.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyMetric {
    /// `p50` ... `p99.9`.
    pub name: String,
    /// The share below it, 0.5 ..= 0.999.
    pub quantile: Ratio,
}

pub(super) fn objectives(fields: &mut Fields<'_>) -> Option<Objectives> {
    let says = "availability: the share of requests that succeed";
    let availability = fields.field("availability", mapping(availability), says).required();
    let says = "latency quantile; its threshold is the deadline unless `governance.runtime.deadline` is set";
    let latency = fields.field("latency", mapping(latency), says).optional();
    Some(Objectives { availability: availability?, latency })
}

fn availability(fields: &mut Fields<'_>) -> Option<AvailabilityObjective> {
    let window = fields.field("window", duration(), "time window of the share").required();
    let target = fields.field("target", target(), "target share, above 0 and below 1").required();
    let says = "how the share is measured; default: the sidecars' metrics";
    let sli = fields.field("sli", mapping(sli), says).optional();
    Some(AvailabilityObjective { window: window?, target: target?, sli })
}

fn sli(fields: &mut Fields<'_>) -> Option<RatioSli> {
    let says = "PromQL of good events; `{{ .window }}` is replaced by the window";
    let good = fields.field("goodEventQuery", queries::events(), says).required();
    let total = fields.field("totalEventQuery", queries::events(), "PromQL of all events").required();
    let (good, total) = (good?, total?);
    queries::ratio(fields.reader(), &good, &total)?;
    Some(RatioSli { good, total })
}

fn latency(fields: &mut Fields<'_>) -> Option<LatencyObjective> {
    let window = fields.field("window", duration(), "time window of the quantile").required();
    let objective = fields.field("objective", mapping(threshold), "the latency objective").required();
    let measured = |fields: &mut Fields<'_>| {
        fields.field("promql", queries::quantile(), "PromQL of the quantile").required()
    };
    let promql = fields.field("evidence", mapping(measured), "how the quantile is measured").optional();
    let (metric, threshold) = objective?;
    if let Some(promql) = &promql {
        queries::is_of_quantile(fields.reader(), promql, &metric.name, metric.quantile.get())?;
    }
    Some(LatencyObjective { window: window?, metric, threshold, promql })
}

fn threshold(fields: &mut Fields<'_>) -> Option<(LatencyMetric, Micros)> {
    let metric = fields.field("metric", metric(), "`p50` to `p99.9`").required();
    let says = "upper limit of the quantile; a bare number is seconds";
    let threshold = fields.field("threshold", seconds(), says).required();
    Some((metric?, threshold?))
}

fn metric<'a>() -> impl Type<'a, Value = LatencyMetric> {
    text_like("quantile", r"^p[0-9]+(\.[0-9]+)?$", "p99", |it, name| {
        // Scaled as decimal text, so that p99.9 is the double nearest to 0.999.
        let percent =
            name.strip_prefix('p').filter(|percent| percent.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        let quantile = percent.and_then(|percent| format!("{percent}e-2").parse::<f64>().ok());
        match quantile.filter(|quantile| (0.5..=0.999).contains(quantile)).map(Ratio::new) {
            Some(Ok(quantile)) => Some(LatencyMetric { name: name.to_owned(), quantile }),
            _ => it.refuse_with("expected a quantile from p50 to p99.9", "such as p99"),
        }
    })
}
