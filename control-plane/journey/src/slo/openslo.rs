//! OpenSLO v1 documents to checked values.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::units::{Micros, Ratio};

use super::object::{DocumentObject, Form};
use super::time::duration;
use super::{
    Budgeting, Indicator, Metric, Objective, RatioPart, Slo, SloOrigin, Threshold, Unit, is_prometheus,
};
use emac_document::{Fields, Node, Problem, Problems, Reader, Value, did_you_mean};

/// What SLOs refer to.
struct Known<'a> {
    /// SLI documents, by name. Several of one name are a problem where that is referred to.
    indicators: BTreeMap<&'a str, Vec<Sli<'a>>>,
    /// `spec.type` of DataSource documents, by name.
    sources: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

/// An SLI document.
struct Sli<'a> {
    spec: Reader<'a>,
    place: String,
}

/// Every SLO, with its indicators.
pub(super) fn all<'a>(objects: &[DocumentObject<'a>], problems: &'a Problems) -> Vec<Slo> {
    let of_form = |form: Form<'static>| objects.iter().copied().filter(move |object| object.form() == form);
    let mut known = Known { indicators: BTreeMap::new(), sources: BTreeMap::new() };
    for object in of_form(Form::Sli) {
        if let Some((name, spec)) = spec_of(object.reader(problems)) {
            known.indicators.entry(name).or_default().push(Sli { spec, place: object.place() });
        }
    }
    for object in of_form(Form::DataSource) {
        if let (Some(name), Some(kind)) = (object.name(), object.source_type()) {
            known.sources.entry(name).or_default().insert(kind);
        }
    }
    let mut slos: BTreeMap<String, Slo> = BTreeMap::new();
    for object in of_form(Form::Slo) {
        let reader = object.reader(problems);
        let Some(slo) = slo(object, reader, &known) else { continue };
        if let Some(first) = slos.get(&slo.name) {
            let problem = Problem::error(format!("the SLO `{}` is declared twice", slo.name));
            let help = format!("it was first declared in {}", first.place);
            problems.push(problem.at(reader.source(), reader.span()).help(help));
        } else {
            slos.insert(slo.name.clone(), slo);
        }
    }
    slos.into_values().collect()
}

/// Name and `spec` of an SLI document.
fn spec_of(reader: Reader<'_>) -> Option<(&str, Reader<'_>)> {
    reader.fields(|fields| {
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

fn slo(object: DocumentObject<'_>, reader: Reader<'_>, known: &Known<'_>) -> Option<Slo> {
    reader.fields(|fields| {
        fields.accept_rest();
        let name = fields.required("metadata", name);
        let unit = fields.optional("metadata", unit).unwrap_or_default();
        let spec = fields.required("spec", |spec| {
            spec.fields(|fields| {
                fields.accept_rest();
                Spec::read(fields, known)
            })
        });
        let Spec { service, window, budgeting, indicators, objectives } = spec?;
        Some(Slo {
            name: name?.to_owned(),
            short: None,
            origin: SloOrigin::OpenSlo,
            service: Some(service),
            window,
            budgeting,
            indicators,
            objectives,
            unit,
            place: object.place(),
        })
    })
}

/// `metadata.annotations["emac.dev/unit"]`; `none` for a metric that is no time.
fn unit(metadata: Reader<'_>) -> Option<Unit> {
    const UNITS: [(&str, Unit); 4] =
        [("s", Unit::Seconds), ("ms", Unit::Millis), ("us", Unit::Micros), ("none", Unit::None)];
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
    indicators: Vec<Indicator>,
    objectives: Vec<Objective>,
}

impl Spec {
    fn read(fields: &mut Fields<'_>, known: &Known<'_>) -> Option<Self> {
        const METHODS: [(&str, Budgeting); 3] = [
            ("Occurrences", Budgeting::Occurrences),
            ("Timeslices", Budgeting::Timeslices),
            ("RatioTimeslices", Budgeting::RatioTimeslices),
        ];
        let service = fields.required("service", Reader::word);
        let window = fields.optional("timeWindow", window);
        let budgeting = fields.required("budgetingMethod", |method| method.choice(&METHODS));
        let composite = fields.get("objectives").is_some_and(is_composite);
        let shared = (!composite).then(|| indicator(fields, known));
        if composite && (fields.has("indicator") || fields.has("indicatorRef")) {
            let help = "a composite has one in each objective, any other SLO one for all";
            fields.reader().refuse_with::<()>("there are indicators in `spec` and in its objectives", help);
        }
        let mut indicators: Vec<Indicator> = shared.iter().flatten().cloned().collect();
        let objectives = fields.required("objectives", |objectives| {
            let one = |reader: Reader<'_>| {
                reader.fields(|fields| {
                    let own = if composite { indicator(fields, known) } else { None };
                    let of = own.as_ref().or(shared.iter().flatten().next());
                    let read = objective(fields, matches!(of, Some(Indicator::Threshold(_))));
                    if composite {
                        indicators.push(own?);
                    }
                    Some(Objective { indicator: indicators.len().saturating_sub(1), ..read? })
                })
            };
            let read = objectives.list(one)?;
            if read.is_empty() { objectives.refuse("an SLO has at least one objective") } else { Some(read) }
        });
        let complete = !indicators.is_empty();
        Some(Self {
            service: service?.to_owned(),
            window,
            budgeting: budgeting?,
            objectives: objectives.filter(|_| complete)?,
            indicators,
        })
    }
}

/// Whether objectives have indicators of their own.
fn is_composite(objectives: Reader<'_>) -> bool {
    let Value::Sequence(items) = &objectives.node().value else { return false };
    let has_own = |item: &Node| {
        let mut entries = item.entries().into_iter().flatten();
        entries.any(|entry| {
            matches!(entry.key.as_str(), "indicator" | "indicatorRef") && entry.value.value != Value::Null
        })
    };
    items.iter().any(has_own)
}

/// The first of `timeWindow`; the specification allows no more.
fn window(reader: Reader<'_>) -> Option<Micros> {
    let mut windows = reader.items()?;
    windows.next()?.fields(|fields| {
        fields.accept_rest();
        fields.required("duration", duration)
    })
}

fn indicator(fields: &mut Fields<'_>, known: &Known<'_>) -> Option<Indicator> {
    let inline = fields.get("indicator").filter(|indicator| !indicator.is_null());
    let named = fields.get("indicatorRef").filter(|name| !name.is_null());
    match (inline, named) {
        (Some(inline), None) => inline.fields(|fields| {
            fields.accept_rest();
            fields.required("spec", |spec| indicator_spec(spec, known))
        }),
        (None, Some(name)) => {
            let text = name.word()?;
            match known.indicators.get(text).map(Vec::as_slice) {
                Some([only]) => indicator_spec(only.spec, known),
                Some(several) => {
                    let places: Vec<_> = several.iter().map(|sli| sli.place.as_str()).collect();
                    let message = format!("there are {} SLIs `{text}`", several.len());
                    name.refuse_with(message, format!("they are in {}", places.join(" and ")))
                }
                None => {
                    let near = did_you_mean(text, known.indicators.keys().copied());
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

fn indicator_spec(reader: Reader<'_>, known: &Known<'_>) -> Option<Indicator> {
    reader.fields(|fields| {
        fields.accept_rest();
        let ratio = fields.get("ratioMetric").filter(|ratio| !ratio.is_null());
        let threshold = fields.get("thresholdMetric").filter(|threshold| !threshold.is_null());
        match (ratio, threshold) {
            (Some(ratio), None) => ratio.fields(|fields| ratio_metric(fields, known)),
            (None, Some(threshold)) => metric(threshold, known).map(Indicator::Threshold),
            _ => reader.refuse("give one of `ratioMetric` and `thresholdMetric`"),
        }
    })
}

fn ratio_metric(fields: &mut Fields<'_>, known: &Known<'_>) -> Option<Indicator> {
    fields.accept_rest();
    let good = fields.optional("good", |good| metric(good, known));
    let bad = fields.optional("bad", |bad| metric(bad, known));
    let raw = fields.optional("raw", |raw| metric(raw, known));
    let of_failures =
        fields.optional("rawType", |kind| kind.choice(&[("success", false), ("failure", true)]));
    if let Some(metric) = raw {
        return Some(Indicator::Raw { metric, of_failures: of_failures.unwrap_or_default() });
    }
    let total = fields.required("total", |total| metric(total, known));
    let part = match (good, bad) {
        (Some(good), None) => RatioPart::Good(good),
        (None, Some(bad)) => RatioPart::Bad(bad),
        _ => return fields.reader().refuse("give one of `good` and `bad`"),
    };
    Some(Indicator::Ratio { part, total: total? })
}

/// A mapping with `metricSource`.
fn metric(reader: Reader<'_>, known: &Known<'_>) -> Option<Metric> {
    reader.fields(|fields| {
        fields.accept_rest();
        fields.required("metricSource", |source| {
            source.fields(|fields| {
                fields.accept_rest();
                let kind = fields.optional("type", Reader::word);
                let source = fields.optional("metricSourceRef", Reader::word);
                let of_source = || match known.sources.get(source?)?.iter().collect::<Vec<_>>().as_slice() {
                    [only] => Some(**only),
                    _ => None,
                };
                let kind = kind.or_else(of_source).map(str::to_owned);
                // What another system's queries look like is not ours to know.
                let ours = kind.as_deref().is_some_and(is_prometheus);
                let texts = fields.get("spec").map(|spec| texts(spec.node())).unwrap_or_default();
                let query = fields.optional("spec", |spec| query(spec, ours));
                Some(Metric { kind, source: source.map(str::to_owned), query, texts })
            })
        })
    })
}

/// What is asked: `spec.query` or `spec.promql`, or `spec` itself where that is text. Anything that is valid YAML may stand there, and what else does is the
/// source's to know.
fn query(spec: Reader<'_>, prometheus: bool) -> Option<String> {
    let text = |reader: Reader<'_>, promql: bool| {
        let text = reader.node().text().map(str::trim).filter(|text| !text.is_empty())?.to_owned();
        // Told, and no more.
        if promql {
            let _ = reader.promql_of_others();
        }
        Some(text)
    };
    match &spec.node().value {
        Value::Mapping(_) => spec.fields(|fields| {
            fields.accept_rest();
            let query = fields.get("query").and_then(|query| text(query, prometheus));
            let promql = fields.get("promql").and_then(|promql| text(promql, true));
            query.or(promql)
        }),
        _ => text(spec, prometheus),
    }
}

/// Every text in a value, in order. Recursive: a parsed document is at most [`emac_document::Limits::depth_max`] deep.
fn texts(node: &Node) -> String {
    match &node.value {
        Value::Mapping(entries) => {
            entries.iter().map(|entry| texts(&entry.value)).collect::<Vec<_>>().join(" ")
        }
        Value::Sequence(items) => items.iter().map(texts).collect::<Vec<_>>().join(" "),
        _ => node.text().unwrap_or_default().to_owned(),
    }
}

fn objective(fields: &mut Fields<'_>, needs_threshold: bool) -> Option<Objective> {
    fields.accept_rest();
    let name = fields.optional("displayName", Reader::word).map(str::to_owned);
    let target = target(fields);
    let slice_target = fields.optional("timeSliceTarget", Reader::ratio);
    let below =
        fields.optional("op", |op| op.choice(&[("lte", true), ("lt", true), ("gte", false), ("gt", false)]));
    let value = fields.optional("value", Reader::number);
    let threshold = match (below, value) {
        (Some(below), Some(value)) => Some(Threshold { below, value }),
        _ if needs_threshold => {
            return fields.reader().refuse("an objective of a threshold metric needs `op` and `value`");
        }
        _ => None,
    };
    Some(Objective { name, target: target?, threshold, slice_target, indicator: 0 })
}

fn target(fields: &mut Fields<'_>) -> Option<Ratio> {
    let percent = fields.optional("targetPercent", |percent| super::percentage(percent, percent.number()?));
    if percent.is_some() && !fields.has("target") {
        return percent;
    }
    if fields.has("targetPercent") && !fields.has("target") {
        return None;
    }
    let target = fields.required("target", |target| super::below_one(target, Some(target.ratio()?)));
    match (target, percent) {
        (Some(target), Some(percent)) if (target.get() - percent.get()).abs() > 1e-9 => {
            fields.reader().refuse("`target` and `targetPercent` say different things: give one")
        }
        (target, _) => target,
    }
}
