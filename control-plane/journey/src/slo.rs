//! Atomic SLOs: what each service promises on its own, as OpenSLO v1 (<https://github.com/OpenSLO/OpenSLO>), Sloth (<https://sloth.dev>) or Pyrra
//! (<https://github.com/pyrra-dev/pyrra>) documents.
//!
//! A journey's components refer to them (`atomicSLORef: openslo:<name>`). [`Slos`] holds the documents of a repository; [`Slos::resolve`] turns
//! a component's references into one [`Promise`]. Of an SLO only what bears on a promise is read and checked; the rest belongs to other
//! tools, and fields unknown here are let pass.
//!
//! What an objective promises is read from its indicator and not from its name: a share of good answers, a share of answers within a time (a histogram's buckets),
//! or nothing that can be used. When in doubt it promises nothing, and that is said.
//!
//! One SLO's way: `object` finds it in its document, also in a list, and says whose it is; `openslo`, `sloth` or `pyrra` read it into a [`Slo`]; `meaning` tells
//! what its indicator counts, for which `histogram` takes its queries apart and `time` knows names of times; `resolve` says what an objective is taken as
//! ([`AsWhat`]), by the role of the reference if it has one, and joins all that a component refers to into its [`Promise`].

mod histogram;
mod meaning;
mod object;
mod openslo;
mod pyrra;
mod resolve;
mod sloth;
mod time;

use std::collections::BTreeMap;

use emac_core::units::{Micros, Ratio};

use emac_document::{Document, Problem, Problems, Reader, parse_promql};
use promql_parser::parser::Expr;

use crate::intent::SloOrigin;
pub use object::{DocumentObject, counted, objects};
pub use resolve::{AsWhat, Counted, LatencyPoint, Promise, Promises, Taken};

/// Version of the OpenSLO documents read here.
pub const API_VERSION: &str = "openslo/v1";

/// One SLO.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// What names it among all: `metadata.name`; of Sloth's the SLO's id, `<service>-<name>`; of Pyrra's `<namespace>/<name>` if there is a namespace.
    pub name: String,
    /// Another name by which it is found where no other SLO has it: Sloth's and Pyrra's plain `name`.
    pub short: Option<String>,
    /// Whose document it is.
    pub origin: SloOrigin,
    /// `spec.service`; Pyrra has none.
    pub service: Option<String>,
    /// `spec.timeWindow[0]`.
    pub window: Option<Micros>,
    /// `spec.budgetingMethod`.
    pub budgeting: Budgeting,
    /// What is measured: one indicator of all objectives, or one for each (a composite).
    pub indicators: Vec<Indicator>,
    /// `spec.objectives`, at least one.
    pub objectives: Vec<Objective>,
    /// Unit of a threshold.
    pub unit: Unit,
    /// `file:line` of the SLO.
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
    /// Good or bad events over all.
    Ratio {
        /// `good`, or `bad`.
        part: RatioPart,
        /// `total`.
        total: Metric,
    },
    /// The share itself.
    Raw {
        /// `raw`.
        metric: Metric,
        /// The share of bad events.
        of_failures: bool,
    },
    /// `thresholdMetric`: a number to compare with each objective's `value`.
    Threshold(Metric),
    /// Pyrra's `latencyNative`: answers of a native histogram within a time.
    Within {
        /// The histogram.
        histogram: Metric,
        /// The time.
        time: Micros,
    },
    /// Pyrra's `bool_gauge`: probes that succeed.
    Probe(Metric),
    /// Sloth's `plugin`: an SLI that only the plugin of this id knows.
    Plugin(String),
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
    /// `type`, such as `Prometheus`; of a `metricSourceRef` that type of the DataSource it names.
    pub kind: Option<String>,
    /// `metricSourceRef`.
    pub source: Option<String>,
    /// `spec.query` or `spec.promql`, or `spec` itself where that is text.
    pub query: Option<String>,
    /// Every text of `spec`: where a query cannot be read, its words may tell of a time or a quantile.
    pub texts: String,
}

impl Metric {
    /// A query for a Prometheus.
    fn promql(query: impl Into<String>) -> Self {
        let query = query.into();
        Self { kind: Some("Prometheus".to_owned()), source: None, texts: query.clone(), query: Some(query) }
    }

    /// The query read as PromQL; `None` where there is none, where it is another system's, and where it is no PromQL.
    fn expr(&self) -> Option<Expr> {
        let ours = self.kind.as_deref().is_none_or(is_prometheus);
        let query = self.query.as_deref().filter(|_| ours)?;
        parse_promql(query).ok().filter(histogram::is_shallow)
    }
}

/// Names of systems that are asked in PromQL.
fn is_prometheus(kind: &str) -> bool {
    const NAMES: [&str; 8] = [
        "prometheus",
        "thanos",
        "mimir",
        "cortex",
        "victoriametrics",
        "amazonprometheus",
        "gcpprometheus",
        "googlemanagedprometheus",
    ];
    let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).collect();
    NAMES.iter().any(|name| kind.eq_ignore_ascii_case(name))
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
    /// `timeSliceTarget`: share of good events from which on a slice of time is good.
    pub slice_target: Option<Ratio>,
    /// Which of the SLO's `indicators`.
    pub indicator: usize,
}

/// `op` and `value`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// `lte` or `lt`: good is below; otherwise above.
    pub below: bool,
    /// `value`, in the metric's own unit.
    pub value: f64,
}

/// `metadata.annotations["emac.dev/unit"]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Nothing is said: the metric's name has to say it.
    #[default]
    Unsaid,
    /// `none`: it is no time.
    None,
    /// `s`.
    Seconds,
    /// `ms`.
    Millis,
    /// `us`.
    Micros,
}

/// The SLOs of a repository, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slos {
    slos: Vec<Slo>,
    names: BTreeMap<String, Vec<usize>>,
    unread: Vec<Unread>,
}

/// An SLO in a version that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// `metadata.name`.
    pub name: String,
    /// Its `apiVersion`.
    pub version: String,
    /// `file:line`.
    pub place: String,
}

impl Slos {
    /// Reads every SLO and SLI of OpenSLO v1 and every SLO of Sloth and Pyrra among `documents`, also those in lists; other kinds are passed over. Two SLOs of
    /// one name are a problem; of Sloth's and Pyrra's, whose repositories hold variants, only where one is referred to.
    pub fn read(documents: &[Document], problems: &Problems) -> Self {
        let objects = objects(documents);
        let mut read = openslo::all(&objects, problems);
        read.extend(sloth::all(&objects, problems));
        read.extend(pyrra::all(&objects, problems));
        read.sort_by(|a, b| a.name.cmp(&b.name));
        let mut names: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, slo) in read.iter().enumerate() {
            let short = slo.short.iter().filter(|short| **short != slo.name);
            for name in short.chain([&slo.name]) {
                names.entry(name.clone()).or_default().push(place);
            }
        }
        Self { slos: read, names, unread: unread(&objects, problems) }
    }

    /// The only SLO of a name.
    pub fn get(&self, name: &str) -> Option<&Slo> {
        match self.named(name).as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Slo> {
        self.slos.iter()
    }

    /// Whether [`Self::read`] reads an object.
    pub fn reads(object: DocumentObject<'_>) -> bool {
        use object::Form;
        !matches!(object.form(), Form::Other | Form::Version(_) | Form::DataSource)
    }

    /// Every SLO of a name.
    fn named(&self, name: &str) -> Vec<&Slo> {
        let places = self.names.get(name).into_iter().flatten();
        places.filter_map(|&place| self.slos.get(place)).collect()
    }
}

/// SLOs of OpenSLO versions that are not read, each named as what it is.
fn unread(objects: &[DocumentObject<'_>], problems: &Problems) -> Vec<Unread> {
    let mut unread = Vec::new();
    for object in objects {
        let (object::Form::Version(version), Some("SLO")) = (object.form(), object.kind()) else { continue };
        let name = object.name().unwrap_or_default().to_owned();
        let message =
            format!("the SLO `{name}` is written in {version}, which is not read; {API_VERSION} is");
        let reader = object.reader(problems);
        problems.push(Problem::warning(message).at(reader.source(), reader.span()));
        unread.push(Unread { name, version: version.to_owned(), place: object.place() });
    }
    unread
}

/// A target below 1.
fn below_one(reader: Reader<'_>, target: Option<Ratio>) -> Option<Ratio> {
    match target {
        Some(target) if target < Ratio::ONE => Some(target),
        Some(_) => reader.refuse("a target of 1 leaves no error budget"),
        None => reader.refuse("expected a percentage below 100"),
    }
}

/// A target that is written as a percentage, as Sloth and Pyrra do. One below 1 is nearly always a share that somebody meant.
fn percentage(reader: Reader<'_>, percent: f64) -> Option<Ratio> {
    if percent > 0.0 && percent < 1.0 {
        // As decimal text: 0.57 is 57, not 56.99999999999999.
        let meant = format!("{percent}e2").parse().unwrap_or(percent);
        reader.warn(
            format!("{percent} is read as {percent} %: this is a percentage, not a share"),
            format!("{meant} % is written {meant}"),
        );
    }
    below_one(reader, share_of(percent))
}

/// A percentage as a share: the double nearest to the decimal, 0.999 for 99.9.
fn share_of(percent: f64) -> Option<Ratio> {
    let share = format!("{percent}e-2").parse().ok()?;
    Ratio::new(share).ok()
}

#[cfg(test)]
mod tests;
