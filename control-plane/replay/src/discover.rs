//! What a scenario's evidence says: which calls, whether the race's branches overlap, which failure domains.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::bound::Domains;
use emac_core::journey::ComponentName;
use serde_json::{Map, Value, json};

use super::confidence::PaperConfidence;
use super::read::{RecordedLabel, RecordedSpan, Replay, Scenario};
use emac_compile::model::CallType;

/// Everything found in one scenario.
pub(super) struct ScenarioFindings<'a> {
    pub(super) replay: &'a Replay,
    pub(super) scenario: &'a Scenario,
    pub(super) race: &'a [ComponentName],
    /// (caller, callee) to the spans that show it.
    pub(super) calls: BTreeMap<(String, String), Vec<(&'a RecordedSpan, &'a RecordedSpan)>>,
    pub(super) overlap: Overlap,
    /// By component of the accepted model, in its order.
    pub(super) domains: Vec<(ComponentName, DomainsFound)>,
}

/// How the race's branches occur.
pub(super) struct Overlap {
    /// Traces with any branch.
    pub(super) traces: usize,
    /// Traces with every branch.
    pub(super) complete: usize,
    /// Of those, traces in which two branches overlap in time.
    pub(super) overlapping: usize,
    /// Traces with each branch.
    pub(super) by_branch: Vec<(ComponentName, usize)>,
}

/// Failure domains of one component.
pub(super) struct DomainsFound {
    pub(super) observations: Vec<RecordedLabel>,
    /// Distinct values, in the order first seen, with how often each was.
    pub(super) values: Vec<(String, usize)>,
    /// Whether all observations are about one and the same domain, so that two values contradict each other.
    pub(super) single: bool,
}

impl<'a> ScenarioFindings<'a> {
    pub(super) fn new(replay: &'a Replay, scenario: &'a Scenario, race: &'a [ComponentName]) -> Self {
        let domains = replay.atomic_order.iter().map(|name| (name.clone(), domains(scenario, name, race)));
        Self {
            replay,
            scenario,
            race,
            calls: calls(&scenario.spans),
            overlap: overlap(&scenario.spans, race),
            domains: domains.collect(),
        }
    }

    /// Calls that the accepted model expects and the traces show, per call expected.
    pub(super) fn coverage(&self) -> f64 {
        let seen = |(from, to, _): &&(String, String, CallType)| {
            self.calls.contains_key(&(from.clone(), to.clone()))
        };
        let expected = self.replay.edges.len();
        if expected == 0 {
            1.0
        } else {
            self.replay.edges.iter().filter(seen).count() as f64 / expected as f64
        }
    }

    /// Failure domains for the bounds.
    pub(super) fn domains(&self) -> BTreeMap<ComponentName, Domains> {
        self.domains.iter().map(|(name, found)| (name.clone(), found.known())).collect()
    }

    pub(super) fn domains_of(&self, name: &ComponentName) -> Option<&DomainsFound> {
        self.domains.iter().find(|(known, _)| known == name).map(|(_, found)| found)
    }

    /// Whether the branches of the race share fate, in the paper's words.
    pub(super) fn relation(&self) -> &'static str {
        let mut seen = BTreeSet::new();
        let mut shared = false;
        for name in self.race {
            match self.domains_of(name).map(DomainsFound::known) {
                Some(Domains::Known(domains)) => {
                    shared |= domains.into_iter().any(|domain| !seen.insert(domain))
                }
                _ => return "unknown_or_conflicting_domain",
            }
        }
        if shared { "shared_effective_domain" } else { "separate_effective_domains" }
    }

    fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.scenario.folder)
    }

    /// The discovered model as a document.
    pub(super) fn document(&self, confidence: &PaperConfidence) -> Value {
        let name = &self.scenario.name;
        let journey = &self.replay.accepted.journey;
        json!({
            "apiVersion": "emac.sanity/v1",
            "kind": "DiscoveredJourneyModel",
            "metadata": {
                "name": format!("{journey}-{name}"),
                "labels": labels(journey, name),
            },
            "spec": {
                "scenario": name,
                "inputArtifacts": {
                    "canonicalIntent": self.replay.canonical_intent,
                    "acceptedModel": self.replay.files.accepted,
                    "scenario": self.path("scenario.yaml"),
                    "traceEvidence": self.path("trace-evidence.yaml"),
                    "deploymentDomainEvidence": self.path("deployment-domains.yaml"),
                },
                "operatorGraph": self.replay.operator_graph,
                "topology": {"nodes": self.replay.nodes, "edges": self.edges(), "edgeDiagnostics": self.diagnostics()},
                "redundancy": [self.redundancy(confidence)],
                "failureDomains": self.failure_domains(),
                "confidence": confidence.document(),
                "provenance": self.provenance(),
            },
        })
    }

    fn edges(&self) -> Vec<Value> {
        let edge = |(from, to, call_type): &(String, String, CallType)| {
            let shown = self.shown(from, to);
            let (status, confidence) = if shown.is_empty() { ("missing", 0.20) } else { ("observed", 0.95) };
            json!({
                "from": from, "to": to, "callType": call_type.label(),
                "status": status, "confidence": confidence, "provenance": shown,
            })
        };
        self.replay.edges.iter().map(edge).collect()
    }

    /// The spans that show a call.
    fn shown(&self, from: &str, to: &str) -> Vec<Value> {
        let pairs = self.calls.get(&(from.to_owned(), to.to_owned())).into_iter().flatten();
        let shown = |(parent, child): &(&RecordedSpan, &RecordedSpan)| json!({"trace_id": child.trace, "parent_span_id": parent.id, "span_id": child.id});
        pairs.map(shown).collect()
    }

    fn diagnostics(&self) -> Value {
        let text = |from: &str, to: &str| format!("{from}->{to}");
        let expected: BTreeSet<_> = self.replay.edges.iter().map(|(from, to, _)| text(from, to)).collect();
        let observed: BTreeSet<_> = self.calls.keys().map(|(from, to)| text(from, to)).collect();
        let missing: Vec<_> = expected.difference(&observed).collect();
        json!({
            "expectedEdges": expected, "observedEdges": observed, "missingEdges": missing, "coverage": self.coverage(),
        })
    }

    fn redundancy(&self, confidence: &PaperConfidence) -> Value {
        let overlap = &self.overlap;
        let share = |count: usize| {
            json!(if overlap.traces == 0 { 0.0 } else { count as f64 / overlap.traces as f64 })
        };
        let frequency: Map<_, _> =
            overlap.by_branch.iter().map(|(name, count)| (name.to_string(), share(*count))).collect();
        let agrees = overlap.all_seen() && overlap.ratio() >= 0.80;
        json!({
            "id": "payment_race", "pattern": "race", "semantics": "hedged",
            "group": self.race.iter().map(ComponentName::as_str).collect::<Vec<_>>(),
            "status": if agrees { "trace_and_intent_agree" } else { "incomplete_trace_evidence" },
            "branchObservationFrequency": frequency,
            "overlapRatio": overlap.ratio(),
            "tracesWithBothBranches": overlap.complete,
            "confidence": confidence.race,
            "provenance": {
                "traceSignal": "payment spans share emac.redundancy_group=payment_race and overlap in time",
                "observedPaymentTraces": overlap.traces,
            },
        })
    }

    fn failure_domains(&self) -> Value {
        let effective: Map<_, _> =
            self.domains.iter().map(|(name, found)| (name.to_string(), json!(found.names()))).collect();
        let details: Map<_, _> =
            self.domains.iter().map(|(name, found)| (name.to_string(), found.document())).collect();
        json!({"effective": effective, "paymentRaceRelation": self.relation(), "details": details})
    }

    fn provenance(&self) -> Value {
        let edges: Map<_, _> = self
            .replay
            .edges
            .iter()
            .map(|(from, to, _)| (format!("{from}->{to}"), json!(self.shown(from, to))))
            .collect();
        let domains: Map<_, _> =
            self.domains.iter().map(|(name, found)| (name.to_string(), json!(found.shown()))).collect();
        json!({"operatorEdges": edges, "failureDomains": domains})
    }
}

/// Labels of generated documents.
pub(super) fn labels(journey: &str, scenario: &str) -> Value {
    json!({"emac.example": "true", "emac.sanity.generated": "true", "journey": journey, "scenario": scenario})
}

fn calls(spans: &[RecordedSpan]) -> BTreeMap<(String, String), Vec<(&RecordedSpan, &RecordedSpan)>> {
    let by_id: BTreeMap<_, _> =
        spans.iter().map(|span| ((span.trace.as_str(), span.id.as_str()), span)).collect();
    let mut calls: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for child in spans {
        let parent =
            child.parent.as_ref().and_then(|parent| by_id.get(&(child.trace.as_str(), parent.as_str())));
        if let Some(&parent) = parent {
            calls.entry((parent.service.clone(), child.service.clone())).or_default().push((parent, child));
        }
    }
    calls
}

fn overlap(spans: &[RecordedSpan], race: &[ComponentName]) -> Overlap {
    let mut traces: BTreeMap<&str, Vec<&RecordedSpan>> = BTreeMap::new();
    for span in spans.iter().filter(|span| race.iter().any(|name| name.as_str() == span.service)) {
        traces.entry(&span.trace).or_default().push(span);
    }
    let has = |spans: &[&RecordedSpan], name: &ComponentName| {
        spans.iter().any(|span| span.service == name.as_str())
    };
    let complete: Vec<_> = traces.values().filter(|spans| race.iter().all(|name| has(spans, name))).collect();
    let overlapping = complete.iter().filter(|spans| branches_overlap(spans)).count();
    let count = |name: &ComponentName| traces.values().filter(|spans| has(spans, name)).count();
    let by_branch = race.iter().map(|name| (name.clone(), count(name))).collect();
    Overlap { traces: traces.len(), complete: complete.len(), overlapping, by_branch }
}

fn branches_overlap(spans: &[&RecordedSpan]) -> bool {
    let meet =
        |a: &RecordedSpan, b: &RecordedSpan| a.service != b.service && a.start < b.end && b.start < a.end;
    spans.iter().any(|a| spans.iter().any(|b| meet(a, b)))
}

impl Overlap {
    pub(super) fn all_seen(&self) -> bool {
        self.by_branch.iter().all(|(_, count)| *count > 0)
    }

    pub(super) fn ratio(&self) -> f64 {
        if self.complete == 0 { 0.0 } else { self.overlapping as f64 / self.complete as f64 }
    }
}

fn domains(scenario: &Scenario, name: &ComponentName, race: &[ComponentName]) -> DomainsFound {
    let single = race.contains(name);
    let mut observations = scenario.observations.get(name.as_str()).cloned().unwrap_or_default();
    let traced = scenario.spans.iter().filter(|span| span.service == name.as_str());
    observations.extend(traced.filter_map(|span| {
        Some(RecordedLabel {
            value: span.domain.clone()?,
            file: format!("{}/trace-evidence.yaml", scenario.folder),
            field: format!("spans.{}.attributes.emac.provider_domain", span.id),
            signal: "trace payment-domain attribute".to_owned(),
        })
    }));
    let mut values: Vec<(String, usize)> = Vec::new();
    for observation in &observations {
        match values.iter_mut().find(|(value, _)| *value == observation.value) {
            Some((_, count)) => *count += 1,
            None => values.push((observation.value.clone(), 1)),
        }
    }
    DomainsFound { observations, values, single }
}

impl DomainsFound {
    pub(super) fn status(&self) -> &'static str {
        match self.values.len() {
            0 => "missing",
            1 => "consistent",
            _ if self.single => "conflicting",
            _ => "consistent",
        }
    }

    /// Confidence of profile `paper-v2`.
    pub(super) fn confidence(&self) -> f64 {
        let most = self.values.iter().map(|(_, count)| *count).max().unwrap_or(0);
        match self.status() {
            "missing" => 0.20,
            "conflicting" => (0.35 + 0.30 * most as f64 / self.observations.len() as f64).max(0.35),
            _ => 0.95,
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.values.iter().map(|(value, _)| value.as_str()).collect()
    }

    fn known(&self) -> Domains {
        match self.status() {
            "missing" => Domains::Missing,
            "conflicting" => Domains::Conflicting,
            _ => Domains::Known(self.values.iter().map(|(value, _)| value.clone()).collect()),
        }
    }

    pub(super) fn shown(&self) -> Vec<Value> {
        let shown = |one: &RecordedLabel| json!({"value": one.value, "file": one.file, "field": one.field, "signal": one.signal});
        self.observations.iter().map(shown).collect()
    }

    fn document(&self) -> Value {
        let mut document = json!({
            "domains": self.names(), "status": self.status(), "confidence": self.confidence(), "observations": self.shown(),
        });
        if self.single {
            let alternatives: Map<_, _> =
                self.values.iter().map(|(value, count)| (value.clone(), json!(count))).collect();
            document["alternatives"] = Value::Object(alternatives);
        }
        document
    }
}
