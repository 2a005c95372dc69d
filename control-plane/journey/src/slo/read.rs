//! OpenSLO documents to checked values.

use std::collections::BTreeMap;

use emac_core::units::{Micros, Ratio};

use super::{API_VERSION, Budgeting, Indicator, Metric, Objective, RatioPart, Slo, Threshold};
use emac_document::{Document, Fields, Problem, Problems, Reader, did_you_mean, parse_duration};

/// SLI documents by name; SLOs refer to them.
type Indicators<'a> = BTreeMap<&'a str, Reader<'a>>;

/// Every SLO, with its indicator.
pub(super) fn all(documents: &[Document], problems: &Problems) -> BTreeMap<String, Slo> {
    let of_kind = |kind: &'static str| documents.iter().filter(move |document| is(document, kind));
    let indicators: Indicators<'_> =
        of_kind("SLI").filter_map(|document| indicator_of(document, problems)).collect();
    let mut slos: BTreeMap<String, Slo> = BTreeMap::new();
    for document in of_kind("SLO") {
        let Some(slo) = slo(document, &indicators, problems) else { continue };
        if let Some(first) = slos.get(&slo.name) {
            let problem = Problem::error(format!("the SLO `{}` is declared twice", slo.name));
            let help = format!("it was first declared in {}", first.place);
            problems.push(problem.at(&document.source, document.root.span).help(help));
        } else {
            slos.insert(slo.name.clone(), slo);
        }
    }
    slos
}

fn is(document: &Document, kind: &str) -> bool {
    let has = |key: &str, value: &str| {
        let mut entries = document.root.entries().into_iter().flatten();
        entries.any(|entry| entry.key == key && entry.value.text() == Some(value))
    };
    has("apiVersion", API_VERSION) && has("kind", kind)
}

/// Name and `spec` of an SLI document.
fn indicator_of<'a>(document: &'a Document, problems: &'a Problems) -> Option<(&'a str, Reader<'a>)> {
    document.reader(problems).fields(|fields| {
        fields.accept_rest();
        let name = fields.required("metadata", name);
        let spec = fields.required("spec", Some);
        Some((name?, spec?))
    })
}

fn name(reader: Reader<'_>) -> Option<&str> {
    reader.fields(|fields| {
        fields.accept_rest();
        fields.required("name", Reader::word)
    })
}

fn slo(document: &Document, indicators: &Indicators<'_>, problems: &Problems) -> Option<Slo> {
    let (line, _) = document.source.position(document.root.span.start);
    let place = format!("{}:{line}", document.source.name());
    document.reader(problems).fields(|fields| {
        fields.accept_rest();
        let name = fields.required("metadata", name);
        let unit = fields.optional("metadata", unit).unwrap_or(Some(Unit::Seconds));
        let spec = fields.required("spec", |spec| {
            spec.fields(|fields| {
                fields.accept_rest();
                Spec::read(fields, unit, indicators)
            })
        });
        let Spec { service, window, budgeting, indicator, objectives } = spec?;
        Some(Slo { name: name?.to_owned(), service, window, budgeting, indicator, objectives, place })
    })
}

/// Unit of a threshold metric.
#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Millis,
    Micros,
}

/// `metadata.annotations["emac.dev/unit"]`; `none` for a metric that is no time.
fn unit(metadata: Reader<'_>) -> Option<Option<Unit>> {
    const UNITS: [(&str, Option<Unit>); 4] =
        [("s", Some(Unit::Seconds)), ("ms", Some(Unit::Millis)), ("us", Some(Unit::Micros)), ("none", None)];
    metadata.fields(|fields| {
        fields.accept_rest();
        fields.optional("annotations", |annotations| {
            annotations.fields(|fields| {
                fields.accept_rest();
                fields.optional("emac.dev/unit", |unit| unit.choice(&UNITS))
            })
        })
    })
}

struct Spec {
    service: String,
    window: Option<Micros>,
    budgeting: Budgeting,
    indicator: Indicator,
    objectives: Vec<Objective>,
}

impl Spec {
    fn read(fields: &mut Fields<'_>, unit: Option<Unit>, indicators: &Indicators<'_>) -> Option<Self> {
        const METHODS: [(&str, Budgeting); 3] = [
            ("Occurrences", Budgeting::Occurrences),
            ("Timeslices", Budgeting::Timeslices),
            ("RatioTimeslices", Budgeting::RatioTimeslices),
        ];
        let service = fields.required("service", Reader::word);
        let window = fields.optional("timeWindow", window);
        let budgeting = fields.required("budgetingMethod", |method| method.choice(&METHODS));
        let indicator = indicator(fields, indicators);
        let needs_threshold = matches!(indicator, Some(Indicator::Threshold(_)));
        let objectives = fields.required("objectives", |objectives| {
            let read =
                objectives.list(|one| one.fields(|fields| objective(fields, unit, needs_threshold)))?;
            if read.is_empty() { objectives.refuse("an SLO has at least one objective") } else { Some(read) }
        });
        Some(Self {
            service: service?.to_owned(),
            window,
            budgeting: budgeting?,
            indicator: indicator?,
            objectives: objectives?,
        })
    }
}

/// The first of `timeWindow`; the specification allows no more.
fn window(reader: Reader<'_>) -> Option<Micros> {
    let mut windows = reader.items()?;
    windows.next()?.fields(|fields| {
        fields.accept_rest();
        fields.required("duration", duration)
    })
}

/// The shorthand has three units that ours lacks: a month, a quarter and a year count 30, 90 and 365 days.
fn duration(reader: Reader<'_>) -> Option<Micros> {
    let text = reader.text()?;
    let days = [('M', 30), ('Q', 90), ('Y', 365)];
    let calendar = days.iter().find_map(|&(unit, days)| Some((text.strip_suffix(unit)?, days)));
    match calendar {
        None => reader.duration(),
        Some((count, days)) => match count
            .parse::<u64>()
            .map(|count| parse_duration(&format!("{}d", count.saturating_mul(days))))
        {
            Ok(Ok(duration)) if duration > Micros(0) => Some(duration),
            _ => reader.refuse(format!("`{text}` is not a duration")),
        },
    }
}

fn indicator(fields: &mut Fields<'_>, indicators: &Indicators<'_>) -> Option<Indicator> {
    let inline = fields.get("indicator").filter(|indicator| !indicator.is_null());
    let named = fields.get("indicatorRef").filter(|name| !name.is_null());
    match (inline, named) {
        (Some(inline), None) => inline.fields(|fields| {
            fields.accept_rest();
            fields.required("spec", indicator_spec)
        }),
        (None, Some(name)) => {
            let text = name.word()?;
            match indicators.get(text) {
                Some(spec) => indicator_spec(*spec),
                None => {
                    let near = did_you_mean(text, indicators.keys().copied());
                    let help = near.map_or_else(
                        || "add its document".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    name.refuse_with(format!("there is no SLI `{text}`"), help)
                }
            }
        }
        _ => fields.reader().refuse("give one of `indicator` and `indicatorRef`"),
    }
}

fn indicator_spec(reader: Reader<'_>) -> Option<Indicator> {
    reader.fields(|fields| {
        fields.accept_rest();
        match (fields.get("ratioMetric"), fields.get("thresholdMetric")) {
            (Some(ratio), None) => ratio.fields(ratio_metric),
            (None, Some(threshold)) => metric(threshold).map(Indicator::Threshold),
            _ => reader.refuse("give one of `ratioMetric` and `thresholdMetric`"),
        }
    })
}

fn ratio_metric(fields: &mut Fields<'_>) -> Option<Indicator> {
    fields.accept_rest();
    let counter = fields.optional("counter", Reader::boolean).unwrap_or_default();
    let good = fields.optional("good", metric);
    let bad = fields.optional("bad", metric);
    let raw = fields.optional("raw", metric);
    let of_failures =
        fields.optional("rawType", |kind| kind.choice(&[("success", false), ("failure", true)]));
    if let Some(metric) = raw {
        return Some(Indicator::Raw { metric, of_failures: of_failures.unwrap_or_default() });
    }
    let total = fields.required("total", metric);
    let part = match (good, bad) {
        (Some(good), None) => RatioPart::Good(good),
        (None, Some(bad)) => RatioPart::Bad(bad),
        _ => return fields.reader().refuse("give one of `good` and `bad`"),
    };
    Some(Indicator::Ratio { part, total: total?, counter })
}

/// A mapping with `metricSource`.
fn metric(reader: Reader<'_>) -> Option<Metric> {
    reader.fields(|fields| {
        fields.accept_rest();
        fields.required("metricSource", |source| {
            source.fields(|fields| {
                fields.accept_rest();
                let kind = fields.optional("type", Reader::word).map(str::to_owned);
                let source = fields.optional("metricSourceRef", Reader::word).map(str::to_owned);
                // What another system's queries look like is not ours to know.
                let prometheus = kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("prometheus"));
                let query = fields.optional("spec", |spec| query(spec, prometheus));
                Some(Metric { kind, source, query })
            })
        })
    })
}

/// `query`, in PromQL where the source is a Prometheus, or `promql`.
fn query(reader: Reader<'_>, prometheus: bool) -> Option<String> {
    reader.fields(|fields| {
        fields.accept_rest();
        let read = if prometheus { Reader::promql_of_others } else { Reader::word };
        let query = fields.optional("query", read);
        let promql = fields.optional("promql", Reader::promql_of_others);
        query.or(promql).map(|text| text.trim().to_owned())
    })
}

fn objective(fields: &mut Fields<'_>, unit: Option<Unit>, needs_threshold: bool) -> Option<Objective> {
    fields.accept_rest();
    let name = fields.optional("displayName", Reader::word).map(str::to_owned);
    let target = target(fields);
    let below =
        fields.optional("op", |op| op.choice(&[("lte", true), ("lt", true), ("gte", false), ("gt", false)]));
    let value = fields.optional("value", Reader::number);
    let threshold = match (below, value) {
        (Some(below), Some(value)) => {
            Some(Threshold { below, value, time: unit.and_then(|unit| time(value, unit)) })
        }
        _ if needs_threshold => {
            return fields.reader().refuse("an objective of a threshold metric needs `op` and `value`");
        }
        _ => None,
    };
    Some(Objective { name, target: target?, threshold })
}

fn target(fields: &mut Fields<'_>) -> Option<Ratio> {
    if fields.has("targetPercent") && !fields.has("target") {
        return fields.required("targetPercent", |percent| {
            below_one(percent, Ratio::new(percent.number()? / 100.0).ok())
        });
    }
    let _ = fields.get("targetPercent");
    fields.required("target", |target| below_one(target, Some(target.ratio()?)))
}

fn below_one(reader: Reader<'_>, target: Option<Ratio>) -> Option<Ratio> {
    match target {
        Some(target) if target < Ratio::ONE => Some(target),
        Some(_) => reader.refuse("a target of 1 leaves no error budget"),
        None => reader.refuse("expected a percentage below 100"),
    }
}

/// A threshold as a time; `None` for what is none.
fn time(value: f64, unit: Unit) -> Option<Micros> {
    let micros = value
        * match unit {
            Unit::Seconds => 1e6,
            Unit::Millis => 1e3,
            Unit::Micros => 1.0,
        };
    (0.0..=1e15).contains(&micros).then(|| Micros(micros.round() as u64))
}
