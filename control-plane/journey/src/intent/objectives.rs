//! `spec.objectives`: what is promised.

use emac_core::units::{Micros, Ratio};

use super::queries;
use emac_document::{Fields, Reader};

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

impl Objectives {
    pub(super) fn read(reader: Reader<'_>) -> Option<Self> {
        reader.fields(|fields| {
            let availability =
                fields.required("availability", |availability| availability.fields(availability_));
            let latency = fields.optional("latency", |latency| latency.fields(latency_));
            Some(Self { availability: availability?, latency })
        })
    }
}

fn availability_(fields: &mut Fields<'_>) -> Option<AvailabilityObjective> {
    let window = fields.required("window", Reader::duration);
    let target = fields.required("target", target);
    let sli = fields.optional("sli", |sli| sli.fields(sli_));
    Some(AvailabilityObjective { window: window?, target: target?, sli })
}

/// A target of 1 leaves no error budget, a target of 0 promises nothing.
pub(super) fn target(reader: Reader<'_>) -> Option<Ratio> {
    let target = reader.ratio()?;
    if target == Ratio::ONE {
        return reader
            .refuse_with("a target of 1 leaves no error budget", "write a share below 1, such as 0.999");
    }
    if target == Ratio::ZERO {
        return reader.refuse_with("a target of 0 promises nothing", "write a share above 0, such as 0.999");
    }
    Some(target)
}

fn sli_(fields: &mut Fields<'_>) -> Option<RatioSli> {
    let good = fields.required("goodEventQuery", queries::events);
    let total = fields.required("totalEventQuery", queries::events);
    let (good, total) = (good?, total?);
    queries::ratio(fields.reader(), &good, &total)?;
    Some(RatioSli { good, total })
}

fn latency_(fields: &mut Fields<'_>) -> Option<LatencyObjective> {
    let window = fields.required("window", Reader::duration);
    let objective = fields.required("objective", |objective| {
        objective.fields(|fields| {
            let metric = fields.required("metric", metric);
            let threshold = fields.required("threshold", Reader::seconds);
            Some((metric?, threshold?))
        })
    });
    let promql = fields.optional("evidence", |evidence| {
        evidence.fields(|fields| fields.required("promql", queries::quantile))
    });
    let (metric, threshold) = objective?;
    Some(LatencyObjective { window: window?, metric, threshold, promql })
}

fn metric(reader: Reader<'_>) -> Option<LatencyMetric> {
    let name = reader.text()?;
    // Scaled as decimal text, so that p99.9 is the double nearest to 0.999.
    let percent =
        name.strip_prefix('p').filter(|percent| percent.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    let quantile = percent.and_then(|percent| format!("{percent}e-2").parse::<f64>().ok());
    match quantile.filter(|quantile| (0.5..=0.999).contains(quantile)).map(Ratio::new) {
        Some(Ok(quantile)) => Some(LatencyMetric { name: name.to_owned(), quantile }),
        _ => reader.refuse_with("expected a quantile from p50 to p99.9", "such as p99"),
    }
}
