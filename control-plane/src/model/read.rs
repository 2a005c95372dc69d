//! Model documents to checked values.

use std::collections::BTreeMap;

use emac_core::journey::{ComponentName, Journey, parse};
use emac_core::units::Ratio;

use super::{Confidence, DomainFinding, Edge, Model, Origin, Redundancy, Status};
use crate::document::{Document, Fields, Problems, Reader};
use crate::intent::{API_VERSION, canonical_digest, free_structure};

/// Version of the paper's replay.
const REPLAY_VERSION: &str = "emac.sanity/v1";

/// Reads a model of a kind.
pub(super) fn model(document: &Document, kind: &'static str, problems: &Problems) -> Option<Model> {
    let before = problems.errors();
    let model = document.reader(problems).fields(|fields| {
        fields.accept_rest();
        let version = fields
            .required("apiVersion", |version| version.choice(&[(API_VERSION, ()), (REPLAY_VERSION, ())]));
        let is_kind = fields.required("kind", |found| found.choice(&[(kind, ())]));
        let journey = fields.required("metadata", journey);
        let spec = fields.required("spec", |spec| spec.fields(Spec::read));
        let (journey, spec) = (journey?, spec?);
        version.and(is_kind)?;
        Some(Model {
            journey,
            structure: spec.structure,
            nodes: Default::default(),
            edges: spec.edges,
            redundancy: spec.redundancy,
            runtime: Default::default(),
            findings: Default::default(),
            disagreements: Vec::new(),
            evidence: Vec::new(),
            domains: spec.domains,
            confidence: spec.confidence,
            edge_coverage: spec.edge_coverage,
            origin: Origin::File(document.source.name().to_owned()),
            digest: canonical_digest(&document.root),
        })
    });
    model.filter(|_| problems.errors() == before)
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
    edges: Vec<Edge>,
    redundancy: Vec<Redundancy>,
    domains: BTreeMap<ComponentName, DomainFinding>,
    confidence: Confidence,
    edge_coverage: Option<Ratio>,
}

impl Spec {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.accept_rest();
        let structure = structure(fields);
        let topology = fields.optional("topology", |topology| topology.fields(topology_)).unwrap_or_default();
        let redundancy = fields.optional("redundancy", |all| all.list(|one| one.fields(redundancy_)));
        let domains =
            fields.optional("failureDomains", |domains| domains.fields(domains_)).unwrap_or_default();
        let confidence = fields.optional("confidence", |confidence| confidence.fields(confidence_));
        let (edges, edge_coverage) = topology;
        let redundancy = redundancy.unwrap_or_default();
        Some(Self {
            structure,
            edges,
            redundancy,
            domains,
            confidence: confidence.unwrap_or_default(),
            edge_coverage,
        })
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

fn topology_(fields: &mut Fields<'_>) -> Option<(Vec<Edge>, Option<Ratio>)> {
    fields.accept_rest();
    let edges = fields.optional("edges", |edges| edges.list(|edge| edge.fields(edge_)));
    let coverage = fields.optional("edgeDiagnostics", |diagnostics| {
        diagnostics.fields(|fields| {
            fields.accept_rest();
            fields.optional("coverage", Reader::ratio)
        })
    });
    Some((edges.unwrap_or_default(), coverage))
}

fn edge_(fields: &mut Fields<'_>) -> Option<Edge> {
    fields.accept_rest();
    let from = fields.required("from", Reader::word);
    let to = fields.required("to", Reader::word);
    let call_type = fields.optional("callType", Reader::word).map(str::to_owned);
    let probability = fields.optional("probability", Reader::ratio);
    let attempts = fields
        .optional("attempts", |attempts| attempts.integer(1..=1_000))
        .and_then(|n| u32::try_from(n).ok());
    Some(Edge { from: from?.to_owned(), to: to?.to_owned(), call_type, probability, attempts })
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

/// `effective` by component, with `details.<component>.status`; or `inferred` and `declared` by domain.
fn domains_(fields: &mut Fields<'_>) -> Option<BTreeMap<ComponentName, DomainFinding>> {
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
    fields.optional("details", |details| {
        details.map(|entry, detail| {
            let status = detail.fields(status_)?;
            let finding = ComponentName::new(&entry.key).ok().and_then(|name| found.get_mut(&name));
            if let Some(finding) = finding {
                finding.status = status;
            }
            Some(())
        })
    });
    Some(found)
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

fn status_(fields: &mut Fields<'_>) -> Option<Status> {
    const STATUSES: [(&str, Status); 6] = [
        ("consistent", Status::Identified),
        ("identified", Status::Identified),
        ("missing", Status::Unresolved),
        ("unresolved", Status::Unresolved),
        ("conflicting", Status::Contradictory),
        ("contradictory", Status::Contradictory),
    ];
    fields.accept_rest();
    fields.required("status", |status| status.choice(&STATUSES))
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
