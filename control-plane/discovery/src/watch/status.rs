//! What the watch knows, for people and programs.

use std::collections::BTreeMap;

use super::Undeclared;
use emac_compile::accept::{ChangeKind, Delta, Impact, Together};
use emac_compile::model::{Disagreement, EvidenceSource, Provenance, Status as Sureness};
use emac_trace::SignalQuality;

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
    /// What the last window saw and nobody declared, the most frequent first.
    pub undeclared: Vec<Undeclared>,
    /// Those beyond [`Undeclared::JOURNEYS_MAX`].
    pub undeclared_left_out: u64,
    /// How good the signal of each source was that said anything, since the process began; with the links between its traces.
    pub signal: Vec<(EvidenceSource, SignalQuality)>,
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
    /// What all of it together would do; `None` while nothing is proposed.
    pub together: Option<TogetherStatus>,
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

/// What all changes that are proposed would do together.
#[derive(Clone, Debug, PartialEq)]
pub struct TogetherStatus {
    /// To the numbers.
    pub impact: Impact,
    /// The gate's decision before and after.
    pub decision: (&'static str, &'static str),
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
    /// What it would do alone, with what it follows from.
    pub impact: Option<Impact>,
    /// What speaks for it.
    pub provenance: Vec<Provenance>,
}

impl TogetherStatus {
    pub(super) fn of(together: Result<Together, String>) -> Self {
        match together {
            Ok(Together { impact, before, after }) => {
                Self { impact, decision: (before.label(), after.label()) }
            }
            Err(reason) => {
                let impact = Impact { a_minus: Err(reason.clone()), p99: Err(reason) };
                Self { impact, decision: ("unknown", "unknown") }
            }
        }
    }
}

impl DeltaStatus {
    pub(super) fn of(delta: &Delta) -> Self {
        let evidence = delta.evidence();
        Self {
            id: delta.id.to_string(),
            kind: delta.change.kind(),
            change: delta.change.to_string(),
            status: evidence.status,
            confidence: evidence.confidence.get(),
            impact: delta.impact.clone(),
            provenance: evidence.provenance.clone(),
        }
    }
}
