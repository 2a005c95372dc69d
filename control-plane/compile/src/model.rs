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
mod record;
mod seal;
mod words;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{ComponentName, Journey};
use emac_core::units::Ratio;

use emac_document::{Document, Problems};
use emac_journey::intent::Intent;

pub use finding::{
    Disagreement, EvidenceRef, EvidenceSource, Field, Finding, Provenance, RuntimeField, RuntimeParameters,
    RuntimeValue, shares_said, shares_told,
};
pub use read::table;
pub use record::{Acceptance, Ancestor, Record, TakenDelta};
pub use seal::{digest, seal};
pub use words::{CallType, RedundancyPattern};
pub use write::provenance_json;
pub use write::to_text;

/// Kind of a candidate.
pub const CANDIDATE_KIND: &str = "DiscoveredJourneyModel";
/// Kind of an accepted model.
pub const ACCEPTED_KIND: &str = "AcceptedJourneyModel";
/// Version of the paper's replay, whose models are read too.
pub const REPLAY_VERSION: &str = "emac.sanity/v1";

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
    pub call_type: Option<CallType>,
    /// `probability`: how often a request of the journey makes the call.
    pub probability: Option<Ratio>,
    /// `attempts`: most tries seen, at least 1.
    pub attempts: Option<u32>,
}

/// Components that stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redundancy {
    /// `pattern`, such as `race`.
    pub pattern: RedundancyPattern,
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
pub struct AcceptedModel {
    model: Model,
    version: Option<String>,
    record: Option<Record>,
}

/// A model that nobody has agreed to yet.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateModel {
    model: Model,
    base: Option<String>,
    version: Option<String>,
}

impl AcceptedModel {
    /// The structure declared in an intent: whoever wrote it agreed to it.
    pub fn declared(intent: &Intent) -> Self {
        Self { model: declared::model(intent), version: None, record: None }
    }

    /// Reads an accepted model. A broken seal is a problem that names the changed field.
    pub fn read(document: &Document, problems: &Problems) -> Option<Self> {
        let read::ReadModel { model, version, record, .. } = read::model(document, ACCEPTED_KIND, problems)?;
        Some(Self { model, version, record })
    }

    /// What somebody agreed to, by the record of it. Only acceptance makes one: see [`crate::accept`].
    pub(crate) fn agreed(mut model: Model, record: Record) -> Self {
        let mut document = write::document(&model, ACCEPTED_KIND);
        record.write(&mut document);
        let version = seal(&mut document);
        model.digest.clone_from(&version);
        Self { model, version: Some(version), record: Some(record) }
    }

    /// What it says.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What names this version: its seal, or the digest of the file when it has none. `None` for what an intent declares.
    pub fn version(&self) -> Option<&str> {
        (self.model.origin != Origin::Declared).then_some(&self.model.digest)
    }

    /// Whether its file says its own version, and truly. What an intent declares has no file of its own.
    pub fn is_sealed(&self) -> bool {
        self.version.is_some()
    }

    /// How it came to be; `None` when it was not accepted by this project's command.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// The sealed document.
    pub fn document(&self) -> serde_json::Value {
        let mut document = write::document(&self.model, ACCEPTED_KIND);
        if let Some(record) = &self.record {
            record.write(&mut document);
        }
        seal(&mut document);
        document
    }

    /// The sealed document as YAML with comments.
    pub fn to_text(&self) -> String {
        to_text(&self.document(), ACCEPTED_COMMENT)
    }
}

/// What stands above an accepted model.
const ACCEPTED_COMMENT: &str = "The accepted model: the only one that acts. It is sealed, so do not edit it; `emac accept` changes it.\n\
    Its history: `emac log`. Whether anybody edited it: `emac verify`.";
/// What stands above a candidate.
const CANDIDATE_COMMENT: &str = "A candidate: what evidence suggests. Nobody has agreed to it and nothing acts on it.\n\
    What it would change: `emac diff`. To agree: `emac accept`.";

impl CandidateModel {
    /// What evidence suggests, compared with the accepted model of version `base` (`None`: there was none, or the intent alone).
    pub fn new(mut model: Model, base: Option<String>) -> Self {
        let mut document = write::document(&model, CANDIDATE_KIND);
        write_base(&mut document, base.as_deref());
        let version = seal(&mut document);
        model.digest.clone_from(&version);
        Self { model, base, version: Some(version) }
    }

    /// A model to be looked at and dropped: never written, so it needs no seal.
    pub(crate) fn looked_at(model: Model) -> Self {
        Self { model, base: None, version: None }
    }

    /// Reads a candidate. A broken seal is a problem that names the changed field.
    pub fn read(document: &Document, problems: &Problems) -> Option<Self> {
        let read::ReadModel { model, version, base, .. } = read::model(document, CANDIDATE_KIND, problems)?;
        Some(Self { model, base, version })
    }

    /// What it says.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Version of the accepted model it was compared with.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Its seal, or the digest of the file when it has none.
    pub fn version(&self) -> &str {
        &self.model.digest
    }

    /// Whether its file says its own version, and truly.
    pub fn is_sealed(&self) -> bool {
        self.version.is_some()
    }

    /// The sealed document.
    pub fn document(&self) -> serde_json::Value {
        let mut document = write::document(&self.model, CANDIDATE_KIND);
        write_base(&mut document, self.base());
        seal(&mut document);
        document
    }

    /// The sealed document as YAML with comments.
    pub fn to_text(&self) -> String {
        to_text(&self.document(), CANDIDATE_COMMENT)
    }
}

fn write_base(document: &mut serde_json::Value, base: Option<&str>) {
    if let Some(base) = base {
        document["spec"]["base"] = serde_json::json!(base);
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
pub(crate) mod tests;
