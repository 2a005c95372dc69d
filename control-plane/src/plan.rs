//! Planning: from intents and evidence to the budgets of every workload.
//!
//! [`Planner`] is what runs: it keeps plans and works on what moved. [`plan`] plans everything at once and is what a planner must come to; it is pure: the same intents, evidence, previous plan and time give the same [`PlanSnapshot`]. What it does is
//! success-by-deadline curves bottom-up (`emac_core::budget::curve`), the arg max as each hop's timeout,
//! then bounds and damping, because a plan that follows every wiggle of the evidence is itself a fault.
//!
//! Evidence may be wrong or forged: it chooses within the intent's bounds (`limits`), which no planned value leaves.
//!
//! Before there is evidence the default curves already give sensible timeouts, so a fault right after the start is handled like
//! any other. Evidence counts by the lower confidence bound of what was measured.
//!
//! Left out: a canary share of workloads first, rollback on burn rate. The own time of a workload that calls others is taken from
//! its default curve, because no hop shows it without what it calls.

mod cores;
mod curves;
mod damp;
mod hops;
mod input;
mod journey;
mod limits;
mod moved;
mod planner;
mod roles;
mod snapshot;
mod workloads;

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::budget::WorkloadBudgets;
use emac_core::id::WorkloadName;
use emac_core::units::Generation;

pub use input::{ComponentInput, EvidenceByHop, HopEvidence, JourneyInput};
pub use planner::{Class, EvidenceSource, Planner, Step};
pub use snapshot::{Bound, CurveSource, Damped, JourneyPlan, LeafPlan, PlanSnapshot};

/// Plans all journeys. `intents` in the order in which their entry rules are tried; names are unique. `evidence` covers the planning
/// window.
///
/// The generation of a changed plan is the time in milliseconds since 1970, and at least one more than the previous one: it grows
/// across restarts that forgot the previous plan, and when the clock goes back. An unchanged plan keeps its generation and the
/// time it was issued.
///
/// Cost: about 2 ms for a journey of six leaves and a deadline of 400 ms.
pub fn plan(
    intents: &[JourneyInput],
    evidence: &EvidenceByHop,
    previous: Option<&PlanSnapshot>,
    now_unix_ms: u64,
) -> PlanSnapshot {
    let mut workloads = workloads::Workloads::default();
    let mut journeys = BTreeMap::new();
    for intent in intents {
        let roles = roles::Roles::new(intent);
        let before = previous.and_then(|previous| previous.journeys.get(&intent.name)).map(Arc::as_ref);
        let limits = limits::Limits::new(intent);
        let known = journey::Known { roles: &roles, limits: &limits, evidence, previous: before };
        let mut planned = journey::plan_journey(intent, &known, now_unix_ms);
        let hops = hops::hop_budgets(intent, &roles, &limits, &mut planned);
        let overflow = workloads.add(intent, planned.deadline, hops);
        planned.notes.extend(overflow);
        journeys.insert(intent.name.clone(), Arc::new(planned));
    }
    let last = previous.map_or(Generation(0), |previous| previous.generation);
    let next = next_generation(last, now_unix_ms);
    let workloads = workloads.finish(next, now_unix_ms);
    match previous.filter(|previous| same(&previous.workloads, &workloads)) {
        Some(previous) => PlanSnapshot { generation: last, workloads: previous.workloads.clone(), journeys },
        None => PlanSnapshot { generation: next, workloads, journeys },
    }
}

/// Of a changed plan: the time, and more than the last.
fn next_generation(last: Generation, now_unix_ms: u64) -> Generation {
    Generation(now_unix_ms.max(last.0.saturating_add(1)))
}

type BudgetsByWorkload = BTreeMap<WorkloadName, Arc<WorkloadBudgets>>;

/// Equal but for when and under which number they were issued.
fn same(old: &BudgetsByWorkload, new: &BudgetsByWorkload) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(o, n)| o.0 == n.0 && tells_alike(o.1, n.1))
}

/// Whether a sidecar is told the same by both.
fn tells_alike(old: &WorkloadBudgets, new: &WorkloadBudgets) -> bool {
    let reissued = WorkloadBudgets {
        generation: new.generation,
        issued_at_unix_ms: new.issued_at_unix_ms,
        ..old.clone()
    };
    reissued == *new
}

#[cfg(test)]
mod tests;
