//! Planning: from intents and evidence to the budgets of every workload.
//!
//! The stages are pure: the same intents, evidence, previous plan and time give the same [`PlanSnapshot`]. What they do is
//! runtime.md section 6: success-by-deadline curves bottom-up (`emac_core::budget::curve`), the arg max as each hop's timeout,
//! then bounds and damping, because a plan that follows every wiggle of the evidence is itself a fault.

mod input;
mod snapshot;

pub use input::{
    CalloutOptions, Component, Damping, Evidence, HopEvidence, HopRef, JourneyIntent, LatencyDefault, Lease,
    Reach, RuntimePolicy,
};
pub use snapshot::{Bound, CurveSource, Damped, JourneyPlan, LeafPlan, PlanSnapshot};
