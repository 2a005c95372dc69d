//! Model documents to checked values. Models carry much for people's eyes, so their mappings are open: what is declared bears on a bound or a decision.

mod domains;
mod testimony;
mod topology;

use std::collections::BTreeMap;

use emac_core::journey::{Journey, parse};

use super::record::{self, Record};
use super::{
    Confidence, Disagreement, EvidenceRef, Field, Finding, Model, Origin, REPLAY_VERSION, Redundancy,
    RuntimeParameters, Status, seal,
};
use domains::Domains;
use emac_document::shape::{Mapping, Shape};
use emac_document::types::{Type, by_name, choice, list, mapping, owned, share, text, text_like, typed};
use emac_document::{API_VERSION, Document, Fields, Problems, Reader, describe};
use emac_journey::component;
use emac_journey::intent::{OPERATOR, free_structure};
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
        let version = fields
            .required("apiVersion", |version| version.choice(&[(API_VERSION, ()), (REPLAY_VERSION, ())]));
        let is_kind = fields.required("kind", |found| found.choice(&[(kind, ())]));
        let (journey, spec) = root(fields)?;
        version.and(is_kind)?;
        let sealed = seal::check(document, problems)?;
        Some(spec.into_read(journey, document, sealed))
    });
    found.filter(|_| problems.errors() == before)
}

/// The table of models of both kinds.
pub fn table() -> &'static Mapping {
    describe(root)
}

fn root(fields: &mut Fields<'_>) -> Option<(String, Spec)> {
    fields.accept_rest();
    let journey = fields.field("metadata", mapping(journey), "identity of the model").required();
    let spec = fields.field("spec", mapping(Spec::read), "specification").required();
    // Compared with everything that it seals.
    let says = "tags of every value, by which manual changes are detected; written by `emac`";
    fields.field("seal", by_name(text()), says).optional();
    journey.zip(spec)
}

/// The journey's name: a label where the document has a name of its own.
fn journey(fields: &mut Fields<'_>) -> Option<String> {
    const EXAMPLE: &str = "'0000000000000000000000000000000000000000000000000000000000000000'";
    fields.accept_rest();
    let says = "the journey's name, unless a label gives it";
    let name = fields.field("name", owned(), says).required();
    // Checked with the seal.
    let digest = text_like("digest", "^[0-9a-f]{64}$", EXAMPLE, |it, _| it.word());
    let says = "SHA-256 of everything else; a document with a version or a seal is refused after a change";
    fields.field("version", digest, says).optional();
    let says = "free text for people and tools, except `journey`";
    let label = fields.field("labels", mapping(label), says).optional();
    label.or(name)
}

fn label(fields: &mut Fields<'_>) -> Option<String> {
    fields.accept_rest();
    let says = "the journey's name, if the document has another name";
    fields.field("journey", owned(), says).optional()
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
        let topology = fields.field("topology", mapping(topology::read), "services and calls").optional();
        let redundancy =
            fields.field("redundancy", list(mapping(redundancy_)), "redundant components").optional();
        let domains = fields.field("failureDomains", mapping(domains::read), "failure domains").optional();
        let confidence = fields.field("confidence", mapping(confidence_), "confidence").optional();
        let says = "timeouts, retries and circuit breakers of calls, configured or observed";
        let runtime = fields.field("runtime", list(mapping(topology::runtime)), says).optional();
        let says = "confidence and provenance of each part of the model; only identified parts may act";
        let findings = fields.field("fields", testimony::findings(), says).optional();
        let says = "differences between intent and evidence; a person decides";
        let disagreements = fields.field("disagreements", testimony::disagreements(), says).optional();
        let evidence =
            fields.field("evidence", list(mapping(testimony::evidence)), "evidence used").optional();
        let says = "version of the accepted model that a candidate was compared with";
        let base = fields.field("base", owned(), says).optional();
        Some(Self {
            structure,
            topology: topology.unwrap_or_default(),
            redundancy: redundancy.unwrap_or_default(),
            domains: domains.unwrap_or_default(),
            runtime: runtime.unwrap_or_default().into_iter().collect(),
            findings: findings.unwrap_or_default().into_iter().collect(),
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
    let own = agreed(
        fields,
        "the operators in canonical text; default: those of the intent",
        ("operator", "the operators as a tree; must agree with `expression`"),
    );
    let graph = mapping(|fields: &mut Fields<'_>| {
        fields.accept_rest();
        agreed(fields, "the operators in canonical text", ("root", "the operators as a tree"))
    });
    let says = "the same in the format of the paper's replay";
    fields.field("operatorGraph", graph, says).optional().or(own)
}

fn agreed(
    fields: &mut Fields<'_>,
    expression_says: &'static str,
    (tree, tree_says): (&'static str, &'static str),
) -> Option<Journey> {
    let text = text_like("expression", r"\S", "'Series(front, Race(paya, payb))'", |it, _| expression(it));
    let expression = fields.field("expression", text, expression_says).optional();
    let operator = typed(|| Shape::Named(&OPERATOR), free_structure);
    let operator = fields.field(tree, operator, tree_says).optional();
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
    let pattern = fields.field("pattern", owned(), "pattern, such as `race`").required();
    let group = fields.field("group", list(component()), "members").required();
    Some(Redundancy { pattern: pattern?.as_str().into(), group: group?.into_iter().collect() })
}

/// Of findings and of domains.
fn status<'a>() -> impl Type<'a, Value = Status> {
    choice(&[
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
    let says = "overall confidence; below `governance.autoAcceptConfidence` the decision is REVIEW";
    let overall = fields.field("overall", share(), says).optional();
    let parts = fields.field("fields", by_name(share()), "confidence by part").optional();
    let says = "flags of incomplete or conflicting evidence";
    let flags = fields.field("evidenceFlags", list(owned()), says).optional();
    let fields = parts.unwrap_or_default().into_iter().collect();
    Some(Confidence { overall, fields, flags: flags.unwrap_or_default() })
}
