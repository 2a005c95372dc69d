//! The loop that closes the loop: intents and evidence become a plan, and what changed of it is pushed.
//!
//! Each period, and at once when intents changed, the [`Planner`] works on a blocking thread; nothing waits for it. Its time is bounded:
//! journeys that somebody changed are planned first and pushed as they come, [`CHUNK`] by [`CHUNK`]; those whose evidence moved have
//! a quarter of each period, and those that only have evidence half of that. The first plan is pushed as a whole: sidecars that hold
//! budgets would lose those of journeys not planned yet.
//!
//! After a restart with stored evidence the first plan waits for a full window: what sidecars hold was planned from measurements,
//! and a plan from defaults would undo it. Their leases bridge the gap. Without a state directory a restart cannot be told from a
//! first start, and the first plan goes out at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use emac_core::evidence::{DecisionKind, HopDelta};
use emac_core::id::HopKey;
use emac_core::units::{Generation, Micros, Millis};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::intents::Intents;
use super::models;
use super::replicas;
use super::state::Shared;
use crate::aggregate::{Aggregate, Hop};
use crate::engine::nats::Cluster;
use crate::plan::{Class, EvidenceByHop, EvidenceSource, HopEvidence, PlanSnapshot, Planner, Step};

/// Journeys that moved have one in so many parts of a period, on all cores.
const SHARE: u64 = 4;
/// Longest that changed journeys are planned before those done are pushed.
const CHUNK: Micros = Micros(150_000);

/// Plans until told to stop.
pub(super) async fn run(shared: Arc<Shared>, period: Millis, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_millis(period.0));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut planning = Planning::new(&shared, period);
    let mut waiting = false;
    loop {
        if !waiting {
            tokio::select! {
                () = stop.cancelled() => return,
                () = shared.replan.notified() => {}
                _ = ticks.tick() => {}
            }
        }
        if stop.is_cancelled() {
            return;
        }
        if shared.clock.now() < shared.plan_from && !shared.enforcement.is_unheard() {
            continue;
        }
        if !replicas::may_plan(&shared) {
            waiting = false;
            continue;
        }
        let state = Arc::clone(&shared);
        let work = tokio::task::spawn_blocking(move || {
            let step = planning.step(&state);
            (planning, step)
        });
        match work.await {
            Ok((same, step)) => {
                planning = same;
                waiting = step.waiting > 0;
            }
            Err(problem) => {
                error!(%problem, "planning failed; the plan in force stays");
                // What it knew may be half done.
                planning = Planning::new(&shared, period);
                waiting = false;
            }
        }
    }
}

/// The planner, and what it was last told.
struct Planning {
    planner: Planner,
    intents: Option<Arc<Intents>>,
    /// Whether a whole plan has been made.
    begun: bool,
    /// The plan of another planner with which its files were compared.
    told: Option<Generation>,
    /// Time for journeys that moved, each period.
    share: Micros,
}

impl Planning {
    fn new(shared: &Shared, period: Millis) -> Self {
        let planner = Planner::new(shared.plan.load().generation);
        let share = Micros(period.to_micros().0 / SHARE);
        Self { planner, intents: None, begun: false, told: None, share }
    }

    /// Where several plan by turns: goes on from the plan that all agreed on, unless it is this planner's own.
    fn agree(&mut self, cluster: &Cluster) -> Arc<PlanSnapshot> {
        let agreed = cluster.plan();
        if self.planner.snapshot().generation != agreed.generation {
            self.planner = Planner::resume(Arc::clone(&agreed));
            (self.intents, self.begun) = (None, false);
        }
        agreed
    }

    /// The first step of a planner that goes on from another's plan: says where its files are not those of that plan.
    fn tell_takeover(&mut self, agreed: Option<&(&Arc<Cluster>, Arc<PlanSnapshot>)>, intents: &Intents) {
        let Some((cluster, agreed)) = agreed.filter(|_| !self.begun) else { return };
        // Once, also where its plan cannot be written.
        if self.told.replace(agreed.generation) != Some(agreed.generation) {
            models::tell_takeover(cluster, agreed, intents);
        }
    }

    /// Works for a while and pushes what came of it.
    fn step(&mut self, shared: &Shared) -> Step {
        let begun = shared.clock.now();
        let agreed = shared.cluster.as_ref().map(|cluster| (cluster, self.agree(cluster)));
        let intents = shared.intents.load_full();
        self.tell_takeover(agreed.as_ref(), &intents);
        if !self.intents.as_ref().is_some_and(|known| Arc::ptr_eq(known, &intents)) {
            self.planner.retarget(&intents.planned);
            self.intents = Some(Arc::clone(&intents));
        }
        let step = {
            let time = Time { whole: !self.begun, share: self.share, ..Time::default() };
            let may_go_on = |class| time.may_go_on(class, shared.clock.now());
            self.planner.step(&Evidence { shared, now: begun }, shared.moment(), may_go_on)
        };
        self.begun = true;
        // Journeys change in what is shown of them also when no budget does.
        let plan = self.planner.snapshot();
        match (agreed, shared.generations.reserve(plan.generation)) {
            (Some((cluster, agreed)), _) => replicas::propose(cluster, shared, &agreed, plan, &intents),
            (None, Ok(())) => push(shared, plan),
            (None, Err(problem)) => error!(%problem, "plan not pushed"),
        }
        shared.stats.planned(shared.clock.now().since(begun));
        step
    }
}

/// What a step may take. Each kind's time begins with its first journey, not with the looking before it: however long that takes, something is planned.
#[derive(Debug, Default)]
struct Time {
    /// Everything is planned, however long it takes.
    whole: bool,
    /// For journeys that moved.
    share: Micros,
    changed: OnceLock<Micros>,
    others: OnceLock<Micros>,
}

impl Time {
    fn may_go_on(&self, class: Class, now: Micros) -> bool {
        let passed = |begun: &OnceLock<Micros>| now.since(*begun.get_or_init(|| now));
        self.whole
            || match class {
                Class::Changed => passed(&self.changed) < CHUNK,
                Class::Moved => passed(&self.others) < self.share,
                Class::Refresh => passed(&self.others).0 < self.share.0 / 2,
            }
    }
}

/// Puts a plan in force here.
pub(super) fn push(shared: &Shared, plan: &Arc<PlanSnapshot>) {
    // In force first: whoever gets budgets can look up why.
    let before = shared.plan.swap(Arc::clone(plan));
    let published = shared.enforcement.publish(Arc::clone(plan), shared.moment());
    if plan.generation != before.generation {
        let (generation, workloads) = (plan.generation.0, published.issued.len());
        info!(generation, workloads, removed = published.removed.len(), "new plan");
    }
}

/// What the sidecars report, as the planner asks for it.
struct Evidence<'a> {
    shared: &'a Shared,
    now: Micros,
}

impl EvidenceSource for Evidence<'_> {
    fn last_seen(&self, hops: &[HopKey]) -> Option<Micros> {
        let evidence = self.shared.evidence();
        hops.iter().flat_map(|wanted| like(&evidence, wanted)).filter_map(|(_, hop)| hop.seen).max()
    }

    fn read(&self, hops: &[HopKey], enforced: bool) -> EvidenceByHop {
        let evidence = self.shared.evidence();
        let keys = hops.iter().flat_map(|wanted| like(&evidence, wanted)).map(|(key, _)| key);
        let lately = evidence.lately_of(self.now, keys.map(Arc::as_ref));
        let stopped = |journey: &String| self.shared.enforcement.stops().why(journey).is_some();
        let enforced = enforced && !hops.first().is_some_and(|hop| stopped(&hop.journey));
        lately.into_iter().map(|(key, delta)| (key, seen(delta, enforced))).collect()
    }
}

/// The hop of a key; of a key without operation the hops of all operations.
fn like<'e>(evidence: &'e Aggregate, wanted: &'e HopKey) -> impl Iterator<Item = (&'e Arc<HopKey>, &'e Hop)> {
    let same = move |key: &HopKey| {
        (&key.journey, &key.source, &key.destination)
            == (&wanted.journey, &wanted.source, &wanted.destination)
            && (wanted.operation.is_empty() || key.operation == wanted.operation)
    };
    evidence.hops().range::<HopKey, _>(wanted..).take_while(move |(key, _)| same(key))
}

/// Decisions are counted whether or not they are acted upon; only one that is acted upon asks the alternate, and while a journey is stopped none is.
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use emac_core::evidence::{Delta, Report};
    use emac_core::id::{JourneyName, WorkloadName};
    use emac_proto::convert::NodeReport;

    use super::super::enforcement::Keep;
    use super::super::guard::Guard;
    use super::*;
    use crate::aggregate::Batch;
    use crate::clock::Clock;
    use crate::config::{Config, Identity, Stopped};
    use crate::identity::{Gate, Operators};
    use crate::store::{Store, Stored};

    fn hop(journey: &str, destination: &str) -> HopKey {
        let (source, destination) = ("shop/front".into(), destination.into());
        HopKey { journey: journey.into(), source, destination, ..HopKey::default() }
    }

    /// What tasks share, where the configuration stops this, with a report of hops that asked an alternate before the call and after it.
    fn shared(stopped: Option<Stopped>, hops: &[HopKey]) -> Shared {
        let (config, clock) = (Config::default(), Clock::start());
        let gate = Arc::new(Gate::new(&Identity::Nobody, None, config.connections, clock));
        let guard = Guard::new(&config, Operators::new(&config, None, clock));
        let durable = (false, Store::in_memory().generations());
        let switch = (Keep::of(None::<&Path>), stopped);
        let intents = Intents::default();
        let shared =
            Shared::new(clock, Stored::default(), &config.evidence, durable, intents, (gate, guard), switch);
        let mut asked = HopDelta::default();
        for (kind, times) in
            [(DecisionKind::FallbackBefore, 3), (DecisionKind::FallbackAfter, 4), (DecisionKind::Call, 5)]
        {
            (0..times).for_each(|_| asked.decisions.add(kind));
        }
        let hops = hops.iter().map(|key| (key.clone(), asked.clone())).collect();
        let delta = Delta { hops, ..Delta::default() };
        let report = Report { epoch: 1, sequence: 1, start_unix: Millis(0), end_unix: Millis(0), delta };
        let workload = WorkloadName::new("shop/front").unwrap();
        let report = NodeReport { node: "front-1".into(), workload, report };
        {
            let mut aggregate = shared.aggregate.write().unwrap();
            let mut batch = Batch::new(&aggregate, clock.now(), clock.unix_ms(), Generation(0));
            batch.add(&aggregate, report);
            batch.finish(&aggregate);
            aggregate.apply(clock.now(), batch);
        }
        shared
    }

    /// A look at all journeys of a large mesh takes longer than a step may: what changed, and what moved, is planned all the same.
    #[test]
    fn the_time_of_a_kind_begins_with_its_first_journey() {
        let time = Time { share: Micros(250_000), ..Time::default() };
        let at = |ms: u64| Micros(ms * 1_000);
        let asked = [
            (Class::Changed, 1_000, true),
            (Class::Changed, 1_149, true),
            (Class::Changed, 1_150, false),
            (Class::Moved, 5_000, true),
            (Class::Refresh, 5_124, true),
            (Class::Refresh, 5_125, false),
            (Class::Moved, 5_249, true),
            (Class::Moved, 5_250, false),
        ];
        for (class, ms, may) in asked {
            assert_eq!(time.may_go_on(class, at(ms)), may, "{class:?} at {ms} ms");
        }
        let whole = Time { whole: true, ..time };
        assert!(whole.may_go_on(Class::Refresh, at(900_000)));
    }

    /// While a journey observes, for its intent's sake or because it is stopped, sidecars count decisions that nobody acts upon: no alternate was asked.
    #[test]
    fn a_stopped_journey_is_read_like_one_that_observes() {
        let hops = [hop("checkout", "pay"), hop("search", "index")];
        let some = |name: &str| Some(vec![JourneyName::new(name).unwrap()]);
        let stop = |journeys| Some(Stopped { journeys, ..Stopped::default() });
        for (stopped, enforced, asked) in [
            (None, true, [7, 7]),
            (None, false, [0, 0]),
            (stop(None), true, [0, 0]),
            (stop(some("checkout")), true, [0, 7]),
            (stop(some("search")), true, [7, 0]),
            (stop(some("search")), false, [0, 0]),
        ] {
            let shared = shared(stopped.clone(), &hops);
            let evidence = Evidence { shared: &shared, now: shared.clock.now() };
            let read = hops.clone().map(|hop| {
                let found = evidence.read(std::slice::from_ref(&hop), enforced);
                assert_eq!(found.len(), 1, "of this journey only");
                found[&hop].alternate_asked
            });
            assert_eq!(read, asked, "{stopped:?} {enforced}");
        }
    }
}
