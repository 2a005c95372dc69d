//! A group of traces to a model: structure, topology, redundancy, confidence, and what the intent says differently.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{ComponentName, Expr, Join, Journey};
use emac_core::units::Ratio;

use super::DiscoveryContext;
use super::candidate::{IDENTIFIED_MIN, ReasonedExpr, Writer, finding, findings, key, ratio};
use super::journeys::TraceGroup;
use super::names::{Names, share_seen};
use super::observe::{Count, Observations, SiteId};
use super::reconcile::{Calls, FromIntent, names_of_kept, reconcile};
use super::structure::Support;
use super::tree::Tree;
use emac_compile::model::{
    CallType, Confidence, Disagreement, Edge, EvidenceSource, Field, Finding, Model, Origin, Provenance,
    Redundancy, RedundancyPattern, Status,
};
use emac_journey::intent::Intent;

/// The model of a group; `None` when it has no component.
pub(super) fn model(
    name: &str,
    group: &TraceGroup,
    names: &Names,
    observations: &Observations,
    intent: Option<&Intent>,
    given: &DiscoveryContext<'_>,
) -> Option<Model> {
    let Inferred { journey, written, taken } = inferred(group, names, observations, intent)?;
    let topology = topology(group, observations, names, given.source);
    let mut found = findings(&journey, &written, given.source);
    found.extend(topology.findings);
    mark_taken(&journey, intent.map(|intent| intent.structure.root()), &taken, &mut found);
    let disagreements = disagreements(&journey, intent, &taken, &mut found);
    let mut model = Model {
        journey: name.to_owned(),
        redundancy: redundancy(journey.root()),
        nodes: topology.nodes,
        edges: topology.edges,
        structure: Some(journey),
        domains: BTreeMap::new(),
        runtime: BTreeMap::new(),
        findings: found,
        disagreements,
        evidence: given.evidence.to_vec(),
        confidence: Confidence::default(),
        edge_coverage: intent.map(|intent| coverage(intent, names)),
        origin: Origin::Declared,
        digest: String::new(),
    };
    model.confidence = confidence(&model);
    Some(model)
}

/// The structure of a journey with its reasons, and what of it is the intent's word.
struct Inferred {
    journey: Journey,
    written: ReasonedExpr,
    taken: FromIntent,
}

/// What the calls of a group show, held against the intent; `None` when there is no component among them.
fn inferred(
    group: &TraceGroup,
    names: &Names,
    observations: &Observations,
    intent: Option<&Intent>,
) -> Option<Inferred> {
    let tree = Tree::new(observations, group);
    let entry = Support::of_entry(group.traces).shown_by(group.examples.iter().copied());
    let mut written = Writer::new(names, observations).write(&tree.call(group.root, entry))?;
    let (expr, taken) = match intent.map(|intent| intent.structure.root()) {
        Some(declared) => {
            written.rename(&names_of_kept(&written.expr, declared));
            reconcile(written.expr.clone(), declared, &calls(group, observations, names))
        }
        None => (written.expr.clone(), FromIntent::default()),
    };
    // What came from traces keeps the rules; were that not so, the structure would be unknown rather than wrong.
    Some(Inferred { journey: Journey::new(expr).ok()?, written, taken })
}

/// Share of the declared calls that were seen; all of none.
fn coverage(intent: &Intent, names: &Names) -> Ratio {
    ratio(share_seen(intent, |name| names.bound().contains(name)).unwrap_or(1.0))
}

/// How sure a model is as a whole: as sure as the least sure of what bears on its bounds. Edges count by their mean, since a journey has many and
/// each bears little; operators, and domains of what stands in for each other, by their weakest, since one of them decides.
pub(crate) fn confidence(model: &Model) -> Confidence {
    let of = |wanted: &dyn Fn(&Field) -> bool| -> Vec<f64> {
        model
            .findings
            .iter()
            .filter(|(field, _)| wanted(field))
            .map(|(_, finding)| finding.confidence.get())
            .collect()
    };
    let edges = of(&|field| matches!(field, Field::Edge { .. }));
    let operators = of(&|field| matches!(field, Field::Operator(_)));
    let redundant: BTreeSet<_> = model.redundancy.iter().flat_map(|redundancy| &redundancy.group).collect();
    let domains = of(&|field| matches!(field, Field::Domains(name) if redundant.contains(name)));
    let mean = |all: &[f64]| if all.is_empty() { 1.0 } else { all.iter().sum::<f64>() / all.len() as f64 };
    let least = |all: &[f64]| all.iter().copied().fold(1.0, f64::min);
    let parts = [("edges", mean(&edges)), ("operators", least(&operators)), ("domains", least(&domains))];
    let overall = parts.iter().map(|(_, value)| *value).fold(1.0, f64::min);
    Confidence {
        overall: Some(rounded(overall)),
        fields: parts.into_iter().map(|(name, value)| (name.to_owned(), rounded(value))).collect(),
        flags: model.confidence.flags.clone(),
    }
}

/// To eight decimals, as all that is written.
fn rounded(value: f64) -> Ratio {
    ratio((value * 1e8).round() / 1e8)
}

/// Calls and failures by component, of the sampled requests.
fn calls(group: &TraceGroup, observations: &Observations, names: &Names) -> Calls {
    let mut calls = Calls::new();
    let shapes: BTreeSet<_> = group.shapes.iter().collect();
    for occurrence in group
        .sites
        .iter()
        .filter_map(|site| observations.sample(*site))
        .flat_map(|sample| sample.smallest(usize::MAX))
    {
        if !shapes.contains(&occurrence.shape) {
            continue;
        }
        for call in &occurrence.calls {
            let Some(name) = names.get(call.site) else { continue };
            let count = calls.entry(name.clone()).or_default();
            count.0 += 1;
            count.1 += u64::from(call.outcome.failed());
        }
    }
    calls
}

// === topology ===

struct TracedTopology {
    nodes: BTreeSet<String>,
    edges: Vec<Edge>,
    findings: BTreeMap<Field, Finding>,
}

#[derive(Default)]
struct Called {
    traces: u64,
    times: u64,
    mesh_retried: u64,
    cut: u64,
    message: bool,
    sites: Vec<SiteId>,
}

impl Called {
    /// What was seen, and what of it was not the application's doing.
    fn says(&self, all: u64) -> String {
        let mut says = format!("called {} times in {} of {all} traces", self.times, self.traces);
        if self.mesh_retried > 0 {
            says.push_str(&format!(
                "; the mesh tried {} of the calls again, by its own configuration",
                self.mesh_retried
            ));
        }
        if self.cut > 0 {
            says.push_str(&format!("; the sidecar cut {} of the calls at the journey's budget", self.cut));
        }
        says
    }
}

fn topology(
    group: &TraceGroup,
    observations: &Observations,
    names: &Names,
    source: EvidenceSource,
) -> TracedTopology {
    let nodes = group.sites.iter().filter_map(|id| names.get(*id)).map(ToString::to_string).collect();
    let mut traced = TracedTopology { nodes, edges: Vec::new(), findings: BTreeMap::new() };
    for ((from, to), called) in called(group, observations, names) {
        let says = called.says(group.traces);
        let support = Support::of_seen(called.traces, says).shown_by(examples(&called, group, observations));
        traced.findings.insert(Field::Edge { from: from.clone(), to: to.clone() }, finding(&support, source));
        traced.edges.push(Edge {
            from,
            to,
            call_type: Some(if called.message { CallType::Async } else { CallType::Sync }),
            probability: Some(rounded(called.traces as f64 / group.traces.max(1) as f64)),
            attempts: None,
        });
    }
    traced
}

/// Who calls whom, counted over all sites at which it does.
fn called(
    group: &TraceGroup,
    observations: &Observations,
    names: &Names,
) -> BTreeMap<(String, String), Called> {
    let mut all: BTreeMap<(String, String), Called> = BTreeMap::new();
    for &id in &group.sites {
        let (Some(site), Some(to)) = (observations.sites().get(id), names.get(id)) else { continue };
        let Some(from) = site.parent.and_then(|parent| names.get(parent)) else { continue };
        let edge = all.entry((from.to_string(), to.to_string())).or_default();
        edge.message |= site.message;
        edge.sites.push(id);
    }
    all.values_mut().for_each(|edge| count(edge, group, observations));
    all
}

/// Traces that make a call, and how often they do.
fn count(edge: &mut Called, group: &TraceGroup, observations: &Observations) {
    for shape in group.shapes.iter().filter_map(|&number| observations.shapes().get(number as usize)) {
        let mut all = Count::default();
        let counts =
            edge.sites.iter().filter_map(|site| shape.counts.get(shape.sites.binary_search(site).ok()?));
        counts.for_each(|count| all.add(*count));
        edge.times += all.times;
        edge.mesh_retried += all.mesh_retried;
        edge.cut += all.cut;
        edge.traces += if all.times > 0 { shape.traces } else { 0 };
    }
}

fn examples<'a>(
    edge: &'a Called,
    group: &'a TraceGroup,
    observations: &'a Observations,
) -> impl Iterator<Item = emac_trace::TraceId> + 'a {
    let shapes = group.shapes.iter().filter_map(|&number| observations.shapes().get(number as usize));
    let having = shapes.filter(|shape| edge.sites.iter().any(|site| shape.sites.binary_search(site).is_ok()));
    having.flat_map(|shape| shape.examples.iter().copied())
}

// === redundancy ===

/// Every operator under which one component stands in for another.
fn redundancy(root: &Expr) -> Vec<Redundancy> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(expr) = open.pop() {
        let pattern = match expr {
            Expr::Race { .. } => Some(RedundancyPattern::Race),
            Expr::Fallback { .. } => Some(RedundancyPattern::Fallback),
            Expr::Parallel { join: Join::AtLeast(_), .. } => Some(RedundancyPattern::Quorum),
            _ => None,
        };
        let group = expr.leaves().into_iter().cloned().collect();
        found.extend(pattern.map(|pattern| Redundancy { pattern, group }));
        open.extend(expr.children());
    }
    found.sort_by(|a, b| a.group.cmp(&b.group));
    found
}

// === the intent ===

/// Says of what was taken from the intent that it was.
fn mark_taken(
    journey: &Journey,
    declared: Option<&Expr>,
    taken: &FromIntent,
    found: &mut BTreeMap<Field, Finding>,
) {
    let stated: BTreeSet<String> =
        declared.map(nodes).unwrap_or_default().into_iter().map(|(_, text)| text).collect();
    for (expr, text) in nodes(journey.root()) {
        let is_stated = stated.contains(&text);
        let field = Field::Operator(text);
        let declared = |says: &str| Provenance {
            source: EvidenceSource::Intent,
            says: says.to_owned(),
            traces: Vec::new(),
            place: None,
        };
        if let Some(says) = taken.unexercised.get(&key(expr)) {
            // Somebody's word: as sure as acceptance asks, and no surer.
            let confidence = ratio(IDENTIFIED_MIN);
            let provenance = vec![declared(says)];
            found.insert(field, Finding { status: Status::Identified, confidence, samples: 0, provenance });
        } else if taken.confirmed.contains(&key(expr))
            && is_stated
            && let Some(finding) = found.get_mut(&field)
        {
            finding.provenance.push(declared("declared so too"));
        }
    }
}

/// Where evidence and intent differ. A difference that evidence is sure of is contradictory until a person decides.
fn disagreements(
    journey: &Journey,
    intent: Option<&Intent>,
    taken: &FromIntent,
    found: &mut BTreeMap<Field, Finding>,
) -> Vec<Disagreement> {
    let Some(intent) = intent else { return Vec::new() };
    let mut disagreements: Vec<_> = taken.refuted.iter().map(refuted).collect();
    disagreements.extend(other_operators(journey, intent, found));
    let seen: BTreeSet<_> = journey.leaves().into_iter().collect();
    let declared: BTreeSet<_> = intent.structure.leaves().into_iter().collect();
    disagreements
        .extend(seen.symmetric_difference(&declared).map(|name| unmatched(name, seen.contains(*name))));
    disagreements
}

/// Declared redundancy that was needed and did not come.
fn refuted((declared, observed): &(Expr, String)) -> Disagreement {
    Disagreement {
        field: Field::Operator(declared.to_string()),
        declared: declared.to_string(),
        observed: observed.clone(),
    }
}

/// Operators over the components of a declared one that nobody declared so. What was identified among them is contradictory from now on.
fn other_operators(
    journey: &Journey,
    intent: &Intent,
    found: &mut BTreeMap<Field, Finding>,
) -> Vec<Disagreement> {
    let (mine, theirs) = (nodes(journey.root()), nodes(intent.structure.root()));
    let mut disagreements = Vec::new();
    for (expr, text) in mine {
        let same = theirs.iter().find(|(other, _)| leaf_set(other) == leaf_set(expr));
        let is_declared = theirs.iter().any(|(_, other)| *other == text);
        let Some((_, declared)) = same.filter(|_| !is_declared) else { continue };
        let field = Field::Operator(text.clone());
        let finding = found.get_mut(&field).filter(|finding| finding.status == Status::Identified);
        if let Some(finding) = finding {
            finding.status = Status::Contradictory;
        }
        disagreements.push(Disagreement { field, declared: declared.clone(), observed: text });
    }
    disagreements
}

/// A component that evidence or intent alone knows.
fn unmatched(name: &ComponentName, seen: bool) -> Disagreement {
    let (declared, observed) = if seen { ("not declared", "called") } else { ("declared", "never called") };
    Disagreement {
        field: Field::Operator(name.to_string()),
        declared: declared.to_owned(),
        observed: observed.to_owned(),
    }
}

fn leaf_set(expr: &Expr) -> BTreeSet<&ComponentName> {
    expr.leaves().into_iter().collect()
}

/// Operators with their texts.
fn nodes(root: &Expr) -> Vec<(&Expr, String)> {
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(expr) = open.pop() {
        open.extend(expr.children());
        if !matches!(expr, Expr::Leaf(_)) {
            found.push((expr, expr.to_string()));
        }
    }
    found
}
