//! What the watch knows, for people and programs.

use std::collections::BTreeMap;

use crate::discover::Discovered;
use emac_compile::accept::{ChangeKind, Class, Delta, Shift};
use emac_compile::model::{Disagreement, EvidenceSource, Provenance, Status as Sureness};

/// Everything, since the process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchStatus {
    /// Windows that ended.
    pub windows: u64,
    /// When the present one began, by the calendar.
    pub window_began_unix_ms: u64,
    /// Whole traces looked at.
    pub traces: u64,
    /// Records refused because they were older than their intent allows.
    pub stale: u64,
    /// Declared journeys by name.
    pub journeys: BTreeMap<String, JourneyStatus>,
    /// What the last window saw and nobody declared.
    pub undeclared: Vec<Undeclared>,
}

/// A journey that nobody declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared {
    /// Made from its entry.
    pub name: String,
    /// Service and operation.
    pub entry: (String, String),
    /// Traces in the last window.
    pub traces: u64,
}

/// A declared journey.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JourneyStatus {
    /// Windows that had something to say.
    pub windows: u64,
    /// How the last window ended, in words.
    pub said: String,
    /// The last window that had something to say.
    pub observed: Option<Observed>,
    /// Version of the accepted model that it is compared with; `None`: what the intent declares.
    pub base: Option<String>,
    /// Version of the candidate; `None` until enough windows have spoken.
    pub candidate: Option<String>,
    /// Confidence of the candidate as a whole, 0 to 1.
    pub confidence: Option<f64>,
    /// What the candidate would change.
    pub deltas: Vec<DeltaStatus>,
    /// Changes that were seen, but not often enough, with in how many of the last windows.
    pub waiting: Vec<(String, usize)>,
    /// Why the policy agreed to nothing; `None` where it did, or there was nothing to agree to.
    pub policy: Option<String>,
}

/// What one window saw by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// From what.
    pub source: EvidenceSource,
    /// Whole traces.
    pub traces: u64,
    /// Canonical text; `None` when the structure could not be told.
    pub expression: Option<String>,
    /// Why each operator is there: canonical text, and what speaks for it.
    pub operators: Vec<(String, Vec<Provenance>)>,
    /// As a whole, 0 to 1.
    pub confidence: Option<f64>,
    /// Where it differs from the intent.
    pub disagreements: Vec<Disagreement>,
}

/// A change that is proposed.
#[derive(Clone, Debug, PartialEq)]
pub struct DeltaStatus {
    /// As `emac accept --only` takes it.
    pub id: String,
    /// Its type.
    pub kind: ChangeKind,
    /// In words.
    pub change: String,
    /// Whether evidence agrees.
    pub status: Sureness,
    /// 0 to 1.
    pub confidence: f64,
    /// How much it matters, and the careful end of availability before and after where that is known.
    pub impact: Option<(&'static str, Option<Shift>)>,
    /// What speaks for it.
    pub provenance: Vec<Provenance>,
}

impl Undeclared {
    pub(super) fn of(found: &Discovered) -> Self {
        Self { name: found.name.clone(), entry: found.entry.clone(), traces: found.traces }
    }
}

impl DeltaStatus {
    pub(super) fn of(delta: &Delta) -> Self {
        let evidence = delta.evidence();
        let impact = delta.impact.as_ref();
        Self {
            id: delta.id.to_string(),
            kind: delta.change.kind(),
            change: delta.change.to_string(),
            status: evidence.status,
            confidence: evidence.confidence.get(),
            impact: impact.map(|impact| (Class::label(impact.class()), impact.a_minus.clone().ok())),
            provenance: evidence.provenance.clone(),
        }
    }
}
