//! What planning gives: budgets by workload, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::budget::WorkloadBudgets;
use emac_core::budget::curve::Allocation;
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::units::{Generation, Millis};

/// A complete plan. Immutable; the next one is built beside it and shares with it what did not change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanSnapshot {
    /// Grows exactly when `workloads` changed.
    pub generation: Generation,
    /// What each workload is told, under the generation in which that last changed.
    pub workloads: BTreeMap<WorkloadName, Arc<WorkloadBudgets>>,
    /// What was predicted and why, by journey.
    pub journeys: BTreeMap<JourneyName, Arc<JourneyPlan>>,
}

/// The plan of one journey.
#[derive(Clone, Debug, PartialEq)]
pub struct JourneyPlan {
    /// Success within the deadline under the planned timeouts, from the measured shares as they are. A static split's promise: at
    /// run time unspent time flows on, so the truth is at least this if the evidence is.
    pub predicted: f64,
    /// The same from the lower 95 % confidence bound of every measured share; what the timeouts were chosen by.
    pub predicted_lower: f64,
    /// Digest of the intent, or version of the accepted model, whose structure is planned.
    pub model: String,
    /// Names intent, accepted model and promises together: [`super::JourneyInput::declaration`].
    pub declaration: String,
    /// That structure as canonical text.
    pub expression: String,
    /// Objective of the intent.
    pub objective: f64,
    /// Deadline of the intent.
    pub deadline: Millis,
    /// What is left of it to split, once the answer's way back is kept.
    pub planned: Millis,
    /// Time and reason of every leaf, in the order of the expression; a component that occurs twice is here twice.
    pub leaves: Vec<LeafPlan>,
    /// When the timeouts last changed, milliseconds since 1970.
    pub changed_unix_ms: u64,
    /// Why the timeouts are those of the previous plan, or only part of the way.
    pub damped: Damped,
    /// What could not be turned into budgets.
    pub notes: Vec<String>,
}

/// Time given to one leaf, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafPlan {
    /// Time in force: `allocation.time` for each try. Never sums above `planned` on any path.
    pub allocation: Allocation,
    /// Hops that carry the budget, one a source; none for what no sidecar calls by itself.
    pub hops: Vec<HopKey>,
    /// Timeout as pushed; for an alternate that of the callout.
    pub timeout: Option<Millis>,
    /// Where its curve comes from.
    pub source: CurveSource,
    /// Time that nine tenths of its calls need when it is as usual: learned whenever that many answer, else as learned last, else by
    /// default. However bad a primary looks it gets this much (at most half of what it shares with its alternate), so that its
    /// recovery can be seen.
    pub usual: Millis,
    /// What limited the timeout.
    pub bound: Bound,
    /// Share of its calls that succeed within `allocation.time`, as measured.
    pub success: f64,
}

/// Where a curve comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurveSource {
    /// The intent's, or the built-in, default; with the calls seen so far.
    Default {
        /// Fewer than the minimum.
        calls: u64,
    },
    /// Measured over the planning window.
    Measured {
        /// Calls in the window.
        calls: u64,
    },
    /// A static answer: at once and always.
    Static,
}

/// What limited a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The best split of the deadline, nothing else.
    Optimum,
    /// Nothing else can answer: the call may use whatever the rest of the journey does not need.
    Remaining,
    /// The call contains other hops of the journey: it lasts as long as they may.
    Encloses,
    /// `governance.runtime.timeout.min`, or the declared median of the component.
    Minimum,
    /// `governance.runtime.timeout.max`.
    Maximum,
}

/// What damping did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damped {
    /// Nothing: the optimum is in force.
    No,
    /// The optimum is too near, or too little better.
    Hysteresis,
    /// The last step was less than a period ago.
    Period,
    /// Only a step of the largest allowed size was made.
    Step,
}
