//! Why a model says what it says: `spec.fields`, `spec.disagreements`, `spec.evidence`.

use serde_json::{Map, Value, json};

use super::put;
use crate::model::{Disagreement, EvidenceRef, Field, Finding, Provenance};

pub(super) fn finding((field, finding): (&Field, &Finding)) -> Value {
    let mut json = about(field);
    put(&mut json, "status", Some(json!(finding.status.label())));
    put(&mut json, "confidence", Some(json!(finding.confidence.get())));
    // A document's whole numbers have 63 bits.
    put(&mut json, "samples", Some(json!(finding.samples.min(i64::MAX as u64))));
    put(&mut json, "provenance", Some(finding.provenance.iter().map(provenance).collect()));
    Value::Object(json)
}

/// `about: edge, from: front, to: cart`, or `about: domains, of: paya`: a field's name in parts, whatever characters they hold.
fn about(field: &Field) -> Map<String, Value> {
    let (kind, parts) = match field {
        Field::Edge { from, to } => ("edge", vec![("from", from.as_str()), ("to", to)]),
        Field::Operator(text) => ("operator", vec![("of", text.as_str())]),
        Field::Probability(text) => ("probability", vec![("of", text.as_str())]),
        Field::Domains(name) => ("domains", vec![("of", name.as_str())]),
        Field::Runtime { from, to } => ("runtime", vec![("from", from.as_str()), ("to", to)]),
    };
    let parts = [("about", kind)].into_iter().chain(parts);
    parts.map(|(key, text)| (key.to_owned(), json!(text))).collect()
}

/// Where something is said, as documents and answers to programs say it.
pub fn provenance(provenance: &Provenance) -> Value {
    let mut json = Map::new();
    put(&mut json, "source", Some(json!(provenance.source.label())));
    put(&mut json, "says", Some(json!(provenance.says)));
    put(&mut json, "traces", Some(json!(provenance.traces)));
    put(&mut json, "file", provenance.place.as_ref().map(|(file, _)| json!(file)));
    put(&mut json, "field", provenance.place.as_ref().map(|(_, field)| json!(field)));
    Value::Object(json)
}

pub(super) fn disagreement(disagreement: &Disagreement) -> Value {
    let mut json = about(&disagreement.field);
    put(&mut json, "declared", Some(json!(disagreement.declared)));
    put(&mut json, "observed", Some(json!(disagreement.observed)));
    Value::Object(json)
}

pub(super) fn evidence(evidence: &EvidenceRef) -> Value {
    json!({"name": evidence.name, "source": evidence.source.label(), "digest": evidence.digest})
}
