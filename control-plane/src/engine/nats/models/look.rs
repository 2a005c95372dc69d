//! Now and then: what nobody needs is forgotten, and the planner removes it from NATS and writes again what somebody removed.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio_stream::StreamExt as _;
use tracing::{debug, info, warn};

use super::{KEPT, Models, named, value};
use crate::plan::PlanSnapshot;

/// How often.
const EVERY: Duration = Duration::from_secs(5);
/// Most values removed at one look.
const REMOVED_MAX: usize = 1_000;

impl Models {
    /// Looks for ever. `plan` gives the plan in force, `leading` whether this replica plans.
    pub(in super::super) async fn tend(
        &self,
        plan: impl Fn() -> Option<std::sync::Arc<PlanSnapshot>>,
        leading: impl Fn() -> bool,
    ) {
        // When each name of NATS was first seen that no plan names.
        let mut strange: HashMap<String, Instant> = HashMap::new();
        loop {
            tokio::time::sleep(EVERY).await;
            // Before there is a plan nobody knows what it names.
            let Some(plan) = plan() else { continue };
            self.forget_unnamed(&named(&plan), Instant::now());
            if !leading() || !self.status.is_connected() {
                strange.clear();
                continue;
            }
            match self.listed().await {
                Ok(there) => {
                    self.write_again(&plan, &there).await;
                    self.remove(&plan, there, &mut strange).await;
                }
                Err(problem) => {
                    debug!(problem = self.status.explain(problem), "models in NATS cannot be listed");
                }
            }
        }
    }

    fn forget_unnamed(&self, named: &HashSet<&str>, now: Instant) {
        for (digest, known) in &mut self.state().known {
            known.unnamed = if named.contains(digest.as_str()) { None } else { known.unnamed.or(Some(now)) };
        }
        self.forget(|_, known| known.unnamed.is_some_and(|since| now.duration_since(since) >= KEPT));
    }

    /// Every subject of a model in NATS.
    async fn listed(&self) -> Result<HashSet<String>, String> {
        let stream = &self.layout.state.stream;
        let listed = stream.info_with_subjects(self.layout.names.models()).await;
        let mut listed = listed.map_err(|error| error.to_string())?;
        let mut subjects = HashSet::new();
        while let Some(subject) = listed.next().await {
            subjects.insert(subject.map_err(|error| error.to_string())?.0);
        }
        Ok(subjects)
    }

    /// What a plan names and this replica knows, but NATS has not got any more.
    async fn write_again(&self, plan: &PlanSnapshot, there: &HashSet<String>) {
        for (name, journey) in &plan.journeys {
            let digest = &journey.declaration;
            let key = value::key(name.as_str(), digest);
            let (packed, damaged) = {
                let state = self.state();
                (state.known.get(digest).map(|known| known.packed.clone()), state.damaged.contains(digest))
            };
            let gone = !there.contains(&self.layout.names.key(&key));
            let Some(packed) = packed.filter(|_| gone || damaged) else { continue };
            match self.layout.state.put(&key, packed).await {
                Ok(_) => {
                    info!(journey = %name, "its model was gone from NATS, or not as it was, and is there again")
                }
                Err(error) => {
                    let problem = self.status.explain(error);
                    return warn!(journey = %name, problem, "its model is gone from NATS and cannot be written again");
                }
            }
        }
    }

    async fn remove(
        &self,
        plan: &PlanSnapshot,
        there: HashSet<String>,
        strange: &mut HashMap<String, Instant>,
    ) {
        let needed: HashSet<String> = plan
            .journeys
            .iter()
            .map(|(name, journey)| self.layout.names.key(&value::key(name.as_str(), &journey.declaration)))
            .collect();
        strange.retain(|subject, _| there.contains(subject) && !needed.contains(subject));
        let now = Instant::now();
        for subject in there.into_iter().filter(|subject| !needed.contains(subject)) {
            strange.entry(subject).or_insert(now);
        }
        let old = strange.iter().filter(|(_, since)| now.duration_since(**since) >= KEPT);
        let old: Vec<String> = old.map(|(subject, _)| subject.clone()).take(REMOVED_MAX).collect();
        for subject in old {
            // Without the markers that deleting keys one by one would leave.
            if let Err(error) = self.layout.state.stream.purge().filter(&subject).await {
                let problem = self.status.explain(error);
                return warn!(subject, problem, "a model that no plan names cannot be removed from NATS");
            }
            strange.remove(&subject);
        }
    }
}
