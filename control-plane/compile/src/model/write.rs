//! Models to documents: everything a [`Model`] holds, in the order in which a person reads it, the same bytes every time.
//!
//! What is empty is not written. The operators stand there twice, as text and as a tree: the text is what people compare, the tree is what an
//! intent would say, and the reader holds them against each other. Comments of the sections are added when the document becomes text
//! ([`to_text`]); what they say is for people alone and no part of a digest.

mod operator;
mod testimony;

use serde_json::{Map, Value, json};

use super::{Confidence, Edge, Model, Redundancy, RuntimeParameters, RuntimeValue};
use emac_document::API_VERSION;
use emac_document::to_yaml;

use operator::operator;
pub use testimony::provenance as provenance_json;

/// Puts what is there.
pub(super) fn put(into: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    let is_empty = |value: &Value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    if let Some(value) = value.filter(|value| !is_empty(value)) {
        into.insert(key.to_owned(), value);
    }
}

/// A model as a document of a kind, without version and seal. Where it was read from and its digest are not part of it.
pub(super) fn document(model: &Model, kind: &str) -> Value {
    json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": model.journey}, "spec": spec(model)})
}

fn spec(model: &Model) -> Value {
    let mut spec = Map::new();
    let structure = model.structure.as_ref();
    put(&mut spec, "expression", structure.map(|journey| json!(journey.to_string())));
    put(&mut spec, "operator", structure.map(|journey| operator(journey.root())));
    put(&mut spec, "topology", Some(topology(model)));
    put(&mut spec, "redundancy", Some(model.redundancy.iter().map(redundancy).collect()));
    put(&mut spec, "failureDomains", Some(domains(model)));
    put(&mut spec, "runtime", Some(model.runtime.iter().map(runtime).collect()));
    put(&mut spec, "confidence", Some(confidence(&model.confidence)));
    put(&mut spec, "disagreements", Some(model.disagreements.iter().map(testimony::disagreement).collect()));
    put(&mut spec, "fields", Some(model.findings.iter().map(testimony::finding).collect()));
    put(&mut spec, "evidence", Some(model.evidence.iter().map(testimony::evidence).collect()));
    Value::Object(spec)
}

fn topology(model: &Model) -> Value {
    let mut topology = Map::new();
    put(&mut topology, "nodes", Some(model.nodes.iter().map(|id| json!({"id": id})).collect()));
    put(&mut topology, "edges", Some(model.edges.iter().map(edge).collect()));
    let coverage = model.edge_coverage.map(|coverage| json!({"coverage": coverage.get()}));
    put(&mut topology, "edgeDiagnostics", coverage);
    Value::Object(topology)
}

fn edge(edge: &Edge) -> Value {
    let mut json = pair(&edge.from, &edge.to);
    put(&mut json, "callType", edge.call_type.as_ref().map(|call_type| json!(call_type.label())));
    put(&mut json, "probability", edge.probability.map(|probability| json!(probability.get())));
    put(&mut json, "attempts", edge.attempts.map(|attempts| json!(attempts)));
    Value::Object(json)
}

fn pair(from: &str, to: &str) -> Map<String, Value> {
    let ends = [("from", from), ("to", to)];
    ends.into_iter().map(|(key, name)| (key.to_owned(), json!(name))).collect()
}

fn redundancy(redundancy: &Redundancy) -> Value {
    let group: Vec<_> = redundancy.group.iter().map(|name| name.as_str()).collect();
    json!({"pattern": redundancy.pattern.label(), "group": group})
}

fn domains(model: &Model) -> Value {
    let (mut effective, mut details) = (Map::new(), Map::new());
    for (name, finding) in &model.domains {
        effective.insert(name.to_string(), json!(finding.domains));
        details.insert(name.to_string(), json!({"status": finding.status.label()}));
    }
    let mut json = Map::new();
    put(&mut json, "effective", Some(Value::Object(effective)));
    put(&mut json, "details", Some(Value::Object(details)));
    Value::Object(json)
}

fn runtime(((from, to), parameters): (&(String, String), &RuntimeParameters)) -> Value {
    let mut json = pair(from, to);
    for field in parameters.fields() {
        let value = match field.value {
            RuntimeValue::Millis(millis) => json!(millis),
            RuntimeValue::Count(count) => json!(count),
            RuntimeValue::Text(text) => json!(text),
            RuntimeValue::Mirror(to, share) => json!({"to": to, "share": share.get()}),
        };
        json.insert(field.key.to_owned(), value);
    }
    Value::Object(json)
}

fn confidence(confidence: &Confidence) -> Value {
    let mut json = Map::new();
    put(&mut json, "overall", confidence.overall.map(|overall| json!(overall.get())));
    let fields = confidence.fields.iter().map(|(field, value)| (field.clone(), json!(value.get())));
    put(&mut json, "fields", Some(Value::Object(fields.collect())));
    put(&mut json, "evidenceFlags", Some(json!(confidence.flags)));
    Value::Object(json)
}

/// What stands above each section, for whoever opens such a file for the first time.
const SECTIONS: [(&str, &str); 12] = [
    ("expression", "How the parts combine: first as text, then as the tree an intent would hold."),
    ("topology", "Who calls whom. probability: share of the journey's requests that make the call."),
    ("redundancy", "Components that stand in for each other."),
    (
        "failureDomains",
        "What fails together. Components that share a name here are no independent redundancy.",
    ),
    ("runtime", "Timeouts, retries and breakers of a call, as configured or seen."),
    ("confidence", "How sure the model as a whole is, between 0 and 1."),
    ("disagreements", "Where intent and evidence differ: a person decides."),
    ("fields", "For each field how sure it is, and why. Only identified fields may act."),
    ("evidence", "What it was made from, by digest."),
    ("base", "The accepted model this was compared with, by version."),
    ("acceptance", "Who agreed to this, when, to which changes, and from which model it was made."),
    ("lineage", "The versions before, oldest first."),
];

/// The document as YAML, with a comment above it and above each section.
pub fn to_text(document: &Value, comment: &str) -> String {
    let text = to_yaml(document, comment);
    let mut commented = String::with_capacity(text.len() + 1_024);
    for line in text.lines() {
        // Two spaces: a section of `spec`. Nothing a person wrote can stand there, blocks of text are indented further.
        let section = line.strip_prefix("  ").and_then(|rest| rest.split_once(':'));
        let comment = section.and_then(|(key, _)| SECTIONS.iter().find(|(name, _)| *name == key));
        if let Some((_, comment)) = comment {
            commented.push_str(&format!("  # {comment}\n"));
        }
        commented.push_str(line);
        commented.push('\n');
    }
    commented
}
