//! Model documents to checked values.

mod domains;
mod testimony;
mod topology;

use std::collections::BTreeMap;

use emac_core::journey::{ComponentName, Journey, parse};

use super::record::{self, Record};
use super::{
    Confidence, Disagreement, EvidenceRef, Field, Finding, Model, Origin, REPLAY_VERSION, Redundancy,
    RuntimeParameters, Status, seal,
};
use domains::Domains;
use emac_document::API_VERSION;
use emac_document::{Document, Fields, Problems, Reader};
use emac_journey::intent::free_structure;
use topology::Topology;

/// A model and what a sealed document says besides.
pub(super) struct ReadModel {
    pub(super) model: Model,
    /// The seal holds; `None` where there is none.
    pub(super) version: Option<String>,
    /// `spec.base` of a candidate.
    pub(super) base: Option<String>,
    /// `spec.acceptance` and `spec.lineage` of an accepted model.
    pub(super) record: Option<Record>,
}

/// Reads a model of a kind. A broken seal is a problem, placed where the document was changed.
pub(super) fn model(document: &Document, kind: &'static str, problems: &Problems) -> Option<ReadModel> {
    let before = problems.errors();
    let found = document.reader(problems).fields(|fields| {
        fields.accept_rest();
        let version = fields
            .required("apiVersion", |version| version.choice(&[(API_VERSION, ()), (REPLAY_VERSION, ())]));
        let is_kind = fields.required("kind", |found| found.choice(&[(kind, ())]));
        let journey = fields.required("metadata", journey);
        let spec = fields.required("spec", |spec| spec.fields(Spec::read));
        let _ = fields.get("seal"); // Read below, with everything that it seals.
        let (journey, spec) = (journey?, spec?);
        version.and(is_kind)?;
        let sealed = seal::check(document, problems)?;
        Some(spec.into_read(journey, document, sealed))
    });
    found.filter(|_| problems.errors() == before)
}

/// The journey's name: a label where the document has a name of its own.
fn journey(metadata: Reader<'_>) -> Option<String> {
    metadata.fields(|fields| {
        fields.accept_rest();
        let name = fields.required("name", Reader::word)?;
        let _ = fields.optional("version", Reader::word); // Checked with the seal.
        let label = fields.optional("labels", |labels| {
            labels.fields(|fields| {
                fields.accept_rest();
                fields.optional("journey", Reader::word)
            })
        });
        Some(label.unwrap_or(name).to_owned())
    })
}

struct Spec {
    structure: Option<Journey>,
    topology: Topology,
    redundancy: Vec<Redundancy>,
    domains: Domains,
    runtime: BTreeMap<(String, String), RuntimeParameters>,
    findings: BTreeMap<Field, Finding>,
    disagreements: Vec<Disagreement>,
    evidence: Vec<EvidenceRef>,
    confidence: Confidence,
    base: Option<String>,
    record: Option<Record>,
}

impl Spec {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.accept_rest();
        let structure = structure(fields);
        let topology = fields.optional("topology", |topology| topology.fields(topology::read));
        let redundancy = fields.optional("redundancy", |all| all.list(|one| one.fields(redundancy_)));
        let domains = fields.optional("failureDomains", |domains| domains.fields(domains::read));
        let runtime = fields.optional("runtime", |all| all.list(|one| one.fields(topology::runtime)));
        let findings = fields.optional("fields", testimony::findings);
        let disagreements =
            fields.optional("disagreements", |all| all.list(|one| one.fields(testimony::disagreement)));
        let evidence = fields.optional("evidence", |all| all.list(|one| one.fields(testimony::evidence)));
        let confidence = fields.optional("confidence", |confidence| confidence.fields(confidence_));
        let base = fields.optional("base", Reader::word).map(str::to_owned);
        Some(Self {
            structure,
            topology: topology.unwrap_or_default(),
            redundancy: redundancy.unwrap_or_default(),
            domains: domains.unwrap_or_default(),
            runtime: runtime.unwrap_or_default().into_iter().collect(),
            findings: findings.unwrap_or_default(),
            disagreements: disagreements.unwrap_or_default(),
            evidence: evidence.unwrap_or_default(),
            confidence: confidence.unwrap_or_default(),
            base,
            record: record::read(fields),
        })
    }

    fn into_read(mut self, journey: String, document: &Document, sealed: seal::Sealed) -> ReadModel {
        self.findings.extend(self.topology.findings);
        self.findings.extend(self.domains.findings);
        let model = Model {
            journey,
            structure: self.structure,
            nodes: self.topology.nodes,
            edges: self.topology.edges,
            redundancy: self.redundancy,
            runtime: self.runtime,
            findings: self.findings,
            disagreements: self.disagreements,
            evidence: self.evidence,
            domains: self.domains.found,
            confidence: self.confidence,
            edge_coverage: self.topology.coverage,
            origin: Origin::File(document.source.name().to_owned()),
            digest: sealed.digest,
        };
        ReadModel { model, version: sealed.version, base: self.base, record: self.record }
    }
}

/// `operator` or `expression`, under `operatorGraph` or here. Where both are given they must agree.
fn structure(fields: &mut Fields<'_>) -> Option<Journey> {
    let graph = fields.optional("operatorGraph", |graph| {
        graph.fields(|fields| {
            fields.accept_rest();
            agreed(fields, "root")
        })
    });
    let own = agreed(fields, "operator");
    graph.or(own)
}

fn agreed(fields: &mut Fields<'_>, tree: &'static str) -> Option<Journey> {
    let operator = fields.optional(tree, free_structure);
    let expression = fields.optional("expression", expression);
    match (operator, expression) {
        (Some(operator), Some(expression)) if operator != expression => {
            fields.reader().refuse(format!("`expression` says {expression}, `{tree}` says {operator}"))
        }
        (operator, expression) => operator.or(expression),
    }
}

fn expression(reader: Reader<'_>) -> Option<Journey> {
    let text = reader.word()?;
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(error) => return reader.refuse(format!("not an expression: {error}")),
    };
    match Journey::new(expr) {
        Ok(journey) => Some(journey),
        Err(problems) => {
            problems.iter().for_each(|problem| reader.refuse::<()>(problem.to_string()).unwrap_or_default());
            None
        }
    }
}

fn redundancy_(fields: &mut Fields<'_>) -> Option<Redundancy> {
    fields.accept_rest();
    let pattern = fields.required("pattern", Reader::word);
    let group = fields.required("group", |group| group.list(component));
    Some(Redundancy { pattern: pattern?.into(), group: group?.into_iter().collect() })
}

fn component(reader: Reader<'_>) -> Option<ComponentName> {
    let text = reader.text()?;
    match ComponentName::new(text) {
        Ok(name) => Some(name),
        Err(error) => reader.refuse(error.to_string()),
    }
}

fn known_status(reader: Reader<'_>) -> Option<Status> {
    reader.choice(&[
        ("consistent", Status::Identified),
        ("identified", Status::Identified),
        ("missing", Status::Unresolved),
        ("unresolved", Status::Unresolved),
        ("conflicting", Status::Contradictory),
        ("contradictory", Status::Contradictory),
    ])
}

fn confidence_(fields: &mut Fields<'_>) -> Option<Confidence> {
    fields.accept_rest();
    let overall = fields.optional("overall", Reader::ratio);
    let parts = fields
        .optional("fields", |parts| parts.map(|entry, value| Some((entry.key.clone(), value.ratio()?))));
    let flags = fields.optional("evidenceFlags", |flags| flags.list(|flag| flag.word().map(str::to_owned)));
    let fields = parts.unwrap_or_default().into_iter().collect();
    Some(Confidence { overall, fields, flags: flags.unwrap_or_default() })
}
