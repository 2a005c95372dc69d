//! The intent: what a journey promises and what may be done to keep the promise, as a person writes it.
//!
//! `apiVersion: emac.dev/v1alpha1, kind: JourneyIntent`. Each module reads one section and holds its types, so that a field, its type and its
//! rules stand together; `check` then looks at what concerns several sections. An [`Intent`] exists only when there was no error.
//!
//! The structure is a checked [`Journey`]; the planner takes the runtime part from it. What the intent does not
//! hold: the atomic SLOs it refers to (`openslo:<name>`), and the accepted model.

mod alerting;
mod check;
mod component;
mod digest;
mod entry;
mod evidence;
mod governance;
mod objectives;
mod operator;
mod queries;
mod reach;
mod runtime;
mod share;

use std::collections::BTreeMap;
use std::path::PathBuf;

use emac_core::budget::EntryRule;
use emac_core::context::UNDECLARED;
use emac_core::id::JourneyName;
use emac_core::journey::{ComponentName, Journey};
use emac_core::units::{Micros, Millis};

use crate::types::texts;
use component::components;
use emac_document::shape::{Mapping, Shape};
use emac_document::types::{mapping, unread};
use emac_document::{API_VERSION, Document, Fields, Limits, Problem, Problems, describe, read_all};
use evidence::{domains, evidence};
use governance::governance;
use objectives::objectives;

pub use component::{
    Component, ComponentKind, SloOrigin, SloRef, SloRole, Span, Telemetry, TelemetryMetrics,
};
pub use digest::{canonical_digest, canonical_json};
pub use evidence::{DiscoveryInput, DomainKind, DomainRule, Evidence};
pub use governance::{
    Action, AlertLabels, Alerts, AvailabilityEnd, BurnRate, CanaryLabel, EvaluationMode, Gate, Governance,
    LatencyEnd, ParameterBound, ProgressiveDelivery, RateLimit, Rollback, RolloutProvider,
};
pub use objectives::{AvailabilityObjective, LatencyMetric, LatencyObjective, Objectives, RatioSli};
pub use operator::{OPERATOR, free_structure};
pub use reach::{CalloutOptions, HopRef, LatencyDefault, Reach};
pub use runtime::{Damping, Lease, Runtime, RuntimePolicy};

/// Kind of the documents read here.
pub const KIND: &str = "JourneyIntent";

/// One journey as declared, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// `metadata.name`.
    pub name: JourneyName,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `spec.objectives`.
    pub objectives: Objectives,
    /// `spec.entry`: how the edge recognises a request; empty when the journey is only computed, not enforced.
    pub entry: Vec<EntryRule>,
    /// `spec.operator` with composite components written out, in normal form.
    pub structure: Journey,
    /// `spec.components`: one for each leaf of `structure`, and those declared but not used.
    pub components: BTreeMap<ComponentName, Component>,
    /// `spec.evidence.modelDiscovery`.
    pub evidence: Evidence,
    /// `spec.failureDomains.rules`, in the order written.
    pub domains: Vec<DomainRule>,
    /// `spec.governance` without `runtime`.
    pub governance: Governance,
    /// `spec.governance.runtime`.
    pub runtime: Runtime,
    /// SHA-256 (hex) of the document's canonical JSON: the same whatever its comments, order and layout.
    pub digest: String,
}

impl Intent {
    /// From the end of the request at the edge to the first byte of a useful answer: said explicitly, else the latency objective's threshold.
    pub fn deadline(&self) -> Option<Millis> {
        let threshold = self.objectives.latency.as_ref().map(|latency| latency.threshold);
        // Rounded up: a threshold below a millisecond is not a deadline of zero.
        self.runtime.deadline.or_else(|| threshold.map(|Micros(micros)| Millis(micros.div_ceil(1_000))))
    }
}

/// Whether a document says that it is an intent; others may stand in the same files.
pub fn is_intent(document: &Document) -> bool {
    document.is_kind(KIND)
}

/// Reads one document. `None` when reading it found at least one error; all of them are in `problems`, beside those of parsing.
pub fn read(document: &Document, problems: &Problems) -> Option<Intent> {
    let before = problems.errors();
    let digest = canonical_digest(&document.root);
    let intent = document.reader(problems).fields(|fields| {
        let version = fields.required("apiVersion", |version| version.choice(&[(API_VERSION, ())]));
        let kind = fields.required("kind", |kind| kind.choice(&[(KIND, ())]));
        let (metadata, spec) = body(fields)?;
        version.and(kind)?;
        Some(spec.into_intent(metadata, digest))
    });
    intent.filter(|_| problems.errors() == before)
}

/// The table of an intent.
pub fn table() -> &'static Mapping {
    describe(body)
}

/// Reads every intent among documents; other kinds are passed over. In the order of names. Two journeys of one name are a problem,
/// and so is an entry of which another journey takes every request.
pub fn of(documents: &[Document], problems: &Problems) -> Vec<Intent> {
    let mut found: BTreeMap<JourneyName, (Intent, &Document)> = BTreeMap::new();
    for document in documents.iter().filter(|document| is_intent(document)) {
        let Some(intent) = read(document, problems) else { continue };
        if let Some((_, first)) = found.get(&intent.name) {
            let (line, _) = first.source.position(first.root.span.start);
            let problem = Problem::error(format!("the journey `{}` is declared twice", intent.name));
            let help = format!("it was first declared in {}:{line}", first.source.name());
            problems.push(problem.at(&document.source, document.root.span).help(help));
        } else {
            found.insert(intent.name.clone(), (intent, document));
        }
    }
    entry::never_asked(
        &found.values().map(|(intent, document)| (intent, *document)).collect::<Vec<_>>(),
        problems,
    );
    found.into_values().map(|(intent, _)| intent).collect()
}

/// Reads every intent of files and directories; see [`of`] and [`read_all`].
pub fn load(paths: &[PathBuf], problems: &Problems) -> Vec<Intent> {
    of(&read_all(paths, &Limits::default(), problems), problems)
}

struct Metadata {
    name: JourneyName,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn body(fields: &mut Fields<'_>) -> Option<(Metadata, Spec)> {
    let metadata = fields.field("metadata", mapping(metadata), "identity of the journey").required();
    let spec = fields.field("spec", mapping(Spec::read), "specification").required();
    Some((metadata?, spec?))
}

fn metadata(fields: &mut Fields<'_>) -> Option<Metadata> {
    let name = share::named("name", "^[a-z0-9-]{1,63}$", "checkout", JourneyName::new);
    let says = "the journey's name, used in labels, file names and headers";
    let name = fields.field("name", name, says).required();
    if name.as_ref().is_some_and(|name| name.as_str() == UNDECLARED) {
        let message =
            format!("the name `{UNDECLARED}` stands for requests on no declared journey; choose another");
        return fields.reader().refuse(message);
    }
    let says = "free text for people and tools";
    let labels = fields.field("labels", texts(), says).optional().unwrap_or_default();
    let annotations = fields.field("annotations", texts(), says).optional().unwrap_or_default();
    Some(Metadata { name: name?, labels, annotations })
}

struct Spec {
    objectives: Objectives,
    entry: Vec<EntryRule>,
    structure: Journey,
    components: BTreeMap<ComponentName, Component>,
    evidence: Evidence,
    domains: Vec<DomainRule>,
    governance: Governance,
    runtime: Runtime,
}

impl Spec {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let objectives = fields.field("objectives", mapping(objectives), "objectives").required();
        let says = "rules by which the edge recognises requests of the journey, at most 16; one match is enough; without rules the journey is computed, not enforced. CORS preflights, probes and scrapes, and calls of `grpc.health.v1.Health` enter only by a rule whose method is OPTIONS, that names `user-agent`, or that names that service";
        let entry = fields.field("entry", entry::rules(), says).optional().unwrap_or_default();
        let operator = unread(|| Shape::Named(&OPERATOR));
        let operator = fields.field("operator", operator, "how the components combine").required();
        let says = "the components that the operator names";
        let declared = fields.field("components", components(), says).required().unwrap_or_default();
        let says = "where the structure is discovered";
        let evidence = fields.field("evidence", mapping(evidence), says).optional().unwrap_or_default();
        let says = "failure domains; if rules are given, components may name no other domains";
        let domains = fields.field("failureDomains", mapping(domains), says).optional().unwrap_or_default();
        let says = "what automation may decide, and on which bounds";
        let governance = fields.field("governance", mapping(governance), says).optional();
        let (governance, runtime) = governance.unwrap_or_default();
        let structure = operator.and_then(|operator| operator::structure(operator, &declared));
        check::components(&declared, &domains, &runtime, structure.as_ref());
        let objectives = objectives?;
        check::objectives(fields.reader(), &objectives, &entry, &runtime);
        let components = declared.into_components();
        Some(Self {
            objectives,
            entry,
            structure: structure?,
            components,
            evidence,
            domains,
            governance,
            runtime,
        })
    }

    fn into_intent(self, metadata: Metadata, digest: String) -> Intent {
        let Self { objectives, entry, structure, components, evidence, domains, governance, runtime } = self;
        let Metadata { name, labels, annotations } = metadata;
        Intent {
            name,
            labels,
            annotations,
            objectives,
            entry,
            structure,
            components,
            evidence,
            domains,
            governance,
            runtime,
            digest,
        }
    }
}

#[cfg(test)]
mod tests;
