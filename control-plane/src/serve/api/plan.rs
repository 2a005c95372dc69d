//! `/api/v1/plan`: what is in force and why.

use emac_core::budget::{Fallback, FallbackKind, HopBudget, JourneyBudget, WorkloadBudgets};
use emac_core::id::HopKey;
use emac_core::units::Millis;
use serde_json::{Map, Value, json};

use super::super::state::Shared;
use super::enforcement::stopped;
use super::models::told;
use crate::plan::{Bound, CurveSource, Damped, JourneyPlan, LeafPlan};

/// The plan in force: predictions and derivation by journey, budgets by workload as they are published, less what is stopped.
pub(in super::super) fn plan(shared: &Shared) -> Value {
    let (plan, view) = (shared.plan.load(), shared.enforcement.view());
    let in_force = shared.in_force.load();
    let journeys = plan.journeys.iter().map(|(name, journey)| {
        let mut shown = json_of_journey(journey);
        shown["stopped"] = stopped(&view, name.as_str());
        told(&mut shown, in_force.origin(name), true);
        (name.to_string(), shown)
    });
    let workloads =
        view.out.workloads().iter().map(|(name, budgets)| (name.to_string(), json_of_workload(budgets)));
    json!({
        "generation": view.out.generation.0,
        "journeys": Value::Object(Map::from_iter(journeys)),
        "workloads": Value::Object(Map::from_iter(workloads)),
    })
}

fn json_of_journey(journey: &JourneyPlan) -> Value {
    json!({
        "model": journey.model,
        "declaration": journey.declaration,
        "expression": journey.expression,
        "predicted": journey.predicted,
        "predicted_lower": journey.predicted_lower,
        "objective": journey.objective,
        "deadline_ms": journey.deadline.0,
        "planned_ms": journey.planned.0,
        "changed_unix_ms": journey.changed_unix_ms,
        "damped": damped(journey.damped),
        "leaves": journey.leaves.iter().map(json_of_leaf).collect::<Vec<_>>(),
        "notes": journey.notes,
    })
}

fn json_of_leaf(leaf: &LeafPlan) -> Value {
    json!({
        "component": leaf.allocation.leaf.as_str(),
        "start_ms": leaf.allocation.start.0,
        "time_ms": leaf.allocation.time.0,
        "tries": leaf.allocation.tries,
        "timeout_ms": millis(leaf.timeout),
        "success": leaf.success,
        "curve": curve(leaf.source),
        "bound": bound(leaf.bound),
        "hops": leaf.hops.iter().map(hop_key).collect::<Vec<_>>(),
    })
}

fn hop_key(key: &HopKey) -> Value {
    json!({"source": key.source, "destination": key.destination, "operation": key.operation})
}

fn curve(source: CurveSource) -> Value {
    match source {
        CurveSource::Default { calls } => json!({"source": "default", "calls": calls}),
        CurveSource::Measured { calls } => json!({"source": "measured", "calls": calls}),
        CurveSource::Static => json!({"source": "static"}),
    }
}

fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Optimum => "optimum",
        Bound::Remaining => "remaining",
        Bound::Encloses => "encloses",
        Bound::Minimum => "minimum",
        Bound::Maximum => "maximum",
    }
}

fn damped(damped: Damped) -> &'static str {
    match damped {
        Damped::No => "no",
        Damped::Hysteresis => "hysteresis",
        Damped::Period => "period",
        Damped::Step => "step",
    }
}

fn json_of_workload(budgets: &WorkloadBudgets) -> Value {
    json!({
        "generation": budgets.generation.0,
        "model_digest": budgets.model_digest,
        "valid_for_ms": budgets.valid_for.0,
        "journeys": budgets.journeys.iter().map(json_of_journey_budget).collect::<Vec<_>>(),
        "hops": budgets.hops.iter().map(json_of_hop).collect::<Vec<_>>(),
    })
}

fn json_of_journey_budget(budget: &JourneyBudget) -> Value {
    json!({
        "journey": budget.journey.as_str(),
        "deadline_ms": budget.deadline.0,
        "mode": budget.mode.label(),
        "priority": budget.priority,
        "record_ppm": budget.record.get(),
        "entry_rules": budget.entry.len(),
    })
}

fn json_of_hop(hop: &HopBudget) -> Value {
    json!({
        "journey": hop.journey.as_str(),
        "destination": hop.destination,
        "operation": hop.operation,
        "mode": hop.mode.label(),
        "timeout_ms": millis(hop.timeout),
        "per_try_timeout_ms": millis(hop.per_try_timeout),
        "reserve_ms": hop.reserve.0,
        "useful_min_ms": hop.useful_min.0,
        "timeout_alone_ms": millis(hop.alone.map(|alone| alone.timeout)),
        "reserve_alone_ms": millis(hop.alone.map(|alone| alone.reserve)),
        "without_context": hop.without_context,
        "stream": hop.stream,
        "retry_ppm": hop.retry.map(|retry| retry.ratio.get()),
        "fallback": hop.fallback.as_ref().map(json_of_fallback),
    })
}

fn json_of_fallback(fallback: &Fallback) -> Value {
    let kind = match &fallback.kind {
        FallbackKind::Static(response) => json!({"static": response.status}),
        FallbackKind::Alternate(alternate) => {
            json!({"alternate": alternate.cluster, "timeout_ms": alternate.timeout.0})
        }
    };
    json!({"answer": kind, "weight_ppm": fallback.weight.get(), "budget_ppm": fallback.budget.map(|budget| budget.share.get())})
}

fn millis(duration: Option<Millis>) -> Option<u64> {
    duration.map(|duration| duration.0)
}
