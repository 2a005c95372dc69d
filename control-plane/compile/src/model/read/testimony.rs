//! `spec.fields`, `spec.disagreements`, `spec.evidence`: why a model says what it says.

use std::collections::BTreeSet;

use super::status;
use crate::model::{Disagreement, EvidenceRef, EvidenceSource, Field, Finding, Provenance, Status};
use emac_document::shape::Shape;
use emac_document::types::{Type, checked, choice, either, integer, list, mapping, share, text, typed, word};
use emac_document::{Fields, Reader, describe};
use emac_journey::component;

/// Findings by field; two about one field are a problem.
pub(super) fn findings<'a>() -> impl Type<'a, Value = Vec<(Field, Finding)>> {
    let mut seen = BTreeSet::new();
    list(checked(about(finding), move |it, (field, finding)| {
        let is_new = seen.insert(field.clone());
        if is_new { Some((field, finding)) } else { it.refuse(format!("`{field}` is given twice")) }
    }))
}

fn finding(fields: &mut Fields<'_>, field: Option<Field>) -> Option<(Field, Finding)> {
    let status = fields.field("status", status(), "how sure it is").required();
    let says = "posterior probability that the part is right";
    let confidence = fields.field("confidence", share(), says).required();
    let count = integer("count", 0..=i64::MAX as u64);
    let samples = fields.field("samples", count, "number of observations").optional();
    let sources = checked(list(mapping(provenance)), |it, all: Vec<_>| match all {
        none if none.is_empty() => it.refuse("may not be empty: a finding says where it comes from"),
        all => Some(all),
    });
    let provenance = fields.field("provenance", sources, "sources; not empty").required();
    let (status, confidence, provenance) = (status?, confidence?, provenance?);
    Some((field?, Finding { status, confidence, samples: samples.unwrap_or_default(), provenance }))
}

/// A mapping about a call, about what combines calls, or about a component; `read` reads what else is in it.
fn about<'a, T: 'a>(read: fn(&mut Fields<'_>, Option<Field>) -> Option<T>) -> impl Type<'a, Value = T> {
    let with = move |fields: &mut Fields<'_>, subject: Subject| {
        fields.accept_rest();
        let field = subject(fields);
        read(fields, field)
    };
    let shape = move || {
        let table = |subject| Shape::Mapping(describe(|fields| with(fields, subject)));
        Shape::Either(Vec::from([call, combination, domains].map(|subject: Subject| table(subject))).leak())
    };
    typed(shape, move |it: Reader<'a>| it.fields(|fields| with(fields, subject(it))))
}

/// Reads `about` and the name of what it is about.
type Subject = fn(&mut Fields<'_>) -> Option<Field>;

fn subject(it: Reader<'_>) -> Subject {
    match it.find(&["about"], "").node().text() {
        Some("edge" | "runtime") => call,
        Some("operator" | "probability") => combination,
        Some("domains") => domains,
        _ => |fields| {
            let words = ["edge", "operator", "probability", "domains", "runtime"];
            fields.required("about", |about| about.choice(&words.map(|word| (word, ())))).and(None)
        },
    }
}

fn call(fields: &mut Fields<'_>) -> Option<Field> {
    let about = choice(&[("edge", false), ("runtime", true)]);
    let is_runtime = fields.field("about", about, "a call or its configuration").required();
    let from = fields.field("from", text(), "caller").required().map(str::to_owned);
    let to = fields.field("to", text(), "callee").required().map(str::to_owned);
    let (from, to) = from.zip(to)?;
    Some(if is_runtime? { Field::Runtime { from, to } } else { Field::Edge { from, to } })
}

fn combination(fields: &mut Fields<'_>) -> Option<Field> {
    let about = choice(&[("operator", false), ("probability", true)]);
    let is_probability = fields.field("about", about, "an operator or a probability").required();
    let of = fields.field("of", text(), "expression in canonical text").required()?.to_owned();
    Some(if is_probability? { Field::Probability(of) } else { Field::Operator(of) })
}

fn domains(fields: &mut Fields<'_>) -> Option<Field> {
    fields.field("about", choice(&[("domains", ())]), "failure domains of a component").required();
    fields.field("of", component(), "component").required().map(Field::Domains)
}

fn source<'a>() -> impl Type<'a, Value = EvidenceSource> {
    choice(EvidenceSource::ALL.map(|source| (source.label(), source)))
}

fn provenance(fields: &mut Fields<'_>) -> Option<Provenance> {
    fields.accept_rest();
    let source = fields.field("source", source(), "kind of evidence").required();
    let says = fields.field("says", text(), "statement of the source").required();
    let traces = fields.field("traces", list(text()), "ids of some of the traces").optional();
    let file = fields.field("file", text(), "file").optional();
    let field = fields.field("field", text(), "field in the file").optional();
    let place = file.map(|file| (file.to_owned(), field.unwrap_or_default().to_owned()));
    let traces = traces.unwrap_or_default().into_iter().map(str::to_owned).collect();
    Some(Provenance { source: source?, says: says?.to_owned(), traces, place })
}

pub(super) fn disagreements<'a>() -> impl Type<'a, Value = Vec<Disagreement>> {
    list(about(disagreement))
}

fn disagreement(fields: &mut Fields<'_>, field: Option<Field>) -> Option<Disagreement> {
    let declared = fields.field("declared", text(), "value declared by the intent").required();
    let observed = fields.field("observed", text(), "value shown by evidence").required();
    Some(Disagreement { field: field?, declared: declared?.to_owned(), observed: observed?.to_owned() })
}

pub(super) fn evidence(fields: &mut Fields<'_>) -> Option<EvidenceRef> {
    fields.accept_rest();
    let name = fields.field("name", text(), "name of the file or source").required();
    let source = fields.field("source", source(), "kind of evidence").required();
    let digest = fields.field("digest", text(), "SHA-256 of the input").required();
    Some(EvidenceRef { name: name?.to_owned(), source: source?, digest: digest?.to_owned() })
}

/// What the paper's files write beside an edge or a component: `confidence`, and `observations` or `provenance`.
pub(super) fn papers_finding(fields: &mut Fields<'_>) -> Option<Finding> {
    fields.together(&["confidence"], |fields| {
        let confidence = fields.field("confidence", share(), "how sure it is").optional();
        let mut provenance = Vec::new();
        for name in ["observations", "provenance"] {
            let one = either(|it: Reader<'_>| it.has("trace_id"), mapping(span), mapping(observation));
            let says = "provenance in the format of the paper's files";
            provenance.extend(fields.field(name, list(one), says).optional().unwrap_or_default());
        }
        let (status, samples) = (Status::Identified, provenance.len() as u64);
        Some(Finding { status, confidence: confidence?, samples, provenance }).filter(|_| samples > 0)
    })
}

/// `{trace_id, parent_span_id, span_id}`.
fn span(fields: &mut Fields<'_>) -> Option<Provenance> {
    fields.accept_rest();
    let trace = fields.field("trace_id", word(), "trace id").required();
    let span = fields.field("span_id", word(), "span id").optional().unwrap_or_default();
    let trace = trace?;
    let says = format!("span {span} of trace {trace}");
    Some(Provenance { source: EvidenceSource::Traces, says, traces: vec![trace.to_owned()], place: None })
}

/// `{value, file, field, signal}`.
fn observation(fields: &mut Fields<'_>) -> Option<Provenance> {
    fields.accept_rest();
    let value = fields.field("value", word(), "value").required();
    let signal = fields.field("signal", word(), "kind of evidence").optional().unwrap_or_default();
    let file = fields.field("file", word(), "file").optional();
    let field = fields.field("field", word(), "field in the file").optional().unwrap_or_default();
    let source = match signal {
        signal if signal.contains("trace") => EvidenceSource::Traces,
        signal if signal.contains("mesh") || signal.contains("provider") => EvidenceSource::Mesh,
        _ => EvidenceSource::Kubernetes,
    };
    let place = file.map(|file| (file.to_owned(), field.to_owned()));
    Some(Provenance { source, says: format!("{signal}: {}", value?), traces: Vec::new(), place })
}
