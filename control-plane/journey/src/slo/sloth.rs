//! SLOs of Sloth: its own specification (`version: prometheus/v1`), and the same as a Kubernetes object (PrometheusServiceLevel).
//!
//! One document holds the SLOs of a service. An objective is a percentage; the SLI is one of bad events. Both spell the same fields differently:
//! `error_query` and `errorQuery`.

use super::object::{DocumentObject, Form, place};
use super::{Budgeting, Indicator, Metric, Objective, RatioPart, Slo, SloOrigin, Unit, percentage};
use emac_document::{Fields, Problems, Reader};

/// Every SLO of every document.
pub(super) fn all(objects: &[DocumentObject<'_>], problems: &Problems) -> Vec<Slo> {
    let mut slos = Vec::new();
    for object in objects {
        let reader = object.reader(problems);
        let read = match object.form() {
            Form::Sloth => reader.fields(|fields| service(fields, &SNAKE)),
            Form::SlothObject => reader.fields(|fields| {
                fields.accept_rest();
                fields.required("spec", |spec| spec.fields(|fields| service(fields, &CAMEL)))
            }),
            _ => continue,
        };
        slos.extend(read.into_iter().flatten());
    }
    slos
}

/// How fields are spelt.
struct Names {
    error: &'static str,
    total: &'static str,
    ratio: &'static str,
}

const SNAKE: Names = Names { error: "error_query", total: "total_query", ratio: "error_ratio_query" };
const CAMEL: Names = Names { error: "errorQuery", total: "totalQuery", ratio: "errorRatioQuery" };

fn service(fields: &mut Fields<'_>, names: &Names) -> Option<Vec<Slo>> {
    fields.accept_rest();
    let service = fields.required("service", Reader::word);
    let slos = fields.required("slos", |slos| {
        let one =
            |reader: Reader<'_>| reader.fields(|fields| slo(fields, service.unwrap_or_default(), names));
        // One that cannot be read is told, and hides no other.
        Some(slos.items()?.filter_map(one).collect::<Vec<_>>())
    });
    service.and(slos)
}

fn slo(fields: &mut Fields<'_>, service: &str, names: &Names) -> Option<Slo> {
    fields.accept_rest();
    let at = fields.reader();
    let name = fields.required("name", Reader::word);
    let target = fields.required("objective", |objective| percentage(objective, objective.number()?));
    let indicator = fields.required("sli", |sli| sli.fields(|fields| indicator(fields, names)));
    let (name, indicator) = (name?, indicator?);
    let objective =
        Objective { name: None, target: target?, threshold: None, slice_target: None, indicator: 0 };
    Some(Slo {
        name: format!("{service}-{name}"),
        short: Some(name.to_owned()),
        origin: SloOrigin::Sloth,
        service: Some(service.to_owned()),
        window: None,
        budgeting: Budgeting::Occurrences,
        indicators: vec![indicator],
        objectives: vec![objective],
        unit: Unit::Unsaid,
        place: place(at.source(), at.node()),
    })
}

fn indicator(fields: &mut Fields<'_>, names: &Names) -> Option<Indicator> {
    fields.accept_rest();
    let at = fields.reader();
    let given: Vec<_> = ["events", "raw", "plugin"].into_iter().filter(|kind| fields.has(kind)).collect();
    match given.as_slice() {
        ["events"] => fields.required("events", |events| events.fields(|fields| self::events(fields, names))),
        ["raw"] => fields.required("raw", |raw| {
            raw.fields(|fields| {
                fields.accept_rest();
                let metric = fields.required(names.ratio, query)?;
                Some(Indicator::Raw { metric, of_failures: true })
            })
        }),
        ["plugin"] => fields.required("plugin", |plugin| {
            plugin.fields(|fields| {
                fields.accept_rest();
                fields.required("id", Reader::word).map(|id| Indicator::Plugin(id.to_owned()))
            })
        }),
        _ => at.refuse("give one of `events`, `raw` and `plugin`"),
    }
}

fn events(fields: &mut Fields<'_>, names: &Names) -> Option<Indicator> {
    fields.accept_rest();
    let bad = fields.required(names.error, query);
    let total = fields.required(names.total, query);
    Some(Indicator::Ratio { part: RatioPart::Bad(bad?), total: total? })
}

fn query(reader: Reader<'_>) -> Option<Metric> {
    reader.promql_of_others().map(|query| Metric::promql(query.trim()))
}
