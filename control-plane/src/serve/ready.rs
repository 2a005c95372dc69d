//! Whether this control plane should get traffic, and why not.
//!
//! It is ready once a plan of its own has been published (with intents that are planned; without any there is nothing to wait for), while
//! evidence can be stored and the tables have room for whoever comes new.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use emac_core::units::Micros;
use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;

use super::state::Shared;

/// A call that found no place in its table speaks against readiness for so long.
const OVERFLOW_LASTS: Micros = Micros(60_000_000);

/// When calls last found no place. Tables let go of what is silent, so that a table with all its places taken may still have room.
#[derive(Debug, Default)]
pub(super) struct Overflow(Mutex<(u64, Option<Micros>)>);

impl Overflow {
    /// Whether calls found no place lately; `calls` are those since the start.
    fn is_recent(&self, calls: u64, now: Micros) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls > known.0 {
            *known = (calls, Some(now));
        }
        known.1.is_some_and(|at| now.since(at) < OVERFLOW_LASTS)
    }
}

/// Why this control plane should get no traffic; empty when it should.
pub(super) fn reasons(shared: &Shared) -> Vec<String> {
    let mut reasons = Vec::new();
    if shared.is_stopping() {
        reasons.push("shutting down".to_owned());
    }
    reasons.extend(shared.cluster.as_ref().and_then(|cluster| cluster.problem()));
    if shared.stats.last_commit_failed.load(Relaxed) {
        reasons.push("evidence cannot be stored".to_owned());
    }
    let planned = shared.publisher.snapshot().get(WORKLOAD_BUDGETS_TYPE_URL).is_some();
    let journeys = shared.intents.load().planned.len();
    if !planned && journeys > 0 {
        let waits = shared.clock.now() < shared.plan_from;
        let why =
            if waits { "evidence of one window is awaited after the restart" } else { "it is being made" };
        reasons.push(format!("no plan is in force for {journeys} journeys: {why}"));
    }
    let fill = shared.evidence().fill();
    if shared.overflow.is_recent(fill.evicted.calls, shared.clock.now()) {
        let full: Vec<_> = fill.full().collect();
        let which = if full.is_empty() { "a share of a table".to_owned() } else { full.join(" and ") };
        reasons.push(format!(
            "no room for new entries ({which}): calls are counted under an overflow entry; raise evidence.capacity"
        ));
    }
    reasons
}
