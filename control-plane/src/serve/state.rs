//! What the tasks of a running control plane share.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::{ArcSwap, ArcSwapOption};
use emac_core::id::JourneyName;
use emac_core::units::Micros;
use tokio::sync::Notify;

use super::discovery::Discovery;
use super::enforcement::{Enforcement, Keep};
use super::guard::Guard;
use super::intents::Intents;
use super::models::InForce;
use super::ready::Overflow;
use super::records::LastRecords;
use crate::aggregate::Aggregate;
use crate::clock::Clock;
use crate::config::{EvidenceConfig, Stopped};
use crate::engine::nats::Cluster;
use crate::identity::Gate;
use crate::ingest::{Stats, otlp};
use crate::plan::{JourneyInput, PlanSnapshot};
use crate::store::{GenerationGate, Stored};
use emac_core::units::Moment;
use emac_push::proxies::Proxies;
use emac_push::snapshot::Publisher;

/// Shared state: one lock for evidence, the plan without any.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) aggregate: Arc<RwLock<Aggregate>>,
    pub(super) stats: Arc<Stats>,
    /// The plan in force. Readers never wait.
    pub(super) plan: ArcSwap<PlanSnapshot>,
    /// Makes the numbers of plans durable before they are pushed.
    pub(super) generations: GenerationGate,
    /// Who peers are and what they may say.
    pub(super) gate: Arc<Gate>,
    /// The intents in force.
    pub(super) intents: ArcSwap<Intents>,
    /// What the plan in force was made from, which another process may have made.
    pub(super) in_force: ArcSwap<InForce>,
    /// Why their files, as they are now, are not, if so.
    pub(super) intents_refused: ArcSwapOption<String>,
    /// What is stopped; every plan passes it on its way to the publisher.
    pub(super) enforcement: Enforcement,
    /// When evidence last found no place.
    pub(super) overflow: Overflow,
    /// Who may ask and change what over HTTP.
    pub(super) guard: Guard,
    /// Budgets on their way to sidecars.
    pub(super) publisher: Arc<Publisher>,
    /// Who is connected for budgets.
    pub(super) proxies: Arc<Proxies>,
    /// No plan is made before.
    pub(super) plan_from: Micros,
    /// Plan now, not at the next period.
    pub(super) replan: Notify,
    /// Give an order to the other replicas now.
    pub(super) tell: Notify,
    /// Read the intents again.
    pub(super) reload: Notify,
    /// What discovery knows; nothing while it is off.
    pub(super) discovery: ArcSwapOption<Discovery>,
    /// Single calls that came last; none while discovery is off.
    pub(super) records: LastRecords,
    /// What became of traces sent by OTLP.
    pub(super) otlp: Arc<otlp::Stats>,
    /// Whether evidence survives a restart.
    pub(super) durable: bool,
    /// The other replicas, where there may be some.
    pub(super) cluster: Option<Arc<Cluster>>,
    /// When this process began, by the calendar.
    pub(super) began_unix_ms: u64,
    stopping: AtomicBool,
}

impl Shared {
    /// Begins with what is stored. Generations grow over restarts even when the store is lost: the planner numbers plans by the
    /// calendar's milliseconds.
    pub(super) fn new(
        clock: Clock,
        stored: Stored,
        evidence: &EvidenceConfig,
        (durable, generations): (bool, GenerationGate),
        intents: Intents,
        (gate, guard): (Arc<Gate>, Guard),
        (keep, stopped): (Keep, Option<Stopped>),
    ) -> Self {
        let (publisher, proxies): (Arc<Publisher>, Arc<Proxies>) = Default::default();
        let enforcement = Enforcement::new(
            Arc::clone(&publisher),
            Arc::clone(&proxies),
            keep,
            stopped,
            stored.generation,
            clock.unix_ms(),
        );
        let plan = PlanSnapshot { generation: stored.generation, ..PlanSnapshot::default() };
        let restarted = stored.hops.values().any(|totals| totals.outcomes.total() > 0);
        let window = evidence.window;
        let mut aggregate = Aggregate::new(stored, window).with_capacity(evidence.capacity);
        aggregate.declare(names(&intents));
        Self {
            gate,
            generations,
            in_force: ArcSwap::from_pointee(InForce::own(&intents)),
            intents: ArcSwap::from_pointee(intents),
            intents_refused: ArcSwapOption::empty(),
            enforcement,
            overflow: Overflow::default(),
            guard,
            publisher,
            proxies,
            plan_from: if restarted { clock.now().after(window.to_micros()) } else { Micros(0) },
            discovery: ArcSwapOption::empty(),
            records: LastRecords::default(),
            otlp: Arc::default(),
            replan: Notify::new(),
            tell: Notify::new(),
            reload: Notify::new(),
            clock,
            aggregate: Arc::new(RwLock::new(aggregate)),
            stats: Arc::default(),
            plan: ArcSwap::from_pointee(plan),
            durable,
            cluster: None,
            began_unix_ms: clock.unix_ms(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Puts intents in force: their journeys have a place in the evidence from now on.
    pub(super) fn put_in_force(&self, intents: Intents) {
        self.aggregate.write().unwrap_or_else(PoisonError::into_inner).declare(names(&intents));
        if self.cluster.is_none() {
            self.in_force.store(Arc::new(InForce::own(&intents)));
        }
        self.intents.store(Arc::new(intents));
        // Where there are others, whoever follows them compares.
        self.tell.notify_one();
    }

    /// Journeys that the plan in force was made from, by name.
    pub(super) fn planned(&self) -> Arc<[JourneyInput]> {
        Arc::clone(&self.in_force.load().planned)
    }

    /// As one of several: every replica files the same evidence at the same place, and issues a workload's budgets under the same generation.
    pub(super) fn be_one_of_several(&self) {
        self.publisher.renew_under_own();
        self.enforcement.be_one_of_several();
        self.aggregate.write().unwrap_or_else(PoisonError::into_inner).keep_places();
    }

    /// Evidence for reading; held briefly, because the committer waits for it.
    pub(super) fn evidence(&self) -> RwLockReadGuard<'_, Aggregate> {
        self.aggregate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both clocks.
    pub(super) fn moment(&self) -> Moment {
        self.clock.moment()
    }

    /// From now on not ready.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Whether it ends.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}

fn names(intents: &Intents) -> impl Iterator<Item = JourneyName> {
    intents.declared.iter().map(|declared| declared.intent.name.clone())
}
