//! SLOs of Pyrra (`pyrra.dev/v1alpha1` ServiceLevelObjective).
//!
//! One object is one SLO. Its target is a percentage, written as text; its indicator is a ratio of errors, a share of a histogram's answers within a time, or
//! a probe.

use super::object::{DocumentObject, Form};
use super::time::duration;
use super::{Budgeting, Indicator, Metric, Objective, RatioPart, Slo, SloOrigin, Unit, percentage};
use emac_document::{Fields, Problems, Reader, Value};

/// Every SLO.
pub(super) fn all(objects: &[DocumentObject<'_>], problems: &Problems) -> Vec<Slo> {
    let pyrra = objects.iter().filter(|object| object.form() == Form::Pyrra);
    pyrra.filter_map(|object| object.reader(problems).fields(|fields| slo(*object, fields))).collect()
}

fn slo(object: DocumentObject<'_>, fields: &mut Fields<'_>) -> Option<Slo> {
    fields.accept_rest();
    let names = fields.required("metadata", |metadata| {
        metadata.fields(|fields| {
            fields.accept_rest();
            let name = fields.required("name", Reader::word);
            let namespace = fields.optional("namespace", Reader::word);
            name.map(|name| (name, namespace))
        })
    });
    let spec = fields.required("spec", |spec| {
        spec.fields(|fields| {
            fields.accept_rest();
            let target = fields.required("target", target);
            let window = fields.required("window", duration);
            let indicator = fields.required("indicator", |indicator| indicator.fields(self::indicator));
            Some((target?, window?, indicator?))
        })
    });
    let ((name, namespace), (target, window, indicator)) = (names?, spec?);
    let objective = Objective { name: None, target, threshold: None, slice_target: None, indicator: 0 };
    Some(Slo {
        name: namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}")),
        short: Some(name.to_owned()),
        origin: SloOrigin::Pyrra,
        service: None,
        window: Some(window),
        budgeting: Budgeting::Occurrences,
        indicators: vec![indicator],
        objectives: vec![objective],
        unit: Unit::Unsaid,
        place: object.place(),
    })
}

/// `'99.9'`; a bare number says the same.
fn target(reader: Reader<'_>) -> Option<emac_core::units::Ratio> {
    let percent = match &reader.node().value {
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(percent) => percent,
            Err(_) => return reader.refuse(format!("`{text}` is not a percentage")),
        },
        _ => reader.number()?,
    };
    percentage(reader, percent)
}

fn indicator(fields: &mut Fields<'_>) -> Option<Indicator> {
    fields.accept_rest();
    let at = fields.reader();
    let kinds = ["ratio", "latency", "latencyNative", "bool_gauge"];
    let given: Vec<_> = kinds.into_iter().filter(|kind| fields.has(kind)).collect();
    match given.as_slice() {
        ["ratio"] => fields.required("ratio", |ratio| {
            let (bad, total) = parts(ratio, "errors")?;
            Some(Indicator::Ratio { part: RatioPart::Bad(bad), total })
        }),
        ["latency"] => fields.required("latency", |latency| {
            let (good, total) = parts(latency, "success")?;
            Some(Indicator::Ratio { part: RatioPart::Good(good), total })
        }),
        ["latencyNative"] => fields.required("latencyNative", |native| {
            native.fields(|fields| {
                fields.accept_rest();
                let time = fields.required("latency", duration);
                let histogram = fields.required("total", metric);
                Some(Indicator::Within { histogram: histogram?, time: time? })
            })
        }),
        ["bool_gauge"] => fields.required("bool_gauge", metric).map(Indicator::Probe),
        _ => at.refuse("give one of `ratio`, `latency`, `latencyNative` and `bool_gauge`"),
    }
}

fn parts(reader: Reader<'_>, part: &'static str) -> Option<(Metric, Metric)> {
    reader.fields(|fields| {
        fields.accept_rest();
        let part = fields.required(part, metric);
        let total = fields.required("total", metric);
        Some((part?, total?))
    })
}

/// `{metric: <selector>}`.
fn metric(reader: Reader<'_>) -> Option<Metric> {
    reader.fields(|fields| {
        fields.accept_rest();
        fields.required("metric", Reader::promql_of_others).map(|query| Metric::promql(query.trim()))
    })
}
