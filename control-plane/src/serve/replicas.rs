//! Where this process is one of several: what is planned and ordered goes to all of them, and what all of them agreed on is put in force here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::enforcement::share::Sharing;
use super::intents::Intents;
use super::models;
use super::plan_loop::push;
use super::state::Shared;
use crate::engine::nats::{AgreedPlan, Changes, Cluster};
use crate::plan::PlanSnapshot;
use emac_document::sha256_hex;

/// How often a replica looks whether its NATS is there.
const LOOK: Duration = Duration::from_millis(500);
/// Files change at each replica at its own time: where they differ for no longer, nobody needs to know.
const DIFFER_AFTER: Duration = Duration::from_secs(5);
/// How soon what failed is tried again.
const RETRY: Duration = Duration::from_millis(100);

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
    intents: &Intents,
) {
    let unchanged = next.generation == previous.generation;
    let text = |journey: &str, digest: &str| {
        let declared = intents.declared(journey)?.declaration()?;
        (sha256_hex(&declared) == digest).then_some(declared)
    };
    if cluster.propose(previous, next, &text) && unchanged {
        let here = shared.plan.load_full();
        if here.generation == next.generation {
            // Unless another was put in force meanwhile.
            shared.plan.compare_and_swap(&here, Arc::clone(next));
        }
    }
}

/// What one replica of several follows: people's orders first, then the plan, so that nothing is published that an order heard before it has stopped.
struct Following {
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    sharing: Sharing,
    agreed: watch::Receiver<Option<AgreedPlan>>,
    /// There is a plan that is not put in force.
    news: bool,
    changes: Option<Changes>,
    models: watch::Receiver<u64>,
    /// Journeys that differ, with how, since when, and whether that was said.
    differing: (Vec<String>, Instant, bool),
}

/// Puts in force what all replicas agreed on, until told to stop.
pub(super) async fn follow(shared: Arc<Shared>, cluster: Arc<Cluster>, stop: CancellationToken) {
    let (agreed, models, sharing) = (cluster.agreed(), cluster.models_changed(), Sharing::default());
    let differing = (Vec::new(), Instant::now(), false);
    let mut following =
        Following { shared, cluster, sharing, agreed, news: true, changes: None, models, differing };
    while stop.run_until_cancelled(following.turn()).await.is_some() {}
}

impl Following {
    /// Takes and tells what there is, then waits for news.
    async fn turn(&mut self) {
        let (shared, cluster) = (&self.shared, &self.cluster);
        self.changes = self.changes.take().or_else(|| cluster.changes());
        shared.enforcement.set_apart(!cluster.is_connected());
        let taken = self.sharing.take(shared, cluster).await;
        if taken && std::mem::take(&mut self.news) {
            let next = self.agreed.borrow_and_update().clone();
            if let Some(next) = next {
                self.put_in_force(next).await;
            }
        }
        self.compare().await;
        let told = taken && self.sharing.tell(&self.shared, &self.cluster).await;
        self.cluster.obey(self.shared.enforcement.stops().switch.several.raised);
        self.wait(if told { LOOK } else { RETRY }).await;
    }

    async fn wait(&mut self, most: Duration) {
        let change = async {
            match &mut self.changes {
                Some(changes) => changes.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok(()) = self.agreed.changed() => self.news = true,
            () = change => {}
            Ok(()) = self.models.changed() => {}
            () = self.shared.tell.notified() => {}
            () = tokio::time::sleep(most) => {}
        }
    }

    async fn put_in_force(&mut self, next: AgreedPlan) {
        let pushing = Arc::clone(&self.shared);
        // Publishing waits for who throws the kill switch, and the other way round.
        if let Err(problem) = tokio::task::spawn_blocking(move || push(&pushing, &next.plan)).await {
            error!(%problem, "an agreed plan could not be put in force");
        }
    }

    /// Notes what the plan in force was made from, and says where the own files have something else.
    async fn compare(&mut self) {
        let (shared, cluster) = (Arc::clone(&self.shared), Arc::clone(&self.cluster));
        let comparing = tokio::task::spawn_blocking(move || models::renew(&shared, &cluster));
        if let Err(problem) = comparing.await {
            error!(%problem, "what the plan in force was made from is not known");
        }
        let in_force = self.shared.in_force.load();
        let differing: Vec<_> =
            in_force.differing().map(|(name, own)| format!("{name}: {}", own.label())).collect();
        self.cluster.differ(!differing.is_empty());
        if differing != self.differing.0 {
            self.differing = (differing, Instant::now(), false);
        }
        let (differing, since, said) = &mut self.differing;
        if !*said
            && !differing.is_empty()
            && since.elapsed() >= DIFFER_AFTER
            && !self.cluster.standing().plans
        {
            warn!(
                ?differing,
                "the plan is made from other files than this replica has: give all replicas the same journeys and models"
            );
            *said = true;
        }
    }
}
