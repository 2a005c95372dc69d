//! Models of a journey: what the system is, where the intent says what it should be.
//!
//! A [`CandidateModel`] (kind `DiscoveredJourneyModel`) is what evidence suggests; an [`AcceptedModel`] (kind `AcceptedJourneyModel`) is what a person or
//! a policy agreed to. They are two types, so that nothing acts on a candidate by mistake; a candidate is looked at only as a preview. Without
//! a file the structure declared in the intent is the model.
//!
//! Three shapes are read: this project's (`spec.expression`, `spec.operator`), the paper's first artifact (topology and redundancy groups, no
//! operator) and its replay (`spec.operatorGraph`, `failureDomains.effective`). Models carry much for people's eyes; only what bears on a bound or
//! a decision is read.

mod declared;
mod finding;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{ComponentName, Journey};
use emac_core::units::Ratio;

use crate::document::{Document, Problems};
use crate::intent::Intent;

pub use finding::{Disagreement, EvidenceRef, EvidenceSource, Field, Finding, Provenance, RuntimeParameters};

/// Kind of a candidate.
pub const CANDIDATE_KIND: &str = "DiscoveredJourneyModel";
/// Kind of an accepted model.
pub const ACCEPTED_KIND: &str = "AcceptedJourneyModel";

/// What a model says.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// `metadata.labels.journey`, else `metadata.name`.
    pub journey: String,
    /// The operators; `None` when the model only says who calls whom, and the intent's operators stand.
    pub structure: Option<Journey>,
    /// `spec.topology.nodes`: services and other callees by component name.
    pub nodes: BTreeSet<String>,
    /// `spec.topology.edges`.
    pub edges: Vec<Edge>,
    /// `spec.redundancy`.
    pub redundancy: Vec<Redundancy>,
    /// Failure domains in effect, by component.
    pub domains: BTreeMap<ComponentName, DomainFinding>,
    /// `spec.runtime`, by (caller, callee).
    pub runtime: BTreeMap<(String, String), RuntimeParameters>,
    /// `spec.fields`: how sure each field is, and why.
    pub findings: BTreeMap<Field, Finding>,
    /// `spec.disagreements`: where evidence and intent differ.
    pub disagreements: Vec<Disagreement>,
    /// `spec.evidence`: what it was made from.
    pub evidence: Vec<EvidenceRef>,
    /// `spec.confidence`.
    pub confidence: Confidence,
    /// `spec.topology.edgeDiagnostics.coverage`: share of the expected edges that were seen.
    pub edge_coverage: Option<Ratio>,
    /// Where it comes from.
    pub origin: Origin,
    /// SHA-256 (hex) of the canonical JSON of the document it was read from.
    pub digest: String,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The intent itself.
    Declared,
    /// A file.
    File(String),
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// `callType`, such as `sync`.
    pub call_type: Option<String>,
    /// `probability`: how often a request of the journey makes the call.
    pub probability: Option<Ratio>,
    /// `attempts`: most tries seen, at least 1.
    pub attempts: Option<u32>,
}

/// Components that stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redundancy {
    /// `pattern`, such as `race`.
    pub pattern: String,
    /// `group`.
    pub group: BTreeSet<ComponentName>,
}

/// What is known about a component's failure domains.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainFinding {
    /// Their names.
    pub domains: BTreeSet<String>,
    /// How sure that is.
    pub status: Status,
}

/// How sure a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Evidence agrees.
    Identified,
    /// There is no evidence.
    Unresolved,
    /// Evidence disagrees.
    Contradictory,
}

impl Status {
    /// Stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Identified => "identified",
            Self::Unresolved => "unresolved",
            Self::Contradictory => "contradictory",
        }
    }
}

/// How sure the model as a whole is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confidence {
    /// `overall`; `None` when the model does not say.
    pub overall: Option<Ratio>,
    /// `fields`.
    pub fields: BTreeMap<String, Ratio>,
    /// `evidenceFlags`: what is incomplete or in conflict.
    pub flags: Vec<String>,
}

/// A model that somebody agreed to: the only kind that acts.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedModel(Model);

/// A model that nobody has agreed to yet.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateModel(Model);

impl AcceptedModel {
    /// The structure declared in an intent: whoever wrote it agreed to it.
    pub fn declared(intent: &Intent) -> Self {
        Self(declared::model(intent))
    }

    /// Reads an accepted model.
    pub fn read(document: &Document, problems: &Problems) -> Option<Self> {
        read::model(document, ACCEPTED_KIND, problems).map(Self)
    }

    /// What it says.
    pub fn model(&self) -> &Model {
        &self.0
    }
}

impl CandidateModel {
    /// Reads a candidate.
    pub fn read(document: &Document, problems: &Problems) -> Option<Self> {
        read::model(document, CANDIDATE_KIND, problems).map(Self)
    }

    /// What it says.
    pub fn model(&self) -> &Model {
        &self.0
    }
}

impl Model {
    /// What is known about a component's domains; a component without an entry is unresolved.
    pub fn domains_of(&self, component: &ComponentName) -> (Status, Option<&BTreeSet<String>>) {
        match self.domains.get(component) {
            Some(finding) if finding.domains.is_empty() => (Status::Unresolved, None),
            Some(finding) => (finding.status, Some(&finding.domains)),
            None => (Status::Unresolved, None),
        }
    }
}

#[cfg(test)]
mod tests;
