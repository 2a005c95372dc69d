//! Where this process is one of several: what is planned goes to all of them, and what all of them agreed on is put in force here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::plan_loop::push;
use super::state::Shared;
use crate::engine::nats::Cluster;
use crate::plan::PlanSnapshot;

/// Whether this process makes the plans: alone it does.
pub(super) fn may_plan(shared: &Shared) -> bool {
    let Some(cluster) = &shared.cluster else { return true };
    cluster.may_plan(Duration::from_millis(shared.evidence().window().0))
}

/// Offers a plan to all replicas. One with news is put in force by [`follow`], here as everywhere; of one without, only the reasons change.
pub(super) fn propose(
    cluster: &Cluster,
    shared: &Shared,
    previous: &Arc<PlanSnapshot>,
    next: &Arc<PlanSnapshot>,
) {
    let unchanged = next.generation == previous.generation;
    if cluster.propose(previous, next) && unchanged {
        let here = shared.plan.load_full();
        if here.generation == next.generation {
            // Unless another was put in force meanwhile.
            shared.plan.compare_and_swap(&here, Arc::clone(next));
        }
    }
}

/// Journeys whose intent or accepted model here is not what the plan in force was made from.
pub(super) fn differing(shared: &Shared) -> Vec<String> {
    let (plan, intents) = (shared.plan.load(), shared.intents.load());
    let here: BTreeMap<_, _> = intents.planned.iter().map(|it| (&it.name, &it.model_digest)).collect();
    let there: BTreeMap<_, _> = plan.journeys.iter().map(|(name, it)| (name, &it.model)).collect();
    let names: BTreeSet<_> = here.keys().chain(there.keys()).collect();
    let differ = names.into_iter().filter(|name| here.get(**name) != there.get(**name));
    differ.map(ToString::to_string).collect()
}

/// Puts in force what all replicas agreed on, until told to stop.
pub(super) async fn follow(shared: Arc<Shared>, cluster: Arc<Cluster>, stop: CancellationToken) {
    let mut agreed = cluster.agreed();
    agreed.mark_changed();
    let mut said = Vec::new();
    while let Some(Ok(())) = stop.run_until_cancelled(agreed.changed()).await {
        let Some(next) = agreed.borrow_and_update().clone() else { continue };
        let pushing = Arc::clone(&shared);
        // Publishing waits for who throws the kill switch, and the other way round.
        if let Err(problem) = tokio::task::spawn_blocking(move || push(&pushing, &next.plan)).await {
            error!(%problem, "an agreed plan could not be put in force");
        }
        let differing = differing(&shared);
        if differing != said && !differing.is_empty() && !cluster.standing().plans {
            warn!(
                ?differing,
                "the plan is made from other files than this replica has: give all replicas the same journeys and models"
            );
        }
        said = differing;
    }
}
