//! What the planner is told: what an intent says of a journey's runtime, the structure that acts, and evidence by hop.
//!
//! The YAML field of each value is named beside it.

use std::collections::BTreeMap;

use emac_core::budget::{EntryRule, FallbackBudget, SuccessPredicate};
use emac_core::id::{HopKey, JourneyName};
use emac_core::journey::{ComponentName, Journey};
use emac_core::outcome::OutcomeCounts;
use emac_core::sketch::Sketch;
use emac_core::units::{Millis, Ratio};

use emac_compile::declared::Declared;
use emac_journey::intent::{self, LatencyDefault, Reach, RuntimePolicy};

/// One journey as the planner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct JourneyInput {
    /// `metadata.name`.
    pub name: JourneyName,
    /// SHA-256 (hex) of the intent's canonical form, or of the accepted model; provenance only, may be empty.
    pub model_digest: String,
    /// SHA-256 (hex) of intent, accepted model and promises together ([`Declared::declaration`]); provenance only, may be empty.
    pub declaration: String,
    /// `spec.operator`.
    pub structure: Journey,
    /// `spec.objectives.latency.objective.threshold`: from the end of the request at the edge to the first byte of a useful answer.
    pub deadline: Millis,
    /// `spec.objectives.availability.target`.
    pub objective: Ratio,
    /// `spec.entry[]`.
    pub entry: Vec<EntryRule>,
    /// `spec.governance.runtime`.
    pub runtime: RuntimePolicy,
    /// `spec.components`: one for each leaf of `structure`; more are ignored.
    pub components: BTreeMap<ComponentName, ComponentInput>,
}

/// `spec.components.<leaf>`: what the runtime needs to know of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentInput {
    /// How it is reached.
    pub reach: Reach,
    /// Success share while nothing is measured: target of the atomic SLO. Default 0.999.
    pub availability: Ratio,
    /// `latency {p50, p99}`: while nothing is measured. `None`: a twentieth and a fifth of the deadline, and a fallback for it acts
    /// only once it is measured.
    pub latency: Option<LatencyDefault>,
    /// `success {http, grpc}`: what counts as a good answer.
    pub success: SuccessPredicate,
    /// `fallbackBudget {share, burst}`: bound on degraded answers in place of this component. `None`: the journey's.
    pub fallback_budget: Option<FallbackBudget>,
}

/// What was seen of one hop in the planning window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HopEvidence {
    /// Calls by outcome.
    pub outcomes: OutcomeCounts,
    /// Latency of the destination's own good answers.
    pub latency: Sketch,
    /// Latency of the alternate's good answers.
    pub alternate_latency: Sketch,
    /// Times the alternate was asked, before or instead of passing a failure on.
    pub alternate_asked: u64,
}

/// Evidence of the planning window by hop; the operation is part of the key, an empty one is the sum over operations.
pub type EvidenceByHop = BTreeMap<HopKey, HopEvidence>;

impl Default for ComponentInput {
    fn default() -> Self {
        Self {
            reach: Reach::Unseen,
            availability: Ratio::new(0.999).unwrap_or_default(),
            latency: None,
            success: SuccessPredicate::default(),
            fallback_budget: None,
        }
    }
}

impl JourneyInput {
    /// Of a journey as it is declared, with the structure that acts; `None` for one that nobody enters or that has no deadline, which is
    /// computed but not enforced.
    pub fn of(declared: &Declared) -> Option<Self> {
        let intent = &declared.intent;
        if intent.entry.is_empty() {
            return None;
        }
        let component = |(name, component): (&ComponentName, &intent::Component)| {
            let promise = || declared.promises.get(name)?.availability;
            let promised = component.availability.or_else(promise);
            let default = ComponentInput::default();
            let input = ComponentInput {
                reach: component.reach.clone(),
                availability: promised.unwrap_or(default.availability),
                latency: component.latency,
                success: component.success.clone(),
                fallback_budget: component.fallback_budget,
            };
            (name.clone(), input)
        };
        Some(Self {
            name: intent.name.clone(),
            model_digest: declared.structure_version().to_owned(),
            declaration: declared.declaration_digest(),
            structure: declared.structure().clone(),
            deadline: intent.deadline()?,
            objective: intent.objectives.availability.target,
            entry: intent.entry.clone(),
            runtime: intent.runtime.policy.clone(),
            components: intent.components.iter().map(component).collect(),
        })
    }
}
