//! One planner at a time, and the plan that all replicas serve.
//!
//! Who plans stands in the bucket and changes by compare-and-swap; its lease is its heartbeat ([`super::members`]), and whoever is ready takes the place of one
//! that is dead, or that says of itself that it tried to write plans and could not; those whose files are the ones of the plan in force come first. The plan itself is a value of the bucket, written by compare-and-swap too: a planner that was replaced without noticing is refused there, and
//! since each plan is made from the one it replaces, its generation is higher, whatever the clocks of two planners say.

pub(super) mod fitness;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prost::Message;
use prost::bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::blob::{self, Found};
use super::kept::Kept;
use super::layout::Layout;
use super::members::Members;
use super::message::{Head, Planner};
use super::models::{Models, Texts};
use super::plan_message::Parts;
use super::status::{Part, Status};
use super::view::Position;
use crate::plan::PlanSnapshot;
use fitness::Fitness;

const PLANNER: &str = "planner";
const PLAN: &str = "plan";
/// How often a replica looks who plans.
const LOOK: Duration = Duration::from_millis(200);
/// How long a replica with other files than those of the plan in force leaves the place to one that has them.
const LEFT: Duration = Duration::from_secs(5);
/// How often a plan that tells nobody anything new is written for its reasons.
const REASONS: Duration = Duration::from_secs(5);

/// A plan that all replicas agree on.
#[derive(Clone, Debug)]
pub struct AgreedPlan {
    /// What it says.
    pub plan: Arc<PlanSnapshot>,
    /// Of its value in the bucket.
    found: Found,
}

/// Election, and the plan's value.
pub(super) struct Plans {
    pub(super) layout: Layout,
    pub(super) kept: Arc<Kept>,
    pub(super) members: Arc<Members>,
    pub(super) status: Arc<Status>,
    pub(super) position: watch::Receiver<Position>,
    pub(super) stop: CancellationToken,
    pub(super) agreed: watch::Sender<Option<AgreedPlan>>,
    /// Of the plan that was written or read last.
    pub(super) parts: Arc<Mutex<Parts>>,
    /// When a plan was written last.
    pub(super) written: Mutex<Option<Instant>>,
    /// Whether this replica can write plans at all.
    pub(super) fitness: Arc<Fitness>,
    /// What plans are made from.
    pub(super) models: Arc<Models>,
}

impl fmt::Debug for Plans {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Plans").finish_non_exhaustive()
    }
}

impl Plans {
    /// Whether this replica plans.
    pub(super) fn is_planner(&self) -> bool {
        let planner = planner(&self.kept.head(PLANNER));
        planner == self.members.me() && self.members.hears(Instant::now())
    }

    /// Who plans; empty: nobody.
    pub(super) fn planner(&self) -> String {
        planner(&self.kept.head(PLANNER))
    }

    /// Takes the planner's place whenever it is free, until this replica ends.
    pub(super) async fn stand(&self) {
        let mut free_since = None;
        while !self.stop.is_cancelled() {
            tokio::time::sleep(LOOK).await;
            let (now, found) = (Instant::now(), self.kept.head(PLANNER));
            let planner = planner(&found);
            if planner == self.members.me() {
                free_since = None;
                continue;
            }
            // What this one could not write is another's business now.
            if !self.status.is_well(Part::Plan) && self.members.is_live(&planner, now) {
                self.status.well(Part::Plan);
            }
            let free = !self.members.is_live(&planner, now) || self.members.is_unfit(&planner);
            free_since = free.then(|| free_since.unwrap_or(now));
            // Who has the files of the plan in force goes on as it was.
            let leaves_it = self.members.is_another_better(now)
                && free_since.is_some_and(|since| now.duration_since(since) < LEFT);
            if self.position.borrow().is_live()
                && self.members.hears(now)
                && free
                && !leaves_it
                && !self.fitness.is_unfit(now)
                && !self.stop.is_cancelled()
            {
                self.name(self.members.me(), &found, &planner).await;
            }
        }
    }

    /// Gives the place up, if this replica has it.
    pub(super) async fn resign(&self) {
        let found = self.kept.head(PLANNER);
        if planner(&found) == self.members.me() {
            self.name("", &found, "").await;
        }
    }

    async fn name(&self, replica: &str, found: &Found, before: &str) {
        let body = Planner { replica: replica.to_owned() }.encode_to_vec();
        match blob::write(&self.layout, PLANNER, found, found.head.order + 1, body.into()).await {
            Ok(found) => {
                if !replica.is_empty() {
                    info!(before, "this replica plans");
                }
                self.kept.set(PLANNER, found);
            }
            Err(problem) => info!(problem, "another replica plans"),
        }
    }

    /// Takes over every plan that is written, for ever.
    pub(super) async fn follow(&self) {
        let mut changes = self.kept.changes();
        loop {
            let found = self.kept.head(PLAN);
            let known = self.agreed.borrow().as_ref().map_or(0, |agreed| agreed.found.revision);
            if found.revision > known {
                self.take(found).await;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn take(&self, found: Found) {
        let read = blob::read(&self.layout, &found.head).await;
        let parts = Arc::clone(&self.parts);
        let plan = tokio::task::spawn_blocking(move || {
            read.and_then(|bytes| parts.lock().unwrap_or_else(PoisonError::into_inner).decode(&bytes))
        });
        match plan.await.unwrap_or_else(|ended| Err(ended.to_string())) {
            Ok(plan) => self.agree(AgreedPlan { plan: Arc::new(plan), found }),
            // The next head is on its way, or the value is not ours to understand; the plan in force stays.
            Err(problem) => warn!(problem, "a plan cannot be read"),
        }
    }

    fn agree(&self, next: AgreedPlan) {
        self.agreed.send_if_modified(|agreed| {
            let newer = agreed.as_ref().is_none_or(|agreed| {
                agreed.found.revision < next.found.revision && agreed.plan.generation <= next.plan.generation
            });
            if newer {
                *agreed = Some(next);
            }
            newer
        });
    }

    /// The plan in force, if there is one.
    pub(super) fn agreed_plan(&self) -> Option<Arc<PlanSnapshot>> {
        self.agreed.borrow().as_ref().map(|agreed| Arc::clone(&agreed.plan))
    }

    /// Puts a plan made from the agreed one in its place, behind what it was made from. Whether it is in force.
    pub(super) async fn propose(
        &self,
        previous: &PlanSnapshot,
        next: &Arc<PlanSnapshot>,
        texts: Texts<'_>,
    ) -> bool {
        let agreed = self.agreed.borrow().clone();
        let (found, last) =
            agreed.map_or_else(Default::default, |agreed| (agreed.found, agreed.plan.generation));
        if previous.generation != last || !self.is_planner() {
            return false;
        }
        self.models.share(next, texts).await;
        if next.generation == last && !self.is_due(previous, next) {
            return true;
        }
        let plan = Arc::clone(next);
        let parts = Arc::clone(&self.parts);
        let encode = move || parts.lock().unwrap_or_else(PoisonError::into_inner).encode(&plan);
        let Ok(encoded) = tokio::task::spawn_blocking(encode).await else { return false };
        let written = self.write(&found, next.generation.0, encoded).await;
        let Some(found) = written else { return false };
        self.kept.set(PLAN, found.clone());
        self.agree(AgreedPlan { plan: Arc::clone(next), found });
        true
    }

    /// Reasons change with every period; others learn of them now and then.
    fn is_due(&self, previous: &PlanSnapshot, next: &PlanSnapshot) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        previous.journeys != next.journeys && written.is_none_or(|written| written.elapsed() >= REASONS)
    }

    async fn write(&self, found: &Found, order: u64, bytes: Bytes) -> Option<Found> {
        match blob::write(&self.layout, PLAN, found, order, bytes).await {
            Ok(found) => {
                *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                self.status.well(Part::Plan);
                self.fitness.wrote();
                Some(found)
            }
            Err(problem) => {
                if self.status.is_connected() && self.is_planner() {
                    let problem = self.status.explain(problem);
                    if self.fitness.could_not(Instant::now()) {
                        warn!(problem, "this replica cannot write plans; another may take its place");
                    }
                    self.status.trouble(Part::Plan, format!("the plan cannot be written: {problem}"));
                }
                None
            }
        }
    }
}

fn planner(found: &Found) -> String {
    let head: &Head = &found.head;
    Planner::decode(head.body.clone()).unwrap_or_default().replica
}
