//! The loop that closes the loop: every period, evidence and intents become a plan, and a changed plan is pushed.
//!
//! The plan is made on a blocking thread, put behind the arc-swap and handed to the publisher; nothing waits for it. Changed intents
//! are planned at once.
//!
//! After a restart with stored evidence the first plan waits for a full window: what sidecars hold was planned from measurements,
//! and a plan from defaults would undo it. Their leases bridge the gap. Without a state directory a restart cannot be told from a
//! first start, and the first plan goes out at once.

use std::sync::Arc;
use std::time::Duration;

use emac_core::budget::Mode;
use emac_core::evidence::{DecisionKind, HopDelta};
use emac_core::units::{Micros, Millis};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::intents::Intents;
use super::state::Shared;
use crate::plan::{self, EvidenceByHop, HopEvidence};

/// Plans until told to stop.
pub(super) async fn run(shared: Arc<Shared>, period: Millis, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_millis(period.0));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.replan.notified() => {}
            _ = ticks.tick() => {}
        }
        if shared.clock.now() < shared.plan_from && !shared.enforcement.is_unheard() {
            continue;
        }
        let planning = Arc::clone(&shared);
        if let Err(problem) = tokio::task::spawn_blocking(move || step(&planning)).await {
            error!(%problem, "planning failed; the plan in force stays");
        }
    }
}

/// Makes one plan and pushes it.
fn step(shared: &Shared) {
    let begun = shared.clock.now();
    let intents = shared.intents.load_full();
    let evidence = evidence(shared, begun, &intents);
    let previous = shared.plan.load_full();
    let next = plan::plan(&intents.planned, &evidence, Some(&previous), shared.clock.unix_ms());
    let next = Arc::new(next);
    // In force first: whoever gets budgets can look up why.
    shared.plan.store(Arc::clone(&next));
    let published = shared.enforcement.publish(Arc::clone(&next), shared.moment());
    if next.generation != previous.generation {
        let (generation, workloads) = (next.generation.0, published.issued.len());
        info!(generation, workloads, removed = published.removed.len(), "new plan");
    }
    shared.stats.planned(shared.clock.now().since(begun));
}

fn evidence(shared: &Shared, now: Micros, intents: &Intents) -> EvidenceByHop {
    let enforced = |journey: &str| {
        let mut found = intents.planned.iter().filter(|intent| intent.name.as_str() == journey);
        found.any(|intent| intent.runtime.mode == Mode::Enforce)
    };
    let lately = shared.evidence().lately(now);
    lately
        .into_iter()
        .map(|(key, delta)| {
            let enforced = enforced(&key.journey);
            (key, seen(delta, enforced))
        })
        .collect()
}

/// Decisions are counted whether or not they are acted upon; only an enforced one asks the alternate.
fn seen(delta: HopDelta, enforced: bool) -> HopEvidence {
    let asked =
        delta.decisions.get(DecisionKind::FallbackBefore) + delta.decisions.get(DecisionKind::FallbackAfter);
    HopEvidence {
        outcomes: delta.outcomes,
        latency: delta.latency,
        alternate_latency: delta.alternate_latency,
        alternate_asked: if enforced { asked } else { 0 },
    }
}
