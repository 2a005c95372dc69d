//! What the plan in force was made from: for each journey its intent and accepted model as one text, for replicas that have other files.
//!
//! A value of the bucket is named by its journey and by the SHA-256 of the text (`model.<journey>.<digest>`), never changes, and is written before the plan that
//! names it. So the text of the plan in force is there as long as that plan is: a planner that was replaced without noticing writes under other names,
//! and what nobody's plan names is removed after [`KEPT`]. Every replica follows all of them; a value that is not what its name says, or of another control
//! plane, is told and passed over. What the texts say is not this module's business.

mod look;
mod value;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prost::bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::Cluster;
use super::layout::Layout;
use super::reader::{Begin, Entry, Reader};
use super::status::Status;
use crate::plan::PlanSnapshot;

/// A value that no plan names is kept for so long: replicas that are behind still need it.
const KEPT: Duration = Duration::from_secs(30);
/// Most bytes of all values, as they are in NATS: every replica has them in memory.
const ALL_MAX: usize = 256 << 20;
const TOO_MANY: &str = "all models together have more than 256 MiB";
/// Values written at the same time.
const AT_ONCE: usize = 32;
/// A plan waits so long for what it is made from; budgets matter more.
const PATIENCE: Duration = Duration::from_secs(2);
/// What could not be written is not tried again before.
const PAUSE: Duration = Duration::from_secs(10);
/// Most often that values passed over are said.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// The text of a journey by its name and digest.
pub type Texts<'a> = &'a (dyn Fn(&str, &str) -> Option<String> + Sync);

/// Values of the bucket, as this replica has heard of them or has written them.
#[derive(Debug)]
pub(super) struct Models {
    layout: Layout,
    status: Arc<Status>,
    cluster: String,
    state: Mutex<State>,
    /// Ticks with every value that came or went.
    changes: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct State {
    /// By digest.
    known: HashMap<String, Known>,
    bytes: usize,
    /// Digests whose value somebody else has overwritten in NATS.
    damaged: HashSet<String>,
    /// Digests of texts that are too long, with the reason.
    too_long: BTreeMap<String, String>,
    /// When and why something was not written.
    failed: Option<(Instant, String)>,
    /// Values passed over, and when that was said.
    ignored: u64,
    said: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    packed: Bytes,
    /// Since when no plan has named it.
    unnamed: Option<Instant>,
}

/// How it stands with the texts of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelsStanding {
    /// Journeys of the plan that name a text.
    pub named: usize,
    /// Those whose text is not in NATS, as far as this replica has heard; sorted.
    pub missing: Vec<String>,
    /// Values that were passed over since the start.
    pub ignored: u64,
    /// Why something is missing, as far as this replica tried to write it.
    pub problem: Option<String>,
}

impl Models {
    pub(super) fn new(
        layout: Layout,
        status: Arc<Status>,
        cluster: String,
        changes: Arc<watch::Sender<u64>>,
    ) -> Self {
        Self { layout, status, cluster, state: Mutex::default(), changes }
    }

    /// Follows every value for ever.
    pub(super) async fn follow(&self) {
        let filter = self.layout.names.models();
        let mut reader = Reader::new(&self.layout.state.stream, filter, Begin::Latest, &self.status);
        loop {
            let entry = reader.next().await;
            self.hear(entry);
        }
    }

    fn hear(&self, entry: Entry) {
        let mut name = entry.subject.rsplit('.');
        let (digest, journey) = (name.next().unwrap_or_default(), name.next().unwrap_or_default());
        // Somebody deleted it; whoever plans writes it again if it is needed.
        if entry.payload.is_empty() {
            return self.forget(|known, _| known == digest);
        }
        match value::read(&entry.payload, &self.cluster, journey, digest) {
            Ok(_) if self.know(digest.to_owned(), entry.payload) => {}
            Ok(_) => self.ignore(&entry.subject, TOO_MANY),
            Err(problem) => {
                self.ignore(&entry.subject, &problem);
                let mut state = self.state();
                if state.known.contains_key(digest) {
                    state.damaged.insert(digest.to_owned());
                }
            }
        }
    }

    /// Whether there is room for it.
    fn know(&self, digest: String, packed: Bytes) -> bool {
        let mut state = self.state();
        let length = packed.len();
        if !state.known.contains_key(&digest) && state.bytes + length > ALL_MAX {
            return false;
        }
        state.damaged.remove(&digest);
        let before = state.known.insert(digest, Known { packed, unnamed: None });
        state.bytes = state.bytes + length - before.map_or(0, |before| before.packed.len());
        drop(state);
        self.changes.send_modify(|count| *count += 1);
        true
    }

    /// Says which, now and then: whoever writes nonsense may write much of it.
    fn ignore(&self, name: &str, problem: &str) {
        let mut state = self.state();
        state.ignored += 1;
        if state.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            state.said = Some(Instant::now());
            let (name, ignored) = (emac_document::shown(name, 200), state.ignored);
            warn!(
                %name,
                problem,
                ignored,
                "a model in NATS is passed over; where it is not of this control plane, see who else may write there"
            );
        }
    }

    fn forget(&self, gone: impl Fn(&str, &Known) -> bool) {
        let mut state = self.state();
        let before = state.known.len();
        state.known.retain(|digest, known| !gone(digest, known));
        let State { known, damaged, .. } = &mut *state;
        damaged.retain(|digest| known.contains_key(digest));
        state.bytes = state.known.values().map(|known| known.packed.len()).sum();
        let changed = state.known.len() != before;
        drop(state);
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// The text of a journey, if it is known.
    pub(super) fn text(&self, journey: &str, digest: &str) -> Option<String> {
        let packed = self.state().known.get(digest)?.packed.clone();
        value::read(&packed, &self.cluster, journey, digest).ok()
    }

    /// Writes what a plan is made from and NATS has not got. A plan does not wait for ever: what is missing then is told, and tried again.
    ///
    /// Cost: a look at each journey; where something is missing, a message each, and at most [`PATIENCE`].
    pub(super) async fn share(&self, plan: &PlanSnapshot, texts: Texts<'_>) {
        let missing = self.missing(plan);
        if missing.is_empty() || self.failed_lately() {
            return;
        }
        let problem = match tokio::time::timeout(PATIENCE, self.write(missing, texts)).await {
            Ok(Ok(0)) => None,
            Ok(Ok(written)) => {
                info!(models = written, "given to the other replicas");
                None
            }
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some(format!("not within {PATIENCE:?}")),
        };
        self.note(problem);
    }

    /// Returns how many were written.
    async fn write(&self, missing: Vec<(String, String)>, texts: Texts<'_>) -> Result<usize, String> {
        let (mut writing, mut written) = (JoinSet::new(), 0);
        for (journey, digest) in missing {
            let Some(packed) = self.packed(&journey, &digest, texts) else { continue };
            if writing.len() >= AT_ONCE {
                written += self.written(&mut writing).await?;
            }
            let (state, key) = (self.layout.state.clone(), value::key(&journey, &digest));
            writing.spawn(async move {
                let put = state.put(&key, packed.clone()).await;
                put.map(|_| (digest, packed)).map_err(|error| format!("{key}: {error}"))
            });
        }
        while !writing.is_empty() {
            written += self.written(&mut writing).await?;
        }
        Ok(written)
    }

    async fn written(&self, writing: &mut JoinSet<Result<(String, Bytes), String>>) -> Result<usize, String> {
        let Some(Ok(done)) = writing.join_next().await else { return Ok(0) };
        let (digest, packed) = done?;
        if !self.know(digest.clone(), packed) {
            self.state().too_long.insert(digest, TOO_MANY.to_owned());
        }
        Ok(1)
    }

    fn note(&self, problem: Option<String>) {
        let mut state = self.state();
        state.failed = problem.map(|problem| {
            let problem = self.status.explain(problem);
            if self.status.is_connected() {
                warn!(
                    problem,
                    "models cannot be given to the other replicas; the plan goes out without, and replicas with other files cannot say what it was made from"
                );
            }
            (Instant::now(), problem)
        });
    }

    /// A text as it is written; `None` where there is none, or where it is too long, which is told once.
    fn packed(&self, journey: &str, digest: &str, texts: Texts<'_>) -> Option<Bytes> {
        let text = texts(journey, digest)?;
        let most = self.layout.context.client().max_payload();
        match value::write(&self.cluster, journey, text, most) {
            Ok(packed) => Some(packed),
            Err(problem) => {
                warn!(
                    journey,
                    problem,
                    "a model is not given to the other replicas; those with other files cannot say what the plan was made from"
                );
                self.state().too_long.insert(digest.to_owned(), problem);
                None
            }
        }
    }

    /// Journeys of a plan whose texts are not known, less those that are too long, with their digests.
    fn missing(&self, plan: &PlanSnapshot) -> Vec<(String, String)> {
        let mut state = self.state();
        if !state.too_long.is_empty() {
            let named = named(plan);
            state.too_long.retain(|digest, _| named.contains(digest.as_str()));
        }
        let missing = plan.journeys.iter().filter(|(_, journey)| {
            let digest = &journey.declaration;
            !digest.is_empty() && !state.known.contains_key(digest) && !state.too_long.contains_key(digest)
        });
        missing.map(|(name, journey)| (name.to_string(), journey.declaration.clone())).collect()
    }

    fn failed_lately(&self) -> bool {
        self.state().failed.as_ref().is_some_and(|(at, _)| at.elapsed() < PAUSE)
    }

    /// How it stands with the texts of a plan. Cost: a look at each journey.
    pub(super) fn standing(&self, plan: &PlanSnapshot) -> ModelsStanding {
        let state = self.state();
        let named = plan.journeys.iter().filter(|(_, journey)| !journey.declaration.is_empty());
        let missing = named.clone().filter(|(_, journey)| !state.known.contains_key(&journey.declaration));
        let too_long = || state.too_long.values().next().cloned();
        ModelsStanding {
            named: named.count(),
            missing: missing.map(|(name, _)| name.to_string()).collect(),
            ignored: state.ignored,
            problem: state.failed.as_ref().map(|(_, problem)| problem.clone()).or_else(too_long),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// What a plan says a journey was planned from, if NATS has it.
    pub fn model(&self, journey: &str, digest: &str) -> Option<String> {
        self.models.get()?.text(journey, digest)
    }

    /// Tells the others whether this replica's files are those of the plan in force.
    pub fn differ(&self, differs: bool) {
        self.members.differ(differs);
    }

    /// Ticks when a model came or went.
    pub fn models_changed(&self) -> watch::Receiver<u64> {
        self.models_changed.subscribe()
    }

    /// How it stands with what a plan was made from.
    pub fn models(&self, plan: &PlanSnapshot) -> ModelsStanding {
        self.models.get().map(|models| models.standing(plan)).unwrap_or_default()
    }
}

/// Digests that a plan names.
fn named(plan: &PlanSnapshot) -> HashSet<&str> {
    plan.journeys
        .values()
        .map(|journey| journey.declaration.as_str())
        .filter(|name| !name.is_empty())
        .collect()
}
