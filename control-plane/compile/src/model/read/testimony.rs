//! `spec.fields`, `spec.disagreements`, `spec.evidence`: why a model says what it says.

use std::collections::BTreeMap;

use super::{component, known_status};
use crate::model::{Disagreement, EvidenceRef, EvidenceSource, Field, Finding, Provenance, Status};
use emac_document::{Fields, Reader};

/// Findings by field; two about one field are a problem.
pub(super) fn findings(reader: Reader<'_>) -> Option<BTreeMap<Field, Finding>> {
    let mut found = BTreeMap::new();
    reader.list(|one| {
        let (field, finding) = one.fields(finding)?;
        if found.contains_key(&field) {
            return one.refuse(format!("`{field}` is given twice"));
        }
        found.insert(field, finding);
        Some(())
    });
    Some(found)
}

fn finding(fields: &mut Fields<'_>) -> Option<(Field, Finding)> {
    fields.accept_rest();
    let field = about(fields);
    let status = fields.required("status", known_status);
    let confidence = fields.required("confidence", Reader::ratio);
    let samples = fields.optional("samples", |samples| samples.integer(0..=i64::MAX as u64));
    let provenance = fields.required("provenance", |all| match all.list(|one| one.fields(provenance))? {
        none if none.is_empty() => all.refuse("may not be empty: a finding says where it comes from"),
        all => Some(all),
    });
    let (status, confidence, provenance) = (status?, confidence?, provenance?);
    Some((field?, Finding { status, confidence, samples: samples.unwrap_or_default(), provenance }))
}

#[derive(Clone, Copy)]
enum About {
    Edge,
    Operator,
    Probability,
    Domains,
    Runtime,
}

const ABOUT: [(&str, About); 5] = [
    ("edge", About::Edge),
    ("operator", About::Operator),
    ("probability", About::Probability),
    ("domains", About::Domains),
    ("runtime", About::Runtime),
];

fn about(fields: &mut Fields<'_>) -> Option<Field> {
    let owned = |reader: Reader<'_>| reader.text().map(str::to_owned);
    let ends = |fields: &mut Fields<'_>| {
        let (from, to) = (fields.required("from", owned), fields.required("to", owned));
        from.zip(to)
    };
    match fields.required("about", |about| about.choice(&ABOUT))? {
        About::Edge => ends(fields).map(|(from, to)| Field::Edge { from, to }),
        About::Runtime => ends(fields).map(|(from, to)| Field::Runtime { from, to }),
        About::Operator => fields.required("of", owned).map(Field::Operator),
        About::Probability => fields.required("of", owned).map(Field::Probability),
        About::Domains => fields.required("of", component).map(Field::Domains),
    }
}

fn source(reader: Reader<'_>) -> Option<EvidenceSource> {
    reader.choice(&EvidenceSource::ALL.map(|source| (source.label(), source)))
}

fn provenance(fields: &mut Fields<'_>) -> Option<Provenance> {
    fields.accept_rest();
    let source = fields.required("source", source);
    let says = fields.required("says", Reader::text);
    let traces = fields.optional("traces", |traces| traces.list(|id| id.text().map(str::to_owned)));
    let file = fields.optional("file", Reader::text);
    let field = fields.optional("field", Reader::text);
    let place = file.map(|file| (file.to_owned(), field.unwrap_or_default().to_owned()));
    Some(Provenance { source: source?, says: says?.to_owned(), traces: traces.unwrap_or_default(), place })
}

pub(super) fn disagreement(fields: &mut Fields<'_>) -> Option<Disagreement> {
    fields.accept_rest();
    let field = about(fields);
    let declared = fields.required("declared", Reader::text);
    let observed = fields.required("observed", Reader::text);
    Some(Disagreement { field: field?, declared: declared?.to_owned(), observed: observed?.to_owned() })
}

pub(super) fn evidence(fields: &mut Fields<'_>) -> Option<EvidenceRef> {
    fields.accept_rest();
    let name = fields.required("name", Reader::text);
    let source = fields.required("source", source);
    let digest = fields.required("digest", Reader::text);
    Some(EvidenceRef { name: name?.to_owned(), source: source?, digest: digest?.to_owned() })
}

/// What the paper's files write beside an edge or a component: `confidence`, and `observations` or `provenance`.
pub(super) fn papers_finding(fields: &mut Fields<'_>, status: Status) -> Option<Finding> {
    let confidence = fields.optional("confidence", Reader::ratio)?;
    let mut provenance = Vec::new();
    for list in ["observations", "provenance"] {
        let shown = fields.optional(list, |all| all.list(|one| one.fields(observation)));
        provenance.extend(shown.unwrap_or_default());
    }
    let samples = provenance.len() as u64;
    (samples > 0).then_some(Finding { status, confidence, samples, provenance })
}

/// `{value, file, field, signal}`, or `{trace_id, parent_span_id, span_id}`.
fn observation(fields: &mut Fields<'_>) -> Option<Provenance> {
    fields.accept_rest();
    if fields.has("trace_id") {
        let trace = fields.required("trace_id", Reader::word)?;
        let span = fields.optional("span_id", Reader::word).unwrap_or_default();
        let says = format!("span {span} of trace {trace}");
        let traces = vec![trace.to_owned()];
        return Some(Provenance { source: EvidenceSource::Traces, says, traces, place: None });
    }
    let value = fields.required("value", Reader::word);
    let signal = fields.optional("signal", Reader::word).unwrap_or_default();
    let file = fields.optional("file", Reader::word);
    let field = fields.optional("field", Reader::word).unwrap_or_default();
    let source = match signal {
        signal if signal.contains("trace") => EvidenceSource::Traces,
        signal if signal.contains("mesh") || signal.contains("provider") => EvidenceSource::Mesh,
        _ => EvidenceSource::Kubernetes,
    };
    let place = file.map(|file| (file.to_owned(), field.to_owned()));
    Some(Provenance { source, says: format!("{signal}: {}", value?), traces: Vec::new(), place })
}
