//! Atomic SLOs: what each service promises on its own, as OpenSLO v1 documents (<https://github.com/OpenSLO/OpenSLO>).
//!
//! A journey's components refer to them (`atomicSLORef: openslo:<name>`). [`Slos`] holds the documents of a repository; [`Slos::resolve`] turns
//! a component's references into one [`Promise`]. Of an SLO only what bears on a promise is read and checked; the rest belongs to other
//! tools, and fields unknown here are let pass.

mod read;
mod resolve;

use std::collections::BTreeMap;

use emac_core::units::{Micros, Ratio};

use emac_document::{Document, Problems};

pub use resolve::{LatencyPoint, Promise, Promises};

/// Version of the documents read here.
pub const API_VERSION: &str = "openslo/v1";

/// One SLO.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// `metadata.name`.
    pub name: String,
    /// `spec.service`.
    pub service: String,
    /// `spec.timeWindow[0]`.
    pub window: Option<Micros>,
    /// `spec.budgetingMethod`.
    pub budgeting: Budgeting,
    /// `spec.indicator`, or the SLI document that `spec.indicatorRef` names.
    pub indicator: Indicator,
    /// `spec.objectives`, at least one.
    pub objectives: Vec<Objective>,
    /// `file:line` of the document.
    pub place: String,
}

/// What a target counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budgeting {
    /// Requests.
    Occurrences,
    /// Slices of time.
    Timeslices,
    /// Slices of time, weighted.
    RatioTimeslices,
}

/// How it is measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Indicator {
    /// `ratioMetric`.
    Ratio {
        /// `good`, or `bad`.
        part: RatioPart,
        /// `total`.
        total: Metric,
        /// `counter`: the queries give counters, not rates.
        counter: bool,
    },
    /// `ratioMetric.raw`: the share itself.
    Raw {
        /// `raw`.
        metric: Metric,
        /// `rawType: failure`: the share of bad events.
        of_failures: bool,
    },
    /// `thresholdMetric`: a number to compare with each objective's `value`.
    Threshold(Metric),
}

/// The numerator of a ratio.
#[derive(Clone, Debug, PartialEq)]
pub enum RatioPart {
    /// Good events.
    Good(Metric),
    /// Bad events.
    Bad(Metric),
}

/// A `metricSource`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metric {
    /// `type`, such as `Prometheus`.
    pub kind: Option<String>,
    /// `metricSourceRef`.
    pub source: Option<String>,
    /// `spec.query` or `spec.promql`.
    pub query: Option<String>,
}

/// One of `objectives`.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// `displayName`.
    pub name: Option<String>,
    /// `target`, or `targetPercent` / 100; below 1, not below 0.
    pub target: Ratio,
    /// `op` and `value`, of a threshold metric.
    pub threshold: Option<Threshold>,
}

/// `op` and `value`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// `lte` or `lt`: good is below; otherwise above.
    pub below: bool,
    /// `value`, in the metric's own unit.
    pub value: f64,
    /// The value as a time, when the metric's unit is one (`emac.dev/unit` in the SLO's annotations; seconds when absent).
    pub time: Option<Micros>,
}

/// The SLOs of a repository, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slos {
    by_name: BTreeMap<String, Slo>,
}

impl Slos {
    /// Reads every OpenSLO document of kind SLO and SLI among `documents`; other kinds are passed over. Two SLOs of one name are a problem.
    pub fn read(documents: &[Document], problems: &Problems) -> Self {
        let by_name = read::all(documents, problems);
        Self { by_name }
    }

    /// The SLO of a name.
    pub fn get(&self, name: &str) -> Option<&Slo> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Slo> {
        self.by_name.values()
    }
}

#[cfg(test)]
mod tests;
