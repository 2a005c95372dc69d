//! Whether this control plane should get traffic, and why not.
//!
//! It is ready once a plan of its own has been published (with intents that are planned; without any there is nothing to wait for), while
//! evidence can be stored and the tables have room for whoever comes new.

use std::sync::atomic::Ordering::Relaxed;

use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;

use super::state::Shared;
use crate::aggregate::{HOPS_MAX, JOURNEYS_MAX};
use crate::marks::MARKS_MAX;

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fill {
    /// Stable label for metrics and reasons.
    pub(super) table: &'static str,
    pub(super) entries: usize,
    pub(super) most: usize,
}

/// The tables that peers fill.
pub(super) fn fill(shared: &Shared) -> [Fill; 3] {
    let evidence = shared.evidence();
    [
        Fill { table: "hops", entries: evidence.hops().len(), most: HOPS_MAX },
        Fill { table: "journeys", entries: evidence.journeys().len(), most: JOURNEYS_MAX },
        Fill { table: "epochs", entries: evidence.marks().len(), most: MARKS_MAX },
    ]
}

/// Why this control plane should get no traffic; empty when it should.
pub(super) fn reasons(shared: &Shared) -> Vec<String> {
    let mut reasons = Vec::new();
    if shared.is_stopping() {
        reasons.push("shutting down".to_owned());
    }
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
    for Fill { table, entries, most } in fill(shared).into_iter().filter(|fill| fill.entries >= fill.most) {
        reasons.push(format!("the table of {table} is full: {entries} of {most}"));
    }
    reasons
}
