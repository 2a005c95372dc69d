//! Model documents to checked values.

mod testimony;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use emac_core::journey::{ComponentName, Journey, parse};
use emac_core::units::Ratio;

use super::record::{self, Record};
use super::{
    Confidence, Disagreement, DomainFinding, Edge, EvidenceRef, Field, Finding, Model, Origin, Redundancy,
    RuntimeParameters, Status, seal,
};
use crate::document::{Document, Fields, Problems, Reader};
use crate::intent::{API_VERSION, free_structure};

/// Version of the paper's replay.
const REPLAY_VERSION: &str = "emac.sanity/v1";

/// A model and what a sealed document says besides.
pub(super) struct Found {
    pub(super) model: Model,
    /// The seal holds; `None` where there is none.
    pub(super) version: Option<String>,
    /// `spec.base` of a candidate.
    pub(super) base: Option<String>,
    /// `spec.acceptance` and `spec.lineage` of an accepted model.
    pub(super) record: Option<Record>,
}

/// Reads a model of a kind. A broken seal is a problem, placed where the document was changed.
pub(super) fn model(document: &Document, kind: &'static str, problems: &Problems) -> Option<Found> {
    let before = problems.errors();
    let found = document.reader(problems).fields(|fields| {
        fields.accept_rest();
        let version = fields
            .required("apiVersion", |version| version.choice(&[(API_VERSION, ()), (REPLAY_VERSION, ())]));
        let is_kind = fields.required("kind", |found| found.choice(&[(kind, ())]));
        let journey = fields.required("metadata", journey);
        let spec = fields.required("spec", |spec| spec.fields(Spec::read));
        let (journey, spec) = (journey?, spec?);
        version.and(is_kind)?;
        let sealed = seal::check(document, problems)?;
        Some(spec.into_found(journey, document, sealed))
    });
    found.filter(|_| problems.errors() == before)
}

/// The journey's name: a label where the document has a name of its own.
fn journey(metadata: Reader<'_>) -> Option<String> {
    metadata.fields(|fields| {
        fields.accept_rest();
        let name = fields.required("name", Reader::word)?;
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
        let topology = fields.optional("topology", |topology| topology.fields(topology_));
        let redundancy = fields.optional("redundancy", |all| all.list(|one| one.fields(redundancy_)));
        let domains = fields.optional("failureDomains", |domains| domains.fields(domains_));
        let runtime = fields.optional("runtime", |all| all.list(|one| one.fields(runtime_)));
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

    fn into_found(mut self, journey: String, document: &Document, sealed: seal::Sealed) -> Found {
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
        Found { model, version: sealed.version, base: self.base, record: self.record }
    }
}

/// `operator` or `expression`, here or under `operatorGraph`. Where both are given they must agree.
fn structure(fields: &mut Fields<'_>) -> Option<Journey> {
    if fields.has("operatorGraph") {
        return fields.required("operatorGraph", |graph| {
            graph.fields(|fields| {
                fields.accept_rest();
                agreed(fields, "root")
            })
        });
    }
    agreed(fields, "operator")
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

#[derive(Default)]
struct Topology {
    nodes: BTreeSet<String>,
    edges: Vec<Edge>,
    coverage: Option<Ratio>,
    findings: Vec<(Field, Finding)>,
}

fn topology_(fields: &mut Fields<'_>) -> Option<Topology> {
    fields.accept_rest();
    let nodes = fields.optional("nodes", |nodes| nodes.list(|node| node.fields(node_)));
    let mut findings = Vec::new();
    let edges = fields.optional("edges", |edges| {
        edges.list(|edge| {
            edge.fields(|fields| {
                let edge = edge_(fields)?;
                let field = Field::Edge { from: edge.from.clone(), to: edge.to.clone() };
                findings.extend(
                    testimony::papers_finding(fields, Status::Identified).map(|found| (field, found)),
                );
                Some(edge)
            })
        })
    });
    let coverage = fields.optional("edgeDiagnostics", |diagnostics| {
        diagnostics.fields(|fields| {
            fields.accept_rest();
            fields.optional("coverage", Reader::ratio)
        })
    });
    let nodes = nodes.unwrap_or_default().into_iter().collect();
    Some(Topology { nodes, edges: edges.unwrap_or_default(), coverage, findings })
}

fn node_(fields: &mut Fields<'_>) -> Option<String> {
    fields.accept_rest();
    fields.required("id", Reader::word).map(str::to_owned)
}

fn edge_(fields: &mut Fields<'_>) -> Option<Edge> {
    fields.accept_rest();
    let ends = ends(fields);
    let call_type = fields.optional("callType", Reader::word).map(str::to_owned);
    let probability = fields.optional("probability", Reader::ratio);
    let attempts = number(fields, "attempts", 1..=1_000);
    let (from, to) = ends?;
    Some(Edge { from, to, call_type, probability, attempts })
}

/// `from` and `to`.
fn ends(fields: &mut Fields<'_>) -> Option<(String, String)> {
    let from = fields.required("from", Reader::word).map(str::to_owned);
    let to = fields.required("to", Reader::word).map(str::to_owned);
    from.zip(to)
}

fn number(fields: &mut Fields<'_>, name: &'static str, range: RangeInclusive<u64>) -> Option<u32> {
    fields.optional(name, |value| value.integer(range)).and_then(|n| u32::try_from(n).ok())
}

fn runtime_(fields: &mut Fields<'_>) -> Option<((String, String), RuntimeParameters)> {
    const ANY: RangeInclusive<u64> = 0..=u32::MAX as u64;
    fields.accept_rest();
    let ends = ends(fields);
    let millis = |value: Reader<'_>| value.integer(0..=i64::MAX as u64);
    let parameters = RuntimeParameters {
        timeout_ms: fields.optional("timeoutMs", millis),
        per_try_timeout_ms: fields.optional("perTryTimeoutMs", millis),
        attempts: number(fields, "attempts", ANY),
        retry_on: fields.optional("retryOn", Reader::text).map(str::to_owned),
        max_connections: number(fields, "maxConnections", ANY),
        max_pending: number(fields, "maxPending", ANY),
        consecutive_errors: number(fields, "consecutiveErrors", ANY),
        mirror: fields.optional("mirror", |mirror| mirror.fields(mirror_)),
    };
    Some((ends?, parameters))
}

fn mirror_(fields: &mut Fields<'_>) -> Option<(String, Ratio)> {
    let to = fields.required("to", Reader::text).map(str::to_owned);
    let share = fields.required("share", Reader::ratio);
    to.zip(share)
}

fn redundancy_(fields: &mut Fields<'_>) -> Option<Redundancy> {
    fields.accept_rest();
    let pattern = fields.required("pattern", Reader::word);
    let group = fields.required("group", |group| group.list(component));
    Some(Redundancy { pattern: pattern?.to_owned(), group: group?.into_iter().collect() })
}

fn component(reader: Reader<'_>) -> Option<ComponentName> {
    let text = reader.text()?;
    match ComponentName::new(text) {
        Ok(name) => Some(name),
        Err(error) => reader.refuse(error.to_string()),
    }
}

#[derive(Default)]
struct Domains {
    found: BTreeMap<ComponentName, DomainFinding>,
    findings: Vec<(Field, Finding)>,
}

/// `effective` by component, with `details.<component>.status`; or `inferred` and `declared` by domain.
fn domains_(fields: &mut Fields<'_>) -> Option<Domains> {
    fields.accept_rest();
    let mut found = BTreeMap::new();
    for list in ["inferred", "declared"] {
        let groups =
            fields.optional(list, |list| list.list(|group| group.fields(group_))).unwrap_or_default();
        for (domain, members) in groups {
            members.into_iter().for_each(|member| add(&mut found, member, &domain));
        }
    }
    fields.optional("effective", |effective| {
        effective.map(|entry, domains| {
            let name = ComponentName::new(&entry.key).ok()?;
            let domains = domains.list(Reader::word)?;
            found.entry(name.clone()).or_insert_with(unknown);
            domains.into_iter().for_each(|domain| add(&mut found, name.clone(), domain));
            Some(())
        })
    });
    let mut findings = Vec::new();
    fields.optional("details", |details| {
        details.map(|entry, detail| {
            let (status, papers) = detail.fields(detail_)?;
            let Ok(name) = ComponentName::new(&entry.key) else { return Some(()) };
            if let Some(finding) = found.get_mut(&name) {
                finding.status = status;
            }
            findings.extend(papers.map(|finding| (Field::Domains(name), finding)));
            Some(())
        })
    });
    Some(Domains { found, findings })
}

fn unknown() -> DomainFinding {
    DomainFinding { domains: Default::default(), status: Status::Unresolved }
}

fn add(found: &mut BTreeMap<ComponentName, DomainFinding>, component: ComponentName, domain: &str) {
    let finding = found.entry(component).or_insert_with(unknown);
    finding.status = Status::Identified;
    finding.domains.insert(domain.to_owned());
}

fn group_<'a>(fields: &mut Fields<'a>) -> Option<(String, Vec<ComponentName>)> {
    fields.accept_rest();
    let name = fields.required("name", Reader::word);
    let members = fields.required("members", |members| members.list(component));
    Some((name?.to_owned(), members?))
}

fn detail_(fields: &mut Fields<'_>) -> Option<(Status, Option<Finding>)> {
    fields.accept_rest();
    let status = fields.required("status", known_status)?;
    Some((status, testimony::papers_finding(fields, status)))
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
