//! What the tasks of a running control plane share.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use emac_core::units::{Generation, Millis};

use crate::aggregate::Aggregate;
use crate::clock::Clock;
use crate::ingest::Stats;
use crate::plan::PlanSnapshot;
use crate::store::Stored;

/// Shared state: one lock for evidence, the plan without any.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) aggregate: Arc<RwLock<Aggregate>>,
    pub(super) stats: Arc<Stats>,
    /// The plan in force. Readers never wait.
    pub(super) plan: ArcSwap<PlanSnapshot>,
    /// Whether evidence survives a restart.
    pub(super) durable: bool,
    stopping: AtomicBool,
}

impl Shared {
    /// Begins with what is stored.
    ///
    /// A generation must grow over restarts even when the store is lost, or sidecars would ignore the new plans; so plans
    /// begin at the calendar's milliseconds, which no plan period of at least 50 ms can overtake.
    pub(super) fn new(clock: Clock, stored: Stored, window: Millis, durable: bool) -> Self {
        let generation = stored.generation.max(Generation(clock.unix_ms()));
        let plan = PlanSnapshot { generation, ..PlanSnapshot::default() };
        Self {
            clock,
            aggregate: Arc::new(RwLock::new(Aggregate::new(stored, window))),
            stats: Arc::default(),
            plan: ArcSwap::from_pointee(plan),
            durable,
            stopping: AtomicBool::new(false),
        }
    }

    /// Evidence for reading; held briefly, because the committer waits for it.
    pub(super) fn evidence(&self) -> RwLockReadGuard<'_, Aggregate> {
        self.aggregate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on not ready.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Why this control plane should get no traffic, if so.
    pub(super) fn not_ready(&self) -> Option<&'static str> {
        let last_commit_failed = self.stats.last_commit_failed.load(Relaxed);
        match (self.stopping.load(Relaxed), last_commit_failed) {
            (true, _) => Some("shutting down"),
            (false, true) => Some("evidence cannot be stored"),
            (false, false) => None,
        }
    }
}
